"""Settling is right from any start, for every sample by itself, and with a transformation for each node."""

from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx as px
import pcx.inference as pxi
import pcx.learning as pxl
import pcx.models as pxm
from pcx.inference._by_node import as_descent


def by_hand(field, h, steps, transformation, order=None):
    """Every node and every sample by itself, with gradients of the whole energy."""
    states = {n: jax.vmap(transformation.init)(v) for n, v in h.items()}
    slope = jax.grad(field.total)
    for _ in range(steps):
        for group in order or [tuple(h)]:
            g = slope(h)
            for n in group:
                update, states[n] = jax.vmap(transformation.update)(g[n], states[n], h[n])
                h = {**h, n: h[n] + update}
    return h


def apart(one, two):
    return max(float(jnp.abs(one[n] - two[n]).max()) for n in one)


@pytest.mark.hasty
def test_four_steps_and_four_more_are_eight(posed):
    _, field, h = posed
    for schedule in (None, pxi.AllNodes(), pxi.Sweeps("down"), pxi.Sweeps("up")):

        def go(at, n, s=schedule):
            return pxi.relax(field, at, descent=optax.sgd(0.1), stop=n, schedule=s).nodes

        assert apart(go(h, 8), go(go(h, 4), 4)) < 1e-6


@pytest.mark.hasty
@pytest.mark.parametrize("schedule", [None, pxi.AllNodes(), pxi.Sweeps("down"), pxi.Sweeps("up")])
def test_from_random_values_all_nodes_move(posed, schedule):
    _, field, h = posed
    anywhere = {n: v + jax.random.normal(jax.random.key(2), v.shape) for n, v in h.items()}
    order = None if not isinstance(schedule, pxi.Sweeps) else [(n,) for n in h]
    if order is not None and schedule == pxi.Sweeps("down"):
        order = order[::-1]
    got = pxi.relax(field, anywhere, descent=optax.sgd(0.1), stop=2, schedule=schedule).nodes
    assert apart(got, by_hand(field, anywhere, 2, optax.sgd(0.1), order)) < 1e-6
    # One node off its prediction is felt at once by itself, not by those that are far.
    one = {**h, "vodes[0]": anywhere["vodes[0]"]}
    got = pxi.relax(field, one, descent=optax.sgd(0.1), stop=1, schedule=schedule).nodes
    assert apart(got, by_hand(field, one, 1, optax.sgd(0.1), order)) < 1e-6
    assert not jnp.array_equal(got["vodes[0]"], one["vodes[0]"])


@pytest.mark.hasty
def test_the_start_of_another_batch_or_of_other_weights_is_no_forward_pass(posed):
    bound, field, h = posed
    assert field.starts_forward(h)
    for other in (
        bound.at(batch=(bound.x + 1, bound.y)),
        bound.at(jax.tree.map(lambda w: 2 * w, bound.weights)),
    ):
        moved = other.landscape(bound.start().targets)
        assert not moved.starts_forward(h)
        got = pxi.relax(moved, h, descent=optax.sgd(0.1), stop=2).nodes
        assert apart(got, by_hand(moved, h, 2, optax.sgd(0.1))) < 1e-6


def test_layer_time_is_refused_from_elsewhere(posed):
    _, field, h = posed
    with pytest.raises(ValueError, match="LayerTime follows the wave"):
        pxi.relax(field, {n: v + 1 for n, v in h.items()}, descent=optax.sgd(0.1), stop=2, schedule=pxi.LayerTime())
    with pytest.raises(ValueError, match=r"start must be Forward\(\)"):
        pxl.pc(optax.sgd(0.1), optax.sgd(0.1), 3, schedule=pxi.LayerTime(), start=pxl.Zeros())


class Anything(pxi.Stop):
    early = True

    def reached(self, energy, before, gradient):
        return jnp.ones(energy.shape, bool)


@pytest.mark.parametrize("stop", [pxi.Plateau(50, rtol=1e3), Anything(50)], ids=["plateau", "own"])
def test_nothing_is_settled_before_the_error_has_come(posed, stop):
    _, field, h = posed
    got = pxi.relax(field, h, descent=optax.sgd(0.1), stop=stop)
    assert got.steps.tolist() == [3] * 6  # the wave reaches the fourth node at step 3, from 0
    swept = pxi.relax(field, h, descent=optax.sgd(0.1), stop=Anything(50), schedule=pxi.Sweeps("down"))
    assert swept.steps.tolist() == [0] * 6  # one sweep takes it through all nodes


def test_a_small_rate_does_not_pass_for_rest(posed):
    _, field, h = posed
    slow = pxi.relax(field, h, descent=optax.sgd(1e-5), stop=pxi.Plateau(20, rtol=1e-3))
    assert slow.result.tolist() == [pxi.RESULT.out_of_steps] * 6


