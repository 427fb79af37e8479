"""Two moons by three learning rules: the network, the rules, and the training of all seeds of a rule at once.

Z-IL (Song et al., "Can the brain do backpropagation? Exact implementation of backpropagation in predictive coding
networks", NeurIPS 2020): from forward initialisation, the error of the clamped output moves one layer per inference
step. With a state learning rate of one, and each layer's weights updated at the very step at which the error arrives,
the updates are those of backpropagation, so the two rules train the same network up to rounding.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
import optax
from jaxtyping import PyTree

from .. import learning as pxl
from .. import predictive_coding as pxc
from ..core import seeded
from ..models import MLP
from ._options import POINTS, ZilOptions

CLASSES = 2
HIL_STEPS = 8  # inference steps of the hybrid rule


def network(hidden: int) -> MLP:
    """Three linear layers; the output node measures cross entropy with the label. Its weights come from `RKG`."""
    return MLP([2, hidden, hidden, CLASSES], act=jax.nn.leaky_relu, energy=pxc.ce_energy)


def learning_rule(name: str) -> pxl.Rule:
    """Return the rule of that name, with the study's optimiser."""
    optim_w = optax.sgd(0.2, momentum=0.9, nesterov=True)
    if name == "hil":
        return pxl.hil(optim_w, T=HIL_STEPS)
    return pxl.zil(optim_w) if name == "zil" else pxl.backprop(optim_w)


@dataclass(frozen=True)
class Data:
    """Points `[N, 2]` and labels `[N]` for training and test."""

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


def two_moons(batch_size: int) -> Data:
    """Two moons with noise 0.2, `POINTS` in each set, the same at every call; of those to train on, full batches."""
    count = POINTS - POINTS % batch_size
    x, y = _moons(42)
    return Data(x[:count], y[:count], *_moons(0))


