"""Data sets, their scaling, the small ones, and Fashion-MNIST itself where it is at hand."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pcx.data as pxd


def test_importing_is_light():
    code = "import sys, pcx.data; assert not {'sklearn', 'grain', 'rich', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_splits_and_data_sets_refuse_what_does_not_fit():
    x = np.zeros((3, 2))
    with pytest.raises(ValueError, match=r"Split: .* not \(3, 2\) and \(2,\)"):
        pxd.Split(x, np.zeros(2, int))
    with pytest.raises(TypeError, match="integers from 0"):
        pxd.Split(x, np.zeros(3))
    good, bad = pxd.Split(x, np.array([0, 1, 1])), pxd.Split(x, np.array([0, 2, -1]))
    assert good.y.dtype == np.int32
    with pytest.raises(ValueError, match=r"test.y goes from -1 to 2, but there are 2 classes"):
        pxd.Dataset("mine", good, bad, classes=("a", "b"))
    with pytest.raises(ValueError, match="does not consist of 3 channels"):
        pxd.Dataset("mine", good, good, channels=3)
    mine = pxd.Dataset("mine", good, bad, channels=2)
    assert repr(mine) == "Dataset('mine', train (3, 2), test (3, 2), 0 classes)"


def test_scaling_against_numpy():
    x = np.random.default_rng(0).normal(3.0, [[[1.0], [5.0]]], (5000, 2, 7))
    scaling = pxd.Scaling.of(x.reshape(5000, 14), channels=2)
    np.testing.assert_allclose(scaling.mean, x.mean(axis=(0, 2)), rtol=1e-12)
    np.testing.assert_allclose(scaling.std, x.std(axis=(0, 2)), rtol=1e-12)
    want = (x - x.mean(axis=(0, 2), keepdims=True)) / x.std(axis=(0, 2), keepdims=True)
    np.testing.assert_allclose(scaling(x), want, rtol=1e-9, atol=1e-12)
    on_device = jax.jit(scaling)(jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(on_device, want, rtol=1e-4, atol=1e-5)
    assert on_device.dtype == jnp.float32
    assert hash(scaling) == hash(pxd.Scaling(scaling.mean, scaling.std))
    x32 = np.asarray(x, np.float32)
    expected = scaling(x32)
    scaling.apply_in_place(x32)
    np.testing.assert_array_equal(x32, expected)


def test_scaling_of_constant_and_of_wrong_things():
    assert pxd.Scaling.of(np.full((4, 3), 2.0)) == pxd.Scaling((2.0,), (1.0,))
    for x, channels in ((np.zeros((0, 3)), 1), (np.zeros((2, 3)), 2), (np.zeros((2, 3)), 0)):
        with pytest.raises(ValueError, match=r"Scaling.of"):
            pxd.Scaling.of(x, channels)
    with pytest.raises(TypeError, match=r"Scaling.of: channels must be a whole number, got 1.5"):
        pxd.Scaling.of(np.zeros((2, 3)), 1.5)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="above 0"):
        pxd.Scaling((0.0,), (0.0,))
    with pytest.raises(ValueError, match="for each channel"):
        pxd.Scaling((0.0, 1.0), (1.0,))
    with pytest.raises(ValueError, match="do not consist of 2 channels"):
        pxd.Scaling((0.0, 1.0), (1.0, 1.0))(np.zeros((4, 3)))
    with pytest.raises(TypeError, match="needs floats, not uint8"):
        pxd.Scaling((0.0,), (1.0,))(np.zeros((4, 3), np.uint8))
    with pytest.raises(ValueError, match="contiguous"):
        pxd.Scaling((0.0,), (1.0,)).apply_in_place(np.zeros((4, 3, 2)).transpose(0, 2, 1))


def test_standardise_leaves_the_data_set_alone_and_works_once():
    pytest.importorskip("sklearn")
    plain = pxd.two_moons(50, 20)
    before = plain.train.x.copy()
    scaled = pxd.standardise(plain)
    np.testing.assert_array_equal(plain.train.x, before)
    np.testing.assert_allclose(scaled.train.x.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(scaled.train.x.std(axis=0), 1, atol=1e-6)
    assert scaled.scaling
    np.testing.assert_array_equal(scaled.test.x, scaled.scaling(plain.test.x))
    with pytest.raises(ValueError, match="is scaled already"):
        pxd.standardise(scaled)
    pixels = pxd.Split(np.zeros((2, 4), np.uint8), np.zeros(2, int))
    with pytest.raises(TypeError, match="needs floats"):
        pxd.standardise(pxd.Dataset("pixels", pixels, pixels))


def test_two_moons():
    pytest.importorskip("sklearn")
    one, two, other = pxd.two_moons(40, 30), pxd.two_moons(40, 30), pxd.two_moons(40, 30, seed=1, standardise=True)
    assert one.train.x.shape == (40, 2)
    assert one.test.x.shape == (30, 2)
    assert one.train.x.dtype == np.float32
    np.testing.assert_array_equal(one.train.x, two.train.x)
    assert not np.array_equal(one.train.x[:30], one.test.x)
    assert set(one.train.y.tolist()) == {0, 1}
    assert one.train.x[one.train.y == 0, 1].mean() > one.train.x[one.train.y == 1, 1].mean()
    assert other.scaling
    assert len(other.scaling.mean) == 2
    with pytest.raises(ValueError, match="at least one point"):
        pxd.two_moons(0, 1)
    with pytest.raises(ValueError, match="the seed is"):
        pxd.two_moons(seed=-1)


def test_digits():
    pytest.importorskip("sklearn")
    data, flat = pxd.digits(), pxd.digits(flat=True, seed=1)
    assert data.train.x.shape == (1437, 8, 8)
    assert data.test.x.shape == (360, 8, 8)
    assert (data.train.x.min(), data.train.x.max()) == (0, 1)
    assert flat.train.x.shape == (1437, 64)
    assert set(data.test.y.tolist()) == set(range(10))
    assert not np.array_equal(data.test.y, flat.test.y)
    every = np.concatenate([data.train.y, data.test.y])
    np.testing.assert_array_equal(np.bincount(every), np.bincount(np.concatenate([flat.train.y, flat.test.y])))
    assert abs(float(pxd.digits(standardise=True).train.x.std()) - 1) < 1e-5
    with pytest.raises(ValueError, match="test is from 1 to 1796"):
        pxd.digits(1797)


@pytest.mark.parametrize("load", [pxd.two_moons, pxd.digits])
def test_without_scikit_learn(load, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=f"{load.__name__}: needs scikit-learn: pip install scikit-learn"):
        load()


def test_fashion_mnist_itself():
    try:
        data = pxd.fashion_mnist(flat=True, dtype=np.uint8)
    except FileNotFoundError as error:
        pytest.skip(f"no Fashion-MNIST here, PCX_DATA may say where it is: {str(error).splitlines()[0]}")
    assert data.train.x.shape == (60_000, 784)
    assert data.test.x.shape == (10_000, 784)
    np.testing.assert_array_equal(np.bincount(data.train.y), 6000)
    np.testing.assert_array_equal(np.bincount(data.test.y), 1000)
    assert data.train.x.mean() / 255 == pytest.approx(0.2860, abs=1e-4)  # the number in general use
