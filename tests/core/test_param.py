"""Params: boxes, operators, facts, dicts."""

import math
import operator
import pickle

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import pytest

import pcx as px


def test_get_and_set():
    p = px.Param(1.0)
    assert p.get() == 1.0
    assert p.set(jnp.ones(2)) is p
    assert p.shape == (2,)
    assert p.dtype == jnp.float32
    assert p.ndim == 1
    q = px.Param(p)
    assert q.get() is p.get()
    assert px.get(p) is p.get()
    assert px.get(3) == 3
    assert px.set(p, q) is p
    assert px.set(3, q) is q
    assert px.Param().get() is None


@pytest.mark.parametrize("name", ["shape", "dtype", "ndim"])
def test_what_holds_nothing_has_no_shape(name):
    with pytest.raises(AttributeError, match=rf"Param has no static attribute '{name}', and neither has its value"):
        getattr(px.Param(), name)
    assert not hasattr(px.ParamDict(None), name)
    assert hasattr(px.Param(1.0), name)


BINARY = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "lt", "le", "eq", "ne", "gt", "ge"]
INTEGER = ["and_", "or_", "xor", "lshift", "rshift"]


@pytest.mark.parametrize("name", BINARY + INTEGER)
def test_binary_operators_reach_through(name):
    op = getattr(operator, name)
    a, b = jnp.array([5, 3, 2]), jnp.array([2, 3, 1])
    for x, y in [(px.Param(a), b), (a, px.Param(b)), (px.Param(a), px.Param(b)), (np.asarray(a), px.Param(b))]:
        got = op(x, y)
        assert not isinstance(got, px.Param)
        np.testing.assert_allclose(got, op(a, b))


@pytest.mark.parametrize("name", ["iadd", "isub", "imul", "itruediv", "ifloordiv", "imod", "ipow", "imatmul"])
def test_augmented_operators_change_the_box(name):
    a, b = jnp.array([[5.0, 3.0], [1.0, 2.0]]), jnp.array([[2.0, 3.0], [4.0, 1.0]])
    p = px.Param(a)
    assert getattr(operator, name)(p, px.Param(b)) is p
    np.testing.assert_allclose(p.get(), getattr(operator, name[1:])(a, b), rtol=1e-6)


def test_other_operators():
    p, a = px.Param(jnp.array([-1.5, 2.5])), jnp.array([-1.5, 2.5])
    np.testing.assert_array_equal(-p, -a)  # pyright: ignore[reportOperatorIssue]
    np.testing.assert_array_equal(+p, a)  # pyright: ignore[reportOperatorIssue]
    np.testing.assert_array_equal(abs(p), abs(a))  # pyright: ignore[reportArgumentType]
    np.testing.assert_array_equal(round(p), jnp.round(a))
    np.testing.assert_array_equal(~px.Param(jnp.array([1, 2])), ~jnp.array([1, 2]))  # pyright: ignore[reportOperatorIssue]
    np.testing.assert_array_equal(divmod(p, 2)[1], divmod(a, 2)[1])
    np.testing.assert_array_equal(divmod(5.0, p)[0], divmod(5.0, a)[0])
    assert len(p) == 2
    assert [float(v) for v in p] == [-1.5, 2.5]
    assert p[1] == 2.5
    assert p[px.Param(0)] == -1.5
    assert float(px.Param(jnp.float32(2))) == 2.0
    assert int(px.Param(2.7)) == 2
    assert list(range(px.Param(3))) == [0, 1, 2]
    assert (math.floor(px.Param(2.5)), math.ceil(px.Param(2.5)), math.trunc(px.Param(2.5))) == (2, 3, 2)
    np.testing.assert_array_equal(np.asarray(p), a)
    np.testing.assert_array_equal(jnp.sum(p), 1.0)  # pyright: ignore[reportArgumentType]
    assert p.sum() == 1.0
    assert p.T.shape == (2,)


def test_no_truth_value():
    with pytest.raises(TypeError, match="truth"):
        bool(px.Param(1))


def test_facts():
    p, q = px.Param(1.0), px.Param(1.0)
    p.frozen = True
    assert p.frozen is True
    assert not hasattr(q, "frozen")
    assert jtu.tree_structure(p) != jtu.tree_structure(q)
    q.frozen = True
    assert jtu.tree_structure(p) == jtu.tree_structure(q)
    del p.frozen
    with pytest.raises(AttributeError):
        _ = p.frozen
    with pytest.raises(AttributeError):
        del p.frozen
    with pytest.raises(AttributeError):
        p.shape = 3  # pyright: ignore[reportAttributeAccessIssue]


def test_a_fact_may_be_called_as_the_values_attribute():
    p = px.Param(jnp.ones(2))
    p.T = "mine"
    assert p.T == "mine"


def test_pytree_and_pickle():
    p = px.Param(jnp.ones(2))
    p.tag = "x"
    doubled = jtu.tree_map(lambda v: v * 2, p)
    assert type(doubled) is px.Param
    assert doubled.tag == "x"
    np.testing.assert_array_equal(doubled.get(), 2)
    copied = pickle.loads(pickle.dumps(p))
    assert copied.tag == "x"
    np.testing.assert_array_equal(copied.get(), 1)

    class Mine(px.Param):
        pass

    assert type(jtu.tree_map(lambda v: v, Mine(1.0))) is Mine
    assert jax.jit(lambda p: p + 1)(p).shape == (2,)


@pytest.mark.parametrize("cls", [px.ParamDict, px.ParamCache])
def test_dicts(cls):
    d = cls()
    assert "a" not in d
    assert d.get("a", 3) == 3
    with pytest.raises(KeyError):
        d["a"]
    d["a"] = px.Param(1.0)
    before = d.get()
    d["b"] = 2.0
    assert before == {"a": 1.0}
    assert dict(d.get()) == {"a": 1.0, "b": 2.0}
    assert list(d) == ["a", "b"]
    assert len(d) == 2
    del d["a"]
    assert "a" not in d
    with pytest.raises(KeyError):
        del d["a"]
    d.set(None)
    assert d.get() is None
    assert "b" not in d
    assert len(d) == 0
    d["c"] = 1.0
    assert d["c"] == 1.0
