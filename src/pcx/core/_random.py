"""Random keys as state."""

from __future__ import annotations

from typing import Any

import jax

from ._arrays import raw_key
from ._module import BaseModule
from ._param import Param


class RKGState(Param):
    """The key of a `RandomKeyGenerator`: a raw uint32 array of shape (2,)."""

    __slots__ = ()

    def get(self) -> jax.Array:
        """The key, shape `[2]`. The global generator's first key is made when it is first needed: making it starts
        JAX's backend, which must not happen at import."""
        if self._value is None:
            with jax.ensure_compile_time_eval():
                self._value = jax.random.PRNGKey(0)
        return super().get()

    def split(self, n: int = 1) -> jax.Array:
        """`n` new keys, `[n, 2]`; the state moves on so that they are never given again."""
        keys = jax.random.split(self.get(), n + 1)
        self.set(keys[0])
        return keys[1:]


class RandomKeyGenerator(BaseModule):
    """A stateful source of random keys.

    **Arguments:**

    - `seed`: any integer, or a random key; equal seeds give equal keys.
    """

    key: RKGState

    def __init__(self, seed: Any = 0) -> None:
        self.key = RKGState(raw_key("RandomKeyGenerator", seed))

    def __call__(self, n: int = 1) -> jax.Array:
        """One key, shape `[2]`; or `n > 1` keys, shape `[n, 2]`."""
        keys = self.key.split(n)
        return keys[0] if n == 1 else keys

    def __reduce_ex__(self, protocol: Any) -> Any:
        # There is one global generator: a copy of a model that holds it holds the same.
        return "RKG" if self is RKG else super().__reduce_ex__(protocol)

    def seed(self, seed: Any = 0) -> None:
        """Start again from `seed`: a whole number or a random key."""
        self.key.set(raw_key("RandomKeyGenerator.seed", seed))


def _global() -> RandomKeyGenerator:
    rkg = object.__new__(RandomKeyGenerator)
    rkg.key = RKGState(None)
    return rkg


# The default source of keys; every transform threads it through by itself. As if made by RandomKeyGenerator(0).
RKG = _global()
