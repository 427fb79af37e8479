"""Metrics: one number for each sample, computed from outputs and targets inside of the compiled step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from ..learning import bare, split
from ._types import Metric

COUNTED = "counted"
"""The name of the sum of the samples' weights, where they have some."""

_NOT_TRACED = (
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.ConcretizationTypeError,
    jax.errors.NonConcreteBooleanIndexError,
)


def accuracy(output: jax.Array, y: jax.Array) -> jax.Array:
    """Return whether the largest output is that of the class.

    **Arguments:**

    - `output`: `[batch, ..., classes]`.
    - `y`: class numbers `[batch, ...]`, or one for each class `[batch, ..., classes]`.

    **Returns:** `[batch]`, 0 or 1; where a sample has several places, the mean over them.

    **Raises:** `ValueError` for other shapes.
    """
    if output.ndim < 2 or y.shape not in (output.shape, output.shape[:-1]):
        raise ValueError(
            f"accuracy: for outputs [batch, ..., classes], here {output.shape}, y is [batch, ...] or of their shape, "
            f"not {y.shape}"
        )
    truth = y if y.ndim == output.ndim - 1 else jnp.argmax(y, axis=-1)
    right = (jnp.argmax(output, axis=-1) == truth).astype(jnp.float32)
    return jnp.mean(right, axis=tuple(range(1, right.ndim)))


def is_class(output: PyTree, y: PyTree) -> bool:
    """Return whether y holds class numbers for an output over classes, or is one-hot: one 1 for each sample, and
    zeros."""
    y = bare(y)
    if not (hasattr(y, "dtype") and hasattr(output, "ndim")):
        return False
    if output.ndim == y.ndim + 1:
        return bool(jnp.issubdtype(y.dtype, jnp.integer))
    if tuple(y.shape) != tuple(output.shape) or output.ndim < 2 or y.shape[-1] < 2:
        return False
    values = np.asarray(y)
    return bool(np.all((values == 0) | (values == 1)) and np.all(np.sum(values != 0, axis=-1) == 1))


def measured(metrics: Mapping[str, Metric], output: PyTree, y: PyTree, size: int) -> dict[str, Any]:
    """Return each metric, `[size]`; with `pcx.learning.Targets` times the sample's weight, which is there too, under
    the name `COUNTED`.

    **Raises:** `TypeError` for a metric that is no function of JAX arrays; `ValueError` for one of another shape.
    """
    y, samples = split(y)
    found = {name: _on_device(name, metric, output, y) for name, metric in metrics.items()}
    for name, each in found.items():
        if each.shape != (size,):
            raise ValueError(
                f"fit: the metric {name!r} gives shape {each.shape}, but there must be one number for each of the "
                f"{size} samples"
            )
    counts = samples.counts(size)
    if counts is None:
        return found
    # Of samples without a target a metric may be anything, NaN too.
    return {n: jnp.where(counts > 0, e * counts, 0) for n, e in found.items()} | {COUNTED: counts}


def _on_device(name: str, metric: Metric, output: PyTree, y: PyTree) -> jax.Array:
    try:
        return jnp.asarray(metric(output, y))
    except _NOT_TRACED as e:
        raise TypeError(
            f"fit: the metric {name!r} is no function of JAX arrays, and metrics are compiled into the step. Write it "
            "with jax.numpy, one number for each sample; or, if it is of NumPy or scikit-learn, compute it after every "
            "epoch, in a callback: there, rule.predict(report.states[0], x) are the outputs to give it"
        ) from e
