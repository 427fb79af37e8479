"""The rules of the common benchmark, made of their numbers: those of the settings, or others that were found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optax
from jax.typing import ArrayLike

from .. import learning as pxl
from ._benchmark import NUDGED, BenchmarkSettings, ManyRules

_WEIGHTS = ("lr", "weight_decay")
_VALUES = (*_WEIGHTS, "state_lr", "state_momentum")
NUMBERS: dict[str, tuple[str, ...]] = {
    "pc": _VALUES,
    "ipc": _VALUES,
    "zil": _WEIGHTS,
    "hil": (*_WEIGHTS, "state_lr"),
    "fpa": _WEIGHTS,
    "epc": (*_WEIGHTS, "state_lr"),
    "mcpc": (*_WEIGHTS, "state_lr", "variance"),
    "backprop": _WEIGHTS,
    **dict.fromkeys(NUDGED, (*_VALUES, "beta")),
}
"""The numbers of each rule. Steps are no such numbers: they make other programs."""

_EPC_STEPS, _MCPC_STEPS, _MCPC_BURN_IN = 5, 20, 8


def numbers_of(name: str, s: BenchmarkSettings) -> dict[str, float]:
    """Return the numbers of a rule as the settings say them.

    **Arguments:**

    - `name`: of the rule.
    - `s`: the settings; `ManyRules` for iPC and nudged PC.

    **Returns:** a number for each of `NUMBERS[name]`.
    """
    known = {
        "lr": s.lr,
        "weight_decay": s.weight_decay,
        "state_lr": {"hil": 0.1, "epc": s.epc_lr, "mcpc": 0.05}.get(name, s.state_lr),
        "state_momentum": s.state_momentum,
        "variance": 1e-4,
    }
    if name == "ipc":
        assert isinstance(s, ManyRules)
        known |= {"lr": s.ipc_lr, "weight_decay": s.ipc_weight_decay, "state_lr": s.ipc_state_lr}
    if name in NUDGED:
        assert isinstance(s, ManyRules)
        known["beta"] = s.beta
    return {each: known[each] for each in NUMBERS[name]}


def rule_of(
    name: str, numbers: Mapping[str, ArrayLike], T: int, layers: int, batches: int, *, level: bool = False
) -> pxl.Rule:
    """Return a rule of the benchmark, or one beside them, with the benchmark's optimiser of the weights.

    **Arguments:**

    - `name`: of the rule, a key of `NUMBERS`.
    - `numbers`: those of `NUMBERS[name]`; they may be traced.
    - `T`: inference steps of PC, iPC and nudged PC.
    - `layers`: how many the network has on its longest way.
    - `batches`: how many it learns from, over which the rate of the weights takes its course.
    - `level`: of Z-IL, whether it puts values on skips.
    """
    n: dict[str, Any] = dict(numbers)
    weights = _adamw(n["lr"], n["weight_decay"], batches * {"hil": 2, "ipc": T}.get(name, 1))
    if name == "backprop":
        return pxl.backprop(weights)
    if name == "zil":
        return pxl.zil(weights, level=level)
    if name == "fpa":
        return pxl.fpa(weights, optax.sgd(1.0), layers - 1)
    if name == "hil":
        return pxl.hil(weights, optax.sgd(optax.linear_schedule(1.0, n["state_lr"], 1)), max(8, layers))
    if name == "epc":
        return pxl.epc(weights, optax.sgd(n["state_lr"]), _EPC_STEPS)
    if name == "mcpc":
        return pxl.mcpc(weights, n["state_lr"], _MCPC_STEPS, burn_in=_MCPC_BURN_IN, variance=n["variance"])
    values = optax.sgd(n["state_lr"], momentum=n["state_momentum"])
    if name in NUDGED:
        beta = -n["beta"] if name == "nn" else n["beta"]
        return pxl.nudged(weights, values, T, beta, centred=name == "cn")
    return {"pc": pxl.pc, "ipc": pxl.ipc}[name](weights, values, T)


def _adamw(lr: ArrayLike, decay: ArrayLike, steps: int) -> optax.GradientTransformation:
    """Return the benchmark's optimiser of the weights: up to 1.1 lr over a tenth of the steps, then down to 0.1 lr."""
    # As a course of factors: Optax asks whether a rate is 0, and one that is traced can't say.
    course = optax.warmup_cosine_decay_schedule(1.0, 1.1, max(steps // 10, 1), max(steps, 2), 0.1)
    decays: Any = decay
    return optax.adamw(lambda step: lr * course(step), weight_decay=decays)
