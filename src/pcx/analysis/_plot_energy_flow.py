"""A picture of how energy or gradients run through a network while its values settle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from ..core import positive
from ._axes import SCALE, AxesLike, axes_or_new, name_ticks, whole_ticks
from ._given import some_finite
from ._trace import Trace, the_trace

DECADES = 12.0
TAKES = "trace must be what pxa.trace gives, pxa.trace(rule, run.states[0], batch)"


def plot_energy_flow(
    trace: Trace | Sequence[Trace],
    ax: AxesLike | None = None,
    *,
    of: Literal["energies", "gradients"] = "energies",
    decades: float = DECADES,
) -> AxesLike:
    """Draw the energy of each node at each inference step as an image, on a logarithmic scale: nodes from the input,
    below, to the output, above; steps from the left to the right. What is 0 is hatched.

    **Arguments:**

    - `trace`: as `pxa.trace` gives it, also in a tuple by itself; of several networks their mean is drawn.
    - `ax`: the axes to draw on; those of a new figure if there are none.
    - `of`: `"energies"`, or `"gradients"` for the norms of `dE/dh`.
    - `decades`: how many powers of ten the scale has at most, from the largest number down; what is less has the
        darkest colour.

    **Returns:** the axes.

    **Raises:** `TypeError` for what is no trace; `ValueError` for several, for one without nodes or finite numbers, for
        what is neither energies nor gradients, and for a scale of no length.
    """
    if of not in ("energies", "gradients"):
        raise ValueError(f"plot_energy_flow: of is 'energies' or 'gradients', got {of!r}")
    positive("plot_energy_flow", "decades", decades)
    rows: dict[str, Any] = getattr(the_trace("plot_energy_flow", TAKES, trace), of)
    if not rows:
        raise ValueError(f"plot_energy_flow: the trace has no {of}")
    image = taken(np.stack([mean_of(row) for row in rows.values()]))
    some_finite("plot_energy_flow", of, [image])
    there = np.ma.masked_where(~(np.isfinite(image) & (image > 0)), image)
    ax = axes_or_new("plot_energy_flow", ax)
    if there.count():
        highest = float(there.max())
        lowest = max(float(there.min()), highest * 10.0**-decades)
        lowest = min(lowest, highest / 10)  # one number alone has a scale, too
        norm: dict[str, Any] = {"norm": "log", "vmin": lowest, "vmax": highest}
    else:
        lowest, norm = 0.0, {}
    edge = 0.5
    drawn = ax.imshow(
        there,
        aspect="auto",
        origin="lower",
        interpolation="nearest",
        cmap=SCALE,
        extent=(-edge, image.shape[1] - edge, -edge, len(image) - edge),
        **norm,
    )
    ax.patch.set(facecolor="white", edgecolor="0.75", hatch="xxx")  # not alike any colour, in print neither
    ax.grid(False)
    name_ticks(ax, list(rows), "y")
    whole_ticks(ax)
    ax.set_xlabel("inference step")
    ax.set_ylabel("node, from the input to the output")
    what = "energy, mean of samples" if of == "energies" else "norm of dE/dh"
    gaps = [said for said, found in (("0", image == 0), ("not finite", ~np.isfinite(image))) if np.any(found)]
    if gaps:
        what += f"\nhatched: {' or '.join(gaps)}"
    if there.count() and ax.figure is not None:
        below = bool(there.min() < lowest)
        ax.figure.colorbar(drawn, ax=ax, label=what, extend="min" if below else "neither")
    ax.set_title("Energy flow" if of == "energies" else "Gradient flow")
    return ax


def mean_of(row: Float[np.ndarray, "*networks steps"]) -> Float[np.ndarray, " steps"]:
    """Return a row of numbers by step, the mean of the networks; those that have stopped stay where they are until the
    last one stops. NaN after that.

    **Arguments:**

    - `row`: of one network or of several.
    """
    each = np.array(row, float).reshape(-1, np.shape(row)[-1])
    ends = [int(np.flatnonzero(there)[-1]) if there.any() else -1 for there in ~np.isnan(each)]
    for network, end in zip(each, ends, strict=True):
        if end >= 0:
            network[end + 1 : max(ends) + 1] = network[end]
    return each.mean(axis=0)


def taken(image: Float[np.ndarray, "nodes steps"]) -> Float[np.ndarray, "nodes taken"]:
    """Return the steps that were taken: up to the last at which a number is there.

    **Arguments:**

    - `image`: by node and step, NaN where nothing is.
    """
    there = np.flatnonzero(np.any(~np.isnan(image), axis=0))
    return image[:, : int(there[-1]) + 1 if len(there) else 1]
