# pyright: reportArgumentType=false, reportCallIssue=false
# (wrong types are what this file is about)
"""What is wrong is said at the door; in compiled code it is an outcome, and the weights stay as they were."""

import warnings

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

from .problems import UNLEVELLED, cast, jit, normal, seeded, weights

W, H = optax.sgd(0.1), optax.sgd(0.1)


def build(entropy=False, seed=0, act=jnp.tanh, widths=(3, 4, 4, 2)):
    return seeded(pxm.MLP, list(widths), act, pxc.ce_energy if entropy else pxc.se_energy, seed=seed)


def data(size=5):
    return jnp.asarray(normal(1, size, 3), jnp.float32), jnp.asarray(normal(2, size, 2), jnp.float32)


def unchanged(one, two):
    return all(np.array_equal(one[p], two[p], equal_nan=True) for p in one)


RULES = {
    "backprop": lambda: pxl.backprop(W),
    "pc": lambda: pxl.pc(W, H, 3),
    "ipc": lambda: pxl.ipc(W, H, 3),
    "zil": lambda: pxl.zil(W),
    "hil": lambda: pxl.hil(W, T=4),
    "fpa": lambda: pxl.fpa(W, H, 3),
    "epc": lambda: pxl.epc(W, H, 3),
    "nudged": lambda: pxl.nudged(W, H, 3, 0.5, centred=True),
}


@pytest.mark.hasty
@pytest.mark.parametrize("name", RULES)
def test_numbers_that_are_not_finite_leave_the_weights_alone(name):
    rule, model, (x, y) = RULES[name](), build(), data()
    state = rule.init(model, (x, y))
    step = jit(rule.step)
    spoiled = {p: w.at[0].set(jnp.nan) if p == "layers[1].nn.bias" else w for p, w in state.weights.items()}
    cases = {
        "x": (state, (x.at[1, 2].set(jnp.nan), y)),
        "y": (state, (x, y.at[0, 0].set(jnp.nan))),
        "infinite y": (state, (x, y.at[0, 0].set(-jnp.inf))),
        "weights": (type(state)(spoiled, state.rest, state.optim, state.key, state.memory, state.structure), (x, y)),
    }
    for case, (before, batch) in cases.items():
        after, info = step(before, batch)
        assert int(info.result) == pxl.OUTCOME.not_finite, case
        assert unchanged(after.weights, before.weights), case
        said = pxl.explain(info, after)
        assert said is not None
        assert "at the start: look at the data and the weights" in said, (case, said)
        assert ("vodes[0]" if case == "x" else "vodes[2]" if "y" in case else "vodes[1]") in said, (case, said)
    # And the next good batch is learned from as ever.
    after, info = step(state, (x, y))
    assert int(info.result) == pxl.OUTCOME.ok


def test_states_that_run_away_are_named_with_the_step():
    model, (x, y) = build(act=lambda x: x, widths=(3, 4, 2)), data()
    rule = pxl.pc(W, optax.sgd(1e6), 20)
    state = rule.init(model, (x, y))
    after, info = jit(rule.step)(state, (x, y))
    assert int(info.result) == pxl.OUTCOME.not_finite
    assert unchanged(after.weights, state.weights)
    w = state.weights

    def energy(h):
        u = h @ w["layers[1].nn.weight"].T + w["layers[1].nn.bias"]
        first = x @ w["layers[0].nn.weight"].T + w["layers[0].nn.bias"]
        return 0.5 * jnp.sum((h - first) ** 2) + 0.5 * jnp.sum((y - u) ** 2)

    h, step = x @ w["layers[0].nn.weight"].T + w["layers[0].nn.bias"], 0
    while bool(jnp.all(jnp.isfinite(h))):
        h, step = h - 1e6 * jax.grad(energy)(h), step + 1
    assert 1 < step < 20
    assert pxl.explain(info, after) == (
        f"vodes[0] is not finite after inference step {step}: lower the rate of the states; or, if the batches before "
        "went well, of the weights or of a precision that learns "
        "(see docs/troubleshooting.md#numbers-are-nan-or-the-energy-grows)"
    )


