"""Runs of equal local predictions, one after the other: layers that repeat.

A *run* is a stretch of the nodes, parents before children, in which the same local programs come again and again, each
time with other weights and values: one node a time in a plain network, several in one of blocks. The nodes at the same
place of each repetition are a *group*: one program computes all of their predictions and energies, over stacked arrays.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Literal, NamedTuple

from ._locals import Local
from ._stacks import Block


class Slot(NamedTuple):
    """An input of the local programs of a group.

    **Attributes:**

    - `number`: of the input in the program of the group's first node.
    - `kind`: `"value"` of a node, `"array"` of the model (a weight, as a rule), or `"shared"`, the same for all.
    - `names`: of values, the node for each member of the group; the same one again and again where all are predicted
        from it.
    - `numbers`: of arrays, the number of the input for each member; one number where all have the same.
    - `back`: of values, how many repetitions before its own the node stands in the run; None if it isn't in the run,
        0 if it is earlier in the same repetition, or the node itself.
    """

    number: int
    kind: Literal["value", "array", "shared"]
    names: Block = ()
    numbers: tuple[int, ...] = ()
    back: int | None = None

    @property
    def same(self) -> bool:
        """True if all members of the group have the same."""
        return len(set(self.names)) == 1 if self.kind == "value" else len(self.numbers) == 1


class Group(NamedTuple):
    """Nodes whose local programs are equal.

    **Attributes:**

    - `names`: the nodes, parents before children.
    - `slots`: the inputs of their programs.
    - `wanted`: the numbers of prediction and energy of the first node; the latter is missing if there is none.
    """

    names: Block
    slots: tuple[Slot, ...]
    wanted: tuple[int, ...]


class Run(NamedTuple):
    """A stretch of nodes in which equal local programs repeat.

    **Attributes:**

    - `start`: the place of its first node in the order of the graph.
    - `groups`: one for each place of a repetition, of equal length.
    """

    start: int
    groups: tuple[Group, ...]

    @property
    def repeats(self) -> int:
        """The number of repetitions."""
        return len(self.groups[0].names)

    @property
    def stop(self) -> int:
        """The place after its last node."""
        return self.start + self.repeats * len(self.groups)

    def place_read(self, order: Sequence[str], slot: Slot) -> tuple[int, int] | None:
        """Return the place in a repetition of the node that a slot reads, and how many repetitions back it is; None for
        what is no node of the run."""
        if slot.back is None:
            return None
        return (order.index(slot.names[0]) - self.start) % len(self.groups), slot.back

    def depths(self, order: Sequence[str]) -> dict[int, int]:
        """Return how many repetitions back values are read, by the place in the repetition."""
        depth = dict.fromkeys(range(len(self.groups)), 0)
        for at in [self.place_read(order, slot) for group in self.groups for slot in group.slots]:
            if at is not None:
                depth[at[0]] = max(depth[at[0]], at[1])
        return depth

    def before(self, order: Sequence[str], k: int, back: int) -> list[str | None]:
        """Return the nodes before a run that its first repetitions read as they do their own nodes at a place, the
        nearest first; None in the place of nodes that they don't read so, which may be of another shape.

        **Arguments:**

        - `order`: the nodes in the order of the graph.
        - `k`: the place in the repetition.
        - `back`: how many repetitions to go back.
        """
        read = {
            n
            for group in self.groups
            for slot in group.slots
            if (at := self.place_read(order, slot)) is not None and at[0] == k and at[1] > 0
            for n in slot.names
        }
        places = [self.start + k - len(self.groups) * (j + 1) for j in range(back)]
        return [order[at] if at >= 0 and order[at] in read else None for at in places]


LONGEST = 16  # nodes in one repetition


class Sources(NamedTuple):
    """The meaning of the numbers of a program's inputs.

    **Attributes:**

    - `values`: the node of each value.
    - `arrays`: of the model's own arrays, what must be equal where equal layers each have another: whether it learns.
    """

    values: Mapping[int, str]
    arrays: Mapping[int, Hashable]


def runs_of(order: Sequence[str], locals_: Mapping[str, Local], inputs: Sources, least: int = 2) -> tuple[Run, ...]:
    """Return the runs of a graph, none of which overlap.

    **Arguments:**

    - `order`: the nodes, parents before children.
    - `locals_`: the local programs of those that may be in a run.
    - `inputs`: what these read.
    - `least`: the fewest repetitions that make a run.
    """
    return _Search(order, locals_, inputs).runs(least)


class _Search:
    """The search for runs, see `runs_of`."""

    def __init__(self, order: Sequence[str], locals_: Mapping[str, Local], inputs: Sources) -> None:
        self._order, self._locals, self._inputs = order, locals_, inputs
        self._place = {n: i for i, n in enumerate(order)}

    def runs(self, least: int) -> tuple[Run, ...]:
        """Return the runs, from the first node on."""
        runs: list[Run] = []
        at = 0
        while at < len(self._order):
            best: tuple[int, int] | None = None  # nodes covered, and those of a repetition
            for period in range(1, LONGEST + 1):
                count = self._repetitions(at, period)
                if count >= least and (best is None or count * period > best[0]):
                    best = count * period, period
                if best is not None and best[0] >= len(self._order) - at - period:
                    break
            if best is None:
                at += 1
                continue
            runs.append(self._run(at, *best))
            at = runs[-1].stop
        return tuple(runs)

    def _repetitions(self, at: int, period: int) -> int:
        """Return how many times the nodes from a place on come again, with the first."""
        order = self._order
        first: list[Hashable] = []
        i = at
        while i + period < len(order):
            kinds = self._kinds(i, period)
            if kinds is None:
                break
            if len(first) < period:
                first.append(kinds)
            elif first[(i - at) % period] != kinds:
                break
            i += 1
        whole = (i - at) // period
        return whole + 1 if whole else (1 if all(n in self._locals for n in order[at : at + period]) else 0)

    def _kinds(self, i: int, period: int) -> Hashable | None:
        """Return how the inputs of a node differ from those of the node a repetition later; None if these aren't
        alike."""
        a, b = self._locals.get(self._order[i]), self._locals.get(self._order[i + period])
        if a is None or b is None or a.key != b.key or len(a.slots) != len(b.slots):
            return None
        values, arrays = self._inputs
        kinds: list[str] = []
        for x, y in zip(a.slots, b.slots, strict=True):
            if x == y:
                kinds.append("same")
            elif x in values and y in values:
                if self._place[values[y]] - self._place[values[x]] != period:
                    return None
                kinds.append("moved")
            elif x in arrays and y in arrays and arrays[x] == arrays[y]:
                kinds.append("other")
            else:
                return None
        return tuple(kinds)

    def _run(self, at: int, covered: int, period: int) -> Run:
        """Return the run of the nodes from a place on."""
        values, arrays = self._inputs
        groups = []
        for k in range(period):
            names = tuple(self._order[at + k : at + covered : period])
            programs = [self._locals[n] for n in names]
            slots = []
            for j, number in enumerate(programs[0].slots):
                numbers = tuple([p.slots[j] for p in programs])
                if number in values:
                    nodes = tuple([values[i] for i in numbers])
                    first = self._place[nodes[0]]
                    inside = at + k >= first and len(set(nodes)) > 1
                    slots.append(Slot(number, "value", nodes, back=-((first - at) // period) if inside else None))
                elif number in arrays:
                    slots.append(Slot(number, "array", numbers=numbers if len(set(numbers)) > 1 else numbers[:1]))
                else:
                    slots.append(Slot(number, "shared"))
            groups.append(Group(names, tuple(slots), programs[0].wanted))
        return Run(at, tuple(groups))
