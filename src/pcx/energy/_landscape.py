"""The interface of landscapes: the energy of one batch as a function of some coordinates of its nodes.

Settling is descent on a landscape, and what the weights learn is its gradient by the weights at the place where the
values have settled. So all that `pcx.inference` needs of a model, and nearly all that a learning rule needs, is in
this interface.

In predictive coding the coordinates are the values of the nodes. In error coordinates (ePC) they are the errors, from
which values follow; and one may take the sum of two networks' energies over the same values. Each of these is a
landscape, and each rule of learning by settling is the same few lines over another one.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float

from ._types import Energies, Gradient, Moves, Nodes, NodesIn, Weights
from ._uphill import added, node_sums, rose, sum_each

if TYPE_CHECKING:
    from ._sweep import Sweep


class WeightGradient(NamedTuple):
    """The gradient by the weights at a place in a landscape, and the energies there.

    **Attributes:**

    - `gradient`: of the batch's mean energy by the weights, `{path: array}`.
    - `energies`: each node's energy there, `{node: [batch]}`.
    - `elements`: the same elementwise and without precisions, `{node: [batch, *shape]}`.
    """

    gradient: Weights
    energies: Energies
    elements: Nodes


class Landscape(abc.ABC):
    """The energy of one batch as a function of coordinates, with weights, data and clamped nodes fixed.

    Energies are summed over a node's features. The gradient by the coordinates is that of the sum over the batch; the
    gradient by the weights that of the mean. A landscape never changes.

    **Attributes:**

    - `free`: the names of the nodes whose coordinates move.
    - `names`: those of all nodes, in the order of the model; `order`: parents before children.
    - `arrival`: the step, from 0, at which each free node's gradient may first be other than zero when settling starts
        at `start()`; None if nothing is known.
    - `rounding`: the energy of an error of nothing but rounding, where predictions are rounded to fewer bits than
        coordinates.
    """

    free: tuple[str, ...]
    names: tuple[str, ...]
    order: tuple[str, ...]
    arrival: Mapping[str, int] | None = None
    rounding: float = 0.0

    # -- what every landscape says --------------------------------------------------------------------
    @abc.abstractmethod
    def start(self) -> Nodes:
        """Return the coordinates of the free nodes at the model's forward pass, `{node: [batch, *shape]}`."""

    @abc.abstractmethod
    def energies(self, coords: NodesIn) -> Energies:
        """Return the energy of every node that has one.

        **Arguments:**

        - `coords`: the coordinates of the free nodes, `{node: [batch, *shape]}`.

        **Returns:** `{node: [batch]}`, summed over the node's features.
        """

    @abc.abstractmethod
    def gradient(self, coords: NodesIn, moving: Iterable[str] | None = None) -> Gradient:
        """Return the gradient of the total energy by the coordinates of some nodes, as a function of these.

        The others stay at what they are in `coords`: what depends on none that move may be computed here and now.

        **Arguments:**

        - `coords`: the coordinates of the free nodes, `{node: [batch, *shape]}`.
        - `moving`: the nodes; by default all free ones.

        **Returns:** a function from coordinates `{node: [batch, *shape]}`, of the moving nodes at least, to their
        gradients, likewise.
        """

    @abc.abstractmethod
    def weight_gradient(self, coords: NodesIn) -> WeightGradient:
        """Return the gradient by the weights, and the energies.

        **Arguments:**

        - `coords`: the coordinates of the free nodes, `{node: [batch, *shape]}`.

        **Returns:** a `WeightGradient`.
        """

    @abc.abstractmethod
    def values(self, coords: NodesIn) -> Nodes:
        """Return the values of all nodes, clamped ones included.

        **Arguments:**

        - `coords`: the coordinates of the free nodes, `{node: [batch, *shape]}`.

        **Returns:** `{node: [batch, *shape]}`.
        """

    @abc.abstractmethod
    def predictions(self, coords: NodesIn) -> Nodes:
        """Return the predictions of all nodes that have one.

        **Arguments:**

        - `coords`: the coordinates of the free nodes, `{node: [batch, *shape]}`.

        **Returns:** `{node: [batch, *shape]}`.
        """

    def among_free(self, moving: Iterable[str] | None) -> tuple[str, ...]:
        """Return the free nodes among those that are to move.

        **Arguments:**

        - `moving`: names of nodes that move; None for all.

        **Returns:** their names, in the order of `free`.

        **Raises:** `ValueError` for a name of none of them.
        """
        if moving is None:
            return self.free
        names = (moving,) if isinstance(moving, str) else tuple(moving)
        wrong = [n for n in names if n not in self.free]
        if wrong:
            raise ValueError(
                f"gradient: moving names {wrong[0]!r}, which doesn't move; the nodes that do are {', '.join(self.free)}"
            )
        return tuple([n for n in self.free if n in names])

    def check_names(self, call: str, coords: NodesIn) -> None:
        """Refuse coordinates that name no node, or lack a free one.

        **Arguments:**

        - `call`: what to name in errors.
        - `coords`: the coordinates, by node.

        **Raises:** `ValueError`, with the names.
        """
        unknown = [n for n in coords if n not in self.names]
        if unknown:
            raise ValueError(f"{call}: there is no node {unknown[0]!r}; the nodes are {', '.join(self.names)}")
        missing = [n for n in self.free if n not in coords]
        if missing:
            raise ValueError(f"{call}: the coordinates lack {', '.join(missing)}; free nodes: {', '.join(self.free)}")

    # -- what most need not say -----------------------------------------------------------------------
    def total(self, coords: NodesIn) -> Float[Array, ""]:
        """Return the sum of all energies over nodes and batch.

        **Arguments:**

        - `coords`: the coordinates of the free nodes, `{node: [batch, *shape]}`.

        **Returns:** a scalar.
        """
        return _total(self.energies(coords))

    def starts_forward(self, coords: NodesIn) -> bool:
        """Return whether these are the very arrays that `start()` gives, and `arrival` holds for them.

        **Arguments:**

        - `coords`: the coordinates of the free nodes, `{node: [batch, *shape]}`.

        **Returns:** False where that isn't known.
        """
        return False

    def blocks(
        self, names: Iterable[str], alike: Callable[[str], Hashable] | None = None
    ) -> tuple[tuple[str, ...], ...]:
        """Return names in the blocks in which their arrays are computed together.

        **Arguments:**

        - `names`: of nodes.
        - `alike`: gives what must be equal for the nodes of one block.

        **Returns:** the names, block by block; by default each is a block of its own.
        """
        return tuple([(n,) for n in names])

    def arranged(self, coords: NodesIn, alike: Callable[[str], Hashable] | None = None) -> NodesIn:
        """Return the coordinates of the free nodes in the blocks of this landscape.

        **Arguments:**

        - `coords`: the coordinates of the free nodes, `{node: [batch, *shape]}`.
        - `alike`: see `blocks`.

        **Returns:** a dict; `Stacks` where nodes are computed together.
        """
        return {n: coords[n] for n in self.free}

    def sweep(self, coords: NodesIn, arrival: Mapping[str, int] | None) -> Sweep | None:
        """Return steps of all free nodes by a loop over equal layers.

        **Arguments:**

        - `coords`: the coordinates of the free nodes, as of `arranged`.
        - `arrival`: the step, from 0, at which each node's gradient may first be other than zero; None if nothing is
            known.

        **Returns:** the steps; None where nodes don't move so.
        """
        return None

    def project(self, coords: NodesIn) -> Nodes:
        """Put what is clamped of a free node at the value that it is clamped at.

        **Arguments:**

        - `coords`: the coordinates of the free nodes, `{node: [batch, *shape]}`.

        **Returns:** the coordinates, likewise.
        """
        return dict(coords)

    def begin(self, coords: NodesIn) -> Nodes:
        """Return the coordinates from which settling starts where it is asked to start at `coords`.

        **Arguments:**

        - `coords`: the coordinates of the free nodes, `{node: [batch, *shape]}`.

        **Returns:** the coordinates of the free nodes, likewise.
        """
        return self.project(coords)

    def errors_at(self, coords: NodesIn) -> tuple[tuple[str, ...], dict[str, Bool[Array, " batch"]]] | None:
        """Return which nodes may have an error.

        **Arguments:**

        - `coords`: the coordinates of the free nodes, `{node: [batch, *shape]}`.

        **Returns:** the names of those that may, whatever the coordinates are; and for others whether each sample has
        one, `{node: [batch]}`. None if nothing is known.
        """
        return None

    def travel(
        self,
        sources: Iterable[str],
        groups: Sequence[Sequence[str]] | None = None,
        moves: Moves | None = None,
    ) -> dict[str, int]:
        """Return the step at which each free node may first feel an error, if no other nodes have one at the start.
        Asked for only where `errors_at` says something.

        **Arguments:**

        - `sources`: the nodes that have an error at the start.
        - `groups`: the nodes that move one group after the other in a step; by default all move together.
        - `moves`: gives the step at which a node first moves, from its name and the step at which it first feels an
            error, for descents that move nothing at some steps; by default the same.

        **Returns:** `{node: step}`, from 0; without the nodes that no error reaches.
        """
        raise NotImplementedError

    def energies_before(self, coords: NodesIn) -> Energies:
        """Return the energies at the place from which settling starts, as `energies` does, or at less cost where it is
        known which of them are zero.

        **Arguments:**

        - `coords`: the coordinates of the free nodes, `{node: [batch, *shape]}`.

        **Returns:** `{node: [batch]}`.
        """
        return self.energies(coords)

    def went_uphill(
        self,
        coords: NodesIn,
        before: Energies,
        after: Energies,
        temperature: Array | float | None,
        *,
        each: bool = False,
    ) -> Bool[Array, "*batch"]:
        """Return whether settling raised the energy that it should have lowered, by more than rounding and noise
        explain.

        **Arguments:**

        - `coords`: where it ended, `{node: [batch, *shape]}`.
        - `before`, `after`: energies at its start and its end, `{node: [batch]}`.
        - `temperature`: of its noise, as in `exp(-E / temperature)`; 0 without noise, None if it isn't known, in which
            case nothing is claimed.
        - `each`: whether to judge each sample by itself, rather than their sum.

        **Returns:** a boolean; with `each` one for each sample.
        """
        if not before:
            return jnp.array(False)
        of = sum_each if each else jnp.sum
        scale = added(node_sums(of, self.without_logs(before), jnp.abs))
        rise = added(node_sums(of, after)) - added(node_sums(of, before))
        return rose(coords, rise, scale, temperature, self.rounding)

    def without_logs(self, energies: Energies) -> Energies:
        """Take the log-determinants of precisions, which say nothing of how large the errors are, from energies.

        **Arguments:**

        - `energies`: `{node: [batch]}`.

        **Returns:** likewise.
        """
        return energies


def _total(energies: Energies) -> Array:
    return added(node_sums(jnp.sum, energies))
