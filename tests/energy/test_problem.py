"""A model as a pure energy function."""

import itertools
from typing import Any

import jax
import jax.experimental
import jax.numpy as jnp
import numpy as np
import pytest

import pcx as px
import pcx.functional as pxf
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.utils as pxu
from pcx.energy import Bound, ForwardPass, Inputs, Problem
from pcx.energy._structure import ModelArrays, Structure

# Under this name from JAX 0.8 on.
enable_x64 = jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64  # pyright: ignore

BATCH = 3
BATCHED = pxu.M(pxc.VodeParam | pxc.VodeParam.Cache).to((None, 0))
KEY = np.array([0, 7], np.uint32)


def normal(seed, *shape):
    return jax.random.normal(jax.random.PRNGKey(seed), shape)


class Base(pxc.EnergyModule):
    """Layers of the given widths, and value nodes, the last of which is the output."""

    def __init__(self, *widths, energy=pxc.se_energy, seed=0):
        super().__init__()
        rkg = px.RandomKeyGenerator(seed)
        self.layers = [pxnn.Linear(a, b, rkg=rkg) for a, b in itertools.pairwise(widths)]
        self.vodes = [pxc.Vode() for _ in widths[2:]] + [pxc.Vode(energy)]
        self.vodes[-1].h.frozen = True


class Mlp(Base):
    def __call__(self, x, y=None):
        for layer, vode in zip(self.layers, self.vodes, strict=True):
            x = vode(jnp.tanh(layer(x)))
        if y is not None:
            self.vodes[-1].set("h", y)
        return self.vodes[-1].get("u")


class Plain(Base):
    """Knows nothing of targets: its output node is marked, and held by whoever trains it."""

    def __call__(self, x):
        for layer, vode in zip(self.layers, self.vodes, strict=True):
            x = vode(jnp.tanh(layer(x)))
        return self.vodes[-1].get("u")


def begin(problem, *arrays):
    """The forward pass, compiled: quicker than operation by operation."""
    return ForwardPass(**jax.jit(lambda *a: vars(problem.start(Inputs(*a))))(*arrays))


class Made:
    """A problem, and the values that its functions take."""

    def __init__(self, model, x, y, **options):
        self.structure = Structure.of(model, pxnn.LayerParam, **options)
        self.values = self.structure.values_of(model)
        self.problem = Problem.of(self.structure, self.values, (x, y))
        self.arrays = self.values.weights, self.values.rest, KEY, x, y
        self.start = begin(self.problem, *self.arrays)

    def landscape(self, **options):
        return self.bound().landscape(self.start.targets, **options)

    def bound(self, *arrays):
        return Bound(self.problem, *(arrays or self.arrays))  # pyright: ignore[reportArgumentType]

    def moved(self, by=0.3):
        """Values of the free nodes away from the forward pass."""
        return {n: h + by * normal(i, *h.shape).astype(h.dtype) for i, (n, h) in enumerate(self.start.h.items())}


def classic(model, x, y, moved):
    """Energies as the interface gives them: `{place of the vode: [batch]}`, and in all."""

    @pxf.jit()
    @pxf.vmap(BATCHED, in_axes=(0, 0), out_axes=None, axis_name="batch")
    def forward(x, y, *, model):
        model(x, y)

    @pxf.jit()
    @pxf.vmap(BATCHED, in_axes=(0, 0), out_axes=0, axis_name="batch")
    def energy(x, y, *, model):
        model(x, y)
        return [jnp.asarray(v.energy()) for v in vodes_of(model)], jnp.asarray(model.energy())

    with pxu.step(model, pxc.STATUS.INIT, clear_params=pxc.VodeParam.Cache):
        forward(x, y, model=model)
    for vode in vodes_of(model):
        path = next((n for n in moved if n == path_of(model, vode)), None)
        if path is not None:
            vode.h.set(moved[path])
    with pxu.step(model, clear_params=pxc.VodeParam.Cache):
        return energy(x, y, model=model)


def vodes_of(model):
    return model.vodes if isinstance(model.vodes, list) else list(model.vodes.values())


def path_of(model, vode):
    if isinstance(model.vodes, list):
        return f"vodes[{model.vodes.index(vode)}]"
    return next(f"vodes[{k!r}]" for k, v in model.vodes.items() if v is vode)


