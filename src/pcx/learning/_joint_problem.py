"""A model of two parts over the same values, as its two parts see it."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jax import Array
from jaxtyping import Bool, PyTree

from ..core import Choice
from ..energy import (
    Block,
    Bound,
    Casts,
    ForwardPass,
    Inputs,
    ModelArrays,
    Node,
    Nodes,
    Problem,
    Structure,
    is_label,
    positional,
    raise_reworded,
    renamed,
)
from ..predictive_coding import EnergyModule

Part = Callable[[Any], Any]
PARTS = ("generative", "recognition")


@dataclasses.dataclass(frozen=True)
class PartCall:
    """The call of a part of a model; an object, so that a state can be pickled. `names`: what its input and its
    target are in the batch, for errors."""

    part: Part
    names: tuple[str, str]

    def __call__(self, model: EnergyModule, x: PyTree, y: PyTree) -> PyTree:
        part = self.part(model)
        return part(*(x, y)[: positional(part)])


@Structure.register
class JointStructure:
    """A model without its values, as its two parts see it."""

    def __init__(self, generative: Structure, recognition: Structure) -> None:
        self.generative, self.recognition = generative, recognition
        self.nodes = tuple(dict.fromkeys((*generative.nodes, *recognition.nodes)))
        # Of the whole model, whichever part's nodes count.
        self.skeleton, self.statics = generative.skeleton, generative.statics
        self.numbers, self.raw_paths = generative.numbers, generative.raw_paths
        self.dtypes, self.rounding = generative.dtypes, generative.rounding

    @classmethod
    def of(
        cls, model: EnergyModule, learn: Choice, parts: tuple[Part, Part], casts: Casts | None = None
    ) -> JointStructure:
        """Return the structure of a model whose parts are `parts` of it, the generative one first.

        **Raises:** `ValueError` or `TypeError` for a part that is none, naming it.
        """
        generative, recognition = parts
        with told_of_part("generative"):
            above = Structure.of(model, learn, PartCall(generative, ("y", "x")), generative, casts)
        with told_of_part("recognition"):
            below = Structure.of(model, learn, PartCall(recognition, ("x", "y")), recognition, casts)
        return cls(above, below)

    def __hash__(self) -> int:
        return hash((self.generative, self.recognition))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JointStructure) and (self.generative, self.recognition) == (
            other.generative,
            other.recognition,
        )

    def values_of(self, model: EnergyModule) -> ModelArrays:
        """Return the arrays of the whole model."""
        return self.generative.values_of(model)

    def write(self, model: EnergyModule, values: ModelArrays) -> None:
        """Set the whole model's params."""
        self.generative.write(model, values)


