"""Where values come to rest, and what is learned there: closed forms, limits and their orders."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx.inference as pxi
import pcx.learning as pxl
import pcx.models as pxm
import pcx.nn as pxnn
from pcx.energy import Bound, Problem
from pcx.energy._structure import Structure

from .problems import GRADIENT, LEVELLED, error, gradients, jit, normal, seeded, weights

pytestmark = pytest.mark.usefixtures("double")
WIDTHS = [3, 4, 5, 4, 2]
HIDDEN = WIDTHS[1:-1]
KNOWN = LEVELLED["tanh-se"]


def identity(x):
    return x


def linear(widths: Any = WIDTHS) -> Any:
    return seeded(pxm.MLP, list(widths), identity)


def matrices(model: Any) -> tuple[list[np.ndarray], list[np.ndarray]]:
    w = {p: np.asarray(v) for p, v in weights(model).items()}
    depth = len(model.layers)
    return [w[f"layers[{i}].nn.weight"] for i in range(depth)], [w[f"layers[{i}].nn.bias"] for i in range(depth)]


def normal_equations(ws: Any, bs: Any, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The energy of a linear chain, `sum 1/2 |h_l - W_l h_l-1 - b_l|^2` with ends x and y, as `1/2 h'Ah - h'c` of its
    hidden values, one below the other: A is block-tridiagonal."""
    sizes = [w.shape[0] for w in ws[:-1]]
    edges = [0, *itertools.accumulate(sizes)]
    A, c = np.zeros((edges[-1], edges[-1])), np.zeros((len(x), edges[-1]))
    at = [slice(a, b) for a, b in itertools.pairwise(edges)]
    for i, rows in enumerate(at):
        A[rows, rows] = np.eye(sizes[i]) + ws[i + 1].T @ ws[i + 1]
        c[:, rows] = bs[i] - bs[i + 1] @ ws[i + 1]
        if i:
            A[rows, at[i - 1]] = -ws[i]
            A[at[i - 1], rows] = -ws[i].T
    c[:, at[0]] += x @ ws[0].T
    c[:, at[-1]] += y @ ws[-1]
    return A, c


def equilibrium(model: Any, x: Any, y: Any) -> list[np.ndarray]:
    """The hidden values, `[batch, width]` each."""
    A, c = normal_equations(*matrices(model), np.asarray(x), np.asarray(y))
    return np.split(np.linalg.solve(A, c.T).T, np.cumsum([len(w) for w in matrices(model)[0][:-2]]), axis=1)


def landscape_of(model: Any, x: Any, y: Any) -> tuple[Any, dict[str, Any]]:
    structure = Structure.of(model, pxnn.LayerParam)
    values = structure.values_of(model)
    problem = Problem.of(structure, values, (x, y))
    bound = Bound(problem, values.weights, values.rest, jax.random.PRNGKey(0), x, y)
    start = bound.start()
    return bound.landscape(start.targets), start.h


def learned_at(model: Any, x: Any, h: Any, y: Any) -> dict[str, np.ndarray]:
    """The weight gradient of a linear chain at hidden values h."""
    ws, bs = matrices(model)
    values = [np.asarray(x), *h, np.asarray(y)]
    found = {}
    for i, (w, b) in enumerate(zip(ws, bs, strict=True)):
        e = values[i + 1] - values[i] @ w.T - b
        found[f"layers[{i}].nn.weight"] = -e.T @ values[i] / len(x)
        found[f"layers[{i}].nn.bias"] = -e.mean(0)
    return found


DATA = normal(1, 6, 3), normal(2, 6, 2)


