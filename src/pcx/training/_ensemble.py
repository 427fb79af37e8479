"""The networks that a run trains: one after the other, or all at once."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jaxtyping import PyTree

from ._compiled import Compiled
from ._source import Chunk
from ._types import Batch, Settings


class Ensemble:
    """The states of several networks, and the compiled programs that train them.

    On an accelerator one dispatch trains all (`many`): their arrays are stacked. A CPU gains nothing from that, so
    there each network has a dispatch of its own, of the same compiled program.

    **Arguments:**

    - `compiled`: the programs, made with the same `many`.
    - `states`: of each network. They are copied: the programs use up what they are given, and these may be a model's
        own arrays.
    - `settings`: of each network.
    - `many`: whether one dispatch trains all.
    """

    def __init__(self, compiled: Compiled, states: Sequence[PyTree], settings: Sequence[Settings], many: bool) -> None:
        self.compiled, self.many, self.size = compiled, many, len(states)
        self._settings = self._packed([jtu.tree_map(jnp.asarray, dict(s)) for s in settings])
        self._totals: list[PyTree] = []
        self._zero: PyTree = None
        self.set(states)

    @property
    def states(self) -> list[PyTree]:
        """The networks' states."""
        return self._unpacked(self._states)

    def set(self, states: Sequence[PyTree]) -> None:
        """Give the networks other states, copies of these."""
        self._states = self._packed([jtu.tree_map(jnp.array, s) for s in states])

    @property
    def totals(self) -> list[PyTree]:
        """The sums since the epoch began, for each network."""
        return self._unpacked(self._totals)

    def begin(self, batch: Batch, totals: Sequence[PyTree] | None = None) -> None:
        """Begin an epoch, with sums at zero or at what they were.

        **Arguments:**

        - `batch`: arrays or shapes of one batch.
        - `totals`: what was summed before the run was taken up again.
        """
        if totals is None:
            if self._zero is None:
                settings = self._unpacked(self._settings)[0]
                self._zero = jax.device_get(self.compiled.totals(self.states[0], settings, batch))
            totals = [self._zero] * self.size
        self._totals = self._packed([jtu.tree_map(jnp.array, t) for t in totals])

    def run(self, chunk: Chunk, active: Sequence[bool], keys: Sequence[jax.Array]) -> None:
        """Train the active networks on a chunk, and wait for it.

        **Arguments:**

        - `keys`: of each network, for what is drawn in the chunk.
        """
        given = [self._packed(each) for each in (chunk.rows, [np.bool_(a) for a in active], keys)]
        for i, (rows, on, key) in enumerate(zip(*given, strict=True)):
            if np.any(on):
                self._states[i], self._totals[i] = self.compiled.run(
                    self._states[i], self._totals[i], self._settings[i], chunk.arrays, rows,
                    np.int32(chunk.start), np.int32(chunk.stop), on, key,
                )  # fmt: skip
        jax.block_until_ready(self._totals)

    def results(self) -> list[int]:
        """Return how the last step of each network ended, a `pcx.learning.OUTCOME`."""
        return [int(r) for r in self._unpacked(jax.device_get([t["result"] for t in self._totals]))]

    def try_judge(self, arrays: PyTree, rows: jax.Array, counts: jax.Array) -> None:
        """Refuse held-out samples that can't be judged.

        **Raises:** `ValueError`, with the reason.
        """
        try:
            jax.eval_shape(self.compiled.judge, self._states[0], self._settings[0], arrays, rows, counts)
        except (TypeError, ValueError) as e:
            shapes = ", ".join(f"{a.dtype}{list(a.shape)}" for a in jtu.tree_leaves(arrays))
            raise ValueError(f"fit: the model can't be judged on validation ({shapes}): {e}") from e

    def judge(self, arrays: PyTree, rows: jax.Array, counts: jax.Array) -> list[dict[str, float]]:
        """Return sums of loss and metrics over held-out samples, for each network.

        **Arguments:** see `Compiled.judge`.
        """
        pairs = zip(self._states, self._settings, strict=True)
        found = jax.device_get([self.compiled.judge(s, c, arrays, rows, counts) for s, c in pairs])
        return [{k: float(v) for k, v in sums.items()} for sums in self._unpacked(found)]

    def _packed(self, trees: Sequence[PyTree]) -> list[PyTree]:
        """Trees of the networks, as the dispatches take them: stacked, or one by one."""
        return [jtu.tree_map(lambda *a: jnp.stack(a), *trees)] if self.many else list(trees)

    def _unpacked(self, packed: Sequence[PyTree]) -> list[PyTree]:
        if not self.many:
            return list(packed)
        return [jtu.tree_map(lambda leaf, i=i: leaf[i], packed[0]) for i in range(self.size)]