def check_against_classic(model, x, y):
    made = Made(model, x, y)
    moved = made.moved()

    @jax.jit
    def energies(arrays, targets, moved):
        # All arrays are arguments: up to JAX 0.8.1 XLA folds a convolution of constants, and a bias, wrongly.
        return made.bound(*arrays).landscape(targets).energies(moved)

    found = energies(made.arrays, made.start.targets, moved)
    each, total = classic(model, x, y, moved)
    for name, expected in zip(made.problem.nodes, each, strict=True):
        if name in found:
            np.testing.assert_allclose(found[name], expected, rtol=2e-6, atol=1e-6, err_msg=name)
        else:
            np.testing.assert_array_equal(expected, 0)
    np.testing.assert_allclose(sum(found.values()), total, rtol=2e-6, atol=1e-6)
    return made


# -- energies and graphs of many models ---------------------------------------------------------------
def test_an_mlp():
    made = check_against_classic(Mlp(4, 5, 6, 2), normal(0, BATCH, 4), normal(1, BATCH, 2))
    p = made.problem
    assert p.size == BATCH
    assert p.free == ("vodes[0]", "vodes[1]")
    assert p.clamped == ("vodes[2]",)
    assert [p.nodes[n].shape for n in p.nodes] == [(5,), (6,), (2,)]
    assert p.graph.parents == {"vodes[0]": (), "vodes[1]": ("vodes[0]",), "vodes[2]": ("vodes[1]",)}
    assert all(node.local for node in p.nodes.values())
    assert set(p.weights_of("vodes[1]")) == {"layers[1].nn.weight", "layers[1].nn.bias"}
    assert made.landscape().arrival == {"vodes[1]": 0, "vodes[0]": 1}
    assert not p.draws
    assert p.starts_at_predictions


def test_forward_initialisation():
    model, x, y = Mlp(4, 5, 2), normal(0, BATCH, 4), normal(1, BATCH, 2)
    start = Made(model, x, y).start
    hidden = jnp.tanh(jax.vmap(model.layers[0])(x))
    out = jnp.tanh(jax.vmap(model.layers[1])(hidden))
    np.testing.assert_allclose(start.h["vodes[0]"], hidden, rtol=1e-6)
    np.testing.assert_allclose(start.u["vodes[1]"], out, rtol=1e-6)
    np.testing.assert_allclose(start.output, out, rtol=1e-6)
    np.testing.assert_array_equal(start.targets["vodes[1]"], y)
    assert set(start.h) == {"vodes[0]"}
    assert model.vodes[0].get("h") is None  # the model itself is not touched


class Skip(Base):
    def __call__(self, x, y=None):
        a = self.vodes[0](self.layers[0](x))
        b = self.vodes[1](jnp.tanh(self.layers[1](a)))
        self.vodes[2](self.layers[2](b) + a[:2])
        if y is not None:
            self.vodes[2].set("h", y)


def test_a_skip_connection():
    p = check_against_classic(Skip(4, 5, 6, 2), normal(0, BATCH, 4), normal(1, BATCH, 2)).problem
    assert p.graph.parents["vodes[2]"] == ("vodes[0]", "vodes[1]")
    assert p.graph.distances(p.clamped) == (
        {"vodes[0]": 1, "vodes[1]": 1, "vodes[2]": 0},
        {"vodes[0]": 2, "vodes[1]": 1, "vodes[2]": 0},
    )


class Convolutional(pxc.EnergyModule):
    def __init__(self):
        super().__init__()
        rkg = px.RandomKeyGenerator(0)
        self.layers = [pxnn.Conv2d(1, 2, 3, rkg=rkg), pxnn.Conv2d(2, 3, 3, stride=2, rkg=rkg)]
        self.last = pxnn.Linear(12, 2, rkg=rkg)
        self.pool = pxnn.MaxPool2d(2, 1)
        self.vodes = [pxc.Vode() for _ in range(2)] + [pxc.Vode(pxc.ce_energy)]

    def __call__(self, x, y=None):
        a = self.vodes[0](jax.nn.relu(self.layers[0](x)))
        b = self.vodes[1](self.pool(jax.nn.gelu(self.layers[1](a))))
        self.vodes[2](self.last(b.reshape(-1)))
        if y is not None:
            self.vodes[2].set("h", jax.nn.one_hot(y, 2))


@pytest.mark.hasty
def test_a_convolutional_net():
    p = check_against_classic(Convolutional(), normal(0, BATCH, 1, 9, 9), jnp.array([0, 1, 1])).problem
    assert [p.nodes[n].shape for n in p.nodes] == [(2, 7, 7), (3, 2, 2), (2,)]
    assert [p.nodes[n].squared for n in p.nodes] == [True, True, False]
    assert p.nodes["vodes[2]"].form is pxc.ce_energy
    assert p.clamped == ("vodes[2]",)  # not marked: that the model sets it from y is enough
    assert p.wiring.program.convolves


