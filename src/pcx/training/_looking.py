"""Looking at the networks of a run: when, and with what."""

from __future__ import annotations

import json
from collections.abc import Sequence

import jax.tree_util as jtu
from jaxtyping import PyTree

from ._held_out import HeldOut
from ._layout import Layout
from ._member import Member
from ._probe import Probe, Regime, View, as_probe
from ._rule import LearningRule, RuleMaker
from ._types import Batch, Row


class Looking:
    """A probe, and what it is shown.

    **Arguments:**

    - `probe`: looks.
    - `rule`: as `fit` was given it.
    - `members`: the networks.
    - `batch`: the samples on which it looks at them.
    """

    def __init__(self, probe: Probe, rule: LearningRule | RuleMaker, members: Sequence[Member], batch: Batch) -> None:
        self.probe, self._rule, self._batch = probe, rule, batch
        self._settings = [m.settings for m in members]

    @staticmethod
    def of(
        regime: Regime | None,
        rule: LearningRule | RuleMaker,
        members: Sequence[Member],
        example: Batch,
        held_out: HeldOut | None,
        layout: Layout,
    ) -> Looking | None:
        """Return what looks at a run; None if nothing does.

        **Arguments:**

        - `example`: the first batch to train on.
        - `held_out`: samples that are looked at instead, as many, if there are any.

        **Raises:** `TypeError` or `ValueError` for a run that can't be looked at.
        """
        probe = as_probe(regime, rule, members[0].settings)
        if probe is None:
            return None
        if layout.layers > 1:
            raise ValueError(
                "fit: regime looks at a network on one device, and here its layers are shared out over several; leave "
                "regime out, and measure what was learned by pcx.analysis.regime"
            )
        size = len(jtu.tree_leaves(example)[0])
        return Looking(probe, rule, members, example if held_out is None else held_out.some(size))

    def due(self, trained: int) -> bool:
        """Return whether it is time to look."""
        return self.probe.every is not None and trained % self.probe.every == 0

    def until(self, trained: int) -> int | None:
        """Return how many batches pass before the next look; None if there is none."""
        every = self.probe.every
        return None if every is None else every - trained % every

    def begin(self, states: Sequence[PyTree], trained: int) -> tuple[list[str], str]:
        """Return what the probe warns of, and what it says where that is nothing.

        **Raises:** `TypeError` if it gives anything but sentences.
        """
        found = self.probe.begin(self._view(states, trained))
        if not isinstance(found, (list, tuple)) or not all(isinstance(text, str) for text in found):
            raise TypeError(f"fit: begin of the probe must give a list of sentences, it gave {found!r}")
        well = "" if found else getattr(self.probe, "well", "")
        if not isinstance(well, str):
            raise TypeError(f"fit: well of the probe must be a sentence, it is {well!r}")
        return list(found), well

    def look(self, states: Sequence[PyTree], trained: int, last: bool = False) -> list[Row]:
        """Return what the probe sees, a row for each network.

        **Arguments:**

        - `last`: whether there are networks that have learned from their last batch.

        **Raises:** `TypeError` or `ValueError` if it gives anything else than that, or what JSON doesn't take.
        """
        found = self.probe.look(self._view(states, trained, last))
        if not isinstance(found, (list, tuple)) or not all(isinstance(row, dict) for row in found):
            raise TypeError(f"fit: look of the probe must give a list with a dict for each network, it gave {found!r}")
        if len(found) != len(states):
            raise ValueError(
                f"fit: the probe of regime must give a dict for each of {len(states)} networks, it gave {len(found)}"
            )
        try:
            json.dumps(found)
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"fit: look of the probe must give what JSON takes, numbers and texts, in lists and dicts: {error}"
            ) from error
        return [{**row, "network": i, "batch": trained} for i, row in enumerate(found)]

    def _view(self, states: Sequence[PyTree], trained: int, last: bool = False) -> View:
        # Containers of its own: what a probe does to them does nothing to the run.
        return View(self._rule, self._settings, jtu.tree_map(lambda a: a, list(states)), self._batch, trained, last)
