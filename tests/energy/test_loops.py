"""Convolutions in loops give the same numbers, however they are laid out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pcx.energy._dataflow import Program
from pcx.energy._loops import laid_out, scan, while_loop

pytestmark = pytest.mark.skipif(jax.default_backend() != "cpu", reason="nothing is laid out anew elsewhere")

LAYOUTS = {1: ("NCH", "OIH", "NCH"), 2: ("NCHW", "OIHW", "NCHW"), 3: ("NCHWD", "OIHWD", "NCHWD")}
CASES = {
    "1d strided, dilated": {"n": 1, "window_strides": (2,), "rhs_dilation": (2,), "padding": [(1, 2)]},
    "1d transposed": {"n": 1, "lhs_dilation": (2,), "padding": [(2, 1)]},
    "2d strided, padded": {"n": 2, "window_strides": (2, 1), "padding": [(1, 1), (0, 2)]},
    "2d same, dilated": {"n": 2, "padding": "SAME", "rhs_dilation": (1, 2)},
    "2d grouped": {"n": 2, "feature_group_count": 2},
    "2d transposed": {"n": 2, "lhs_dilation": (2, 2), "padding": [(2, 2), (2, 2)]},
    "2d by batch groups": {"n": 2, "batch_group_count": 2},
    "2d channels last": {"n": 2, "layout": ("NHWC", "HWIO", "NHWC")},
    "2d mixed": {"n": 2, "layout": ("NHWC", "OIHW", "CNHW"), "window_strides": (1, 2)},
    "3d strided, grouped": {"n": 3, "window_strides": (1, 2, 1), "feature_group_count": 2, "padding": "SAME"},
}


@pytest.fixture(autouse=True)
def convolved():
    """Loops are looked at only where a model with a convolution has been traced."""
    convolve, lhs, rhs = case(n=1)
    Program(convolve, lhs, rhs)


def case(n, layout=None, padding="VALID", feature_group_count=1, batch_group_count=1, window_strides=None, **options):
    """A convolution of its input and its kernel, and both."""
    layout = LAYOUTS[n] if layout is None else layout
    sizes = {"N": 2, "C": 4, "O": 4, "I": 4 // feature_group_count}
    space = dict(zip("HWD", (4, 5, 4), strict=True))
    kernel = dict(zip("HWD", (3, 2, 2), strict=True))
    lhs = jax.random.normal(jax.random.PRNGKey(0), [(sizes | space)[c] for c in layout[0]])
    rhs = jax.random.normal(jax.random.PRNGKey(1), [(sizes | kernel)[c] for c in layout[1]])

    def convolve(lhs, rhs):
        return jax.lax.conv_general_dilated(
            lhs,
            rhs,
            (1,) * n if window_strides is None else window_strides,
            padding,
            dimension_numbers=layout,
            feature_group_count=feature_group_count,
            batch_group_count=batch_group_count,
            **options,
        )

    return convolve, lhs, rhs


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_in_a_loop(name):
    convolve, lhs, rhs = case(**CASES[name])

    def step(carry, _):
        lhs, rhs = carry
        a, b = jax.grad(lambda *x: 0.5 * jnp.sum(convolve(*x) ** 2), argnums=(0, 1))(lhs, rhs)
        return (lhs - 0.01 * a, rhs - 0.01 * b), None

    def loop(scan):
        return jax.jit(lambda carry: scan(step, carry, jnp.arange(2)))((lhs, rhs))

    assert "conv_general_dilated" in str(jax.make_jaxpr(step)((lhs, rhs), None))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), loop(scan), loop(jax.lax.scan))


def test_every_convolution_is_laid_out_for_the_fast_kernel():
    convolve, lhs, rhs = case(n=2)
    grad = laid_out(jax.grad(lambda a, b: jnp.sum(convolve(a, b) ** 2), argnums=(0, 1)), lhs, rhs)
    found = [e for e in jax.make_jaxpr(grad)(lhs, rhs).eqns if e.primitive.name == "conv_general_dilated"]
    assert len(found) == 3  # the value, and the gradients of both
    for eqn in found:
        numbers = eqn.params["dimension_numbers"]
        assert (numbers.lhs_spec, numbers.rhs_spec, numbers.out_spec) == ((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))


def test_mapped_and_half_precision():
    convolve, lhs, rhs = case(n=2)
    many = jnp.stack([lhs, 2 * lhs])
    found = jax.jit(laid_out(jax.vmap(convolve, (0, None)), many, rhs))(many, rhs)
    np.testing.assert_allclose(found, jax.vmap(convolve, (0, None))(many, rhs), rtol=1e-4, atol=1e-4)
    half = laid_out(convolve, lhs, rhs)(lhs.astype(jnp.bfloat16), rhs.astype(jnp.bfloat16))
    assert half.dtype == jnp.bfloat16


def test_a_while_loop():
    convolve, lhs, rhs = case(n=2, padding="SAME")

    def step(carry):
        i, lhs = carry
        return i + 1, jnp.tanh(convolve(lhs, rhs))

    found, plain = [loop(lambda carry: carry[0] < 3, step, (0, lhs)) for loop in (while_loop, jax.lax.while_loop)]
    assert found[0] == plain[0] == 3
    np.testing.assert_allclose(found[1], plain[1], rtol=1e-4, atol=1e-4)


def test_all_else_is_left_as_it_is():
    convolve, lhs, rhs = case(n=1)

    def step(x):
        return {"relu": jax.nn.relu(x), "none": None, "sorted": jax.lax.sort_key_val(x, x), "c": convolve(lhs, rhs)}

    x = jnp.array([2.0, -1.0])
    found, expected = laid_out(step, x)(x), step(x)
    assert found["none"] is None
    jax.tree.map(
        np.testing.assert_array_equal, [found["relu"], found["sorted"]], [expected["relu"], expected["sorted"]]
    )
    assert laid_out(jnp.sin, x) is jnp.sin


def test_which_programs_convolve():
    convolve, lhs, rhs = case(n=1)
    assert Program(convolve, lhs, rhs).convolves
    assert Program(jax.jit(convolve), lhs, rhs).convolves
    assert not Program(jnp.sin, lhs).convolves
    assert Program.convolved
