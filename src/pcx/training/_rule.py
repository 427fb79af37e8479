"""The interface that `fit` needs of a learning rule, and what a run needs of the states that it makes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeGuard, TypeVar, runtime_checkable

import jax
from jaxtyping import PyTree

from ..learning import OUTCOME, Info, Rule, State, explain
from ..predictive_coding import EnergyModule
from ._types import Batch, Number, Settings

T = TypeVar("T")


@runtime_checkable
class LearningRule(Protocol):
    """A learning rule, as `fit` takes it: anything with these four methods. Each `pcx.learning.Rule` is one.

    A state is any pytree of arrays. Where it has `write_to(model)`, the model that `fit` was given has the learned
    weights at the end; where it has `weights` and `rest`, dicts of arrays by path, a folder has weights files.

    The methods are pure: `fit` compiles them, and maps them over networks.
    """

    def init(self, model: EnergyModule, batch: Batch, key: int = 0) -> PyTree:
        """Return the state before the first step.

        **Arguments:**

        - `model`: the network, which is not changed.
        - `batch`: an example `(x, y)`, arrays `[batch, ...]`.
        - `key`: the seed.

        **Returns:** a tree of arrays.
        """
        ...

    def step(self, state: PyTree, batch: Batch) -> tuple[PyTree, PyTree]:
        """Learn from one batch.

        **Arguments:**

        - `state`: the state before.
        - `batch`: inputs and targets `(x, y)`, arrays `[batch, ...]`.

        **Returns:** the next state; and a `pcx.learning.Info`, or an object or a dict with some of its fields. Numbers
        (`energy`, `energy_before`, `loss`, `steps`) and `energies`, means over the batch, go into the history. Metrics
        are computed from `output`. A `result` other than 0 ends the network's training.
        """
        ...

    def predict(self, model: PyTree, x: PyTree) -> PyTree:
        """Return outputs.

        **Arguments:**

        - `model`: a model or a state.
        - `x`: inputs `[batch, ...]`.

        **Returns:** outputs `[batch, ...]`.
        """
        ...

    def evaluate(self, state: PyTree, batch: Batch) -> tuple[PyTree, jax.Array]:
        """Return outputs and losses, in evaluation mode.

        **Arguments:**

        - `state`: the state.
        - `batch`: inputs and targets `(x, y)`, arrays `[batch, ...]`.

        **Returns:** the outputs `[batch, ...]`, and the loss of each sample, `[batch]`.
        """
        ...


RuleMaker = Callable[..., LearningRule]
"""A function of the settings that makes a rule."""

NUMBERS = ("energy", "energy_before", "loss", "steps")
"""The numbers of a step that go into the history."""


def is_rule(x: object) -> TypeGuard[LearningRule]:
    """Return whether something is a learning rule; a class is none, but a function that makes one."""
    return isinstance(x, LearningRule) and not isinstance(x, type)


def as_function(rule: LearningRule | RuleMaker) -> RuleMaker:
    """Return a rule as a function of no settings; a function as it is."""
    return (lambda: rule) if is_rule(rule) else rule  # type: ignore[return-value]


def rule_of(rule: LearningRule | RuleMaker, settings: Settings) -> LearningRule:
    """Return a rule as it is, or what a function makes of the settings.

    **Raises:** `TypeError` if that is no rule.
    """
    found = as_function(rule)(**settings)
    if not is_rule(found):
        raise TypeError(
            f"fit: the function of the settings must make a pcx.learning.Rule, not {type(found).__name__}"
            f"{lacking(found)}"
        )
    return found


def lacking(x: object) -> str:
    """Return, in words, which methods of a rule an object doesn't have, if it has some of them."""
    names = ("init", "step", "predict", "evaluate")
    missing = [name for name in names if not hasattr(x, name)]
    return f"; it has no {' and no '.join(missing)}" if 0 < len(missing) < len(names) else ""


def field(x: PyTree, name: str) -> PyTree:
    """Return an item of a dict, or an attribute of an object; None if it has none of this name."""
    return x.get(name) if isinstance(x, Mapping) else getattr(x, name, None)


def fields_of(rule: LearningRule, state: PyTree, batch: Batch) -> frozenset[str]:
    """Return the names of the fields that a rule's steps tell: of `NUMBERS`, and `output`."""
    names = (*NUMBERS, "output")
    if isinstance(rule, Rule):
        return frozenset(names)  # known without a trace
    _, info = jax.eval_shape(rule.step, state, batch)
    return frozenset([name for name in names if field(info, name) is not None])


def failure(result: Number, first_bad: Number, state: PyTree) -> str:
    """Return, in words, why a step failed.

    **Arguments:**

    - `result`, `first_bad`: as in `pcx.learning.Info`.
    - `state`: after the step.
    """
    if not isinstance(state, State):
        known = {value: name for name, value in vars(OUTCOME).items() if isinstance(value, int)}
        return f"the rule says {known.get(int(result), result)}".replace("_", " ")
    # The two fields say why; what they don't say is not asked for.
    return explain(Info(None, {}, None, None, None, result, first_bad, None), state) or ""


# -- states ------------------------------------------------------------------------------------------------------------
def as_tree(state: PyTree) -> PyTree:
    """Return a state's arrays, as a checkpoint holds them."""
    if not isinstance(state, State):
        return state
    return {name: getattr(state, name) for name in ("weights", "rest", "optim", "key", "memory")}


def with_tree(state: T, tree: PyTree) -> T:
    """Return a state with other arrays; the inverse of `as_tree`."""
    new: Any = dataclasses.replace(state, **tree) if isinstance(state, State) else tree
    return new


def named_weights(tree: PyTree) -> Mapping[str, PyTree] | None:
    """Return the arrays of a weights file, by path in the model.

    **Arguments:**

    - `tree`: a state, or one as `as_tree` gives it.

    **Returns:** weights and rest; None if the state has no such dicts.
    """
    weights, rest = field(tree, "weights"), field(tree, "rest")
    if not isinstance(weights, Mapping) or not isinstance(rest, Mapping):
        return None
    return {**weights, **rest}
