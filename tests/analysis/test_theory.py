"""Closed forms beside what is measured, in float64."""

import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import pcx.analysis as pxa
import pcx.inference as pxi
import pcx.learning as pxl
import pcx.models as pxm
import pcx.nn as pxnn
import pcx.predictive_coding as pxc

from .networks import bound, landscape, normal

pytestmark = pytest.mark.usefixtures("double")


def identity(x):
    return x


def linear(*widths: int, bias: bool = True) -> Any:
    return pxm.MLP(widths or [5, 8, 7, 6, 3], act=identity, bias=bias)


class LinearSkips(pxc.EnergyModule):
    """A linear graph with a skip, a branch and two outputs."""

    def __init__(self):
        super().__init__()
        self.layers = [pxnn.Linear(*w) for w in ((5, 6), (6, 6), (6, 3), (6, 2))]
        self.vodes = [pxc.Vode(), pxc.Vode(), pxc.Vode(output=True), pxc.Vode(output=True)]

    def __call__(self, x, y=None):
        first = self.vodes[0](self.layers[0](x))
        second = self.vodes[1](self.layers[1](first) + first)
        out = self.vodes[2](self.layers[2](second)), self.vodes[3](self.layers[3](first))
        if y is not None:
            self.vodes[2].set("h", y[:3])
            self.vodes[3].set("h", y[1:])
        return out


# -- the energy at equilibrium ----------------------------------------------------------------------------------
@pytest.mark.hasty
def test_the_energy_of_a_chain_is_that_of_the_paper():
    b = bound(linear)
    found = pxa.equilibrated_energy(b)
    w = [np.asarray(b.weights[f"layers[{i}].nn.weight"]) for i in range(4)]
    S, product = np.eye(3), np.eye(3)
    for each in w[:0:-1]:
        product = product @ each
        S = S + product @ product.T
    for i in range(3):
        np.testing.assert_allclose(found.rescaling[i], S, rtol=1e-12)
    r = np.asarray(b.y - b.start().u["vodes[3]"])
    np.testing.assert_allclose(found.residual, r, atol=1e-14)
    np.testing.assert_allclose(found.energy, 0.5 * np.sum(r * np.linalg.solve(S, r.T).T, axis=1), rtol=1e-12)
    np.testing.assert_allclose(found.loss, 0.5 * np.sum(r**2, axis=1), rtol=1e-12)
    measured = energy_at_rest(b)
    np.testing.assert_allclose(found.energy, measured, rtol=1e-10)


def energy_at_rest(b: pxl.Bound) -> Any:
    """The energy of each sample where the normal equations are solved."""
    space = landscape(b)

    @jax.jit
    def energy():
        energies = space.energies(pxi.linear_equilibrium(space, space.start()))
        return sum(space.without_logs(energies).values())

    return energy()


@pytest.mark.hasty
def test_the_energy_of_any_linear_graph_with_precisions():
    model_bound = bound(LinearSkips)
    precision = {"vodes[0]": 0.5, "vodes[1]": jnp.linspace(0.5, 2, 6), "vodes[3]": jnp.array([3.0, 0.7])}
    b = pxl.Bound(**{**vars_of(model_bound), "precision": precision})
    found = pxa.equilibrated_energy(b)
    np.testing.assert_allclose(found.energy, energy_at_rest(b), rtol=1e-10)
    assert found.rescaling.shape == (3, 5, 5)
    space = landscape(b)
    solution = pxa.equilibrium(space, tolerance=1e-9)
    assert jnp.all(solution.result == pxi.RESULT.settled)
    assert int(jnp.max(solution.steps)) < 300
    settled = sum(space.without_logs(space.energies(solution.nodes)).values())
    np.testing.assert_allclose(found.energy, settled, rtol=1e-10)


def vars_of(b: pxl.Bound) -> dict[str, Any]:
    return {name: getattr(b, name) for name in b.__dataclass_fields__}


