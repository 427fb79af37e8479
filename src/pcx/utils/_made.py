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

from ..core import Keyed, Value, again_from, began_at, factory_of

Make: TypeAlias = Callable[[], optax.GradientTransformation]
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
    return Made(factory, None if is_random else factory())


class Group:
    """The state of a group of params. Paths and transformation are structure, what Optax keeps and the key leaves.

    **Arguments:**

    - `paths`: of the params.
    - `unset`: of those of them that held None at `init`.
    - `made`: the factory and what it made.
    - `state`: what Optax keeps.
    - `key`: the random key that the factory began at, None if it drew none; or what stands in its place in a tree.
    - `transformation`: what it made, if that was in this trace.
    """

    __slots__ = ("key", "made", "paths", "state", "transformation", "unset")

    def __init__(
        self,
        paths: tuple[str, ...],
        unset: frozenset[str],
        made: Made,
        state: optax.OptState,
        key: Value,
        transformation: optax.GradientTransformation | None = None,
    ) -> None:
        self.paths, self.unset, self.made, self.state, self.key = paths, unset, made, state, key
        self.transformation = made.value if key is None else transformation

    def __reduce__(self) -> tuple[Any, ...]:
        return (Group, (self.paths, self.unset, self.made, self.state, self.key))

    def after(self, state: optax.OptState, by: optax.GradientTransformation) -> Group:
        """Return the group after a step by its transformation."""
        return Group(self.paths, self.unset, self.made, state, self.key, by)

    def made_again(self) -> optax.GradientTransformation:
        """Return the transformation, made again in a trace that it comes into with its key."""
        if self.transformation is not None:
            return self.transformation
        assert self.key is not None
        return again_from(self.key, self.made.factory)


jtu.register_pytree_node(
    Group,
    lambda g: ((g.state, g.key), (g.paths, g.unset, g.made)),
    lambda aux, children: Group(*aux, *children),
)


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


def make(call: str, factory: Make) -> tuple[Made, jax.Array | None, optax.GradientTransformation]:
    """Call a factory.

    **Returns:** what stands for the transformation in a state's structure; the random key that the factory began at,
    None if it drew none; and the transformation.

    **Raises:** `TypeError` if the factory makes anything else.
    """
    transformation, key = began_at(factory)
    if not isinstance(transformation, optax.GradientTransformation):
        raise TypeError(f"{call}: the factory must return an Optax transformation, it returned {transformation!r}")
    return Made(factory, transformation if key is None else None), key, transformation


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
