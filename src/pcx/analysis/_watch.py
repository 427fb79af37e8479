"""One settling of a rule, watched at every step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int

from ..energy import Bound, Landscape, Nodes, OverErrors, OverFixedErrors, apart
from ..inference import AllNodes, Flow, Solution, relax
from ..learning import Settling

T = TypeVar("T")

NEVER = -1
"""The step at which a wave arrives that doesn't."""
UNKNOWN = -2


class Watched(NamedTuple):
    """A settling, watched. Numbers are of the batch.

    **Attributes:**

    - `energies`: each node's, mean over the samples, at the start and after every step, `{node: [steps + 1]}`.
    - `gradients`: the norm of `dE/dh` of each free node, likewise.
    - `arrival`: the step, from 0, at which an error may first come to a free node; `NEVER` or `UNKNOWN`.
    - `steps`: the steps that each sample really took, `[batch]`.
    - `pulls`: the norm of what each free node's own error pulls with at the end, by node.
    - `values`, `errors`: the norms of each free node's value and error there.
    - `finite`: whether all values are.
    - `descends`: whether values descend on these energies, as they do but under fixed predictions.
    - `rounds`: whether errors are differences of values, and so no finer than these.
    """

    energies: dict[str, Float[Array, " steps"]]
    gradients: dict[str, Float[Array, " steps"]]
    arrival: dict[str, Int[Array, ""]]
    steps: Int[Array, " batch"]
    pulls: dict[str, Float[Array, ""]]
    values: dict[str, Float[Array, ""]]
    errors: dict[str, Float[Array, ""]]
    finite: Bool[Array, ""]
    descends: Bool[Array, ""]
    rounds: Bool[Array, ""]


def in_order(by_name: Mapping[str, T], names: Sequence[str]) -> dict[str, T]:
    """Return entries by node in the order of the nodes: what comes out of a compiled function is sorted by name, and
    there `vodes[10]` comes before `vodes[2]`.

    **Arguments:**

    - `by_name`: the entries.
    - `names`: of the nodes, in order; entries of other names come last.
    """
    return {n: by_name[n] for n in (*[n for n in names if n in by_name], *[n for n in by_name if n not in names])}


def watch(bound: Bound, settling: Settling) -> tuple[Watched, Solution]:
    """Settle again, and keep what is seen at every step.

    **Arguments:**

    - `bound`: the problem.
    - `settling`: what settles.

    **Returns:** what was seen, and the solution.
    """
    landscape = settling.landscape

    def look(coords: Nodes) -> dict[str, Array]:
        grad = apart(landscape.gradient(coords)(coords))
        seen = {f"E{n}": e for n, e in apart(landscape.energies(coords)).items()}
        return seen | {f"g{n}": _squares(g) for n, g in grad.items()}

    how: Any = {"descent": settling.solver, "stop": settling.stop, "key": settling.key}
    descent, schedule = settling.solver.descent, getattr(settling.solver, "schedule", None)
    if descent is not None and schedule is not None and schedule.together:
        # What waits for the wave doesn't move; as one loop it is one program, in which each step is looked at alike.
        how |= {"descent": descent, "schedule": AllNodes()}
    if isinstance(settling.solver, Flow):  # it has no steps to look at
        found = relax(landscape, settling.start, **how)
        ends = [look(settling.start), look(found.nodes)]
        trace = {name: jnp.stack([e[name] for e in ends]) for name in ends[0]}
    else:
        found = relax(landscape, settling.start, trace=look, **how)
        assert found.trace is not None
        trace = found.trace
    mean = jax.vmap(lambda e: jnp.mean(bound.samples.weighted(e)))
    energies = {n[1:]: mean(e) for n, e in trace.items() if n[0] == "E"}
    gradients = {n[1:]: jnp.sqrt(jnp.sum(s, axis=1)) for n, s in trace.items() if n[0] == "g"}
    pulls, errors = _own(bound, landscape, found.nodes)
    values = {n: _norm(v) for n, v in apart(landscape.values(found.nodes)).items() if n in landscape.free}
    finite = jnp.all(jnp.stack([jnp.isfinite(v) for v in values.values()] or [jnp.array(True)]))
    seen = Watched(
        {n: energies[n] for n in landscape.names if n in energies},
        {n: gradients[n] for n in landscape.free},
        _arrival(settling),
        found.steps,
        pulls,
        values,
        errors,
        finite & (found.first_bad < 0),
        jnp.array(not isinstance(landscape, OverFixedErrors)),
        jnp.array(not isinstance(landscape, OverErrors | OverFixedErrors)),
    )
    return seen, found


def _arrival(settling: Settling) -> dict[str, Array]:
    landscape = settling.landscape
    known = landscape.arrival if landscape.starts_forward(settling.start) else None
    if known is None or isinstance(settling.solver, Flow):
        return {n: jnp.int32(UNKNOWN) for n in landscape.free}
    return {n: jnp.int32(known.get(n, NEVER)) for n in landscape.free}


def _own(bound: Bound, landscape: Landscape, nodes: Nodes) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return the norms of each free node's own pull `p e`, and of its error e."""
    elements = apart(landscape.weight_gradient(nodes).elements)
    pulls: dict[str, Array] = {}
    errors: dict[str, Array] = {}
    for name in landscape.free:
        if name in elements:
            squares = 2 * jnp.abs(elements[name])  # of squared errors; of others the scale of one
            errors[name] = jnp.sqrt(jnp.sum(squares))
            pulls[name] = jnp.sqrt(jnp.sum(squares * jnp.square(bound.precision.get(name, 1.0))))
    return pulls, errors


def _squares(g: Array) -> Float[Array, " batch"]:
    return jnp.sum(jnp.square(g).reshape(g.shape[0], -1), axis=1)


def _norm(a: Array) -> Float[Array, ""]:
    return jnp.sqrt(jnp.sum(jnp.square(a)))
