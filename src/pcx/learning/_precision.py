"""Precisions: factors of the nodes' energies."""

from __future__ import annotations

import abc
import math
from collections.abc import Collection, Hashable, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax

from ..core import positive, static_key
from ..energy import Nodes, Problem, weighed
from ._returned import check_names
from ._types import PrecisionLike


class Precision(abc.ABC):
    """The precision p of nodes: energies are `p * E - 1/2 log p` for each feature, Gaussian with variance 1 / p."""

    def __static_key__(self) -> Hashable:
        return (type(self), static_key(vars(self)))

    def init(self, problem: Problem) -> dict[str, Any]:
        """Return what the precision remembers before the first step; by default nothing.

        **Arguments:**

        - `problem`: nodes and their shapes.

        **Returns:** a dict by name, of trees of arrays.

        **Raises:** `ValueError` for nodes that the precision isn't made for.
        """
        return {}

    @abc.abstractmethod
    def values(self, problem: Problem, memory: dict[str, Any]) -> dict[str, Any]:
        """Return the precisions of nodes.

        **Arguments:**

        - `problem`: nodes and their shapes.
        - `memory`: a state's memory, in which what `init` gave is.

        **Returns:** `{node: p}`, each a scalar or of the shape of the node's value for one sample.
        """

    def learn(self, problem: Problem, memory: dict[str, Any], energies: Nodes) -> dict[str, Any]:
        """Change what is remembered after a batch, for precisions that learn; by default nothing changes.

        **Arguments:**

        - `problem`: nodes and their shapes.
        - `memory`: a state's memory, in which what `init` gave is.
        - `energies`: elementwise at the settled values, without precisions, `{node: [batch, *shape]}`.

        **Returns:** the new memory, by name.
        """
        return {}


class Fixed(Precision):
    """Given precisions.

    **Arguments:**

    - `precision`: one number for all nodes that are not clamped, or a dict from node to a number or an array
        `[*shape]`.
    """

    def __init__(self, precision: PrecisionLike) -> None:
        for name, value in precision.items() if isinstance(precision, Mapping) else [(None, precision)]:
            positive("Fixed" if name is None else f"Fixed, {name}", "precision", value)
        self.precision = precision

    def init(self, problem: Problem) -> dict[str, Any]:
        if isinstance(self.precision, Mapping):
            _check_nodes("precision", problem, self.precision)
            _check_shapes("precision", problem, self.precision)
        return {}

    def values(self, problem: Problem, memory: dict[str, Any]) -> dict[str, Any]:
        if isinstance(self.precision, Mapping):
            return dict(self.precision)
        return dict.fromkeys([n for n in problem.free if not problem.nodes[n].silent], self.precision)


class LearnedPrecision(Precision):
    """Precisions that learn with the weights, by descent of the same energy with its log-determinant term, the mean
    over the samples and over the features that share a precision: at the optimum `1 / p` is the mean squared error.

    Hidden errors start at zero and are small after a few inference steps, so the precisions of hidden nodes tend to
    grow. Values diverge where the rate of the states times p passes 2. Where errors vanish, as those of units that are
    always off, p would grow without end: it stops at a bound, and the weights go on learning.

    **Arguments:**

    - `optim`: an Optax transformation, on log p.
    - `initial`: the first value, above 0.
    - `per`: one for each `"node"` or for each `"feature"` of a node.
    - `nodes`: which nodes; by default all with a squared error.
    - `bounds`: the least and the largest value that a precision may have, above 0.

    **Raises:** `TypeError` for an `optim` that is no transformation, `bounds` that are no pair, or what is no number;
    `ValueError` for numbers out of these ranges, and for another `per`.
    """

    def __init__(
        self,
        optim: optax.GradientTransformation,
        initial: float = 1.0,
        per: Literal["node", "feature"] = "node",
        nodes: tuple[str, ...] | None = None,
        bounds: tuple[float, float] = (1e-12, 1e12),
    ) -> None:
        positive("LearnedPrecision", "initial", initial)
        if not isinstance(bounds, (tuple, list)) or len(bounds) != 2:
            raise TypeError(f"LearnedPrecision: bounds must be a pair (least, largest), got {bounds!r}")
        least, largest = (float(positive("LearnedPrecision", "bounds", b)) for b in bounds)
        if not least <= float(initial) <= largest:
            raise ValueError(f"LearnedPrecision: initial={initial} is not within bounds={(least, largest)}")
        if not (hasattr(optim, "init") and hasattr(optim, "update")):
            raise TypeError(
                f"LearnedPrecision: optim must be an optax transformation, such as optax.sgd(0.01), got "
                f"{type(optim).__name__}"
            )
        if nodes is not None and (isinstance(nodes, str) or not nodes):
            raise TypeError(f"LearnedPrecision: nodes must be a tuple of names, one at least, got {nodes!r}")
        if per not in ("node", "feature"):
            raise ValueError(f"LearnedPrecision: per must be 'node' or 'feature', got {per!r}")
        self.optim, self.initial, self.per, self.nodes, self.bounds = optim, initial, per, nodes, (least, largest)

    def init(self, problem: Problem) -> dict[str, Any]:
        squared = tuple([n for n, node in problem.nodes.items() if node.squared])
        names = squared if self.nodes is None else self.nodes
        _check_nodes("LearnedPrecision", problem, names)
        log = {
            n: jnp.full(
                problem.nodes[n].shape if self.per == "feature" else (),
                jnp.log(self.initial),
                jnp.promote_types(problem.nodes[n].dtype, jnp.float32),
            )
            for n in names
        }
        _check_shapes("LearnedPrecision", problem, log)
        return {"log_precision": log, "precision_optim": self.optim.init(log)}

    def values(self, problem: Problem, memory: dict[str, Any]) -> dict[str, Any]:
        return {n: jnp.exp(log) for n, log in memory["log_precision"].items()}

    def learn(self, problem: Problem, memory: dict[str, Any], energies: Nodes) -> dict[str, Any]:
        def mean(log: dict[str, Any]) -> Any:
            # Of the mean over samples, and over the features that share a precision: a rate means the same for a
            # number and for one of each feature, and for every width.
            sizes = {n: energies[n][0].size for n in log}
            values = self.values(problem, {**memory, "log_precision": log})
            each = [
                weighed(energies[n], values[n], sizes[n], summed=True) * (max(p.size, 1) / sizes[n])
                for n, p in log.items()
            ]
            return sum(each) / problem.size

        value, grad = jax.value_and_grad(mean)(memory["log_precision"])
        tell = optax.with_extra_args_support(self.optim)
        updates, optim = tell.update(grad, memory["precision_optim"], memory["log_precision"], value=value)
        least, largest = (math.log(b) for b in self.bounds)
        moved: Any = optax.apply_updates(memory["log_precision"], updates)
        return {"log_precision": {n: jnp.clip(v, least, largest) for n, v in moved.items()}, "precision_optim": optim}


