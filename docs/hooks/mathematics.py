"""Equations between dollar signs become MathML, which browsers draw by themselves, without a script or a font."""

import html
import re

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

EQUATION = re.compile(r'<(span|div) class="arithmatex">(\\\(|\\\[)(.*?)(\\\)|\\\])</\1>', re.DOTALL)


def as_mathml(match: re.Match[str]) -> str:
    """An equation that the extension `arithmatex` has marked, as MathML."""
    kind, _, latex, _ = match.groups()
    found = convert(html.unescape(latex).strip(), display="block" if kind == "div" else "inline")
    return f'<div class="equation" tabindex="0">{found}</div>' if kind == "div" else found


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return the page with its equations as MathML."""
    return EQUATION.sub(as_mathml, html)
