"""Optimisers do what Optax does when used directly."""

from typing import Any

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
    def __init__(self, seed=0):
        super().__init__()
        rkg = px.RandomKeyGenerator(seed)
        self.layers = [pxnn.Linear(2, 3, rkg=rkg), pxnn.Linear(3, 2, rkg=rkg)]
        self.extra = px.Param(jnp.ones(3))


FACTORIES = {
    "sgd momentum": lambda: optax.sgd(0.1, momentum=0.9),
    "nesterov": lambda: optax.sgd(0.1, momentum=0.9, nesterov=True),
    "adam": lambda: optax.adam(1e-2),
    "adamw schedule": lambda: optax.adamw(optax.warmup_cosine_decay_schedule(0.0, 1e-2, 3, 10), weight_decay=0.1),
    "clipped": lambda: optax.chain(optax.clip_by_global_norm(0.5), optax.adamw(optax.exponential_decay(0.1, 2, 0.5))),
    "scheduled sgd": lambda: optax.sgd(optax.piecewise_constant_schedule(0.1, {2: 0.1})),
}


def directly(factory, groups, steps, scale=1.0):
    """Optax on lists of arrays, one state for each group."""
    transformation = factory()
    states = [transformation.init(group) for group in groups]
    for grads in steps:
        for i, group in enumerate(groups):
            scaled = [g * scale for g in grads[i]]
            updates, states[i] = transformation.update(scaled, states[i], group)
            groups[i] = optax.apply_updates(group, updates)
    return groups


@pytest.mark.hasty
@pytest.mark.parametrize("name", FACTORIES)
@pytest.mark.parametrize("scale", [None, 0.25])
@pytest.mark.parametrize("kind", ["Optim", "OptimTree"])
def test_against_optax(name, scale, kind):
    model = Model()
    if kind == "Optim":
        optim = pxu.Optim(FACTORIES[name], pxu.M(pxnn.LayerParam)(model))
        parts = [lambda m: m.layers]
    else:
        optim = pxu.OptimTree(FACTORIES[name], by_layer, model)
        parts = [lambda m: m.extra, lambda m: m.layers[0], lambda m: m.layers[1]]  # what is in no node, by itself
    groups = [values(part(model)) for part in parts]
    all_grads = [gradients(model, t) for t in range(3)]
    expected = directly(FACTORIES[name], groups, [[values(part(g)) for part in parts] for g in all_grads], scale or 1.0)
    for grads in all_grads:
        optim.step(model, grads, scale_by=scale)
    assert_close([x for part in parts for x in values(part(model))], [x for group in expected for x in group])
    if kind == "Optim":
        np.testing.assert_array_equal(model.extra.get(), 1.0)  # it was not given to init


@pytest.mark.parametrize("kind", ["Optim", "OptimTree"])
def test_optimisers_that_want_the_loss_are_told_it(kind):
    def plateau():
        return optax.chain(optax.sgd(0.1), optax.contrib.reduce_on_plateau(factor=0.5, patience=1))

    model, plain = Model(), Model()
    if kind == "Optim":
        optim = pxu.Optim(plateau, pxu.M(pxnn.LayerParam)(model))
    else:
        optim = pxu.OptimTree(plateau, by_layer, model)
    params: Any = values(plain.layers)
    transformation = plateau()
    state = transformation.init(params)
    grads = jtu.tree_map(jnp.ones_like, model)
    with pytest.raises(TypeError, match=rf"pxu.{kind}.step: the optimiser wants the loss: .*value=loss"):
        optim.step(model, grads)
    with pytest.raises(ValueError, match="value must be a scalar"):
        optim.step(model, grads, value=jnp.ones(3))
    assert_close(values(model.layers), params)
    for _ in range(4):  # a loss that gets no better: the rate is halved
        optim.step(model, grads, value=jnp.float32(1.0))
        updates, state = transformation.update([jnp.ones_like(p) for p in params], state, params, value=jnp.float32(1))
        params = optax.apply_updates(params, updates)
    assert_close(values(model.layers), params)
    before = values(model.layers)[0]
    optim.step(model, grads, value=1.0)
    assert 0 < float(jnp.max(before - values(model.layers)[0])) < 0.06
    other = pxu.Optim(lambda: optax.sgd(0.1), pxu.M(pxnn.LayerParam)(model))
    other.step(model, grads, value=1.0)  # which has no use for it


