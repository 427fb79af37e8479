"""What a function reads of a configuration is part of what it computes, wherever it lies and however it is reached."""

import argparse
import array
import collections
import contextvars
import dataclasses
import enum
import functools
import os
import sys
import types
import warnings
from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx as px
import pcx.functional as pxf
import pcx.learning as pxl
import pcx.models as pxm
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.training as pxt
from pcx.core._key import function_key, static_key

X = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
Y = np.linspace(0, 1, 8, dtype=np.float32).reshape(4, 2)


class cfg:
    rate = 0.1
    deep = types.SimpleNamespace(rate=0.1)

    class inner:
        rate = 0.1


class Options:
    shared = 0.1

    def __init__(self):
        self.rate = 0.1
        self.other = types.SimpleNamespace(rate=0.1)

    @property
    def doubled(self):
        return 2 * self.rate

    @staticmethod
    def of_class():
        return cfg.rate

    @classmethod
    def of_own_class(cls):
        return cls.shared

    def method(self, count=0):
        return self.rate


@dataclasses.dataclass
class Data:
    rate: float = 0.1


class Slotted:
    __slots__ = ("rate",)

    def __init__(self):
        self.rate = 0.1


class Mode(enum.Enum):
    A = 0.1


options, slotted, data, namespace = Options(), Slotted(), Data(), argparse.Namespace(rate=0.1)
module = cast(Any, types.ModuleType("configuration_of_a_test"))
module.rate, module.cfg, module.table = 0.1, type("cfg", (), {"rate": 0.1}), {"rate": 0.1}


def helper():
    return cfg.rate


def helper_of_helper(count=0):
    return helper() * 2


helper_of_helper.rate = 0.1  # pyright: ignore[reportFunctionMemberAccess]


def aliased(x):
    c = cfg
    return x * c.rate


def aliased_module(x):
    m = module
    return x * m.rate


def through_getattr(x):
    return x * getattr(options, "rate")  # noqa: B009


def of_function(x):
    return x * helper_of_helper.rate  # pyright: ignore[reportFunctionMemberAccess, reportUnusedExpression]


class Table(dict):
    """A dict with attributes."""


class Number(float):
    """A number with attributes."""


@dataclasses.dataclass
class Made:
    """Holds more than its fields."""

    width: int = 3

    def __post_init__(self):
        self.rate = 0.1


table, number, made = Table(), Number(2.0), Made()
variable = contextvars.ContextVar("variable", default=0.1)
queue, row, boxes = collections.deque([0.1]), array.array("d", [0.1]), np.array([0.1], dtype=object)
sys.modules[module.__name__] = module
late = 0.1


def of_whole(c, x):
    return x * c.rate


def assigned_twice(x):
    first = second = cfg.rate
    return x * first + second


def matched(x):
    match cfg.rate:
        case 0.1:
            return x
        case _:
            return 2 * x


def imports(x):
    import configuration_of_a_test as c  # pyright: ignore

    return x * c.rate


def imports_from(x):
    from configuration_of_a_test import rate  # pyright: ignore

    return x * rate


def imports_for_another(x):
    import configuration_of_a_test as c  # pyright: ignore

    return (lambda: x * c.rate)()


def sets_if_need_be(x):
    global late
    if late is None:
        late = 0.1
    return x * late


def by_default(x, c=cfg):
    return x * c.rate


def by_cell(c):
    return lambda x: x * c.rate


def put(holder, name="rate"):
    return lambda value: setattr(holder, name, value)


