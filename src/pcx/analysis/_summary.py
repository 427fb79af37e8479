"""Summaries: a network's nodes and layers as a table."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import PyTree

from ..core import Choice, html_or_text, html_table
from ..learning import Rule, State
from ..predictive_coding import EnergyModule
from ._folded import aligned, items_of, span
from ._looked_at import problem_of
from ._network import Network, Shape, Weight, model_name, networks_of, weights_of
from ._networks import Batch
from ._table import table

HEADS = ("node or weight", "shape", "is", "energy", "predicted from", "params", "products")
_LEFT = 5


class Row(NamedTuple):
    """A line of a summary.

    **Attributes:**

    - `name`: of a node, a weight or an input; of equal ones, the first and the last.
    - `shape`: of one, for one sample; empty for an entry of several arrays.
    - `kind`: `"input"`, `"free"` or `"clamped"` for nodes; `"learns"`, `"frozen"`, `"kept"` or `"constant"` for
        arrays of the model.
    - `energy`: of a node, in words.
    - `reads`: the nodes and inputs that a node is predicted from.
    - `times`: how many equal ones the line is of.
    - `params`: the numbers of all these weights; None for nodes, and for weights that stand above already.
    - `products`: of all these nodes, by sample; None for what is no node.
    - `arrays`: how many arrays one entry has, 1 as a rule.
    """

    name: str
    shape: Shape
    kind: str
    energy: str = ""
    reads: tuple[str, ...] = ()
    times: int = 1
    params: int | None = None
    products: float | None = None
    arrays: int = 1

    @property
    def is_node(self) -> bool:
        """True for a value node, False for a weight or an input."""
        return self.kind in ("free", "clamped")


@dataclasses.dataclass(frozen=True, repr=False)
class Summary:
    """A summary of a network, see `summary`. Printed it is a table; in a notebook it shows itself as one.

    **Attributes:**

    - `name`: the class of the model.
    - `rows`: of each network (two of rules for two), by name, the lines: `name`, `shape`, `kind`, `energy`, `reads`,
        `times`, `params`, `products` and `arrays` each. Under a node stand the weights that it is predicted with.
    - `unread`: lines of the model's arrays that no prediction or energy reads.
    - `params`: the numbers that learn.
    - `frozen`: those that would if they were not marked as frozen.
    - `kept`: other numbers of the model, such as running statistics.
    - `products`: multiply-adds of matrix products and convolutions in a forward pass of one sample with all energies;
        what all samples of the batch share is divided among them. A gradient takes about twice as many again.
    - `networks`: how many networks the state is of; the numbers are of one.
    - `own_energy`: whether modules add energies to those of the nodes.
    - `while_loops`: whether there are products in while loops: how often such a loop runs is known when it ends, so
        that its body counts once. Loops of a known length (`jax.lax.scan`, `fori_loop`) count as often as they run.
    """

    name: str
    rows: dict[str, tuple[Row, ...]]
    unread: tuple[Row, ...]
    params: int
    frozen: int
    kept: int
    products: float
    networks: int = 1
    own_energy: bool = False
    while_loops: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as JSON takes it.

        **Returns:** dicts, lists, strings and numbers alone.
        """
        found = dataclasses.asdict(self)
        found["rows"] = {n: [_plain(row) for row in rows] for n, rows in self.rows.items()}
        found["unread"] = [_plain(row) for row in self.unread]
        return found

    def __str__(self) -> str:
        lines = [self._title(), ""]
        for part, rows in self._parts():
            lines += [*([part + ":"] if part else []), *table(HEADS, [_cells(row) for row in rows], left=_LEFT), ""]
        return "\n".join([*lines, *[f"{what}: {number}" for what, number in self._ends()], *self._notes()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        def made() -> str:
            tables = [html_table(HEADS, [_cells(r) for r in rows], part, _LEFT) for part, rows in self._parts()]
            ends = [*self._ends(), *[(note, "") for note in self._notes()]]
            return "\n".join([*tables, html_table(["total", ""], ends, self._title())])

        return html_or_text(made, self)

    def _title(self) -> str:
        nodes = sum(row.times for rows in self.rows.values() for row in rows if row.is_node)
        of = f"; {self.networks} networks, the numbers are of one" if self.networks > 1 else ""
        return f"{self.name}: {nodes} value node{'s' if nodes != 1 else ''}{of}"

    def _parts(self) -> list[tuple[str, tuple[Row, ...]]]:
        return [*self.rows.items(), *([("read by no node", self.unread)] if self.unread else [])]

    def _ends(self) -> list[tuple[str, str]]:
        ends = [("params that learn", _number(self.params))]
        ends += [("frozen", _number(self.frozen))] if self.frozen else []
        ends += [("other numbers kept", _number(self.kept))] if self.kept else []
        return [*ends, ("products of a forward pass, by sample", _number(self.products))]

    def _notes(self) -> list[str]:
        notes = ["The body of a while loop counts once in the products."] if self.while_loops else []
        return [*notes, *(["The model adds an energy of its own to those of its nodes."] if self.own_energy else [])]


def summary(
    model: State | EnergyModule,
    batch: Batch,
    *,
    rule: Rule | None = None,
    call: Callable[..., PyTree] | None = None,
    learn: Choice | None = None,
    unfold: bool = False,
) -> Summary:
    """Sum up a network: its value nodes with what they are predicted from, its weights, and what a forward pass costs.
    The model is traced at the shapes of the batch; it is neither run nor changed.

    **Arguments:**

    - `model`: an energy module; or a state, of one network or of several (`pcx.learning.stack`).
    - `batch`: `(x, y)`, `[batch, ...]` each, or trees of such arrays, as for `rule.step`.
    - `rule`: the rule that it is trained by, which says how the model is called and what learns. Rules for two networks
        need it.
    - `call`, `learn`: without a rule, how the model is called and what learns, see `Rule`.
    - `unfold`: whether equal layers get a line each; three or more are otherwise shown as one.

    **Returns:** a `Summary`; print it for a table.

    **Raises:** `TypeError` for what is no model, state, rule or batch; `ValueError` for a model and a batch that don't
    go together.
    """
    problem, several = problem_of("summary", model, batch, rule, call, learn)
    weights, networks = weights_of(problem), networks_of(problem)
    read: dict[str, None] = {}
    rows = {n.part: tuple(_rows(n, weights, unfold, read)) for n in networks}
    sizes: dict[str, int] = dict.fromkeys(("learns", "frozen", "kept", "constant"), 0)
    for weight in weights.values():
        sizes[weight.kind] += weight.size
    unread = [_weight_row((p,), weights, set()) for p, w in weights.items() if p not in read and w.kind != "constant"]
    return Summary(
        model_name(problem.structure),
        rows,
        tuple(unread),
        sizes["learns"],
        sizes["frozen"],
        sizes["kept"],
        sum(n.products for n in networks),
        1 if several is None else several,
        any(n.own_energy for n in networks),
        any(n.loops for n in networks),
    )


def _rows(network: Network, weights: dict[str, Weight], unfold: bool, read: dict[str, None]) -> list[Row]:
    rows = [Row(name, shape, "input") for name, shape in network.inputs.items()]
    for item in items_of(network, unfold):
        first, count = item.values[0], len(item.values)
        reads = tuple([span(names) for names in aligned([list(v.ways) for v in item.values])])
        kind, products = "clamped" if first.clamped else "free", sum(v.products for v in item.values)
        rows.append(Row(item.name, first.shape, kind, first.energy, reads, count, products=products))
        for paths in aligned([v.arrays for v in item.values]):
            rows.append(_weight_row(paths, weights, set(read)))
            read.update(dict.fromkeys(paths))
    return rows


def _weight_row(paths: tuple[str, ...], weights: dict[str, Weight], read: set[str]) -> Row:
    first = weights[paths[0]]
    params = None if read.issuperset(paths) else sum(weights[p].size for p in paths if p not in read)
    shape = first.shapes[0] if len(first.shapes) == 1 else ()
    return Row(span(paths), shape, first.kind, times=len(paths), params=params, arrays=len(first.shapes))


def _cells(row: Row) -> list[str]:
    several = f" ({row.times} equal)" if row.times > 1 else ""
    indent = "" if row.is_node or row.kind == "input" else "  "
    weight = not row.is_node and row.kind != "input"
    params = "" if not weight else "above" if row.params is None else _number(row.params)
    products = "" if row.products is None else _number(row.products)
    shape = str(list(row.shape)) if row.arrays == 1 else f"{row.arrays} arrays"
    return [indent + row.name + several, shape, row.kind, row.energy, ", ".join(row.reads), params, products]


def _number(x: float) -> str:
    return f"{x:,.0f}" if float(x).is_integer() else f"{x:,.1f}"


def _plain(row: Row) -> dict[str, Any]:
    return row._asdict() | {"shape": list(row.shape), "reads": list(row.reads)}
