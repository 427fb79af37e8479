"""How far errors travel. Imports nothing heavy."""

from __future__ import annotations

from ._failures import complain
from ._settings import Experiment, is_own


def warn_of_layers_out_of_reach(options: Experiment) -> None:
    """A line on stderr for each rule that has too few steps for its errors to reach the first layers."""
    if is_own(options.model):
        return
    for rule in options.used_rules:
        steps, needed = _steps(options, rule), _needed(options, rule)
        if steps < needed:
            first = "the first layer" if needed - steps == 1 else f"the first {needed - steps} layers"
            complain(
                f"pcx: warning: --{rule}.T {steps}: nothing reaches {first} of {options.layers}, which won't learn; "
                f"that takes {needed}"
            )


def _needed(options: Experiment, rule: str) -> int:
    """Steps until an error of the output has reached the first layer: one for each layer but the output's, and with
    weights that learn at each step, before the error has moved on, one more."""
    if rule in ("pc", "nudged", "fpa"):
        return options.layers - 1
    return options.layers if rule == "ipc" else 0


def _steps(options: Experiment, rule: str) -> int:
    return getattr(getattr(options, rule, None), "T", 0)
