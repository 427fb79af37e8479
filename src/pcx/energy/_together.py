"""Equal local predictions computed together: a group's program, once, over the stacked arrays of its nodes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jax import Array

from ._functions import Functions
from ._loops import scan
from ._runs import Group
from ._stacks import Block, Stacks, gathered

if TYPE_CHECKING:
    from ._problem import Problem

Form: TypeAlias = Literal["stacked", "looped"]
"""How a group is computed: its arrays as stacks, by one operation each; or node by node in one compiled loop."""


class Part(NamedTuple):
    """Some nodes of a group, side by side, that are computed together.

    **Attributes:**

    - `group`: the group; `start`, `stop`: the places in it.
    """

    group: Group
    start: int
    stop: int

    @property
    def names(self) -> Block:
        """The names of the nodes."""
        return self.group.names[self.start : self.stop]


def given_to(part: Part, places: Sequence[int], grads: Sequence[Array]) -> list[tuple[tuple[Any, ...], Array]]:
    """Return gradients by inputs of a part's nodes with what they belong to: names of nodes, or numbers of arrays.

    **Arguments:**

    - `part`: the part.
    - `places`: of the inputs among the group's slots.
    - `grads`: for each a stack, `[nodes, *shape]`; what all nodes share gets the sum.
    """
    found: list[tuple[tuple[Any, ...], Array]] = []
    for i, grad in zip(places, grads, strict=True):
        slot = part.group.slots[i]
        owners = slot.names if slot.kind == "value" else slot.numbers
        found.append((owners[:1], jnp.sum(grad, axis=0)) if slot.same else (owners[part.start : part.stop], grad))
    return found


class Together:
    """The groups of a problem at some arrays.

    **Arguments:**

    - `functions`: the problem's functions at these arrays.
    - `form`: how groups are computed.
    """

    def __init__(self, functions: Functions, form: Form) -> None:
        self.functions, self.form = functions, form
        self.problem: Problem = functions.problem
        self._program = self.problem.wiring.program
        self.places = {
            n: (group, i) for run in self.problem.runs for group in run.groups for i, n in enumerate(group.names)
        }
        # Made here, outside of any loop.
        self._stacks: dict[tuple[int, ...], Array] = {}
        for run in self.problem.runs:
            for group in run.groups:
                for slot in group.slots:
                    if slot.kind == "array" and not slot.same and slot.numbers not in self._stacks:
                        self._stacks[slot.numbers] = self._stack_of(slot.numbers)

    def _stack_of(self, numbers: tuple[int, ...]) -> Array:
        """Return some of the model's arrays as a stack."""
        places, weights = self.problem.weight_places, self.functions.inputs.weights
        if all(i in places for i in numbers):
            paths = tuple([places[i][0] for i in numbers])
            if all(len(self.problem.weight_numbers[p]) == 1 for p in paths):
                return jtu.tree_leaves(gathered(paths, weights))[0]
        return jnp.stack([self.functions.known[i] for i in numbers])

    # -- which nodes together -------------------------------------------------------------------------
    def parts(self, names: Iterable[str], alike: Callable[[str], Any]) -> tuple[list[Part], list[str]]:
        """Return the parts of groups that nodes make up, and the nodes that stand alone.

        **Arguments:**

        - `names`: of nodes.
        - `alike`: gives what must be equal for nodes of one part.
        """
        wanted = list(names)
        inside: dict[int, dict[int, str]] = {}
        groups: dict[int, Group] = {}
        singles: list[str] = []
        for name in wanted:
            if name in self.places:
                group, i = self.places[name]
                inside.setdefault(id(group), {})[i] = name
                groups[id(group)] = group
            else:
                singles.append(name)
        parts: list[Part] = []
        for number, members in inside.items():
            group, ordered = groups[number], sorted(members)
            start = ordered[0]
            kinds = {i: alike(members[i]) for i in ordered}
            for before, i in zip(ordered, [*ordered[1:], None], strict=True):
                if i is None or i != before + 1 or kinds[i] != kinds[start]:
                    if before == start:
                        singles.append(members[start])
                    else:
                        parts.append(Part(group, start, before + 1))
                    start = i if i is not None else start
        return parts, singles

    # -- a part's functions ---------------------------------------------------------------------------
    def arguments(self, part: Part, values: Mapping[str, Any]) -> tuple[list[Any], list[int | None]]:
        """Return the inputs of a part's program, slot by slot, and the axis of each that is the part's; None for inputs
        that all nodes of the part share.

        **Arguments:**

        - `part`: the part.
        - `values`: of the nodes that it reads, `{node: [batch, *shape]}`.
        """
        found = [self.argument(part, i, values) for i in range(len(part.group.slots))]
        return [a for a, _ in found], [axis for _, axis in found]

    def argument(self, part: Part, i: int, *values: Mapping[str, Any]) -> tuple[Any, int | None]:
        """Return one of the inputs of a part's program, see `arguments`; a value from the first that has it."""
        slot = part.group.slots[i]
        if slot.kind == "value":
            if slot.same:
                return gathered(slot.names[:1], *values), None
            return gathered(slot.names[part.start : part.stop], *values), 0
        if slot.kind == "array" and not slot.same:
            stack = self._stacks[slot.numbers]
            whole = (part.start, part.stop) == (0, len(part.group.names))
            return (stack if whole else stack[part.start : part.stop]), 0
        return self.functions.known[slot.numbers[0] if slot.kind == "array" else slot.number], None

    def read_by_prediction(self, group: Group) -> frozenset[int]:
        """Return the places of the slots that a group's predictions are computed from."""
        read = set(self._program.needed(group.wanted[:1], ())[1]) | set(group.wanted[:1])
        return frozenset([i for i, slot in enumerate(group.slots) if slot.number in read])

    def evaluated(self, group: Group, wanted: Sequence[int], arguments: Sequence[Any]) -> list[Array]:
        """Return values of the program of a group's first node, at other arguments in the places of its inputs."""
        known = {slot.number: a for slot, a in zip(group.slots, arguments, strict=True) if a is not None}
        return self._program.evaluate(list(wanted), known)

    def over(self, fn: Callable[..., Any], axes: Sequence[Any]) -> Callable[..., Any]:
        """Return a function of one node's arguments as one of a part's.

        **Arguments:**

        - `fn`: the function.
        - `axes`: the axis of each argument that is the part's, as in `jax.vmap`; None for what all share.
        """
        if self.form == "stacked":
            return jax.vmap(fn, in_axes=tuple(axes))
        return functools.partial(_looped, fn, tuple(axes))

    def energies(self, part: Part, values: Mapping[str, Any]) -> Array:
        """Return the energies of a part's nodes.

        **Arguments:**

        - `part`: the part, of nodes that have an energy.
        - `values`: of the nodes that it reads, `{node: [batch, *shape]}`.

        **Returns:** elementwise as a rule, `[nodes, batch, *shape]`; or `[nodes, batch]`.
        """
        arguments, axes = self.arguments(part, values)
        return self.over(lambda *a: self.evaluated(part.group, part.group.wanted[1:], a)[0], axes)(*arguments)

    def predictions(self, part: Part, values: Mapping[str, Any]) -> Array:
        """Return the predictions of a part's nodes, `[nodes, batch, *shape]`; the arguments are those of `energies`."""
        arguments, axes = self.arguments(part, values)
        return self.over(lambda *a: self.evaluated(part.group, part.group.wanted[:1], a)[0], axes)(*arguments)

    def all_predictions(self, names: Iterable[str], values: Mapping[str, Any]) -> Stacks:
        """Return the predictions of nodes that have one, `{node: [batch, *shape]}`.

        **Arguments:**

        - `names`: of nodes.
        - `values`: of the nodes that these are predicted from, likewise.
        """
        parts, singles = self.parts([n for n in names if self.problem.has_prediction(n)], lambda n: None)
        found: list[tuple[Block, Any]] = [(p.names, self.predictions(p, values)) for p in parts]
        for name in singles:
            above = {n: values[n] for n in self.problem.graph.parents[name]}
            found.append(((name,), self.functions.predict(name, above)))
        return Stacks([n for n, _ in found], [u for _, u in found])


def _looped(fn: Callable[..., Any], axes: tuple[Any, ...], *arguments: Any) -> Any:
    """Return what `jax.vmap` would, by a loop."""
    leaves, treedef = jtu.tree_flatten(arguments, is_leaf=lambda a: a is None)
    each = jtu.tree_leaves(_spread(axes, arguments), is_leaf=lambda a: a is None)
    stacked = [a for a, axis in zip(leaves, each, strict=True) if axis is not None]

    def body(carry: None, some: list[Any]) -> tuple[None, Any]:
        rest = iter(some)
        one = [a if axis is None else next(rest) for a, axis in zip(leaves, each, strict=True)]
        return None, fn(*jtu.tree_unflatten(treedef, one))

    return scan(body, None, stacked)[1]


def _spread(axes: Any, tree: Any) -> Any:
    """Return the axis of each leaf, None included, from those of a tree's parts."""
    if isinstance(axes, (tuple, list)):
        return [_spread(a, t) for a, t in zip(axes, tree, strict=True)]
    return jtu.tree_map(lambda a: None if a is None else axes, tree, is_leaf=lambda a: a is None)
