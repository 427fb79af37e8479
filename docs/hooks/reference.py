"""The reference: a page for each package, with every name of its `__all__`, and where its source is."""

import ast
import re
from functools import cache
from pathlib import Path

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from repository import ROOT, hosted

SOURCE = ROOT / "src"
PACKAGES = (
    "pcx.learning",
    "pcx.inference",
    "pcx.models",
    "pcx.data",
    "pcx.training",
    "pcx.analysis",
    "pcx.analysis.report",
    "pcx.experiments",
    "pcx",
    "pcx.functional",
    "pcx.nn",
    "pcx.predictive_coding",
    "pcx.energy",
    "pcx.utils",
)
"""The public packages, as users meet them."""
SHORT = {
    "pcx": "px",
    "pcx.analysis": "pxa",
    "pcx.data": "pxd",
    "pcx.energy": "pxe",
    "pcx.experiments": "pxx",
    "pcx.functional": "pxf",
    "pcx.inference": "pxi",
    "pcx.learning": "pxl",
    "pcx.models": "pxm",
    "pcx.nn": "pxnn",
    "pcx.predictive_coding": "pxc",
    "pcx.training": "pxt",
    "pcx.utils": "pxu",
}
HEADING = re.compile(r'(<h2 id="(pcx[\w.]*)".*?</h2>)', re.DOTALL)


def public(package: str) -> tuple[str, list[str]]:
    """What a package says of itself, and its public names, without importing it."""
    tree = ast.parse(SOURCE.joinpath(*package.split("."), "__init__.py").read_text(encoding="utf-8"))
    names = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    return ast.get_docstring(tree) or "", names[0]


def page_of(package: str) -> str:
    """Where the page of a package is."""
    return f"reference/{package}.md"


def text_of(package: str) -> str:
    """The page of a package, which `mkdocstrings` fills."""
    says, names = public(package)
    says = re.sub(r"^\w+: ", "", says)
    short = f" as {SHORT[package]}" if package in SHORT else ""
    lines = [
        f"# {package}\n",
        f"{says}\n",
        f"```py\nimport {package}{short}\n```\n",
        " · ".join(f"[`{name}`](#{package}.{name})" for name in names) + "\n",
    ]
    lines += [f"::: {package}.{name}\n" for name in names]
    return "\n".join(lines)


@cache
def modules() -> griffe.Module:
    """Everything that is defined in pcx, read from its source."""
    found = griffe.load("pcx", search_paths=[str(SOURCE)])
    assert isinstance(found, griffe.Module)
    return found


def source_of(path: str) -> str | None:
    """Where a public name is defined, such as `src/pcx/learning/_pc.py#L40`."""
    found = modules()[path.removeprefix("pcx.")]
    if found.is_alias:
        found = found.final_target
    if not isinstance(found.filepath, Path):
        return None
    line = f"#L{found.lineno}" if found.lineno else ""
    return found.filepath.relative_to(ROOT).as_posix() + line


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill the part "Reference" of the navigation."""
    for entry in config.nav or []:
        if isinstance(entry, dict) and "Reference" in entry:
            pages = [{name: page_of(name)} for name in PACKAGES]
            entry["Reference"] = [{"All packages": "reference/index.md"}, *pages]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the reference."""
    rows = []
    for package in PACKAGES:
        files.append(File.generated(config, page_of(package), content=text_of(package)))
        says, names = public(package)
        says = " ".join(re.sub(r"^\w+: ", "", says.partition("\n\n")[0]).split())
        short = f"`{SHORT[package]}`" if package in SHORT else ""
        rows.append(f"| [`{package}`]({package}.md) | {short} | {len(names)} | {says} |")
    table = "| package | imported as | names | |\n|---|---|--:|---|\n" + "\n".join(rows)
    text = f"# Reference\n\nEvery public name of pcx, by package. What is not here is not public.\n\n{table}\n"
    files.append(File.generated(config, "reference/index.md", content=text))
    return files


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return the page with a link to the source below the heading of each name."""
    if not page.file.src_uri.startswith("reference/pcx"):
        return html

    def with_source(match: re.Match[str]) -> str:
        heading, path = match.groups()
        place = source_of(path)
        if place is None:
            return heading
        link = hosted(config.repo_url or "", place)
        return f'{heading}<p class="source"><a href="{link}">Source: <code>{place.partition("#")[0]}</code></a></p>'

    return HEADING.sub(with_source, html)
