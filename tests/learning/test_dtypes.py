"""Steps in fewer bits: products in 16, weights and sums in 32."""

import functools
import inspect
import pickle

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import optax
import pytest
from jax.extend import core as jex

import pcx.learning as pxl
import pcx.models as pxm
import pcx.nn as pxnn
import pcx.predictive_coding as pxc

from .problems import GRADIENT, cast, enable_x64, error, gradients, jit, normal, seeded, weights
from .test_every_rule import OWN, build, data, rules, same


def under(dtype, name, monkeypatch):
    """A rule of the list of all rules, with a policy."""
    for function in pxl.__all__:
        made = getattr(pxl, function)
        if inspect.isfunction(made) and next(iter(inspect.signature(made).parameters)) == "optim_w":
            monkeypatch.setattr(pxl, function, functools.partial(made, dtype=dtype))
    rule = rules()[name](0.01, 0.05)
    monkeypatch.undo()
    return rule


def products(jaxpr):
    """The dtypes of the operands of all products of matrices, wherever they are; not of sums, which are products
    with ones in full precision."""
    found = set()
    for eqn in jaxpr.eqns:
        if eqn.primitive.name == "dot_general" and eqn.params["precision"] is None:
            found |= {v.aval.dtype.name for v in eqn.invars}
        for sub in jtu.tree_leaves(list(eqn.params.values()), is_leaf=lambda x: isinstance(x, jex.ClosedJaxpr)):
            inner = sub.jaxpr if isinstance(sub, jex.ClosedJaxpr) else sub
            found |= products(inner) if hasattr(inner, "eqns") else set()
    return found


class Other(pxm.MLP):
    """A network that is traced in one test alone."""


class Elsewhere(pxc.EnergyModule):
    """Likewise, of two parts."""

    def __init__(self):
        super().__init__()
        self.generative, self.recognition = Other([2, 4, 4, 3], jnp.tanh), Other([3, 4, 4, 2], jnp.tanh)


NAMES = [name for name in rules() if name != OWN]


