"""Zero-divergence inference learning (Z-IL): backpropagation's update by one sweep of local steps."""

from __future__ import annotations

from typing import Any, Unpack

import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import PyTree

from ..core import Choice
from ..energy import (
    Block,
    Bound,
    Energies,
    ForwardPass,
    LocalVJPs,
    Nodes,
    PolicyLike,
    Problem,
    Reverse,
    Weights,
    add,
    add_parts,
    add_weights,
    blocks_of,
    blockwise,
    check_errors,
    clamped_energy,
    energies_of_errors,
    energies_without_errors,
    mean_gradient,
    own_gradient,
    updated,
)
from ..inference import Descent, DescentLike, as_descent, find_bad
from ..nn import LayerParam
from ._idle import from_outputs
from ._reach import check_moves
from ._rule import Memory, Rule
from ._types import Call, EqualLayers, Optimiser, PrecisionLike, RuleOptions
from ._update import Update


class ZIL(Rule):
    """One reverse sweep of local steps, see `zil`.

    Only the nodes at the wave-front change, so all T steps together are one sweep of local vector-Jacobian products.
    Errors are carried as such, not as h - u, and so keep their digits.
    """

    def __init__(
        self,
        optim_w: Optimiser,
        optim_h: DescentLike | None,
        level: bool,
        **options: Unpack[RuleOptions],
    ) -> None:
        super().__init__(optim_w, **options)
        self.descent = as_descent(self.name, optax.sgd(1.0) if optim_h is None else optim_h)
        if self.descent.random:
            raise ValueError(
                f"zil: each node takes one step, which {type(self.descent).__name__} is not made for; give a descent "
                "such as optax.sgd(1.0), or none"
            )
        self.level = level

    in_stacks = True

    @property
    def name(self) -> str:
        return "zil"

    def check(self, problem: Problem) -> None:
        super().check(problem)
        check_errors("zil", problem)
        self.descent.check("zil", problem.free, problem.nodes)
        check_moves("zil", problem, self.descent, 1, settles_outputs=False)
        if not self.level:
            check_level(problem)

    def learning_weights(self, problem: Problem) -> set[str]:
        return from_outputs(problem)

    def can_stack(self, problem: Problem) -> bool:
        # A node that errors reach on ways of different length, or never, is one by itself.
        _, furthest = problem.graph.distances([n for n in problem.clamped if not problem.nodes[n].silent])
        groups = [group.names for run in problem.runs for group in run.groups]
        children = problem.graph.children
        level = all(furthest[n] - furthest[c] == 1 for n in furthest for c in children[n] if c in furthest)
        reached = all(n in furthest for n in problem.free)
        return level and reached and all(len({self.descent.kind(n) for n in names}) == 1 for names in groups)

    def learn(self, bound: Bound, forward: ForwardPass, memory: Memory) -> Update:
        grouped = {n for run in bound.problem.runs for group in run.groups for n in group.names}
        if bound.together is not None and not grouped & set(bound.precision):
            return self._learn_together(bound, forward.targets)
        p, targets = bound.problem, forward.targets
        vjps = LocalVJPs(bound, targets)
        energies: Energies = {}
        elements: Nodes = {}
        terms: dict[str, list[PyTree]] = {}
        arriving: Nodes = {}  # dE/dh of the nodes that the sweep has yet to come to
        _, furthest = p.graph.distances([n for n in p.clamped if not p.nodes[n].silent])
        for name in sorted(furthest, key=lambda n: furthest[n]):
            if name in targets and p.nodes[name].silent:
                continue  # clamped, and without an error of its own
            if name in targets:
                energies[name], grad = vjps.clamped_energy(name)
                elements[name] = vjps.elements(name)
                add_parts(terms, vjps.own_gradient(name))
            else:
                error = _step(self.descent.at(name), arriving.pop(name), vjps.h[name])
                energies[name], elements[name] = vjps.energy_of_error(name, error), 0.5 * jnp.square(error)
                grad = vjps.grad_of_error(name, error)
            above, own = vjps.weighted_pullback(name, grad)
            add_parts(terms, own)
            above = {n: g for n, g in above.items() if n not in targets}
            add(arriving, [(n, self._delayed(vjps, n, g, furthest[n] - furthest[name] - 1)) for n, g in above.items()])
        # The error's energy is finite where the error is.
        bad = find_bad(tuple(p.nodes), [(n, e) for n, e in energies.items() if n not in targets], furthest)
        # The gradient is that of the energy at the forward pass, where no free node has an error.
        before = energies_without_errors(bound) | {n: e for n, e in energies.items() if n in targets}
        return Update(
            mean_gradient(bound, terms),
            energies,
            elements,
            before,
            jnp.array(False),  # a step for each node: there is no descent that could go up
            max(furthest.values()),
            bad,
            value=before,
        )

    def _learn_together(self, bound: Bound, targets: Nodes) -> Update:
        """Learn by a sweep in which equal layers are one loop."""
        p = bound.problem
        reverse = Reverse(bound, targets)
        ends: Nodes = {}
        own: Weights = {}
        clamped: Energies = {}
        elements: Nodes = {}
        for name in [n for n in p.clamped if not p.nodes[n].silent]:
            clamped[name], ends[name] = clamped_energy(bound, name, targets[name], reverse.u[name])
            elements[name] = bound.functions.elements(name, targets[name], reverse.u[name])
            add_weights(own, own_gradient(bound, name, targets[name], reverse.u[name]))

        def visit(names: Block, gradient: Array, value: Array) -> tuple[Array, PyTree]:
            error = _step(self.descent.at(names[0]), gradient, value)
            precision = bound.precision.get(names[0])  # of nodes that stand alone
            return -error if precision is None else -precision * error, error

        found = reverse.sweep(ends, own, visit)
        energies: Any = blockwise(found.more, lambda names, e: energies_of_errors(bound, names, e))
        _, furthest = p.graph.distances(list(ends))
        bad = find_bad(tuple(p.nodes), blocks_of(energies), furthest)
        halves = blockwise(found.more, lambda _, e: 0.5 * jnp.square(e))
        before = energies_without_errors(bound) | clamped
        return Update(
            found.gradient,
            updated(energies, clamped),
            updated(halves, elements),
            before,
            jnp.array(False),
            max(furthest.values()),
            bad,
            value=before,
        )

    def _delayed(self, vjps: LocalVJPs, name: str, gradient: Array, hops: int) -> Array:
        """Return a gradient after so many identity nodes, each of which takes one step and sends its error on."""
        for _ in range(hops):
            gradient = vjps.grad_of_error(name, _step(self.descent.at(name), gradient, vjps.h[name]))
        return gradient


