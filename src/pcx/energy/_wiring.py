"""Facts that a traced energy shows of its nodes: the graph, which energies are local, which are squared errors."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import jax.tree_util as jtu
from jaxtyping import PyTree

from ._dataflow import Program
from ._graph import Graph
from ._half_square import is_half_square
from ._local_gradients import LocalGradients


class Wiring:
    """The places of each node's value, prediction and energy among the numbered values of a program.

    **Arguments:**

    - `program`: all energies at given values of the nodes, see `energies_at`.
    - `h`: each node's value; `u`: its prediction, None if it has none; `energy`: its energy, of nodes that have one.
    - `weights`: `{path: numbers}`.

    **Attributes:**

    - `graph`: which node's value reaches which node's energy.
    - `local`: the nodes whose energy is a function of nothing but h, u and weights.
    - `node_of`: the node of each number of a value.
    - `gradients`: those of single energies.
    """

    def __init__(
        self,
        program: Program,
        h: Mapping[str, int],
        u: Mapping[str, int | None],
        energy: Mapping[str, int],
        weights: Mapping[str, PyTree],
    ) -> None:
        self.program, self.h, self.u, self.energy = program, dict(h), dict(u), dict(energy)
        self.gradients = LocalGradients(program)
        self._paths = {i: (k, path) for k, path in enumerate(weights) for i in jtu.tree_leaves(weights[path])}
        self.node_of = {number: name for name, number in self.h.items()}
        place = {name: i for i, name in enumerate(self.h)}
        parents: dict[str, list[str]] = {}
        local: set[str] = set()
        for name in self.h:
            u_id = self.u[name]
            above = set() if u_id is None else self._inputs_of([u_id], ())
            if name in self.energy and u_id is not None:
                rest = self._inputs_of([self.energy[name]], {u_id, self.h[name]})
                if self.node_of.keys().isdisjoint(rest) and u_id != self.h[name]:
                    local.add(name)
                above |= rest
            met = {self.node_of[i] for i in above if i in self.node_of} - {name}
            parents[name] = sorted(met, key=lambda n: place[n])
        self.graph, self.local = Graph(parents), frozenset(local)

    def _inputs_of(self, wanted: Sequence[int], given: Collection[int]) -> set[int]:
        inputs = set(self.program.needed(wanted, given)[1])
        return inputs | {w for w in wanted if w in self.node_of}

    def predicted_from(self, sources: PyTree) -> tuple[str, ...]:
        """Return the nodes whose prediction is computed from these values otherwise than through a node's value.

        **Arguments:**

        - `sources`: numbers of the program's values.
        """
        reached = self.program.reached(jtu.tree_leaves(sources))
        return tuple([n for n, u in self.u.items() if u in reached])

    def weights_of(self, name: str) -> tuple[str, ...]:
        """Return the paths of the weights that a node's prediction or energy is computed from."""
        return self._weights_among([i for i in (self.u[name], self.energy.get(name)) if i is not None], ())

    def weights_in_energy(self, name: str) -> tuple[str, ...]:
        """Return the paths of the weights that a local energy is computed from beside its value and its prediction."""
        return self._weights_among([self.energy[name]], [i for i in (self.h[name], self.u[name]) if i is not None])

    def _weights_among(self, wanted: Sequence[int], given: Iterable[int]) -> tuple[str, ...]:
        inputs = self._inputs_of(wanted, tuple(given))
        return tuple([path for _, path in sorted({self._paths[i] for i in inputs if i in self._paths})])

    def is_difference(self, name: str) -> bool:
        """Return whether a node's energy reads value and prediction only as their difference, whatever a subclass makes
        of either."""
        h, u, wanted = self.h[name], self.u[name], self.energy.get(name)
        if wanted is None or u is None:
            return True
        same = {h: "h", u: "u"}
        ops = [self.program.ops[i] for i in self.program.needed([wanted], same)[0]]
        for op in ops:
            if op.eqn.primitive.name == "convert_element_type" and op.inputs[0] in same:
                same[op.outputs[0]] = same[op.inputs[0]]
        uses = [op for op in ops if op.eqn.primitive.name != "convert_element_type" and set(op.inputs) & set(same)]
        return all(op.eqn.primitive.name == "sub" and {same.get(i) for i in op.inputs} == {"h", "u"} for op in uses)

    def is_half_square(self, name: str) -> bool:
        """Return whether a node's energy is proved to be half the square of the difference of value and prediction."""
        h, u, wanted = self.h[name], self.u[name], self.energy.get(name)
        if wanted is None or u is None or name not in self.local:
            return False
        ops = [self.program.ops[i] for i in self.program.needed([wanted], (h, u))[0]]
        return is_half_square(ops, self.program.constants, h, u, wanted)