@pytest.mark.hasty
def test_what_is_not_linear_or_no_squared_error_has_no_closed_form():
    with pytest.raises(ValueError, match="not linear"):
        pxa.equilibrated_energy(bound(lambda: pxm.MLP([5, 4, 4, 3], act=jnp.tanh)))
    with pytest.raises(ValueError, match="must be a squared error"):
        pxa.equilibrated_energy(bound(lambda: pxm.MLP([5, 4, 3], act=identity, energy=pxc.ce_energy)))


# -- the saddle at zero -----------------------------------------------------------------------------------------
def loss_of(widths, x, y):
    def loss(flat):
        at, h = 0, x
        for a, b in itertools.pairwise(widths):
            h = h @ flat[at : at + a * b].reshape(b, a).T
            at += a * b
        return 0.5 * jnp.mean(jnp.sum((y - h) ** 2, axis=1))

    return loss


@pytest.mark.hasty
@pytest.mark.parametrize("widths", [(5, 3), (5, 4, 3), (5, 4, 2, 3)])
def test_the_saddle_of_the_loss(widths):
    x, y = normal(1, 6, 5), normal(2, 6, 3)
    zero = jnp.zeros(sum(a * b for a, b in itertools.pairwise(widths)))
    true = np.linalg.eigvalsh(jax.jit(jax.hessian(loss_of(widths, x, y)))(zero))
    found = pxa.saddle_at_zero(x, y, widths, of="loss")
    np.testing.assert_allclose(np.repeat(found.values, found.counts), true, atol=1e-12)


@pytest.mark.hasty
@pytest.mark.parametrize("widths", [(5, 4, 3), (5, 4, 4, 3)])
def test_the_saddle_of_the_energy_is_strict(widths):
    b = bound(lambda: linear(*widths, bias=False), batch=6)
    b = b.at({p: jnp.zeros_like(w) for p, w in b.weights.items()})
    theory = pxa.saddle_at_zero(b.x, b.y, widths)
    measured = pxa.weight_curvature(b)
    np.testing.assert_allclose(measured.smallest, theory.smallest, rtol=1e-4)
    np.testing.assert_allclose(measured.largest, theory.values[-1], atol=1e-6)
    assert theory.smallest < -0.1
    # All of them, from the energy that is left where the normal equations are solved.
    flat, back = ravel_pytree(b.weights)

    def energy(flat):
        at = b.at(back(flat)).landscape(b.start().targets)
        return sum(jnp.mean(e) for e in at.energies(pxi.linear_equilibrium(at, b.start().h)).values())

    true = np.linalg.eigvalsh(jax.jit(jax.hessian(energy))(flat))
    np.testing.assert_allclose(np.repeat(theory.values, theory.counts), true, atol=1e-10)


@pytest.mark.hasty
def test_the_curvature_in_weights_away_from_zero():
    b = bound(lambda: pxm.MLP([5, 3, 3, 3], act=jnp.tanh), batch=4)
    space = landscape(b)
    solution = pxa.equilibrium(space, tolerance=1e-10)
    assert jnp.all(solution.result == pxi.RESULT.settled)
    nodes = dict(solution.nodes)
    found = pxa.weight_curvature(b, nodes, tolerance=1e-6)
    flat, back = ravel_pytree(b.weights)

    @jax.jit
    def gradient(flat):  # by the envelope theorem, at an equilibrium that Newton's steps have found again
        at = b.at(back(flat)).landscape(b.start().targets)
        h, shaped = ravel_pytree(nodes)
        for _ in range(4):
            grad = lambda h: ravel_pytree(at.gradient(shaped(h))(shaped(h)))[0]  # noqa: E731
            h = h - jnp.linalg.solve(jax.jacfwd(grad)(h), grad(h))
        return ravel_pytree(at.weight_gradient(shaped(h)).gradient)[0]

    step = 1e-5
    columns = [(gradient(flat + step * e) - gradient(flat - step * e)) / (2 * step) for e in np.eye(flat.size)]
    true = np.linalg.eigvalsh(np.asarray(columns))
    np.testing.assert_allclose([found.smallest, found.largest], true[[0, -1]], rtol=1e-4)
    with pytest.raises(ValueError, match="not at rest"):
        pxa.weight_curvature(b, space.start())