@pytest.mark.parametrize("schedule", [None, pxi.AllNodes(), pxi.Sweeps("up")], ids=["wave", "all", "sweeps"])
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
def test_rounding_moves_nothing(posed, schedule, compiled):
    # Adam's first step is its whole rate, however small the gradient is.
    _, field, h = posed
    stops: list[Any] = [1] if schedule is None else [1, pxi.Plateau(1, rtol=0.0)]
    for stop in stops:

        def go(h, s=stop):
            return pxi.relax(field, h, descent=optax.adam(0.01), stop=s, schedule=schedule).nodes

        got = (jax.jit(go) if compiled else go)(h)
        moved = [n for n in h if not jnp.array_equal(got[n], h[n])]
        assert moved == ["vodes[3]"]


COUPLED = {
    "clip": optax.chain(optax.clip_by_global_norm(0.1), optax.sgd(0.2)),
    "block": optax.chain(optax.clip_by_block_rms(0.05), optax.sgd(0.2)),
    "lamb": optax.lamb(0.05),
}
TOGETHER = {"sgd": optax.sgd(0.1), "momentum": optax.sgd(0.1, momentum=0.5), "adam": optax.adam(0.05)}


@pytest.mark.parametrize("name", [*COUPLED, *TOGETHER])
def test_a_sample_settles_as_it_does_alone(name):
    transformation = (COUPLED | TOGETHER)[name]
    descent = as_descent("test", transformation)
    rng = np.random.default_rng(0)
    value, g = (jnp.asarray(rng.normal(size=(5, 3)), jnp.float32) for _ in range(2))
    g = g * jnp.arange(1.0, 6.0)[:, None]
    state, alone = descent.init(value), [transformation.init(v) for v in value]
    if name in TOGETHER:  # nothing is mapped that need not be
        assert jax.tree.structure(state) == jax.tree.structure(transformation.init(value))
        assert all(a.shape in ((), value.shape) for a in jax.tree.leaves(state))
    for _ in range(2):
        update, state = descent.update(g, state, value, None)
        for i in range(5):
            expected, alone[i] = transformation.update(g[i], alone[i], value[i])
            np.testing.assert_allclose(update[i], cast(Any, expected), rtol=2e-5, atol=1e-7)


HOLDING = {
    "nonnegative": optax.chain(optax.sgd(0.1), optax.keep_params_nonnegative()),
    "schedule-free": optax.contrib.schedule_free_sgd(0.1),
    "mechanic": optax.contrib.mechanize(optax.sgd(0.1)),
    "cocob": optax.contrib.cocob(),
}


@pytest.mark.parametrize("name", HOLDING)
def test_an_optimiser_that_holds_values_is_not_proved_idle(name):
    assert pxi.Optax(HOLDING[name]).idle(jnp.ones((4, 3)), 2) is None


def test_a_transformation_for_each_node(posed):
    _, field, h = posed
    rates = {n: 0.05 * (i + 1) for i, n in enumerate(h)}
    choose = {n: optax.sgd(r) for n, r in rates.items()}
    expected = dict(h)
    for _ in range(5):
        g = jax.grad(field.total)(expected)
        expected = {n: v - rates[n] * g[n] for n, v in expected.items()}
    for optim_h in (choose, lambda n: optax.sgd(0.05 * (int(n[-2]) + 1))):
        assert apart(pxi.relax(field, h, descent=optim_h, stop=5).nodes, expected) < 1e-6
    with pytest.raises(ValueError, match=r"name 'vodes\[9\]'; the nodes are vodes\[0\], "):
        pxi.relax(field, h, descent={**choose, "vodes[9]": optax.sgd(0.1)}, stop=1)
    choose.pop("vodes[2]")
    with pytest.raises(ValueError, match=r"lack vodes\[2\]"):
        pxi.relax(field, h, descent=choose, stop=1)
    with pytest.raises(TypeError, match="got float"):
        pxi.relax(field, h, descent={"vodes[0]": 0.1}, stop=1)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("make", [lambda h: pxl.pc(optax.sgd(0.1), h, 2), lambda h: pxl.ipc(optax.sgd(0.1), h, 2)])
def test_rules_check_the_names_of_nodes(posed, make):
    px.RKG.seed(0)
    model = pxm.MLP([3, 4, 2])
    batch = jnp.ones((2, 3)), jnp.ones((2, 2))
    with pytest.raises(ValueError, match=r"name 'hidden'; the nodes are vodes\[0\], vodes\[1\]"):
        make({"hidden": optax.sgd(0.1)}).init(model, batch)
    make({"vodes[0]": optax.sgd(0.1)}).init(model, batch)


def test_the_rounding_of_a_long_sum_is_no_error():
    model = pxm.MLP([784, 8, 8, 2], jnp.tanh)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(16, 784)), jnp.float32)
    bound = pxl.bind(model, (x, jnp.zeros((16, 2))))
    start = bound.start()  # not compiled: its sums are taken in another order than in the function below
    land = bound.landscape(start.targets)
    settle = jax.jit(lambda h: pxi.relax(land, h, descent=optax.adam(0.01), stop=1, schedule=pxi.AllNodes()).nodes)
    moved = settle(start.h)
    assert float(jnp.abs(moved["vodes[0]"] - start.h["vodes[0]"]).max()) == 0
    assert float(jnp.abs(moved["vodes[1]"] - start.h["vodes[1]"]).max()) > 0.005
