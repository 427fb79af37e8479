"""The networks of the literature, as energy modules."""

from ._mlp import MLP
from ._mu import MuMLP
from ._vgg import VGG, vgg5, vgg7

__all__ = ["MLP", "VGG", "MuMLP", "vgg5", "vgg7"]
