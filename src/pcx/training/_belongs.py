"""The description of a model that weights belong to: plain data without its values; and how two of them differ."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from ..core import BaseModule, Filling, __version__
from ..learning import State
from ._describe import describe, differences
from ._types import Json

_MOMENTARY = ("_mode", "_status", "_shape")  # attributes of a module that a call sets


def belonging(source: BaseModule | State) -> dict[str, Any]:
    """Describe what the weights of a model, or of a state, belong to: classes, activations, energies, rules, constants;
    neither the values of params, nor which are frozen.

    **Arguments:**

    - `source`: a model or a `pcx.learning.State`.
    """
    return {"pcx": __version__, "model": _lasting(describe(_model_of(source)))}


def unlike(old: Json, new: Json) -> list[str]:
    """Return how two descriptions of models, or of rules, differ. A script's own things are the same under the name
    that another program imports them by."""
    return differences(*_same_names(_lasting(old), _lasting(new)))


def without_form(rule: Json) -> Json:
    """Return the description of a rule without how it computes equal layers: that is not what it computes."""
    return {k: v for k, v in rule.items() if k != "equal_layers"} if isinstance(rule, dict) else rule


def _model_of(source: BaseModule | State) -> BaseModule:
    """Return a model as it is; of a state, one like that it was made of."""
    if not isinstance(source, State):
        return source
    structure = source.structure
    raws = [structure.numbers.get(i, source.rest.get(f"={path}")) for i, path in enumerate(structure.raw_paths)]
    raws = [np.asarray(jax.device_get(raw)) if isinstance(raw, jax.Array) else raw for raw in raws]
    return structure.skeleton.build(Filling(structure.skeleton.params, raws, structure.statics))["model"]


def _lasting(x: Json) -> Json:
    if isinstance(x, list):
        return [_lasting(each) for each in x]
    if not isinstance(x, dict):
        return x
    if "param" in x and "holds" in x:
        return {"param": x["param"]}
    return {k: _lasting(v) for k, v in x.items() if k not in _MOMENTARY}


def _same_names(old: Json, new: Json) -> tuple[Json, Json]:
    if isinstance(old, dict) and isinstance(new, dict):
        both = {k: _same_names(old[k], new[k]) for k in old if k in new}
        return tuple({k: both[k][i] if k in both else v for k, v in x.items()} for i, x in enumerate((old, new)))  # type: ignore[return-value]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = [_same_names(a, b) for a, b in zip(old, new, strict=True)]
        return [a for a, _ in pairs], [b for _, b in pairs]
    if isinstance(old, str) and isinstance(new, str) and old != new:
        for one, other in ((old, new), (new, old)):
            if one.startswith("__main__.") and other.endswith(one.removeprefix("__main__")):
                return new, new
    return old, new