def test_widths_that_do_not_fit_are_refused():
    x, y = normal(1, 6, 5), normal(2, 6, 3)
    for widths in ((4, 4, 3), (5,), (5, 4, 2)):
        with pytest.raises(ValueError, match="saddle_at_zero"):
            pxa.saddle_at_zero(x, y, widths)
    with pytest.raises(ValueError, match="of is"):
        pxa.saddle_at_zero(x, y, (5, 3), of="bp")  # pyright: ignore[reportArgumentType]


# -- values of new weights --------------------------------------------------------------------------------------
def over_draws(make: Any, draws: int, x: Any) -> tuple[Any, Any]:
    """Mean and standard error of the activity of a network over its own distribution of weights, and the theory's."""
    model = make()
    b = pxl.bind(model, (x, normal(9, len(x), 3)))
    normals = isinstance(model, pxm.MuMLP)

    def drawn(key):
        keys = jax.random.split(key, len(b.weights))
        new = {}
        for k, (path, w) in zip(keys, b.weights.items(), strict=True):
            inputs = b.weights[path.replace("bias", "weight")].shape[1]
            edge = inputs**-0.5
            new[path] = (
                jax.random.normal(k, w.shape) if normals else jax.random.uniform(k, w.shape, minval=-edge, maxval=edge)
            )
        return pxa.activity(b.at(new))

    found = jax.jit(lambda keys: jax.lax.map(drawn, keys, batch_size=50))(jax.random.split(jax.random.key(0), draws))
    theory = pxa.expected_activity(model, x)
    assert list(theory) == list(b.problem.nodes)
    error = {n: float(jnp.std(v)) / math.sqrt(draws) for n, v in found.items()}
    return {n: (float(jnp.mean(v)), error[n]) for n, v in found.items()}, theory


@pytest.mark.hasty
@pytest.mark.parametrize(
    "make",
    [
        lambda: pxm.MLP([5, 4, 6, 4, 3], act=identity),
        lambda: pxm.MuMLP([5] + [4] * 5 + [3], act=identity),
    ],
    ids=["mlp", "mupc"],
)
def test_linear_networks_of_any_width_have_the_expected_values(make):
    measured, theory = over_draws(make, 4000, normal(1, 4, 5))
    for n, (mean, error) in measured.items():
        assert abs(mean - theory[n]) < 5 * error, n
        assert error < 0.06 * mean


@pytest.mark.hasty
@pytest.mark.parametrize(
    "make",
    [
        lambda: pxm.MLP([32] + [256] * 5 + [3], act=jnp.tanh),
        lambda: pxm.MuMLP([32] + [256] * 5 + [3], act=jax.nn.relu),
        lambda: pxm.MuMLP([32] + [256] * 5 + [3], act=jax.nn.gelu, skips=False),
    ],
    ids=["mlp", "mupc relu", "no skips"],
)
def test_wide_networks_have_the_expected_values(make):
    measured, theory = over_draws(make, 40, normal(1, 4, 32))
    for n, (mean, error) in measured.items():
        assert abs(mean - theory[n]) < 5 * error + 0.02 * mean, n


@pytest.mark.hasty
def test_the_limit_of_depth():
    x = normal(1, 4, 5)
    first = float(jnp.mean(x**2))
    for act, factor in ((identity, math.e), (jax.nn.relu, math.exp(0.5))):
        model = pxm.MuMLP([5, 4, 3], act=act)
        np.testing.assert_allclose(pxa.deep_activity(model, x), factor * first, rtol=1e-4)
    deep = pxm.MuMLP([5] + [2] * 100 + [3], act=jnp.tanh)
    last = pxa.expected_activity(deep, x)["vodes[99]"]
    np.testing.assert_allclose(last, pxa.deep_activity(deep, x), rtol=2e-2)
    with pytest.raises(TypeError, match=r"pxm\.MLP and pxm\.MuMLP"):
        pxa.expected_activity(pxm.VGG([2], [True], [1]), x)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="without skips"):
        pxa.deep_activity(pxm.MuMLP([5, 4, 3], skips=False), x)
