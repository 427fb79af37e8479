"""Any Optax transformation as a descent."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, TypeGuard

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import optax
from jax import Array
from jaxtyping import Float, PyTree

from ..core import static_key
from ._apart import apart
from ._descent import Descent
from ._still import FirstMoves, idle_states, never_moves


class Optax(Descent):
    """Any Optax transformation, applied to each node and each sample by itself: what it takes the norm, the mean or the
    largest of is one sample's value.

    **Arguments:**

    - `transformation`: such as `optax.sgd(0.1, momentum=0.5)`. State gradients come from the sum of energies over the
        batch, so rates don't depend on its size.

    **Raises:** `TypeError` for what is no transformation.
    """

    def __init__(self, transformation: optax.GradientTransformation) -> None:
        if not is_transformation(transformation):
            raise TypeError(
                f"Optax: expected an optax transformation, such as optax.sgd(0.1), got {type(transformation).__name__}"
            )
        self.transformation = transformation
        self._apart: dict[Hashable, bool] = {}  # by shape and dtype: whether samples may be handed over together
        self._late: dict[Hashable, FirstMoves] = {}
        self._idle: dict[Hashable, tuple[int, list[PyTree] | None]] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Programs of JAX can't be pickled, and are found out again.
        return vars(self) | {"_apart": {}, "_late": {}, "_idle": {}}

    def __static_key__(self) -> Hashable:
        return (type(self), static_key(self.transformation))

    def init(self, value: Float[Array, "batch ..."]) -> PyTree:
        if self._together(value):
            return self.transformation.init(value)
        return jax.vmap(self.transformation.init)(value)

    def update(
        self, gradient: Float[Array, "batch ..."], state: PyTree, value: Float[Array, "batch ..."], key: Array | None
    ) -> tuple[Float[Array, "batch ..."], PyTree]:
        update = self.transformation.update if self._together(value) else jax.vmap(self.transformation.update)
        moved: Any = update(gradient, state, value)
        return moved

    def idle(self, value: Array | jax.ShapeDtypeStruct, steps: int) -> list[PyTree] | None:
        form = value.shape, value.dtype, jnp.result_type(float)
        known, states = self._idle.get(form, (-1, None))
        if known < steps and (known < 0 or states is not None):
            states = self._idle_states(value, steps)
            self._idle[form] = steps, states
        return None if states is None else states[: steps + 1]

    def _idle_states(self, value: Array | jax.ShapeDtypeStruct, steps: int) -> list[PyTree] | None:
        # Of one sample; all samples wait alike.
        one = self._one(value)
        like = jax.eval_shape(self.init, jax.ShapeDtypeStruct(value.shape, value.dtype))
        states = idle_states(self.transformation.init, self.transformation.update, one, steps)
        if states is None:
            return None
        # Views on NumPy's side, which take no room and nothing to compile.
        return [jtu.tree_map(lambda a, b: np.broadcast_to(np.asarray(a), b.shape), s, like) for s in states]

    def first_move(self, value: Array | jax.ShapeDtypeStruct, felt: int, most: int) -> int:
        one = self._one(value)
        form = one.shape, one.dtype
        if form not in self._late:
            self._late[form] = FirstMoves(self.transformation.init, self.transformation.update, one)
        return self._late[form].after(felt, most)

    def never_moves(self, value: Array | jax.ShapeDtypeStruct, steps: int) -> bool:
        return never_moves(self.transformation.init, self.transformation.update, self._one(value), steps)

    def _one(self, value: Array | jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
        """Return the shape and dtype of one sample's value, as the transformation is given it."""
        return jax.ShapeDtypeStruct((1, *value.shape[1:]) if self._together(value) else value.shape[1:], value.dtype)

    def _together(self, value: Array | jax.ShapeDtypeStruct) -> bool:
        """Return whether a whole batch may be given to the transformation, for samples don't meet in it."""
        form = value.shape, value.dtype
        if form not in self._apart:
            try:
                self._apart[form] = apart(self.transformation.init, self.transformation.update, value)
            except TypeError as e:
                if "'value'" not in str(e) and "'value_fn'" not in str(e):
                    raise
                raise TypeError(
                    "the transformation of the values wants to be told the loss (`value=`), which is for those of "
                    f"weights: {e}"
                ) from e
        return self._apart[form]


def is_transformation(x: object) -> TypeGuard[optax.GradientTransformation]:
    """Return whether `x` is, or looks like, an Optax transformation."""
    return callable(getattr(x, "init", None)) and callable(getattr(x, "update", None)) and not isinstance(x, type)
