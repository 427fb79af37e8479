"""The regime that networks were trained in, where the run has looked: `fit(regime=...)`, `pcx train --regime`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ._curves import Curve, by_part, mean
from ._parts import Figure, Part, Section, Table, number, text
from ._record import Group, Network, Record, finite

_HEALTH = "before the first batch: "  # begins what the log says of it
_MOST = 6  # groups that are drawn
Look = Mapping[str, Any]


def regime(records: Sequence[Record]) -> Section:
    """The last verdict on each network, how it came to it, and what was warned of before the first batch."""
    groups = [group for record in records for group in record.groups if any(map(looks, group.networks))]
    notes = [
        f"{record.name}: {line.partition(_HEALTH)[2]}" for record in records for line in record.log if _HEALTH in line
    ]
    if not groups:
        return Section("Regime and health", [], notes)
    parts: list[Part] = [_verdicts(groups)]
    for group in groups[:_MOST]:
        name = "" if len(groups) == 1 else f", {group.name}"
        parts += [*_cosines(group, name), *_by_layer(group, name), *_by_node(group, name)]
    lead = "Gradients are held against backpropagation's, on the same weights and held-out batch; means over networks."
    if len(groups) > _MOST:
        lead += f" Of {len(groups) - _MOST} more groups there are verdicts alone."
    return Section("Regime and health", parts, notes, lead)


def looks(network: Network) -> list[Look]:
    """Return what was seen of a network, in order of the batches."""
    every = [look for row in network.rows for look in _list(row.get("regime")) if isinstance(look, dict)]
    return [look for look in every if isinstance(look.get("batch"), int) and 0 <= look["batch"] < 10**12]


def _verdicts(groups: Sequence[Group]) -> Table:
    # What is asked for first stands where a phone shows it.
    heads = ["run", "network", "verdict", "learn nothing", "why", "least cosine", "target alignment",
             "that of backprop", "at batch", "looks"]  # fmt: skip
    rows = []
    for group in groups:
        for network in group.networks:
            seen = looks(network)
            if not seen:
                continue
            last = seen[-1]
            cosines = [
                value for each in _dict(last.get("module_cosine")).values() if (value := finite(each)) is not None
            ]
            silent = [each for each in _list(last.get("silent")) if isinstance(each, str)]
            rows.append([
                text(group.name),
                text(network.name),
                text(last.get("verdict"), last.get("verdict") == "diverging"),
                text(", ".join(silent), bool(silent)),
                text(last.get("why")),
                number(min(cosines, default=None)),
                number(last.get("alignment")),
                number(last.get("backprop_alignment")),
                number(last["batch"]),
                number(len(seen)),
            ])  # fmt: skip
    numbers = [False, False, False, False, False, True, True, True, True, True]
    return Table("Last verdict", heads, rows, numbers)


def _cosines(group: Group, name: str) -> list[Figure]:
    layers = _names(group, "module_cosine")
    cosines = {layer: mean([_of(network, "module_cosine", layer) for network in group.networks]) for layer in layers}
    ratios = {layer: mean([_of(network, "module_norm_ratio", layer) for network in group.networks]) for layer in layers}
    title = f"Cosine to backprop's gradient{name}"
    found = [by_part(title, cosines, "cosine", "batch", scale="share")] if any(cosines.values()) else []
    title = f"Norm over that of backprop's gradient{name}"
    found += [by_part(title, ratios, "norm ratio", "batch")] if any(ratios.values()) else []
    alignments = {
        words: mean([_alone(network, key) for network in group.networks])
        for key, words in (("alignment", "the rule"), ("backprop_alignment", "backprop"))
    }
    if any(alignments.values()):
        title = f"Target alignment{name}"
        found.append(by_part(title, alignments, "target alignment", "batch", scale="share", ordered=False))
    return found


def _by_layer(group: Group, name: str) -> list[Table]:
    layers = _names(group, "module_cosine")
    rows = [
        [number(i), text(layer), *[_last(group, key, layer) for key in ("module_cosine", "module_norm_ratio")]]
        for i, layer in enumerate(layers, 1)
    ]
    heads = ["no.", "layer", "cosine", "norm ratio"]
    note = "Of the last look, to backprop's gradient."
    return (
        [Table(f"Gradients by layer{name}", heads, rows, [True, False, True, True], note, len(rows) > 24)]
        if rows
        else []
    )


def _by_node(group: Group, name: str) -> list[Table]:
    nodes = _names(group, "share")
    rows = [
        [
            text(node),
            _last(group, "share", node, percent=True),
            *[_last(group, key, node) for key in ("moving", "rest")],
        ]
        for node in nodes
    ]
    heads = ["node", "energy", "last / first", "/ own pull"]
    note = (
        "Of the last look: share of the energy; |dE/dh| at the end over its first value, and over the node's own pull."
    )
    return (
        [Table(f"Settling by node{name}", heads, rows, [False, True, True, True], note, len(rows) > 24)] if rows else []
    )


def _last(group: Group, key: str, part: str, percent: bool = False) -> Any:
    ends = [list(found.values())[-1] for network in group.networks if (found := _of(network, key, part))]
    return number(sum(ends) / len(ends) if ends else None, percent)


def _names(group: Group, key: str) -> list[str]:
    every = [_dict(look.get(key)) for network in group.networks for look in looks(network)]
    return list(dict.fromkeys(name for found in every for name in found))


def _of(network: Network, key: str, part: str) -> Curve:
    values = {look["batch"]: finite(_dict(look.get(key)).get(part)) for look in looks(network)}
    return {batch: value for batch, value in values.items() if value is not None}


def _alone(network: Network, key: str) -> Curve:
    values = {look["batch"]: finite(look.get(key)) for look in looks(network)}
    return {batch: value for batch, value in values.items() if value is not None}


def _dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else ()
