"""Rules that are built alike are one object.

`jax.jit(rule.step)` finds what it has compiled by the identity of `rule`. So that two equal rules share their compiled
steps, whoever builds them, a rule that is built while an equal one is held IS that one.
"""

from __future__ import annotations

import abc
import dataclasses
import weakref
from collections.abc import Hashable
from typing import Any

from ..core import static_key

_interned: weakref.WeakValueDictionary[Hashable, Any] = weakref.WeakValueDictionary()


class _Interning(abc.ABCMeta):
    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        new = super().__call__(*args, **kwargs)
        return _interned.setdefault(new.__static_key__(), new)


class Interned(metaclass=_Interning):
    """A base of classes whose instances are one object while they are equal: of one class, with equal attributes."""

    def __static_key__(self) -> Hashable:
        return (static_key(type(self)), static_key(vars(self)))

    def __reduce__(self) -> Any:
        return _restored, (type(self), vars(self))

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        return self

    @property
    def name(self) -> str:
        """The name by which it is shown, and errors and warnings begin."""
        return type(self).__name__

    def __repr__(self) -> str:
        shown = {
            name: value if isinstance(value, (bool, int, float)) or dataclasses.is_dataclass(value) else type(value)
            for name, value in vars(self).items()
            if isinstance(value, (bool, int, float)) or type(value).__module__.startswith("pcx.")
        }
        chosen = {n: v for n, v in vars(self).items() if isinstance(v, str) and v != getattr(type(self), n, v)}
        shown |= {name: repr(value) for name, value in chosen.items()}
        parts = [f"{name}={v.__name__ if isinstance(v, type) else v}" for name, v in shown.items()]
        return f"{self.name}({', '.join(parts)})"


def _restored(cls: type[Interned], attributes: dict[str, Any]) -> Any:
    new = object.__new__(cls)
    vars(new).update(attributes)
    return _interned.setdefault(new.__static_key__(), new)
