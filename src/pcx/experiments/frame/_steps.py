"""The first steps of a training, taken again one by one: by them a folder is verified."""

from __future__ import annotations

import hashlib
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.tree_util as jtu
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import PyTree

from ...core import seeded
from ...data import ArrayBatches, Position, stream
from ...predictive_coding import EnergyModule
from ...training import LearningRule
from ._record import FirstSteps
from ._told import finite

STEPS = 10
_NAMES = ("loss", "energy")


def first_steps(
    make: Callable[[], EnergyModule],
    rule: LearningRule,
    train: tuple[PyTree, PyTree],
    batch_size: int,
    augment: Callable[[jax.Array, PyTree], PyTree] | None,
    seed: int,
    count: int = STEPS,
) -> FirstSteps:
    """Take the first steps that `pcx.training.fit` takes: from the same weights, on the same batches. (What augments is
    given keys of its own.)

    **Arguments:**

    - `make`, `rule`, `train`, `batch_size`, `augment`, `seed`: as for `fit`.
    - `count`: how many steps.

    **Returns:** loss and energy of each, and how far the weights have moved.
    """
    with seeded(seed):
        model = make()
    batches = ArrayBatches(train, batch_size, seed=seed)
    example = jtu.tree_map(lambda a: a[:batch_size], train)
    state = before = rule.init(model, example, seed)

    def step(state: PyTree, batch: tuple[PyTree, PyTree], key: jax.Array) -> tuple[PyTree, dict[str, Any]]:
        x, y = batch
        state, info = rule.step(state, (x if augment is None else augment(key, x), y))
        found = {name: _field(info, name) for name in _NAMES}
        return state, {name: value for name, value in found.items() if value is not None}

    compiled = jax.jit(step)
    told, times = [], []
    for i, (batch, _) in zip(range(count), stream(batches, Position()), strict=False):
        begun = time.perf_counter()
        state, numbers = jax.block_until_ready(compiled(state, batch, jax.random.PRNGKey(i)))
        times.append(time.perf_counter() - begun)
        told.append(numbers)
    middle = statistics.median(times[1:]) if len(times) > 1 else None
    told_by_name = {name: [each[name] for each in told] for name in told[0]}
    return steps_between(before, state, told_by_name, times[0], middle)


def steps_between(
    before: PyTree,
    after: PyTree,
    numbers: Mapping[str, Sequence[ArrayLike]],
    first_call: float | None = None,
    step: float | None = None,
) -> FirstSteps:
    """Return what is told of steps, by the states at their begin and at their end.

    **Arguments:**

    - `before`, `after`: the states.
    - `numbers`, `first_call`, `step`: as of `FirstSteps`; numbers may be infinite or NaN, and on a device.
    """
    was, now = _arrays(before), _arrays(after)
    return FirstSteps(
        {name: [finite(each) for each in values] for name, values in numbers.items()},
        {path: _distance(was[path], array) for path, array in now.items()},
        _bits(now),
        first_call,
        step,
    )


def _arrays(state: PyTree) -> dict[str, np.ndarray]:
    """Return the weights of a state by path; of what is no state of pcx, all its arrays."""
    weights = getattr(state, "weights", state)
    if isinstance(weights, Mapping):
        return {str(path): np.asarray(each) for path, each in sorted(weights.items())}
    leaves = jtu.tree_flatten_with_path(weights)[0]
    return {jtu.keystr(path): np.asarray(each) for path, each in leaves if hasattr(each, "shape")}


def _distance(before: np.ndarray, after: np.ndarray) -> float:
    return float(np.linalg.norm((after.astype(np.float64) - before.astype(np.float64)).ravel()))


def _bits(arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for path, each in arrays.items():
        digest.update(f"{path}{each.dtype.str}{each.shape}".encode())
        digest.update(np.ascontiguousarray(each).data)
    return digest.hexdigest()


def _field(info: PyTree, name: str) -> Any:
    return info.get(name) if isinstance(info, Mapping) else getattr(info, name, None)
