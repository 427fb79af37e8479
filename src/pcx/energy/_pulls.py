"""A forward pass that keeps the vector-Jacobian product of each local prediction, with runs of equal layers as loops.

The same as `LocalVJPs`, in groups: of a group the products lie in stacks, as arrays do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.tree_util as jtu
from jax import Array
from jaxtyping import PyTree

from ._follow import follow
from ._local import clamped_energy
from ._runs import Run
from ._stacks import Block, updated
from ._together import Part, Together, given_to
from ._types import Factors, Nodes, NodesIn, Weights
from ._weight_terms import Term

if TYPE_CHECKING:
    from ._bound import Bound


class Pulls:
    """A forward pass in which every node's prediction has its vector-Jacobian product, see `LocalVJPs`.

    **Arguments:**

    - `bound`: the problem and its arrays, with equal layers computed together.
    - `clamped`: values of the clamped nodes, `{node: [batch, *shape]}`.
    - `scale`: factors of their energies, by name.

    **Attributes:**

    - `h`, `u`: values and predictions by node, in blocks of the groups.
    """

    def __init__(self, bound: Bound, clamped: NodesIn, scale: Factors | None = None) -> None:
        found = bound.together
        assert found is not None, "made where there are groups"
        self.together: Together = found
        self._bound, self._clamped, self._scale = bound, dict(clamped), dict(scale or {})
        self._alone: dict[str, Any] = {}
        self._of_group: dict[int, Any] = {}
        self.h: Any = {}
        self.u: Any = {}
        for item in bound.problem.items:
            if isinstance(item, str):
                self._predict(item)
                continue
            made = follow(found, item, lambda n: self.h[n], emit=self._emit)
            self._of_group |= {id(group): pull for group, pull in zip(item.groups, made.more, strict=True)}
            self.h, self.u = updated(self.h, made.h), updated(self.u, made.u)

    def _predict(self, name: str) -> None:
        """Predict a node that stands alone."""
        p, functions = self._bound.problem, self._bound.functions
        vjp: Any = jax.vjp
        made, self._alone[name] = vjp(
            lambda above, own: functions.predict(name, above, own),
            {n: self.h[n] for n in p.graph.parents[name]},
            {w: self._bound.weights[w] for w in p.weights_of(name)},
        )
        if made is not None:
            self.u = updated(self.u, {name: made})
        self.h = updated(self.h, {name: self._clamped.get(name, made)})

    def _emit(self, part: Part, arguments: Sequence[Any]) -> tuple[Array, PyTree]:
        values, weights = self.slots(part)

        def predict(above: list[Array], own: list[Array]) -> Array:
            at = list(arguments)
            for i, a in [*zip(values, above, strict=True), *zip(weights, own, strict=True)]:
                at[i] = a
            return self.together.evaluated(part.group, part.group.wanted[:1], at)[0]

        return jax.vjp(predict, [arguments[i] for i in values], [arguments[i] for i in weights])

    def slots(self, part: Part) -> tuple[list[int], list[int]]:
        """Return the places of the values that a part's predictions read, and of its weights."""
        learn, slots = self._bound.problem.weight_places, part.group.slots
        own = self.together.read_by_prediction(part.group)
        values = [i for i, s in enumerate(slots) if s.kind == "value" and i in own]
        return values, [i for i, s in enumerate(slots) if s.kind == "array" and s.numbers[0] in learn and i in own]

    # -- cotangents back through predictions ----------------------------------------------------------
    def of_run(self, run: Run) -> list[Any]:
        """Return the products of a run's groups, stacked: each a function of a cotangent that gives those of the values
        and of the weights, as `slots` names them."""
        return [self._of_group[id(group)] for group in run.groups]

    def pullback(self, name: str, cotangent: Array) -> tuple[Nodes, Weights]:
        """Carry a cotangent back through the prediction of a node that is in no group, see `LocalVJPs.pullback`."""
        return self._alone[name](cotangent)

    def of_one(self, name: str, cotangent: Array) -> tuple[list[tuple[Block, Array]], Weights, list[Term]]:
        """Carry a cotangent back through the prediction of one node, of a group or not.

        **Arguments:**

        - `name`: the node.
        - `cotangent`: of its prediction, `[batch, *shape]`.

        **Returns:** names of nodes with the cotangents of their values; those of its weights, summed over the batch, by
        path; and those of weights in groups.
        """
        if name in self._alone:
            above, own = self.pullback(name, cotangent)
            return [((n,), g) for n, g in above.items()], own, []
        group, i = self.together.places[name]
        values, weights = self.slots(Part(group, i, i + 1))
        above, own = jtu.tree_map(lambda a: a[i], self._of_group[id(group)])(cotangent)
        read = [((group.slots[k].names[i],), g) for k, g in zip(values, above, strict=True)]
        numbers = [group.slots[k].numbers for k in weights]
        return read, {}, [((n[0 if len(n) == 1 else i],), g) for n, g in zip(numbers, own, strict=True)]

    def values_of(self, part: Part, cotangents: Array) -> list[tuple[Block, Array]]:
        """Return what cotangents of a part's predictions give for the values that these are made of.

        **Arguments:**

        - `part`: the part.
        - `cotangents`: `[nodes, batch, *shape]`.

        **Returns:** names of nodes with their arrays.
        """
        grads = self.together.over(lambda pull, c: pull(c)[0], (0, 0))(self._of_part(part), cotangents)
        return given_to(part, self.slots(part)[0], grads)

    def weights_of(self, part: Part, cotangents: Array) -> list[Term]:
        """Return what they give for the weights, summed over the batch; see `values_of`."""
        grads = self.together.over(lambda pull, c: pull(c)[1], (0, 0))(self._of_part(part), cotangents)
        return given_to(part, self.slots(part)[1], grads)

    def _of_part(self, part: Part) -> Any:
        whole = (part.start, part.stop) == (0, len(part.group.names))
        pull = self._of_group[id(part.group)]
        return pull if whole else jtu.tree_map(lambda a: a[part.start : part.stop], pull)

    # -- clamped nodes --------------------------------------------------------------------------------
    def clamped_energy(self, name: str) -> tuple[Array, Array]:
        """Return the energy of a clamped node and its gradient by the prediction, `[batch]` and `[batch, *shape]`."""
        return clamped_energy(self._bound, name, self._clamped[name], self.u[name], self._scale.get(name))
