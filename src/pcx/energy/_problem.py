"""A model and the shapes of a batch, as a pure energy function of its nodes and weights."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from ..core import no_foreign_params
from ._dataflow import Program
from ._graph import Graph
from ._landscape import Landscape
from ._loops import convolves
from ._origin import remember
from ._structure import Structure, Values
from ._targets import check_labels, check_targets, find_targets, held_at

# Settings that a traced operation keeps.
_TRACED_UNDER = ("jax_enable_x64", "jax_default_matmul_precision")


@dataclasses.dataclass(frozen=True)
class Node:
    """A value node of a problem.

    **Attributes:**

    - `name`: its path in the model, such as `"vodes[0]"`.
    - `shape`, `dtype`: of its value for one sample.
    - `clamped`: whether a target holds it.
    - `energy`: what is known of its energy: `"squared"` (a function of h - u, `pxc.se_energy`), `"entropy"`
        (`pxc.ce_energy`), `"none"`, or `"other"`.
    """

    name: str
    shape: tuple[int, ...]
    dtype: Any
    clamped: bool
    energy: str

    @property
    def size(self) -> int:
        """How many numbers its value for one sample has."""
        return math.prod(self.shape)


@dataclasses.dataclass(frozen=True)
class Start:
    """What a forward pass gives: values `h` and predictions `u` by node, the clamped nodes' targets, the model's own
    output, its params that don't learn (running statistics have moved), and whether all labels were classes."""

    h: dict[str, Any]
    u: dict[str, Any]
    targets: dict[str, Any]
    output: Any
    rest: dict[str, Any]
    labels_valid: Any


