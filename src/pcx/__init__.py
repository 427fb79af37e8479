"""pcx: predictive coding networks on JAX. State: params, modules, random keys."""

from .core._module import BaseModule, Module
from .core._param import BaseParam, Param, ParamCache, ParamDict, get, set
from .core._random import RKG, RandomKeyGenerator
from .core._static import static
from .core._tree import tree_apply, tree_extract, tree_inject, tree_ref, tree_unref
from .core._version import __version__

__all__ = [
    "RKG",
    "BaseModule",
    "BaseParam",
    "Module",
    "Param",
    "ParamCache",
    "ParamDict",
    "RandomKeyGenerator",
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
