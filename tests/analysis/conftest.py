import jax
import jax.experimental
import pytest

# Under this name from JAX 0.8 on.
enable_x64 = jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64  # pyright: ignore


@pytest.fixture
def double():
    with enable_x64(True):
        yield
