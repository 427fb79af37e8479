"""The factory of an optimiser is called by every init, inside of what is traced; and params that held None then."""

import copy
import functools
import pickle
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import optax
import pytest
from jax.core import Tracer

import pcx as px
import pcx.functional as pxf
import pcx.nn as pxnn
import pcx.utils as pxu

from .optimised import assert_close, by_layer, gradients, values


class Model(px.Module):
    def __init__(self):
        super().__init__()
        self.layers = [pxnn.Linear(2, 3), pxnn.Linear(3, 2)]


class Pair(px.Module):
    def __init__(self, a=0.0, b=0.0):
        super().__init__()
        self.a, self.b = px.Param(jnp.full(3, a, jnp.float32)), px.Param(jnp.full(2, b, jnp.float32))


def noisy():
    return optax.chain(optax.add_noise(1.0, 0.0, px.RKG()[0]), optax.scale(-1.0))


def noisy_in_update():
    rate = jax.random.uniform(px.RKG())  # an array that each step needs
    return optax.chain(optax.trace(0.5), optax.scale(-rate))


MAKERS = pytest.mark.parametrize("factory", [noisy, noisy_in_update])


def two_steps_by_optax(factory, key, grads, n=2):
    """What two steps from zeros give, with the transformation that the factory makes from a key."""
    kept = px.RKG.key.get()
    px.RKG.key.set(key)
    transformation = factory()
    after = px.RKG.key.get()
    px.RKG.key.set(kept)
    params: Any = {".a": jnp.zeros(3), ".b": jnp.zeros(2)}
    state = transformation.init(params)
    for _ in range(n):
        updates, state = transformation.update(grads, state, params)
        params = optax.apply_updates(params, updates)
    return params, after


def fresh(fn):
    """A compiled function that shares no program with an equal one of another test."""
    call = pxf.jit()(fn)
    call.clear_cache()
    return call


def in_one_trace(optim, model, grads):
    optim.init(model)
    optim.step(model, grads)
    optim.step(model, grads)


def in_a_scan(optim, model, grads):
    optim.init(model)

    def body(_, *, model, optim):
        optim.step(model, grads)
        return (), None

    pxf.scan(body, length=2)(model=model, optim=optim)


def in_a_loop(optim, model, grads):
    optim.init(model)

    def body(i, *, model, optim):
        optim.step(model, grads)
        return i + 1

    pxf.while_loop(body, lambda i, **_: i < 2)(jnp.array(0), model=model, optim=optim)


def in_calls_inside(optim, model, grads):
    pxf.jit()(lambda *, model, optim: optim.init(model))(model=model, optim=optim)
    pxf.cond(lambda **k: k["optim"].step(k["model"], grads) and None, lambda **_: None)(True, model=model, optim=optim)
    pxf.jit()(lambda g, *, model, optim: optim.step(model, g) and None)(grads, model=model, optim=optim)


@pytest.mark.hasty
@MAKERS
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("steps", [in_one_trace, in_a_scan, in_a_loop, in_calls_inside])
def test_each_init_draws_anew_inside_what_is_traced(factory, compiled, steps):
    model, optim, grads = Pair(), pxu.Optim(factory), jtu.tree_map(jnp.ones_like, Pair())

    def settle(grads, *, model, optim):
        model.a.set(jnp.zeros(3))
        model.b.set(jnp.zeros(2))
        steps(optim, model, grads)
        optim.clear()

    call = fresh(settle) if compiled else settle
    px.RKG.seed(4)
    seen = []
    for _ in range(3):
        expected, after = two_steps_by_optax(factory, px.RKG.key.get(), {".a": jnp.ones(3), ".b": jnp.ones(2)})
        call(grads, model=model, optim=optim)
        seen.append(np.asarray(model.a.get()))
        np.testing.assert_allclose(model.a.get(), expected[".a"], rtol=1e-5)
        np.testing.assert_allclose(model.b.get(), expected[".b"], rtol=1e-5)
        np.testing.assert_array_equal(px.RKG.key.get(), after)
    assert len({x.tobytes() for x in seen}) == 3
    assert not any(isinstance(x, Tracer) for x in jtu.tree_leaves((model, optim)))
    assert getattr(call, "n_traces", 1) == 1


