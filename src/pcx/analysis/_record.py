"""The record of a run's regime: numbers by node and by layer, as a table and as JSON."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped

from ._measure import TOLERANCE
from ._table import cell, table
from ._verdict import Thresholds, Verdict

Numbers = dict[str, Shaped[np.ndarray, "*networks"]]


@dataclasses.dataclass(frozen=True, repr=False)
class Regime:
    """The regime that a network is trained in, see `regime`. Of several networks every number has an axis of networks,
    and `verdict` and `why` are one for each. What a rule doesn't have is NaN.

    **Attributes:**

    - `rule`: its name.
    - `verdict`: `"backprop-like"`, `"transient"`, `"equilibrium"`, `"diverging"` or `"unknown"`; of several networks a
        tuple.
    - `why`: the reason in a sentence, likewise.
    - `energy`, `share`: each node's energy after settling, mean over the samples, and its share of the total, by node.
    - `moving`: `|dE/dh|` at the end of settling, over its first value other than zero, by free node.
    - `rest`: `|dE/dh|` at the end, over what the node's own error pulls with, by free node: 0 at equilibrium. Of a node
        without an error of its own it is over the largest `|dE/dh|` that it had.
    - `arrival`: the inference step, from 0, at which a gradient first comes to a free node; -1 if none does.
    - `cosine`, `norm_ratio`: of the rule's weight gradient to backpropagation's, by path of the weight. Of a rule that
        moves the weights itself, its gradient is the way back from where they went, rates included.
    - `module_cosine`, `module_norm_ratio`: the same of all weights of a module together, by path of the module.
    - `alignment`, `backprop_alignment`: the target alignment of the rule's gradient g, and of backpropagation's, in our
        reading of it (after arXiv 2605.11911): the cosine `cos(J (-g), -dE/du)` over all samples and outputs, with u
        the outputs' predictions, J their Jacobian by the weights, so that `J (-g)` is how they change by a small step
        against g, and `-dE/du` the error, which for squared errors is `y - u`.
    - `steps`: the inference steps that were taken, mean over the samples.
    - `step`: the step of the values, if they settle by plain gradient descent.
    - `curvature`: the largest and the smallest curvature of the energy in what settles, `[..., 2]`.
    - `curvature_error`: how far they may be off, likewise. A printed record says so of one that may be off by more
        than 1e-4 of itself.
    - `stable_step`: the largest stable step of plain gradient descent.
    - `thresholds`: what the verdict was made by.
    """

    rule: str
    verdict: Verdict | tuple[Verdict, ...]
    why: str | tuple[str, ...]
    energy: Numbers
    share: Numbers
    moving: Numbers
    rest: Numbers
    arrival: Numbers
    cosine: Numbers
    norm_ratio: Numbers
    module_cosine: Numbers
    module_norm_ratio: Numbers
    alignment: Float[np.ndarray, "*networks"]
    backprop_alignment: Float[np.ndarray, "*networks"]
    steps: Float[np.ndarray, "*networks"]
    step: Float[np.ndarray, "*networks"]
    curvature: Float[np.ndarray, "*networks 2"]
    curvature_error: Float[np.ndarray, "*networks 2"]
    stable_step: Float[np.ndarray, "*networks"]
    thresholds: Thresholds = dataclasses.field(default_factory=Thresholds)

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The verdict on each network, also on a single one."""
        return self.verdict if isinstance(self.verdict, tuple) else (self.verdict,)

    def unstack(self) -> list[Regime]:
        """Take the record of several networks apart.

        **Returns:** a record for each network; of a single one itself, in a list.
        """
        if not isinstance(self.verdict, tuple):
            return [self]
        return [_at(self, i) for i in range(len(self.verdict))]

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON takes it.

        **Returns:** dicts, lists, strings and numbers alone; None for what is not finite.
        """
        return {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}

    def __str__(self) -> str:
        return "\n".join(_lines(self))

    __repr__ = __str__


def stacked(records: Sequence[Regime]) -> Regime:
    """Return the records of several networks as one.

    **Arguments:**

    - `records`: of networks that are built alike, one for each.
    """

    def joined(name: str) -> Any:
        each = [getattr(r, name) for r in records]
        if name in ("rule", "thresholds"):
            return each[0]
        if isinstance(each[0], dict):
            return {n: np.stack([e[n] for e in each]) for n in each[0]}
        return tuple(each) if isinstance(each[0], str) else np.stack(each)

    return Regime(**{f.name: joined(f.name) for f in dataclasses.fields(Regime)})


def _at(record: Regime, i: int) -> Regime:
    def one(name: str) -> Any:
        value = getattr(record, name)
        if name in ("rule", "thresholds"):
            return value
        if isinstance(value, dict):
            return {n: np.asarray(v[i]) for n, v in value.items()}
        return value[i] if isinstance(value, tuple) else np.asarray(value[i])

    return Regime(**{f.name: one(f.name) for f in dataclasses.fields(Regime)})


def _plain(x: Any) -> Any:
    if isinstance(x, Mapping):
        return {n: _plain(v) for n, v in x.items()}
    if dataclasses.is_dataclass(x) and not isinstance(x, type):
        return dataclasses.asdict(x)
    if isinstance(x, (np.ndarray, np.generic)):
        return _plain(x.tolist())
    if isinstance(x, (list, tuple)):
        return [_plain(v) for v in x]
    return None if isinstance(x, float) and not math.isfinite(x) else x


def _lines(r: Regime) -> list[str]:
    several = isinstance(r.verdict, tuple)
    if several:
        lines = [f"{r.rule}: {len(r.verdicts)} networks; numbers are their means"]
        lines += [f"  {i}: {v}: {why}" for i, (v, why) in enumerate(zip(r.verdict, r.why, strict=True))]
    else:
        lines = [f"{r.rule}: {r.verdict}: {r.why}"]
    heads = ["node", "energy", "share", "|dE/dh| last/first", "/own pull", "wave at step"]
    rows = []
    for n in r.energy:
        wave = "" if n not in r.arrival else "never" if np.all(r.arrival[n] < 0) else cell(r.arrival[n])
        share = f"{100 * float(np.mean(r.share[n])):.3g}%"
        rows.append([n or "(model)", cell(r.energy[n]), share, cell(r.moving.get(n)), cell(r.rest.get(n)), wave])
    lines += ["", *table(heads, rows), ""]
    heads = ["layer", "cosine to backprop", "norm / backprop's"]
    lines += table(heads, [[m, cell(r.module_cosine[m], 6), cell(r.module_norm_ratio[m])] for m in r.module_cosine])
    ends = [f"target alignment {cell(r.alignment)}, of backprop {cell(r.backprop_alignment)}"]
    ends.append(f"inference steps {cell(r.steps)}")
    if np.any(np.isfinite(r.curvature)):
        low, high = cell(r.curvature[..., 1]), cell(r.curvature[..., 0])
        ends.append(f"curvature {low} to {high}, largest stable step {cell(r.stable_step)}")
        ends += _not_converged(r)
    if np.any(np.isfinite(r.step)):
        ends.append(f"step {cell(r.step)}")
    return [*lines, "", "; ".join(ends)]


def _not_converged(r: Regime) -> list[str]:
    """Return which ends of the spectrum were not found well, in words."""
    found = []
    for i, end in enumerate(("largest", "smallest")):
        values, errors = np.atleast_1d(np.abs(r.curvature[..., i])), np.atleast_1d(r.curvature_error[..., i])
        off = errors > 1.001 * TOLERANCE * values
        if np.any(off):
            where = f" in {off.sum()} of {off.size} networks" if off.size > 1 else ""
            most = f"{np.max(errors[off]):.1g}"
            found.append(f"the {end} curvature is not found to {TOLERANCE:g}{where}, and may be off by {most}")
    return found
