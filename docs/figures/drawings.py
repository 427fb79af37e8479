"""Draws the diagrams of the pages, from a network of three nodes that is small enough to draw: `python drawings.py`.

The SVGs have no style of their own, so that the site's colours, light and dark, reach them (`docs/assets/site.css`);
seen by themselves they have a light ground. `tests/test_site.py` holds that they are what this file draws.
"""

from collections.abc import Sequence
from html import escape
from pathlib import Path

FOLDER = Path(__file__).parent
INK, VALUE, ERROR, QUIET = "#222222", "#3f6fd8", "#d9702b", "#8a8f98"
WEIGHTS, X, TARGET = (0.9, 1.1, 0.8), 1.0, 1.7


# -- the network: h1, h2 and y in a chain, each predicted as weight times the value before ----------------------------
def predictions(weights: Sequence[float], h: Sequence[float]) -> list[float]:
    return [w * before for w, before in zip(weights, [X, *h[:-1]], strict=True)]


def forward(weights: Sequence[float]) -> list[float]:
    h: list[float] = []
    for w in weights:
        h.append(w * ([X, *h][-1]))
    return h


def settle(weights: Sequence[float], h: Sequence[float], steps: int, rate: float = 0.2) -> list[list[float]]:
    """The values after each step, those at the start first; the last one is clamped."""
    found = [list(h)]
    for _ in range(steps):
        now = found[-1]
        e = [a - b for a, b in zip(now, predictions(weights, now), strict=True)]
        moved = [now[i] - rate * (e[i] - weights[i + 1] * e[i + 1]) for i in range(len(now) - 1)]
        found.append([*moved, now[-1]])
    return found


def learned(weights: Sequence[float], h: Sequence[float], rate: float = 0.35) -> list[float]:
    u = predictions(weights, h)
    return [w + rate * (a - b) * c for w, a, b, c in zip(weights, h, u, [X, *h[:-1]], strict=True)]


# -- shapes ------------------------------------------------------------
def text(x: float, y: float, words: str, size: int = 16, anchor: str = "middle", weight: str = "normal") -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" '
        f'fill="{INK}">{escape(words)}</text>'
    )


def line(x1: float, y1: float, x2: float, y2: float, colour: str = INK, width: float = 1.5) -> str:
    kind = ' class="ink"' if colour == INK else ""
    return f'<line{kind} x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="{colour}" stroke-width="{width:g}"/>'


def arrow(x1: float, y1: float, x2: float, y2: float) -> str:
    """A line with a head, along an axis."""
    dx, dy = (x2 > x1) - (x2 < x1), (y2 > y1) - (y2 < y1)
    head = f"M{x2:g} {y2:g} L{x2 - 8 * dx - 5 * dy:g} {y2 - 8 * dy - 5 * dx:g} "
    head += f"M{x2:g} {y2:g} L{x2 - 8 * dx + 5 * dy:g} {y2 - 8 * dy + 5 * dx:g}"
    return line(x1, y1, x2, y2) + f'<path class="ink" d="{head}" stroke="{INK}" stroke-width="1.5" fill="none"/>'


def drawing(width: int, height: int, *parts: str) -> str:
    ground = f'<rect class="ground" width="{width}" height="{height}" rx="8" fill="#ffffff" stroke="#dddddd"/>'
    body = "\n".join((ground, *parts))
    return (
        f'<svg class="drawing" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="sans-serif">\n{body}\n</svg>\n'
    )


def key(x: float, y: float) -> list[str]:
    """What the marks mean."""
    return [
        f'<circle cx="{x:g}" cy="{y:g}" r="7" fill="{VALUE}"/>',
        text(x + 13, y + 6, "value h", anchor="start"),
        f'<circle cx="{x + 105:g}" cy="{y:g}" r="7" fill="none" stroke="{QUIET}" stroke-width="2.5"/>',
        text(x + 118, y + 6, "prediction u", anchor="start"),
        line(x + 240, y - 9, x + 240, y + 9, ERROR, 5),
        text(x + 250, y + 6, "error e = h − u", anchor="start"),
    ]


def panel(
    x: float, y: float, title: str, says: str, h: Sequence[float], u: Sequence[float], clamped: bool
) -> list[str]:
    """The nodes of the network at one time: values and predictions by their heights."""
    bottom, scale = y + 205, 78.0
    parts = [text(x + 145, y + 26, title, 19, weight="bold"), text(x + 145, y + 48, says, 15)]
    for i, name in enumerate(("x", "h₁", "h₂", "y")):
        at = x + 40 + 70 * i
        parts += [line(at, bottom, at, bottom - 140, QUIET, 1), text(at, bottom + 22, name, 16)]
        value = X if i == 0 else h[i - 1]
        if i:
            parts.append(line(at, bottom - scale * u[i - 1], at, bottom - scale * value, ERROR, 5))
            ring = f'<circle cx="{at:g}" cy="{bottom - scale * u[i - 1]:.1f}" r="9" fill="none" '
            parts.append(f'{ring}stroke="{QUIET}" stroke-width="2.5"/>')
        parts.append(f'<circle cx="{at:g}" cy="{bottom - scale * value:.1f}" r="6" fill="{VALUE}"/>')
        if i == 0 or (i == 3 and clamped):  # a double frame says that it is clamped
            parts.append(line(at - 14, bottom + 29, at + 14, bottom + 29, INK, 2))
    return parts


