"""Sources of arrays: data sets from local files first, batches in a reproducible order, augmentation on the device."""

# What `__all__` does not list is for other rooms, and not public.
# ruff: noqa: F401

from ._augment import Augmentation, compose, crop, flip
from ._batches import ArrayBatches, Batches, DivisibleBatches, Position, stream
from ._dataset import DataError, Dataset, Split
from ._flags import check_flags
from ._images import cifar10, cifar100, fashion_mnist, mnist
from ._iterables import as_batches
from ._order import shuffled
from ._paths import given_path
from ._scaling import Scaling
from ._search import VARIABLE, cache_folder, find, search_path
from ._small import digits, two_moons
from ._sources import CIFAR10, CIFAR100, FASHION_MNIST, MNIST
from ._standardise import standardise

__all__ = [
    "ArrayBatches",
    "Augmentation",
    "Batches",
    "DataError",
    "Dataset",
    "DivisibleBatches",
    "Position",
    "Scaling",
    "Split",
    "as_batches",
    "cache_folder",
    "cifar10",
    "cifar100",
    "compose",
    "crop",
    "digits",
    "fashion_mnist",
    "flip",
    "mnist",
    "search_path",
    "shuffled",
    "standardise",
    "stream",
    "two_moons",
]
