"""Tables of HTML, for notebooks."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence

MOST = 100  # rows that a table shows


def html_table(heads: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "", left: int = 1) -> str:
    """Return a table; all that is given stands there as text.

    **Arguments:**

    - `heads`: the columns' names.
    - `rows`: their texts, as many in each. Spaces at the beginning of the first indent it.
    - `caption`: what stands above.
    - `left`: how many columns are flush left; the others hold numbers.

    **Returns:** HTML; of a long table the first rows and the last, and how many are left out.
    """
    if len(rows) > MOST:
        gap = [f"\u2026 {len(rows) - MOST + 1} more", *[""] * (len(heads) - 1)]
        rows = [*rows[: MOST - 11], gap, *rows[-10:]]

    def cell(kind: str, i: int, text: str) -> str:
        deep = len(text) - len(text.lstrip(" ")) if i == 0 else 0
        side = "left" if i < left else "right"
        inside = f"; padding-left: {0.5 + 0.6 * deep:.1f}em" if deep else ""
        scope = ' scope="col"' if kind == "th" else ""
        return f'<{kind}{scope} style="text-align: {side}{inside}">{html.escape(text.strip())}</{kind}>'

    head = "".join([cell("th", i, text) for i, text in enumerate(heads)])
    body = "".join(["<tr>" + "".join([cell("td", i, t) for i, t in enumerate(row)]) + "</tr>\n" for row in rows])
    said = f'<caption style="text-align: left">{html.escape(caption)}</caption>\n' if caption else ""
    return f"<table>\n{said}<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>"


def html_or_text(made: Callable[[], str], x: object) -> str:
    """Return HTML of an object; if it can't be made, for whatever reason, the object's `repr`. A display must not stop
    a program.

    **Arguments:**

    - `made`: a function that makes it.
    - `x`: the object.
    """
    try:
        return made()
    except Exception:
        pass
    try:
        return f"<pre>{html.escape(repr(x))}</pre>"
    except Exception:
        return f"<pre>{html.escape(object.__repr__(x))}</pre>"
