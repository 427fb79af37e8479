"""An arm that tells which layers of its networks learn."""

from __future__ import annotations

import functools
import re
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jaxtyping import PyTree

from ..energy import apart
from ..learning import Rule
from .frame import Record, Trained

_SHARE = 1e-3  # of the median gradient: less is nothing


class ByLayer(Trained):
    """An arm of `fit` that, at its end, measures the norm of each weight's gradient on a batch of test samples."""

    def train(self, folder: Path, seeds: Sequence[int], show: bool) -> Record:
        self.after, self.keep = self._learning, self._gradients
        return super().train(folder, seeds, show)

    def _learning(self, state: PyTree) -> dict[str, float]:
        norms = self._norms(state)
        middle = statistics.median(norms)
        return {"learning": sum(norm > _SHARE * middle for norm in norms) / len(norms)}

    def _gradients(self, state: PyTree) -> dict[str, Any]:
        return {"gradients": self._norms(state)}

    def _norms(self, state: PyTree) -> list[float]:
        """Return the norm of each weight's gradient, in the order of the layers."""
        found = self._compiled(state)
        return [float(found[path]) for path in sorted(found, key=_in_order)]

    @functools.cached_property
    def _compiled(self) -> Callable[[PyTree], dict[str, jax.Array]]:
        assert isinstance(self.rule, Rule)
        rule = self.rule
        batch = jtu.tree_map(lambda a: jnp.asarray(a[: self.batch_size]), self.data.test)

        @jax.jit
        def norms(state: PyTree) -> dict[str, jax.Array]:
            bound = rule.bind(state, batch)
            update = rule.learn(bound, bound.start(), rule.memory_of(state))
            assert update.gradient is not None
            return {path: jnp.linalg.norm(g.ravel()) for path, g in apart(update.gradient).items()}

        return norms


def _in_order(path: str) -> list[int | str]:
    """Return what sorts paths with numbers in them: `weights[2]` before `weights[10]`."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path)]