@pytest.mark.parametrize("kind", ["Optim", "OptimTree"])
@pytest.mark.parametrize("how", ["jit", "scan", "jit of scan"])
def test_inside_the_transforms(kind, how):
    def make():
        model = Model()
        if kind == "Optim":
            return model, pxu.Optim(FACTORIES["adamw schedule"], pxu.M(pxnn.LayerParam)(model))
        return model, pxu.OptimTree(FACTORIES["adamw schedule"], by_layer, model)

    @pxf.value_and_grad(pxu.M(pxnn.LayerParam))
    def loss(x, *, model):
        return jnp.sum(jnp.square(model.layers[1](jnp.tanh(model.layers[0](x)))))

    def one(x, *, model, optim):
        value, grads = loss(x, model=model)
        optim.step(model, grads["model"], scale_by=0.5)
        return value

    def body(x, *, model, optim):
        return None, one(x, model=model, optim=optim)

    xs = jnp.asarray(np.random.default_rng(0).normal(size=(5, 2)), jnp.float32)
    plain_model, plain_optim = make()
    expected = [one(x, model=plain_model, optim=plain_optim) for x in xs]
    model, optim = make()
    if how == "jit":
        step = pxf.jit()(one)
        got = [step(xs[0], model=model, optim=optim)]
        traces = step.n_traces
        got += [step(x, model=model, optim=optim) for x in xs[1:]]
        assert step.n_traces == traces
    elif how == "scan":
        _, got = pxf.scan(body, xs)(model=model, optim=optim)
    else:
        _, got = pxf.jit()(lambda xs, *, model, optim: pxf.scan(body, xs)(model=model, optim=optim))(
            xs, model=model, optim=optim
        )
    assert_close(got, expected, rtol=1e-5)
    assert_close(values(model), values(plain_model), rtol=1e-5)
    assert_close(jtu.tree_leaves(optim.state.get()), jtu.tree_leaves(plain_optim.state.get()), rtol=1e-5)
    assert not any(isinstance(x, Tracer) for x in jtu.tree_leaves((model, optim)))


def test_updates_are_returned_and_may_be_applied_later():
    one, two = Model(), Model()
    grads = gradients(one, 0)
    optim_one = pxu.Optim(FACTORIES["adam"], pxu.M(pxnn.LayerParam)(one))
    optim_two = pxu.Optim(FACTORIES["adam"], pxu.M(pxnn.LayerParam)(two))
    before = values(one)
    optim_one.step(one, grads)
    updates = optim_two.step(two, grads, apply_updates=False)
    for a, b in zip(before, values(two), strict=True):
        assert a.tobytes() == b.tobytes()
    assert type(updates) is Model
    assert updates.extra is None
    assert updates.layers[0].nn.weight.shape == (3, 2)
    optim_two.apply_updates(two, updates)
    assert_close(values(one), values(two), rtol=0)


@pytest.mark.parametrize("kind", ["Optim", "OptimTree"])
def test_gradients_are_never_changed(kind):
    model = Model()
    optim = pxu.Optim(FACTORIES["adam"]) if kind == "Optim" else pxu.OptimTree(FACTORIES["adam"], by_layer)
    optim.init(pxu.M(pxnn.LayerParam)(model))
    grads = gradients(model, 0)
    before = [(p, p.get(), np.array(p.get())) for p in px.tree_extract(grads)]
    optim.step(model, grads, scale_by=0.5)
    for param, value, content in before:
        assert param.get() is value
        np.testing.assert_array_equal(value, content)


def test_gradients_from_value_and_grad_with_none_elsewhere():
    model = Model()
    optim = pxu.Optim(FACTORIES["sgd momentum"], pxu.M(lambda p: p is model.extra)(model))

    @pxf.value_and_grad(pxu.M(None))
    def loss(*, model):
        return jnp.sum(model.extra**2) + jnp.sum(model.layers[0].nn.bias.get())

    _, grads = loss(model=model)
    before = values(model.layers)
    optim.step(model, grads["model"])  # gradients of others are ignored
    np.testing.assert_allclose(model.extra.get(), 0.8, rtol=1e-6)
    assert_close(values(model.layers), before, rtol=0)


def test_a_missing_gradient_is_an_error_that_changes_nothing():
    model = Model()
    optim = pxu.Optim(FACTORIES["adam"], pxu.M(pxnn.LayerParam)(model))
    state, before = optim.state.get(), values(model)
    grads = gradients(model, 0)
    grads.layers[1].nn.bias.set(None)
    with pytest.raises(ValueError, match=r"pxu\.Optim\.step: \.layers\[1\]\.nn\.bias has no gradient"):
        optim.step(model, grads)
    assert optim.state.get() is state
    for a, b in zip(values(model), before, strict=True):
        assert a is b


