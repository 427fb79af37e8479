"""The options of `fit`, with their checks."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from jax.sharding import Mesh

from ..data import check_flags, given_path
from ._probe import Regime, check_regime
from ._result import Dispatch, Report
from ._stopping import EarlyStopping, Mode, check_mode
from ._types import Augment, Metric, Settings, is_whole
from ._warn import warn


@dataclasses.dataclass(frozen=True)
class FitOptions:
    """The options of `fit` as one record: `fit(model, rule, train, validation, **vars(options))` trains with them.

    **Arguments:**

    - `epochs`, `batch_size`, `seeds`, `settings`, `augment`, `metrics`, `early_stopping`, `callbacks`, `on_dispatch`,
        `batches_per_dispatch`, `folder`, `resume`, `overwrite`, `checkpoint_every`, `checkpoint_seconds`, `keep`,
        `best`, `best_mode`, `restore_best`, `config`, `figure`, `show`, `parallel`, `mesh`, `regime`: those of `fit`,
        where they are explained. An iterator of callbacks is gone through once.
    """

    epochs: int
    batch_size: int | None = None
    seeds: int | Sequence[int] = 0
    settings: Sequence[Settings] | None = None
    augment: Augment | None = None
    metrics: Mapping[str, Metric] | None = None
    early_stopping: EarlyStopping | None = None
    callbacks: Iterable[Callable[[Report], object]] = ()
    on_dispatch: Callable[[Dispatch], object] | None = None
    batches_per_dispatch: int | None = None
    folder: str | os.PathLike[str] | None = None
    resume: bool | Literal["auto"] = False
    overwrite: bool = False
    checkpoint_every: int | None = None
    checkpoint_seconds: int | float = 60.0
    keep: int = 2
    best: str | None = None
    best_mode: Mode | None = None
    restore_best: bool = False
    config: Mapping[str, Any] | None = None
    figure: bool = True
    show: bool = True
    parallel: Literal["auto", "vmap", "loop"] = "auto"
    mesh: Mesh | int | None = None
    regime: Regime | None = None

    def __post_init__(self) -> None:
        if isinstance(self.callbacks, Iterable):
            object.__setattr__(self, "callbacks", tuple(self.callbacks))  # of an iterator there is only one walk

    def check(self) -> None:
        """Refuse values that can't be used, whatever the model, the rule and the data are.

        **Raises:** `ValueError` or `TypeError`, naming the option. **Warns** of options that have no effect.
        """
        self._check_numbers()
        self._check_kinds()
        self._check_functions()
        if self.resume and self.folder is None:
            raise ValueError(f"fit: resume={self.resume!r} needs the folder of the run")
        if self.overwrite and (self.resume or self.folder is None):
            raise ValueError("fit: overwrite=True begins anew in a folder: give the folder, and no resume")
        if self.folder is None and (lost := self._kept_nowhere()):
            warn(f"fit: {', '.join(lost)} without a folder: nothing is kept")
        elif self.checkpoint_every is not None and self.checkpoint_seconds != 60.0:
            warn("fit: checkpoint_seconds has no effect beside checkpoint_every, by which checkpoints are written")

    def _check_numbers(self) -> None:
        for name in ("epochs", "checkpoint_every", "batches_per_dispatch", "keep"):
            value = getattr(self, name)
            if value is None and name in ("checkpoint_every", "batches_per_dispatch"):
                continue
            if not is_whole(value) or value < 1:
                raise ValueError(f"fit: {name} must be a whole number of at least 1, got {value!r}")
        seconds = self.checkpoint_seconds
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float, np.number)) or not seconds >= 0:
            raise ValueError(f"fit: checkpoint_seconds must be 0 or more, got {seconds!r}")
        if self.parallel not in ("auto", "vmap", "loop"):
            raise ValueError(f"fit: parallel must be 'auto', 'vmap' or 'loop', got {self.parallel!r}")

    def _check_kinds(self) -> None:
        size = self.batch_size
        if size is not None and not is_whole(size):
            raise TypeError(f"fit: batch_size must be a whole number, got {size!r}")
        if self.folder is not None:
            given_path("fit: folder", self.folder)
        if self.config is not None and not isinstance(self.config, Mapping):
            raise TypeError(f"fit: config must be a dict, got {type(self.config).__name__}")
        flags = {name: getattr(self, name) for name in ("restore_best", "overwrite", "figure", "show")}
        check_flags("fit", **flags)
        if self.best is not None and not isinstance(self.best, str):
            raise TypeError(f"fit: best must be the name of a metric, got {self.best!r}")
        check_mode("fit: best_mode", self.best_mode)
        check_regime(self.regime)

    def _check_functions(self) -> None:
        if not isinstance(self.callbacks, tuple):
            raise TypeError(f"fit: callbacks must be a list of functions, got {type(self.callbacks).__name__}")
        if self.metrics is not None and not isinstance(self.metrics, Mapping):
            raise TypeError(f"fit: metrics must be a dict {{name: f(output, y)}}, got {type(self.metrics).__name__}")
        metrics = self.metrics or {}
        for name in metrics:
            if not isinstance(name, str) or not name:
                raise TypeError(f"fit: names of metrics must be strings, got {name!r}")
        named: dict[str, object] = {f"the metric {k!r}": f for k, f in metrics.items()}
        named |= {f"callback {i}": f for i, f in enumerate(self.callbacks)}
        named |= {k: getattr(self, k) for k in ("augment", "on_dispatch") if getattr(self, k) is not None}
        for name, value in named.items():
            if not callable(value):
                raise TypeError(f"fit: {name} must be a function, got {value!r}")
        if self.early_stopping is not None and not isinstance(self.early_stopping, EarlyStopping):
            raise TypeError(f"fit: early_stopping must be an EarlyStopping, got {type(self.early_stopping).__name__}")

    def _kept_nowhere(self) -> list[str]:
        """The names of what was asked to be kept."""
        given = {"keep": self.keep != 2, "config": bool(self.config)}
        given |= {"checkpoint_every": self.checkpoint_every is not None}
        given |= {"checkpoint_seconds": self.checkpoint_seconds != 60.0}
        return [name for name, is_given in given.items() if is_given]
