"""Compilation, with tracking."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import jax
import jax.extend
import jax.tree_util as jtu
import numpy as np

from ..core import (
    ABSENT,
    RKG,
    BaseParam,
    ById,
    Fact,
    NeedsInput,
    Plan,
    commit,
    known,
    marks_for,
    plan_for,
    static_key,
    trace,
)
from ._args import Transform, name_of

# JAX wants to know a value that is being traced. If that value comes from a number that is an attribute of a tracked
# module, the number can be made part of the program instead.
_WANTS_CONCRETE = (jax.errors.ConcretizationTypeError, jax.errors.TracerIntegerConversionError)

# How JAX says that a value it was given is no array.
_NOT_AN_ARGUMENT = re.compile(r"value is of type <class '([^']*)'> and was passed to the function at path args\[")

_NUMBERS = (int, float, complex, np.generic)

_MAX_RECORDS = 512


class _Records(dict[Hashable, "list[_Record]"]):
    """The compiled programs of all equal functions under equal options, by the structure of the tracked objects."""

    __slots__ = ("__weakref__",)
    __hash__ = object.__hash__  # pyright: ignore  # plans remember their record by the table that it is in


# By the key of the function and the options. The oldest is dropped when there are too many.
_ALL_RECORDS: dict[Hashable, _Records] = {}
_MAX_FUNCTIONS = 128


class _Record:
    """One compiled program: a function, over tracked objects of one structure, with given static arguments."""

    def __init__(self, jit: Jit, plan: Plan, static_args: dict[int, Any], frozen: dict[int, Any] | None) -> None:
        # Those of the latest call. All calls that share the program have equal ones, but a mutable value that an
        # earlier call gave may have changed since.
        self.fn = jit.fn
        self.named = jit.named
        self.skeleton = plan.skeleton
        self.static_args = static_args
        self.frozen = frozen  # the numbers among the raw leaves, where these are part of the program
        self.n = plan.n
        # The params whose values are passed in; None before the first trace. Grows if a later trace needs more. A param
        # that isn't needed but held None at the first trace keeps its place, as -1: then what was traced first fits.
        self.kept: tuple[int, ...] | None = None
        self.donated: tuple[int, ...] = ()
        self.may_donate = jit.donatable(plan)
        self.seen_live: set[int] = set()
        self.seen_changed: set[int] = set()
        # Modes and statuses: those of this call; and those that any trace has read, as others are another program.
        self.facts: list[Any] = []
        self.facts_read: set[int] = set()
        self.needs: dict[int, tuple[Any, Hashable]] = {}  # the fact and its key
        self.first: Any = None  # the first trace, to be compiled with fewer inputs
        self.traces = 0
        dynamic = [i for i in jit.donate_argnums if i not in static_args]
        shift = [i - sum(s < i for s in static_args) for i in dynamic]
        donate = (0, *[i + 3 for i in shift])

        def body(donated: tuple[Any, ...], kept: tuple[Any, ...], raws: tuple[Any, ...], *args: Any) -> Any:
            return self._body(donated, kept, raws, *args)

        body.__name__ = name_of(jit.fn)  # what profilers and compilation logs show
        self.jitted = jax.jit(body, donate_argnums=donate, **jit.options)

    def _body(self, donated: Any, kept: Any, raws: Any, *args: Any) -> Any:
        if self.first is not None:
            return self._replay(donated, kept, raws, args)
        values = [ABSENT] * self.n
        kept_indices = range(self.n) if self.kept is None else self.kept
        for i, value in zip((*self.donated, *kept_indices), (*donated, *kept), strict=True):
            if i >= 0:
                values[i] = value
        if self.frozen is not None:
            passed = iter(raws)
            raws = [self.frozen[i] if i in self.frozen else next(passed) for i in range(len(raws) + len(self.frozen))]
        self.traces += 1
        facts = [Fact(fact, i, self.facts_read) for i, fact in enumerate(self.facts)]
        marks = marks_for(self.skeleton.params)
        out = trace(self.skeleton, self.fn, self._with_static(args), values, raws, facts, marks)
        _check_arrays(self.named, "the function returned", out.result)
        for i, value in out.changed.items():
            _check_arrays(self.named, f"{self.skeleton.param_paths[i]} was set to", value)
        self.seen_live.update(out.live)
        self.seen_changed.update(out.changed)
        return out.result, out.changed

    def _with_static(self, args: Sequence[Any]) -> list[Any]:
        if not self.static_args:
            return list(args)
        dynamic = iter(args)
        total = len(args) + len(self.static_args)
        return [self.static_args[i] if i in self.static_args else next(dynamic) for i in range(total)]

    def _replay(self, donated: Any, kept: Any, raws: Any, args: Any) -> Any:
        """The first trace again, from its jaxpr: the user's function is not called a second time."""
        closed, full, out_tree = self.first
        assert self.kept is not None
        values = dict(zip((*self.donated, *self.kept), (*donated, *kept), strict=True))
        # The inputs that are not passed in have no part in the jaxpr's outputs: any value will do.
        filled = [values[i] if i in values else jtu.tree_map(_filler, full[i]) for i in range(self.n)]
        flat = jtu.tree_leaves(((), tuple(filled), raws, *args))
        return jtu.tree_unflatten(out_tree, jax.extend.core.jaxpr_as_fun(closed)(*flat))

    def call(self, fn: Callable[..., Any], plan: Plan, args: Sequence[Any]) -> tuple[Any, dict[int, Any]]:
        self.fn, self.skeleton = fn, plan.skeleton
        params = plan.params
        self.facts = plan.facts
        frozen = self.frozen or ()
        raws = tuple([x for i, x in enumerate(plan.raws) if i not in frozen]) if frozen else tuple(plan.raws)
        nested = RKG.key._mark is not None
        while True:
            if self.kept is None:
                self._trace_first(params, raws, args)
            kept = self.kept
            assert kept is not None
            if nested:  # the function outside reads what this one needs
                donated_values = tuple([_read(params[i]) for i in self.donated])
                kept_values = tuple([_read(params[i]) if i >= 0 else None for i in kept])
            else:
                donated_values = tuple([params[i]._value for i in self.donated])
                kept_values = tuple([params[i]._value if i >= 0 else None for i in kept])
            try:
                out = self.jitted(donated_values, kept_values, raws, *args)
                if len(self.facts_read) > len(self.needs):
                    self.needs = {i: (known(plan.facts[i]), static_key(plan.facts[i])) for i in self.facts_read}
                return out
            except NeedsInput:
                if self._everything_passed():
                    raise  # it is the transform outside that lacks an input
                # This trace reads what no earlier one read: from now on pass everything in.
                self.kept = tuple([i for i in range(self.n) if i not in self.donated])
            finally:
                self.first = None

    def fits(self, plan: Plan) -> bool:
        """Whether the modes and statuses that the program depends on are those of `plan`."""
        facts = plan.facts
        return all(facts[i] is fact or static_key(facts[i]) == key for i, (fact, key) in self.needs.items())

    def _everything_passed(self) -> bool:
        passed = {*self.donated, *(self.kept or ())} - {-1}
        return len(passed) == self.n

    def _trace_first(self, params: Sequence[BaseParam], raws: Any, args: Sequence[Any]) -> None:
        """Trace once with everything passed in, to learn what is needed and what changes."""
        for i, value in enumerate([p._value for p in params]):
            if value is ABSENT:
                _read(params[i])
        full = tuple([p._value for p in params])
        traced = self.jitted.trace((), full, raws, *args)
        self.donated = tuple([i for i in sorted(self.seen_changed & self.seen_live) if self.may_donate[i]])
        # The global key is one small array: keeping it costs less than a second signature.
        needed = [i == 0 or i in self.seen_live for i in range(self.n)]
        if not self.donated and all(n or v is None for n, v in zip(needed, full, strict=True)):
            self.kept = tuple([i if n else -1 for i, n in enumerate(needed)])
            return  # the same signature: JAX has this trace already
        self.kept = tuple([i for i, n in enumerate(needed) if n and i not in self.donated])
        shapes = tuple([jtu.tree_map(_shape, v) for v in full])
        self.first = traced.jaxpr, shapes, jtu.tree_structure(traced.out_info)


