"""Common parts of the transforms: reading a mask over the tracked objects, and errors that name the call."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from typing import Any

from ..core import LOCK, BaseModule, BaseParam, Constant, Mask, Match, Plan, Tree, Value, function_key, static_key


class PerParam:
    """A mask that can be asked about one param at a time. `pcx.utils.M` is one."""

    def value_for(self, leaf: Tree) -> Any:
        """Return what the mask gives for one param or leaf of a tree."""
        raise NotImplementedError


def name_of(fn: Callable[..., Any]) -> str:
    """Return how an error names the function a transform wraps."""
    return getattr(fn, "__name__", None) or repr(fn)


def broadcast_mask(
    call: str, spec: Mask, objects: dict[str, Any], plan: Plan, default: Value
) -> tuple[list[Any], list[Any]]:
    """Return what a mask says of each param and of each raw leaf of a plan, in the plan's order.

    **Arguments:**

    - `spec`: a dict from keyword (or a tuple of keywords) to a value or a mask; or one mask for all keywords. A mask
      is a `PerParam`, a callable over the dict of tracked objects, or a tree like the object, in which a plain value
      stands for all that is below it.
    - `default`: for whatever the mask doesn't name.
    """
    params: list[Any] = [default] * plan.n
    raws: list[Any] = [default] * len(plan.raws)
    for name, mask in _by_keyword(call, spec, objects, default).items():
        if isinstance(mask, PerParam):
            for is_param, index in plan.skeleton.leaves(name):
                if is_param:
                    params[index] = mask.value_for(plan.params[index])
                else:
                    raws[index] = mask.value_for(plan.raws[index])
        else:
            if callable(mask) and not isinstance(mask, (BaseModule, BaseParam)):
                mask = mask(objects[name])
            plan.skeleton.roots[name].match(mask, Match(call, params, raws), name)
    return params, raws


def _by_keyword(call: str, spec: Mask, objects: dict[str, Any], default: Value) -> dict[str, Any]:
    if isinstance(spec, PerParam):
        return dict.fromkeys(objects, spec)
    if callable(spec) and not isinstance(spec, BaseModule):
        masked = spec(dict(objects))
        if not isinstance(masked, dict):
            raise TypeError(f"pxf.{call}: the mask function must return a dict by keyword, got {type(masked).__name__}")
        return masked
    if not isinstance(spec, dict):
        return dict.fromkeys(objects, spec)
    flat: dict[str, Any] = {}
    for key, mask in spec.items():
        for name in key if isinstance(key, tuple) else (key,):
            if name not in objects:
                given = ", ".join(objects) or "none"
                raise ValueError(
                    f"pxf.{call}: the mask names the keyword {name!r}, which the call didn't give (given: {given})"
                )
            flat[name] = mask
    return flat


def _one_at_a_time(call: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(call)
    def locked(*args: Tree, **kwargs: Tree) -> Any:
        with LOCK:
            return call(*args, **kwargs)

    return locked


class Transform:
    """A transformed function: knows what it wraps, and compares by it. One thread at a time is in a call: what it reads
    of the objects, and what it sets in them, belong together."""

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if "__call__" in vars(cls):
            cls.__call__ = _one_at_a_time(cls.__call__)  # pyright: ignore

    def __init__(self, call: str, fn: Callable[..., Any], *options: Constant) -> None:
        if not callable(fn):
            raise TypeError(f"pxf.{call}: expected a function to transform, got {type(fn).__name__}")
        self.fn = fn
        self._call = call
        self._options = options
        functools.update_wrapper(self, fn, updated=())  # pyright: ignore

    def __static_key__(self) -> tuple[Hashable, ...]:
        return (self._call, function_key(self.fn), static_key(self._options))

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else functools.partial(self.__call__, instance)  # pyright: ignore

    @property
    def named(self) -> str:
        """Return the name of this call for errors."""
        return f"pxf.{self._call} of {name_of(self.fn)}"