@pytest.mark.parametrize("name", [n if n in ("pc", "zil") else pytest.param(n, marks=pytest.mark.hasty) for n in NAMES])
def test_every_rule_multiplies_in_fewer_bits_and_keeps_its_state_in_32(name, monkeypatch):
    rule = under("bfloat16", name, monkeypatch)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")  # where products are taken as they are written
    state = rule.init(Elsewhere() if name in ("hybrid", "bpc") else Other([3, 4, 4, 2], jnp.tanh), data(), key=3)
    jaxpr, (new, info) = jax.make_jaxpr(rule.step, return_shape=True)(state, data())
    assert products(jaxpr.jaxpr) == {"bfloat16"}
    assert jtu.tree_structure(new) == jtu.tree_structure(state)
    for a, b in zip(jtu.tree_leaves(new), jtu.tree_leaves(state), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
    for a in jtu.tree_leaves((new, info)):
        assert not jnp.issubdtype(a.dtype, jnp.floating) or a.dtype == jnp.float32
    shown, energy = jax.eval_shape(rule.evaluate, state, data())
    assert (shown.dtype, energy.dtype) == (jnp.float32, jnp.float32)


@pytest.mark.hasty
@pytest.mark.parametrize("name", NAMES)
def test_every_rule_learns_in_16_bits(name, monkeypatch):
    model = build(name)
    whole = [pxl.DTypePolicy("bfloat16", values="bfloat16")] if name in ("pc", "ipc", "epc") else []
    for dtype in ("float16", *whole):
        rule = under(dtype, name, monkeypatch)
        state = rule.init(model, data(), key=3)
        new, info = jit(rule.step)(state, data())
        assert int(info.result) == pxl.OUTCOME.ok
        assert all(a.dtype == jnp.float32 for a in new.weights.values())
        assert all(bool(jnp.any(w != state.weights[path])) for path, w in new.weights.items() if "layers[2]" in path)


def by_hand(w, x, y, dtype, rate, steps):
    """PC of `MLP([3, 4, 4, 2], tanh)`: float32, but for copies of what is multiplied."""

    def low(a):
        return a.astype(dtype).astype(jnp.float32)

    @jax.custom_vjp
    def product(h, w):
        return low(h) @ low(w).T

    def back(kept, grad):
        (h, w), grad = kept, low(grad)
        return grad @ w, grad.T @ h

    product.defvjp(lambda h, w: (product(h, w), (low(h), low(w))), back)

    def predict(w, i, h):
        u = product(h, w[f"layers[{i}].nn.weight"]) + w[f"layers[{i}].nn.bias"]
        return jnp.tanh(u) if i < 2 else u

    def energy(w, hidden):
        h = [x, *hidden, y]
        return sum(0.5 * jnp.sum((h[i + 1] - predict(w, i, h[i])) ** 2) for i in range(3))

    hidden = [predict(w, 0, x)]
    hidden.append(predict(w, 1, hidden[0]))
    for _ in range(steps):
        hidden = [h - rate * g for h, g in zip(hidden, jax.grad(energy, argnums=1)(w, hidden), strict=True)]
    return {path: g / len(x) for path, g in jax.grad(energy)(w, hidden).items()}


@pytest.mark.hasty
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_step_is_that_of_plain_jax_with_casts(dtype):
    model = seeded(pxm.MLP, [3, 4, 4, 2], jnp.tanh)
    rule = pxl.pc(GRADIENT, optax.sgd(0.1), 4, dtype=dtype)
    expected, full = (
        jit(functools.partial(by_hand, dtype=d, rate=0.1, steps=4))(weights(model), *data()) for d in (dtype, "float32")
    )
    assert error(gradients(model, data(), rule=rule), expected) < 0.1 * error(full, expected)


@pytest.mark.hasty
def test_the_dtype_of_the_model_is_the_same_to_the_bit():
    plain, low = (pxl.pc(optax.adam(0.01), optax.sgd(0.1), 4, dtype=dtype) for dtype in (None, "float32"))
    states = [jit(rule.step)(rule.init(build("pc"), data()), data())[0] for rule in (plain, low)]
    assert same(states[0].weights, states[1].weights)
    assert "dtype" not in vars(plain)  # nor is a rule described otherwise than it was


def test_equal_policies_are_one():
    rate = optax.sgd(0.1)
    made = [pxl.pc(rate, rate, 4, dtype=d) for d in ("bfloat16", jnp.bfloat16, pxl.DTypePolicy("bfloat16"))]
    assert made[0] is made[1] is made[2]
    assert pxl.pc(rate, rate, 4) is not made[0]


def test_a_state_can_be_pickled_and_goes_back_into_a_model():
    rule = pxl.zil(optax.adam(0.01), dtype="bfloat16")
    model = seeded(pxm.MLP, [3, 4, 2], jax.nn.gelu)
    state = rule.init(model, data())
    again = pickle.loads(pickle.dumps(state))
    assert again.structure is state.structure
    again.write_to(model)
    assert all(w.dtype == jnp.float32 for w in weights(model).values())
    one, two = rule.predict(model, data()[0]), rule.predict(state, data()[0])
    assert same(one, two)
    assert not same(one, pxl.zil(optax.adam(0.01)).predict(model, data()[0]))


class Normed(pxc.EnergyModule):
    """Two convolutions with batch normalisation, of which the first does not learn."""

    def __init__(self, mode):
        super().__init__()
        self.convs = [pxnn.Conv2d(1, 2, 3, padding=1), pxnn.Conv2d(2, 2, 3, padding=1)]
        self.convs[0].nn.weight.frozen = True
        self.norms = [pxnn.BatchNorm(2, "batch", mode=mode) for _ in self.convs]
        self.linear = pxnn.Linear(2, 2)
        self.vodes = [pxc.Vode(), pxc.Vode(pxc.ce_energy, output=True)]
        self.dtypes = []

    def __call__(self, x):
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = norm(conv(x))
            self.dtypes.append(x.dtype)
        return self.vodes[1](self.linear(self.vodes[0](jnp.tanh(x).mean((1, 2)))))


@pytest.mark.hasty
@pytest.mark.parametrize("mode", ["ema", "batch"])
def test_running_statistics_stay_float32(mode):
    model = seeded(Normed, mode)
    x, y = jnp.asarray(normal(0, 4, 1, 4, 4), jnp.float32), jnp.arange(4) % 2
    found = {}
    for values in (None, "float32", "bfloat16"):
        policy = None if values is None else pxl.DTypePolicy("bfloat16", values=values)
        rule = pxl.pc(optax.sgd(0.1), optax.sgd(0.1), 2, dtype=policy)
        state = rule.init(model, (x, y))
        found[values], _ = jax.eval_shape(rule.step, state, (x, y))
        assert jax.eval_shape(rule.evaluate, state, (x, y))[0].dtype == (values or "float32")
    made = [jtu.tree_map(lambda a: (a.shape, a.dtype), state.rest) for state in found.values()]
    assert made[0] == made[1] == made[2]


def test_a_normed_layer_gives_16_bits_for_16_bits():
    norm = pxnn.BatchNorm(2, "batch")
    x = jnp.asarray(normal(0, 6, 2, 3), jnp.float32)
    made = jax.vmap(norm, axis_name="batch")(x.astype(jnp.bfloat16))
    assert made.dtype == jnp.bfloat16
    mean = jtu.tree_leaves(norm.state.get())[1]
    assert not same(mean, mean.astype(jnp.bfloat16).astype(jnp.float32))
    np.testing.assert_allclose(made.astype(jnp.float32), jax.vmap(norm, axis_name="batch")(x), atol=0.05)


def test_what_leaves_the_range_of_float16_changes_nothing():
    x, y = data()
    rule = pxl.backprop(optax.sgd(0.1), dtype="float16")
    state = rule.init(build("backprop"), (x, y))
    new, info = jit(rule.step)(state, (1e5 * x, y))
    assert int(info.result) == pxl.OUTCOME.not_finite
    assert same(new.weights, state.weights)
    assert "is not finite at the start" in str(pxl.explain(info, new))


@pytest.mark.hasty
def test_small_shares_of_a_large_batch_count_in_float16():
    """Errors of 1e-7, shared by 4096 samples: float16 has no numbers below 6e-8."""
    x, y = data(4096)
    model = seeded(pxm.MLP, [3, 4, 2], jnp.tanh)
    batch = x, pxl.backprop(GRADIENT).predict(model, x) + 1e-6 * y
    low, full = gradients(model, batch, low=pxl.backprop(GRADIENT, dtype="float16"), full=pxl.backprop(GRADIENT))
    assert float(jnp.max(jnp.abs(full["layers[0].nn.weight"]))) < 1e-6
    assert all(bool(jnp.all(g != 0)) for g in low.values())


@pytest.mark.hasty
def test_rounding_of_predictions_is_no_rise():
    """Near the least energy of bfloat16 it goes up and down by rounding alone."""
    model = seeded(pxm.MLP, [3, 8, 8, 2], jnp.tanh)
    x = data(64)[0]
    rule = pxl.epc(optax.sgd(0.0), optax.sgd(0.05), 4, dtype="bfloat16")
    y = rule.predict(model, x) + 1e-4
    _, info = jit(rule.step)(rule.init(model, (x, y)), (x, y))
    assert int(info.result) == pxl.OUTCOME.ok


def test_binding_takes_a_policy():
    model = build("pc")
    bound = pxl.bind(model, data(), dtype=pxl.DTypePolicy("bfloat16", values="bfloat16"))
    landscape = bound.landscape(bound.start().targets)
    assert all(h.dtype == jnp.bfloat16 for h in landscape.start().values())
    shown = jax.make_jaxpr(lambda h: landscape.weight_gradient(h))(landscape.start())
    assert products(shown.jaxpr) == {"bfloat16"}


def test_what_is_no_policy_is_refused():
    rate = optax.sgd(0.1)
    for dtype, kind, text in [
        ("bfloat", TypeError, "pc: dtype must be one of 'bfloat16', 'float16', 'float32', got 'bfloat'"),
        ("int8", ValueError, "pc: dtype must be one of bfloat16, float16, float32"),
        ("float64", ValueError, "for float64 leave it out"),
    ]:
        with pytest.raises(kind, match=text):
            pxl.pc(rate, rate, 4, dtype=dtype)
    with pytest.raises(ValueError, match="values must be float32 or that of products, got float16"):
        pxl.DTypePolicy("bfloat16", values="float16")
    with pytest.raises(ValueError, match="products must be one of"):
        pxl.DTypePolicy("float64")


def test_weights_of_other_dtypes_are_refused():
    rule = pxl.zil(optax.sgd(0.1), dtype="bfloat16")
    text = r"dtype=bfloat16: layers\[0\].nn.weight is bfloat16, but the weights stay float32"
    with pytest.raises(ValueError, match=text):
        rule.init(cast(build("zil"), jnp.bfloat16), data())
    with enable_x64(True), pytest.raises(ValueError, match=r"layers\[0\].nn.weight is float64"):
        rule.init(build("zil"), data())


def test_a_state_of_other_dtypes_is_refused():
    plain, low = (pxl.zil(optax.sgd(0.1), dtype=d) for d in (None, "bfloat16"))
    with pytest.raises(ValueError, match=r"zil\.step: the state was made for dtypes those of the model"):
        low.step(plain.init(build("zil"), data()), data())
    with pytest.raises(ValueError, match="this rule's are those of the model"):
        plain.step(low.init(build("zil"), data()), data())
