"""The regime meter: known cases get the right verdict."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx.analysis as pxa
import pcx.inference as pxi
import pcx.learning as pxl
import pcx.models as pxm
from pcx.analysis._record import stacked

from .conftest import enable_x64
from .nets import Pair, W, linear, net
from .networks import eigenvalues, landscape
from .records import record

LIKE = {
    "zil": pxl.zil(W),
    "fpa": pxl.fpa(W, optax.sgd(1.0), 3),
    "fpa, slowly": pxl.fpa(optax.adam(1e-2), optax.sgd(0.5), 60),
    "epc": pxl.epc(W, optax.sgd(1e-3), 5),
}


def two_of(rule, sizes, **options):
    """The states of two seeds at once."""
    made = [net(sizes, seed=s, **options) for s in (0, 1)]
    return pxl.stack([rule.init(model, batch) for model, batch in made])


@pytest.mark.hasty
@pytest.mark.parametrize("name", LIKE)
def test_what_is_backpropagation_is_said_to_be_like_it(name):
    rule, (model, batch) = LIKE[name], net([4, 6, 6, 3])
    given = model if name == "fpa, slowly" else two_of(rule, [4, 6, 6, 3])
    found = pxa.regime(rule, given, batch)
    assert set(found.verdicts) == {"backprop-like"}, found
    for one, off in zip(found.unstack(), (1.5e-4, 2e-3), strict=False):
        assert min(one.cosine.values()) > (1 - 1e-6 if name != "epc" else 1 - off)
        if name != "epc":
            np.testing.assert_allclose(list(one.norm_ratio.values()), 1.0, rtol=1e-4)
            np.testing.assert_allclose(one.alignment, one.backprop_alignment, rtol=1e-4)


@pytest.mark.hasty
def test_numbers_agree_with_those_made_by_hand():
    with enable_x64(True):
        model, batch = net([4, 6, 3], dtype=jnp.float64)
        rule = pxl.pc(W, optax.sgd(0.1), 7)
        state = rule.init(model, batch)
        found = pxa.regime(rule, state, batch)
        _, info = jax.jit(rule.step)(state, batch)
        assert list(found.energy) == ["vodes[0]", "vodes[1]"]
        for node, energy in info.energies.items():
            np.testing.assert_allclose(found.energy[node], energy, rtol=1e-9)
        np.testing.assert_allclose(sum(found.share.values()), 1.0)

        bound = pxl.bind(model, batch)
        h, u, targets = jax.jit(lambda: (lambda f: (dict(f.h), dict(f.u), f.targets))(bound.start()))()
        landscape = bound.landscape(targets)
        nodes = h
        grad = jax.jit(landscape.gradient(nodes))
        first = jnp.linalg.norm(grad(nodes)["vodes[0]"])
        for _ in range(7):
            nodes = {n: v - 0.1 * grad(nodes)[n] for n, v in nodes.items()}
        last = jnp.linalg.norm(grad(nodes)["vodes[0]"])
        np.testing.assert_allclose(found.moving["vodes[0]"], last / first, rtol=1e-9)
        pull = jnp.linalg.norm(nodes["vodes[0]"] - u["vodes[0]"])
        np.testing.assert_allclose(found.rest["vodes[0]"], last / pull, rtol=1e-9)
        assert found.arrival["vodes[0]"] == 0
        assert found.step == 0.1

        own = jax.jit(lambda: landscape.weight_gradient(nodes).gradient)()
        back = jax.grad(lambda w: jnp.mean(bound.at(w).output_energy(bound.at(w).start().u, targets)))
        other = jax.jit(back)(bound.weights)
        for path, g in own.items():
            a, b = np.ravel(g), np.ravel(other[path])
            np.testing.assert_allclose(found.cosine[path], a @ b / np.linalg.norm(a) / np.linalg.norm(b), rtol=1e-9)
            np.testing.assert_allclose(found.norm_ratio[path], np.linalg.norm(a) / np.linalg.norm(b), rtol=1e-9)
        both = [np.concatenate([np.ravel(g[f"layers[0].nn.{w}"]) for w in ("weight", "bias")]) for g in (own, other)]
        cosine = both[0] @ both[1] / np.linalg.norm(both[0]) / np.linalg.norm(both[1])
        np.testing.assert_allclose(found.module_cosine["layers[0]"], cosine, rtol=1e-9)

        out = jax.jit(lambda w: bound.at(w).start().u["vodes[1]"])
        for gradient, said in ((own, found.alignment), (other, found.backprop_alignment)):
            step = {p: -1e-6 * g for p, g in gradient.items()}
            moved = np.ravel(out({p: w + step[p] for p, w in bound.weights.items()}) - out(bound.weights))
            error = np.ravel(batch[1] - out(bound.weights))
            by_hand = moved @ error / np.linalg.norm(moved) / np.linalg.norm(error)
            np.testing.assert_allclose(said, by_hand, rtol=1e-5)


@pytest.mark.hasty
def test_a_linear_network_at_rest_is_at_equilibrium():
    with enable_x64(True):
        model, batch = net([4, 6, 6, 3], act=linear, dtype=jnp.float64)
        rule = pxl.pc(W, optax.sgd(0.2), pxi.GradientNorm(20000, 1e-10))
        both = pxa.regime(rule, two_of(rule, [4, 6, 6, 3], act=linear, dtype=jnp.float64), batch)
        assert both.verdict == ("equilibrium",) * 2, both
        for found in both.unstack():
            assert max(found.rest.values()) < 1e-8
            assert found.curvature[0] > found.curvature[1] > 0
            np.testing.assert_array_less(found.curvature_error, 1e-4 * found.curvature)
            np.testing.assert_allclose(found.stable_step, 2 / found.curvature[0], rtol=1e-12)
        found, space = both.unstack()[0], landscape(pxl.bind(model, batch))
        np.testing.assert_allclose(found.curvature, eigenvalues(space, space.start())[[-1, 0]], rtol=1e-4)
        above = pxa.regime(pxl.pc(W, optax.sgd(1.02 * float(found.stable_step)), 4), model, batch)
        assert above.verdict == "diverging", above
        assert "above the largest stable one" in str(above)


@pytest.mark.hasty
def test_a_latent_without_an_error_of_its_own_comes_to_rest():
    with enable_x64(True):
        batch = (None, jax.random.normal(jax.random.key(0), (5, 6), jnp.float64))
        model = pxm.Decoder([2, 4, 6], act=linear)
        alone = pxa.regime(pxl.pc(W, optax.sgd(0.05), 5), pxm.Decoder([2, 6]), batch, curvature=False)
        assert alone.verdict == "transient"
        np.testing.assert_allclose(alone.rest["latent"], alone.moving["latent"], rtol=1e-12)  # it only falls
        assert 0.01 < alone.rest["latent"] < 1
        assert f"at latent the gradient is {alone.rest['latent']:.2g} times the largest that it was" in alone.why
        still = pxa.regime(pxl.pc(W, optax.sgd(0.2), pxi.GradientNorm(20000, 1e-10)), model, batch, curvature=False)
        assert still.verdict == "equilibrium", still
        assert still.rest["latent"] < 1e-8


@pytest.mark.hasty
def test_values_run_away_just_above_the_largest_stable_step():
    model, batch = net([4, 6, 6, 3], act=linear)

    def rule(rate):
        return pxl.pc(W, optax.sgd(rate, momentum=0.8), 300)

    bound = float(pxa.regime(rule(0.01), model, batch).stable_step)
    verdicts = [pxa.regime(rule(factor * bound), model, batch, curvature=False).verdict for factor in (0.95, 1.05)]
    assert verdicts == ["equilibrium", "diverging"]


@pytest.mark.hasty
def test_a_deep_network_in_few_steps_is_transient():
    sizes, rule = [4, *[6] * 9, 3], pxl.pc(W, optax.sgd(0.1), 10)
    both = pxa.regime(rule, two_of(rule, sizes), net(sizes)[1])
    assert both.verdict == ("transient",) * 2, both
    for found in both.unstack():
        energies = list(found.energy.values())
        assert energies[1] < 1e-8 * energies[-1]
        assert [int(a) for a in found.arrival.values()][1:] == [7, 6, 5, 4, 3, 2, 1, 0]


@pytest.mark.hasty
def test_a_step_that_is_too_large_diverges():
    model, batch = net([4, 6, 6, 3])
    found = pxa.regime(pxl.pc(W, optax.sgd(1.2), 20), model, batch, curvature=False)
    assert found.verdict == "diverging"
    assert "rate of the values" in str(found)
    assert json.loads(json.dumps(found.to_dict()))["verdict"] == "diverging"


def test_a_curvature_that_was_not_found_well_is_said_to_be_off():
    one = dataclasses.replace(record({"a": 1.0}), curvature=np.array([4.0, 0.2]), stable_step=np.array(0.5))
    fine, off = (dataclasses.replace(one, curvature_error=np.array(e)) for e in ([4e-4, 1e-6], [1e-4, 8e-4]))
    assert "not found" not in str(fine)
    assert "largest stable step 0.5; the smallest curvature is not found to 0.0001, and may be off by 0.0008" in str(
        off
    )
    assert off.to_dict()["curvature_error"] == [1e-4, 8e-4]
    assert "the smallest curvature is not found to 0.0001 in 1 of 2 networks" in str(stacked([fine, off]))


class Contrastive(pxl.Rule):
    def learn(self, bound, forward, memory):
        landscape = bound.landscape(forward.targets, forward=forward)
        found = pxi.relax(landscape, landscape.start(), descent=optax.sgd(0.1), stop=30)
        end = landscape.weight_gradient(found.nodes)
        return pxl.Update(end.gradient, end.energies, steps=found.steps)


@pytest.mark.hasty
def test_rules_without_a_word_on_settling_are_judged_by_their_update():
    model, batch = net([4, 6, 6, 3])
    found = pxa.regime(Contrastive(W), model, batch)
    assert found.verdict == "unknown"
    assert "doesn't say how its values settle" in str(found)
    said = pxa.regime(pxl.pc(W, optax.sgd(0.1), 30), model, batch)
    np.testing.assert_allclose(list(found.cosine.values()), list(said.cosine.values()), rtol=1e-4)
    with pytest.raises(ValueError, match=r"trace: Contrastive doesn't say"):
        pxa.trace(Contrastive(W), model, batch)
    with pytest.raises(TypeError, match=r"regime: the rule must be a pcx.learning.Rule"):
        pxa.regime(object(), model, batch)  # pyright: ignore[reportArgumentType]


@pytest.mark.hasty
@pytest.mark.parametrize("form", ["apart", "looped"])
def test_several_networks_at_once(form):
    rule = pxl.pc(W, optax.sgd(0.1), pxi.Plateau(30, 1e-2), equal_layers=form)
    batch = net([4, 4, 4, 4, 3])[1]
    states = [rule.init(net([4, 4, 4, 4, 3], seed=s)[0], batch) for s in (0, 1, 2)]
    bends = form == "apart"
    found = pxa.regime(rule, pxl.stack(states), batch, curvature=bends)
    assert len(found.verdicts) == 3
    for one, state in zip(found.unstack(), states, strict=True):
        alone = pxa.regime(rule, state, batch, curvature=bends)
        assert one.verdict == alone.verdict
        np.testing.assert_allclose(one.stable_step, alone.stable_step, rtol=1e-2)
        for name in ("energy", "cosine", "rest"):
            for n, value in getattr(alone, name).items():
                np.testing.assert_allclose(getattr(one, name)[n], value, rtol=1e-3, atol=1e-6)
    assert "3 networks" in str(found)
    if bends:
        return
    (traced,) = pxa.trace(rule, pxl.stack(states), batch)
    (alone,) = pxa.trace(rule, states[1], batch)
    np.testing.assert_allclose(traced.energies["vodes[0]"][1], alone.energies["vodes[0]"], rtol=1e-3, atol=1e-7)
    assert traced.steps.shape == (3, 16)


@pytest.mark.hasty
def test_nodes_come_in_the_order_of_the_network_and_not_of_the_alphabet():
    model = pxm.MLP([2] * 13, act=jnp.tanh)
    batch = (jnp.ones((3, 2)), jnp.zeros((3, 2)))
    rule = pxl.pc(W, optax.sgd(0.1), T=11)
    names = [f"vodes[{i}]" for i in range(12)]
    (trace,) = pxa.trace(rule, model, batch)
    assert list(trace.energies) == names
    assert list(trace.gradients) == names[:-1]
    found = pxa.regime(rule, model, batch, curvature=False)
    assert list(found.moving) == list(found.rest) == list(found.arrival) == names[:-1]


H = optax.sgd(0.1)
OTHERS = {
    "bpc": pxl.bpc(W, H, 4),
    "hybrid": pxl.hybrid(W, H, 4),
    "mcpc": pxl.mcpc(W, 0.1, 4, burn_in=1),
    "ipc": pxl.ipc(W, H, 4),
    "hil": pxl.hil(W, H, 4),
    "nudged": pxl.nudged(W, H, 4, 0.1, centred=True),
    "precision": pxl.pc(optax.adam(1e-2), H, 4, precision=pxl.LearnedPrecision(H)),
}


@pytest.mark.hasty
@pytest.mark.parametrize("name", OTHERS)
def test_other_rules_are_measured_too(name):
    rule = OTHERS[name]
    model, batch = net(
        [3, 4, 4, 2], kind=lambda sizes, act: Pair() if name in ("bpc", "hybrid") else pxm.MLP(sizes, act)
    )
    found = pxa.regime(rule, model, batch, curvature=name == "hybrid")
    assert set(found.cosine) == set(rule.init(model, batch).weights)
    assert found.verdict in ("transient", "backprop-like"), found
    assert np.isfinite(found.alignment)
    if name in ("bpc", "hybrid"):  # backpropagation goes through the network that predicts
        assert all(np.isnan(c) for path, c in found.cosine.items() if path.startswith("generative"))
        assert all(np.isfinite(c) for path, c in found.cosine.items() if path.startswith("recognition"))


@pytest.mark.parametrize(
    ("thresholds", "said"),
    [
        ({"cosine": float("nan")}, "cosine must be one number from -1 to 1"),
        ({"cosine": -5}, "cosine must be one number from -1 to 1"),
        ({"spread": 0.5}, "spread must be one number of 1 or more"),
        ({"rest": "x"}, "rest must be a number"),
        ({"rise": [1.0, 2.0]}, "rise must be one number of 0 or more"),
    ],
)
def test_thresholds_that_none_could_be_judged_by_are_refused(thresholds, said):
    with pytest.raises((TypeError, ValueError), match=f"^Thresholds: {said}"):
        pxa.Thresholds(**thresholds)


def test_what_are_no_thresholds_is_refused():
    model, batch = net([4, 3, 3])
    with pytest.raises(TypeError, match=r"^regime: thresholds must be a pxa\.Thresholds"):
        pxa.regime(pxl.backprop(W), model, batch, thresholds={"cosine": 0.9})  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match=r"^Meter: thresholds must be a pxa\.Thresholds"):
        pxa.Meter(thresholds=3)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "options",
    [{"every": 0}, {"every": 2.5}, {"every": [5]}, {"every": True}, {"health": "no"}, {"curvature": 1}],
)
def test_what_is_no_meter_is_refused(options):
    with pytest.raises((TypeError, ValueError), match=r"^Meter: (every|health|curvature) must be"):
        pxa.Meter(**options)