def _check_arrays(call: str, what: str, value: Any) -> None:
    for leaf in jtu.tree_leaves(value):
        if not isinstance(leaf, (jax.Array, np.ndarray, bool, *_NUMBERS)) and not hasattr(leaf, "__jax_array__"):
            raise TypeError(f"{call}: {what} a value of type {type(leaf).__name__}, which is no array and no number")


def _shape(x: Any) -> Any:
    return jax.ShapeDtypeStruct(np.shape(x), jax.dtypes.result_type(x)) if not hasattr(x, "aval") else x.aval


def _filler(x: Any) -> Any:
    return jax.lax.full(x.shape, 0, x.dtype)


def _read(param: BaseParam) -> Any:
    return BaseParam.get(param)


class Jit(Transform):
    """A compiled function with tracking; made by `jit`."""

    def __init__(
        self, fn: Callable[..., Any], static: tuple[int, ...], donate: tuple[int, ...], names: Any, options: Any
    ) -> None:
        super().__init__("jit", fn, static, donate, names, options)
        self.static_argnums = static
        self.donate_argnums = donate
        self.donate_names = names
        self.options = options
        self._own: _Records | None = None
        self._numbers_are_static: set[Hashable] = set()

    def donatable(self, plan: Plan) -> list[bool]:
        """Which params lie under a keyword that the user allowed to be donated."""
        paths = plan.skeleton.param_paths
        return [any(p == n or p.startswith((f"{n}.", f"{n}[")) for n in self.donate_names) for p in paths]

    def _records(self) -> _Records:
        # Found once: as with jax.jit, what the function's globals are later is not looked at again.
        if self._own is None:
            key = self.__static_key__()
            own_key = key[1]  # the function's
            found = _ALL_RECORDS.get(key)
            if found is None:
                found = _Records()
                if not isinstance(own_key, ById):  # nothing else can equal a function that is compared by identity
                    if len(_ALL_RECORDS) >= _MAX_FUNCTIONS:
                        _ALL_RECORDS.pop(next(iter(_ALL_RECORDS)))
                    _ALL_RECORDS[key] = found
            self._own = found
        return self._own

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        records = self._own
        new = records is None
        if records is None:
            records = self._records()
        if RKG.key._value is None:
            RKG.key.get()
        # A new wrapper sees what the objects' functions read now.
        plan = plan_for(kwargs, fresh=new and RKG.key._mark is None)
        if self.static_argnums:
            args, statics, statics_key = self._take_static(args)
        else:
            statics, statics_key = {}, ()
            for record in plan.records.get(records, ()):
                if record.fits(plan):
                    return self._finish(record, plan, args, records)
        key = (plan.skeleton.key, statics_key)
        if key in self._numbers_are_static:
            return self._call_frozen(key, records, plan, args, statics)
        record = self._record(records, key, plan, statics, None)
        if not statics:
            plan.records[records] = (*plan.records.get(records, ()), record)
        return self._finish(record, plan, args, records, key, statics)

    def _finish(
        self, record: _Record, plan: Plan, args: Any, records: _Records, key: Any = None, statics: Any = None
    ) -> Any:
        try:
            result, changed = record.call(self.fn, plan, args)
        except _WANTS_CONCRETE:
            if not any(isinstance(x, _NUMBERS) for x in plan.raws):
                raise
            key = (plan.skeleton.key, ()) if key is None else key
            self._numbers_are_static.add(key)
            plan.records.pop(records, None)
            return self._call_frozen(key, records, plan, args, statics or {})
        except TypeError as e:
            explained = self._explained(e)
            if explained is None:
                raise
            raise explained from e
        if changed:
            commit(plan.params, changed)
        return result

    def _explained(self, e: TypeError) -> TypeError | None:
        """JAX's error about a value that is no array, in terms of the user's call; None for any other."""
        given = _NOT_AN_ARGUMENT.search(str(e))
        if given is not None:
            return TypeError(
                f"{self.named}: a positional argument is of type {given[1]}, which is no array and no number: give its "
                "place in static_argnums, or pass an object by keyword"
            )
        return None

    def _call_frozen(self, key: Hashable, records: _Records, plan: Plan, args: Any, statics: dict[int, Any]) -> Any:
        frozen = {i: x for i, x in enumerate(plan.raws) if isinstance(x, _NUMBERS)}
        record = self._record(records, (key, static_key(frozen)), plan, statics, frozen)
        result, changed = record.call(self.fn, plan, args)
        commit(plan.params, changed)
        return result

    def _record(self, records: _Records, key: Hashable, plan: Plan, statics: dict[int, Any], frozen: Any) -> _Record:
        candidates = records.get(key)
        if candidates is None:
            if len(records) >= _MAX_RECORDS:
                records.pop(next(iter(records)))
            candidates = records[key] = []
        found = next((r for r in candidates if r.fits(plan)), None)
        if found is None:
            found = _Record(self, plan, statics, frozen)
            candidates.append(found)
        found.static_args = statics
        return found

    def _take_static(self, args: Sequence[Any]) -> tuple[tuple[Any, ...], dict[int, Any], Hashable]:
        if any(not -len(args) <= i < len(args) for i in self.static_argnums):
            raise ValueError(
                f"pxf.jit: static_argnums={self.static_argnums} names an argument that the call of "
                f"{name_of(self.fn)} didn't give: it got {len(args)} positional arguments"
            )
        indices = {i % len(args) for i in self.static_argnums}
        statics = {i: args[i] for i in sorted(indices)}
        return tuple([a for i, a in enumerate(args) if i not in indices]), statics, static_key(tuple(statics.items()))

    def clear_cache(self) -> None:
        """Forget every compiled program of this function."""
        self._records().clear()

    @property
    def n_traces(self) -> int:
        """How often the function was traced, by this wrapper or an equal one."""
        return sum(record.traces for found in self._records().values() for record in found)


