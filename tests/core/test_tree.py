"""Walking, reading and writing the params of trees."""

# Attributes that no class declares are what is tested here.
# pyright: reportAttributeAccessIssue=false

import jax.numpy as jnp
import jax.tree_util as jtu
import pytest

import pcx as px


class Model(px.Module):
    def __init__(self):
        super().__init__()
        self.a = px.Param(1.0)
        self.list = [px.Param(2.0), self.a]
        self.dict = {"x": px.ParamDict({"k": 3.0}), "y": self.list[0]}
        self.n = 4


def test_apply():
    m, seen = Model(), []
    px.tree_apply(seen.append, lambda x: isinstance(x, px.BaseParam), m)
    # Once for each place.
    assert [id(p) for p in seen] == [id(m.a), id(m.dict["x"]), id(m.list[0]), id(m.list[0]), id(m.a)]
    m.inner = Model()
    modules = []
    px.tree_apply(modules.append, lambda x: isinstance(x, px.Module), m)
    assert len(modules) == 2
    outer = []
    px.tree_apply(outer.append, lambda x: isinstance(x, px.Module), m, recursive=False)
    assert outer == [m]
    twice = []
    px.tree_apply(twice.append, lambda x: isinstance(x, px.Module), [m.inner, {"again": m.inner}])
    assert twice == [m.inner, m.inner]


def test_extract():
    m = Model()
    found = px.tree_extract(m)
    assert [id(p) for p in found] == [id(m.a), id(m.dict["x"]), id(m.list[0])]
    assert len(px.tree_extract(m, is_pytree=True)) == 5
    assert px.tree_extract(m, extract_fn=lambda p: p.get()) == (1.0, {"k": 3.0}, 2.0)
    (found,) = px.tree_extract(m, filter_fn=lambda x: isinstance(x, px.ParamDict))
    assert found is m.dict["x"]
    other = jtu.tree_map(lambda p: "there", m, is_leaf=lambda x: isinstance(x, px.BaseParam))
    pairs = px.tree_extract(m, other)
    assert all(pair[1] == "there" for pair in pairs)
    assert px.tree_extract(m, other, extract_fn=lambda p, there: there) == ("there",) * 3


def test_statics_are_passed_over():
    m = Model()
    m.static = px.static(px.Param(8.0))
    assert m.static not in px.tree_extract(m)
    assert len(px.tree_extract(m)) == 3
    px.tree_inject(m, values=[1.0, {}, 2.0])
    assert m.static.get().get() == 8.0
    every = px.tree_extract(m, filter_fn=lambda x: isinstance(x, px.BaseParam))
    assert every[-1] is m.static


def test_inject():
    m, other = Model(), Model()
    assert px.tree_inject(m, values=[10.0, {"k": 1.0}, 30.0]) is m
    assert m.list[1].get() == 10.0
    assert m.dict["y"].get() == 30.0
    px.tree_inject(other, params=m)
    assert px.tree_extract(other, extract_fn=lambda p: p.get()) == (10.0, {"k": 1.0}, 30.0)
    px.tree_inject(other, params=[px.Param(5.0), px.Param({}), px.Param(6.0)])
    assert other.a.get() == 5.0
    px.tree_inject(other, values=[7.0], strict=False)
    assert other.a.get() == 7.0
    px.tree_inject(other, values=[px.Param(1.0), px.ParamDict({}), 2.0])  # either kind
    assert px.tree_extract(other, extract_fn=lambda p: p.get()) == (1.0, {}, 2.0)
    px.tree_inject(other, params=[3.0, {"k": 1.0}, 4.0])
    assert px.tree_extract(other, extract_fn=lambda p: p.get()) == (3.0, {"k": 1.0}, 4.0)
    px.tree_inject(other, values=[1.0, {}, 2.0, 3.0, 4.0], is_pytree=True)  # a shared one is written at each place
    assert (other.a.get(), other.list[0].get()) == (4.0, 3.0)
    told = []
    px.tree_inject(other, params=m, inject_fn=lambda target, value: told.append((target, value)))
    assert told == list(zip(px.tree_extract(other), px.tree_extract(m, extract_fn=lambda p: p.get()), strict=True))


