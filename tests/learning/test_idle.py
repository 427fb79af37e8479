"""Weights that learn nothing, however long values settle, are named by `init`: those that the call makes no use of,
behind `stop_gradient` and its like, and on side branches. What is said is what a step shows."""

import warnings

import jax
import jax.numpy as jnp
import optax
import pytest

import pcx.learning as pxl
import pcx.nn as pxnn
import pcx.predictive_coding as pxc

from .problems import jit, normal, seeded

W, H = optax.sgd(0.1), optax.sgd(0.1)
BATCH = jnp.asarray(normal(1, 5, 4), jnp.float32), jnp.asarray(normal(2, 5, 3), jnp.float32)
stop = jax.lax.stop_gradient


class Plain(pxc.EnergyModule):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = pxnn.Linear(4, 5), pxnn.Linear(5, 5), pxnn.Linear(5, 3)
        self.va, self.vb, self.out = pxc.Vode(), pxc.Vode(), pxc.Vode(output=True)

    def first(self, x):
        return self.va(jnp.tanh(self.a(x)))

    def body(self, x):
        return self.vb(jnp.tanh(self.b(self.first(x))))

    def __call__(self, x):
        return self.out(self.c(self.body(x)))


class Unused(Plain):
    def __init__(self):
        super().__init__()
        self.more = pxnn.Linear(2, 2)


class Branch(Plain):
    """A node that nothing is predicted from, and whose prediction moves with the others."""

    def __init__(self):
        super().__init__()
        self.side, self.leaf = pxnn.Linear(5, 2), pxc.Vode()

    def __call__(self, x):
        z = self.body(x)
        self.leaf(self.side(z))
        return self.out(self.c(z))


class Alone(Branch):
    """The same, with a prediction that never moves."""

    def __call__(self, x):
        self.leaf(self.side(jnp.concatenate([x, x[:1]])))
        return self.out(self.c(self.body(x)))


class Stopped(Plain):
    def first(self, x):
        return stop(super().first(x))


class Within(Plain):
    def body(self, x):
        return self.vb(stop(jnp.tanh(self.b(self.first(x)))))


class Rounded(Plain):
    def __init__(self):
        super().__init__()
        self.scale = pxnn.LayerParam(jnp.ones(5))

    def body(self, x):
        h = self.first(x) * jnp.round(self.scale.get())
        # The straight-through estimate has a gradient.
        return self.vb(jnp.tanh(self.b(h + stop(jnp.sign(h) - h))))


MODELS = {cls.__name__: cls for cls in (Plain, Unused, Branch, Alone, Stopped, Within, Rounded)}
RULES = {
    "pc": lambda: pxl.pc(W, H, 8),
    "zil": lambda: pxl.zil(W),
    "backprop": lambda: pxl.backprop(W),
    "from zeros": lambda: pxl.pc(W, H, 8, start=pxl.Zeros()),
    "Adam": lambda: pxl.pc(W, optax.adam(0.01), 8),
    "ipc": lambda: pxl.ipc(W, H, 8),
    "hil": lambda: pxl.hil(W, T=8),
    "epc": lambda: pxl.epc(W, H, 8),
    "fpa": lambda: pxl.fpa(W, H, 8),
    "mcpc": lambda: pxl.mcpc(W, 0.01, 8),
}


@pytest.mark.parametrize(
    "name", [n if i < 3 else pytest.param(n, marks=pytest.mark.hasty) for i, n in enumerate(RULES)]
)
@pytest.mark.parametrize("model", MODELS)
def test_what_is_said_to_learn_nothing_does_not(name, model):
    rule = RULES[name]()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        state = rule.init(seeded(MODELS[model]), BATCH)
    after = jit(rule.step)(state, BATCH)[0].weights
    still = {p.split(".nn.")[0] for p, w in state.weights.items() if bool(jnp.all(after[p] == w))}
    said = [str(w.message) for w in caught]
    if not still:
        assert not said
    else:
        assert len(said) == 1
        names = said[0].removeprefix(f"{rule.name}: ").split(" will learn nothing, whatever the batch")[0].split(", ")
        assert set(names) == still


def test_what_is_marked_is_not_said():
    model = seeded(Unused)
    for param in (model.more.nn.weight, model.more.nn.bias):
        param.frozen = True
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pxl.pc(W, H, 8).init(model, BATCH)
    model.more.nn.bias.frozen = False
    with pytest.warns(UserWarning, match=r"pc: more will learn nothing"):
        pxl.pc(W, H, 8).init(model, BATCH)


def test_a_part_of_a_layer_is_named_by_its_path():
    class Unbiased(Plain):
        def first(self, x):
            return self.va(jnp.tanh(self.a.nn.weight.get() @ x))

    with pytest.warns(UserWarning, match=r"pc: a.nn.bias will learn nothing"):
        pxl.pc(W, H, 8).init(seeded(Unbiased), BATCH)


# -- values that are not used -----------------------------------------------------------------------------------------
class Bypassed(Plain):
    """The node is told its prediction, and what it returns is thrown away."""

    def body(self, x):
        h = jnp.tanh(self.b(self.first(x)))
        self.vb(h)
        return h


@pytest.mark.parametrize("name", ["pc", "ipc", "zil", "backprop"])
def test_a_value_that_no_prediction_is_made_from_is_said(name):
    said = r"no prediction is made from the value of vb, though out is predicted by the same layers.* h = vode\(u\)"
    with pytest.warns(UserWarning, match=said):
        RULES[name]().init(seeded(Bypassed), BATCH)


# -- energies without a gradient where values start -------------------------------------------------------------------
class Root(pxc.Energy):
    def elements(self, h, u):
        return jnp.sqrt(jnp.square(h - u))


class Logarithm(pxc.Energy):  # of values above 0
    def elements(self, h, u):
        return jnp.square(jnp.log(h) - jnp.log(u))


def test_an_energy_whose_gradient_is_not_finite_at_the_start_is_said():
    model = seeded(Plain)
    model.vb.energy_fn = pxc.Vode(Root()).energy_fn
    with pytest.warns(UserWarning, match=r"the gradient of Root, the energy of vb, is not finite at h = u"):
        RULES["pc"]().init(model, BATCH)
    with pytest.warns(UserWarning, match="the gradient of Root"):
        jax.jit(lambda: RULES["pc"]().init(model, BATCH).weights)()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for energy in (Logarithm(), pxc.Laplace(), pxc.Huber()):
            model.vb.energy_fn = pxc.Vode(energy).energy_fn
            RULES["pc"]().init(model, BATCH)
        model.vb.energy_fn, model.out.energy_fn = pxc.Vode().energy_fn, pxc.Vode(Root()).energy_fn
        RULES["pc"]().init(model, BATCH)  # a clamped node starts elsewhere