@MAKERS
@pytest.mark.parametrize("init_compiled", [False, True])
@pytest.mark.parametrize("step_compiled", [False, True])
def test_a_step_in_another_call_has_the_noise_of_its_init(factory, init_compiled, step_compiled):
    model, optim, grads = Pair(), pxu.Optim(factory), jtu.tree_map(jnp.ones_like, Pair())

    def init(*, model, optim):
        optim.init(model)

    def step(grads, *, model, optim):
        optim.step(model, grads)

    init = fresh(init) if init_compiled else init
    step = fresh(step) if step_compiled else step
    px.RKG.seed(7)
    for _ in range(3):
        model.a.set(jnp.zeros(3))
        expected, after = two_steps_by_optax(factory, px.RKG.key.get(), {".a": jnp.ones(3), ".b": jnp.ones(2)})
        init(model=model, optim=optim)
        step(grads, model=model, optim=optim)
        step(grads, model=model, optim=optim)
        np.testing.assert_allclose(model.a.get(), expected[".a"], rtol=1e-5)
        np.testing.assert_array_equal(px.RKG.key.get(), after)  # a step draws nothing
    for call in (init, step):
        assert getattr(call, "n_traces", 1) == 1


@pytest.mark.parametrize("kind", ["Optim", "OptimTree"])
def test_how_often_the_factory_is_called(kind):
    calls = []

    def factory():
        calls.append(None)
        return optax.sgd(0.1, momentum=0.9)

    model = Model()
    optim = pxu.Optim(factory) if kind == "Optim" else pxu.OptimTree(factory, by_layer)
    assert not calls  # not when it is made
    each = 1 if kind == "Optim" else 2  # an optimiser for each node
    for n in range(1, 4):
        optim.init(pxu.M(pxnn.LayerParam)(model))
        assert len(calls) == n * each
        optim.step(model, gradients(model, 0))
        optim.step(model, gradients(model, 1))
        assert len(calls) == n * each
    step = fresh(lambda g, *, model, optim: optim.step(model, g) and None)
    for t in range(3):
        optim.init(pxu.M(pxnn.LayerParam)(model))
        step(gradients(model, t), model=model, optim=optim)
    assert step.n_traces == 1  # equal transformations are one program
    assert len(calls) == 6 * each
    init = fresh(lambda *, model, optim: optim.init(pxu.M(pxnn.LayerParam)(model)))
    init(model=model, optim=optim)
    init(model=model, optim=optim)
    assert len(calls) == 7 * each  # once a trace


def test_each_node_draws_its_own():
    model = Model()
    model.layers[1] = pxnn.Linear(2, 3)
    grads = jtu.tree_map(jnp.zeros_like, model)
    optim = pxu.OptimTree(noisy, by_layer, model)
    updates = pxf.jit()(lambda grads, *, model, optim: optim.step(model, grads))(grads, model=model, optim=optim)
    assert not np.allclose(updates.layers[0].nn.weight.get(), updates.layers[1].nn.weight.get())


def test_what_the_factory_reads_is_read_at_init():
    rate = [0.5]
    model, optim = Pair(), pxu.Optim(lambda: optax.sgd(rate[0]))
    step = pxf.jit()(lambda g, *, model, optim: optim.step(model, g) and None)
    grads = jtu.tree_map(jnp.ones_like, model)
    got = []
    for rate[0] in (0.5, 2.0, 0.5):
        model.a.set(jnp.zeros(3))
        optim.init(model)
        rate[0] = 100.0
        step(grads, model=model, optim=optim)
        got.append(float(model.a[0]))
    assert got == [-0.5, -2.0, -0.5]


