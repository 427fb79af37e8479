"""The problem that a summary or a drawing is of: of a model, a state or several, with a rule or without."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.tree_util as jtu
import numpy as np
from jaxtyping import PyTree

from ..core import Choice
from ..energy import ModelArrays, Problem
from ..learning import Rule, State, bind, split
from ..nn import LayerParam
from ..predictive_coding import EnergyModule
from ._given import wrong
from ._networks import Batch, as_state, check_batch, check_one, networks_in

Call = Callable[..., PyTree]


def problem_of(
    called: str,
    model: State | EnergyModule,
    batch: Batch,
    rule: Rule | None,
    call: Call | None,
    learn: Choice | None,
) -> tuple[Problem, int | None]:
    """Return the problem of a model and a batch, and how many networks a state is of, None for a single one. Nothing
    is computed but what `rule.init` does.

    **Arguments:**

    - `called`: what to name in errors.
    - `model`, `batch`, `rule`, `call`, `learn`: as they were given.

    **Raises:** `TypeError` for what is no model, state, rule or batch, or for arguments that exclude each other.
    """
    if rule is not None and (call is not None or learn is not None):
        raise TypeError(f"{called}: leave `call` and `learn` out where a rule is given, which has its own")
    check_one(called, model)
    check_batch(called, batch)
    batch = batch[0], batch[1]
    if rule is not None:
        state = as_state(called, rule, model, batch)
        return _traced(lambda one, data: rule.bind(one, data).problem, state, batch), networks_in(state)
    if isinstance(model, State):
        if call is not None or learn is not None:
            raise TypeError(f"{called}: leave `call` and `learn` out for a state, which has the ones of its rule")
        if hasattr(model.structure, "recognition"):
            raise TypeError(f"{called}: a state of two networks needs the rule that it is of: rule=")
        y = split(batch[1])[0]

        def made(one: State, data: Batch) -> Problem:
            return Problem.of(one.structure, ModelArrays(one.weights, one.rest), data)

        return _traced(made, model, (batch[0], y)), networks_in(model)
    if not isinstance(model, EnergyModule):
        raise wrong(called, "expected an energy module, or a state", model)
    return bind(model, batch, learn=LayerParam if learn is None else learn, call=call).problem, None


def _traced(made: Callable[[State, Batch], Problem], state: State, batch: Batch) -> Problem:
    """Return the problem that is made of a state, or of one of its networks, by shapes alone."""
    found: list[Problem] = []

    def look(one: State, data: Batch) -> int:
        found.append(made(one, data))
        return 0

    one: Any = state
    if networks_in(state) is not None:
        one = jtu.tree_map(lambda a: jax.ShapeDtypeStruct(np.shape(a)[1:], a.dtype), state)
    jax.eval_shape(look, one, batch)
    return found[0]
