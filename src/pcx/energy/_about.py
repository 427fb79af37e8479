"""Facts that can be read off a model's parts."""

from __future__ import annotations

import inspect

import jax.tree_util as jtu

from ..core import BaseParam, Module, get, is_param, modules
from ..predictive_coding import STATUS, Energy, Vode, zero_energy


def is_squared(vode: Vode) -> bool | None:
    """Return whether a vode's energy is half the square of h - u; None if the operations of the energy alone can say
    it."""
    function = get(vode.energy_fn)
    if type(vode).energy is not Vode.energy or function is None or function is zero_energy:
        return False
    if not get(vode.ruleset).plain(str(STATUS.INIT)):
        return False  # it is one of what rules make of h and u
    return function.squared if isinstance(function, Energy) else None


def form_of(vode: Vode) -> Energy | None:
    """Return a vode's energy where it is a `pxc.Energy` that nothing overrides."""
    function = get(vode.energy_fn)
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
