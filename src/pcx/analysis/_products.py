"""The cost of operations in products: how many numbers are multiplied and added up."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import jax.extend.core as jex

from ..energy import Program


def products_among(program: Program, ops: Iterable[int]) -> float:
    """Return the products of some operations of a program: those of matrix products and convolutions, with all that
    they contain. What is done element by element counts nothing; the body of a `while` loop counts once, those of loops
    of a known length as often as they run.

    **Arguments:**

    - `program`: the program.
    - `ops`: the places of operations in it.
    """
    return sum([_products(program.ops[i].eqn) for i in ops], 0.0)


def loops_among(program: Program, ops: Iterable[int]) -> bool:
    """Return whether there are products in while loops among some operations of a program: how often such a loop runs
    isn't known before.

    **Arguments:**

    - `program`, `ops`: as of `products_among`.
    """
    return any(_loops(program.ops[i].eqn) for i in ops)


def _loops(eqn: jex.JaxprEqn) -> bool:
    if eqn.primitive.name == "while" and any(_inside(x) for x in eqn.params.values()):
        return True
    return any(_loops(e) for x in eqn.params.values() for e in _inner(x))


def _products(eqn: jex.JaxprEqn) -> float:
    name, params = eqn.primitive.name, eqn.params
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        shape = _shape(eqn.invars[0])
        return math.prod(_shape(eqn.outvars[0])) * math.prod([shape[i] for i in contracted])
    if name == "conv_general_dilated":
        kernel = _shape(eqn.invars[1])
        each = math.prod(kernel) / kernel[params["dimension_numbers"].rhs_spec[0]]
        # Zeros that are put between the inputs of a transposed convolution are multiplied by nobody.
        return math.prod(_shape(eqn.outvars[0])) * each / math.prod(params["lhs_dilation"])
    if name == "cond":
        return max([_inside(branch) for branch in params["branches"]], default=0.0)
    times = params["length"] if name == "scan" else 1
    return times * sum([_inside(x) for x in params.values()], 0.0)


def _inside(x: object) -> float:
    """Return the products of the programs that a parameter is or holds."""
    return sum([_products(eqn) for eqn in _inner(x)], 0.0)


def _inner(x: object) -> list[jex.JaxprEqn]:
    """Return the operations of the programs that a parameter is or holds."""
    if isinstance(x, jex.ClosedJaxpr):
        return list(x.jaxpr.eqns)
    if isinstance(x, jex.Jaxpr):
        return list(x.eqns)
    return [eqn for v in x for eqn in _inner(v)] if isinstance(x, (tuple, list)) else []


def _shape(v: Any) -> tuple[int, ...]:
    return tuple(v.aval.shape)