@pytest.mark.hasty
@pytest.mark.parametrize("name", ["ipc", "zil", "hil", "fpa", "epc"])
def test_running_away_in_the_other_rules(name):
    fast = optax.sgd(1e30)
    rule = {
        "ipc": lambda: pxl.ipc(W, fast, 8),
        "zil": lambda: pxl.zil(W, fast),
        "hil": lambda: pxl.hil(W, fast, 8),
        "fpa": lambda: pxl.fpa(W, fast, 8),
        "epc": lambda: pxl.epc(W, fast, 8),
    }[name]()
    state = rule.init(build(), data())
    after, info = jit(rule.step)(state, data())
    assert int(info.result) == pxl.OUTCOME.not_finite
    assert unchanged(after.weights, state.weights)
    said = pxl.explain(info, after)
    assert said is not None
    assert "after inference step" in said
    assert "vodes[" in said


def test_weights_that_run_away():
    rule = pxl.backprop(optax.sgd(jnp.inf))
    state = rule.init(build(), data())
    after, _ = jit(rule.step)(state, data())
    # The gradients were finite, so the update was made: the next batch meets bad weights, and says so.
    again, info = jit(rule.step)(after, data())
    assert int(info.result) == pxl.OUTCOME.not_finite
    assert unchanged(after.weights, again.weights)


@pytest.mark.parametrize("name", ["pc", "zil"])
def test_a_batch_of_another_shape(name):
    rule = RULES[name]()
    state, step = rule.init(build(), data(5)), jit(rule.step)
    for size in (5, 1, 5):
        state, info = step(state, data(size))
        assert info.output.shape == (size, 2)
        assert int(info.result) == pxl.OUTCOME.ok
    with pytest.raises(ValueError, match=r"differ in size: x of shape \(5, 3\); y of shape \(4, 2\)"):
        step(state, (data(5)[0], data(4)[1]))
    with pytest.raises(ValueError, match=r"target of vodes\[2\] has shape \(5, 3\), its prediction \(5, 2\)"):
        step(state, (data(5)[0], jnp.ones((5, 3))))


def test_kept_values_belong_to_a_batch_size():
    rule = pxl.pc(W, H, 2, start=pxl.Kept())
    state = rule.init(build(), data(5))
    with pytest.raises((ValueError, TypeError)):
        rule.step(state, data(4))


@pytest.mark.parametrize("bad", [-1, 2])
def test_labels_outside_the_classes(bad):
    model, x = build(entropy=True), data()[0]
    good, labels = np.array([0, 1, 1, 0, 1]), np.array([0, 1, bad, 0, 1])
    rule = pxl.zil(W)
    with pytest.raises(ValueError, match=r"labels must be from 0 to 1 for the output node vodes\[2\], got"):
        rule.init(model, (x, labels))
    state = rule.init(model, (x, good))
    with pytest.raises(ValueError, match="labels must be from 0 to 1"):
        rule.step(state, (x, labels))
    after, info = jit(rule.step)(state, (x, labels))
    assert int(info.result) == pxl.OUTCOME.bad_label
    assert unchanged(after.weights, state.weights)
    assert "label is outside the classes" in str(pxl.explain(info, after))


def test_labels_are_one_hot_vectors():
    model, x, labels = build(entropy=True), data()[0], jnp.array([0, 1, 1, 0, 1])
    rule = pxl.zil(W)
    step = jit(rule.step)
    one = step(rule.init(model, (x, labels)), (x, labels))[0]
    two = step(rule.init(model, (x, jax.nn.one_hot(labels, 2))), (x, jax.nn.one_hot(labels, 2)))[0]
    assert unchanged(one.weights, two.weights)


