"""scan and while_loop."""

# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pcx as px
import pcx.functional as pxf


class Model(px.Module):
    def __init__(self):
        super().__init__()
        self.w = px.Param(jnp.arange(3.0))
        self.acc = px.Param(jnp.zeros(3))
        self.h = px.Param(None)
        self.again = [self.acc]
        self.n = 2


XS = jnp.arange(12.0).reshape(4, 3)


def step(x, c, *, m):
    m.again[0] += m.w * x
    m.h.set(m.acc * c)
    return c + x.sum(), m.h.sum()


def plain(c, xs, w, acc, reverse=False):
    def body(state, x):
        c, acc = state
        acc = acc + w * x
        return (c + x.sum(), acc), (acc * c).sum()

    (c, acc), ys = jax.lax.scan(body, (c, acc), xs, reverse=reverse)
    return c, acc, ys


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("unroll", [1, 2, True])
def test_scan_like_jax(reverse, unroll):
    m = Model()
    (c,), ys = pxf.scan(step, xs=XS, reverse=reverse, unroll=unroll)(1.0, m=m)
    expected_c, acc, expected_ys = plain(1.0, XS, m.w.get(), jnp.zeros(3), reverse)
    np.testing.assert_allclose(c, expected_c)
    np.testing.assert_allclose(ys, expected_ys)
    np.testing.assert_allclose(m.acc.get(), acc)
    assert m.again[0] is m.acc
    assert m.h.shape == (3,)
    np.testing.assert_array_equal(m.w.get(), jnp.arange(3.0))


def test_scan_forms():
    assert pxf.scan(lambda x, a, b: ((b, a), None), length=3)(1, 2) == ((2, 1), None)
    carry, ys = pxf.scan(lambda x, *, p: (None, p.set(p + 1).get()), length=3)(p=(p := px.Param(0.0)))
    assert carry == ()
    np.testing.assert_array_equal(ys, [1, 2, 3])
    assert p.get() == 3
    (c,), ys = pxf.scan(lambda x, c: (c + x["a"], x["b"]), xs={"a": jnp.arange(3), "b": jnp.ones((3, 2))})(0)
    assert c == 3
    assert ys.shape == (3, 2)


def test_scan_of_no_steps():
    m = Model()
    (c,), ys = pxf.scan(step, xs=jnp.zeros((0, 3)))(1.0, m=m)
    assert c == 1.0
    assert ys.shape == (0,)
    assert m.h.get() is None
    np.testing.assert_array_equal(m.acc.get(), 0)


def test_scan_compiles_in_constant_size():
    def jaxpr(n):
        def fn(acc):
            m = Model()
            m.acc.set(acc)
            pxf.scan(step, xs=jnp.zeros((n, 3)))(1.0, m=m)
            return m.acc.get()

        return len(str(jax.make_jaxpr(fn)(jnp.zeros(3))).splitlines())

    assert jaxpr(2) == jaxpr(50)


def test_scan_refusals():
    with pytest.raises(ValueError, match="xs or length"):
        pxf.scan(step)
    with pytest.raises(ValueError, match="first axis"):
        pxf.scan(step, xs=(jnp.ones(2), jnp.ones(3)))
    with pytest.raises(ValueError, match="length=3"):
        pxf.scan(step, xs=XS, length=3)
    with pytest.raises(TypeError, match=r"\(carry, y\)"):
        pxf.scan(lambda x, c: c, length=2)(1.0)
    m = Model()
    with pytest.raises(ValueError, match=r"m\.acc"):
        pxf.scan(lambda x, *, m: (None, m.acc.set(jnp.concatenate([m.acc.get()] * 2)).sum()), length=2)(m=m)
    with pytest.raises(ValueError, match=r"m\.h"):
        pxf.scan(lambda x, *, m: (None, m.h.set(m.w if m.h.get() is None else m.h).sum()), length=2)(m=m)
    with pytest.raises((TypeError, ValueError), match="carry"):
        pxf.scan(lambda x, c: (jnp.ones(2), None), length=2)(1.0)
    np.testing.assert_array_equal(m.acc.get(), 0)


def test_while_like_jax():
    m = Model()
    j = pxf.while_loop(
        lambda i, x, *, m: (i + 1, m.again[0].set(m.acc + m.w * x).sum()),
        lambda i, x, *, m: (m.acc.sum() < 50) & (i < 9),
    )
    i, x = j(0, 1.0, m=m)

    def body(state):
        i, x, acc = state
        acc = acc + jnp.arange(3.0) * x
        return i + 1, acc.sum(), acc

    expected = jax.lax.while_loop(lambda s: (s[2].sum() < 50) & (s[0] < 9), body, (0, 1.0, jnp.zeros(3)))
    assert i == expected[0]
    np.testing.assert_allclose(x, expected[1])
    np.testing.assert_allclose(m.acc.get(), expected[2])


def test_while_forms():
    p = px.Param(0)
    assert pxf.while_loop(lambda *, p: (p.set(p + 1), None)[1], lambda *, p: p < 5)(p=p) == ()
    assert p.get() == 5
    assert pxf.while_loop(lambda i: i + 1, lambda i: i < 0)(3) == (3,)
    drawn = pxf.while_loop(lambda i: i + 1, lambda i: jax.random.uniform(px.RKG.key.get()) < -1)(3)
    assert drawn == (3,)


def test_a_condition_does_not_change_params():
    m = Model()
    pxf.while_loop(lambda i, *, m: i + 1, lambda i, *, m: (m.acc.set(m.acc + 1).sum() >= 0) & (i < 3))(0, m=m)
    np.testing.assert_array_equal(m.acc.get(), 0)


def test_while_refusals():
    m = Model()
    with pytest.raises(ValueError, match=r"m\.h"):
        pxf.while_loop(lambda i, *, m: (m.h.set(m.w.get()), i + 1)[1], lambda i, *, m: i < 3)(0, m=m)
    with pytest.raises(ValueError, match="scalar"):
        pxf.while_loop(lambda i: i, lambda i: i < jnp.ones(2))(0)
    assert m.h.get() is None


@pytest.mark.parametrize("loop", ["scan", "while"])
def test_exceptions_change_nothing(loop):
    m = Model()
    m.cache = px.ParamDict({"a": jnp.ones(2)})
    held, acc = m.cache.get(), m.acc.get()

    def fail(*args, m):
        m.acc += 1
        m.cache.get()["b"] = m.acc.get()
        raise RuntimeError

    call = pxf.scan(fail, length=2) if loop == "scan" else pxf.while_loop(fail, lambda *a, m: True)
    with pytest.raises(RuntimeError):
        call(m=m)
    assert m.acc.get() is acc
    assert list(held) == ["a"]


def test_dicts_changed_in_place_inside():
    d = px.ParamDict({"a": jnp.array(0.0)})
    held = d.get()

    def fn(x, *, d):
        d.get()["a"] = d["a"] + 1
        return None, d["a"]

    _, ys = pxf.scan(fn, length=3)(d=d)
    np.testing.assert_array_equal(ys, [1, 2, 3])
    assert d["a"] == 3
    assert held == {"a": 0.0}
