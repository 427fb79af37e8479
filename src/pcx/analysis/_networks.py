"""The rule, state and batch that are looked at: of one network, or of several at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jaxtyping import PyTree

from ..energy import Bound
from ..learning import Rule, State
from ..predictive_coding import EnergyModule
from ..training import Fit
from ._given import described, wrong

S = TypeVar("S")
T = TypeVar("T")
Batch = tuple[PyTree, PyTree]


def as_state(call: str, rule: Rule, model: State | EnergyModule, batch: Batch) -> State:
    """Return the state that is looked at: as given, or that of a model before its first step.

    **Arguments:**

    - `call`: what to name in errors.
    - `rule`, `model`, `batch`: as they were given.

    **Raises:** `TypeError` for what is no rule, for what is neither state nor model, and for what is no batch.
    """
    if not isinstance(rule, Rule):
        raise TypeError(f"{call}: the rule must be a pcx.learning.Rule, which has `learn`, got {described(rule)}")
    check_one(call, model)
    check_batch(call, batch)
    if isinstance(model, EnergyModule):
        return rule.init(model, batch)
    if not isinstance(model, State):
        raise wrong(call, f"expected a state, from {rule.name}.init or step, or a model", model)
    return model


def check_one(call: str, model: object) -> None:
    """Refuse several states or models, of which it isn't said which is meant.

    **Arguments:**

    - `call`: the name by which errors begin.
    - `model`: as it was given.

    **Raises:** `TypeError`.
    """
    if isinstance(model, Fit):
        raise TypeError(
            f"{call}: it takes a state, and what pxt.fit returned has one for each network: run.states[0], or "
            "pxl.stack(run.states) for all at once"
        )
    if isinstance(model, (list, tuple)) and any(isinstance(each, (State, EnergyModule)) for each in model):
        kind = "states" if isinstance(model[0], State) else "models"
        all_of_them = ", such as run.states[0]; or pxl.stack(run.states) for all at once" if kind == "states" else ""
        raise TypeError(f"{call}: it takes one state or model, got {len(model)} {kind}: take one{all_of_them}")


def check_batch(call: str, batch: object) -> None:
    """Refuse what is no batch.

    **Arguments:**

    - `call`: the name by which errors begin.
    - `batch`: as it was given.

    **Raises:** `TypeError`.
    """
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        raise wrong(call, "a batch is a pair (x, y)", batch)


def check_bound(call: str, bound: object) -> None:
    """Refuse what is no network and batch, bound.

    **Arguments:**

    - `call`: the name by which errors begin.
    - `bound`: as it was given.

    **Raises:** `TypeError`.
    """
    if not isinstance(bound, Bound):
        raise wrong(call, "bound must be what pxl.bind(model, batch) gives", bound)


def networks_in(state: State) -> int | None:
    """Return how many networks a state is of, as `pcx.learning.stack` makes it; None for a single one."""
    shape = np.shape(state.key)
    typed = jnp.issubdtype(state.key.dtype, jax.dtypes.prng_key)
    return int(shape[0]) if len(shape) > (0 if typed else 1) else None


def for_each(fn: Callable[[State, Batch], T], state: State, batch: Batch) -> T:
    """Return a compiled function's results for a state's network, or with a first axis for its networks.

    **Arguments:**

    - `fn`: of the state of one network, and the batch.
    - `state`, `batch`: what to call it with.
    """
    return fn(state, batch) if networks_in(state) is None else _mapped(fn)(state, batch)


def compiled(fn: Callable[[S, Batch], T]) -> Callable[[S, Batch], T]:
    """Return a function as a compiled one, for `for_each`."""
    one: Any = jax.jit(fn)
    one.of_several = jax.jit(jax.vmap(fn, in_axes=(0, None)))
    return one


def _mapped(fn: Any) -> Any:
    return fn.of_several


def taken_apart(tree: T, networks: int | None) -> list[T]:
    """Return the results for each network, on the host.

    **Arguments:**

    - `tree`: as of `for_each`.
    - `networks`: as of `networks_in`.
    """
    host = jax.device_get(tree)
    if networks is None:
        return [host]
    return [jtu.tree_map(lambda a, i=i: a[i], host) for i in range(networks)]
