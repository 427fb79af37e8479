import pytest

from .images import write_images


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory):
    """The folder of a small set of images, in the form of MNIST. To be read, not changed."""
    return write_images(tmp_path_factory.mktemp("images") / "mnist")