@pytest.mark.hasty
def test_linear_networks_come_to_rest_at_the_closed_form():
    model = linear()
    landscape, start = landscape_of(model, *DATA)
    expected = equilibrium(model, *DATA)
    closed = pxi.linear_equilibrium(landscape, start)
    parts = {
        "fixed": {"descent": optax.sgd(0.3), "stop": 2000},
        "momentum": {"descent": optax.sgd(0.1, momentum=0.8), "stop": 1500},
        "norm": {"descent": optax.sgd(0.3), "stop": pxi.GradientNorm(5000, 1e-10)},
        "sweeps": {"descent": optax.sgd(0.3), "stop": 1000, "schedule": pxi.Sweeps("up")},
    }
    settled = jit(lambda h: {n: pxi.relax(landscape, h, **p) for n, p in parts.items()})(start)
    for name in ("closed", *parts):
        nodes = closed if name == "closed" else settled[name].nodes
        for node, value in zip(landscape.free, expected, strict=True):
            np.testing.assert_allclose(nodes[node], value, atol=1e-8, err_msg=f"{name} {node}")
    assert bool(jnp.all(settled["norm"].result == pxi.RESULT.settled))
    assert 10 < int(jnp.max(settled["norm"].steps)) < 2000
    found = gradients(model, DATA, pc=pxl.pc(GRADIENT, optax.sgd(0.3), 2000))
    assert error(found, learned_at(model, DATA[0], expected, DATA[1])) <= 1e-8


def test_a_network_that_is_not_linear_has_no_closed_form():
    with pytest.raises(ValueError, match="not linear"):
        pxi.linear_equilibrium(*landscape_of(KNOWN.build(), *KNOWN.batch()))


@pytest.mark.hasty
@pytest.mark.parametrize("name", ["tanh-se", "outputs", "skip"])
def test_errors_as_coordinates_have_the_equilibria_of_pc(name):
    from .problems import UNLEVELLED

    known = (LEVELLED | UNLEVELLED)[name]
    rules = {"pc": pxl.pc(GRADIENT, optax.sgd(0.2), 3000), "epc": pxl.epc(GRADIENT, optax.sgd(0.2), 1000)}
    expected, pc, epc = gradients(known.build(), known.batch(), known, **rules)
    assert error(epc, pc) <= 1e-6
    assert error(pc, expected) > 0.05  # which is not backpropagation


def errors_of(make: Any, values: Any, scale: Any = None, model: Any = None, expected: Any = None) -> np.ndarray:
    """Relative errors against backpropagation of the rules `make(v)`."""
    model = KNOWN.build() if model is None else model

    @jit
    def run(values, w):
        def one(v):
            rule = make(v)
            state, info = rule.step(rule.init(model, KNOWN.batch()), KNOWN.batch())
            return jax.tree.map(lambda g: g if scale is None else g / scale(v), state.optim), info.result

        return jax.vmap(one)(values), jax.grad(KNOWN.mean_loss)(w, *KNOWN.batch())

    (found, result), plain = run(jnp.asarray(values), weights(model))
    assert not result.any()
    expected = plain if expected is None else expected
    return np.array([error({p: g[i] for p, g in found.items()}, expected) for i in range(len(values))])


def orders(errors: np.ndarray) -> np.ndarray:
    """Of convergence, when each error belongs to half the parameter of the one before."""
    return np.log2(errors[:-1] / errors[1:])


BETAS = [0.08, 0.04, 0.02, 0.01]


@pytest.mark.parametrize(("centred", "order"), [(False, 1), (True, 2)])
@pytest.mark.hasty
def test_a_nudge_that_follows_tends_to_backpropagation(centred, order):
    found = errors_of(lambda b: pxl.nudged(GRADIENT, optax.sgd(0.2), 600, b, follow=True, centred=centred), BETAS)
    np.testing.assert_allclose(orders(found), order, atol=0.12)
    assert found[-1] < 0.1