def learns(precision: Precision | None) -> bool:
    """Return whether a precision changes as batches are learned from."""
    return precision is not None and type(precision).learn is not Precision.learn


def begin(precision: Precision, problem: Problem) -> dict[str, Any]:
    """Return the memory of a precision before the first step.

    **Raises:** `TypeError` for one that remembers something and never learns.
    """
    memory = check_names(f"{type(precision).__name__}.init", precision.init(problem), ("optim",))
    if memory and not learns(precision):
        raise TypeError(
            f"{type(precision).__name__}: init gives {', '.join(memory)} to remember, which nothing ever changes: give "
            "it a method learn(problem, memory, energies), or keep constants as attributes"
        )
    return memory


def _check_nodes(call: str, problem: Problem, names: Collection[str]) -> None:
    unknown = [n for n in names if n not in problem.nodes]
    if unknown:
        raise ValueError(f"{call} names {unknown[0]!r}; the nodes are {', '.join(problem.nodes)}")
    silent = [n for n in names if problem.nodes[n].silent]
    if silent:
        raise ValueError(f"{call} names {silent[0]}, which has no energy that a precision could weigh: leave it out")


def _check_shapes(call: str, problem: Problem, precision: Mapping[str, Any]) -> None:
    for name, value in precision.items():
        shape, node = jnp.shape(value), problem.nodes[name].shape
        if shape == ():
            continue
        if not problem.nodes[name].elementwise:
            raise ValueError(
                f"{call}: the energy of {name} is one number for each sample, so its precision must be one number too, "
                f"got shape {shape}"
            )
        if len(shape) > len(node) or any(s not in (1, n) for s, n in zip(shape[::-1], node[::-1], strict=False)):
            raise ValueError(f"{call}: the precision of {name} has shape {shape}, its value {node} for one sample")


def values_of(precision: Precision | None, problem: Problem, memory: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the precisions of nodes from their memory; without one, those before the first step.

    **Raises:** `TypeError` or `ValueError` for what is no precision of these nodes.
    """
    if precision is None:
        return {}
    call, values = type(precision).__name__, precision.values(problem, memory or precision.init(problem))
    if not isinstance(values, Mapping):
        raise TypeError(f"{call}.values must return a dict {{node: precision}}, got {type(values).__name__}")
    _check_nodes(call, problem, values)
    _check_shapes(call, problem, values)
    return dict(values)


def as_precision(x: PrecisionLike) -> Precision | None:
    """Return a precision, from one, a number, a dict, or None for one everywhere.

    **Raises:** `TypeError` or `ValueError` for anything else.
    """
    if isinstance(x, type) and issubclass(x, Precision):
        raise TypeError(f"precision is the class {x.__name__}; make one: {x.__name__}(...)")
    return x if x is None or isinstance(x, Precision) else Fixed(x)


def unbounded(precision: Precision | None, problem: Problem, memory: dict[str, Any]) -> list[Any]:
    """Return what must be finite of a precision that learns: it may be beyond all numbers, or zero, while what is
    remembered of it is finite."""
    if precision is None or not learns(precision):
        return []
    found = list(precision.values(problem, memory).values())
    return [found, [1 / p for p in found]]
