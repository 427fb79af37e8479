"""Optimisers of weights over stacks: what an Optax transformation does to one weight, done to a stack of equal ones.

A transformation may be given the weights of equal layers as stacks where it is proved that it treats each array by
itself and without looking at paths. It is asked about a tree that holds one array of each stack; from the operations
that lead to that array's update those for the stack are made by `jax.vmap`, so that a norm is still one array's norm.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import optax
from jax import Array
from jax.core import Tracer
from jaxtyping import PyTree

from ..core import in_library
from ..energy import Block, Energies, Problem, Program, Samples, Stacks, Weights, blocks_of, forms_of, mapped
from ..inference import draws_numbers
from ._begun import first_state
from ._types import Optimiser


class StackedOptimiser:
    """A transformation of weights, for weights in stacks.

    **Arguments:**

    - `optim`: an Optax transformation.
    - `blocks`: the paths of the weights, block by block.
    - `forms`: the shape and dtype of one weight of each block.

    **Raises:** `NotApart` where it isn't proved that weights may be given so.
    """

    def __init__(self, optim: Optimiser, blocks: Sequence[Block], forms: Sequence[PyTree]) -> None:
        if looks_at_paths(optim, {path for names in blocks for path in names}):
            raise NotApart("it may treat weights by their paths")
        whole: Any = optim
        tell = optax.with_extra_args_support(whole)
        self.blocks = {names[0]: names for names in blocks}
        one = dict(zip(self.blocks, forms, strict=True))
        self._init = Program(whole.init, one)
        self._like: Any = self._init.avals

        def update(gradient: PyTree, state: PyTree, weights: PyTree, value: Array) -> Any:
            return tell.update(gradient, state, weights, value=value)

        number = jax.ShapeDtypeStruct((), jnp.float32)
        self._update = Program(update, one, self._like, one, number)
        self._check()

    def init(self, weights: Stacks) -> PyTree:
        """Return the state before the first step, with stacks in the place of what belongs to one weight.

        **Arguments:**

        - `weights`: in the blocks.
        """
        return self._with_stacks(self._run(self._init, (self._by_first(weights),)))

    def update(self, gradient: Stacks, state: PyTree, weights: Stacks, value: Array) -> tuple[Stacks, PyTree]:
        """Return what is added to the weights, and the next state.

        **Arguments:**

        - `gradient`, `weights`: in the blocks.
        - `state`: from `init` or the step before.
        - `value`: the energy, for optimisers that want it.
        """
        given = (self._by_first(gradient), self._by_first(state), self._by_first(weights), value)
        moves, state = self._run(self._update, given)
        return Stacks(weights.blocks, [moves[names[0]] for names in weights.blocks]), self._with_stacks(state)

    # -- inside ---------------------------------------------------------------------------------------
    def _run(self, program: Program, given: PyTree) -> PyTree:
        """Return what a program gives, with a stack for what belongs to a weight."""
        numbers, arrays = jtu.tree_leaves(program.inputs), jtu.tree_leaves(given)
        owners = self._owners(program.inputs)
        shared = {i: a for i, a, own in zip(numbers, arrays, owners, strict=True) if own is None}
        outputs, treedef = jtu.tree_flatten(program.outputs)
        made: list[Any] = [None] * len(outputs)
        ends = self._owners(program.outputs)
        for owner in [None, *self.blocks]:
            wanted = [k for k, own in enumerate(ends) if own == owner]
            own = {i: a for i, a, by in zip(numbers, arrays, owners, strict=True) if owner is not None and by == owner}

            def run(own: dict[int, Any], wanted: list[int] = wanted) -> list[Any]:
                return program.evaluate([outputs[k] for k in wanted], {**shared, **own})

            names = () if owner is None else self.blocks[owner]
            many = len(names) > 1
            found = jax.vmap(run, axis_size=len(names))(own) if many else run(own)
            for k, a in zip(wanted, found, strict=True):
                made[k] = a
        return jtu.tree_unflatten(treedef, made)

    def _owners(self, tree: PyTree) -> list[str | None]:
        """Return the first path of the block that each leaf belongs to; None for those of no weight."""
        found: list[str | None] = []
        for path, _ in jtu.tree_flatten_with_path(tree)[0]:
            keys = [k.key for k in path if isinstance(k, jtu.DictKey) and k.key in self.blocks]
            found.append(keys[0] if keys else None)
        return found

    def _check(self) -> None:
        for program in (self._init, self._update):
            if any(draws_numbers(op.eqn) for op in program.ops):
                raise NotApart("it draws random numbers, others for each weight")
            inputs = dict(zip(jtu.tree_leaves(program.inputs), self._owners(program.inputs), strict=True))
            for number, owner in zip(jtu.tree_leaves(program.outputs), self._owners(program.outputs), strict=True):
                read = set(program.needed([number], ())[1]) | ({number} & inputs.keys())
                if any(inputs[i] not in (None, owner) for i in read):
                    raise NotApart("what it does to a weight depends on others")

    def _by_first(self, tree: PyTree) -> PyTree:
        """Return a tree with its stacks under the first of their paths."""

        def by_first(part: Any) -> Any:
            return {names[0]: v for names, v in blocks_of(part)} if isinstance(part, Stacks) else part

        return jtu.tree_map(by_first, tree, is_leaf=lambda part: isinstance(part, Stacks))

    def _with_stacks(self, tree: PyTree) -> PyTree:
        def by_weight(part: Any) -> bool:
            return isinstance(part, dict) and bool(part) and all(key in self.blocks for key in part)

        def stacked(part: Any) -> Any:
            return Stacks([self.blocks[k] for k in part], list(part.values())) if by_weight(part) else part

        return jtu.tree_map(stacked, tree, is_leaf=by_weight)


def stacked_optimiser(optim: Optimiser, weights: Stacks) -> StackedOptimiser:
    """Return the transformation of weights in stacks.

    **Arguments:**

    - `optim`: an Optax transformation.
    - `weights`: in stacks.

    **Raises:** `NotApart` where it isn't proved that weights may be given so.
    """
    forms = forms_of(weights)
    return StackedOptimiser(optim, weights.blocks, [forms[names[0]] for names in weights.blocks])


def in_stacks(optim: Optimiser, problem: Problem, weights: Weights) -> Any:
    """Return weights with those of equal layers in stacks, if a transformation can be given them so; or else as they
    are.

    **Arguments:**

    - `optim`: an Optax transformation.
    - `problem`: the problem, whose equal layers are computed together.
    - `weights`: `{path: array}`.
    """
    blocks, forms = problem.weight_blocks(weights), forms_of(weights)
    try:
        StackedOptimiser(optim, blocks, [forms[names[0]] for names in blocks])
    except NotApart:
        return weights
    return weights_in_stacks(problem, weights)


def weights_in_stacks(problem: Problem, weights: Weights) -> Stacks:
    """Return weights with those of equal layers in stacks.

    **Arguments:**

    - `problem`, `weights`: see `in_stacks`.
    """

    def stacked(*arrays: Any) -> Array:
        if any(isinstance(a, Tracer) for a in arrays):
            return jnp.stack(arrays)
        return jnp.asarray(np.stack([np.asarray(a) for a in arrays]))  # on the host there is nothing to compile

    def block(names: Block) -> Any:
        each = [weights[n] for n in names]
        return each[0] if len(names) == 1 else jtu.tree_map(stacked, *each)

    blocks = problem.weight_blocks(weights)
    return Stacks(blocks, [block(names) for names in blocks])


def begun(optim: Optimiser, weights: Weights | Stacks) -> PyTree:
    """Return the state of a transformation before the first step.

    **Arguments:**

    - `optim`: an Optax transformation.
    - `weights`: `{path: array}`, in stacks or not.
    """
    if isinstance(weights, Stacks):
        return first_state(stacked_optimiser(optim, weights).init, weights)
    return first_state(optim.init, weights)


def optimised(
    optim: Optimiser, gradient: Any, state: PyTree, weights: Any, samples: Samples, value: Energies
) -> tuple[Any, PyTree]:
    """Return weights after a step of a transformation, and its next state; see `Rule.apply`.

    **Arguments:**

    - `optim`: an Optax transformation.
    - `gradient`, `weights`: `{path: array}`, in stacks or not.
    - `state`: of the transformation.
    - `samples`, `value`: weights of the samples, and the energies that an optimiser with `value=` is told the mean of.
    """
    weighted = [(names, mapped(samples.weighted, names)(e)) for names, e in blocks_of(value)]
    mean = jnp.mean(jnp.asarray(sum([e if len(names) == 1 else jnp.sum(e, axis=0) for names, e in weighted])))
    if isinstance(weights, Stacks):
        updates, state = stacked_optimiser(optim, weights).update(gradient, state, weights, mean)
    else:
        whole: Any = optim
        updates, state = optax.with_extra_args_support(whole).update(gradient, state, weights, value=mean)
    moved: Any = updates
    return optax.apply_updates(weights, moved), state


class NotApart(Exception):
    """Weights can't be given to a transformation in stacks."""


