"""Names of a package that are loaded when they are first used. Stands on the standard library alone."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module


def loaded_on_use(package: str, home: Mapping[str, str]) -> Callable[[str], object]:
    """Return the `__getattr__` of a package whose names are loaded when they are first used.

    **Arguments:**

    - `package`: its name.
    - `home`: for each name, that of the module that has it.
    """

    def load(name: str) -> object:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(home[name]), name)
        setattr(sys.modules[package], name, value)  # the next access does not come here
        return value

    return load
