"""What the transforms share: reading a mask over the tracked objects, and errors that name the call."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from typing import Any

import jax.tree_util as jtu

from ..core import LOCK, BaseModule, BaseParam, Plan, Static, function_key, leaves_of, static_key


class PerParam:
    """A mask that can be asked about one param at a time. `pcx.utils.M` is one."""

    def value_for(self, leaf: Any) -> Any:
        """What the mask gives for one param or leaf of a tree."""
        raise NotImplementedError


def name_of(fn: Any) -> str:
    """How an error names the function a transform wraps."""
    return getattr(fn, "__name__", None) or repr(fn)


def spread(call: str, spec: Any, objects: dict[str, Any], plan: Plan, default: Any) -> tuple[list[Any], list[Any]]:
    """What a mask says of each param and of each raw leaf of a plan, in the plan's order.

    **Arguments:**

    - `spec`: a dict from keyword (or a tuple of keywords) to a value or a mask; or one mask for all keywords. A mask
      is a `PerParam`, a callable over the dict of tracked objects, or a tree like the object, in which a plain value
      stands for all that is below it.
    - `default`: for whatever the mask doesn't name.
    """
    skeleton = plan.skeleton
    params: list[Any] = [default] * plan.n
    raws: list[Any] = [default] * len(plan.raws)
    for name, mask in _by_keyword(call, spec, objects, default).items():
        node = skeleton.roots[name]
        if isinstance(mask, PerParam):
            _ask(skeleton.leaves(name), mask, params, raws, plan)
        else:
            if callable(mask) and not isinstance(mask, (BaseModule, BaseParam)):
                mask = mask(objects[name])
            _follow(call, node, mask, params, raws, name, set())
    return params, raws


def _by_keyword(call: str, spec: Any, objects: dict[str, Any], default: Any) -> dict[str, Any]:
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
                known = ", ".join(objects) or "none"
                raise ValueError(
                    f"pxf.{call}: the mask names the keyword {name!r}, which the call didn't give (given: {known})"
                )
            flat[name] = mask
    return flat


def _ask(leaves: Any, mask: PerParam, params: list[Any], raws: list[Any], plan: Plan) -> None:
    for kind, index in leaves:
        if kind == "param":
            params[index] = mask.value_for(plan.skeleton.params[index])
        else:
            raws[index] = mask.value_for(plan.raws[index])


def _follow(call: str, node: Any, mask: Any, params: list[Any], raws: list[Any], path: str, seen: set[int]) -> None:
    """Follow a mask tree and a skeleton side by side."""
    kind = type(node).__name__
    if kind == "_ParamNode":
        if node.index not in seen:  # further references to a param say nothing new (masks hold None there)
            seen.add(node.index)
            params[node.index] = _plain(call, mask, path)
        return
    if kind == "_RawNode":
        raws[node.index] = _plain(call, mask, path)
        return
    if kind in ("_ConstNode", "_FactNode", "_StaticNode", "_AgainNode"):
        return
    if mask is None or isinstance(mask, (bool, int)):  # one value for all that is below
        for leaf_kind, index in leaves_of(node):
            if leaf_kind == "param" and index not in seen:
                seen.add(index)
                params[index] = mask
            elif leaf_kind == "raw":
                raws[index] = mask
        return
    if kind == "_ModuleNode":
        if type(mask) is not node.cls:
            _misfit(call, path, f"a {node.cls.__name__}", mask)
        for name, child in sorted(node.children, key=lambda item: item[0]):
            if name in vars(mask):
                _follow(call, child, vars(mask)[name], params, raws, f"{path}.{name}", seen)
            elif leaves_of(child):
                raise ValueError(f"pxf.{call}: the mask lacks {path}.{name}, which the object has")
        return
    if kind == "_ListNode":
        if not isinstance(mask, (list, tuple)) or len(mask) != len(node.children):
            _misfit(call, path, f"a list of {len(node.children)}", mask)
        for i, child in enumerate(node.children):
            _follow(call, child, mask[i], params, raws, f"{path}[{i}]", seen)
        return
    if kind == "_DictNode":
        if not isinstance(mask, dict) or set(mask) != {name for name, _ in node.children}:
            _misfit(call, path, f"a dict with the keys {[name for name, _ in node.children]}", mask)
        for name, child in node.children:
            _follow(call, child, mask[name], params, raws, f"{path}[{name!r}]", seen)
        return
    # A pytree node of another library: one level of the mask, taken apart like the object itself.
    children, _ = jtu.tree_flatten(mask, is_leaf=lambda y: y is not mask)
    if len(children) != len(node.children) or type(mask) is not type(node.treedef.unflatten(list(node.children))):
        _misfit(call, path, f"a node like {node.treedef}", mask)
    for i, (child, below) in enumerate(zip(node.children, children, strict=True)):
        _follow(call, child, below, params, raws, f"{path}[{i}]", seen)


def _plain(call: str, mask: Any, path: str) -> Any:
    if isinstance(mask, BaseParam):
        return True  # a mask that keeps the params it selects
    if isinstance(mask, Static):
        return mask._wrapped
    if mask is None or isinstance(mask, (bool, int)):
        return mask
    raise ValueError(f"pxf.{call}: the mask at {path} must be True, False, an axis or None, got {type(mask).__name__}")


def _misfit(call: str, path: str, expected: str, mask: Any) -> None:
    raise ValueError(
        f"pxf.{call}: the mask doesn't fit the object: at {path} the object has {expected}, the mask "
        f"{type(mask).__name__}{f' of {len(mask)}' if isinstance(mask, (list, tuple, dict)) else ''}. Make the mask "
        "from the same object, as in pxu.M(...)(model)"
    )


def _one_at_a_time(call: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(call)
    def locked(*args: Any, **kwargs: Any) -> Any:
        with LOCK:
            return call(*args, **kwargs)

    return locked


class Transform:
    """A transformed function: knows what it wraps, and compares by it. One thread at a time is in a call: what it reads
    of the objects, and what it sets in them, belong together."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__call__" in vars(cls):
            cls.__call__ = _one_at_a_time(cls.__call__)  # pyright: ignore

    def __init__(self, call: str, fn: Callable[..., Any], *options: Any) -> None:
        if not callable(fn):
            raise TypeError(f"pxf.{call}: expected a function to transform, got {type(fn).__name__}")
        self.fn = fn
        self._call = call
        self._options = options
        functools.update_wrapper(self, fn, updated=())  # pyright: ignore

    def __static_key__(self) -> tuple[Hashable, ...]:
        return (self._call, function_key(self.fn), static_key(self._options))

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else functools.partial(self.__call__, instance)  # pyright: ignore

    @property
    def named(self) -> str:
        """How errors name this call."""
        return f"pxf.{self._call} of {name_of(self.fn)}"
