"""Pictures of theory beside what is measured: points and full lines are measured, dashed lines are theory."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Float

from ._axes import BLACK, BLUE, GREY, ORANGE, AxesLike, axes_or_new, plain, whole_ticks
from ._curvature import Curvature
from ._equilibrated_energy import EquilibratedEnergy
from ._given import numbers, some_finite, wrong
from ._saddle import Saddle


def plot_activity(
    measured: Mapping[str, ArrayLike],
    expected: Mapping[str, ArrayLike] | None = None,
    ax: AxesLike | None = None,
    *,
    label: str | None = None,
    colour: str = BLUE,
) -> AxesLike:
    """Draw the mean square of each node's prediction, from the input to the output, on a logarithmic scale.

    **Arguments:**

    - `measured`: as `pxa.activity` gives it, `{node: mean square}`; of several networks `{node: [networks]}`, each of
        which is drawn. Drawn in this order, if `expected` doesn't give one.
    - `expected`: what `pxa.expected_activity` gives, to be drawn beside it.
    - `ax`: the axes to draw on; those of a new figure if there are none.
    - `label`: for the legend.
    - `colour`: of both.

    **Returns:** the axes.

    **Raises:** `TypeError` for what are no numbers by node; `ValueError` if the two are of other nodes, or no number is
        finite.
    """
    measured = _by_node("plot_activity", "measured", measured, "pxa.activity(bound)")
    if expected is not None:
        expected = _by_node("plot_activity", "expected", expected, "pxa.expected_activity(model, x)")
    if expected is not None and set(expected) != set(measured):
        raise ValueError(f"plot_activity: measured has the nodes {list(measured)}, expected {list(expected)}")
    shapes = {n: v.shape for n, v in measured.items()}
    if len(set(shapes.values())) > 1 or any(len(shape) > 1 for shape in shapes.values()):
        raise ValueError(f"plot_activity: measured is {{node: mean square}} or {{node: [networks]}}, got {shapes}")
    some_finite("plot_activity", "numbers", list(measured.values()))
    ax = axes_or_new("plot_activity", ax)
    names = list(measured if expected is None else expected)  # in their order: JAX sorts what it maps
    values = np.asarray([np.atleast_1d(measured[n]) for n in names])
    at = np.arange(1, len(values) + 1)
    faint = 1.0 if values.shape[1] == 1 else max(0.15, 1 / values.shape[1] ** 0.5)
    for i, network in enumerate(values.T):
        said = "measured" if label is None else f"{label}, measured"
        ax.plot(at, network, "o", color=colour, markersize=4, alpha=faint, markeredgewidth=0, label=None if i else said)
    if expected is not None:
        said = "expected" if label is None else f"{label}, expected"
        ax.plot(at, [float(expected[n]) for n in names], "--", color=colour, linewidth=1.4, label=said)
    ax.set_yscale("log")
    whole_ticks(ax)
    ax.set_xlabel("node, from the input to the output")
    ax.set_ylabel("mean square of the prediction")
    ax.legend(frameon=False, fontsize="small")
    plain(ax)
    return ax


def plot_equilibrated_energy(
    energies: Mapping[str, ArrayLike], theory: EquilibratedEnergy, ax: AxesLike | None = None, *, colour: str = BLUE
) -> AxesLike:
    """Draw how the energy of a batch comes down to its value at equilibrium while values settle.

    **Arguments:**

    - `energies`: of each node at every step, `{node: [steps + 1, batch]}`, as `pxi.relax(..., trace=True).trace`.
    - `theory`: as `pxa.equilibrated_energy` gives it.
    - `ax`: the axes to draw on; those of a new figure if there are none.
    - `colour`: of the measured line.

    **Returns:** the axes.

    **Raises:** `TypeError` for what are no energies by node, or no theory; `ValueError` if there are no energies, none
        that is finite, or of another batch.
    """
    call = "plot_equilibrated_energy"
    energies = _by_node(call, "energies", energies, "pxi.relax(..., trace=True).trace")
    if not isinstance(theory, EquilibratedEnergy):
        raise wrong(call, "theory must be what pxa.equilibrated_energy(bound) gives", theory)
    total = sum(energies.values()) if energies else np.zeros((0,))
    if np.shape(total)[1:] != np.shape(theory.energy):
        raise ValueError(
            f"plot_equilibrated_energy: energies are {{node: [steps + 1, batch]}}, of {len(theory.energy)} samples "
            f"here; got {np.shape(total)}"
        )
    some_finite(call, "energies", [np.asarray(total)])
    ax = axes_or_new(call, ax)
    mean = np.mean(total, axis=1)
    ax.plot(np.arange(len(mean)), mean, color=colour, linewidth=1.8, label="energy, measured")
    loss, energy = float(np.mean(theory.loss)), float(np.mean(theory.energy))
    ax.axhline(loss, color=GREY, linewidth=1.2, linestyle=":", label=f"loss of a forward pass, {loss:.3g}")
    ax.axhline(energy, color=ORANGE, linewidth=1.4, linestyle="--", label=f"at equilibrium, by theory {energy:.3g}")
    ax.set_ylim(bottom=0)
    ax.set_xlabel("inference step")
    ax.set_ylabel("energy, mean of the batch")
    ax.legend(frameon=False, fontsize="small", loc="lower left")
    plain(ax)
    return ax


def plot_saddle(
    theory: Saddle,
    measured: Curvature | None = None,
    ax: AxesLike | None = None,
    *,
    label: str | None = None,
    colour: str = BLUE,
    linestyle: str = "-",
) -> AxesLike:
    """Draw the eigenvalues at zero weights in ascending order, one for each weight.

    **Arguments:**

    - `theory`: as `pxa.saddle_at_zero` gives it.
    - `measured`: the ends of the spectrum, as `pxa.weight_curvature` gives them, with bars for how far they may be off.
    - `ax`: the axes to draw on; those of a new figure if there are none.
    - `label`: for the legend.
    - `colour`, `linestyle`: of the line.

    **Returns:** the axes.

    **Raises:** `TypeError` for what is no saddle or curvature; `ValueError` for a saddle of which no value is finite.
    """
    if not isinstance(theory, Saddle):
        raise wrong("plot_saddle", "theory must be what pxa.saddle_at_zero(x, y, widths) gives", theory)
    if measured is not None and not isinstance(measured, Curvature):
        raise wrong("plot_saddle", "measured must be what pxa.weight_curvature(bound) gives", measured)
    some_finite("plot_saddle", "values", [np.asarray(theory.values)])
    ax = axes_or_new("plot_saddle", ax)
    edges = np.concatenate([[0], np.cumsum(theory.counts)])
    values = np.asarray(theory.values)
    ax.stairs(values, edges, baseline=None, color=colour, linewidth=1.8, linestyle=linestyle, label=label or "theory")
    ax.axhline(0, color=GREY, linewidth=0.8)
    if measured is not None:
        ends = [float(measured.smallest), float(measured.largest)]
        errors = [float(measured.smallest_error), float(measured.largest_error)]
        said = "measured" if label is None else f"{label}, measured"
        at = [0.5, edges[-1] - 0.5]
        ax.vlines(at, np.subtract(ends, errors), np.add(ends, errors), color=BLACK, linewidth=1)
        ax.plot(at, ends, "o", color=BLACK, markersize=5, fillstyle="none", label=said)
    ax.set_xlabel("weights, by eigenvalue")
    ax.set_ylabel("eigenvalue of the Hessian")
    ax.legend(frameon=False, fontsize="small", loc="lower right")
    plain(ax)
    return ax


def _by_node(call: str, name: str, x: object, source: str) -> dict[str, Float[np.ndarray, ...]]:
    """Return numbers by node."""
    if not isinstance(x, Mapping):
        raise wrong(call, f"{name} must be {{node: numbers}}, as {source} is", x)
    return {str(node): numbers(call, f"{name} of {node}", each) for node, each in x.items()}