def training_step() -> str:
    start = forward(WEIGHTS)
    clamped = [*start[:-1], TARGET]
    settled = settle(WEIGHTS, clamped, 40)[-1]
    new = learned(WEIGHTS, settled)
    parts = [
        *panel(10, 4, "1. Predict", "each value is its prediction", start, predictions(WEIGHTS, start), False),
        *panel(320, 4, "2. Clamp", "the output is the target", clamped, predictions(WEIGHTS, clamped), True),
        *panel(10, 250, "3. Settle", "the error is shared out", settled, predictions(WEIGHTS, settled), True),
        *panel(320, 250, "4. Learn", "predictions come nearer", settled, predictions(new, settled), True),
        *key(110, 512),
    ]
    return drawing(620, 535, *parts)


def nodes() -> str:
    parts = []
    for i, name in enumerate(("x", "h₁", "h₂")):
        at = 80 + 220 * i
        parts += [
            f'<circle class="ink" cx="{at}" cy="90" r="34" fill="none" stroke="{INK}" stroke-width="2"/>',
            text(at, 97, name, 22),
        ]
        if i:
            parts += [
                arrow(at - 184, 90, at - 62, 90),
                f'<circle cx="{at - 50}" cy="90" r="9" fill="none" stroke="{QUIET}" stroke-width="2.5"/>',
                text(at - 116, 74, f"u{'₁₂'[i - 1]} = f{'₁₂'[i - 1]}({('x', 'h₁')[i - 1]})", 17),
                line(at - 50, 140, at, 140, ERROR, 5),
                line(at - 50, 104, at - 50, 140, QUIET, 1),
                line(at, 126, at, 140, QUIET, 1),
                text(at - 25, 165, f"e{'₁₂'[i - 1]} = h{'₁₂'[i - 1]} − u{'₁₂'[i - 1]}", 17),
            ]
    return drawing(600, 190, *parts, text(80, 150, "the input", 15))


def settling() -> str:
    """The energy of each node after each inference step, one on the other."""
    colours, parts, scale = ("#5b8def", "#7f6fd0", ERROR), [], 430.0
    steps = settle(WEIGHTS, [*forward(WEIGHTS)[:-1], TARGET], 9)
    for t, h in enumerate(steps):
        bottom = 220.0
        for i, (a, b) in enumerate(zip(h, predictions(WEIGHTS, h), strict=True)):
            height = scale * 0.5 * (a - b) ** 2
            bottom -= height
            place = f'x="{70 + 50 * t}" y="{bottom:.2f}" width="34" height="{height:.2f}"'
            parts.append(f'<rect {place} fill="{colours[i]}"/>')
        parts.append(text(87 + 50 * t, 242, str(t)))
    parts += [line(60, 220, 575, 220), text(318, 268, "inference step"), text(60, 30, "energy", anchor="start")]
    for i, name in enumerate(("of h₁", "of h₂", "of y, the output")):
        parts += [
            f'<rect x="{260 + 90 * i}" y="17" width="15" height="15" fill="{colours[i]}"/>',
            text(281 + 90 * i, 30, name, anchor="start"),
        ]
    return drawing(620, 285, *parts)


def rules() -> str:
    """Questions from top to bottom, with the rule to take where the answer is yes."""
    asked = (
        ("A yardstick?", "backprop"),
        ("Backprop's update by local steps?", "zil"),
        ("Samples of a posterior?", "mcpc"),
        ("A network for each direction?", "hybrid, bpc"),
        ("More than ten layers?", "epc (or muPC)"),
        ("Values and weights move together?", "ipc"),
        ("A settled update after Z-IL's?", "hil"),
        ("A weak teaching signal?", "nudged"),
        ("Errors that relax to backprop's?", "fpa"),
    )
    parts, step = [], 62
    for i, (question, rule) in enumerate(asked):
        y = 14 + step * i
        box = f'<rect class="ink" x="14" y="{y}" width="330" height="38" rx="19" fill="none" stroke="{INK}"/>'
        answer = (
            f'<rect x="418" y="{y}" width="188" height="38" rx="5" fill="none" stroke="{VALUE}" stroke-width="2.5"/>'
        )
        parts += [box, text(179, y + 25, question, 17), answer, text(512, y + 25, rule, 17, weight="bold")]
        parts += [arrow(344, y + 19, 414, y + 19), text(376, y + 13, "yes", 15)]
        parts += [arrow(179, y + 38, 179, y + step), text(200, y + 55, "no", 15)]
    y = 14 + step * len(asked)
    last = f'<rect x="104" y="{y}" width="150" height="38" rx="5" fill="none" stroke="{VALUE}" stroke-width="2.5"/>'
    return drawing(620, y + 52, *parts, last, text(179, y + 25, "pc", 17, weight="bold"))


DRAWINGS = {"training-step": training_step, "nodes": nodes, "settling": settling, "rules": rules}

if __name__ == "__main__":
    for name, draw in DRAWINGS.items():
        (FOLDER / f"{name}.svg").write_text(draw(), encoding="utf-8")
