"""Programs of functions that close over arrays, and numbers of many arrays at once."""

import jax
import jax.numpy as jnp
import numpy as np

from pcx.analysis import _at_once
from pcx.analysis._alike import of_each
from pcx.analysis._at_once import at_once


def test_a_program_is_compiled_once_for_all_that_compute_the_same():
    def times(a, x):
        return at_once(lambda x: {"y": a * x + 1}, x)

    before = len(_at_once._programs)
    np.testing.assert_array_equal(times(jnp.arange(3.0), jnp.ones(3))["y"], [1, 2, 3])
    np.testing.assert_array_equal(times(jnp.array([2.0, 2, 2]), jnp.arange(3.0))["y"], [1, 3, 5])
    assert len(_at_once._programs) == before + 1
    np.testing.assert_array_equal(times(jnp.arange(2.0), jnp.ones(2))["y"], [1, 2])
    assert len(_at_once._programs) == before + 2
    inside = jax.jit(lambda a: times(a, jnp.ones(3))["y"])(jnp.arange(3.0))
    np.testing.assert_array_equal(inside, [1, 2, 3])
    assert len(_at_once._programs) == before + 2


def test_arrays_that_are_alike_are_looked_at_together():
    calls = []

    def fn(a, b):
        calls.append(a)
        return jnp.sum(a), b

    shapes = {"w": (2, 3), "v": (3,), "u": (2, 3), "t": (2, 3)}
    one = {n: jnp.full(s, i + 1.0) for i, (n, s) in enumerate(shapes.items())}
    found = of_each(fn, one, {n: 10 * a for n, a in one.items()} | {"other": jnp.zeros(1)})
    assert list(found) == list(shapes)
    assert len(calls) == 2
    assert {n: float(total) for n, (total, _) in found.items()} == {"w": 6, "v": 6, "u": 18, "t": 24}
    for n, (_, b) in found.items():
        np.testing.assert_array_equal(b, 10 * one[n])
