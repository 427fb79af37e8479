"""Checks of what a rule's `learn` returns: by shapes alone, so that compiled steps don't feel them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jaxtyping import PyTree

from ..energy import Problem, Weights, forms_of
from ._update import Update


def check_update(call: str, problem: Problem, weights: Weights, update: Any) -> Update:
    """Refuse what is no `Update` of this problem, and return it.

    **Arguments:**

    - `call`: the name by which errors begin.
    - `weights`: those before the step.

    **Raises:** `TypeError` for another type; `ValueError` for arrays missing, unknown, or of other shapes.
    """
    if not isinstance(update, Update):
        raise TypeError(f"{call}: it must return a pcx.learning.Update, got {type(update).__name__}")
    if (update.gradient is None) == (update.weights is None):
        both = "neither" if update.gradient is None else "both"
        raise ValueError(
            f"{call}: an Update has a gradient, of which the optimiser takes a step, or weights, where the rule has "
            f"taken steps of its own; got {both}"
        )
    name, found = ("weights", update.weights) if update.gradient is None else ("gradient", update.gradient)
    _check_weights(f"{call}: Update.{name}", weights, found)
    rows = (problem.size,)
    for name in ("energies", "before", "value"):
        found = getattr(update, name)
        if found is not None or name == "energies":
            for node, value in forms_of(_mapping(f"{call}: Update.{name}", "{node: [batch]}", found)).items():
                _check_shape(f"{call}: Update.{name}[{node!r}]", value, [rows])
    elements = {} if update.elements is None else update.elements
    for node, value in forms_of(_mapping(f"{call}: Update.elements", "{node: array}", elements)).items():
        if np.shape(value)[:1] != rows:
            raise ValueError(f"{call}: Update.elements[{node!r}] has shape {np.shape(value)}; its first axis is {rows}")
    _check_shape(f"{call}: Update.steps", update.steps, [(), rows])
    _check_shape(f"{call}: Update.first_bad", update.first_bad, [()])
    _check_shape(f"{call}: Update.uphill", False if update.uphill is None else update.uphill, [()])
    _mapping(f"{call}: Update.memory", "a dict by name", {} if update.memory is None else update.memory)
    return update


def check_kept(call: str, what: str, new: PyTree, old: PyTree) -> None:
    """Refuse arrays to keep in a state that differ from those before in structure, shape or dtype: the next step would
    be another program, and a loop over steps none.

    **Raises:** `ValueError`, naming the first that differs.
    """
    before, after = dict(_by_path(old)), dict(_by_path(new))
    for path in [*before, *[p for p in after if p not in before]]:
        if path not in after or path not in before:
            how = "is missing" if path in before else "is new: init must give it"
            raise ValueError(f"{call}: {what}{path} {how}; what a state keeps has one structure from step to step")
        a, b = before[path], after[path]
        shape, given = np.shape(a), np.shape(b)
        if shape != given:
            raise ValueError(f"{call}: {what}{path} has shape {given}, and had {shape}: shapes stay as they are")
        made, found = jnp.result_type(a), jnp.result_type(b)
        if made != found and jnp.promote_types(made, found) != made:
            raise ValueError(f"{call}: {what}{path} is {found}, and was {made}: cast it, as by .astype({made})")


def check_untouched(call: str, before: Iterable[Any], given: PyTree) -> None:
    """Refuse a `learn` that has changed what it was given in place: what comes after it reads the same dicts.

    **Arguments:**

    - `before`: the arrays in what was given, as they were.
    - `given`: the same by name, now.

    **Raises:** `ValueError`.
    """
    after, before = jtu.tree_leaves(given), list(before)
    if len(after) != len(before) or any(a is not b for a, b in zip(after, before, strict=True)):
        raise ValueError(
            f"{call}: it has changed the bound problem, the forward pass or the memory in place; make new dicts, such "
            "as {**memory, 'count': count}"
        )


def check_names(call: str, memory: Any, taken: Iterable[str]) -> dict[str, Any]:
    """Refuse to remember what is no dict, or has names that something else is remembered by; and return it.

    **Raises:** `TypeError`; `ValueError`, with the name.
    """
    for name in _mapping(call, "a dict by name", memory):
        if name in taken:
            raise ValueError(f"{call}: {name!r} is remembered already, by the precision or as the optimiser's state")
    return dict(memory)


def _by_path(tree: PyTree) -> list[tuple[str, Any]]:
    return [(jtu.keystr(path), leaf) for path, leaf in jtu.tree_flatten_with_path(tree)[0]]


def _mapping(what: str, kind: str, x: Any) -> Mapping[str, Any]:
    if not isinstance(x, Mapping):
        raise TypeError(f"{what} must be {kind}, got {type(x).__name__}")
    return x


def _check_weights(what: str, weights: Weights, found: Any) -> None:
    found, weights = forms_of(_mapping(what, "{path: array}", found)), forms_of(weights)
    for path in [*weights, *[p for p in found if p not in weights]]:
        if path not in found:
            raise ValueError(f"{what} lacks {path}: a weight that doesn't learn has a gradient of zeros")
        if path not in weights:
            raise ValueError(f"{what} has {path!r}, which is no weight; the weights are {', '.join(weights)}")
        _check_shape(f"{what}[{path!r}]", found[path], [np.shape(weights[path])])
        if not jnp.issubdtype(jnp.result_type(found[path]), jnp.inexact):
            raise ValueError(f"{what}[{path!r}] is of {jnp.result_type(found[path])}; a weight moves by real numbers")


def _check_shape(what: str, x: Any, shapes: list[tuple[int, ...]]) -> None:
    if x is None or np.shape(x) not in shapes:
        got = "None" if x is None else f"shape {np.shape(x)}"
        raise ValueError(f"{what} must have shape {' or '.join(str(s) for s in shapes)}, got {got}")
