"""Compile-time constants."""

import copy
import pickle
import types

import jax.numpy as jnp
import jax.tree_util as jtu
import pytest

import pcx as px
import pcx.functional as pxf


def test_forwards():
    s = px.static([1, 2, 3])
    assert px.static(s) is s
    assert s[1] == 2
    assert list(s) == [1, 2, 3]
    assert len(s) == 3
    assert 2 in s
    assert s == [1, 2, 3]
    assert s == px.static([1, 2, 3])
    assert s != [1]
    assert px.static(jnp.tanh)(0.0) == 0
    assert px.static("abc").upper() == "ABC"
    assert list(range(px.static(2))) == [0, 1]
    assert float(px.static(2)) == 2.0
    assert int(px.static(2.5)) == 2
    assert not px.static(0)
    assert hash(px.static("a")) == hash("a")


def test_no_leaves_and_no_change_in_place():
    s = px.static(jnp.ones(3))
    assert jtu.tree_leaves(s) == []
    with pytest.raises(AttributeError, match="assign a new one"):
        px.static(types.SimpleNamespace(n=1)).n = 2


def test_copies():
    for made in (copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))):
        assert made(px.static((1, 2))) == (1, 2)


@pytest.mark.parametrize("wrap", [px.static, lambda x: x])
def test_changes_inside_stay_inside(wrap):
    class Model(px.Module):
        def __init__(self):
            super().__init__()
            self.names = px.static(["a"])
            self.options = px.static({"k": [1]})
            self.record = wrap(types.SimpleNamespace(n=[1]))
            self.seen = wrap({1})
            self.width = px.static(2)

    def fn(x, *, m):
        m.names.append("b")
        m.options["k"].append(2)
        m.record.n.append(2)
        m.seen.add(2)
        m.width = px.static(3)
        m.new = x
        return x * len(m.names) * int(m.width)

    m = Model()
    for transform in (pxf.jit(), pxf.vmap(in_axes=0), pxf.jit()):
        out = transform(fn)(jnp.ones(2), m=m)
        assert out[0] == 6
        assert m.names == ["a"]
        assert m.options["k"] == [1]
        assert m.record.n == [1]
        assert m.seen == {1}
        assert m.width == 2
        assert not hasattr(m, "new")