@pytest.mark.parametrize("T", [0, -1, 2.5, True, "5", None])
def test_numbers_of_steps(T):
    for make in (
        lambda: pxl.pc(W, H, T),
        lambda: pxl.ipc(W, H, T),
        lambda: pxl.hil(W, T=T),
        lambda: pxl.fpa(W, H, T),
        lambda: pxl.epc(W, H, T),
        lambda: pxl.nudged(W, H, T, 0.1),
        lambda: pxl.mcpc(W, 0.1, T),
        lambda: pxl.hybrid(W, H, T),
        lambda: pxl.bpc(W, H, T),
    ):
        with pytest.raises((ValueError, TypeError), match=r"T must be|steps must be"):
            make()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: pxl.pc(0.1, H, 3), "optim_w must be an optax transformation.*float"),
        (lambda: pxl.zil(optax.sgd), "optim_w must be an optax transformation.*function"),
        (lambda: pxl.backprop(None), "optim_w must be an optax transformation.*NoneType"),
        (lambda: pxl.pc(W, 0.1, 3), "expected an optax transformation or a pcx.inference.Descent, got float"),
        (lambda: pxl.zil(W, 1.0), "expected an optax transformation.*float"),
        (lambda: pxl.hil(W, "sgd"), "expected an optax transformation.*str"),
        (lambda: pxl.epc(W, optax.sgd, 3), "expected an optax transformation.*function"),
    ],
)
def test_optimisers(make, said):
    with pytest.raises(TypeError, match=said):
        make()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: pxl.nudged(W, H, 3, 0), "beta must be in"),
        (lambda: pxl.nudged(W, H, 3, 1.5), "beta must be in"),
        (lambda: pxl.nudged(W, H, 3, -2), "beta must be in"),
        (lambda: pxl.nudged(W, H, 3, float("nan")), "beta must be in"),
        (lambda: pxl.nudged(W, H, 3, 0.1, centred=True, alternate=True), "both signs in every step"),
        (lambda: pxl.ipc(W, H, pxi.Plateau(3)), "fixed number of steps"),
        (lambda: pxl.ipc(W, H, 3, schedule=pxi.Sweeps()), "AllNodes"),
        (lambda: pxl.ipc(W, H, 3, schedule=pxi.LayerTime()), "AllNodes"),
        (lambda: pxl.zil(W, pxi.Langevin(0.1)), "Langevin"),
        (lambda: pxl.hil(W, pxi.Langevin(0.1)), "Langevin"),
        (lambda: pxl.mcpc(W, 0.1, 5, burn_in=5), "burn_in=5 leaves none of T=5"),
        (lambda: pxl.mcpc(W, 0.1, 5, burn_in=-1), "burn_in must be 0 or more"),
        (lambda: pxl.mcpc(W, -0.1, 5), "step must be positive"),
        (lambda: pxl.mcpc(W, 0.1, 5, momentum=1.0), "momentum must be in"),
        (lambda: pxl.pc(W, H, 3, precision=0.0), "precision must be above 0"),
        (lambda: pxl.pc(W, H, 3, precision={"vodes[0]": -1.0}), "precision must be above 0"),
        (lambda: pxl.LearnedPrecision(W, per="layer"), "per must be"),
        (lambda: pxl.LearnedPrecision(W, initial=0.0), "initial must be above 0"),
        (lambda: pxi.Sweeps("left"), "direction must be"),
    ],
)
def test_parts_that_make_no_sense_are_refused_when_the_rule_is_built(make, said):
    with pytest.raises(ValueError, match=said):
        make()


class Custom(pxc.EnergyModule):
    def __init__(self, hidden=pxc.se_energy, reach=True, clamp=True, vodes=True):
        super().__init__()
        self.layers = [pxnn.Linear(3, 4), pxnn.Linear(4, 2)]
        if vodes:
            self.vodes = [pxc.Vode(hidden), pxc.Vode()]
            self.vodes[-1].h.frozen = clamp
        self.reach = reach

    def __call__(self, x):
        x = self.layers[0](x)
        if not hasattr(self, "vodes"):
            return self.layers[1](x)
        x = self.vodes[0](x) if self.reach else x
        return self.vodes[1](self.layers[1](x))


