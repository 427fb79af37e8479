"""Links from pages to files outside of `docs/`, and pages that are files of the repository's root.

In the repository `../benchmarks/learning.py` is a link that works. In the site such a link goes to the hosted
repository, and a picture that is outside of `docs/` is copied in.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
PAGES = {"changelog.md": "CHANGELOG.md", "contributing.md": "CONTRIBUTING.md", "security.md": "SECURITY.md"}
"""Pages of the site that are files of the repository's root."""
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
FENCE = re.compile(r"(^ *```.*?^ *```$)", re.MULTILINE | re.DOTALL)


def hosted(repo_url: str, path: str) -> str:
    """The address of a file or folder of the repository."""
    kind = "tree" if (ROOT / path.partition("#")[0]).is_dir() else "blob"
    return f"{repo_url.rstrip('/')}/{kind}/main/{path}"


def link_of(target: str, source: str, repo_url: str, picture: bool) -> str:
    """What a link of a page becomes.

    `source` is the page's path in the repository, such as `docs/training.md`, or that of the root's file that it is.
    """
    if re.match(r"[a-z]+:|#|/", target):
        return target
    path, hash_, anchor = target.partition("#")
    place = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    for page, file in PAGES.items():
        if place == file:
            place = f"docs/{page}"
    folder = posixpath.dirname(source) if source.startswith("docs/") else "docs"
    if place.startswith("docs/"):
        return posixpath.relpath(place, folder) + hash_ + anchor
    if not (ROOT / place).exists():
        return target  # is told by the strict build
    if picture:
        return posixpath.relpath(f"docs/outside/{place}", folder)
    return hosted(repo_url, place) + hash_ + anchor


def rewritten(markdown: str, source: str, repo_url: str) -> str:
    """A page's text with its links as they are in the site; code is left alone."""
    parts = FENCE.split(markdown)

    def replace(match: re.Match[str]) -> str:
        picture, text, target = match.groups()
        text = LINK.sub(replace, text)
        return f"{picture}[{text}]({link_of(target, source, repo_url, bool(picture))})"

    parts[::2] = [LINK.sub(replace, part) for part in parts[::2]]
    return "".join(parts)


def pictures_outside(markdown: str, source: str) -> set[str]:
    """The pictures of a page that are outside of `docs/`, by their paths in the repository."""
    found = set()
    for picture, _, target in LINK.findall(FENCE.sub("", markdown)):
        place = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        if picture and ":" not in target and not place.startswith("docs/") and (ROOT / place).is_file():
            found.add(place)
    return found


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are the root's files, and the pictures that pages show from outside."""
    texts = {}
    for page, name in PAGES.items():
        if (ROOT / name).exists():
            texts[name] = (ROOT / name).read_text(encoding="utf-8")
            files.append(File.generated(config, page, content=texts[name]))
    for file in files.documentation_pages():
        if file.abs_src_path and file.src_uri not in PAGES:
            texts[f"docs/{file.src_uri}"] = Path(file.abs_src_path).read_text(encoding="utf-8")
    for place in sorted(set().union(*(pictures_outside(text, source) for source, text in texts.items()))):
        content = (ROOT / place).read_bytes()
        files.append(File.generated(config, f"outside/{place}", content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return the page with its links as they are in the site."""
    source = PAGES.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    return rewritten(markdown, source, config.repo_url or "")
