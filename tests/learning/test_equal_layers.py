"""Layers that repeat, computed together: the same numbers as each apart, and programs that don't grow with depth."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import random
import re
from typing import Any

import equinox as eqx
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
import pcx.predictive_coding as pxc
from pcx.energy import Problem, Stacks, apart, in_stacks_of
from pcx.learning._stacked_optim import looks_at_paths

L = 6
SGD, SLOW = optax.sgd(0.1), optax.sgd(0.05)

RULES = {
    "pc": lambda how: pxl.pc(SLOW, SGD, L, equal_layers=how),
    "pc, few steps, moments": lambda how: pxl.pc(optax.adam(0.05), optax.adam(0.1), 3, equal_layers=how),
    "pc, momentum": lambda how: pxl.pc(SLOW, optax.sgd(0.1, momentum=0.5), L, equal_layers=how),
    "pc, all nodes": lambda how: pxl.pc(SLOW, SGD, L, schedule=pxi.AllNodes(), equal_layers=how),
    "pc, sweeps": lambda how: pxl.pc(SLOW, SGD, 3, schedule=pxi.Sweeps("down"), equal_layers=how),
    "pc, layer by layer": lambda how: pxl.pc(SLOW, SGD, L, schedule=pxi.LayerTime(), equal_layers=how),
    "pc, plateau": lambda how: pxl.pc(SLOW, SGD, pxi.Plateau(30, rtol=1e-3), equal_layers=how),
    "pc, gradient norm": lambda how: pxl.pc(SLOW, SGD, pxi.GradientNorm(30, tol=0.1), equal_layers=how),
    "pc, from zero": lambda how: pxl.pc(SLOW, SGD, L, start=pxl.Zeros(), equal_layers=how),
    "pc, kept": lambda how: pxl.pc(SLOW, SGD, L, start=pxl.Kept(), equal_layers=how),
    "pc, precision": lambda how: pxl.pc(SLOW, SGD, L, precision=2.0, equal_layers=how),
    "pc, precisions by node": lambda how: pxl.pc(
        SLOW, SGD, L, precision={"vodes[1]": 2.0, "vodes[2]": 3.0}, equal_layers=how
    ),
    "pc, learned precision": lambda how: pxl.pc(
        SLOW, SGD, L, precision=pxl.LearnedPrecision(optax.sgd(0.01)), equal_layers=how
    ),
    "pc, decay of values": lambda how: pxl.pc(
        optax.adamw(0.05), optax.chain(optax.add_decayed_weights(0.01), SGD), L, equal_layers=how
    ),
    "pc, norms": lambda how: pxl.pc(
        optax.lamb(0.05), optax.chain(optax.normalize_by_update_norm(), SGD), L, equal_layers=how
    ),
    "pc, a global norm": lambda how: pxl.pc(
        optax.chain(optax.clip_by_global_norm(0.1), SLOW), SGD, L, equal_layers=how
    ),
    "ipc": lambda how: pxl.ipc(optax.adam(0.01), optax.sgd(0.1, momentum=0.3), L, equal_layers=how),
    "nudged": lambda how: pxl.nudged(SLOW, SGD, L, 0.1, centred=True, equal_layers=how),
    "mcpc": lambda how: pxl.mcpc(SLOW, 0.01, 12, burn_in=4, equal_layers=how),
    "zil": lambda how: pxl.zil(SLOW, equal_layers=how),
    "zil, a step of 1/2": lambda how: pxl.zil(SLOW, optax.sgd(0.5), precision=2.0, equal_layers=how),
    "epc": lambda how: pxl.epc(SLOW, SGD, 5, equal_layers=how),
    "epc, precision": lambda how: pxl.epc(SLOW, SGD, 5, precision={"vodes[1]": 2.0}, equal_layers=how),
    "fpa": lambda how: pxl.fpa(SLOW, optax.sgd(0.6), 5, equal_layers=how),
    "fpa, kept, precision": lambda how: pxl.fpa(
        optax.adam(0.05), optax.adam(0.1), 3, start=pxl.Kept(), precision={"vodes[1]": 2.0}, equal_layers=how
    ),
    "fpa, layer by layer": lambda how: pxl.fpa(SLOW, SGD, L, schedule=pxi.LayerTime(), equal_layers=how),
    "hil": lambda how: pxl.hil(optax.adam(0.01), None, 26, precision=2.0, equal_layers=how),
    "hil, precisions by node": lambda how: pxl.hil(SLOW, SGD, L, precision={"vodes[2]": 2.0}, equal_layers=how),
    "hybrid": lambda how: pxl.hybrid(SLOW, SGD, 4, equal_layers=how),
    "bpc": lambda how: pxl.bpc(optax.adam(0.05), optax.adam(0.1), 4, generative=0.5, equal_layers=how),
    "bpc, precision": lambda how: pxl.bpc(
        SLOW, SGD, 4, precision=pxl.LearnedPrecision(optax.sgd(0.01)), equal_layers=how
    ),
    "backprop": lambda how: pxl.backprop(SLOW, equal_layers=how),
}


@pytest.fixture(autouse=True)
def in_float64():
    before = jax.config.read("jax_enable_x64")
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


def batch(width: int = 8, size: int = 5):
    draw = np.random.default_rng(0)
    return draw.normal(size=(size, width)), draw.normal(size=(size, width))


def trained(rule, make, data, steps: int = 2, **arrays):
    px.RKG.seed(0)
    state = rule.init(make(), data)
    step = jax.jit(rule.step)
    info = None
    for _ in range(steps):
        state, info = step(state, data)
    return state, info


def assert_same(one, other, rtol: float = 1e-12) -> None:
    (a, first), (b, second) = one, other
    assert list(a.weights) == sorted(b.weights, key=list(a.weights).index)
    for path in a.weights:
        for u, v in zip(jax.tree.leaves(a.weights[path]), jax.tree.leaves(b.weights[path]), strict=True):
            np.testing.assert_allclose(v, u, rtol=0, atol=rtol * float(jnp.max(jnp.abs(u))))
    assert set(first.energies) == set(second.energies)
    scale = max(abs(float(e)) for e in first.energies.values()) + 1e-300
    for node, energy in first.energies.items():
        np.testing.assert_allclose(float(second.energies[node]), float(energy), rtol=0, atol=rtol * scale)
    assert int(first.result) == int(second.result)
    assert int(first.first_bad) == int(second.first_bad)
    np.testing.assert_allclose(float(second.energy), float(first.energy), rtol=rtol)
    np.testing.assert_allclose(float(second.energy_before), float(first.energy_before), rtol=rtol)
    np.testing.assert_allclose(float(second.steps), float(first.steps))


def mlp(depth: int = L):
    return pxm.MLP([8] * (depth + 1), act=jnp.tanh)


class Pair(pxc.EnergyModule):
    """Two networks over the same values."""

    def __init__(self, depth: int = L):
        super().__init__()
        self.generative, self.recognition = mlp(depth), mlp(depth)


def made_for(name: str):
    return Pair if name.startswith(("hybrid", "bpc")) else mlp


@functools.cache
def trained_apart(name: str):
    return trained(RULES[name]("apart"), made_for(name), batch())


@pytest.mark.hasty
@pytest.mark.parametrize(
    ("name", "how"), [(n, how) for i, n in enumerate(RULES) for how in (["looped"], ["looped", "stacked"])[i % 3 == 0]]
)
def test_every_rule_gives_the_same_numbers(name, how):
    apart, together = trained_apart(name), trained(RULES[name](how), made_for(name), batch())
    assert isinstance(together[0].weights, Stacks) == (name != "pc, a global norm")
    assert_same(apart, together)


@pytest.mark.parametrize("name", ["pc"])
def test_quick_rules_give_the_same_numbers(name):
    apart, together = (trained(RULES[name](h), mlp, batch()) for h in ("apart", "looped"))
    assert_same(apart, together)


# -- any network --------------------------------------------------------------------------------------
class Net(pxc.EnergyModule):
    """Blocks that repeat, and parts that don't."""

    def __init__(self, plan, widths=None):
        super().__init__()
        self.plan = px.static(plan)
        self.layers = [pxnn.Linear(a, b) for a, b in itertools.pairwise(widths or [8] * (len(plan) + 1))]
        self.vodes = [pxc.Vode() for _ in plan[1:]] + [pxc.Vode(output=True)]

    def __call__(self, x, y=None):
        hs = [x]
        for (act, skip), layer, vode in zip(px.get(self.plan), self.layers, self.vodes, strict=True):
            u = act(layer(hs[-1]))
            if skip and len(hs) > skip and hs[-1 - skip].shape == u.shape:
                u = u + 0.5 * hs[-1 - skip]
            hs.append(vode(u))
        return self.vodes[-1].get("u")


