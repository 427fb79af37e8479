"""Energies have their closed forms, inside a vmap and outside."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pcx.functional as pxf
import pcx.predictive_coding as pxc
import pcx.utils as pxu

BATCHED = pxu.M(pxc.VodeParam | pxc.VodeParam.Cache).to((None, 0))


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def squared_error(h, u):
    return 0.5 * (h - u) ** 2


def cross_entropy(h, u):
    shifted = u - u.max(axis=-1, keepdims=True)
    return -h * (shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def zero(h, u):
    return np.zeros_like(h)


ENERGIES = [(pxc.se_energy, squared_error), (pxc.ce_energy, cross_entropy), (pxc.zero_energy, zero)]


def vode_with(energy_fn, h, u):
    vode = pxc.Vode(energy_fn)
    vode.h.set(jnp.asarray(h))
    vode(jnp.asarray(u))
    return vode


@pytest.mark.parametrize(("energy_fn", "closed_form"), ENERGIES)
@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 3, 5)])
def test_unreduced_values(energy_fn, closed_form, shape):
    h, u = normal(0, *shape), normal(1, *shape)
    got = energy_fn(vode_with(energy_fn, h, u))
    assert got.shape == shape
    np.testing.assert_allclose(got, closed_form(h, u), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("energy_fn", "closed_form"), ENERGIES)
@pytest.mark.parametrize("sample", [(3,), (2, 3)])
def test_a_scalar_inside_vmap_and_the_samples_outside(energy_fn, closed_form, sample):
    h, u = normal(0, 5, *sample), normal(1, 5, *sample)
    expected = closed_form(h, u).reshape(5, -1).sum(axis=1)

    inside_shapes = []

    @pxf.vmap(BATCHED, in_axes=(0, 0))
    def run(h, u, *, vode):
        vode.h.set(h)
        vode(u)
        energy = vode.energy()
        inside_shapes.append(jnp.shape(energy))
        return energy

    vode = pxc.Vode(energy_fn)
    inside = run(jnp.asarray(h), jnp.asarray(u), vode=vode)
    assert inside_shapes == [()]
    np.testing.assert_allclose(inside, expected, rtol=1e-5, atol=1e-6)

    vode.set("h", jnp.asarray(h))  # forgets the energy, which is evaluated again outside
    assert vode.get("E") is None
    outside = vode.energy()
    assert jnp.shape(outside) == (5,)
    np.testing.assert_allclose(outside, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("energy_fn", "closed_form"), ENERGIES)
def test_outside_after_a_vmap_that_set_u(energy_fn, closed_form):
    h, u = normal(0, 5, 2, 3), normal(1, 5, 2, 3)

    @pxf.vmap(BATCHED, in_axes=(0, 0))
    def fill(h, u, *, vode):
        vode.h.set(h)
        vode(u)

    vode = pxc.Vode(energy_fn)
    fill(jnp.asarray(h), jnp.asarray(u), vode=vode)
    energy = vode.energy()
    assert jnp.shape(energy) == (5,)
    np.testing.assert_allclose(energy, closed_form(h, u).sum(axis=(1, 2)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("how", ["call", "set in vmap", "set outside"])
def test_the_energy_is_the_same_whichever_way_u_was_set(how):
    h, u = jnp.asarray(normal(0, 4, 3)), jnp.asarray(normal(1, 4, 3))
    vode = pxc.Vode()
    vode.h.set(h)
    if how == "set outside":
        vode.set("u", u)
    else:

        @pxf.vmap(BATCHED, in_axes=0)
        def put(u, *, vode):
            vode(u) if how == "call" else vode.set("u", u)

        put(u, vode=vode)
    np.testing.assert_allclose(vode.energy(), 0.5 * ((h - u) ** 2).sum(axis=1), rtol=1e-6)


def test_the_prediction_is_a_samples_where_the_vode_was_called_outside():
    # Called on one sample outside of any vmap, a vode sees a sample: its energy is a scalar.
    h, u = normal(0, 2, 3), normal(1, 2, 3)
    vode = vode_with(pxc.se_energy, h, u)
    np.testing.assert_allclose(vode.energy(), squared_error(h, u).sum(), rtol=1e-6)


def test_gradients_of_the_energies():
    h, u = jnp.asarray(normal(0, 4)), jnp.asarray(normal(1, 4))
    for energy_fn, expected in (
        (pxc.se_energy, h - u),
        (pxc.ce_energy, -jax.nn.log_softmax(u)),
        (pxc.zero_energy, jnp.zeros(4)),
    ):

        @pxf.value_and_grad(pxu.M(pxc.VodeParam).to((False, True)))
        def energy(*, vode):
            return vode.energy()

        _, grads = energy(vode=vode_with(energy_fn, h, u))
        np.testing.assert_allclose(grads["vode"].h.get(), expected, rtol=1e-6)
        assert grads["vode"].cache.get() is None


def test_one_hot_cross_entropy_picks_one_log_probability():
    u = jnp.asarray([1.0, 2.0, 3.0])
    vode = vode_with(pxc.ce_energy, jnp.asarray([0.0, 1.0, 0.0]), u)
    np.testing.assert_allclose(vode.energy(), np.log(np.exp(u).sum()) - 2.0, rtol=1e-6)


@pytest.mark.parametrize("energy_fn", [pxc.se_energy, pxc.ce_energy])
def test_large_values_stay_finite(energy_fn):
    vode = vode_with(energy_fn, jnp.asarray([0.0, 1.0]), jnp.asarray([1e4, -1e4]))
    assert jnp.isfinite(vode.energy())


def test_no_energy_function_is_no_energy():
    vode = pxc.Vode(None)
    assert vode.energy() == 0.0
    vode(jnp.ones(3))
    assert vode.energy() == 0.0
