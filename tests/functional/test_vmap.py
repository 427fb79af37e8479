"""vmap: mapping over a batch axis."""

# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pcx as px
import pcx.functional as pxf
import pcx.utils as pxu


class Hidden(px.Param):
    pass


class Model(px.Module):
    def __init__(self, h=None):
        super().__init__()
        self.w = px.Param(jnp.arange(3.0))
        self.h = Hidden(h)
        self.n = 2.0


MASK = pxu.M(Hidden).to((None, 0))
X = jnp.arange(12.0).reshape(4, 3)


@pytest.mark.parametrize("in_axes", [0, (1, 0), [None, 1]])
@pytest.mark.parametrize("out_axes", [0, (0, 1)])
def test_like_jax(in_axes, out_axes):
    def fn(x, y):
        return x * 2 + y.sum(), x - 1

    x = jnp.arange(9.0).reshape(3, 3)
    if not isinstance(in_axes, (tuple, list)):
        in_axes = (in_axes, in_axes)
    got = pxf.vmap({}, in_axes=in_axes, out_axes=out_axes)(fn)(x, x)
    jax.tree.map(np.testing.assert_allclose, got, jax.vmap(fn, tuple(in_axes), out_axes)(x, x))


def test_none_and_trees_as_arguments():
    fn = pxf.vmap(in_axes=0)(lambda x, y, d: (x + d["a"], y))
    out, none = fn(jnp.ones(2), None, {"a": jnp.arange(2.0)})
    np.testing.assert_array_equal(out, [1, 2])
    assert none is None
    out = pxf.vmap(in_axes=(None, {"a": 0, "b": None}))(lambda x, d: x + d["a"] + d["b"])(
        1.0, {"a": jnp.arange(2.0), "b": 1.0}
    )
    np.testing.assert_array_equal(out, [2, 3])


@pytest.mark.parametrize(
    "mask",
    [
        MASK,
        {"m": MASK, "k": MASK},
        {("m", "k"): MASK},
        lambda objects: MASK(objects),
        {("m", "k"): lambda m: MASK(m)},
    ],
    ids=["mask", "dict", "tuple", "callable", "callable by keyword"],
)
@pytest.mark.parametrize("fresh", [True, False])
def test_params_follow_the_mask(mask, fresh):
    def fn(x, *, m, k):
        m.h.set(x * m.w + k.h.get())
        return m.h.sum()

    m, k = Model(None if fresh else jnp.zeros((4, 3))), Model(X)
    out = pxf.vmap(mask, in_axes=0)(fn)(X, m=m, k=k)
    expected = X * jnp.arange(3.0) + X
    np.testing.assert_allclose(m.h.get(), expected)
    np.testing.assert_allclose(out, expected.sum(1))
    np.testing.assert_array_equal(m.w.get(), jnp.arange(3.0))


def test_other_axes():
    m = Model(X)
    pxf.vmap({"m": pxu.M(Hidden).to((None, 1))})(lambda *, m: (m.h.set(m.h * 2), None)[1])(m=m)
    np.testing.assert_array_equal(m.h.get(), X * 2)
    pxf.vmap({"m": pxu.M(Hidden).to((None, -1))})(lambda *, m: (m.h.set(m.h[:2]), None)[1])(m=m)
    assert m.h.shape == (2, 3)
    pxf.vmap({"m": 0})(lambda *, m: (m.set(m.get() + 1), None)[1])(m=(p := px.Param(X)))
    np.testing.assert_array_equal(p.get(), X + 1)


def test_keywords_alone():
    m = Model(X)
    out = pxf.vmap(MASK)(lambda *, m: m.h.sum())(m=m)
    np.testing.assert_allclose(out, X.sum(1))
    with pytest.raises(ValueError, match="nothing is mapped"):
        pxf.vmap(MASK)(lambda *, m: 1.0)(m=Model())


def test_the_size_from_a_param_that_is_written_before_it_is_read_inside_jit():
    m = Model(X)
    j = pxf.jit()(lambda y, *, m: (pxf.vmap(MASK)(lambda *, m: (m.h.set(m.w * 2), None)[1])(m=m), y)[1])
    for n, batch in [(1, 4), (2, 4), (3, 5)]:
        m.h.set(jnp.zeros((batch, 3)))
        j(jnp.ones(n), m=m)
        np.testing.assert_array_equal(m.h.get(), jnp.tile(jnp.arange(3.0) * 2, (batch, 1)))


