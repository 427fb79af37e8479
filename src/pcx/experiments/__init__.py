"""The experiments of the literature, each a file of its own: `pcx run NAME` runs one, and `pcx verify FOLDER` verifies
what it left.

A new one is a file here with a subclass of `Experiment`, and a line in `EXPERIMENTS`; `docs/experiments.md` says how.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core import loaded_on_use
from ._autoencoder import Autoencoder
from ._both_ways import BothWays
from ._deconv import Deconv
from ._deep import Deep
from ._hybrid import Hybrid
from ._mcpc import Mcpc, McpcDigits
from ._memory import Memory
from ._mnist import MNIST, FashionMNIST
from ._online import Online
from ._resnet import ResNet
from ._vgg import VGG
from .frame import Arm, Experiment, FirstSteps, Measure, Record, Settings, Where

if TYPE_CHECKING:  # what type checkers and editors read; the same names as in _HOME
    from .frame import (  # noqa: F401
        ARMS,
        COMMAND,
        TOLERANCE,
        Data,
        Outcome,
        Plan,
        Trained,
        Verified,
        first_steps,
        images,
        read_config,
        run,
        seal,
        sha256_of,
        software,
        steps_between,
        verify,
        verify_sums,
    )

__all__ = [
    "EXPERIMENTS",
    "Arm",
    "Data",
    "Experiment",
    "FirstSteps",
    "Measure",
    "Outcome",
    "Plan",
    "Record",
    "Settings",
    "Trained",
    "Verified",
    "Where",
    "first_steps",
    "images",
    "run",
    "verify",
]

EXPERIMENTS: dict[str, Experiment] = {
    each.name: each
    for each in (
        MNIST(),
        FashionMNIST(),
        VGG(),
        ResNet(),
        Autoencoder(),
        Deconv(),
        Deep(),
        Hybrid(),
        BothWays(),
        Memory(),
        Mcpc(),
        McpcDigits(),
        Online(),
    )
}
"""The experiments by name, in the order in which they are listed."""

_LATER = "Data Outcome Plan Trained Verified first_steps images run verify "
# For the command, not public:
_LATER += "ARMS COMMAND TOLERANCE read_config seal sha256_of software steps_between verify_sums"
_HOME = dict.fromkeys(_LATER.split(), f"{__name__}.frame")

if not TYPE_CHECKING:  # hidden from type checkers, which would take any name for a good one
    __getattr__ = loaded_on_use(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
