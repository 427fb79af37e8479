"""jit: compiled functions over tracked objects."""

# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false

import gc

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx as px
import pcx.functional as pxf


class Model(px.Module):
    def __init__(self, n=2):
        super().__init__()
        self.w = px.Param(jnp.arange(3.0))
        self.h = px.Param(None)
        self.cache = px.ParamCache()
        self.n = n
        self.act = px.static(jnp.tanh)


def concrete(tree):
    for p in px.tree_extract(tree):
        assert p._mark is None
        for leaf in jax.tree.leaves(p.get()):
            assert not isinstance(leaf, jax.core.Tracer)


def test_like_jax():
    def fn(x, y):
        return {"a": jnp.sin(x) @ y, "b": (x, None)}

    x, y = jnp.arange(6.0).reshape(2, 3), jnp.ones(3)
    jax.tree.map(np.testing.assert_allclose, pxf.jit()(fn)(x, y), jax.jit(fn)(x, y))


def test_tracked_params_change():
    def step(x, *, m):
        m.w.set(m.w - 0.1 * x)
        m.h.set(m.act(m.w.get()))
        m.cache["E"] = m.h.sum()
        return m.h.get()

    m, eager = Model(), Model()
    j = pxf.jit()(step)
    for i in range(3):
        np.testing.assert_allclose(j(1.0 * i, m=m), step(1.0 * i, m=eager), rtol=1e-6)
    np.testing.assert_allclose(m.w.get(), eager.w.get(), rtol=1e-6)
    np.testing.assert_allclose(m.cache["E"], eager.cache["E"], rtol=1e-6)
    assert j.n_traces == 2  # the cache is read to be added to, and was None first
    concrete(m)


def test_positional_modules_are_left_alone():
    m = Model()
    w = m.w.get()

    def fn(m):
        m.w.set(m.w * 2)
        m.new = 1
        return m.w.get()

    np.testing.assert_array_equal(pxf.jit()(fn)(m), 2 * w)
    assert m.w.get() is w
    assert not hasattr(m, "new")


def test_callers_containers_are_left_alone():
    m = Model()
    models, by_name = [m, Model()], {"m": m}

    def fn(*, models, by_name):
        by_name["m"].w += 1
        models.append(1)
        models[0] = None
        by_name["x"] = 2

    pxf.jit()(fn)(models=models, by_name=by_name)
    assert models[0] is m
    assert len(models) == 2
    assert by_name == {"m": m}
    np.testing.assert_array_equal(m.w.get(), jnp.arange(3.0) + 1)


def test_shared_params_count_once():
    m, other = Model(), Model()
    other.w = m.w

    def fn(*, a, b, p):
        assert a.w is b.w
        assert p is a.w
        a.w += 1
        b.w += 1
        p += 1

    pxf.jit()(fn)(a=m, b=other, p=m.w)
    np.testing.assert_array_equal(m.w.get(), jnp.arange(3.0) + 3)
    other.w = px.Param(jnp.zeros(3))
    with pytest.raises(AssertionError):
        pxf.jit()(fn)(a=m, b=other, p=m.w)


def test_none_to_array_and_back():
    m = Model()

    @pxf.jit()
    def toggle(*, m):
        m.h.set(None if m.h.get() is not None else m.w.get())

    toggle(m=m)
    np.testing.assert_array_equal(m.h.get(), m.w.get())
    toggle(m=m)
    assert m.h.get() is None
    assert toggle.n_traces == 2


@pytest.mark.parametrize("first", [None, 1.0])
def test_written_before_read_takes_one_trace(first):
    def fn(x, *, m):
        m.h.set(m.w * x)
        m.cache.set(None)
        m.cache["E"] = m.h.sum()
        return m.cache["E"]

    m, j = Model(), pxf.jit()(fn)
    if first is not None:
        m.h.set(jnp.ones(3))
        m.cache.set({"E": jnp.array(0.0)})
    for _ in range(3):
        j(2.0, m=m)
    m.h.set(jnp.zeros((7, 7)))
    m.cache.set(None)
    j(2.0, m=m)
    assert j.n_traces == 1
    np.testing.assert_array_equal(m.h.get(), m.w * 2)


def test_a_later_trace_may_need_more():
    def fn(x, *, m):
        if x.shape[0] > 2:
            m.w.set(m.w + m.h)
        m.h.set(m.w * 2)
        return m.h.get()

    m, j = Model(), pxf.jit()(fn)
    np.testing.assert_array_equal(j(jnp.ones(2), m=m), [0, 2, 4])
    np.testing.assert_array_equal(j(jnp.ones(3), m=m), [0, 6, 12])
    np.testing.assert_array_equal(j(jnp.ones(2), m=m), [0, 6, 12])
    concrete(m)


