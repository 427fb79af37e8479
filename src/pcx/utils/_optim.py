"""Optax optimisers over params."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax.numpy as jnp
import jax.tree_util as jtu
import optax
from jax.typing import ArrayLike
from jaxtyping import PyTree

from ..core import (
    BaseModule,
    BaseParam,
    Param,
    Plan,
    copies,
    factory_of,
    like,
    plan_of,
    scaled,
    static,
    static_copies,
)
from ._gradients import by_path, check_related, check_scalars, checked_values

Factory: TypeAlias = Callable[[], optax.GradientTransformation] | optax.GradientTransformation
"""A function without arguments that makes an Optax transformation; such a transformation itself is taken too."""


class _Groups:
    """The states of a few groups of params, with the paths of these. Paths are structure, states leaves."""

    __slots__ = ("paths", "states", "unset")

    def __init__(
        self, paths: tuple[tuple[str, ...], ...], unset: frozenset[str], states: Sequence[optax.OptState]
    ) -> None:
        self.paths = paths
        self.unset = unset  # params that held None at init
        self.states = list(states)


jtu.register_pytree_node(
    _Groups, lambda g: (g.states, (g.paths, g.unset)), lambda aux, states: _Groups(aux[0], aux[1], states)
)


class OptimState(Param):
    """The state of an optimiser: None before `init` and after `clear`."""

    __slots__ = ()


class _BaseOptim(BaseModule):
    """An optimiser of groups of params, each by itself, by one Optax transformation."""

    def __init__(self, optax_opt: Factory, parameters: PyTree = None) -> None:
        call = type(self).__name__
        if isinstance(optax_opt, optax.GradientTransformation):
            optax_opt = factory_of(f"pxu.{call}", optax_opt)
        transformation: Any = optax_opt() if callable(optax_opt) else None
        if not isinstance(transformation, optax.GradientTransformation):
            raise TypeError(
                f"pxu.{call}: expected a function without arguments that returns an Optax transformation, as in "
                f"`lambda: optax.sgd(0.1)`, got {optax_opt!r}"
            )
        self.optax_opt = static(transformation)
        self.state = OptimState(None)
        if parameters is not None:
            self.init(parameters)

    def _grouped(self, tree: PyTree, plan: Plan) -> list[list[int]]:
        """Return the params of each group, by index in the plan."""
        raise NotImplementedError

    def _named(self) -> str:
        return f"pxu.{type(self).__name__}.step"

    def init(self, parameters: PyTree) -> None:
        """Start afresh for the params of a tree. Params that hold None are left out until the next `init`.

        **Arguments:**

        - `parameters`: the tree, such as `pxu.M(pxnn.LayerParam)(model)`.
        """
        plan = plan_of(parameters)
        paths, unset, states = [], set(), []
        for group in self._grouped(parameters, plan):
            values = {}
            for i in group:
                value = plan.params[i].get()
                if value is None:
                    unset.add(plan.skeleton.param_paths[i])
                else:
                    values[plan.skeleton.param_paths[i]] = value
            if values:
                paths.append(tuple(values))
                states.append(self.optax_opt.get().init(values))
        self.state.set(_Groups(tuple(paths), frozenset(unset), states))

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
          Gradients of params that were not given to `init` are ignored.
        - `scale_by`: a factor for all gradients, such as `1 / batch size`.
        - `apply_updates`: whether to change the params.
        - `allow_none`: whether params may lack a gradient; they and their state are then left as they are.
        - `value`: the loss whose gradients these are, a scalar, for optimisers that want it, such as
          `optax.contrib.reduce_on_plateau()`; they are told it as it is, whatever `scale_by` is. Others ignore it.
        - `mul`: an older name of `scale_by`.

        **Returns:** the updates, a tree like `module`.

        **Raises:** `ValueError` if a param lacks its gradient, if the gradients are another model's, or before `init`;
        `TypeError` if the optimiser wants a value and there is none. Nothing is changed then.
        """
        state = self.state.get()
        if state is None:
            raise ValueError(f"{self._named()}: the optimiser has no state; call init(params) first")
        plan = plan_of(module)
        index = {path: i for i, path in enumerate(plan.skeleton.param_paths)}
        found = by_path(grads)
        check_related(self._named(), module, index, found)
        scale_by, found = scaled(self._named(), scale_by, mul, found)
        check_scalars(self._named(), scale_by, value)
        late = [p for p in found if p in state.unset]
        if late:
            raise ValueError(
                f"{self._named()}: {late[0]} has a gradient, but held None when init was called; init again"
            )
        updates: dict[str, Any] = {}
        states = []
        for paths, old in zip(state.paths, state.states, strict=True):
            chosen = {p: found[p] for p in paths if p in found}
            if not chosen and self._skips_empty(allow_none):
                states.append(old)
                continue
            values = checked_values(self._named(), plan, index, paths, chosen, allow_none)
            new_updates, new_state = self._update(paths, chosen, values, old, scale_by, value)
            updates.update(new_updates)
            states.append(new_state)
        self.state.set(_Groups(state.paths, state.unset, states))
        boxes = [like(p, updates.get(path)) for p, path in zip(plan.skeleton.params, index, strict=True)]
        tree = copies(plan.skeleton, boxes, [None] * len(plan.raws), static_copies(plan), keyed=False)[""]
        if apply_updates:
            for path, update in updates.items():
                param = plan.params[index[path]]
                param.set(optax.apply_updates(param.get(), update))
        return tree

    def _skips_empty(self, allow_none: bool) -> bool:
        return allow_none

    def _update(
        self,
        paths: Sequence[str],
        grads: dict[str, PyTree],
        values: dict[str, PyTree],
        state: optax.OptState,
        scale_by: ArrayLike | None,
        value: ArrayLike | None,
    ) -> tuple[dict[str, PyTree], optax.OptState]:
        if scale_by is not None:
            grads = jtu.tree_map(lambda g: g * scale_by, grads)
        missing = [p for p in paths if p not in grads]
        full = {p: grads[p] if p in grads else jtu.tree_map(jnp.zeros_like, values[p]) for p in paths}
        updates, new = self._transformed(full, state, values, value)
        if missing:
            keep = {jtu.DictKey(p) for p in missing}
            new = jtu.tree_map_with_path(lambda path, n, o: o if keep & {*path} else n, new, state)
        return {p: u for p, u in updates.items() if p not in missing}, new

    def _transformed(
        self, grads: dict[str, PyTree], state: optax.OptState, values: dict[str, PyTree], value: ArrayLike | None
    ) -> tuple[Any, optax.OptState]:
        update = optax.with_extra_args_support(self.optax_opt.get()).update
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
        for path, param in zip(plan.skeleton.param_paths[1:], plan.params[1:], strict=True):
            if path in found:
                param.set(optax.apply_updates(param.get(), found[path]))


