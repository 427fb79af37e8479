"""Sums over rows, and tests for numbers that are not finite."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pcx.energy._sums import Finiteness, are_finite, row_sums, spoilt

BAD = (np.nan, np.inf, -np.inf)
SHAPES = [(5,), (5, 2), (1, 7), (64, 64), (4, 3, 5), (2050, 3), (300, 300)]


@pytest.mark.parametrize(("shape", "dtype"), [*[(s, jnp.float32) for s in SHAPES], ((5, 9), jnp.bfloat16)])
def test_sums_over_rows(shape, dtype):
    x = jnp.asarray(np.random.default_rng(0).normal(size=shape), dtype)
    found = row_sums(x)
    assert found.dtype == jnp.float32
    wanted = np.asarray(x, np.float64).reshape(shape[0], -1).sum(1)
    assert np.allclose(found, wanted, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_one_bad_number_is_found_wherever_it_is(shape):
    x = jnp.ones(shape)
    places = [tuple(int(i) for i in np.unravel_index(k, shape)) for k in {0, x.size - 1}]
    test = jax.jit(
        lambda x: (are_finite([jnp.ones(3), x]), Finiteness({"a": {}, "b": [x, jnp.ones(2)], "c": x[:1]}).all())
    )
    each, every = test(x)
    assert [bool(a) for a in each] == [True, True]
    assert every
    for place in places:
        for bad in BAD:
            each, every = test(x.at[place].set(bad))
            assert [bool(a) for a in each] == [True, False]
            assert not every


def test_the_tree_that_is_bad_is_named():
    rng = np.random.default_rng(0)
    trees = {
        "whole numbers": jnp.arange(3),
        "nothing": {},
        "several": [jnp.asarray(rng.normal(size=s), jnp.float32) for s in [(), (3,), (70,), (65, 3)]],
        "one": jnp.ones((9, 2)),
        "last": jnp.ones(()),
    }
    each = jax.jit(lambda trees: Finiteness(trees).each())
    assert all(each(trees).values())
    for name in ("several", "one", "last"):
        leaves, treedef = jax.tree.flatten(trees[name])
        for i, leaf in enumerate(leaves):
            spoiled = leaf.at[(-1,) * leaf.ndim].set(jnp.inf)
            new = jax.tree.unflatten(treedef, [*leaves[:i], spoiled, *leaves[i + 1 :]])
            assert [n for n, fine in each(trees | {name: new}).items() if not fine] == [name]


@pytest.mark.parametrize("size", [3, 2**17])
@pytest.mark.parametrize(
    ("old", "new", "gone"),
    [
        (0.0, 1.0, False),
        (0.0, np.inf, True),
        (0.0, np.nan, True),
        (np.inf, np.inf, False),
        (np.inf, -np.inf, False),
        (np.inf, np.nan, True),
        (np.nan, np.nan, False),
        (np.nan, np.inf, False),
        (np.inf, 0.0, False),
    ],
)
def test_what_was_bad_before_is_left_alone_but_not_what_was_well(size, old, new, gone):
    other = jnp.asarray([np.inf, np.nan, 1.0])
    a, b = jnp.zeros(size).at[1].set(old), jnp.zeros(size).at[1].set(new)
    found = spoilt({"none": [], "this": [(b, a), (other, other)], "other": [(other, other)]})
    assert {n: bool(x) for n, x in found.items()} == {"none": False, "this": gone, "other": False}
