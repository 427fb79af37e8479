"""Checks of the numbers among the options. Imports nothing heavy."""

import math

from ._failures import Refused

MOST = 2**31 - 1  # of whole numbers: what programs count in


def at_least(name: str, value: int | float | None, least: int) -> None:
    """Raises `Refused` for a number that is too small, NaN or infinite; None is not given."""
    finite = not isinstance(value, float) or math.isfinite(value)
    if value is not None and not (finite and value >= least):
        raise Refused(f"--{dashed(name)} must be at least {least}, got {value}")


def at_most(name: str, value: int | float | None, most: int) -> None:
    """Raises `Refused` for a number that is too large; None is not given."""
    if value is not None and value > most:
        raise Refused(f"--{dashed(name)} must be at most {most}, got {value}")


def rate(name: str, value: int | float) -> None:
    """Raises `Refused` for what is no learning rate."""
    if not (math.isfinite(value) and value > 0):
        raise Refused(f"--{dashed(name)} must be above 0, got {value}")
    if not 2.0**-126 <= value < 2.0**128:
        raise Refused(
            f"--{dashed(name)} must be a number that float32 can hold, got {value}: it would be 0 or infinite"
        )


def momentum(name: str, value: int | float) -> None:
    """Raises `Refused` for what is no momentum."""
    if not 0 <= value < 1:
        raise Refused(f"--{dashed(name)} must be from 0 to below 1, got {value}")


def dashed(name: str) -> str:
    """Return an option's name as it is written on the command line."""
    return name.replace("_", "-")
