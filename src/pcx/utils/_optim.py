"""Optax optimisers over params."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, TypeAlias

import jax.tree_util as jtu
import optax
from jax.typing import ArrayLike
from jaxtyping import PyTree

from ..core import (
    RKG,
    BaseModule,
    BaseParam,
    Copy,
    Param,
    Plan,
    StaticParam,
    is_param,
    like,
    plan_of,
    scaled,
    static,
)
from ._gradients import by_path, check_scalars, checked_values, index_of, related
from ._made import Group, Groups, Make, as_factory, begin

Factory: TypeAlias = Make | optax.GradientTransformation
"""A function without arguments that makes an Optax transformation; such a transformation itself is taken too."""


class OptimState(Param):
    """The state of an optimiser: None before `init` and after `clear`."""

    __slots__ = ()


class _BaseOptim(BaseModule):
    """An optimiser of groups of params, each by itself, by one Optax transformation."""

    optax_opt_fn: StaticParam

    def __init__(self, optax_opt: Factory, parameters: PyTree = None) -> None:
        self.optax_opt_fn = static(as_factory(f"pxu.{type(self).__name__}", optax_opt))
        self.state = OptimState(None)
        if parameters is not None:
            self.init(parameters)

    def _grouped(self, tree: PyTree, plan: Plan) -> list[tuple[PyTree, list[int]]]:
        """Return each part of the tree that has an optimiser, with its params by index in the plan."""
        raise NotImplementedError

    def _named(self, method: str = "step") -> str:
        return f"pxu.{type(self).__name__}.{method}"

    def init(self, parameters: PyTree) -> None:
        """Start afresh for the params of a tree, with the transformation that the factory makes now.

        A param that holds None has no state until the next `init`: it can be stepped only by a transformation that
        keeps nothing of its params, such as `optax.sgd` without momentum.

        **Arguments:**

        - `parameters`: the tree, such as `pxu.M(pxnn.LayerParam)(model)`.

        **Raises:** `TypeError` if the factory makes no Optax transformation.
        """
        plan, factory = plan_of(parameters), self.optax_opt_fn.get()
        parts = self._grouped(parameters, plan)
        self.state.set(Groups([begin(self._named("init"), factory, part, plan, chosen) for part, chosen in parts]))

    def clear(self) -> None:
        """Forget the state; `init` must be called before the next step."""
        self.state.set(None)

    def step(
        self,
        module: PyTree,
        grads: PyTree,
        scale_by: ArrayLike | None = None,
        apply_updates: bool = True,
        allow_none: bool = False,
        *,
        value: ArrayLike | None = None,
        mul: ArrayLike | None = None,
    ) -> Any:
        """Take one optimisation step.

        **Arguments:**

        - `module`: the tree of params to change.
        - `grads`: a tree like `module` whose params hold gradients, as given by `pxf.value_and_grad`; it isn't changed.
          Gradients of params that were not given to `init`, and of numbers that are no params, are ignored.
        - `scale_by`: a factor for all gradients, such as `1 / batch size`.
        - `apply_updates`: whether to change the params.
        - `allow_none`: whether params may lack a gradient. If one does, nothing is changed, and None is returned, with
          a warning that names it if others have theirs.
        - `value`: the loss whose gradients these are, a scalar, for optimisers that want it, such as
          `optax.contrib.reduce_on_plateau()`; they are told it as it is, whatever `scale_by` is. Others ignore it.
        - `mul`: an older name of `scale_by`.

        **Returns:** the updates, a tree like `module` with None in the place of what isn't updated.

        **Raises:** `ValueError` if a param lacks its gradient, if the gradients are another model's, or before `init`;
        `TypeError` if the optimiser wants a value and there is none. Nothing is changed then.
        """
        state = self.state.get()
        if state is None:
            raise ValueError(f"{self._named()}: the optimiser has no state; call init(params) first")
        plan = plan_of(module)
        found = by_path(grads)
        scale_by, found = scaled(self._named(), scale_by, mul, found)
        check_scalars(self._named(), scale_by, value)
        paths = [path for group in state.groups for path in group.paths]
        index = index_of(module, plan, [*paths, *found])
        found = related(self._named(), index, found, plan)
        other = next((path for path in paths if path not in index), None)
        if other is not None:
            raise ValueError(f"{self._named()}: the optimiser was made for {other}, which the module doesn't have")
        updates: dict[int, Any] = {}
        groups, without, skipped = [], [], 0
        for group in state.groups:
            missing = [p for p in group.paths if index[p] not in found]
            if not group.paths or (missing and self._skips(allow_none)):
                skipped += bool(missing)
                without += missing if len(missing) < len(group.paths) else []
                groups.append(group)
                continue
            values = checked_values(self._named(), plan, index, group.paths, found)
            chosen = [found[index[p]] for p in group.paths]
            new_updates, new_group = self._update(group, chosen, values, scale_by, value)
            updates.update((index[p], update) for p, update in zip(group.paths, new_updates, strict=True))
            groups.append(new_group)
        if without:
            warnings.warn(
                f"{self._named()}: {', '.join(without)} had no gradient (None), so nothing that is optimised together "
                "with it was stepped. Select it in value_and_grad's mask, or leave it out of init",
                stacklevel=2,
            )
        self.state.set(Groups(groups))
        boxes = {id(plan.params[i]): like(plan.skeleton.params[i], update) for i, update in updates.items()}
        tree = Copy(lambda x: boxes.get(id(x))).visit(module)
        if apply_updates:
            for i, update in updates.items():
                param = plan.params[i]
                param.set(optax.apply_updates(param.get(), update))
        return self._returned(tree, skipped)

    def _skips(self, allow_none: bool) -> bool:
        """Return whether a group in which a param lacks its gradient is left as it is; it is refused, if not."""
        return allow_none

    def _returned(self, updates: PyTree, skipped: int) -> PyTree:
        return updates

    def _update(
        self,
        group: Group,
        grads: list[PyTree],
        values: list[PyTree],
        scale_by: ArrayLike | None,
        value: ArrayLike | None,
    ) -> tuple[list[PyTree], Group]:
        if scale_by is not None:
            grads = jtu.tree_map(lambda g: g * scale_by, grads)
        transformation, form = group.made_again(), group.form
        trees = form.unflatten(grads), group.state, form.unflatten(values)
        try:
            updates, new = self._transformed(transformation, *trees, value)
        except (TypeError, ValueError) as e:
            late = next((path for path in group.paths if path in group.unset), None)
            if late is None or "wants the loss" in str(e):
                raise
            raise ValueError(
                f"{self._named()}: {late} has a gradient, but held None when init was called, so that the optimiser "
                "keeps nothing for it; init again"
            ) from e
        return form.flatten_up_to(updates), group.after(new, transformation)

    def _transformed(
        self,
        transformation: optax.GradientTransformation,
        grads: PyTree,
        state: optax.OptState,
        values: PyTree,
        value: ArrayLike | None,
    ) -> tuple[Any, optax.OptState]:
        update = optax.with_extra_args_support(transformation).update
        if value is not None:
            return update(grads, state, values, value=value)
        try:
            return update(grads, state, values)
        except TypeError as e:
            if "'value'" in str(e) and "keyword-only argument" in str(e):
                raise TypeError(f"{self._named()}: the optimiser wants the loss: give it, step(..., value=loss)") from e
            raise

    def apply_updates(self, module: PyTree, updates: PyTree) -> None:
        """Add updates to the params of a tree.

        **Arguments:**

        - `module`: the tree of params to change.
        - `updates`: a tree as `step` returns it; None leaves a param as it is.
        """
        found = by_path(updates)
        plan = plan_of(module)
        index = index_of(module, plan, found)
        for i, update in {index[path]: update for path, update in found.items() if path in index}.items():
            param = plan.params[i]
            param.set(optax.apply_updates(param.get(), update))


class Optim(_BaseOptim):
    """An Optax optimiser for the params of a tree, with tracked state.

    **Arguments:**

    - `optax_opt`: a function without arguments that makes an Optax transformation, as in `lambda: optax.adam(1e-3)`; or
        such a transformation. Each `init` calls the function, inside of whatever is traced: one that draws a random key
        makes an optimiser with new noise each time. `optim.optax_opt_fn` holds it.
    - `parameters`: the tree of params to optimise, such as `pxu.M(pxnn.LayerParam)(model)`; or call `init` later.

    **Raises:** `TypeError` for anything else in the place of the function.
    """

    def _grouped(self, tree: PyTree, plan: Plan) -> list[tuple[PyTree, list[int]]]:
        return [(tree, list(range(1, plan.n)))]

    def _returned(self, updates: PyTree, skipped: int) -> PyTree:
        return None if skipped else updates


class OptimTree(_BaseOptim):
    """An Optax optimiser for each of some nodes of a tree, and for each param that is in none of them.

    A node in which a param has no gradient is skipped and keeps its state: without a word if none has one, with a
    warning that names the param if others have theirs.

    **Arguments:**

    - `optax_opt`: a function without arguments that makes an Optax transformation; each `init` calls it for each node.
        Or such a transformation.
    - `leaf_fn`: says which nodes, as in `lambda x: isinstance(x, pxnn.Layer)`; inside such a node it isn't asked again.
    - `parameters`: the tree of params to optimise; or call `init` later.

    **Raises:** `TypeError` for anything else in the place of the functions.
    """

    def __init__(self, optax_opt: Factory, leaf_fn: Callable[[Any], bool], parameters: PyTree = None) -> None:
        if not callable(leaf_fn):
            raise TypeError(f"pxu.OptimTree: leaf_fn must be a function, got {type(leaf_fn).__name__}")
        self.leaf_fn = static(leaf_fn)
        super().__init__(optax_opt, parameters)

    def _grouped(self, tree: PyTree, plan: Plan) -> list[tuple[PyTree, list[int]]]:
        picked: list[Any] = []

        def pick(x: Any) -> bool:
            if x is not None and not isinstance(x, str) and self.leaf_fn.get()(x):
                picked.append(x)
                return True
            if isinstance(x, BaseParam) and is_param(x) and x is not RKG.key and BaseParam.get(x) is not None:
                picked.append(x)
            return isinstance(x, BaseParam)

        jtu.tree_leaves(tree, is_leaf=pick)
        index = {id(p): i for i, p in enumerate(plan.params)}
        groups, taken = [], set()
        for node in picked:
            group = [index[id(p)] for p in plan_of(node).params[1:] if index[id(p)] not in taken]
            taken.update(group)
            groups.append((node, group))
        return groups

    def _skips(self, allow_none: bool) -> bool:
        return True
