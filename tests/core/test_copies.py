"""The copies that a traced function gets know their plan without a walk, and notice what is done to them."""

# Attributes that no class declares are what is tested here.
# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportOperatorIssue=false

import functools
import gc
import types
import weakref

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx as px
import pcx.core._walk as _walk
import pcx.functional as pxf
import pcx.nn as pxnn
import pcx.utils as pxu
from pcx.core import Filling, static_copies
from pcx.core._walk import plan_for, plan_of, walk


class Model(px.Module):
    def __init__(self):
        super().__init__()
        self.a = px.Param(jnp.array(1.0))
        self.b = px.Param(jnp.array(10.0))
        self.layers = [px.Param(jnp.array(100.0)), pxnn.Linear(2, 2)]
        self.by_name = {"x": px.Param(jnp.array(1000.0))}
        self.pair = (self.a, [self.b])
        self.again = self.layers
        self.n = 2
        self.table = np.array([1.0, 2.0])
        self.names = px.static(["p"])
        self.options = px.static({"k": [1], "t": (1, [2])})
        self.record = px.static(types.SimpleNamespace(n=[2]))
        self.act = functools.partial(jnp.full, (), dtype=jnp.float32)
        self.a.frozen = True


def total(*, m):
    """Depends on everything that a test below changes."""
    out = m.a * 1.0 + 2.0 * m.b
    if hasattr(m, "c"):
        out = out + 7.0 * m.c
    for i, p in enumerate(m.layers):
        out = out + (i + 1) * (p if isinstance(p, px.Param) else 0.5)
    for name, p in m.by_name.items():
        out = out + len(name) * p
    for p in m.pair[1]:
        out = out + 0.3 * p
    out = out * (3.0 if getattr(m.b, "frozen", False) else 1.0) * (0.5 if hasattr(m.a, "frozen") else 1.0)
    out = out + 0.1 * len(m.names) + 0.01 * sum(m.options["k"]) + 0.02 * sum(m.options["t"][1]) + 0.001 * m.n
    return (-out if m.is_train else out) + 0.05 * len(m.record.n) + m.act(0.125)


def fact(m):
    m.b.frozen = True


def no_fact(m):
    del m.a.frozen


def swap(m):
    m.a, m.b = m.b, m.a


def alias(m):
    m.b = m.a


CHANGES = {
    "nothing": lambda m: None,
    "append": lambda m: m.layers.append(px.Param(jnp.array(5.0))),
    "remove": lambda m: m.layers.pop(0),
    "replace in list": lambda m: m.layers.__setitem__(0, px.Param(jnp.array(6.0))),
    "add to dict": lambda m: m.by_name.update(yy=px.Param(jnp.array(3.0))),
    "other key": lambda m: m.by_name.update(xyz=m.by_name.pop("x")),
    "deep list": lambda m: m.pair[1].append(m.a),
    "swap": swap,
    "alias": alias,
    "replace": lambda m: setattr(m, "a", px.Param(jnp.array(4.0))),
    "no param": lambda m: setattr(m, "b", jnp.array(4.0)),
    "new attribute": lambda m: setattr(m, "c", px.Param(jnp.array(4.0))),
    "value": lambda m: m.a.set(jnp.array(4.0)),
    "fact": fact,
    "fact taken away": no_fact,
    "mode": lambda m: m.train(),
    "number": lambda m: setattr(m, "n", 3),
    "static": lambda m: setattr(m, "names", px.static(["p", "q"])),
    "static in place": lambda m: m.names.append("q"),
    "deep static in place": lambda m: m.options["k"].append(5),
    "static in a tuple": lambda m: m.options["t"][1].append(5),
    "record in place": lambda m: m.record.n.append(5),
    "function": lambda m: setattr(m, "act", functools.partial(jnp.full, (), dtype=jnp.float16)),
}


def in_vmap(m):
    return pxf.vmap(in_axes=0, out_axes=0)(lambda x, *, m: total(m=m) + x)(jnp.zeros(2), m=m)[0]


def in_grad(m):
    return pxf.value_and_grad()(total)(m=m)[0]


def in_jit(m):
    return pxf.jit()(total)(m=m)


def under_another_name(m):
    return pxf.jit()(lambda *, other: total(m=other))(other=m)


INNER = [in_vmap, in_grad, in_jit, under_another_name]


