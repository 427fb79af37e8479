"""Health: which layers get no learning signal and why, and what else goes wrong."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from jaxtyping import Float

from ..learning import Rule, State
from ..predictive_coding import EnergyModule
from ._layout import Layout, layout_of, module_of
from ._measure import Measured, measuring
from ._networks import Batch, as_state, for_each, networks_in, taken_apart
from ._reasons import Finding, others, silent
from ._steps import Taken
from ._table import cell, table

Numbers = dict[str, Float[np.ndarray, "*networks"]]


@dataclasses.dataclass(frozen=True, repr=False)
class Health:
    """The health of a network under a rule, see `health`. Of several networks every number has an axis of networks.

    **Attributes:**

    - `rule`: its name.
    - `findings`: what is wrong, the gravest first.
    - `ranks`: the effective rank of the step that each weight takes, of matrices and kernels, by path: `exp(H)` with H
        the entropy of its singular values over their sum; NaN for those of layers that learn nothing, where it would be
        that of rounding errors.
    - `moved`: the size of that step over the weight's, by path.
    - `imbalance`: the largest energy of a node that settles over the smallest, but for those of 0.
    """

    rule: str
    findings: tuple[Finding, ...]
    ranks: Numbers
    moved: Numbers
    imbalance: Float[np.ndarray, "*networks"]

    @property
    def silent(self) -> tuple[str, ...]:
        """The layers that learn nothing, for whatever reason, in the order of the findings."""
        return tuple(dict.fromkeys([n for f in self.findings if f.silences for n in f.layers]))

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON takes it.

        **Returns:** dicts, lists, strings and numbers alone; None for what is not finite.
        """
        numbers = {"ranks": self.ranks, "moved": self.moved}
        found: dict[str, Any] = {name: {n: _plain(v.tolist()) for n, v in by.items()} for name, by in numbers.items()}
        findings = [
            dataclasses.asdict(f) | {"layers": list(f.layers), "networks": list(f.networks)} for f in self.findings
        ]
        return {"rule": self.rule, "findings": findings, **found, "imbalance": _plain(self.imbalance.tolist())}

    def __str__(self) -> str:
        lines = [f"{self.rule}: {'nothing wrong was found' if not self.findings else 'found'}"]
        lines += [f"- {finding}" for finding in self.findings]
        ranks = {p: cell(rank) or "-" for p, rank in self.ranks.items()}
        rows = [[p, ranks.get(p, ""), cell(self.moved[p])] for p in self.moved]
        return "\n".join([*lines, "", *table(["weight", "effective rank of its step", "|step| / |weight|"], rows)])

    __repr__ = __str__


def health(rule: Rule, model: State | EnergyModule, batch: Batch) -> Health:
    """Find what keeps layers from learning on a batch: too few inference steps, dead units, errors lost in rounding,
    optimisers that leave weights as they are; and unbalanced energies, settling that goes uphill, updates of low rank.
    Nothing is changed.

    **Arguments:**

    - `rule`, `model`, `batch`: see `regime`.

    **Returns:** a `Health`; print it for sentences that name layers and remedies.

    **Raises:** `TypeError` for what is no rule, state or batch; `ValueError` for a state of another rule.
    """
    state = as_state("health", rule, model, batch)
    layout, networks = layout_of(rule, state, batch), networks_in(state)
    measured = taken_apart(for_each(measuring(rule, step=True), state, batch), networks)
    taken = [_of_those_that_learn(m, layout) for m in measured]
    each = [findings_of(m, layout) for m in measured]
    several = networks is not None

    def numbers(name: str) -> Numbers:
        by = [getattr(t, name) for t in taken]
        paths = [p for p in layout.weights if p in by[0]]
        return {p: np.stack([np.asarray(b[p]) for b in by]) if several else np.asarray(by[0][p]) for p in paths}

    imbalances = np.asarray([_imbalance(m, layout) for m in measured]).reshape((-1,) if several else ())
    findings = merged(each) if several else tuple(each[0])
    return Health(rule.name, findings, numbers("ranks"), numbers("moved"), imbalances)


def findings_of(measured: Measured, layout: Layout) -> list[Finding]:
    """Return what is wrong with one network, the gravest first.

    **Arguments:**

    - `measured`, `layout`: its numbers on the host, the step's among them, and their names.
    """
    taken = _of_those_that_learn(measured, layout)
    if not measured.finite:  # nothing else can be told from such numbers
        return others(measured, taken, layout)[:1]
    return [*silent(measured, taken, layout), *others(measured, taken, layout)]


def _of_those_that_learn(measured: Measured, layout: Layout) -> Taken:
    """Return the step of one network, with NaN for the rank of a weight that learns nothing."""
    taken = measured.step
    assert taken is not None
    quiet = {name for f in silent(measured, taken, layout) for name in f.layers}
    ranks = {p: np.float32(np.nan) if {p, module_of(p)} & quiet else r for p, r in taken.ranks.items()}
    return taken._replace(ranks=ranks)


def merged(each: list[list[Finding]]) -> tuple[Finding, ...]:
    """Return the findings of several networks, those of one kind in the same layers as one.

    **Arguments:**

    - `each`: of each network.
    """
    found: dict[tuple[str, tuple[str, ...]], Finding] = {}
    for i, findings in enumerate(each):
        for finding in findings:
            key = finding.kind, finding.layers
            before = found.get(key, finding)
            found[key] = dataclasses.replace(before, networks=(*before.networks, i))
    return tuple(found.values())


def _imbalance(measured: Measured, layout: Layout) -> float:
    energies = [float(e) for n, e in measured.energies.items() if n in layout.free and e > 0]
    return max(energies) / min(energies) if energies else math.nan


def _plain(x: Any) -> Any:
    if isinstance(x, list):
        return [_plain(v) for v in x]
    return x if math.isfinite(x) else None
