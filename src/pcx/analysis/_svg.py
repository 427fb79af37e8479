"""SVG of boxes and arrows: readable on light and dark pages, in grey, and by those who listen."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from ._boxes import Box, Line
from ._layered import Arrow, Layered, Place, layered

_STYLE = """
.pxa text { font: 12px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace; fill: #111;
  text-anchor: middle; dominant-baseline: central; white-space: pre; }
.pxa .name { font-weight: bold; }
.pxa .page { fill: #fff; }
.pxa .free { fill: #e3eefb; stroke: #1d4f87; stroke-width: 1.3; }
.pxa .clamped { fill: #d5d5d5; stroke: #111; stroke-width: 3; }
.pxa .within { fill: none; stroke: #111; stroke-width: 1; }
.pxa .input { fill: #fff; stroke: #555; stroke-width: 1.3; stroke-dasharray: 5 3; }
.pxa .way { fill: none; stroke: #555; stroke-width: 1.4; }
.pxa .head { fill: #555; stroke: none; }
.pxa .label { font-size: 11px; fill: #333; }
.pxa .bar { fill: #d55e00; stroke: none; }
.pxa .rail { fill: #888; fill-opacity: 0.25; stroke: none; }
@media (prefers-color-scheme: dark) {
.pxa text { fill: #f2f2f2; }
.pxa .page { fill: #15181c; }
.pxa .free { fill: #1c3148; stroke: #8fbcf0; }
.pxa .clamped { fill: #4a4a4a; stroke: #f2f2f2; }
.pxa .within { stroke: #f2f2f2; }
.pxa .input { fill: #15181c; stroke: #b5b5b5; }
.pxa .way { stroke: #b5b5b5; }
.pxa .head { fill: #b5b5b5; }
.pxa .label { fill: #d5d5d5; }
.pxa .bar { fill: #f0a050; }
}
"""
_EM, _LINE, _PAD, _MARGIN = 7.4, 16.0, 12.0, 16.0
_CARDS = 6.0  # how far the cards behind a box that stands for several reach
_LONGEST = 44  # characters of a line


class Picture(NamedTuple):
    """A network to draw, beside others: heading, boxes and arrows."""

    heading: str
    boxes: Sequence[Box]
    lines: Sequence[Line]


def svg_of(title: str, pictures: Sequence[Picture]) -> str:
    """Return a drawing of networks side by side.

    **Arguments:**

    - `title`: all of it in a few words, for those who don't see it.
    - `pictures`: the networks.
    """
    parts: list[str] = []
    right, bottom = _MARGIN, 0.0
    for picture in pictures:
        places = layered(
            [_size(box) for box in picture.boxes],
            [
                Arrow(line.source, line.target, *((_wide(short(line.label), 6.9) + 8, _LINE) if line.label else ()))
                for line in picture.lines
            ],
        )
        head = _LINE + 8 if picture.heading else 0.0
        wide = max(places.width, _wide(picture.heading))
        inside = _drawn(picture, places)
        if picture.heading:
            inside.insert(0, _text(places.width / 2, -head + 6, picture.heading, "name"))
        shift = right + (wide - places.width) / 2
        parts.append(f'<g transform="translate({shift:.1f} {_MARGIN + head:.1f})">\n' + "\n".join(inside) + "\n</g>")
        right, bottom = right + wide + 2.5 * _MARGIN, max(bottom, places.height + head + 2 * _MARGIN)
    width, height = right - 1.5 * _MARGIN, bottom
    root = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="pxa" role="img" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" style="max-width: 100%; height: auto">'
    )
    return "\n".join(
        [
            root,
            f"<title>{escaped(title)}</title>",
            f"<style>{_STYLE}</style>",
            f'<rect class="page" width="{width:.0f}" height="{height:.0f}" rx="6"/>',
            *parts,
            "</svg>\n",
        ]
    )


def escaped(text: str) -> str:
    """Return text as it may stand in XML; what XML can't hold is replaced.

    **Arguments:**

    - `text`: any.
    """
    allowed = re.sub("[^ -\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text)
    return html.escape(allowed)


def short(text: str) -> str:
    """Return text with its middle left out where it is long.

    **Arguments:**

    - `text`: any.
    """
    half = _LONGEST // 2 - 1
    return text if len(text) <= _LONGEST else f"{text[:half]}\u2026{text[-half:]}"


def _wide(text: str, em: float = _EM) -> float:
    return em * sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _size(box: Box) -> tuple[float, float]:
    width = max([_wide(short(text)) for text in (box.name, *box.lines)])
    bar = 8.0 if box.share is not None else 0.0
    height = _LINE * (1 + len(box.lines)) + _PAD + bar
    return width + 2 * _PAD + (2 * _CARDS if box.several else 0), height + (_CARDS if box.several else 0)


def _drawn(picture: Picture, places: Layered) -> list[str]:
    """Return the elements of a network's drawing, arrows beneath boxes."""
    starts = _ports(picture, places, at_start=True)
    ends = _ports(picture, places, at_start=False)
    arrows = []
    for i, line in enumerate(picture.lines):
        source, target = picture.boxes[line.source], picture.boxes[line.target]
        a, b = places.boxes[line.source], places.boxes[line.target]
        begin = a.y + _size(source)[1] / 2
        end = b.y - _size(target)[1] / 2
        arrows.append(_arrow(line, (starts[i], begin, a), (ends[i], end, b), places.lanes[i]))
    return [*arrows, *[_box(box, place) for box, place in zip(picture.boxes, places.boxes, strict=True)]]


def _ports(picture: Picture, places: Layered, at_start: bool) -> list[float]:
    """Return where at its box each arrow begins or ends, so that those of one box don't lie on each other."""
    found = [0.0] * len(picture.lines)
    for i, (box, place) in enumerate(zip(picture.boxes, places.boxes, strict=True)):
        own = [k for k, line in enumerate(picture.lines) if (line.source if at_start else line.target) == i]
        own.sort(key=lambda k: places.lanes[k][0 if at_start else -1].x)
        apart = min(18.0, (_size(box)[0] - 2 * _PAD) / max(len(own), 1))
        for at, k in enumerate(own):
            found[k] = place.x + (at - (len(own) - 1) / 2) * apart
    return found


def _arrow(
    line: Line, begin: tuple[float, float, Place], end: tuple[float, float, Place], lanes: Sequence[Place]
) -> str:
    x, y, place = begin
    path = [f"M{x:.1f} {y:.1f}V{place.bottom:.1f}"]
    y = place.bottom
    label = ""
    for i, lane in enumerate(lanes):
        path.append(_curve(x, y, lane.x, lane.top))
        x, y = lane.x, lane.bottom
        if line.label and i == len(lanes) - 1:
            label = "\n" + _text(x, lane.y, short(line.label), "label")
            path.append(f"M{x:.1f} {y:.1f}")
        else:
            path.append(f"V{y:.1f}")
    tip_x, tip, last = end
    path.append(_curve(x, y, tip_x, last.top - 7) + f"V{tip - 6:.1f}")
    head = f"M{tip_x - 4:.1f} {tip - 8:.1f}h8L{tip_x:.1f} {tip:.1f}z"
    return (
        f'<g><title>{escaped(line.told)}</title>\n<path class="way" d="{"".join(path)}"/>'
        f'<path class="head" d="{head}"/>{label}</g>'
    )


def _curve(x: float, y: float, to_x: float, to_y: float) -> str:
    if abs(to_x - x) < 0.05:
        return f"V{to_y:.1f}"
    middle = (y + to_y) / 2
    return f"C{x:.1f} {middle:.1f} {to_x:.1f} {middle:.1f} {to_x:.1f} {to_y:.1f}"


def _box(box: Box, place: Place) -> str:
    width, height = _size(box)
    top = place.y - height / 2
    if box.several:
        width, height = width - 2 * _CARDS, height - _CARDS
    left = place.x - width / 2
    found = [f"<g><title>{escaped(box.told)}</title>"]
    round_ = {"input": 16.0, "free": 8.0, "clamped": 0.0}[box.kind]
    if box.several:  # cards behind
        found += [_rect(left + d, top + d, width, height, round_, box.kind) for d in (_CARDS, _CARDS / 2)]
    found.append(_rect(left, top, width, height, round_, box.kind))
    if box.kind == "clamped":
        found.append(_rect(left + 4, top + 4, width - 8, height - 8, 0, "within"))
    y = top + _PAD / 2 + _LINE / 2
    for i, text in enumerate((box.name, *box.lines)):
        found.append(_text(place.x, y + i * _LINE, short(text), "name" if i == 0 else ""))
    if box.share is not None:
        under, whole = top + height - 12, width - 2 * _PAD
        found.append(_rect(left + _PAD, under, whole, 4, 0, "rail"))
        found.append(_rect(left + _PAD, under, whole * box.share, 4, 0, "bar"))
    return "\n".join([*found, "</g>"])


def _rect(x: float, y: float, width: float, height: float, round_: float, kind: str) -> str:
    corner = f' rx="{round_:.1f}"' if round_ else ""
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"{corner}/>'


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:.1f}" y="{y:.1f}">{escaped(text)}</text>'
