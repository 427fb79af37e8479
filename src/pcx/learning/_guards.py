"""The end of a step: it keeps the old state where numbers are not finite, and makes the diagnostics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jax import Array
from jaxtyping import PyTree

from ..energy import (
    Bound,
    Finiteness,
    ForwardPass,
    Stacks,
    Weights,
    added,
    blocks_of,
    blockwise,
    gathered,
    in_blocks,
    mapped,
    rose,
)
from ..inference import find_bad
from ._ordered import in_order
from ._sound import changed, unsound
from ._state import BAD_INPUT, OUTCOME, UPHILL, Info, State
from ._update import Update

T = TypeVar("T")


def guarded(
    old: State,
    new: tuple[Weights, PyTree, dict[str, Any], Weights],
    bound: Bound,
    forward: ForwardPass,
    update: Update,
    loss: Array,
    strict: PyTree,
    bad_start: Callable[[], Array],
) -> tuple[State, Info]:
    """Return the new state if all its numbers are finite, or else the old one; and the diagnostics of the step.

    **Arguments:**

    - `old`: the state before the step.
    - `new`: its weights, optimiser's state, memory and rest afterwards.
    - `bound`, `forward`, `update`: the batch, its forward pass, and what the rule made of it.
    - `loss`: the energy of the outputs at the forward pass, `[batch]`.
    - `strict`: what must be finite whatever it was before.
    - `bad_start`: gives the place of the first node that is not finite at the start, -1 if all are; asked only where
        something is not finite.
    """
    problem, samples, uphill = bound.problem, bound.samples, went_uphill(bound, update)
    weights, optim, memory, rest = new
    mean = lambda names, e: mapped(lambda one: jnp.mean(samples.weighted(one)), names)(e)  # noqa: E731
    energies = blockwise(update.energies, mean)
    before = update.energies if update.before is None else update.before
    total, begun = _sum(energies), _sum(blockwise(before, mean))
    first_bad: Array = jnp.asarray(update.first_bad)
    kept = {"optim": (optim, old.optim), "memory": (memory, old.memory), "rest": (rest, old.rest)}
    tests = Finiteness(
        {
            # An infinity may saturate: what is made of it is finite, and wrong.
            "x": bound.x,
            "targets": forward.targets,
            "energy": total,
            "weights": weights,
            "strict": strict,
            "kept": [[a for a, _ in changed(*trees)] for trees in kept.values()],
        }
    )

    def look() -> tuple[Array, Array]:
        """Return whether all is well after all, and the place of what is not."""
        fine = tests.each()
        given, settled = fine["x"], fine["x"] & fine["targets"] & fine["energy"] & (first_bad < 0)
        code = unsound(fine["weights"], kept, fine["strict"])
        # What is not finite at the start makes the energy so: only then is the start looked at.
        start: Any = jax.lax.cond(settled, lambda: jnp.int32(-1), bad_start)
        started = jnp.asarray(jnp.where(given | (start >= 0), start, BAD_INPUT))
        reached: Any = jnp.where(started == -1, first_bad, started)
        place: Any = jnp.where(settled, code, reached)
        # Where settling drove energies up, they overflow, or what the optimiser makes of their gradients does.
        beyond = (first_bad < 0) & jnp.isfinite(begun) & ~fine["energy"]
        climbed = beyond | (uphill & (code < -1))
        place = jnp.where(climbed & (started == -1), UPHILL - _most(problem.nodes, energies), place)
        return settled & (code == -1), place.astype(jnp.int32)

    # A good step reads its numbers once; the rest is asked only where something is not finite.
    well: Any = jax.lax.cond(tests.all() & (first_bad < 0), lambda: (jnp.array(True), jnp.int32(-1)), look)
    finite, place = well
    weights, rest, optim, memory = _chosen(
        finite & forward.labels_valid,
        (weights, rest, optim, memory),
        (old.weights, old.rest, old.optim, old.memory),
    )
    result = jnp.where(uphill, OUTCOME.diverged, OUTCOME.ok)
    result = jnp.where(forward.labels_valid, jnp.where(finite, result, OUTCOME.not_finite), OUTCOME.bad_label)
    info = Info(
        energy=total,
        energies=_in_order(problem.nodes, energies),
        loss=jnp.mean(samples.weighted(loss)),
        output=one_or_by_node(in_order(problem.outputs, {n: forward.u[n] for n in problem.outputs})),
        steps=_mean(jnp.asarray(update.steps)),
        result=result.astype(jnp.int32),
        first_bad=place,
        energy_before=begun,
    )
    return State(weights, rest, optim, old.key, memory, old.structure, old.outputs), info


def _sum(means: Mapping[str, Array]) -> Array:
    return sum([e if len(names) == 1 else jnp.sum(e) for names, e in blocks_of(means)], jnp.zeros(()))


def _in_order(names: Iterable[str], energies: Mapping[str, Array]) -> Any:
    """Return energies by node in the order of the model; of equal layers in stacks, which come as their first do."""
    if not isinstance(energies, Stacks):
        return in_order(names, energies)
    place = {n: i for i, n in enumerate(names)}
    return in_blocks(sorted(energies.blocks, key=lambda block: place.get(block[0], len(place))), energies)


def _chosen(good: Array, new: T, old: T) -> T:
    """Return the new tree where all is well, or else the old one."""
    pairs, treedef = list(zip(jtu.tree_leaves(new), jtu.tree_leaves(old), strict=True)), jtu.tree_structure(new)
    chosen = {i: (a, b) for i, (a, b) in enumerate(pairs) if a is not b}
    small = [i for i, (a, _) in chosen.items() if jnp.size(a) < _LARGE and jax.default_backend() == "cpu"]
    if 0 < len(small) <= _FEW:
        # Copies take no compiling, where a choice by element is compiled for each shape. Of many arrays all would be
        # copied one after the other, and a choice is made where they are written anyway.
        wide = [(_as(a, a, b), _as(b, a, b)) for a, b in (chosen[i] for i in small)]
        copied: Any = jax.lax.cond(good, lambda: [a for a, _ in wide], lambda: [b for _, b in wide])
        chosen |= dict(zip(small, copied, strict=True))
    made = {i: jnp.where(good, *x) if isinstance(x, tuple) else x for i, x in chosen.items()}
    return jtu.tree_unflatten(treedef, [made.get(i, a) for i, (a, _) in enumerate(pairs)])


_LARGE = 2**17  # numbers of an array: larger ones are read and written once
_FEW = 16  # arrays that are copied


def _as(x: PyTree, a: PyTree, b: PyTree) -> Array:
    """Return an array in the dtype that two others have together."""
    if isinstance(a, jax.Array) and isinstance(b, jax.Array) and a.dtype == b.dtype:
        return x
    return jnp.asarray(x, jnp.result_type(a, b))


def went_uphill(bound: Bound, update: Update) -> Array:
    """Return whether settling went uphill, as the rule says, or by the sums of its energies."""
    if update.uphill is not None:
        return update.uphill
    if update.before is None:
        return jnp.array(False)
    p = bound.problem
    free = {n: jax.ShapeDtypeStruct((p.size, *p.nodes[n].shape), p.nodes[n].dtype) for n in p.free}
    begun, ended = (added([jnp.sum(e) for _, e in blocks_of(each)]) for each in (update.before, update.energies))
    return rose(free, ended - begun, jnp.abs(begun), 0.0, p.structure.rounding)


def bad_data(names: Iterable[str], u: Mapping[str, Array | None], targets: Mapping[str, Array]) -> Array:
    """Return the place of the first node whose prediction or target is not finite, -1 if all are.

    **Arguments:**

    - `names`: of all nodes.
    - `u`, `targets`: `{node: [batch, *shape]}`.
    """
    names = tuple(names)
    if isinstance(u, Stacks):
        return find_bad(names, [(b, v) for b, v in (*blocks_of(u), *blocks_of(targets)) if v is not None], 0)
    return find_bad(names, [(n, v) for n in names for v in (u.get(n), targets.get(n)) if v is not None], 0)


def one_or_by_node(u: dict[str, Any]) -> Any:
    """Return the predictions of nodes that have one: one alone, or by node."""
    if any(value is None for value in u.values()):  # an input kept in a node has none
        u = type(u)({n: value for n, value in u.items() if value is not None})
    return next(iter(u.values())) if len(u) == 1 else u


def _most(nodes: Iterable[str], energies: Mapping[str, Array]) -> Array:
    """Return the place of the node with the most energy."""
    place = {n: i for i, n in enumerate(nodes)}
    names = tuple(sorted([n for n in energies if n in place], key=lambda n: place[n]))
    if not names:
        return jnp.int32(0)
    means = blockwise(energies, lambda _, e: e.astype(jnp.float32))
    most = jnp.argmax(jnp.ravel(gathered(names, means)))
    return jnp.asarray([place[n] for n in names], jnp.int32)[most]


def _mean(steps: Array) -> Array:
    # About the smallest, so that equal numbers have exactly their mean.
    least = jnp.min(steps)
    return least.astype(jnp.float32) + jnp.mean((steps - least).astype(jnp.float32))
