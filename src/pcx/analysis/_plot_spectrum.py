"""A picture of a spectrum."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from ..core import positive
from ._axes import BLACK, BLUE, ORANGE, AxesLike, axes_or_new, plain
from ._curvature import Curvature
from ._given import wrong
from ._spectrum import Spectrum

POINTS = 400


def plot_spectrum(
    spectrum: Spectrum,
    curvature: Curvature | None = None,
    ax: AxesLike | None = None,
    *,
    label: str | None = None,
    colour: str = BLUE,
    width: float | None = None,
) -> AxesLike:
    """Draw the density of the eigenvalues of a Hessian: over their logarithms if all are above 0
    and they span more than a power of ten.

    **Arguments:**

    - `spectrum`: as `pxa.spectrum` gives it.
    - `curvature`: the ends, as `pxa.curvature` gives them, to be marked; of several samples, the outermost. One that
        may be off by more than a hundredth is said to be so.
    - `ax`: the axes to draw on; those of a new figure if there are none.
    - `label`: for a legend, where several are drawn.
    - `colour`: of the curve.
    - `width`: to which each eigenvalue is widened, in powers of 10 or as it is; by default a fiftieth of the range.

    **Returns:** the axes.

    **Raises:** `TypeError` for what is no spectrum or curvature; `ValueError` for a spectrum with numbers that are
        not finite, and for a width of 0 or less.
    """
    if not isinstance(spectrum, Spectrum):
        raise wrong("plot_spectrum", "spectrum must be what pxa.spectrum(landscape) gives", spectrum)
    if curvature is not None and not isinstance(curvature, Curvature):
        raise wrong("plot_spectrum", "curvature must be what pxa.curvature(landscape) gives", curvature)
    if width is not None:
        positive("plot_spectrum", "width", width)
    values = np.asarray(spectrum.values)[np.asarray(spectrum.weights) > 1e-8]
    if not np.all(np.isfinite(values)):
        raise ValueError("plot_spectrum: the spectrum has values that are not finite")
    ax = axes_or_new("plot_spectrum", ax)
    logs = bool(np.all(values > 0) and values.max() > 10 * values.min())
    ends = np.log10([values.min(), values.max()]) if logs else np.array([values.min(), values.max()])
    width = max(float(ends[1] - ends[0]) / 50, 1e-3) if width is None else width
    at = jnp.linspace(ends[0] - 4 * width, ends[1] + 4 * width, POINTS)
    density = np.asarray(spectrum.density_of_logs(at, width) if logs else spectrum.density(at, width))
    x = 10 ** np.asarray(at) if logs else np.asarray(at)
    ax.fill_between(x, density, color=colour, alpha=0.25, linewidth=0)
    ax.plot(x, density, color=colour, linewidth=1.6, label=label)
    ax.set_xlabel("eigenvalue of the Hessian")
    ax.set_ylabel("density by power of ten" if logs else "density")
    plain(ax)
    if curvature is not None:
        _mark(ax, jax.device_get(curvature), logs)
    ax.set_ylim(0, max(ax.get_ylim()[1], 1.35 * float(density.max())))  # room for the legend
    if logs:
        _log_ticks(ax)
    if curvature is not None or label is not None:
        ax.legend(fontsize="small", loc="upper left", facecolor="white", edgecolor="none", framealpha=0.9)
    return ax


def _mark(ax: AxesLike, curvature: Curvature, logs: bool) -> None:
    """Draw lines at both ends, with the step that the upper one allows."""
    low, high = int(np.argmin(curvature.smallest)), int(np.argmax(curvature.largest))
    smallest, largest = float(np.ravel(curvature.smallest)[low]), float(np.ravel(curvature.largest)[high])
    below = _off(smallest, float(np.ravel(curvature.smallest_error)[low]))
    above = _off(largest, float(np.ravel(curvature.largest_error)[high]))
    if not logs or smallest > 0:
        ax.axvline(smallest, color=BLACK, linewidth=1.2, linestyle=":", label=f"smallest {smallest:.2g}{below}")
    step = f": steps below {2 / largest:.2g} are stable" if largest > 0 else ""
    ax.axvline(largest, color=ORANGE, linewidth=1.4, linestyle="--", label=f"largest {largest:.2g}{above}{step}")


def _off(value: float, error: float) -> str:
    """Return by how much a number may be off, in words, where that is worth saying."""
    return f" \u00b1 {error:.1g}" if error > 0.01 * abs(value) else ""


def _log_ticks(ax: AxesLike) -> None:
    """Put the scale in powers of ten, with as many ticks as can be read."""
    ax.set_xscale("log")
    low, high = ax.get_xlim()
    between = (1, 2, 5) if high < 100 * low else (1,)
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    ticks = [m * 10.0**p for p in powers for m in between if low <= m * 10.0**p <= high]
    ticks = ticks[:: max(1, -(-len(ticks) // 6))]
    ax.set_xticks(ticks, [f"{t:g}" for t in ticks])
    ax.set_xticks([], minor=True)
    ax.set_xlim(low, high)
