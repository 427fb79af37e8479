"""A proof from the operations of an Optax transformation that a zero gradient moves nothing.

The program of a step is evaluated with what is known: the zero gradient, and the state of a node that has not moved.
The rest, such as the node's value, is `UNKNOWN`. If the update comes out as zero all the same, it is zero.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import jax
import jax.extend.core as jex
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jax import Array
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import PyTree

from ..energy import bind_as_it_stands
from ._exactly import performed_exactly
from ._operations import Shaped, aval_of, called


class _Unknown(enum.Enum):
    """A value that is not known while the program is made."""

    unknown = 0


UNKNOWN: Final = _Unknown.unknown
Known: TypeAlias = ArrayLike | _Unknown


def idle_states(
    init: Callable[..., PyTree], update: Callable[..., PyTree], value: Shaped, steps: int
) -> list[PyTree] | None:
    """Return the states after 0, 1, ..., `steps` steps with zero gradient; None unless it is proved that whatever the
    value, no such step moves it and the state is the same.

    **Arguments:**

    - `init`, `update`: of the transformation.
    - `value`: the shape and dtype of a value.
    - `steps`: their number.
    """
    value = jax.ShapeDtypeStruct(value.shape, value.dtype)
    try:
        first, like = jax.make_jaxpr(init, return_shape=True)(value)
        treedef = jtu.tree_structure(like)

        def still(state: PyTree, at: Array) -> PyTree:
            return update(jnp.zeros(value.shape, value.dtype), state, at)

        step = jax.make_jaxpr(still)(like, value)
        with jax.ensure_compile_time_eval():
            state = _known(first.jaxpr, first.consts, [UNKNOWN])
            states = []
            for t in range(steps + 1):
                if any(leaf is UNKNOWN for leaf in state):
                    return None
                states.append(jtu.tree_unflatten(treedef, state))
                if t < steps:
                    move, *new = _known(step.jaxpr, step.consts, [*state, UNKNOWN])
                    if len(new) != treedef.num_leaves or not _zero(move):
                        return None
                    if all(_same(a, b) for a, b in zip(new, state, strict=True)):
                        return states + [states[-1]] * (steps - t)  # and so after all further steps
                    state = new
            return states
    except (jax.errors.ConcretizationTypeError, ValueError, TypeError):
        return None


def _same(a: Known, b: Known) -> bool:
    if a is UNKNOWN or b is UNKNOWN:
        return False
    return jnp.result_type(a) == jnp.result_type(b) and np.array_equal(np.asarray(a), np.asarray(b))


_TRIED = 32
# Most move at once, and each step that is looked at costs a millisecond: after so many it is believed, in networks
# of which each layer takes longer to compile.
_ASKED = 128


def never_moves(init: Callable[..., PyTree], update: Callable[..., PyTree], value: Shaped, steps: int) -> bool:
    """Return whether it is proved that none of the first `steps` steps moves a value, whatever its gradients are: that
    no step does, whatever the state; or each of so few from the first state on.

    **Arguments:** see `idle_states`.
    """
    value = jax.ShapeDtypeStruct(value.shape, value.dtype)
    try:
        first, like = jax.make_jaxpr(init, return_shape=True)(value)
        step = jax.make_jaxpr(update)(value, like, value)
        with jax.ensure_compile_time_eval():
            if _zero(_known(step.jaxpr, step.consts, [UNKNOWN] * len(step.jaxpr.invars))[0]):
                return True
            state = _known(first.jaxpr, first.consts, [UNKNOWN])
            for _ in range(min(steps, _TRIED)):
                move, *state = _known(step.jaxpr, step.consts, [UNKNOWN, *state, UNKNOWN])
                if not _zero(move):
                    return False
            return steps <= _TRIED
    except (jax.errors.ConcretizationTypeError, ValueError, TypeError):
        return False


class FirstMoves:
    """The steps at which values first move, from the step at which they first have a gradient.

    **Arguments:**

    - `init`, `update`: of the transformation.
    - `value`: the shape and dtype of a value.
    """

    def __init__(self, init: Callable[..., PyTree], update: Callable[..., PyTree], value: Shaped) -> None:
        self._zero = np.zeros(value.shape, value.dtype)
        self._states: list[list[Known]] = []  # after 0, 1, ... steps with zero gradient
        self._found: dict[int, int] = {}
        value = jax.ShapeDtypeStruct(value.shape, value.dtype)
        try:
            first, like = jax.make_jaxpr(init, return_shape=True)(value)
            self._step = jax.make_jaxpr(update)(value, like, value)
            with jax.ensure_compile_time_eval():
                self._states.append(_known(first.jaxpr, first.consts, [UNKNOWN]))
        except (jax.errors.ConcretizationTypeError, ValueError, TypeError):
            pass  # nothing is proved

    def after(self, felt: int, most: int) -> int:
        """Return the first step at which a value may move that has no gradient before the step `felt`; of the first
        `most` steps, or `felt` if nothing is proved, or every value that was asked for before moved at once."""
        late = felt < _ASKED or any(step > begun for begun, step in self._found.items())
        if not self._states or not late:
            return felt
        if felt not in self._found:
            with jax.ensure_compile_time_eval():
                while len(self._states) <= felt:
                    self._states.append(self._stepped(self._zero, self._states[-1])[1:])
                state, step, end = self._states[felt], felt, min(most, felt + _TRIED)
                while step < end:
                    move, *state = self._stepped(UNKNOWN, state)
                    if not _zero(move):
                        break
                    step += 1
            if step == most:
                return step  # more steps might tell more
            self._found[felt] = step
        return self._found[felt]

    def _stepped(self, gradient: Known, state: Sequence[Known]) -> list[Known]:
        return _known(self._step.jaxpr, self._step.consts, [gradient, *state, UNKNOWN])


def stands_still(update: Callable[..., PyTree], params: PyTree, state: PyTree) -> bool:
    """Return whether it is proved that a step with zero gradient moves nothing, whatever the params and the state.

    **Arguments:**

    - `update`: of the transformation.
    - `params`, `state`: trees of arrays or of their shapes.
    """
    params, state = jtu.tree_map(lambda a: jax.ShapeDtypeStruct(jnp.shape(a), jnp.result_type(a)), (params, state))

    def move(state: PyTree, params: PyTree) -> PyTree:
        return update(jtu.tree_map(lambda a: jnp.zeros(a.shape, a.dtype), params), state, params)[0]

    try:
        made = jax.make_jaxpr(move)(state, params)
        with jax.ensure_compile_time_eval():
            return all(_zero(m) for m in _known(made.jaxpr, made.consts, [UNKNOWN] * len(made.jaxpr.invars)))
    except (jax.errors.ConcretizationTypeError, ValueError, TypeError):
        return False


def made_of_nothing(fn: Callable[..., PyTree], *args: PyTree) -> PyTree | None:
    """Return what a function gives, as NumPy arrays, if it is proved that no number in it depends on the arguments';
    else None. Nothing is compiled for that.

    **Arguments:**

    - `fn`: a pure function of trees of arrays.
    - `args`: its arguments, or their shapes.
    """
    try:
        made, like = jax.make_jaxpr(fn, return_shape=True)(*args)
    except (jax.errors.ConcretizationTypeError, ValueError, TypeError):
        return None
    if any(getattr(aval, "weak_type", False) for aval in made.out_avals):
        return None
    with jax.ensure_compile_time_eval():
        found = _known(made.jaxpr, made.consts, [UNKNOWN] * len(made.jaxpr.invars))
    if not all(isinstance(leaf, np.ndarray) for leaf in found):
        return None
    return jtu.tree_unflatten(jtu.tree_structure(like), found)


def _known(jaxpr: jex.Jaxpr, consts: Sequence[Known], args: Sequence[Known]) -> list[Known]:
    """Return a program's results, as far as they are known from the arguments that are."""
    env: dict[jex.Var, Known] = dict(zip(jaxpr.invars, args, strict=True))
    env |= {v: UNKNOWN if isinstance(c, Tracer) else c for v, c in zip(jaxpr.constvars, consts, strict=True)}

    def read(v: jex.Var | jex.Literal) -> Known:
        return v.val if isinstance(v, jex.Literal) else env[v]

    for eqn in jaxpr.eqns:
        made = _performed(eqn, [read(v) for v in eqn.invars])
        env.update(zip(eqn.outvars, made, strict=True))
    return [read(v) for v in jaxpr.outvars]


