"""What the nodes of a batch are held at, and what the rules make of it."""

import dataclasses

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

from .problems import enable_x64

pytestmark = pytest.mark.usefixtures("double")
X, Y = np.random.default_rng(0).normal(size=(2, 4, 3))


class Heads(pxc.EnergyModule):
    def __init__(self, names):
        super().__init__()
        self.names = names
        self.layers = [pxnn.Linear(3, 3) for _ in names]
        for name in names:
            setattr(self, name, pxc.Vode())
            getattr(self, name).h.frozen = True

    def __call__(self, x):
        for name, layer in zip(self.names, self.layers, strict=True):
            getattr(self, name)(layer(x))


def held(model, y):
    return {n: float(v[0, 0]) for n, v in pxl.bind(model, (X, y)).start().targets.items()}


def test_targets_go_by_the_order_of_the_model_or_by_name():
    zero, one = np.zeros((4, 3)), np.ones((4, 3))
    assert list(held(Heads(("top", "bottom")), (zero, one)).items()) == [("top", 0.0), ("bottom", 1.0)]
    assert list(held(Heads(("bottom", "top")), (zero, one)).items()) == [("bottom", 0.0), ("top", 1.0)]
    assert held(Heads(("top", "bottom")), {"bottom": one, "top": zero}) == {"top": 0.0, "bottom": 1.0}


@pytest.mark.parametrize(
    ("y", "what"),
    [
        ({"label": Y, "top": Y}, "label"),
        ({"top": Y}, "bottom"),
        ({"top": Y, "bottom": (Y, Y)}, "one array"),
        (({"a": Y, "b": Y},), "by node"),
        ((Y,), "1 targets"),
    ],
)
def test_targets_that_name_no_node_are_refused(y, what):
    with pytest.raises(ValueError, match=what):
        pxl.bind(Heads(("top", "bottom")), (X, y))


def test_the_order_of_the_model_is_that_of_what_is_shown():
    model = Heads(("top", "bottom"))
    rule = pxl.pc(optax.sgd(0.1), optax.sgd(0.1), 2)
    state = rule.init(model, (X, (Y, Y)))
    _, info = jax.jit(rule.step)(state, (X, (Y, Y)))
    assert list(info.energies) == list(info.output) == list(rule.predict(state, X)) == ["top", "bottom"]
    assert list(rule.predict(model, X)) == list(rule.evaluate(state, (X, (Y, Y)))[0]) == ["top", "bottom"]


class Reconstruct(pxc.EnergyModule):
    """Holds its output at its input by itself."""

    def __init__(self):
        super().__init__()
        self.layers = [pxnn.Linear(3, 2), pxnn.Linear(2, 3)]
        self.vodes = [pxc.Vode(), pxc.Vode()]
        self.vodes[-1].h.frozen = True

    def __call__(self, x):
        self.vodes[1](self.layers[1](self.vodes[0](jnp.tanh(self.layers[0](x)))))
        self.vodes[1].set("h", x)


@pytest.mark.parametrize("y", [None, np.arange(4) % 3, Y])
def test_what_the_call_holds_is_not_overruled_by_the_batch(y):
    model = Reconstruct()
    np.testing.assert_array_equal(pxl.bind(model, (X, y)).start().targets["vodes[1]"], X)
    rule = pxl.pc(optax.sgd(0.1), optax.sgd(0.1), 2)
    assert rule.predict(rule.init(model, (X, y)), X, settle=True).shape == X.shape


class Own(pxc.EnergyModule):
    """Has two marked nodes, of which y holds one; says so itself."""

    def __init__(self):
        super().__init__()
        self.layers = [pxnn.Linear(3, 3), pxnn.Linear(3, 3)]
        self.vodes = [pxc.Vode(), pxc.Vode()]
        self.vodes[0].h.frozen = self.vodes[1].h.frozen = True

    def __call__(self, x, y):
        self.vodes[1](self.layers[1](self.vodes[0](self.layers[0](x))))
        if y is not None:
            self.vodes[1].set("h", y)


def test_what_predict_gives_does_not_depend_on_earlier_calls():
    rule, model = pxl.pc(optax.sgd(0.1), optax.sgd(0.1), 2), Own()
    before = rule.predict(model, X)
    state = rule.init(model, (X, Y))
    assert rule.predict(state, X).shape == X.shape
    after = rule.predict(model, X)
    assert list(before) == list(after) == ["vodes[0]", "vodes[1]"]


