import pytest

from .problems import enable_x64


@pytest.fixture
def double():
    with enable_x64(True):
        yield
