import jax
import jax.experimental
import pytest

from pcx.analysis import _at_once

# Under this name from JAX 0.8 on.
enable_x64 = jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64  # pyright: ignore


@pytest.fixture
def double():
    with enable_x64(True):
        yield


@pytest.fixture
def code_that_users_get():
    """Nothing is compiled in haste, nor taken from what was."""
    _at_once._programs.clear()


@pytest.fixture(autouse=True)
def hastily(request):
    """What is asked here is which numbers come out, of programs that run once. A few tests take the code that users
    get."""
    if "code_that_users_get" not in request.fixturenames:
        request.getfixturevalue("jit_in_haste")