def _tuple(x: int | Sequence[int] | str | Sequence[str] | None) -> tuple[Any, ...]:
    if x is None:
        return ()
    return (x,) if isinstance(x, (int, str)) else tuple(x)


def _nothing() -> None:
    pass


def jit(
    static_argnums: int | Sequence[int] | None = None,
    donate_argnums: int | Sequence[int] | None = None,
    donate_argnames: str | Sequence[str] | None = None,
    **kwargs: Any,
) -> Callable[[Callable[..., Any]], Jit]:
    """Compile a function, with tracking: `pxf.jit()(fn)(*args, **objects)`.

    Positional arguments are as in `jax.jit`. Keyword arguments are tracked: params that the function changes are
    changed in the caller's objects. What is compiled depends on the structure of the tracked objects and on their
    static values, compared by what they would compute; equal functions over equal objects share one program. Only
    params that the function reads before it writes them are inputs, only those that it changes are outputs.

    Numbers that are attributes of tracked modules are inputs; if the function needs one at compile time (as in
    `range(model.n)`), the numbers become part of the program, and a new value compiles anew.

    **Arguments:**

    - `static_argnums`: positional arguments that are part of the program; they need not be hashable.
    - `donate_argnums`: positional arguments whose buffers the program may use.
    - `donate_argnames`: keywords of tracked objects the old values of whose changed params the program may use.
    - `kwargs`: passed on to `jax.jit`.
    """
    if callable(static_argnums):
        raise TypeError("pxf.jit takes its options first: write pxf.jit()(fn), or @pxf.jit() above the function")
    refused = {"static_argnames", "in_shardings", "out_shardings"} & kwargs.keys()
    if refused:
        raise TypeError(f"pxf.jit: {', '.join(sorted(refused))} not supported: keyword arguments are tracked objects")

    for name, given in (("static_argnums", static_argnums), ("donate_argnums", donate_argnums)):
        if not all(isinstance(i, int) for i in _tuple(given)):
            raise TypeError(f"pxf.jit: {name} must be an integer or a sequence of integers, got {given!r}")
    try:
        jax.jit(_nothing, **kwargs)
    except TypeError as e:
        raise TypeError(f"pxf.jit: an option that jax.jit doesn't take: {e}") from None

    def decorator(fn: Callable[..., Any]) -> Jit:
        return Jit(fn, _tuple(static_argnums), _tuple(donate_argnums), _tuple(donate_argnames), kwargs)

    return decorator
