"""The step that follows from an update: of the weights' optimiser, and of a precision that learns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jaxtyping import PyTree

from ..energy import Bound, Stacks, Weights, regrouped
from ._precision import learns
from ._returned import check_kept, check_names
from ._state import State
from ._update import Update

if TYPE_CHECKING:
    from ._rule import Rule


def applied(rule: Rule, bound: Bound, state: State, update: Update) -> tuple[Weights, PyTree, dict[str, Any]]:
    """Return the weights, the optimiser's state and the memory after an update.

    **Raises:** `ValueError` for what has other names or shapes than before.
    """
    memory = {**state.memory, **(update.memory or {})}
    optim, call = memory.pop("optim", state.optim), f"{rule.name}.learn"
    check_kept(call, "the optimiser's state", optim, state.optim)
    if update.weights is not None:
        weights = _like(update.weights, state.weights)
    else:
        assert update.gradient is not None  # by `check_update`
        value = update.energies if update.value is None else update.value
        weights, optim = rule.apply(_like(update.gradient, state.weights), optim, state.weights, bound, value)
    if learns(rule.precision) and update.elements is None:
        raise ValueError(
            f"{call}: {type(rule.precision).__name__} learns from Update.elements, the energies elementwise and "
            "without precisions; give those of landscape.weight_gradient(nodes)"
        )
    if rule.precision is not None and update.elements:
        learned = rule.precision.learn(bound.problem, state.memory, update.elements)
        memory |= check_names(f"{type(rule.precision).__name__}.learn", learned, ("optim",))
    check_kept(call, "weights", weights, state.weights)
    check_kept(call, "memory", memory, state.memory)
    return weights, optim, memory


def _like(found: Weights, weights: Weights) -> Any:
    """Return what was made of weights in the blocks of these."""
    if isinstance(weights, Stacks) and not (isinstance(found, Stacks) and found.blocks == weights.blocks):
        return regrouped(weights.blocks, found)
    return dict(found) if isinstance(found, Stacks) and not isinstance(weights, Stacks) else found
