"""The regime that networks were trained in, where the run has looked: `fit(regime=...)`, `pcx train --regime`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from ._curves import Curve, by_part, mean
from ._parts import Cell, Figure, Part, Section, Table, beside, number, text
from ._record import Group, Network, Record, finite

_HEALTH = "before the first batch: "  # begins what the log says of it
_WELL = " health: "  # and what it says where nothing is wrong
_MOST = 6  # groups that are drawn
Look = Mapping[str, Any]
Curves = Mapping[str, Curve]


def regime(records: Sequence[Record]) -> Section:
    """The last verdict on each network, how it came to it, and what was found before the first batch."""
    groups = [group for record in records for group in record.groups if any(map(looks, group.networks))]
    notes = [
        f"{record.name}: {line.partition(_HEALTH)[2]}" for record in records for line in record.log if _HEALTH in line
    ]
    leads = [
        f"{f'{record.name}, h' if len(records) > 1 else 'H'}ealth before the first batch: {line.partition(_WELL)[2]}."
        for record in records
        for line in record.log
        if _WELL in line and _HEALTH not in line
    ]
    parts: list[Part] = []
    if groups:
        drawn = groups[:_MOST]
        parts = [_verdicts(groups), *[figure for kind in _DRAWN for figure in _figures(drawn, kind)]]
        parts += [*beside(_tables(drawn, _by_layer)), *beside(_tables(drawn, _by_node))]
        leads.append(
            "Gradients are held against backpropagation's, on the same weights and held-out batch; means over networks."
        )
    if len(groups) > _MOST:
        leads.append(f"Of {len(groups) - _MOST} more groups there are verdicts alone.")
    return Section("Regime and health", parts, notes, " ".join(leads))


def looks(network: Network) -> list[Look]:
    """Return what was seen of a network, in order of the batches."""
    every = [look for row in network.rows for look in _list(row.get("regime")) if isinstance(look, dict)]
    return [look for look in every if isinstance(look.get("batch"), int) and 0 <= look["batch"] < 10**12]


def _stable(look: Look) -> Cell:
    """The largest stable step; where the largest curvature was not found well, and so may be larger, it is a bound."""
    shown = number(look.get("stable_step"), digits=3)
    largest, error = [
        finite(each[0]) if (each := _list(look.get(name))) else None for name in ("curvature", "curvature_error")
    ]
    if largest is None or error is None or error <= 0.01 * abs(largest) or shown.key is None:
        return shown
    return Cell(f"at most {shown.text}", shown.key)


def _verdicts(groups: Sequence[Group]) -> Table:
    seen = [(group, network, found) for group in groups for network in group.networks if (found := looks(network))]
    steps = any(finite(each.get("stable_step")) is not None for _, _, found in seen for each in found)
    # What is asked for first stands where a phone shows it.
    heads = ["run", "network", "verdict", *(["step of values", "largest stable"] if steps else []), "learn nothing",
             "why", "least cosine", "target alignment", "that of backprop", "at batch", "looks"]  # fmt: skip
    rows = []
    for group, network, found in seen:
        last = found[-1]
        bent = next((each for each in reversed(found) if finite(each.get("stable_step")) is not None), {})
        cosines = [value for each in _dict(last.get("module_cosine")).values() if (value := finite(each)) is not None]
        silent = [each for each in _list(last.get("silent")) if isinstance(each, str)]
        rows.append([
            text(group.name),
            text(network.name),
            text(last.get("verdict"), last.get("verdict") == "diverging"),
            *([number(bent.get("step"), digits=3), _stable(bent)] if steps else []),
            text(", ".join(silent), bool(silent)),
            text(last.get("why")),
            number(min(cosines, default=None)),
            number(last.get("alignment")),
            number(last.get("backprop_alignment")),
            number(last["batch"]),
            number(len(found)),
        ])  # fmt: skip
    words = ("run", "network", "verdict", "learn nothing", "why")
    return Table("Last verdict", heads, rows, [head not in words for head in heads])


class _Drawn(NamedTuple):
    title: str
    ylabel: str
    scale: Literal["size", "share"]
    ordered: bool
    curves: Callable[[Group], Curves]


def _layers(key: str) -> Callable[[Group], Curves]:
    def curves(group: Group) -> Curves:
        names = _names(group, "module_cosine")
        return {layer: mean([_of(network, key, layer) for network in group.networks]) for layer in names}

    return curves


def _alone(words: Mapping[str, str]) -> Callable[[Group], Curves]:
    def curves(group: Group) -> Curves:
        return {name: mean([_number(network, key) for network in group.networks]) for key, name in words.items()}

    return curves


def _steps(group: Group) -> Curves:
    found = _alone({"step": "the step", "stable_step": "largest stable"})(group)
    return found if found["largest stable"] else {}


_DRAWN = (
    _Drawn("Cosine to backprop's gradient", "cosine", "share", True, _layers("module_cosine")),
    _Drawn("Norm over that of backprop's gradient", "norm ratio", "size", True, _layers("module_norm_ratio")),
    _Drawn("Target alignment", "target alignment", "share", False,
           _alone({"alignment": "the rule", "backprop_alignment": "backprop"})),
    _Drawn("Step of the values", "step", "size", False, _steps),
)  # fmt: skip


def _figures(groups: Sequence[Group], kind: _Drawn) -> list[Figure]:
    """Figures of one kind, of which each has the range of all."""
    found = [(group, curves) for group in groups if any((curves := kind.curves(group)).values())]
    among = [value for _, curves in found for curve in curves.values() for value in curve.values()]
    return beside([
        by_part(kind.title + _named(group, groups), curves, kind.ylabel, "batch", kind.scale, kind.ordered, among)
        for group, curves in found
    ])  # fmt: skip


def _tables(groups: Sequence[Group], of: Callable[[Group, str], Table]) -> list[Table]:
    return [made for group in groups if (made := of(group, _named(group, groups))).rows]


def _named(group: Group, groups: Sequence[Group]) -> str:
    return "" if len(groups) == 1 else f", {group.name}"


def _by_layer(group: Group, name: str) -> Table:
    rows = [
        [number(i), text(layer), *[_last(group, key, layer) for key in ("module_cosine", "module_norm_ratio")]]
        for i, layer in enumerate(_names(group, "module_cosine"), 1)
    ]
    heads = ["no.", "layer", "cosine", "norm ratio"]
    note = "Of the last look, to backprop's gradient."
    return Table(f"Gradients by layer{name}", heads, rows, [True, False, True, True], note, len(rows) > 24)


def _by_node(group: Group, name: str) -> Table:
    rows = [
        [
            text(node),
            _last(group, "share", node, percent=True),
            *[_last(group, key, node) for key in ("moving", "rest")],
        ]
        for node in _names(group, "share")
    ]
    heads = ["node", "energy", "last / first", "/ own pull"]
    note = (
        "Of the last look: share of the energy; |dE/dh| at the end over its first value, and over the node's own pull."
    )
    return Table(f"Settling by node{name}", heads, rows, [False, True, True, True], note, len(rows) > 24)


def _last(group: Group, key: str, part: str, percent: bool = False) -> Any:
    ends = [list(found.values())[-1] for network in group.networks if (found := _of(network, key, part))]
    return number(sum(ends) / len(ends) if ends else None, percent)


def _names(group: Group, key: str) -> list[str]:
    every = [_dict(look.get(key)) for network in group.networks for look in looks(network)]
    return list(dict.fromkeys(name for found in every for name in found))


def _of(network: Network, key: str, part: str) -> Curve:
    values = {look["batch"]: finite(_dict(look.get(key)).get(part)) for look in looks(network)}
    return {batch: value for batch, value in values.items() if value is not None}


def _number(network: Network, key: str) -> Curve:
    values = {look["batch"]: finite(look.get(key)) for look in looks(network)}
    return {batch: value for batch, value in values.items() if value is not None}


def _dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else ()
