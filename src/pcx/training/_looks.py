"""The looks at the regime of networks that a history holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..core import tallied
from ._types import Row


def last_look(rows: Sequence[Row]) -> Row:
    """Return what was seen of a network last; nothing if it was never looked at.

    **Arguments:**

    - `rows`: its history.
    """
    looks = [row["regime"] for row in rows if row.get("regime")]
    return looks[-1][-1] if looks else {}


def verdicts(looks: Iterable[Row]) -> str:
    """Return the verdicts on networks in words, `""` if there are none.

    **Arguments:**

    - `looks`: at each network.
    """
    return tallied([str(seen["verdict"]) for seen in looks if "verdict" in seen])