class Optim(_BaseOptim):
    """An Optax optimiser for the params of a tree, with tracked state.

    **Arguments:**

    - `optax_opt`: a function without arguments that makes an Optax transformation, as in `lambda: optax.adam(1e-3)`.
    - `parameters`: the tree of params to optimise, such as `pxu.M(pxnn.LayerParam)(model)`; or call `init` later.

    **Raises:** `TypeError` for anything else in the place of the function.
    """

    def _grouped(self, tree: PyTree, plan: Plan) -> list[list[int]]:
        return [list(range(1, plan.n))]


class OptimTree(_BaseOptim):
    """An Optax optimiser for each of some nodes of a tree. A node none of whose params has a gradient is skipped and
    keeps its state.

    **Arguments:**

    - `optax_opt`: a function without arguments that makes an Optax transformation.
    - `leaf_fn`: says which nodes, as in `lambda x: isinstance(x, pxnn.Layer)`; inside such a node it isn't asked again.
    - `parameters`: the tree of params to optimise; or call `init` later.

    **Raises:** `TypeError` for anything else in the place of the functions.
    """

    def __init__(self, optax_opt: Factory, leaf_fn: Callable[[Any], bool], parameters: PyTree = None) -> None:
        if not callable(leaf_fn):
            raise TypeError(f"pxu.OptimTree: leaf_fn must be a function, got {type(leaf_fn).__name__}")
        self.leaf_fn = static(leaf_fn)
        super().__init__(optax_opt, parameters)

    def _grouped(self, tree: PyTree, plan: Plan) -> list[list[int]]:
        picked: list[Any] = []

        def pick(x: Any) -> bool:
            if x is not None and not isinstance(x, str) and self.leaf_fn.get()(x):
                picked.append(x)
                return True
            return isinstance(x, BaseParam)

        jtu.tree_leaves(tree, is_leaf=pick)
        index = {id(p): i for i, p in enumerate(plan.params)}
        groups, taken = [], set()
        for node in picked:
            group = [index[id(p)] for p in plan_of(node).params[1:] if index[id(p)] not in taken]
            taken.update(group)
            groups.append(group)
        return groups

    def _skips_empty(self, allow_none: bool) -> bool:
        return True
