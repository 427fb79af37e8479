"""The type of what pictures are drawn on, and the colours that they share."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    AxesLike: TypeAlias = Axes
else:  # Pictures are drawn by the methods of what is handed in; matplotlib itself is not imported.
    AxesLike = object

# Of Okabe and Ito: they stay apart for colour-blind eyes, and in print by their lightness.
BLUE, ORANGE, BLACK, GREY = "#0072B2", "#D55E00", "#222222", "#8A8A8A"


def plain(ax: AxesLike) -> None:
    """Leave of an axes' frame and grid what is needed for reading it."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color="0.9", linewidth=0.8)
    ax.set_axisbelow(True)