def random_plan(draw: random.Random):
    acts = [jnp.tanh, jax.nn.relu, jnp.sin]
    plan = []
    while len(plan) < 5:
        block = [(draw.choice(acts), draw.choice([0, 0, 1, 2])) for _ in range(draw.choice([1, 1, 2, 3]))]
        plan += block * draw.choice([1, 2, 3, 5])
    return (*plan, (lambda a: a, 0))


NETS = [
    lambda how: pxl.pc(SLOW, optax.sgd(0.05, momentum=0.3), 6, equal_layers=how),
    lambda how: pxl.ipc(optax.sgd(0.01), optax.sgd(0.05), 4, equal_layers=how),
    lambda how: pxl.nudged(SLOW, optax.sgd(0.05), 5, -0.1, equal_layers=how),
    lambda how: pxl.epc(SLOW, optax.sgd(0.05), 4, equal_layers=how),
    lambda how: pxl.zil(SLOW, level=True, equal_layers=how),
    lambda how: pxl.backprop(SLOW, equal_layers=how),
    lambda how: pxl.mcpc(SLOW, 0.005, 8, equal_layers=how),
    lambda how: pxl.fpa(SLOW, optax.sgd(0.05), 4, equal_layers=how),
    lambda how: pxl.hil(optax.sgd(0.05, momentum=0.5), optax.sgd(0.05), 32, equal_layers=how),
]