def cubic(vode, rkg=None):
    return (vode.get("h") - vode.get("u")) ** 4


def whole(vode, rkg=None):
    return jnp.sum((vode.get("h") - vode.get("u")) ** 2)


@pytest.mark.parametrize(
    ("rule", "model", "said"),
    [
        (lambda: pxl.pc(W, H, 3), lambda: Custom(vodes=False), "Custom has no value nodes"),
        (lambda: pxl.pc(W, H, 3), lambda: Custom(reach=False), r"never reached the value node vodes\[0\]"),
        (lambda: pxl.pc(W, H, 3), lambda: Custom(clamp=False), "no node is clamped"),
        (lambda: pxl.zil(W), lambda: Custom(clamp=False), "no node is clamped"),
        (lambda: pxl.zil(W), lambda: Custom(cubic), r"zil: the energy of vodes\[0\] must be a squared error"),
        (lambda: pxl.hil(W), lambda: Custom(cubic), r"hil: the energy of vodes\[0\] must be a squared error"),
        (lambda: pxl.epc(W, H, 3), lambda: Custom(cubic), r"epc: the energy of vodes\[0\] must be a squared error"),
        (lambda: pxl.zil(W), lambda: UNLEVELLED["skip"].build(), "not levelled"),
        (lambda: pxl.hil(W, T=2), lambda: build(), "T=2, but the error needs 3 steps"),
        (lambda: pxl.hybrid(W, H, 3), lambda: build(), "MLP lacks a part.*generative"),
        (lambda: pxl.bpc(W, H, 3), lambda: build(), "MLP lacks a part.*generative"),
        (lambda: pxl.pc(W, H, 3, precision={"vodes[9]": 1.0}), lambda: build(), r"precision names 'vodes\[9\]'"),
        (
            lambda: pxl.pc(W, H, 3, precision={"vodes[0]": jnp.ones(3)}),
            lambda: Custom(),
            r"the precision of vodes\[0\] has shape \(3,\), its value \(4,\)",
        ),
        (
            lambda: pxl.pc(W, H, 3, precision={"vodes[0]": jnp.ones(4)}),
            lambda: Custom(whole),
            r"the energy of vodes\[0\] is one number for each sample",
        ),
        (
            lambda: pxl.pc(W, H, 3, precision=pxl.LearnedPrecision(W, per="feature", nodes=("vodes[0]",))),
            lambda: Custom(whole),
            r"LearnedPrecision: the energy of vodes\[0\] is one number",
        ),
        (lambda: pxl.pc(W, H, 3, learn=pxnn.LayerState), lambda: build(), "no weights to learn"),
    ],
)
def test_models_that_a_rule_cannot_work_on(rule, model, said):
    with pytest.raises(ValueError, match=said):
        rule().init(model(), data())


@pytest.mark.parametrize(
    ("batch", "error", "said"),
    [
        (lambda x, y: x, TypeError, r"pc.init: a batch is a pair \(x, y\)"),
        (lambda x, y: (x, y, y), TypeError, r"a batch is a pair \(x, y\), got 3 parts"),
        (lambda x, y: (x[:0], y[:0]), ValueError, "empty"),
        (lambda x, y: (x, y[:3]), ValueError, "differ in size"),
        (lambda x, y: (x, 1.0), ValueError, "is a scalar"),
        (lambda x, y: (x, None), ValueError, "no node is clamped"),
        (lambda x, y: (x, (y, y)), ValueError, "."),
        (lambda x, y: (x[:, :2], y), (ValueError, TypeError), "."),
    ],
)
def test_batches(batch, error, said):
    with pytest.raises(error, match=said):
        pxl.pc(W, H, 3).init(build(), batch(*data()))


def test_not_a_model():
    with pytest.raises(TypeError, match=r"^pc: expected a pxc.EnergyModule as the model, got Linear"):
        pxl.pc(W, H, 3).init(pxnn.Linear(3, 2), data())


