"""Targets with a weight for each sample, and samples without a target."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jax import Array
from jax.core import Tracer
from jaxtyping import PyTree

from ..energy import Problem, Samples, as_rows


@jtu.register_dataclass
@dataclasses.dataclass(frozen=True)
class Targets:
    """The targets of a batch, with a weight for each sample, or without a target for some. Stands in the place of y:
    `rule.step(state, (x, pxl.Targets(y, weight=w)))`, and in the arrays that `fit` is given.

    A sample of weight w counts as w samples in the gradients of the weights; its values settle as those of any other.
    Class weights are weights of samples: `pxl.Targets(y, weight=class_weight[y])`.

    Of a sample without a target the output nodes are free: they follow their predictions, or, where other nodes are
    predicted from them, settle like hidden nodes (rules of predictive coding alone). A node that the model's own call
    clamps by `vode.set("h", ...)`, at x for instance, is clamped all the same.

    **Arguments:**

    - `y`: the targets, as a rule takes them, `[batch, ...]` or a tree of such arrays.
    - `weight`: `[batch]`, 0 or more; None is 1 for all.
    - `known`: which samples have a target, booleans `[batch]`; None is all. What `y` holds for the others is not
        looked at.

    **Raises:** `ValueError` or `TypeError` for arrays of another size or kind, or a weight that is negative or not
    finite.

    It is a tree of arrays: `jax.tree.map(lambda a: a[:100], targets)` are those of the first 100 samples.
    """

    y: Any
    weight: Any = None
    known: Any = None

    def __post_init__(self) -> None:
        for name in ("weight", "known"):
            if isinstance(getattr(self, name), Mapping):
                raise TypeError(
                    f"Targets: {name} is one array, a number for each sample, got a dict. Where one target of a "
                    "sample is there and another not, let the model's call clamp that which is, by vode.set('h', x)"
                )
            if isinstance(getattr(self, name), list | tuple):
                object.__setattr__(self, name, np.asarray(getattr(self, name)))
        leaves = jtu.tree_leaves(self.y)
        for name, array in (("weight", self.weight), ("known", self.known)):
            # What JAX puts in the place of leaves when it takes a tree apart has no shape.
            if array is None or not all(hasattr(a, "shape") and hasattr(a, "dtype") for a in (array, *leaves)):
                continue
            if any(a.shape[:1] != array.shape[:1] for a in leaves) or not array.shape:
                shapes = ", ".join(str(tuple(a.shape)) for a in leaves)
                raise ValueError(f"Targets: {name} has shape {tuple(array.shape)}, but y has {shapes}")
            boolean = np.issubdtype(array.dtype, np.bool_)
            if boolean != (name == "known"):
                kind = "booleans, one for each sample" if name == "known" else "numbers, one for each sample"
                raise TypeError(f"Targets: {name} must be {kind}, got {array.dtype}")
            if name == "weight" and isinstance(array, np.ndarray | jax.Array) and not isinstance(array, Tracer):
                values = np.asarray(array)
                if values.size and not (np.all(np.isfinite(values)) and values.min() >= 0):
                    raise ValueError("Targets: every weight must be finite and at least 0")


def split(y: PyTree) -> tuple[PyTree, Samples]:
    """Return the bare targets, zero where a sample has none, and the samples' weights."""
    if not isinstance(y, Targets):
        return y, Samples()
    found = y.y
    if y.known is not None:
        found = jtu.tree_map(lambda a: _zero_unless(y.known, a), found)
    weight = None if y.weight is None else jnp.asarray(y.weight).astype(jnp.result_type(float))
    return found, Samples(weight, y.known)


def bare(y: PyTree) -> PyTree:
    """Return the bare targets, without the samples' weights."""
    return y.y if isinstance(y, Targets) else y


def check_samples(
    rule: str, problem: Problem, samples: Samples, settles_outputs: bool, learned_precision: bool
) -> None:
    """Refuse samples without a target where the rule can't leave an output free, and weights of samples where a
    precision learns.

    **Arguments:**

    - `rule`: its name.
    - `settles_outputs`: whether an output without a target can settle.
    - `learned_precision`: whether a precision learns.

    **Raises:** `ValueError`, naming the output node.
    """
    if learned_precision and any(a is not None for a in samples):
        raise ValueError(f"{rule}: a precision that learns takes no weights of samples and needs all targets")
    if samples.known is None:
        return
    if problem.predicted_from_y:
        raise ValueError(
            f"{rule}: some samples have no target, but the model's call computes the prediction of "
            f"{', '.join(problem.predicted_from_y)} from y itself: predict it from the value that the call of the "
            "output node returns, and mark that node by pxc.Vode(output=True)"
        )
    for name in problem.optional:
        if problem.graph.children[name] and not settles_outputs:
            raise ValueError(
                f"{rule}: some samples have no target, but other nodes are predicted from the output {name}, which "
                "would have to settle: use pxl.pc or another rule of PredictiveCoding"
            )


def _zero_unless(known: Array | np.ndarray, a: Array | np.ndarray) -> Array | np.ndarray:
    if isinstance(a, np.ndarray) and isinstance(known, np.ndarray):  # as it came: wide integers are still whole
        return np.where(known.reshape(-1, *[1] * (a.ndim - 1)), a, np.zeros((), a.dtype))
    return jnp.where(as_rows(jnp.asarray(known), jnp.asarray(a)), a, jnp.zeros((), a.dtype))
