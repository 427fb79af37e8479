"""The help of options as flowing text: its lines are broken where the terminal ends, and not where the source's are."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from types import MappingProxyType


def flowing(text: str) -> str:
    """Return a text on one line."""
    return " ".join(text.split())


def let_help_flow(options: type) -> None:
    """Give the fields of a dataclass, and of those inside of it, their docstrings as help that flows.

    **Arguments:**

    - `options`: a dataclass of options.
    """
    docs: dict[str, str] = {}
    for owner in reversed(options.__mro__):
        docs |= _docs_in(owner) if dataclasses.is_dataclass(owner) else {}
    for field in dataclasses.fields(options):
        if field.name in docs:
            field.metadata = MappingProxyType({**field.metadata, "help": flowing(docs[field.name])})
        if isinstance(field.default_factory, type) and dataclasses.is_dataclass(field.default_factory):
            let_help_flow(field.default_factory)


def _docs_in(owner: type) -> dict[str, str]:
    """Return the docstrings of fields as they stand below them in the source."""
    try:
        source = textwrap.dedent(inspect.getsource(owner))
    except (OSError, TypeError):  # there is no source: as it was
        return {}
    (made,) = ast.parse(source).body
    assert isinstance(made, ast.ClassDef)
    found = {}
    for before, after in zip(made.body, made.body[1:], strict=False):
        if isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name) and isinstance(after, ast.Expr):
            value = after.value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                found[before.target.id] = value.value
    return found
