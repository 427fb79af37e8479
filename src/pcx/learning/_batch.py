"""A model and a batch as pure functions of arrays: what rules are made of, and what one takes a step by hand with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..core import raw_key, shown, taken
from ..energy._landscape import Landscape
from ..energy._problem import Problem, Start
from ..energy._structure import Structure
from ..nn import LayerParam
from ._precision import as_precision, values_of
from ._samples import Samples, split


class Batch(NamedTuple):
    """A problem with its values; made by `bind`.

    **Attributes:**

    - `problem`: nodes, their graph, and the energy as a function of nodes, weights and batch.
    - `weights`, `rest`: the model's arrays that learn, and its others, `{path: array}`.
    - `key`: for models that draw random numbers.
    - `x`, `y`: the batch.
    - `precision`: of nodes, by name.
    - `samples`: the samples' weights, and which of them have a target, see `Targets`.
    """

    problem: Problem
    weights: dict[str, Any]
    rest: dict[str, Any]
    key: Any
    x: Any
    y: Any
    precision: Mapping[str, Any]
    samples: Samples = Samples()

    def __repr__(self) -> str:
        return shown(self)

    @property
    def arrays(self) -> tuple[dict[str, Any], dict[str, Any], Any, Any, Any]:
        """What the problem's functions take first."""
        return self.weights, self.rest, self.key, self.x, self.y

    def start(self) -> Start:
        """A forward pass: values, predictions and targets by node."""
        return self.problem.start(*self.arrays, effects=True)

    def landscape(
        self,
        clamped: Mapping[str, Any],
        sources: Any = None,
        scale: Mapping[str, Any] | None = None,
        hold: Mapping[str, Any] | None = None,
    ) -> Landscape:
        """The energy as a function of the free nodes, see `pcx.energy.Landscape`.

        **Arguments:**

        - `clamped`: values of the others, by name, such as `start().targets`.
        - `sources`, `scale`, `hold`: see `pcx.energy.Problem.landscape`. The output nodes of samples
            without a target are free.
        """
        if self.samples.known is not None:
            shapes = {n: len(self.problem.nodes[n].shape) for n in self.problem.outputs if n in clamped}
            known = {n: self.samples.known.reshape(-1, *[1] * d) for n, d in shapes.items()}
            hold = {**known, **(hold or {})}
        return self.problem.landscape(*self.arrays, clamped, self.precision, sources, scale, hold)

    def predictions(self, nodes: Mapping[str, Any], clamped: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return every node's prediction at given values, `{node: [batch, *shape]}`; of a node that has none, none.

        **Arguments:**

        - `nodes`: values of the free nodes, such as a solution's, `{node: [batch, *shape]}`.
        - `clamped`: those of the others, such as `start().targets`; a prediction that needs a value which neither
            gives is left out.
        """
        p = self.problem
        given = {**(clamped or {}), **nodes}
        at = p.known(*self.arrays) | {p.h_ids[n]: v for n, v in given.items()}
        whole = [n for n in p.nodes if p.u_ids[n] is not None and all(m in given for m in p.graph.parents[n])]
        return {n: p.predict(n, at) for n in whole}


def bind(
    model: Any,
    batch: tuple[Any, Any],
    *,
    learn: Any = LayerParam,
    call: Any = None,
    precision: Any = None,
    key: Any = 0,
) -> Batch:
    """A model and a batch as pure functions of arrays.

    **Arguments:**

    - `model`: an energy module; it is not changed.
    - `batch`: `(x, y)`, each an array `[batch, ...]` or a tree of them.
    - `learn`, `call`, `precision`: see `Rule`.
    - `key`: a seed or a random key, for models that draw random numbers.

    **Raises:** `ValueError` for a model or batch that don't go together, with the reason.
    """
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        raise TypeError(f"bind: a batch is a pair (x, y), got {type(batch).__name__}")
    y, samples = split(batch[1])
    x, y = taken("bind", "x", batch[0]), taken("bind", "y", y)
    structure = Structure.of(model, learn, call)
    values = structure.values_of(model)
    problem = Problem.of(structure, values, (x, y))
    problem.check_labels(y)
    held = values_of(as_precision(precision), problem)
    return Batch(problem, values.weights, values.rest, raw_key("bind", key), x, y, held, samples)
