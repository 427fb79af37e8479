"""The mesh of devices that the argument of `fit` says."""

from __future__ import annotations

import math

import jax
import numpy as np
from jax.sharding import Mesh

from ..energy import LAYERS
from ._types import is_whole

BATCH, ENSEMBLE = "batch", "ensemble"
AXES = (ENSEMBLE, LAYERS, BATCH)
"""The names of a mesh's axes, from the one that is talked over least."""


def mesh_of(mesh: Mesh | int | None, networks: int) -> Mesh | None:
    """Return a mesh with axes out of `AXES`, in their order, whose program JAX divides by itself; None for the one
    device that JAX takes by itself.

    **Arguments:** see `Layout.of`.

    **Raises:** `TypeError` or `ValueError` for what is no mesh, or is not there.
    """
    if mesh is None and not of_this_job(mesh):
        return None
    if mesh is None:
        mesh = jax.device_count()
    if isinstance(mesh, Mesh):
        return _plain(mesh)
    if not is_whole(mesh):
        raise TypeError(f"fit: mesh must be a jax.sharding.Mesh or a number of devices, got {type(mesh).__name__}")
    devices = _chosen(int(mesh))
    return None if len(devices) == 1 else Mesh(devices.reshape(math.gcd(networks, len(devices)), -1), (ENSEMBLE, BATCH))


def of_this_job(mesh: Mesh | int | None) -> bool:
    """Return whether the argument of `fit` means devices of several processes, those of a job that they joined."""
    if not jax.distributed.is_initialized() or jax.process_count() == 1:
        return False
    return mesh.is_multi_process if isinstance(mesh, Mesh) else True


def _chosen(number: int, asked: str = "mesh") -> np.ndarray:
    """Return so many devices, from every process the same number. Errors name what asked for them."""
    found = jax.devices()
    if number < 1:
        raise ValueError(f"fit: mesh must be at least 1 device, got {number}")
    if number > len(found):
        kind = found[0].platform
        more = (
            ". On a CPU JAX makes more of them where it is told to before it starts: "
            f"XLA_FLAGS=--xla_force_host_platform_device_count={number}"
            if kind == "cpu"
            else ""
        )
        raise ValueError(f"fit: {number} devices are asked for ({asked}), and JAX has {len(found)} ({kind}){more}")
    processes = sorted({device.process_index for device in found})
    each, left = divmod(number, len(processes))
    chosen = [[d for d in found if d.process_index == process][:each] for process in processes]
    if left or any(len(own) < each for own in chosen):
        raise ValueError(
            f"fit: {number} devices are asked for ({asked}), and that is not the same number from each of the "
            f"{len(processes)} processes; take a multiple of {len(processes)}"
        )
    return np.array(chosen).reshape(-1)


def _plain(mesh: Mesh) -> Mesh:
    """Return a mesh whose program JAX divides by itself, with all axes in the order of `AXES`.

    **Raises:** `ValueError` for axes that mean nothing here.
    """
    odd = [str(name) for name in mesh.axis_names if name not in AXES]
    if odd or mesh.empty:
        raise ValueError(
            f"fit: the axes of a mesh are {BATCH!r}, {LAYERS!r} and {ENSEMBLE!r}, got "
            f"{', '.join(map(repr, odd)) or 'none'}; for example jax.make_mesh((4,), ({BATCH!r},))"
        )
    if mesh.is_multi_process and len({device.process_index for device in mesh.devices.flat}) < jax.process_count():
        raise ValueError(
            f"fit: the mesh has devices of some of the {jax.process_count()} processes; take one of all processes, or, "
            "for a run that this process trains by itself, of its own: jax.local_devices()"
        )
    names = [name for name in AXES if name in mesh.axis_names]
    devices = np.transpose(mesh.devices, [mesh.axis_names.index(name) for name in names])
    found = Mesh(devices, tuple(names))
    shape = dict(found.shape)
    if shape.get(LAYERS, 1) > 1 and shape.get(ENSEMBLE, 1) > 1:
        raise ValueError(
            f"fit: a mesh shares out layers ({LAYERS!r}) or networks ({ENSEMBLE!r}), got both; train the networks in "
            f"runs of their own, or in turn by a mesh of {LAYERS!r} and {BATCH!r}"
        )
    return found


def mesh_by_layer(devices: int | None, layers: int, asked: str = "mesh") -> Mesh | int | None:
    """Return what `fit` takes as its mesh for a number of devices, of which some share out layers and the rest of it
    each batch.

    **Arguments:**

    - `devices`: in all; None is as many as there are for layers.
    - `layers`: over how many of them layers are shared out.
    - `asked`: what asks for them, for errors.

    **Raises:** `ValueError` for devices that there are not, or that don't go evenly.
    """
    if layers == 1:
        if devices is not None:
            _chosen(devices, asked)  # are there so many?
        return devices
    total = layers if devices is None else devices
    if total % layers:
        raise ValueError(
            f"fit: {total} devices can't be shared out evenly among {layers} parts of the layers; take a multiple of "
            f"{layers}"
        )
    return Mesh(_chosen(total, asked).reshape(layers, -1), (LAYERS, BATCH))
