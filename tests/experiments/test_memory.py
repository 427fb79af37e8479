"""Associative memories: what a Hopfield energy is, and that images come back."""

from typing import Any

import jax
import jax.experimental
import jax.numpy as jnp
import numpy as np
import pytest

import pcx.learning as pxl
from pcx.experiments._images import shape_of
from pcx.experiments._memories import HopfieldMemory, top_half

from .commands import results

# Under this name from JAX 0.8 on.
enable_x64 = jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64  # pyright: ignore
IMAGES = np.random.default_rng(0).uniform(size=(6, 16)).astype(np.float32)


@pytest.fixture
def double():
    with enable_x64(True):
        yield


def test_a_half_is_the_upper_one_in_every_channel():
    assert shape_of(16) == (4, 4)
    assert shape_of(48) == (3, 4, 4)
    np.testing.assert_array_equal(top_half(16), [True] * 8 + [False] * 8)
    np.testing.assert_array_equal(top_half(48), ([True] * 8 + [False] * 8) * 3)
    with pytest.raises(ValueError, match="no square image"):
        shape_of(15)


@pytest.mark.hasty
def test_the_energy_of_a_hopfield_memory_is_that_of_its_images(double):
    images, h, b = IMAGES.astype(np.float64), np.random.default_rng(1).normal(size=(2, 16)), 1.7
    memory = HopfieldMemory(images, b)

    def energy(h: Any) -> Any:
        bound = pxl.bind(memory, (None, h))
        landscape = bound.landscape({"data": h}, hold={"data": np.zeros((1, 1), bool)})
        return sum(landscape.energies({"data": h, "similarity": jnp.zeros((2, 6))}).values())

    def expected(h: Any) -> Any:
        far = jnp.sum((h[:, None] - images) ** 2, axis=-1)
        return -jax.nn.logsumexp(-b / 2 * far, axis=-1) / b

    found, true = jax.jit(lambda h: [(f(h), jax.jacobian(f)(h)) for f in (energy, expected)])(jnp.asarray(h))
    np.testing.assert_allclose(found[0], true[0], atol=1e-12)
    np.testing.assert_allclose(found[1], true[1], atol=1e-12)


@pytest.mark.hasty
def test_images_are_recalled(tmp_path):
    found = results(tmp_path / "run", "memory")
    for name in ("pc", "hopfield"):
        assert found[name]["half"]["once"]["mean"] == 1
        assert found[name]["half_error"]["once"]["mean"] < 0.01
    assert found["hopfield"]["noise"]["once"]["mean"] == 1