def test_allow_none_leaves_all_as_it_is(request):
    model = Model()
    optim = pxu.Optim(lambda: optax.adamw(0.1, weight_decay=0.5), pxu.M(pxnn.LayerParam)(model))
    optim.step(model, gradients(model, 0))
    state, before = optim.state.get(), values(model)

    def unchanged():
        leaves = jtu.tree_leaves(state), jtu.tree_leaves(optim.state.get())
        return all(a is b for a, b in [*zip(*leaves, strict=True), *zip(values(model), before, strict=True)])

    grads = gradients(model, 1)
    grads.layers[1].nn.bias.set(None)
    grads.layers[0].nn.bias.set(None)
    with pytest.warns(UserWarning, match=r"\.layers\[0\]\.nn\.bias, \.layers\[1\]\.nn\.bias had no gradient") as said:
        assert optim.step(model, grads, allow_none=True) is None
    assert len(said) == 1
    if not request.config.getoption("jaxtyping_packages", None):  # whose own frames come in between
        assert said[0].filename == __file__
    assert unchanged()
    for param in px.tree_extract(grads):
        param.set(None)
    assert optim.step(model, grads, allow_none=True) is None  # none at all: nothing to say
    assert unchanged()
    optim.step(model, gradients(model, 1), allow_none=True)
    assert not unchanged()


def test_a_skipped_node_keeps_its_state_and_others_step():
    model, alone = Model(), Model()
    optim = pxu.OptimTree(FACTORIES["adam"], by_layer, pxu.M(pxnn.LayerParam)(model))
    optim_alone = pxu.Optim(FACTORIES["adam"], pxu.M(pxnn.LayerParam)(alone.layers[1]))
    for t in range(4):
        grads = gradients(model, t)
        if t % 2:
            grads.layers[1].nn.weight.set(None)
            grads.layers[1].nn.bias.set(None)
            skipped, before = jtu.tree_leaves(optim.state.get().states[1]), values(model.layers[1])
            optim.step(model, grads)
            assert all(a is b for a, b in zip(values(model.layers[1]), before, strict=True))
            assert_close(jtu.tree_leaves(optim.state.get().states[1]), skipped, rtol=0)
        else:
            optim.step(model, grads)
            optim_alone.step(alone.layers[1], gradients(alone, t).layers[1])
    # Its count of steps is its own: as if the skipped ones had never been.
    assert_close(values(model.layers[1]), values(alone.layers[1]))


@pytest.mark.parametrize("options", [{}, {"allow_none": True}])
def test_a_missing_gradient_inside_a_node_skips_it(options):
    model = Model()
    optim = pxu.OptimTree(FACTORIES["adam"], by_layer, pxu.M(pxnn.LayerParam)(model))
    grads = gradients(model, 0)
    grads.layers[1].nn.bias.set(None)
    skipped, other = values(model.layers[1]), values(model.layers[0])
    state = jtu.tree_leaves(optim.state.get().states[1])
    with pytest.warns(UserWarning, match=r"pxu\.OptimTree\.step: \.layers\[1\]\.nn\.bias had no gradient"):
        updates = optim.step(model, grads, **options)
    assert all(a is b for a, b in zip(values(model.layers[1]), skipped, strict=True))
    assert all(a is b for a, b in zip(jtu.tree_leaves(optim.state.get().states[1]), state, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(values(model.layers[0]), other, strict=True))
    assert updates.layers[1].nn.weight is updates.layers[1].nn.bias is None


def test_params_in_no_node_have_each_an_optimiser():
    def factory():
        return optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(1.0))

    for leaf_fn in (by_layer, lambda x: False, lambda x: isinstance(x, px.Param)):
        model = Model()
        vars(model).update(rkg=px.RKG, none=px.Param(None))
        optim = pxu.OptimTree(factory, leaf_fn, pxu.M(px.Param)(model))
        updates = optim.step(
            model, jtu.tree_map(lambda p: jnp.full_like(p, 100.0), pxu.M(pxnn.LayerParam | px.Param)(model))
        )
        norms = [np.linalg.norm(np.asarray(updates.extra.get()))]
        if leaf_fn is not by_layer:
            norms += [np.linalg.norm(np.asarray(v)) for v in values(updates.layers)]
        np.testing.assert_allclose(norms, 1.0, rtol=1e-5)