class Problem:
    """A model and the shapes of a batch, as a pure energy function.

    Traced once. All functions are batched and pure, and know no Python object but arrays.

    **Arguments:**

    - `structure`: the model without its values, from `Structure.of`.
    - `values`: arrays or shapes of weights and rest.
    - `batch`: `(x, y)`, arrays or shapes with the batch as first axis; either may be a tree, or None.
    - `training`: whether the model is in training mode, or in that of evaluation.

    **Attributes:**

    - `nodes`: `{name: Node}`, in the order of the model.
    - `free`, `clamped`: the names of the nodes that settle and of those that are held; `outputs`: of those that targets
        hold.
    - `graph`: which node's value reaches which node's energy.

    **Raises:** `ValueError` for a batch whose parts differ in size, a node that the model never reached, or a target
    that doesn't fit.
    """

    def __init__(self, structure: Structure, values: Values, batch: tuple[Any, Any], training: bool = True) -> None:
        self.structure = structure
        x, y = batch
        self.size = _batch_size(x, y)
        weights, rest = _avals(values.weights), _avals(values.rest)
        key = jax.eval_shape(lambda: jax.random.PRNGKey(0))
        x, y = _avals(x), _avals(y)
        self._made_of = structure, Values(weights, rest), (x, y), training
        self._shapes = (weights, rest, key, x, y)
        said: set[str] = set()
        with self._told(x, y), no_foreign_params(structure.learns):
            start = functools.partial(structure.start, training=training, set_in_call=said)
            self._start = Program(start, weights, rest, key, x, y)
        (made, _), _ = self._start.outputs
        (avals, _), _ = self._start.avals
        self.draws = bool(self._start.reached([self._start.inputs[2]]) & set(jtu.tree_leaves(self._start.outputs[0])))
        for name in structure.nodes:
            if avals[name]["h"] is None and avals[name]["u"] is None:
                raise ValueError(f"the model's call never reached the value node {name}; call it, or remove it")
        self._targets = find_targets(structure, self._start, said, y)
        self.outputs = self._targets.outputs
        self.clamped = tuple(self._targets.places)
        self.free = tuple([n for n in structure.nodes if n not in self._targets.places])
        self.nodes: dict[str, Node] = {}
        shapes: dict[str, Any] = {}
        for name in structure.nodes:
            aval = avals[name]["u"] if name in self.clamped and avals[name]["u"] is not None else avals[name]["h"]
            if aval is None:
                aval = avals[name]["u"]
            shapes[name] = aval
            self.nodes[name] = Node(
                name, tuple(aval.shape[1:]), aval.dtype, name in self.clamped, structure.energies[name]
            )
        check_targets(self._targets, self.nodes, self.size, y, avals)
        clamped = frozenset(self.clamped)

        def energy(weights: Any, rest: Any, key: Any, x: Any, y: Any, nodes: Any) -> Any:
            return structure.energy(weights, rest, key, x, y, nodes, clamped, training)

        with no_foreign_params(structure.learns):
            self.program = Program(energy, weights, rest, key, x, y, shapes)
        self.convolves = convolves(self.program)
        out, self.extra = self.program.outputs
        self.h_ids: dict[str, int] = self.program.inputs[5]
        self.u_ids: dict[str, int | None] = {n: out[n]["u"] for n in out}
        self.energy_ids: dict[str, int] = {n: out[n]["E"] for n in structure.nodes if out[n]["E"] is not None}
        self.energy_avals = {n: self.program.avals[0][n]["E"] for n in self.energy_ids}
        self._check_energies()
        self.graph, self.cut = self._wire()
        for name, node in self.nodes.items():
            if node.energy == "squared" and not self._is_difference(name):
                self.nodes[name] = dataclasses.replace(node, energy="other")
        self.unsettled = tuple([n for n in self.free if not self._starts_settled(n, made)])
        self.plain_start = all(made[n]["h"] == made[n]["u"] for n in self.free)

    @staticmethod
    def of(structure: Structure, values: Values, batch: tuple[Any, Any], training: bool = True) -> Problem:
        """The problem of a structure at these shapes: the one traced before, if there is one."""
        leaves, treedef = jtu.tree_flatten((values.weights, values.rest, batch))
        avals = tuple([(np.shape(a), jnp.result_type(a)) for a in leaves])
        key = treedef, avals, training, tuple([getattr(jax.config, name) for name in _TRACED_UNDER])
        problem = structure.problems.get(key)
        if problem is None:
            if len(structure.problems) >= 16:
                structure.problems.pop(next(iter(structure.problems)))
            problem = structure.problems[key] = Problem(structure, values, batch, training)
        return problem

    def __reduce__(self) -> Any:
        return Problem.of, self._made_of

    def __copy__(self) -> Problem:
        return self

    def __deepcopy__(self, memo: Any) -> Problem:
        return self

    @contextlib.contextmanager
    def _told(self, x: Any, y: Any) -> Iterator[None]:
        """What fails inside of the model's call is told with the shapes that it was called with."""
        try:
            yield
        except (TypeError, ValueError) as e:
            first, second = self.structure.called
            one = [
                ", ".join(f"{a.dtype}{list(a.shape[1:])}" for a in jtu.tree_leaves(tree)) or "None" for tree in (x, y)
            ]
            e.add_note(
                f"The model was called on one sample: {first} {one[0]}, {second} {one[1]}; the batch has {self.size}."
            )
            raise

    def _check_energies(self) -> None:
        for name, aval in self.energy_avals.items():
            if aval.ndim != 1 and tuple(aval.shape[1:]) != self.nodes[name].shape:
                raise ValueError(
                    f"the energy of {name} has shape {tuple(aval.shape)}, its value "
                    f"{(self.size, *self.nodes[name].shape)}"
                )
        if not self.energy_ids:
            raise ValueError("none of the model's value nodes has an energy")

    # -- structure ------------------------------------------------------------------------------------
    def check_values(self, nodes: Mapping[str, Any]) -> None:
        """Refuse values of nodes, `{node: [batch, *shape]}`, that are of another batch or another node.

        **Raises:** `ValueError`, naming the node.
        """
        for name, value in nodes.items():
            if name not in self.nodes:
                raise ValueError(f"there is no node {name!r}; the nodes are {', '.join(self.nodes)}")
            if np.shape(value) != (self.size, *self.nodes[name].shape):
                raise ValueError(
                    f"the value of {name} has shape {np.shape(value)}, but this problem is of a batch of {self.size}, "
                    f"with {(self.size, *self.nodes[name].shape)}"
                )

    def _wire(self) -> tuple[Graph, frozenset[str]]:
        """The graph, and the nodes whose energy is a function of nothing but h, u and weights."""
        parents: dict[str, list[str]] = {}
        cut: set[str] = set()
        every = set(self.h_ids.values())
        for name in self.nodes:
            u = self.u_ids[name]
            above = set() if u is None else self._inputs_of([u], ())
            if name in self.energy_ids and u is not None:
                known = {u, self.h_ids[name]}
                rest = self._inputs_of([self.energy_ids[name]], known)
                if not rest & every and u != self.h_ids[name]:
                    cut.add(name)
                above |= rest
            parents[name] = [n for n in self.nodes if n != name and self.h_ids[n] in above]
        return Graph(parents), frozenset(cut)

    def _inputs_of(self, wanted: Sequence[int], known: Any) -> set[int]:
        inputs = set(self.program.needed(wanted, known)[1])
        return inputs | {w for w in wanted if w in self.h_ids.values()}

    def weights_of(self, name: str) -> tuple[str, ...]:
        """The weights that a node's prediction or energy is computed from."""
        return self._weights_among([i for i in (self.u_ids[name], self.energy_ids.get(name)) if i is not None], ())

    def weights_in_energy(self, name: str) -> tuple[str, ...]:
        """The weights that the energy of a node in `cut` is computed from beside its value and its prediction."""
        return self._weights_among([self.energy_ids[name]], (self.h_ids[name], self.u_ids[name]))

    def _weights_among(self, wanted: Sequence[int], known: Any) -> tuple[str, ...]:
        inputs = self._inputs_of(wanted, known)
        weights = self.program.inputs[0]
        return tuple([p for p, ids in weights.items() if inputs & set(jtu.tree_leaves(ids))])

    def _starts_settled(self, name: str, made: Any) -> bool:
        # Under forward initialisation a squared error starts at zero; nothing is known of other energies.
        if made[name]["h"] != made[name]["u"] or self.nodes[name].energy not in ("squared", "none"):
            return False
        # What is predicted from a node that is held elsewhere than where the forward pass had it is another prediction.
        return not any(self._is_moved(n, made, made[name]["u"]) for n in self.graph.parents[name] if n in self.clamped)

    def _is_moved(self, parent: str, made: Any, prediction: int) -> bool:
        """Whether a prediction of the forward pass was made of another value of a node than it is held at."""
        h, u = made[parent]["h"], made[parent]["u"]
        if u is None:
            return False
        return self._targets.places[parent] is not None or (h != u and prediction in self._start.reached([u], stop=[h]))

    def _is_difference(self, name: str) -> bool:
        """Whether a squared error is seen to be one of value and prediction, whatever a subclass makes of either."""
        h, u, wanted = self.h_ids[name], self.u_ids[name], self.energy_ids.get(name)
        if wanted is None or u is None:
            return True
        same = {h: "h", u: "u"}
        ops = [self.program.ops[i] for i in self.program.needed([wanted], same)[0]]
        for op in ops:
            if op.eqn.primitive.name == "convert_element_type" and op.inputs[0] in same:
                same[op.outputs[0]] = same[op.inputs[0]]
        uses = [op for op in ops if op.eqn.primitive.name != "convert_element_type" and set(op.inputs) & set(same)]
        return all(op.eqn.primitive.name == "sub" and {same.get(i) for i in op.inputs} == {"h", "u"} for op in uses)

    # -- computing ------------------------------------------------------------------------------------
    def known(self, weights: Any, rest: Any, key: Any, x: Any, y: Any) -> dict[int, Any]:
        """All inputs of the energy but the nodes' values, by number."""
        return self._matched(self.program.inputs[:5], (weights, rest, key, x, y))

    def _matched(self, ids: Any, values: tuple[Any, ...]) -> dict[int, Any]:
        """Numbers of a program's inputs with their values, which must have the shapes that the problem was made of:
        sums and means are over that many samples."""
        for name, made, given in zip(("weights", "rest", "key", "x", "y"), self._shapes, values, strict=True):
            shapes = [a.shape for a in jtu.tree_leaves(made)]
            found = [np.shape(a) for a in jtu.tree_leaves(given)]
            if shapes != found:
                wrong = next(
                    (f"{b} where it was {a}" for a, b in zip(shapes, found, strict=False) if a != b),
                    f"{len(found)} arrays where there were {len(shapes)}",
                )
                raise ValueError(
                    f"this problem was made of {name} of other shapes: {wrong}; a problem is of one batch size: bind "
                    "the model to the new batch, or find its problem by Problem.of(structure, values, (x, y))"
                )
        return dict(zip(jtu.tree_leaves(ids), jtu.tree_leaves(values), strict=True))

    def start(self, weights: Any, rest: Any, key: Any, x: Any, y: Any, effects: bool = False) -> Start:
        """Forward initialisation of the batch, with the targets that y stands for.

        **Arguments:** `effects`, whether the call's prints and callbacks are done.
        """
        known = self._matched(self._start.inputs, (weights, rest, key, x, y))
        flat, treedef = jtu.tree_flatten(self._start.outputs)
        (made, output), new = jtu.tree_unflatten(treedef, self._start.evaluate(flat, known, effects=effects))
        h = {n: made[n]["h"] if made[n]["h"] is not None else made[n]["u"] for n in self.free}
        u = {n: made[n]["u"] for n in self.nodes}
        targets, valid = held_at(self._targets, self.nodes, y, {n: made[n]["h"] for n in self.clamped})
        remember(self, jtu.tree_leaves((weights, rest, key, x, y)), h)
        return Start(h, u, targets, output, new, valid)

    def targets(self, weights: Any, rest: Any, key: Any, x: Any, y: Any) -> tuple[dict[str, Any], Any]:
        """What the clamped nodes are held at, and whether all labels were classes; without the forward pass."""
        known = self._matched(self._start.inputs, (weights, rest, key, x, y))
        (made, _), _ = self._start.outputs
        names = [n for n, place in self._targets.places.items() if place is None]
        found = self._start.evaluate([made[n]["h"] for n in names], known)
        return held_at(self._targets, self.nodes, y, dict(zip(names, found, strict=True)))

    @property
    def label_places(self) -> dict[str, int]:
        """The nodes that one leaf of y alone decides, and which one: where class numbers are looked for."""
        return self._targets.labels

    def check_labels(self, y: Any) -> None:
        """Refuse class numbers outside the classes, of any number of samples, where they can be read.

        **Raises:** `ValueError`, naming the output node.
        """
        check_labels(self._targets, self.nodes, y)

    def rest_after(self, weights: Any, rest: Any, key: Any, x: Any, y: Any) -> dict[str, Any]:
        """The params that don't learn, after a forward pass in training. Asked for once a step: here the call's prints
        and callbacks are done."""
        known = self._matched(self._start.inputs, (weights, rest, key, x, y))
        ids, treedef = jtu.tree_flatten(self._start.outputs[1])
        return jtu.tree_unflatten(treedef, self._start.evaluate(ids, known, effects=True))

    def predict(self, name: str, known: Mapping[int, Any]) -> Any:
        """A node's prediction, `[batch, *shape]`, from the numbered values that it needs; None if it has none."""
        u = self.u_ids[name]
        return None if u is None else self.program.evaluate([u], known)[0]

    def elements(self, name: str, h: Any, u: Any, known: Mapping[int, Any]) -> Any:
        """The energy of a node in `cut`, elementwise, from its value and its prediction, `[batch, *shape]`."""
        u_id = self.u_ids[name]
        assert u_id is not None  # or the node would not be in `cut`
        at = {**known, self.h_ids[name]: h, u_id: u}
        return self.program.evaluate([self.energy_ids[name]], at)[0]

    def landscape(
        self,
        weights: Any,
        rest: Any,
        key: Any,
        x: Any,
        y: Any,
        clamped: Mapping[str, Any],
        precision: Mapping[str, Any] | None = None,
        sources: Sequence[str] | None = None,
        scale: Mapping[str, Any] | None = None,
        hold: Mapping[str, Any] | None = None,
    ) -> Landscape:
        """The energy as a function of the free nodes, all else fixed; see `Landscape`.

        **Arguments:**

        - `clamped`: values of the nodes that don't move, by name.
        - `precision`: of nodes, by name, see `Landscape`; `scale`: factors of nodes' energies.
        - `sources`: nodes that may have an error when the others have none; by default the clamped ones, if all are.
        - `hold`: `{node: mask}` for clamped nodes of which a part alone is held at its value, where the mask is True;
            booleans `[batch, *shape]`, or what broadcasts to that: `[batch, 1, ...]` holds some samples. The rest is
            free: it follows its prediction; where other nodes are predicted from it, it settles, so the node becomes
            one of `free`.

        **Raises:** `ValueError` for a mask that doesn't fit.
        """
        clamped, held, counted = self._partly(clamped, hold or {})
        known = self.known(weights, rest, key, x, y)
        self.check_values({n: v for n, v in clamped.items() if n not in held})
        known |= {self.h_ids[n]: v for n, v in clamped.items()}
        if sources is None:
            sources = (*self.clamped, *self.unsettled) if set(clamped) == set(self.clamped) else None
        inputs = jtu.tree_leaves((weights, rest, key, x, y))
        return Landscape(self, known, precision or {}, None if held else sources, scale, held, counted, inputs)

    def _partly(self, clamped: Mapping[str, Any], hold: Mapping[str, Any]) -> tuple[dict[str, Any], Any, Any]:
        """The nodes that are clamped as a whole; those that are held in part, with mask and value; and what counts of
        the energies of those that no other node is predicted from: their free part has none."""
        whole, held, counted = dict(clamped), {}, {}
        for name, mask in hold.items():
            if name not in clamped:
                raise ValueError(
                    f"landscape: hold names {name!r}, which has no value; those that have: {list(clamped)}"
                )
            node = self.nodes[name]
            mask = jnp.asarray(mask)
            full = (self.size, *node.shape)
            fits = mask.ndim == len(full) and all(m in (1, n) for m, n in zip(mask.shape, full, strict=True))
            if mask.dtype != bool or not fits:
                raise ValueError(
                    f"landscape: the mask of {name} must be booleans {list(full)} or what broadcasts to that, got "
                    f"{mask.dtype}{list(mask.shape)}"
                )
            if self.graph.children[name]:
                held[name] = mask, whole.pop(name)
            else:
                aval = self.energy_avals.get(name)
                if aval is not None and aval.ndim == 1 and math.prod(mask.shape[1:]) > 1:
                    raise ValueError(
                        f"landscape: the energy of {name} is one number for each sample, so that no part of its "
                        "features can be held; give a mask of samples, or an elementwise energy"
                    )
                counted[name] = jnp.broadcast_to(mask, (self.size, *mask.shape[1:]))
        return whole, held, counted


def _avals(tree: Any) -> Any:
    return jtu.tree_map(lambda a: jax.ShapeDtypeStruct(np.shape(a), jnp.result_type(a)), tree)


def _batch_size(x: Any, y: Any) -> int:
    sizes = {}
    for name, tree in (("x", x), ("y", y)):
        for path, leaf in jtu.tree_flatten_with_path(tree)[0]:
            if np.ndim(leaf) == 0:
                raise ValueError(f"the batch's {name}{jtu.keystr(path)} is a scalar; its first axis must be the batch")
            sizes.setdefault(np.shape(leaf)[0], f"{name}{jtu.keystr(path)} of shape {np.shape(leaf)}")
    if not sizes:
        raise ValueError("the batch (x, y) holds no array")
    if len(sizes) > 1:
        raise ValueError(f"the parts of the batch differ in size: {'; '.join(sizes.values())}")
    if 0 in sizes:
        raise ValueError(f"the batch is empty: {sizes[0]}")
    return next(iter(sizes))