@pytest.mark.hasty
@pytest.mark.parametrize("seed", range(12))
def test_random_networks_give_the_same_numbers(seed):
    draw = random.Random(seed)
    plan, rule = random_plan(draw), NETS[seed % len(NETS)]
    how = draw.choice(["looped", "stacked"])
    apart, together = (trained(rule(h), lambda: Net(plan), batch(), steps=1) for h in ("apart", how))
    assert_same(apart, together, rtol=1e-12)


REACHING = [(jnp.tanh, 0), (jnp.sin, 0), (jax.nn.relu, 0), (jax.nn.softplus, 0), (jax.nn.gelu, 0)]
END = (lambda a: a, 0)


@pytest.mark.hasty
@pytest.mark.parametrize("how", ["looped", "stacked"])
@pytest.mark.parametrize("repeats", [2, 3])
def test_skips_may_reach_further_back_than_layers_repeat(repeats, how):
    # The last of the equal layers reads values from before the first; so does a layer after them.
    plan = (*REACHING, *[(jnp.tanh, 4)] * repeats, (jnp.sin, repeats + 1), END)
    assert [run.repeats for run in problem_of(Net(plan), batch()).runs] == [repeats]

    def rule(how):
        return pxl.pc(SLOW, optax.sgd(0.3), 5, equal_layers=how)

    apart, together = (trained(rule(h), lambda: Net(plan), batch(), steps=1) for h in ("apart", how))
    assert_same(apart, together)


