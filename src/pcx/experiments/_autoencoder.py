"""`autoencoder`: images from latents, by a decoder that predictive coding inverts, and by a backprop autoencoder."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._limits import check_momentum
from .frame import Experiment, Measure, Record, Settings, Where

if TYPE_CHECKING:
    from .frame import Data, Trained


@dataclass(frozen=True)
class CodeSettings(Settings):
    """Settings of how values settle, and weights learn."""

    T: int = 20
    """Inference steps of a batch; as many find the latents of test images."""
    lr: float = 1e-3
    """Learning rate of the weights, by Adam."""
    state_lr: float = 0.05
    """Step size of the values of PC and iPC, by SGD."""
    state_momentum: float = 0.5
    """Momentum of the values."""
    ipc_lr: float = 1e-4
    """Learning rate of the weights of iPC, which are updated T times a batch."""

    def check(self) -> None:
        super().check()
        check_momentum("state_momentum", self.state_momentum)


class Reconstruction(Experiment):
    """Images from latents: PC and iPC find those of a decoder, backpropagation has an encoder beside it."""

    prints = "Mean squared error of a pixel (from 0 to 1) of test images, reconstructed from their latents."
    measures = (Measure("test_error", "pixel error", "min", ".4f"),)

    def arms(self, settings: CodeSettings) -> tuple[str, ...]:
        return ("pc", "ipc", "backprop")

    def draw(self, path: Path, records: Mapping[str, Record]) -> None:
        from ._images import unpacked
        from .frame import draw_with_images

        rows: dict[str, Any] = {}
        for name, record in records.items():
            for what, images in record.kept.get("images", {}).items():
                rows["original" if what == "original" else name] = unpacked(images)
        draw_with_images(path, self.measures[0], records, rows)


@dataclass(frozen=True)
class AutoencoderSettings(CodeSettings):
    """The decoder, beside what all have."""

    widths: tuple[int, ...] = (64, 128, 128)
    """Widths of the decoder, from the latent on; the images come after them. Backpropagation has an encoder of the same
    widths, in reverse, beside it."""


class Autoencoder(Reconstruction):
    """Reconstruction of Fashion-MNIST."""

    name = "autoencoder"
    help = "Decoder 64-128-128-784 on Fashion-MNIST: PC and iPC find the latents, backprop has an encoder."
    source = (
        "sizes of the common benchmark's autoencoding task (Pinchetti et al., arXiv 2407.01163); step sizes are "
        "those of short trials and not published."
    )
    settings = AutoencoderSettings(epochs=20, batch_size=200)
    quick = AutoencoderSettings(seeds=2, epochs=2, samples=2000, test_samples=500, batch_size=100)

    def data(self, settings: AutoencoderSettings, where: Where) -> Data:
        from .frame import images

        found = images("fashion-mnist", settings, where, standardise=False)
        train, test = found.train[0], found.test[0]
        return dataclasses.replace(found, train=(train, train), test=(test, test), classes=0)

    def arm(self, name: str, settings: AutoencoderSettings, data: Data) -> Trained:
        import jax

        from .. import models as pxm
        from ._autoencoders import decoder, encoder_and_decoder

        widths = [*settings.widths, data.train[1].shape[1]]
        both = [*reversed(widths), *widths[1:]]
        if name == "backprop":
            return encoder_and_decoder(lambda: pxm.MLP(both, act=jax.nn.gelu), settings, data)
        return decoder(name, lambda: pxm.Decoder(widths, act=jax.nn.gelu), settings, data)
