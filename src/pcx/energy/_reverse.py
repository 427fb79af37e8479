"""A forward pass and one reverse sweep over its local predictions, with runs of equal layers as loops.

The same as `LocalVJPs` in groups: the forward loop hands the vector-Jacobian products of its predictions on to the
reverse one, so that no product is computed twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import jax.numpy as jnp
from jax import Array
from jaxtyping import PyTree

from ._added_up import added_up
from ._loops import scan
from ._pulls import Pulls
from ._runs import Run
from ._stacks import Block, Stacks
from ._together import Part
from ._types import NodesIn, Weights
from ._weight_terms import Term, add_weights, mean_gradient

if TYPE_CHECKING:
    from ._bound import Bound

Visit: TypeAlias = Callable[[Block, Array, Array], tuple[Array, PyTree]]
"""What is made of a free node's gradient and its value: the cotangent of its prediction, and anything else."""


class Swept(NamedTuple):
    """The outcome of a reverse sweep.

    **Attributes:**

    - `gradient`: of the weights, `{path: array}`, the mean over the batch.
    - `more`: what else was made of each free node, by node, in blocks.
    """

    gradient: Any
    more: Stacks


class Reverse:
    """A forward pass whose local predictions can be swept through backwards, once.

    **Arguments:**

    - `bound`: the problem and its arrays, with equal layers computed together.
    - `clamped`: values of the clamped nodes, `{node: [batch, *shape]}`.

    **Attributes:**

    - `h`, `u`: values and predictions by node, in blocks.
    """

    def __init__(self, bound: Bound, clamped: NodesIn) -> None:
        self._pulls = Pulls(bound, clamped)
        self._bound, self._clamped, self._problem = bound, dict(clamped), bound.problem
        self._order = self._problem.graph.order
        self.h, self.u = self._pulls.h, self._pulls.u

    def sweep(self, ends: NodesIn, own: Weights, visit: Visit) -> Swept:
        """Carry cotangents back from the clamped nodes.

        **Arguments:**

        - `ends`: the cotangents of the clamped nodes' predictions, of those with an energy, `{node: [batch, *shape]}`.
        - `own`: further gradients of weights, summed over the batch, `{path: array}`.
        - `visit`: what is made of each free node.

        **Returns:** the weights' gradient, and what was made of the nodes.
        """
        p = self._problem
        pending: dict[str, Array] = {}
        alone: Weights = dict(own)
        terms: list[Term] = []
        more: list[tuple[Block, PyTree]] = []
        for item in reversed(self._problem.items):
            if not isinstance(item, str):
                made, found = self._back(item, pending, visit)
                more += made
                terms += found
                continue
            if item in self._clamped:
                grad = ends.get(item)
            else:
                grad, made = visit((item,), pending.pop(item), self.h[item])
                more.append(((item,), made))
            if grad is not None and p.has_prediction(item):
                above, weights = self._pulled(partial(self._pulls.pullback, item), grad)
                for n, g in above.items():
                    self._give(pending, n, g)
                add_weights(alone, weights)
        return Swept(mean_gradient(self._bound, alone, terms), Stacks([n for n, _ in more], [m for _, m in more]))

    def _pulled(self, pull: Any, grad: Array) -> tuple[Any, Any]:
        """Return what a cotangent gives for values and for weights: the weights of samples count for these alone."""
        samples = self._bound.samples
        if samples.weight is None:
            return pull(grad)
        return pull(grad)[0], pull(samples.weighted(grad))[1]

    def _give(self, pending: dict[str, Array], name: str, grad: Array) -> None:
        if name not in self._clamped:
            pending[name] = grad if name not in pending else pending[name] + grad

    def _back(self, run: Run, pending: dict[str, Array], visit: Visit) -> tuple[list[tuple[Block, PyTree]], list[Term]]:
        """Sweep through a run, from its last repetition to its first."""
        order, period, count = self._order, len(run.groups), run.repeats
        parts = [Part(group, 0, count) for group in run.groups]
        slots = [self._pulls.slots(part) for part in parts]
        reads = [
            [run.place_read(order, part.group.slots[i]) for i in values]
            for part, (values, _) in zip(parts, slots, strict=True)
        ]
        depth = run.depths(order)
        h = [self.h.stacks[self.h.blocks.index(part.names)] for part in parts]
        ring = {k: [jnp.zeros_like(h[k][0]) for _ in range(back + 1)] for k, back in depth.items()}
        # What comes from outside, node by node.
        given = {
            k: added_up(part.names, [((n,), pending.pop(n)) for n in part.names if n in pending])
            for k, part in enumerate(parts)
            if any(n in pending for n in part.names)
        }
        same = {
            n: jnp.zeros_like(self.h[n])
            for part, (values, _), at in zip(parts, slots, reads, strict=True)
            for i, a in zip(values, at, strict=True)
            if a is None and (n := part.group.slots[i].names[0]) not in self._clamped
        }
        shared = [[part.group.slots[i].same for i in weights] for part, (_, weights) in zip(parts, slots, strict=True)]
        sums = [
            [jnp.zeros_like(self._array(part, i)) for i, s in zip(weights, same_of, strict=True) if s]
            for part, (_, weights), same_of in zip(parts, slots, shared, strict=True)
        ]

        def cell(carry: Any, xs: Any) -> tuple[Any, Any]:
            ring, same, sums = carry
            pulls, values, own = xs
            ring, same, sums = {k: list(v) for k, v in ring.items()}, dict(same), [list(s) for s in sums]
            made: list[Any] = [None] * period
            grads: list[Any] = [None] * period
            for k in reversed(range(period)):
                arriving = ring[k][0] + own[k] if k in own else ring[k][0]
                cotangent, made[k] = visit(parts[k].names, arriving, values[k])
                above, weights = self._pulled(pulls[k], cotangent)
                for i, at, g in zip(slots[k][0], reads[k], above, strict=True):
                    if at is not None:
                        ring[at[0]][at[1]] = ring[at[0]][at[1]] + g
                    elif (name := parts[k].group.slots[i].names[0]) in same:
                        same[name] = same[name] + g
                sums[k] = [a + g for a, g in zip(sums[k], _those(weights, shared[k], True), strict=True)]
                grads[k] = _those(weights, shared[k], False)
            ring = {k: [*v[1:], jnp.zeros_like(v[0])] for k, v in ring.items()}
            return (ring, same, sums), (made, grads)

        xs = (self._pulls.of_run(run), h, given)
        (ring, same, sums), (made, grads) = scan(cell, (ring, same, sums), xs, reverse=True)
        for k, waiting in ring.items():
            for name, grad in zip(run.before(order, k, depth[k]), waiting, strict=False):
                if name is not None:
                    self._give(pending, name, grad)
        for name, grad in same.items():
            self._give(pending, name, grad)
        terms: list[Term] = []
        for k, part in enumerate(parts):
            each = [part.group.slots[i].numbers for i in slots[k][1]]
            terms += zip(_those(each, shared[k], True), sums[k], strict=True)
            terms += zip(_those(each, shared[k], False), grads[k], strict=True)
        return [(part.names, m) for part, m in zip(parts, made, strict=True)], terms

    def _array(self, part: Part, i: int) -> Array:
        return self._pulls.together.argument(part, i, {})[0]


def _those(values: Sequence[Any], which: Sequence[bool], wanted: bool) -> list[Any]:
    return [v for v, w in zip(values, which, strict=True) if w == wanted]
