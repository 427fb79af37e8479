"""The reasons for which weights learn nothing, and what else is wrong with how a network learns."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

import numpy as np

from ._layout import Layout, module_of
from ._measure import Measured
from ._steps import Taken
from ._verdict import RISE, ROUNDING, rise_of, unreached_by
from ._watch import NEVER, Watched

Kind: TypeAlias = Literal[
    "frozen", "out of reach", "dead", "lost", "no gradient", "unmoved", "imbalance", "uphill", "rank"
]
DEAD = 0.5
IMBALANCE = 1e6
RANK = 1.5
HEARD = 0.5
"""The cosine to backpropagation's gradient from which on one is no rounding error."""
UNEQUAL = 1e3
"""Times that the step of one weight, over the weight, is smaller than another's, to be worth saying."""
SMALL = 8
"""The rows and columns that a weight must have for its rank to be judged."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that is wrong, with what to do.

    **Attributes:**

    - `kind`: its kind. *Layers learn nothing* that are `"frozen"`; `"out of reach"` of the error in so few inference
        steps; behind units that are `"dead"`; whose error is `"lost"` in rounding; that have `"no gradient"` under
        backpropagation either; or are `"unmoved"` by their optimiser. Other kinds are `"dead"` units,
        an `"imbalance"` of energies, settling that goes `"uphill"`, and updates of low `"rank"`.
    - `layers`: the modules, or nodes, that it is about.
    - `says`: the finding in a sentence.
    - `remedy`: what to do.
    - `silences`: whether these layers learn nothing.
    - `networks`: the numbers of the networks that have it, where there are several.
    """

    kind: Kind
    layers: tuple[str, ...]
    says: str
    remedy: str
    silences: bool = False
    networks: tuple[int, ...] = ()

    def __str__(self) -> str:
        where = f" (networks {', '.join(map(str, self.networks))})" if self.networks else ""
        return f"{self.says}{where}: {self.remedy}"


def silent(measured: Measured, taken: Taken, layout: Layout) -> list[Finding]:
    """Return why weights learn nothing, reason by reason.

    **Arguments:**

    - `measured`, `taken`, `layout`: the numbers of one network, on the host, and their names.
    """
    by_reason: dict[Kind, list[str]] = {"frozen": list(layout.frozen)}
    for path in layout.weights:
        reason = _reason(path, measured, taken, layout)
        if reason is not None:
            by_reason.setdefault(reason, []).append(path)
    found = []
    for kind, paths in by_reason.items():
        modules = tuple(dict.fromkeys([module_of(p) for p in paths]))
        whole = [m for m in modules if all(module_of(p) != m or p in paths for p in layout.weights)]
        names = tuple(whole) if len(whole) == len(modules) else tuple(paths)
        if names:
            says = f"{listed(names)} will learn nothing{_why(kind)}"
            found.append(Finding(kind, names, says, _remedy(kind, measured), silences=True))
    return found


def _reason(path: str, measured: Measured, taken: Taken, layout: Layout) -> Kind | None:
    g, owners = measured.gradients, layout.owners[path]
    watched = measured.settlings
    free = [n for n in owners if n in layout.free]
    lost = bool(watched) and bool(free) and len(free) == len(owners) and all(is_lost(w, free) for w in watched)
    # Rounding errors point anywhere. Where the gradient of all samples together points as backpropagation's does, there
    # is more in their errors than that.
    lost = lost and not float(g.products[path]) >= HEARD
    if g.norms[path] > 0 and not lost:
        return "unmoved" if taken.moved[path] == 0 else None
    if watched and free and all(set(free) <= set(unreached_by(w)) for w in watched):
        return "out of reach"
    if taken.varied and any(taken.constant.get(n, 0.0) >= 1 for n in _below(owners, layout)):
        return "dead"
    if lost:
        return "lost"
    return "no gradient"


def is_lost(watched: Watched, names: Iterable[str]) -> bool:
    """Return whether the errors of nodes are no more than the rounding of their values."""
    if not watched.rounds:
        return all(watched.errors.get(n, 1.0) == 0 for n in names)
    return all(float(watched.errors.get(n, np.inf)) <= _floor(watched, n) for n in names)


def _floor(watched: Watched, name: str) -> float:
    value = watched.values[name]
    return ROUNDING * float(np.finfo(value.dtype).eps) * float(value)