class TwoInputs(Base):
    def __call__(self, x, y=None):
        a = self.vodes[0](self.layers[0](x["left"]))
        b = self.vodes[1](jnp.tanh(self.layers[1](x["right"])))
        self.vodes[2](self.layers[2](a * b))
        if y is not None:
            self.vodes[2].set("h", y)


def test_two_inputs():
    x = {"left": normal(0, BATCH, 4), "right": normal(1, BATCH, 4)}
    p = check_against_classic(TwoInputs(4, 4, 4, 2), x, normal(2, BATCH, 2)).problem
    assert p.graph.parents == {"vodes[0]": (), "vodes[1]": (), "vodes[2]": ("vodes[0]", "vodes[1]")}
    assert not p.wiring.program.convolves


class TwoOutputs(pxc.EnergyModule):
    def __init__(self):
        super().__init__()
        rkg = px.RandomKeyGenerator(0)
        self.layers = [pxnn.Linear(4, 5, rkg=rkg), pxnn.Linear(5, 2, rkg=rkg), pxnn.Linear(5, 3, rkg=rkg)]
        self.vodes = {"hidden": pxc.Vode(), "number": pxc.Vode(), "class": pxc.Vode(pxc.ce_energy)}
        self.vodes["number"].h.frozen = True
        self.vodes["class"].h.frozen = True

    def __call__(self, x, y=None):
        h = self.vodes["hidden"](jnp.tanh(self.layers[0](x)))
        self.vodes["number"](self.layers[1](h))
        self.vodes["class"](self.layers[2](h))
        if y is not None:
            self.vodes["number"].set("h", y[0])
            self.vodes["class"].set("h", y[1])


def test_several_outputs():
    y = normal(1, BATCH, 2), jax.nn.one_hot(jnp.array([0, 2, 1]), 3)
    made = check_against_classic(TwoOutputs(), normal(0, BATCH, 4), y)
    assert made.problem.clamped == ("vodes['number']", "vodes['class']")
    assert made.problem.graph.children["vodes['hidden']"] == made.problem.clamped


class Shared(pxc.EnergyModule):
    """One layer, called twice."""

    def __init__(self):
        super().__init__()
        self.layer = pxnn.Linear(4, 4, rkg=px.RandomKeyGenerator(0))
        self.again = pxnn.shared(self.layer)
        self.vodes = [pxc.Vode(), pxc.Vode(), pxc.Vode()]

    def __call__(self, x, y=None):
        a = self.vodes[0](jnp.tanh(self.layer(x)))
        b = self.vodes[1](jnp.tanh(self.layer(a)))
        self.vodes[2](self.again(b))
        if y is not None:
            self.vodes[2].set("h", y)


def test_shared_weights():
    made = check_against_classic(Shared(), normal(0, BATCH, 4), normal(1, BATCH, 4))
    assert len(made.values.weights) == 2
    assert made.problem.weights_of("vodes[0]") == made.problem.weights_of("vodes[2]")
    assert set(made.problem.weights_of("vodes[2]")) == set(made.values.weights)


def test_gradients_are_those_of_the_energy():
    made = Made(Skip(4, 5, 6, 2), normal(0, BATCH, 4), normal(1, BATCH, 2))
    landscape, moved = made.landscape(), made.moved()
    expected = jax.jit(jax.grad(landscape.total))(moved)
    found = jax.jit(landscape.gradient(moved))(moved)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), found, expected)


# -- what is clamped, and to what ---------------------------------------------------------------------
@pytest.mark.parametrize("cls", [Mlp, Plain])
def test_a_target_is_found_by_its_mark_or_by_what_the_model_does(cls):
    x, y = normal(0, BATCH, 4), normal(1, BATCH, 2)
    made = Made(cls(4, 5, 2), x, y)
    assert made.problem.clamped == ("vodes[1]",)
    np.testing.assert_array_equal(made.start.targets["vodes[1]"], y)
    moved = made.moved()
    expected = 0.5 * jnp.sum((y - Made(cls(4, 5, 2), x, y).start.u["vodes[1]"]) ** 2, axis=1)
    np.testing.assert_allclose(made.landscape().energies(made.start.h)["vodes[1]"], expected, rtol=1e-6)
    assert made.landscape().energies(moved)["vodes[0]"].shape == (BATCH,)