def looks_at_paths(optim: Optimiser, paths: Iterable[str]) -> bool:
    """Return whether a transformation may treat weights by their paths: where it holds functions that are not Optax's
    or JAX's own, or anything by path.

    **Arguments:**

    - `optim`: the transformation.
    - `paths`: of the weights.
    """
    paths, seen = frozenset(paths), set[int]()
    todo: list[Any] = [optim]
    while todo:
        x = todo.pop()
        if id(x) in seen or isinstance(x, (*_PLAIN, type(None))):
            continue
        seen.add(id(x))
        if isinstance(x, types.FunctionType):
            if not in_library(x) or x.__module__.split(".")[0] == "pcx":
                return True
            todo += [cell.cell_contents for cell in x.__closure__ or () if _is_filled(cell)]
            todo += [*(x.__defaults__ or ()), *(x.__kwdefaults__ or {}).values()]
        elif isinstance(x, types.MethodType):
            todo += [x.__func__, x.__self__]
        elif isinstance(x, optax.MultiSteps):
            todo += list(vars(x).values())
        elif isinstance(x, functools.partial):
            todo += [x.func, x.args, x.keywords]
        elif isinstance(x, Mapping):
            if any(key in paths for key in x):
                return True
            todo += list(x.values())
        elif isinstance(x, (tuple, list)):
            todo += list(x)
        elif not isinstance(x, (types.BuiltinFunctionType, type)) and not type(x).__module__.startswith(_LIBRARIES):
            return True
    return False


_PLAIN = (bool, int, float, complex, str, bytes, np.ndarray, np.generic, np.dtype, jax.Array)
_LIBRARIES = ("jax", "optax", "numpy", "functools")


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False
