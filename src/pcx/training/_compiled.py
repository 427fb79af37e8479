"""The compiled programs of a run: many steps of a rule in one dispatch, and the judging of held-out samples."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jaxtyping import PyTree

from ..core import Keyed
from ..energy import scan, while_loop
from ..learning import OUTCOME, split
from ._layout import Layout
from ._metrics import COUNTED, measured
from ._rule import NUMBERS, LearningRule, RuleMaker, as_function, field
from ._types import Augment, Batch, Metric, SettingArrays


class Compiled:
    """Steps a rule over batches that are gathered on the device.

    One program serves any number of steps: from `start` to `stop` is data, not structure, so an epoch cut at any batch
    gives the same bits as one that wasn't.

    **Arguments:**

    - `make`: the rule, as a function of the settings that are compared.
    - `augment`: `augment(key, x) -> x`, or None.
    - `metrics`: `{name: f(output, y) -> [batch]}`.
    - `layout`: the devices.
    - `at_once`: whether the networks of one device are trained at once; else they are in turn.
    """

    def __init__(
        self,
        make: RuleMaker,
        augment: Augment | None,
        metrics: Mapping[str, Metric],
        layout: Layout,
        at_once: bool,
    ) -> None:
        self.make, self.augment, self.metrics, self.layout = make, augment, dict(metrics), layout
        # Whether states, rows and settings have a first axis over networks, and one dispatch trains all.
        self.many = at_once or layout.ensembles > 1
        run, judge = self._run, self._judge
        if self.many:
            run = layout.over_networks(run, (0, 0, 0, None, 0, None, None, 0, 0), at_once)
            judge = layout.over_networks(judge, (0, 0, None, None, None), at_once)
        # By itself, so that it is traced once: `totals` asks for the form of what a step gives before any is taken.
        self._stepped = jax.jit(self._step_and_sums)
        self.steps = jax.jit(run, donate_argnums=(0, 1), out_shardings=layout.of_networks)
        self.judging = jax.jit(judge, out_shardings=layout.of_networks)

    @staticmethod
    def of(
        rule: LearningRule | RuleMaker,
        augment: Augment | None,
        metrics: Mapping[str, Metric],
        layout: Layout,
        at_once: bool,
    ) -> Compiled:
        """Return the same object for equal arguments: a second run of equal things finds its programs compiled."""
        return _compiled(Keyed(rule), Keyed(augment), Keyed(dict(metrics)), layout, at_once)

    def totals(self, state: PyTree, settings: SettingArrays, batch: Batch) -> dict[str, PyTree]:
        """Return zero for all that is summed over an epoch: each number by samples, so that a smaller batch weighs
        less."""
        with self.layout.context():
            _, (_, sums) = jax.eval_shape(self._stepped, state, settings, batch, jax.random.PRNGKey(0))
        zero = jtu.tree_map(lambda a: jnp.zeros(a.shape, a.dtype), sums)
        none = jnp.int32(0)
        counts = {"samples": none, "batches": none, "uphill": none}
        return {"sums": zero, **counts, "result": none, "bad": jnp.int32(-1)}

    def run(self, *args: PyTree) -> tuple[PyTree, PyTree]:
        """Take steps, by the program `steps`: the states and totals afterwards, from the arguments of `_run`."""
        with self.layout.context():
            return self.steps(*args)

    def judge(self, *args: PyTree) -> PyTree:
        """Judge networks, by the program `judging`: sums of loss and metrics, from the arguments of `_judge`."""
        with self.layout.context():
            return self.judging(*args)

    def _run(
        self,
        state: PyTree,
        totals: PyTree,
        settings: SettingArrays,
        arrays: PyTree,
        rows: jax.Array | None,
        start: jax.Array,
        stop: jax.Array,
        active: jax.Array,
        key: jax.Array,
    ) -> tuple[PyTree, PyTree]:
        """Learn from batches `start` to `stop`; batch i is `arrays[rows[i]]`, or `arrays[i]`. Ends where a step
        fails."""

        def going(carry: PyTree) -> jax.Array:
            i, _, totals = carry
            return (i < stop) & active & (totals["result"] == 0)

        def body(carry: PyTree) -> PyTree:
            i, state, totals = carry
            batch = self.layout.divided(jtu.tree_map(lambda a: a[i if rows is None else rows[i]], arrays))
            state, ((result, first_bad), sums) = self._stepped(state, settings, batch, jax.random.fold_in(key, i))
            uphill = result == OUTCOME.diverged  # which is said, but the weights have learned
            good = (result == OUTCOME.ok) | uphill
            size = jtu.tree_leaves(batch)[0].shape[0]
            summed = jtu.tree_map(lambda a, b: jnp.where(good, a + b * size, a), totals["sums"], sums)
            totals = {
                "sums": summed,
                "samples": totals["samples"] + good.astype(jnp.int32) * size,
                "batches": totals["batches"] + good.astype(jnp.int32),
                "uphill": totals["uphill"] + uphill.astype(jnp.int32),
                "result": jnp.asarray(jnp.where(uphill, OUTCOME.ok, result), jnp.int32),
                "bad": first_bad,
            }
            return i + 1, state, totals

        _, state, totals = while_loop(going, body, (start, state, totals))
        return self.layout.kept((state, totals))

    def _step_and_sums(self, state: PyTree, settings: SettingArrays, batch: Batch, key: jax.Array) -> PyTree:
        """One step: the next state, how it ended (result and first_bad), and the numbers of the history."""
        x, y = batch
        if self.augment is not None:
            x = self.augment(key, x)
        state, info = self.make(**settings).step(state, (x, y))
        told = {name: field(info, name) for name in (*NUMBERS, "energies", "output")}
        sums = {name: value for name, value in told.items() if value is not None and name != "output"}
        if told["output"] is not None:
            size = jtu.tree_leaves(batch)[0].shape[0]
            sums |= {name: jnp.mean(e) for name, e in measured(self.metrics, told["output"], y, size).items()}
        ended = [field(info, name) for name in ("result", "first_bad")]
        ended = [jnp.asarray(u if e is None else e, jnp.int32) for e, u in zip(ended, (OUTCOME.ok, -1), strict=True)]
        return state, (ended, jtu.tree_map(lambda a: jnp.asarray(a, jnp.float32), sums))

    def _judge(
        self, state: PyTree, settings: SettingArrays, arrays: PyTree, rows: jax.Array, counts: jax.Array
    ) -> PyTree:
        """Sums of loss and metrics over held-out samples: of batch i those that `counts[i]` (0 or 1) says."""
        rule = self.make(**settings)

        def body(total: PyTree, at: tuple[jax.Array, jax.Array]) -> tuple[PyTree, None]:
            rows, counts = at
            x, y = self.layout.divided(jtu.tree_map(lambda a: a[rows], arrays))
            output, loss = rule.evaluate(state, (x, y))
            loss = split(y)[1].weighted(loss)
            each = {"loss": loss, **measured(self.metrics, output, y, rows.shape[0])}
            return jtu.tree_map(lambda t, e: t + _sum_where(counts, e), total, each), None

        names = ["loss", *self.metrics, *([COUNTED] if any(a is not None for a in split(arrays[1])[1]) else [])]
        zero = dict.fromkeys(names, jnp.float32(0))
        total, _ = scan(body, zero, (rows, counts))
        return total


def _sum_where(counts: jax.Array, each: jax.Array) -> jax.Array:
    return jnp.asarray(jnp.sum(jnp.asarray(jnp.where(counts, each, 0.0))), jnp.float32)


@functools.lru_cache(maxsize=32)
def _compiled(rule: Keyed, augment: Keyed, metrics: Keyed, layout: Layout, at_once: bool) -> Compiled:
    return Compiled(as_function(rule.value), augment.value, metrics.value, layout, at_once)
