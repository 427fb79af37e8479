import dataclasses

import pytest

from pcx.data import _images

from .images import write_cifar, write_images

COLOURS = {"per_train": 52, "per_test": 60}  # images in a file


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory):
    """The folder of small sets of images, in the forms of MNIST and CIFAR-10. To be read, not changed."""
    folder = write_images(tmp_path_factory.mktemp("images") / "mnist")
    return write_cifar(folder, *COLOURS.values())


@pytest.fixture(autouse=True)
def few_colour_images(monkeypatch):
    """Take the files of CIFAR-10 in `image_folder`, which hold fewer images than the true ones, for whole."""
    monkeypatch.setattr(_images, "CIFAR10_RECORDS", dataclasses.replace(_images.CIFAR10_RECORDS, **COLOURS))
