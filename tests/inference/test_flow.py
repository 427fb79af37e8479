"""The gradient flow, by Diffrax, against plain descent and against its end."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx as px
import pcx.inference as pxi
import pcx.learning as pxl
import pcx.models as pxm

diffrax = pytest.importorskip("diffrax")


@pytest.fixture(scope="module")
def field():
    px.RKG.seed(0)
    rng = np.random.default_rng(0)
    x, y = (jnp.asarray(rng.normal(size=(4, n)), jnp.float32) for n in (3, 2))
    bound = pxl.bind(pxm.MLP([3, 4, 5, 2], jnp.tanh), (x, y))
    start = bound.start()
    return bound.landscape(start.targets), start.h


def furthest(a, b):
    return max(float(jnp.max(jnp.abs(a[n] - b[n]))) for n in a)


@pytest.mark.hasty
def test_eulers_method_is_plain_descent(field):
    landscape, h = field
    flow = pxi.relax(landscape, h, descent=pxi.Flow(1.0, 0.125, solver=diffrax.Euler()), stop=20)
    plain = pxi.relax(landscape, h, descent=optax.sgd(0.125), stop=8)
    assert furthest(flow.nodes, plain.nodes) < 1e-6
    assert flow.steps.tolist() == [8] * 4
    assert flow.result.tolist() == [pxi.RESULT.settled] * 4


@pytest.mark.hasty
def test_heuns_error_falls_with_the_square_of_the_step(field):
    landscape, h = field
    exact = pxi.relax(landscape, h, descent=pxi.Flow(1.0, 1 / 256), stop=400).nodes
    errors = [
        furthest(pxi.relax(landscape, h, descent=pxi.Flow(1.0, step), stop=400).nodes, exact) for step in (0.25, 0.125)
    ]
    assert 3 < errors[0] / errors[1] < 6


@pytest.mark.hasty
def test_adaptive_steps_reach_the_equilibrium(field):
    landscape, h = field
    got = jax.jit(lambda h: pxi.relax(landscape, h, descent=pxi.Flow(60.0), stop=4000))(h)
    settled = pxi.relax(landscape, h, descent=optax.sgd(0.2), stop=2000)
    assert furthest(got.nodes, settled.nodes) < 1e-2
    assert got.result.tolist() == [pxi.RESULT.settled] * 4


def test_too_few_steps_are_told(field):
    landscape, h = field
    got = pxi.relax(landscape, h, descent=pxi.Flow(10.0, 0.1), stop=5)
    assert got.result.tolist() == [pxi.RESULT.out_of_steps] * 4 or pxi.RESULT.not_finite in got.result.tolist()


def test_a_rule_can_flow(field):
    px.RKG.seed(0)
    model = pxm.MLP([3, 4, 2], jnp.tanh)
    x, y = jnp.ones((4, 3)), jnp.ones((4, 2))
    rule = pxl.pc(optax.sgd(0.1), pxi.Flow(1.0, 0.1), 20)
    state = rule.init(model, (x, y))
    _, info = jax.jit(rule.step)(state, (x, y))
    assert int(info.result) == pxl.OUTCOME.ok
    assert float(info.energy) < float(info.loss)


class Halfway(pxi.Solver):
    """Goes half of the way down the gradient, and says so."""

    def solve(self, landscape, start, stop, *, key=None, trace=False, observe=None, unobserved=0):
        gradient = landscape.gradient(start)(start)
        nodes = {n: v - 0.5 * gradient[n] for n, v in start.items()}
        size = len(next(iter(nodes.values())))
        result = jnp.full((size,), pxi.RESULT.settled, jnp.int32)
        return pxi.Solution(nodes, jnp.ones((size,), jnp.int32), result, None, jnp.int32(-1))


@pytest.mark.hasty
def test_a_solver_of_ones_own_stands_where_a_descent_does(field):
    landscape, h = field
    got = pxi.relax(landscape, h, descent=Halfway(), stop=1)
    assert furthest(got.nodes, pxi.relax(landscape, h, descent=optax.sgd(0.5), stop=1).nodes) < 1e-6
    px.RKG.seed(0)
    model, batch = pxm.MLP([3, 4, 2], jnp.tanh), (jnp.ones((4, 3)), jnp.ones((4, 2)))
    weights = [
        rule.step(rule.init(model, batch), batch)[0].weights
        for rule in (pxl.pc(optax.sgd(0.1), h, 1, start=pxl.Zeros()) for h in (Halfway(), optax.sgd(0.5)))
    ]
    assert furthest(*weights) < 1e-6
    with pytest.raises(ValueError, match="Halfway moves all nodes together: Sweeps can't be used"):
        pxl.pc(optax.sgd(0.1), Halfway(), 1, schedule=pxi.Sweeps())


def test_what_a_flow_does_not_have_is_refused(field):
    landscape, h = field
    with pytest.raises(ValueError, match="number of steps"):
        pxi.relax(landscape, h, descent=pxi.Flow(1.0), stop=pxi.GradientNorm(5))
    with pytest.raises(ValueError, match="moves all nodes"):
        pxi.relax(landscape, h, descent=pxi.Flow(1.0), stop=5, schedule=pxi.Sweeps())
    with pytest.raises(ValueError, match="trace"):
        pxi.relax(landscape, h, descent=pxi.Flow(1.0), stop=5, trace=True)
    with pytest.raises(ValueError, match="time"):
        pxi.Flow(0.0)
    with pytest.raises(ValueError, match="integrates"):
        pxl.ipc(optax.sgd(0.1), pxi.Flow(1.0), 5)  # pyright: ignore[reportArgumentType]
