"""`deep`: networks of muPC at depths from 8 to 512, by PC, by PC in error coordinates, and by backpropagation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .frame import Experiment, Measure, Record, Settings, Where

if TYPE_CHECKING:
    from .frame import Data, Trained


@dataclass(frozen=True)
class DeepSettings(Settings):
    """The networks, and how values settle."""

    depths: tuple[int, ...] = (8, 32, 128, 512)
    """Layers of the networks, 3 or more each; each rule has an arm for each depth."""
    width: int = 64
    """Width of the hidden layers."""
    lr: float = 0.01
    """Learning rate of the weights of ePC and backprop, by Adam, the same at every depth; down to 0 on a cosine."""
    pc_lr: float = 0.03
    """That of PC, whose weights get smaller gradients."""
    state_lr: float = 0.2
    """Step size of the values of PC, by SGD."""
    steps_per_layer: float = 1.0
    """Inference steps of PC for each hidden layer."""
    error_lr: float = 0.1
    """Step size of the errors of ePC, by SGD, over the number of layers: on skips the errors of all add up."""
    epc_T: int = 5
    """Inference steps of ePC, at every depth."""

    def check(self) -> None:
        super().check()
        if not self.depths or min(self.depths) < 3 or len(set(self.depths)) < len(self.depths):
            raise ValueError(f"--depths must be different numbers from 3 on, got {' '.join(map(str, self.depths))}")


class Deep(Experiment):
    """Depth under muPC."""

    name = "deep"
    help = "muPC on Fashion-MNIST at depths 8 to 512, by PC, ePC and backprop: accuracy, times, and which layers learn."
    source = (
        "parametrisation, Adam and T = the number of hidden layers of muPC (Innocenti et al., arXiv 2505.13124); ePC "
        "settles the same energies in error coordinates (Goemaere et al., arXiv 2505.20137); width and step sizes are "
        "those of short trials and not published."
    )
    prints = (
        "Test accuracy on Fashion-MNIST; of the first network's layers, at the end, those whose weight gradient is at "
        "least a thousandth of the median of all."
    )
    measures = (
        Measure("test_accuracy", "test accuracy"),
        Measure("learning", "layers that learn", form=".0%", once=True),
    )
    arms_are = "rule and depth"
    settings = DeepSettings(seeds=3, epochs=5)
    quick = DeepSettings(seeds=1, epochs=1, samples=2000, test_samples=500, depths=(8, 32), batch_size=64, width=32)

    def arms(self, settings: DeepSettings) -> tuple[str, ...]:
        return tuple(f"{rule}-{depth}" for depth in settings.depths for rule in ("pc", "epc", "backprop"))

    def data(self, settings: DeepSettings, where: Where) -> Data:
        from .frame import images

        return images("fashion-mnist", settings, where)

    def arm(self, name: str, settings: DeepSettings, data: Data) -> Trained:
        import jax
        import optax

        from .. import learning as pxl
        from .. import models as pxm
        from ._layers import ByLayer

        kind, _, digits = name.partition("-")
        depth = int(digits)
        widths = [data.train[0].shape[1], *[settings.width] * (depth - 1), data.classes]
        updates = settings.epochs * (len(data.train[0]) // settings.batch_size)
        rate = settings.pc_lr if kind == "pc" else settings.lr
        weights = optax.adam(optax.cosine_decay_schedule(rate, updates))
        if kind == "pc":
            steps = max(round(settings.steps_per_layer * (depth - 1)), 1)
            rule = pxl.pc(weights, optax.sgd(settings.state_lr), steps)
        elif kind == "epc":
            rule = pxl.epc(weights, optax.sgd(settings.error_lr / depth), settings.epc_T)
        else:
            rule = pxl.backprop(weights)
        return ByLayer(
            lambda: pxm.MuMLP(widths, act=jax.nn.relu), rule, data, settings.epochs, settings.batch_size
        )  # fmt: skip

    def draw(self, path: Path, records: Mapping[str, Record]) -> None:
        from ..analysis import plot_seeds
        from .frame import figure_at, seeds_of

        with figure_at(path, 2) as (left, right):
            plot_seeds(seeds_of(self.measures[0], records), left, label=self.measures[0].title)
            for name, record in records.items():
                gradients: list[Any] = record.kept.get("gradients", [])
                places = [i / max(len(gradients) - 1, 1) for i in range(len(gradients))]
                right.plot(places, [each or float("nan") for each in gradients], marker=".", label=name)
            right.set(
                yscale="log",
                xlabel="layer, from the first (0) to the last (1)",
                ylabel="norm of the weight gradient",
                title="Which layers learn, at the end, the first network",
            )
            right.grid(color="0.9")
            right.legend(frameon=False, fontsize="small")