def test_a_plain_nudge_tends_to_something_else():
    # The clamp at u - b (u - y) resists: at equilibrium the output's error is b (y - u) times the inverse of
    # I + sum J_l J_l', with J_l the network from layer l on.
    model, (x, y) = linear(), DATA
    rules = {b: pxl.nudged(GRADIENT, optax.sgd(0.3), 2000, b) for b in (0.4, 1e-6)}
    far, near = gradients(model, DATA, **{str(b): r for b, r in rules.items()})
    ws, bs = matrices(model)
    forward = [np.asarray(x)]
    for w, b in zip(ws, bs, strict=True):
        forward.append(forward[-1] @ w.T + b)
    held = forward[-1] - 0.4 * (forward[-1] - np.asarray(y))
    exact = learned_at(model, x, equilibrium(model, x, held), held)
    assert error(far, {p: g / 0.4 for p, g in exact.items()}) <= 1e-8

    jacobians = [np.eye(2)]
    for w in ws[:0:-1]:
        jacobians.insert(0, jacobians[0] @ w)
    resistance = sum(j @ j.T for j in jacobians)
    last = np.linalg.solve(resistance, (np.asarray(y) - forward[-1]).T).T
    limit, backprop = {}, {}
    for i, j in enumerate(jacobians):
        for into, e in ((limit, last @ j), (backprop, (np.asarray(y) - forward[-1]) @ j)):
            into[f"layers[{i}].nn.weight"] = -e.T @ forward[i] / len(x)
            into[f"layers[{i}].nn.bias"] = -e.mean(0)
    assert error(near, limit) <= 1e-5
    assert error(limit, backprop) > 0.1


def test_one_step_of_epc_is_its_size_times_backpropagation():
    # Hidden errors are g times backpropagation's; the output's layer learns from its whole error.
    steps = [0.08, 0.04, 0.02, 0.01]
    model, batch = KNOWN.build(), KNOWN.batch()
    plain = gradients(model, batch, backprop=pxl.backprop(GRADIENT))

    @jit
    def run(steps):
        def one(g):
            rule = pxl.epc(GRADIENT, optax.sgd(g), 1)
            return rule.step(rule.init(model, batch), batch)[0].optim

        return jax.vmap(one)(steps)

    found = run(jnp.asarray(steps))
    hidden, last = (
        np.array([
            error({p: v[i] / (g if inside else 1) for p, v in found.items() if (p[7] != "3") == inside},
                  {p: v for p, v in plain.items() if (p[7] != "3") == inside})
            for i, g in enumerate(steps)
        ])
        for inside in (True, False)
    )  # fmt: skip
    np.testing.assert_allclose(orders(hidden), 1, atol=0.12)
    np.testing.assert_allclose(orders(last), 1, atol=0.12)
    assert hidden[-1] < 0.05


# -- chains ---------------------------------------------------------------------------------------------------------
CHAINS, LENGTH = 6000, 150


def stationary(F: np.ndarray, Q: np.ndarray) -> np.ndarray:
    """The covariance S = F S F' + Q."""
    n = len(F)
    return np.linalg.solve(np.eye(n * n) - np.kron(F, F), Q.ravel()).reshape(n, n)


