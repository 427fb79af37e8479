"""The number of steps that errors need. Imports nothing heavy."""

from __future__ import annotations

from ._failures import complain
from ._settings import Experiment, is_own


def warn_of_layers_out_of_reach(options: Experiment) -> None:
    """Write a line on stderr for each rule that has too few steps for its errors to reach the first layers."""
    if is_own(options.model):
        return
    for rule in options.used_rules:
        own = None if is_own(rule) else getattr(options, rule)
        needed = 0 if own is None else own.needed(options.layers)
        steps = getattr(own, "T", needed)
        if steps < needed:
            first = "the first layer" if needed - steps == 1 else f"the first {needed - steps} layers"
            complain(
                f"pcx: warning: --{rule}.T {steps}: nothing reaches {first} of {options.layers}, which won't learn; "
                f"that takes {needed}"
            )
