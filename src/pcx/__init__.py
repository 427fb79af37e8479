"""pcx: predictive coding networks on JAX. State: params, modules, random keys.

The names are loaded when they are first used, so that `pcx --version` and `pcx --help` need not wait for JAX.
"""

from typing import TYPE_CHECKING

from .core._lazy import loaded_on_use
from .core._version import __version__

if TYPE_CHECKING:  # what type checkers and editors read; the same names as in _NAMES
    from .core._module import BaseModule, Module
    from .core._parameter import BaseParam, Param, ParamCache, ParamDict, get, set
    from .core._random import RKG, RandomKeyGenerator
    from .core._static import StaticParam, static
    from .core._tree import tree_apply, tree_extract, tree_inject, tree_ref, tree_unref

__all__ = [
    "RKG",
    "BaseModule",
    "BaseParam",
    "Module",
    "Param",
    "ParamCache",
    "ParamDict",
    "RandomKeyGenerator",
    "StaticParam",
    "__version__",
    "get",
    "set",
    "static",
    "tree_apply",
    "tree_extract",
    "tree_inject",
    "tree_ref",
    "tree_unref",
]

_NAMES = {
    "_module": ("BaseModule", "Module"),
    "_parameter": ("BaseParam", "Param", "ParamCache", "ParamDict", "get", "set"),
    "_random": ("RKG", "RandomKeyGenerator"),
    "_static": ("StaticParam", "static"),
    "_tree": ("tree_apply", "tree_extract", "tree_inject", "tree_ref", "tree_unref"),
}
_HOME = {name: f"{__name__}.core.{module}" for module, names in _NAMES.items() for name in names}

if not TYPE_CHECKING:  # hidden from type checkers, which would take any name for a good one
    __getattr__ = loaded_on_use(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
