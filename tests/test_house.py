"""How the code is written: types that say something, first lines that say what a thing is, files that can be read."""

import ast
import dataclasses
import enum
import importlib
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
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


ROOMS = (
    "functional",
    "nn",
    "predictive_coding",
    "utils",
    "energy",
    "inference",
    "learning",
    "models",
    "data",
    "training",
    "analysis",
    "analysis.report",
    "experiments",
    "cli",
)
SECTION = re.compile(r"^\s*\*\*(\w+):?\*\*", re.MULTILINE)
CHECKS = re.compile(r"_?(check|refuse|taken|raw_key)(_|$)")  # functions that refuse what they are given
BUILDERS = ("__init__", "__post_init__", "__check_init__", "__new__")


def sections(docs: list[str]) -> dict[str, str]:
    """The sections of docstrings by their names, such as "Raises"; the same of several, one after the other."""
    found: dict[str, str] = {}
    for doc in docs:
        _, *parts = SECTION.split(doc)
        for name, text in zip(parts[::2], parts[1::2], strict=True):
            found[name] = found.get(name, "") + text
    return found


def named(found: dict[str, str]) -> set[str]:
    """The names that the items of a docstring's arguments and attributes begin with."""
    items = re.findall(
        r"^\s*- ((?:`\w+`,?\s*)+):", found.get("Arguments", "") + found.get("Attributes", ""), re.MULTILINE
    )
    return {name for item in items for name in re.findall(r"\w+", item)}


def refuses(function: object) -> list[str]:
    """The errors that a function raises, and the checks that it calls, by its own source."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))  # pyright: ignore[reportArgumentType]
    raised = [n.exc for n in ast.walk(tree) if isinstance(n, ast.Raise) and n.exc is not None]
    called = [ast.unparse(n.func).split(".")[-1] for n in ast.walk(tree) if isinstance(n, ast.Call)]
    errors = [ast.unparse(e.func if isinstance(e, ast.Call) else e) for e in raised]
    return [e for e in errors if e != "NotImplementedError"] + [name for name in called if CHECKS.match(name)]


def arguments(function: Callable[..., object]) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]


def public() -> Iterator[tuple[str, object, list[str], bool]]:
    """Every public class, function and method: its name, itself, its docstrings, and whether it gives something back.

    A method's docstrings are its own and those of the methods that it takes the place of, which need not be repeated.
    """
    seen = set()
    for room in ("pcx", *[f"pcx.{room}" for room in ROOMS]):
        module = importlib.import_module(room)
        for name in module.__all__:
            x = getattr(module, name)
            if inspect.isfunction(x):
                yield f"{room}.{name}", x, [inspect.getdoc(x) or ""], True
            if not inspect.isclass(x) or issubclass(x, (Exception, enum.Enum)) or not x.__module__.startswith("pcx"):
                continue
            yield f"{room}.{name}", x, [inspect.cleandoc(x.__doc__ or "")], False
            for method in dir(x):
                function = inspect.unwrap(getattr(x, method)) if callable(getattr(x, method)) else None
                function = getattr(function, "__func__", function)
                if (method.startswith("_") and method != "__call__") or not inspect.isfunction(function):
                    continue
                if function.__module__.startswith("pcx") and function not in seen:
                    seen.add(function)
                    owners = [c for c in x.__mro__ if method in vars(c)]
                    docs = [inspect.cleandoc(getattr(vars(c)[method], "__doc__", None) or "") for c in owners]
                    yield f"{room}.{name}.{method}", function, docs, True


def missing(name: str, x: object, docs: list[str], gives: bool) -> list[str]:
    """What the docstring of a public callable doesn't say."""
    if not any(docs):
        return [f"{name} has no docstring"]
    protocol = getattr(x, "_is_protocol", False)  # which nobody makes
    builders = [vars(x)[m] for m in BUILDERS if m in vars(x) and not protocol] if inspect.isclass(x) else [x]
    # What a dataclass or a named tuple makes by itself has no source.
    builders = [
        f
        for f in builders
        if inspect.isfunction(f) and f.__module__ != "typing" and Path(inspect.unwrap(f).__code__.co_filename).exists()
    ]
    given: list[str] = []
    if not inspect.isclass(x):
        given = arguments(x)  # pyright: ignore[reportArgumentType]
    elif dataclasses.is_dataclass(x):
        given = [f.name for f in dataclasses.fields(x) if f.init]
    elif issubclass(x, tuple):
        given = list(x._fields)  # pyright: ignore[reportAttributeAccessIssue]
    elif not protocol and x.__init__ is not object.__init__:
        given = arguments(x.__init__)
    found = sections(docs)
    unsaid = [f"{name}: no `{each}` in its Arguments" for each in given if each not in named(found)]
    gives = gives and inspect.signature(x).return_annotation not in (None, "None")  # pyright: ignore[reportArgumentType]
    if gives and "Returns" not in found and (given or not next(filter(None, docs)).startswith("Return")):
        unsaid.append(f"{name}: no Returns")
    if "Raises" not in found and any(refuses(inspect.unwrap(f)) for f in builders):
        unsaid.append(f"{name}: no Raises")
    return unsaid


def test_public_docstrings_say_arguments_results_and_errors():
    unsaid = [each for known in public() for each in missing(*known)]
    assert not unsaid, "\n".join(unsaid)


def test_the_reader_of_docstrings_sees_what_is_missing():
    def good(a: int, b: int, *, c: int) -> int:
        """Return a sum.

        **Arguments:**

        - `a`, `b`: numbers.
        - `c`: a number, `d`.

        **Returns:** their sum.

        **Raises:** `ValueError`.
        """
        raise ValueError

    def bad(a: int, d: int) -> int:
        """Return a sum. **Arguments:** `a`, `d`."""
        raise ValueError

    assert missing("good", good, [inspect.getdoc(good) or ""], True) == []
    found = missing("bad", bad, [inspect.getdoc(bad) or ""], True)
    assert found == [
        "bad: no `a` in its Arguments",
        "bad: no `d` in its Arguments",
        "bad: no Returns",
        "bad: no Raises",
    ]
    assert sum(1 for _ in public()) > 200
