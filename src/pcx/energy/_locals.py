"""Local programs: the operations that lead to one node's prediction and energy, in a form that can be compared."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.extend.core as jex
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from ._dataflow import Program, bind_as_it_stands


class Local(NamedTuple):
    """The operations that lead to some values of a program, written so that equal ones compare equal.

    **Attributes:**

    - `key`: the operations, with their inputs numbered in the order in which they are met.
    - `slots`: the numbers of the inputs in that order.
    - `wanted`: the numbers of the values that they lead to.
    """

    key: Hashable
    slots: tuple[int, ...]
    wanted: tuple[int, ...]


def local_of(program: Program, wanted: Sequence[int], given: Iterable[int] = ()) -> Local:
    """Return the operations that lead to some values.

    **Arguments:**

    - `program`: the program.
    - `wanted`: numbers of its values.
    - `given`: numbers of values that are given; the program's inputs are.
    """
    given = frozenset(given)
    ops, _ = program.needed(wanted, given)
    slots: dict[int, tuple[str, int]] = {}
    made: dict[int, tuple[str, int]] = {}

    def read(number: int, aval: Any) -> Hashable:
        if number in made:
            return made[number]
        if number in program.constants:
            return _constant(program.constants[number])
        place = slots.setdefault(number, ("in", len(slots)))
        return place if aval is None else (*place, aval.shape, aval.dtype, getattr(aval, "weak_type", False))

    key: list[Hashable] = []
    for index in ops:
        op = program.ops[index]
        inputs = [read(i, v.aval) for i, v in zip(op.inputs, op.eqn.invars, strict=True)]
        for number in op.outputs:
            if number not in given:
                made[number] = ("op", len(made))
        key.append((_operation(op.eqn), tuple(inputs)))
    ends = tuple([read(i, None) for i in wanted])
    return Local((tuple(key), ends), tuple(slots), tuple(wanted))


def aval_of(v: Any) -> jax.ShapeDtypeStruct:
    """Return the shape and dtype of a variable or a literal."""
    return jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype)


def _constant(value: Any) -> Hashable:
    if isinstance(value, Tracer) or np.size(value) > 1:
        return ("constant", id(value))
    array = np.asarray(value)
    return ("constant", array.shape, str(array.dtype), array.tobytes())


def _operation(eqn: jex.JaxprEqn, derived: bool = True) -> Hashable:
    if eqn.primitive.name.startswith(_OWN_DERIVATIVE):
        # Its derivative is a function, of which nothing can be said; but what it does can. In the derivative it is
        # met again, for its value.
        inner = next(v for k, v in eqn.params.items() if k in ("call_jaxpr", "fun_jaxpr"))
        return eqn.primitive.name, _parameter(inner, False), _derivative(eqn) if derived else None
    return eqn.primitive.name, _parameter(eqn.params, derived)


_OWN_DERIVATIVE = ("custom_jvp_call", "custom_vjp_call")


def _derivative(eqn: jex.JaxprEqn) -> Hashable:
    """Return what compares equal for operations with derivatives of their own that do the same."""
    avals = [aval_of(v) for v in eqn.invars]
    real = [i for i, a in enumerate(avals) if jnp.issubdtype(a.dtype, jnp.inexact)]

    def pulled(args: list[Any], cotangents: list[Any]) -> tuple[Any, Any]:
        def fn(*moved: Any) -> list[Any]:
            at = list(args)
            for i, a in zip(real, moved, strict=True):
                at[i] = a
            made = bind_as_it_stands(eqn, at)
            return [made] if not eqn.primitive.multiple_results else list(made)

        made, pull = jax.vjp(fn, *[args[i] for i in real])
        return made, pull(cotangents)

    try:
        closed = jax.make_jaxpr(pulled)(avals, [aval_of(v) for v in eqn.outvars])
    except TypeError:  # an operation on whole numbers, say
        return id(eqn)
    return _jaxpr(closed.jaxpr, closed.consts, derived=False)


def _parameter(x: Any, derived: bool = True) -> Hashable:
    """Return what compares equal for parameters that mean the same; objects that can't be compared are themselves."""
    if isinstance(x, jex.ClosedJaxpr):
        return _jaxpr(x.jaxpr, x.consts, derived)
    if isinstance(x, jex.Jaxpr):
        return _jaxpr(x, (), derived)
    if isinstance(x, Mapping):
        # On which devices it is computed says nothing of what is.
        return tuple([(k, _parameter(x[k], derived)) for k in sorted(x) if k != "ctx_mesh"])
    if isinstance(x, jax.sharding.NamedSharding) and not any(x.spec):
        return _parameter(None)
    if isinstance(x, (tuple, list)):
        return (type(x).__name__, *[_parameter(v, derived) for v in x])
    if isinstance(x, np.ndarray):
        return _constant(x)
    try:
        hash(x)
    except TypeError:
        return ("object", id(x))
    return type(x).__name__, x


def _jaxpr(jaxpr: jex.Jaxpr, consts: Sequence[Any], derived: bool) -> Hashable:
    """Return what compares equal for the same operations in the same order."""
    names: dict[Any, int] = {}

    def named(v: Any) -> Hashable:
        aval = aval_of(v)
        return names.setdefault(v, len(names)), aval.shape, aval.dtype

    def read(v: Any) -> Hashable:
        return _constant(v.val) if isinstance(v, jex.Literal) else names[v]

    heads = [*map(named, jaxpr.invars), *map(named, jaxpr.constvars), *map(_constant, consts)]
    body = []
    for eqn in jaxpr.eqns:
        inputs = tuple([read(v) for v in eqn.invars])
        body.append((_operation(eqn, derived), inputs, tuple([named(v) for v in eqn.outvars])))
    return tuple(heads), tuple(body), tuple([read(v) for v in jaxpr.outvars])
