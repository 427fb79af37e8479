"""The params of a value node."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, ClassVar

import jax.tree_util as jtu
from jaxtyping import PyTree

from ..core import Param, ParamCache, get


class CacheContents(dict[str, Any]):
    """The contents of a vode's cache.

    **Attributes:**

    - `sample_ndim`: the number of axes of one sample of `u`, where that is known. It travels with the contents through
        the transforms, as structure.
    """

    sample_ndim: int | None = None


def _contents(items: dict[str, Any], sample_ndim: int | None) -> CacheContents:
    contents = CacheContents(items)
    contents.sample_ndim = sample_ndim
    return contents


def _flatten(c: CacheContents) -> tuple[list[Any], Any]:
    names = sorted(c)
    return [c[name] for name in names], (tuple(names), c.sample_ndim)


def _flatten_with_keys(c: CacheContents) -> tuple[list[Any], Any]:
    names = sorted(c)
    return [(jtu.DictKey(name), c[name]) for name in names], (tuple(names), c.sample_ndim)


jtu.register_pytree_with_keys(
    CacheContents,
    _flatten_with_keys,
    lambda aux, values: _contents(dict(zip(aux[0], values, strict=True)), aux[1]),
    _flatten,
)


class _Cache(ParamCache):
    """The cache of a vode: the prediction `u`, the energy `E`, whatever else was set. Cleared between steps."""

    __slots__ = ()

    @property
    def sample_ndim(self) -> int | None:
        """The number of axes of one sample of `u`, if known."""
        return getattr(ParamCache.get(self), "sample_ndim", None)

    def __setitem__(self, key: Hashable, value: PyTree) -> None:
        self.update({key: get(value)})

    def update(self, new: Mapping[Any, Any], drop: tuple[str, ...] = (), sample_ndim: int | None = None) -> None:
        """Write several values at once.

        **Arguments:**

        - `new`: values by name.
        - `drop`: names of values to forget.
        - `sample_ndim`: the number of axes of one sample of `u`; None leaves it as it is.
        """
        old = ParamCache.get(self) or {}
        items = {k: v for k, v in old.items() if k not in drop}
        before = getattr(old, "sample_ndim", None)
        self.set(_contents({**items, **new}, before if sample_ndim is None else sample_ndim))


class VodeParam(Param):
    """A param of a value node, such as its state `h`.

    **Arguments:**

    - `value`: `[*shape]` of one sample inside a vmap, `[batch, *shape]` outside; None if nothing is held yet.
    """

    __slots__ = ()
    Cache: ClassVar[type[_Cache]] = _Cache

    def __repr__(self) -> str:
        facts = "".join(f", {name}={value!r}" for name, value in self._facts.items())
        return f"{super().__repr__()[:-1]}{facts})"


_Cache.__name__ = "Cache"
_Cache.__qualname__ = "VodeParam.Cache"
