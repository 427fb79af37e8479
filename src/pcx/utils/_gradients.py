"""Gradients by path, and what must hold of them before params are stepped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax.tree_util as jtu
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import PyTree

from ..core import MAY_HOLD_ITSELF, BaseParam, Kind, Plan, met_first, parts, step


def places(tree: PyTree) -> Iterator[tuple[str, Any]]:
    """Return all places of a tree at which a param or an array stands, with its path.

    **Arguments:**

    - `tree`: any tree. In one that holds itself, each container is gone through once from outside.
    """
    inside: set[int] = set()

    def visit(x: PyTree, path: str) -> Iterator[tuple[str, Any]]:
        kind, children = parts(x)
        if kind in (Kind.PARAM, Kind.LEAF):
            yield path, x
        elif kind is not Kind.STATIC and id(x) not in inside:
            named = dict(children)
            if kind in MAY_HOLD_ITSELF:
                inside.add(id(x))
            for name in named if kind not in (Kind.MODULE, Kind.DICT) else met_first(x, kind):
                yield from visit(named[name], path + step(kind, name))
            inside.discard(id(x))

    return visit(tree, "")


def by_path(tree: PyTree) -> dict[str, PyTree]:
    """Return the values of a tree of params, or of plain arrays in their places.

    **Arguments:**

    - `tree`: any tree.

    **Returns:** the values by path, without those that are None.
    """
    values = {path: BaseParam.get(x) if isinstance(x, BaseParam) else x for path, x in places(tree)}
    return {path: value for path, value in values.items() if value is not None}


def index_of(module: PyTree, plan: Plan, paths: Iterable[str]) -> dict[str, int]:
    """Return where the param of each path is in a plan. A shared param has several paths: all are there if one of
    `paths` is not the one that the plan has for it.

    **Arguments:**

    - `module`: the tree of params, and `plan`, its plan.
    - `paths`: those that will be looked for.
    """
    index = {path: i for i, path in enumerate(plan.skeleton.param_paths)}
    if all(path in index for path in paths):
        return index
    numbers = {id(param): i for i, param in enumerate(plan.params)}
    index.update((path, numbers[id(x)]) for path, x in places(module) if id(x) in numbers)
    return index


def check_scalars(call: str, scale_by: ArrayLike | None, value: ArrayLike | None) -> None:
    """Refuse arrays in the place of numbers.

    **Arguments:**

    - `call`: the public call, for the message.
    - `scale_by`: the factor of the gradients, and `value`, the loss.

    **Raises:** `ValueError`, naming the argument.
    """
    if scale_by is not None and np.shape(scale_by) != ():
        raise ValueError(f"{call}: scale_by must be a scalar, got shape {np.shape(scale_by)}")
    if value is not None and np.shape(value) != ():
        raise ValueError(f"{call}: value must be a scalar, the loss, got shape {np.shape(value)}")


def related(call: str, index: Mapping[str, int], grads: Mapping[str, PyTree], plan: Plan) -> dict[int, PyTree]:
    """Return gradients by where their params are in the module's plan, without those of the arrays that stand beside
    params. Refuse such as stand where the module has neither: they would be passed over without a word.

    **Arguments:**

    - `call`: the public call, for the message.
    - `index`: where each path is in the module's plan.
    - `grads`: the gradients, by path. If there are several for a shared param, the first counts.
    - `plan`: that of the module.

    **Raises:** `ValueError`, naming the path.
    """
    found: dict[int, PyTree] = {}
    for path, value in grads.items():
        if path not in index:
            if path in plan.skeleton.raw_paths:
                continue
            raise ValueError(
                f"{call}: the gradients have {path or 'a value'}, where the module has no param: "
                "gradients of another model, or the dict by keyword in place of one entry, as in grads['model']?"
            )
        found.setdefault(index[path], value)
    return found


def checked_values(
    call: str,
    plan: Plan,
    index: Mapping[str, int],
    paths: Sequence[str],
    grads: Mapping[int, PyTree],
) -> list[PyTree]:
    """Return the values of the params of a group, and refuse what can't be stepped.

    **Arguments:**

    - `call`: the public call, for the message.
    - `plan`: of the module, and `index`, where each path is in it.
    - `paths`: of the group's params.
    - `grads`: the gradients, by place in the plan.

    **Returns:** the values, in the order of the paths.

    **Raises:** `ValueError` for a param that holds None, or has no gradient or one of another shape.
    """
    values = []
    for path in paths:
        i = index[path]
        if i not in grads:
            raise ValueError(
                f"{call}: {path} has no gradient (None). Select it in value_and_grad's mask, leave it "
                "out of init, or pass allow_none=True"
            )
        value = plan.params[i].get()
        values.append(value)
        if value is None:
            raise ValueError(f"{call}: {path} holds None, so it can't be stepped")
        if jtu.tree_structure(value) != jtu.tree_structure(grads[i]) or any(
            np.shape(v) != np.shape(g) for v, g in zip(jtu.tree_leaves(value), jtu.tree_leaves(grads[i]), strict=True)
        ):
            shapes = np.shape(value), np.shape(grads[i])
            raise ValueError(
                f"{call}: {path} has shape {shapes[0]} and its gradient {shapes[1]}: gradients of another model?"
            )
    return values
