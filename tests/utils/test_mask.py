"""Masks choose what a brute-force walk chooses."""

import collections
import dataclasses

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pcx as px
import pcx.functional as pxf
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.utils as pxu


class Model(pxc.EnergyModule):
    def __init__(self):
        super().__init__()
        rkg = px.RandomKeyGenerator(0)
        self.layers = [pxnn.Linear(2, 3, rkg=rkg), pxnn.Linear(3, 3, rkg=rkg)]
        self.vodes = [pxc.Vode(), pxc.Vode()]
        self.vodes[1].h.frozen = True
        self.vodes[0].h.frozen = False
        self.layers[0].nn.weight.group = "a"
        self.layers[1].nn.weight.group = "b"
        self.layers[1].nn.weight.frozen = True
        self.other = {"p": px.Param(1.0), "q": (px.Param(2.0), px.ParamDict({"x": 1.0}))}
        self.constant = px.static("constant")
        self.fn = px.static(jnp.tanh)
        self.n = 3
        self.name = "model"


def params_of(tree, path=""):
    """Every reference to a param below, by path: a walk of its own."""
    found = {}
    if isinstance(tree, px.StaticParam):
        return found
    if isinstance(tree, px.BaseParam):
        found[path] = tree
    elif isinstance(tree, px.BaseModule):
        for name, value in vars(tree).items():
            found.update(params_of(value, f"{path}.{name}"))
    elif isinstance(tree, (list, tuple)):
        for i, value in enumerate(tree):
            found.update(params_of(value, f"{path}[{i}]"))
    elif isinstance(tree, dict):
        for name, value in tree.items():
            found.update(params_of(value, f"{path}[{name!r}]"))
    elif dataclasses.is_dataclass(tree):  # a layer of Equinox
        for field in dataclasses.fields(tree):
            found.update(params_of(getattr(tree, field.name, None), f"{path}.{field.name}"))
    return found


def at(tree, path):
    """What stands at a path."""
    return eval(f"tree{path}", {"tree": tree})


MODEL = Model()
PARAMS = params_of(MODEL)

TYPES = [px.BaseParam, px.Param, px.ParamDict, pxc.VodeParam, pxc.VodeParam.Cache, pxnn.LayerParam]
FACTS = [{"frozen": True}, {"frozen": False}, {"group": "a"}, {"frozen": True, "group": "b"}, {"missing": 1}]


def holds(param, facts):
    return [k in param._facts and param._facts[k] == v for k, v in facts.items()]


@st.composite
def masks(draw, depth=3):
    """A mask, and a function that says for a param what the mask should."""
    kind = draw(
        st.sampled_from(["type", "union", "none", "predicate", "not", "or", "and", "has", "hasnot", "is", "wrap"])
    )
    if depth == 0 or kind in ("type", "union", "none", "predicate"):
        cls = draw(st.sampled_from(TYPES))
        if kind == "none":
            return pxu.M(None), lambda p: True
        if kind == "union":
            other = draw(st.sampled_from(TYPES))
            return pxu.M(cls | other), lambda p: isinstance(p, (cls, other))
        if kind == "predicate":
            return pxu.M(lambda p: not isinstance(p, cls)), lambda p: not isinstance(p, cls)
        return pxu.M(cls), lambda p: isinstance(p, cls)
    mask, says = draw(masks(depth=depth - 1))
    if kind == "not":
        return ~mask, lambda p: not says(p)
    if kind == "wrap":
        return pxu.M(mask), says
    if kind in ("has", "hasnot"):
        facts = draw(st.sampled_from(FACTS))
        if kind == "has":
            made = draw(st.sampled_from([mask.has(**facts), pxu.M_has(mask, **facts)]))
            return made, lambda p: says(p) and all(holds(p, facts))
        made = draw(st.sampled_from([mask.hasnot(**facts), pxu.M_hasnot(mask, **facts)]))
        return made, lambda p: says(p) and not any(holds(p, facts))
    mask2, says2 = draw(masks(depth=depth - 1))
    if kind == "or":
        return mask | mask2, lambda p: says(p) or says2(p)
    made = mask & mask2 if kind == "and" else pxu.M_is(mask, mask2)
    return made, lambda p: says(p) and says2(p)


def test_the_walk_of_this_test_finds_the_params():
    assert len(PARAMS) == 4 + 4 + 3
    assert {id(p) for p in PARAMS.values()} == {id(p) for p in px.tree_extract(MODEL)}


@settings(max_examples=150, deadline=None)
@given(masks())
def test_against_brute_force(made):
    mask, says = made
    kept = mask(MODEL)
    valued = mask.to(("no", 1))(MODEL)
    for path, param in PARAMS.items():
        expected = says(param)
        assert mask.matches(param) is expected
        assert at(kept, path) is (param if expected else None)
        assert at(valued, path) == (1 if expected else "no")