@pytest.mark.hasty
@pytest.mark.parametrize("how", ["looped", "stacked"])
@pytest.mark.parametrize("name", ["pc", "epc", "zil"])
def test_skips_may_pass_by_values_of_another_shape(name, how):
    # The value before the last one that the equal layers reach back to is of another width, and read by none of them.
    plan, widths = (*REACHING[:4], *[(jnp.tanh, 4)] * 3, (jnp.sin, 0), END), [8, 8, 8, 6, *[8] * 6]
    assert [run.repeats for run in problem_of(Net(plan, widths), batch()).runs] == [2]
    rules = {
        "pc": lambda how: pxl.pc(SLOW, optax.sgd(0.3), 8, equal_layers=how),
        "epc": lambda how: pxl.epc(SLOW, optax.sgd(0.3), 3, equal_layers=how),
        "zil": lambda how: pxl.zil(SLOW, level=True, equal_layers=how),
    }
    apart, together = (trained(rules[name](h), lambda: Net(plan, widths), batch(), steps=1) for h in ("apart", how))
    assert_same(apart, together)


# -- fewer bits ---------------------------------------------------------------------------------------
@pytest.mark.hasty
@pytest.mark.parametrize("policy", ["bfloat16", pxl.DTypePolicy("float16", values="float16")])
def test_products_in_fewer_bits_are_computed_together(policy):
    jax.config.update("jax_enable_x64", False)
    x, y = batch()
    data = x.astype(np.float32), y.astype(np.float32)
    px.RKG.seed(0)
    first = pxl.pc(SLOW, SGD, L).init(mlp(), data).weights
    apart, together = (
        trained(pxl.pc(SLOW, optax.sgd(0.4), L, dtype=policy, equal_layers=how), mlp, data, steps=1)[0].weights
        for how in ("apart", "looped")
    )
    assert isinstance(together, Stacks)
    for path, weight in apart.items():
        moved = np.abs(np.asarray(weight - first[path])).max()
        # What is summed in another order may be rounded to another number.
        np.testing.assert_allclose(together[path], weight, rtol=0, atol=0.02 * moved + 1e-7)


# -- what is together ---------------------------------------------------------------------------------
def problem_of(model, data):
    rule = pxl.pc(SLOW, SGD, 2)
    structure = rule.structure(model)
    return Problem.of(structure, structure.values_of(model), data)


def names_together(model, data):
    return [[list(group.names) for group in run.groups] for run in problem_of(model, data).runs]


def test_a_plain_network_is_one_run():
    assert names_together(mlp(), batch()) == [[[f"vodes[{i}]" for i in range(1, L - 1)]]]


def test_a_network_of_blocks_is_one_run_of_a_group_for_each_place():
    plan = ((jnp.tanh, 0), *[(jnp.tanh, 0), (jnp.sin, 1)] * 3, (lambda a: a, 0))
    (groups,) = names_together(Net(plan), batch())
    assert [len(g) for g in groups] == [3, 3]


def test_layers_of_other_shapes_or_activations_are_in_no_run():
    assert names_together(pxm.MLP([8, 7, 6, 5, 8], act=jnp.tanh), batch()) == []
    plan = ((jnp.tanh, 0), (jnp.sin, 0), (jax.nn.relu, 0), (lambda a: a, 0))
    assert names_together(Net(plan), batch()) == []


def test_derivatives_of_their_own_that_differ_are_in_no_run():
    def surrogate(slope):
        @jax.custom_jvp
        def step(x):
            return jnp.where(x > 0, 1.0, 0.0) * x

        step.defjvp(lambda primals, tangents: (step(primals[0]), slope * tangents[0]))
        return step

    alike, other = surrogate(1.0), [surrogate(1.0), surrogate(2.0), surrogate(3.0)]
    assert len(names_together(Net((*[(alike, 0)] * 4, (lambda a: a, 0))), batch())) == 1
    assert names_together(Net(((alike, 0), *[(f, 0) for f in other], (lambda a: a, 0))), batch()) == []


# -- layers that are frozen, or share weights ---------------------------------------------------------
def partly():
    """Three runs, in which weights are used several times, between layers that learn otherwise."""
    model = pxm.MLP([5] * 15, act=jnp.tanh)
    layers: list[Any] = model.layers  # pyright: ignore[reportAssignmentType]
    layers[1].nn.weight.frozen = layers[5].nn.bias.frozen = True
    layers[10] = eqx.nn.Linear(5, 5, key=jax.random.PRNGKey(0))
    layers[4] = layers[2]  # A B A
    layers[7], layers[8] = layers[3], layers[6]  # and B once more, in another run
    # Parts of layers; the second with one outside of all runs.
    object.__setattr__(layers[11].nn, "bias", layers[9].nn.bias)
    object.__setattr__(layers[12].nn, "weight", layers[0].nn.weight)
    return model


