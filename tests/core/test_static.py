"""Compile-time constants."""

import copy
import pickle
import types

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
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


def test_a_function_keeps_its_name():
    assert px.static(jnp.tanh).__name__ == "tanh"
    assert px.static(test_forwards).__qualname__ == "test_forwards"
    assert not hasattr(px.static(3), "__name__")
    assert not hasattr(px.static(np.ones(2)), "__array_interface__")


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


class Scaled(px.Module):
    def __init__(self):
        super().__init__()
        self.p = px.Param(jnp.array(3.0))
        self.factor = px.static(2.0)
        self.same = self.factor
        self.other = px.static(2.0)


def test_get_and_set():
    s = px.static(2)
    assert isinstance(s, px.StaticParam)
    assert isinstance(s, px.BaseParam)
    assert px.get(s) == s.get() == 2
    assert s.set(3) is s
    assert px.set(s, px.static(4)) is s
    assert s.get() == 4
    s += 1  # pyright: ignore[reportOperatorIssue]
    assert s.get() == 5
    param = px.Param(1.0)
    assert px.static(param).get() is param


def test_another_value_is_another_program():
    m, calls = Scaled(), []
    j = pxf.jit()(lambda *, m: m.p * m.factor.get() + 0.0 * m.other.get())
    for value in (2.0, 5.0, 2.0, 5.0):
        m.factor.set(value)
        calls.append((float(j(m=m)), j.n_traces))
    assert calls == [(6, 1), (15, 2), (6, 2), (15, 2)]
    assert pxf.vmap(in_axes=0)(lambda x, *, m: x * m.factor.get())(jnp.ones(2), m=m)[0] == 5


@pytest.mark.parametrize("transform", [pxf.jit(), pxf.vmap(in_axes=0), pxf.vmap(in_axes=0, axis_name="b")])
def test_a_value_set_inside_stays_inside(transform):
    m = Scaled()

    def fn(x, *, m):
        before = m.factor.get()
        m.factor.set(7.0)
        assert m.same is m.factor
        inner = pxf.jit()(lambda *, m: jnp.asarray(m.same.get()))(m=m)  # what is set is there for a call inside
        return x * before + inner * m.same.get() + 0.0 * m.other.get()

    for _ in range(2):
        assert transform(fn)(jnp.ones(2), m=m)[0] == 2 + 49
        assert m.factor.get() == 2


def test_a_tree_keeps_its_statics():
    m = Scaled()
    leaves, treedef = jtu.tree_flatten(m)
    back = jtu.tree_unflatten(treedef, leaves)
    assert back.factor is m.factor is back.same
    assert treedef == jtu.tree_structure(Scaled())
    m.factor.set(9.0)
    assert treedef != jtu.tree_structure(m)
    assert jtu.tree_unflatten(treedef, leaves).factor.get() == 2.0  # what it held when it was flattened
    assert px.tree_extract(m) == (m.p,)


@pytest.mark.parametrize("transform", [pxf.jit(), pxf.vmap(in_axes=(0, None)), pxf.value_and_grad()])
def test_a_value_set_in_a_positional_argument_stays_inside(transform):
    m = Scaled()

    def fn(x, m):
        m.factor.set(m.same.get() + 5.0)
        return jnp.sum(x) * m.same.get()

    out = transform(fn)(jnp.ones(2), m)
    assert jnp.max(out[0] if isinstance(out, tuple) else out) in (7.0, 14.0)
    assert m.factor.get() == 2.0


def setting(x, *, m):
    before = m.factor.get()
    m.factor.set(before + 1.0)
    return x * m.same.get() * m.p.get()


INSIDE = {
    "value_and_grad": lambda m: pxf.value_and_grad({"m": True})(lambda *, m: setting(1.0, m=m))(m=m)[0],
    "scan": lambda m: pxf.scan(lambda x, *, m: (None, setting(1.0, m=m)), length=3)(m=m)[1][2],
    "while_loop": lambda m: pxf.while_loop(
        lambda i, x, *, m: (i + 1, setting(1.0, m=m)), lambda i, x, *, m: i < m.factor.get()
    )(0, 0.0, m=m)[1],
    "cond": lambda m: pxf.cond(lambda *, m: setting(1.0, m=m), lambda *, m: m.p * m.factor.get())(True, m=m),
    "switch": lambda m: pxf.switch([lambda *, m: setting(0.5, m=m), lambda *, m: setting(1.0, m=m)])(1, m=m),
    "jit": lambda m: pxf.jit()(lambda *, m: setting(1.0, m=m))(m=m),
    "vmap": lambda m: pxf.vmap(in_axes=0)(setting)(jnp.ones(2), m=m)[0],
}


@pytest.mark.parametrize("outer", [lambda f: f, pxf.jit(), pxf.value_and_grad(has_aux=True)])
@pytest.mark.parametrize("name", INSIDE)
def test_every_transform_keeps_what_is_set_to_itself(name, outer):
    m = Scaled()

    def fn(*, m):
        before = m.factor.get()
        out = INSIDE[name](m)
        assert m.factor.get() == before
        return jnp.zeros(()), out

    for value in (2.0, 5.0, 2.0):
        m.factor.set(value)
        out = jax.tree.leaves(outer(fn)(m=m))[1]
        assert float(out) == (value + 1.0) * 3.0
        assert m.factor.get() == m.same.get() == value
