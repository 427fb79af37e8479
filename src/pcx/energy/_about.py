"""Facts that can be read off a model's parts."""

from __future__ import annotations

import inspect

import jax.tree_util as jtu

from ..core import BaseParam, Module, is_param, modules
from ..predictive_coding import STATUS, Energy, Vode, ce_energy, zero_energy


def energy_of(vode: Vode) -> str:
    """Return the kind of a vode's energy: "squared" (of h - u), "entropy" (cross entropy), "none", or "other"."""
    function = vode.energy_fn.get()
    if type(vode).energy is not Vode.energy:
        return "other"
    if function is not None and function is not zero_energy and not vode.ruleset.get().plain(str(STATUS.INIT)):
        return "other"  # of what rules make of h and u
    if isinstance(function, Energy) and function.squared:
        return "squared"
    if function is ce_energy:
        return "entropy"
    if function is None or function is zero_energy:
        return "none"
    return "other" if isinstance(function, Energy) else "unknown"


def form_of(vode: Vode) -> Energy | None:
    """Return a vode's energy where it is a `pxc.Energy` that nothing overrides."""
    function = vode.energy_fn.get()
    return function if isinstance(function, Energy) and type(vode).energy is Vode.energy else None


def positional(model: Module) -> int:
    """Return the number of positional arguments that the model's call takes, 2 at most."""
    parameters = list(inspect.signature(type(model).__call__).parameters.values())[1:]
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return 2
    return min(2, sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters))


def params_of(x: object) -> list[BaseParam]:
    """Return the params of the modules that a static value is, or has in lists, tuples and dicts."""
    leaves = [leaf for m in modules(x) for leaf in jtu.tree_leaves(m, is_leaf=lambda y: isinstance(y, BaseParam))]
    return [leaf for leaf in leaves if is_param(leaf)]
