"""Pictures of how far a rule's weight gradient is backpropagation's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from ._axes import (
    GREY,
    MARKERS,
    AxesLike,
    axes_or_new,
    depth_colours,
    depth_key,
    look_of,
    name_ticks,
    plain,
    short,
    whole_ticks,
)
from ._given import numbers, wrong
from ._history import History, looks_of, rows_of
from ._record import Regime

Along = Sequence[tuple[int, Regime]]
TAKES = (
    "it takes a Regime, as pxa.regime gives it, {name: Regime}, a list of (step, Regime), or what "
    "pxt.fit(regime=...) returned, or rows of its history"
)


def plot_alignment(records: Regime | Mapping[str, Regime] | Along | History, ax: AxesLike | None = None) -> AxesLike:
    """Draw the cosine between a rule's weight gradient and backpropagation's, layer by layer.

    Of one record, or of several with names, layers are drawn from the left, the input, to the right, the output. Of
    records with the steps at which they were made, and of a run that has looked at its regime, each layer is a line
    over training, from the input, dark, to the output, light. Of several networks each is drawn, and the mean. Where a
    layer has no gradient there is a cross at 0.

    **Arguments:**

    - `records`: a `Regime`, as `pxa.regime` gives it; `{name: record}`, of networks with the same layers; a list of
        `(step, record)`; or what `pxt.fit(regime=...)` returned, or rows of its history, which `metrics.jsonl` in a
        run's folder holds.
    - `ax`: the axes to draw on; those of a new figure if there are none.

    **Returns:** the axes.

    **Raises:** `TypeError` for anything else; `ValueError` where there is no record, records are of other layers, or
        the run has not looked at its regime.
    """
    if isinstance(records, Regime):
        records = {short(records.rule): records}
    if isinstance(records, Mapping):
        if not all(isinstance(each, Regime) for each in records.values()):
            raise wrong("plot_alignment", TAKES, records)
        layers = _layers_of(list(records.values()))
        records = {str(name): record for name, record in records.items()}
        ax = axes_or_new("plot_alignment", ax)
        lowest = _by_layer(ax, records, layers)
    else:
        layers, at, each, what = _over_training(records)
        ax = axes_or_new("plot_alignment", ax)
        lowest = _along(ax, at, each, layers, what)
    ax.axhline(0, color=GREY, linewidth=0.8, zorder=0.5)
    ax.set_ylim(min(-0.05, 1.05 * lowest), 1.05)
    ax.set_ylabel("cosine to backprop's gradient")
    ax.set_title("Alignment to backpropagation")
    return ax


def _layers_of(found: Sequence[Regime]) -> list[str]:
    """Return the layers that records are of."""
    if not found:
        raise ValueError("plot_alignment: there are no records")
    layers = list(found[0].module_cosine)
    for record in found:
        if list(record.module_cosine) != layers:
            raise ValueError(
                f"plot_alignment: records must be of the same layers; got {layers} and {list(record.module_cosine)}"
            )
    if not layers:
        raise ValueError("plot_alignment: the records have no layers")
    return layers


def _over_training(
    given: Along | History,
) -> tuple[list[str], Float[np.ndarray, " steps"], Float[np.ndarray, "steps networks layers"], str]:
    """Return the layers, where in training they were looked at, the cosines there, and what training is counted in."""
    records: list[Any] = [each for each in given if _is_dated(each)] if isinstance(given, (list, tuple)) else []
    if not isinstance(given, (list, tuple)) or len(records) < len(given) or not records:
        looks = looks_of("plot_alignment", rows_of("plot_alignment", TAKES, given, None))
        return looks.layers, looks.batches, looks.cosines, "batches that were learned from"
    layers = _layers_of([record for _, record in records])
    values = [cosines(record) for _, record in records]
    if len({len(v) for v in values}) > 1:
        raise ValueError(f"plot_alignment: records must be of as many networks; got {[len(v) for v in values]}")
    at = numbers("plot_alignment", "steps", [step for step, _ in records])
    order = np.argsort(at, kind="stable")
    return layers, at[order], np.stack(values)[order], "training step"


def _is_dated(x: object) -> bool:
    return isinstance(x, (list, tuple)) and len(x) == 2 and isinstance(x[1], Regime)


def cosines(record: Regime) -> Float[np.ndarray, "networks layers"]:
    """Return the cosines of a record, by network and layer.

    **Arguments:**

    - `record`: of one network or of several.
    """
    return np.stack([np.atleast_1d(np.asarray(c, float)) for c in record.module_cosine.values()], axis=1)


def mean(values: Float[np.ndarray, "networks layers"]) -> Float[np.ndarray, " layers"]:
    """Return the mean of the networks that have a number; NaN where none has.

    **Arguments:**

    - `values`: NaN where there is none.
    """
    count = np.sum(~np.isnan(values), axis=0)
    return np.where(count > 0, np.nansum(values, axis=0) / np.maximum(count, 1), np.nan)


def _by_layer(ax: AxesLike, records: Mapping[str, Regime], layers: list[str]) -> float:
    """Draw lines over the layers, and return the least of what is drawn."""
    at, least, none = np.arange(len(layers)), 0.0, "no gradient"
    size = 5 if len(layers) <= 30 else 2.5
    for i, (name, record) in enumerate(records.items()):
        (colour, marker, style), values = look_of(i), cosines(record)
        # Lines that would lie upon each other stand beside each other.
        here = at + 0.12 * (i - (len(records) - 1) / 2) / max(len(records) - 1, 1)
        if len(values) > 1:
            for network in values:
                ax.plot(
                    here,
                    network,
                    marker,
                    color=colour,
                    markersize=0.7 * size,
                    alpha=0.4,
                    markeredgewidth=0,
                )
        middle = mean(values)
        label = short(name) + (f", mean of {len(values)}" if len(values) > 1 else "")
        ax.plot(here, middle, color=colour, linestyle=style, marker=marker, markersize=size, linewidth=1.6, label=label)
        gaps = np.isnan(middle)
        if np.any(gaps):
            ax.plot(here[gaps], np.zeros(gaps.sum()), "x", color=colour, markersize=size + 2, label=none)
            none = None
        least = min(least, float(np.nanmin(values, initial=0.0)))
    name_ticks(ax, layers, "x")
    ax.set_xlim(-0.5, len(layers) - 0.5)
    ax.set_xlabel("layer, from the input to the output")
    plain(ax)
    ax.legend(frameon=False, fontsize="small", loc="best")
    return least


def _along(
    ax: AxesLike,
    at: Float[np.ndarray, " steps"],
    each: Float[np.ndarray, "steps networks layers"],
    layers: list[str],
    what: str,
) -> float:
    """Draw a line over training for each layer, and return the least of what is drawn."""
    colours, few = depth_colours(len(layers)), len(layers) <= 10
    for i, layer in enumerate(layers):
        if each.shape[1] > 1:
            ax.plot(at, each[:, :, i], color=colours[i], linewidth=0.7, alpha=0.4)
        middle = mean(each[:, :, i].T)
        marker = MARKERS[i % len(MARKERS)] if few and len(at) <= 40 else ("o" if len(at) == 1 else "")
        ax.plot(at, middle, color=colours[i], marker=marker, markersize=4, linewidth=1.6, label=short(layer))
        gaps = np.isnan(middle)
        if np.any(gaps):
            ax.plot(at[gaps], np.zeros(gaps.sum()), "x", color=colours[i], markersize=6)
    whole_ticks(ax)
    if len(set(at)) == 1:
        ax.set_xticks(at[:1])
    ax.set_xlabel(what)
    plain(ax)
    depth_key(ax, layers)
    return float(np.nanmin(each, initial=0.0))
