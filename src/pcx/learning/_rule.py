"""What all learning rules share: their signature, their state, and what is done with bad numbers."""

from __future__ import annotations

import abc
import dataclasses
import functools
import warnings
import weakref
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import optax
from jax.core import Tracer

from ..core import raw_key, static_key, taken
from ..energy._problem import Problem
from ..energy._structure import Structure, Values
from ..energy._sums import all_finite
from ..inference import RESULT
from ..nn import LayerParam
from ..nn._layer import bare_layers
from ._batch import Batch
from ._gradient import bad_data, output_energy
from ._hold import pairs_of
from ._ordered import by_node
from ._precision import as_precision, begin, learns, values_of
from ._samples import Samples, check_samples, split
from ._sound import unsound
from ._state import BAD_INPUT, OUTCOME, UPHILL, Info, State, owned


class Learned(NamedTuple):
    """What a rule made of one batch.

    - `energies`: each node's energy, `{node: [batch]}`; `u`: the nodes' forward predictions; `outputs`: the names of
        the output nodes; `loss`: their energy at the forward pass, `[batch]`.
    - `first_bad`: where a value was first not finite while settling, -1 if all were.
    - `before`: each node's energy before values settled, `{node: [batch]}` (nodes without any may lack); None if there
        is no settling. `uphill`: whether settling went up; False where nothing can be said.
    """

    weights: Any
    optim: Any
    memory: dict[str, Any]
    energies: dict[str, Any]
    u: dict[str, Any]
    outputs: tuple[str, ...]
    loss: Any
    steps: Any
    first_bad: jax.Array | int
    before: dict[str, Any] | None = None
    uphill: Any = False


_BARE = (
    "{} will not learn: arrays of an Equinox module are constants. Make it a layer, as in "
    "pxnn.Layer(eqx.nn.Linear, 3, 4, key=key), or say that it is constant by px.static(...)"
)
_known: weakref.WeakValueDictionary[Any, Any] = weakref.WeakValueDictionary()