@settings(max_examples=25, deadline=None)
@given(masks(depth=2))
def test_the_transforms_ask_the_same(made):
    mask, says = made
    seen = {}

    @pxf.value_and_grad({"model": mask & pxnn.LayerParam})
    def energy(*, model):
        return 0.0 * sum((p.get().sum() for p in px.tree_extract(model.layers)), start=jnp.zeros(()))

    _, grads = energy(model=MODEL)
    seen = {path: at(grads["model"], path) is not None for path in PARAMS if path.startswith(".layers")}
    assert seen == {path: says(PARAMS[path]) for path in seen}


CHOICES = {
    "shape": lambda p: isinstance(p, pxnn.LayerParam) and p.shape[-1] == 2,
    "axes": lambda p: isinstance(p, pxnn.LayerParam) and p.ndim == 2,
    "held": lambda p: isinstance(p, px.Param) and p.get() is not None,
}


@pytest.mark.parametrize("name", CHOICES)
@pytest.mark.parametrize("transform", [lambda f: f, pxf.jit(), pxf.vmap(in_axes=0)])
def test_predicates_are_asked_with_the_values(name, transform):
    model, mask = Model(), pxu.M(CHOICES[name])
    model.vodes[0].h.set(jnp.ones(3))
    expected = selected(mask(model))
    asked = []

    def fn(x, *, model):
        _, grads = pxf.value_and_grad({"model": mask.to((False, True))})(lambda *, model: jnp.zeros(()))(model=model)
        asked.append(selected(grads["model"]))
        return x

    transform(fn)(jnp.ones(2), model=model)
    assert asked == [expected]
    assert expected


def test_axes_by_shape():
    model = {"batch": px.Param(jnp.ones((4, 3))), "one": px.Param(jnp.ones(3))}
    mask = pxu.M(lambda p: p.ndim == 2).to((None, 0))
    out = pxf.vmap(mask)(lambda *, m: m["batch"] * m["one"])(m=model)
    assert out.shape == (4, 3)


def test_types_and_unions_directly():
    both = pxu.M(pxc.VodeParam | pxnn.LayerParam)(MODEL)
    assert both.vodes[0].h is MODEL.vodes[0].h
    assert both.layers[1].nn.bias is MODEL.layers[1].nn.bias
    assert both.vodes[0].cache is None
    assert both.other["p"] is None
    assert pxu.M((pxc.VodeParam, pxnn.LayerParam)).matches(MODEL.vodes[0].h)


def test_combining_with_types():
    mask = pxu.M(pxc.VodeParam) | pxnn.LayerParam
    assert mask.matches(MODEL.vodes[0].h)
    assert mask.matches(MODEL.layers[0].nn.bias)
    assert (pxnn.LayerParam & pxu.M_has(None, frozen=True)).matches(MODEL.layers[1].nn.weight)
    assert not (pxc.VodeParam | ~pxu.M(None)).matches(MODEL.layers[0].nn.weight)  # pyright: ignore[reportAttributeAccessIssue]


def test_a_mask_is_a_tree_of_the_same_kind():
    kept = pxu.M(pxc.VodeParam)(MODEL)
    assert type(kept) is Model
    assert kept is not MODEL
    assert type(kept.layers) is list
    assert kept.layers is not MODEL.layers
    assert type(kept.other["q"]) is tuple
    assert (kept.name, kept.n) == ("model", None)
    assert MODEL.n == 3


def test_values_cover_statics_and_numbers_too():
    valued = pxu.M(None).to((False, True))(MODEL)
    assert valued.n is True
    assert valued.constant is True
    assert pxu.M(pxc.VodeParam).to((False, True))(MODEL).constant is False
    assert valued.name == "model"


def test_no_values_again():
    mask = pxu.M(pxc.VodeParam).to((None, 0)).to(None)
    assert mask(MODEL).vodes[0].h is MODEL.vodes[0].h


def test_one_value_per_param_whatever_it_holds():
    holder = px.Module()
    holder.p = px.Param({"a": jnp.ones(2), "b": [1, 2]})  # pyright: ignore[reportAttributeAccessIssue]
    holder.q = px.Param(None)  # pyright: ignore[reportAttributeAccessIssue]
    valued = pxu.M(None).to((None, 0))(holder)
    assert (valued.p, valued.q) == (0, 0)


class Shared(px.Module):
    def __init__(self):
        super().__init__()
        self.a = px.Param(1.0)
        self.b = self.a
        self.c = [px.Param(2.0), self.a]
        self.inner = px.Module()
        self.inner.p = self.c[0]  # pyright: ignore[reportAttributeAccessIssue]
        self.inner.q = px.Param(3.0)  # pyright: ignore[reportAttributeAccessIssue]
        self.same = self.inner


