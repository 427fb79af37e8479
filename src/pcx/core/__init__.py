"""Params, modules, static values; the plan and the trace of a tracked call. Imports JAX alone.

`README.md` beside this file shows a call on one page. Below is what other rooms may use, by the file that holds it; the
names are loaded when they are first used, so that `pcx --version` need not wait for JAX.
"""

from typing import TYPE_CHECKING

from ._lazy import loaded_on_use

if TYPE_CHECKING:  # what type checkers and editors read; the same names as in _NAMES
    # ruff: noqa: F401
    from ._anatomy import (
        MAY_HOLD_ITSELF,
        Kind,
        Parts,
        contents,
        inside,
        kind_of,
        met_first,
        ordered,
        parts,
        step,
        treedef_of,
    )
    from ._arrays import is_data, is_typed_key, raw_key, taken
    from ._copy import Copy
    from ._depth import in_vmap, one_more_vmap, vmap_depth
    from ._foreign import no_foreign_params, watching
    from ._hidden import refuse_hidden
    from ._html import html_or_text, html_table
    from ._identity import ById
    from ._key import Keyed, function_key, static_key
    from ._mark import ABSENT, Mark, Mismatched, NeedsInput, marks_for
    from ._module import BaseModule, Module, modules, nearest
    from ._nodes import Filling, Match
    from ._numbers import not_negative, positive, real, whole
    from ._older import OlderMask, OlderNames, factory_of, said, scaled, shape_first
    from ._parameter import BaseParam, Param, ParamCache, ParamDict, get, like, set
    from ._params_html import params_html
    from ._plan import Plan, copies, static_copies
    from ._random import LOCK, RKG, RandomKeyGenerator, RKGState, again_from, began_at, seeded
    from ._reads import MUTATORS, Path, in_library, is_library, is_machinery, of_class, reads_of
    from ._select import Choice, clear_params, params_by_path, predicate
    from ._shown import fields_shown, shown
    from ._skeleton import Skeleton
    from ._static import Setting, StaticParam, is_param, static
    from ._statistics import moments
    from ._trace import Trace, commit, entry_values, filled, trace
    from ._tree import tree_apply, tree_extract, tree_inject, tree_ref, tree_unref
    from ._types import Constant, Mask, Tree, Value, Whole
    from ._version import __version__
    from ._walk import plan_for, plan_of, walk
    from ._warn import warn
    from ._words import NOTHING, see, tallied

_NAMES = {
    # State: what users see as `px`, and what stands beside it.
    "_parameter": "BaseParam Param ParamDict ParamCache get set like",
    "_static": "StaticParam static Setting is_param",
    "_module": "BaseModule Module modules nearest",
    "_random": "RKG RandomKeyGenerator RKGState LOCK again_from began_at seeded",
    "_tree": "tree_apply tree_extract tree_inject tree_ref tree_unref",
    # What is inside of an object, and what it would compute.
    "_anatomy": "Kind MAY_HOLD_ITSELF Parts kind_of inside parts step treedef_of ordered met_first contents",
    "_key": "Keyed function_key static_key",
    "_identity": "ById",
    "_reads": "MUTATORS Path in_library is_library is_machinery of_class reads_of",
    "_types": "Constant Mask Tree Value Whole",
    "_copy": "Copy",
    # What a tracked call is made of.
    "_walk": "plan_for plan_of walk",
    "_warn": "warn",
    "_plan": "Plan copies static_copies",
    "_skeleton": "Skeleton",
    "_nodes": "Filling Match",
    "_mark": "ABSENT Mark Mismatched NeedsInput marks_for",
    "_trace": "Trace trace commit entry_values filled",
    "_depth": "in_vmap one_more_vmap vmap_depth",
    # Choosing params; taking data; refusing what can't be taken; showing values.
    "_select": "Choice clear_params params_by_path predicate",
    "_arrays": "is_data is_typed_key raw_key taken",
    "_numbers": "not_negative positive real whole",
    "_foreign": "no_foreign_params watching",
    "_hidden": "refuse_hidden",
    "_shown": "fields_shown shown",
    "_html": "html_or_text html_table",
    "_words": "NOTHING see tallied",
    "_statistics": "moments",
    "_params_html": "params_html",
    # Older idioms: translated in one place.
    "_older": "OlderMask OlderNames factory_of said scaled shape_first",
    "_version": "__version__",
    "_lazy": "loaded_on_use",
}
_HOME = {name: f"{__name__}.{module}" for module, names in _NAMES.items() for name in names.split()}

if not TYPE_CHECKING:  # hidden from type checkers, which would take any name for a good one
    __getattr__ = loaded_on_use(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
