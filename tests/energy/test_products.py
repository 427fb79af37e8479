"""Products in 16 bits, sums in 32; of gradients, too."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pcx.energy._dataflow import Program
from pcx.energy._products import in_fewer_bits


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def rounded(a, dtype="bfloat16"):
    return a.astype(dtype).astype(jnp.float32)


A, B = normal(0, 3, 4, 5), normal(1, 3, 5, 4)
X, K = normal(2, 2, 3, 6, 6), normal(3, 4, 3, 3, 3)


def convolution(x, k):
    return jax.lax.conv_general_dilated(x, k, (2, 1), "SAME")


@jax.jit
def compiled(a, b):
    return a @ b


def looped(a, b):
    return jax.lax.scan(lambda c, _: (jnp.tanh(c @ b), None), a, None, length=3)[0]


def branched(a, b):
    return jax.lax.cond(jnp.sum(a) < 1e6, lambda a, b: a @ b, lambda a, b: jnp.zeros((3, 4, 4)), a, b)


def repeated(a, b):
    return jax.lax.while_loop(lambda c: c[1] < 2, lambda c: (c[0] @ b, c[1] + 1), (a, 0))[0]


SQUARE = normal(4, 3, 4, 4)
FUNCTIONS = {
    "matmul": (jnp.matmul, A, B),
    "einsum": (functools.partial(jnp.einsum, "nij,njk->nik"), A, B),
    "jit": (compiled, A, B),
    "vmap": (jax.vmap(jnp.dot), A, B),
    "remat": (jax.checkpoint(compiled), A, B),
    "cond": (branched, A, B),
    "scan": (looped, SQUARE, 0.3 * B[:, :4]),
    "while": (repeated, SQUARE, 0.3 * B[:, :4]),
    "convolution": (convolution, X, K),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_products_are_of_copies(name):
    fn, a, b = FUNCTIONS[name]
    found, full = in_fewer_bits(fn, "bfloat16")(a, b), fn(a, b)
    assert found.dtype == jnp.float32
    assert 1e-4 < float(jnp.max(jnp.abs(found - full))) < 0.1
    if name not in ("scan", "while"):
        np.testing.assert_allclose(found, fn(rounded(a), rounded(b)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["matmul", "einsum", "scan", "convolution"])
def test_so_are_those_of_gradients(name):
    fn, a, b = FUNCTIONS[name]

    def gradient(fn, a, b):
        return jax.grad(lambda a, b: jnp.sum(jnp.sin(fn(a, b))), (0, 1))(a, b)

    found, full = jax.jit(functools.partial(gradient, in_fewer_bits(fn, "bfloat16")))(a, b), gradient(fn, a, b)
    for low, plain in zip(found, full, strict=True):
        assert low.dtype == jnp.float32
        assert 1e-4 < float(jnp.linalg.norm(low - plain) / jnp.linalg.norm(plain)) < 0.03
    if name == "matmul":
        grad = rounded(jnp.cos(rounded(a) @ rounded(b)))
        np.testing.assert_allclose(found[0], grad @ rounded(b).swapaxes(1, 2), rtol=1e-5, atol=1e-5)
        # In the digits of float32: sums are not rounded once more.
        assert not np.array_equal(found[0], rounded(found[0]))


@pytest.mark.parametrize("size", [1e-12, 1e12])
def test_gradients_of_any_size_fit_into_float16(size):
    low = in_fewer_bits(jnp.matmul, "float16")
    found, full = (jax.grad(lambda a, fn=fn: size * jnp.sum(fn(a, B)))(A) for fn in (low, jnp.matmul))
    np.testing.assert_allclose(found, full, rtol=0.01, atol=0.01 * size)
    zero = jax.grad(lambda a: 0.0 * jnp.sum(low(a, B)))(A)
    assert not np.any(zero)


def test_what_is_no_product_of_floats_stays():
    whole = jnp.arange(4).reshape(2, 2)
    np.testing.assert_array_equal(in_fewer_bits(jnp.matmul, "bfloat16")(whole, whole), whole @ whole)
    np.testing.assert_array_equal(in_fewer_bits(lambda a: jnp.tanh(a) * a, "bfloat16")(A), jnp.tanh(A) * A)
    half = A.astype(jnp.bfloat16)
    assert in_fewer_bits(jnp.matmul, "float16")(half, half.swapaxes(1, 2)).dtype == jnp.bfloat16


def test_copies_of_what_does_not_move_are_made_outside_of_a_loop():
    """As what depends on no moving value is computed before a loop."""
    program = Program(in_fewer_bits(jnp.matmul, "bfloat16"), A, B)
    a, b = program.inputs
    fixed = program.hoisted([program.outputs], {b: B}, [a])
    assert [x.dtype for x in fixed.values() if x.shape == B.shape and x is not B] == [jnp.bfloat16]


def test_prints_are_done_once(capsys):
    def told(a):
        jax.debug.print("here")
        return a @ a.swapaxes(1, 2)

    jax.block_until_ready(jax.jit(in_fewer_bits(told, "bfloat16"))(A))
    jax.effects_barrier()
    assert capsys.readouterr().out.split() == ["here"]