def test_a_second_reference_is_none():
    model = Shared()
    for mask, first in ((pxu.M(None), model.a), (pxu.M(None).to((False, True)), True)):
        kept = mask(model)
        assert kept.a is first
        assert kept.b is None
        assert kept.c[1] is None
        assert kept.inner.p is None
        assert kept.c[0] is (model.c[0] if first is model.a else True)
        assert type(kept.same) is type(kept.inner)  # a shared module is met twice, its params once
        assert kept.same is not kept.inner
        assert vars(kept.same)["q"] is None
        assert vars(kept.inner)["q"] is (vars(model.inner)["q"] if first is model.a else True)


@pytest.mark.parametrize("mask", [pxu.M(px.Param), pxu.M(px.Param).to((False, True)), pxu.M(px.Param).to((None, 0))])
def test_a_tree_that_is_referenced_already(mask):
    model = Shared()
    ref = px.tree_ref(model)
    before, after = mask(model), mask(ref)
    assert jtu.tree_structure(before) == jtu.tree_structure(after)
    assert all(a is b for a, b in zip(px.tree_extract(before), px.tree_extract(after), strict=True))
    assert after.b is after.c[1] is after.inner.p is None
    loss = pxf.value_and_grad({"m": pxu.M(px.Param).to((False, True))(ref)})(lambda *, m: m.a.get() ** 2 + m.c[0].get())
    grads = loss(m=ref)[1]["m"]
    assert (grads.a.get(), grads.c[0].get(), vars(grads.inner)["q"].get()) == (2.0, 1.0, 0.0)
    assert grads.b is vars(grads.same)["q"] is None


def test_a_mask_edited_by_hand_stays_a_tree_of_its_model():
    model = Shared()
    mask = pxu.M(px.Param).to((False, False))(model)
    mask.c[0] = True
    vars(mask.same)["q"] = True  # a second reference: says nothing

    def loss(*, m):
        return 3.0 * m.inner.p.get() + m.a.get() + vars(m.same)["q"].get()

    _, grads = pxf.value_and_grad({"m": mask})(loss)(m=model)
    assert [p.get() for p in px.tree_extract(grads)] == [3.0]
    assert grads["m"].c[0].get() == 3.0


class Parent(px.Module):
    def __init__(self):
        super().__init__()
        self.child = px.Module()
        self.child.parent = self  # pyright: ignore[reportAttributeAccessIssue]
        self.w = px.Param(2.0)


def test_a_module_that_holds_itself():
    model = Parent()
    mask = pxu.M(px.Param).to((False, True))(model)
    assert mask.child.parent is mask
    grads = pxf.value_and_grad({"m": mask})(lambda *, m: m.child.parent.w.get() ** 2)(m=model)[1]["m"]
    assert grads.child.parent is grads
    assert grads.w.get() == 4.0
    optim = pxu.Optim(lambda: optax.sgd(0.5), pxu.M(None)(model))
    optim.step(model, grads)
    assert model.w.get() == 0.0


def test_dicts_keep_their_kind():
    kept = pxu.M(None)(collections.OrderedDict(b=px.Param(1.0), a=collections.defaultdict(list, c=px.Param(2.0))))
    assert type(kept) is collections.OrderedDict
    assert list(kept) == ["b", "a"]
    assert kept["a"]["new"] == []


def test_every_reference_by_itself():
    model = Shared()
    kept = pxu.M(None).to((False, True))(model, is_pytree=True)
    assert [kept.a, kept.b, *kept.c, kept.inner.p] == [True] * 5
    kept = pxu.M(None)(model, is_pytree=True)
    assert kept.b is kept.a is kept.c[1] is model.a


def test_no_reference_is_chosen_where_the_first_is_not():
    model = Shared()
    kept = pxu.M(lambda p: p is not model.a).to((False, True))(model)
    assert kept.a is False
    assert kept.c[0] is True


def test_a_mask_leaves_the_tree_as_it_is():
    before = {path: (p, p.get(), dict(p._facts)) for path, p in PARAMS.items()}
    pxu.M(None).to((False, True))(MODEL, is_pytree=True)
    for path, (param, value, facts) in before.items():
        assert at(MODEL, path) is param
        assert param.get() is value
        assert param._facts == facts


# -- edited masks ---------------------------------------------------------------------------------------
def energy(*, model):
    return sum((jnp.sum(p.get() ** 2) for p in px.tree_extract(model.layers)), start=jnp.zeros(())) + sum(
        jnp.sum(v.h.get() ** 2) for v in model.vodes
    )


