"""The part of the interface of rules that doesn't learn: predictions, and the problem of a model at a batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jax import Array
from jaxtyping import Float, PyTree

from ..core import Choice, taken
from ..energy import Bound, DTypePolicy, ForwardPass, ModelArrays, Nodes, Problem, Structure, no_model
from ..predictive_coding import EnergyModule
from ._checks import taken_batch
from ._dtypes import casts_of
from ._intern import Interned
from ._precision import Precision
from ._predict import evaluated, predicted
from ._samples import split
from ._state import State
from ._types import Call, KeyLike


class Predicting(Interned):
    """The base of `Rule`: predictions in evaluation mode, by a forward pass or by settling."""

    settles_outputs: bool = False
    """Whether an output that has no target can settle."""
    learned_params: Choice
    call: Call | None
    precision: Precision | None
    dtype: DTypePolicy | None = None
    """The dtypes of a step; None for those of the model."""

    def predict(
        self,
        model: EnergyModule | State,
        x: PyTree,
        *,
        settle: bool = False,
        hold: Mapping[str, tuple[Any, Any]] | None = None,
        key: KeyLike = 0,
    ) -> Any:
        """Predict the output nodes in evaluation mode.

        Output nodes are those that the targets given to `init` clamp, which its state remembers. Of a model, they are
        those that are marked by `pxc.Vode(output=True)`; or else those that no other node is predicted from.

        By a forward pass, or by settling: the values start and settle as in `step`, for as long, but nothing clamps the
        output, which follows its prediction. From a forward pass nothing moves then, so this differs for rules that
        start elsewhere, draw random numbers, or have a network for each direction (`hybrid`, `bpc`).

        **Arguments:**

        - `model`: the model, or a state.
        - `x`: the input, `[batch, ...]`.
        - `settle`: whether the values settle first.
        - `hold`: `{node: (mask, value)}`, parts of nodes that are clamped while all else settles, such as the known
            half of an image: value `[batch, *shape]`, and booleans `[batch, *shape]`, or what broadcasts to that, True
            where it is clamped. Outputs come back with what was clamped in its place. With it `x` may be None, where
            the model needs none and every output node is named. It needs `settle=True`, and a rule of values that
            settle.
        - `key`: a seed or a random key, for rules that draw random numbers as they settle.

        **Returns:** `[batch, *shape]`; a dict by node, in the order of the model, if there are several outputs.

        **Raises:** `ValueError` for `settle` with a rule whose values never settle, such as Z-IL; for a `hold` that
        doesn't fit the nodes.

        **Warns** if the energy of samples rose as their values settled.
        """
        return predicted(self, model, x, settle, hold, key)

    def evaluate(self, state: State | EnergyModule, batch: tuple[PyTree, PyTree]) -> tuple[Any, Float[Array, " batch"]]:
        """Predict by a forward pass in evaluation mode, and compare with the targets. Pure.

        **Arguments:**

        - `state`: from `init` or `step`; or a model.
        - `batch`: `(x, y)` as in `init`.

        **Returns:** the outputs' predictions, as `predict` gives them, and the energy of the output nodes at their
        targets, one number for each sample.

        **Raises:** `TypeError` for what is no batch; `ValueError` for labels outside the classes, where they can be
        read; in a compiled function the energies are not numbers then.
        """
        return evaluated(self, state, batch)

    def settle(
        self,
        bound: Bound,
        forward: ForwardPass,
        outputs: tuple[str, ...],
        hold: Mapping[str, tuple[Array, Array]],
    ) -> tuple[Nodes, Array | None]:
        """Return the predictions of the output nodes after settling, for `predict`.

        **Arguments:**

        - `bound`: the problem in evaluation mode, without targets.
        - `forward`: its forward pass.
        - `outputs`: the names of the output nodes.
        - `hold`: parts that are clamped, see `predict`.

        **Returns:** `{node: [batch, *shape]}`; and how each sample's settling ended, a `pcx.inference.RESULT`,
        `[batch]`, or None if nothing settles.

        **Raises:** `ValueError` for a rule whose values never settle.
        """
        raise ValueError(f"{self.name}: its values don't settle, so predictions are by a forward pass alone")

    def check_labels(self, state: State, batch: tuple[PyTree, PyTree], y: PyTree) -> None:
        """Refuse targets, of any number of samples, that hold labels outside the classes.

        **Arguments:**

        - `state`, `batch`: from `init`, and as given to it.
        - `y`: the targets.

        **Raises:** `ValueError`, naming the output node.
        """
        structure, arrays = self.predicting(state)
        x, given, _ = taken_batch(self.name, "check_labels", batch)
        y = taken(f"{self.name}.check_labels", "y", split(y)[0])
        Problem.of(structure, arrays, (x, given)).check_labels(y)

    # -- the problem of a model -----------------------------------------------------------------------
    def structure(self, model: EnergyModule) -> Structure:
        """Return a model without its values.

        **Arguments:**

        - `model`: an energy module.

        **Returns:** what problems of it are made from; the very same object for models that are built alike.

        **Raises:** `TypeError` for what is no energy module; `ValueError` for a model without value nodes.
        """
        if not isinstance(model, EnergyModule):
            raise no_model(f"{self.name}: ", model)
        return Structure.of(model, self.learned_params, self.call, casts=casts_of(self.dtype))

    def problem(
        self, structure: Structure, arrays: ModelArrays, x: PyTree, y: PyTree, training: bool = True
    ) -> Problem:
        """Return the problem of a model at the shapes of a batch, traced if there is none yet.

        **Arguments:**

        - `structure`: from `structure`.
        - `arrays`: the model's weights and other arrays.
        - `x`, `y`: the batch, `[batch, ...]` each, or trees of such arrays; either may be None.
        - `training`: whether the model is in training mode, or in that of evaluation.

        **Returns:** a `pcx.energy.Problem`.

        **Raises:** `ValueError` for a batch that the model can't take.
        """
        return Problem.of(structure, arrays, (x, y), training)

    def predicting(self, model: EnergyModule | State) -> tuple[Structure, ModelArrays]:
        """Take apart what predicts: a model, or the model of a state; of two networks, the one that predicts.

        **Arguments:**

        - `model`: an energy module, or a state.

        **Returns:** the structure of the part that predicts, and all arrays.
        """
        if isinstance(model, State):
            return model.structure, ModelArrays(model.weights, model.rest)
        structure = self.structure(model)
        return structure, structure.values_of(model)
