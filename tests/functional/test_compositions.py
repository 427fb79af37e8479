"""Transforms inside transforms, and random trees."""

# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false

import copy
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pcx as px
import pcx.functional as pxf
import pcx.utils as pxu


class Weight(px.Param):
    pass


class Hidden(px.Param):
    pass


BATCH = pxu.M(Hidden).to((None, 0))
X = jnp.arange(12.0).reshape(4, 3) / 10


class Pair(px.Module):
    def __init__(self, h=None):
        super().__init__()
        self.w = Weight(jnp.array([1.0, 2.0, 3.0]))
        self.h = Hidden(h)
        self.again = [self.w, self.h]


def energy(x, *, m):
    return jnp.sum((m.h * m.again[0] - x) ** 2)


def pure_energy(h, w, x):
    return jnp.sum((h * w - x) ** 2)


@pytest.mark.parametrize("compiled", [False, True])
def test_vmap_of_grad(compiled):
    m = Pair(X + 1)

    def each(x, *, m):
        value, grads = pxf.value_and_grad(pxu.M(Hidden | Weight).to((False, True)))(energy)(x, m=m)
        m.again[1].set(m.h - 0.1 * grads["m"].h)
        return value, grads["m"].w.get()

    call = pxf.vmap(BATCH, in_axes=0)(each)
    if compiled:
        inner = call
        call = pxf.jit()(lambda x, *, m: inner(x, m=m))
    value, gw = call(X, m=m)
    h, w = X + 1, m.w.get()
    expected, (gh, expected_gw) = jax.vmap(jax.value_and_grad(pure_energy, (0, 1)), (0, None, 0))(h, w, X)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    np.testing.assert_allclose(gw, expected_gw, rtol=1e-5)
    np.testing.assert_allclose(m.h.get(), h - 0.1 * gh, rtol=1e-6)
    assert m.again[1] is m.h


def test_jit_of_scan_of_grad_of_vmap():
    def total(x, *, m):
        each = pxf.vmap(BATCH, in_axes=0, out_axes=None, axis_name="batch")
        return each(lambda x, *, m: jax.lax.psum(energy(x, m=m), "batch"))(x, m=m)

    def step(_, x, *, m):
        value, grads = pxf.value_and_grad(pxu.M(Hidden).to((False, True)))(total)(x, m=m)
        m.h.set(m.h - 0.05 * grads["m"].h)
        return x, value

    call = pxf.jit()(lambda x, *, m: pxf.scan(step, length=5)(x, m=m)[1])
    m = Pair(jnp.ones((4, 3)))

    def pure(h):
        def body(h, _):
            value, g = jax.value_and_grad(lambda h: sum(pure_energy(h[i], m.w.get(), X[i]) for i in range(4)))(h)
            return h - 0.05 * g, value

        return jax.lax.scan(body, h, None, 5)

    expected_h, expected = pure(m.h.get())
    np.testing.assert_allclose(call(X, m=m), expected, rtol=1e-5)
    np.testing.assert_allclose(m.h.get(), expected_h, rtol=1e-5, atol=1e-6)
    second_h, second = pure(expected_h)
    np.testing.assert_allclose(call(X, m=m), second, rtol=1e-4)
    np.testing.assert_allclose(m.h.get(), second_h, rtol=1e-4, atol=1e-6)
    assert call.n_traces == 1


def test_grad_of_scan():
    def roll(x, *, m):
        def body(_, c, *, m):
            m.h.set(c)
            return c * m.w + x, None

        (c,), _ = pxf.scan(body, length=3)(x, m=m)
        return jnp.sum(c)

    m = Pair(jnp.ones(3))
    value, (gx, grads) = pxf.value_and_grad(pxu.M(Weight).to((False, True)), argnums=0)(roll)(X[0], m=m)

    def pure(w, x):
        c = x
        for _ in range(3):
            c = c * w + x
        return jnp.sum(c)

    expected, (gw, expected_gx) = jax.value_and_grad(pure, (0, 1))(m.w.get(), X[0])
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    np.testing.assert_allclose(grads["m"].w.get(), gw, rtol=1e-5)
    np.testing.assert_allclose(gx, expected_gx, rtol=1e-5)