def _performed(eqn: jex.JaxprEqn, args: list[Known]) -> list[Known]:
    """Return what one operation gives, as far as it is known."""
    name = eqn.primitive.name
    inner = called(eqn)
    if inner is not None:
        return _known(*inner, args)
    known = [a for a in args if a is not UNKNOWN]
    if len(known) == len(args):
        exact = performed_exactly(eqn, known)
        if exact is not None:
            return [exact]
        made = bind_as_it_stands(eqn, known)
        return list(made) if eqn.primitive.multiple_results else [made]
    if name == "mul" and any(_zero(a) for a in args):
        aval = aval_of(eqn.outvars[0])
        return [np.broadcast_to(np.zeros((), aval.dtype), aval.shape)]
    if name == "select_n" and args[0] is not UNKNOWN:
        which = np.asarray(args[0])
        if which.size and (which == which.flat[0]).all():
            case, aval = args[1 + int(which.flat[0])], aval_of(eqn.outvars[0])
            return [case if case is UNKNOWN else np.broadcast_to(np.asarray(case), aval.shape)]
    if name == "cond" and args[0] is not UNKNOWN:
        branch = eqn.params["branches"][int(np.asarray(args[0]))]
        return _known(branch.jaxpr, branch.consts, args[1:])
    return [UNKNOWN] * len(eqn.outvars)


def _zero(x: Known) -> bool:
    return x is not UNKNOWN and not np.any(np.asarray(x))