READERS = {
    "class": (lambda x: x * cfg.rate, put(cfg)),
    "class, aliased": (aliased, put(cfg)),
    "class, nested attribute": (lambda x: x * cfg.deep.rate, put(cfg.deep)),
    "class in a class": (lambda x: x * cfg.inner.rate, put(cfg.inner)),
    "class, default": (by_default, put(cfg)),
    "class, cell": (by_cell(cfg), put(cfg)),
    "module": (lambda x: x * module.rate, put(module)),
    "module, aliased": (aliased_module, put(module)),
    "module, class in it": (lambda x: x * module.cfg.rate, put(module.cfg)),
    "module, dict in it": (lambda x: x * module.table["rate"], lambda v: module.table.update(rate=v)),
    "module, cell": (by_cell(module), put(module)),
    "object": (lambda x: x * options.rate, put(options)),
    "object, cell": (by_cell(options), put(options)),
    "object, nested": (lambda x: x * options.other.rate, put(options.other)),
    "object, getattr": (through_getattr, put(options)),
    "object, property": (lambda x: x * options.doubled, put(options)),
    "object, method": (lambda x: x * options.method(), put(options)),
    "object, attribute of its class": (lambda x: x * options.shared, put(Options, "shared")),
    "object, static method": (lambda x: x * options.of_class(), put(cfg)),
    "object, class method": (lambda x: x * options.of_own_class(), put(Options, "shared")),
    "bound method": (options.method, put(options)),
    "partial": (functools.partial(lambda o, x: x * o.rate, options), put(options)),
    "slots": (lambda x: x * slotted.rate, put(slotted)),
    "dataclass": (lambda x: x * data.rate, put(data)),
    "namespace": (lambda x: x * namespace.rate, put(namespace)),
    "enum": (lambda x: x * Mode.A.value, put(Mode.A, "_value_")),
    "function that is called": (lambda x: x * helper_of_helper(), put(cfg)),
    "attribute of a function": (of_function, put(helper_of_helper)),
    "value or another": (lambda x: x * (cfg.rate or 1.0), put(cfg)),
    "value with a name": (lambda x: x * (y := cfg.rate) + y, put(cfg)),
    "value before another with a name": (lambda x: cfg.rate * (y := x) + y, put(cfg)),
    "value of two names": (assigned_twice, put(cfg)),
    "match": (matched, put(cfg)),
    "import in the function": (imports, put(module)),
    "import of a name in the function": (imports_from, put(module)),
    "import for an inner function": (imports_for_another, put(module)),
    "global that the function may set": (sets_if_need_be, lambda value: globals().update(late=value)),
    "context variable": (lambda x: x * variable.get(), variable.set),
    "environment": (
        lambda x: x * float(os.getenv("RATE_OF_A_TEST", "1")),
        lambda v: os.environ.update(RATE_OF_A_TEST=str(v)),
    ),
    "default of a dict": (lambda x: x * table.setdefault("rate", 0.2), lambda value: table.update(rate=value)),
    "attribute of a dict": (lambda x: x * table.rate, put(table)),  # pyright: ignore[reportAttributeAccessIssue]
    "attribute of a number": (lambda x: x * number.rate, put(number)),  # pyright: ignore[reportAttributeAccessIssue, reportUnusedExpression]
    "dataclass, no field": (lambda x: of_whole(made, x), put(made)),
    "deque": (lambda x: x * queue[0], lambda value: queue.__setitem__(0, value)),
    "array of Python": (lambda x: x * row[0], lambda value: row.__setitem__(0, value)),
    "array of objects": (lambda x: x * boxes[0], lambda value: boxes.__setitem__(0, value)),
    "inner function": (lambda x: (lambda: x * cfg.rate)(), put(cfg)),
}


@pytest.fixture(autouse=True)
def restored():
    yield
    for _, set_rate in READERS.values():
        set_rate(0.1)
    os.environ.pop("RATE_OF_A_TEST", None)


@pytest.mark.parametrize("name", READERS)
def test_what_is_read_is_part_of_the_key(name):
    fn, set_rate = READERS[name]
    set_rate(0.1)
    first = function_key(fn)
    assert first == function_key(fn)
    assert static_key(fn) == static_key(fn)
    set_rate(0.5)
    assert function_key(fn) != first
    set_rate(0.1)
    assert function_key(fn) == first


def test_what_is_not_read_is_no_part():
    def fn(x):
        return x * cfg.rate

    first = function_key(fn)
    cfg.unread = 3  # pyright: ignore[reportAttributeAccessIssue]
    assert function_key(fn) == first
    del cfg.unread  # pyright: ignore[reportAttributeAccessIssue]


def test_what_a_function_only_writes_is_no_part():
    calls, counts = [], {"n": 0}

    class Count:
        n = 0

    def fn(x):
        calls.append(1)
        counts["n"] += 1
        Count.n += 1
        Count.last = x  # pyright: ignore[reportAttributeAccessIssue]
        return x

    first = function_key(fn)
    fn(1)
    assert function_key(fn) == first


