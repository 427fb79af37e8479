"""Batches from a loader of one's own: in PyTorch's style, and from Grain. Run: python examples/own_loader.py [--grain]

`pxt.fit` takes any iterable of `(x, y)` that can be gone through anew for each epoch. What comes may be NumPy arrays,
JAX arrays or PyTorch's tensors on the CPU.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import jax
import numpy as np
import optax

import pcx as px
import pcx.data as pxd
import pcx.learning as pxl
import pcx.models as pxm
import pcx.training as pxt


class Samples:
    """A data set in the style of `torch.utils.data.Dataset`: a length, and one sample for an index."""

    def __init__(self, split: pxd.Split):
        self.split = split

    def __len__(self) -> int:
        return len(self.split.x)

    def __getitem__(self, i: int) -> tuple[np.ndarray, int]:
        return self.split.x[i], int(self.split.y[i])  # here a file might be read and decoded


@dataclass
class Loader:
    """What `torch.utils.data.DataLoader` does, without workers: `torch`'s own may stand in its place."""

    samples: Samples
    batch_size: int
    seed: int = 0
    epoch: int = 0

    def __len__(self) -> int:
        return len(self.samples) // self.batch_size

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(len(self.samples))
        self.epoch += 1
        for at in range(len(self)):
            chosen = [self.samples[i] for i in order[at * self.batch_size : (at + 1) * self.batch_size]]
            yield np.stack([x for x, _ in chosen]), np.asarray([y for _, y in chosen])


def by_grain(samples: Samples, batch_size: int):
    """The same by Grain (`pip install grain`): another order in each epoch, and any batch can be reached at once."""
    import grain

    return grain.MapDataset.source(samples).seed(0).shuffle().batch(batch_size, drop_remainder=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--grain", action="store_true")
    given = parser.parse_args()
    data = pxd.digits(flat=True, standardise=True)
    samples = Samples(data.train)
    batches = by_grain(samples, 64) if given.grain else Loader(samples, 64)

    px.RKG.seed(0)
    model = pxm.MLP([64, 64, 10], act=jax.nn.gelu)
    rule = pxl.pc(optax.adam(3e-3), optax.sgd(0.1), T=6)
    run = pxt.fit(model, rule, batches, data.test, epochs=5, show=False)
    print(f"{run.ended}; test accuracy {run.last('validation_accuracy')[0]:.1%}")


if __name__ == "__main__":
    main()
