"""`deconv`: colour images from latents, by transposed convolutions."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ._autoencoder import CodeSettings, Reconstruction
from .frame import Where

if TYPE_CHECKING:
    from .frame import Data, Trained


@dataclass(frozen=True)
class DeconvSettings(CodeSettings):
    """The decoder, beside what all have."""

    latent: int = 64
    """Width of the latent."""
    channels: tuple[int, ...] = (128, 64, 32)
    """Channels before each transposed convolution, of which each doubles height and width; five at most.
    Backpropagation has an encoder of as many convolutions, in reverse, beside it."""

    def check(self) -> None:
        super().check()
        if not 1 <= len(self.channels) <= 5:
            raise ValueError(f"--channels must be one to five numbers, since 32 pixels can be halved five times, got "
                             f"{len(self.channels)}")  # fmt: skip


class Deconv(Reconstruction):
    """Reconstruction of CIFAR-10."""

    name = "deconv"
    help = "Transposed convolutions on CIFAR-10: PC and iPC find the latents, backprop has an encoder."
    source = (
        "the common benchmark (Pinchetti et al., arXiv 2407.01163) decodes CIFAR-10 by transposed convolutions; sizes, "
        "T and step sizes are ours, and not published."
    )
    settings = DeconvSettings(epochs=20, batch_size=200)
    quick = DeconvSettings(
        seeds=1, epochs=1, samples=1000, test_samples=200, batch_size=50, latent=32, channels=(32, 16, 8)
    )

    def data(self, settings: DeconvSettings, where: Where) -> Data:
        from ._cifar import cifar

        found = cifar(settings, where, standardise=False)
        train, test = found.train[0], found.test[0]
        return dataclasses.replace(found, train=(train, train), test=(test, test), classes=0)

    def arm(self, name: str, settings: DeconvSettings, data: Data) -> Trained:
        from .. import models as pxm
        from ._autoencoders import decoder, encoder_and_decoder
        from ._encoder import Encoded

        shape = data.train[1].shape[1:]
        if name == "backprop":
            return encoder_and_decoder(lambda: Encoded(settings.latent, settings.channels, shape), settings, data)
        return decoder(name, lambda: pxm.DeconvDecoder(settings.latent, settings.channels, shape), settings, data)
