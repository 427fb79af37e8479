# pyright: reportArgumentType=false, reportCallIssue=false
# (wrong types are what this file is about)
"""What rules and parts of one's own return is checked by its shapes, and what they are given is theirs to read."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx.energy as pxe
import pcx.learning as pxl
import pcx.models as pxm

from .problems import cast, seeded

W = "layers[0].nn.weight"
X, Y = jnp.ones((5, 3)), jnp.ones((5, 2))
MODEL = seeded(pxm.MLP, [3, 4, 2])


def rule_of(returned, **attributes):
    """A rule whose `learn` returns `returned(rule, bound, memory, found)`, found a weight gradient."""

    def learn(self, bound, forward, memory):
        landscape = bound.landscape(forward.targets, forward=forward)
        return returned(self, bound, memory, landscape.weight_gradient(landscape.start()))

    return type("Mine", (pxl.Rule,), {"learn": learn, **attributes})(optax.adam(0.1))


def step(rule):
    """Trace a step: no check needs a number."""
    state = rule.init(MODEL, (X, Y))
    return jax.eval_shape(rule.step, state, (X, Y))


def update(**changed):
    """An update with fields that are changed: values, or functions of the weight gradient."""

    def returned(rule, bound, memory, found):
        fields = {"gradient": found.gradient, "energies": found.energies}
        return pxl.Update(**{**fields, **{k: v(found.gradient) if callable(v) else v for k, v in changed.items()}})

    return returned


def count(memory):
    return update(memory=memory), {
        "init_memory": lambda self, bound: {"count": jnp.int32(0), "sum": {"a": jnp.zeros(2)}}
    }


CASES = {
    "none": (lambda *_: None, "Mine.learn: it must return a pcx.learning.Update, got NoneType"),
    "a weight gradient": (lambda r, b, m, found: found, "got WeightGradient"),
    "neither": (update(gradient=None), "got neither"),
    "both": (update(weights=lambda g: g), "got both"),
    "a weight is missing": (
        update(gradient=lambda g: {p: v for p, v in g.items() if p != W}),
        r"lacks layers\[0\].nn.weight",
    ),
    "a weight too many": (update(gradient=lambda g: {**g, "foo": X}), "has 'foo', which is no weight"),
    "a scalar for a weight": (update(gradient=lambda g: {**g, W: 0.0}), r"must have shape \(4, 3\), got shape \(\)"),
    "None for a weight": (update(gradient=lambda g: {**g, W: None}), r"must have shape \(4, 3\), got None"),
    "of each sample": (update(gradient=lambda g: {**g, W: jnp.ones((5, 4, 3))}), r"got shape \(5, 4, 3\)"),
    "integers": (update(gradient=lambda g: {**g, W: jnp.ones((4, 3), int)}), "is of int32"),
    "sums for weights": (
        update(gradient=None, weights=lambda g: {p: v.sum() for p, v in g.items()}),
        r"got shape \(\)",
    ),
    "no energies": (update(energies=None), "energies must be"),
    "summed energies": (
        update(energies={"vodes[1]": jnp.float32(1)}),
        r"energies\['vodes\[1\]'\] must have shape \(5,\)",
    ),
    "elements for energies": (update(energies={"vodes[1]": Y}), r"must have shape \(5,\), got shape \(5, 2\)"),
    "summed energies before": (update(before={"vodes[1]": jnp.float32(1)}), "Update.before"),
    "summed value": (update(value={"vodes[1]": jnp.float32(1)}), "Update.value"),
    "summed elements": (update(elements={"vodes[1]": jnp.float32(1)}), "Update.elements"),
    "steps of the nodes": (update(steps=jnp.ones(2)), r"Update.steps must have shape \(\) or \(5,\)"),
    "first_bad of the samples": (update(first_bad=jnp.ones(5)), "Update.first_bad"),
    "uphill of the samples": (update(uphill=jnp.ones(5) > 0), "Update.uphill"),
    "memory that is no dict": (update(memory=jnp.ones(3)), "Update.memory must be"),
    "memory that is new": (update(memory={"foo": jnp.ones(3)}), r"memory\['foo'\] is new: init must give it"),
    "memory of another shape": (*count({"count": jnp.zeros(3)}), r"memory\['count'\] has shape \(3,\), and had \(\)"),
    "memory of another type": (*count({"count": jnp.float32(0)}), r"is float32, and was int32"),
    "memory of another structure": (*count({"sum": {"b": jnp.zeros(2)}}), r"memory\['sum'\]\['a'\] is missing"),
    "another optimiser's state": (update(memory={"optim": 3}), "the optimiser's state"),
    "memory under the optimiser's name": (
        update(),
        {"init_memory": lambda s, b: {"optim": 1}},
        "'optim' is remembered",
    ),
    "no memory": (update(), {"init_memory": lambda s, b: None}, "init_memory must be a dict by name, got NoneType"),
    "a key without random": (lambda r, b, m, found: r.draw(b), "set `random = True` in its class"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_learn_returns_is_checked(name):
    returned, *attributes, said = CASES[name]
    with pytest.raises((TypeError, ValueError), match=said):
        step(rule_of(returned, **(attributes[0] if attributes else {})))


def test_a_precision_learns_from_what_the_rule_returns():
    rule = type(rule_of(update()))(optax.adam(0.1), precision=pxl.LearnedPrecision(optax.sgd(0.1)))
    with pytest.raises(ValueError, match="LearnedPrecision learns from Update"):
        step(rule)


@pytest.mark.hasty
def test_terms_of_ones_own_count_in_the_energy():
    def returned(rule, bound, memory, found):
        return pxl.Update(found.gradient, {**found.energies, "penalty": jnp.ones(5)})

    rule = rule_of(returned)
    _, info = rule.step(rule.init(MODEL, (X, Y)), (X, Y))
    assert info.energies["penalty"] == 1
    np.testing.assert_allclose(info.energy, sum(info.energies.values()), rtol=1e-6)


def in_place(what):
    def returned(rule, bound, memory, found):
        {"weights": bound.weights, "memory": memory["sum"], "top": memory}[what].clear()
        return pxl.Update(found.gradient, found.energies)

    return rule_of(returned, **count(None)[1])


@pytest.mark.parametrize("what", ["weights", "memory", "top"])
def test_what_learn_is_given_is_not_changed_in_place(what):
    rule = in_place(what)
    state = rule.init(MODEL, (X, Y))
    before = jax.tree.leaves(state)
    with pytest.raises(ValueError, match="it has changed the bound problem, the forward pass or the memory in place"):
        jax.eval_shape(lambda: rule.step(state, (X, Y)))
    assert all(a is b for a, b in zip(before, jax.tree.leaves(state), strict=True))


# -- parts ------------------------------------------------------------------------------------------------
def part(kind, method, returned, **attributes):
    abstract = {name: lambda self, *_: {} for name in kind.__abstractmethods__}
    return type("Part", (kind,), {**abstract, method: lambda self, *args: returned(*args), **attributes})()


def clamp(returned):
    return {"clamp": part(pxl.Clamp, "phases", lambda p, u, targets, count: returned(targets))}


def start(returned, **attributes):
    return {"start": part(pxl.Start, "coords", lambda at, kept, key: returned(at.start(), key), **attributes)}


def over(returned):
    def landscape(bound, forward, phase):
        return returned(bound.landscape(phase.targets, forward=forward))

    return {"coordinates": part(pxl.Coordinates, "landscape", landscape)}


class Bare(pxe.OverValues):
    def __init__(self, inner):
        self.free = inner.free


class NoGradient(pxe.OverValues):
    def weight_gradient(self, coords):
        return cast(super().weight_gradient(coords).gradient)


class Summed(pxe.OverValues):
    def gradient(self, coords, moving=None):
        return lambda moved: {n: v.sum() for n, v in moved.items()}


def three(targets):
    return [pxl.Phase(targets), pxl.Phase(targets, factor=-0.5), pxl.Phase(targets, factor=0.5)]


PARTS = {
    "no phases": (clamp(lambda t: []), "Part.phases must return a list of at least one pxl.Phase, got a list of none"),
    "one phase": (clamp(pxl.Phase), "got a Phase"),
    "targets": (clamp(lambda t: [t]), "got a list of dict"),
    "a factor of samples": (clamp(lambda t: [pxl.Phase(t, jnp.ones(5))]), "the factor of a phase is one number"),
    "a scale of no node": (clamp(lambda t: [pxl.Phase(t, scale={"foo": 1.0})]), "scale names 'foo'; the nodes are"),
    "phases and kept values": ({**clamp(three), "start": pxl.Kept()}, "and Part has 3"),
    "no coordinates": (start(lambda h, key: None), "Part.coords must return a dict"),
    "a node is missing": (start(lambda h, key: {}), r"Part.coords gives no coordinates of vodes\[0\]"),
    "a number": (start(lambda h, key: dict.fromkeys(h, 0.0)), r"must be an array of real numbers.* got shape \(\)"),
    "whole numbers": (start(lambda h, key: {n: v.astype(int) for n, v in h.items()}), "int32"),
    "no landscape": (over(lambda inner: None), "Part.landscape must return a pxe.Landscape, got NoneType"),
    "a landscape without names": (over(Bare), "Bare lacks names, order"),
    "a bare gradient": (
        over(lambda inner: NoGradient(inner.bound, inner.clamped, None)),
        "NoGradient.weight_gradient must return a pxe.WeightGradient, got dict",
    ),
    "a summed gradient": (
        over(lambda inner: Summed(inner.bound, inner.clamped, None)),
        r"Summed.gradient must give an array of shape \(5, 4\) for vodes\[0\], got one of shape \(\)",
    ),
    "precisions of no node": (
        {"precision": part(pxl.Precision, "values", lambda p, m: {"foo": 1.0})},
        "Part names 'foo'",
    ),
    "precisions of a shape": (
        {"precision": part(pxl.Precision, "values", lambda p, m: {"vodes[0]": jnp.ones(3)})},
        r"the precision of vodes\[0\] has shape \(3,\)",
    ),
    "no precisions": (
        {"precision": part(pxl.Precision, "values", lambda p, m: None)},
        "Part.values must return a dict",
    ),
    "a class": ({"precision": pxl.LearnedPrecision}, r"make one: LearnedPrecision\(...\)"),
}


@pytest.mark.parametrize("name", PARTS)
def test_what_parts_return_is_checked(name):
    parts, said = PARTS[name]
    with pytest.raises((TypeError, ValueError), match=said):
        step(pxl.PredictiveCoding(optax.sgd(0.1), optax.sgd(0.1), 2, **parts))


def noise(h, key):
    return {n: v + jax.random.normal(key, v.shape) for n, v in h.items()}


@pytest.mark.hasty
def test_a_start_that_draws_gets_a_new_key_for_each_step():
    with pytest.raises(TypeError) as e:
        step(pxl.pc(optax.sgd(0.1), optax.sgd(0.1), 1, **start(noise)))
    assert "sets `random = True`" in e.value.__notes__[0]
    rule = pxl.pc(optax.sgd(0.0), optax.sgd(0.0), 1, **start(noise, random=True))
    state = rule.init(MODEL, (X, Y))
    after, one = rule.step(state, (X, Y))
    _, same = rule.step(state, (X, Y))
    _, two = rule.step(after, (X, Y))
    assert one.energy == same.energy != two.energy


# -- a bound problem --------------------------------------------------------------------------------------
AT = {
    "a weight is missing": (lambda b: b.at({p: w for p, w in b.weights.items() if p != W}), "the weights lack"),
    "a weight too many": (lambda b: b.at({**b.weights, "foo": X}), "the weights have 'foo'"),
    "a weight of another shape": (lambda b: b.at({**b.weights, W: X}), r"has shape \(5, 3\), the model's \(4, 3\)"),
    "a batch for weights": (lambda b: b.at((X, Y)), r"a batch is batch=\(x, y\)"),
    "x alone": (lambda b: b.at(batch=X), "a batch is a pair"),
    "labels that are no class": (lambda b: b.at(batch=(X, jnp.full(5, 2))), "labels must be from 0 to 1"),
    "a forward pass to clamp": (lambda b: b.landscape(b.start()), "got ForwardPass"),
    "a scale of no node": (lambda b: b.landscape({}, scale={"foo": 1.0}), "scale names 'foo'"),
    "sources that are no nodes": (lambda b: b.landscape({}, sources=("foo",)), "sources names 'foo'"),
    "coordinates that lack a node": (
        lambda b: b.landscape({"vodes[1]": Y}).energies({}),
        r"coordinates lack vodes\[0\]",
    ),
}


@pytest.mark.parametrize("name", AT)
def test_what_a_bound_problem_is_given_is_checked(name):
    made, said = AT[name]
    with pytest.raises((TypeError, ValueError), match=said):
        made(pxl.bind(MODEL, (X, Y)))


def test_a_landscape_starts_at_its_own_forward_pass():
    bound = pxl.bind(MODEL, (X, Y))
    other = bound.at({p: 2 * w for p, w in bound.weights.items()})
    start = other.landscape({"vodes[1]": Y}, forward=bound.start()).start()
    np.testing.assert_array_equal(start["vodes[0]"], other.start().h["vodes[0]"])