class All(pxc.EnergyModule):
    """One weight for all layers."""

    def __init__(self):
        super().__init__()
        self.layer = pxnn.Linear(5, 5)
        self.vodes = [pxc.Vode() for _ in range(11)] + [pxc.Vode(output=True)]

    def __call__(self, x, y=None):
        for vode in self.vodes:
            x = vode(jnp.tanh(self.layer(x)))
        return x


class TwoOf(pxc.EnergyModule):
    def __init__(self):
        super().__init__()
        self.generative, self.recognition = partly(), partly()


PARTLY = {
    "zil": lambda how: pxl.zil(SLOW, equal_layers=how),
    "pc": lambda how: pxl.pc(SLOW, optax.sgd(0.3), 14, equal_layers=how),
    "ipc": lambda how: pxl.ipc(SLOW, optax.sgd(0.3), 14, equal_layers=how),
    "epc": RULES["epc"],
    "hybrid": lambda how: pxl.hybrid(SLOW, optax.sgd(0.3), 3, equal_layers=how),
    "backprop": RULES["backprop"],
}
SLOWER = [*[(n, partly) for n in PARTLY if n != "zil"], ("pc", All)]


@pytest.mark.filterwarnings("ignore:.* will not learn", "ignore:.* will learn nothing")
@pytest.mark.parametrize(
    ("name", "make"),
    [("zil", partly), *[pytest.param(n, net, marks=pytest.mark.hasty) for n, net in SLOWER]],
)
def test_layers_may_be_frozen_or_share_weights(name, make):
    make, data, rule = (TwoOf if name == "hybrid" else make), batch(5, 3), PARTLY[name]
    how = "stacked" if name in ("ipc", "backprop") else "looped"
    apart, together = (trained(rule(h), make, data, steps=1) for h in ("apart", how))
    assert_same(apart, together)


@pytest.mark.filterwarnings("ignore:.* will not learn")
def test_layers_are_together_where_the_same_of_them_learns():
    runs = [(2, 3, 4), (6, 7, 8, 9), (11, 12)]
    assert names_together(partly(), batch(5, 3)) == [[[f"vodes[{i}]" for i in run]] for run in runs]


# -- weights, optimisers, states ----------------------------------------------------------------------
@pytest.mark.hasty
def test_weights_read_like_a_dict_by_path_and_are_written_to_the_model():
    rule, data = RULES["pc"]("looped"), batch()
    (apart, _), (state, _) = (trained(RULES["pc"](h), mlp, data) for h in ("apart", "looped"))
    assert set(state.weights) == set(apart.weights)
    assert len(jax.tree.leaves(state.weights)) < len(jax.tree.leaves(apart.weights))
    px.RKG.seed(0)
    model = mlp()
    state.write_to(model)
    for i, layer in enumerate(model.layers):
        np.testing.assert_allclose(layer.nn.weight.get(), apart.weights[f"layers[{i}].nn.weight"], atol=1e-13)
    _, energy = rule.evaluate(state, data)
    np.testing.assert_allclose(energy, RULES["pc"]("apart").evaluate(apart, data)[1], rtol=1e-12)


@pytest.mark.hasty
@pytest.mark.parametrize("by_path", ["labels", "mask"])
def test_optimisers_that_look_at_paths_get_weights_by_path(by_path):
    def labels(weights):
        return {path: "slow" if "layers[2]" in path else "fast" for path in weights}

    def mask(weights):
        return {path: "layers[3]" in path for path in weights}

    if by_path == "labels":
        optim = optax.multi_transform({"slow": optax.sgd(0.01), "fast": optax.sgd(0.1)}, labels)
    else:
        optim = optax.chain(optax.masked(optax.scale(0.1), mask), SGD)
    apart, together = (
        trained(pxl.pc(optim, SGD, L, equal_layers=how), mlp, batch(), steps=1) for how in ("apart", "looped")
    )
    assert isinstance(together[0].weights, dict)
    assert_same(apart, together)


