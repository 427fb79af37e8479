"""Half a squared error is recognised by its operations, whoever wrote it; nothing else is taken for one."""

import jax
import jax.numpy as jnp
import pytest

import pcx.predictive_coding as pxc
from pcx.energy._dataflow import Program
from pcx.energy._half_square import is_half_square


def proved(elements, h_dtype=jnp.float32, u_dtype=jnp.float32, shape=(4, 3)):
    h, u = jax.ShapeDtypeStruct(shape, h_dtype), jax.ShapeDtypeStruct(shape, u_dtype)
    program = Program(jax.vmap(elements), h, u)
    at_h, at_u = program.inputs
    (energy,) = jax.tree.leaves(program.outputs)
    ops = [program.ops[i] for i in program.needed([energy], [at_h, at_u])[0]]
    return is_half_square(ops, program.constants, at_h, at_u, energy)


def product(h, u):
    d = h - u
    return 0.5 * d * d


def in_float32(h, u):
    return 0.5 * jnp.square(h.astype(jnp.float32) - u.astype(jnp.float32))


def through_a_function(h, u):
    return jax.jit(lambda d: d**2 / 2)(u - h)


HALF_SQUARES = [
    pxc.se_energy.elements,
    lambda h, u: 0.5 * (h - u) ** 2,
    lambda h, u: (u - h) ** 2 / 2,
    lambda h, u: 0.5 * jnp.square(h - u),
    lambda h, u: jnp.power(h - u, 2.0) / 2,
    lambda h, u: -(h - u) * (u - h) * 0.5,
    lambda h, u: (2 * (h - u)) ** 2 / 8,
    lambda h, u: jnp.full(3, 0.5) * (h - u) ** 2,
    product,
    in_float32,
    through_a_function,
]
OTHERS = [
    pxc.Huber(1.0).elements,
    pxc.Laplace().elements,
    pxc.Poisson().elements,
    pxc.ce_energy.elements,
    pxc.zero_energy.elements,
    lambda h, u: 0.4 * (h - u) ** 2,
    lambda h, u: (h - u) ** 2,
    lambda h, u: 0.5 * (h - u),
    lambda h, u: 0.5 * (h - u) ** 4,
    lambda h, u: 0.5 * (h + u) ** 2,
    lambda h, u: 0.5 * (h - jnp.tanh(u)) ** 2,
    lambda h, u: 0.5 * (h - 2 * u) ** 2,
    lambda h, u: 0.5 * (h - h) ** 2,
    lambda h, u: 0.5 * h**2,
    lambda h, u: 0.5 * (h - jax.lax.stop_gradient(u)) ** 2,
    lambda h, u: 0.5 * (h - u) ** 2 + 0.1 * h**2,
    lambda h, u: 0.5 * (h - u[::-1]) ** 2,
    lambda h, u: jnp.asarray([0.5, 0.5, 0.6]) * (h - u) ** 2,
    lambda h, u: jnp.sum(0.5 * (h - u) ** 2),
    lambda h, u: 0.5 * (h.astype(jnp.float16) - u.astype(jnp.float16)).astype(jnp.float32) ** 2,
    lambda h, u: 0.5 * (h.astype(jnp.int32) - u.astype(jnp.int32)) ** 2,
    lambda h, u: 0.5 * (h - u) ** 2 * jnp.arange(3),
    lambda h, u: 0.5 * (h - u) ** 2 * jax.lax.iota(jnp.float32, 3),
    lambda h, u: 0.5j * (h - u) ** 2,
    lambda h, u: jnp.where(jnp.asarray([True, True, False]), 0.5 * (h - u) ** 2, 0),
    lambda h, u: h,
]


@pytest.mark.parametrize("elements", HALF_SQUARES)
def test_half_a_squared_error_is_recognised(elements):
    assert proved(elements)


@pytest.mark.parametrize("elements", OTHERS)
def test_nothing_else_is(elements):
    assert not proved(elements)


def test_casts_that_lose_nothing():
    assert proved(in_float32, jnp.bfloat16, jnp.bfloat16)
    assert proved(HALF_SQUARES[1], jnp.float32, jnp.bfloat16)
    assert not proved(lambda h, u: in_float32(h, u).astype(jnp.bfloat16))


def test_a_prediction_that_numpy_would_broadcast_is_another_energy():
    assert not proved(lambda h, u: 0.5 * (h - u[:1]) ** 2)
