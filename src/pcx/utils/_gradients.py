"""Gradients by path, and what must hold of them before params are stepped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax.tree_util as jtu
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import PyTree

from ..core import BaseParam, Plan, plan_of


def by_path(tree: PyTree) -> dict[str, PyTree]:
    """Return the values of a tree of params, or of plain arrays in their places.

    **Arguments:**

    - `tree`: any tree.

    **Returns:** the values by path, without those that are None.
    """
    plan = plan_of(tree)
    found = {
        path: value
        for path, param in zip(plan.skeleton.param_paths[1:], plan.params[1:], strict=True)
        if (value := param.get()) is not None
    }
    found.update((p, x) for p, x in zip(plan.skeleton.raw_paths, plan.raws, strict=True) if x is not None)
    return found


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


def check_related(call: str, module: PyTree, index: Mapping[str, int], grads: Mapping[str, PyTree]) -> None:
    """Refuse gradients that stand where the module has no param: they would be passed over without a word.

    **Arguments:**

    - `call`: the public call, for the message.
    - `module`: the tree of params, and `index`, where each path is in its plan.
    - `grads`: the gradients, by path.

    **Raises:** `ValueError`, naming the path.
    """
    if all(path in index for path in grads):
        return
    # A shared param has one path in a plan; gradients may stand at its other places too.
    places = {
        jtu.keystr(path)
        for path, leaf in jtu.tree_flatten_with_path(module, is_leaf=lambda x: isinstance(x, BaseParam))[0]
        if isinstance(leaf, BaseParam)
    }
    for path in grads:
        if path not in places and path not in index:
            raise ValueError(
                f"{call}: the gradients have {path or 'a value'}, where the module has no param: "
                "gradients of another model, or the dict by keyword in place of one entry, as in grads['model']?"
            )


def checked_values(
    call: str,
    plan: Plan,
    index: Mapping[str, int],
    paths: Sequence[str],
    grads: Mapping[str, PyTree],
    allow_none: bool,
) -> dict[str, PyTree]:
    """Return the values of the params of a group, and refuse what can't be stepped.

    **Arguments:**

    - `call`: the public call, for the message.
    - `plan`: of the module, and `index`, where each path is in it.
    - `paths`: of the group's params.
    - `grads`: the gradients, by path.
    - `allow_none`: whether params may lack a gradient.

    **Returns:** the values, by path.

    **Raises:** `ValueError` for a param that isn't there, holds None, or has no gradient or one of another shape.
    """
    values = {}
    for path in paths:
        if path not in index:
            raise ValueError(f"{call}: the optimiser was made for {path}, which the module doesn't have")
        value = plan.params[index[path]].get()
        if value is None:
            raise ValueError(f"{call}: {path} holds None, so it can't be stepped")
        values[path] = value
        if path not in grads:
            if not allow_none:
                raise ValueError(
                    f"{call}: {path} has no gradient (None). Select it in value_and_grad's mask, leave it "
                    "out of init, or pass allow_none=True"
                )
        elif jtu.tree_structure(value) != jtu.tree_structure(grads[path]) or any(
            np.shape(v) != np.shape(g)
            for v, g in zip(jtu.tree_leaves(value), jtu.tree_leaves(grads[path]), strict=True)
        ):
            shapes = np.shape(value), np.shape(grads[path])
            raise ValueError(
                f"{call}: {path} has shape {shapes[0]} and its gradient {shapes[1]}: gradients of another model?"
            )
    return values