def by_layer_of(weights):
    return {path: "slow" if "layers[2]" in path else "fast" for path in weights}


BY_LAYER = optax.multi_transform({"slow": optax.sgd(0.01), "fast": optax.sgd(0.1)}, by_layer_of)


@pytest.mark.parametrize("optim", [BY_LAYER, optax.MultiSteps(BY_LAYER, 2)])
def test_paths_are_looked_for_inside_of_optimisers(optim):
    assert looks_at_paths(optim, ["layers[2].nn.weight"])
    assert not looks_at_paths(optax.MultiSteps(optax.adam(0.1), 2), ["layers[2].nn.weight"])


@pytest.mark.hasty
def test_states_of_single_nodes_optimisers_are_saved_by_node_and_path():
    state, by_path = (pxl.hil(optax.adam(0.1), None, L, equal_layers=how).init(mlp(), batch()) for how in HOW)
    assert len(jax.tree.leaves(state.optim)) < len(jax.tree.leaves(by_path.optim))
    numbered = jax.tree.unflatten(jax.tree.structure(state.optim), map(moved, enumerate(jax.tree.leaves(state.optim))))
    saved = apart(numbered)
    assert jax.tree.structure(saved) == jax.tree.structure(by_path.optim)
    np.testing.assert_array_equal(
        saved["vodes[3]"][0].mu["layers[3].nn.bias"], numbered["vodes[3]"][0].mu["layers[3].nn.bias"]
    )
    again = in_stacks_of(state.optim, saved)
    assert jax.tree.structure(again) == jax.tree.structure(numbered)
    for a, b in zip(jax.tree.leaves(again), jax.tree.leaves(numbered), strict=True):
        np.testing.assert_array_equal(a, b)


HOW = ("looped", "apart")


def moved(numbered):
    i, a = numbered
    return a + i + jnp.arange(a.size, dtype=a.dtype).reshape(a.shape)


def test_optimisers_of_single_nodes_that_can_not_be_one_stay_apart():
    for optim, make in ((BY_LAYER, mlp), (SLOW, functools.partial(Tied, L))):
        assert isinstance(pxl.hil(optim, None, L + 1, equal_layers="looped").init(make(), batch()).weights, dict)


class Tied(pxc.EnergyModule):
    """A network of layers that share one weight."""

    def __init__(self, depth: int):
        super().__init__()
        self.layer = pxnn.Linear(8, 8)
        self.vodes = [pxc.Vode() for _ in range(depth)] + [pxc.Vode(output=True)]

    def __call__(self, x, y=None):
        for vode in self.vodes:
            x = vode(jnp.tanh(self.layer(x)))
        return x


@pytest.mark.hasty
def test_states_go_on_where_optimisers_of_single_nodes_are_each_by_itself():
    px.RKG.seed(0)
    state, info = RULES["hil"]("looped").init(mlp(), batch()), None
    for how in HOW:
        new, info = jax.jit(RULES["hil"](how).step)(state, batch())
        assert jax.tree.structure(new) == jax.tree.structure(state)
        state = new
    assert_same(trained_apart("hil"), (state, info))


@pytest.mark.hasty
def test_optimisers_that_draw_give_each_of_equal_layers_noise_of_its_own():
    optim = optax.chain(optax.sgd(0.0), optax.add_noise(0.01, 0.5, key=jax.random.key(0)))
    apart, together = (
        trained(pxl.backprop(optim, equal_layers=how), mlp, batch(), steps=1) for how in ("apart", "stacked")
    )
    assert_same(apart, together)
    px.RKG.seed(0)
    before = pxl.backprop(optim).init(mlp(), batch()).weights
    moves = [together[0].weights[f"layers[{i}].nn.weight"] - before[f"layers[{i}].nn.weight"] for i in (1, 2)]
    assert jnp.abs(moves[0] - moves[1]).max() > 1e-3


