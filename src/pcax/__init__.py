"""The older name of pcx: `import pcax.nn` gives the module `pcx.nn` itself, and so for every module inside."""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

import pcx
from pcx import *  # noqa: F403 (what type checkers and editors read)
from pcx.core import said

_OLD = __name__ + "."


def _new(name: str) -> str:
    return "pcx." + name.removeprefix(_OLD)


class _SameModule(Loader, MetaPathFinder):
    """Finds `pcax.x` as the module `pcx.x`."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(_OLD) or find_spec(_new(fullname)) is None:
            return None
        return ModuleSpec(fullname, self)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module(_new(spec.name))
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # It was run under its own name; what the machinery of imports has set meanwhile is set back.
        if module.__spec__ is not None:
            module.__spec__ = module.__spec__.loader_state


said("import pcax", "import pcx")
sys.meta_path.insert(0, _SameModule())
sys.modules[__name__] = pcx
