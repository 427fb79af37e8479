"""A traced function, taken apart: any of its intermediate values as a function of any others.

A jaxpr is a list of operations. Cutting it at chosen values gives every local function of a model (one node's
prediction from its parents, one energy from a state and a prediction) without asking the model to be written that way,
and says what depends on what.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.extend.core as jex
import jax.numpy as jnp
import jax.tree_util as jtu
from jax.typing import ArrayLike
from jaxtyping import PyTree

# Compiled functions that a model calls are opened, so that dependencies are seen value by value.
_OPENED = frozenset({"pjit", "jit", "closed_call", "core_call"})

CONVOLUTION = "conv_general_dilated"
"""The name of JAX's operation."""

# What a model does beside computing is done once an evaluation that asks for it: prints, and callbacks to the host.
_DONE = frozenset({"DebugEffect", "OrderedDebugEffect", "IOEffect", "_IOEffect", "OrderedIOEffect", "_OrderedIOEffect"})


# Operations with a derivative of zero wherever they have one.
_FLAT = frozenset({"ceil", "floor", "round", "sign", "stop_gradient"})


class Op(NamedTuple):
    """One operation, between values named by numbers."""

    eqn: Any
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class Program:
    """The operations of `fn` at some shapes.

    **Attributes:**

    - `inputs`: the tree of `fn`'s arguments, with a value's number in each array's place.
    - `outputs`: the tree of its result, likewise.
    - `avals`: the tree of the result's shapes and dtypes.
    - `convolves`: whether one of the operations is a convolution; `convolved`, of the class: whether one was in any
        program so far.

    **Raises:** `ValueError` for a function that changes something in place, as a `jax.new_ref`: what is evaluated in
    parts can't keep the order of such changes.
    """

    convolved = False

    def __init__(self, fn: Callable[..., PyTree], *args: PyTree) -> None:
        closed, self.avals = jax.make_jaxpr(fn, return_shape=True)(*args)
        self.constants: dict[int, Any] = {}
        self.ops: list[Op] = []
        self.effects: list[int] = []  # the operations that do something beside computing
        self._made_by: dict[int, int] = {}  # value -> the operation that makes it
        self._count = 0
        self._needed: dict[Any, tuple[tuple[int, ...], frozenset[int]]] = {}
        self._avals: dict[int, Any] | None = None
        numbers = [self._new() for _ in closed.jaxpr.invars]
        self.inputs = jtu.tree_unflatten(jtu.tree_structure(args), numbers)
        out = self._open(closed.jaxpr, closed.consts, numbers)
        self.outputs = jtu.tree_unflatten(jtu.tree_structure(self.avals), out)
        self.convolves = any(op.eqn.primitive.name == CONVOLUTION for op in self.ops)
        Program.convolved |= self.convolves

    def _new(self) -> int:
        self._count += 1
        return self._count

    def _open(self, jaxpr: jex.Jaxpr, consts: Sequence[Any], args: Sequence[int]) -> list[int]:
        env: dict[Any, int] = dict(zip(jaxpr.invars, args, strict=True))
        for var, value in zip(jaxpr.constvars, consts, strict=True):
            env[var] = self._constant(value)
        for eqn in jaxpr.eqns:
            inputs = [self._read(env, v) for v in eqn.invars]
            if eqn.primitive.name in _OPENED:
                inner = eqn.params.get("jaxpr") or eqn.params["call_jaxpr"]
                opened = (inner.jaxpr, inner.consts) if isinstance(inner, jex.ClosedJaxpr) else (inner, ())
                made = self._open(*opened, inputs)
            else:
                made = [self._new() for _ in eqn.outvars]
                self._made_by.update(dict.fromkeys(made, len(self.ops)))
                if _does_something(eqn):
                    self.effects.append(len(self.ops))
                self.ops.append(Op(eqn, tuple(inputs), tuple(made)))
            env.update(zip(eqn.outvars, made, strict=True))
        return [self._read(env, v) for v in jaxpr.outvars]

    def _constant(self, value: ArrayLike) -> int:
        number = self._new()
        self.constants[number] = value
        return number

    def _read(self, env: Mapping[jex.Var, int], var: jex.Var | jex.Literal) -> int:
        return self._constant(var.val) if isinstance(var, jex.Literal) else env[var]

    def needed(self, wanted: Iterable[int], known: Iterable[int]) -> tuple[tuple[int, ...], frozenset[int]]:
        """Return the operations that lead from the `known` values to the `wanted` ones, in order; and what else these
        need: inputs that are not known."""
        key = tuple(wanted), frozenset(known)
        found = self._needed.get(key)
        if found is None:
            ops: set[int] = set()
            missing: set[int] = set()
            seen: set[int] = set()
            todo = list(key[0])
            while todo:
                value = todo.pop()
                if value in seen or value in key[1] or value in self.constants:
                    continue
                seen.add(value)
                op = self._made_by.get(value)
                if op is None:
                    missing.add(value)
                elif op not in ops:
                    ops.add(op)
                    todo.extend(self.ops[op].inputs)
            found = self._needed[key] = (tuple(sorted(ops)), frozenset(missing))
        return found

    def met(self, wanted: Iterable[int], *known: Collection[int]) -> tuple[int, ...]:
        """Return the known values that the operations which lead to the wanted ones begin with, as they are met."""
        met: dict[int, None] = {}
        seen: set[int] = set()
        todo = list(wanted)
        while todo:
            value = todo.pop()
            if any(value in some for some in known):
                met[value] = None
            elif value not in seen and value in self._made_by:
                seen.add(value)
                todo.extend(self.ops[self._made_by[value]].inputs)
        return tuple(met)

    def avals_of(self, numbers: Iterable[int]) -> list[jax.ShapeDtypeStruct]:
        """Return the shapes and dtypes of values that are inputs of operations."""
        if self._avals is None:
            self._avals = {i: v.aval for op in self.ops for i, v in zip(op.inputs, op.eqn.invars, strict=True)}
        found = [self._avals[i] for i in numbers]
        return [jax.ShapeDtypeStruct(a.shape, a.dtype, weak_type=getattr(a, "weak_type", False)) for a in found]

    def reached(self, sources: Iterable[int], stop: Iterable[int] = ()) -> set[int]:
        """Return all values that depend on `sources`, these included, by ways that don't pass through `stop`."""
        reached, stopped = set(sources), set(stop)
        for op in self.ops:
            if any(i in reached for i in op.inputs):
                reached.update(o for o in op.outputs if o not in stopped)
        return reached

    def felt(self, wanted: Sequence[int]) -> set[int]:
        """Return all values by which the gradient of the wanted ones can be other than zero, these included."""
        found = set(wanted)
        for index in reversed(self.needed(wanted, ())[0]):
            op = self.ops[index]
            if op.eqn.primitive.name in _FLAT:
                continue
            made = zip(op.outputs, op.eqn.outvars, strict=True)
            if any(o in found and jnp.issubdtype(var.aval.dtype, jnp.inexact) for o, var in made):
                found.update(op.inputs)
        return found

    def evaluate(
        self,
        wanted: Sequence[int],
        known: Mapping[int, Any],
        bind: Callable[[Any, list[Any]], Any] | None = None,
        effects: bool = False,
    ) -> list[Any]:
        """Return the wanted values, computed from the known ones by no more operations than that takes.

        **Arguments:**

        - `bind`: performs one operation, given its equation and inputs; by default as it stands.
        - `effects`: whether to do also what has an effect and isn't needed, such as prints.

        **Raises:** `KeyError` with the numbers of inputs that are needed and not known.
        """
        ops, missing = self.needed(wanted, known)
        if effects and self.effects:
            more, also = self.needed([i for op in self.effects for i in self.ops[op].inputs], known)
            ops, missing = tuple(sorted({*ops, *more, *self.effects})), missing | also
        if missing:
            raise KeyError(tuple(sorted(missing)))
        perform = bind_as_it_stands if bind is None else bind
        values: dict[int, Any] = {}

        def read(i: int) -> Any:
            # What is known may be made as it is asked for.
            return values[i] if i in values else known[i] if i in known else self.constants[i]

        for index in ops:
            eqn, inputs, outputs = self.ops[index]
            result = perform(eqn, [read(i) for i in inputs])
            made = result if eqn.primitive.multiple_results else [result]
            for number, value in zip(outputs, made, strict=True):
                if number not in known:
                    values[number] = value
        return [read(i) for i in wanted]

    def hoisted(self, wanted: Sequence[int], known: Mapping[int, Any], moving: Iterable[int]) -> dict[int, Any]:
        """Hoist loop invariants: evaluate every intermediate that doesn't depend on `moving` and is consumed by an
        operation that does. With these and the moving values alone, `wanted` can be evaluated."""
        moving = frozenset(moving)
        ops, _ = self.needed(wanted, frozenset(known) | moving)
        dependent = self.reached(moving, stop=known)
        meets = {i for i in wanted if i not in dependent}
        for index in ops:
            op = self.ops[index]
            if any(o in dependent for o in op.outputs):
                meets.update(i for i in op.inputs if i not in dependent)
        todo = sorted(i for i in meets if i not in self.constants)
        return dict(zip(todo, self.evaluate(todo, known), strict=True))


def _does_something(eqn: jex.JaxprEqn) -> bool:
    if not eqn.effects:
        return False
    kinds = {type(e).__name__ for e in eqn.effects} - {"NamedAxisEffect"}
    if kinds <= _DONE:
        return bool(kinds)
    raise ValueError(
        f"the model's call does something that rules can't keep the order of: {eqn.primitive.name} "
        f"({', '.join(sorted(kinds - _DONE))}). Only prints and callbacks (jax.debug, io_callback) may have effects; "
        "write what is changed in place (jax.new_ref) as values, or keep it in a pcx.Param"
    )


def bind_as_it_stands(eqn: jex.JaxprEqn, args: list[Any]) -> Any:
    """Perform an equation's operation."""
    bound = eqn.primitive.get_bind_params(eqn.params)
    functions, params = bound if isinstance(bound, tuple) else ((), bound)  # a pair up to JAX 0.8, one dict since
    return eqn.primitive.bind(*functions, *args, **params)
