"""The option `--regime`, and what it and its kin say. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ._checks import MOST
from ._failures import Refused

_KEPT = ("batch", "verdict", "why", "silent", "step", "stable_step")  # of a look, in summaries


def check_regime(value: object) -> None:
    """Refuse what says neither how often to look, nor not to.

    **Arguments:**

    - `value`: a number, or the words of the command line.

    **Raises:** `Refused`.
    """
    if value is None or value in ("auto", "off"):
        return
    try:
        number = None if isinstance(value, bool) else int(str(value))
    except ValueError:
        number = None
    if number is None or not 1 <= number <= MOST:
        raise Refused(
            f"--regime must be a number of batches from 1 to {MOST}, or auto, which is 500, got {value}; leave it out, "
            "or say off, to look at nothing"
        )


def check_regime_in(args: Sequence[str]) -> None:
    """Refuse a value of `--regime` before the command line is read, which has no words for it.

    **Arguments:**

    - `args`: the words of the command line.

    **Raises:** `Refused`.
    """
    if args[0] not in ("train", "compare") or {"-h", "--help"} & set(args):
        return
    for word, after in zip(args, [*args[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if name == "--regime":
            given = value if equals else after
            if given != "None":  # as for all options that may be left out
                check_regime(given if given and not given.startswith("--") else "nothing")


def summed_up(look: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a summary has of a look.

    **Arguments:**

    - `look`: see `pcx.training`; empty if there was none.
    """
    return {name: look[name] for name in _KEPT if name in look}


def in_words(look: Mapping[str, Any]) -> str:
    """Return the verdict of a look, when it was, and the steps of the values, if they were measured.

    **Arguments:**

    - `look`: see `summed_up`.
    """
    words = f"{look['verdict']} at batch {look['batch']}"
    if look.get("stable_step") is None:
        return words
    step = "" if look.get("step") is None else f"step {look['step']:.3g}, "
    return f"{words}, {step}stable to {look['stable_step']:.3g}"