def test_a_problem_of_another_batch_size_is_refused():
    model = pxm.MLP([3, 2, 3])
    four, two = pxl.bind(model, (X, Y)), pxl.bind(model, (X[:2], Y[:2]))
    begin = two.start()
    for wrong in (
        lambda: dataclasses.replace(four, x=X[:2], y=Y[:2]).start(),
        lambda: dataclasses.replace(four, x=X[:2], y=Y[:2]).landscape(begin.targets).energies(four.start().h),
        lambda: four.landscape(begin.targets),
        lambda: four.landscape(four.start().targets).gradient(begin.h),
        lambda: four.landscape(four.start().targets).weight_gradient(begin.h),
        lambda: pxl.weight_gradient(four, two.landscape(begin.targets), begin.h),
    ):
        with pytest.raises(ValueError, match="batch"):
            wrong()
    again = four.at(batch=(X[:2], Y[:2]))
    found, right = [b.landscape(b.start().targets).weight_gradient(begin.h).gradient for b in (again, two)]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), found, right)


class Gauss(pxc.Vode):
    """An output with a learned log-variance."""

    def __init__(self):
        super().__init__(lambda v, rkg: 0.5 * (v.get("h") - v.get("u")) ** 2 * jnp.exp(-v.s.get()) + 0.5 * v.s.get())  # pyright: ignore[reportAttributeAccessIssue]
        self.s = pxnn.LayerParam(jnp.array([0.1, 0.2, 0.3]))


def _step(rule, model, batch):
    state = rule.init(model, batch)
    after, info = rule.step(state, batch)
    return {k: np.asarray(state.weights[k] - after.weights[k]) for k in state.weights}, info


@pytest.mark.hasty
def test_weights_in_an_outputs_energy_learn():
    model = pxm.MLP([3, 2, 3], act=jnp.tanh)
    model.vodes[-1] = Gauss()
    model.vodes[-1].h.frozen = True
    right, _ = _step(pxl.backprop(optax.sgd(1.0)), model, (X, Y))
    for rule in (pxl.zil(optax.sgd(1.0)), pxl.fpa(optax.sgd(1.0), optax.sgd(1.0), 3)):
        found, _ = _step(rule, model, (X, Y))
        for path in right:
            np.testing.assert_allclose(found[path], right[path], rtol=1e-10, atol=1e-12)
    epc, _ = _step(pxl.epc(optax.sgd(1.0), optax.sgd(0.1), 300), model, (X, Y))
    pc, _ = _step(pxl.pc(optax.sgd(1.0), optax.sgd(0.1), 300), model, (X, Y))
    np.testing.assert_allclose(epc["vodes[1].s"], pc["vodes[1].s"], rtol=1e-8)


class _Squashed(pxc.Vode):
    def get(self, key, default=None, rkg=px.RKG):
        value = super().get(key, default, rkg)
        return jnp.tanh(value) if key == "h" else value


TFORMS = {"act": lambda vode, key, value, rkg: jnp.tanh(value)}


@pytest.mark.hasty
@pytest.mark.parametrize(
    "make",
    [
        lambda: pxc.Vode(ruleset={".*": ("h -> h:act",)}, tforms=TFORMS),
        lambda: pxc.Vode(ruleset={"(?!init).*": ("u -> u:act",)}, tforms=TFORMS),
        lambda: pxc.Vode(ruleset={"": ("u <- u:act",)}, tforms=TFORMS),
        _Squashed,
    ],
)
def test_a_value_read_through_a_rule_has_an_error_at_the_start(make):
    model = pxm.MLP([3, 2, 2, 3])
    model.vodes[0], model.vodes[1] = make(), make()
    batch = (X, Y)
    both = [
        _step(pxl.pc(optax.sgd(0.1), optax.sgd(0.1), 2, schedule=s), model, batch)[1].energy
        for s in (pxi.WaveFront(), pxi.AllNodes())
    ]
    np.testing.assert_allclose(*both, rtol=1e-12)
    for rule in (pxl.zil(optax.sgd(0.1)), pxl.fpa(optax.sgd(0.1), optax.sgd(1.0), 2)):
        with pytest.raises(ValueError, match="squared error"):
            rule.init(model, batch)


@pytest.mark.hasty
def test_zil_gives_an_optimiser_the_values_that_move():
    model, batch = pxm.MLP([3, 4, 3], act=jnp.tanh), (X, Y)
    transformation = optax.chain(optax.add_decayed_weights(0.3), optax.sgd(0.5), optax.keep_params_nonnegative())
    bound = pxl.bind(model, batch)
    start = bound.start()
    gradient = jax.grad(bound.landscape(start.targets).total)(start.h)["vodes[0]"]
    h = start.h["vodes[0]"]
    error = transformation.update(gradient, transformation.init(h), h)[0]
    found, _ = _step(pxl.zil(optax.sgd(1.0), transformation), model, batch)
    # The weights learn of the prediction that the error has reached: the error itself, times the slope of tanh.
    expected = -jnp.mean(error * (1 - h**2), axis=0)  # pyright: ignore[reportOperatorIssue]
    np.testing.assert_allclose(found["layers[0].nn.bias"], expected, rtol=1e-10, atol=1e-12)