@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize("change", CHANGES)
def test_changes_inside_a_traced_function_are_noticed(change, inner):
    def fn(*, m):
        before = inner(m)  # the plan that the copy came with is used
        CHANGES[change](m)
        return before, inner(m), inner(m)

    def first(*, m):
        CHANGES[change](m)  # and here it is stale before it was used
        return inner(m)

    plain = Model()
    expected = [total(m=plain)]
    CHANGES[change](plain)
    expected += [total(m=plain)] * 2
    np.testing.assert_allclose(pxf.jit()(fn)(m=Model()), expected, rtol=1e-6)
    np.testing.assert_allclose(pxf.jit()(first)(m=Model()), expected[1], rtol=1e-6)


def same(plan, walked):
    assert plan.skeleton.key == walked.skeleton.key
    assert plan.skeleton.param_paths == walked.skeleton.param_paths
    assert plan.skeleton.raw_paths == walked.skeleton.raw_paths
    assert [id(p) for p in plan.params] == [id(p) for p in walked.params]
    assert [id(p) for p in plan.raws] == [id(p) for p in walked.raws]
    assert [id(p) for p in plan.statics] == [id(p) for p in walked.statics]
    assert [p._facts for p in plan.skeleton.params] == [p._facts for p in walked.skeleton.params]


def compiled(fn, **objects):
    pxf.jit()(fn)(**objects)


def mapped(fn, **objects):
    pxf.vmap(in_axes=0)(lambda x, **objects: fn(**objects))(jnp.zeros(2), **objects)


def differentiated(fn, **objects):
    pxf.value_and_grad()(lambda **objects: fn(**objects) or 0.0)(**objects)


@pytest.mark.parametrize("transform", [compiled, mapped, differentiated])
def test_the_plan_of_a_copy_is_that_of_a_walk(transform, monkeypatch):
    model, other = Model(), Model()
    other.shared = model.b
    other.m = model

    def fn(*, m, y, z):
        calls = [{"m": m, "z": z, "y": y}, {"m": m}, {"other": m}, {"a": m, "b": z}]
        if not isinstance(y, px.Param):
            del calls[-1]  # an array between the two: walked
        with monkeypatch.context() as patch:
            patch.setattr(_walk, "walk", None)
            plans = [plan_for(objects) for objects in calls]
            params = plan_of(m).params
        assert params == plans[1].params
        for plan, objects in zip(plans, calls, strict=True):
            same(plan, walk(objects))
            copy = plan.skeleton.build(Filling(plan.params, plan.raws, static_copies(plan)))
            assert walk(copy).skeleton.key == plan.skeleton.key
        same(plan_for({"z": z}), walk({"z": z}))  # not the first of the objects

    transform(fn, m=model, y=jnp.zeros(2), z=other)


def test_an_array_by_keyword_is_the_one_of_the_call():
    def fn(*, m, x):
        inner = pxf.jit()(lambda *, m, x: m.a * x)
        return inner(m=m, x=x), inner(m=m, x=x + 1), inner(m=m, x=jnp.array(7.0))

    np.testing.assert_array_equal(pxf.jit()(fn)(m=Model(), x=jnp.array(2.0)), [2, 3, 7])


def test_the_order_of_the_keywords_makes_no_second_plan():
    a, b = Model(), Model()
    assert plan_for({"a": a, "b": b}) is plan_for({"b": b, "a": a})
    assert plan_for({"a": a, "x": None}) is plan_for({"a": a, "x": None})


def test_one_program_for_models_that_were_walked_and_models_that_were_not():
    inner = pxf.jit()(lambda *, m: total(m=m) * 1.25)
    model = Model()
    expected = inner(m=model)
    np.testing.assert_allclose(pxf.jit()(lambda *, z: inner(m=z))(z=model), expected, rtol=1e-6)
    np.testing.assert_allclose(pxf.jit()(lambda *, m, z: inner(m=m))(m=Model(), z=model), expected, rtol=1e-6)
    assert len(inner._programs()) == 1


def gradients(model):
    def loss(*, m):
        return jnp.sum(m.layers[1](jnp.ones(2))) + m.a * m.b

    return pxf.value_and_grad({"m": True})(loss)(m=model)[1]["m"]


def stepped(model, grads, **options):
    pxu.Optim(lambda: optax.sgd(1.0), model).step(model, grads, **options)
    return float(model.a.get()), float(model.b.get())


