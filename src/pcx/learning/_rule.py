"""The interface of learning rules.

The model's Python runs once, when a problem is made, in `init` or for a batch of new shapes; a step evaluates the jaxpr
that it left. A rule of one's own is one method, `learn`: see `docs/extend.md`.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import optax
from jax import Array
from jaxtyping import Float, PyTree

from ..core import Choice, raw_key, taken
from ..energy import Bound, Energies, ForwardPass, ModelArrays, Nodes, Problem, Samples, Structure, Weights
from ..nn import LayerParam
from ..predictive_coding import EnergyModule
from ._applied import applied
from ._checks import check_learns, check_optim, taken_batch
from ._guards import bad_data, guarded
from ._intern import Interned
from ._precision import as_precision, begin, learns, unbounded, values_of
from ._predict import evaluated, predicted
from ._returned import check_names, check_untouched, check_update
from ._samples import check_samples, split
from ._state import Info, State, owned
from ._types import Call, KeyLike, Optimiser, PrecisionLike
from ._update import Update

Memory = dict[str, Any]
"""What a rule remembers from batch to batch, by name; the optimiser's state is under "optim"."""


class Rule(Interned):
    """A learning rule: how one batch changes the weights. `init` and `step` are pure: jit, scan and vmap them. Rules
    don't change; two that are built alike are the same object.

    ```python
    state = rule.init(model, (x, y))
    step = jax.jit(rule.step)
    state, info = step(state, (x, y))
    state.write_to(model)
    ```

    **Arguments:**

    - `optim_w`: an Optax transformation for the weights, a flat dict from path to array; gradients are means over the
        batch. `optax.multi_transform` gives layers transformations of their own.
    - `learn`: which params are weights: a type, a union of types or a predicate. Those marked `frozen = True` are not.
    - `call`: how the model is called on one sample, `call(model, x, y)`; by default `model(x, y)`, or `model(x)` if it
        takes one argument.
    - `precision`: a number for the nodes that are not clamped, a dict by node, or a `Precision`; None is 1 everywhere.
    """

    random: bool = False
    """Whether a step draws random numbers, by `draw`, though the model doesn't."""
    settles_outputs: bool = False
    """Whether an output that has no target can settle."""

    def __init__(
        self,
        optim_w: Optimiser,
        *,
        learn: Choice = LayerParam,
        call: Call | None = None,
        precision: PrecisionLike = None,
    ) -> None:
        if not (hasattr(optim_w, "init") and hasattr(optim_w, "update")):
            raise TypeError(
                f"{self.name}: optim_w must be an optax transformation, such as optax.adam(1e-3), got "
                f"{type(optim_w).__name__}"
            )
        self.optim_w, self.learned_params, self.call = optim_w, learn, call
        self.precision = as_precision(precision)

    # -- the four functions of a rule -----------------------------------------------------------------
    def init(self, model: EnergyModule, batch: tuple[PyTree, PyTree], key: KeyLike = 0) -> State:
        """Return the state before the first step.

        **Arguments:**

        - `model`: an energy module; it is not changed, and the state shares no array with it.
        - `batch`: an example `(x, y)`, `[batch, ...]` each (arrays or trees of them; y may be class numbers `[batch]`
            where an output node holds a vector over the classes). With weights of samples, or without targets for
            some, see `Targets`.
        - `key`: a seed or a random key, for models and rules that draw random numbers.

        **Raises:** `ValueError` for a model or batch that the rule can't work on, with the reason.
        """
        x, y, samples = taken_batch(self.name, "init", batch)
        structure = self.structure(model)
        arrays = structure.values_of(model)
        check_learns(model, arrays)
        key = raw_key(f"{self.name}.init", key)
        problem = self.problem(structure, arrays, x, y)
        problem.check_labels(y)
        self.check(problem)
        self._check_samples(problem, samples)
        memory = {} if self.precision is None else begin(self.precision, problem)
        optim = self.init_optim(problem, arrays.weights)
        precision = values_of(self.precision, problem, memory)
        bound = Bound(problem, arrays.weights, arrays.rest, key, x, y, precision, samples)
        memory |= check_names(f"{self.name}.init_memory", self.init_memory(bound), ("optim", *memory))
        state = State(arrays.weights, arrays.rest, optim, key, memory, structure, problem.outputs)
        # Arrays of its own, each another one: a step that may use up the state must not use up the model or the batch.
        return owned(state)

    def step(self, state: State, batch: tuple[PyTree, PyTree]) -> tuple[State, Info]:
        """Learn from one batch. Where a number turns out not to be finite, or a label no class, the weights stay as
        they were and `info.result` says so; it also says where settling went uphill, as with too large a rate of the
        states, though the weights learn then.

        **Arguments:**

        - `state`: from `init` or the step before.
        - `batch`: as in `init`.

        **Returns:** the next state, and diagnostics.

        **Raises:** `TypeError` for what is no state or no batch; `ValueError` for the state of another rule, and, where
        they can be read, labels outside the classes.
        """
        x, y, samples = taken_batch(self.name, "step", batch)
        if not isinstance(state, State):
            raise TypeError(
                f"{self.name}.step: expected the state that init or the step before gave, got {type(state).__name__}"
            )
        problem = self.problem(state.structure, ModelArrays(state.weights, state.rest), x, y)
        check_optim(self, problem, state)
        problem.check_labels(y)
        self._check_samples(problem, samples)
        key, draw = state.key, state.key
        if problem.draws or self.random:
            key, draw = jax.random.split(state.key)
        precision = values_of(self.precision, problem, state.memory)
        # Dicts of its own: what `learn` may do to them does nothing to the caller's state.
        weights, rest, memory = jtu.tree_map(lambda a: a, (state.weights, state.rest, state.memory))
        bound = Bound(problem, weights, rest, draw, x, y, precision, samples)
        forward, memory = bound.start(), {"optim": state.optim, **memory}
        given = (weights, rest, memory, forward.h, forward.u, forward.targets, forward.rest)
        arrays, call = jtu.tree_leaves(given), f"{self.name}.learn"
        update = self.learn(bound, forward, memory)
        check_untouched(call, arrays, given)
        check_update(call, problem, state.weights, update)
        weights, optim, memory = applied(self, bound, state, update)
        return guarded(
            dataclasses.replace(state, key=key),
            (weights, optim, memory, forward.rest),
            bound,
            forward,
            update,
            self.loss(bound, forward),
            unbounded(self.precision, problem, memory),
            lambda: self.bad_start(bound, forward),
        )

    def predict(
        self,
        model: EnergyModule | State,
        x: PyTree,
        *,
        settle: bool = False,
        hold: Mapping[str, tuple[Any, Any]] | None = None,
        key: KeyLike = 0,
    ) -> Any:
        """Return the output nodes' predictions in evaluation mode, `[batch, *shape]`; a dict by node, in the order of
        the model, if there are several. Output nodes are those that the targets given to `init` clamp, which its state
        remembers. Of a model, they are those that are marked `frozen = True`; or else those that no other node is
        predicted from.

        By a forward pass, or by settling: the values start and settle as in `step`, for as long, but nothing holds the
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

        **Raises:** `ValueError` for `settle` with a rule whose values never settle, such as Z-IL; for a `hold` that
        doesn't fit the nodes. **Warns** if the energy of samples rose as their values settled.
        """
        return predicted(self, model, x, settle, hold, key)

    def evaluate(self, state: State | EnergyModule, batch: tuple[PyTree, PyTree]) -> tuple[Any, Float[Array, " batch"]]:
        """Return the outputs' predictions by a forward pass in evaluation mode, as `predict` gives them, and the energy
        of the output nodes at their targets, `[batch]`. Pure.

        **Arguments:**

        - `state`: from `init` or `step`; or a model.
        - `batch`: `(x, y)` as in `init`.

        **Raises:** `ValueError` for labels outside the classes, where they can be read; in a compiled function the
        energies are not numbers then.
        """
        return evaluated(self, state, batch)

    # -- what makes it that rule ----------------------------------------------------------------------
    @abc.abstractmethod
    def learn(self, bound: Bound, forward: ForwardPass, memory: Memory) -> Update:
        """Return the `Update` of one batch: gradient or new weights, energies, memory.

        **Arguments:**

        - `bound`: the problem and its arrays: weights, batch, precisions. `bound.landscape(...)` is the energy as a
            function of the free nodes.
        - `forward`: the forward pass of the batch: values, predictions and targets by node.
        - `memory`: what the updates before kept, by name; the optimiser's state is under "optim".
        """

    def check(self, problem: Problem) -> None:
        """Refuse a problem that the rule can't work on.

        **Raises:** `ValueError`, with the reason.
        """
        if not problem.clamped:
            raise ValueError(
                f"{self.name}: no node is clamped, so there is nothing to learn from. Give targets, and mark the "
                "output: `model.vodes[-1].h.frozen = True`"
            )

    def init_memory(self, bound: Bound) -> Memory:
        """Return what the rule remembers before the first step, by name; a step changes it by `Update.memory`."""
        return {}

    def init_optim(self, problem: Problem, weights: Weights) -> PyTree:
        """Return the state of the weights' optimiser before the first step."""
        return self.optim_w.init(weights)

    def apply(
        self, gradient: Weights, optim: PyTree, weights: Weights, bound: Bound, value: Energies
    ) -> tuple[Weights, PyTree]:
        """Return the weights after a step of their optimiser, and its state.

        **Arguments:**

        - `gradient`, `weights`: `{path: array}`; `optim`: the optimiser's state.
        - `bound`: the batch.
        - `value`: the energies that the gradient is of, precisions included, `{node: [batch]}`; an optimiser that wants
            `value=` is given their mean, see `Info.energy`.
        """
        mean = jnp.mean(jnp.asarray(sum(bound.samples.weighted(e) for e in value.values())))
        optimiser: Any = self.optim_w
        tell = optax.with_extra_args_support(optimiser)
        updates, optim = tell.update(gradient, optim, weights, value=mean)
        moved: Any = optax.apply_updates(weights, updates)
        return moved, optim

    def settle(
        self,
        bound: Bound,
        forward: ForwardPass,
        outputs: tuple[str, ...],
        hold: Mapping[str, tuple[Array, Array]],
    ) -> tuple[Nodes, Array | None]:
        """Return the predictions of the output nodes after settling, `{node: [batch, *shape]}`, for `predict`; and how
        each sample's settling ended, a `pcx.inference.RESULT`, `[batch]`, or None if nothing settles.

        **Arguments:**

        - `bound`, `forward`: the problem in evaluation mode, without targets, and its forward pass.
        - `outputs`: the names of the output nodes.
        - `hold`: parts that are clamped, see `predict`.

        **Raises:** `ValueError` for a rule whose values never settle.
        """
        raise ValueError(f"{self.name}: its values don't settle, so predictions are by a forward pass alone")

    def loss(self, bound: Bound, forward: ForwardPass) -> Float[Array, " batch"]:
        """Return the energy of the output nodes at the forward pass."""
        return bound.output_energy(forward.u, forward.targets)

    def bad_start(self, bound: Bound, forward: ForwardPass) -> Array:
        """Return the place of the first node that is not finite at the start, -1 if all are."""
        return bad_data(bound.problem.nodes, forward.u, forward.targets)

    def structure(self, model: EnergyModule) -> Structure:
        """Return the model without its values."""
        return Structure.of(model, self.learned_params, self.call)

    def problem(
        self, structure: Structure, arrays: ModelArrays, x: PyTree, y: PyTree, training: bool = True
    ) -> Problem:
        """Return the problem of a model at the shapes of a batch, traced if there is none yet."""
        return Problem.of(structure, arrays, (x, y), training)

    def draw(self, bound: Bound) -> Array:
        """Return the key that a step draws from, a new one for each step.

        **Raises:** `ValueError` for a rule whose `random` is not True: its key never changes.
        """
        if not self.random:
            raise ValueError(f"{self.name}: a rule that draws random numbers says so: set `random = True` in its class")
        return jax.random.fold_in(bound.key, _SETTLING)

    def draw_if_random(self, bound: Bound) -> Array | None:
        """Return the key that values draw from as they settle; None if they draw nothing."""
        return self.draw(bound) if self.random else None

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

    # -- inside ---------------------------------------------------------------------------------------
    def predicting(self, model: EnergyModule | State) -> tuple[Structure, ModelArrays]:
        """Return the structure of the part of a model, or of a state's, that predicts, and all arrays."""
        if isinstance(model, State):
            return model.structure, ModelArrays(model.weights, model.rest)
        structure = self.structure(model)
        return structure, structure.values_of(model)

    def _check_samples(self, problem: Problem, samples: Samples) -> None:
        check_samples(self.name, problem, samples, self.settles_outputs, learns(self.precision))


# Values draw from a key of their own, apart from the model's.
_SETTLING = 0x9C