class Chain(pxc.EnergyModule):
    """An output, from whose value a second one is predicted."""

    def __init__(self):
        super().__init__()
        self.l = [pxnn.Linear(3, 3) for _ in range(5)]
        self.v = [pxc.Vode() for _ in range(5)]
        self.v[1].h.frozen = self.v[4].h.frozen = True

    def __call__(self, x):
        for layer, vode in zip(self.l, self.v, strict=True):
            x = vode(jnp.tanh(layer(x)))


@pytest.mark.hasty
def test_what_is_predicted_from_a_held_node_is_predicted_from_what_it_is_held_at():
    model, batch = Chain(), (X, (Y, X))

    def loss(weights):
        def apply(i, x):
            return jnp.tanh(x @ weights[f"l[{i}].nn.weight"].T + weights[f"l[{i}].nn.bias"])

        first = apply(1, apply(0, X))
        second = apply(4, apply(3, apply(2, Y)))
        return 0.5 * (jnp.sum((Y - first) ** 2) + jnp.sum((X - second) ** 2)) / len(X)

    rule = pxl.zil(optax.sgd(1.0), level=True)
    right = jax.grad(loss)(rule.init(model, batch).weights)
    for made in (rule, pxl.fpa(optax.sgd(1.0), optax.sgd(1.0), 4)):
        found, info = _step(made, model, batch)
        for path in right:
            np.testing.assert_allclose(found[path], right[path], rtol=1e-10, atol=1e-12)
        # What is shown is of the model's own forward pass, which knows no targets.
        np.testing.assert_allclose(info.output["v[4]"], rule.predict(model, X)["v[4]"], rtol=1e-10)
    both = [
        _step(pxl.pc(optax.sgd(0.1), optax.sgd(0.1), 2, schedule=s), model, batch)[1].energy
        for s in (pxi.WaveFront(), pxi.AllNodes())
    ]
    np.testing.assert_allclose(*both, rtol=1e-12)


@pytest.mark.hasty
def test_a_network_without_hidden_nodes_takes_the_delta_rules_step():
    model = pxm.MLP([3, 3])
    right, _ = _step(pxl.backprop(optax.sgd(1.0)), model, (X, Y))
    w, h = optax.sgd(1.0), optax.sgd(0.1)
    rules = [pxl.pc(w, h, s) for s in (3, pxi.Plateau(3), pxi.GradientNorm(3))]
    rules += [pxl.mcpc(w, 0.05, 3, burn_in=1), pxl.epc(w, h, pxi.Plateau(3)), pxl.zil(w), pxl.fpa(w, h, 3)]
    for rule in [*rules, pxl.ipc(w, h, 1), pxl.pc(w, h, 2, schedule=pxi.Sweeps())]:
        found, info = _step(rule, model, (X, Y))
        assert int(info.result) == 0
        for path in right:
            np.testing.assert_allclose(found[path], right[path], rtol=1e-10, atol=1e-12)


@pytest.mark.hasty
def test_an_infinite_input_is_said_though_it_saturates():
    model, bad = pxm.MLP([3, 2, 3], act=jnp.tanh), X.copy()
    bad[0, 0] = np.inf
    w, h = optax.sgd(0.1), optax.sgd(0.1)
    for rule in (pxl.backprop(w), pxl.zil(w), pxl.pc(w, h, 2), pxl.epc(w, h, 2)):
        state = rule.init(model, (X, Y))
        after, info = rule.step(state, (bad, Y))
        assert int(info.result) == pxl.OUTCOME.not_finite
        assert "the input x" in (pxl.explain(info, after) or "")
        jax.tree.map(np.testing.assert_array_equal, after.weights, state.weights)


def test_labels_that_are_no_class_are_refused_or_give_no_number():
    model, good, bad = pxm.MLP([3, 2, 3]), np.array([0, 1, 2, 1]), np.array([0, 1, 2, 3])
    with pytest.raises(ValueError, match="labels must be from 0 to 2"):
        pxl.bind(model, (X, bad))
    rule = pxl.backprop(optax.sgd(0.1))
    state = rule.init(model, (X, good))
    evaluate = jax.jit(lambda y: rule.evaluate(state, (X, y))[1])
    assert np.isfinite(evaluate(good)).all()
    assert np.isnan(evaluate(bad)).all()


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_labels_beyond_what_jax_keeps_are_refused_at_every_door(dtype):
    with enable_x64(False):
        model, good = pxm.MLP([3, 2, 3]), np.array([0, 1, 2, 1], dtype)
        bad, x = good + dtype(2**32), X.astype(np.float32)
        rule = pxl.backprop(optax.sgd(0.1))
        state = rule.init(model, (x, good))
        for door in (
            lambda: rule.init(model, (x, bad)),
            lambda: rule.step(state, (x, bad)),
            lambda: rule.evaluate(state, (x, bad)),
            lambda: rule.check_labels(state, (x, good), bad),
            lambda: pxl.bind(model, (x, bad)),
        ):
            with pytest.raises(ValueError, match="can hold"):
                door()
