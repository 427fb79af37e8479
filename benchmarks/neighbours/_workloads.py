"""The workloads: networks, batches and inference steps; the weights and the batch that every library starts from."""

import dataclasses
import itertools

import numpy as np

LEARN = 1e-3  # of the weights, SGD with momentum 0.9
MOMENTUM = 0.9
RATE = 0.1  # of the values, plain gradient descent
CHANNELS = (3, 128, 256, 512, 512)  # of VGG-5, each convolution followed by GELU and 2x2 max pooling
SIDE = 32  # of its images


@dataclasses.dataclass(frozen=True)
class Workload:
    """One network, trained on one batch.

    **Attributes:**

    - `widths`: of a tanh MLP with a linear last layer, from the input to the output; None for VGG-5.
    - `batch`: samples; `T`: inference steps of an update.
    - `bar`: what share of the faster neighbour's time an update is to take at most.
    """

    widths: tuple[int, ...] | None
    batch: int
    T: int
    bar: float = 0.65

    def __str__(self):
        return f"{self._network()}, batch {self.batch}, T = {self.T}"

    def _network(self):
        if self.widths is None:
            return "VGG-5"
        if len(self.widths) > 6:
            return f"{len(self.widths) - 1} layers of width {self.widths[0]}"
        return "-".join(map(str, self.widths))


WORKLOADS = {
    "mlp-512": Workload((784, 512, 512, 10), 250, 20),
    "mlp-128": Workload((784, 128, 128, 128, 10), 128, 8),
    "ten-128": Workload((128,) * 11, 256, 20),
    "depth-32": Workload((64,) * 33, 64, 32),
    "depth-128": Workload((64,) * 129, 64, 128),
    "vgg5": Workload(None, 32, 7, bar=0.8),
}


def save_start(work, path):
    """Write weights and batch: `w0` `[out, in]` or `[out, in, 3, 3]`, `b0` `[out]`, and so on; `x`, `y`."""
    rng = np.random.default_rng(0)
    if work.widths is None:
        shapes = [(b, a, 3, 3) for a, b in itertools.pairwise(CHANNELS)]
        left = SIDE // 2 ** len(shapes)
        shapes.append((10, CHANNELS[-1] * left**2))
        x = rng.normal(size=(work.batch, CHANNELS[0], SIDE, SIDE))
    else:
        shapes = [(b, a) for a, b in itertools.pairwise(work.widths)]
        x = rng.normal(size=(work.batch, work.widths[0]))
    arrays = {"x": x, "y": np.eye(shapes[-1][0])[rng.integers(shapes[-1][0], size=work.batch)]}
    for i, shape in enumerate(shapes):
        arrays[f"w{i}"] = rng.normal(size=shape) * np.prod(shape[1:]) ** -0.5
        arrays[f"b{i}"] = 0.1 * rng.normal(size=shape[:1])
    np.savez(path, **{name: a.astype(np.float32) for name, a in arrays.items()})


def load_start(path):
    """`(weights, x, y)` of such a file, weights as a list of pairs."""
    with np.load(path) as kept:
        count = sum(name.startswith("w") for name in kept.files)
        return [(kept[f"w{i}"], kept[f"b{i}"]) for i in range(count)], kept["x"], kept["y"]
