"""All numbers of a network in one compiled program: how it settles, and what its weights learn."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import jax.tree_util as jtu
from jax import Array
from jaxtyping import Bool, Float

from ..energy import Bound, OverFixedErrors, apart, blocks_of, in_blocks
from ..inference import Solution
from ..learning import PredictiveCoding, Rule, Settling, State, Update, went_uphill
from ._curvature import curvature
from ._gradients import Compared, Scalars, alignments, backprop_gradient, compared, gradient_of
from ._networks import Batch, compiled
from ._plain_steps import plain_step
from ._steps import Taken, taken_by
from ._watch import Watched, watch


class Bends(NamedTuple):
    """The curvature of an energy in what settles, how far it may be off, and the largest stable step of the descent by
    which it settles."""

    largest: Float[Array, ""]
    smallest: Float[Array, ""]
    largest_error: Float[Array, ""]
    smallest_error: Float[Array, ""]
    stable_step: Float[Array, ""]


class Measured(NamedTuple):
    """The numbers of one network on a batch.

    **Attributes:**

    - `settlings`: each settling of the step.
    - `energies`, `before`: each node's energy after and before settling, mean over the samples.
    - `gradients`: the rule's weight gradient beside backpropagation's.
    - `alignment`, `backprop_alignment`: how both move the outputs toward the targets.
    - `steps`: inference steps, mean over the samples.
    - `step`: the step of the weights, where it was asked for.
    - `bends`: the curvature of the energy, where it was asked for.
    - `uphill`, `finite`: whether settling went uphill, and whether all numbers are finite.
    """

    settlings: tuple[Watched, ...]
    energies: Scalars
    before: Scalars
    gradients: Compared
    alignment: Float[Array, ""]
    backprop_alignment: Float[Array, ""]
    steps: Float[Array, ""]
    uphill: Bool[Array, ""]
    finite: Bool[Array, ""]
    step: Taken | None
    bends: Bends | None


def measured_by(
    rule: Rule, state: State, batch: Batch, step: bool = False, bends: bool = False, ranks: bool = True
) -> Measured:
    """Measure one network. Pure.

    **Arguments:**

    - `rule`, `state`, `batch`: the rule, and what it learns from.
    - `step`: whether to measure the step of the weights, too.
    - `bends`: whether to measure the curvature of the energy.
    - `ranks`: whether to find the ranks of the step's matrices, which takes their singular values.
    """
    bound = rule.bind(state, batch)
    forward = bound.start()
    settlings = rule.settling(bound, forward, rule.memory_of(state))
    watched = [watch(bound, s) for s in settlings]
    if isinstance(rule, PredictiveCoding) and type(rule).learn is PredictiveCoding.learn:
        # It has just settled.
        settled = [(s, solution) for s, (_, solution) in zip(settlings, watched, strict=True)]
        update = rule.learned(bound, rule.memory_of(state), settled)
    else:
        update = rule.learn(bound, forward, rule.memory_of(state))
    own, other = gradient_of(bound, update), backprop_gradient(bound, forward)
    energies = _means(bound, update)
    aligned, backprop_aligned = alignments(bound, forward, (own, other))
    numbers = [*energies.values(), *jtu.tree_leaves(own)]
    finite = jnp.all(jnp.stack([jnp.all(jnp.isfinite(a)) for a in numbers])) & (jnp.asarray(update.first_bad) < 0)
    return Measured(
        tuple([seen for seen, _ in watched]),
        energies,
        _means(bound, update, before=True),
        compared(own, other),
        aligned,
        backprop_aligned,
        jnp.mean(jnp.asarray(update.steps, jnp.float32)),
        went_uphill(bound, update),
        finite,
        taken_by(rule, state, bound, forward, update, ranks) if step else None,
        _bends(settlings[0], watched[0], went_uphill(bound, update)) if bends and _bend(settlings) else None,
    )


def _bend(settlings: Sequence[Settling]) -> bool:
    """Return whether there is an energy that values descend on; with fixed predictions there is none."""
    landscapes = [s.landscape for s in settlings[:1]]
    return any(each.free and not isinstance(each, OverFixedErrors) for each in landscapes)


def _bends(settling: Settling, watched: tuple[Watched, Solution], uphill: Array) -> Bends:
    """Return the curvature where values came to rest; or where they started, if they ran away from there."""
    seen, solution = watched
    ended: Any = solution.nodes
    start = in_blocks([names for names, _ in blocks_of(ended)], settling.start)
    away = uphill | ~seen.finite
    at = jtu.tree_map(lambda a, b: jnp.where(away, a, b), start, ended)
    vector = sum([a.size * a.dtype.itemsize for a in jtu.tree_leaves(at)])
    products = min(PRODUCTS, max(LEAST, ROOM // vector))
    found = curvature(settling.landscape, at, steps=products, tolerance=TOLERANCE)
    plain = plain_step(settling.solver, settling.landscape.free)
    step = found.stable_step() if plain is None else found.stable_step(plain.momentum, plain.nesterov)
    return Bends(found.largest, found.smallest, found.largest_error, found.smallest_error, step)


PRODUCTS, LEAST, ROOM, TOLERANCE = 150, 24, 2**30, 1e-4
"""The most products with the Hessian, and the fewest, where the vectors that are kept would not fit into so many bytes;
and the relative error at which there are no more."""


def _means(bound: Bound, update: Update, before: bool = False) -> Scalars:
    found = update.before if before and update.before is not None else update.energies
    return {n: jnp.mean(bound.samples.weighted(e)) for n, e in apart(found).items()}


@functools.lru_cache(maxsize=16)
def measuring(rule: Rule, step: bool = False, bends: bool = False) -> Callable[[State, Batch], Measured]:
    """Return `measured_by` of a rule, compiled, for `for_each`."""
    return compiled(lambda state, batch: measured_by(rule, state, batch, step, bends))
