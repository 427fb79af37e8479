"""Values at rest: settling with steps that the curvature chooses."""

from __future__ import annotations

import jax.numpy as jnp
import optax
from jax import Array

from ..core import positive, whole
from ..energy import Landscape, NodesIn
from ..inference import GradientNorm, Solution, relax
from ._at_once import at_once
from ._curvature import curvature
from ._hessian import check_coords, check_moving


def equilibrium(
    landscape: Landscape, coords: NodesIn | None = None, *, steps: int = 10_000, tolerance: float = 1e-5
) -> Solution:
    """Let a landscape's coordinates settle until the gradient is as good as zero.

    They descend with momentum, with the step and the momentum that come to rest soonest where the energy is quadratic
    (Polyak's): the curvature is measured at the start, and the step is taken somewhat smaller than it allows, since
    curvature changes on the way. What is found is a place of rest, and in a network that isn't linear not always the
    lowest.

    **Arguments:**

    - `landscape`: the energy, as `bound.landscape(targets)` gives it.
    - `coords`: the start, `{node: [batch, *shape]}`; by default the landscape's own.
    - `steps`: the most steps to take.
    - `tolerance`: the length of a sample's gradient below which it is at rest.

    **Returns:** a `pxi.Solution`; `result` says which samples came to rest.

    **Raises:** `TypeError` for what is no landscape; `ValueError` for arguments that don't fit.
    """
    steps, tolerance = whole("equilibrium", "steps", steps, 1), positive("equilibrium", "tolerance", tolerance)
    check_moving("equilibrium", landscape, None)
    check_coords("equilibrium", coords)
    start = at_once(landscape.start) if coords is None else coords
    found = curvature(landscape, start, per_sample=False, steps=64, tolerance=1e-2)
    most = 1.3 * found.largest
    least = jnp.maximum(found.smallest, 1e-4 * most)
    fast, slow = jnp.sqrt(most), jnp.sqrt(least)
    step, momentum = (2 / (fast + slow)) ** 2, ((fast - slow) / (fast + slow)) ** 2

    def settled(start: NodesIn, step: Array, momentum: Array) -> Solution:
        descent = optax.chain(optax.trace(decay=momentum), optax.scale(-step))
        return relax(landscape, start, descent=descent, stop=GradientNorm(steps, tolerance))

    return at_once(settled, start, step, momentum)