@pytest.mark.parametrize(("step", "variance", "momentum"), [(0.2, 1.0, 0.0), (0.1, 2.0, 0.6)])
@pytest.mark.hasty
def test_langevin_dynamics_samples_the_posterior(step, variance, momentum):
    model = linear([2, 2, 1, 2])
    x, y = jnp.broadcast_to(jnp.array([0.5, -1.0]), (CHAINS, 2)), jnp.broadcast_to(jnp.array([1.0, 2.0]), (CHAINS, 2))
    landscape, start = landscape_of(model, x, y)
    descent = pxi.Langevin(step, variance, momentum)
    run = jit(lambda h, key: pxi.relax(landscape, h, descent=descent, stop=LENGTH, key=key).nodes)
    nodes = run(start, jax.random.PRNGKey(1))
    h = np.concatenate([np.asarray(nodes[n]) for n in landscape.free], axis=1)
    A, c = normal_equations(*matrices(model), np.asarray(x[:1]), np.asarray(y[:1]))
    mean = np.linalg.solve(A, c[0])
    n, one = len(A), np.eye(len(A))
    if momentum:
        # v' = m v - n A h + noise, h' = h + v': the chain of both is linear too.
        F = np.block([[one - step * A, momentum * one], [-step * A, momentum * one]])
        Q = 2 * step * (1 - momentum) * variance * np.block([[one, one], [one, one]])
        covariance = stationary(F, Q)[:n, :n]
    else:
        # The chain's own: A^-1 is its limit for small steps.
        covariance = variance * np.linalg.inv(A) @ np.linalg.inv(one - step * A / 2)
        assert np.abs(np.linalg.eigvalsh(one - step * A)).max() ** LENGTH < 1e-6  # it has forgotten its start
    spread = np.sqrt(np.diag(covariance) / CHAINS)
    assert np.all(np.abs(h.mean(0) - mean) <= 5 * spread)
    off = np.sqrt((np.outer(np.diag(covariance), np.diag(covariance)) + covariance**2) / CHAINS)
    assert np.all(np.abs(np.cov(h.T) - covariance) <= 5 * off)
    # It tells the right temperature from one that is off by a tenth.
    assert np.any(np.abs(np.cov(h.T) - 1.1 * covariance) > 5 * off) or momentum


@pytest.mark.hasty
def test_monte_carlo_learning_takes_the_mean_over_the_posterior():
    model = linear([2, 2, 1, 2])
    x, y = jnp.broadcast_to(jnp.array([0.5, -1.0]), (CHAINS, 2)), jnp.broadcast_to(jnp.array([1.0, 2.0]), (CHAINS, 2))
    step = 0.2
    found = gradients(model, (x, y), mcpc=pxl.mcpc(GRADIENT, step, LENGTH + 1, burn_in=LENGTH))
    (w1, w2, w3), (b1, b2, b3) = matrices(model)
    A, c = normal_equations(*matrices(model), np.asarray(x[:1]), np.asarray(y[:1]))
    mean = np.linalg.solve(A, c[0])
    covariance = np.linalg.inv(A) @ np.linalg.inv(np.eye(len(A)) - step * A / 2)
    # Expected products of values, from which all gradients are made.
    second = covariance + np.outer(mean, mean)
    m1, m2, s11, s21, s22 = mean[:2], mean[2:], second[:2, :2], second[2:, :2], second[2:, 2:]
    xs, ys = np.asarray(x[0]), np.asarray(y[0])
    expected = {
        "layers[0].nn.weight": -np.outer(m1 - w1 @ xs - b1, xs),
        "layers[0].nn.bias": -(m1 - w1 @ xs - b1),
        "layers[1].nn.weight": -(s21 - w2 @ s11 - np.outer(b2, m1)),
        "layers[1].nn.bias": -(m2 - w2 @ m1 - b2),
        "layers[2].nn.weight": -(np.outer(ys - b3, m2) - w3 @ s22),
        "layers[2].nn.bias": -(ys - w3 @ m2 - b3),
    }
    # The spread of each gradient over samples of the chain's distribution.
    h = np.random.default_rng(0).multivariate_normal(mean, covariance, 100_000)
    first, second_ = h[:, :2], h[:, 2:]
    e = [first - w1 @ xs - b1, second_ - first @ w2.T - b2, ys - second_ @ w3.T - b3]
    above = [np.broadcast_to(xs, first.shape), first, second_]
    for i in range(3):
        spread = {"weight": np.einsum("bi,bj->bij", e[i], above[i]).std(0), "bias": e[i].std(0)}
        for name, s in spread.items():
            path = f"layers[{i}].nn.{name}"
            assert np.all(np.abs(np.asarray(found[path]) - expected[path]) <= 5 * s / np.sqrt(CHAINS)), path
    point = learned_at(model, x[:1], equilibrium(model, x[:1], y[:1]), y[:1])
    assert error(point, expected) > 0.1  # the most probable values teach something else
