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

    On an accelerator, and where they are shared out among devices, one dispatch trains all (`many`): their arrays are
    stacked. One CPU gains nothing from that, so there each network has a dispatch of its own, of the same compiled
    program.

    **Arguments:**

    - `compiled`: the programs.
    - `states`: of each network. They are copied: the programs use up what they are given, and these may be a model's
        own arrays.
    - `settings`: of each network.
    """

    def __init__(self, compiled: Compiled, states: Sequence[PyTree], settings: Sequence[Settings]) -> None:
        self.compiled, self.layout, self.many, self.size = compiled, compiled.layout, compiled.many, len(states)
        self._read: tuple[np.ndarray, PyTree] | None = None
        self._placed: list[tuple[list[PyTree], PyTree]] = []  # arrays, and the same as they lie on the devices
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
        if not any(active):
            return
        keys = self._packed(keys)
        if chunk.part is not None:
            arrays, rows = self.layout.parts(chunk.arrays, *chunk.part), [None] * len(keys)
        elif chunk.rows is None:
            arrays, rows = self.layout.batch(chunk.arrays, axis=1), [None] * len(keys)
        elif self.layout.spans_processes and all(np.array_equal(each, chunk.rows[0]) for each in chunk.rows):
            arrays, rows = self._own(chunk.arrays, chunk.rows[0]), [None] * len(keys)
        else:
            arrays, rows = self._whole(chunk.arrays), self._packed(chunk.rows, batch=0)
        on = self._packed([np.bool_(a) for a in active])
        for i, key in enumerate(keys):
            if self.many or active[i]:
                self._states[i], self._totals[i] = self.compiled.run(
                    self._states[i], self._totals[i], self._settings[i], arrays, rows[i],
                    np.int32(chunk.start), np.int32(chunk.stop), on[i], key,
                )  # fmt: skip
        jax.block_until_ready(self._totals)

    def results(self) -> list[int]:
        """Return how the last step of each network ended, a `pcx.learning.OUTCOME`."""
        return [int(r) for r in jax.device_get(self._unpacked([t["result"] for t in self._totals]))]

    def try_judge(self, arrays: PyTree, rows: np.ndarray, counts: np.ndarray) -> None:
        """Refuse held-out samples that can't be judged.

        **Raises:** `ValueError`, with the reason.
        """
        try:
            with self.layout.context():
                jax.eval_shape(self.compiled.judging, self._states[0], self._settings[0], arrays, rows, counts)
        except (TypeError, ValueError) as e:
            shapes = ", ".join(f"{a.dtype}{list(a.shape)}" for a in jtu.tree_leaves(arrays))
            raise ValueError(f"fit: the model can't be judged on validation ({shapes}): {e}") from e

    def judge(self, arrays: PyTree, rows: np.ndarray, counts: np.ndarray) -> list[dict[str, float]]:
        """Return sums of loss and metrics over held-out samples, for each network.

        **Arguments:** see `Compiled.judge`.
        """
        pairs = zip(self._states, self._settings, strict=True)
        given = self._whole(arrays), *self.layout.batch((rows, counts), axis=1)
        found = jax.device_get(self._unpacked([self.compiled.judge(s, c, *given) for s, c in pairs]))
        return [{k: float(v) for k, v in sums.items()} for sums in found]

    def _own(self, arrays: PyTree, rows: np.ndarray) -> PyTree:
        """Return an epoch's batches, of which each process has read the part that its devices work on. They are read
        once an epoch, however many dispatches it has."""
        if self._read is None or self._read[0] is not rows:
            self._read = None  # before the next ones are read, these go
            self._read = rows, self.layout.rows(arrays, rows)
        return self._read[1]

    def _whole(self, arrays: PyTree) -> PyTree:
        """Return samples as they lie on the devices, all of them on each. Those to train on and those to judge by are
        placed once."""
        if self.layout.mesh is None:
            return arrays
        leaves = jtu.tree_leaves(arrays)
        for known, placed in self._placed:
            if len(known) == len(leaves) and all(a is b for a, b in zip(known, leaves, strict=True)):
                return placed
        placed = self.layout.replicated(arrays)
        self._placed = [*self._placed[-1:], (leaves, placed)]
        return placed

    def _packed(self, trees: Sequence[PyTree], batch: int | None = None) -> list[PyTree]:
        """Trees of the networks, as the dispatches take them: stacked, or one by one.

        **Arguments:**

        - `batch`: an axis of samples.
        """
        if self.many:
            stacked = jtu.tree_map(lambda *a: jnp.stack(a), *trees)
            return [self.layout.networks(stacked, None if batch is None else batch + 1)]
        return [self.layout.states(t) if batch is None else self.layout.batch(t, batch) for t in trees]

    def _unpacked(self, packed: Sequence[PyTree]) -> list[PyTree]:
        if not self.many:
            return [self.layout.one(tree) for tree in packed]
        whole = packed[0] if self.layout.ensembles == 1 else self.layout.gathered(packed[0])
        stacked = self.layout.one(whole)
        return [jtu.tree_map(lambda leaf, i=i: leaf[i], stacked) for i in range(self.size)]