@pytest.mark.parametrize("cls", [Mlp, Plain])
@pytest.mark.parametrize("dtype", [jnp.int32, jnp.uint8])
def test_labels_become_one_hot(cls, dtype):
    labels = jnp.array([1, 0, 2], dtype)
    made = Made(cls(4, 5, 3, energy=pxc.ce_energy), normal(0, BATCH, 4), labels)
    (target,) = made.start.targets.values()
    np.testing.assert_array_equal(target, np.eye(3, dtype=np.float32)[labels])
    assert made.start.labels_valid
    assert made.problem.targets(Inputs(*made.arrays))[0].keys() == made.start.targets.keys()


@pytest.mark.parametrize("label", [-1, 3])
def test_labels_outside_the_classes_are_noticed(label):
    made = Made(Mlp(4, 5, 3, energy=pxc.ce_energy), normal(0, BATCH, 4), jnp.array([0, label, 2]))
    assert not made.start.labels_valid
    assert not made.problem.targets(Inputs(*made.arrays))[1]


def test_whole_numbers_of_the_shape_of_the_node_are_values():
    y = jnp.array([[1, 0, 0], [0, 2, 0], [0, 0, 3]])
    (target,) = Made(Mlp(4, 5, 3), normal(0, BATCH, 4), y).start.targets.values()
    np.testing.assert_array_equal(target, y.astype(jnp.float32))


def test_targets_without_the_forward_pass_are_the_same():
    made = Made(TwoOutputs(), normal(0, BATCH, 4), (normal(1, BATCH, 2), jnp.array([0, 2, 1])))
    targets, valid = made.problem.targets(Inputs(*made.arrays))
    assert valid
    jax.tree.map(np.testing.assert_array_equal, targets, made.start.targets)


def test_without_a_target_nothing_is_clamped():
    made = Made(Mlp(4, 5, 2), normal(0, BATCH, 4), None)
    assert made.problem.clamped == ()
    assert made.problem.free == ("vodes[0]", "vodes[1]")


class Held(Base):
    """Its first node is marked too, and stays at what the forward pass gives."""

    def __init__(self):
        super().__init__(4, 5, 2)
        self.vodes[0].h.frozen = True

    __call__ = Mlp.__call__


def test_a_marked_node_without_a_target_stays_where_it_starts():
    made = check_against_classic(Held(), normal(0, BATCH, 4), normal(1, BATCH, 2))
    assert made.problem.clamped == ("vodes[0]", "vodes[1]")
    np.testing.assert_array_equal(made.start.targets["vodes[0]"], made.start.u["vodes[0]"])


class Conditioned(pxc.EnergyModule):
    """y is an input as well, and a rule starts the hidden node elsewhere than at its prediction."""

    def __init__(self):
        super().__init__()
        rkg = px.RandomKeyGenerator(0)
        self.layers = [pxnn.Linear(6, 5, rkg=rkg), pxnn.Linear(5, 2, rkg=rkg)]
        rules = {"init": ("h <- u:half", "u <- u")}
        self.vodes = [
            pxc.Vode(ruleset=rules, tforms={"half": lambda vode, key, value, rkg: 0.5 * value}),
            pxc.Vode(),
        ]

    def __call__(self, x, y):
        h = self.vodes[0](jnp.tanh(self.layers[0](jnp.concatenate([x, y]))))
        self.vodes[1](self.layers[1](h))
        self.vodes[1].set("h", y)


def test_a_node_that_y_only_predicts_is_free():
    made = check_against_classic(Conditioned(), normal(0, BATCH, 4), normal(1, BATCH, 2))
    assert made.problem.clamped == ("vodes[1]",)
    assert made.problem.with_error == ("vodes[0]",)
    assert not made.problem.starts_at_predictions


# -- layers with a state, and layers that draw ---------------------------------------------------------
class Normed(Base):
    def __init__(self, mode):
        super().__init__(4, 5, 2)
        self.norm = pxnn.BatchNorm(5, "batch", mode=mode)

    def __call__(self, x, y=None):
        h = self.vodes[0](jnp.tanh(self.norm(self.layers[0](x))))
        self.vodes[1](self.layers[1](h))
        if y is not None:
            self.vodes[1].set("h", y)


