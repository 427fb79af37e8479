"""Random keys as state.

The global generator is one for all threads, and a draw is one step that no other thread gets in between. What a thread
traces, and what it makes under a seed of its own, hold a key that other threads don't see.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Hashable, Iterator
from typing import Any, SupportsIndex

import jax
import numpy as np
from jax.core import Tracer

from ._arrays import raw_key
from ._key import by_identity
from ._mark import Mark
from ._module import BaseModule
from ._parameter import Param
from ._types import Value

# Held while the params of a caller's objects or a generator's key are read and set, by one thread at a time: calls of
# transforms, draws, plans. One lock for all of it, so that no two wait for each other.
LOCK = threading.RLock()


class _Own(threading.local):
    """The global key's value and mark in this thread, while it has its own; after them what was there before, if that
    began with a traced key."""

    held: list[Any] | None = None


_own = _Own()


class RKGState(Param):
    """The key of a `RandomKeyGenerator`: a raw uint32 array of shape (2,)."""

    __slots__ = ("_shared", "_shared_mark")

    @property
    def _value(self) -> Any:
        own = _own.held
        return self._shared if own is None or self is not _GLOBAL else own[0]

    @_value.setter
    def _value(self, value: Value) -> None:
        own = _own.held
        if self is not _GLOBAL:
            object.__setattr__(self, "_shared", value)
        elif own is None:
            if isinstance(value, Tracer):  # of a trace that this thread is in, and no other
                _own.held = [value, self._shared_mark, self._shared]
            else:
                object.__setattr__(self, "_shared", value)
        elif len(own) == 3 and not isinstance(value, Tracer):  # back from there
            _own.held = None
            if value is not own[2]:
                object.__setattr__(self, "_shared", value)
        else:
            own[0] = value

    @property
    def _mark(self) -> Any:
        own = _own.held
        return self._shared_mark if own is None or self is not _GLOBAL else own[1]

    @_mark.setter
    def _mark(self, mark: Mark | None) -> None:
        own = _own.held
        if own is None or self is not _GLOBAL:
            object.__setattr__(self, "_shared_mark", mark)
        else:
            own[1] = mark

    def __getstate__(self) -> Any:
        return None, {"_value": self._value, "_facts": self._facts, "_mark": None}

    def get(self) -> jax.Array:
        """Return the key, shape `[2]`. The global generator's first key is made when it is first needed: making it
        starts JAX's backend, which must not happen at import."""
        if self._value is None:
            with LOCK, jax.ensure_compile_time_eval():
                if self._value is None:
                    self._value = jax.random.PRNGKey(0)
        return super().get()

    def split(self, n: int = 1) -> jax.Array:
        """Return new keys; the state moves on so that they are never given again, to no other thread either.

        **Arguments:**

        - `n`: how many.

        **Returns:** an array `[n, 2]`.
        """
        with LOCK:
            keys = jax.random.split(self.get(), n + 1)
            self.set(keys[0])
        return keys[1:]

    def seed(self, seed: int | np.integer | np.ndarray | jax.Array = 0) -> None:
        """Start again.

        **Arguments:**

        - `seed`: a whole number, or a random key.

        **Raises:** `TypeError` or `ValueError` for anything else.
        """
        key = raw_key("RandomKeyGenerator.seed", seed)
        with LOCK:
            self.set(key)


def own_key(value: Value, mark: Mark | None) -> list[Any] | None:
    """Give this thread a value and mark of its own for the global key.

    **Arguments:**

    - `value`: the key.
    - `mark`: what is told of reads and writes, if it is traced.

    **Returns:** what `end_own_key` needs.
    """
    before, _own.held = _own.held, [value, mark]
    return before


def end_own_key(before: list[Any] | None) -> None:
    """End what `own_key` began."""
    _own.held = before


def began_at(fn: Callable[[], Any]) -> tuple[Any, jax.Array | None]:
    """Call a function.

    **Returns:** its result; and the global key that it began at if it drew from `RKG` or seeded it, so that
    `again_from` gives such a result again.
    """
    key = RKG.key
    with LOCK:
        if key._value is None:
            key.get()
        first, mark = key._value, Mark(key._mark)
        before = own_key(first, mark)
        try:
            result = fn()
            last = key._value
        finally:
            end_own_key(before)
        if last is first:
            return result, None
        key.set(last)
    return result, first if mark.live else last  # seeded before it drew: where it began has no part in it


def again_from(key: jax.Array, fn: Callable[[], Any]) -> Any:
    """Return the result of a function that begins at a key; the global one stays as it is."""
    before = own_key(key, Mark(None))
    try:
        return fn()
    finally:
        end_own_key(before)


@contextlib.contextmanager
def seeded(seed: int | np.integer | np.ndarray | jax.Array) -> Iterator[None]:
    """Begin `RKG` of this thread at `seed`; other threads, and what comes after, see nothing of that."""
    before = own_key(jax.random.PRNGKey(seed), None)
    try:
        yield
    finally:
        end_own_key(before)


class RandomKeyGenerator(BaseModule):
    """A stateful source of random keys.

    **Arguments:**

    - `seed`: a whole number, or a random key; equal seeds give equal keys.

    **Raises:** `TypeError` or `ValueError` for any other seed.
    """

    key: RKGState

    def __init__(self, seed: int | np.integer | np.ndarray | jax.Array = 0) -> None:
        self.key = RKGState(raw_key("RandomKeyGenerator", seed))

    def __static_key__(self) -> Hashable:
        return ("RKG",) if self is RKG else by_identity(self)

    def __call__(self, n: int | None = None) -> jax.Array:
        """Return new keys.

        **Arguments:**

        - `n`: how many; None for a single key.

        **Returns:** one key, `[2]`; or `n` keys, `[n, 2]`, for every `n`.
        """
        return self.key.split()[0] if n is None else self.key.split(n)

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        # There is one global generator: a copy of a model that holds it holds the same.
        return "RKG" if self is RKG else super().__reduce_ex__(protocol)

    def seed(self, seed: int | np.integer | np.ndarray | jax.Array = 0) -> None:
        """Start again.

        **Arguments:**

        - `seed`: a whole number, or a random key.

        **Raises:** `TypeError` or `ValueError` for anything else.
        """
        self.key.seed(seed)


_GLOBAL: RKGState | None = None


def _global() -> RandomKeyGenerator:
    rkg = object.__new__(RandomKeyGenerator)
    rkg.key = RKGState(None)
    return rkg


# The default source of keys; every transform threads it through by itself. As if made by RandomKeyGenerator(0).
RKG = _global()
_GLOBAL = RKG.key