class _Interned(abc.ABCMeta):
    """Rules built alike are one object, while one of them is held: so what JAX has compiled for the `step` of one
    serves all."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        new = super().__call__(*args, **kwargs)
        return _known.setdefault(new.__static_key__(), new)


def _restored(cls: type[Rule], parts: dict[str, Any]) -> Rule:
    new = object.__new__(cls)
    vars(new).update(parts)
    return _known.setdefault(new.__static_key__(), new)


class Rule(metaclass=_Interned):
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

    def __reduce__(self) -> Any:
        return _restored, (type(self), vars(self))

    def __copy__(self) -> Rule:
        return self

    def __deepcopy__(self, memo: Any) -> Rule:
        return self

    def __static_key__(self) -> Hashable:
        return (static_key(type(self)), static_key(vars(self)))

    random = False  # whether a step draws random numbers though the model doesn't
    _settles_outputs = False  # whether parts of its outputs can be held while others settle

    def __repr__(self) -> str:
        shown = {
            name: value if isinstance(value, (bool, int, float)) or dataclasses.is_dataclass(value) else type(value)
            for name, value in vars(self).items()
            if isinstance(value, (bool, int, float)) or type(value).__module__.startswith("pcx.")
        }
        parts = [f"{name}={v.__name__ if isinstance(v, type) else v}" for name, v in shown.items()]
        return f"{type(self).__name__}({', '.join(parts)})"

    def __init__(
        self, optim_w: optax.GradientTransformation, *, learn: Any = LayerParam, call: Any = None, precision: Any = None
    ):
        if not (hasattr(optim_w, "init") and hasattr(optim_w, "update")):
            raise TypeError(
                f"{type(self).__name__}: optim_w must be an optax transformation, such as optax.adam(1e-3), got "
                f"{type(optim_w).__name__}"
            )
        self.optim_w, self.learn, self.call = optim_w, learn, call
        self.precision = as_precision(precision)

    # -- the signature --------------------------------------------------------------------------------
    def init(self, model: Any, batch: tuple[Any, Any], key: Any = 0) -> State:
        """The state before the first step.

        **Arguments:**

        - `model`: an energy module; it is not changed, and the state shares no array with it.
        - `batch`: an example `(x, y)`, `[batch, ...]` each (arrays or trees of them; y may be class numbers `[batch]`
            where an output node holds a vector over the classes). With weights of samples, or without targets for
            some, see `Targets`.
        - `key`: a seed or a random key, for models and rules that draw random numbers.

        **Raises:** `ValueError` for a model or batch that the rule can't work on, with the reason.
        """
        x, y, samples = self._taken("init", batch)
        structure = self._structure(model)
        values = structure.values_of(model)
        bare = bare_layers(model)
        if not values.weights:
            raise ValueError(
                f"{type(model).__name__} has no weights to learn: no param that `learn` picks holds a value"
                + (f". {_BARE.format(', '.join(bare))}" if bare else "")
            )
        if bare:
            warnings.warn(f"{type(model).__name__}: {_BARE.format(', '.join(bare))}", stacklevel=2)
        key = raw_key(f"{type(self).__name__}.init", key)
        problem = self._problem(structure, values, x, y)
        problem.check_labels(y)
        self._admit(problem)
        self._check_samples(problem, samples)
        memory = {} if self.precision is None else begin(self.precision, problem)
        optim = self._init_optim(problem, values.weights)
        state = State(values.weights, values.rest, optim, key, memory, structure, problem.outputs)
        more = self._remember(problem, state, x, y)
        # Arrays of its own, each another one: a step that may use up the state must not use up the model or the batch.
        return owned(dataclasses.replace(state, memory={**memory, **more}))

    def step(self, state: State, batch: tuple[Any, Any]) -> tuple[State, Info]:
        """Learn from one batch. Where a number turns out not to be finite, or a label no class, the weights stay as
        they were and `info.result` says so; it also says where settling went uphill, as with too large a rate of the
        states, though the weights learn then.

        **Arguments:**

        - `state`: from `init` or the step before.
        - `batch`: as in `init`.
        """
        x, y, samples = self._taken("step", batch)
        if not isinstance(state, State):
            raise TypeError(
                f"{type(self).__name__}.step: expected the state that init or the step before gave, got "
                f"{type(state).__name__}"
            )
        structure = state.structure
        problem = self._problem(structure, Values(state.weights, state.rest), x, y)
        self._check_optim(problem, state)
        problem.check_labels(y)
        self._check_samples(problem, samples)
        key, draw = state.key, state.key
        if problem.draws or self.random:
            key, draw = jax.random.split(state.key)
        precision = values_of(self.precision, problem, state.memory)
        batch_ = Batch(problem, state.weights, state.rest, draw, x, y, precision, samples)
        targets, valid = problem.targets(*batch_.arrays)
        learned = self._learn(batch_, targets, state)
        rest = problem.rest_after(*batch_.arrays)
        energies = {n: samples.weighted(e) for n, e in learned.energies.items()}
        total = sum(energies.values())
        # An infinity may saturate: what is made of it is finite, and wrong.
        given, held = all_finite(x), all_finite(targets)
        settled = given & held & (learned.first_bad < 0) & jnp.all(jnp.isfinite(total))
        kept = {
            "optim": (learned.optim, state.optim),
            "memory": (learned.memory, state.memory),
            "rest": (rest, state.rest),
        }
        code = unsound(learned.weights, kept, self._strict(problem, learned.memory))
        finite = settled & (code == -1)
        # What is not finite at the start makes the energy so: only then is the start looked at.
        started: jax.Array = jax.lax.cond(settled, lambda: jnp.int32(-1), lambda: bad_data(problem, learned.u, targets))
        started = jnp.where(given | (started >= 0), started, BAD_INPUT).astype(jnp.int32)
        good = finite & valid
        old = state.weights, state.rest, state.optim, state.memory
        new = learned.weights, rest, learned.optim, learned.memory
        weights, rest, optim, memory = jtu.tree_map(lambda a, b: a if a is b else jnp.where(good, a, b), new, old)
        result = jnp.where(learned.uphill, OUTCOME.diverged, OUTCOME.ok)
        result = jnp.where(valid, jnp.where(finite, result, OUTCOME.not_finite), OUTCOME.bad_label)
        before = learned.energies if learned.before is None else learned.before
        before = sum([samples.weighted(e) for e in before.values()], jnp.zeros((problem.size,)))
        first_bad: Any = jnp.where(settled, code, jnp.where(started == -1, learned.first_bad, started))
        # Where settling drove energies up, they overflow, or what the optimiser makes of their gradients does.
        beyond = (learned.first_bad < 0) & jnp.all(jnp.isfinite(before)) & ~jnp.all(jnp.isfinite(total))
        climbed = beyond | (learned.uphill & (code < -1))
        info = Info(
            energy=jnp.mean(total),
            energies=by_node(problem.nodes, {n: jnp.mean(e) for n, e in energies.items()}),
            loss=jnp.mean(samples.weighted(learned.loss)),
            output=_predicted(by_node(learned.outputs, {n: learned.u[n] for n in learned.outputs})),
            steps=_mean(jnp.asarray(learned.steps)),
            result=result.astype(jnp.int32),
            first_bad=jnp.where(climbed & (started == -1), UPHILL - _most(problem.nodes, energies), first_bad),
            energy_before=jnp.mean(before),
        )
        return State(weights, rest, optim, key, memory, structure, state.outputs), info

    def predict(
        self,
        model: Any,
        x: Any,
        *,
        settle: bool = False,
        hold: Mapping[str, tuple[Any, Any]] | None = None,
        key: Any = 0,
    ) -> Any:
        """The output nodes' predictions in evaluation mode, `[batch, *shape]`; a dict by node, in the order of the
        model, if there are several. Output nodes are those that the targets given to `init` hold, which its state
        remembers. Of a model, they are those that are marked `frozen = True`; or else those that no other node is
        predicted from.

        By a forward pass, or by settling: the values start and settle as in `step`, for as long, but nothing holds the
        output, which follows its prediction. From a forward pass nothing moves then, so this differs for rules that
        start elsewhere, draw random numbers, or have a network for each direction (see `Joint`).

        **Arguments:**

        - `model`: the model, or a state.
        - `x`: the input, `[batch, ...]`.
        - `settle`: whether the values settle first.
        - `hold`: `{node: (mask, value)}`, parts of nodes that are held while all else settles, such as the known half
            of an image: value `[batch, *shape]`, and booleans `[batch, *shape]`, or what broadcasts to that, True where
            it is held. Outputs come back with what was held in its place. With it `x` may be None, where the model
            needs none and every output node is named. It needs `settle=True`, and a rule of `PredictiveCoding`.
        - `key`: a seed or a random key, for rules that draw random numbers as they settle.

        **Raises:** `ValueError` for `settle` with a rule whose values never settle, such as Z-IL; for a `hold` that
        doesn't fit the nodes. **Warns** if the energy of samples rose as their values settled.
        """
        if hold is not None and not (settle and self._settles_outputs):
            raise ValueError(
                f"{type(self).__name__}.predict: hold needs settle=True and a rule of PredictiveCoding, such as pxl.pc"
            )
        x = taken(f"{type(self).__name__}.predict", "x", x)
        structure, values = self._values(model)
        outputs = model.outputs if isinstance(model, State) else ()
        hold = pairs_of(f"{type(self).__name__}.predict", hold, structure, x)
        size = None if jtu.tree_leaves(x) or not hold else next(iter(hold.values()))[1].shape[0]
        if not settle:
            names, u = forward(structure, outputs, values, x, size)
        else:
            # Of the forward pass the names alone are wanted.
            made = jax.eval_shape(lambda x: forward(structure, outputs, values, x, size)[1], x)
            names = tuple([n for n in structure.nodes if n in made])
            whole = model.structure if isinstance(model, State) else self._structure(model)
            memory = model.memory if isinstance(model, State) else {}
            key = raw_key(f"{type(self).__name__}.predict", key)
            u, result = _settled(self, whole, names, values.weights, values.rest, memory, key, x, hold)
            self._tell_uphill(result)
        return _predicted({n: u[n] for n in names})

    def evaluate(self, state: Any, batch: tuple[Any, Any]) -> tuple[Any, Any]:
        """The outputs' predictions by a forward pass in evaluation mode, as `predict` gives them, and the energy of the
        output nodes at their targets, `[batch]`. Pure.

        **Arguments:**

        - `state`: from `init` or `step`; or a model.
        - `batch`: `(x, y)` as in `init`.

        **Raises:** `ValueError` for labels outside the classes, where they can be read; in a compiled function the
        energies are not numbers then.
        """
        x, y, samples = self._taken("evaluate", batch)
        structure, values = self._values(state)
        problem = Problem.of(structure, values, (x, y))
        problem.check_labels(y)
        size = None if jtu.tree_leaves(x) else problem.size
        names, u = forward(structure, state.outputs if isinstance(state, State) else problem.outputs, values, x, size)
        of_targets = u if names == problem.outputs else forward(structure, problem.outputs, values, x, size)[1]
        key = state.key if isinstance(state, State) else jax.random.PRNGKey(0)
        at = Batch(problem, values.weights, values.rest, key, x, y, {}, samples)
        targets, valid = problem.targets(*at.arrays)
        energy = output_energy(at, of_targets, targets)
        return _predicted({n: u[n] for n in names}), jnp.where(valid, energy, jnp.nan)

    def check_labels(self, state: State, batch: tuple[Any, Any], y: Any) -> None:
        """Refuse targets, of any number of samples, that hold labels outside the classes.

        **Arguments:**

        - `state`, `batch`: from `init`, and as given to it.
        - `y`: the targets.

        **Raises:** `ValueError`, naming the output node.
        """
        structure, values = self._values(state)
        x, given, _ = self._taken("check_labels", batch)
        y = taken(f"{type(self).__name__}.check_labels", "y", split(y)[0])
        Problem.of(structure, values, (x, given)).check_labels(y)

    def convolves(self, state: State) -> bool:
        """Whether the model of a state from `init` has convolutions."""
        return self._values(state)[0].convolves

    def _taken(self, call: str, batch: Any) -> tuple[Any, Any, Any]:
        """Inputs, targets, and what is said of the samples, as arrays of JAX."""
        x, y = _pair(type(self).__name__, batch)
        y, samples = split(y)
        call = f"{type(self).__name__}.{call}"
        return taken(call, "x", x), taken(call, "y", y), samples

    # -- for the rules --------------------------------------------------------------------------------
    @abc.abstractmethod
    def _learn(self, batch: Batch, targets: dict[str, Any], state: State) -> Learned:
        """Learn from one batch."""

    def _at_rest(
        self,
        structure: Any,
        outputs: tuple[str, ...],
        values: Values,
        memory: dict[str, Any],
        key: Any,
        x: Any,
        hold: Any,
    ) -> tuple[dict[str, Any], Any]:
        """The output nodes' predictions after settling, by node; and how each sample's settling ended, `[batch]`, or
        None if nothing settles."""
        raise ValueError(f"{type(self).__name__}: its values don't settle, so predictions are by a forward pass alone")

    def _tell_uphill(self, result: Any) -> None:
        if result is None or isinstance(result, Tracer):
            return
        uphill = int(np.sum(np.asarray(result) == RESULT.diverged))
        if uphill:
            warnings.warn(
                f"{type(self).__name__}.predict: settling went uphill for {uphill} of {result.size} samples: lower the "
                "rate of the states",
                stacklevel=3,
            )

    def _check_samples(self, problem: Any, samples: Samples) -> None:
        check_samples(type(self).__name__, problem, samples, self._settles_outputs)
        if learns(self.precision) and any(a is not None for a in samples):
            raise ValueError(
                f"{type(self).__name__}: a precision that learns takes no weights of samples and needs all targets"
            )

    def _draw(self, key: Any) -> Any:
        """The key that values draw from as they settle; None if they draw nothing."""
        return jax.random.fold_in(key, 0x9C) if self.random else None

    def _admit(self, problem: Problem) -> None:
        """Refuse, with the reason, a problem that the rule can't work on."""
        if not problem.clamped:
            raise ValueError(
                f"{type(self).__name__}: no node is clamped, so there is nothing to learn from. Give targets, and mark "
                "the output: `model.vodes[-1].h.frozen = True`"
            )

    def _structure(self, model: Any) -> Structure:
        return Structure.of(model, self.learn, self.call)

    def _problem(self, structure: Structure, values: Values, x: Any, y: Any) -> Problem:
        return Problem.of(structure, values, (x, y))

    def _values(self, model: Any) -> tuple[Any, Values]:
        if isinstance(model, State):
            return model.structure, Values(model.weights, model.rest)
        structure = self._structure(model)
        return structure, structure.values_of(model)

    def _check_optim(self, problem: Problem, state: State) -> None:
        try:
            made = jtu.tree_structure(jax.eval_shape(lambda w: self._init_optim(problem, w), state.weights))
        except jax.errors.ConcretizationTypeError:  # an optimiser whose memory depends on values can't be asked
            return
        if made != jtu.tree_structure(state.optim):
            raise ValueError(
                f"{type(self).__name__}.step: the state is that of another rule or another optimiser of the weights; "
                "begin with rule.init(model, batch)"
            )

    def _init_optim(self, problem: Problem, weights: dict[str, Any]) -> Any:
        return self.optim_w.init(weights)

    def _remember(self, problem: Problem, state: State, x: Any, y: Any) -> dict[str, Any]:
        return {}

    def _updated(
        self, gradient: Any, optim: Any, weights: Any, batch: Batch, energies: dict[str, Any]
    ) -> tuple[Any, Any]:
        """The weights after a step, and the optimiser's state. An optimiser that wants `value=` is told the mean of the
        energies, `{node: [batch]}`, precisions included, that the gradient is of; see `Info.energy`."""
        value = jnp.mean(jnp.asarray(sum(batch.samples.weighted(e) for e in energies.values())))
        tell = optax.with_extra_args_support(self.optim_w)
        updates, optim = tell.update(gradient, optim, weights, value=value)
        return optax.apply_updates(weights, updates), optim

    def _learn_precision(self, batch: Batch, state: State, energies: dict[str, Any]) -> dict[str, Any]:
        """The memory, after precisions that learn have learned from elementwise energies, `{node: [batch, *shape]}`."""
        if self.precision is None:
            return dict(state.memory)
        return {**state.memory, **self.precision.learn(batch.problem, state.memory, energies)}

    def _strict(self, problem: Problem, memory: dict[str, Any]) -> Any:
        # A precision may be beyond all numbers, or zero, while what is remembered of it is finite.
        if self.precision is None or not learns(self.precision):
            return []
        found = list(self.precision.values(problem, memory).values())
        return [found, [1 / p for p in found]]


