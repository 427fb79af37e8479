"""Docstrings say how many value nodes and weights the networks of the literature have; and seeds decide the weights."""

import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pcx as px
import pcx.models as pxm
import pcx.predictive_coding as pxc
from pcx.core import modules

from .small import IMAGES, params, seeded, weights

# What each docstring speaks of.
SAID = {
    "MLP": lambda: pxm.MLP([784, 128, 128, 128, 10]),
    "MuMLP": lambda: pxm.MuMLP([784, *[128] * 127, 10]),
    "vgg5": pxm.vgg5,
    "vgg7": pxm.vgg7,
    "vgg9": pxm.vgg9,
    "alexnet": pxm.alexnet,
    "resnet18": pxm.resnet18,
    "Decoder": lambda: pxm.Decoder([64, 128, 128, 784]),
    "DeconvDecoder": pxm.DeconvDecoder,
    "GenerativeHierarchy": lambda: pxm.GenerativeHierarchy([1, 1]),
    "PCMemory": lambda: pxm.PCMemory(784),
    "HopfieldMemory": lambda: pxm.HopfieldMemory(jnp.zeros((50, 28, 28))),
    "Pair": lambda: pxm.Pair([784, 256, 256, 10]),
}


def counted(make):
    """The numbers of value nodes and of weights; no array is made."""
    kept, nodes = px.RKG.key.get(), []

    def made():
        model = make()
        nodes.extend(m for m in modules(model) if isinstance(m, pxc.Vode))
        return [p.get() for p in params(model)]

    try:
        shapes = jax.eval_shape(made)
    finally:
        px.RKG.key.set(kept)
    return len(nodes), sum(math.prod(s.shape) for s in shapes)


@pytest.mark.parametrize("name", SAID)
def test_docstrings_say_how_many_nodes_and_weights_there_are(name):
    text = getattr(pxm, name).__doc__
    nodes = re.search(r"(\d+)\s+value\s+nodes?", text)
    numbers = re.search(r"(\d[\d,]*)\s+weights", text)
    assert nodes is not None
    assert numbers is not None
    assert counted(SAID[name]) == (int(nodes[1]), int(numbers[1].replace(",", "")))


def test_so_does_that_of_resnet18_for_plain_skips_and_without_norms():
    text = pxm.resnet18.__doc__ or ""
    assert "or 18 with plain skips" in text
    assert "or 11,169,162 without" in text
    assert counted(lambda: pxm.resnet18(skips="plain", norm=None)) == (18, 11_169_162)


KINDS = {
    **{name: make for name, make in IMAGES.items() if name != "alexnet"},
    "mu": lambda: pxm.MuMLP([3, 4, 4, 2]),
    "decoder": lambda: pxm.Decoder([2, 3, 4]),
    "deconv": lambda: pxm.DeconvDecoder(2, (2,), (1, 4, 4)),
    "hierarchy": lambda: pxm.GenerativeHierarchy([2, 3, 4]),
    "pair": lambda: pxm.Pair([4, 3, 2]),
}


@pytest.mark.parametrize("name", KINDS)
def test_seeds_decide_the_weights(name):
    one, two, other = (weights(seeded(KINDS[name], seed)) for seed in (1, 1, 2))
    assert all(np.array_equal(one[path], two[path]) for path in one)
    matrices = [path for path, w in one.items() if w.ndim > 1]
    assert matrices
    assert all(not np.array_equal(one[path], other[path]) for path in matrices)
