"""How the code is written: types that say something, first lines that say what a thing is, files that can be read."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "pcx"
FILES = sorted(SOURCE.rglob("*.py"))
QUESTIONS = {"What", "How", "Where", "Which", "Whether", "When", "Why", "Who"}


def functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.arg]:
    a = function.args
    found = [*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg]
    return [arg for arg in found if arg is not None and arg.arg not in ("self", "cls")]


def test_parameters_have_types_that_say_something():
    every = [arg for path in FILES for f in functions(ast.parse(path.read_text("utf-8"))) for arg in parameters(f)]
    bare = [
        a for a in every if a.annotation is None or (isinstance(a.annotation, ast.Name) and a.annotation.id == "Any")
    ]
    assert len(bare) < 0.05 * len(every), f"{len(bare)} of {len(every)} are annotated Any, or not at all"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_docstrings_begin_with_what_a_thing_does_or_is(path):
    tree = ast.parse(path.read_text("utf-8"))
    nodes = [n for n in ast.walk(tree) if isinstance(n, ast.Module | ast.ClassDef | ast.FunctionDef)]
    first = [doc.split()[0].strip(",.:") for n in nodes if (doc := ast.get_docstring(n))]
    assert not QUESTIONS & set(first)


def test_files_can_be_read():
    sizes = {path: len(path.read_text("utf-8").splitlines()) for path in FILES}
    assert max(sizes.values()) <= 350, max(sizes, key=lambda path: sizes[path])
    assert sum(sizes.values()) / len(sizes) <= 150