def test_states_in_stacks_are_refused_by_optimisers_that_are_given_none():
    state = pxl.backprop(optax.adam(0.01), equal_layers="looped").init(mlp(), batch())
    assert isinstance(state.weights, Stacks)
    clipped = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.01))
    with pytest.raises(ValueError, match=r"another optimiser.*depends on others.*rule\.init"):
        pxl.backprop(clipped, equal_layers="looped").step(state, batch())


@pytest.mark.hasty
def test_ensembles_of_states_can_be_stacked_and_mapped():
    rule, data = RULES["pc"]("looped"), batch()
    states = []
    for seed in range(2):
        px.RKG.seed(seed)
        states.append(rule.init(mlp(), data))
    many = jax.tree.map(lambda *a: jnp.stack(a), *states)
    many, _ = jax.jit(jax.vmap(rule.step, in_axes=(0, None)))(many, data)
    one, _ = jax.jit(rule.step)(states[1], data)
    at = jax.tree.map(lambda a: a[1], many.weights)
    for path in one.weights:
        np.testing.assert_allclose(at[path], one.weights[path], atol=1e-13)


@pytest.mark.hasty
def test_a_bad_number_is_found_in_the_layer_where_it_is():
    rule, data = RULES["pc"]("looped"), batch()
    px.RKG.seed(0)
    state = rule.init(mlp(), data)
    for how in ("apart", "looped"):
        rule = RULES["pc"](how)
        px.RKG.seed(0)
        model = mlp()
        model.layers[3].nn.bias.set(jnp.full((8,), jnp.nan))
        state = rule.init(model, data)
        new, info = jax.jit(rule.step)(state, data)
        assert "vodes[3] is not finite at the start: look at the data and the weights" in str(pxl.explain(info, state))
        np.testing.assert_array_equal(new.weights["layers[2].nn.weight"], state.weights["layers[2].nn.weight"])


# -- the programs -------------------------------------------------------------------------------------
@pytest.mark.hasty
@pytest.mark.parametrize(
    "name", ["pc", "pc, precision", "ipc", "zil", "epc", "fpa", "hil", "hybrid", "bpc", "backprop"]
)
def test_programs_do_not_grow_with_depth(name):
    def lines(depth: int, how: str) -> int:
        rule, data = RULES[name](how), batch()
        state = rule.init(made_for(name)(depth), data)
        return len(jax.jit(rule.step).lower(state, data).as_text().splitlines())

    for how in ("looped", "stacked"):
        assert lines(24, how) == lines(12, how), how
    few = 6 if name == "hil" else 12  # of which each layer is a program at each step
    assert lines(2 * few, "apart") > 1.4 * lines(few, "apart")


def stacks_copied(compiled: str, number: int) -> list[str]:
    """The copies of whole stacks of so many arrays that loops of a program make in each turn."""
    bodies = set(re.findall(r"body=%?([\w.\-]+)", compiled))
    found, inside = [], False
    for line in compiled.splitlines():
        if not line.startswith(" "):
            inside = line.split(" ")[0].lstrip("%") in bodies
        elif inside and re.search(rf" = \w+\[{number}(,\d+)+\]\S* copy\(", line):
            found.append(line.strip())
    return found


@pytest.mark.hasty
@pytest.mark.skipif(jax.default_backend() != "cpu", reason="loops are for CPUs")
def test_loops_of_hil_copy_no_stack():
    rule, data = pxl.hil(SLOW, None, 15, equal_layers="looped"), batch()
    state = rule.init(mlp(13), data)
    compiled = jax.jit(rule.step).lower(state, data).compile().as_text()
    assert compiled
    assert not stacks_copied(compiled, 11)


@pytest.mark.hasty
@pytest.mark.skipif(jax.default_backend() != "cpu", reason="loops are for CPUs")
@pytest.mark.parametrize("net", ["skips", "blocks"])
def test_loops_of_pc_copy_no_stack(net):
    blocks = ((jnp.tanh, 0), *[(jnp.tanh, 0), (jnp.sin, 1)] * 11, (lambda a: a, 0))
    model = pxm.MuMLP([8] * 14, act=jnp.tanh) if net == "skips" else Net(blocks)
    rule, data = pxl.pc(SLOW, optax.adam(0.1), 24, equal_layers="looped"), batch()
    begun = rule.init(model, data)
    compiled = jax.jit(rule.step).lower(begun, data).compile().as_text()
    assert compiled
    assert not stacks_copied(compiled, 11)


