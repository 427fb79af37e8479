"""Layered drawings of graphs: boxes in rows by depth, and arrows that cross none.

As in Sugiyama, Tagawa & Toda, "Methods for visual understanding of hierarchical system structures", 1981: an arrow over
several rows takes a place of its own in each of them, and so does its label in a row between. Places are ordered so
that few arrows cross, and moved to where their neighbours are as far as that leaves them apart.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

BOX_GAP = 26.0  # between boxes side by side
LANE_GAP = 14.0  # between an arrow and what is beside it
ROW_GAP = 36.0  # between rows
LANE = 8.0
_LOOSE, _STIFF, _STRAIGHT = 1.0, 4.0, 8.0
SWEEPS = 12


Links = list[dict[int, float]]  # of each place, those linked to it, and how strongly


class Arrow(NamedTuple):
    """An arrow from one box to another.

    **Attributes:**

    - `source`, `target`: the boxes' places in their list.
    - `width`, `height`: of its label; 0 without one.
    """

    source: int
    target: int
    width: float = 0.0
    height: float = 0.0


class Place(NamedTuple):
    """A place in the drawing: its middle, and the upper and lower ends of its row."""

    x: float
    y: float
    top: float
    bottom: float


class Layered(NamedTuple):
    """A drawing's places.

    **Attributes:**

    - `boxes`: the place of each box.
    - `lanes`: of each arrow, the places that it goes through between its boxes, its label's the last.
    - `width`, `height`: of it all.
    """

    boxes: list[Place]
    lanes: list[list[Place]]
    width: float
    height: float


def layered(sizes: Sequence[tuple[float, float]], arrows: Sequence[Arrow]) -> Layered:
    """Return places for boxes and arrows. Arrows go from boxes to later ones in the list.

    **Arguments:**

    - `sizes`: width and height of each box.
    - `arrows`: between them.
    """
    ranks = _ranks(len(sizes), arrows)
    rows: list[list[int]] = [[] for _ in range(2 * max(ranks, default=0) + 1)]
    widths, heights, is_box = [w for w, _ in sizes], [h for _, h in sizes], [True] * len(sizes)
    for i, rank in enumerate(ranks):
        rows[2 * rank].append(i)
    links: list[tuple[int, int, float]] = []
    chains: list[list[int]] = []
    for arrow in arrows:
        chain: list[int] = []
        last = 2 * ranks[arrow.target] - 1
        for row in range(2 * ranks[arrow.source] + 1, last + 1):
            chain.append(len(widths))
            rows[row].append(chain[-1])
            widths.append(max(arrow.width, LANE) if row == last else LANE)
            heights.append(arrow.height if row == last else 0.0)
            is_box.append(False)
        # Ways straight down from row to row are kept straight first, and then the long ones.
        ends = (0, len(chain)) if len(chain) > 1 else ()
        for i, (a, b) in enumerate(itertools.pairwise([arrow.source, *chain, arrow.target])):
            links.append((a, b, _LOOSE if i in ends else _STIFF if len(chain) > 1 else _STRAIGHT))
        chains.append(chain)
    above: Links = [{} for _ in widths]
    below: Links = [{} for _ in widths]
    for a, b, pull in links:
        below[a][b] = above[b][a] = pull
    rows = _ordered(rows, above, below)
    x = _spread(rows, above, below, widths, is_box)
    places: list[Place] = [Place(0, 0, 0, 0)] * len(widths)
    top = 0.0
    for row in rows:
        height = max([heights[i] for i in row], default=0.0)
        for i in row:
            places[i] = Place(x[i], top + height / 2, top, top + height)
        top += height + ROW_GAP / 2
    right = max([x[i] + widths[i] / 2 for i in range(len(widths))], default=0.0)
    lanes = [[places[i] for i in chain] for chain in chains]
    return Layered(places[: len(sizes)], lanes, right, max(top - ROW_GAP / 2, 0.0))


def _ranks(count: int, arrows: Sequence[Arrow]) -> list[int]:
    """Return the depth of each box: the longest way to it. What nothing leads to stands right above a target."""
    ranks, has_source = [0] * count, {a.target for a in arrows}
    for arrow in sorted(arrows, key=lambda a: a.target):
        ranks[arrow.target] = max(ranks[arrow.target], ranks[arrow.source] + 1)
    for i in set(range(count)) - has_source:
        ranks[i] = max(0, min([ranks[a.target] for a in arrows if a.source == i], default=1) - 1)
    return ranks


def _ordered(rows: list[list[int]], above: Links, below: Links) -> list[list[int]]:
    """Return the rows, each in an order in which few links cross."""
    best, least = [list(row) for row in rows], _crossings(rows, below)
    for sweep in range(SWEEPS):
        if not least:
            break
        down = sweep % 2 == 0
        for i in range(1, len(rows)) if down else range(len(rows) - 2, -1, -1):
            beside = {n: k for k, n in enumerate(rows[i - 1 if down else i + 1])}
            links = above if down else below
            here = {n: k for k, n in enumerate(rows[i])}

            def middle(n: int, links: Links = links, beside: dict = beside, here: dict = here) -> float:
                at = [beside[m] for m in links[n]]
                return sum(at) / len(at) if at else here[n]

            rows[i].sort(key=middle)
        crossings = _crossings(rows, below)
        if crossings < least:
            best, least = [list(row) for row in rows], crossings
    return best


def _crossings(rows: list[list[int]], below: Links) -> int:
    total = 0
    for row, lower in itertools.pairwise(rows):
        place = {n: k for k, n in enumerate(lower)}
        ends = [place[m] for n in row for m in sorted(below[n], key=place.__getitem__)]
        total += sum(a > b for k, a in enumerate(ends) for b in ends[k + 1 :])
    return total


def _spread(rows: list[list[int]], above: Links, below: Links, widths: list[float], is_box: list[bool]) -> list[float]:
    """Return the middle of each place, from 0 on: near its neighbours' as far as the places of a row stay apart."""
    x = [0.0] * len(widths)

    def gap(a: int, b: int) -> float:
        return (widths[a] + widths[b]) / 2 + (BOX_GAP if is_box[a] and is_box[b] else LANE_GAP)

    offsets: list[list[float]] = []
    for row in rows:
        offsets.append([0.0, *itertools.accumulate([gap(a, b) for a, b in itertools.pairwise(row)])][: len(row)])
        for i, at in zip(row, offsets[-1], strict=True):
            x[i] = at - offsets[-1][-1] / 2
    for sweep in range(2 * SWEEPS):
        down = sweep % 2 == 0
        for row, offset in zip(rows, offsets, strict=True) if down else zip(rows[::-1], offsets[::-1], strict=True):
            wanted, weights = [], []
            for i, at in zip(row, offset, strict=True):
                # Towards the end what is above counts as much as what is below.
                near = {**above[i], **below[i]} if sweep >= SWEEPS else above[i] if down else below[i]
                pulls = [(x[m], pull) for m, pull in near.items()]
                weight = sum(p for _, p in pulls)
                wanted.append((sum(v * p for v, p in pulls) / weight if pulls else x[i]) - at)
                weights.append(weight or 0.1)
            for i, at, moved in zip(row, offset, _rising(wanted, weights), strict=True):
                x[i] = moved + at
    left = min([x[i] - widths[i] / 2 for i in range(len(widths))], default=0.0)
    return [v - left for v in x]


def _rising(wanted: Sequence[float], weights: Sequence[float]) -> list[float]:
    """Return the numbers nearest to the wanted ones, by weighted squares, none of which is below the one before."""
    pools: list[tuple[float, float, int]] = []  # mean, weight, how many
    for value, weight in zip(wanted, weights, strict=True):
        mean, total, count = value, weight, 1
        while pools and pools[-1][0] > mean:
            other, more, n = pools.pop()
            mean, total, count = (mean * total + other * more) / (total + more), total + more, count + n
        pools.append((mean, total, count))
    return [mean for mean, _, count in pools for _ in range(count)]
