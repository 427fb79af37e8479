"""The nodes of a skeleton: one for each kind of thing that a tracked object can hold.

Every node answers three questions: how a copy of it is built around other values, which params and arrays are below
it, and what a mask over an object says of those.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

import jax.tree_util as jtu

from ._parameter import BaseParam
from ._static import StaticParam, copied, is_copied
from ._types import Constant, Mask, Value


class Filling:
    """The values that a copy is built around, and what was built so far.

    **Arguments:**

    - `params`, `raws`, `statics`: what stands in the places of the params, of the arrays and numbers, and of the
      statics.
    """

    __slots__ = ("built", "params", "raws", "statics")

    def __init__(self, params: Sequence[Any], raws: Sequence[Any], statics: Sequence[Any]) -> None:
        self.params, self.raws, self.statics = params, raws, statics
        self.built: dict[Any, Any] = {}  # new containers, by the number of the one copied; constants, by their node


class Leaf(NamedTuple):
    """The place of a param, or of an array or number, in a skeleton."""

    is_param: bool
    index: int  # pyright: ignore[reportIncompatibleMethodOverride]


class Match:
    """The values that a mask over an object has for its params and arrays; filled by `Node.match`.

    **Arguments:**

    - `call`: who asks, for errors.
    - `params`, `raws`: lists to be filled.
    """

    def __init__(self, call: str, params: list[Any], raws: list[Any]) -> None:
        self.call, self.params, self.raws = call, params, raws
        self.inside: set[int] = set()  # containers that are being matched, by number
        self._seen: set[int] = set()

    def put(self, leaf: Leaf, value: Value) -> None:
        """Note what the mask says of a leaf. Further references to a param say nothing new: masks hold None there."""
        if not leaf.is_param:
            self.raws[leaf.index] = value
        elif leaf.index not in self._seen:
            self._seen.add(leaf.index)
            self.params[leaf.index] = value

    def value(self, mask: Mask, path: str) -> Any:
        """Return what a mask says where it stands at one leaf.

        **Raises:** `ValueError` if that is no axis and no truth value.
        """
        if isinstance(mask, StaticParam):
            return mask.get()
        if isinstance(mask, BaseParam):
            return True  # a mask that keeps the params it selects
        if _is_value(mask):
            return mask
        raise ValueError(
            f"pxf.{self.call}: the mask at {path} must be True, False, an axis or None, got {type(mask).__name__}"
        )

    def misfit(self, path: str, expected: str, mask: Mask) -> NoReturn:
        """Refuse a mask that is built otherwise than the object."""
        raise ValueError(
            f"pxf.{self.call}: the mask doesn't fit the object: at {path} the object has {expected}, the mask "
            f"{type(mask).__name__}{f' of {len(mask)}' if isinstance(mask, (list, tuple, dict)) else ''}. Make the "
            "mask from the same object, as in pxu.M(...)(model)"
        )


def _is_value(mask: Mask) -> bool:
    return mask is None or isinstance(mask, (bool, int))


class Node(abc.ABC):
    """A place in a skeleton."""

    __slots__ = ()

    @abc.abstractmethod
    def build(self, filling: Filling) -> Any:
        """Return a copy of what stood here."""

    def leaves(self) -> Iterator[Leaf]:
        """Yield the params and arrays from here on down, a shared param once for each reference."""
        return iter(())

    def match(self, mask: Mask, found: Match, path: str) -> None:
        """Note in `found` what a mask of the same structure says of the leaves from here on down; a plain value stands
        for all that is below it.

        **Raises:** `ValueError` if the mask is built otherwise, naming the path.
        """
        if not _is_value(mask):
            self.match_parts(mask, found, path)
            return
        for leaf in self.leaves():
            found.put(leaf, mask)

    def match_parts(self, mask: Mask, found: Match, path: str) -> None:
        """As `match`, for a mask that is no plain value."""
        return  # nothing is below


class ParamNode(Node):
    """A param."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index

    def build(self, filling: Filling) -> Any:
        return filling.params[self.index]

    def leaves(self) -> Iterator[Leaf]:
        yield Leaf(True, self.index)

    def match(self, mask: Mask, found: Match, path: str) -> None:
        found.put(Leaf(True, self.index), found.value(mask, path))


class RawNode(Node):
    """An array or a number."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index

    def build(self, filling: Filling) -> Any:
        return filling.raws[self.index]

    def leaves(self) -> Iterator[Leaf]:
        yield Leaf(False, self.index)

    def match(self, mask: Mask, found: Match, path: str) -> None:
        found.put(Leaf(False, self.index), found.value(mask, path))


class StaticNode(Node):
    """A static."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index

    def build(self, filling: Filling) -> Any:
        return filling.statics[self.index]


class ConstantNode(Node):
    """Any other object: one constant to JAX."""

    __slots__ = ("copies", "value")

    def __init__(self, value: Value) -> None:
        self.value = value
        self.copies = is_copied(value)

    def build(self, filling: Filling) -> Any:
        if not self.copies:
            return self.value
        # A list or dict inside is copied: what the traced function does to it must not reach the caller's.
        new = filling.built[self] = copied(self.value)
        return new


