"""Files of small images that can be learned, in the forms of MNIST and CIFAR-10."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

TRAIN, TEST = 260, 60


def write_images(folder: Path) -> Path:
    """Write the four files of MNIST: images of a bright square whose place is the class."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for part, count in (("train", TRAIN), ("t10k", TEST)):
        labels = random.integers(0, 10, count).astype(np.uint8)
        images = random.integers(0, 60, (count, 28, 28)).astype(np.uint8)
        for image, label in zip(images, labels, strict=True):
            row, column = divmod(int(label), 4)
            image[row * 8 : row * 8 + 6, column * 7 : column * 7 + 6] = 255
        (folder / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 2051, count, 28, 28) + images.tobytes())
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, count) + labels.tobytes())
    return folder


def write_cifar(folder: Path, per_file: int, per_test: int) -> Path:
    """Write the six files of CIFAR-10: images of a bright square whose place is the class."""
    random = np.random.default_rng(0)
    for name in [*[f"data_batch_{i}.bin" for i in range(1, 6)], "test_batch.bin"]:
        count = per_test if name.startswith("test") else per_file
        labels = random.integers(0, 10, count).astype(np.uint8)
        images = random.integers(0, 60, (count, 3, 32, 32)).astype(np.uint8)
        for image, label in zip(images, labels, strict=True):
            row, column = divmod(int(label), 4)
            image[:, row * 8 : row * 8 + 8, column * 8 : column * 8 + 6] = 255
        (folder / name).write_bytes(np.hstack([labels[:, None], images.reshape(count, -1)]).tobytes())
    return folder
