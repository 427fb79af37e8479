"""The references of a rule, which stand once: as BibTeX in the docstring of the function that makes the rule."""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
import unicodedata
from collections.abc import Iterator

_BLOCK = re.compile(r"^```bibtex\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ENTRY = re.compile(r"^@\w+\{.*?^\}$", re.MULTILINE | re.DOTALL)
_ACCENT = re.compile(r"\\(['`\"^~])\{?(\w)\}?")
_MARKS = {"'": "\u0301", "`": "\u0300", '"': "\u0308", "^": "\u0302", "~": "\u0303"}
_FIELD = re.compile(r"(\w+)\s*=\s*\{(.*?)\}(?=\s*(?:,|\}\s*$))", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class References:
    """The references to cite for a rule; printed, they are a line each, and all of them as BibTeX.

    **Arguments:**

    - `rule`: the rule's name.
    - `entries`: the references as BibTeX, one each.
    """

    rule: str
    entries: tuple[str, ...]

    @property
    def text(self) -> str:
        """The references in words, a line each."""
        return "\n".join(_in_words(entry) for entry in self.entries)

    @property
    def bibtex(self) -> str:
        """The references as BibTeX, as a `.bib` file has them."""
        return "\n\n".join(self.entries)

    def __str__(self) -> str:
        """Return both, the words first."""
        if not self.entries:
            return f"{self.rule}: no reference is known"
        return f"{self.rule}:\n\n{self.text}\n\n{self.bibtex}"

    __repr__ = __str__


class Cited:
    """A base class of rules, whose references can be asked for."""

    def cite(self) -> References:
        """Return what to cite where the rule is used. A rule of one's own may have BibTeX in its class's docstring, in
        a block of that name; without one it has the references of the rule that it is made from, if any.

        **Returns:** the references; `print(rule.cite())` shows them.
        """
        name = str(getattr(self, "name", type(self).__name__))
        for doc in _docs(self):
            entries = tuple(entry for block in _BLOCK.findall(doc) for entry in _ENTRY.findall(block))
            if entries:
                return References(name, entries)
        return References(name, ())


def _docs(rule: Cited) -> Iterator[str]:
    """The docstrings of a rule's class and of the function that makes it, then those of the classes below it."""
    for cls in type(rule).__mro__:
        yield inspect.cleandoc(cls.__doc__ or "")
        own = vars(cls).get("name")
        called = own.fget(rule) if isinstance(own, property) and own.fget else own
        makes = getattr(sys.modules.get(cls.__module__), str(called), None)
        if inspect.isfunction(makes):
            yield inspect.cleandoc(makes.__doc__ or "")


def _in_words(entry: str) -> str:
    """A BibTeX entry as a line of text."""
    entry = _ACCENT.sub(lambda m: unicodedata.normalize("NFC", m[2] + _MARKS[m[1]]), entry)
    found = {name.lower(): " ".join(value.split()) for name, value in _FIELD.findall(entry)}
    people = found.get("author", "").split(" and ")
    who = ", ".join(people[:-1]) + (" and " if people[1:] else "") + people[-1]
    where = next((f" {found[key]}" for key in ("journal", "booktitle", "publisher") if key in found), "")
    doi = f" https://doi.org/{found['doi']}" if "doi" in found else ""
    volume = f" {found['volume']}" if "volume" in found else ""
    end = "." if where else ""
    year, title = found.get("year", "no year"), found.get("title", "").rstrip(".")
    return f"{who} ({year}). {title}.{where}{volume}{end}{doi}"
