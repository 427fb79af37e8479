"""Values in short: arrays by dtype and shape."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from ._types import Constant, Value

_MOST = 12  # entries of a dict or list that are shown


def shown(x: Constant) -> str:
    """Return `x` in a line: arrays by dtype and shape, such as `float32[8, 2]`, numbers as they are, the rest as
    `repr`."""
    if isinstance(x, (jax.Array, np.ndarray)):
        number = (
            np.ndim(x) == 0 and not isinstance(x, Tracer) and not jax.numpy.issubdtype(x.dtype, jax.dtypes.extended)
        )
        return f"{np.asarray(x).item():.6g}" if number else f"{x.dtype}{list(x.shape)}"
    if isinstance(x, Mapping):
        return f"{{{_some([f'{k!r}: {shown(v)}' for k, v in itertools.islice(x.items(), _MOST + 1)], len(x))}}}"
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        fields: Any = x  # there is no type of all named tuples
        return f"{type(x).__name__}({', '.join(f'{n}={shown(getattr(fields, n))}' for n in fields._fields)})"
    if isinstance(x, (list, tuple)):
        inside = _some([shown(v) for v in x[: _MOST + 1]], len(x))
        return f"[{inside}]" if isinstance(x, list) else f"({inside}{',' if len(x) == 1 else ''})"
    return repr(x)


def short(x: Value) -> str:
    """Return the value of a param in a line: of an array shape and dtype, of anything else the beginning of its
    `repr`."""
    if hasattr(x, "shape") and hasattr(x, "dtype"):
        return f"{list(x.shape)}, {x.dtype}"
    text = repr(x)
    return text if len(text) <= 80 else text[:77] + "..."


def fields_shown(x: Constant) -> str:
    """Return a dataclass as `shown`, those fields that are for `repr`."""
    each = [f"{f.name}={shown(getattr(x, f.name))}" for f in dataclasses.fields(x) if f.repr]
    return f"{type(x).__name__}({', '.join(each)})"


def _some(parts: list[str], count: int) -> str:
    return ", ".join(parts if count <= _MOST else [*parts[:_MOST], f"... {count - _MOST} more"])