def _step(descent: Descent, gradient: Array, value: Array) -> Array:
    """Return the error of a node after its one step from `value`, that of the forward pass."""
    return descent.update(gradient, descent.init(value), value, None)[0]


def check_level(problem: Problem) -> None:
    """Refuse a graph with paths of different length from a node to the output.

    **Raises:** `ValueError`, naming the node.
    """
    nearest, furthest = problem.graph.distances([n for n in problem.clamped if not problem.nodes[n].silent])
    for name in problem.graph.order:
        if name in nearest and nearest[name] != furthest[name]:
            raise ValueError(
                f"zil: the graph is not levelled: from {name} to the output there are ways of {nearest[name]} and of "
                f"{furthest[name]} predictions, so that errors meet at different steps. zil(..., level=True) puts "
                "identity nodes on the shorter ones"
            )


def zil(
    optim_w: Optimiser,
    optim_h: DescentLike | None = None,
    *,
    level: bool = False,
    learn: Choice = LayerParam,
    call: Call | None = None,
    precision: PrecisionLike = None,
    dtype: PolicyLike = None,
    equal_layers: EqualLayers = "auto",
) -> Rule:
    """Zero-divergence inference learning: backpropagation's update, exactly, by local steps.

    From a forward pass, at step t the nodes move that the error reaches just then, `h <- h - g dE/dh`, and the weights
    learn whose predictions it has reached, each from the gradient before that move.

    The update is backpropagation's where: values start at a forward pass; hidden energies are squared errors with
    p g = 1; every path from a node to the output has the same number of nodes; batch statistics and masks of dropout
    are fixed; no node that is clamped predicts another. A step g scales the update of a layer l predictions away from
    the output by `(p g)^l`.

    Cost: that of backpropagation.

    **Arguments:**

    - `optim_w`: an Optax transformation for the weights, see `Rule`.
    - `optim_h`: how a node takes its one step, by default `optax.sgd(1.0)`, for exactness.
    - `level`: put identity nodes on skips, so that all paths from a node to the output have the same number of nodes;
        otherwise such a model is refused.
    - `learn`, `call`, `precision`, `dtype`, `equal_layers`: see `Rule`.

    **Returns:** the rule.

    **Raises:** `TypeError` or `ValueError` for parts that don't go together, with the reason.

    **Reference:**

    ```bibtex
    @inproceedings{song2020can,
        author    = {Yuhang Song and Thomas Lukasiewicz and Zhenghua Xu and Rafal Bogacz},
        title     = {Can the Brain Do Backpropagation? Exact Implementation of Backpropagation in Predictive Coding
                     Networks},
        booktitle = {Advances in Neural Information Processing Systems}, year = {2020},
    }
    @article{salvatori2021predictive,
        author = {Tommaso Salvatori and Yuhang Song and Thomas Lukasiewicz and Rafal Bogacz and Zhenghua Xu},
        title  = {Predictive Coding Can Do Exact Backpropagation on Any Neural Network},
        journal = {arXiv:2103.04689}, year = {2021},
    }
    ```
    """
    options: RuleOptions = {
        "learn": learn,
        "call": call,
        "precision": precision,
        "dtype": dtype,
        "equal_layers": equal_layers,
    }
    return ZIL(optim_w, optim_h, level, **options)