def selected(grads):
    return {p for p in PARAMS if at(grads, p) is not None and at(grads, p).get() is not None}


@pytest.fixture
def filled():
    model = Model()
    for vode in model.vodes:
        vode.h.set(jnp.ones(3))
    return model


def test_an_empty_mask_filled_by_hand(filled):
    mask = pxu.M(None).to([False, False])(filled, is_pytree=True)
    mask.vodes[1].h = True
    mask.layers[0] = pxu.M(pxnn.LayerParam).to([False, True])(filled.layers[0], is_pytree=True)
    _, grads = pxf.value_and_grad({"model": mask})(energy)(model=filled)
    assert selected(grads["model"]) == {".vodes[1].h", ".layers[0].nn.weight", ".layers[0].nn.bias"}


def test_whole_branches_by_one_value(filled):
    mask = pxu.M(None).to((False, False))(filled)
    mask.layers = True
    mask.other = False
    _, grads = pxf.value_and_grad({"model": mask})(energy)(model=filled)
    assert selected(grads["model"]) == {p for p in PARAMS if p.startswith(".layers")}


def test_switched_off_by_hand(filled):
    mask = pxu.M(pxnn.LayerParam | pxc.VodeParam).to((False, True))(filled)
    mask.vodes[0].h = False
    mask.layers[1].nn = False
    _, grads = pxf.value_and_grad({"model": mask})(energy)(model=filled)
    assert selected(grads["model"]) == {".vodes[1].h", ".layers[0].nn.weight", ".layers[0].nn.bias"}


def test_a_mask_that_keeps_params_selects_them(filled):
    _, grads = pxf.value_and_grad({"model": pxu.M_has(pxc.VodeParam, frozen=True)(filled)})(energy)(model=filled)
    assert selected(grads["model"]) == {".vodes[1].h"}


def test_an_edited_mask_of_axes(filled):
    mask = pxu.M(pxc.VodeParam).to((None, 0))(filled)
    mask.vodes[1].h = None

    @pxf.vmap({"model": mask}, in_axes=0)
    def shapes(x, *, model):
        assert model.vodes[0].h.shape == ()
        assert model.vodes[1].h.shape == (3,)
        return x

    shapes(jnp.ones(3), model=filled)


def test_a_mask_over_all_keywords_and_by_tuple(filled):
    other = px.Param(jnp.ones(2))

    def f(*, model, p, q):
        return energy(model=model) + p.sum() + q.sum()

    _, grads = pxf.value_and_grad({("p", "q"): True})(f)(model=filled, p=other, q=px.Param(jnp.ones(2)))
    assert grads["p"].shape == (2,)
    assert grads["q"].shape == (2,)
    assert selected(grads["model"]) == set()
    _, grads = pxf.value_and_grad(pxu.M(pxc.VodeParam))(f)(model=filled, p=other, q=px.Param(jnp.ones(2)))
    assert selected(grads["model"]) == {".vodes[0].h", ".vodes[1].h"}
    assert grads["p"] is None


def test_equal_masks_are_equal_programs():
    from pcx.core._key import static_key

    def make():
        return (pxu.M(pxc.VodeParam | pxnn.LayerParam).has(frozen=True) | ~pxu.M(None)).to((None, 0))

    assert static_key(make()) == static_key(make())
    assert static_key(make()) != static_key(make().to((None, 1)))
    assert static_key(pxu.M(pxc.VodeParam).has(a=1)) != static_key(pxu.M(pxc.VodeParam).hasnot(a=1))


class OfItsMode(pxc.EnergyModule):
    def __init__(self):
        super().__init__()
        self.w = px.Param(1.0)


@pytest.mark.parametrize("transform", [jax.jit, lambda f: lambda t: pxf.jit()(lambda *, t: f(t))(t=t)])
@pytest.mark.parametrize(
    "whole", [lambda m: pxu.M(px.BaseParam)(m), lambda m: jtu.tree_map(jnp.add, *[pxu.M(None)(m)] * 2)]
)
def test_a_mode_or_status_set_in_a_tree_of_weights_is_part_of_the_program(transform, whole):
    model = OfItsMode()
    f = transform(lambda t: (t.w * 0 + t.is_train, t.w * 0 + len(t.status or "")))
    model.train()
    tree = whole(model)
    assert f(tree) == (1, 0)
    model.eval()
    assert f(model) == (0, 0)
    for change, expected in ((tree.eval, (0, 0)), (tree.train, (1, 0)), (tree.eval, (0, 0))):
        change()
        assert f(tree) == expected
    with pxu.step(tree, "long"):
        assert f(tree) == (0, 4)
    with pxu.step(tree, "longer"):
        assert f(tree) == (0, 6)
    assert f(tree) == (0, 0)
