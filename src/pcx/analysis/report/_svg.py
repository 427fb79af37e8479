"""Pictures as SVG inside a page: their text stays text, and their colours are those of the page, light or dark."""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...training import own_config
from ._parts import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Drawn in these, and written as variables of the page's style. Okabe and Ito's come first: they stay apart for
# colour-blind eyes.
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#7f7f7f")
STEPS = tuple(f"#fe01{i:02x}" for i in range(10))  # of a scale, from first to last
INK, GRID = "#1f2328", "#dedede"
_VARIABLES = {
    **{colour: f"var(--c{i})" for i, colour in enumerate(SERIES)},
    **{colour: f"var(--s{i})" for i, colour in enumerate(STEPS)},
    **dict.fromkeys((INK, "#222222", "#000000"), "var(--ink)"),
    **dict.fromkeys((GRID, "#e6e6e6"), "var(--grid)"),
}
_SIZE = (4.6, 3.2)  # inches: letters are of a size to be read on a phone, where it is as wide as the screen
_STYLE: dict[Any, object] = {
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "axes.unicode_minus": True,
    "axes.formatter.use_mathtext": False,
}


def figure(title: str, words: str, draw: Callable[[Axes], object], legend: bool = False, math: bool = False) -> Figure:
    """Draw a picture.

    **Arguments:**

    - `title`: stands above it.
    - `words`: for who can't see it.
    - `draw`: draws on the axes that it is given.
    - `legend`: whether what has a label is explained below it.
    - `math`: whether what stands between dollars is mathematics.

    **Returns:** the picture as a part of a section.
    """
    with own_config():
        import matplotlib
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure as Canvas

        salt = hashlib.sha256(f"{title}\0{words}".encode("utf-8", "replace")).hexdigest()[:12]
        style = {**matplotlib.rcParamsDefault, **_STYLE, "svg.hashsalt": salt, "text.parse_math": math}
        del style["backend"]  # which would be for good
        with matplotlib.rc_context(style), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing")  # the browser has other letters
            made = Canvas(figsize=_SIZE, layout="constrained")
            FigureCanvasSVG(made)
            axes = made.subplots()
            draw(axes)
            handles, labels = axes.get_legend_handles_labels()
            if legend and handles:
                columns = 1 if max(map(len, labels)) > 24 else 2 if max(map(len, labels)) > 12 else 3
                rows = -(-len(handles) // columns)
                made.set_size_inches(_SIZE[0], _SIZE[1] + 0.19 * rows)
                made.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=9, handlelength=2.4)
            written = io.StringIO()
            nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
            made.savefig(written, format="svg", metadata=nothing)
    return Figure(title, in_page(written.getvalue(), salt), words)


def in_page(svg: str, prefix: str) -> str:
    """Return SVG as matplotlib writes it fit to stand inside a page.

    **Arguments:**

    - `svg`: a file's text.
    - `prefix`: of its ids, which must be apart from those of other pictures.

    **Returns:** the element, without the heads of a file, with colours of the page.
    """
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>", "", svg, flags=re.DOTALL)
    # Inside of tags alone: in the texts between them "<" is written otherwise.
    return re.sub(r"<[^>]*>", lambda tag: _own(tag[0], prefix), svg)


def _own(tag: str, prefix: str) -> str:
    tag = re.sub(r'(\sid="|url\(#|href="#)', rf"\g<1>{prefix}-", tag)
    if tag.startswith("<svg"):  # as wide as its place
        tag = re.sub(r'\s(width|height|xmlns:xlink|xmlns|version)="[^"]*"', "", tag)
        return tag.replace("<svg", '<svg aria-hidden="true" focusable="false"', 1)
    return re.sub(r"#[0-9a-f]{6}\b", lambda found: _VARIABLES.get(found[0], found[0]), tag)
