"""Checks that settings of several experiments share. Imports nothing heavy."""

from __future__ import annotations

from .frame import Settings

SETS = ("mnist", "fashion-mnist", "cifar10", "digits")
"""The images that experiments may use."""


def check_images(name: str) -> None:
    """Refuse data that are no images.

    **Raises:** `ValueError`, naming those that are.
    """
    if name not in SETS:
        raise ValueError(f"--data must be one of {', '.join(SETS)}, got {name}")


def check_positive(settings: Settings, *names: str) -> None:
    """Refuse settings that are not above 0, or infinite.

    **Arguments:**

    - `settings`: an experiment's.
    - `names`: of those that must be.

    **Raises:** `ValueError`, naming the option.
    """
    for name in names:
        value = getattr(settings, name)
        for each in value if isinstance(value, tuple) else (value,):
            if not 0 < each < float("inf"):
                raise ValueError(f"--{name.replace('_', '-')} must be above 0, got {each}")


def check_momentum(name: str, value: float) -> None:
    """Refuse a momentum outside of [0, 1).

    **Raises:** `ValueError`, naming the option.
    """
    if not 0 <= value < 1:
        raise ValueError(f"--{name.replace('_', '-')} must be from 0 to below 1, got {value}")


def check_burn_in(burn_in: int, T: int) -> None:
    """Refuse a burn-in that leaves no step to learn from.

    **Raises:** `ValueError`.
    """
    if burn_in >= T:
        raise ValueError(f"--burn-in must be below --T {T}, got {burn_in}")


def check_unused(settings: Settings, *names: str) -> None:
    """Refuse options that an experiment has no use for.

    **Arguments:**

    - `settings`: an experiment's.
    - `names`: of those that must be left out.

    **Raises:** `ValueError`, naming the option.
    """
    for name in names:
        if getattr(settings, name) is not None:
            raise ValueError(f"--{name.replace('_', '-')} has no effect in this experiment: leave it out")
