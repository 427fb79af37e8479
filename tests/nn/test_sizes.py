# pyright: reportArgumentType=false
# (wrong types are what this file is about)
"""Sizes of layers are whole numbers of any library; anything else is refused in the name of layer and argument."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pcx.models as pxm
import pcx.nn as pxnn

NO_SIZES = (3.0, -3, 0, True, "3", None, np.float32(3), np.bool_(True), jnp.array(3.0))


def add(x: jax.Array, y: jax.Array) -> jax.Array:
    return x + y


# By the argument that is wrong: each layer with a size in that place.
LAYERS = {
    "Linear in_features": lambda n: pxnn.Linear(n, 4),
    "Linear out_features": lambda n: pxnn.Linear(4, n),
    "Conv2d in_channels": lambda n: pxnn.Conv2d(n, 4, 3),
    "Conv2d out_channels": lambda n: pxnn.Conv2d(3, n, 3),
    "Conv1d kernel_size": lambda n: pxnn.Conv1d(3, 4, n),
    "Conv2d kernel_size": lambda n: pxnn.Conv2d(3, 4, (3, n)),
    "Conv3d stride": lambda n: pxnn.Conv3d(3, 4, 3, n),
    "Conv2d dilation": lambda n: pxnn.Conv2d(3, 4, 3, 1, 0, n),
    "Conv2d groups": lambda n: pxnn.Conv2d(4, 4, 3, groups=n),
    "Conv num_spatial_dims": lambda n: pxnn.Conv(n, 3, 4, 3),
    "ConvTranspose2d in_channels": lambda n: pxnn.ConvTranspose2d(n, 4, 3),
    "ConvTranspose1d stride": lambda n: pxnn.ConvTranspose1d(3, 4, 3, n),
    "ConvTranspose3d dilation": lambda n: pxnn.ConvTranspose3d(3, 4, 3, dilation=n),
    "Pool kernel_size": lambda n: pxnn.Pool(0.0, add, 1, n),
    "MaxPool2d kernel_size": lambda n: pxnn.MaxPool2d(n),
    "AvgPool2d stride": lambda n: pxnn.AvgPool2d(2, n),
    "AdaptivePool target_shape": lambda n: pxnn.AdaptivePool(n, 1, jnp.mean),
    "AdaptiveAvgPool2d target_shape": lambda n: pxnn.AdaptiveAvgPool2d((2, n)),
    "AdaptiveMaxPool2d target_shape": lambda n: pxnn.AdaptiveMaxPool2d(n),
    "LayerNorm shape": lambda n: pxnn.LayerNorm((n,)),
    "BatchNorm input_size": lambda n: pxnn.BatchNorm(n, "batch"),
    "MLP widths": lambda n: pxm.MLP([3, n, 2]),
    "MuMLP widths": lambda n: pxm.MuMLP([3, n, 2]),
    "Decoder widths": lambda n: pxm.Decoder([3, n, 2]),
    "DeconvDecoder latent": lambda n: pxm.DeconvDecoder(n, (2,), (1, 2, 2)),
    "Pair widths": lambda n: pxm.Pair([3, n, 2]),
    "AlexNet hidden": lambda n: pxm.AlexNet((1,) * 5, (n,), (1, 16, 16)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_what_is_no_size_is_refused_by_name(name):
    layer, argument = name.split()
    for size in NO_SIZES:
        with pytest.raises(ValueError, match=rf"^{layer}: {argument} must be "):
            LAYERS[name](size)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.array, jnp.array])
def test_whole_numbers_of_any_library_are_sizes(name, kind):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Equinox warns of arrays that are constants
        one, two = LAYERS[name](kind(1)), LAYERS[name](1)
    assert [jnp.shape(a) for a in jax.tree.leaves(one)] == [jnp.shape(a) for a in jax.tree.leaves(two)]


def test_paddings():
    for padding in (-1, 0.5, True, (1, -1), ((1, 1), (1, 0.5)), (1, 1, 1), (1, (1, 1))):
        for layer in (lambda p: pxnn.Conv2d(3, 4, 3, padding=p), lambda p: pxnn.MaxPool2d(2, padding=p)):
            with pytest.raises(ValueError, match=r"^(Conv2d|MaxPool2d): padding must be "):
                layer(padding)
    for padding in (1, np.int64(1), [1, 1], [[1, 1], [1, 1]]):
        assert pxnn.Conv2d(3, 4, 3, padding=padding)(jnp.ones((3, 5, 5))).shape == (4, 5, 5)
        assert pxnn.AvgPool2d(3, padding=padding)(jnp.ones((3, 5, 5))).shape == (3, 5, 5)
    assert pxnn.Conv2d(3, 4, 3, padding="SAME")(jnp.ones((3, 5, 5))).shape == (4, 5, 5)
    with pytest.raises(ValueError, match="MaxPool2d: padding must be of whole numbers, got 'SAME'"):
        pxnn.MaxPool2d(2, padding="SAME")


def test_more_or_fewer_sizes_than_axes_are_refused():
    with pytest.raises(ValueError, match=r"Conv2d: kernel_size must be one number, or one for each of the 2 spatial"):
        pxnn.Conv2d(3, 4, (3, 3, 3))
    with pytest.raises(ValueError, match=r"AdaptiveAvgPool2d: target_shape must be one number, or one for each of the"):
        pxnn.AdaptiveAvgPool2d((2,))


def test_a_probability_is_one():
    for p in (1.5, -0.1, float("nan")):
        with pytest.raises(ValueError, match=r"Dropout: p must be in \[0, 1\]"):
            pxnn.Dropout(p)
    for p in ("a", True, None):
        with pytest.raises(TypeError, match="Dropout: p must be a number"):
            pxnn.Dropout(p)
    with pytest.raises(ValueError, match="LayerNorm: eps must be 0 or more"):
        pxnn.LayerNorm(3, eps=-1.0)
    with pytest.raises(ValueError, match="BatchNorm: eps must be 0 or more"):
        pxnn.BatchNorm(3, "batch", eps=-1.0)


@pytest.mark.parametrize("layer", [pxnn.Conv2d, pxnn.ConvTranspose2d])
def test_groups_divide_the_channels(layer):
    for channels, wrong in (((3, 4), "in_channels=3"), ((4, 3), "out_channels=3")):
        with pytest.raises(ValueError, match=rf"^{layer.__name__}: groups=2 must divide {wrong}$"):
            layer(*channels, 3, groups=2)


def test_words_and_output_paddings_that_layers_do_not_take():
    with pytest.raises(ValueError, match=r"^Conv1d: padding_mode must be 'ZEROS' or .* got 'MIRROR'"):
        pxnn.Conv1d(2, 2, 3, padding_mode="MIRROR")
    with pytest.raises(
        ValueError, match=r"^ConvTranspose1d: padding_mode must be 'ZEROS' or 'CIRCULAR', got 'REFLECT'"
    ):
        pxnn.ConvTranspose1d(2, 2, 3, padding_mode="REFLECT")
    assert pxnn.Conv1d(2, 2, 3, padding=1, padding_mode="reflect")(jnp.ones((2, 5))).shape == (2, 5)
    with pytest.raises(ValueError, match=r"^ConvTranspose2d: output_padding=\(0, 2\) must be smaller than stride=2"):
        pxnn.ConvTranspose2d(2, 2, 3, 2, output_padding=(0, 2))
