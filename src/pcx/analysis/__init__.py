"""pxa: what a network is doing: the curvature of its energy, theory beside measurement, pictures."""

# What `__all__` does not list is for other rooms, and not public.

from ._activity import activity, deep_activity, expected_activity
from ._curvature import Curvature, curvature
from ._equilibrated_energy import EquilibratedEnergy, equilibrated_energy
from ._equilibrium import equilibrium
from ._plot_spectrum import plot_spectrum
from ._plot_theory import plot_activity, plot_equilibrated_energy, plot_saddle
from ._saddle import Saddle, saddle_at_zero
from ._spectrum import Spectrum, spectrum
from ._weight_curvature import weight_curvature

__all__ = [
    "Curvature",
    "EquilibratedEnergy",
    "Saddle",
    "Spectrum",
    "activity",
    "curvature",
    "deep_activity",
    "equilibrated_energy",
    "equilibrium",
    "expected_activity",
    "plot_activity",
    "plot_equilibrated_energy",
    "plot_saddle",
    "plot_spectrum",
    "saddle_at_zero",
    "spectrum",
    "weight_curvature",
]
