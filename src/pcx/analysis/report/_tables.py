"""Tables of what a run was and of what came out."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ...core import tallied
from ._parts import Cell, Lines, Part, Section, Table, is_share, measured, named, number, spread, text
from ._record import Group, Network, Record, curve, finite, metrics_of

_MAIN = ("validation_accuracy", "test_accuracy", "validation_loss", "test_loss", "accuracy", "loss")
_LEFT_OUT = ("energy_before", "steps", "uphill", "seconds", "seconds_of_all_seeds")
_MEANINGS = {
    "energy": "of the network after settling; mean over the samples of the epoch, while the weights change",
    "energy_before": "of the network before settling",
    "loss": "energy of the outputs at the forward pass, before settling: the same quantity under every rule",
    "accuracy": "of the forward pass, over the samples of the epoch, while the weights change",
    "validation_loss": "the loss of the held-out samples, after the epoch",
    "validation_accuracy": "the accuracy on the held-out samples, after the epoch",
    "test_loss": "the loss of the test set, after the epoch",
    "test_accuracy": "the accuracy on the test set, after the epoch",
    "steps": "inference steps of a batch, on average",
    "uphill": "part of the batches whose energy was higher after settling than before",
    "seconds": "of the epoch, for all networks of the run together",
}
_EPOCHS = 300  # rows of a history
_BAD = ("failed", "interrupted")


def overview(records: Sequence[Record]) -> Section:
    """A line for each run: what it was, how far it is, and what came out."""
    if not records:
        return Section("Summary", [])
    groups = [group for record in records for group in record.groups]
    known = metrics_of(groups)
    main = [name for name in _MAIN if name in known][:4]
    heads = ["run", "rule", "data", "state", "epochs", "networks"]
    heads += [head for name in main for head in (f"{named(name)}, last", f"{named(name)}, best")]
    rows = []
    for record in records:
        for group in record.groups or [Group(record.name, ())]:
            done = max((network.rows[-1]["epoch"] for network in group.networks), default=0)
            epochs = Cell(f"{done}/{record.epochs}" if record.epochs else str(done), done)
            row = [text(group.name), text(record.rule), text(record.data), text(record.state, record.state in _BAD)]
            row += [epochs, number(len(group.networks))] if group.networks else [number(None), number(None)]
            for name in main:
                curves = [found for network in group.networks if (found := curve(network, name))]
                last = [network.rows[-1] for network in group.networks if name in network.rows[-1]]
                finite_ones = [value for own in last if (value := finite(own[name])) is not None]
                lost = len(finite_ones) < len(last)
                row.append(number(math.nan) if lost else spread(finite_ones, is_share(name)))
                row.append(spread([_best(found, name)[1] for found in curves], is_share(name)))
            rows.append(row)
    several = any(len(group.networks) > 1 for group in groups)
    note = "Mean ± sample deviation over the networks; the best epoch is that of each network." if several else ""
    numbers = [False] * 4 + [True] * (len(heads) - 4)
    notes = [f"{record.name} {record.state}: {record.why}" for record in records if record.why]
    notes += [f"{record.name}: {note}" for record in records for note in record.notes]
    for record in records:
        if record.state == "unfinished":
            notes.append(f"{record.name} is unfinished: it is still going on, or was killed.")
        if not record.groups and record.command not in ("compare", "sweep"):
            notes.append(f"{record.name} has no epoch yet.")
    return Section("Summary", [Table("Runs" if len(rows) > 1 else "Run", heads, rows, numbers, note)], notes)


def networks(records: Sequence[Record]) -> Section:
    """A line for each network: its last epoch, and its best."""
    groups = [group for record in records for group in record.groups]
    found = [(group, network) for group in groups for network in group.networks]
    names = [name for name in metrics_of(groups) if name not in _LEFT_OUT]
    judge = next((name for name in _MAIN if name in names), None)
    heads = ["run", "network", "epochs", *map(named, names)]
    heads += [f"best {named(judge)}", "at epoch"] if judge else []
    rows = []
    for group, network in found:
        last = network.rows[-1]
        row = [text(group.name), text(network.name), number(last["epoch"])]
        row += [measured(last, name) for name in names]
        if judge:
            own = curve(network, judge)
            epoch, value = _best(own, judge) if own else (None, None)
            row += [number(value, is_share(judge)), number(epoch)]
        rows.append(row)
    numbers = [False] * 2 + [True] * (len(heads) - 2)
    if not rows:
        return Section("Networks", [])
    table = Table("Last epoch of each network", heads, rows, numbers, folded=len(rows) > 40)
    meanings = [[text(named(name)), text(_MEANINGS[name])] for name in metrics_of(groups) if name in _MEANINGS]
    meant = [Table("What the numbers are", ["number", "what it is"], meanings, [False, False])] if meanings else []
    return Section("Networks", [table, *meant])


def _best(found: dict[int, float], name: str) -> tuple[int, float]:
    pick = max if is_share(name) else min
    return pick(found.items(), key=lambda item: item[1])


def studies(records: Sequence[Record]) -> Section:
    """The findings of comparisons and sweeps."""
    parts: list[Part] = []
    for record in records:
        parts += _comparison(record) if record.command == "compare" else []
        parts += _sweep(record) if record.command == "sweep" else []
    return Section("Comparison" if any(r.command == "compare" for r in records) else "Sweep", parts)


def _comparison(record: Record) -> list[Part]:
    rules = record.tables.get("summary.json", {}).get("rules")
    if not isinstance(rules, dict):
        return []
    heads = ["rule", "test accuracy", "test loss", "minus backprop", "95 % from", "to", "s / epoch", "cost / backprop"]
    numbers = [False] + [True] * 7
    verdicts = {rule: _verdicts(values) for rule, values in rules.items()}
    if any(verdicts.values()):
        heads, numbers = [*heads, "regime"], [*numbers, False]
    rows = []
    for rule, values in rules.items():
        own = values if isinstance(values, dict) else {}
        accuracy, loss, minus = [
            each if isinstance(each := own.get(name), dict) else {}
            for name in ("test_accuracy", "test_loss", "minus_backprop")
        ]
        rows.append([
            text(rule),
            _moments(accuracy, True),
            _moments(loss, False),
            *[number(minus.get(name), percent=True) for name in ("mean", "low", "high")],
            number(own.get("seconds_per_epoch"), digits=3),
            number(own.get("cost"), digits=3),
            *([text(verdicts[rule])] if any(verdicts.values()) else []),
        ])  # fmt: skip
    note = "Mean ± sample deviation over the seeds; the difference is taken seed by seed, with Student's t."
    return [Table(f"Rules of {record.name}", heads, rows, numbers, note)]


def _verdicts(values: object) -> str:
    """The last verdicts on a rule's networks."""
    looks = values.get("regime") if isinstance(values, dict) else None
    found = [look.get("verdict") for look in looks if isinstance(look, dict)] if isinstance(looks, list) else []
    return tallied([verdict for verdict in found if isinstance(verdict, str)])


