"""Augmentation: against NumPy, pure, and compiled once for equal settings."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pcx.data as pxd


def images(shape=(64, 3, 8, 6), dtype=np.float32):
    return jnp.asarray(np.arange(1, np.prod(shape) + 1).reshape(shape).astype(dtype))


@pytest.mark.parametrize("shape", [(64, 3, 8, 6), (64, 8, 6)])
def test_flip(shape):
    x, key = images(shape), jax.random.key(0)
    y = np.asarray(jax.jit(pxd.flip())(key, x))
    turned = [bool((y[i] == np.asarray(x)[i, ..., ::-1]).all()) for i in range(64)]
    kept = [bool((y[i] == np.asarray(x)[i]).all()) for i in range(64)]
    assert all(a != b for a, b in zip(turned, kept, strict=True))
    assert 16 < sum(turned) < 48
    np.testing.assert_array_equal(jax.jit(pxd.flip(0.0))(key, x), x)
    np.testing.assert_array_equal(jax.jit(pxd.flip(1))(key, x), x[..., ::-1])


@pytest.mark.parametrize("shape", [(64, 3, 8, 6), (64, 8, 6)])
def test_crop(shape):
    x, key = images(shape), jax.random.key(1)
    y = np.asarray(jax.jit(pxd.crop(pad=2, fill=-1.0))(key, x))
    assert y.shape == shape
    sides = [(0, 0)] * (len(shape) - 2) + [(2, 2)] * 2
    padded = np.pad(np.asarray(x), sides, constant_values=-1)
    corners = []
    for i in range(64):
        at = [(r, c) for r in range(5) for c in range(5) if (padded[i][..., r : r + 8, c : c + 6] == y[i]).all()]
        assert len(at) == 1
        corners += at
    rows, columns = zip(*corners, strict=True)
    assert set(rows) == set(columns) == set(range(5))  # every place, both ends included
    assert len(set(corners)) > 15
    np.testing.assert_array_equal(jax.jit(pxd.crop(0))(key, x), x)


def test_all_32_from_40():
    x = jax.ShapeDtypeStruct((4, 3, 32, 32), jnp.float32)
    assert jax.eval_shape(pxd.crop(), jax.random.key(0), x).shape == x.shape


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32])
def test_dtypes_stay(dtype):
    x = jax.ShapeDtypeStruct((2, 1, 4, 4), dtype)
    assert jax.eval_shape(pxd.compose(pxd.flip(), pxd.crop(1)), jax.random.key(0), x).dtype == dtype


def test_compose_gives_each_part_its_own_key():
    x, key = images(), jax.random.key(3)
    both = jax.jit(pxd.compose(pxd.flip(), pxd.crop(2)))
    keys = [jax.random.fold_in(key, i) for i in range(2)]
    np.testing.assert_array_equal(both(key, x), pxd.crop(2)(keys[1], pxd.flip()(keys[0], x)))
    np.testing.assert_array_equal(both(key, x), both(key, x))
    assert not np.array_equal(both(key, x), both(jax.random.key(4), x))
    np.testing.assert_array_equal(pxd.compose()(key, x), x)
    # Two flips with one key would undo each other.
    assert not np.array_equal(pxd.compose(pxd.flip(), pxd.flip())(key, x), x)


def test_equal_settings_are_one_program():
    traces = []

    def step(augment, key, x):
        traces.append(augment)
        return augment(key, x)

    compiled = jax.jit(step, static_argnums=0)
    for _ in range(3):
        compiled(pxd.compose(pxd.flip(), pxd.crop(pad=0)), jax.random.key(0), jnp.ones((2, 2, 2)))
    assert len(traces) == 1
    compiled(pxd.compose(pxd.crop(pad=0)), jax.random.key(0), jnp.ones((2, 2, 2)))
    assert len(traces) == 2
    assert pxd.flip() == pxd.flip(0.5) != pxd.flip(0.4)
    assert pxd.crop() == pxd.crop(4, 0) != pxd.crop(4, 1)
    assert len({pxd.compose(pxd.flip()), pxd.compose(pxd.flip())}) == 1


def test_wrong_settings_and_images():
    for p in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="p is a probability"):
            pxd.flip(p)
    for pad in (-1, 1.5, True):
        with pytest.raises(ValueError, match="number of pixels"):
            pxd.crop(pad)  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="is no function"):
        pxd.compose(3)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"flip: x is .* not \(5, 784\); load the images with flat=False"):
        pxd.flip()(jax.random.key(0), jnp.zeros((5, 784)))