def test_vmap_inside_vmap():
    m = Pair(jnp.ones((2, 4, 3)))

    def inner(x, *, m):
        m.h.set(m.h * x + m.w.get())
        return m.h.sum()

    call = pxf.vmap(BATCH, in_axes=0)(lambda x, *, m: pxf.vmap(BATCH, in_axes=0)(inner)(x, m=m))
    x = jnp.stack([X, X + 1])
    out = call(x, m=m)
    expected = x + m.w.get()
    np.testing.assert_allclose(m.h.get(), expected, rtol=1e-6)
    np.testing.assert_allclose(out, expected.sum(-1), rtol=1e-6)


@pytest.mark.parametrize("compiled", [False, True])
def test_cond_and_switch_inside_scan_inside_vmap(compiled):
    def up(x, *, m):
        m.h += x

    def down(x, *, m):
        m.h.set(m.again[1] - 2 * x)

    def step(i, *, m):
        pxf.cond(up, down)(m.h.sum() < 1.0, 0.5, m=m)
        pxf.switch([up, down, lambda x, *, m: None])(i, 0.25, m=m)
        return None, m.h.sum()

    def call(*, m):
        return pxf.vmap(BATCH)(lambda *, m: pxf.scan(step, xs=jnp.arange(3))(m=m)[1])(m=m)

    m = Pair(X)
    ys = (pxf.jit()(call) if compiled else call)(m=m)
    expected, rows = np.asarray(X).copy(), []
    for i in range(3):
        expected = np.where(expected.sum(1, keepdims=True) < 1.0, expected + 0.5, expected - 1.0)
        expected = expected + [0.25, -0.5, 0.0][i]
        rows.append(expected.sum(1))
    np.testing.assert_allclose(m.h.get(), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ys, np.stack(rows, 1), rtol=1e-5, atol=1e-6)


def test_while_inside_vmap_inside_jit():
    def grow(*, m):
        m.h *= 2

    @pxf.jit()
    def call(*, m):
        loop = pxf.while_loop(grow_step, lambda n, *, m: m.h.sum() < 20)
        return pxf.vmap(BATCH)(lambda *, m: loop(0, m=m)[0])(m=m)

    def grow_step(n, *, m):
        grow(m=m)
        return n + 1

    m = Pair(jnp.ones((4, 3)) * jnp.array([1.0, 2.0, 4.0, 8.0])[:, None])
    np.testing.assert_array_equal(call(m=m), [3, 2, 1, 0])
    np.testing.assert_array_equal(m.h.get(), jnp.full((4, 3), 8.0))


def test_jit_inside_everything():
    inner = pxf.jit()(lambda x, *, m: m.h.set(m.h * m.w + x).sum())
    plain = inner.fn
    forms = {
        "jit": lambda f: lambda m: pxf.jit()(lambda *, m: f(1.0, m=m))(m=m),
        "grad": lambda f: (
            lambda m: pxf.value_and_grad(pxu.M(Weight).to((False, True)))(lambda *, m: f(1.0, m=m))(m=m)[1]["m"].w.get()
        ),
        "vmap": lambda f: lambda m: pxf.vmap(in_axes=0)(lambda x, *, m: (f(1.0, m=m), x)[1])(X, m=m),
        "scan": lambda f: lambda m: pxf.scan(lambda x, *, m: (None, f(x, m=m)), xs=jnp.arange(3.0))(m=m)[1],
        "cond": lambda f: lambda m: pxf.cond(f, lambda x, *, m: x)(True, 1.0, m=m),
        "while": lambda f: (
            lambda m: pxf.while_loop(lambda i, *, m: (f(1.0, m=m), i + 1)[1], lambda i, *, m: i < 3)(0, m=m)
        ),
    }
    for form in forms.values():
        a, b = Pair(jnp.ones(3)), Pair(jnp.ones(3))
        for _ in range(2):
            jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5), form(inner)(a), form(plain)(b))
        np.testing.assert_allclose(a.h.get(), b.h.get(), rtol=1e-5)
        assert not isinstance(a.h.get(), jax.core.Tracer)


def test_objects_made_inside():
    def fn(x):
        m = Pair(x)
        _, grads = pxf.value_and_grad(pxu.M(Hidden).to((False, True)))(energy)(x, m=m)
        return pxf.scan(lambda _, *, m: (None, m.h.set(m.h + 1).sum()), length=2)(m=m)[1], grads["m"].h.get()

    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), pxf.jit()(fn)(X[0]), fn(X[0]))


