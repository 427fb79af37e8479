"""Value nodes, and modules that hold them, as tables of HTML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..core import BaseParam, Module, get, html_table, nearest, params_html
from ._energy import Energy, ce_energy, se_energy, zero_energy
from ._parameter import VodeParam
from ._vode import Vode


class NodeRow(NamedTuple):
    """A line on a node: its name, what it is, shape and energy in words; and numbers, if some are known."""

    name: str
    kind: str
    shape: str
    energy: str
    numbers: tuple[str, ...] = ()


def name_of_energy(vode: Vode) -> str:
    """Return the name by which a vode's energy is shown."""
    if type(vode).energy is not Vode.energy:
        return f"{type(vode).__name__}'s own"
    function = get(vode.energy_fn)
    if function is None or function is zero_energy:
        return "none"
    if function is se_energy:
        return "squared error"
    if function is ce_energy:
        return "cross-entropy"
    return repr(function) if isinstance(function, Energy) else getattr(function, "__name__", type(function).__name__)


def nodes_html(rows: Sequence[NodeRow], caption: str, heads: Sequence[str] = ()) -> str:
    """Return a table of nodes.

    **Arguments:**

    - `rows`: a line for each.
    - `caption`: what stands above.
    - `heads`: of the columns with numbers.
    """
    cells = [[row.name, row.kind, row.shape, row.energy, *row.numbers] for row in rows]
    return html_table(("node", "is", "shape", "energy", *heads), cells, caption, left=4)


def module_html(module: Module) -> str:
    """Return tables of a module's nodes and of its other params; nothing is run.

    **Arguments:**

    - `module`: the module.
    """
    nodes = list(nearest(module, Vode))
    name = type(module).__name__
    if not nodes:
        return params_html(module, name)
    rows = [NodeRow(path.removeprefix("."), _kind(vode), _shape(vode), name_of_energy(vode)) for path, vode in nodes]
    caption = f"{name}: {len(rows)} value node{'s' if len(rows) != 1 else ''}"
    return nodes_html(rows, caption) + "\n" + params_html(module, "params", (VodeParam, VodeParam.Cache))


def _kind(vode: Vode) -> str:
    return "output" if isinstance(vode.h, BaseParam) and vode.h._facts.get("frozen") else "free"


def _shape(vode: Vode) -> str:
    shape, value = get(vode.shape), BaseParam.get(vode.h)
    if shape is not None:
        return str(list(shape))
    return f"{list(np.shape(value))} of a batch" if value is not None else "not known yet"
