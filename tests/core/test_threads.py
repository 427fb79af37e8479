"""Several threads at once: nothing is drawn twice, mixed up, or seen by another."""

import concurrent.futures as futures
import threading

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.core import Tracer

import pcx as px
import pcx.functional as pxf
import pcx.learning as pxl
import pcx.models as pxm
import pcx.training as pxt
from pcx.core._random import seeded

THREADS = 4
X = np.linspace(-1, 1, 24, dtype=np.float32).reshape(8, 3)
Y = np.arange(8, dtype=np.int32) % 2


def together(work, n=THREADS):
    """What `work(i)` gives in n threads that begin at once."""
    gate = threading.Barrier(n)

    def one(i):
        gate.wait()
        return work(i)

    with futures.ThreadPoolExecutor(n) as pool:
        return list(pool.map(one, range(n)))


def drawn(n=1):
    return [tuple(np.asarray(px.RKG()).tolist()) for _ in range(n)]


def test_no_key_is_drawn_twice():
    keys = [k for found in together(lambda _: drawn(100)) for k in found]
    assert len(set(keys)) == len(keys)
    own = px.RandomKeyGenerator(3)
    keys = [k for found in together(lambda _: [tuple(np.asarray(own()).tolist()) for _ in range(50)]) for k in found]
    assert len(set(keys)) == len(keys)


def test_compiled_functions_draw_no_key_twice():
    draw = pxf.jit()(lambda: px.RKG())
    keys = [k for found in together(lambda _: [tuple(np.asarray(draw()).tolist()) for _ in range(50)]) for k in found]
    assert len(set(keys)) == len(keys)


def test_one_thread_draws_as_before_while_others_trace():
    px.RKG.seed(5)
    expected = drawn(20)
    inside, go_on = threading.Event(), threading.Event()

    def traced(x):
        key = px.RKG()
        inside.set()
        go_on.wait(20)
        return x + key.sum().astype(x.dtype)

    for transform in (jax.jit, lambda f: jax.jit(lambda x: pxf.vmap(in_axes=(0,))(f)(x[None])[0])):
        inside.clear()
        go_on.clear()
        px.RKG.seed(5)
        with futures.ThreadPoolExecutor(1) as pool:
            before = px.RKG.key.get()
            tracing = pool.submit(transform(traced), jnp.float32(1))
            assert inside.wait(20)
            assert not isinstance(px.RKG.key.get(), Tracer)
            if transform is jax.jit:  # a tracked transform holds the lock, as its draws count
                assert px.RKG.key.get() is before
                assert drawn(20) == expected
            go_on.set()
            tracing.result(20)


def test_a_seed_of_its_own_is_seen_by_one_thread_alone():
    px.RKG.seed(5)
    alone = drawn(3)

    def work(i):
        with seeded(5):
            return drawn(3)

    assert all(found == alone for found in together(work))
    px.RKG.seed(5)
    with seeded(9):
        drawn()
    assert drawn(3) == alone


@pytest.mark.parametrize("shared", [True, False], ids=["one wrapper", "one each"])
def test_one_compiled_function_in_many_threads(shared):
    class Holder(px.Module):
        def __init__(self):
            super().__init__()
            self.w = px.Param(jnp.float32(2))
            self.seen = px.Param(jnp.float32(0))

    def fn(x, *, m, scale):
        m.seen.set(m.seen.get() + 1)
        return x * scale * m.w.get()

    wrapper, model = pxf.jit()(fn), Holder()

    def work(i):
        mine = wrapper if shared else pxf.jit()(fn)
        found = [float(mine(jnp.full(1 + i % 2, float(i)), m=model, scale=float(j))[0]) for j in range(20)]
        return found == [2.0 * i * j for j in range(20)]

    assert all(together(work))
    assert float(model.seen.get()) == 20 * THREADS  # no update is lost


def test_transforms_without_compilation_lose_no_update():
    class Counter(px.Module):
        def __init__(self):
            super().__init__()
            self.n = px.Param(jnp.float32(0))

    model = Counter()

    def count(x, *, m):
        m.n.set(m.n.get() + 1)
        return x.sum()

    grad = pxf.value_and_grad()(count)
    together(lambda _: [grad(jnp.ones(2), m=model) for _ in range(10)])
    assert float(model.n.get()) == 10 * THREADS


@pytest.mark.hasty
def test_a_rule_in_many_threads_gives_what_it_gives_in_one():
    rule = pxl.pc(optax.sgd(0.1), optax.sgd(0.1), T=2)
    model = pxm.MLP([3, 4, 2], act=jnp.tanh)

    def work(_):
        step, state = jax.jit(rule.step), rule.init(model, (X, Y))
        for _ in range(3):
            state, _ = step(state, (X, Y))
        return [np.asarray(w) for w in state.weights.values()]

    found = together(work)
    for each in found:
        for a, b in zip(each, work(0), strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_callback_may_draw_while_a_compiled_function_runs():
    def back(x):
        return np.asarray(px.RKG()[0] * 0 + x, np.float32)

    fn = pxf.jit()(lambda x: jax.pure_callback(back, jax.ShapeDtypeStruct((), jnp.float32), x) + px.RKG()[0] * 0)
    assert [float(a) for a in [fn(jnp.float32(i)) for i in range(50)]] == list(range(50))


def test_fit_in_threads_gives_what_it_gives_alone():
    rule = pxl.backprop(optax.sgd(0.1))
    meet = threading.Barrier(THREADS)

    def train(seed, gate=None):
        def made():
            if gate is not None:
                gate.wait(20)  # all make their models at once
            return pxm.MLP([3, 4, 2], act=jnp.tanh)

        run = pxt.fit(made, rule, (X, Y), epochs=1, batch_size=4, seeds=seed, show=False)
        return [np.asarray(w) for w in run.states[0].weights.values()]

    px.RKG.seed(1)
    alone = [train(s) for s in range(THREADS)]
    after = drawn()
    for a, b in zip(alone, together(lambda i: train(i, meet)), strict=True):
        for v, w in zip(a, b, strict=True):
            np.testing.assert_array_equal(v, w)
    px.RKG.seed(1)
    assert drawn() == after  # the global generator is where it was


def test_one_model_is_trained_by_one_thread():
    rule, model = pxl.backprop(optax.sgd(0.1)), pxm.MLP([3, 2], act=jnp.tanh)
    fit = lambda **more: pxt.fit(model, rule, (X, Y), epochs=1, batch_size=4, show=False, **more)  # noqa: E731
    refused = []

    def other(_):
        with futures.ThreadPoolExecutor(1) as pool, pytest.raises(RuntimeError, match="another thread is training"):
            pool.submit(fit).result(20)
        refused.append(1)

    fit(callbacks=[other])
    fit()
    assert refused == [1]