def forward(
    structure: Structure, outputs: tuple[str, ...], values: Values, x: Any, size: int | None = None
) -> tuple[tuple[str, ...], Any]:
    """The names of the output nodes, those of the model alone if none are given, and their predictions by node.
    `size`: how many samples, where x doesn't say it."""
    found = _forward_pass(structure, outputs, size, values.weights, values.rest, x)
    return tuple([n for n in structure.nodes if n in found]), found


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _forward_pass(
    structure: Structure, outputs: tuple[str, ...], size: int | None, weights: Any, rest: Any, x: Any
) -> Any:
    (made, _), _ = structure.start(weights, rest, jax.random.PRNGKey(0), x, None, training=False, size=size)
    u = {n: made[n]["u"] for n in structure.nodes if made[n]["u"] is not None}  # an input held in a node has none
    names = [n for n in u if n in (outputs or structure.frozen)]
    if not names:
        graph = Problem.of(structure, Values(weights, rest), (x, None)).graph
        names = [n for n in u if not graph.children[n]]
    return {n: u[n] for n in names}


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _settled(
    rule: Rule,
    structure: Any,
    outputs: tuple[str, ...],
    weights: Any,
    rest: Any,
    memory: Any,
    key: Any,
    x: Any,
    hold: Any,
) -> Any:
    return rule._at_rest(structure, outputs, Values(weights, rest), memory, key, x, hold)


def _predicted(u: dict[str, Any]) -> Any:
    """The predictions of nodes that have one (an input held in a node has none): one alone, or by node."""
    if any(value is None for value in u.values()):
        u = type(u)({n: value for n, value in u.items() if value is not None})
    return next(iter(u.values())) if len(u) == 1 else u


def _most(nodes: Iterable[str], energies: Mapping[str, Any]) -> jax.Array:
    """The place of the node with the most energy."""
    sums = [jnp.sum(energies[n], dtype=jnp.float32) if n in energies else jnp.float32(0) for n in nodes]
    return jnp.argmax(jnp.stack(sums)).astype(jnp.int32)


def _mean(steps: Any) -> Any:
    # About the smallest, so that equal numbers have exactly their mean.
    least = jnp.min(steps)
    return least.astype(jnp.float32) + jnp.mean((steps - least).astype(jnp.float32))


def _pair(name: str, batch: Any) -> tuple[Any, Any]:
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        got = f"{len(batch)} parts" if isinstance(batch, (tuple, list)) else type(batch).__name__
        raise TypeError(f"{name}: a batch is a pair (x, y), got {got}")
    return batch[0], batch[1]