def _moons(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The points of scikit-learn's `make_moons(POINTS, noise=0.2, random_state=seed)`, without the second that its
    import takes."""
    random = np.random.RandomState(seed)
    angle = np.linspace(0, np.pi, POINTS // 2)
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    order = np.arange(POINTS)
    random.shuffle(order)
    x = np.concatenate([upper, [1.0, 0.5] - upper])[order] + random.normal(scale=0.2, size=(POINTS, 2))
    return x.astype(np.float32), np.repeat([0, 1], POINTS // 2)[order].astype(np.int32)


@dataclass(frozen=True)
class Epoch:
    """The results of one epoch of all seeds."""

    epoch: int
    """From 1."""
    test_accuracy: np.ndarray
    """Share of the test points, 0 to 1, `[seeds]`."""
    test_loss: np.ndarray
    """Mean cross entropy of the test points, nats, `[seeds]`."""
    left_out: np.ndarray
    """Batches that changed no weight since a number was not finite, `[seeds]`."""
    losses: np.ndarray
    """Loss of each batch, before it was learned from, `[seeds, batches]`."""
    seconds: float
    """All seeds together, training and test, without compilation."""


class Study:
    """The compiled programs of a study: one that makes the first state of every seed under every rule, one per rule
    that trains all seeds for an epoch and tests them, and one that predicts. How many seeds there are changes their
    shapes and not their number.

    They are compiled in the background from the moment the study is made, and waited for when they are first needed.

    **Arguments:**

    - `options`: the study's.
    - `seeds`: of the networks; a seed alone decides the first weights, whatever the rule.
    - `grid`: how many points `predict` takes.
    """

    def __init__(self, options: ZilOptions, seeds: tuple[int, ...], grid: int) -> None:
        self.seeds = np.asarray(seeds, np.int32)
        self.epochs = options.epochs
        self.rules = {name: learning_rule(name) for name in options.rules}
        self._pool = ThreadPoolExecutor(thread_name_prefix="compile")
        self._batches = POINTS // options.batch_size, options.batch_size

        x = np.zeros((options.batch_size, 2), np.float32), np.zeros(options.batch_size, np.int32)
        traced = _jit("first", self._first(options.hidden, x)).trace(self.seeds)
        states = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), traced.out_info)
        self._start = self._compile(traced)
        points = jax.ShapeDtypeStruct((*self._batches, 2), np.float32)
        labels = jax.ShapeDtypeStruct(self._batches, np.int32)
        tests = jax.ShapeDtypeStruct((POINTS, 2), np.float32)
        self._programs = {
            name: self._compile(_jit(name, _epoch(rule)).trace(states[name], points, labels, tests))
            for name, rule in self.rules.items()
        }
        name = options.rules[0]
        one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), _bare(states[name]))
        points = jax.ShapeDtypeStruct((grid, 2), np.float32)
        self._predict = self._compile(_jit("predict", self.rules[name].predict).trace(one, points))
        self._pool.shutdown(wait=False)

    def first(self) -> dict[str, pxl.State]:
        """Return the states of all seeds before the first step, by rule."""
        return self._start.result()(self.seeds)

    def train(self, rule: str, data: Data) -> Iterator[tuple[Epoch, pxl.State]]:
        """Trains one network per seed and yields after every epoch, with the states of all seeds."""
        x, y = data.x.reshape(*self._batches, 2), data.y.reshape(self._batches)
        state = self.first()[rule]
        run = self._programs[rule].result()
        for epoch in range(1, self.epochs + 1):
            start = time.perf_counter()
            state, logits, (outcomes, losses) = jax.block_until_ready(run(state, x, y, data.x_test))
            seconds = time.perf_counter() - start
            accuracy, loss = _scores(np.asarray(logits), data.y_test)
            left_out = np.sum(np.isin(outcomes, (pxl.OUTCOME.not_finite, pxl.OUTCOME.bad_label)), axis=1)
            yield Epoch(epoch, accuracy, loss, left_out, np.asarray(losses), seconds), state

    def predict(self, state: pxl.State, x: np.ndarray) -> np.ndarray:
        """Return the logits `[grid, 2]` of the first seed's network for points `[grid, 2]`, whatever its rule."""
        first = jax.tree.map(lambda leaf: np.asarray(leaf)[0], _bare(state))
        return np.asarray(self._predict.result()(first, x))

    def _first(self, hidden: int, batch: tuple[np.ndarray, np.ndarray]) -> Any:
        def one(seed: jax.Array) -> dict[str, pxl.State]:
            with seeded(seed):  # traced, so that all seeds share the program
                model = network(hidden)
            return {name: rule.init(model, batch) for name, rule in self.rules.items()}

        def all_seeds(seeds: jax.Array) -> dict[str, pxl.State]:
            return jax.vmap(one)(seeds)

        return all_seeds

    def _compile(self, traced: jax.stages.Traced) -> "Future[Any]":
        """Lowers, which holds Python's lock, and leaves the compiler, which doesn't, to another thread."""
        return self._pool.submit(traced.lower().compile)


def _epoch(rule: pxl.Rule) -> Any:
    """One pass over the batches `[batches, batch_size, ...]` and the logits of the test points, for all seeds."""

    def one(state: pxl.State, x: jax.Array, y: jax.Array, x_test: jax.Array) -> Any:
        def step(state: pxl.State, batch: tuple[jax.Array, jax.Array]) -> Any:
            state, info = rule.step(state, batch)
            return state, (info.result, info.loss)

        state, told = jax.lax.scan(step, state, (x, y))
        return state, rule.predict(state, x_test), told

    return jax.vmap(one, in_axes=(0, None, None, None))


def _jit(name: str, fn: Callable[..., Any]) -> Any:
    def program(*args: PyTree) -> Any:
        return fn(*args)

    program.__name__ = program.__qualname__ = name
    # On a CPU the networks here train in a tenth of the time it takes to compile them. A lower level of optimisation
    # halves the latter, and leaves the former, most of which are library calls, as it is.
    options = {"xla_backend_optimization_level": 1} if jax.default_backend() == "cpu" else None
    return jax.jit(program, compiler_options=options)


def _bare(state: pxl.State) -> pxl.State:
    """Return the part of a state that predictions need: the same under every rule."""
    return replace(state, optim=None, key=None, memory={})


def _scores(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy and mean cross entropy `[seeds]` of logits `[seeds, N, classes]`."""
    accuracy = np.mean(logits.argmax(axis=-1) == labels, axis=-1)
    logits = logits.astype(np.float64)
    logits -= logits.max(axis=-1, keepdims=True)
    chosen = logits[:, np.arange(len(labels)), labels]
    return accuracy, np.mean(np.log(np.exp(logits).sum(axis=-1)) - chosen, axis=-1)
