"""The compiled loop: many steps of a rule in one dispatch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from ..core import Keyed
from ..energy._loops import scan, while_loop
from ..learning import OUTCOME, Rule
from ..learning._samples import bare, split

COUNTED = "counted"
"""The name of the sum of the samples' weights, where they have some."""


class Loop:
    """Steps a rule over batches that are gathered on the device.

    One program serves any number of steps: from `start` to `stop` is data, not structure, so an epoch cut at any batch
    gives the same bits as one that wasn't.

    **Arguments:**

    - `make`: the rule, as a function of the settings that are compared.
    - `augment`: `augment(key, x) -> x`, or None.
    - `metrics`: `{name: f(output, y) -> [batch]}`.
    - `many`: whether states, rows and settings have a first axis over networks, all trained at once.
    """

    def __init__(
        self,
        make: Callable[..., Any],
        augment: Callable[[Any, Any], Any] | None,
        metrics: Mapping[str, Callable[[Any, Any], Any]],
        many: bool,
    ) -> None:
        self.make, self.augment, self.metrics = make, augment, dict(metrics)
        run: Callable[..., Any] = self._run
        judge: Callable[..., Any] = self._judge
        if many:
            run = jax.vmap(run, in_axes=(0, 0, 0, None, 0, None, None, 0, 0))
            judge = jax.vmap(judge, in_axes=(0, 0, None, None, None))
        # By itself, so that it is traced once: `totals` asks for the form of what a step gives before any is taken.
        self._stepped = jax.jit(self._step_and_sums)
        self.run = jax.jit(run, donate_argnums=(0, 1))
        self.judge = jax.jit(judge)

    @staticmethod
    def of(
        rule: Rule | Callable[..., Rule],
        augment: Callable[[Any, Any], Any] | None,
        metrics: Mapping[str, Callable[[Any, Any], Any]],
        many: bool,
    ) -> Loop:
        """A loop, the same one for equal arguments: a second run of equal things finds its programs compiled."""
        return _loop(Keyed(rule), Keyed(augment), Keyed(dict(metrics)), many)

    def totals(self, state: Any, settings: Any, batch: Any) -> dict[str, Any]:
        """Zero for all that is summed over an epoch: each number by samples, so that a smaller batch weighs less."""
        _, (_, sums) = jax.eval_shape(self._stepped, state, settings, batch, jax.random.PRNGKey(0))
        zero = jtu.tree_map(lambda a: jnp.zeros(a.shape, a.dtype), sums)
        none = jnp.int32(0)
        counts = {"samples": none, "batches": none, "uphill": none}
        return {"sums": zero, **counts, "result": none, "bad": jnp.int32(-1)}

    def _run(
        self,
        state: Any,
        totals: Any,
        settings: Any,
        arrays: Any,
        rows: Any,
        start: Any,
        stop: Any,
        active: Any,
        key: Any,
    ) -> tuple[Any, Any]:
        """Learn from batches `start` to `stop`; the samples of batch i are `rows[i]`. Ends where a step fails."""

        def going(carry: Any) -> Any:
            i, _, totals = carry
            return (i < stop) & active & (totals["result"] == 0)

        def body(carry: Any) -> Any:
            i, state, totals = carry
            batch = jtu.tree_map(lambda a: a[rows[i]], arrays)
            state, (info, sums) = self._stepped(state, settings, batch, jax.random.fold_in(key, i))
            result: jax.Array = info.result
            uphill = result == OUTCOME.diverged  # which is said, but the weights have learned
            good = (result == OUTCOME.ok) | uphill
            size = jtu.tree_leaves(batch)[0].shape[0]
            summed = jtu.tree_map(lambda a, b: jnp.where(good, a + b * size, a), totals["sums"], sums)
            totals = {
                "sums": summed,
                "samples": totals["samples"] + good.astype(jnp.int32) * size,
                "batches": totals["batches"] + good.astype(jnp.int32),
                "uphill": totals["uphill"] + uphill.astype(jnp.int32),
                "result": jnp.where(uphill, OUTCOME.ok, result).astype(jnp.int32),
                "bad": info.first_bad,
            }
            return i + 1, state, totals

        _, state, totals = while_loop(going, body, (start, state, totals))
        return state, totals

    def _step_and_sums(self, state: Any, settings: Any, batch: Any, key: Any) -> Any:
        x, y = batch
        if self.augment is not None:
            x = self.augment(key, x)
        state, info = self.make(**settings).step(state, (x, y))
        sums = {
            "energy": info.energy,
            "energy_before": info.energy_before,
            "loss": info.loss,
            "steps": info.steps,
            "energies": info.energies,
        }
        size = jtu.tree_leaves(batch)[0].shape[0]
        sums |= {name: jnp.mean(each) for name, each in self._judged(info.output, y, size).items()}
        return state, (info, jtu.tree_map(lambda a: jnp.asarray(a, jnp.float32), sums))

    def _judged(self, output: Any, y: Any, size: int) -> dict[str, Any]:
        """Each metric, `[size]`; with `Targets` times the sample's weight, which is there too."""
        y, samples = split(y)
        found = {name: _on_device(name, metric, output, y) for name, metric in self.metrics.items()}
        for name, each in found.items():
            if each.shape != (size,):
                raise ValueError(
                    f"fit: the metric {name!r} gives shape {each.shape}, but there must be one number for each of the "
                    f"{size} samples"
                )
        counts = samples.counts(size)
        if counts is None:
            return found
        # Of samples without a target a metric may be anything, NaN too.
        return {n: jnp.where(counts > 0, e * counts, 0) for n, e in found.items()} | {COUNTED: counts}

    def _judge(self, state: Any, settings: Any, arrays: Any, rows: Any, counts: Any) -> dict[str, Any]:
        """Sums of loss and metrics over held-out samples: of batch i those that `counts[i]` (0 or 1) says."""
        rule = self.make(**settings)

        def body(total: Any, at: Any) -> Any:
            rows, counts = at
            x, y = jtu.tree_map(lambda a: a[rows], arrays)
            output, loss = rule.evaluate(state, (x, y))
            loss = split(y)[1].weighted(loss)
            each: dict[str, Any] = {"loss": loss, **self._judged(output, y, rows.shape[0])}
            return jtu.tree_map(lambda t, e: t + _sum_where(counts, e), total, each), None

        names = ["loss", *self.metrics, *([COUNTED] if any(a is not None for a in split(arrays[1])[1]) else [])]
        zero: dict[str, Any] = dict.fromkeys(names, jnp.float32(0))
        total, _ = scan(body, zero, (rows, counts))
        return total