def test_gradients_edited_by_hand():
    grads = gradients(Model())
    assert stepped(Model(), grads) == (-9.0, 9.0)
    assert stepped(Model(), grads) == (-9.0, 9.0)
    grads.a = px.Param(jnp.array(2.0))
    assert stepped(Model(), grads) == (-1.0, 9.0)
    grads.b.set(jnp.array(4.0))
    assert stepped(Model(), grads) == (-1.0, 6.0)
    grads.b = jnp.array(5.0)  # an array in place of the param
    assert stepped(Model(), grads) == (-1.0, 5.0)
    grads.b = None
    with pytest.raises(ValueError, match="no gradient"):
        stepped(Model(), grads)
    with pytest.warns(UserWarning, match="b had no gradient"):
        assert stepped(Model(), grads, allow_none=True) == (1.0, 10.0)
    grads.extra = px.Param(jnp.array(1.0))
    with pytest.raises(ValueError, match="extra"):
        stepped(Model(), grads)


def test_a_model_changed_between_steps():
    model = Model()
    optim = pxu.Optim(lambda: optax.sgd(1.0), model)
    optim.step(model, gradients(model))
    model.a = px.Param(jnp.array(3.0))
    optim.step(model, gradients(model))
    assert model.a.get() == 3.0 - 9.0
    del model.by_name["x"]
    with pytest.raises(ValueError, match="by_name"):
        optim.step(model, gradients(model))


def test_what_is_cleared_is_looked_for_again():
    model = Model()
    for _ in range(2):
        with pxu.step(model, clear_params=px.Param):
            pass
        assert model.a.get() is None
        model.a = px.Param(jnp.array(1.0))
        model.layers.append(px.Param(jnp.array(1.0)))
    with pxu.step(model, clear_params=px.Param):
        pass
    assert model.a.get() is None
    assert model.layers[-1].get() is None


def test_the_plan_of_gradients_has_none_for_arrays_and_tells_programs_apart():
    model = Model()
    grads = gradients(model)
    assert grads.n is None
    count = pxf.jit()(lambda *, m: jnp.array(m.n is None))
    assert not count(m=model)
    assert count(m=grads)


def test_a_model_that_holds_the_global_key():
    model = Model()
    model.key = px.RKG.key
    grads = gradients(model)
    assert grads.key is None
    before = px.RKG.key.get()

    def fn(*, m):
        assert m.key is px.RKG.key
        return pxf.jit()(lambda *, m: m.key.split())(m=m)

    pxf.jit()(fn)(m=model)
    assert not np.array_equal(before, px.RKG.key.get())


def test_copies_and_gradients_die_with_their_last_reference():
    seen = []

    def fn(x, *, m):
        plan_for({"m": m})
        plan_of(m)
        seen.append(weakref.ref(m))
        return x * m.a

    model = Model()
    grads = gradients(model)
    stepped(model, grads)
    seen.append(weakref.ref(grads))
    gc.disable()
    try:
        pxf.vmap(in_axes=0)(fn)(jnp.zeros(2), m=model)
        del grads
        assert [ref() for ref in seen] == [None, None]
    finally:
        gc.enable()


def test_an_identity_that_is_given_again():
    model = Model()

    def names(second):
        return plan_for({"m": model, "z": second}).skeleton.param_paths

    for i in range(20):
        second = px.Module()
        setattr(second, f"p{i}", px.Param(jnp.array(1.0)))
        assert names(second)[-1] == f"z.p{i}"
        del second  # the next may lie at the same place


def test_a_layer_replaced_inside():
    def fn(x, *, m):
        layer = m.layers[1]
        first = pxf.vmap(in_axes=0)(lambda x, *, m: m.layers[1](x))(x, m=m)
        layer.nn = eqx.tree_at(lambda n: n.weight, layer.nn, pxnn.LayerParam(jnp.zeros((2, 2))))
        return first, pxf.vmap(in_axes=0)(lambda x, *, m: m.layers[1](x))(x, m=m)

    model = Model()
    first, second = pxf.jit()(fn)(jnp.ones((3, 2)), m=model)
    bias = model.layers[1].nn.bias.get()
    np.testing.assert_allclose(second, np.broadcast_to(bias, (3, 2)), rtol=1e-6)
    assert not np.allclose(first, second)
    assert isinstance(model.layers[1].nn.weight.get(), jax.Array)
