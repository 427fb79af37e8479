"""Keys of single things: objects by identity, arrays by content."""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Hashable
from typing import Any

import jax
import jax.core
import numpy as np

from ._types import Constant

# Arrays on a device up to this size are compared by content (a copy to the host); larger ones by identity.
_MAX_DEVICE_BYTES = 1 << 16


class ById:
    """A key that equals only the key of the very same object, and never keeps that object alive if it can."""

    __slots__ = ("_id", "_ref", "_strong")

    def __init__(self, obj: Constant) -> None:
        self._id = id(obj)
        self._strong = None
        try:
            self._ref = weakref.ref(obj)
        except TypeError:
            self._ref = None
            self._strong = obj

    def _get(self) -> Any:
        return self._ref() if self._ref is not None else self._strong

    def __hash__(self) -> int:
        return self._id

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, ById) or self._id != other._id:
            return False
        mine = self._get()
        return mine is not None and mine is other._get()


class Seen(ById):
    """A key that equals only the key of the very same object, as long as what can be seen of it is the same."""

    __slots__ = ("_content",)

    def __init__(self, obj: Constant, content: Hashable) -> None:
        super().__init__(obj)
        self._content = content

    __hash__ = ById.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Seen) and super().__eq__(other) and self._content == other._content)


def array_key(x: Constant) -> Hashable:
    """Return the key of an array: by content, or by identity of large ones on a device and of tracers."""
    if isinstance(x, jax.core.Tracer):
        return ById(x)
    if isinstance(x, jax.Array):
        try:
            extended = jax.numpy.issubdtype(x.dtype, jax.dtypes.extended)  # typed random keys and their like
            if extended or x.nbytes > _MAX_DEVICE_BYTES or not x.is_fully_addressable:
                return ById(x)
            return ("jax array", x.dtype, x.shape, bool(x.weak_type), np.asarray(x).tobytes())
        except RuntimeError:  # deleted or donated
            return ById(x)
    if x.dtype.hasobject:
        return ById(x)
    data = np.ascontiguousarray(x)
    content = data.tobytes() if data.nbytes <= 1024 else hashlib.blake2b(data.tobytes()).digest()
    return (type(x), x.dtype, x.shape, content)
