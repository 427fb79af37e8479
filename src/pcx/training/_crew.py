"""The networks that a run trains: one after the other, or all at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from ._loop import Loop


class Crew:
    """States of several networks and the loop that trains them.

    On an accelerator one dispatch trains all (`many`). A CPU gains nothing from that, so there each network has its
    own, of the same compiled program.
    """

    def __init__(self, loop: Loop, states: Sequence[Any], settings: Sequence[dict[str, Any]], many: bool) -> None:
        self.loop, self.many, self.size = loop, many, len(states)
        self.settings = [jtu.tree_map(jnp.asarray, s) for s in settings]
        # Copies: the loop uses up what it is given, and these may be a model's own arrays.
        states = [jtu.tree_map(jnp.array, s) for s in states]
        self._states: Any = _stack(states) if many else list(states)
        self._totals: Any = None
        self._zero: Any = None
        if many:
            self.settings = _stack(self.settings)

    @property
    def states(self) -> list[Any]:
        """The networks' states."""
        return _unstack(self._states, self.size) if self.many else list(self._states)

    @property
    def totals(self) -> list[Any]:
        """What was summed since the epoch began, for each network."""
        return _unstack(self._totals, self.size) if self.many else list(self._totals)

    def begin(self, batch: Any, totals: Sequence[Any] | None = None) -> None:
        """Begin an epoch, with sums at zero or at what they were.

        **Arguments:** `batch`, arrays or shapes of one batch.
        """
        if totals is None:
            if self._zero is None:
                of_first = _unstack(self.settings, self.size)[0] if self.many else self.settings[0]
                self._zero = jax.device_get(self.loop.totals(self.states[0], of_first, batch))
            totals = [self._zero] * self.size
        totals = [jtu.tree_map(jnp.array, t) for t in totals]
        self._totals = _stack(totals) if self.many else totals

    def run(
        self, arrays: Any, rows: Sequence[Any], start: int, stop: int, active: Sequence[bool], keys: Sequence[Any]
    ) -> None:
        """Train on batches `start` to `stop` of each network's rows, and wait for it."""
        span = np.int32(start), np.int32(stop)
        if self.many:
            stacked = jnp.stack([jnp.asarray(r) for r in rows])
            on, key = jnp.asarray(active), jnp.stack(list(keys))
            self._states, self._totals = self.loop.run(
                self._states, self._totals, self.settings, arrays, stacked, *span, on, key
            )
        else:
            for i, on in enumerate(active):
                if on:
                    self._states[i], self._totals[i] = self.loop.run(
                        self._states[i], self._totals[i], self.settings[i], arrays, rows[i], *span, np.True_, keys[i]
                    )
        jax.block_until_ready(self._totals)

    def results(self) -> list[int]:
        """An `OUTCOME` for each network: how its last step ended."""
        found = self._totals["result"] if self.many else [t["result"] for t in self._totals]
        return [int(r) for r in jax.device_get(found)]

    def try_judge(self, arrays: Any, rows: Any, counts: Any) -> None:
        """Refuse held-out samples that can't be judged.

        **Raises:** `ValueError`, with the reason.
        """
        state, settings = (self._states, self.settings) if self.many else (self._states[0], self.settings[0])
        try:
            jax.eval_shape(self.loop.judge, state, settings, arrays, rows, counts)
        except (TypeError, ValueError) as e:
            shapes = ", ".join(f"{a.dtype}{list(a.shape)}" for a in jtu.tree_leaves(arrays))
            raise ValueError(f"fit: the model can't be judged on validation ({shapes}): {e}") from e

    def judge(self, arrays: Any, rows: Any, counts: Any) -> list[dict[str, float]]:
        """Sums of loss and metrics over held-out samples, for each network."""
        if self.many:
            found = jax.device_get(self.loop.judge(self._states, self.settings, arrays, rows, counts))
            return [{k: float(v[i]) for k, v in found.items()} for i in range(self.size)]
        each = [self.loop.judge(s, c, arrays, rows, counts) for s, c in zip(self._states, self.settings, strict=True)]
        return [{k: float(v) for k, v in sums.items()} for sums in jax.device_get(each)]


def _stack(trees: Sequence[Any]) -> Any:
    return jtu.tree_map(lambda *leaves: jnp.stack(leaves), *trees)


def _unstack(tree: Any, size: int) -> list[Any]:
    return [jtu.tree_map(lambda leaf, i=i: leaf[i], tree) for i in range(size)]
