"""The params of a module as a table of HTML."""

from __future__ import annotations

import jax.tree_util as jtu
import numpy as np

from ._html import html_table
from ._parameter import BaseParam
from ._shown import short
from ._static import StaticParam
from ._types import Tree


def params_html(module: Tree, caption: str, apart: tuple[type, ...] = ()) -> str:
    """Return a table of the params and arrays in a module: paths, types, shapes, how many numbers. None of these is
    shown, or waited for.

    **Arguments:**

    - `module`: the module.
    - `caption`: what stands above.
    - `apart`: types of params that are left out.
    """
    rows: list[list[str]] = []
    seen: dict[int, str] = {}
    total = 0
    leaves, _ = jtu.tree_flatten_with_path(module, is_leaf=lambda x: isinstance(x, BaseParam))
    for place, leaf in leaves:
        if isinstance(leaf, (StaticParam, *apart)):
            continue
        path = jtu.keystr(place).removeprefix(".")
        if id(leaf) in seen:
            rows.append([path, f"the same as {seen[id(leaf)]}", "", ""])
            continue
        seen[id(leaf)] = path
        value = BaseParam.get(leaf) if isinstance(leaf, BaseParam) else leaf
        frozen = isinstance(leaf, BaseParam) and bool(leaf._facts.get("frozen"))
        size = sum(int(np.size(a)) for a in jtu.tree_leaves(value))
        total += size
        rows.append([path, type(leaf).__name__ + (", frozen" if frozen else ""), _shape(value), f"{size:,}"])
    if len(rows) > 1:
        rows.append(["total", "", "", f"{total:,}"])
    return html_table(("param", "type", "shape", "numbers"), rows, caption, left=3)


def _shape(value: Tree) -> str:
    arrays = jtu.tree_leaves(value)
    if value is None or len(arrays) == 1:
        return "none" if value is None else short(arrays[0])
    return f"{len(arrays)} arrays"
