"""What programs show, in words and numbers that two processes can compare."""

import warnings
from collections.abc import Callable
from pathlib import Path

import jax
import jax.tree_util as jtu
import numpy as np

import pcx as px
from pcx.core._static import StaticParam

PROGRAMS: dict[str, tuple[str, Callable]] = {}


def program(row: str, name: str | None = None) -> Callable:
    """Register a program of the interface's row `row`. It is called with a `Record`."""

    def register(run: Callable) -> Callable:
        called = name or run.__name__
        if called in PROGRAMS:
            raise ValueError(f"two programs are called {called!r}")
        PROGRAMS[called] = row, run
        return run

    return register


class Record:
    """The values that one program has shown, by name. Calling it shows a value."""

    def __init__(self, own: Path, other: Path | None):
        self.shown: dict[str, object] = {}
        self.own, self.other = own, other

    def __call__(self, name: str, value: object) -> None:
        if name in self.shown:
            raise ValueError(f"{name!r} was shown before")
        self.shown[name] = described(value)

    def raises(self, name: str, call: Callable) -> None:
        """Show the type of the exception that `call` raises, or what it returns."""
        try:
            value = call()
        except Exception as error:
            self(name, f"raises {type(error).__name__}")
        else:
            self(name, value)

    def fails(self, name: str, call: Callable) -> None:
        """Show whether `call` raises, where the type of the exception is nobody's promise."""
        try:
            call()
        except Exception:
            self(name, "raises")
        else:
            self(name, "returns")

    def warns(self, name: str, call: Callable) -> None:
        """Show the categories of the warnings that `call` gives."""
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            call()
        self(name, sorted({w.category.__name__ for w in seen}))


def _stop(x: object) -> bool:
    return x is None or isinstance(x, px.BaseParam)


def described(x: object) -> object:
    """`x` in JSON's words: kinds, shapes, dtypes, numbers; a module by the paths of its leaves."""
    match x:
        case None | bool() | int() | float() | str():
            return x
        case StaticParam():
            return ["StaticParam", described(x.get())]
        case px.BaseParam():
            return [type(x).__name__, described(x.get())]
        case jax.Array() | np.ndarray() | np.generic():
            return ["array", list(x.shape), str(x.dtype), np.asarray(x).tolist()]
        case dict():
            return {str(k): described(v) for k, v in sorted(x.items(), key=lambda kv: str(kv[0]))}
        case list() | tuple():
            return [type(x).__name__, *(described(v) for v in x)]
        case px.BaseModule():
            leaves = jtu.tree_flatten_with_path(x, is_leaf=_stop)[0]
            named = {type(x).__name__ + jtu.keystr(path): leaf for path, leaf in leaves}
            # What a module keeps of its own (mode, status, settings) is no part of what it shows.
            inner = {name for name, leaf in named.items() if "._" in name or isinstance(leaf, StaticParam)}
            return {name: described(leaf) for name, leaf in named.items() if name not in inner}
        case type():
            return f"type {x.__name__}"
    return f"a {type(x).__name__}"
