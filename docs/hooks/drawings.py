"""Drawings that go with light and dark: an SVG of `docs/figures/` that says `class="drawing"` is put into the page
itself, where the site's colours reach it. In the repository it is a picture like any other, on a light ground."""

import html as escapes
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

PICTURE = re.compile(r"<img\s[^>]*?>")
ATTRIBUTE = re.compile(r'(\w+)="([^"]*)"')


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return the page with its drawings inside."""

    def drawn(match: re.Match[str]) -> str:
        given = dict(ATTRIBUTE.findall(match[0]))
        source = given.get("src", "")
        place = posixpath.normpath(posixpath.join(posixpath.dirname(page.file.src_uri), source))
        file = Path(config.docs_dir, place)
        if not source.endswith(".svg") or not file.is_file():
            return match[0]
        svg = file.read_text(encoding="utf-8")
        if 'class="drawing"' not in svg:
            return match[0]
        svg = re.sub(r"<\?xml.*?\?>\s*", "", svg)
        # Several in one page must not share names.
        for name in set(re.findall(r'\bid="([\w-]+)"', svg)):
            svg = re.sub(rf'(id="|url\(#|href="#){re.escape(name)}\b', rf"\1{file.stem}-{name}", svg)
        alt = escapes.escape(escapes.unescape(given.get("alt", "")))
        return svg.replace("<svg ", f'<svg role="img" aria-label="{alt}" ', 1)

    return PICTURE.sub(drawn, html)
