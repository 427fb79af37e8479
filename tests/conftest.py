"""Tests leave nothing in the user's home, none fails because the machine is busy, and they compile in haste."""

import gc
import os
import re
import shutil
import tempfile
from collections import Counter
from contextlib import contextmanager
from functools import partial, wraps
from importlib.metadata import version
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, get_type_hints

import pytest
from hypothesis import settings

settings.register_profile("pcx", deadline=None)
settings.load_profile("pcx")

_VARIABLES = ("MPLCONFIGDIR", "XDG_CONFIG_HOME")
_folder = ""
_HASTY = ("not slow", "hasty")
"""The selections of tests that are compiled in haste."""

_AXES = re.compile(r"(?:Bool|Float|Inexact|Int|Key|Num|PyTree|Shaped|UInt)\d*\[[^\]]*, '[^']*\w")
"""Annotations that name axes: `Float[Array, 'batch n']`."""

_OFTEN = 5
"""How many of the functions that the same lines make are checked."""

# Most of the time of tests is compilation, of programs that run a few times. This asks XLA for plain code, which it
# makes in a third of the time. The slow tests, and all tests run together, take the code that users get, but in
# processes that they start to see what becomes of a process, and where tests say so.
_HASTE = {
    "xla_backend_optimization_level": 0,
    "xla_cpu_parallel_codegen_split_count": 1,
    "xla_cpu_use_fusion_emitters": False,
    "xla_llvm_disable_expensive_passes": True,
}


def _is_pinned() -> bool:
    pins = (Path(__file__).parents[1] / "constraints.txt").read_text(encoding="utf-8")
    return bool(re.search(rf"^jaxlib=={re.escape(version('jaxlib'))}$", pins, re.MULTILINE))


def _in_haste(flags: str) -> str:
    """Return XLA's flags with ours, but for those that the user has set. XLA ends a process of flags it doesn't know,
    so only with the version that pcx is tested with."""
    if not _is_pinned():
        return flags
    return " ".join(
        [flags, *(f"--{name}={value}".lower() for name, value in _HASTE.items() if name not in flags)]
    ).strip()


@pytest.fixture
def in_haste(monkeypatch):
    """Processes that a test starts compile in haste; this one does as before."""
    import jax

    jax.jit(lambda a: a)(0)  # XLA reads the flags of this process
    monkeypatch.setenv("XLA_FLAGS", _in_haste(os.environ.get("XLA_FLAGS", "")))


def _leave_doors_alone():
    """Inside of `pytest.raises` nothing but the package itself checks types: what is handed in there is wrong on
    purpose, and the error to be seen is the one that users get."""
    from jaxtyping import config as jaxtyping

    checked: Any = pytest.raises

    @contextmanager
    def raises(*args, **kwargs):
        before = jaxtyping.jaxtyping_disable
        with checked(*args, **kwargs) as info:
            jaxtyping.update("jaxtyping_disable", True)
            try:
                yield info
            finally:
                jaxtyping.update("jaxtyping_disable", before)

    pytest.raises = raises  # pyright: ignore[reportAttributeAccessIssue]


def _leave_plain_functions_to_beartype():
    """Functions without named axes in their signature are checked by beartype alone: there are no axes to compare, and
    what jaxtyping does at each call for that would be half of the time that checking types takes. A function inside of
    another, which is made anew at each call of that, and its checks with it, is checked the first few times."""
    import jaxtyping
    from beartype import BeartypeConf, beartype

    with_axes, checks = jaxtyping.jaxtyped, beartype(conf=BeartypeConf(is_pep484_tower=True))
    made: Counter[CodeType] = Counter()

    def annotation_of(text: Any, names: dict[str, Any]) -> Any:
        def one(x): ...

        one.__annotations__["x"] = text
        try:
            return get_type_hints(one, names, include_extras=True)["x"]
        except Exception:  # a name that is imported for pyright alone, or a type that speaks of itself
            return Any

    def jaxtyped(fn: Any = None, *, typechecker: Any = None) -> Any:
        if fn is None:
            return partial(jaxtyped, typechecker=typechecker)
        if not isinstance(fn, FunctionType):
            return with_axes(fn, typechecker=typechecker)
        if "<locals>" in fn.__qualname__:
            made[fn.__code__] += 1
            if made[fn.__code__] > _OFTEN:
                return fn
        annotations = {name: annotation_of(a, fn.__globals__) for name, a in fn.__annotations__.items()}
        if any(_AXES.search(repr(annotation)) for annotation in annotations.values()):
            return with_axes(fn, typechecker=typechecker)
        twin = FunctionType(fn.__code__, fn.__globals__, fn.__name__, fn.__defaults__, fn.__closure__)
        twin.__kwdefaults__, twin.__qualname__, twin.__module__ = fn.__kwdefaults__, fn.__qualname__, fn.__module__
        twin.__annotations__ = annotations
        try:
            checked: Any = checks(twin)
        except Exception:  # what beartype can't take apart
            return with_axes(fn, typechecker=typechecker)

        @wraps(fn)
        def either(*args: Any, **kwargs: Any) -> Any:
            return (fn if jaxtyping.config.jaxtyping_disable else checked)(*args, **kwargs)

        return either

    jaxtyping.jaxtyped = jaxtyped  # pyright: ignore[reportAttributeAccessIssue]


_leave_plain_functions_to_beartype()  # here, since the next conftest.py may import the package


def pytest_addoption(parser):
    parser.addoption(
        "--rule",
        action="append",
        metavar="FILE:NAME",
        help="test this rule alone by what every rule promises (tests/learning/test_every_rule.py): a function of the "
        "rates of weights and values, (w, h), that returns a rule",
    )


def pytest_configure(config):
    """Libraries keep their settings and what they found out in a folder that goes when the tests end. Before any of
    them is imported, and for the processes that tests start, too."""
    global _folder
    _folder = tempfile.mkdtemp(prefix="pcx-tests-")
    for name in _VARIABLES:
        os.environ[name] = os.path.join(_folder, name.lower())
        os.mkdir(os.environ[name])
    os.environ["PCX_COMPILE_CACHE"] = "off"
    if config.option.markexpr in _HASTY:
        os.environ["XLA_FLAGS"] = _in_haste(os.environ.get("XLA_FLAGS", ""))
    if config.getoption("jaxtyping_packages", None):
        _leave_doors_alone()


def pytest_sessionstart(session):
    """Python looks for garbage less often: tracing makes many objects that live for long, of which none is any."""
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Hasty tests are slow ones that ask for numbers alone."""
    for item in items:
        if item.get_closest_marker("hasty"):
            item.add_marker(pytest.mark.slow)


def pytest_unconfigure(config):
    """The folder goes."""
    if _folder:
        shutil.rmtree(_folder, ignore_errors=True)
