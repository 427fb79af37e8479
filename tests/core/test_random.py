"""Random keys as state, through every transform."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pcx as px
import pcx.functional as pxf


@pytest.fixture(autouse=True)
def _seeded():
    px.RKG.seed(0)
    yield
    assert px.RKG.key._mark is None


def concrete(rkg=px.RKG):
    key = rkg.key.get()
    assert isinstance(key, jax.Array)
    assert not isinstance(key, jax.core.Tracer)  # pyright: ignore[reportAttributeAccessIssue]
    assert key.shape == (2,)
    assert key.dtype == jnp.uint32
    return np.asarray(key)


def distinct(keys, n):
    assert len(np.unique(np.asarray(keys).reshape(-1, 2), axis=0)) == n


def test_generator():
    a, b = px.RandomKeyGenerator(3), px.RandomKeyGenerator(3)
    np.testing.assert_array_equal(a(), b())
    assert a().shape == (2,)
    assert [a(n).shape for n in (0, 1, 3)] == [(0, 2), (1, 2), (3, 2)]
    assert a.key.split(2).shape == (2, 2)
    distinct(jnp.concatenate([a()[None], a(4), a()[None]]), 6)
    a.seed(3)
    np.testing.assert_array_equal(a.key.get(), px.RandomKeyGenerator(3).key.get())
    a.key.seed(4)
    np.testing.assert_array_equal(a.key.get(), px.RandomKeyGenerator(4).key.get())
    a.seed(3)
    np.testing.assert_array_equal(a.key.get(), px.RandomKeyGenerator(3).key.get())
    np.testing.assert_array_equal(px.RandomKeyGenerator(0).key.get(), concrete())


def draw(x, *, rkg=None):
    return x, (px.RKG if rkg is None else rkg)()


@pytest.mark.hasty
@pytest.mark.parametrize("own", [False, True])
def test_every_transform_moves_the_key_on(own):
    rkg = px.RandomKeyGenerator(0) if own else px.RKG
    kw = {"rkg": rkg} if own else {}
    seen = [concrete(rkg)]
    drawn = []

    def check(keys, n):
        drawn.append(np.asarray(keys).reshape(-1, 2))
        assert drawn[-1].shape == (n, 2)
        seen.append(concrete(rkg))

    x = jnp.zeros(3)
    check(pxf.jit()(draw)(x, **kw)[1], 1)
    check(pxf.jit()(draw)(x, **kw)[1], 1)
    check(pxf.vmap(in_axes=0)(draw)(x, **kw)[1], 3)
    check(
        pxf.scan(draw, xs=x)(**kw)[1] if False else pxf.scan(lambda x, **k: (None, draw(x, **k)[1]), xs=x)(**kw)[1], 3
    )
    check(pxf.value_and_grad(argnums=0, has_aux=True)(draw)(1.0, **kw)[0][1][0], 1)
    check(pxf.cond(draw, draw)(True, 1.0, **kw)[1], 1)
    check(pxf.switch([draw, draw])(1, 1.0, **kw)[1], 1)
    check(pxf.while_loop(lambda i, k, **w: (i + 1, draw(i, **w)[1]), lambda i, k, **w: i < 3)(0, seen[0], **kw)[1], 1)
    check(pxf.jit()(lambda x, **k: pxf.vmap(in_axes=0)(draw)(x, **k))(x, **kw)[1], 3)
    check(pxf.vmap(in_axes=0)(lambda x, **k: pxf.jit()(draw)(x, **k))(x, **kw)[1], 3)
    check(pxf.vmap(in_axes=0)(lambda x, **k: pxf.cond(draw, draw)(x > 0, x, **k))(x, **kw)[1], 3)
    grad = pxf.value_and_grad(argnums=0, has_aux=True)(draw)
    check(pxf.vmap(in_axes=0)(lambda x, **k: grad(x, **k)[0][1][0])(x, **kw), 3)
    twice = pxf.vmap(in_axes=0)(lambda x, **k: pxf.vmap(in_axes=0)(draw)(x, **k))
    check(twice(jnp.zeros((2, 3)), **kw)[1], 6)
    loop = pxf.scan(lambda x, **k: (None, pxf.vmap(in_axes=0)(draw)(jnp.zeros(2), **k)[1]), xs=x)
    check(loop(**kw)[1], 6)
    lanes = pxf.vmap(in_axes=0)(lambda y, **k: pxf.scan(lambda x, **m: (None, draw(x, **m)[1]), xs=x)(**k)[1])
    check(lanes(jnp.zeros(2), **kw), 6)
    every = np.concatenate(drawn)
    distinct(every, len(every))
    distinct(np.stack(seen), len(seen))


def test_the_same_keys_compiled_or_not():
    def fn(x):
        return pxf.vmap(in_axes=0)(lambda x: (px.RKG(), px.RKG(2)))(x), px.RKG()

    px.RKG.seed(5)
    eager, after = fn(jnp.zeros(2)), concrete()
    px.RKG.seed(5)
    compiled = pxf.jit()(fn)(jnp.zeros(2))
    jax.tree.map(np.testing.assert_array_equal, eager, compiled)
    np.testing.assert_array_equal(after, concrete())


def test_reading_after_a_nested_transform_in_a_lane_sees_the_lanes_key():
    def lane(x):
        inside = pxf.value_and_grad(argnums=0, has_aux=True)(lambda y: (y, px.RKG.key.get()))(x)[0][1][0]
        return inside, px.RKG.key.get()

    inside, after = pxf.vmap(in_axes=0)(lane)(jnp.ones(3))
    np.testing.assert_array_equal(inside, after)
    distinct(after, 3)


def test_a_vmap_that_draws_nothing_leaves_the_key():
    before = concrete()
    pxf.vmap(in_axes=0)(lambda x: x + 1)(jnp.ones(3))
    np.testing.assert_array_equal(before, concrete())


def test_seeding_inside():
    pxf.jit()(lambda: px.RKG.seed(7))()
    np.testing.assert_array_equal(concrete(), px.RandomKeyGenerator(7).key.get())
    pxf.vmap(in_axes=0)(lambda x: (px.RKG.seed(8), x)[1])(jnp.ones(2))
    np.testing.assert_array_equal(concrete(), px.RandomKeyGenerator(8).key.get())


def lanes_as_if_given(seed, n):
    return px.RandomKeyGenerator(seed)(n)


def by_vmap(fn, n, **kw):
    return pxf.vmap(in_axes=0)(fn)(jnp.arange(n), **kw)


def by_jit(fn, n, **kw):
    return pxf.jit()(pxf.vmap(in_axes=0)(fn))(jnp.arange(n), **kw)


def by_scan(fn, n, **kw):
    return pxf.scan(lambda _, **k: (None, by_vmap(fn, n, **k)), length=1)(**kw)[1][0]


def by_cond(fn, n, **kw):
    return pxf.cond(lambda **k: by_vmap(fn, n, **k), lambda **k: jnp.zeros((n, 2), jnp.uint32))(True, **kw)


HOW = pytest.mark.parametrize("how", [by_vmap, by_jit, by_scan, by_cond])


@HOW
@pytest.mark.parametrize("n", [1, 2, 5])
def test_lanes_have_the_keys_that_the_generator_gives(how, n):
    px.RKG.seed(5)
    got = how(lambda x: px.RKG.key.get(), n)
    np.testing.assert_array_equal(got, lanes_as_if_given(5, n))
    px.RKG.seed(5)
    drawn = how(lambda x: px.RKG(), n)
    each = [px.RandomKeyGenerator(0) for _ in range(n)]
    for rkg, key in zip(each, got, strict=True):
        rkg.key.set(key)
    np.testing.assert_array_equal(drawn, [rkg() for rkg in each])
    np.testing.assert_array_equal(concrete(), each[0].key.get())  # the first lane's goes on


@HOW
@pytest.mark.parametrize("order", ["seeded", "drawn and seeded", "seeded and drawn", "seeded by a call inside"])
@pytest.mark.parametrize("own", [False, True])
def test_what_lanes_seed_stays_seeded(how, order, own):
    rkg = px.RandomKeyGenerator(5) if own else px.RKG
    expected = px.RandomKeyGenerator(9)

    def lane(x, **kw):
        inside = kw.get("rkg", px.RKG)
        if order == "drawn and seeded":
            inside()
        if order == "seeded by a call inside":
            pxf.jit()(lambda **k: k.get("rkg", px.RKG).seed(9))(**kw)
        else:
            inside.seed(9)
        if order == "seeded and drawn":
            inside()
        return jnp.zeros(2, jnp.uint32)

    if order == "seeded and drawn":
        expected()
    for _ in range(2):
        how(lane, 3, **({"rkg": rkg} if own else {}))
        np.testing.assert_array_equal(concrete(rkg), expected.key.get())


def test_lanes_that_seed_each_its_own():
    def lane(x):
        px.RKG.seed(x)
        return px.RKG()

    drawn = by_vmap(lane, 3)
    np.testing.assert_array_equal(drawn, [px.RandomKeyGenerator(i)() for i in range(3)])
    first = px.RandomKeyGenerator(0)
    first()
    np.testing.assert_array_equal(concrete(), first.key.get())


def test_the_key_after_no_lanes_at_all():
    before = concrete()
    pxf.vmap(in_axes=0)(lambda x: (px.RKG(), x)[1])(jnp.zeros((0, 2)))
    np.testing.assert_array_equal(concrete(), before)


def fail(*args, **kw):
    px.RKG()
    for rkg in kw.values():
        rkg()
    raise RuntimeError("thrown inside")


TRANSFORMS = {
    "jit": lambda f: lambda **k: pxf.jit()(f)(1.0, **k),
    "vmap": lambda f: lambda **k: pxf.vmap(in_axes=0)(f)(jnp.ones(2), **k),
    "value_and_grad": lambda f: lambda **k: pxf.value_and_grad(argnums=0)(f)(1.0, **k),
    "scan": lambda f: lambda **k: pxf.scan(f, length=2)(**k),
    "while_loop": lambda f: lambda **k: pxf.while_loop(f, lambda i, **k: i < 3)(0, **k),
    "while_cond": lambda f: lambda **k: pxf.while_loop(lambda i, **k: i, f)(0, **k),
    "cond": lambda f: lambda **k: pxf.cond(lambda x, **k: x, f)(True, 1.0, **k),
    "switch": lambda f: lambda **k: pxf.switch([f, f])(0, 1.0, **k),
}


@pytest.mark.parametrize("outer", [None, "jit", "vmap", "scan"])
@pytest.mark.parametrize("name", TRANSFORMS)
def test_after_an_exception(name, outer):
    rkg = px.RandomKeyGenerator(1)
    before, own = concrete(), concrete(rkg)
    call = TRANSFORMS[name](fail)
    if outer is not None:
        inner = call
        call = TRANSFORMS[outer](lambda *a, **k: inner(**k))
    with pytest.raises(RuntimeError, match="thrown inside"):
        call(rkg=rkg)
    np.testing.assert_array_equal(before, concrete())
    np.testing.assert_array_equal(own, concrete(rkg))
    assert rkg.key._mark is None
