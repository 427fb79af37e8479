"""Event files, which TensorBoard and other tools show."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from ..core import see
from ..data import given_path
from ._result import Report


class EventFiles:
    """A callback for `fit` that writes the numbers of every epoch to event files, a run for each network. What
    `fit(regime=...)` sees is in another one, `...-regime`, whose steps are batches.

    ```python
    with pxt.EventFiles("runs/events") as events:
        pxt.fit(model, rule, data.train, data.test, epochs=10, callbacks=[events])
    ```

    **Arguments:**

    - `folder`: of the event files. A run that is resumed adds to what is there.

    **Raises:** `ImportError` if tensorboardX is not installed; `ValueError` for an empty `folder`.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._writer_of = _require_writer()
        self.folder = given_path("EventFiles: folder", folder)
        self._writers: dict[str, Any] = {}

    def __call__(self, report: Report) -> None:
        """Write an epoch.

        **Arguments:**

        - `report`: of the epoch, as `fit` gives it to callbacks.
        """
        for row in report.rows:
            name = f"network-{row['network']}-seed-{row['seed']}"
            self._write(name, [(report.epoch, dict(_scalars(row)))])
            if row.get("regime"):  # by batches, not by epochs, and so a run of its own
                self._write(f"{name}-regime", [(seen["batch"], dict(_seen(seen))) for seen in row["regime"]])

    def _write(self, name: str, steps: list[tuple[int, dict[str, float | str]]]) -> None:
        if name not in self._writers:
            # What a run wrote beyond the point where it is resumed is hidden: those epochs come again.
            self._writers[name] = self._writer_of(str(self.folder / name), purge_step=steps[0][0])
        for step, values in steps:
            for tag, value in values.items():
                add = self._writers[name].add_text if isinstance(value, str) else self._writers[name].add_scalar
                add(tag, value, step)
        self._writers[name].flush()

    def close(self) -> None:
        """Close the files."""
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def __enter__(self) -> EventFiles:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _seen(seen: dict[str, Any], tag: str = "regime") -> Iterator[tuple[str, float | str]]:
    """Go through the numbers and words of what was seen of a network."""
    for name, value in seen.items():
        place = f"{tag}/{name or 'model'}".replace("[", "_").replace("]", "_")
        if isinstance(value, dict):
            yield from _seen(value, place)
        elif isinstance(value, (str, int, float)) and name != "batch":
            yield place, value


def _scalars(row: dict[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in row.items():
        if name == "energies":
            # The writer allows no brackets, and says so each time.
            energies = {node.replace("[", "_").replace("]", "_"): energy for node, energy in value.items()}
            yield from ((f"energies/{node}", energy) for node, energy in energies.items() if energy is not None)
        elif name not in ("epoch", "network", "seed", "regime") and value is not None:
            yield name, value


def _require_writer() -> Any:
    try:
        from tensorboardX import SummaryWriter
    except ImportError as e:
        raise ImportError(f"event files need tensorboardX: pip install tensorboardX{see('package')}") from e
    return SummaryWriter
