"""Records of networks that were never measured, to be drawn."""

from collections.abc import Mapping
from typing import Any

import numpy as np

import pcx.analysis as pxa


def record(energy: Mapping[str, Any], cosine: Mapping[str, Any] | None = None, rule: str = "pc"):
    """A regime with these energies, `{node: a number or [networks]}`, and these cosines by layer."""
    energies = {n: np.asarray(e, float) for n, e in energy.items()}
    cosines = {n: np.asarray(c, float) for n, c in (cosine or {}).items()}
    shape = next(iter([a.shape for a in (*energies.values(), *cosines.values())]), ())
    nan, total = np.full(shape, np.nan), sum(energies.values())
    said: Any = ("transient", "so") if not shape else (("transient",) * shape[0], ("so",) * shape[0])
    return pxa.Regime(
        rule=rule,
        verdict=said[0],
        why=said[1],
        energy=energies,
        share={n: np.asarray(e / np.where(total > 0, total, np.nan)) for n, e in energies.items()},
        moving={},
        rest={},
        arrival={},
        cosine=cosines,
        norm_ratio=cosines,
        module_cosine=cosines,
        module_norm_ratio=cosines,
        alignment=nan,
        backprop_alignment=nan,
        steps=nan,
        step=nan,
        curvature=np.stack([nan, nan], axis=-1),
        curvature_error=np.stack([nan, nan], axis=-1),
        stable_step=nan,
    )