def test_objects_captured_rather_than_given():
    m = Pair(jnp.ones(3))
    out = pxf.vmap(in_axes=0)(lambda x: jnp.sum(m.w * x))(X)
    np.testing.assert_allclose(out, X @ m.w.get())


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_exceptions_from_any_depth(depth):
    m = Pair(X)
    before = m.h.get(), m.w.get(), np.asarray(px.RKG.key.get())

    def fail(*args, m):
        m.h.set(m.h * 2)
        m.again[0].set(m.w.get() * px.RKG()[0])
        raise RuntimeError("inside")

    layers = [
        lambda f: lambda *, m: pxf.scan(f, length=2)(m=m),
        lambda f: lambda *, m: pxf.value_and_grad(pxu.M(Weight).to((False, True)))(lambda *, m: f(m=m))(m=m),
        lambda f: lambda *, m: pxf.vmap(BATCH)(lambda *, m: f(m=m))(m=m),
    ]
    call = fail
    for layer in layers[:depth]:
        call = layer(call)
    for top in (call, pxf.jit()(call)):
        with pytest.raises(RuntimeError, match="inside"):
            top(m=m)
        assert m.h.get() is before[0]
        assert m.w.get() is before[1]
        np.testing.assert_array_equal(px.RKG.key.get(), before[2])
        assert all(p._mark is None for p in (m.h, m.w, px.RKG.key))


# -- random trees ---------------------------------------------------------------------------------------


class Node(px.Module):
    pass


@st.composite
def trees(draw):
    """A module of modules, lists, dicts and tuples in which params and modules are referred to several times."""
    params = [px.Param(float(i)) for i in range(draw(st.integers(1, 4)))]
    made: list[Any] = list(params)
    for i in range(draw(st.integers(1, 6))):
        kind = draw(st.sampled_from(["module", "list", "dict", "tuple", "number", "static"]))
        items = draw(st.lists(st.sampled_from(made), min_size=1, max_size=3))
        if kind == "module":
            node = Node()
            for name, item in zip("abc", items, strict=False):
                setattr(node, name, item)
            made.append(node)
        elif kind == "number":
            made.append(0.5 + i)
        elif kind == "static":
            made.append(px.static(("s", i)))
        else:
            as_dict = {f"k{j}": item for j, item in enumerate(items)}
            made.append({"list": list(items), "tuple": tuple(items), "dict": as_dict}[kind])
    root = Node()
    root.all = made
    root.p = params[0]
    return root


def update(*, tree):
    for i, p in enumerate(px.tree_extract(tree)):
        p.set(p * 2.0 + i)
    return sum((p.get() for p in px.tree_extract(tree, is_pytree=True)), 0.0)


def read(tree):
    return [float(p.get()) for p in px.tree_extract(tree)]


def shape_of(tree):
    """Who refers to whom."""
    order: dict[int, int] = {}
    return [order.setdefault(id(p), len(order)) for p in px.tree_extract(tree, is_pytree=True)]


@pytest.mark.hasty
@settings(max_examples=15, deadline=None)
@given(trees())
def test_a_compiled_update_is_the_eager_one(tree):
    before, refs = read(tree), shape_of(tree)
    expected_out = update(tree=tree)
    expected = read(tree)
    for transform in (
        pxf.jit()(update),
        lambda *, tree: pxf.scan(lambda _, *, tree: (None, update(tree=tree)), length=1)(tree=tree)[1][0],
    ):
        px.tree_inject(tree, values=before)
        out = transform(tree=tree)
        np.testing.assert_allclose(out, expected_out, rtol=1e-6)
        np.testing.assert_allclose(read(tree), expected, rtol=1e-6)
        assert shape_of(tree) == refs


@settings(max_examples=40, deadline=None)
@given(trees())
def test_extract_inject_ref_unref(tree):
    values, refs = read(tree), shape_of(tree)
    assert len(values) == len(set(refs))
    back = px.tree_unref(px.tree_ref(tree))
    assert read(back) == values
    assert shape_of(back) == refs
    assert len(jax.tree.leaves(px.tree_ref(tree), is_leaf=lambda x: isinstance(x, px.BaseParam))) >= len(values)
    assert [id(p) for p in px.tree_extract(back)] == [id(p) for p in px.tree_extract(tree)]  # the very same params
    other = copy.deepcopy(tree)
    px.tree_inject(back, values=[v + 1 for v in values])
    assert read(tree) == [v + 1 for v in values]
    assert read(other) == values
    px.tree_inject(other, params=back)
    assert read(other) == [v + 1 for v in values]
    with pytest.raises(ValueError, match="few"):
        px.tree_inject(tree, values=values[1:])
