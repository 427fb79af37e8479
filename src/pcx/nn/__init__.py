"""Layers: Equinox layers with their arrays as params."""

# What `__all__` does not list is for other rooms, and not public.
# ruff: noqa: F401

from ._batch_norm import BatchNorm
from ._call import with_key
from ._conv import Conv, Conv1d, Conv2d, Conv3d
from ._conv_transpose import ConvTranspose, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from ._dropout import Dropout
from ._layer import (
    Layer,
    bare_layers,
    unboxed,
)
from ._linear import Linear
from ._norm import LayerNorm
from ._parameter import LayerParam, LayerState
from ._pool import AdaptiveAvgPool2d, AdaptiveMaxPool2d, AdaptivePool, AvgPool2d, MaxPool2d, Pool
from ._shared import shared
from ._stateful import StatefulLayer, StateParam

__all__ = [
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool2d",
    "AdaptivePool",
    "AvgPool2d",
    "BatchNorm",
    "Conv",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "Dropout",
    "Layer",
    "LayerNorm",
    "LayerParam",
    "LayerState",
    "Linear",
    "MaxPool2d",
    "Pool",
    "StateParam",
    "StatefulLayer",
    "shared",
]