@pytest.mark.parametrize("mode", ["ema", "batch"])
def test_running_statistics_move_once_a_step(mode):
    x, y = normal(0, BATCH, 4), normal(1, BATCH, 2)
    made = Made(Normed(mode), x, y)
    other = Normed(mode)

    @pxf.vmap(BATCHED, in_axes=(0,), out_axes=None, axis_name="batch")
    def call(x, *, model):
        model(x)

    with pxu.step(other, pxc.STATUS.INIT, clear_params=pxc.VodeParam.Cache):
        call(x, model=other)
    expected = made.structure.values_of(other).rest
    assert expected.keys() == made.values.rest.keys()
    rest = jax.jit(lambda *a: made.problem.start(Inputs(*a)).rest)(*made.arrays)
    for found in (made.start.rest, rest):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), found, expected)
    assert any(np.any(a != b) for a, b in zip(*map(jax.tree.leaves, (rest, made.values.rest)), strict=True))
    landscape = made.landscape()
    np.testing.assert_allclose(landscape.energies(made.start.h)["vodes[0]"], 0, atol=1e-10)


class Dropping(Base):
    def __init__(self):
        super().__init__(4, 64, 64)
        self.drop = pxnn.Dropout(0.5)

    def __call__(self, x, y=None):
        h = self.vodes[0](jnp.ones(64) + 0 * self.layers[0](x))
        self.vodes[1](self.drop(h))
        if y is not None:
            self.vodes[1].set("h", y)


def test_a_step_has_one_mask_for_each_sample():
    made = Made(Dropping(), normal(0, BATCH, 4), jnp.zeros((BATCH, 64)))
    p = made.problem
    assert p.draws
    u = made.start.u["vodes[1]"]

    @jax.jit
    def predict(h):
        return p.at(Inputs(*made.arrays)).predict("vodes[1]", {"vodes[0]": h})

    np.testing.assert_array_equal(predict(made.start.h["vodes[0]"]), u)  # the mask of the start
    np.testing.assert_array_equal(predict(2 * made.start.h["vodes[0]"]), 2 * u)
    assert set(np.unique(u)) == {0.0, 2.0}
    assert np.any(u[0] != u[1])
    weights, rest, _, x, y = made.arrays
    other = begin(p, weights, rest, np.array([0, 8], np.uint32), x, y).u["vodes[1]"]
    assert np.any(other != u)


class OwnKeys(Base):
    def __init__(self):
        super().__init__(4, 5, 2)
        self.rkg = px.RandomKeyGenerator(3)

    def __call__(self, x, y=None):
        h = self.vodes[0](self.layers[0](x) + jax.random.normal(self.rkg(), (5,)))
        self.vodes[1](self.layers[1](h))
        if y is not None:
            self.vodes[1].set("h", y)


def test_a_generator_of_the_model_moves_on_once_a_step():
    x = jnp.ones((BATCH, 4))
    made = Made(OwnKeys(), x, normal(1, BATCH, 2))
    assert np.any(made.start.h["vodes[0]"][0] != made.start.h["vodes[0]"][1])
    weights, rest, _, x, y = made.arrays
    after = made.start.rest
    assert any(np.any(a != b) for a, b in zip(*map(jax.tree.leaves, (after, rest)), strict=True))
    again = begin(made.problem, weights, after, KEY, x, y)
    assert np.any(again.h["vodes[0]"] != made.start.h["vodes[0]"])


class MovesAlong(Base):
    """Sets a param to something that each sample has its own of."""

    def __init__(self):
        super().__init__(4, 5, 2)
        self.last = px.Param(jnp.zeros(4))

    def __call__(self, x, y=None):
        self.last.set(x)
        h = self.vodes[0](self.layers[0](x))
        self.vodes[1](self.layers[1](h))


def test_a_param_that_differs_over_the_batch_is_refused():
    with pytest.raises(ValueError, match="differs over the batch"):
        Made(MovesAlong(), normal(0, BATCH, 4), normal(1, BATCH, 2))


# -- any Python ---------------------------------------------------------------------------------------
class AnyPython(Base):
    def __call__(self, x, y=None):
        seen = []
        h = x
        for i, (layer, vode) in enumerate(zip(self.layers, self.vodes, strict=True)):
            u = layer(h)
            if i % 2:
                u = jax.lax.cond(jnp.sum(u) > 0, jnp.tanh, jnp.sin, u)
            else:
                u = jax.jit(lambda u: jax.lax.scan(lambda c, _: (jnp.cos(c), None), u, None, length=2)[0])(u)
            seen.append(u)
            h = vode(u + sum(s[0] for s in seen))
            h = {"value": h}["value"]
        if y is not None:
            self.vodes[-1].set("h", y)
        return [s.shape for s in seen]


def test_any_python_in_the_call():
    made = check_against_classic(AnyPython(4, 5, 6, 2), normal(0, BATCH, 4), normal(1, BATCH, 2))
    # The predictions of all nodes before it flow into each sum.
    assert made.problem.graph.parents["vodes[2]"] == ("vodes[0]", "vodes[1]")