def test_a_state_goes_back_only_into_its_model():
    state = pxl.zil(W).init(build(), data())
    for other in (build(widths=(3, 4, 2)), build(widths=(3, 5, 4, 2)), build(entropy=True), Custom()):
        before = weights(other)
        with pytest.raises(ValueError, match=r"built differently|has shape|don't fit"):
            state.write_to(other)
        assert unchanged(before, weights(other))


def test_stacks():
    states = [pxl.zil(W).init(build(seed=i), data()) for i in range(2)]
    one, two = pxl.unstack(pxl.stack(states))
    assert unchanged(states[0].weights, one.weights)
    assert unchanged(states[1].weights, two.weights)
    with pytest.raises(ValueError, match="no states"):
        pxl.stack([])
    with pytest.raises(ValueError, match="built differently"):
        pxl.stack([states[0], pxl.zil(W).init(build(entropy=True), data())])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ["backprop", "pc", "zil", "epc"])
@pytest.mark.hasty
def test_half_precision(name, dtype):
    rule, model = RULES[name](), cast(build(), dtype)
    batch = jax.tree.map(lambda a: a.astype(dtype), data())
    state = rule.init(model, batch)
    after, info = jit(rule.step)(state, batch)
    assert int(info.result) == pxl.OUTCOME.ok
    assert all(w.dtype == dtype for w in after.weights.values())
    full = jit(rule.step)(rule.init(cast(model, "float32"), data()), data())[0]
    for path, w in full.weights.items():
        np.testing.assert_allclose(np.asarray(after.weights[path], np.float32), w, atol=2e-2)


class Wrong(pxc.EnergyModule):
    """A network with the mistakes that people make."""

    def __init__(self, bare=False, twice=False, hidden_marked=False):
        super().__init__()
        first = eqx.nn.Linear(3, 4, key=jax.random.PRNGKey(0)) if bare else pxnn.Linear(3, 4)
        self.layers = [first, pxnn.Linear(4, 4), pxnn.Linear(4, 2)]
        self.vodes = [pxc.Vode(), pxc.Vode(), pxc.Vode()]
        self.vodes[0 if hidden_marked else -1].h.frozen = True
        self.twice = twice

    def __call__(self, x, y=None):
        h = self.vodes[0](jnp.tanh(self.layers[0](x)))
        h = self.vodes[0 if self.twice else 1](jnp.tanh(self.layers[1](h)))
        self.vodes[2](self.layers[2](h))
        if y is not None:
            self.vodes[2].set("h", y)


def test_a_layer_of_equinox_as_it_is_would_not_learn():
    with pytest.warns(UserWarning, match=r"\.layers\[0\] will not learn.*pxnn.Layer"):
        pxl.pc(W, H, 3).init(Wrong(bare=True), data())

    class Bare(Wrong):
        def __init__(self):
            super().__init__()
            self.layers = [eqx.nn.Linear(a, b, key=jax.random.PRNGKey(0)) for a, b in ((3, 4), (4, 4), (4, 2))]

    with pytest.raises(ValueError, match=r"no weights to learn.*\.layers\[0\], \.layers\[1\].*pxnn.Layer"):
        pxl.pc(W, H, 3).init(Bare(), data())
    model = Wrong()
    model.layers.append(px.static(eqx.nn.Linear(3, 4, key=jax.random.PRNGKey(0))))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pxl.pc(W, H, 3).init(model, data())


def test_a_value_node_has_one_prediction():
    with pytest.raises(ValueError, match=r"vodes\[0\] 2 predictions.*a value node of its own"):
        pxl.pc(W, H, 3).init(Wrong(twice=True), data())


