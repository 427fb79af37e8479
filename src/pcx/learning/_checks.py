"""Checks of the batches, models and states that every rule is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.tree_util as jtu
from jaxtyping import PyTree

from ..core import see, taken, warn
from ..energy import ModelArrays, Problem, Samples, Stacks
from ..nn import bare_layers
from ..predictive_coding import EnergyModule
from ._samples import split
from ._stacked_optim import NotApart
from ._state import State

if TYPE_CHECKING:
    from ._rule import Rule

_BARE = (
    "{} will not learn: arrays of an Equinox module are constants. Make it a layer, as in "
    "pxnn.Layer(eqx.nn.Linear, 3, 4, key=key), or say that it is constant by px.static(...)"
)


def taken_batch(rule: str, call: str, batch: Any) -> tuple[PyTree, PyTree, Samples]:
    """Return the inputs, the targets and the samples' weights of a batch, as arrays of JAX.

    **Arguments:**

    - `rule`, `call`: the names of both.
    - `batch`: a pair `(x, y)`.

    **Raises:** `TypeError` for what is no pair, or holds what is no array.
    """
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        got = f"{len(batch)} parts" if isinstance(batch, (tuple, list)) else type(batch).__name__
        raise TypeError(f"{rule}.{call}: a batch is a pair (x, y), got {got}")
    y, samples = split(batch[1])
    return taken(f"{rule}.{call}", "x", batch[0]), taken(f"{rule}.{call}", "y", y), samples


def check_learns(model: EnergyModule, arrays: ModelArrays) -> None:
    """Refuse a model without weights, and warn of layers whose arrays are constants.

    **Raises:** `ValueError`, naming the layers.
    """
    bare = bare_layers(model)
    if not arrays.weights:
        raise ValueError(
            f"{type(model).__name__} has no weights to learn: no param that `learn` picks holds a value"
            + (f". {_BARE.format(', '.join(bare))}" if bare else "")
            + see("learns")
        )
    if bare:
        warn(f"{type(model).__name__}: {_BARE.format(', '.join(bare))}")


def check_optim(rule: Rule, problem: Problem, state: State) -> None:
    """Refuse a state of another rule, or of another optimiser of the weights.

    **Raises:** `ValueError`.
    """
    try:
        made = jtu.tree_structure(jax.eval_shape(lambda w: rule.init_optim(problem, w), state.weights))
    except jax.errors.ConcretizationTypeError:  # an optimiser whose memory depends on values can't be asked
        return
    except NotApart as why:
        raise ValueError(
            f"{rule.name}.step: the state is that of another optimiser of the weights: equal layers are in stacks, "
            f"which this rule's optimiser can't be given ({why}); begin with rule.init(model, batch)"
        ) from None
    if made != jtu.tree_structure(state.optim):
        if not isinstance(state.weights, Stacks) and any(isinstance(p, Stacks) for p in _parts(state.optim)):
            raise ValueError(
                f"{rule.name}.step: the state's weights are a {type(state.weights).__name__}, where its optimiser has "
                "equal layers in stacks; change weights by jax.tree.map over state.weights, which keeps their form, or "
                "put them into a model and begin with rule.init(model, batch)"
            )
        raise ValueError(
            f"{rule.name}.step: the state is that of another rule or another optimiser of the weights; begin with "
            "rule.init(model, batch)"
        )


def _parts(tree: PyTree) -> list[Any]:
    """Return the parts of a tree, with stacks whole."""
    return jtu.tree_leaves(tree, is_leaf=lambda part: isinstance(part, Stacks))
