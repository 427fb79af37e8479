"""`pcx report`: one page on one run or several."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from ..analysis import report as pages
from ..training import replacing
from ._drawn import with_drawings
from ._failures import DONE, CommandError, Refused
from ._tables import say


def report(runs: Sequence[Path], out: Path | None) -> int:
    """Write a page on runs; the exit status.

    **Raises:** `CommandError` if a run can't be read, or the page not be written.
    """
    records = with_drawings(read_all(runs), {})
    if out is None:
        out = runs[0] / "report.html" if len(runs) == 1 else Path("report.html")
    check_out(out)
    text = pages.page(records)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with replacing(out) as partial:
            # A name that is no text has been read with its bytes as they were.
            partial.write_bytes(text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise CommandError(f"{out} can't be written: {error.strerror or error}; choose another with --out") from error
    say(f"report in {out}")
    return DONE


def read_all(runs: Sequence[Path], waiting: Collection[Path] = ()) -> list[pages.Record]:
    """Return the records of runs, with names by which they can be told apart.

    **Arguments:**

    - `waiting`: those of them that have not begun, and have no record.

    **Raises:** `CommandError` for a folder that holds none.
    """
    if not runs:
        raise Refused("report: give it the folder of a run, or of several; pcx runs lists them")
    names = [run.resolve().name for run in runs]
    if len({run.resolve() for run in runs}) < len(runs):
        raise CommandError("the same run is given twice; a comparison needs runs that differ")
    try:
        return [
            record
            for run, name in zip(runs, names, strict=True)
            if run not in waiting
            for record in pages.read(run, str(run) if names.count(name) > 1 else None)
        ]
    except pages.NoRun as error:
        raise CommandError(f"{error}; pcx runs lists the runs") from error


def check_out(out: Path) -> None:
    """Refuse a place where something else than a report is.

    **Raises:** `CommandError`.
    """
    try:
        if "\0" in str(out):
            raise CommandError("--out: no name holds a zero byte; choose another")
        if out.is_dir():
            raise CommandError(f"{out} is a folder; give --out a file, such as {out / 'report.html'}")
        if out.exists() and not pages.is_report(out):
            raise CommandError(f"{out} is there already and is no report of pcx; choose another with --out")
    except (OSError, ValueError) as error:
        raise CommandError(f"{out} can't be used: {error}; choose another with --out") from error
