"""Recognise half a squared error by the operations that an energy was traced to.

Rules that compute with errors in the place of gradients need `0.5 * (h - u)**2` exactly. `pxc.se_energy` says that it
is that. A function of a user's own says nothing, but its jaxpr shows it: all between value, prediction and energy
must be a number times a power of their difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike, DTypeLike

from ._dataflow import Op


class _Term(NamedTuple):
    """`factor * (h - u)**power`, elementwise. A number is one of power 0."""

    factor: Fraction
    power: int


def is_half_square(ops: Sequence[Op], constants: Mapping[int, ArrayLike], h: int, u: int, energy: int) -> bool:
    """Return whether `energy` is exactly `0.5 * (h - u)**2`, as far as its operations prove it.

    Understood are a difference of `h` and `u`, products with itself and with numbers, division by a number, squares,
    signs, and casts that lose nothing of `h` and `u`. Everything else, and a sum over elements, gives False: what can't
    be seen to be half a squared error counts as none.

    **Arguments:**

    - `ops`: the operations that lead from `h` and `u` to `energy`, in order, as in `Program.ops`.
    - `constants`: the arrays that occur in the program, by number, as in `Program.constants`.
    - `h`, `u`, `energy`: the numbers of value, prediction and energy, all `[batch, *shape]`.

    **Returns:** True if it is proved, else False.
    """
    operands = [(i, v.aval) for op in ops for i, v in zip(op.inputs, op.eqn.invars, strict=True) if i in (h, u)]
    if h == u or not operands:
        return False
    exact = jnp.result_type(*[aval.dtype for _, aval in operands])  # a cast to this or to more loses nothing
    signs = {h: 1, u: -1}  # what is h or u, by its sign in the difference
    terms: dict[int, _Term] = {}

    def term(i: int) -> _Term | None:
        if i not in terms and (number := _number(constants.get(i))) is not None:
            terms[i] = _Term(number, 0)
        return terms.get(i)

    for op in ops:
        name, first, made = op.eqn.primitive.name, op.inputs[0] if op.inputs else -1, op.outputs[0]
        if first in signs and name == "convert_element_type" and _keeps(op, exact):
            signs[made] = signs[first]
            continue
        if name == "sub" and sorted(signs.get(i, 0) for i in op.inputs) == [-1, 1] and _same_shape(op):
            terms[made] = _Term(Fraction(signs[first]), 1)
            continue
        found = [term(i) for i in op.inputs]
        result = None if None in found or not found else _result(op, [t for t in found if t is not None], exact)
        if result is None:
            return False
        terms[made] = result
    return terms.get(energy) == _Term(Fraction(1, 2), 2)


def _result(op: Op, given: Sequence[_Term], exact: DTypeLike) -> _Term | None:
    """Return what an operation makes of terms; None if that is no term, or isn't understood."""
    name, (a, *rest) = op.eqn.primitive.name, given
    b = rest[0] if rest else None
    if name == "neg":
        return _Term(-a.factor, a.power)
    if name == "mul" and b is not None:
        return _Term(a.factor * b.factor, a.power + b.power)
    if name == "div" and b is not None and b.power == 0 and b.factor != 0:
        return _Term(a.factor / b.factor, a.power)
    two = _Term(Fraction(2), 0)
    if name == "square" or (name == "integer_pow" and op.eqn.params["y"] == 2) or (name == "pow" and b == two):
        return _Term(a.factor**2, 2 * a.power)
    if a.power == 0 and name == "broadcast_in_dim" and b is None:
        return a
    if a.power == 0 and name == "convert_element_type":
        number = _number(np.asarray(float(a.factor)).astype(op.eqn.params["new_dtype"]))
        return None if number is None else _Term(number, 0)
    return a if name == "convert_element_type" and _keeps(op, exact) else None


def _keeps(op: Op, exact: DTypeLike) -> bool:
    new = op.eqn.params["new_dtype"]
    return jnp.issubdtype(new, jnp.floating) and jnp.promote_types(new, exact) == new


def _same_shape(op: Op) -> bool:
    a, b = (v.aval.shape for v in op.eqn.invars)
    return a == b


def _number(value: ArrayLike | None) -> Fraction | None:
    """Return the one number that an array consists of, exactly; None if there are several, or it isn't known."""
    if value is None or isinstance(value, Tracer) or np.size(value) == 0:
        return None
    if not any(jnp.issubdtype(jnp.result_type(value), kind) for kind in (jnp.floating, jnp.integer)):
        return None
    flat = np.ravel(np.asarray(value)).astype(float)
    return Fraction(float(flat[0])) if np.isfinite(flat[0]) and (flat == flat[0]).all() else None
