"""The history of a run, as pictures take it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float

from ..training import Fit
from ._given import described, wrong

History: TypeAlias = Fit | Sequence[Mapping[str, Any]]
"""What `pxt.fit` returned, or rows of its history."""


def rows_of(call: str, wanted: str, history: object, needs: str | None = "epoch") -> list[Mapping[str, Any]]:
    """Return the rows of a history.

    **Arguments:**

    - `call`: what to name in errors.
    - `wanted`: what it takes, in words.
    - `history`: as it was given.
    - `needs`: what each row must have.

    **Raises:** `TypeError` for what is no history; `ValueError` for rows without what they need.
    """
    rows: Any = history.history if isinstance(history, Fit) else history
    if not isinstance(rows, (list, tuple)) or not all(isinstance(row, Mapping) for row in rows):
        raise wrong(call, wanted, history)
    for row in rows:
        if needs is not None and needs not in row:
            raise ValueError(f"{call}: each row of a history has {needs!r}; one is {described(row)}")
    return list(rows)


def number(x: object) -> float:
    """Return a number of a history; NaN for anything else, as for None, which JSON has for what is not finite.

    **Arguments:**

    - `x`: what stands in a row.
    """
    alone: Any = x
    if isinstance(x, (int, float)) or (getattr(x, "shape", None) == () and np.asarray(x).dtype.kind in "iuf"):
        return float("nan") if isinstance(x, bool) else float(alone)
    return float("nan")


class Looks(NamedTuple):
    """A run's alignment to backpropagation, as it has seen it.

    **Attributes:**

    - `layers`: their names.
    - `batches`: the batches after which it has looked, in order.
    - `cosines`: NaN where a network has none.
    """

    layers: list[str]
    batches: Float[np.ndarray, " looks"]
    cosines: Float[np.ndarray, "looks networks layers"]


def looks_of(call: str, rows: Sequence[Mapping[str, Any]]) -> Looks:
    """Return what a run has seen of its alignment to backpropagation, by `fit(regime=...)`.

    **Arguments:**

    - `call`: what to name in errors.
    - `rows`: of its history; or the looks themselves, as a row has them under `"regime"`.

    **Raises:** `ValueError` where there are none, or of networks with other layers.
    """
    found = [(row.get("network", 0), look) for row in rows for look in _looks_in(row)]
    seen = [(n, look) for n, look in found if isinstance(look.get("module_cosine"), Mapping) and "batch" in look]
    if not seen:
        there = f"; its looks have {', '.join(map(str, found[0][1]))}" if found else ""
        raise ValueError(
            f"{call}: there are no looks at the regime in this history: fit(regime=500), or pcx train --regime 500, "
            f"makes a run look after every 500 batches{there}"
        )
    layers = list(seen[0][1]["module_cosine"])
    for _, look in seen:
        if list(look["module_cosine"]) != layers:
            raise ValueError(
                f"{call}: networks must have the same layers; got {layers} and {list(look['module_cosine'])}"
            )
    if not layers:
        raise ValueError(f"{call}: the looks have no layers")
    networks, batches = sorted({n for n, _ in seen}), sorted({look["batch"] for _, look in seen})
    cosines = np.full((len(batches), len(networks), len(layers)), np.nan)
    for n, look in seen:
        of_layers = [number(c) for c in look["module_cosine"].values()]
        cosines[batches.index(look["batch"]), networks.index(n)] = of_layers
    return Looks(layers, np.asarray(batches, float), cosines)


def _looks_in(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the looks of a row of a history; a look itself is one."""
    if "module_cosine" in row:
        return [row]
    looks = row.get("regime")
    return [look for look in looks if isinstance(look, Mapping)] if isinstance(looks, (list, tuple)) else []
