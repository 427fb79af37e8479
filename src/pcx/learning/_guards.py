"""The end of a step: it keeps the old state where numbers are not finite, and makes the diagnostics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jax import Array
from jaxtyping import PyTree

from ..energy import Bound, Energies, ForwardPass, Weights, added, all_finite, rose
from ..inference import find_bad
from ._ordered import in_order
from ._sound import unsound
from ._state import BAD_INPUT, OUTCOME, UPHILL, Info, State
from ._update import Update


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
    problem, samples, uphill = bound.problem, bound.samples, _uphill(bound, update)
    weights, optim, memory, rest = new
    energies = {n: samples.weighted(e) for n, e in update.energies.items()}
    total: Array = sum(energies.values(), jnp.zeros((problem.size,)))
    before = update.energies if update.before is None else update.before
    begun: Array = sum([samples.weighted(e) for e in before.values()], jnp.zeros((problem.size,)))
    first_bad: Array = jnp.asarray(update.first_bad)
    # An infinity may saturate: what is made of it is finite, and wrong.
    given = all_finite(bound.x)
    settled = given & all_finite(forward.targets) & (first_bad < 0) & jnp.all(jnp.isfinite(total))
    kept = {"optim": (optim, old.optim), "memory": (memory, old.memory), "rest": (rest, old.rest)}
    code = unsound(weights, kept, strict)
    finite = settled & (code == -1)
    # What is not finite at the start makes the energy so: only then is the start looked at.
    started: Any = jax.lax.cond(settled, lambda: jnp.int32(-1), bad_start)
    started = jnp.asarray(jnp.where(given | (started >= 0), started, BAD_INPUT), jnp.int32)
    good = finite & forward.labels_valid
    weights, rest, optim, memory = jtu.tree_map(
        lambda a, b: a if a is b else jnp.where(good, a, b),
        (weights, rest, optim, memory),
        (old.weights, old.rest, old.optim, old.memory),
    )
    result = jnp.where(uphill, OUTCOME.diverged, OUTCOME.ok)
    result = jnp.where(forward.labels_valid, jnp.where(finite, result, OUTCOME.not_finite), OUTCOME.bad_label)
    reached: Any = jnp.where(started == -1, first_bad, started)
    place = jnp.where(settled, code, reached)
    # Where settling drove energies up, they overflow, or what the optimiser makes of their gradients does.
    beyond = (first_bad < 0) & jnp.all(jnp.isfinite(begun)) & ~jnp.all(jnp.isfinite(total))
    climbed = beyond | (uphill & (code < -1))
    info = Info(
        energy=jnp.mean(total),
        energies=in_order(problem.nodes, {n: jnp.mean(e) for n, e in energies.items()}),
        loss=jnp.mean(samples.weighted(loss)),
        output=one_or_by_node(in_order(problem.outputs, {n: forward.u[n] for n in problem.outputs})),
        steps=_mean(jnp.asarray(update.steps)),
        result=result.astype(jnp.int32),
        first_bad=jnp.where(climbed & (started == -1), UPHILL - _most(problem.nodes, energies), jnp.asarray(place)),
        energy_before=jnp.mean(begun),
    )
    return State(weights, rest, optim, old.key, memory, old.structure, old.outputs), info


def _uphill(bound: Bound, update: Update) -> Array:
    """Return whether settling went uphill, as the rule says, or by the sums of its energies."""
    if update.uphill is not None:
        return update.uphill
    if update.before is None:
        return jnp.array(False)
    p = bound.problem
    free = {n: jax.ShapeDtypeStruct((p.size, *p.nodes[n].shape), p.nodes[n].dtype) for n in p.free}
    begun, ended = (added([jnp.sum(e) for e in each.values()]) for each in (update.before, update.energies))
    return rose(free, ended - begun, jnp.abs(begun), 0.0, p.structure.rounding)


def bad_data(names: Iterable[str], u: Mapping[str, Array | None], targets: Mapping[str, Array]) -> Array:
    """Return the place of the first node whose prediction or target is not finite, -1 if all are.

    **Arguments:**

    - `names`: of all nodes.
    - `u`, `targets`: `{node: [batch, *shape]}`.
    """
    names = tuple(names)
    return find_bad(names, [(n, v) for n in names for v in (u.get(n), targets.get(n)) if v is not None], 0)


def one_or_by_node(u: dict[str, Any]) -> Any:
    """Return the predictions of nodes that have one: one alone, or by node."""
    if any(value is None for value in u.values()):  # an input kept in a node has none
        u = type(u)({n: value for n, value in u.items() if value is not None})
    return next(iter(u.values())) if len(u) == 1 else u


def _most(nodes: Iterable[str], energies: Energies) -> Array:
    """Return the place of the node with the most energy."""
    sums = [jnp.sum(energies[n], dtype=jnp.float32) if n in energies else jnp.float32(0) for n in nodes]
    return jnp.argmax(jnp.stack(sums)).astype(jnp.int32)


def _mean(steps: Array) -> Array:
    # About the smallest, so that equal numbers have exactly their mean.
    least = jnp.min(steps)
    return least.astype(jnp.float32) + jnp.mean((steps - least).astype(jnp.float32))
