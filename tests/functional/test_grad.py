"""value_and_grad: derivatives by keyword and by position."""

# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false

import collections

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import optax
import pytest

import pcx as px
import pcx.functional as pxf
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.utils as pxu


class Weight(px.Param):
    pass


class Model(px.Module):
    def __init__(self):
        super().__init__()
        self.w = Weight(jnp.arange(1.0, 4.0))
        self.b = Weight(jnp.array(0.5))
        self.h = px.Param(jnp.ones(3))
        self.n = 2
        self.act = px.static(jnp.tanh)
        self.layers = [self.w, {"again": self.b}]


MASK = pxu.M(Weight).to((False, True))
X = jnp.array([0.1, -0.2, 0.3])


def pure(w, b, x):
    return jnp.sum(jnp.tanh(w * x + b) ** 2)


def loss(x, *, m):
    return jnp.sum(m.act(m.layers[0] * x + m.layers[1]["again"].get()) ** 2)


def hand(m):
    mask = pxu.M(Weight).to((False, False))(m)
    mask.w = True  # where the params were assigned first
    mask.b = True
    return mask


@pytest.mark.parametrize("mask", [MASK, {"m": MASK}, {"m": hand}, lambda objects: MASK(objects)])
def test_like_jax(mask):
    m = Model()
    value, grads = pxf.value_and_grad(mask)(loss)(X, m=m)
    expected, (gw, gb) = jax.value_and_grad(pure, (0, 1))(m.w.get(), m.b.get(), X)
    np.testing.assert_allclose(value, expected)
    g = grads["m"]
    assert type(g) is Model
    np.testing.assert_allclose(g.w.get(), gw, rtol=1e-6)  # where the params were assigned first
    np.testing.assert_allclose(g.b.get(), gb, rtol=1e-6)
    assert isinstance(g.b, Weight)
    assert g.layers[0] is g.layers[1]["again"] is None
    assert g.h is g.n is g.act is None
    assert m.w._mark is None
    (value, aux), _ = pxf.value_and_grad(mask, has_aux=True)(lambda x, *, m: (loss(x, m=m), 1.0, {"a": x}))(X, m=m)
    assert aux[0] == 1.0
    np.testing.assert_array_equal(aux[1]["a"], X)
    assert len(aux) == 2


def test_a_mask_edited_by_hand():
    m = Model()
    mask = pxu.M(Weight).to((False, False))(m)
    mask.b = True
    _, grads = pxf.value_and_grad({"m": mask})(loss)(X, m=m)
    assert grads["m"].w is grads["m"].layers[0] is None
    np.testing.assert_allclose(grads["m"].b.get(), jax.grad(pure, 1)(m.w.get(), m.b.get(), X), rtol=1e-6)


@pytest.mark.parametrize("argnums", [0, (0,), (0, 1), (-1,)])
def test_positional(argnums):
    def fn(x, y, *, m):
        return jnp.sum(m.w * x["a"] * y)

    m, x, y = Model(), {"a": X}, X + 1
    value, (positional, by_keyword) = pxf.value_and_grad(MASK, argnums=argnums)(fn)(x, y, m=m)
    expected = jax.grad(lambda x, y: jnp.sum(m.w.get() * x["a"] * y), argnums)(x, y)
    jax.tree.map(np.testing.assert_allclose, positional, expected)
    np.testing.assert_allclose(by_keyword["m"].w.get(), X * y)
    np.testing.assert_allclose(value, jnp.sum(m.w.get() * X * y))


def test_changes_are_kept_and_selected_params_hold_their_value():
    m = Model()

    def fn(*, m):
        m.h.set(m.w * 2)
        m.w.set(m.w * 3)
        return jnp.sum(m.w * m.h)

    value, grads = pxf.value_and_grad(MASK)(fn)(m=m)
    np.testing.assert_allclose(grads["m"].w.get(), 12 * jnp.arange(1.0, 4.0))
    np.testing.assert_allclose(m.w.get(), 3 * jnp.arange(1.0, 4.0))
    np.testing.assert_allclose(m.h.get(), 2 * jnp.arange(1.0, 4.0))
    assert value == 6 * 14
    assert not isinstance(m.w.get(), jax.core.Tracer)


def test_trees_and_none_in_params():
    d, none = px.ParamDict({"a": jnp.array(2.0), "b": jnp.array(3.0)}), px.Param(None)
    _, grads = pxf.value_and_grad({"d": True, "none": True})(lambda *, d, none: d["a"] ** 2 * d["b"])(d=d, none=none)
    assert grads["d"]["a"] == 12.0
    assert grads["d"]["b"] == 4.0
    assert grads["none"].get() is None


