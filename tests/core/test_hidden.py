"""Modules inside of what is no tree to JAX are refused with their path, wherever a model is handed over."""

import collections
import dataclasses
import functools
import types
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx as px
import pcx.functional as pxf
import pcx.learning as pxl
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.utils as pxu


@dataclasses.dataclass
class Plain:
    a: object


@dataclasses.dataclass(frozen=True)
class Frozen:
    a: object


@dataclasses.dataclass(slots=True)
class Slots:
    a: object


class Object:
    def __init__(self, a):
        self.a = a


class Derived(Slots):
    __slots__ = ()


class Listed(list):
    pass


class Pair(NamedTuple):
    a: object


@functools.partial(jax.tree_util.register_dataclass, data_fields=["a"], meta_fields=["b"])
@dataclasses.dataclass
class Registered:
    a: object
    b: object = None


HOLDERS = {
    "dataclass": (Plain, "part.a.nn.weight"),
    "frozen dataclass": (Frozen, "part.a.nn.weight"),
    "slots": (Slots, "part.a.nn.weight"),
    "slots of a base": (Derived, "part.a.nn.weight"),
    "object": (Object, "part.a.nn.weight"),
    "namespace": (lambda a: types.SimpleNamespace(a=a), "part.a.nn.weight"),
    "list of dataclasses": (lambda a: [Plain(1), Plain(a)], "part[1].a.nn.weight"),
    "dict of dataclasses": (lambda a: {"k": Plain(a)}, "part['k'].a.nn.weight"),
    "dataclass of lists": (lambda a: Plain([a]), "part.a[0].nn.weight"),
    "dataclass in a named tuple": (lambda a: Pair(Plain(a)), "part.a.a.nn.weight"),
    "set": (lambda a: {a}, "part[0].nn.weight"),
    "deque": (lambda a: collections.deque([a]), "part[0].nn.weight"),
    "subclass of list": (lambda a: Listed([a]), "part[0].nn.weight"),
    "values of a dict": (lambda a: {"k": a}.values(), "part[0].nn.weight"),
    "array of objects": (lambda a: np.array([a, None], dtype=object), "part[0].nn.weight"),
    "metadata of a tree": (lambda a: Registered(1.0, a), "part.b.nn.weight"),
    "partial": (lambda a: functools.partial(a), "part.func.nn.weight"),
    "bound method": (lambda a: a.__call__, "part.__self__.nn.weight"),
    "lambda": (lambda a: lambda x: a(x), "part (its variable a).nn.weight"),
    "default": (lambda a: lambda x, layer=a: layer(x), "part (its default 0).nn.weight"),
    "compiled function": (lambda a: jax.jit(lambda x: a(x)), "part (its variable a).nn.weight"),
}


class Net(pxc.EnergyModule):
    def __init__(self, part, node=None):
        super().__init__()
        self.layer = pxnn.Linear(2, 2)
        self.part = part
        self.vode = pxc.Vode()
        self.vode.h.frozen = True

    def __call__(self, x):
        return self.vode(self.layer(x))


X = np.ones((3, 2), np.float32)


@pytest.mark.parametrize("holder", HOLDERS)
def test_a_hidden_layer_is_refused_by_its_path(holder):
    make, path = HOLDERS[holder]
    model = Net(make(pxnn.Linear(2, 2)))
    with pytest.raises(TypeError) as e:
        pxl.backprop(optax.sgd(0.1)).init(model, (X, X))
    assert str(e.value).startswith(path + " (LayerParam) would not be found")


@pytest.mark.parametrize("holder", ["dataclass", "slots", "list of dataclasses", "set"])
def test_a_hidden_value_node_is_refused_by_its_path(holder):
    make, path = HOLDERS[holder]
    with pytest.raises(TypeError) as e:
        pxl.zil(optax.sgd(0.1)).init(Net(make(pxc.Vode())), (X, X))
    assert path.removesuffix(".nn.weight") in str(e.value)
    assert "VodeParam" in str(e.value)


