"""The result of a run as tables of HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core import html_table
from ..learning import State, state_html

if TYPE_CHECKING:
    from ._result import Fit


def fit_html(fit: Fit) -> str:
    """Return tables of a result: its networks with their metrics, the best first; and the first network's nodes and
    arrays, with the energies of the last epoch.

    **Arguments:**

    - `fit`: the result.
    """
    parts = [fit.table()._html(repr(fit))] if fit.history else [html_table((repr(fit),), [])]
    state = fit.states[0] if fit.states else None
    if isinstance(state, State):
        rows = [row for row in fit.history if row["network"] == 0]
        of = "state" if len(fit.states) == 1 else f"state of network 0, {fit.members[0].name}"
        parts.append(state_html(state, rows[-1].get("energies") if rows else None, "E, last epoch", of))
    return "\n".join(parts)