_NOT_TRACED = (
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.ConcretizationTypeError,
    jax.errors.NonConcreteBooleanIndexError,
)


def _on_device(name: str, metric: Callable[[Any, Any], Any], output: Any, y: Any) -> Any:
    try:
        return jnp.asarray(metric(output, y))
    except _NOT_TRACED as e:
        raise TypeError(
            f"fit: the metric {name!r} is no function of JAX arrays, and metrics are compiled into the step. Write it "
            "with jax.numpy, one number for each sample; or, if it is of NumPy or scikit-learn, compute it after every "
            "epoch, in a callback: there, rule.predict(report.states[0], x) are the outputs to give it"
        ) from e


@functools.lru_cache(maxsize=32)
def _loop(rule: Keyed, augment: Keyed, metrics: Keyed, many: bool) -> Loop:
    return Loop(as_function(rule.value), augment.value, metrics.value, many)


def as_function(rule: Rule | Callable[..., Rule]) -> Callable[..., Rule]:
    """A rule as a function of no settings; a function as it is."""
    return (lambda: rule) if isinstance(rule, Rule) else rule


def _sum_where(counts: Any, each: Any) -> Any:
    return jnp.sum(jnp.asarray(jnp.where(counts, each, 0.0)))


def accuracy(output: Any, y: Any) -> Any:
    """Whether the largest output is that of the class, `[batch]` of 0 and 1; the mean over places, if each sample has
    several.

    **Arguments:**

    - `output`: `[batch, ..., classes]`.
    - `y`: class numbers `[batch, ...]`, or one for each class `[batch, ..., classes]`.
    """
    truth = y if y.ndim == output.ndim - 1 else jnp.argmax(y, axis=-1)
    right = (jnp.argmax(output, axis=-1) == truth).astype(jnp.float32)
    return jnp.mean(right, axis=tuple(range(1, right.ndim)))


def is_class(output: Any, y: Any) -> bool:
    """Whether y holds class numbers for an output over classes, or is one-hot: one 1 for each sample, and zeros."""
    y = bare(y)
    if not (hasattr(y, "dtype") and hasattr(output, "ndim")):
        return False
    if output.ndim == y.ndim + 1:
        return bool(jnp.issubdtype(y.dtype, jnp.integer))
    if tuple(y.shape) != tuple(output.shape) or output.ndim < 2 or y.shape[-1] < 2:
        return False
    values = np.asarray(y)
    return bool(np.all((values == 0) | (values == 1)) and np.all(np.sum(values != 0, axis=-1) == 1))


@functools.lru_cache(maxsize=64)
def held_out_rows(n: int, batch_size: int) -> tuple[Any, Any]:
    """Rows that go through n samples in batches of one size, `[batches, B]`, and which of them count."""
    count = -(-n // batch_size)
    flat = jnp.arange(count * batch_size, dtype=jnp.int32)
    return jnp.minimum(flat, n - 1).reshape(count, batch_size), (flat < n).reshape(count, batch_size)
