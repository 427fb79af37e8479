"""What goes into a state is tested like the weights, and a chain is one through its burn-in."""

import dataclasses
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
import pcx.nn as pxnn

from .problems import jit

H = optax.sgd(0.1)
RULES = {
    "pc": lambda w: pxl.pc(w, H, 2),
    "zil": lambda w: pxl.zil(w),
    "epc": lambda w: pxl.epc(w, H, 2),
    "hil": lambda w: pxl.hil(w),
    "backprop": lambda w: pxl.backprop(w),
}


def small():
    px.RKG.seed(0)
    r = np.random.default_rng(0)
    x, y = r.normal(size=(6, 3)), r.normal(size=(6, 2))
    return pxm.MLP([3, 4, 2], act=jnp.tanh), (jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32))


def remembering(bad):
    """Sums of gradients and how often it was called; at the second call the sums are spoilt, not the weights. Its
    best value so far begins at infinity."""

    def init(params):
        return {"sums": jax.tree.map(jnp.zeros_like, params), "calls": jnp.int32(0), "best": jnp.float32(jnp.inf)}

    def update(updates, state, params=None):
        spoilt = jnp.where(state["calls"] == 1, jnp.asarray(bad, jnp.float32), 0.0)
        sums = jax.tree.map(lambda s, g: s + g + spoilt.astype(g.dtype), state["sums"], updates)
        new = {"sums": sums, "calls": state["calls"] + 1, "best": state["best"]}
        return jax.tree.map(lambda g: -0.01 * g, updates), new

    return optax.GradientTransformation(init, update)


@pytest.mark.parametrize("name", RULES)
def test_an_optimiser_that_would_go_bad_stays_as_it_was(name):
    model, batch = small()
    rule = RULES[name](remembering(np.nan))
    state = rule.init(model, batch)
    step = jit(rule.step)
    if name == "hil":  # whose optimisers are called twice a batch
        after, info = step(state, batch)
    else:
        state, info = step(state, batch)
        assert int(info.result) == pxl.OUTCOME.ok
        after, info = step(state, batch)
    assert int(info.result) == pxl.OUTCOME.not_finite
    assert "what the optimiser of the weights remembers" in (pxl.explain(info, after) or "")
    for a, b in zip(jax.tree.leaves(after.optim), jax.tree.leaves(state.optim), strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("large", [0, 5, 2**17])
def test_the_old_state_is_kept_whatever_the_size_of_its_arrays(large, monkeypatch):
    monkeypatch.setattr("pcx.learning._guards._LARGE", large)
    model, (x, y) = small()
    rule = pxl.backprop(optax.adam(0.1))
    state, step = rule.init(model, (x, y)), jax.jit(rule.step)
    state, info = step(state, (x, y))
    assert int(info.result) == pxl.OUTCOME.ok
    after, info = step(state, (x.at[0, 0].set(np.nan), y))
    assert int(info.result) == pxl.OUTCOME.not_finite
    for a, b in zip(jax.tree.leaves(after), jax.tree.leaves(state), strict=True):
        assert np.array_equal(a, b)


class _Running(pxm.MLP):
    """Keeps a running mean of its inputs."""

    def __init__(self):
        super().__init__([3, 4, 2], act=jnp.tanh)
        self.mean = pxnn.StateParam(jnp.array([0.0, jnp.inf, 0.0]))

    def __call__(self, x):  # pyright: ignore[reportIncompatibleMethodOverride]
        self.mean.set(0.9 * self.mean.get() + 0.1 * jax.lax.pmean(x / jnp.where(x == 7.0, 0.0, 1.0), "batch"))
        return super().__call__(jnp.minimum(x, 1.0))


@pytest.mark.hasty
def test_a_running_statistic_that_would_go_bad_stays_as_it_was():
    _, (x, y) = small()
    rule = pxl.backprop(optax.sgd(0.1))
    state, step = rule.init(_Running(), (x, y)), jit(rule.step)
    state, info = step(state, (x, y))
    assert int(info.result) == pxl.OUTCOME.ok
    after, info = step(state, (x.at[0, 2].set(7.0), y))
    assert int(info.result) == pxl.OUTCOME.not_finite
    assert "a running statistic" in (pxl.explain(info, after) or "")
    assert np.array_equal(after.rest["mean"], state.rest["mean"])


def test_a_sample_without_a_number_spoils_no_sums_of_gradients():
    model, (x, y) = small()
    rule = pxl.pc(cast(Any, optax.MultiSteps(optax.sgd(0.1), 4)), H, 2)
    state, step = rule.init(model, (x, y)), jit(rule.step)
    results = []
    for i in range(6):
        state, info = step(state, (x.at[0, 0].set(jnp.inf) if i == 1 else x, y))
        results.append(int(info.result))
    assert results == [0, 1, 0, 0, 0, 0]


@pytest.mark.parametrize("log", [100.0, -200.0, np.nan])
def test_a_precision_that_leaves_the_range_stays_as_it_was(log):
    @dataclasses.dataclass(frozen=True)
    class Leaping(pxl.Precision):
        def init(self, problem):
            return {"log": jnp.float32(0.0)}

        def values(self, problem, memory):
            return {n: jnp.exp(memory["log"]) for n in problem.free}

        def learn(self, problem, memory, energies):
            return {"log": jnp.float32(log)}

    model, batch = small()
    rule = pxl.pc(optax.sgd(0.1), H, 2, precision=Leaping())
    state = rule.init(model, batch)
    after, info = jit(rule.step)(state, batch)
    assert int(info.result) == pxl.OUTCOME.not_finite
    assert "a precision that learns" in (pxl.explain(info, after) or "")
    assert float(after.memory["log"]) == 0.0


@pytest.mark.parametrize("per", ["node", "feature"])
def test_a_precision_at_its_bound_lets_the_weights_learn(per):
    # A node that never has an error, so that its precision grows at every step.
    model, batch = pxm.MLP([3, 4, 4, 2], act=jnp.tanh), small()[1]
    precision = pxl.LearnedPrecision(optax.sgd(50.0), per=per, nodes=("vodes[0]",), bounds=(1e-3, 1e3))
    rule = pxl.pc(optax.sgd(0.1), H, 1, precision=precision)
    with pytest.warns(UserWarning, match="too small"):
        state, step = rule.init(model, batch), jit(rule.step)
    losses = []
    for _ in range(4):
        state, info = step(state, batch)
        assert int(info.result) == pxl.OUTCOME.ok
        losses.append(float(info.loss))
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]
    assert np.allclose(jnp.exp(state.memory["log_precision"]["vodes[0]"]), 1e3, rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"bounds": 1e6}, TypeError, "bounds must be a pair"),
        ({"bounds": (0.0, 1.0)}, ValueError, "bounds must be above 0"),
        ({"bounds": (2.0, 3.0)}, ValueError, "initial=1.0 is not within bounds"),
    ],
)
def test_bounds_of_a_precision(options, error, said):
    with pytest.raises(error, match=said):
        pxl.LearnedPrecision(H, **options)