def test_functions_of_imported_modules(tmp_path, monkeypatch):
    (tmp_path / "of_the_user.py").write_text(
        "class cfg:\n    rate = 0.1\n\ndef schedule(count):\n    return cfg.rate\n\ndef made():\n    return schedule\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import of_the_user  # pyright: ignore

    first = static_key(optax.sgd(of_the_user.schedule)), static_key(lambda c: of_the_user.schedule(c))
    of_the_user.cfg.rate = 0.5
    assert static_key(optax.sgd(of_the_user.schedule)) != first[0]
    assert static_key(lambda c: of_the_user.schedule(c)) != first[1]
    del sys.modules["of_the_user"]


def moved(make):
    """How far weights move at rates 0.1 and 0.5, the rule and all made anew by `make()`; and how often compiled."""
    found = []
    for value in (0.1, 0.5):
        cfg.rate = value
        found.append(make())
    return found[1] / found[0]


def schedule(count):
    return cfg.rate


@pytest.mark.parametrize("how", ["step", "fit"])
def test_optimisers(how):
    def make():
        px.RKG.seed(0)
        rule, model = pxl.backprop(optax.sgd(schedule)), pxm.MLP([3, 2], act=jnp.tanh)
        state = rule.init(model, (X, Y))
        if how == "step":
            after = jax.jit(rule.step)(state, (X, Y))[0]
        else:
            after = pxt.fit(model, rule, (X, Y), epochs=1, batch_size=4, show=False).states[0]
        return sum(float(jnp.abs(after.weights[k] - w).sum()) for k, w in state.weights.items())

    assert moved(make) == pytest.approx(5, rel=1e-3)


class Scaled(pxm.MLP):
    def __call__(self, x, y=None):
        return super().__call__(x * cfg.rate, y)


def scaled_energy(vode, rkg):
    return cfg.rate * 0.5 * (vode.get("h") - vode.get("u")) ** 2


def act(x):
    return x * cfg.rate


class Own(eqx.Module):
    w: jax.Array

    def __call__(self, x):
        return self.w @ x * cfg.rate


class Layered(pxc.EnergyModule):
    def __init__(self):
        super().__init__()
        self.layer = pxnn.Layer(Own, jnp.ones((2, 3)))
        self.vode = pxc.Vode()
        self.vode.h.frozen = True

    def __call__(self, x):
        return self.vode(self.layer(x))


MODELS = {
    "the model's call": lambda: Scaled([3, 2], act=jnp.tanh),
    "an activation": lambda: pxm.MLP([3, 2, 2], act=act),
    "a layer's call": Layered,
}


@pytest.mark.parametrize("name", MODELS)
def test_models(name):
    outputs = []
    models = []
    for value in (0.1, 0.5):
        cfg.rate = value
        px.RKG.seed(0)
        models.append(MODELS[name]())
        for p in jax.tree.leaves(models[-1], is_leaf=lambda p: isinstance(p, pxnn.LayerParam)):
            if isinstance(p, pxnn.LayerParam) and p.get() is not None and p.get().ndim == 1:
                p.set(jnp.zeros_like(p.get()))
        rule = pxl.backprop(optax.sgd(0.1))
        outputs.append(np.asarray(jax.jit(rule.step)(rule.init(models[-1], (X, Y)), (X, Y))[1].output))
    np.testing.assert_allclose(outputs[1], 5 * outputs[0], rtol=1e-4)


@pytest.mark.hasty
@pytest.mark.parametrize("same_model", [True, False])
def test_energies(same_model):
    kept = []

    def make():
        px.RKG.seed(0)
        model = kept[0] if kept and same_model else pxm.MLP([3, 2], act=jnp.tanh, energy=scaled_energy)
        rule = pxl.backprop(optax.sgd(0.1))
        state, info = jax.jit(rule.step)(rule.init(model, (X, Y)), (X, Y))
        kept.extend([model, state])
        return float(info.loss)

    assert moved(make) == pytest.approx(5, rel=1e-3)


def test_a_state_says_that_what_its_model_reads_has_changed():
    rule, model = pxl.backprop(optax.sgd(0.1)), MODELS["the model's call"]()
    state = rule.init(model, (X, Y))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rule.predict(state, X), rule.predict(state, X[:2])
    cfg.rate = 0.5
    with pytest.warns(UserWarning, match="has changed since the state was made"):
        rule.predict(state, X[:3])


def test_call_functions_and_compiled_functions():
    def make():
        px.RKG.seed(0)
        rule = pxl.backprop(optax.sgd(0.1), call=lambda m, x, y: m(x * cfg.rate))
        model = pxm.MLP([3, 2], act=jnp.tanh)
        jax.tree.leaves(model, is_leaf=lambda p: isinstance(p, pxnn.LayerParam))
        return float(jnp.abs(jax.grad(lambda a: rule.predict(model, a).sum())(jnp.asarray(X))).sum())

    assert moved(make) == pytest.approx(5, rel=1e-3)

    def compiled():
        return float(pxf.jit()(act)(jnp.float32(1)))

    assert moved(compiled) == pytest.approx(5, rel=1e-3)


def test_equal_configurations_share_a_program():
    calls = []

    class Net(pxm.MLP):
        def __call__(self, x, y=None):
            calls.append(1)
            return super().__call__(x * cfg.rate, y)

    step = pxf.jit()(lambda x, *, m: m(x))
    step(jnp.ones(3), m=Net([3, 2], act=jnp.tanh))
    n = len(calls)
    pxf.jit()(lambda x, *, m: m(x))(jnp.ones(3), m=Net([3, 2], act=jnp.tanh))
    assert len(calls) == n