class Convolutions(pxc.EnergyModule):
    def __init__(self):
        super().__init__()
        self.layers = [pxnn.Conv2d(3, 3, 3, padding=1) for _ in range(4)]
        self.end = pxnn.Linear(48, 3)
        self.vodes = [pxc.Vode() for _ in self.layers] + [pxc.Vode(output=True)]

    def __call__(self, x, y=None):
        for layer, vode in zip(self.layers, self.vodes, strict=False):
            x = vode(jnp.tanh(layer(x)))
        return self.vodes[-1](self.end(x.reshape(-1)))


@pytest.mark.hasty
@pytest.mark.skipif(jax.default_backend() != "cpu", reason="loops are for CPUs")
def test_convolutions_of_layers_that_learn_in_turn_are_laid_out_for_the_fast_kernel():
    draw = np.random.default_rng(0)
    data = draw.normal(size=(2, 3, 4, 4)), draw.normal(size=(2, 3))
    rule = pxl.hil(SLOW, None, 5, equal_layers="looped")
    state = rule.init(Convolutions(), data)
    assert isinstance(state.weights, Stacks)
    compiled = jax.jit(rule.step).lower(state, data).compile().as_text()
    assert compiled
    assert set(re.findall(r"convolution\(.*?dim_labels=([\w>-]+)", compiled)) == {"b01f_01io->b01f"}


# -- bad input ----------------------------------------------------------------------------------------
def test_what_can_not_be_computed_together_is_refused():
    with pytest.raises(ValueError, match=r"pc: equal_layers must be .* got 'both'"):
        pxl.pc(SLOW, SGD, 2, equal_layers="both")  # pyright: ignore[reportArgumentType]

    class Own(type(pxl.pc(SLOW, SGD, 2))):
        def learn(self, bound, forward, memory):
            return super().learn(bound, forward, memory)

    with pytest.raises(ValueError, match=r"it computes each layer apart: leave equal_layers='looped' out"):
        Own(SLOW, SGD, 2, equal_layers="looped")


def test_states_of_another_form_are_refused_in_words():
    looped, apart = (pxl.backprop(optax.adam(1e-3), equal_layers=form) for form in ("looped", "apart"))
    x, y = np.zeros((4, 6), np.float32), np.zeros((4, 6), np.float32)
    net = pxm.MLP([6, *[5] * 5, 6])
    state = looped.init(net, (x, y))
    with pytest.raises(ValueError, match=r"stack: .* of some equal layers are in stacks .*, and of others apart"):
        pxl.stack([state, apart.init(net, (x, y))])
    assert [*state.weights][:3] == ["layers[0].nn.weight", "layers[0].nn.bias", "layers[1].nn.weight"]
    assert repr(state.weights).startswith("{'layers[0].nn.weight': float64[5, 6], 'layers[0].nn.bias': float64[5], ")
    plain = dataclasses.replace(state, weights=dict(state.weights))
    with pytest.raises(ValueError, match="weights are a dict, where its optimiser has equal layers in stacks; change"):
        looped.step(plain, (x, y))
    for wrong in (np.array(["looped"]), ["looped"], None):
        with pytest.raises(ValueError, match="equal_layers must be 'auto', 'stacked', 'looped' or 'apart', got"):
            pxl.backprop(optax.adam(1e-3), equal_layers=wrong)  # pyright: ignore[reportArgumentType]


def test_both_of_two_networks_are_said():
    rule, both = RULES["hybrid"]("looped"), batch()
    said = pxl.equal_layers_in_words(rule, rule.init(Pair(), both), both)
    layers = [
        f"{part}.vodes[1] to {part}.vodes[{L - 2}]: {L - 2} equal layers" for part in ("generative", "recognition")
    ]
    assert said == "; ".join(f"{each}, looped" for each in layers)
