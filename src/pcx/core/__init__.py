"""Params, modules, static values; the plan and the trace of a tracked call. Imports JAX alone.

`README.md` beside this file shows a call on one page. Below is what other rooms may use, by the file that holds it; the
names are loaded when they are first used, so that `pcx --version` need not wait for JAX.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what type checkers and editors read; the same names as in _NAMES
    # ruff: noqa: F401
    from ._arrays import is_data, raw_key, taken
    from ._depth import in_vmap, one_more_vmap, vmap_depth
    from ._foreign import no_foreign_params, watching
    from ._hidden import refuse_hidden
    from ._key import ById, Keyed, function_key, static_key
    from ._module import FACTS, BaseModule, Fact, Module, known, modules
    from ._parameter import BaseParam, Param, ParamCache, ParamDict, get, like, set
    from ._plan import Plan, copies
    from ._random import LOCK, RKG, RandomKeyGenerator, RKGState, seeded
    from ._reads import MUTATORS, Path, in_library, is_library, is_machinery, of_class, reads_of
    from ._select import Choice, clear_params, params_by_path, predicate
    from ._shown import fields_shown, shown
    from ._skeleton import leaves_of, statics_of
    from ._static import Static, static, unwrap
    from ._trace import ABSENT, Mark, Mismatched, NeedsInput, Trace, commit, marks_for, trace
    from ._tree import tree_apply, tree_extract, tree_inject, tree_ref, tree_unref
    from ._walk import plan_for, plan_of, walk

_NAMES = {
    # What users see, as `px`.
    "_parameter": "BaseParam Param ParamCache ParamDict get set like",
    "_static": "Static static unwrap",
    "_module": "BaseModule Module modules FACTS Fact known",
    "_random": "RKG RandomKeyGenerator RKGState LOCK seeded",
    "_tree": "tree_apply tree_extract tree_inject tree_ref tree_unref",
    # What a tracked call is made of.
    "_plan": "Plan copies",
    "_walk": "plan_for plan_of walk",
    "_skeleton": "leaves_of statics_of",
    "_trace": "ABSENT Mark Mismatched NeedsInput Trace commit marks_for trace",
    "_depth": "in_vmap one_more_vmap vmap_depth",
    "_key": "ById Keyed function_key static_key",
    # What functions read.
    "_reads": "MUTATORS Path in_library is_library is_machinery of_class reads_of",
    # Choosing params, and refusing what can't be taken.
    "_select": "Choice clear_params params_by_path predicate",
    "_foreign": "no_foreign_params watching",
    "_hidden": "refuse_hidden",
    "_arrays": "is_data raw_key taken",
    "_shown": "fields_shown shown",
}
_HOME = {name: f"{__name__}.{module}" for module, names in _NAMES.items() for name in names.split()}


if not TYPE_CHECKING:  # hidden from type checkers, which would take any name for a good one

    def __getattr__(name: str) -> Any:
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(_HOME[name]), name)
        globals()[name] = value  # the next access does not come here
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
