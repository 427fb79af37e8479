"""One compiled program of `jit`: what is traced, what goes in and out, and when it is traced again."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.extend
import jax.tree_util as jtu
import numpy as np

from ..core import (
    ABSENT,
    RKG,
    BaseParam,
    NeedsInput,
    Plan,
    Skeleton,
    StaticParam,
    Tree,
    commit,
    marks_for,
    static_key,
    trace,
)
from ._args import name_of
from ._check import check_arrays

NUMBERS = (int, float, complex, np.generic)


# What a call gives beside arrays: the function, the skeleton and the statics of its objects, and by place the arguments
# that are part of the program. All calls that share a program give equal things, but a mutable value that an earlier
# call gave may have changed since: a trace uses those of the call that it happens in.
_Given: TypeAlias = tuple[Callable[..., Any], Skeleton, Sequence[StaticParam], Mapping[int, Any]]


class _First(NamedTuple):
    """The first trace, to be compiled with fewer inputs: its jaxpr, shapes of all params, structure of the result."""

    jaxpr: Any
    shapes: Sequence[Any]
    out_tree: Any


class Compiled:
    """A function over tracked objects of one structure, under given static arguments.

    **Arguments:**

    - `fn`, `named`: the function, and how errors name it.
    - `plan`: of the objects of the first call.
    - `donate_argnums`: positional arguments whose buffers the program may use.
    - `may_donate`: of each param, whether its buffer may be used.
    - `static_args`: positional arguments that are part of the program, by place.
    - `numbers`: the numbers among the objects' arrays and numbers, by place, where these are part of the program.
    - `options`: of `jax.jit`.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        named: str,
        plan: Plan,
        donate_argnums: Sequence[int],
        may_donate: Sequence[bool],
        static_args: Mapping[int, Any],
        numbers: Mapping[int, Any],
        options: Mapping[str, Any],
    ) -> None:
        self.named = named
        self.traces = 0
        self.n = plan.n
        self.numbers, self._may_donate = numbers, may_donate
        self._given: _Given = (fn, plan.skeleton, plan.statics, static_args)
        # The params that go in, None before the first trace. A place may be None: a param that isn't needed, but held
        # nothing at the first trace, keeps its place, so that the signature is that of the first trace.
        self._inputs: tuple[int | None, ...] | None = None
        self._donated: tuple[int, ...] = ()
        self._first: _First | None = None
        # What the traces so far have needed and changed.
        self._live: set[int] = set()
        self._changed: set[int] = set()
        self._live_settings: set[int] = set()
        self._settings: dict[int, tuple[Any, Hashable]] = {}  # the values of those settings, with their keys
        dynamic = [i for i in donate_argnums if i not in static_args]
        donate = [i + 3 - sum(s < i for s in static_args) for i in dynamic]

        def body(donated: tuple[Any, ...], inputs: tuple[Any, ...], raws: tuple[Any, ...], *args: Tree) -> Any:
            return self._body(donated, inputs, raws, *args)

        body.__name__ = name_of(fn)  # what profilers and compilation logs show
        self._jitted = jax.jit(body, donate_argnums=(0, *donate), **options)

    def fits(self, plan: Plan) -> bool:
        """Return whether the settings (modes, statuses) that the program depends on are those of `plan`."""
        statics = plan.statics
        for i, (value, key) in self._settings.items():
            now = statics[i].get()
            if now is not value and static_key(now) != key:
                return False
        return True

    def call(self, fn: Callable[..., Any], plan: Plan, args: Sequence[Any], static_args: Mapping[int, Any]) -> Any:
        """Run the program on the values of a plan, set what changed, and return the function's result."""
        self._given = (fn, plan.skeleton, plan.statics, static_args)
        params, raws = plan.params, tuple(plan.raws)
        if self.numbers:
            raws = tuple([x for i, x in enumerate(raws) if i not in self.numbers])
        nested = RKG.key._mark is not None
        while True:
            if self._inputs is None:
                self._trace_first(params, raws, args)
            inputs = self._inputs
            assert inputs is not None
            if nested:  # the function outside reads what this one needs
                donated = tuple([BaseParam.get(params[i]) for i in self._donated])
                values = tuple([None if i is None else BaseParam.get(params[i]) for i in inputs])
            else:
                donated = tuple([params[i]._value for i in self._donated])
                values = tuple([None if i is None else params[i]._value for i in inputs])
            try:
                result, changed = self._jitted(donated, values, raws, *args)
                break
            except NeedsInput:
                if len({*self._donated, *inputs} - {None}) == self.n:
                    raise  # everything was passed in: it is the transform outside that lacks an input
                # This trace reads what no earlier one read: from now on pass everything in.
                self._inputs = tuple([i for i in range(self.n) if i not in self._donated])
            finally:
                self._first = None
        if len(self._live_settings) > len(self._settings):
            found = {i: plan.statics[i].get() for i in self._live_settings}
            self._settings = {i: (value, static_key(value)) for i, value in found.items()}
        if changed:
            commit(params, changed)
        return result

    def _trace_first(self, params: Sequence[BaseParam], raws: tuple[Any, ...], args: Sequence[Any]) -> None:
        """Trace once with everything passed in, to learn what is needed and what changes."""
        for param in params:
            if param._value is ABSENT:
                BaseParam.get(param)
        full = tuple([p._value for p in params])
        traced = self._jitted.trace((), full, raws, *args)
        self._donated = tuple([i for i in sorted(self._changed & self._live) if self._may_donate[i]])
        # The global key is one small array: keeping it costs less than a second signature.
        needed = [i == 0 or i in self._live for i in range(self.n)]
        if not self._donated and all(n or v is None for n, v in zip(needed, full, strict=True)):
            self._inputs = tuple([i if n else None for i, n in enumerate(needed)])
            return  # the same signature: JAX has this trace already
        self._inputs = tuple([i for i, n in enumerate(needed) if n and i not in self._donated])
        shapes = tuple([jtu.tree_map(_shape, v) for v in full])
        self._first = _First(traced.jaxpr, shapes, jtu.tree_structure(traced.out_info))

    # -- what JAX traces --------------------------------------------------------------------------------
    def _body(self, donated: Tree, inputs: Tree, raws: Tree, *args: Tree) -> Any:
        places = range(self.n) if self._inputs is None else self._inputs
        passed = dict(zip((*self._donated, *places), (*donated, *inputs), strict=True))
        if self._first is not None:
            return self._replay(self._first, passed, raws, args)
        values = [passed.get(i, ABSENT) for i in range(self.n)]
        if self.numbers:
            rest = iter(raws)
            raws = [self.numbers[i] if i in self.numbers else next(rest) for i in range(len(raws) + len(self.numbers))]
        self.traces += 1
        fn, skeleton, statics, static_args = self._given
        marks = marks_for(skeleton.params)
        out = trace(skeleton, fn, _merged(args, static_args), values, raws, statics, marks)
        check_arrays(self.named, "the function returned", out.result)
        for i, value in out.changed.items():
            check_arrays(self.named, f"{skeleton.param_paths[i]} was set to", value)
        self._live.update(out.live)
        self._changed.update(out.changed)
        self._live_settings.update({*out.live_statics} & {*skeleton.settings})
        return out.result, out.changed

    def _replay(self, first: _First, passed: Mapping[int | None, Any], raws: Tree, args: Tree) -> Any:
        """Compute the first trace again, from its jaxpr: the user's function is not called a second time."""
        # The inputs that are not passed in have no part in the jaxpr's outputs: any value will do.
        full = [passed[i] if i in passed else jtu.tree_map(_any_value, first.shapes[i]) for i in range(self.n)]
        flat = jtu.tree_leaves(((), tuple(full), raws, *args))
        return jtu.tree_unflatten(first.out_tree, jax.extend.core.jaxpr_as_fun(first.jaxpr)(*flat))


def _merged(args: Sequence[Any], static_args: Mapping[int, Any]) -> list[Any]:
    """Return all positional arguments, in order."""
    if not static_args:
        return list(args)
    dynamic = iter(args)
    total = len(args) + len(static_args)
    return [static_args[i] if i in static_args else next(dynamic) for i in range(total)]


def _shape(x: Tree) -> Any:
    return jax.ShapeDtypeStruct(np.shape(x), jax.dtypes.result_type(x)) if not hasattr(x, "aval") else x.aval


def _any_value(x: Tree) -> Any:
    return jax.lax.full(x.shape, 0, x.dtype)
