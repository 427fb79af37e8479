"""The nodes that a batch clamps, and their values: targets by the order of the model or by name, class numbers, and
what the model's own call says."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jax import Array
from jax.core import Tracer
from jaxtyping import PyTree

from ..core import see

if TYPE_CHECKING:
    from ._dataflow import Program
    from ._problem import Node
    from ._structure import Structure


@dataclasses.dataclass(frozen=True)
class Clamped:
    """The clamped nodes, in the order of the model.

    **Attributes:**

    - `places`: for each clamped node, the place of its leaf of y; None for a value of the forward pass.
    - `outputs`: the nodes that targets clamp.
    - `labels`: for each of these that a leaf of y alone decides, which one: where class numbers are looked for.
    - `optional`: those of the outputs that are free where a sample has no target: what the model's own call clamps at
        something else than y is clamped all the same, unless y clamps no node at all.
    """

    places: dict[str, int | None]
    outputs: tuple[str, ...]
    labels: dict[str, int]
    optional: tuple[str, ...]


def find_targets(structure: Structure, start: Program, set_in_call: Collection[str], y: PyTree) -> Clamped:
    """Return which leaf of y clamps which node.

    A node whose value depends on y otherwise than by its prediction is clamped by it; one that is marked
    (`pxc.Vode(output=True)`) and set by the call is clamped at the value that the call sets. The leaves of y clamp the
    other marked nodes, in the order of the model, or by name, unless the call itself uses y.

    **Arguments:**

    - `start`: the forward pass, `forward_pass`.
    - `set_in_call`: the nodes whose value the call set otherwise than by a prediction.
    - `y`: shapes of the targets.

    **Raises:** `ValueError` for targets that name no node, or are more or fewer than the nodes.
    """
    (made, _), _ = start.outputs
    marked = [n for n in structure.nodes if n in structure.frozen]
    y_ids = jtu.tree_leaves(start.inputs[0].y)
    reached = [start.reached([i]) for i in y_ids]
    depends = set().union(*reached) if reached else set()

    def driven(name: str) -> bool:
        h, u = made[name]["h"], made[name]["u"]
        return h in depends and h != u and h in start.reached(y_ids, stop=[u])

    own = [n for n in structure.nodes if y_ids and driven(n)]
    said = [n for n in marked if n in set_in_call and made[n]["h"] is not None and made[n]["h"] != made[n]["u"]]
    # What holds nothing but a value, such as an input, has no target.
    held = [n for n in structure.nodes if n in own or (n in said and made[n]["u"] is not None)]
    open_ = [n for n in marked if n not in said and n not in own]
    if own:
        # A marked node that y says nothing of doesn't move either, but is no output.
        names = [n for n in structure.nodes if n in own or (n in marked and made[n]["h"] is not None)]
        deciding = {n: [i for i, r in enumerate(reached) if made[n]["h"] in r] for n in own}
        labels = {n: leaves[0] for n, leaves in deciding.items() if len(leaves) == 1}
        return Clamped(dict.fromkeys(names), tuple(held), labels, tuple(own))
    places: dict[str, int | None] = dict.fromkeys(said)
    if y is not None and (open_ or not (said or len(y_ids) == 1)):
        places |= _paired(structure, open_, said, y)
    elif isinstance(y, Mapping) and any(n in said for n in y):
        _paired(structure, open_, said, y)
    places = {n: places[n] for n in structure.nodes if n in places}
    labels = {n: place for n, place in places.items() if place is not None}
    outputs = tuple([n for n in places if n in held or n in labels])
    return Clamped(places, outputs, labels, tuple(labels) or outputs)


def _paired(structure: Structure, nodes: Sequence[str], said: Sequence[str], y: PyTree) -> dict[str, int]:
    """Return the place of each node's leaf of y."""
    paths = [path for path, _ in jtu.tree_flatten_with_path(y)[0]]
    marked = ", ".join(nodes) or "none"
    names = [_name_of(path[0]) if path else None for path in paths]
    by_name = isinstance(y, Mapping) or (any(n in structure.nodes for n in names) and not isinstance(y, list))
    if not by_name:
        if any(isinstance(key, jtu.DictKey) for path in paths for key in path):
            raise ValueError(
                f"the targets hold a dict inside {type(y).__name__}, whose order says nothing of nodes: give one dict "
                f"by node, {{{', '.join(repr(n) + ': ...' for n in nodes)}}}{see('clamped')}"
            )
        if len(nodes) != len(paths):
            raise ValueError(
                f"the batch has {len(paths)} targets, but {len(nodes)} nodes are marked by pxc.Vode(output=True)"
                f"{': ' + marked if nodes else ''}{see('clamped')}"
            )
        return dict(zip(nodes, range(len(paths)), strict=True))
    for name, path in zip(names, paths, strict=True):
        if name not in structure.nodes:
            raise ValueError(
                f"the targets are given by node, but {name!r} names no node; marked by output=True: {marked}"
            )
        if name in said:
            raise ValueError(f"the targets name {name}, but the model's call itself sets its value: leave it out")
        if name not in nodes:
            raise ValueError(
                f"the targets name {name}, which isn't marked by pxc.Vode(output=True); those are: {marked}"
                f"{see('clamped')}"
            )
        if len(path) != 1:
            raise ValueError(f"the target of {name} must be one array, but it is a tree of arrays{see('clamped')}")
    missing = [n for n in nodes if n not in names]
    if missing:
        raise ValueError(
            f"the targets lack one for {', '.join(missing)}, marked by pxc.Vode(output=True){see('clamped')}"
        )
    return {n: names.index(n) for n in nodes}