def test_another_way_to_call():
    class Two(Base):
        def __call__(self, a, b, scale):
            h = self.vodes[0](self.layers[0](a * b) * scale)
            self.vodes[1](self.layers[1](h))

    x = normal(0, BATCH, 4), normal(1, BATCH, 4)
    made = Made(Two(4, 5, 2), x, normal(2, BATCH, 2), call=lambda m, x, y: m(*x, scale=2.0))
    expected = 2.0 * jax.vmap(Two(4, 5, 2).layers[0])(x[0] * x[1])
    np.testing.assert_allclose(made.start.h["vodes[0]"], expected, rtol=1e-6)


def test_a_part_of_a_model():
    class Pair(pxc.EnergyModule):
        def __init__(self):
            super().__init__()
            self.up, self.down = Mlp(4, 5, 2), Mlp(2, 5, 4, seed=1)

    model = Pair()
    made = Made(
        model, normal(0, BATCH, 2), normal(1, BATCH, 4), call=lambda m, x, y: m.down(x, y), part=lambda m: m.down
    )
    assert made.problem.free == ("down.vodes[0]",)
    assert "up.layers[0].nn.weight" in made.values.weights
    assert set(made.problem.weights_of("down.vodes[0]")) == {"down.layers[0].nn.weight", "down.layers[0].nn.bias"}


# -- energies -----------------------------------------------------------------------------------------
def cubic(vode, rkg):
    return jnp.abs(vode.get("h") - vode.get("u")) ** 3


def one_for_a_sample(vode, rkg):
    return jnp.sum(jnp.square(vode.get("h") - vode.get("u")))


class OwnEnergy(pxc.Vode):
    def energy(self, rkg=px.RKG):
        return jnp.max(jnp.abs(self.get("h") - self.get("u")))


class Chosen(Mlp):
    def __init__(self, hidden):
        super().__init__(4, 5, 6, 2)
        self.vodes[1] = hidden


@pytest.mark.parametrize(
    ("hidden", "form", "silent"),
    [
        (lambda: pxc.Vode(cubic), None, False),
        (lambda: pxc.Vode(one_for_a_sample), None, False),
        (lambda: OwnEnergy(), None, False),
        (lambda: pxc.Vode(pxc.zero_energy), pxc.zero_energy, True),
        (lambda: pxc.Vode(None), None, True),
        (lambda: pxc.Vode(pxc.ce_energy), pxc.ce_energy, False),
    ],
)
def test_energies_of_all_kinds(hidden, form, silent):
    p = check_against_classic(Chosen(hidden()), normal(0, BATCH, 4), normal(1, BATCH, 2)).problem
    node = p.nodes["vodes[1]"]
    assert (node.squared, node.form, node.silent) == (False, form, silent)
    assert ("vodes[1]" in p.with_error) == (not silent)


class Weighted(Mlp):
    def energy(self):
        return 0.5 * super().energy() + jnp.sum(jnp.square(self.vodes[0].get("h")))


def test_an_energy_of_the_module_itself():
    made = check_against_classic(Weighted(4, 5, 6, 2), normal(0, BATCH, 4), normal(1, BATCH, 2))
    assert made.problem.has_own_energy
    assert made.landscape().arrival is None  # no error is known to be zero
    assert "" in made.landscape().energies(made.start.h)


class Terms(Mlp):
    def __init__(self):
        super().__init__(4, 5, 6, 2)
        self.inner = Weighted(2, 3, 3, 2)

    def __call__(self, x, y=None):
        super().__call__(x, None)
        self.inner(self.vodes[-1].get("h"), y)


