"""The saddle at zero weights of linear networks."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from ..core import Whole, whole
from ._given import wrong

Of = Literal["energy", "loss"]


class Saddle(NamedTuple):
    """The eigenvalues of a Hessian by the weights, where all weights are zero.

    **Attributes:**

    - `values`: the eigenvalues, in ascending order, `[distinct]`.
    - `counts`: how often each of them occurs; they add up to the number of weights.
    """

    values: Float[Array, " distinct"]
    counts: tuple[int, ...]

    @property
    def smallest(self) -> Float[Array, ""]:
        """The smallest eigenvalue: below zero at a strict saddle, which gradient descent leaves by itself."""
        return self.values[0]


def saddle_at_zero(
    x: Float[Array, "batch inputs"], y: Float[Array, "batch outputs"], widths: Sequence[Whole], *, of: Of = "energy"
) -> Saddle:
    """Return the eigenvalues of the Hessian by the weights of a linear network without biases, at zero weights, in
    closed form: of the mean energy at equilibrium, or of the mean loss of a forward pass.

    With two layers or more the energy curves down along the last layer's weights, by `-mean y y'` for each unit below:
    a strict saddle at any depth. The loss has no curvature there with three layers or more, so that gradient descent
    stays for long. With two layers both have the blocks `-mean x y'` beside their diagonal.

    Source: Innocenti et al., "Only strict saddles in the energy landscape of predictive coding networks?", 2024, arXiv
    2408.11979.

    **Arguments:**

    - `x`: the inputs, `[batch, inputs]`.
    - `y`: the targets, `[batch, outputs]`.
    - `widths`: the widths from the input to the output, as of `pxm.MLP(widths, bias=False)`.
    - `of`: `"energy"`, at equilibrium, or `"loss"`.

    **Returns:** a `Saddle`.

    **Raises:** `TypeError` for what are no widths, `ValueError` for ones that don't fit x and y.
    """
    if of not in get_args(Of):
        raise ValueError(f'saddle_at_zero: of is "energy" or "loss", got {of!r}')
    if not isinstance(widths, (list, tuple)):
        raise wrong("saddle_at_zero", "widths is a list, from the input to the output", widths)
    widths = [whole("saddle_at_zero", "widths", w, 1) for w in widths]
    x, y = jnp.asarray(x), jnp.asarray(y)
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y) or len(widths) < 2 or widths[0] != x.shape[1]:
        raise ValueError(
            f"saddle_at_zero: x and y are [batch, widths[0]] and [batch, widths[-1]], got shapes {x.shape} and "
            f"{y.shape} with widths {widths}"
        )
    if widths[-1] != y.shape[1]:
        raise ValueError(f"saddle_at_zero: y has {y.shape[1]} outputs, widths {widths} end with another number")
    total = sum(a * b for a, b in itertools.pairwise(widths))
    xx, xy, yy = x.T @ x / len(x), x.T @ y / len(x), y.T @ y / len(x)
    if len(widths) == 2:  # nothing is hidden: linear regression
        block, times = xx, widths[1]
    elif len(widths) == 3:  # for each hidden unit, by its weights to the input and to the output
        down = -yy if of == "energy" else jnp.zeros_like(yy)
        block, times = jnp.block([[jnp.zeros_like(xx), -xy], [-xy.T, down]]), widths[1]
    elif of == "energy":
        block, times = -yy, widths[-2]
    else:
        block, times = jnp.zeros((0, 0), x.dtype), 0
    values = jnp.linalg.eigvalsh(block)
    counts = [times] * len(values)
    flat = total - sum(counts)
    if flat:
        values, counts = jnp.append(values, 0.0), [*counts, flat]
    order = jnp.argsort(values)
    return Saddle(values[order], tuple([counts[int(i)] for i in order]))
