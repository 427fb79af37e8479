"""The axes that pictures are drawn on, and what they share: colours, markers, the names of nodes along an axis."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ..core import see
from ._given import wrong

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    AxesLike: TypeAlias = Axes
else:  # Pictures are drawn by the methods of what is handed in; matplotlib is imported for new axes alone.
    AxesLike = object

# Of Okabe and Ito: they stay apart for colour-blind eyes, and in print by their lightness.
BLUE, ORANGE, BLACK, GREY = "#0072B2", "#D55E00", "#222222", "#8A8A8A"
COLOURS = (BLUE, ORANGE, "#009E73", "#CC79A7", BLACK, "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 3)))
LOOKS = len(COLOURS)
SCALE = "cividis"
"""The colours of numbers: from dark to light, and seen alike by all eyes."""

LONGEST, MOST, FEW = 24, 16, 10
"""The longest name that is written out, in letters, the most names along an axis, and in a legend."""


def axes_or_new(call: str, ax: AxesLike | None) -> AxesLike:
    """Return axes to draw on: those that are given, or those of a new figure; one of `pyplot` where a program has
    imported it, so that it shows itself, and otherwise one that is nobody's.

    **Arguments:**

    - `call`: the picture's name, for errors.
    - `ax`: the axes that were handed in.

    **Raises:** `TypeError` for what are no axes; `ImportError` without matplotlib.
    """
    if ax is not None:
        if not callable(getattr(ax, "imshow", None)) or not hasattr(ax, "set_xlabel"):
            raise wrong(call, "ax must be the axes of a figure, as figure.subplots() gives one", ax)
        return ax
    pyplot: Any = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        return pyplot.figure(layout="constrained").subplots()
    try:
        from matplotlib.figure import Figure  # as seldom as can be: it takes a second
    except ImportError as e:
        raise ImportError(f"{call}: pictures need matplotlib: pip install matplotlib{see('package')}") from e

    return Figure(layout="constrained").subplots()


def look_of(place: int) -> tuple[str, str, Any]:
    """Return colour, marker and kind of line of one of several: no two of the first 49 have the same three.

    **Arguments:**

    - `place`: which it is, from 0.
    """
    turn = place // LOOKS
    return COLOURS[place % LOOKS], MARKERS[(place + turn) % LOOKS], LINES[(place + 2 * turn) % LOOKS]


def plain(ax: AxesLike, grid: Literal["both", "x", "y"] = "y") -> None:
    """Leave of an axes' frame and grid what is needed for reading it.

    **Arguments:**

    - `ax`: the axes.
    - `grid`: the axis whose ticks have lines.
    """
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis=grid, color="0.9", linewidth=0.8)
    ax.set_axisbelow(True)


def short(name: str, longest: int = LONGEST) -> str:
    """Return a name of which the middle is left out if it is long; `"(model)"` for none.

    **Arguments:**

    - `name`: of a node, a layer, a rule.
    - `longest`: so many letters stay.
    """
    if len(name) <= longest:
        return name or "(model)"
    begin = (longest - 1) // 3
    return f"{name[:begin]}…{name[len(name) - (longest - 1 - begin) :]}"


def name_ticks(ax: AxesLike, names: Sequence[str], axis: Literal["x", "y"], most: int | None = None) -> None:
    """Write names at 0, 1, 2, ... of an axis: of many some, at equal distances, the first and the last among them if
    that goes.

    **Arguments:**

    - `ax`: the axes.
    - `names`: all names.
    - `axis`: along which; along x there is room for fewer and shorter ones.
    - `most`: so many at most.
    """
    at = some_of(len(names), most or (MOST if axis == "y" else MOST - 6))
    labels = [short(names[i], LONGEST if axis == "y" else LONGEST - 6) for i in at]
    if axis == "y":
        ax.set_yticks(at, labels)
        return
    ax.set_xticks(at, labels)
    if sum(map(len, labels)) > 42:
        ax.tick_params("x", rotation=40)
        for label in ax.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")


def some_of(count: int, most: int = MOST) -> list[int]:
    """Return some of the numbers below `count`, at equal distances, from 0 on; as far as `count - 1` if a distance
    divides it.

    **Arguments:**

    - `count`: how many there are.
    - `most`: how many to return at most.
    """
    if count <= most:
        return list(range(count))
    least = -(-(count - 1) // (most - 1))
    even = [d for d in range(least, 2 * least + 1) if (count - 1) % d == 0]
    return list(range(0, count, even[0] if even else least))


def whole_ticks(ax: AxesLike, axis: Literal["x", "y"] = "x") -> None:
    """Put ticks at whole numbers alone.

    **Arguments:**

    - `ax`: the axes.
    - `axis`: of which.
    """
    ticks: Any = (ax.xaxis if axis == "x" else ax.yaxis).get_major_locator()
    ticks.set_params(integer=True)


def depth_colours(count: int) -> list[Any]:
    """Return a colour for each of several layers or nodes, from dark at the input to light at the output.

    **Arguments:**

    - `count`: how many.
    """
    from matplotlib import colormaps

    return [colormaps[SCALE](0.92 * i / max(count - 1, 1)) for i in range(count)]


def depth_key(ax: AxesLike, names: Sequence[str], few: int = FEW) -> None:
    """Say beside the axes which colour is which node or layer: by a legend of a few, the output's on top; by a scale of
    many.

    **Arguments:**

    - `ax`: the axes; what was drawn on it has labels.
    - `names`: of all, in order, of which each has its colour of `depth_colours`.
    - `few`: up to how many there is a legend.
    """
    if len(names) <= few:
        handles, labels = ax.get_legend_handles_labels()
        ax.legend(
            handles[::-1], labels[::-1], frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1.01, 0.5)
        )
        return
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    scale = ScalarMappable(Normalize(-0.5, len(names) - 0.5), ListedColormap(depth_colours(len(names))))
    assert ax.figure is not None
    at = some_of(len(names), few)
    ax.figure.colorbar(scale, ax=ax).set_ticks(at, labels=[short(names[i]) for i in at])
