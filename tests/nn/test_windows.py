"""Max pooling over windows that lie side by side, against Equinox used directly: values, gradients, ties."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pcx.nn as pxnn

CASES = [((2, 2), (3, 4, 6)), ((2, 3), (1, 5, 7)), ((3, 1), (2, 6, 2)), ((1, 1), (2, 3, 3)), ((4, 4), (2, 4, 4))]


def both(window):
    return pxnn.MaxPool2d(window, window), eqx.nn.MaxPool2d(window, window)


@pytest.mark.hasty
@pytest.mark.parametrize(("window", "shape"), CASES)
@pytest.mark.parametrize("ties", [False, True])
def test_value_gradient_and_forward_derivative(window, shape, ties):
    layer, reference = both(window)
    x, t = jax.random.normal(jax.random.PRNGKey(0), (2, 5, *shape))
    x = jnp.round(x) if ties else x
    y, back = jax.vjp(jax.vmap(layer), x)
    expected, back_expected = jax.vjp(jax.vmap(reference), x)
    np.testing.assert_array_equal(y, expected)
    g = jax.random.normal(jax.random.PRNGKey(1), y.shape)
    np.testing.assert_array_equal(back(g)[0], back_expected(g)[0])
    _, forward = jax.jvp(jax.vmap(layer), (x,), (t,))
    np.testing.assert_allclose(jnp.vdot(g, forward), jnp.vdot(back(g)[0], t), rtol=1e-5)


@pytest.mark.hasty
@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from([-1.0, -0.0, 0.0, 1.0]), min_size=16, max_size=16))
def test_of_equal_values_the_first_has_the_gradient(values):
    layer, reference = both(2)
    x = jnp.asarray(values, jnp.float32).reshape(1, 4, 4)
    gradients = [jax.grad(lambda x, f=f: jnp.sum(f(x) * jnp.arange(1.0, 5.0).reshape(1, 2, 2)))(x) for f in both(2)]
    np.testing.assert_array_equal(layer(x), reference(x))
    np.testing.assert_array_equal(*gradients)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.int32])
def test_other_dtypes(dtype):
    layer, reference = both(2)
    x = (10 * jax.random.normal(jax.random.PRNGKey(0), (2, 4, 4))).astype(dtype)
    if dtype == jnp.int32:  # Equinox starts from a float
        np.testing.assert_array_equal(layer(x), reference(x.astype(jnp.float32)).astype(dtype))
    else:
        assert layer(x).dtype == dtype
        np.testing.assert_array_equal(layer(x), reference(x))


@pytest.mark.hasty
def test_second_derivative_and_not_a_number():
    layer, reference = both(2)
    x = jax.random.normal(jax.random.PRNGKey(0), (1, 2, 4))
    second, expected = [jax.hessian(lambda x, f=f: jnp.sum(f(x) ** 3))(x) for f in (layer, reference)]
    np.testing.assert_allclose(second, expected, rtol=1e-6)
    assert jnp.isnan(layer(x.at[0, 0, 0].set(jnp.nan))[0, 0, 0])


@pytest.mark.parametrize(("window", "stride", "scatters"), [(2, 2, False), (3, 2, True)])
def test_no_scatter_in_the_gradient(window, stride, scatters):
    slope = jax.jit(jax.grad(lambda x: jnp.sum(pxnn.MaxPool2d(window, stride)(x))))
    assert ("scatter" in slope.lower(jnp.ones((1, 5, 5))).as_text()) is scatters


def test_a_wrong_number_of_axes_is_refused_by_equinox():
    with pytest.raises(AssertionError, match="spatial dimensions"):
        pxnn.MaxPool2d(2, 2)(jnp.ones((4, 4)))