def test_seeding_in_a_factory():
    def seeds():
        px.RKG.seed(3)
        return noisy()

    model, optim = Pair(), pxu.Optim(seeds)
    call = pxf.jit()(lambda *, model, optim: in_a_scan(optim, model, jtu.tree_map(jnp.zeros_like, model)))
    call(model=model, optim=optim)
    first = np.asarray(model.a.get())
    model.a.set(jnp.zeros(3))
    call(model=model, optim=optim)
    np.testing.assert_array_equal(model.a.get(), first)


def test_in_lanes():
    models = Pair()
    models.a.set(jnp.zeros((4, 3)))
    models.b.set(jnp.zeros((4, 2)))
    optim = pxu.Optim(noisy)
    mask = pxu.M(px.Param).to((None, 0))
    pxf.vmap(mask)(lambda *, m, o: o.init(m))(m=models, o=optim)
    zeros = jtu.tree_map(jnp.zeros_like, models)
    pxf.vmap(mask)(lambda *, m, o, g: o.step(m, g) and None)(m=models, o=optim, g=zeros)
    assert len(np.unique(np.asarray(models.a.get()))) == 12


def test_a_failure_in_the_factory_leaves_the_key():
    def fails():
        px.RKG()
        raise RuntimeError("in the factory")

    px.RKG.seed(1)
    before, optim = px.RKG.key.get(), pxu.Optim(fails)
    for call in (lambda *, m, o: o.init(m), pxf.jit()(lambda *, m, o: o.init(m))):
        with pytest.raises(RuntimeError, match="in the factory"):
            call(m=Pair(), o=optim)
        np.testing.assert_array_equal(px.RKG.key.get(), before)
        assert px.RKG.key._mark is None
    assert optim.state.get() is None


def test_the_factory_is_kept():
    def factory():
        return optax.sgd(0.5)

    model = Pair()
    for optim in (pxu.Optim(factory), pxu.OptimTree(factory, lambda x: isinstance(x, Pair))):
        assert isinstance(optim.optax_opt_fn, px.StaticParam)
        assert optim.optax_opt_fn.get() is factory
    by_hand = optim.optax_opt_fn()
    updates, _ = by_hand.update(jnp.ones(3), by_hand.init(jnp.ones(3)))
    np.testing.assert_array_equal(updates, -0.5)
    with pytest.warns(DeprecationWarning, match="lambda"):
        made = pxu.Optim(optax.sgd(0.5), model)  # a transformation in the factory's place
    made.step(model, jtu.tree_map(jnp.ones_like, model))
    np.testing.assert_array_equal(model.a.get(), -0.5)
    assert isinstance(made.optax_opt_fn(), optax.GradientTransformation)
    alike, other = pxu.Optim(lambda: optax.sgd(0.5), model), pxu.Optim(lambda: optax.sgd(0.25), model)
    states = [jtu.tree_structure(optim.state) for optim in (made, alike, other)]
    assert states[0] == states[1] != states[2]


@pytest.mark.parametrize("kind", ["Optim", "OptimTree"])
def test_what_makes_no_transformation_is_refused(kind):
    def make(factory):
        return pxu.Optim(factory) if kind == "Optim" else pxu.OptimTree(factory, by_layer)

    with pytest.raises(TypeError, match=rf"pxu\.{kind}: expected a function"):
        make(0.1)
    with pytest.raises(TypeError, match=rf"pxu\.{kind}\.init: the factory must return an Optax transformation, .*0\.1"):
        make(lambda: 0.1).init(Model())


def test_copies_go_on_alike():
    model, optim = Pair(), pxu.Optim(functools.partial(optax.adam, 0.1))
    optim.init(model)
    grads = jtu.tree_map(jnp.ones_like, model)
    optim.step(model, grads)
    for made in (copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))):
        m, o = made((Pair(1.0, 1.0), optim))
        o.step(m, grads)
        again = Pair(1.0, 1.0)
        copy.deepcopy(optim).step(again, grads)
        assert_close(values(m), values(again), rtol=0)
        assert jtu.tree_structure(o) == jtu.tree_structure(optim)


