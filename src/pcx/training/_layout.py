"""The devices of a run: how its arrays lie on one, or on a mesh of them.

Of a mesh three axes mean something. Over `batch` the samples of a batch are shared out: every device has all weights
and a part of each batch, and the sums over samples are sums over devices, too. Over `layers` the stacks of equal
layers are: each device has some of the layers, their values and what their optimiser remembers. Over `ensemble` the
networks of a run are: they share nothing, so that no device waits for another. What is computed doesn't depend on the
mesh: the programs are those of one device, and JAX divides them.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import jax.tree_util as jtu
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from ..energy import LAYERS, Stacks
from ..learning import Rule
from ._mesh import BATCH, ENSEMBLE, mesh_of
from ._placing import in_turn, of_this_process, placed_by_program

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
    def layers(self) -> int:
        """The number of parts that equal layers are in."""
        return self._size(LAYERS)

    @property
    def spans_processes(self) -> bool:
        """True if some of its devices belong to other processes."""
        return self.mesh is not None and self.mesh.is_multi_process

    def _size(self, axis: str) -> int:
        return 1 if self.mesh is None else dict(self.mesh.shape).get(axis, 1)

    def describe(self) -> dict[str, int]:
        """Return, as plain data, how many devices each axis has."""
        found = {BATCH: self.batches, ENSEMBLE: self.ensembles}
        return found if self.layers == 1 else {**found, LAYERS: self.layers}

    def words(self) -> str:
        """Return it in words, such as `4 devices (2 parts of the networks x 2 parts of each batch)`."""
        if self.devices == 1:
            return "1 device"
        parts = [f"{self.ensembles} parts of the networks"] if self.ensembles > 1 else []
        parts += [f"{self.layers} parts of the layers"] if self.layers > 1 else []
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

    def check_rule(self, rule: object) -> None:
        """Refuse to share out the layers of a rule that knows of none.

        **Arguments:**

        - `rule`: the learning rule.

        **Raises:** `ValueError`.
        """
        if self.layers > 1 and not isinstance(rule, Rule):
            raise ValueError(
                f"fit: the mesh has an axis {LAYERS!r}, over which a pcx.learning.Rule shares out equal layers, and "
                f"{type(rule).__name__} is none; share out the batch instead"
            )

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

    def states(self, tree: T) -> T:
        """Place a network's state: stacks of equal layers with these shared out, all else whole on every device."""
        if self.layers == 1:
            return self.replicated(tree)
        return self._by_layer(tree, self._placed)

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
        """Return a tree of arrays as they lie on one device: views of those that are whole on every device, not copies.
        Where layers are shared out, they are put together on it."""
        if self.mesh is None:
            return tree
        if self.layers > 1:
            tree = self.gathered(tree)
        return jtu.tree_map(lambda a: a.addressable_data(0) if isinstance(a, jax.Array) else a, tree)

    def gathered(self, tree: T) -> T:
        """Place arrays whole on every device, in every process, wherever their parts lie."""
        if self.mesh is None:
            return tree
        return placed_by_program(NamedSharding(self.mesh, PartitionSpec()))(tree)

    def _over_networks(self) -> PartitionSpec:
        return PartitionSpec(ENSEMBLE) if self.ensembles > 1 else PartitionSpec()

    def _over_batch(self, a: jax.Array | np.ndarray, axis: int, first: PartitionSpec | None = None) -> PartitionSpec:
        first = PartitionSpec() if first is None else first
        if self.batches == 1 or a.shape[axis] % self.batches:
            return first
        return PartitionSpec(*first, *[None] * (axis - len(first)), BATCH)

    def _by_layer(self, tree: T, place: Callable[[PyTree, PartitionSpec], PyTree]) -> T:
        """Return a tree placed array by array, with each stack of equal layers along their axis."""
        whole, parts = PartitionSpec(), PartitionSpec(LAYERS)

        def of_stacks(part: Any) -> Any:
            if not isinstance(part, Stacks):
                return place(part, whole)
            specs = [parts if len(names) > 1 else whole for names in part.blocks]
            return part.with_stacks([place(stack, spec) for stack, spec in zip(part.stacks, specs, strict=True)])

        return jtu.tree_map(of_stacks, tree, is_leaf=lambda part: isinstance(part, Stacks))

    def _placed(self, tree: T, spec: PartitionSpec) -> T:
        if self.mesh is None:
            return tree
        sharding = NamedSharding(self.mesh, spec)
        if not self.spans_processes:
            return jax.device_put(tree, sharding)
        return jtu.tree_map(lambda a: of_this_process(a, sharding), tree)

    # -- compiled programs ----------------------------------------------------------------------------
    def kept(self, tree: T) -> T:
        """Say, inside of a program, that its results lie as `states` places them."""
        mesh = self.mesh
        if mesh is None or self.layers == 1:
            return tree
        return self._by_layer(
            tree, lambda part, spec: jax.lax.with_sharding_constraint(part, NamedSharding(mesh, spec))
        )

    @property
    def of_networks(self) -> NamedSharding | None:
        """The sharding of arrays of networks: states, and what is found for each. None leaves it to JAX."""
        return None if self.mesh is None or self.layers > 1 else NamedSharding(self.mesh, self._over_networks())

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
        mapped = jax.vmap(f, in_axes=tuple(axes)) if at_once else in_turn(f, axes)
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