def test_none_is_in_the_place_of_what_was_not_asked_for():
    class Tied(px.Module):
        def __init__(self):
            super().__init__()
            self.a = Weight(jnp.array([1.0, 2.0]))
            self.inner = px.Module()
            self.inner.w = Weight(jnp.array(3.0))
            self.same = self.inner  # a shared module
            self.none = Weight(None)
            self.scale = px.static(2.0)
            self.t = (self.a, px.Param(jnp.ones(2)), jnp.ones(2))

    def fn(*, m, p):
        return jnp.sum(m.a * m.inner.w) + jnp.sum(m.t[0] * p) + m.same.w.get() * m.scale.get()

    m = Tied()
    _, grads = pxf.value_and_grad(pxu.M(Weight).to((False, True)))(fn)(m=m, p=m.a)
    g = grads["m"]
    np.testing.assert_allclose(g.a.get(), 3 + 2 * m.a.get())  # the sum over all places, at the first
    np.testing.assert_allclose(g.inner.w.get(), 3.0 + 2.0)
    assert g.same.w is g.t[0] is grads["p"] is None
    assert g.t[1] is g.t[2] is g.scale is None
    assert type(g.none) is Weight
    assert g.none.get() is None
    # The structure is that of the mask, so that Optax takes both.
    assert jax.tree.structure(grads) == jax.tree.structure(pxu.M(Weight)({"m": m, "p": m.a}))
    assert len(jax.tree.leaves(grads)) == 2


@pytest.mark.parametrize("transform", [pxf.jit(), lambda f: f])
def test_gradients_of_trees_of_several_kinds(transform):
    layers = collections.OrderedDict(b=Weight(jnp.array(2.0)), a=[Weight(jnp.array(3.0)), px.Param(jnp.array(5.0))])

    @transform
    def both(*, layers):
        _, grads = pxf.value_and_grad(MASK)(lambda *, layers: layers["b"] * layers["a"][0] * layers["a"][1])(
            layers=layers
        )
        return jax.tree.leaves(grads), type(grads["layers"]) is collections.OrderedDict

    values, kept = both(layers=layers)
    assert values == [15.0, 10.0]
    assert kept


def test_the_first_place_is_that_which_was_assigned_first():
    class Tied(px.Module):
        def __init__(self):
            super().__init__()
            self.weight = Weight(jnp.array(2.0))
            self.shared = self.weight
            self.upper = px.Module()
            self.upper.w = Weight(jnp.array(3.0))
            self.below = self.upper

    def fn(*, m):
        return m.weight * m.shared * m.below.w

    m = Tied()
    edited = pxu.M(Weight).to((False, False))(m)
    edited.weight = edited.upper.w = True
    by_hand = {"m": edited}
    for mask in (MASK, by_hand, {"m": lambda m: MASK(m)}, lambda objects: MASK(objects)):
        _, grads = pxf.value_and_grad(mask)(fn)(m=m)
        assert (grads["m"].weight.get(), grads["m"].upper.w.get()) == (12.0, 4.0)
        assert grads["m"].shared is grads["m"].below.w is None
    optim = pxu.Optim(lambda: optax.sgd(0.5), pxu.M(Weight)(m))
    updates = optim.step(m, grads["m"], apply_updates=False)
    assert (updates.weight.get(), updates.upper.w.get()) == (-6.0, -2.0)
    optim.apply_updates(m, updates)
    assert (m.shared.get(), m.below.w.get()) == (-4.0, 1.0)
    mapped = pxf.vmap({"m": pxu.M(Weight).to((None, 0))(m)})
    m.weight.set(jnp.ones(4))
    m.upper.w.set(jnp.full(4, 2.0))
    np.testing.assert_array_equal(mapped(fn)(m=m), 2.0)


def test_second_derivatives():
    m = Model()
    first = pxf.value_and_grad({"m": MASK})(loss)

    def outer(*, m):
        return jnp.sum(first(X, m=m)[1]["m"].w.get() ** 2)

    _, grads = pxf.value_and_grad(MASK)(outer)(m=m)
    w, b = m.w.get(), m.b.get()
    expected = jax.grad(lambda w: jnp.sum(jax.grad(pure)(w, b, X) ** 2))(w)
    np.testing.assert_allclose(grads["m"].w.get(), expected, rtol=1e-5)