# -- a gradient of a param that held None at init ----------------------------------------------------------

KEEPS_NOTHING = {
    "sgd": lambda: optax.sgd(0.1),
    "clipped": lambda: optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1)),
    "decayed": lambda: optax.chain(optax.add_decayed_weights(0.1), optax.sgd(0.1)),
    "scheduled": lambda: optax.sgd(optax.exponential_decay(0.1, 1, 0.5)),
    "noise": lambda: optax.chain(optax.add_noise(1.0, 0.0, 3), optax.sgd(0.1)),
}
KEEPS_MOMENTS = {
    "momentum": lambda: optax.sgd(0.1, 0.9),
    "adam": lambda: optax.adam(0.1),
    "rmsprop": lambda: optax.rmsprop(0.1),
    "lion": lambda: optax.lion(0.1),
}


def late(factory, kind):
    model = Pair()
    model.b.set(None)
    if kind == "Optim":
        optim = pxu.Optim(factory, model)
    else:
        optim = pxu.OptimTree(factory, lambda x: isinstance(x, Pair), model)
    model.b.set(jnp.ones(2))
    grads = Pair()
    grads.a.set(jnp.arange(3.0))
    grads.b.set(jnp.arange(2.0) + 1)
    return model, optim, grads


@pytest.mark.parametrize("kind", ["Optim", "OptimTree"])
@pytest.mark.parametrize("name", KEEPS_NOTHING)
@pytest.mark.parametrize("compiled", [False, True])
def test_a_late_param_is_stepped_where_nothing_is_kept_of_it(kind, name, compiled):
    model, optim, grads = late(KEEPS_NOTHING[name], kind)
    params: Any = {".a": model.a.get(), ".b": model.b.get()}
    given = {".a": grads.a.get(), ".b": grads.b.get()}
    transformation = KEEPS_NOTHING[name]()
    at_init: Any = {".a": params[".a"], ".b": None}
    state = transformation.init(at_init)

    def step(grads, *, model, optim):
        optim.step(model, grads)

    step = pxf.jit()(step) if compiled else step
    for _ in range(2):
        step(grads, model=model, optim=optim)
        updates, state = transformation.update(given, state, params)
        params = optax.apply_updates(params, updates)
    assert_close([model.a.get(), model.b.get()], [params[".a"], params[".b"]], rtol=1e-5)


@pytest.mark.parametrize("kind", ["Optim", "OptimTree"])
@pytest.mark.parametrize("name", KEEPS_MOMENTS)
def test_a_late_param_is_refused_where_moments_are_kept(kind, name):
    model, optim, grads = late(KEEPS_MOMENTS[name], kind)
    state, before = optim.state.get(), values(model)
    with pytest.raises(ValueError, match=rf"pxu\.{kind}\.step: \.b has a gradient, but held None when init"):
        optim.step(model, grads)
    assert optim.state.get() is state
    assert all(a is b for a, b in zip(values(model), before, strict=True))
    optim.init(model)
    optim.step(model, grads)


def test_a_late_param_without_a_gradient():
    model, optim, grads = late(KEEPS_MOMENTS["adam"], "Optim")
    model.b.set(None)
    grads.b.set(None)
    with pytest.raises(ValueError, match=r"\.b has no gradient"):
        optim.step(model, grads)
    with pytest.warns(UserWarning, match=r"\.b had no gradient"):
        assert optim.step(model, grads, allow_none=True) is None


# -- what Optax is given is a tree like the model ---------------------------------------------------------


class Net(px.Module):
    def __init__(self):
        super().__init__()
        self.w, self.b = pxnn.LayerParam(jnp.ones((2, 2))), pxnn.LayerParam(jnp.ones(2))
        self.h, self.name, self.act = px.Param(jnp.ones(3)), "net", jnp.tanh
        self.layer = pxnn.Layer(eqx.nn.Linear, 2, 2, key=jax.random.PRNGKey(0))
        self.layer.nn.weight.set(jnp.ones((2, 2)))
        self.layer.nn.bias.frozen = True
        self.again = self.w


