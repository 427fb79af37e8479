"""Words in tables, the same ones everywhere."""

from collections import Counter
from collections.abc import Iterable

NOTHING = "–"
"""Stands where there is no number."""

SYMPTOMS = {
    "diverges": "numbers-are-nan-or-the-energy-grows",
    "shapes": "shapes-dont-fit",
    "clamped": "no-node-is-clamped-or-targets-are-missing",
    "learns": "it-doesnt-learn",
    "memory": "memory-runs-out",
    "package": "a-package-is-missing",
    "data": "data-are-not-found-or-damaged",
}
"""Parts of the page on troubleshooting that errors name; the site's page has the same name and the same anchors."""


def see(symptom: str) -> str:
    """Return what an error adds to lead to the page on troubleshooting.

    **Arguments:**

    - `symptom`: one of `SYMPTOMS`.

    **Returns:** such as `" (see docs/troubleshooting.md#shapes-dont-fit)"`.
    """
    return f" (see docs/troubleshooting.md#{SYMPTOMS[symptom]})"


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