def test_reduce_axes():
    m = Model()
    each = pxf.vmap(in_axes=0, out_axes=None, axis_name="batch")(
        lambda x, *, m: pxf.value_and_grad(MASK, reduce_axes="batch")(loss)(x, m=m)[1]["m"].w.get()
    )
    xs = jnp.stack([X, 2 * X])
    expected = sum(jax.grad(pure)(m.w.get(), m.b.get(), x) for x in xs)
    np.testing.assert_allclose(each(xs, m=m), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("fn", "match"),
    [
        (lambda *, m: m.w.get(), "scalar"),
        (lambda *, m: (m.w.sum(), 1), "has_aux"),
        (lambda *, m: None, "scalar"),
        (lambda *, m: 1, "floating"),
    ],
)
def test_refusals(fn, match):
    m = Model()
    w = m.w.get()
    with pytest.raises(TypeError, match=match):
        pxf.value_and_grad(MASK)(fn)(m=m)
    assert m.w.get() is w


def test_integers_have_no_gradient():
    with pytest.raises(TypeError, match="no gradient"):
        pxf.value_and_grad({"p": True})(lambda *, p: p * 1.0)(p=px.Param(1))


def test_an_exception_changes_nothing():
    m = Model()
    m.cache = px.ParamDict({"a": jnp.ones(2)})
    before, held = m.w.get(), m.cache.get()

    def fn(*, m):
        m.cache.get()["b"] = m.w.get()
        m.h.set(m.w.get())
        m.w *= 2
        raise RuntimeError

    with pytest.raises(RuntimeError):
        pxf.value_and_grad(MASK)(fn)(m=m)
    assert m.w.get() is before
    assert list(held) == ["a"]
    np.testing.assert_array_equal(m.h.get(), 1)


@pytest.mark.parametrize("argnums", [(), 0])
def test_a_param_given_by_place_keeps_its_value_and_gets_no_tracer(argnums):
    class Held(px.Module):
        def __init__(self, value):
            super().__init__()
            self.w = px.Param(value)
            self.kept = [px.static(1)]

    def fn(given, *, model):
        given.w.set(given.w.get() * model.w.get())
        given.kept[0].set(2)
        given.kept.append(model.w.get())
        given.other = model.w.get()
        return jnp.sum(given.w.get() ** 2)

    given, model = Held(jnp.arange(3.0)), Held(jnp.full(3, 2.0))
    mask = {"model": pxu.M(px.Param).to((False, True))}
    value, grads = pxf.value_and_grad(mask, argnums=argnums)(fn)(given, model=model)
    by_keyword = grads if argnums == () else grads[1]
    assert value == 20.0
    np.testing.assert_allclose(by_keyword["model"].w.get(), [0.0, 4.0, 16.0])
    if argnums == 0:
        np.testing.assert_allclose(grads[0].w.get(), [0.0, 8.0, 16.0])
    np.testing.assert_array_equal(given.w.get(), [0.0, 1.0, 2.0])
    assert [s.get() for s in given.kept] == [1]
    assert not hasattr(given, "other")


def test_arrays_beside_params_have_gradients_where_a_mask_selects_them():
    net = {"w": px.Param(jnp.array([1.0, 2.0])), "raw": jnp.array([3.0, 4.0]), "n": jnp.array([1, 2])}

    def f(x, *, net):
        return (net["w"] * net["raw"] * x * net["n"]).sum()

    for wrap in (lambda g: g, lambda g: pxf.jit()(g)):
        run = wrap(
            lambda x, *, net: pxf.value_and_grad({"net": {"w": True, "raw": True, "n": False}})(f)(x, net=net)[1]
        )
        g = run(2.0, net=net)["net"]
        np.testing.assert_array_equal(g["w"].get(), [6.0, 16.0])
        np.testing.assert_array_equal(g["raw"], [2.0, 8.0])
        assert g["n"] is None
    _, g = pxf.value_and_grad({"x": True})(lambda *, x: (x**2).sum())(x=jnp.array([1.0, 3.0]))
    np.testing.assert_array_equal(g["x"], [2.0, 6.0])
    _, g = pxf.value_and_grad({"net": {"w": True, "raw": False, "n": False}})(f)(2.0, net=net)
    assert g["net"]["raw"] is None