def test_each_node_by_itself():
    # Clipping by the global norm tells one group from several.
    def factory():
        return optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(1.0))

    model = Model()
    grads = gradients(model, 0)
    together = pxu.Optim(factory, pxu.M(pxnn.LayerParam)(model)).step(model, grads, apply_updates=False)
    apart = pxu.OptimTree(factory, by_layer, model).step(model, grads, apply_updates=False)

    def norm(tree):
        return float(np.sqrt(sum(np.sum(np.square(v)) for v in values(tree) if v is not None)))

    assert norm(together) == pytest.approx(1.0, rel=1e-5)
    assert [norm(layer) for layer in apart.layers] == pytest.approx([1.0, 1.0], rel=1e-5)


def test_shared_params_step_once():
    class Tied(px.Module):
        def __init__(self):
            super().__init__()
            self.a = px.Param(jnp.ones(2))
            self.b = self.a

    def sgd():
        return optax.sgd(1.0)

    for optim in (pxu.Optim(sgd), pxu.OptimTree(sgd, lambda x: isinstance(x, Tied))):
        model = Tied()
        optim.init(model)

        @pxf.value_and_grad(pxu.M(None))
        def loss(*, model):
            return jnp.sum(model.a.get() + model.b.get())

        _, grads = loss(model=model)
        np.testing.assert_array_equal(grads["model"].a.get(), 2.0)
        optim.step(model, grads["model"])
        np.testing.assert_array_equal(model.a.get(), -1.0)
        # Gradients made by hand stand at every reference; the first counts.
        optim.step(model, jtu.tree_map(jnp.ones_like, model))
        np.testing.assert_array_equal(model.a.get(), -2.0)


def test_clear_and_init_again():
    model = Model()
    optim = pxu.Optim(FACTORIES["adam"])
    assert optim.state.get() is None
    optim.init(pxu.M(pxnn.LayerParam)(model))
    fresh = jtu.tree_leaves(optim.state.get())
    optim.step(model, gradients(model, 0))
    optim.clear()
    assert optim.state.get() is None
    optim.init(pxu.M(pxnn.LayerParam)(model))
    assert_close(jtu.tree_leaves(optim.state.get()), fresh, rtol=0)


def test_two_optimisers_made_alike_share_a_program():
    @pxf.jit()
    def step(grads, *, model, optim):
        optim.step(model, grads)

    step.clear_cache()  # of equal functions of other tests
    for rate in (0.1, 0.1):
        model = Model()
        optim = pxu.Optim(lambda rate=rate: optax.adam(rate), pxu.M(pxnn.LayerParam)(model))
        step(gradients(model, 0), model=model, optim=optim)
    assert step.n_traces == 1


def test_a_scale_that_is_traced():
    model, plain = Model(), Model()
    optim = pxu.Optim(FACTORIES["sgd momentum"], pxu.M(pxnn.LayerParam)(model))
    optim_plain = pxu.Optim(FACTORIES["sgd momentum"], pxu.M(pxnn.LayerParam)(plain))

    @pxf.jit()
    def step(scale, grads, *, model, optim):
        optim.step(model, grads, scale_by=scale)

    step(0.5, gradients(model, 0), model=model, optim=optim)
    optim_plain.step(plain, gradients(plain, 0), scale_by=jnp.float32(0.5))
    assert_close(values(model), values(plain))


def test_gradients_of_numbers_that_are_no_params_are_passed_over():
    model: Any = Model()
    model.rate, model.layers[0].offset = 2.0, jnp.ones(3)
    optim = pxu.Optim(lambda: optax.sgd(0.5), pxu.M(pxnn.LayerParam)(model))

    def loss(m):
        return (m.rate * m.layers[1](m.layers[0](jnp.ones(2)) + m.layers[0].offset) * m.extra[:2]).sum()

    grads: Any = jax.grad(loss)(model)
    before = model.layers[1].nn.bias.get()
    optim.step(model, grads)
    np.testing.assert_allclose(model.layers[1].nn.bias, before - 0.5 * 2)
    assert model.rate == 2
    np.testing.assert_array_equal(model.layers[0].offset, 1)
    grads.other = jnp.ones(1)
    with pytest.raises(ValueError, match=r"the gradients have \.other, where the module has no param"):
        optim.step(model, grads)
