"""Compilation, with tracking.

How a call finds its program, and what the program takes and gives:

1. The tracked objects have a plan (see `core`): where their params are, and a key of everything else. The function's
   key, the plan's and the static arguments find the `Compiled`, so equal functions over equal objects share one.
2. At the first call it is traced with every param as an input. Marks on the params tell which the function read before
   it wrote them, and which it changed: only the former need go in, only the latter come out.
3. What was traced is then compiled for those inputs alone, by computing its jaxpr again: the function runs once.
4. A later trace, for other shapes, may read more. The first read of a param that was not passed in ends it, and from
   then on everything goes in.
5. Modes and statuses are statics that no key contains: a program depends on those that a trace of it read.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import jax

from ..core import RKG, ById, Plan, Tree, plan_for, static_key
from ._args import Transform, name_of
from ._check import as_tuple, check_options, check_static_argnums, reworded
from ._compiled import NUMBERS, Compiled

# JAX wants to know a value that is being traced. If that value comes from a number that is an attribute of a tracked
# module, the number can be made part of the program instead.
_WANTS_CONCRETE = (jax.errors.ConcretizationTypeError, jax.errors.TracerIntegerConversionError)

_MAX_PROGRAMS = 512
_MAX_FUNCTIONS = 128


class _Programs(dict[Hashable, "list[Compiled]"]):
    """The programs of all equal functions under equal options, by the key of the tracked objects; those of one key
    differ in the modes and statuses that they depend on."""

    __slots__ = ("__weakref__",)
    __hash__ = object.__hash__  # pyright: ignore  # plans remember their programs by the table that they are in


# By the key of the function and the options. The oldest is dropped when there are too many.
_ALL_PROGRAMS: dict[Hashable, _Programs] = {}


class Jit(Transform):
    """A compiled function with tracking; made by `jit`."""

    def __init__(
        self,
        fn: Callable[..., Any],
        static_argnums: tuple[int, ...],
        donate_argnums: tuple[int, ...],
        donate_argnames: tuple[str, ...],
        options: Mapping[str, Any],
    ) -> None:
        super().__init__("jit", fn, static_argnums, donate_argnums, donate_argnames, options)
        self.static_argnums = static_argnums
        self.donate_argnums = donate_argnums
        self.donate_argnames = donate_argnames
        self.options = options
        self._own: _Programs | None = None
        self._numbers_are_static: set[Hashable] = set()

    def __call__(self, /, *args: Tree, **kwargs: Tree) -> Any:
        new = self._own is None
        programs = self._programs() if self._own is None else self._own
        if RKG.key._value is None:
            RKG.key.get()
        # A new wrapper sees what the objects' functions read now.
        plan = plan_for(kwargs, fresh=new and RKG.key._mark is None)
        if not self.static_argnums:
            for program in plan.programs.get(programs, ()):
                if program.fits(plan):
                    return self._run(program, programs, plan, args, {})
            statics: Mapping[int, Any] = {}
        else:
            args, statics = self._split(args)
        key = self._key(plan, statics)
        frozen = bool(self._numbers_are_static) and key in self._numbers_are_static
        numbers = _numbers_in(plan) if frozen else {}
        program = self._program(programs, key, plan, statics, numbers)
        if not statics and not numbers:
            plan.programs[programs] = (*plan.programs.get(programs, ()), program)
        return self._run(program, programs, plan, args, statics)

    def _run(
        self, program: Compiled, programs: _Programs, plan: Plan, args: Sequence[Any], statics: Mapping[int, Any]
    ) -> Any:
        try:
            return program.call(self.fn, plan, args, statics)
        except _WANTS_CONCRETE:
            numbers, key = _numbers_in(plan), self._key(plan, statics)
            if program.numbers or not numbers:
                raise
        except TypeError as e:
            explained = reworded(self.named, e)
            if explained is None:
                raise
            raise explained from e
        # Once more, with the objects' numbers as a part of the program.
        self._numbers_are_static.add(key)
        plan.programs.pop(programs, None)
        return self._run(self._program(programs, key, plan, statics, numbers), programs, plan, args, statics)

    def _key(self, plan: Plan, statics: Mapping[int, Any]) -> Hashable:
        return (plan.skeleton.key, static_key(tuple(statics.items())))

    def _split(self, args: Sequence[Any]) -> tuple[tuple[Any, ...], Mapping[int, Any]]:
        """Return the positional arguments that are data, and by place those that are part of the program."""
        check_static_argnums(name_of(self.fn), self.static_argnums, len(args))
        indices = {i % len(args) for i in self.static_argnums}
        return tuple([a for i, a in enumerate(args) if i not in indices]), {i: args[i] for i in sorted(indices)}

    def _programs(self) -> _Programs:
        # Found once: as with jax.jit, what the function's globals are later is not looked at again.
        if self._own is None:
            key = self.__static_key__()
            self._own = _ALL_PROGRAMS.get(key, _Programs())
            if key not in _ALL_PROGRAMS and not isinstance(key[1], ById):  # nothing else can equal such a function
                if len(_ALL_PROGRAMS) >= _MAX_FUNCTIONS:
                    _ALL_PROGRAMS.pop(next(iter(_ALL_PROGRAMS)))
                _ALL_PROGRAMS[key] = self._own
        return self._own

    def _program(
        self, programs: _Programs, key: Hashable, plan: Plan, statics: Mapping[int, Any], numbers: Mapping[int, Any]
    ) -> Compiled:
        if numbers:
            key = (key, static_key(numbers))
        alike = programs.get(key)  # once: the key is large, and its hash is not remembered
        if alike is None:
            if len(programs) >= _MAX_PROGRAMS:
                programs.pop(next(iter(programs)))
            alike = programs[key] = []
        found = next((p for p in alike if p.fits(plan)), None)
        if found is None:
            paths = plan.skeleton.param_paths
            may_donate = [any(p == n or p.startswith((f"{n}.", f"{n}[")) for n in self.donate_argnames) for p in paths]
            found = Compiled(self.fn, self.named, plan, self.donate_argnums, may_donate, statics, numbers, self.options)
            alike.append(found)
        return found

    def clear_cache(self) -> None:
        """Forget every compiled program of this function."""
        self._programs().clear()

    @property
    def n_traces(self) -> int:
        """Return how often the function was traced, by this wrapper or an equal one."""
        return sum(program.traces for found in self._programs().values() for program in found)


class _JitWithStaticNames(Jit):
    """A compiled function some keywords of which are part of the program: they go before its positional arguments."""

    def __init__(
        self,
        fn: Callable[..., Any],
        names: tuple[str, ...],
        static_argnums: tuple[int, ...],
        donate_argnums: tuple[int, ...],
        donate_argnames: tuple[str, ...],
        options: Mapping[str, Any],
    ) -> None:
        super().__init__(
            _taking_named_first(fn),
            (0, *_after_one(static_argnums)),
            _after_one(donate_argnums),
            donate_argnames,
            options,
        )
        self.names = names

    def __call__(self, /, *args: Tree, **kwargs: Tree) -> Any:
        named = {name: kwargs.pop(name) for name in self.names if name in kwargs}
        return super().__call__(named, *args, **kwargs)


def _taking_named_first(fn: Callable[..., Any]) -> Callable[..., Any]:
    if not callable(fn):
        return fn

    @functools.wraps(fn)
    def taking(named: Mapping[str, Any], /, *args: Tree, **kwargs: Tree) -> Any:
        return fn(*args, **named, **kwargs)

    return taking


def _after_one(argnums: tuple[int, ...]) -> tuple[int, ...]:
    return tuple([i + 1 if i >= 0 else i for i in argnums])


def _numbers_in(plan: Plan) -> dict[int, Any]:
    return {i: x for i, x in enumerate(plan.raws) if isinstance(x, NUMBERS)}


def jit(
    static_argnums: int | Sequence[int] | None = None,
    donate_argnums: int | Sequence[int] | None = None,
    donate_argnames: str | Sequence[str] | None = None,
    static_argnames: str | Sequence[str] | None = None,
    **kwargs: Tree,
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
    - `static_argnames`: keywords that are part of the program, as `static_argnums` are.
    - `donate_argnames`: keywords of tracked objects the old values of whose changed params the program may use.
    - `kwargs`: passed on to `jax.jit`.

    **Returns:** a function that takes the function to compile and returns it compiled.

    **Raises:** `TypeError` for an option that is not taken, naming it.
    """
    check_options(static_argnums, donate_argnums, kwargs)

    def decorator(fn: Callable[..., Any]) -> Jit:
        places = as_tuple(static_argnums), as_tuple(donate_argnums), as_tuple(donate_argnames)
        names = as_tuple(static_argnames)
        return _JitWithStaticNames(fn, names, *places, kwargs) if names else Jit(fn, *places, kwargs)

    return decorator
