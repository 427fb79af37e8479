"""The networks of the literature, as energy modules."""

from ._alexnet import AlexNet, alexnet
from ._decoder import Decoder, DeconvDecoder
from ._equinox import from_equinox, to_equinox
from ._hierarchy import GenerativeHierarchy
from ._memory import HopfieldMemory, PCMemory
from ._mlp import MLP
from ._mu import MuMLP
from ._pair import Pair
from ._resnet import ResNet, resnet18
from ._vgg import VGG, vgg5, vgg7, vgg9

__all__ = [
    "MLP",
    "VGG",
    "AlexNet",
    "Decoder",
    "DeconvDecoder",
    "GenerativeHierarchy",
    "HopfieldMemory",
    "MuMLP",
    "PCMemory",
    "Pair",
    "ResNet",
    "alexnet",
    "from_equinox",
    "resnet18",
    "to_equinox",
    "vgg5",
    "vgg7",
    "vgg9",
]
