"""Settling that went uphill: sums of energies before and after, and rises that are more than rounding."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool

from ._stacks import blocks_of


def node_sums(
    of: Callable[[Array], Array], energies: Mapping[str, Array], then: Callable[[Array], Array] = lambda e: e
) -> list[Array]:
    """Return the sums of each node's energies over the batch, or each sample's energies; of nodes in one block added
    up."""
    return [
        then(of(e)) if len(names) == 1 else jnp.sum(then(jax.vmap(of)(e)), axis=0) for names, e in blocks_of(energies)
    ]


# No stable descent ends above where it began. What rises by less than this part of the energy is not reported.
SLACK = 0.1


def rose(
    coords: Mapping[str, Array | jax.ShapeDtypeStruct],
    rise: Array,
    scale: Array,
    temperature: Array | float | None,
    rounding: float = 0.0,
) -> Bool[Array, "*batch"]:
    """Return whether a rise of the energy is more than rounding and noise explain, and a part of it that counts.

    **Arguments:**

    - `coords`: what has moved, `{node: [batch, *shape]}`.
    - `rise`: of the total energy, or of each sample's, `[batch]`.
    - `scale`: how large it was, likewise.
    - `temperature`: see `Landscape.went_uphill`. At equilibrium noise holds each number half of it above the least
        energy; twice that is allowed for.
    - `rounding`: see `Landscape`.
    """
    if temperature is None:
        return jnp.array(False)
    every = [(v, v.shape[len(names) > 1]) for names, v in blocks_of(coords)]
    elements = sum(v.size // (size if jnp.ndim(rise) else 1) for v, size in every)
    eps = max([float(jnp.finfo(v.dtype).eps) for v, _ in every], default=0.0) + rounding
    return rise > SLACK * scale + elements * (eps + temperature)


def sum_each(x: Array) -> Array:
    """Return the sum over all but the first axis, `[batch]`."""
    return jnp.sum(x, axis=tuple(range(1, x.ndim)))


def added(terms: Sequence[Array]) -> Array:
    """Return the sum of arrays; 0 if there are none."""
    return functools.reduce(operator.add, terms) if terms else jnp.float32(0)
