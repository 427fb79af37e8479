"""What follows from coordinates being a part: clamps, starts, stops and descents work over errors, too."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx.energy as pxe
import pcx.inference as pxi
import pcx.learning as pxl
import pcx.models as pxm

from .problems import enable_x64, normal, seeded

W = optax.sgd(1.0)


def network():
    return seeded(pxm.MLP, [3, 4, 4, 2], jnp.tanh)


def batch():
    return normal(1, 5, 3), normal(2, 5, 2)


def update(rule):
    """What a rule adds to the weights, flat, and what it says."""
    state = rule.init(network(), batch())
    after, info = jax.jit(rule.step)(state, batch())
    steps = [np.ravel(after.weights[p] - w) for p, w in state.weights.items()]
    return np.concatenate(steps), info


def apart(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


@pytest.fixture(autouse=True)
def double():
    with enable_x64(True):
        yield


@pytest.mark.hasty
@pytest.mark.parametrize("clamp", [pxl.Nudged(0.3), pxl.Nudged(0.3, centred=True), pxl.Nudged(-0.3, follow=True)])
def test_nudged_over_errors_has_the_equilibrium_of_nudged_over_values(clamp):
    errors, said = update(pxl.epc(W, optax.sgd(0.3), 300, clamp=clamp))
    values, _ = update(pxl.pc(W, optax.sgd(0.3), 600, clamp=clamp))
    assert apart(errors, values) < 1e-8
    assert int(said.result) == pxl.OUTCOME.ok


def test_errors_stop_early_sample_by_sample():
    stop = pxi.GradientNorm(500, tol=1e-10)
    early, info = update(pxl.epc(W, optax.sgd(0.3), stop))
    whole, _ = update(pxl.epc(W, optax.sgd(0.3), 500))
    assert float(info.steps) < 400
    assert apart(early, whole) < 1e-9


@pytest.mark.hasty
def test_fixed_errors_with_momentum_come_to_backpropagation():
    backprop, _ = update(pxl.backprop(W))
    for optim_h in (optax.sgd(0.3, momentum=0.5), optax.sgd(0.3, momentum=0.5, nesterov=True)):
        assert apart(update(pxl.fpa(W, optim_h, 300))[0], backprop) < 1e-9


def test_errors_are_kept_from_step_to_step():
    rule = pxl.epc(optax.sgd(0.0), optax.sgd(0.1), 4, start=pxl.Kept())
    state = rule.init(network(), batch())
    step = jax.jit(rule.step)
    for _ in range(2):
        state, _ = step(state, batch())
    state, info = step(state, batch())
    other, expected = jax.jit(pxl.epc(optax.sgd(0.0), optax.sgd(0.1), 12).step)(
        pxl.epc(optax.sgd(0.0), optax.sgd(0.1), 12).init(network(), batch()), batch()
    )
    np.testing.assert_allclose(info.energy, expected.energy, rtol=1e-12)
    assert set(state.memory["nodes"]) == {"vodes[0]", "vodes[1]"}
    assert other.memory == {}


@pytest.mark.hasty
def test_the_landscapes_agree_where_they_describe_one_place():
    bound = pxl.bind(network(), batch())
    forward = bound.start()
    over_values = bound.landscape(forward.targets)
    over_errors = pxe.OverErrors(bound, forward.targets)
    errors = {n: 0.1 * normal(i, *v.shape) for i, (n, v) in enumerate(over_errors.start().items())}
    values = over_errors.values(errors)
    free = {n: values[n] for n in over_values.free}
    for a, b in (
        (over_values.energies(free), over_errors.energies(errors)),
        (over_values.predictions(free), over_errors.predictions(errors)),
        (over_values.weight_gradient(free).gradient, over_errors.weight_gradient(errors).gradient),
        (over_values.weight_gradient(free).elements, over_errors.weight_gradient(errors).elements),
    ):
        assert list(a) == list(b) or set(a) == set(b)
        for name, value in a.items():
            np.testing.assert_allclose(value, b[name], rtol=1e-9, atol=1e-12)
    fixed = pxe.OverFixedErrors(bound, forward.targets)
    zero = fixed.start()
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12),
        fixed.gradient(zero)(zero)["vodes[1]"],
        over_errors.gradient(zero)(zero)["vodes[1]"],
    )
    assert fixed.arrival == {"vodes[1]": 0, "vodes[0]": 1}
    assert over_values.starts_forward(forward.h)
    assert fixed.starts_forward(zero)
    assert not fixed.starts_forward(errors)