def test_what_is_extracted_goes_back_to_the_same_places():
    pair = [px.Param(1.0), px.Param(2.0)]
    px.tree_inject(pair, params=[pair[1], pair[0]])
    assert [p.get() for p in pair] == [2.0, 1.0]
    m = Model()
    before = px.tree_extract(m, extract_fn=lambda p: p.get())
    px.tree_inject(m, values=before)
    assert px.tree_extract(m, extract_fn=lambda p: p.get()) == before


@pytest.mark.parametrize(("n", "word"), [(2, "few"), (4, "many")])
def test_inject_refuses_another_number(n, word):
    m = Model()
    for given in ({"values": [0.0] * n}, {"params": [px.Param(0.0) for _ in range(n)]}):
        with pytest.raises(ValueError, match=word):
            px.tree_inject(m, **given)  # pyright: ignore[reportArgumentType]
    assert m.a.get() == 1.0
    with pytest.raises(ValueError, match="either"):
        px.tree_inject(m)
    with pytest.raises(ValueError, match="either"):
        px.tree_inject(m, params=m, values=[1])


def test_ref_and_unref():
    m = Model()
    ref = px.tree_ref(m)
    assert jtu.tree_leaves(ref) == [1.0, 3.0, 2.0, 4]
    assert jtu.tree_leaves(ref.list) == []
    assert ref.a is m.a  # the very same params
    assert ref.dict["y"] is m.list[0]
    assert m.list[1] is m.a
    same = px.tree_unref(ref)
    assert same.list[1] is same.a is m.a
    assert same.dict["y"] is m.list[0]
    assert same.dict["x"] is m.dict["x"]
    back = px.tree_unref(jtu.tree_map(lambda v: v * 10, ref))
    assert back.list[1] is back.a
    assert back.dict["y"] is back.list[0]
    assert back.a.get() == 10.0
    assert m.a.get() == 1.0
    assert jtu.tree_structure(px.tree_ref(Model())) == jtu.tree_structure(ref)
    separate = Model()
    separate.list[1] = px.Param(1.0)
    assert jtu.tree_structure(px.tree_ref(separate)) != jtu.tree_structure(ref)


def places(tree):
    return [id(p) for p in px.tree_extract(tree, is_pytree=True)]


def test_ref_without_repeats_changes_nothing():
    tree = {"a": px.Param(1.0), "b": [px.Param(2.0), 3.0, None], "s": px.static("x")}
    for fn in (px.tree_ref, px.tree_unref):
        assert places(fn(tree)) == places(tree)
        assert jtu.tree_structure(fn(tree)) == jtu.tree_structure(tree)
        assert fn(tree)["s"] is tree["s"]


def test_refs_nest():
    m = Model()
    once = px.tree_ref(m)
    twice = px.tree_ref(once)
    assert jtu.tree_leaves(twice) == jtu.tree_leaves(once)
    assert jtu.tree_structure(px.tree_unref(twice)) == jtu.tree_structure(once)
    assert places(px.tree_unref(px.tree_unref(twice))) == places(m)


def test_a_tree_with_references_inside_of_another():
    m, other = Model(), Model()
    other.dict["x"] = m.dict["x"]  # shared between the two
    first = px.Param(0.0)
    tree = [first, px.tree_ref(other), {"z": px.tree_ref(m), "a": first}, m]
    ref = px.tree_ref(tree)
    assert len(jtu.tree_leaves(ref)) == 1 + 4 + 3 + 1
    inner = px.tree_unref(ref)
    assert places(inner) == places(tree)
    assert jtu.tree_structure(inner[1]) == jtu.tree_structure(px.tree_ref(other))
    assert places(px.tree_unref(inner)) == places([first, other, {"z": m, "a": first}, m])
    assert places(px.tree_unref([px.tree_ref(other), px.tree_ref(m)])) == places([other, m])


def test_ref_through_plain_jax():
    import jax

    m = Model()
    out = px.tree_unref(jax.jit(lambda t: jtu.tree_map(lambda v: v + 1, t))(px.tree_ref(m)))
    assert out.list[1] is out.a
    assert out.a.get() == jnp.float32(2)
