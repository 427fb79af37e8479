"""Pictures of how a run went: its metrics over the epochs, and the energy of each node."""

from __future__ import annotations

from collections.abc import Sequence

from ._curves import Curve, by_part, drawable, mean, over_epochs
from ._parts import Figure, Section, Table, beside, is_share, named, number, text
from ._record import Group, Network, Record, curve, finite, metrics_of

_HELD_OUT = ("validation_", "test_")
_LEFT_OUT = ("seconds", "seconds_of_all_seeds")
_MOST = 8  # pictures of energies
_ROWS = 24  # of a table that is open


def metrics(records: Sequence[Record]) -> Section:
    """Every metric over the epochs: each network thin, the mean of those of a group thick."""
    groups = [group for record in records for group in record.groups]
    names = [name for name in metrics_of(groups) if name not in _LEFT_OUT and _says_something(groups, name)]
    parts: list[Figure] = []
    if len(groups) == 1:
        base = [name for name in names if not any(name == f"{h}{other}" for h in _HELD_OUT for other in names)]
        for name in base:
            own = [name, *[f"{held}{name}" for held in _HELD_OUT if f"{held}{name}" in names]]
            series = {"training" if n == name and len(own) > 1 else named(n): _curves(groups[0], n) for n in own}
            parts.append(over_epochs(named(name), is_share(name), series))
    else:
        for name in names:
            series = {group.name: _curves(group, name) for group in groups}
            parts.append(over_epochs(named(name), is_share(name), series))
    several = any(len(group.networks) > 1 for group in groups)
    note = "Thin: each network. Thick: the mean of the networks that differ by nothing but their seeds."
    return Section("How it went", parts, lead=note if several and parts else "")


def energies(records: Sequence[Record]) -> Section:
    """The energy of each node over the epochs and at the end, the mean over the networks of a group."""
    several = sum(len(record.groups) for record in records) > 1
    groups = [group for record in records for group in record.groups if _nodes(group)]
    figures: list[Figure] = []
    tables: list[Table] = []
    of = [
        {node: mean([_of_node(network, node) for network in group.networks]) for node in _nodes(group)}
        for group in groups[:_MOST]
    ]
    among = [value for curves in of for found in curves.values() for value in found.values()]
    for group, curves in zip(groups, of, strict=False):
        nodes = list(curves)
        title = f"Energy of each node, {group.name}" if several else "Energy of each node"
        if any(curves.values()):
            figures.append(by_part(title, curves, "energy", among=among))
        last = {node: list(found.values())[-1] for node, found in curves.items() if found}
        total = sum(last.values())
        rows = [
            [
                number(place),
                text(node),
                number(last.get(node)),
                number(last[node] / total if node in last and total > 0 else None, percent=True),
            ]
            for place, node in enumerate(nodes, 1)
        ]
        numbers = [True, False, True, True]
        heads = ["no.", "node", "energy", "share"]
        tables.append(Table(f"{title}, last epoch", heads, rows, numbers, folded=len(rows) > _ROWS))
    lead = f"Of {len(groups) - _MOST} more this is left out." if len(groups) > _MOST else ""
    return Section("Energy by node", [*beside(figures), *beside(tables)], lead=lead)


def network(records: Sequence[Record]) -> Section:
    """The drawing of the network, with the energies at the end, the mean over the networks of a run."""
    drawn = [record for record in records if record.drawing]
    several = len(records) > 1
    parts = [Figure(f"Network of {r.name}" if several else "The network", r.drawing, "") for r in drawn[:_MOST]]
    lead = [f"Not drawn, {record.name}: {record.drawing_note}." for record in records if record.drawing_note]
    if len(drawn) > _MOST:
        lead.append(f"Of {len(drawn) - _MOST} more runs it is left out.")
    return Section("The network", parts, lead=" ".join(lead))


def _says_something(groups: Sequence[Group], name: str) -> bool:
    each = [set(drawable(curve(network, name)).values()) for group in groups for network in group.networks]
    # The number of steps is mostly the same from beginning to end, and nothing goes uphill.
    return any(len(values) > 1 for values in each) or (name not in ("steps", "uphill") and any(each))


def _curves(group: Group, name: str) -> list[Curve]:
    return [found for network in group.networks if (found := curve(network, name))]


def _nodes(group: Group) -> list[str]:
    found: dict[str, None] = {}
    for network in group.networks:
        for row in network.rows:
            own = row.get("energies")
            found |= dict.fromkeys(own if isinstance(own, dict) else ())
    return list(found)


def _of_node(network: Network, node: str) -> Curve:
    found = {}
    for row in network.rows:
        own = row.get("energies")
        value = finite(own.get(node)) if isinstance(own, dict) else None
        if value is not None:
            found[row["epoch"]] = value
    return found