@pytest.mark.hasty
def test_a_precision_that_learns_much_too_fast_never_leaves_the_range():
    model, batch = small()
    rule = pxl.pc(optax.adam(1e-3), H, 8, precision=pxl.LearnedPrecision(optax.sgd(1.0)))
    state = rule.init(model, batch)

    def body(state, _):
        state, info = rule.step(state, batch)
        return state, (info.result, state.memory["log_precision"])

    state, (_, logs) = jit(lambda s: jax.lax.scan(body, s, length=120))(state)
    assert all(bool(jnp.all(jnp.isfinite(jnp.exp(v)) & (jnp.exp(v) > 0))) for v in logs.values())


@pytest.mark.parametrize(
    "make",
    [
        lambda burn: pxl.mcpc(optax.sgd(0.0), 0.05, 6, burn_in=burn, variance=0.0, momentum=0.9),
        lambda burn: pxl.mcpc(optax.sgd(0.0), 0.05, 6, burn_in=burn, momentum=0.9),
        lambda burn: pxl.mcpc(optax.sgd(0.0), optax.adam(0.05), 6, burn_in=burn),
        lambda burn: pxl.mcpc(optax.sgd(0.0), optax.sgd(optax.exponential_decay(0.2, 1, 0.7)), 6, burn_in=burn),
    ],
)
@pytest.mark.hasty
def test_a_burn_in_only_says_from_where_gradients_are_taken(make):
    model, batch = small()
    energies = [float(jit(make(b).step)(make(b).init(model, batch), batch)[1].energy) for b in (0, 2, 5)]
    assert energies[1:] == pytest.approx([energies[0]] * 2, rel=1e-6)


@pytest.mark.hasty
def test_steps_in_which_nothing_moves_are_samples_of_the_chain():
    model, batch = small()
    bound = pxl.bind(model, batch)
    start = bound.start()
    landscape = bound.landscape(start.targets)
    layers = pxi.LayerTime()
    # One hidden node moves at the first step, and stays for the four after it.
    for n, seen in ((0, 5), (3, 2)):
        solution = pxi.relax(
            landscape, start.h, descent=H, stop=5, schedule=layers, trace=True, observe=lambda h: h, unobserved=n
        )
        assert solution.trace is not None
        assert np.allclose(solution.observed["vodes[0]"], seen * solution.nodes["vodes[0]"], rtol=1e-6)
        assert all(e.shape == (6, 6) for e in solution.trace.values())
    w = optax.sgd(0.1)
    with pytest.raises(ValueError, match=r"mcpc needs steps, but Flow integrates a flow"):
        pxl.mcpc(w, pxi.Flow(1.0), 5, burn_in=3)  # pyright: ignore[reportArgumentType]
    chain = pxl.mcpc(w, H, 5, schedule=layers, burn_in=3)
    state = chain.init(model, batch)
    a, b = (jit(r.step)(state, batch)[0].weights for r in (chain, pxl.pc(w, H, 5, schedule=layers)))
    for path, value in a.items():
        assert np.allclose(value, b[path], atol=1e-6), path


def test_what_is_not_observed_is_left_out_of_the_sum():
    model, batch = small()
    bound = pxl.bind(model, batch)
    start = bound.start()
    landscape = bound.landscape(start.targets)
    sums = [
        pxi.relax(landscape, start.h, descent=H, stop=5, observe=lambda nodes: nodes, unobserved=n).observed["vodes[0]"]
        for n in (0, 2)
    ]
    first = pxi.relax(landscape, start.h, descent=H, stop=2, observe=lambda nodes: nodes).observed["vodes[0]"]
    assert np.allclose(sums[0] - sums[1], first, atol=1e-5)
