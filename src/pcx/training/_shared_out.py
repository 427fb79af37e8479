"""Arrays of a checkpoint that several processes write together, each a part of every large one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

_LARGE = 2**16  # bytes: smaller arrays are written by process 0


def shared_out(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray | jax.Array]:
    """Return arrays, the same in all processes, as arrays of which each process has a part, where they are large.

    Orbax has each process write what it has, and process 0 what has no parts.
    """
    return {name: _parted(array) for name, array in arrays.items()}


def forms_of(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return shapes and dtypes, as JSON."""
    return {name: [list(a.shape), str(a.dtype)] for name, a in arrays.items()}


def wanted(forms: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return arrays of the form that arrays are to be read in: whole, by any number of processes."""
    return {name: np.empty(shape, jnp.dtype(dtype)) for name, (shape, dtype) in forms.items()}


def _parted(array: np.ndarray) -> np.ndarray | jax.Array:
    count = jax.process_count()
    axis = next((i for i, n in enumerate(array.shape) if n % count == 0), None)
    # What JAX would make another dtype of, as of float64 where that is off, stays as it is.
    if axis is None or array.nbytes < _LARGE or jax.dtypes.canonicalize_dtype(array.dtype) != array.dtype:
        return array
    firsts = {device.process_index: device for device in reversed(jax.devices())}
    mesh = Mesh(np.array([firsts[i] for i in range(count)]), ("processes",))
    sharding = NamedSharding(mesh, PartitionSpec(*[None] * axis, "processes"))
    return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])
