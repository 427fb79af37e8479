"""Gradients of single energies, taken once for all that are computed by the same operations.

JAX differentiates by performing each operation under two more interpreters, which takes several times as long as the
operations themselves. What is asked for again and again, by nodes that are alike and by steps that move more and more
of them, is differentiated here once, and then evaluated as a program.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
from jax import Array
from jax.core import Tracer

from ._dataflow import Program
from ._locals import local_of


class LocalGradient(NamedTuple):
    """The gradient of one energy.

    **Attributes:**

    - `program`: from a list of inputs to the gradients by some of these.
    - `slots`: the numbers of the inputs in the program of energies.
    - `moving`: of these, those of which the gradients are, in the order in which they come out.
    """

    program: Program
    slots: tuple[int, ...]
    moving: tuple[int, ...]


class LocalGradients:
    """The gradients of the energies of a program.

    **Arguments:**

    - `program`: all energies at given values of the nodes.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self._found: dict[Hashable, LocalGradient] = {}
        self._traced: dict[Hashable, Program] = {}

    def of(
        self, energy: int, known: Collection[int], moving: Collection[int], summed: Callable[[Array], Array]
    ) -> LocalGradient:
        """Return the gradient of the sum of an energy.

        **Arguments:**

        - `energy`: its number.
        - `known`: the numbers of values that are given.
        - `moving`: likewise, of those by which gradients are taken.
        - `summed`: the sum of all its elements, always the same function.
        """
        met = self._program.met([energy], known, moving)
        key = energy, tuple([(i, i in moving) for i in met])
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = self._traced_at(energy, met, moving, summed)
        return found

    def _traced_at(
        self, energy: int, met: Collection[int], moving: Collection[int], summed: Callable[[Array], Array]
    ) -> LocalGradient:
        local = local_of(self._program, [energy], met)
        moved = tuple([i for i in local.slots if i in moving])
        key = local.key, tuple([i in moving for i in local.slots])
        # What a constant is may be known only while something else is traced.
        kept = not any(isinstance(c, Tracer) for c in self._program.constants.values())
        program = self._traced.get(key) if kept else None
        if program is None:
            avals = self._program.avals_of(local.slots)

            def gradient(inputs: list[Array]) -> list[Array]:
                known = dict(zip(local.slots, inputs, strict=True))

                def total(moved_: list[Array]) -> Array:
                    at = {**known, **dict(zip(moved, moved_, strict=True))}
                    return summed(self._program.evaluate([energy], at)[0])

                return jax.grad(total)([known[i] for i in moved])

            program = self._traced[key] = Program(gradient, avals)
        return LocalGradient(program, local.slots, moved)


def added_gradients(each: Iterable[LocalGradient], known: Mapping[int, Any]) -> dict[int, Array]:
    """Return the gradient of the sum of several energies, by the numbers of what moves.

    **Arguments:**

    - `each`: their gradients.
    - `known`: the values, by number.
    """
    found: dict[int, Array] = {}
    for gradient in each:
        program = gradient.program
        at = dict(zip(program.inputs[0], [known[i] for i in gradient.slots], strict=True))
        for i, g in zip(gradient.moving, program.evaluate(program.outputs, at), strict=True):
            found[i] = jax.lax.add(found[i], g) if i in found else g
    return found
