"""Pictures of where in a network the energy is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from ._axes import (
    BLACK,
    BLUE,
    GREY,
    AxesLike,
    axes_or_new,
    depth_colours,
    depth_key,
    name_ticks,
    plain,
    short,
    whole_ticks,
)
from ._history import History, number, rows_of
from ._plot_energy_flow import mean_of, taken
from ._record import Regime
from ._trace import Trace, the_trace

SPREAD = 100.0
LINES_BETWEEN = 30
TAKES = (
    "it takes a Regime, as pxa.regime gives it, a Trace, as pxa.trace gives it, or what pxt.fit returned, or rows of "
    "its history"
)


def plot_energy_share(measured: Regime | Trace | Sequence[Trace] | History, ax: AxesLike | None = None) -> AxesLike:
    """Draw each node's share of the energy.

    Of a `Regime` a point for each node and network, with a line to the mean of several networks, on a logarithmic
    scale if shares differ by more than a factor of 100. Of a `Trace`, or of a run, areas over the inference steps, or
    over the epochs: from the input, dark, to the output, light; of several networks their mean.

    **Arguments:**

    - `measured`: as `pxa.regime` or `pxa.trace` gives it; what `pxt.fit` returned, or rows of its history, which
        `metrics.jsonl` in a run's folder holds.
    - `ax`: the axes to draw on; those of a new figure if there are none.

    **Returns:** the axes.

    **Raises:** `TypeError` for anything else; `ValueError` where there are no energies, or none above 0.
    """
    if isinstance(measured, Regime):
        return _by_node(measured, ax)
    several = isinstance(measured, (list, tuple)) and any(isinstance(each, Trace) for each in measured)
    if isinstance(measured, Trace) or several:
        energies = the_trace("plot_energy_share", TAKES, measured).energies
        rows = taken(np.stack([mean_of(e) for e in energies.values()])) if energies else np.zeros((0, 0))
        return _over(ax, list(energies), np.arange(rows.shape[1], dtype=float), rows, "inference step")
    return _over(ax, *_of_history(rows_of("plot_energy_share", TAKES, measured)), "epoch")


def _by_node(record: Regime, ax: AxesLike | None) -> AxesLike:
    names = list(record.share)
    shares = 100 * np.asarray([np.atleast_1d(record.share[n]) for n in names], float)  # [nodes, networks]
    above = shares[np.isfinite(shares) & (shares > 0)]
    if not len(above):
        raise ValueError("plot_energy_share: no node has an energy above 0")
    ax = axes_or_new("plot_energy_share", ax)
    logs = bool(above.max() > SPREAD * above.min())
    left = 10.0 ** (np.floor(np.log10(above.min())) - 1) if logs else 0.0
    at = np.arange(len(names))
    mean = np.nanmean(np.where(np.isfinite(shares), shares, np.nan), axis=1) if shares.shape[1] > 1 else shares[:, 0]
    thick = max(0.8, min(4.0, 60 / len(names)))
    ax.hlines(at, left, np.maximum(mean, left), color=BLUE, linewidth=thick, alpha=0.45)
    for network in shares.T:
        there = network > 0
        ax.plot(
            network[there],
            at[there],
            "o",
            color=BLUE,
            markersize=5,
            markeredgewidth=0,
            alpha=0.9 if len(above) <= len(names) else 0.55,
        )
    none = at[np.all(~(shares > 0), axis=1)]
    if len(none):
        ax.plot(
            np.full(len(none), left), none, "x", color=GREY, markersize=6, clip_on=False, label="none, or not finite"
        )
    if shares.shape[1] > 1:
        ax.plot(
            mean,
            at,
            "|",
            color=BLACK,
            markersize=10,
            markeredgewidth=1.6,
            linestyle="",
            label=f"mean of {shares.shape[1]} networks",
        )
    if len(none) or shares.shape[1] > 1:
        ax.legend(frameon=False, fontsize="small", loc="lower right")
    if logs:
        ax.set_xscale("log")
        ax.set_xlim(left, 300)
        ax.tick_params("x", which="minor", bottom=False)
    else:
        ax.set_xlim(0, max(1.08 * float(above.max()), 1e-9))
    ax.set_ylim(-0.6, len(names) - 0.4)
    name_ticks(ax, names, "y")
    plain(ax, "x")
    ax.set_xlabel("share of the energy after settling, %" + (" (log scale)" if logs else ""))
    ax.set_ylabel("node, from the input to the output")
    ax.set_title(f"{short(record.rule, 40)}: share of the energy")
    return ax


def _of_history(
    rows: Sequence[Mapping[str, Any]],
) -> tuple[list[str], Float[np.ndarray, " epochs"], Float[np.ndarray, "nodes epochs"]]:
    """Return names, epochs, and by both the mean share of the networks."""
    found = [row for row in rows if row.get("energies") and isinstance(row["energies"], Mapping)]
    names = list(found[0]["energies"]) if found else []
    shares: dict[float, list[Float[np.ndarray, " nodes"]]] = {}
    for row in found:
        energies = np.asarray([number(row["energies"].get(n)) for n in names])
        total = float(energies.sum())
        if np.isfinite(total) and total > 0:
            shares.setdefault(row["epoch"], []).append(energies / total)
    epochs = sorted(shares)
    means = [np.mean(shares[epoch], axis=0) for epoch in epochs]
    return names, np.asarray(epochs, float), np.asarray(means).T if means else np.zeros((0, 0))


def _over(
    ax: AxesLike | None,
    names: list[str],
    at: Float[np.ndarray, " steps"],
    rows: Float[np.ndarray, "nodes steps"],
    what: str,
) -> AxesLike:
    total = rows.sum(axis=0)
    there = np.isfinite(total) & (total > 0)
    if not np.any(there):
        raise ValueError("plot_energy_share: there are no energies above 0")
    shares, at = 100 * rows[:, there] / total[there], at[there]
    ax = axes_or_new("plot_energy_share", ax)
    colours = depth_colours(len(names))
    alone = at if len(at) == 1 else None
    if alone is not None:  # an area needs two
        at, shares = np.asarray([at[0] - 0.4, at[0] + 0.4]), np.repeat(shares, 2, axis=1)
    edge = 0.6 if len(names) <= LINES_BETWEEN else 0.0
    ax.stackplot(at, shares, colors=colours, labels=[short(n) for n in names], edgecolor="white", linewidth=edge)
    ax.set_xlim(at[0], at[-1])
    ax.set_ylim(0, 100)
    whole_ticks(ax)
    if alone is not None:
        ax.set_xticks(alone)
    ax.set_xlabel(what)
    ax.set_ylabel("share of the energy, %")
    ax.set_title("Share of the energy by node")
    depth_key(ax, names)
    return ax