def _below(names: Iterable[str], layout: Layout) -> set[str]:
    """Return nodes and all that is predicted from them, but for clamped ones."""
    found: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name not in found and name not in layout.clamped:
            found.add(name)
            left += layout.children.get(name, ())
    return found


def _why(kind: Kind) -> str:
    return {
        "frozen": ", being marked `frozen = True`",
        "out of reach": ", because no error comes so far in these inference steps",
        "dead": ", because units in or after them give the same prediction for every sample",
        "lost": ", because their errors are no larger than the rounding of their values",
        "no gradient": ", having no gradient, under backpropagation or this rule",
        "unmoved": ", because the optimiser's step leaves them as they are",
    }[kind]


def _remedy(kind: Kind, measured: Measured) -> str:
    if kind == "out of reach":
        needed = max([int(a) for w in measured.settlings for a in w.arrival.values() if a != NEVER], default=0) + 1
        return (
            f"take T={needed} inference steps or more, so that an error comes at all; with errors as coordinates "
            "(pxl.epc) one reaches all layers, and undiminished"
        )
    return {
        "frozen": "leave it if that is meant",
        "dead": "smaller weights or a lower learning rate, or an activation that never stops, such as jax.nn.gelu",
        "lost": "Adam for the values, errors as coordinates (pxl.epc), a larger rate of the values, or many more "
        "inference steps",
        "no gradient": "look for saturated units, and whether the call makes use of them",
        "unmoved": "its rate may be 0, a mask may leave them out, or the step be below the weights' rounding",
    }[kind]


def others(measured: Measured, taken: Taken, layout: Layout) -> list[Finding]:
    """Return what is wrong beside layers that learn nothing.

    **Arguments:** as of `silent`.
    """
    found = []
    rise = 0.0 if layout.noisy else max([rise_of(w) for w in measured.settlings], default=0.0)
    if not measured.finite:
        found.append(_uphill("numbers are not finite"))
    elif measured.uphill or rise > RISE:
        found.append(_uphill("the energy grows while values settle"))
    half = tuple([n for n, part in taken.constant.items() if n in layout.free and DEAD <= part < 1])
    if taken.varied and half:
        parts = [float(taken.constant[n]) for n in half]
        says = f"{min(parts):.0%} or more of the units of {listed(half)} give the same prediction for every sample"
        found.append(Finding("dead", half, says, _remedy("dead", measured)))
    energies = {n: float(e) for n, e in measured.energies.items() if n in layout.free and e > 0}
    if measured.settlings and len(energies) > 1 and measured.finite:
        least, most = min(energies, key=lambda n: energies[n]), max(energies, key=lambda n: energies[n])
        ratio = energies[most] / energies[least]
        steps = {p: float(m) for p, m in taken.moved.items() if m > 0}
        slow, fast = min(steps, key=lambda p: steps[p], default=""), max(steps, key=lambda p: steps[p], default="")
        # Adam takes steps of one size from gradients of any.
        if ratio > IMBALANCE and steps and steps[fast] > UNEQUAL * steps[slow]:
            says = (
                f"the energy of {least} is {ratio:.1g} times smaller than that of {most}, and the steps of {slow}, for "
                f"its size, {steps[fast] / steps[slow]:.1g} times smaller than those of {fast}"
            )
            remedy = (
                "Adam for the weights, more inference steps, a larger rate of the values, muPC's parametrisation "
                "(pxm.MuMLP), or pxl.epc"
            )
            found.append(Finding("imbalance", (least, most), says, remedy))
    low = tuple([p for p, r in taken.ranks.items() if 0 < r < RANK and taken.sizes[p] >= SMALL])
    if low:
        says = f"the updates of {listed(low)} are nearly of rank 1"
        found.append(
            Finding("rank", low, says, "samples may be too alike, or errors point all one way: larger batches")
        )
    return found


def _uphill(says: str) -> Finding:
    return Finding("uphill", (), says, "lower the rate of the values, or take a stop such as pxi.Plateau")


def listed(names: Sequence[str]) -> str:
    """Return names in a row; of many those at the ends, and how many they are."""
    if len(names) <= 6:
        return ", ".join(names)
    return f"{names[0]}, {names[1]}, ..., {names[-1]} ({len(names)} in all)"
