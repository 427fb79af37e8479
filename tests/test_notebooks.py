"""The notebooks' files: each Python file has its notebook, in step and without outputs, and what every one has."""

import ast
import json
import re
import tomllib
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"
SOURCES = sorted(FOLDER.glob("[0-9]*.py"))
_SETTINGS = (FOLDER.parents[1] / "mkdocs.yml").read_text(encoding="utf-8")
ADDRESS = re.search(r"^repo_url: https://github.com/(\S+)$", _SETTINGS, re.MULTILINE)
assert ADDRESS
REPOSITORY = ADDRESS[1]
DISTRIBUTION = tomllib.loads((FOLDER.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]["name"]


def cells(source: Path) -> list[tuple[str, str]]:
    """The kind and the text of each cell of a file in Jupytext's percent format."""
    found = []
    for part in re.split(r"^# %%", source.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        head, _, body = part.partition("\n")
        body = body.strip("\n")
        if "[markdown]" in head:
            found.append(("markdown", re.sub(r"^# ?", "", body, flags=re.MULTILINE)))
        else:
            found.append(("code", body))
    return found


def test_every_notebook_has_its_python_file():
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == {path.stem for path in SOURCES}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_the_pair_is_in_step(source: Path):
    made = json.loads(source.with_suffix(".ipynb").read_text(encoding="utf-8"))
    text = [(cell["cell_type"], "".join(cell["source"])) for cell in made["cells"]]
    assert text == cells(source), "run: python benchmarks/notebooks.py"
    assert not any(cell.get("outputs") for cell in made["cells"])


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_it_opens_with_a_title_and_a_picture_and_ends_with_exercises(source: Path):
    (kind, first), *others = cells(source)
    assert kind == "markdown"
    assert re.match(r"# \S.*\n\nYou ", first)
    path = f"docs/notebooks/{source.stem}.ipynb"
    assert f"https://colab.research.google.com/github/{REPOSITORY}/blob/main/{path}" in first
    assert f"https://mybinder.org/v2/gh/{REPOSITORY}/main?labpath={path.replace('/', '%2F')}" in first
    assert any(word in text for kind, text in others[:4] for word in ("plt.show()", "display(", "savefig", "pxa.draw("))
    exercises = "\n".join(text for kind, text in others if kind == "markdown").partition("## Exercises")[2]
    count = len(re.findall(r"^\d\. ", exercises, re.MULTILINE))
    assert 3 <= count <= 5
    assert len(re.findall(r"<details>", exercises)) == count


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_what_it_installs_where_pcx_is_missing_has_the_name_of_the_distribution(source: Path):
    # pip refuses `pcx[cli] @ git+...`: what it gets there has another name.
    found = re.findall(r'"((?:\S+ @ )?git\+https://github.com/[^"]+)"', cells(source)[1][1])
    assert len(found) == 1
    assert re.fullmatch(rf"({DISTRIBUTION}(\[[\w,]+\])? @ )?git\+https://github.com/{REPOSITORY}", found[0])


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_the_code_of_answers_compiles(source: Path):
    text = "\n".join(text for kind, text in cells(source) if kind == "markdown")
    for answer in re.findall(r"<details>(.*?)</details>", text, re.DOTALL):
        block = re.compile(r"^```py\n(.*?)^```$", re.MULTILINE | re.DOTALL)
        assert block.sub("", answer).count("```") == 0
        spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", block.sub("", answer))]
        for code in (*block.findall(answer), *[s for s in spans if not s.endswith("=") and not s.startswith("--")]):
            ast.parse(code)