def _name_of(key: PyTree) -> Any:
    return getattr(key, "key", getattr(key, "name", None)) if not isinstance(key, jtu.SequenceKey) else None


def check_targets(targets: Clamped, nodes: Mapping[str, Node], size: int, y: PyTree, made: Mapping[str, Any]) -> None:
    """Refuse targets of another shape than the node's prediction, or class numbers that are none.

    **Arguments:**

    - `y`, `made`: shapes of the targets, and of what the forward pass gives.
    """
    leaves = jtu.tree_leaves(y)
    for name, place in targets.places.items():
        given = made[name]["h"] if place is None else leaves[place]
        node = nodes[name]
        if jnp.issubdtype(given.dtype, jnp.complexfloating):
            raise ValueError(
                f"the target of {name} is of complex numbers ({given.dtype}), but its prediction is of real ones: give "
                "real and imaginary part as features"
            )
        if is_label(given, node):
            if node.shape[-1] == 1:
                raise ValueError(
                    f"the target of {name} is of class numbers {tuple(given.shape)}, but the node holds one number, "
                    f"not a vector over classes; give numbers of shape {(size, *node.shape)}{see('shapes')}"
                )
        elif tuple(given.shape[1:]) != node.shape:
            integers = jnp.issubdtype(given.dtype, jnp.integer)
            hint = ""
            if node.shape and tuple(given.shape[1:]) == node.shape[:-1] and not integers:
                hint = f"; class numbers must be integers, not {given.dtype}: y.astype(int)"
            elif len(node.shape) == 1 and tuple(given.shape[1:]) == (1,) and integers:
                hint = "; class numbers have one axis, that of the samples: y[:, 0]"
            raise ValueError(
                f"the target of {name} has shape {tuple(given.shape)}, its prediction {(size, *node.shape)}{hint}"
                f"{see('shapes')}"
            )


def check_labels(targets: Clamped, nodes: Mapping[str, Node], y: PyTree) -> None:
    """Refuse class numbers outside the classes where they can be read; inside compiled code they are an outcome."""
    leaves = jtu.tree_leaves(y)
    for name, place in targets.labels.items():
        leaf, shape = leaves[place], nodes[name].shape
        if isinstance(leaf, Tracer) or not np.issubdtype(np.asarray(leaf).dtype, np.integer):
            continue
        label = np.asarray(leaf)
        if not shape or not label.size or label.ndim != len(shape) or label.shape[1:] != shape[:-1]:
            continue  # no class numbers
        if label.min() < 0 or label.max() >= shape[-1]:
            unknown = "; samples without a label: pxl.Targets(y, known=mask)" if label.min() < 0 else ""
            raise ValueError(
                f"labels must be from 0 to {shape[-1] - 1} for the output node {name}, got {label.min()} to "
                f"{label.max()}{unknown}"
            )


def targets_of(
    targets: Clamped, nodes: Mapping[str, Node], y: PyTree, made: Mapping[str, Any]
) -> tuple[dict[str, Any], jax.Array]:
    """Return the value that each clamped node is clamped at, `{node: [batch, *shape]}`, and whether all labels were
    classes."""
    leaves = jtu.tree_leaves(y)
    held, valid = {}, jnp.array(True)
    for name, place in targets.places.items():
        node = nodes[name]
        given = jnp.asarray(made[name] if place is None else leaves[place])
        if is_label(given, node):
            classes = node.shape[-1]
            valid &= jnp.all((given >= 0) & (given < classes))
            given = jax.nn.one_hot(given, classes, dtype=node.dtype)
        held[name] = given.astype(node.dtype)
    return held, valid


def is_label(given: Array | jax.ShapeDtypeStruct, node: Node) -> bool:
    """Return whether a target is a class number for each sample where the node holds a vector over the classes."""
    integer = jnp.issubdtype(given.dtype, jnp.integer)
    return bool(integer and len(node.shape) >= 1 and given.ndim == len(node.shape))
