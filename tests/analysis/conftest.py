import jax
import jax.experimental
import pytest

# Under this name from JAX 0.8 on.
enable_x64 = jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64  # pyright: ignore


@pytest.fixture
def double():
    with enable_x64(True):
        yield


@pytest.fixture(autouse=True)
def hastily(jit_in_haste):
    """What is asked here is which numbers come out, of programs that run once. The code that users get is that of the
    page `docs/analysis.md`, which has them all."""