ENTRIES = {
    "jit": lambda m: pxf.jit()(lambda *, model: None)(model=m),
    "vmap": lambda m: pxf.vmap({"model": None}, in_axes=(0,))(lambda x, *, model: x)(X, model=m),
    "value_and_grad": lambda m: pxf.value_and_grad(pxu.M(pxnn.LayerParam).to((False, True)))(lambda *, model: 0.0)(
        model=m
    ),
    "bind": lambda m: pxl.bind(m, (X, X)),
    "predict": lambda m: pxl.backprop(optax.sgd(0.1)).predict(m, X),
    "mask": lambda m: pxu.M(pxnn.LayerParam)(m),
    "Optim": lambda m: pxu.Optim(lambda: optax.sgd(0.1), m),
    "save_params": lambda m: pxu.save_params(m, "/nowhere/file"),
    "shared": pxnn.shared,
    "clear_params": lambda m: m.clear_params(pxc.VodeParam),
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_wherever_a_model_is_handed_over(entry):
    with pytest.raises(TypeError, match=r"a\.nn\.weight \(LayerParam\) would not be found"):
        ENTRIES[entry](Net([Plain(pxnn.Linear(2, 2))]))


@pytest.mark.parametrize("part", [Pair, Registered], ids=lambda c: c.__name__)
def test_trees_are_found(part):
    state = pxl.backprop(optax.sgd(0.1)).init(Net(part(pxnn.Linear(2, 2))), (X, X))
    assert set(state.weights) == {"layer.nn.weight", "layer.nn.bias", "part.a.nn.weight", "part.a.nn.bias"}


def test_constants_without_params_are_left_alone():
    for part in (Plain(1), {2}, jnp.tanh, functools.partial(jnp.sum, axis=0), lambda x: x, Object([X])):
        pxl.backprop(optax.sgd(0.1)).init(Net(part), (X, X))


# -- reached by another way than through the model ------------------------------------------------------
OUTSIDE = pxnn.Linear(2, 2)
NODE = pxc.Vode()


class Global(Net):
    def __call__(self, x):
        return self.vode(self.layer(OUTSIDE(x)))


class ItsOwn(Net):
    def __call__(self, x):
        return self.vode(self.part(x))


class GlobalNode(Net):
    def __call__(self, x):
        return self.vode(self.layer(NODE(x)))


def of_its_own(make):
    model = ItsOwn(None)
    model.part = make(model)
    return model


def with_energy():
    model = Net(None)
    scale = model.scale = pxnn.LayerParam(jnp.ones(()))  # pyright: ignore[reportAttributeAccessIssue]
    model.vode = pxc.Vode(lambda vode, rkg: scale * (vode.get("h") - vode.get("u")) ** 2)
    model.vode.h.frozen = True
    return model


READS = {
    "global": lambda: Global(None),
    "bound method of its own layer": lambda: of_its_own(lambda m: m.layer.__call__),
    "lambda over itself": lambda: of_its_own(lambda m: lambda x: m.layer(x)),
    "energy over its own param": with_energy,
}


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("rule", [pxl.backprop(optax.sgd(0.1)), pxl.pc(optax.sgd(0.1), optax.sgd(0.1), T=2)], ids=repr)
def test_weights_that_the_call_reaches_by_another_way_are_refused(name, rule):
    with pytest.raises(TypeError, match=r"reads a LayerParam \(float32.*would not learn"):
        rule.init(READS[name](), (X, X))


def test_a_node_that_is_no_part_of_the_model_is_refused_and_left_as_it_was():
    with pytest.raises(TypeError, match=r"sets a VodeParam.* no part of the model"):
        pxl.backprop(optax.sgd(0.1)).init(GlobalNode(None), (X, X))
    assert NODE.h.get() is None
    assert NODE.cache.get() is None


def test_what_is_said_to_be_constant_is_taken():
    rule = pxl.backprop(optax.sgd(0.1))
    model = ItsOwn(None)
    model.part = px.static(pxnn.Linear(2, 2))
    model.scale = pxnn.LayerParam(jnp.ones(()))  # pyright: ignore[reportAttributeAccessIssue]
    assert "part.nn.weight" not in rule.init(model, (X, X)).weights
    for param in (OUTSIDE.nn.weight, OUTSIDE.nn.bias):
        param.frozen = True
    try:
        assert set(rule.init(Global(None), (X, X)).weights) == {"layer.nn.weight", "layer.nn.bias"}
    finally:
        del OUTSIDE.nn.weight.frozen, OUTSIDE.nn.bias.frozen


def test_what_the_call_makes_itself_is_its_own():
    class Making(Net):
        def __call__(self, x):
            node = pxc.Vode()
            node.h.set(x)
            scale = pxnn.LayerParam(jnp.ones(()))
            return self.vode(self.layer(node.h.get() * scale))

    assert set(pxl.backprop(optax.sgd(0.1)).init(Making(None), (X, X)).weights) == {"layer.nn.weight", "layer.nn.bias"}