def test_equal_things_compile_once():
    def make(scale, table, opt):
        def fn(x, *, m):
            updates, _ = opt.update({"x": x}, opt.init({"x": x}))
            m.w.set(m.w * scale + table.sum() + updates["x"])

        return pxf.jit()(fn)

    for _ in range(3):
        make(2.0, jnp.ones(2), optax.adam(0.1))(1.0, m=Model())
    j = make(2.0, jnp.ones(2), optax.adam(0.1))
    assert j.n_traces == 1
    different = [(3.0, jnp.ones(2), optax.adam(0.1)), (2.0, jnp.zeros(2), optax.adam(0.1))]
    different += [(2.0, jnp.ones(2), optax.adam(0.2)), (2, jnp.ones(2), optax.adam(0.1))]
    for args in different:
        m, plain = Model(), Model()
        make(*args)(1.0, m=m)
        make(*args).fn(1.0, m=plain)
        np.testing.assert_allclose(m.w.get(), plain.w.get(), rtol=1e-5)
        assert make(*args).n_traces == 1
    assert j.n_traces == 1


def test_fresh_lambdas_and_models_share_a_program():
    js = [pxf.jit()(lambda x, *, m: m.act(m.w.get()) * x) for _ in range(3)]
    for j in js:
        np.testing.assert_allclose(j(2.0, m=Model()), jnp.tanh(jnp.arange(3.0)) * 2)
    assert js[0].n_traces == 1
    m = Model()
    m.act = px.static(jnp.sin)
    np.testing.assert_allclose(js[0](2.0, m=m), jnp.sin(jnp.arange(3.0)) * 2)
    assert js[2].n_traces == 2


@pytest.mark.parametrize("values", [(1, 1.0, True), (0.0, -0.0), (jnp.ones(2), jnp.zeros(2))])
def test_constants_that_differ_are_other_programs(values):
    for value in (*values, *values):

        def fn(x, value=value):
            return x / value

        got, expected = pxf.jit()(fn)(jnp.ones(2)), fn(jnp.ones(2))
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)


def test_another_global_is_another_program():
    for scale in (1.0, 2.0, 1.0):
        space = {"scale": scale}
        exec("def fn(x):\n    return x * scale", space)
        assert pxf.jit()(space["fn"])(1.0) == scale  # pyright: ignore


def test_equal_programs_never_see_what_became_of_an_earlier_ones_constants():
    def make(values):
        return pxf.jit()(lambda x: x * values[0])

    values = [1.0]
    make(values)(jnp.ones(2))
    values[0] = 5.0
    assert make([1.0])(jnp.ones(3))[0] == 1

    static = pxf.jit(static_argnums=1)(lambda x, v: x * v[0])
    values = [1.0]
    static(jnp.ones(2), values)
    values[0] = 5.0
    assert static(jnp.ones(3), [1.0])[0] == 1
    assert static(jnp.ones(2), values)[0] == 5

    tracked = pxf.jit()(lambda x, *, m: x * m.v[0])
    m, other = Model(), Model()
    values = [1.0]
    m.v, other.v = px.static(values), px.static([1.0])
    tracked(jnp.ones(2), m=m)
    values[0] = 5.0
    assert tracked(jnp.ones(3), m=other)[0] == 1
    assert tracked(jnp.ones(2), m=m)[0] == 5


def test_unhashable_static_arguments():
    def fn(x, options, *, m):
        m.w.set(m.w * options["k"][0])
        return x * len(options)

    m, j = Model(), pxf.jit(static_argnums=(1,))(fn)
    for k in (2.0, 3.0, 2.0):
        assert j(1.0, {"k": [k]}, m=m) == 1
    np.testing.assert_array_equal(m.w.get(), jnp.arange(3.0) * 12)
    assert j.n_traces == 2
    last = pxf.jit(static_argnums=-1)(lambda x, f: f(x))
    for _ in range(2):
        assert last(1.0, lambda x: x + 1) == 2
    assert last.n_traces == 1
    with pytest.raises(ValueError, match="static_argnums"):
        pxf.jit(static_argnums=3)(fn)(1.0, {}, m=m)


def test_numbers_are_inputs_or_become_static():
    m = Model()
    dynamic = pxf.jit()(lambda *, m: m.w * m.n)
    for n in (2, 3, 4):
        m.n = n
        np.testing.assert_array_equal(dynamic(m=m), m.w * n)
    assert dynamic.n_traces == 1

    def loop(x, *, m, k):
        for _ in range(m.n):
            x = x + m.w.get() * k
        m.w.set(x)
        return x

    static, w = pxf.jit()(loop), m.w.get()
    for n in (2, 3, 2):
        for k in (1, 2.0, jnp.array(3.0)):
            m.n = n
            m.w.set(w)
            np.testing.assert_allclose(static(0.0, m=m, k=k), w * n * k)
    outer = pxf.jit()(lambda x, *, m: static(x, m=m, k=x))
    m.w.set(w)
    with jax.checking_leaks():
        np.testing.assert_allclose(outer(1.0, m=m), 1 + w * 2)
    # a traced value is never taken for a number
    with pytest.raises(jax.errors.TracerIntegerConversionError):
        pxf.jit()(lambda n, *, m: range(n))(3, m=m)