def _moments(values: dict[str, object], percent: bool) -> Cell:
    cell, std = number(values.get("mean"), percent), finite(values.get("std"))
    return cell if std is None else Cell(f"{cell.text} ± {f'{std:.2%}' if percent else f'{std:.2g}'}", cell.key)


def _sweep(record: Record) -> list[Part]:
    parts: list[Part] = []
    found = record.tables.get("progress.json") or record.tables.get("summary.json") or {}
    counts, summary = found.get("settings"), record.tables.get("summary.json", {})
    facts = [[text(named(k)), number(v)] for k, v in counts.items()] if isinstance(counts, dict) else []
    if finite(found.get("best_value")) is not None:
        facts.append([text(f"best {named(str(found.get('metric') or 'value'))}"), number(found["best_value"])])
    if facts:
        parts.append(Table(f"Settings of {record.name}", ["what", "number"], facts, [False, True]))
    head, *lines = record.tables.get("table.csv") or [[]]
    if head:
        rows = [[_read(cell, name) for cell, name in zip(line, head, strict=False)] for line in lines]
        rows = [row for row in rows if len(row) == len(head)]
        numbers = [any(isinstance(row[i].key, float) for row in rows) for i in range(len(head))]
        parts.append(Table(f"All settings of {record.name}", [named(h) for h in head], rows, numbers))
    mattered = summary.get("importances")
    if isinstance(mattered, dict) and mattered:
        rows = [[text(name), number(value, percent=True)] for name, value in mattered.items()]
        parts.append(Table("What mattered", ["setting", "share"], rows, [False, True]))
    return parts


def _read(word: str, name: str) -> Cell:
    try:
        value = float(word)
    except ValueError:
        return text(word, marked=word == "failed")
    if not math.isfinite(value):
        return number(value)
    return Cell(f"{value:.2%}" if is_share(name) else word if len(word) <= 8 else f"{value:.4g}", value)


def settings(records: Sequence[Record]) -> Section:
    """All settings; of several runs side by side, those first in which they differ."""
    shown = [record for record in records if record.settings]
    names = list(dict.fromkeys(name for record in shown for name in record.settings))
    differ = {name for name in names if len({record.settings.get(name) for record in shown}) > 1}
    names.sort(key=lambda name: name not in differ)
    rows = [[text(name), *[text(r.settings.get(name), name in differ) for r in shown]] for name in names]
    heads = ["setting", *([record.name for record in shown] if len(shown) > 1 else ["value"])]
    note = "The first ones are those in which the runs differ." if differ else ""
    return Section("Settings", [Table("Settings", heads, rows, [False] * len(heads), note)] if rows else [])


def history(records: Sequence[Record]) -> Section:
    """The numbers of every epoch and network."""
    groups = [group for record in records for group in record.groups]
    names = metrics_of(groups)
    parts = [_history(group, network, names) for group in groups for network in group.networks]
    return Section("Every epoch", parts[:50], [f"{len(parts) - 50} more networks are left out."] * (len(parts) > 50))


def _history(group: Group, network: Network, names: Sequence[str]) -> Table:
    count = len(network.rows)
    kept = sorted({round(i * (count - 1) / (_EPOCHS - 1)) for i in range(_EPOCHS)}) if count > _EPOCHS else range(count)
    own = [name for name in names if any(name in network.rows[i] for i in kept)]
    shown = [network.rows[i] for i in kept]
    rows = [[number(row["epoch"]), *[measured(row, name) for name in own]] for row in shown]
    note = f"{len(rows)} of {count} epochs, evenly spread." if count > _EPOCHS else ""
    heads = ["epoch", *map(named, own)]
    return Table(f"{group.name}, {network.name}", heads, rows, [True] * len(heads), note, folded=True)


def software(records: Sequence[Record]) -> Section:
    """On what they ran, and their logs."""
    shown = [record for record in records if record.versions]
    names = list(dict.fromkeys(name for record in shown for name in record.versions))
    rows = [[text(name.removeprefix("packages.")), *[text(r.versions.get(name)) for r in shown]] for name in names]
    heads = ["software and device", *([record.name for record in shown] if len(shown) > 1 else ["value"])]
    parts: list[Part] = [Table("Software and device", heads, rows, [False] * len(heads), folded=True)] if rows else []
    parts += [Lines(f"Log of {record.name}", record.log) for record in records if record.log]
    return Section("Where and when", parts)
