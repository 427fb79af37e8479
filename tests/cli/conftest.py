import pytest

from .commands import SMALL, call


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The folder of a finished run of two networks. To be read, not changed."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert call("train", *SMALL, "--rule", "backprop", "--seeds", 2, "--lr", "0.01", "--out", folder) == 0
    return folder
