"""The argument `hold` of `predict`, parts of nodes to clamp: its form and its checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import jax.tree_util as jtu
from jaxtyping import PyTree

from ..energy import Problem, Structure


def pairs_of(call: str, hold: object, structure: Structure, x: PyTree) -> dict[str, tuple[Any, Any]]:
    """Return `hold` as `{node: (mask, value)}` of arrays. Refuses what has another form, names no node, or leaves it
    open how many samples there are."""
    if hold is None:
        return {}
    form = "hold must be {node: (mask, value)}, with node a path such as 'vodes[0]'"
    if not isinstance(hold, Mapping):
        raise TypeError(f"{call}: {form}, got {type(hold).__name__}")
    pairs = {}
    for name, pair in hold.items():
        if name not in structure.nodes:
            raise ValueError(f"{call}: hold names {_said(name)}; the nodes are {', '.join(structure.nodes)}")
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise TypeError(f"{call}: {form}, got {type(pair).__name__} for {name}")
        mask, value = pair
        pairs[name] = jnp.asarray(mask), jnp.asarray(value)
        if not pairs[name][1].ndim:
            raise ValueError(f"{call}: hold has a scalar as the value of {name}; it must be [batch, *shape]")
    if pairs and not jtu.tree_leaves(x) and not any(n in structure.frozen for n in pairs):
        outputs = (
            ", ".join([n for n in structure.nodes if n in structure.frozen]) or "none, mark it by pxc.Vode(output=True)"
        )
        raise ValueError(
            f"{call}: without x, hold must name every output node ({outputs}), got {', '.join(pairs)}; a mask that is "
            "all False holds none of it"
        )
    return pairs


def check_values(call: str, hold: Mapping[str, tuple[Any, Any]], problem: Problem) -> None:
    """Refuse values of another shape than their nodes'."""
    for name, (_, value) in hold.items():
        full = (problem.size, *problem.nodes[name].shape)
        if value.ndim != len(full) or any(m not in (1, n) for m, n in zip(value.shape, full, strict=True)):
            raise ValueError(
                f"{call}: hold has a value of shape {list(value.shape)} for {name}; it must be {list(full)}, "
                "[batch, *shape], or broadcast to that"
            )


def _said(name: object) -> str:
    return repr(name) if isinstance(name, str) else f"a {type(name).__name__}"
