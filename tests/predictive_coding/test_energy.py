"""Energies have their closed forms, inside a vmap and outside, and say what rules have to know of them."""

import copy
import dataclasses
import inspect
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pcx.functional as pxf
import pcx.predictive_coding as pxc
import pcx.utils as pxu
from pcx.core import static_key

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


def huber(h, u):
    e = np.abs(h - u)
    return np.where(e <= 0.7, 0.5 * e**2, 0.7 * (e - 0.35))


ENERGIES = [(pxc.se_energy, squared_error), (pxc.ce_energy, cross_entropy), (pxc.zero_energy, zero)]
OTHER_NOISE = [
    (pxc.Huber(0.7), huber),
    (pxc.Laplace(), lambda h, u: np.abs(h - u)),
    (pxc.Poisson(), lambda h, u: np.exp(u) - h * u),
]


def vode_with(energy_fn, h, u):
    vode = pxc.Vode(energy_fn)
    vode.h.set(jnp.asarray(h))
    vode(jnp.asarray(u))
    return vode


@pytest.mark.parametrize(("energy_fn", "closed_form"), [*ENERGIES, *OTHER_NOISE])
@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 3, 5)])
def test_unreduced_values(energy_fn, closed_form, shape):
    h, u = normal(0, *shape), normal(1, *shape)
    got = energy_fn(vode_with(energy_fn, h, u))
    assert got.shape == shape
    np.testing.assert_allclose(got, closed_form(h, u), rtol=1e-5, atol=1e-6)


@pytest.mark.hasty
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
        assert grads["vode"].cache is None


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


def gradients(energy, h, u):
    """The gradients of the sum of an energy, by h and by u."""
    return jax.grad(lambda h, u: energy.elements(h, u).sum(), (0, 1))(jnp.asarray(h), jnp.asarray(u))


def test_gradients_of_other_noise():
    h, u = np.array([2.0, 0.7, 0.3, 0.0, -3.0]), np.zeros(5)  # an error that is delta, and one that is zero, among them
    pull = np.array([0.7, 0.7, 0.3, 0.0, -0.7])
    for energy, by_h, by_u in (
        (pxc.Huber(0.7), pull, -pull),
        (pxc.Laplace(), np.sign(h), -np.sign(h)),
        (pxc.Poisson(), -u, np.exp(u) - h),
    ):
        got = gradients(energy, h, u)
        np.testing.assert_allclose(got[0], by_h, rtol=1e-6, err_msg=str(energy))
        np.testing.assert_allclose(got[1], by_u, rtol=1e-6, err_msg=str(energy))


@pytest.mark.parametrize("energy", [pxc.se_energy, pxc.ce_energy, pxc.Huber(0.7), pxc.Poisson()])
def test_a_nudged_value_has_b_times_the_gradient_of_the_target(energy):
    u, y = jnp.asarray(normal(0, 2, 4)), jnp.eye(4)[:2]
    _, clamped = gradients(energy, y, u)
    for b in (0.2, -0.2, 1.0):
        _, nudged = gradients(energy, energy.nudged(u, y, b), u)
        np.testing.assert_allclose(nudged, b * clamped, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("energy", [pxc.zero_energy, pxc.Laplace()])
def test_an_energy_without_a_nudged_value_says_what_to_do(energy):
    with pytest.raises(ValueError, match=rf"^{energy.__name__}.*follow=True"):
        energy.nudged(jnp.ones(2), jnp.zeros(2), 0.1)


def test_energies_say_what_they_are():
    assert [e for e, _ in [*ENERGIES, *OTHER_NOISE] if e.squared] == [pxc.se_energy]
    with pytest.raises(TypeError, match="abstract"):
        pxc.Energy()  # pyright: ignore[reportAbstractUsage]
    with pytest.raises(ValueError, match=r"Huber: delta must be above 0, got 0\.0"):
        pxc.Huber(0.0)


@pytest.mark.parametrize("name", ["se_energy", "ce_energy", "zero_energy"])
def test_the_named_energies_are_used_like_functions(name):
    energy = getattr(pxc, name)
    assert energy.__name__ == name
    assert repr(energy) == f"pxc.{name}"
    assert list(inspect.signature(energy).parameters) == ["vode", "rkg"]
    assert "h's shape" in energy.__doc__
    assert pickle.loads(pickle.dumps(energy)) is copy.deepcopy(energy) is energy
    assert static_key(energy) == static_key(energy)


@dataclasses.dataclass(frozen=True)
class Scaled(pxc.Energy):
    factor: float

    def elements(self, h, u):
        return self.factor * (h - u) ** 4


class Plain(pxc.Energy):
    def __init__(self, factor):
        self.factor = factor

    def elements(self, h, u):
        return self.factor * (h - u) ** 4


@pytest.mark.parametrize("kind", [Scaled, Plain])
def test_equal_energies_of_ones_own_are_one_program(kind):
    assert static_key(kind(2.0)) == static_key(kind(2.0)) != static_key(kind(3.0))
    assert repr(kind(2.0)) == f"{kind.__name__}(factor=2.0)"
    traced = []

    @pxf.jit()
    def energy(*, vode):
        traced.append(1)
        return vode.energy()

    h = jnp.full(3, 2.0)
    assert [float(energy(vode=vode_with(kind(f), h, 0 * h))) for f in (1.0, 1.0, 2.0)] == [48.0, 48.0, 96.0]
    assert len(traced) == 2
    with pytest.raises(ValueError, match=rf"{kind.__name__}: the vode's h has shape \(2,\), its prediction u \(3,\)"):
        vode_with(kind(1.0), jnp.ones(2), h).energy()
