"""The interface of learning rules.

The model's Python runs once, when a problem is made, in `init` or for a batch of new shapes; a step evaluates the jaxpr
that it left. A rule of one's own is one method, `learn`: see `docs/extend.md`.
"""

from __future__ import annotations

import abc
import dataclasses
from typing import Any

import jax
import jax.tree_util as jtu
from jax import Array
from jaxtyping import Float, PyTree

from ..core import Choice, raw_key, see
from ..energy import (
    Bound,
    Energies,
    ForwardPass,
    ModelArrays,
    PolicyLike,
    Problem,
    Samples,
    Weights,
    as_policy,
)
from ..nn import LayerParam
from ..predictive_coding import EnergyModule
from ._applied import applied
from ._by_layer import check_by_layer, check_in_stacks
from ._checks import check_learns, check_optim, taken_batch
from ._cite import Cited
from ._dtypes import check_dtype
from ._equal_layers import Stacking, as_equal_layers
from ._guards import bad_data, guarded
from ._idle import from_any_energy, warn_of_bypassed, warn_of_idle_weights
from ._precision import as_precision, begin, learns, unbounded, values_of
from ._returned import check_names, check_untouched, check_update
from ._samples import check_samples
from ._settling import Settles
from ._sharp import warn_of_sharp_energies
from ._stacked_optim import begun, in_stacks, optimised
from ._state import Info, State, owned
from ._types import Call, EqualLayers, KeyLike, Optimiser, PrecisionLike
from ._update import Update

Memory = dict[str, Any]
"""What a rule remembers from batch to batch, by name; the optimiser's state is under "optim"."""


