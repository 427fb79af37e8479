"""Starts: the coordinates from which the free nodes settle."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax import Array

from ..energy import Landscape, Nodes, Problem, Stacks, blockwise, forms_of, updated


class Start(abc.ABC):
    """The place from which settling starts.

    **Attributes**, set in the class:

    - `forward`: whether it is a forward pass, so that errors travel from the clamped nodes alone.
    - `keeps`: whether settled coordinates are kept for the next step.
    - `random`: whether it draws random numbers.
    """

    forward = False
    keeps = False
    random = False

    @abc.abstractmethod
    def coords(self, landscape: Landscape, kept: Nodes | None, key: Array | None) -> Nodes:
        """Return the coordinates of the free nodes to settle from.

        **Arguments:**

        - `landscape`: what values settle on; its `start()` is the model's forward pass.
        - `kept`: where the last step left them, if `keeps`, `{node: [batch, *shape]}`.
        - `key`: a random key, a new one for each step, if `random`; else None.

        **Returns:** `{node: [batch, *shape]}`.
        """


@dataclasses.dataclass(frozen=True)
class Forward(Start):
    """At the predictions of a forward pass: all hidden errors are zero."""

    forward = True

    def coords(self, landscape: Landscape, kept: Nodes | None, key: Array | None) -> Nodes:
        return landscape.start()


@dataclasses.dataclass(frozen=True)
class Zeros(Start):
    """At zero."""

    def coords(self, landscape: Landscape, kept: Nodes | None, key: Array | None) -> Nodes:
        return blockwise(landscape.start(), lambda names, v: jnp.zeros_like(v))


@dataclasses.dataclass(frozen=True)
class Kept(Start):
    """At the place where the last step left them, sample by sample: for one batch that is seen again and again. The
    first step starts from the forward pass of the batch given to `init`."""

    keeps = True

    def coords(self, landscape: Landscape, kept: Nodes | None, key: Array | None) -> Nodes:
        return updated(landscape.start(), kept or {})


def kept_of(rule: str, start: Start, problem: Problem, nodes: Nodes | None) -> Nodes | None:
    """Return the coordinates that the last step left, with a check that they are of as many samples as there are now.

    **Arguments:** `rule`, the name by which errors begin; `nodes`, what was kept, `{node: [batch, *shape]}`.

    **Raises:** `ValueError`, with both sizes.
    """
    for value in (nodes or {}).values():
        if value.shape[:1] != (problem.size,):
            raise ValueError(
                f"{rule}: {type(start).__name__} keeps the values of {value.shape[0]} samples, but this batch has "
                f"{problem.size}: kept values go on sample by sample, so that every batch must be the same samples in "
                "the same order; start anew by init, or elsewhere, as by pxl.Forward()"
            )
    return nodes


_START = 0x57  # a start draws from a key of its own, apart from the descent's


def coords_of(rule: str, start: Start, landscape: Landscape, kept: Nodes | None, key: Array | None) -> Nodes:
    """Return the coordinates that a start gives, with checks of what it returns.

    **Arguments:**

    - `rule`: the name by which errors begin; the others as in `Start.coords`, with the rule's key.

    **Raises:** `TypeError` or `ValueError`, naming the start and the node.
    """
    call = f"{rule}: {type(start).__name__}.coords"
    draw = jax.random.fold_in(key, _START) if start.random and key is not None else None
    try:
        coords = start.coords(landscape, kept, draw)
    except TypeError as e:
        if draw is None:
            e.add_note(f"{call} got key=None: a start that draws random numbers sets `random = True` in its class")
        raise
    if not isinstance(coords, Mapping):
        raise TypeError(f"{call} must return a dict {{node: array}}, got {type(coords).__name__}")
    missing = [n for n in landscape.free if n not in coords]
    if missing:
        raise ValueError(f"{call} gives no coordinates of {', '.join(missing)}")
    unknown = [n for n in coords if n not in landscape.names]
    if unknown:
        raise ValueError(f"{call} gives coordinates of {unknown[0]!r}; the nodes are {', '.join(landscape.names)}")
    for name, value in forms_of(coords).items():
        if not value.shape or not jnp.issubdtype(value.dtype, jnp.inexact):
            raise ValueError(
                f"{call}: {name} must be an array of real numbers, [batch, *shape], got shape {value.shape}, "
                f"{value.dtype}"
            )
    return coords if isinstance(coords, Stacks) else dict(coords)
