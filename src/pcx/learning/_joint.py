"""Rules for pairs of networks that share their values: hybrid (amortised) PC, and bidirectional PC."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import optax

from ..energy._door import no_model
from ..energy._problem import Problem
from ..energy._structure import Values
from ..inference._descent import as_descent
from ..inference._relax import relax
from ..inference._schedule import AllNodes
from ..inference._stop import Stop, as_stop
from ..predictive_coding._energy_module import EnergyModule
from ._batch import Batch
from ._gradient import bad_data, output_energy, weight_gradient
from ._precision import values_of
from ._rule import Learned, Rule
from ._samples import Samples
from ._state import State
from ._two_parts import PARTS, JointProblem, JointStructure, generative_of, recognition_of
from ._uphill import rose, start_energies


class JointLandscape:
    """The weighted sum of two energies of the same values, `{name in the first: name in the second}`."""

    arrival = None

    def __init__(self, first: Any, second: Any, pairs: Mapping[str, str], factors: tuple[Any, Any]) -> None:
        self.first, self.second, self.pairs, self.factors = first, second, dict(pairs), factors
        self.free, self.names, self.order = first.free, first.names, first.order
        self.convolves = first.convolves or second.convolves

    def gradient(self, nodes: Mapping[str, Any], moving: Iterable[str] | None = None) -> Any:
        names = self.free if moving is None else tuple([n for n in self.free if n in set(moving)])
        a = self.first.gradient(nodes, names)
        b = self.second.gradient(self.other(nodes), [self.pairs[n] for n in names])

        def at(values: Mapping[str, Any]) -> dict[str, Any]:
            one, two = a(values), b(self.other({**nodes, **values}))
            return {n: self.factors[0] * one[n] + self.factors[1] * two[self.pairs[n]] for n in names}

        return at

    def energies(self, nodes: Mapping[str, Any]) -> dict[str, Any]:
        """The energy of every node of both, `{node: [batch]}`."""
        one = {n: self.factors[0] * e for n, e in self.first.energies(nodes).items()}
        return one | {n: self.factors[1] * e for n, e in self.second.energies(self.other(nodes)).items()}

    def other(self, nodes: Mapping[str, Any]) -> dict[str, Any]:
        """The values under the names of the second network."""
        return {self.pairs[n]: v for n, v in nodes.items() if n in self.pairs}


class Joint(Rule):
    """Two networks over the same values: `recognition`, bottom-up from x, and `generative`, top-down, which predicts x.
    Values start at the recognition network's forward pass and settle; then both learn, each from its own local errors.

    `predict` gives the recognition network's output; with `settle=True` the settled values of its last node, which must
    be a value node of both parts, both called without y.

    The model is one energy module that holds both. On one sample, `model.recognition(x, y)` is called and
    `model.generative(y, x)`, or with the first alone where a part takes one argument; without y (None), the generative
    network gets None. y may be class numbers where recognition's output is a vector over the classes: the generative
    network then gets them as one-hot vectors. The free nodes of the one, in order, are those of the other in reverse.

    **Arguments:**

    - `optim_w`, `learn`: see `Rule`.
    - `optim_h`, `T`: how values settle, as in `PredictiveCoding`.
    - `factors`: of the generative and the recognition energy.
    - `both`: whether values settle on the sum of both energies, or on the generative one alone.
    - `parts`: `(generative, recognition)`, functions of the model that give its two parts.
    """

    def __init__(
        self,
        optim_w: optax.GradientTransformation,
        optim_h: Any,
        T: int | Stop,
        *,
        factors: tuple[Any, Any] = (1.0, 1.0),
        both: bool,
        parts: tuple[Callable[[Any], Any], Callable[[Any], Any]] | None = None,
        **options: Any,
    ):
        if "call" in options:
            raise TypeError(f"{type(self).__name__}: the parts are called as generative(y, x) and recognition(x, y)")
        super().__init__(optim_w, **options)
        self.descent = as_descent(type(self).__name__, optim_h)
        self.random = self.descent.random
        self.stop = as_stop(type(self).__name__, T, 1, "T")
        self.factors, self.both = factors, both
        pair = (generative_of, recognition_of) if parts is None else parts
        if not isinstance(pair, (tuple, list)) or len(pair) != 2 or not all(callable(part) for part in pair):
            raise TypeError(
                f"{type(self).__name__}: parts must be two functions of the model, (generative, recognition), got "
                f"{parts!r}"
            )
        self.parts = pair[0], pair[1]

    def _structure(self, model: Any) -> Any:
        if not isinstance(model, EnergyModule):
            raise no_model(f"{type(self).__name__}: ", model)
        for name, part in zip(PARTS, self.parts, strict=True):
            try:
                found = part(model)
            except AttributeError as e:
                raise ValueError(
                    f"{type(model).__name__} lacks a part, the {name} one: {e}. The model holds `generative` and "
                    "`recognition`, or name them by parts=(function, function)"
                ) from None
            if not isinstance(found, EnergyModule):
                raise ValueError(
                    f"{type(self).__name__}: the {name} part of {type(model).__name__} must be a pxc.EnergyModule, got "
                    f"{type(found).__name__}"
                )
        return JointStructure.of(model, self.learn, self.parts)

    def _problem(self, structure: Any, values: Values, x: Any, y: Any, training: bool = True) -> Any:
        return JointProblem(structure, values, x, y, training)

    def _admit(self, problem: Any) -> None:
        if not problem.generative.clamped:
            raise ValueError(
                f"{type(self).__name__}: no node of the generative part is clamped to the data; mark the node that "
                f"predicts x: `model.{list(problem.generative.nodes)[-1]}.h.frozen = True`"
            )
        self._pairs(problem.generative, problem.recognition)
        self.descent.check(type(self).__name__, problem.generative.free, problem.generative.nodes)

    def _check_samples(self, problem: Any, samples: Samples) -> None:
        if samples.known is not None:
            raise ValueError(f"{type(self).__name__}: every sample needs both x and y; give batches of those that do")
        super()._check_samples(problem, samples)

    def _values(self, model: Any) -> tuple[Any, Values]:
        structure, values = super()._values(model)
        return structure.recognition, values

    def _learn(self, batch: Batch, targets: dict[str, Any], state: State) -> Learned:
        joint: Any = batch.problem
        generative, recognition = joint.generative, joint.recognition
        pairs = self._pairs(generative, recognition)
        above = batch._replace(problem=generative, x=joint.given(batch.y), y=batch.x)
        below = batch._replace(problem=recognition)
        upward, one, two, solution = self._rest(above, below, targets, pairs)
        first = {n: upward.h[m] for n, m in pairs.items()}
        settled = {m: solution.nodes[n] for n, m in pairs.items()}
        up, up_energies, up_elements = weight_gradient(above, one, solution.nodes)
        down, down_energies, down_elements = weight_gradient(below, two, settled)
        gradient = jtu.tree_map(lambda a, b: self.factors[0] * a + self.factors[1] * b, up, down)
        energies = {n: self.factors[0] * e for n, e in up_energies.items()}
        energies |= {n: self.factors[1] * e for n, e in down_energies.items()}
        weights, optim = self._updated(gradient, state.optim, batch.weights, batch, energies)
        # Alone, the generative energy is what values descend on.
        before = {n: self.factors[0] * e for n, e in start_energies(one, first, forward=False).items()}
        start = {n: self.factors[1] * e for n, e in start_energies(two, upward.h, forward=True).items()}
        descended = (before | start, energies) if self.both else (before, {n: energies[n] for n in before})
        uphill = rose(batch, *descended, self.descent.temperature)
        memory = self._learn_precision(batch, state, up_elements | down_elements)
        outputs = recognition.clamped or recognition.free[-1:]
        loss = output_energy(below, upward.u, targets) if recognition.clamped else jnp.zeros((joint.size,))
        bad = self._first_bad(joint, solution.first_bad, above, first, targets)
        steps, before = solution.steps, before | start
        return Learned(weights, optim, memory, energies, upward.u, outputs, loss, steps, bad, before, uphill)

    def _first_bad(self, joint: Any, code: Any, above: Batch, first: dict[str, Any], targets: dict[str, Any]) -> Any:
        """Where a value was first not finite, counted over the nodes of both parts. `code`: over the generative ones,
        which come first, while values settled; they may have been pulled by a prediction that was bad before it."""
        own, every = len(joint.generative.nodes), len(joint.nodes)

        def look() -> Any:
            held = {n: targets[n] for n in joint.generative.clamped}
            started = bad_data(joint.generative, above.predictions(first, held), held)
            return jnp.where(started >= 0, started, code // own * every + code % own).astype(jnp.int32)

        return jax.lax.cond(code >= 0, look, lambda: jnp.int32(-1))

    def _rest(self, above: Batch, below: Batch, targets: dict[str, Any], pairs: dict[str, str]) -> Any:
        """The recognition network's forward pass, both landscapes, and the settled values."""
        upward = below.problem.start(*below.arrays)
        nodes = {n: upward.h[m] for n, m in pairs.items()}
        one = above.landscape({n: targets[n] for n in above.problem.clamped})
        two = below.landscape({n: targets[n] for n in below.problem.clamped})
        one.arrival = None  # values do not start at the generative predictions
        landscape = JointLandscape(one, two, pairs, self.factors) if self.both else one
        draw = self._draw(above.key)
        solution = relax(landscape, nodes, descent=self.descent, stop=self.stop, schedule=AllNodes(), key=draw)
        return upward, one, two, solution

    def _at_rest(
        self,
        structure: Any,
        outputs: tuple[str, ...],
        values: Values,
        memory: Any,
        key: Any,
        x: Any,
        hold: Any,
    ) -> tuple[dict[str, Any], Any]:
        try:
            joint = self._problem(structure, values, x, None, training=False)
            pairs = self._pairs(joint.generative, joint.recognition)
        except (AttributeError, TypeError, ValueError) as e:
            raise ValueError(
                f"{type(self).__name__}: to predict by settling, both parts are called without y, and what is "
                f"predicted must be a value node of both: {e}"
            ) from e
        precision = values_of(self.precision, joint, memory)
        below = Batch(joint.recognition, values.weights, values.rest, key, x, None, precision)
        above = below._replace(problem=joint.generative, x=None, y=x)
        targets, _ = joint.targets(*below.arrays)
        *_, solution = self._rest(above, below, targets, pairs)
        last = joint.recognition.free[-1]
        return {last: next(solution.nodes[n] for n, m in pairs.items() if m == last)}, solution.result

    def _pairs(self, generative: Problem, recognition: Problem) -> dict[str, str]:
        a, b = generative.free, recognition.free[::-1]
        if len(a) != len(b):
            unmarked = (
                ""
                if recognition.clamped
                else (
                    ". No node of the recognition part is held at y: mark the one that predicts it, "
                    f"`model.{list(recognition.nodes)[-1]}.h.frozen = True`"
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