class AgainNode(Node):
    """A container that was met before.

    **Arguments:**

    - `number`: of the container.
    - `nodes`: of all containers, by number.
    """

    __slots__ = ("nodes", "number")

    def __init__(self, number: int, nodes: Mapping[int, Node]) -> None:
        self.number, self.nodes = number, nodes

    def build(self, filling: Filling) -> Any:
        return filling.built[self.number]

    def match(self, mask: Mask, found: Match, path: str) -> None:
        # In a mask the first reference is the one that was assigned first, which may be this one.
        if self.number not in found.inside:
            self.nodes[self.number].match(mask, found, path)


class ModuleNode(Node):
    """A module."""

    __slots__ = ("children", "cls", "number", "order")

    def __init__(self, number: int, cls: type, children: list[tuple[str, Node]], order: list[str]) -> None:
        self.number, self.cls = number, cls
        self.children = children  # in the order of the walk: a reference comes after what it refers to
        self.order = order  # in which the names were assigned

    def build(self, filling: Filling) -> Any:
        new = filling.built[self.number] = object.__new__(self.cls)
        attributes = vars(new)
        attributes.update(dict.fromkeys(self.order))
        for name, child in self.children:
            attributes[name] = child.build(filling)
        return new

    def leaves(self) -> Iterator[Leaf]:
        for _, child in self.children:
            yield from child.leaves()

    def match_parts(self, mask: Mask, found: Match, path: str) -> None:
        if type(mask) is not self.cls:
            found.misfit(path, f"a {self.cls.__name__}", mask)
        found.inside.add(self.number)
        children = dict(self.children)
        for name in self.order:
            if name in vars(mask):
                children[name].match(vars(mask)[name], found, f"{path}.{name}")
            elif any(True for _ in children[name].leaves()):
                raise ValueError(f"pxf.{found.call}: the mask lacks {path}.{name}, which the object has")
        found.inside.discard(self.number)


class ListNode(Node):
    """A list."""

    __slots__ = ("children", "number")

    def __init__(self, number: int, children: list[Node]) -> None:
        self.number, self.children = number, children

    def build(self, filling: Filling) -> Any:
        new: list[Any] = []
        filling.built[self.number] = new
        new.extend([child.build(filling) for child in self.children])
        return new

    def leaves(self) -> Iterator[Leaf]:
        for child in self.children:
            yield from child.leaves()

    def match_parts(self, mask: Mask, found: Match, path: str) -> None:
        if not isinstance(mask, (list, tuple)) or len(mask) != len(self.children):
            found.misfit(path, f"a list of {len(self.children)}", mask)
        found.inside.add(self.number)
        for i, child in enumerate(self.children):
            child.match(mask[i], found, f"{path}[{i}]")
        found.inside.discard(self.number)


class DictNode(Node):
    """A dict, or one of a class that stands on it."""

    __slots__ = ("children", "make", "number", "order")

    def __init__(
        self, number: int, make: Callable[[], dict[Any, Any]], children: list[tuple[Any, Node]], order: list[Any]
    ) -> None:
        self.number, self.make = number, make
        self.children, self.order = children, order  # as for a module

    def build(self, filling: Filling) -> Any:
        new = self.make()
        filling.built[self.number] = new
        built = {name: child.build(filling) for name, child in self.children}
        for name in self.order:
            new[name] = built[name]
        return new

    def leaves(self) -> Iterator[Leaf]:
        for _, child in self.children:
            yield from child.leaves()

    def match_parts(self, mask: Mask, found: Match, path: str) -> None:
        names = [name for name, _ in self.children]
        if not isinstance(mask, dict) or set(mask) != set(names):
            found.misfit(path, f"a dict with the keys {names}", mask)
        found.inside.add(self.number)
        for name, child in self.children:
            child.match(mask[name], found, f"{path}[{name!r}]")
        found.inside.discard(self.number)


class TreeNode(Node):
    """A tuple, or a pytree node of another library: a mask is taken apart, one level, like the object itself."""

    __slots__ = ("children", "treedef")

    def __init__(self, treedef: Constant, children: list[Node]) -> None:
        self.treedef, self.children = treedef, children

    def build(self, filling: Filling) -> Any:
        return self.treedef.unflatten([child.build(filling) for child in self.children])

    def leaves(self) -> Iterator[Leaf]:
        for child in self.children:
            yield from child.leaves()

    def match_parts(self, mask: Mask, found: Match, path: str) -> None:
        below = jtu.tree_leaves(mask, is_leaf=lambda y: y is not mask)
        alike = len(below) == len(self.children) and type(mask) is type(self.treedef.unflatten(self.children))
        if not alike:
            found.misfit(path, f"a node like {self.treedef}", mask)
        for i, (child, inside) in enumerate(zip(self.children, below, strict=True)):
            child.match(inside, found, f"{path}[{i}]")
