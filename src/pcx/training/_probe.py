"""Probes, which look at the networks of a run while it goes on, every so many batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal, Protocol, runtime_checkable

from jaxtyping import PyTree

from ..core import Whole
from ..learning import Rule
from ._rule import LearningRule, RuleMaker, rule_of
from ._types import Batch, Row, Settings, is_whole


@dataclasses.dataclass(frozen=True)
class View:
    """The networks of a run, as a `Probe` sees them.

    **Attributes:**

    - `rule`: the learning rule, or the function of the settings that makes one.
    - `settings`: of each network.
    - `states`: of each network. They are good until the probe returns: the run then uses them up.
    - `batch`: `(x, y)`, `[batch, ...]` each, the same all along: held-out samples, or else the first batch.
    - `trained`: the batches that the networks have learned from.
    - `last`: whether some of them, or all, have learned from their last batch.
    """

    rule: LearningRule | RuleMaker
    settings: Sequence[Settings]
    states: Sequence[PyTree]
    batch: Batch
    trained: int
    last: bool = False


@runtime_checkable
class Probe(Protocol):
    """A probe looks at the networks of a run, as `fit(regime=...)` takes it. `pcx.analysis.Meter` is one.

    **Attributes:**

    - `every`: batches between two looks, the first of which is before the first batch; each network is looked at after
        its last batch, too. None for no looks but that of `begin`.

    One may also have `well`, a sentence that is shown where `begin` has found nothing to warn of.
    """

    every: int | None

    def begin(self, view: View) -> list[str]:
        """Look at a run that begins, or goes on.

        **Arguments:**

        - `view`: its networks.

        **Returns:** sentences that `fit` warns of.
        """
        ...

    def look(self, view: View) -> list[Row]:
        """Look at the networks.

        **Arguments:**

        - `view`: the networks.

        **Returns:** a dict for each network, of what JSON takes. The history has it in the row of the epoch, among
        those under `"regime"`, with the number of batches as `"batch"`; `"verdict"` is shown.
        """
        ...


Regime = Whole | Literal["auto"] | Probe
"""The forms in which `fit` takes a probe."""


def check_regime(regime: object) -> None:
    """Refuse what is no probe.

    **Raises:** `TypeError` or `ValueError`.
    """
    if regime is None or regime == "auto":
        return
    if is_whole(regime):
        if regime < 1:
            raise ValueError(f"fit: regime, batches between two looks, must be at least 1, got {regime!r}")
    elif not isinstance(regime, Probe) or isinstance(regime, type):
        raise TypeError(
            "fit: regime must be a number of batches, 'auto', or a probe, which has every, begin and look, such as "
            f"pcx.analysis.Meter(), got {regime!r}"
        )
    elif regime.every is not None and not (is_whole(regime.every) and regime.every >= 1):
        raise ValueError(
            "fit: every of a probe, batches between two looks, must be a whole number of at least 1, or None, got "
            f"{regime.every!r}"
        )


def as_probe(regime: Regime | None, rule: LearningRule | RuleMaker, settings: Settings) -> Probe | None:
    """Return what looks at a run. For a number it is the regime meter of `pcx.analysis`, which is above this room: it
    is imported here alone, and only where it is asked for.

    **Arguments:**

    - `regime`: as `fit` was given it.
    - `rule`, `settings`: of the first network.

    **Raises:** `TypeError` if the regime of such a rule can't be measured.
    """
    if regime is None or isinstance(regime, Probe):
        return regime
    if not isinstance(made := rule_of(rule, settings), Rule):
        raise TypeError(
            f"fit: regime measures a pcx.learning.Rule, which has `learn`, and {type(made).__name__} is none; leave "
            "regime out, or give a probe of your own"
        )
    from ..analysis import Meter

    return Meter() if isinstance(regime, str) else Meter(int(regime))
