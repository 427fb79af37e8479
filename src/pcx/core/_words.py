"""Words in tables, the same ones everywhere."""

from collections import Counter
from collections.abc import Iterable

NOTHING = "–"
"""Stands where there is no number."""


def tallied(words: Iterable[str]) -> str:
    """Return words, and how many there are of each where they differ.

    **Arguments:**

    - `words`: such as verdicts.

    **Returns:** `"transient"`, or `"2 transient, 1 equilibrium"`, in the order in which they come first; `""` of none.
    """
    counts = Counter(words)
    if len(counts) < 2:
        return next(iter(counts), "")
    return ", ".join([f"{number} {word}" for word, number in counts.items()])