PARTS = ["w", "b", "h", "weight", "bias"]
RATES = {"a": 0.25, "b": 0.5}


def labels_by_leaf(tree):
    return jtu.tree_map(
        lambda p: "b" if isinstance(p, pxnn.LayerParam) else "a", tree, is_leaf=lambda x: isinstance(x, px.BaseParam)
    )


def labels_by_path(tree):
    return jtu.tree_map_with_path(lambda path, _: "b" if ".w" in jtu.keystr(path) else "a", tree)


def labelled(labels):
    return lambda model: lambda: optax.multi_transform({k: optax.sgd(rate) for k, rate in RATES.items()}, labels)


def masked(make):
    return lambda model: lambda: optax.chain(optax.sgd(0.25), optax.masked(optax.scale(2.0), make(model)))


LAYERS = pxu.M(pxnn.LayerParam)
CHOSEN = {
    "labels by a mask": (labelled(LAYERS.to(("a", "b"))), "w b weight bias"),
    "labels by type": (labelled(labels_by_leaf), "w b weight bias"),
    "labels by axes": (labelled(lambda tree: jtu.tree_map(lambda x: "b" if x.ndim > 1 else "a", tree)), "w weight"),
    "labels by path": (labelled(labels_by_path), "w weight"),
    "labels by facts": (labelled(pxu.M_has(None, frozen=True).to(("a", "b"))), "bias"),
    "a mask": (masked(lambda model: LAYERS.to((False, True))), "w b weight bias"),
    "a tree of a mask": (masked(lambda model: LAYERS.to((False, True))(model)), "w b weight bias"),
    "an attribute": (masked(lambda model: lambda tree: jtu.tree_map(lambda x: x is tree.w.get(), tree)), "w"),
}


@pytest.mark.parametrize("name", CHOSEN)
@pytest.mark.parametrize("kind", ["Optim", "OptimTree"])
@pytest.mark.parametrize("compiled", [False, True])
def test_masks_and_labels_of_optax_mean_what_they_say(name, kind, compiled):
    make, chosen = CHOSEN[name]
    model = Net()
    factory, select = make(model), pxu.M(pxnn.LayerParam | px.Param)
    if kind == "Optim":
        optim = pxu.Optim(factory, select(model))
    else:
        optim = pxu.OptimTree(factory, lambda x: isinstance(x, Net), select(model))

    def step(*, model, optim):
        _, grads = pxf.value_and_grad(select.to((False, True)))(
            lambda *, model: sum((p.get().sum() for p in px.tree_extract(model)), jnp.zeros(()))
        )(model=model)
        optim.step(model, grads["model"])

    before = values(model)
    call = pxf.jit()(step) if compiled else step
    call(model=model, optim=optim)
    model.eval()  # the mode is no part of what is stepped
    call(model=model, optim=optim)
    moved = {id(p): float(jnp.mean(b - p.get())) for b, p in zip(before, px.tree_extract(model), strict=True)}
    params = [model.w, model.b, model.h, model.layer.nn.weight, model.layer.nn.bias]
    for part, param in zip(PARTS, params, strict=True):
        assert moved[id(param)] == pytest.approx(2 * (0.5 if part in chosen.split() else 0.25)), part


@pytest.mark.parametrize("compiled", [False, True])
def test_steps_of_several_batches(compiled):
    model = Net()
    optim = pxu.Optim(lambda: optax.MultiSteps(optax.sgd(0.5), 2), pxu.M(pxnn.LayerParam)(model.layer))

    def step(*, model, optim):
        optim.step(model.layer, jtu.tree_map(jnp.ones_like, pxu.M(pxnn.LayerParam)(model.layer)))

    call = pxf.jit()(step) if compiled else step
    before = model.layer.nn.bias.get()
    for moved in (0, 0.5, 0.5, 1.0):
        call(model=model, optim=optim)
        np.testing.assert_allclose(before - model.layer.nn.bias.get(), moved, rtol=1e-6)
