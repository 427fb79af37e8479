"""Pictures of how a run went: its metrics over the epochs, and the energy of each node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ._parts import Figure, Section, Table, is_share, named, number, text
from ._record import Group, Network, Record, curve, finite, metrics_of
from ._svg import SERIES, STEPS, figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STYLES = ("-", "--", "-.", ":")
_HELD_OUT = ("validation_", "test_")
_LEFT_OUT = ("seconds", "seconds_of_all_seeds")
_POINTS = 400  # of a curve
_MOST = 8  # pictures of energies
_NAMES = 40  # letters of a name in a legend
Curve = Mapping[int, float]


def metrics(records: Sequence[Record]) -> Section:
    """Every metric over the epochs: each network thin, the mean of those of a group thick."""
    groups = [group for record in records for group in record.groups]
    names = [name for name in metrics_of(groups) if name not in _LEFT_OUT and _says_something(groups, name)]
    parts: list[Figure] = []
    if len(groups) == 1:
        base = [name for name in names if not any(name == f"{h}{other}" for h in _HELD_OUT for other in names)]
        for name in base:
            own = [name, *[f"{held}{name}" for held in _HELD_OUT if f"{held}{name}" in names]]
            series = [("training" if n == name and len(own) > 1 else named(n), _curves(groups[0], n)) for n in own]
            parts.append(_over_epochs(named(name), is_share(name), series))
    else:
        for name in names:
            series = [(group.name, found) for group in groups if (found := _curves(group, name))]
            parts.append(_over_epochs(named(name), is_share(name), series))
    several = any(len(group.networks) > 1 for group in groups)
    note = "Thin: each network. Thick: the mean of the networks that differ by nothing but their seeds."
    return Section("How it went", parts, lead=note if several and parts else "")


def energies(records: Sequence[Record]) -> Section:
    """The energy of each node over the epochs and at the end, the mean over the networks of a group."""
    groups = [group for record in records for group in record.groups if _nodes(group)]
    parts: list[Figure | Table] = []
    for group in groups[:_MOST]:
        nodes = _nodes(group)
        curves = {node: _mean([_of_node(network, node) for network in group.networks]) for node in nodes}
        title = "Energy of each node" if len(groups) == 1 else f"Energy of each node, {group.name}"
        if any(curves.values()):
            parts.append(_by_node(title, curves))
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
        parts.append(Table(f"{title}, last epoch", ["no.", "node", "energy", "share"], rows, numbers))
    left = len(groups) - _MOST
    return Section("Energy by node", parts, [f"Of {left} more this is left out."] if left > 0 else [])


def _says_something(groups: Sequence[Group], name: str) -> bool:
    each = [set(curve(network, name).values()) for group in groups for network in group.networks]
    # The number of steps is mostly the same from beginning to end, and nothing goes uphill.
    return any(len(values) > 1 for values in each) or (name not in ("steps", "uphill") and any(each))


def _curves(group: Group, name: str) -> list[Curve]:
    return [found for network in group.networks if (found := curve(network, name))]


def _mean(curves: Sequence[Curve]) -> Curve:
    # Of those epochs that all have: a mean that loses a network jumps.
    there = [found for found in curves if found]
    common = sorted(set.intersection(*(set(found) for found in there))) if there else []
    return {epoch: sum(found[epoch] for found in there) / len(there) for epoch in common}


def _over_epochs(title: str, share: bool, series: Sequence[tuple[str, Sequence[Curve]]]) -> Figure:
    values = [v for _, curves in series for found in curves for v in found.values()]

    def draw(ax: Axes) -> None:
        from matplotlib.ticker import PercentFormatter

        for place, (name, curves) in enumerate(series):
            colour, style = SERIES[place % len(SERIES)], _STYLES[(place + place // len(SERIES)) % len(_STYLES)]
            mean = _mean(curves)
            if len(curves) > 1:
                for found in curves:
                    ax.plot(*_points(found), color=colour, linewidth=1, alpha=0.55)
            if mean:
                marker = "osD^vXP*"[place % 8] if len(mean) <= 15 else None
                ax.plot(*_points(mean), style, color=colour, linewidth=2, marker=marker, markersize=4, label=_cut(name))
        _epochs(ax)
        ax.set_ylabel(title)
        if share:
            ax.yaxis.set_major_formatter(PercentFormatter(1.0))
        elif min(values) > 0 and max(values) > 30 * min(values):
            _log_scale(ax)

    ends = [f"{name} {_in_words(curves, share)}" for name, curves in series]
    return figure(title, f"{title} over the epochs; in the last one: {'; '.join(ends[:10])}", draw, len(series) > 1)


def _by_node(title: str, curves: Mapping[str, Curve]) -> Figure:
    shown = {node: {k: v for k, v in found.items() if v > 0} for node, found in curves.items()}
    shown = {node: found for node, found in shown.items() if found}
    last = max(len(shown) - 1, 1)
    named_ones = {round(last * i / 5) for i in range(6)} if len(shown) > 8 else set(range(len(shown)))

    values = [v for found in shown.values() for v in found.values()]
    logarithmic = max(values, default=0) > 10 * min(values, default=0) > 0

    def draw(ax: Axes) -> None:
        for place, (node, found) in enumerate(shown.items()):
            colour = STEPS[round(place / last * (len(STEPS) - 1))]
            style = _STYLES[place % 4] if len(shown) <= 8 else "-"
            label = _cut(node) if place in named_ones else None
            marker = "osD^vXP*"[place % 8] if len(found) <= 15 and len(shown) <= 8 else None
            ax.plot(*_points(found), style, color=colour, linewidth=1.8, marker=marker, markersize=4, label=label)
        _epochs(ax)
        ax.set_ylabel("energy")
        if logarithmic:
            _log_scale(ax)
        else:
            ax.set_ylim(bottom=0)

    ends = [f"{node} {list(found.values())[-1]:.3g}" for node, found in list(shown.items())[:20]]
    scale = ", on a logarithmic scale" if logarithmic else ""
    return figure(title, f"{title} over the epochs{scale}; at the end: {'; '.join(ends)}", draw, True)


def _epochs(ax: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.set_xlabel("epoch")
    ax.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True, min_n_ticks=1))
    ax.margins(x=0.03)


def _log_scale(ax: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ax.set_yscale("log")
    low, high = ax.get_ylim()
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 300 * low else (1,), numticks=8))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())


def _points(found: Curve) -> tuple[list[int], list[float]]:
    """A curve's points; of very many the least and the largest of each stretch, as a picture shows no more."""
    points = list(found.items())
    if len(points) > _POINTS:
        size = -(-len(points) // (_POINTS // 2))
        kept = {0: points[0], len(points) - 1: points[-1]}
        for start in range(0, len(points), size):
            stretch = range(start, min(start + size, len(points)))
            for i in (min(stretch, key=lambda i: points[i][1]), max(stretch, key=lambda i: points[i][1])):
                kept[i] = points[i]
        points = [kept[i] for i in sorted(kept)]
    return [epoch for epoch, _ in points], [value for _, value in points]


def _in_words(curves: Sequence[Curve], share: bool) -> str:
    mean = _mean(curves)
    last = list(mean.values())[-1] if mean else None
    return "-" if last is None else f"{last:.1%}" if share else f"{last:.3g}"


def _cut(name: str) -> str:
    """A name that fits below a picture. What begins with "_" would be left out of a legend."""
    name = " ".join(name.encode("utf-8", "replace").decode().split()) or "-"
    name = f" {name}" if name.startswith("_") else name
    return name if len(name) <= _NAMES else f"{name[: _NAMES // 2 - 1]}…{name[-_NAMES // 2 :]}"


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