@Problem.register
class JointProblem:
    """The problems of both parts, as one.

    **Arguments:**

    - `structure`: of both parts.
    - `values`, `x`, `y`, `training`: as for `Problem`, arrays or shapes.

    **Raises:** `ValueError` or `TypeError` for a batch that a part can't work on, naming the part.
    """

    has_own_energy = False

    def __init__(
        self, structure: JointStructure, values: ModelArrays, x: PyTree, y: PyTree, training: bool = True
    ) -> None:
        self.structure = structure
        with told_of_part("recognition"):
            self.recognition = recognition = Problem.of(structure.recognition, values, (x, y), training)
        self._classes = _classes_of(recognition, y)
        given = jax.eval_shape(self.given, y) if self._classes else y
        with told_of_part("generative", self._advice(y)):
            self.generative = generative = Problem.of(structure.generative, values, (given, x), training)
        self.size = recognition.size
        self.draws = generative.draws or recognition.draws
        self.nodes = generative.nodes | recognition.nodes
        self.clamped = (*generative.clamped, *recognition.clamped)
        self.free = generative.free
        self.outputs = recognition.outputs

    def given(self, y: PyTree) -> PyTree:
        """Return what the generative part gets of y: class numbers as the one-hot vectors that recognition's output is
        clamped at, all else as it is."""
        if not self._classes:
            return y
        leaves, treedef = jtu.tree_flatten(y)
        for i, node in self._classes.items():
            leaves[i] = jax.nn.one_hot(leaves[i], node.shape[-1], dtype=node.dtype)
        return jtu.tree_unflatten(treedef, leaves)

    def _advice(self, y: PyTree) -> str:
        """Return a remark on class numbers for errors of the generative part."""
        if self._classes:
            sizes = ", ".join(str(node.shape[-1]) for node in self._classes.values())
            return f"\nIt gets the class numbers y as one-hot vectors, over {sizes} classes"
        if not any(jnp.issubdtype(jnp.result_type(a), jnp.integer) for a in jtu.tree_leaves(y)):
            return ""
        return (
            "\nIt gets the integers y as they are. They become one-hot vectors where the recognition part's output is "
            f"a vector over the classes that y holds: mark model.{list(self.recognition.nodes)[-1]} by "
            "pxc.Vode(output=True); or give y as what the first layer takes, such as jax.nn.one_hot(y, classes)"
        )

    def check_labels(self, y: PyTree) -> None:
        """Refuse class numbers outside the classes, where they can be read."""
        self.recognition.check_labels(y)

    @functools.cached_property
    def pairs(self) -> dict[str, str]:
        """The free nodes of the generative part with those of the recognition part that are the same values.

        **Raises:** `ValueError` if they are not as many, or of other shapes.
        """
        return _pairs(self.generative, self.recognition)

    def parts_of(self, bound: Bound) -> tuple[Bound, Bound]:
        """Return both parts with their arrays, the generative one first."""
        above = dataclasses.replace(bound, problem=self.generative, x=self.given(bound.y), y=bound.x)
        return above, dataclasses.replace(bound, problem=self.recognition)

    @property
    def runs(self) -> tuple[()]:
        """None: each part has runs of its own, see `parts_of`."""
        return ()

    def weight_blocks(self, weights: Mapping[str, PyTree]) -> tuple[Block, ...]:
        """Return the paths of weights, with those that equal layers of a part multiply by in one block."""
        blocks: list[Block] = []
        for part in (self.generative, self.recognition):
            several = [block for block in part.weight_blocks(weights) if len(block) > 1]
            inside = {path for block in blocks for path in block}
            blocks += [block for block in several if not inside & set(block)]
        inside = {path for block in blocks for path in block}
        return tuple([*blocks, *[(path,) for path in weights if path not in inside]])

    def start_of(self, bound: Bound, effects: bool) -> ForwardPass:
        """Return the recognition part's forward pass, its values under the names of the generative part; the targets of
        both; and the params that don't learn, after a forward pass of each.

        **Arguments:**

        - `bound`: this problem with its arrays.
        - `effects`: whether prints and callbacks of the model's call are done.
        """
        generative, recognition = self.parts_of(bound)
        below = recognition.start(effects)
        above = dataclasses.replace(generative, rest=below.rest).start(effects)
        h = renamed(below.h, {m: n for n, m in self.pairs.items()})
        valid = above.labels_valid & below.labels_valid
        return ForwardPass(h, below.u, above.targets | below.targets, below.output, above.rest, valid)

    def targets(self, inputs: Inputs) -> tuple[Nodes, Bool[Array, ""]]:
        """Return the values of the clamped nodes of both parts, and whether all labels were classes."""
        above, valid = self.generative.targets(inputs._replace(x=self.given(inputs.y), y=inputs.x))
        below, also = self.recognition.targets(inputs)
        return above | below, valid & also


@contextlib.contextmanager
def told_of_part(name: str, advice: str = "") -> Iterator[None]:
    """Add to errors the part of the model that they are in, what it gets, and the `advice`."""
    try:
        yield
    except (TypeError, ValueError) as e:
        roles = "its input is y, its target x" if name == "generative" else "its input is x, its target y"
        words = f"the {name} part ({roles})"
        raise_reworded(e, f"{words}: {e}{advice}", f"In {words}.{advice}")


def _classes_of(recognition: Problem, y: PyTree) -> dict[int, Node]:
    """Return the leaves of y that are class numbers, with the nodes that are clamped at them."""
    leaves = jtu.tree_leaves(y)
    places = {i: recognition.nodes[n] for n, i in recognition.label_places.items()}
    return {i: node for i, node in places.items() if is_label(leaves[i], node)}


def generative_of(model: Any) -> Any:
    """Return the part that predicts x, by its usual name."""
    return model.generative


def recognition_of(model: Any) -> Any:
    """Return the part that begins at x, by its usual name."""
    return model.recognition


def _pairs(generative: Problem, recognition: Problem) -> dict[str, str]:
    a, b = generative.free, recognition.free[::-1]
    if len(a) != len(b):
        unmarked = (
            ""
            if recognition.clamped
            else (
                ". No node of the recognition part is clamped at y: mark the one that predicts it, "
                f"model.{list(recognition.nodes)[-1]}, by pxc.Vode(output=True)"
            )
        )
        raise ValueError(
            f"the generative part has {len(a)} free nodes ({', '.join(a) or 'none'}), the recognition part "
            f"{len(b)} ({', '.join(b[::-1]) or 'none'}); they must be the same values in reverse order{unmarked}"
        )
    for n, m in zip(a, b, strict=True):
        if generative.nodes[n].shape != recognition.nodes[m].shape:
            raise ValueError(
                f"{n} of the generative part has shape {generative.nodes[n].shape}, but {m}, the same value in the "
                f"recognition part, has {recognition.nodes[m].shape}: its free nodes are those in reverse order"
            )
    return dict(zip(a, b, strict=True))
