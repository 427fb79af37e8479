"""Binding a model to a batch, for taking steps by hand."""

from __future__ import annotations

from jaxtyping import PyTree

from ..core import Choice, raw_key, taken
from ..energy import Bound, Landscape, Nodes, PolicyLike, Problem, Structure, WeightGradient, as_policy, no_model
from ..nn import LayerParam
from ..predictive_coding import EnergyModule
from ._dtypes import casts_of
from ._precision import as_precision, values_of
from ._samples import split
from ._types import Call, KeyLike, PrecisionLike


def bind(
    model: EnergyModule,
    batch: tuple[PyTree, PyTree],
    *,
    learn: Choice = LayerParam,
    call: Call | None = None,
    precision: PrecisionLike = None,
    key: KeyLike = 0,
    dtype: PolicyLike = None,
) -> Bound:
    """Put a model and a batch together as pure functions of arrays.

    **Arguments:**

    - `model`: an energy module; it is not changed.
    - `batch`: `(x, y)`, each an array `[batch, ...]` or a tree of them; for y also `Targets`.
    - `learn`, `call`, `precision`, `dtype`: see `Rule`.
    - `key`: a seed or a random key, for models that draw random numbers.

    **Returns:** a `Bound`.

    **Raises:** `TypeError` for what is no energy module or no batch; `ValueError` for a model or batch that don't go
    together, with the reason.
    """
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        raise TypeError(f"bind: a batch is a pair (x, y), got {type(batch).__name__}")
    y, samples = split(batch[1])
    x, y = taken("bind", "x", batch[0]), taken("bind", "y", y)
    if not isinstance(model, EnergyModule):
        raise no_model("bind: ", model)
    structure = Structure.of(model, learn, call, casts=casts_of(as_policy("bind", dtype)))
    arrays = structure.values_of(model)
    problem = Problem.of(structure, arrays, (x, y))
    problem.check_labels(y)
    precisions = values_of(as_precision(precision), problem)
    return Bound(problem, arrays.weights, arrays.rest, raw_key("bind", key), x, y, precisions, samples)


def weight_gradient(bound: Bound, landscape: Landscape, coords: Nodes) -> WeightGradient:
    """As `landscape.weight_gradient(coords)`, for programs that were written so.

    **Arguments:**

    - `bound`: what the landscape was made of.
    - `landscape`: the energy as a function of the coordinates.
    - `coords`: the coordinates of the free nodes, `{node: [batch, *shape]}`.

    **Returns:** the gradient by the weights, and the energies, at that place.

    **Raises:** `ValueError` for the landscape of another model, or of a batch of another size.
    """
    made_of = getattr(landscape, "problem", bound.problem)
    if made_of is not bound.problem:
        raise ValueError(
            "weight_gradient: the landscape is of another model, or of a batch of another size; make it by "
            "bound.landscape(...)"
        )
    return landscape.weight_gradient(coords)
