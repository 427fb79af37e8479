# pyright: reportArgumentType=false
# (wrong arguments are to be refused)
"""AlexNet, residual networks and VGG-9: what they compute, and with which rules."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx.learning as pxl
import pcx.models as pxm
import pcx.predictive_coding as pxc
from pcx.learning import bind

from .small import GRADIENT, IMAGES, enable_x64, error, gradients, images, predicted, seeded, weights


@pytest.fixture
def double():
    with enable_x64(True):
        yield


def shapes(model: Any, *shape: int) -> dict[str, tuple[int, ...]]:
    """The shapes of all nodes for one sample; nothing is computed."""
    return {n: node.shape for n, node in bind(model, (jnp.zeros((2, *shape)), jnp.zeros(2, int))).problem.nodes.items()}


def conv(w: Any, name: str, x: Any, stride: int = 1) -> Any:
    kernel = w[f"{name}.weight"]
    pad = (kernel.shape[-1] // 2,) * 2
    return jax.lax.conv_general_dilated(x, kernel, (stride, stride), [pad, pad]) + w[f"{name}.bias"]


def pooled(x: Any) -> Any:
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")


@pytest.mark.hasty
def test_vgg9_has_four_pairs_of_convolutions():
    small = pxm.VGG((1, 1, 2, 2, 3, 3, 4, 4), (True, False) * 4, (1,) * 8)
    sides = [16, 16, 8, 8, 4, 4, 2, 2]
    found = list(shapes(small, 3, 32, 32).values())
    assert [shape[1] for shape in found[:-1]] == sides
    assert found[-1] == (10,)


@pytest.mark.hasty
def test_alexnet_is_its_convolutions_and_linear_layers():
    model = seeded(IMAGES["alexnet"])
    w, (x, _) = weights(model), images("alexnet")
    h = np.float32(x)
    for i, (stride, pool) in enumerate([(2, True), (1, True), (1, False), (1, False), (1, True)]):
        h = jnp.tanh(conv(w, f"convs[{i}].nn", h, stride))
        h = pooled(h) if pool else h
    h = h.reshape(len(x), -1)
    for i, act in enumerate([jnp.tanh, lambda u: u]):
        h = act(h @ w[f"linears[{i}].nn.weight"].T + w[f"linears[{i}].nn.bias"])
    np.testing.assert_allclose(predicted(model, x), h, rtol=1e-4, atol=1e-5)
    sides = shapes(pxm.AlexNet((1, 2, 3, 4, 5), (6, 7)), 3, 32, 32)
    assert list(sides.values()) == [(1, 8, 8), (2, 4, 4), (3, 4, 4), (4, 4, 4), (5, 2, 2), (6,), (7,), (10,)]


@pytest.mark.parametrize("skips", ["levelled", pytest.param("plain", marks=pytest.mark.hasty)])
def test_resnet_is_its_blocks(skips):
    model = seeded(lambda: IMAGES["resnet"](skips=skips, norm=None))
    w, (x, _) = weights(model), images("resnet")
    h = jnp.tanh(conv(w, "stem.conv.nn", jnp.asarray(x, jnp.float32)))
    for i, stride in enumerate((1, 2)):
        inner = jnp.tanh(conv(w, f"blocks[{i}].convs[0].conv.nn", h, stride))
        past = h if stride == 1 else conv(w, f"blocks[{i}].projection.conv.nn", h, stride)
        h = jnp.tanh(conv(w, f"blocks[{i}].convs[1].conv.nn", inner) + past)
    out = h.mean((2, 3)) @ w["linear.nn.weight"].T + w["linear.nn.bias"]
    np.testing.assert_allclose(predicted(model, x), out, rtol=1e-4, atol=1e-5)


@pytest.mark.hasty
def test_the_nodes_of_a_resnet():
    model = pxm.ResNet((2, 1), (1, 2))
    found = shapes(model, 3, 32, 32)
    blocks = [f"blocks[{i}].{name}" for i in range(3) for name in ("inner", "skip", "out")]
    assert list(found) == ["first", *blocks, "output"]
    assert [found[n] for n in blocks] == [(1, 32, 32)] * 6 + [(2, 16, 16)] * 3
    assert list(shapes(pxm.ResNet((2, 1), (1, 2), skips="plain"), 3, 32, 32)) == [
        n for n in found if not n.endswith("skip")
    ]


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("norm", [pytest.param("batch", marks=pytest.mark.hasty), None])
def test_with_levelled_skips_zil_is_backpropagation(norm):
    model, batch = seeded(lambda: IMAGES["resnet"](norm=norm)), images("resnet")
    found, expected = gradients(model, batch, zil=pxl.zil(GRADIENT), backprop=pxl.backprop(GRADIENT))
    assert error(found, expected) <= 1e-12


def test_plain_skips_are_not_levelled():
    with pytest.raises(ValueError, match="the graph is not levelled: from first to the output there are ways of"):
        pxl.zil(GRADIENT).init(IMAGES["resnet"](skips="plain"), images("resnet"))


SETTLING: dict[str, Any] = {
    "resnet": pxl.ipc(GRADIENT, optax.sgd(0.1), 6),
}


@pytest.mark.hasty
@pytest.mark.parametrize("name", SETTLING)
def test_rules_whose_values_settle_reach_every_weight(name):
    model = seeded(lambda: IMAGES[name](energy=pxc.ce_energy))
    x, y = images(name)
    (found,) = gradients(model, (np.float32(x), y), settling=SETTLING[name])
    assert all(bool(np.any(g)) for g in jax.device_get(found).values())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: pxm.AlexNet((1, 2)), "AlexNet: channels must be 5 positive numbers, got [1, 2]"),
        (lambda: pxm.AlexNet(hidden=(0,)), "AlexNet: hidden must be at least 1"),
        (
            lambda: pxm.AlexNet((1,) * 5, (2,), shape=(3, 8, 8)),
            "AlexNet: nothing is left of samples of shape (3, 8, 8)",
        ),
        (lambda: pxm.ResNet((1, 1), (2,)), "ResNet: channels must be 2 positive numbers, got [2]"),
        (lambda: pxm.ResNet((1,), (2,), shape=(8, 8)), "ResNet: shape must be (channels, height, width) of one sample"),
        (lambda: pxm.ResNet(skips="even"), 'ResNet: skips must be "levelled" or "plain", got \'even\''),
        (lambda: pxm.ResNet(norm="layer"), "ResNet: norm must be \"batch\" or None, got 'layer'"),
        (lambda: pxm.ResNet((0,), (2,)), "ResNet: blocks must be at least 1"),
        (lambda: pxm.VGG((), (), ()), "VGG: channels must be one or more positive numbers, got []"),
        (lambda: pxm.VGG((1,), (True,), (-1,)), "VGG: padding must be 0 or more"),
        (lambda: pxm.VGG((1,), (True,), (1,), classes=2.0), "VGG: classes must be a whole number"),
    ],
)
def test_bad_sizes(make, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make()