class Rule(Settles, Stacking, Cited):
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
    - `dtype`: of the products of layers, `"bfloat16"` or `"float16"`, from copies of weights and values; or a
        `DTypePolicy`. Weights, which must be float32, their optimiser, values and all sums stay float32. None computes
        in the dtypes of the model.
    - `equal_layers`: how layers that repeat are computed, with the same numbers but for rounding: `"looped"`, one after
        the other in one loop; `"stacked"`, together over stacks of their arrays; `"apart"`, each written out by itself;
        or `"auto"`, what was measured to be fastest. Together, the time that compiling takes doesn't grow with the
        number of layers.

    **Raises:** `TypeError` for an `optim_w` that is no transformation; `TypeError` or `ValueError` for what is no
    precision or no such dtype.
    """

    def __init__(
        self,
        optim_w: Optimiser,
        *,
        learn: Choice = LayerParam,
        call: Call | None = None,
        precision: PrecisionLike = None,
        dtype: PolicyLike = None,
        equal_layers: EqualLayers = "auto",
    ) -> None:
        if not (hasattr(optim_w, "init") and hasattr(optim_w, "update")):
            raise TypeError(
                f"{self.name}: optim_w must be an optax transformation, such as optax.adam(1e-3), got "
                f"{type(optim_w).__name__}"
            )
        self.optim_w, self.learned_params, self.call = optim_w, learn, call
        self.precision = as_precision(precision)
        if dtype is not None:
            self.dtype = as_policy(self.name, dtype)
        self.equal_layers = as_equal_layers(self.name, equal_layers, self.in_stacks)

    # -- the four functions of a rule -----------------------------------------------------------------
    def init(self, model: EnergyModule, batch: tuple[PyTree, PyTree], key: KeyLike = 0) -> State:
        """Return the state before the first step.

        **Arguments:**

        - `model`: an energy module; it is not changed, and the state shares no array with it.
        - `batch`: an example `(x, y)`, `[batch, ...]` each (arrays or trees of them; y may be class numbers `[batch]`
            where an output node holds a vector over the classes). With weights of samples, or without targets for
            some, see `Targets`.
        - `key`: a seed or a random key, for models and rules that draw random numbers.

        **Returns:** a `State`, a pytree of arrays.

        **Raises:** `TypeError` for what is no energy module or no batch; `ValueError` for a model or batch that the
        rule can't work on, with the reason.
        """
        x, y, samples = taken_batch(self.name, "init", batch)
        structure = self.structure(model)
        arrays = structure.values_of(model)
        check_learns(model, arrays)
        key = raw_key(f"{self.name}.init", key)
        problem = self.problem(structure, arrays, x, y)
        problem.check_labels(y)
        self.check(problem)
        check_by_layer(self, problem)
        warn_of_idle_weights(self.name, arrays.weights, self.learning_weights(problem))
        warn_of_bypassed(self.name, problem)
        warn_of_sharp_energies(self.name, model, problem)
        self._check_samples(problem, samples)
        memory = {} if self.precision is None else begin(self.precision, problem)
        if self.form(problem) is not None:
            arrays = arrays._replace(weights=self._stacked(problem, arrays.weights))
        optim = self.init_optim(problem, arrays.weights)
        precision = values_of(self.precision, problem, memory)
        check_in_stacks(self, problem, arrays.weights, precision)
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
        bound, key = self._bind("step", state, batch)
        problem, weights, rest = bound.problem, bound.weights, bound.rest
        forward, memory = bound.start(), self.memory_of(state)
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

    # -- what makes it that rule ----------------------------------------------------------------------
    @abc.abstractmethod
    def learn(self, bound: Bound, forward: ForwardPass, memory: Memory) -> Update:
        """Learn from one batch.

        **Arguments:**

        - `bound`: the problem and its arrays: weights, batch, precisions. `bound.landscape(...)` is the energy as a
            function of the free nodes.
        - `forward`: the forward pass of the batch: values, predictions and targets by node.
        - `memory`: what the updates before kept, by name; the optimiser's state is under "optim".

        **Returns:** an `Update`: gradient or new weights, energies, memory.

        **Raises:** `TypeError` or `ValueError` for a part of a rule that gives something else than it must.
        """

    def check(self, problem: Problem) -> None:
        """Refuse a problem that the rule can't work on.

        **Arguments:**

        - `problem`: nodes, their graph, and which are clamped.

        **Raises:** `ValueError`, with the reason.
        """
        if not problem.clamped:
            raise ValueError(
                f"{self.name}: no node is clamped, so there is nothing to learn from. Give targets, and mark the "
                f"output: pxc.Vode(..., output=True){see('clamped')}"
            )

    def learning_weights(self, problem: Problem) -> set[str]:
        """Return the weights that can learn something from a batch; `init` warns of others.

        **Arguments:**

        - `problem`: the problem.

        **Returns:** their paths; by default of those by which any energy has a gradient.
        """
        return from_any_energy(problem)

    def init_memory(self, bound: Bound) -> Memory:
        """Return what the rule remembers before the first step; a step changes it by `Update.memory`.

        **Arguments:**

        - `bound`: the batch given to `init`.

        **Returns:** a dict by name, of trees of arrays.
        """
        return {}

    def init_optim(self, problem: Problem, weights: Weights) -> PyTree:
        """Return the state of the weights' optimiser before the first step.

        **Arguments:**

        - `problem`: nodes and their graph.
        - `weights`: `{path: array}`.

        **Returns:** a tree of arrays.
        """
        return begun(self.optim_w, weights)

    def apply(
        self, gradient: Weights, optim: PyTree, weights: Weights, bound: Bound, value: Energies
    ) -> tuple[Weights, PyTree]:
        """Let the weights' optimiser take a step.

        **Arguments:**

        - `gradient`: of the batch's mean energy by the weights, `{path: array}`.
        - `optim`: the optimiser's state.
        - `weights`: `{path: array}`.
        - `bound`: the batch.
        - `value`: the energies that the gradient is of, precisions included, `{node: [batch]}`; an optimiser that wants
            `value=` is given their mean, see `Info.energy`.

        **Returns:** the new weights, and the new state.
        """
        return optimised(self.optim_w, gradient, optim, weights, bound.samples, value)

    def loss(self, bound: Bound, forward: ForwardPass) -> Float[Array, " batch"]:
        """Return the energy of the output nodes at the forward pass.

        **Arguments:**

        - `bound`: the batch.
        - `forward`: its forward pass.

        **Returns:** one number for each sample.
        """
        return bound.output_energy(forward.u, forward.targets)

    def bad_start(self, bound: Bound, forward: ForwardPass) -> Array:
        """Return the place of the first node that is not finite at the start.

        **Arguments:**

        - `bound`: the batch.
        - `forward`: its forward pass.

        **Returns:** a whole number, in the order of the model; -1 if all are finite.
        """
        return bad_data(bound.problem.nodes, forward.u, forward.targets)

    # -- what a step works on -------------------------------------------------------------------------
    def bind(self, state: State, batch: tuple[PyTree, PyTree]) -> Bound:
        """Put a state and a batch together as `step` does, for those who watch what `learn` makes of them.

        **Arguments:**

        - `state`, `batch`: as for `step`.

        **Returns:** what `learn` is given; its forward pass is `bound.start()`.

        **Raises:** as `step`.
        """
        return self._bind("bind", state, batch)[0]

    def memory_of(self, state: State) -> Memory:
        """Return what a rule remembers in a state, the optimiser's state included, as `learn` is given it.

        **Arguments:**

        - `state`: from `init` or `step`.

        **Returns:** a dict by name, which may be changed.
        """
        return jtu.tree_map(lambda a: a, {"optim": state.optim, **state.memory})

    # -- inside ---------------------------------------------------------------------------------------
    def _stacked(self, problem: Problem, weights: Weights) -> Any:
        """Return weights as the state is to hold them where equal layers are computed together."""
        standard = type(self).apply is Rule.apply and type(self).init_optim is Rule.init_optim
        return in_stacks(self.optim_w, problem, weights) if standard else weights

    def _bind(self, call: str, state: State, batch: tuple[PyTree, PyTree]) -> tuple[Bound, Array]:
        """Return a state and a batch together, and the key of the next state."""
        x, y, samples = taken_batch(self.name, call, batch)
        if not isinstance(state, State):
            raise TypeError(
                f"{self.name}.{call}: expected the state that init or the step before gave, got {type(state).__name__}"
            )
        check_dtype(self, state)
        problem = self.problem(state.structure, ModelArrays(state.weights, state.rest), x, y)
        check_optim(self, problem, state)
        problem.check_labels(y)
        self._check_samples(problem, samples)
        key, draw = state.key, state.key
        if problem.draws or self.random:
            key, draw = jax.random.split(state.key)
        precision = values_of(self.precision, problem, state.memory)
        # Dicts of its own: what `learn` may do to them does nothing to the caller's state.
        weights, rest = jtu.tree_map(lambda a: a, (state.weights, state.rest))
        return Bound(problem, weights, rest, draw, x, y, precision, samples, self.form(problem)), key

    def _check_samples(self, problem: Problem, samples: Samples) -> None:
        check_samples(self.name, problem, samples, self.settles_outputs, learns(self.precision))