@pytest.mark.parametrize("nested", [False, True])
def test_exceptions_leave_everything_as_it_was(nested):
    class Stop(Exception):
        pass

    m = Model()
    m.cache["a"] = jnp.ones(2)
    w, cache = m.w.get(), m.cache.get()

    def fn(x, *, m):
        m.w.set(m.w * x)
        m.h.set(x)
        m.cache["a"] = x
        m.cache.get()["b"] = x
        m.n = x
        raise Stop

    j = pxf.jit()(fn)
    if nested:
        inner = j
        j = pxf.jit()(lambda x, *, m: inner(x, m=m))
    for _ in range(2):
        with pytest.raises(Stop):
            j(2.0, m=m)
    assert m.w.get() is w
    assert m.h.get() is None
    assert m.cache.get() is cache
    assert list(cache) == ["a"]
    assert m.n == 2
    concrete(m)


def test_donation():
    m = Model()
    old = m.w.get()
    j = pxf.jit(donate_argnames="m")(lambda *, m: (m.w.set(m.w + 1), None)[1])
    for _ in range(3):
        j(m=m)
    assert old.is_deleted()
    np.testing.assert_array_equal(m.w.get(), jnp.arange(3.0) + 3)

    m, x = Model(), jnp.ones(3)
    old = m.w.get()
    np.testing.assert_array_equal(pxf.jit(donate_argnums=0)(lambda x, *, m: x + m.w)(x, m=m), old + 1)
    assert x.is_deleted()
    assert not old.is_deleted()
    assert j.n_traces == 1


def test_donation_beside_static_arguments():
    x, y = jnp.ones(3), jnp.ones(3)
    pxf.jit(static_argnums=0, donate_argnums=2)(lambda n, x, y: x + y)(1, x, y)
    assert not x.is_deleted()
    assert y.is_deleted()


def test_methods_and_names():
    class Net(Model):
        @pxf.jit()
        def double(self, x):
            return self.w * x

    np.testing.assert_array_equal(Net().double(2.0), jnp.arange(3.0) * 2)
    assert Net.double.__name__ == "double"


def test_a_jitted_function_that_calls_itself():
    @pxf.jit(static_argnums=0)
    def down(n, x):
        return x if n == 0 else down(n - 1, x + 1)

    assert down(3, 1.0) == 4


def test_changing_structure_of_values():
    m = Model()
    j = pxf.jit()(lambda *, m: (m.cache.set({**(m.cache.get() or {}), str(len(m.cache)): m.w.sum()}), None)[1])
    for i in range(3):
        j(m=m)
        assert len(m.cache) == i + 1


@pytest.mark.hasty
def test_models_are_not_kept_alive():
    import weakref

    m = Model()
    ref, j = weakref.ref(m), pxf.jit()(lambda *, m: m.w * 2)
    j(m=m)
    del m
    gc.collect()
    assert ref() is None


def test_refusals():
    with pytest.raises(TypeError, match="function"):
        pxf.jit()(3)  # pyright: ignore
    with pytest.raises(TypeError, match="in_shardings"):
        pxf.jit(in_shardings=None)


@pytest.mark.parametrize("names", ["n", ("n", "act")])
def test_static_argnames(names):
    traces = []

    @pxf.jit(static_argnames=names, static_argnums=1)
    def run(x, k, *, p, n, act="add"):
        traces.append(n)
        for _ in range(n):
            p *= 2.0
        return (x + p if act == "add" else x - p) * k

    run.clear_cache()
    p = px.Param(jnp.array(1.0))
    assert float(run(1.0, 2, p=p, n=2)) == 10.0
    assert float(run(1.0, 2, p=p, n=2)) == 34.0
    assert traces == [2]
    assert float(run(1.0, 2, p=p, n=0, act="sub")) == -30.0
    assert float(run(1.0, 3, p=p, n=0, act="sub")) == -45.0
    assert traces == [2, 0, 0]
    assert float(p.get()) == 16.0


def test_equal_functions_share_a_program_under_static_argnames():
    def made():
        return pxf.jit(static_argnames="n")(lambda x, *, n: x * 1.375 + n)

    first, second = made(), made()
    assert float(first(2.0, n=1)) == float(second(2.0, n=1)) == 3.75
    assert second.n_traces == 1


def test_clear_cache():
    j = pxf.jit()(lambda *, m: m.w * 3.25)
    m = Model()
    j(m=m)
    j.clear_cache()
    assert j.n_traces == 0
    np.testing.assert_array_equal(j(m=m), m.w * 3.25)