def test_a_hidden_node_that_is_marked_is_held_but_is_no_output():
    x, y = data()
    rule, model = pxl.pc(W, H, 3), Wrong(hidden_marked=True)
    state = rule.init(model, (x, y))
    _, info = rule.step(state, (x, y))
    assert info.output.shape == rule.predict(state, x).shape == y.shape
    output, energy = rule.evaluate(state, (x, y))
    np.testing.assert_allclose(energy, 0.5 * jnp.sum((y - output) ** 2, axis=1), rtol=1e-5)
    np.testing.assert_allclose(info.loss, jnp.mean(energy), rtol=1e-5)
    problem = pxl.bind(model, (x, y)).problem
    assert set(problem.clamped) == {"vodes[0]", "vodes[2]"}
    assert problem.outputs == ("vodes[2]",)


def test_what_fails_in_the_models_call_is_told_with_its_shapes():
    _, y = data()
    with pytest.raises(TypeError) as caught:
        pxl.pc(W, H, 3).init(build(), (jnp.ones((len(y), 5)), y))
    notes = "\n".join(caught.value.__notes__)
    assert (
        f"The model was called on one sample: x {jnp.ones(1).dtype}[5], y {y.dtype}[2]; the batch has {len(y)}" in notes
    )


def test_states_are_those_of_the_rule():
    model, batch = build(), data()
    with pytest.raises(TypeError, match="expected the state that init or the step before gave, got MLP"):
        pxl.pc(W, H, 3).step(model, batch)
    state = pxl.pc(optax.adam(0.1), H, 3).init(model, batch)
    for other in (pxl.zil(W), pxl.hil(optax.adam(0.1), T=4), pxl.pc(optax.sgd(0.1, momentum=0.9), H, 3)):
        with pytest.raises(ValueError, match="the state is that of another rule or another optimiser"):
            other.step(state, batch)
    pxl.zil(optax.adam(0.01)).step(state, batch)  # the same kind of memory: rules may take turns


def test_evaluate_takes_a_model_and_refuses_labels_outside_the_classes():
    model, (x, y) = build(), data()
    rule = pxl.pc(W, H, 3)
    state = rule.init(model, (x, y))
    for one, two in zip(rule.evaluate(model, (x, y)), rule.evaluate(state, (x, y)), strict=True):
        np.testing.assert_array_equal(one, two)
    for label in (-1, 2):
        with pytest.raises(ValueError, match=f"labels must be from 0 to 1.*got {label}"):
            rule.evaluate(state, (x, jnp.full(len(x), label)))


def test_class_numbers_are_integers():
    x, _ = data()
    with pytest.raises(ValueError, match=r"not float32: y\.astype\(int\)"):
        pxl.pc(W, H, 3).init(build(), (x, jnp.ones(len(x))))
    with pytest.raises(ValueError, match=r"class numbers have one axis, that of the samples: y\[:, 0\]"):
        pxl.pc(W, H, 3).init(build(), (x, jnp.ones((len(x), 1), int)))


def test_many_infos_are_explained_by_the_first_that_went_wrong():
    model, (x, y) = build(), data()
    rule = pxl.pc(W, H, 3)
    state = rule.init(model, (x, y))
    xs = jnp.stack([x, x, x.at[0, 0].set(jnp.nan), x.at[0].set(jnp.inf)])
    _, infos = jax.lax.scan(rule.step, state, (xs, jnp.stack([y] * 4)))
    assert pxl.explain(infos, state) == (
        "at [2]: vodes[0] is not finite at the start: look at the data and the weights "
        "(see docs/troubleshooting.md#numbers-are-nan-or-the-energy-grows)"
    )
    assert pxl.explain(jax.tree.map(lambda a: a[:2], infos), state) is None


def test_the_number_of_steps_is_no_setting():
    with pytest.raises(ValueError, match="must be known while the program is made"):
        jax.vmap(lambda T: pxl.pc(W, H, T).optim_w.init(T))(jnp.arange(1, 3))


def test_a_rule_shows_its_parts():
    assert repr(pxl.pc(W, H, 3)).startswith(
        "pc(descent=Optax, stop=Steps(steps=3), coordinates=Values(), schedule=WaveFront()"
    )
