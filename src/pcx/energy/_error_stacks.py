"""Errors of nodes in blocks: their energies, and the part of landscapes over errors that is about them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
from jax import Array

from ._in_stacks import InStacks, numbers_of
from ._precision import weighed
from ._stacks import Block, Stacks, mapped

if TYPE_CHECKING:
    from ._bound import Bound
    from ._problem import Problem


def energies_of_errors(bound: Bound, names: Block, errors: Array) -> Array:
    """Return the energies of free nodes with these errors, of a block whose precisions have one shape.

    **Arguments:**

    - `bound`: the problem and its precisions.
    - `names`: of the block.
    - `errors`: value minus prediction, `[nodes, batch, *shape]`; of one node `[batch, *shape]`.

    **Returns:** `[nodes, batch]`; of one node `[batch]`.
    """
    size, precision = bound.problem.nodes[names[0]].size, numbers_of(bound.precision, names, errors.dtype)
    one = lambda e, p: weighed(0.5 * jnp.square(e), p, size)  # noqa: E731
    return mapped(one, names, (0, None if precision is None else 0))(errors, precision)


def grads_of_errors(bound: Bound, names: Block, errors: Array) -> Array:
    """Return dE/du of free nodes with these errors, likewise; see `energies_of_errors`."""
    precision = numbers_of(bound.precision, names, errors.dtype)
    if precision is None:
        return -errors
    return mapped(lambda e, p: -p * e, names)(errors, precision)


class ErrorStacks(InStacks):
    """The part of a landscape over errors that is about blocks of nodes; the errors are zero at first."""

    problem: Problem
    _zeros: dict[Block, Array]

    def _zero_of(self, names: Block) -> Array:
        """Return the errors of a block at the start; always the same array."""
        if names not in self._zeros:
            node = self.problem.nodes[names[0]]
            several = (len(names),) if len(names) > 1 else ()
            self._zeros[names] = jnp.zeros((*several, self.problem.size, *node.shape), node.dtype)
        return self._zeros[names]

    def start(self) -> Any:
        blocks = self.blocks(self.free)
        return Stacks(blocks, [self._zero_of(names) for names in blocks])

    def energies_without_errors(self) -> Any:
        """Return the energies that precisions add to free nodes without an error, `{node: [batch]}`."""
        nodes, precision = self.problem.nodes, self.bound.precision
        blocks = self.blocks([n for n in self.free if n in precision and not nodes[n].silent])
        zeros = [self._zero_of(b) for b in blocks]
        return Stacks(blocks, [energies_of_errors(self.bound, *each) for each in zip(blocks, zeros, strict=True)])

    def blocks(self, names: Iterable[str], alike: Callable[[str], Hashable] | None = None) -> tuple[Block, ...]:
        # What has a precision is weighed in blocks, too.
        return super().blocks(names, lambda n: (self.form_of_precision(n), None if alike is None else alike(n)))