def test_arrays_and_numbers_by_keyword():
    fn = pxf.vmap({"x": 0, "n": None})(lambda *, x, n: x * n)
    np.testing.assert_allclose(fn(x=X, n=2.0), X * 2)
    m = Model(X)
    m.table = X
    out = pxf.vmap({"m": pxu.M(lambda v: isinstance(v, jax.Array) or type(v) is Hidden).to((None, 0))})(
        lambda *, m: m.table.sum() + m.h.sum()
    )(m=m)
    np.testing.assert_allclose(out, 2 * X.sum(1))


def test_a_stale_value_of_another_batch_is_an_error_only_if_read():
    m = Model(jnp.zeros((7, 3)))
    pxf.vmap(MASK, in_axes=0)(lambda x, *, m: m.h.set(x).sum())(X, m=m)
    assert m.h.shape == (4, 3)
    m = Model(jnp.zeros((7, 3)))
    with pytest.raises(ValueError, match=r"m\.h was read before it was set"):
        pxf.vmap(MASK, in_axes=0)(lambda x, *, m: m.h + x)(X, m=m)
    assert m.h.shape == (7, 3)


def test_unmapped_params():
    m = Model()
    pxf.vmap(in_axes=0)(lambda x, *, m: (m.w.set(m.w * 2), x)[1])(X, m=m)
    np.testing.assert_array_equal(m.w.get(), jnp.arange(3.0) * 2)
    with pytest.raises(ValueError, match="differs over the batch"):
        pxf.vmap(in_axes=0)(lambda x, *, m: (m.w.set(x), x)[1])(X, m=m)
    np.testing.assert_array_equal(m.w.get(), jnp.arange(3.0) * 2)
    total = pxf.vmap(in_axes=0, out_axes=None, axis_name="batch")(lambda x, *, m: jax.lax.psum(m.w @ x, "batch"))
    np.testing.assert_allclose(total(X, m=m), (X @ m.w.get()).sum())


def test_shared_params_take_the_first_word():
    m = Model(X)
    m.again = m.h
    m.list = [m.h, {"x": m.h}]

    def fn(*, m):
        assert m.again is m.h
        assert m.list[1]["x"] is m.h
        m.again += 1
        m.list[0] += 1

    pxf.vmap(pxu.M(Hidden).to((None, 0)))(fn)(m=m)
    np.testing.assert_array_equal(m.h.get(), X + 2)


def test_dicts_in_params():
    m = Model(X)
    m.cache = px.ParamCache({"a": X})
    held = m.cache.get()

    def fn(*, m):
        m.cache["b"] = m.cache["a"].sum()
        m.cache.get()["c"] = m.h.sum()

    pxf.vmap(pxu.M(Hidden | px.ParamCache).to((None, 0)))(fn)(m=m)
    np.testing.assert_allclose(m.cache["b"], X.sum(1))
    assert list(held) == ["a"]


def test_masks_that_do_not_fit():
    m = Model(X)
    with pytest.raises(ValueError, match="'other'"):
        pxf.vmap({"other": 0})(lambda *, m: 1.0)(m=m)
    with pytest.raises(ValueError, match="expected an axis"):
        pxf.vmap({"m": True})(lambda *, m: 1.0)(m=m)
    with pytest.raises(ValueError, match="in_axes"):
        pxf.vmap(in_axes=(0, 0))(lambda x: x)(X)
    with pytest.raises(ValueError, match="differ in size"):
        pxf.vmap(in_axes=0)(lambda x, y: x)(X, jnp.ones(3))
    other = Model(X)
    other.extra = px.Param(X)
    with pytest.raises(ValueError, match="extra"):
        pxf.vmap({"m": MASK(m)})(lambda *, m: m.h.sum())(m=other)


def test_an_exception_changes_nothing():
    m = Model(X)
    m.cache = px.ParamDict({"a": jnp.ones(2)})
    held = m.cache.get()

    def fn(x, *, m):
        m.h.set(x)
        m.cache.get()["b"] = x
        raise RuntimeError

    with pytest.raises(RuntimeError):
        pxf.vmap(MASK, in_axes=0)(fn)(X, m=m)
    assert m.h.get() is X
    assert m.cache.get() is held
    assert list(held) == ["a"]
    assert m.h._mark is None
