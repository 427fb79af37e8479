"""The site: every public name is in the reference, links lead somewhere, and the project's files agree."""

import importlib.util
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOOKS = ROOT / "docs" / "hooks"
NEEDED = ("mkdocs", "griffe", "jupytext", "latex2mathml")


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def module(path: Path):
    """A file as a module of its own name; those beside it can be imported."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(found)
    finally:
        sys.path.remove(str(path.parent))
    return found


PUBLIC = module(ROOT / "tests" / "test_imports.py").PUBLIC


@pytest.fixture(scope="module")
def reference():
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"the site needs {', '.join(missing)}: pip install '.[docs]'")
    return module(HOOKS / "reference.py")


def test_every_public_name_is_in_the_reference(reference):
    assert set(reference.PACKAGES) == set(PUBLIC)
    for package, names in PUBLIC.items():
        page = reference.text_of(package)
        assert set(re.findall(r"^::: (.*)$", page, re.MULTILINE)) == {f"{package}.{name}" for name in names.split()}


@pytest.mark.slow
def test_every_public_name_has_its_source(reference):
    for package, names in PUBLIC.items():
        for name in names.split():
            place, _, line = reference.source_of(f"{package}.{name}").partition("#L")
            assert (ROOT / place).is_file(), f"{package}.{name}"
            # A decorator may stand above what it decorates.
            lines = text(place).splitlines()[int(line) - 1 : int(line) + 5]
            assert any(re.search(rf"\b{name}\b", each) for each in lines), f"{package}.{name}"


@pytest.mark.parametrize(
    ("target", "source", "expected"),
    [
        ("training.md#seeds", "docs/data.md", "training.md#seeds"),
        ("../benchmarks/learning.py", "docs/data.md", "https://here/blob/main/benchmarks/learning.py"),
        ("../src/pcx", "docs/data.md", "https://here/tree/main/src/pcx"),
        ("docs/design.md", "CONTRIBUTING.md", "design.md"),
        ("../CHANGELOG.md", "docs/data.md", "changelog.md"),
        ("../training.md", "docs/notebooks/01-a.md", "../training.md"),
        ("https://there", "docs/data.md", "https://there"),
        ("../nothing.md", "docs/data.md", "../nothing.md"),
    ],
)
def test_links_out_of_the_docs(reference, target, source, expected):
    repository = sys.modules.get("repository") or module(HOOKS / "repository.py")
    assert repository.link_of(target, source, "https://here", picture=False) == expected


def test_answers_of_notebooks_are_markdown_on_the_site_and_exercises_go_on_counting(reference):
    nbformat = importlib.import_module("nbformat")
    notebooks = sys.modules.get("notebooks") or module(HOOKS / "notebooks.py")
    source = "1. One?\n\n<details><summary>Hint</summary>\n\nIt is `x`.\n\n</details>\n\n2. Two?"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(source)])
    page, pictures = notebooks.as_markdown(notebook, "a", [])
    extensions = re.findall(r"^  - (md_in_html|sane_lists)\b", text("mkdocs.yml"), re.MULTILINE)
    html = importlib.import_module("markdown").markdown(page, extensions=extensions)
    assert "<code>x</code>" in html
    assert '<ol start="2">' in html
    assert not pictures


def test_the_diagrams_are_what_their_program_draws():
    drawings = module(ROOT / "docs" / "figures" / "drawings.py")
    for name, draw in drawings.DRAWINGS.items():
        assert draw() == text(f"docs/figures/{name}.svg"), f"run docs/figures/drawings.py: {name}"


def test_the_addresses_of_the_repository_agree():
    urls = tomllib.loads(text("pyproject.toml"))["project"]["urls"]
    settings = dict(re.findall(r"^(\w+): (\S+)$", text("mkdocs.yml"), re.MULTILINE))
    cited = dict(re.findall(r"^([\w-]+): (\S+)$", text("CITATION.cff"), re.MULTILINE))
    assert urls["Repository"] == settings["repo_url"] == cited["repository-code"]
    assert urls["Documentation"] == settings["site_url"]
    assert f"{settings['site_url']}troubleshooting.html" in text(".github/ISSUE_TEMPLATE/config.yml")
    for name in ("Issues", "Changelog"):
        assert urls[name].startswith(urls["Repository"] + "/")


def test_errors_name_parts_of_the_page_on_troubleshooting():
    from pcx.core._words import SYMPTOMS, see

    headings = re.findall(r"^## (.*)$", text("docs/troubleshooting.md"), re.MULTILINE)
    anchors = {re.sub(r"[^\w\s-]", "", heading).lower().replace(" ", "-") for heading in headings}
    for symptom, anchor in SYMPTOMS.items():
        assert anchor in anchors
        assert see(symptom) == f" (see docs/troubleshooting.md#{anchor})"
    # The data know nothing of pcx, so that they write it out.
    source = "".join([path.read_text(encoding="utf-8") for path in sorted((ROOT / "src").rglob("*.py"))])
    named = set(re.findall(r"troubleshooting\.md#([\w-]+)", source))
    assert "data-are-not-found-or-damaged" in named
    assert named <= anchors


def test_the_citation_is_of_this_version():
    import pcx

    assert f"\nversion: {pcx.__version__}\n" in text("CITATION.cff")
    assert f"version = {{{pcx.__version__}}}" in text("docs/cite.md")
