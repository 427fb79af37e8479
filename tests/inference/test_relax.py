"""Settling: stops, schedules, traces, results, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx as px
import pcx.energy as pxe
import pcx.inference as pxi
import pcx.learning as pxl
import pcx.models as pxm


@pytest.fixture(scope="module")
def posed():
    """A small network with a batch, as pure functions; one sample is an equilibrium already."""
    px.RKG.seed(0)
    model = pxm.MLP([3, 4, 5, 2], jnp.tanh)
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(6, 3)), jnp.float32)
    y = jnp.asarray(rng.normal(size=(6, 2)), jnp.float32)
    y = y.at[0].set(pxl.bind(model, (x, y)).start().u["vodes[2]"][0])
    return pxl.bind(model, (x, y))


def landscape(posed):
    start = posed.start()
    return posed.landscape(start.targets), start.h


def plain(field, rate):
    """Plain descent, as a function of start and number of steps."""
    grad = jax.grad(field.total)

    @jax.jit
    def descend(h, steps):
        def step(_, h):
            g = grad(h)
            return {n: v - rate * g[n] for n, v in h.items()}

        return jax.lax.fori_loop(0, steps, step, h)

    return descend


def by_hand(field, h, steps, rate):
    return plain(field, rate)(h, steps)


def test_a_fixed_number_of_steps_is_plain_descent(posed):
    field, h = landscape(posed)
    expected = by_hand(field, h, 7, 0.1)
    for schedule in (pxi.AllNodes(), pxi.WaveFront()):
        got = pxi.relax(field, h, descent=optax.sgd(0.1), stop=7, schedule=schedule)
        for n in h:
            np.testing.assert_allclose(got.nodes[n], expected[n], atol=1e-6)
        assert got.steps.tolist() == [7] * 6
        assert got.result.tolist() == [pxi.RESULT.settled] * 6
        assert int(got.first_bad) == -1
        assert got.trace is None


def test_no_steps_move_nothing(posed):
    field, h = landscape(posed)
    got = pxi.relax(field, h, descent=optax.sgd(0.1), stop=0)
    assert all(jnp.array_equal(got.nodes[n], h[n]) for n in h)
    assert got.steps.tolist() == [0] * 6


def test_the_trace_holds_every_energy(posed):
    field, h = landscape(posed)
    got = pxi.relax(field, h, descent=optax.sgd(0.1), stop=5, trace=True)
    assert got.trace is not None
    assert {n: e.shape for n, e in got.trace.items()} == dict.fromkeys(["vodes[0]", "vodes[1]", "vodes[2]"], (6, 6))
    descend = plain(field, 0.1)
    for t in range(6):
        at = field.energies(descend(h, t))
        for n, e in at.items():
            np.testing.assert_allclose(got.trace[n][t], e, atol=1e-6)
    # The wave: the first layer's energy is zero until the error has come to it.
    assert jnp.all(got.trace["vodes[0]"][:2] == 0)
    assert jnp.any(got.trace["vodes[0]"][2] > 0)


@pytest.mark.parametrize("stop", [pxi.GradientNorm(500, 1e-3), pxi.Plateau(500, 1e-5, 1e-7)], ids=["norm", "plateau"])
def test_each_sample_stops_by_itself(posed, stop):
    field, h = landscape(posed)
    got = jax.jit(lambda h: pxi.relax(field, h, descent=optax.sgd(0.1), stop=stop))(h)
    assert got.result.tolist() == [pxi.RESULT.settled] * 6
    assert got.steps[0] <= 1  # an equilibrium from the start
    assert len(set(got.steps.tolist())) > 2
    # Each sample ends where plain descent is after as many steps as it took.
    descend = plain(field, 0.1)
    for i, steps in enumerate(got.steps.tolist()):
        expected = descend(h, steps)
        for n in h:
            np.testing.assert_allclose(got.nodes[n][i], expected[n][i], atol=1e-5)


def test_the_gradient_norm_is_that_of_the_step(posed):
    field, h = landscape(posed)
    got = pxi.relax(field, h, descent=optax.sgd(0.1), stop=pxi.GradientNorm(500, 1e-3))
    gradient = jax.grad(field.total)(got.nodes)
    norms = jnp.sqrt(sum(jnp.sum(g**2, axis=1) for g in gradient.values()))
    assert jnp.all(norms <= 1.001e-3)
    before = pxi.relax(field, h, descent=optax.sgd(0.1), stop=pxi.GradientNorm(int(got.steps[1]) - 1, 1e-3))
    assert before.result[1] == pxi.RESULT.out_of_steps


def test_running_out_of_steps_is_told(posed):
    field, h = landscape(posed)
    got = pxi.relax(field, h, descent=optax.sgd(0.1), stop=pxi.GradientNorm(3, 1e-6))
    assert got.result.tolist() == [pxi.RESULT.settled] + [pxi.RESULT.out_of_steps] * 5
    assert got.steps.tolist() == [0] + [3] * 5


@pytest.mark.parametrize("stop", [40, pxi.GradientNorm(40, 1e-9)], ids=["fixed", "early"])
def test_divergence_names_node_and_step(posed, stop):
    field, h = landscape(posed)
    got = pxi.relax(field, h, descent=optax.sgd(1e9), stop=stop)
    assert pxi.RESULT.not_finite in got.result.tolist()
    where = pxi.where_bad(got.first_bad, field.names)
    assert where is not None
    name, step = where
    assert name in field.free
    assert 1 <= step <= 40
    finite = pxi.relax(field, h, descent=optax.sgd(1e9), stop=step - 1, schedule=pxi.AllNodes())
    assert all(bool(jnp.all(jnp.isfinite(v))) for v in finite.nodes.values())


@pytest.mark.parametrize("T", [1, 2, 3, 12])
def test_divergence_is_found_where_it_is_however_many_values_are_held(posed, T, monkeypatch):
    field, h = landscape(posed)
    found = []
    for room in (2**20, 2 * sum(v.size for v in h.values()), 0):
        monkeypatch.setattr("pcx.inference._look_back._ROOM", room)
        got = pxi.relax(field, h, descent=optax.sgd(1e20), stop=T)
        found.append((int(got.first_bad), pxi.where_bad(got.first_bad, field.names)))
    assert found[0] == found[1] == found[2]
    bad = {n: jnp.nan if n == list(h)[-1] else 0.0 for n in h}  # at the start already
    got = pxi.relax(field, {n: v + bad[n] for n, v in h.items()}, descent=optax.sgd(0.1), stop=T)
    assert pxi.where_bad(got.first_bad, field.names) == (list(h)[-1], 0)


def test_each_sample_is_judged_by_what_its_landscape_descends_on(posed):
    """Errors with fixed predictions descend on no energy, and samples in which they run away are told all the same."""
    field = pxe.OverFixedErrors(posed, posed.start().targets)
    near = pxi.relax(field, field.start(), descent=optax.sgd(0.5), stop=8)
    far = pxi.relax(field, field.start(), descent=optax.sgd(2.5), stop=8)
    assert near.result.tolist() == [pxi.RESULT.settled] * 6
    assert far.result.tolist() == [pxi.RESULT.settled] + [pxi.RESULT.diverged] * 5
    whole = field.went_uphill(far.nodes, field.energies(field.start()), field.energies(far.nodes), 0.0)
    assert whole.shape == ()
    assert whole


@pytest.mark.parametrize("direction", ["down", "up"])
def test_sweeps_use_the_newest_values(posed, direction):
    field, h = landscape(posed)
    order = ["vodes[1]", "vodes[0]"] if direction == "down" else ["vodes[0]", "vodes[1]"]
    expected = dict(h)
    for _ in range(3):
        for n in order:
            expected[n] = expected[n] - 0.1 * jax.grad(field.total)(expected)[n]
    got = pxi.relax(field, h, descent=optax.sgd(0.1), stop=3, schedule=pxi.Sweeps(direction))
    for n in h:
        np.testing.assert_allclose(got.nodes[n], expected[n], atol=1e-6)


def test_layer_time_moves_one_layer_a_step(posed):
    field, h = landscape(posed)
    once = pxi.relax(field, h, descent=optax.sgd(0.1), stop=1, schedule=pxi.LayerTime())
    assert jnp.array_equal(once.nodes["vodes[0]"], h["vodes[0]"])
    twice = pxi.relax(field, h, descent=optax.sgd(0.1), stop=9, schedule=pxi.LayerTime())
    assert jnp.array_equal(twice.nodes["vodes[1]"], once.nodes["vodes[1]"])
    assert not jnp.array_equal(twice.nodes["vodes[0]"], h["vodes[0]"])


@pytest.mark.parametrize("steps", [1, 2, 6])
@pytest.mark.parametrize(
    "descent",
    [optax.chain(optax.add_decayed_weights(0.1), optax.sgd(0.1)), pxi.Langevin(0.1)],
    ids=["decay", "noise"],
)
def test_the_wave_front_is_not_used_where_zero_gradients_move(posed, descent, steps):
    field, h = landscape(posed)
    key = jax.random.PRNGKey(0)
    a, b = (
        pxi.relax(field, h, descent=descent, stop=steps, schedule=s, key=key) for s in (pxi.WaveFront(), pxi.AllNodes())
    )
    for n in h:
        np.testing.assert_array_equal(a.nodes[n], b.nodes[n])
    assert not jnp.array_equal(a.nodes["vodes[0]"], h["vodes[0]"])


@pytest.mark.hasty
def test_langevin_needs_a_key_and_repeats_itself(posed):
    field, h = landscape(posed)
    with pytest.raises(ValueError, match="key"):
        pxi.relax(field, h, descent=pxi.Langevin(0.1), stop=3)
    runs = [
        pxi.relax(field, h, descent=pxi.Langevin(0.01, momentum=0.5), stop=3, key=jax.random.PRNGKey(k))
        for k in (1, 1, 2)
    ]
    assert jnp.array_equal(runs[0].nodes["vodes[0]"], runs[1].nodes["vodes[0]"])
    assert not jnp.array_equal(runs[0].nodes["vodes[0]"], runs[2].nodes["vodes[0]"])


def test_what_does_not_go_together_is_refused(posed):
    field, h = landscape(posed)
    sgd = optax.sgd(0.1)
    for error, words, options in [
        (TypeError, "optax transformation", {"descent": 0.1, "stop": 3}),
        (ValueError, "whole number", {"descent": sgd, "stop": -1}),
        (ValueError, "LayerTime", {"descent": sgd, "stop": pxi.GradientNorm(3), "schedule": pxi.LayerTime()}),
        (ValueError, "observe", {"descent": sgd, "stop": pxi.GradientNorm(3), "observe": lambda nodes: nodes}),
    ]:
        with pytest.raises(error, match=words):
            pxi.relax(field, h, **options)
    with pytest.raises(ValueError, match=r"vodes\[1\]"):
        pxi.relax(field, {"vodes[0]": h["vodes[0]"]}, descent=sgd, stop=1)
    with pytest.raises(ValueError, match="direction"):
        pxi.Sweeps("sideways")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="momentum"):
        pxi.Langevin(0.1, momentum=1.0)
    with pytest.raises(ValueError, match="step"):
        pxi.Langevin(0.0)


@pytest.mark.hasty
@pytest.mark.parametrize(
    "stop", [pxi.Plateau(400, rtol=1e-3), pxi.GradientNorm(40, tol=0.05), pxi.GradientNorm(3, tol=0)]
)
def test_the_trace_of_an_early_stop(posed, stop):
    field, h = landscape(posed)
    got = pxi.relax(field, h, descent=optax.sgd(0.1), stop=stop, trace=True)
    plain = pxi.relax(field, h, descent=optax.sgd(0.1), stop=stop)
    fixed = pxi.relax(field, h, descent=optax.sgd(0.1), stop=stop.steps, trace=True)
    assert got.trace is not None
    assert fixed.trace is not None
    assert all(jnp.array_equal(got.nodes[n], plain.nodes[n]) for n in h)
    longest = int(got.steps.max())
    assert longest < stop.steps or stop.steps == 3
    for name, energies in got.trace.items():
        assert energies.shape == (stop.steps + 1, 6)
        for sample, steps in enumerate(got.steps.tolist()):
            np.testing.assert_allclose(energies[: steps + 1, sample], fixed.trace[name][: steps + 1, sample], atol=1e-6)
            assert jnp.all(energies[steps : longest + 1, sample] == energies[steps, sample])  # stopped
        assert jnp.all(jnp.isnan(energies[longest + 2 :]))


@pytest.mark.hasty
def test_linear_equilibrium_refuses_what_is_not_linear(posed):
    field, h = landscape(posed)
    with pytest.raises(ValueError, match="not linear"):
        pxi.linear_equilibrium(field, h)