@pytest.mark.parametrize("name", ["self", "x", "i", "pred", "carry", "args", "fn"])
def test_a_keyword_may_have_any_name(name):
    def f(y, /, **objects):
        objects[name] += y
        return objects[name] * 1.0

    calls = {
        "jit": lambda p: pxf.jit()(f)(1.0, **p),
        "vmap": lambda p: pxf.vmap({name: 0}, in_axes=(0,), out_axes=0)(f)(jnp.ones(2), **p),
        "value_and_grad": lambda p: pxf.value_and_grad({name: True})(lambda y, /, **o: f(y, **o).sum())(1.0, **p),
        "scan": lambda p: pxf.scan(lambda y, /, **o: ((), f(1.0, **o)), length=1)(**p),
        "while_loop": lambda p: pxf.while_loop(lambda i, /, **o: i + f(1.0, **o)[0] * 0 + 1, lambda i, /, **o: i < 1)(
            0.0, **p
        ),
        "cond": lambda p: pxf.cond(f, f)(True, 1.0, **p),
        "switch": lambda p: pxf.switch((f, f))(0, 1.0, **p),
    }
    for call in calls.values():
        p = px.Param(jnp.array([1.0, 2.0]))
        call({name: p})
        np.testing.assert_array_equal(p.get(), [2.0, 3.0])


class Phases(pxc.EnergyModule):
    def __init__(self):
        super().__init__()
        self.layer = pxnn.Linear(2, 2, rkg=px.RandomKeyGenerator(0))
        self.vode = pxc.Vode()

    def __call__(self, x):
        self.vode.set("h", x)
        self.vode(self.layer(x))
        return self.energy()


def phase(model, status, mode=None):
    with pxu.step(model, status, clear_params=pxc.VodeParam.Cache):
        if mode is not None:
            model.mode(mode)
        mask = {"model": pxu.M(pxnn.LayerParam).to((False, True))}
        return pxf.value_and_grad(mask)(lambda *, model: model(jnp.ones(2)))(model=model)[1]["model"]


@pytest.mark.parametrize("transform", [pxf.jit(), lambda f: f])
def test_gradients_of_two_phases_fit_one_another_and_their_masks(transform):
    selected = pxu.M(pxnn.LayerParam)

    def contrast(*, model):
        weights = selected(model)
        free, nudged = (
            phase(model, "free", px.Module.MODE.EVAL),
            phase(model, ("nudged", "after"), px.Module.MODE.TRAIN),
        )
        difference = jtu.tree_map(lambda a, b: (a - b, b), free, nudged)
        assert jtu.tree_structure(free) == jtu.tree_structure(weights) == jtu.tree_structure(selected(model))
        update, _ = optax.sgd(0.5).update(nudged, optax.sgd(0.5).init(weights), weights)
        moved = optax.apply_updates(weights, update)
        return difference.layer.nn.weight.get(), moved.layer.nn.bias.get(), model.layer.nn.bias.get()

    (zero, grad), moved, bias = transform(contrast)(model=Phases())
    np.testing.assert_array_equal(zero, 0)
    np.testing.assert_allclose(moved, bias - 0.5 * grad[:, 0], rtol=1e-6)


def test_models_of_other_modes_are_other_trees_but_their_weights_are_averaged():
    policy, target = Phases(), Phases()
    policy.train()
    target.eval()
    assert jtu.tree_structure(policy) != jtu.tree_structure(target)
    weights = pxu.M(pxnn.LayerParam)
    mean = jtu.tree_map(lambda a, b: 0.5 * (a + b), weights(policy), weights(target))
    np.testing.assert_allclose(mean.layer.nn.weight, policy.layer.nn.weight.get())
    assert mean.is_train


def test_an_array_that_stands_in_several_places_has_a_gradient_in_each():
    class Twice(px.Module):
        def __init__(self):
            super().__init__()
            table = jnp.ones(2)
            self.b = self.a = table
            self.rows, self.rate, self.p = [table, jnp.ones(2)], 1.0, px.Param(jnp.ones(2))
            self.again = self.p

    def loss(*, m):
        return jnp.sum(2 * m.a + 3 * m.b + 5 * m.p + 7 * m.rows[0] + m.rate * m.again)

    _, grads = pxf.value_and_grad({"m": True})(loss)(m=Twice())
    found = grads["m"]
    for got, expected in ((found.a, 2), (found.b, 3), (found.p.get(), 6), (found.rows[0], 7), (found.rows[1], 0)):
        np.testing.assert_array_equal(got, jnp.full(2, expected, jnp.float32))
    assert found.again is None
    assert found.rate is None
