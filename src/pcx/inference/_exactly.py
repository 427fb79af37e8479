"""Operations of programs that NumPy performs to the same bits as XLA, without anything to compile."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.extend.core as jex
import jax.numpy as jnp
import numpy as np

from ._operations import aval_of

_REAL = frozenset(["float32", "float64"])
_KINDS = _REAL | {"int32", "int64", "uint32", "uint64", "bool"}

# Each is rounded once, by IEEE 754, or not at all.
_ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "add_any": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "neg": np.negative,
    "abs": np.abs,
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "is_finite": np.isfinite,
    "copy": operator.pos,
    "copy_p": operator.pos,
    "stop_gradient": operator.pos,
}
_OF_REALS: dict[str, Callable[..., Any]] = {"div": np.divide, "sqrt": np.sqrt}
_OF_BOOLS: dict[str, Callable[..., Any]] = {"and": np.logical_and, "or": np.logical_or, "not": np.logical_not}


def performed_exactly(eqn: jex.JaxprEqn, args: Sequence[Any]) -> np.ndarray | None:
    """Return what an operation gives for known arguments; None if NumPy might give other bits.

    **Arguments:**

    - `eqn`: the operation.
    - `args`: its arguments, arrays or numbers.
    """
    if len(eqn.outvars) != 1:
        return None
    out, avals = aval_of(eqn.outvars[0]), [aval_of(v) for v in eqn.invars]
    if any(jnp.issubdtype(a.dtype, jax.dtypes.extended) for a in (out, *avals)):
        return None  # a random key, say, which is no array of NumPy
    kinds = {np.dtype(a.dtype).name for a in (out, *avals)}
    if not kinds <= _KINDS:
        return None
    x = [np.asarray(a, aval.dtype) for a, aval in zip(args, avals, strict=True)]
    name, params = eqn.primitive.name, eqn.params
    fn = _ELEMENTWISE.get(name)
    fn = _OF_REALS.get(name) if fn is None and kinds <= _REAL else fn
    fn = _OF_BOOLS.get(name) if fn is None and kinds == {"bool"} else fn
    if fn is operator.pos:
        made = x[0]
    elif fn is not None and all(a.shape in (out.shape, ()) for a in x):
        with np.errstate(all="ignore"):
            made = np.broadcast_to(fn(*x), out.shape)
    elif name == "broadcast_in_dim" and len(x) == 1:
        shape = [1] * len(out.shape)
        for place, size in zip(params["broadcast_dimensions"], x[0].shape, strict=True):
            shape[place] = size
        made = np.broadcast_to(x[0].reshape(shape), out.shape)
    elif name in ("reshape", "squeeze") and len(x) == 1 and params.get("dimensions") != ():
        made = x[0].reshape(out.shape)
    elif name == "convert_element_type" and (x[0].dtype == bool or np.can_cast(x[0].dtype, out.dtype)):
        made = x[0].astype(out.dtype)
    else:
        return None
    return np.asarray(made, out.dtype)
