"""Curves, drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from ...core import NOTHING
from ._parts import Figure
from ._svg import SERIES, STEPS, figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STYLES = ("-", "--", "-.", ":")
_MARKERS = "osD^vXP*"
_POINTS = 400  # of a curve
_NAMES = 40  # letters of a name in a legend
Curve = Mapping[int, float]


def mean(curves: Sequence[Curve]) -> Curve:
    """Return the mean of curves, where all of them are."""
    # Of those epochs that all have: a mean that loses a network jumps.
    there = [found for found in curves if found]
    common = sorted(set.intersection(*(set(found) for found in there))) if there else []
    return {epoch: sum(found[epoch] for found in there) / len(there) for epoch in common}


def over_epochs(title: str, share: bool, series: Mapping[str, Sequence[Curve]]) -> Figure:
    """Draw a metric: the curves of each series thin, their mean thick.

    **Arguments:**

    - `title`: the metric.
    - `share`: whether it is shown in per cent.
    - `series`: the curves of their networks, by name. One without any keeps its place among colours.
    """
    series = {name: [drawable(found) for found in curves] for name, curves in series.items()}
    values = [v for curves in series.values() for found in curves for v in found.values()]

    def draw(ax: Axes) -> None:
        from matplotlib.ticker import PercentFormatter

        for place, (name, curves) in enumerate(series.items()):
            colour, style = SERIES[place % len(SERIES)], _STYLES[(place + place // len(SERIES)) % len(_STYLES)]
            middle, label = mean(curves), _cut(name)
            if len(curves) > 1:
                for i, found in enumerate(curves):
                    own = None if middle or i else label  # where no epoch is in all of them
                    ax.plot(*_points(found), color=colour, linewidth=1, alpha=0.55, label=own, **_marked(found, ".", 1))
            if middle:
                marks = _marked(middle, _MARKERS[place % 8])
                ax.plot(*_points(middle), style, color=colour, linewidth=2, label=label, **marks)
        _whole_numbers(ax, "epoch")
        ax.set_ylabel(_cut(title))
        if share:
            ax.yaxis.set_major_formatter(PercentFormatter(1.0))
        elif min(values, default=0) > 0 and max(values) > 30 * min(values):
            _log_scale(ax)

    ends = [f"{name} {_in_words(curves, share)}" for name, curves in series.items() if curves]
    return figure(title, f"{title} over the epochs; in the last one: {'; '.join(ends[:10])}", draw, len(series) > 1)


def by_part(
    title: str,
    curves: Mapping[str, Curve],
    ylabel: str,
    xlabel: str = "epoch",
    scale: Literal["size", "share"] = "size",
    ordered: bool = True,
    among: Sequence[float] = (),
) -> Figure:
    """Draw a curve for each of several parts of a network.

    **Arguments:**

    - `title`: stands above it.
    - `curves`: by the parts' names, from the first to the last.
    - `ylabel`, `xlabel`: what is drawn over what.
    - `scale`: `"size"` for what is positive and may be of any size, `"share"` for what is from -1 to 1.
    - `ordered`: whether the parts have an order, which colours show then.
    - `among`: the values of the figures that it stands beside, whose range it shows, too.
    """
    size = scale == "size"
    curves = {name: drawable(found) for name, found in curves.items()}
    shown = {name: {k: v for k, v in found.items() if v > 0 or not size} for name, found in curves.items()}
    shown = {name: found for name, found in shown.items() if found}
    last, few = max(len(shown) - 1, 1), len(shown) <= 8
    named_ones = set(range(len(shown))) if few else {round(last * i / 5) for i in range(6)}
    values = [v for found in shown.values() for v in found.values()]
    values += [v for v in drawable(dict(enumerate(among))).values() if v > 0 or not size]
    logarithmic = size and max(values, default=0) > 10 * min(values, default=0) > 0

    def draw(ax: Axes) -> None:
        for place, (name, found) in enumerate(shown.items()):
            colour = STEPS[round(place / last * (len(STEPS) - 1))] if ordered else SERIES[place % len(SERIES)]
            style = _STYLES[place % 4] if few else "-"
            label = _cut(name) if place in named_ones else None
            marks = _marked(found, _MARKERS[place % 8] if few else "o", 15 if few else 1)
            ax.plot(*_points(found), style, color=colour, linewidth=1.8, label=label, **marks)
        if shown and among:
            at = next(iter(next(iter(shown.values()))))
            ax.update_datalim([(at, min(values)), (at, max(values))])
        _whole_numbers(ax, xlabel)
        ax.set_ylabel(ylabel)
        if logarithmic:
            _log_scale(ax)
        elif size:
            ax.set_ylim(bottom=0)
        else:
            ax.set_ylim(min(0, *values) - 0.05, 1.05)

    ends = [f"{name} {list(found.values())[-1]:.3g}" for name, found in list(shown.items())[:20]]
    how = ", on a logarithmic scale" if logarithmic else ""
    return figure(title, f"{title} by {xlabel}{how}; at the end: {'; '.join(ends)}", draw, True)


def drawable(found: Curve) -> Curve:
    """Return a curve without what is so far out that axes can't hold it."""
    return {place: value for place, value in found.items() if abs(value) < 1e100}


def _marked(found: Curve, marker: str, most: int = 15) -> dict[str, Any]:
    """The marks of a curve's points, if it has no more than `most`. One alone has no line to be seen by."""
    return {"marker": marker if len(found) <= most else None, "markersize": 4 if len(found) > 1 else 7}


def _whole_numbers(ax: Axes, name: str) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.set_xlabel(name)
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
    middle = mean(curves)
    last = list(middle.values())[-1] if middle else None
    return NOTHING if last is None else f"{last:.1%}" if share else f"{last:.3g}"


def _cut(name: str) -> str:
    """A name that fits below a picture. What begins with "_" would be left out of a legend."""
    name = " ".join(name.encode("utf-8", "replace").decode().split()) or NOTHING
    name = f" {name}" if name.startswith("_") else name
    return name if len(name) <= _NAMES else f"{name[: _NAMES // 2 - 1]}…{name[-_NAMES // 2 :]}"
