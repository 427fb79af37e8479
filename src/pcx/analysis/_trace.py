"""Traces: energies and gradients at every inference step."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from ..learning import Rule, State
from ..predictive_coding import EnergyModule
from ._given import wrong
from ._networks import Batch, as_state, compiled, for_each, networks_in, taken_apart
from ._table import cell, table
from ._verdict import last_row
from ._watch import Watched, in_order, watch

Rows = dict[str, Float[np.ndarray, "*networks steps"]]


@dataclasses.dataclass(frozen=True, repr=False)
class Trace:
    """One settling of a batch, step by step. Of several networks each array has an axis of networks first.

    **Attributes:**

    - `energies`: each node's energy, mean over the samples, before the first step and after every step, `{node: [...,
        steps + 1]}`; NaN after the step at which the last sample stopped.
    - `gradients`: the norm of `dE/dh` over the batch, by free node, likewise.
    - `steps`: the steps that each sample really took, `[..., batch]`.
    """

    energies: Rows
    gradients: Rows
    steps: Int[np.ndarray, "*networks batch"]

    @property
    def total(self) -> Float[np.ndarray, "*networks steps"]:
        """The sum of the energies of all nodes."""
        return np.sum(np.stack(list(self.energies.values())), axis=0)

    def to_dict(self) -> dict[str, Any]:
        """Return the trace as JSON takes it.

        **Returns:** dicts, lists and numbers alone; None for what is not finite.
        """
        rows = {"energies": self.energies, "gradients": self.gradients}
        found: dict[str, Any] = {name: {n: _plain(v.tolist()) for n, v in by.items()} for name, by in rows.items()}
        return found | {"steps": self.steps.tolist()}

    def __str__(self) -> str:
        last = next(iter(self.energies.values())).shape[-1] - 1
        some = sorted({round(last * i / 6) for i in range(7)})
        heads = ["energy after step", *map(str, some)]
        rows = [[n or "(model)", *[cell(e[..., t]) for t in some]] for n, e in self.energies.items()]
        taken = f"steps taken: {np.min(self.steps)} to {np.max(self.steps)}, mean {np.mean(self.steps):.3g}"
        return "\n".join([*table(heads, rows), taken])

    __repr__ = __str__


def trace(rule: Rule, model: State | EnergyModule, batch: Batch) -> tuple[Trace, ...]:
    """Settle the values of a batch as a step of a rule does, and keep energies and gradients at every step. Under iPC
    the weights stay as they are meanwhile; a `pcx.inference.Flow` has no steps, and shows its start and its end.

    **Arguments:**

    - `rule`: one whose values settle.
    - `model`, `batch`: see `regime`.

    **Returns:** a `Trace` of each settling of a step: of one, but for clamps with several phases.

    **Raises:** `TypeError` for what is no rule, state or batch; `ValueError` for a rule that doesn't say how its values
    settle.
    """
    state = as_state("trace", rule, model, batch)
    if type(rule).settling is Rule.settling:
        raise ValueError(
            f"trace: {rule.name} doesn't say how its values settle (Rule.settling): there is no trace of them"
        )
    networks = networks_in(state)
    each = taken_apart(for_each(_tracing(rule), state, batch), networks)
    order = tuple(state.structure.nodes)
    return tuple([_joined([found[i] for found in each], networks is not None, order) for i in range(len(each[0]))])


@functools.lru_cache(maxsize=16)
def _tracing(rule: Rule) -> Callable[[State, Batch], tuple[Watched, ...]]:
    def watched(state: State, batch: Batch) -> tuple[Watched, ...]:
        bound = rule.bind(state, batch)
        return tuple([watch(bound, s)[0] for s in rule.settling(bound, bound.start(), rule.memory_of(state))])

    return compiled(watched)


def the_trace(call: str, wanted: str, x: Any) -> Trace:
    """Return a trace, or the only one of a tuple as `trace` returns it.

    **Arguments:**

    - `call`: what to name in errors.
    - `wanted`: what it takes, in words.
    - `x`: as it was given.

    **Raises:** `TypeError` for anything else; `ValueError` for a tuple of several.
    """
    traces: list[Any] = list(x) if isinstance(x, (list, tuple)) else []
    if len(traces) > 1 and all(isinstance(each, Trace) for each in traces):
        raise ValueError(
            f"{call}: there are {len(traces)} traces, one for each time that values settle in a step: choose one, such "
            "as traces[0]"
        )
    if len(traces) == 1:
        x = traces[0]
    if not isinstance(x, Trace):
        raise wrong(call, wanted, x)
    return x


def _joined(each: list[Watched], several: bool, order: Sequence[str]) -> Trace:
    def rows(name: str) -> Rows:
        found = [{n: _until(w, v) for n, v in in_order(getattr(w, name), order).items()} for w in each]
        return {n: np.stack([f[n] for f in found]) if several else found[0][n] for n in found[0]}

    steps = np.stack([np.asarray(w.steps) for w in each])
    return Trace(rows("energies"), rows("gradients"), steps if several else steps[0])


def _until(watched: Watched, row: Float[np.ndarray, " steps"]) -> Float[np.ndarray, " steps"]:
    """Return a row with NaN after the last step."""
    return np.where(np.arange(len(row)) <= last_row(watched), row, np.nan)


def _plain(x: Any) -> Any:
    if isinstance(x, list):
        return [_plain(v) for v in x]
    return x if np.isfinite(x) else None
