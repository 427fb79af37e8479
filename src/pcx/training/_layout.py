"""The devices of a run: how its arrays lie on one, or on a mesh of them.

Of a mesh two axes mean something. Over `batch` the samples of a batch are shared out: every device has all weights and
a part of each batch, and the sums over samples are sums over devices, too. Over `ensemble` the networks of a run are:
they share nothing, so that no device waits for another. What is computed doesn't depend on the mesh: the programs are
those of one device, and JAX divides them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from ..core import is_typed_key
from ._mesh import BATCH, ENSEMBLE, mesh_of

T = TypeVar("T", bound=PyTree)


@dataclasses.dataclass(frozen=True)
class Layout:
    """A mesh of devices, and how the arrays of a run lie on it.

    Methods that place arrays return them as they are where there is no mesh. All take arrays of JAX or NumPy, the whole
    ones, the same in every process; of a mesh that spans processes, each process places what its devices hold.

    **Arguments:**

    - `mesh`: with axes out of `AXES`; None for the one device that JAX takes by itself.
    """

    mesh: Mesh | None = None

    @staticmethod
    def of(mesh: Mesh | int | None, networks: int) -> Layout:
        """Return the layout that the argument of `fit` says.

        **Arguments:**

        - `mesh`: as `fit` takes it. A number of devices is shared out among the networks as far as it goes evenly, and
            what is left of it to the batch: with 4 devices and 6 networks each half of the networks is on 2 devices.
            None is all devices of a job of several processes.
        - `networks`: of the run.

        **Raises:** `TypeError` or `ValueError` for what is no mesh, or doesn't fit.
        """
        return Layout(mesh_of(mesh, networks))._checked(networks)

    # -- what it is -----------------------------------------------------------------------------------
    @property
    def devices(self) -> int:
        """The number of devices."""
        return 1 if self.mesh is None else self.mesh.size

    @property
    def batches(self) -> int:
        """The number of parts that a batch is in."""
        return self._size(BATCH)

    @property
    def ensembles(self) -> int:
        """The number of parts that the networks are in."""
        return self._size(ENSEMBLE)

    @property
    def spans_processes(self) -> bool:
        """True if some of its devices belong to other processes."""
        return self.mesh is not None and self.mesh.is_multi_process

    def _size(self, axis: str) -> int:
        return 1 if self.mesh is None else dict(self.mesh.shape).get(axis, 1)

    def describe(self) -> dict[str, int]:
        """Return, as plain data, how many devices each axis has."""
        return {BATCH: self.batches, ENSEMBLE: self.ensembles}

    def words(self) -> str:
        """Return it in words, such as `4 devices (2 parts of the networks x 2 parts of each batch)`."""
        if self.devices == 1:
            return "1 device"
        parts = [f"{self.ensembles} parts of the networks"] if self.ensembles > 1 else []
        parts += [f"{self.batches} parts of each batch"] if self.batches > 1 else []
        return f"{self.devices} devices ({' x '.join(parts)})"

    # -- what fits ------------------------------------------------------------------------------------
    def _checked(self, networks: int) -> Layout:
        if networks % self.ensembles:
            there = "is 1 network" if networks == 1 else f"are {networks} networks"
            raise ValueError(
                f"fit: the mesh has {self.ensembles} devices on its axis {ENSEMBLE!r}, over which networks are shared "
                f"out evenly, and there {there}; take another number of seeds or settings, or of devices"
            )
        return self

    def check_batch(self, size: int) -> None:
        """Refuse batches that can't be shared out evenly.

        **Arguments:**

        - `size`: samples in a batch.

        **Raises:** `ValueError`.
        """
        if size % self.batches:
            near = max(size - size % self.batches, self.batches)
            raise ValueError(
                f"fit: batches of {size} samples can't be shared out evenly among {self.batches} devices; take batches "
                f"of {near}, or another number of devices"
            )

    # -- where arrays lie -----------------------------------------------------------------------------
    def replicated(self, tree: T) -> T:
        """Place a tree of arrays whole on every device."""
        return self._placed(tree, PartitionSpec())

    def batch(self, tree: T, axis: int = 0) -> T:
        """Place a tree of arrays with the samples of `axis` shared out.

        An axis that doesn't divide, such as that of the smaller batch at an epoch's end, is whole on every device.
        """
        return jtu.tree_map(lambda a: self._placed(a, self._over_batch(a, axis)), tree)

    def rows(self, arrays: PyTree, rows: np.ndarray) -> PyTree:
        """Place batches of samples with those of each batch shared out. A process reads those alone that its devices
        get.

        **Arguments:**

        - `arrays`: a tree of arrays `[N, ...]` on the host.
        - `rows`: `[batches, B]`: the samples of batch i are those of `rows[i]`.

        **Returns:** a tree of arrays `[batches, B, ...]`.
        """
        assert self.mesh is not None
        sharding = NamedSharding(self.mesh, self._over_batch(rows, 1))

        def placed(a: np.ndarray) -> jax.Array:
            def read(place: tuple[slice, ...] | None) -> np.ndarray:
                return np.ascontiguousarray(a[rows if place is None else rows[place[:2]]])

            return jax.make_array_from_callback((*rows.shape, *a.shape[1:]), sharding, read)

        return jtu.tree_map(placed, arrays)

    def own(self, size: int) -> tuple[int, int]:
        """Return the first and last of the samples of a batch that this process's devices work on."""
        assert self.mesh is not None
        sharding = NamedSharding(self.mesh, PartitionSpec(BATCH) if self.batches > 1 else PartitionSpec())
        ranges = [
            place[0].indices(size) for place in sharding.addressable_devices_indices_map((size,)).values() if place
        ]
        return min(each[0] for each in ranges), max(each[1] for each in ranges)

    def parts(self, tree: PyTree, first: int, size: int) -> PyTree:
        """Place batches of which each process holds the samples of its devices.

        **Arguments:**

        - `tree`: of arrays `[batches, part of B, ...]`.
        - `first`: the number in a batch of the first sample that is here; see `own`.
        - `size`: samples in a batch, B.

        **Returns:** a tree of arrays `[batches, B, ...]`.
        """
        assert self.mesh is not None
        spec = PartitionSpec(None, BATCH) if self.batches > 1 else PartitionSpec()
        sharding = NamedSharding(self.mesh, spec)

        def placed(a: jax.Array) -> jax.Array:
            host = np.asarray(a)

            def read(place: tuple[slice, ...] | None) -> np.ndarray:
                begin, end, _ = (slice(None) if place is None else place[1]).indices(size)
                return host[:, begin - first : end - first]

            return jax.make_array_from_callback((len(host), size, *host.shape[2:]), sharding, read)

        return jtu.tree_map(placed, tree)

    def networks(self, tree: T, batch: int | None = None) -> T:
        """Place a tree of arrays with their first axis, over networks, shared out.

        **Arguments:**

        - `batch`: an axis of samples that is shared out, too.
        """
        if batch is None:
            return self._placed(tree, self._over_networks())
        return jtu.tree_map(lambda a: self._placed(a, self._over_batch(a, batch, self._over_networks())), tree)

    def one(self, tree: T) -> T:
        """Return a tree of arrays that are whole on every device as they lie on one: views, not copies."""
        if self.mesh is None:
            return tree
        return jtu.tree_map(lambda a: a.addressable_data(0) if isinstance(a, jax.Array) else a, tree)

    def gathered(self, tree: T) -> T:
        """Place arrays whole on every device, in every process, wherever their parts lie."""
        if self.mesh is None:
            return tree
        return _identity(NamedSharding(self.mesh, PartitionSpec()))(tree)

    def _over_networks(self) -> PartitionSpec:
        return PartitionSpec(ENSEMBLE) if self.ensembles > 1 else PartitionSpec()

    def _over_batch(self, a: jax.Array | np.ndarray, axis: int, first: PartitionSpec | None = None) -> PartitionSpec:
        first = PartitionSpec() if first is None else first
        if self.batches == 1 or a.shape[axis] % self.batches:
            return first
        return PartitionSpec(*first, *[None] * (axis - len(first)), BATCH)

    def _placed(self, tree: T, spec: PartitionSpec) -> T:
        if self.mesh is None:
            return tree
        sharding = NamedSharding(self.mesh, spec)
        if not self.spans_processes:
            return jax.device_put(tree, sharding)
        return jtu.tree_map(lambda a: _of_this_process(a, sharding), tree)

    # -- compiled programs ----------------------------------------------------------------------------
    @property
    def of_networks(self) -> NamedSharding | None:
        """The sharding of arrays of networks: states, and what is found for each. None leaves it to JAX."""
        return None if self.mesh is None else NamedSharding(self.mesh, self._over_networks())

    def context(self) -> contextlib.AbstractContextManager[object]:
        """Say, around calls of compiled functions, that JAX divides them; what they are made of may depend on that."""
        if self.mesh is None:
            return contextlib.nullcontext()
        # Under another name before JAX 0.8.
        return jax.set_mesh(self.mesh) if hasattr(jax, "set_mesh") else jax.sharding.use_mesh(self.mesh)  # pyright: ignore

    def divided(self, batch: T) -> T:
        """Say, inside of a program, that the samples of a batch, `[batch, ...]` each, are shared out. The rest follows
        from that: sums over samples become sums over devices, and what is computed from them is whole on each."""
        if self.mesh is None or self.batches == 1:
            return batch
        mesh = self.mesh
        return jtu.tree_map(
            lambda a: jax.lax.with_sharding_constraint(a, NamedSharding(mesh, self._over_batch(a, 0))), batch
        )

    def over_networks(self, f: Callable[..., T], axes: Sequence[int | None], at_once: bool) -> Callable[..., T]:
        """Return a function of one network as one of all of them.

        **Arguments:**

        - `f`: the function.
        - `axes`: for each argument 0, if it has a first axis over networks, or None.
        - `at_once`: whether the networks of one device are computed at once, or in turn.

        **Returns:** a function of the same arguments, whose results have a first axis over networks.
        """
        mapped = jax.vmap(f, in_axes=tuple(axes)) if at_once else _in_turn(f, axes)
        if self.ensembles == 1:
            return mapped
        specs = tuple(PartitionSpec() if axis is None else self._over_networks() for axis in axes)
        return jax.shard_map(
            mapped,
            mesh=self.mesh,
            in_specs=specs,
            out_specs=self._over_networks(),
            axis_names={ENSEMBLE},
            check_vma=False,
        )


