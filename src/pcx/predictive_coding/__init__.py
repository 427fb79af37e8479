"""pxc: value nodes, energies and the modules that hold them."""

# What `__all__` does not list is for other rooms, and not public.
# ruff: noqa: F401

from ._energy import Energy, EnergyFn, ce_energy, elements_of, se_energy, zero_energy
from ._energy_module import STATUS, EnergyModule
from ._html import NodeRow, name_of_energy, nodes_html
from ._noise import Huber, Laplace, Poisson
from ._parameter import VodeParam
from ._rules import Ruleset
from ._vode import (
    Predictions,
    Vode,
    predictions,
)

__all__ = [
    "STATUS",
    "Energy",
    "EnergyFn",
    "EnergyModule",
    "Huber",
    "Laplace",
    "Poisson",
    "Ruleset",
    "Vode",
    "VodeParam",
    "ce_energy",
    "se_energy",
    "zero_energy",
]
