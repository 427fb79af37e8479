"""The table of an experiment, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ._experiment import Experiment, Measure
from ._record import Record
from ._settings import Settings


def table(
    experiment: Experiment,
    settings: Settings,
    summary: Mapping[str, Any],
    records: Mapping[str, Record],
    data: Mapping[str, str],
) -> str:
    """Return the table: a line for each arm.

    **Arguments:**

    - `experiment`, `settings`: whose it is.
    - `summary`: of `summarise`.
    - `records`: by arm.
    - `data`: `data`, the name of the data, and `data_sha256`.

    **Returns:** Markdown, with what is above and below the table.
    """
    measures = experiment.measures
    heads = [experiment.arms_are]
    for m in measures:
        heads += [m.title] if m.once else [f"{m.title}, last epoch", f"{m.title}, best epoch"]
    heads += ["regime at the end", "first call, s", "step, ms", "s / epoch and network"]
    rows = [[name, *_cells(measures, summary[name], record), *_ends(record)] for name, record in records.items()]
    seeds = f"{settings.seeds} seed{'s' if settings.seeds > 1 else ''}"
    epochs = f"{settings.epochs} epoch{'s' if settings.epochs > 1 else ''}"
    lines = [f"# {experiment.name}", "", f"{experiment.prints} Mean ± sample deviation over {seeds}, {epochs}.", ""]
    lines += _aligned(heads, rows)
    if not all(m.once for m in measures):
        lines += ["", "Best epoch: each network's own, chosen on the test set itself, as in the literature."]
    failed = {name: record.why for name, record in records.items() if record.ended == "failed"}
    lines += ["", *[f"- {name} failed: {why}" for name, why in failed.items()]] if failed else []
    of = f"Data: {data['data']}, SHA-256 {data['data_sha256'][:16]}... (all of it in config.json)."
    return "\n".join([*lines, "", f"Settings: {experiment.source_of(settings)} {of}", ""])


def _cells(measures: Sequence[Measure], summary: Mapping[str, Any], record: Record) -> list[str]:
    cells = []
    for m in measures:
        for way in ("once",) if m.once else ("last", "best"):
            cells.append(_cell(m, summary[m.key][way], len(record.seeds)))
    return cells


def _cell(measure: Measure, found: Mapping[str, Any], seeds: int) -> str:
    if found["mean"] is None:
        return "-"
    text = format(found["mean"], measure.form)
    text += "" if found["std"] is None else f" ± {format(found['std'], measure.form)}"
    return text if found["n"] == seeds else f"{text} ({found['n']} of {seeds})"


def _ends(record: Record) -> list[str]:
    verdict = "-" if record.regime is None else str(record.regime["verdict"])
    steps = record.first_steps
    first, step = (None, None) if steps is None else (steps.first_call, steps.step)
    times = (first, None if step is None else 1e3 * step, record.seconds)
    return [verdict, *["-" if time is None else f"{time:.3g}" for time in times]]


def _aligned(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table that reads well as it stands, too."""
    widths = [max(len(line[i]) for line in [heads, *rows]) for i in range(len(heads))]
    rule = "|".join(["", *["-" * (w + 2) if i == 0 else "-" * (w + 1) + ":" for i, w in enumerate(widths)], ""])
    written = [
        "| "
        + " | ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
        + " |"
        for line in [heads, *rows]
    ]
    return [written[0], rule, *written[1:]]
