"""The state that a learning rule keeps from step to step, and the diagnostics that it gives."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jax import Array
from jax.core import Tracer

from ..core import fields_shown, html_or_text, see, shown
from ..energy import ModelArrays, Structure, Weights
from ..inference import where_bad
from ..predictive_coding import EnergyModule
from ._html import state_html
from ._sound import in_words

T = TypeVar("T")


@jtu.register_dataclass
@dataclasses.dataclass(frozen=True)
class State:
    """All that the next step needs; a pytree of arrays, so that it can be jitted, scanned, mapped and saved.

    States of equal models have the same structure: `jax.tree.map(lambda *a: jnp.stack(a), *states)` makes one state for
    many seeds, to be stepped by `jax.vmap(rule.step, in_axes=(0, None))`.

    **Attributes:**

    - `weights`: `{path: array}` of all that learns; of equal layers that are computed together a `pcx.energy.Stacks`,
        which is read like a dict.
    - `rest`: the model's other arrays (running statistics, constants), `{path: array}`.
    - `optim`: the state of the weight optimiser.
    - `key`: for models and rules that draw random numbers.
    - `memory`: what else the rule keeps.
    - `structure`: the model without its values.
    - `outputs`: the names of the nodes that the targets given to `init` clamp, which `predict` gives.
    """

    weights: Weights
    rest: dict[str, Any]
    optim: Any
    key: Any
    memory: dict[str, Any]
    structure: Structure = dataclasses.field(metadata={"static": True}, repr=False)
    outputs: tuple[str, ...] = dataclasses.field(metadata={"static": True}, repr=False, default=())

    def __repr__(self) -> str:
        return fields_shown(self)

    def _repr_html_(self) -> str:
        return html_or_text(lambda: state_html(self), self)

    def write_to(self, model: EnergyModule) -> None:
        """Put what was learned into the params of a model. The model gets copies: a step that uses up the state
        (`donate_argnums=0`) leaves it whole.

        **Arguments:**

        - `model`: built as the one that the state was made of.

        **Raises:** `ValueError` if the model is built differently, before anything is set.
        """
        weights, rest = owned((self.weights, self.rest))
        self.structure.write(model, ModelArrays(weights, rest))


class Info(NamedTuple):
    """Diagnostics of one step; nothing here is needed for the next.

    **Attributes:**

    - `energy`: the energy after settling, mean over the batch, a scalar. It is what optimisers of the weights that want
        `value=` get, since the gradient is of it; but by Z-IL `energy_before`, and by iPC and HIL the energy at each of
        their steps.
    - `energies`: each node's share, `{node: scalar}`.
    - `loss`: the energy of the output nodes at the forward pass, without precisions, mean over the batch: under every
        rule what `evaluate` gives, and what backpropagation minimises where no precision weighs outputs.
    - `output`: the outputs' predictions at the forward pass, `[batch, *shape]`; a dict by node if there are several.
        Dicts by node are in the order of the model.
    - `steps`: inference steps taken, mean over the batch.
    - `result`: an `OUTCOME`, a scalar. Unless it is `ok` or `diverged`, the weights are those from before the step.
    - `first_bad`: where a value was first not finite, see `pcx.inference.where_bad`; -2 if the input x is not.
    - `energy_before`: as `energy`, before the first inference step; from a forward pass this is the loss, but for what
        precisions add.
    """

    energy: Any
    energies: dict[str, Any]
    loss: Any
    output: Any
    steps: Any
    result: Any
    first_bad: Any
    energy_before: Any

    def __repr__(self) -> str:
        return shown(self)


BAD_INPUT = -2  # in `Info.first_bad`: the input itself
UPHILL = -100  # and, less the place of a node: settling went so far uphill there that what is kept is not finite


class OUTCOME:
    """The outcomes of a step, in `Info.result`."""

    ok = 0
    not_finite = 1
    """The data, a value, an energy or a weight gradient is NaN or infinite."""
    bad_label = 2
    """A label is outside the classes."""
    diverged = 3
    """Settling went uphill: the energy after it is above the one before it, by more than a tenth and more than noise
    that is part of the rule explains. All numbers are finite, and the weights have learned from them."""


def explain(info: Info, state: State) -> str | None:
    """Say in words what went wrong in a step. Waits for the step.

    **Arguments:**

    - `info`, `state`: what `rule.step` returned; of many steps or seeds (an `info` with leading axes, as from
        `jax.lax.scan` or `jax.vmap`) the first that went wrong, and where it is.

    **Returns:** a sentence; None if nothing went wrong.
    """
    results = np.asarray(info.result)
    if results.ndim:
        wrong = np.argwhere(results != OUTCOME.ok)
        if not len(wrong):
            return None
        at = tuple(int(i) for i in wrong[0])
        one = jtu.tree_map(lambda a: np.asarray(a)[at], info._replace(output=None))
        return f"at {list(at)}: {explain(one, state)}"
    result = int(results)
    if result == OUTCOME.ok:
        return None
    if result == OUTCOME.bad_label:
        return "a label is outside the classes: labels count from 0 to the size of the output node less 1"
    if result == OUTCOME.diverged:
        return uphill_in_words(info.energy_before, info.energy, info.energies)
    code, names = int(info.first_bad), state.structure.nodes
    if code == BAD_INPUT:
        return f"the input x is not finite: look at the data{see('diverges')}"
    if code <= UPHILL:
        return (
            f"settling went so far uphill, most of it in {names[UPHILL - code]}, that what the step would keep is not "
            "finite: lower the rate of the states; or, if the batches before went well, of the weights"
            f"{see('diverges')}"
        )
    where = where_bad(code, tuple(names))
    if where is None:
        return in_words(code)
    name, step = where
    if step == 0:
        return f"{name} is not finite at the start: look at the data and the weights{see('diverges')}"
    return (
        f"{name} is not finite after inference step {step}: lower the rate of the states; or, if the batches before "
        f"went well, of the weights or of a precision that learns{see('diverges')}"
    )


def owned(tree: T) -> T:
    """Return the tree with a copy of every array in it, so that no buffer is shared with another, nor met twice."""
    return jtu.tree_map(_copy, tree)


def _copy(leaf: Any) -> Any:
    if not isinstance(leaf, jax.Array):
        return leaf
    # A program that copies would be compiled for each shape.
    return jnp.array(leaf) if isinstance(leaf, Tracer) else jax.device_put(leaf, may_alias=False)


def uphill_in_words(before: Array | float | None, after: Array | float | None, energies: Mapping[str, Any]) -> str:
    """Return a sentence that settling went uphill, with the node whose energy is the largest, and what to do.

    **Arguments:**

    - `before`, `after`: the energy before and after settling, mean over the batch; None where it is not finite.
    - `energies`: each node's after it, likewise.
    """
    sizes = {n: math.inf if e is None or not math.isfinite(e) else float(e) for n, e in energies.items()}
    worst = max(sizes, key=lambda n: sizes[n])
    begun, ended = ["beyond all numbers" if e is None else f"{float(e):.3g}" for e in (before, after)]
    # Means over many batches may fall though a few of these went uphill.
    fell = before is not None and after is not None and after <= before
    way = "most of the energy is" if fell else f"from an energy of {begun} to {ended}, most of it"
    return (
        f"settling went uphill, {way} in {worst or 'the model itself'}: "
        "lower the rate of the states; or, if the batches before went well, of the weights or of a precision that "
        f"learns{see('diverges')}"
    )


def stack(states: Iterable[State]) -> State:
    """Make one state for many seeds.

    **Arguments:**

    - `states`: of models that are built alike, one at least.

    **Returns:** a state in which each array has a new first axis, one entry for each of `states`.

    **Raises:** `ValueError` for no states, or if they come from models that are built differently, or from several
    rules.
    """
    states = list(states)
    if not states:
        raise ValueError("stack: no states were given")
    if any(s.structure != states[0].structure for s in states[1:]):
        raise ValueError("stack: the states come from models that are built differently")
    forms = [jtu.tree_structure(s) for s in states]
    if forms != [forms[0]] * len(forms):
        raise ValueError(
            "stack: the states are of several rules or optimisers, or computed otherwise: of some equal layers are in "
            "stacks (equal_layers='looped', say), and of others apart; make all of them by one rule"
        )
    return jtu.tree_map(lambda *leaves: jnp.stack(leaves), *states)


def unstack(state: State) -> list[State]:
    """Take a state for many seeds apart, as the inverse of `stack`.

    **Arguments:**

    - `state`: one whose arrays have the seeds as first axis.

    **Returns:** a list of states, one for each seed, with NumPy arrays.
    """
    leaves, treedef = jtu.tree_flatten(jax.device_get(state))
    n = np.shape(leaves[0])[0]
    return [jtu.tree_unflatten(treedef, [leaf[i] for leaf in leaves]) for i in range(n)]
