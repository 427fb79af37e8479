"""The published data sets: names of files, addresses, checksums, classes."""

from __future__ import annotations

from dataclasses import dataclass

from ._cifar import Records
from ._download import Remote
from ._search import Wanted


@dataclass(frozen=True)
class Published:
    """A data set that is read from files.

    **Arguments:**

    - `wanted`: its files here.
    - `remotes`: its files on the net.
    - `classes`: names of its labels.
    - `first`: its first labels to train on, by which MNIST and Fashion-MNIST, whose files have the same names, are told
        apart.
    """

    wanted: Wanted
    remotes: tuple[Remote, ...]
    classes: tuple[str, ...]
    first: tuple[int, ...] = ()


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def _idx(call: str, name: str, folders: tuple[str, ...]) -> Wanted:
    names = []
    for stem in _IDX:
        dotted = stem.replace("-idx", ".idx")  # as some programs name what they unpack
        names.append((f"{stem}.gz", stem, f"{dotted}.gz", dotted))
    return Wanted(call, name, (tuple(names),), folders)


def _idx_remotes(bases: tuple[str, ...], checksums: tuple[str, ...]) -> tuple[Remote, ...]:
    return tuple(Remote(f"{stem}.gz", bases, checksum) for stem, checksum in zip(_IDX, checksums, strict=True))


# Xiao, Rasul, Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms", 2017.
# SHA-256 of the very files whose MD5 (8d4fb7e6..., 25c81989..., bef4ecab..., bb300cfd...) the source publishes.
FASHION_MNIST = Published(
    wanted=_idx(
        "fashion_mnist",
        "Fashion-MNIST",
        ("fashion-mnist", "fashion_mnist", "FashionMNIST/raw", "FashionMNIST", "Fashion-MNIST"),
    ),
    remotes=_idx_remotes(
        (
            "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        ),
        (
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
    ),
    classes=(
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
    first=(9, 0, 0, 3, 0, 2, 7, 2, 5, 5),
)

# LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", 1998. MD5, as published.
MNIST = Published(
    wanted=_idx("mnist", "MNIST", ("mnist", "MNIST/raw", "MNIST")),
    remotes=_idx_remotes(
        ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
        (
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3",
            "ec29112dd5afa0611ce80d1b7f02629c",
        ),
    ),
    classes=tuple("0123456789"),
    first=(5, 0, 4, 1, 9, 2, 1, 3, 1, 4),
)

IDX_SETS = (FASHION_MNIST, MNIST)

# Krizhevsky, "Learning multiple layers of features from tiny images", 2009. MD5, as published.
_TORONTO = ("https://www.cs.toronto.edu/~kriz/",)
CIFAR10_RECORDS = Records(
    train=tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
    test=("test_batch.bin",),
    per_train=10_000,
    per_test=10_000,
    labels=1,
    column=0,
    classes=10,
)
CIFAR100_RECORDS = Records(
    train=("train.bin",), test=("test.bin",), per_train=50_000, per_test=10_000, labels=2, column=1, classes=100
)


def _cifar(
    call: str, name: str, records: Records, archive: str, folders: tuple[str, ...], unread: tuple[str, ...]
) -> Wanted:
    files = tuple((file,) for file in (*records.train, *records.test))
    return Wanted(call, name, (files, ((archive,),)), folders, unread)


CIFAR10 = Published(
    wanted=_cifar(
        "cifar10",
        "CIFAR-10",
        CIFAR10_RECORDS,
        "cifar-10-binary.tar.gz",
        ("cifar-10", "cifar-10/cifar-10-batches-bin", "cifar-10-batches-bin", "cifar10", "CIFAR10", "CIFAR-10"),
        ("cifar-10-python.tar.gz", "cifar-10-batches-py"),
    ),
    remotes=(Remote("cifar-10-binary.tar.gz", _TORONTO, "c32a1d4ab5d03f1284b67883e8d87530"),),
    classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
)
CIFAR100 = Published(
    wanted=_cifar(
        "cifar100",
        "CIFAR-100",
        CIFAR100_RECORDS,
        "cifar-100-binary.tar.gz",
        ("cifar-100", "cifar-100/cifar-100-binary", "cifar-100-binary", "cifar100", "CIFAR100", "CIFAR-100"),
        ("cifar-100-python.tar.gz", "cifar-100-python"),
    ),
    remotes=(Remote("cifar-100-binary.tar.gz", _TORONTO, "03b5dce01913d631647c71ecec9e9cb8"),),
    classes=_words(
        """apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
        castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
        elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster
        man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck
        pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
        skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger
        tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm"""
    ),
)
COARSE = _words(
    """aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices
    household_furniture insects large_carnivores large_man-made_outdoor_things large_natural_outdoor_scenes
    large_omnivores_and_herbivores medium_mammals non-insect_invertebrates people reptiles small_mammals trees
    vehicles_1 vehicles_2"""
)
