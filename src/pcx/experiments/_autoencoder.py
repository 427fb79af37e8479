"""`autoencoder`: images from latents, by a decoder that predictive coding inverts, and by a backprop autoencoder."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .frame import Experiment, Measure, Record, Settings, Where

if TYPE_CHECKING:
    from jaxtyping import PyTree

    from .frame import Data, Trained

_SHOWN = 10


@dataclass(frozen=True)
class AutoencoderSettings(Settings):
    """The decoder, and how values settle."""

    widths: tuple[int, ...] = (64, 128, 128)
    """Widths of the decoder, from the latent on; the images come after them. Backpropagation has an encoder of the same
    widths, in reverse, beside it."""
    T: int = 20
    """Inference steps of a batch; as many find the latents of test images."""
    lr: float = 1e-3
    """Learning rate of the weights, by Adam."""
    state_lr: float = 0.05
    """Step size of the values of PC, by SGD."""
    state_momentum: float = 0.5
    """Momentum of the values."""
    ipc_lr: float = 1e-4
    """Learning rate of the weights of iPC, which are updated T times a batch."""


class Autoencoder(Experiment):
    """Reconstruction of Fashion-MNIST."""

    name = "autoencoder"
    help = "Decoder 64-128-128-784 on Fashion-MNIST: PC and iPC find the latents, backprop has an encoder."
    source = (
        "sizes of the common benchmark's autoencoding task (Pinchetti et al., arXiv 2407.01163); step sizes are "
        "those of short trials and not published."
    )
    prints = "Mean squared error of a pixel (from 0 to 1) of test images, reconstructed from their latents."
    measures = (Measure("test_error", "pixel error", "min", ".4f"),)
    settings = AutoencoderSettings(epochs=20, batch_size=200)
    quick = AutoencoderSettings(seeds=2, epochs=2, samples=2000, test_samples=500, batch_size=100)

    def arms(self, settings: AutoencoderSettings) -> tuple[str, ...]:
        return ("pc", "ipc", "backprop")

    def data(self, settings: AutoencoderSettings, where: Where) -> Data:
        from .frame import images

        found = images("fashion-mnist", settings, where, standardise=False)
        train, test = found.train[0], found.test[0]
        return dataclasses.replace(found, train=(train, train), test=(test, test), classes=0)

    def arm(self, name: str, settings: AutoencoderSettings, data: Data) -> Trained:
        from ._autoencoders import decoder, encoder_and_decoder

        return encoder_and_decoder(settings, data) if name == "backprop" else decoder(name, settings, data)

    def draw(self, path: Path, records: Mapping[str, Record]) -> None:
        import numpy as np

        from .frame import draw_with_images

        rows: dict[str, Any] = {}
        for name, record in records.items():
            for what, images in record.kept.get("images", {}).items():
                rows["original" if what == "original" else name] = np.asarray(images)
        draw_with_images(path, self.measures[0], records, rows)


def shown(original: PyTree, reconstruction: PyTree) -> dict[str, Any]:
    """Return the first images and what became of them, as plain data.

    **Arguments:**

    - `original`, `reconstruction`: `[N, pixels]`.
    """
    import numpy as np

    pairs = {"original": original, "reconstruction": reconstruction}
    return {"images": {name: np.round(np.asarray(each[:_SHOWN], float), 3).tolist() for name, each in pairs.items()}}