def test_an_energy_of_a_module_inside():
    model = Terms()
    made = Made(model, normal(0, BATCH, 4), normal(1, BATCH, 2))
    assert made.problem.clamped == ("inner.vodes[2]",) or "inner.vodes[2]" in made.problem.clamped
    moved = made.moved()
    energies = jax.jit(made.landscape().energies)(moved)
    inside = sum(e for n, e in energies.items() if n.startswith("inner"))
    expected = -0.5 * inside + jnp.sum(jnp.square(moved["inner.vodes[0]"]), axis=1)
    np.testing.assert_allclose(energies[""], expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_weights_of_half_precision(dtype):
    model = Mlp(4, 5, 2)
    for layer in model.layers:
        layer.nn.weight.set(layer.nn.weight.astype(dtype))
        layer.nn.bias.set(layer.nn.bias.astype(dtype))
    made = Made(model, normal(0, BATCH, 4).astype(dtype), normal(1, BATCH, 2))
    p = made.problem
    assert {p.nodes[n].dtype for n in p.nodes} == {jnp.dtype(dtype)}
    assert made.start.targets["vodes[1]"].dtype == dtype
    landscape, h = made.landscape(), made.start.h
    assert {e.dtype for e in jax.eval_shape(landscape.energies, h).values()} == {jnp.dtype(jnp.float32)}
    gradient = jax.eval_shape(landscape.gradient(h), h)
    assert gradient["vodes[0]"].dtype == dtype


def test_double_precision_has_a_problem_of_its_own():
    model, x, y = Mlp(4, 5, 2), normal(0, BATCH, 4), normal(1, BATCH, 2)
    single = Made(model, x, y)
    with enable_x64(True):
        assert Made(model, x, y).problem is not single.problem
    with jax.default_matmul_precision("highest"):
        assert Made(model, x, y).problem is not single.problem
    assert Made(model, x, y).problem is single.problem


# -- what is refused ----------------------------------------------------------------------------------
class Unreached(Mlp):
    def __init__(self):
        super().__init__(4, 5, 2)
        self.spare = {"node": pxc.Vode()}


X, Y = np.ones((BATCH, 4), np.float32), np.ones((BATCH, 2), np.float32)


@pytest.mark.parametrize(
    ("model", "x", "y", "message"),
    [
        (lambda: Unreached(), X, Y, r"never reached the value node spare\['node'\]"),
        (lambda: Mlp(4, 5, 2), X, Y[:2], r"differ in size: x of shape \(3, 4\); y of shape \(2, 2\)"),
        (lambda: TwoInputs(4, 4, 4, 2), {"left": X, "right": X[:1]}, Y, r"differ in size: x\['left'\] of shape"),
        (lambda: Mlp(4, 5, 2), X[:0], Y[:0], r"the batch is empty: x of shape \(0, 4\)"),
        (lambda: Mlp(4, 5, 2), X, np.float32(1), "y is a scalar"),
        (lambda: Mlp(4, 5, 2), None, None, "holds no array"),
        (
            lambda: Mlp(4, 5, 2),
            X,
            np.ones((BATCH, 3)),
            r"target of vodes\[1\] has shape \(3, 3\), its prediction \(3, 2\)",
        ),
        (lambda: Plain(4, 5, 2), X, np.ones((BATCH, 3)), r"target of vodes\[1\] has shape \(3, 3\)"),
        (lambda: Mlp(4, 5, 2), X, np.ones(BATCH), r"target of vodes\[1\] has shape \(3,\)"),
        (lambda: Plain(4, 5, 2), X, (Y, Y), r"2 targets, but 1 nodes are marked .*: vodes\[1\]"),
        (lambda: Chosen(pxc.Vode(lambda v, rkg: jnp.ones(9))), X, Y, r"energy of vodes\[1\] has shape \(3, 9\)"),
    ],
)
def test_bad_models_and_batches(model, x, y, message):
    with pytest.raises(ValueError, match=message):
        Made(model(), x, y)


def test_a_model_needs_value_nodes_and_energies():
    class Empty(pxc.EnergyModule):
        def __call__(self, x):
            return x

    with pytest.raises(ValueError, match=r"Empty has no value nodes: put a pxc.Vode after"):
        Structure.of(Empty(), pxnn.LayerParam)
    with pytest.raises(TypeError, match=r"expected a pxc.EnergyModule as the model, got Linear"):
        Structure.of(pxnn.Linear(2, 2), pxnn.LayerParam)  # pyright: ignore[reportArgumentType]

    class Silent(Mlp):
        def __init__(self):
            super().__init__(4, 5, 2)
            self.vodes = [pxc.Vode(None), pxc.Vode(pxc.zero_energy)]

    with pytest.raises(ValueError, match="none of the model's value nodes has an energy"):
        Made(Silent(), X, Y)


def test_weights_are_floats():
    model = Mlp(4, 5, 2)
    model.layers[0].nn.weight.set(jnp.ones((5, 4), jnp.int32))
    with pytest.raises(TypeError, match=r"layers\[0\].nn.weight is to learn but holds int32; mark it `frozen = True`"):
        Made(model, X, Y)
    model.layers[0].nn.weight.frozen = True
    made = Made(model, X, Y)
    assert "layers[0].nn.weight" in made.values.rest


# -- equal models -------------------------------------------------------------------------------------
def test_equal_models_share_what_was_traced():
    traces = []

    class Counted(Base):
        def __init__(self, seed, act):
            super().__init__(4, 5, 2, seed=seed)
            self.act = px.static(act)

        def __call__(self, x, y=None):
            traces.append(1)
            h = self.vodes[0](self.act(self.layers[0](x)))
            self.vodes[1](self.layers[1](h))
            if y is not None:
                self.vodes[1].set("h", y)

    def build(seed, slope):
        return Counted(seed, lambda x: jnp.tanh(slope * x))

    first = Made(build(0, 2.0), X, Y)
    count = len(traces)
    assert count == 2  # once for the forward pass, once for the energy
    second = Made(build(1, 2.0), X, Y)
    assert len(traces) == count
    assert second.structure is first.structure
    assert second.problem is first.problem
    assert np.any(second.start.h["vodes[0]"] != first.start.h["vodes[0]"])
    Made(build(1, 3.0), X, Y)
    assert len(traces) == 2 * count
    Made(build(1, 2.0), X[:2], Y[:2])  # another size of batch, traced anew
    assert len(traces) == 3 * count


def test_structures_say_what_differs():
    def of(model, learn: Any = pxnn.LayerParam):
        return Structure.of(model, learn)

    base = of(Mlp(4, 5, 2))
    assert of(Mlp(4, 5, 2, seed=1)) is base
    frozen = Mlp(4, 5, 2)
    frozen.layers[0].nn.weight.frozen = True
    free = Mlp(4, 5, 2)
    free.vodes[-1].h.frozen = False
    evaluated = Mlp(4, 5, 2)
    evaluated.eval()
    for other in (of(Plain(4, 5, 2)), of(Mlp(4, 5, 2, energy=pxc.ce_energy)), of(frozen), of(free)):
        assert other != base
    assert of(Mlp(4, 5, 2), lambda p: False) != base
    assert of(evaluated).values_of(Mlp(4, 5, 2)).weights.keys() == base.values_of(evaluated).weights.keys()


# -- back into the model ------------------------------------------------------------------------------
def arrays(model):
    return [np.asarray(p) for layer in model.layers for p in (layer.nn.weight, layer.nn.bias)]


def test_write_sets_weights_and_the_rest():
    structure = Structure.of(Normed("ema"), pxnn.LayerParam)
    model, source = Normed("ema"), Normed("ema")
    values = structure.values_of(source)
    new = ModelArrays({n: v + 1 for n, v in values.weights.items()}, jax.tree.map(lambda v: v + 1, values.rest))
    structure.write(model, new)
    got = structure.values_of(model)
    jax.tree.map(np.testing.assert_array_equal, (got.weights, got.rest), (new.weights, new.rest))
    assert model.vodes[0].get("h") is None


def test_write_refuses_another_model_and_leaves_it_alone():
    structure = Structure.of(Mlp(4, 5, 2), pxnn.LayerParam)
    values = structure.values_of(Mlp(4, 5, 2))
    values = values._replace(weights={n: v + 1 for n, v in values.weights.items()})
    for other in (Mlp(4, 5, 5, 2), Plain(4, 5, 2), Mlp(4, 5, 2, energy=pxc.ce_energy)):
        before = arrays(other)
        with pytest.raises(ValueError, match="is built differently from the model"):
            structure.write(other, values)
        jax.tree.map(np.testing.assert_array_equal, arrays(other), before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: {n: v for n, v in w.items() if n != "layers[1].nn.bias"}, r"weights don't fit.*layers\[1\].nn.bias"),
        (lambda w: {**w, "more": jnp.ones(1)}, "weights don't fit the model: .*more"),
        (
            lambda w: {**w, "layers[1].nn.bias": jnp.ones(3)},
            r"layers\[1\].nn.bias has shape \(2,\) in the model, \(3,\)",
        ),
    ],
)
def test_write_refuses_values_that_do_not_fit(change, message):
    model = Mlp(4, 5, 2)
    structure = Structure.of(model, pxnn.LayerParam)
    values = structure.values_of(model)
    before = arrays(model)
    with pytest.raises(ValueError, match=message):
        structure.write(model, ModelArrays(change({n: v + 1 for n, v in values.weights.items()}), values.rest))
    jax.tree.map(np.testing.assert_array_equal, arrays(model), before)


def test_write_refuses_a_model_of_another_width():
    structure = Structure.of(Mlp(4, 5, 2), pxnn.LayerParam)
    wide = Mlp(4, 6, 2)
    before = arrays(wide)
    with pytest.raises(ValueError, match=r"is built differently|has shape"):
        structure.write(wide, structure.values_of(Mlp(4, 5, 2)))
    jax.tree.map(np.testing.assert_array_equal, arrays(wide), before)
