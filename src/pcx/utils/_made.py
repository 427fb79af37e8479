"""The Optax transformation of an optimiser: made by its factory at each `init`, a part of the state that begins there.

A transformation is code, so it is a part of the state's structure, and compares by what it would compute: states of
equal transformations share a compiled program. A factory that draws random numbers makes another one each time. Of such
a one the state holds the key that the factory began at, an array; where the state has come into another trace, the same
transformation is made from the key again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.tree_util as jtu
import optax
from jaxtyping import PyTree

from ..core import Copy, Keyed, Plan, Value, again_from, began_at, factory_of, like

Make: TypeAlias = Callable[[], optax.GradientTransformation | optax.MultiSteps]
"""A function without arguments that makes an Optax transformation."""


class Made(Keyed):
    """A factory, with the transformation that it made if that depends on no random key. Compares by the latter, or else
    by the factory."""

    __slots__ = ("factory",)

    def __init__(self, factory: Make, transformation: optax.GradientTransformation | None = None) -> None:
        super().__init__(factory if transformation is None else transformation)
        self.factory = factory

    def __deepcopy__(self, memo: object) -> Made:
        return self  # nothing in it changes

    def __reduce__(self) -> tuple[Any, ...]:
        # What Optax makes are functions inside of functions, which can't be sent to another process.
        return (_anew, (self.factory, self.value is self.factory))


def _anew(factory: Make, is_random: bool) -> Made:
    return Made(factory, None if is_random else _plain(factory()))


def _plain(made: Any) -> optax.GradientTransformation:
    return made.gradient_transformation() if isinstance(made, optax.MultiSteps) else made


class Group:
    """The state of a group of params. Paths, trees and transformation are structure, arrays and the key leaves.

    Optax gets trees like the one given to `init`, so that masks and labels over such trees mean what they say. Of what
    Optax keeps only the arrays are held, beside its structure: a call need not take modules apart.

    **Arguments:**

    - `paths`: of the params, in the order of the tree.
    - `unset`: of those of them that held None at `init`.
    - `made`: the factory and what it made.
    - `form`: the structure of the tree, each param a leaf.
    - `kept`: the structure of what Optax keeps.
    - `leaves`: its arrays.
    - `key`: the random key that the factory began at, None if it drew none; or what stands in its place in a tree.
    - `transformation`: what it made, if that was in this trace.
    """

    __slots__ = ("form", "kept", "key", "leaves", "made", "paths", "transformation", "unset")

    def __init__(
        self,
        paths: tuple[str, ...],
        unset: frozenset[str],
        made: Made,
        form: Any,
        kept: Any,
        leaves: Value,
        key: Value,
        transformation: optax.GradientTransformation | None = None,
    ) -> None:
        self.paths, self.unset, self.made, self.form = paths, unset, made, form
        self.kept, self.leaves, self.key = kept, leaves, key
        self.transformation = made.value if key is None else transformation

    @property
    def state(self) -> optax.OptState:
        """Return what Optax keeps."""
        return jtu.tree_unflatten(self.kept, self.leaves)

    def __reduce__(self) -> tuple[Any, ...]:
        # Structures can't be sent to another process, but trees can.
        tree = self.form.unflatten([0] * len(self.paths))
        return (_group, (self.paths, self.unset, self.made, tree, self.state, self.key))

    def after(self, state: optax.OptState, by: optax.GradientTransformation) -> Group:
        """Return the group after a step by its transformation."""
        leaves, kept = jtu.tree_flatten(state)
        if kept == self.kept:
            kept = self.kept  # the very same is found equal at a glance
        return Group(self.paths, self.unset, self.made, self.form, kept, leaves, self.key, by)

    def made_again(self) -> optax.GradientTransformation:
        """Return the transformation, made again in a trace that it comes into with its key."""
        if self.transformation is not None:
            return self.transformation
        assert self.key is not None
        return _plain(again_from(self.key, self.made.factory))


def _group(paths: Any, unset: Any, made: Made, tree: PyTree, state: optax.OptState, key: jax.Array | None) -> Group:
    leaves, kept = jtu.tree_flatten(state)
    return Group(paths, unset, made, jtu.tree_structure(tree), kept, leaves, key)


jtu.register_pytree_node(
    Group,
    lambda g: ((g.leaves, g.key), (g.paths, g.unset, g.made, g.form, g.kept)),
    lambda aux, children: Group(*aux, *children),
)


def begin(call: str, factory: Make, tree: PyTree, plan: Plan, chosen: Sequence[int]) -> Group:
    """Call a factory for some params of a tree.

    **Arguments:**

    - `call`: the public call, for the message.
    - `factory`: what makes the transformation.
    - `tree`: the tree, or a part of it.
    - `plan`: of the tree.
    - `chosen`: which of its params, by place in the plan.

    **Returns:** the group, at its start.

    **Raises:** `TypeError` if the factory makes anything else than an Optax transformation.
    """
    made, key = began_at(factory)
    transformation = _plain(made)
    if not isinstance(transformation, optax.GradientTransformation):
        raise TypeError(f"{call}: the factory must return an Optax transformation, it returned {transformation!r}")
    boxes = {id(plan.params[i]): like(plan.skeleton.params[i], i) for i in chosen}
    numbered = Copy(lambda x: boxes.get(id(x)), constant=lambda _: None, is_form=True).visit(tree)
    order, form = jtu.tree_flatten(numbered)
    values = [plan.params[i].get() for i in order]
    paths = tuple([plan.skeleton.param_paths[i] for i in order])
    unset = frozenset([path for path, value in zip(paths, values, strict=True) if value is None])
    leaves, kept = jtu.tree_flatten(transformation.init(form.unflatten(values)))
    kind = Made(factory, transformation if key is None else None)
    return Group(paths, unset, kind, form, kept, leaves, key, transformation)


class Groups:
    """The state of an optimiser: its groups."""

    __slots__ = ("groups",)

    def __init__(self, groups: Sequence[Group]) -> None:
        self.groups = groups

    @property
    def states(self) -> list[optax.OptState]:
        """Return what Optax keeps for each group."""
        return [group.state for group in self.groups]


jtu.register_pytree_node(Groups, lambda g: (tuple(g.groups), None), lambda _, groups: Groups(groups))


def as_factory(call: str, given: Make | optax.GradientTransformation) -> Make:
    """Return a factory as it is, and of a transformation the one that gives it.

    **Raises:** `TypeError` for anything else.
    """
    if isinstance(given, optax.GradientTransformation):
        return factory_of(call, given)
    if not callable(given):
        raise TypeError(
            f"{call}: expected a function without arguments that returns an Optax transformation, as in "
            f"`lambda: optax.sgd(0.1)`, got {given!r}"
        )
    return given