def _in_turn(f: Callable[..., T], axes: Sequence[int | None]) -> Callable[..., T]:
    """Map a function over networks one after the other."""

    def mapped(*args: Any) -> T:
        stacked = [a for a, axis in zip(args, axes, strict=True) if axis is not None]

        def one(own: list[PyTree]) -> T:
            left = iter(own)
            return f(*[next(left) if axis is not None else a for a, axis in zip(args, axes, strict=True)])

        if jtu.tree_leaves(stacked)[0].shape[0] == 1:  # no loop around it
            return jtu.tree_map(lambda a: a[None], one(jtu.tree_map(lambda a: a[0], stacked)))
        return jax.lax.map(one, stacked)

    return mapped


def _of_this_process(a: jax.Array | np.ndarray, sharding: NamedSharding) -> jax.Array:
    if isinstance(a, jax.Array) and is_typed_key(a):
        data = _of_this_process(jax.random.key_data(a), sharding)
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(a))
    if isinstance(a, jax.Array) and not a.is_fully_addressable:
        return a if a.sharding == sharding else jax.device_put(a, sharding)
    host = np.asarray(a)
    return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])


@functools.lru_cache(maxsize=8)
def _identity(sharding: NamedSharding) -> Callable[[T], T]:
    return jax.jit(lambda tree: jtu.tree_map(jnp.asarray, tree), out_shardings=sharding)
