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
    assert [id(p) for p in seen] == [id(m.a), id(m.dict["x"]), id(m.list[0])]
    m.inner = Model()
    modules = []
    px.tree_apply(modules.append, lambda x: isinstance(x, px.Module), m)
    assert len(modules) == 2
    outer = []
    px.tree_apply(outer.append, lambda x: isinstance(x, px.Module), m, recursive=False)
    assert outer == [m]


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
    assert ref.a is not m.a
    assert m.list[1] is m.a
    back = px.tree_unref(jtu.tree_map(lambda v: v * 10, ref))
    assert back.list[1] is back.a
    assert back.dict["y"] is back.list[0]
    assert back.a.get() == 10.0
    assert m.a.get() == 1.0
    assert jtu.tree_structure(px.tree_ref(Model())) == jtu.tree_structure(ref)
    separate = Model()
    separate.list[1] = px.Param(1.0)
    assert jtu.tree_structure(px.tree_ref(separate)) != jtu.tree_structure(ref)


def test_ref_through_plain_jax():
    import jax

    m = Model()
    out = px.tree_unref(jax.jit(lambda t: jtu.tree_map(lambda v: v + 1, t))(px.tree_ref(m)))
    assert out.list[1] is out.a
    assert out.a.get() == jnp.float32(2)
