"""The page: one file of HTML that asks for nothing outside itself."""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import os
from collections.abc import Callable, Sequence
from datetime import datetime

from ._figures import energies, metrics, network
from ._parts import Section, Table
from ._record import Record
from ._regime import regime
from ._tables import history, networks, overview, settings, software, studies

# In the order of the page. A section of one's own is a function of the records, and stands here.
SECTIONS: tuple[Callable[[Sequence[Record]], Section], ...] = (
    overview,
    studies,
    metrics,
    energies,
    regime,
    network,
    networks,
    settings,
    history,
    software,
)
GENERATOR = "pcx report"


def page(records: Sequence[Record], *, refresh: float | None = None, waiting: Sequence[str] = ()) -> str:
    """Return a report on runs as a page of HTML, which holds all it needs: it asks for nothing outside itself, and its
    policy forbids that to whatever may have found its way into it.

    **Arguments:**

    - `records`: see `read`.
    - `refresh`: seconds after which the page asks where it came from for a newer one; None for a file.
    - `waiting`: names of runs that are waited for: they have not begun.

    **Returns:** the page.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    sections = [made for make in SECTIONS if (made := make(records)).parts or made.notes or made.lead]
    environment = Environment(
        loader=PackageLoader("pcx.analysis.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script, style = _file("page.js"), _file("page.css")
    within = tuple([f"{record.folder}{os.sep}" for record in records])
    given = [record for record in records if not record.folder.startswith(within)]  # not those of a comparison's rules
    names = [*[record.name for record in given], *waiting]
    return environment.get_template("page.html").render(
        title=", ".join(names[:4]) + (", …" if len(names) > 4 else ""),
        generator=GENERATOR,
        policy=policy(refresh is not None),
        script=Markup(script),
        style=Markup(style),
        records=records,
        sections=sections,
        folders=list(dict.fromkeys(record.folder for record in given)),
        now=datetime.now().astimezone().isoformat(sep=" ", timespec="seconds"),
        refresh=None if refresh is None else f"{refresh:g}",
        waiting=waiting,
        is_table=lambda part: isinstance(part, Table),
        svg=Markup,
    )


def policy(served: bool) -> str:
    """Return what a page may do, as a Content-Security-Policy: run its own script, use its own style, and ask where it
    came from for a newer one, if it is served; nothing else.

    **Arguments:**

    - `served`: whether it comes from a server, and is no file.

    **Returns:** the policy's text.
    """
    digest = base64.b64encode(hashlib.sha256(_file("page.js").encode()).digest()).decode()
    source = "'self'" if served else "'none'"
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; "
        f"connect-src {source}; base-uri 'none'; form-action 'none'"
    )


def is_report(path: str | os.PathLike[str]) -> bool:
    """Return whether a file is a page that was written before.

    **Arguments:**

    - `path`: of the file.

    **Returns:** True if it says so in its head.
    """
    with open(path, "rb") as file:
        return f'<meta name="generator" content="{GENERATOR}">'.encode() in file.read(4096)


def _file(name: str) -> str:
    return importlib.resources.files(__package__ or "").joinpath("templates", name).read_text(encoding="utf-8")
