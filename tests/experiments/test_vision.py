"""The experiments on CIFAR-10: which files they are of, their networks, and what a decoder makes of a latent."""

import dataclasses
import functools
import io
import json
from typing import Any

import jax
import numpy as np
import pytest

import pcx.learning as pxl
import pcx.models as pxm
from pcx import RKG
from pcx.experiments import EXPERIMENTS, Trained, Where
from pcx.experiments._autoencoders import decoded
from pcx.experiments._cifar import cifar
from pcx.experiments._compressed import were_jpegs
from pcx.experiments._images import packed, unpacked

VGG, RESNET, DECONV = (EXPERIMENTS[name] for name in ("vgg", "resnet", "deconv"))


def scenes(count: int) -> np.ndarray:
    """Colour images with slopes, edges and noise: bytes."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:32, :32] / 32
    slope, edge = random.normal(size=(2, count, 3, 1, 1)), random.uniform(0.2, 0.8, (2, count, 1, 1, 1))
    images = 128 + 60 * (slope[0] * x + slope[1] * y) + 40 * (x > edge[0]) - 40 * (y > edge[1])
    return np.clip(images + random.normal(scale=12, size=images.shape), 0, 255).astype(np.uint8)


def test_images_that_were_jpegs_are_known():
    image = pytest.importorskip("PIL.Image")
    images = scenes(50)
    copies = []
    for each in images:
        file = io.BytesIO()
        image.fromarray(each.transpose(1, 2, 0)).save(file, "JPEG", quality=75)
        copies.append(np.asarray(image.open(file)).transpose(2, 0, 1))
    assert were_jpegs(np.stack(copies))
    assert not were_jpegs(images)


def test_the_data_say_which_files_they_are_of(image_folder, monkeypatch):
    settings: Any = VGG.quick
    settings = dataclasses.replace(settings, samples=40, test_samples=30)
    data = cifar(settings, Where(image_folder))
    assert (data.name, data.train[0].shape, data.test[0].shape) == ("CIFAR-10", (40, 3, 32, 32), (30, 3, 32, 32))
    whole = cifar(dataclasses.replace(settings, samples=None), Where(image_folder))
    assert whole.sha256 == data.sha256
    np.testing.assert_allclose(whole.train[0].mean(axis=(0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(whole.train[0].std(axis=(0, 2, 3)), 1, atol=1e-5)
    monkeypatch.setattr("pcx.experiments._cifar.were_jpegs", lambda images: True)
    assert cifar(settings, Where(image_folder)).name == "CIFAR-10 (JPEG copy)"
    with pytest.raises(ValueError, match="--samples 999 is more than the 260"):
        cifar(dataclasses.replace(settings, samples=999), Where(image_folder))
    with pytest.raises(ValueError, match="--batch-size 32 is more than the 20"):
        cifar(dataclasses.replace(settings, samples=20), Where(image_folder))


@pytest.mark.parametrize(
    ("experiment", "changed", "said"),
    [
        (VGG, {"network": "vgg11"}, "--network must be one of vgg5, vgg7, vgg9"),
        (VGG, {"network": "vgg7", "T": 5}, "--T must be at least 6"),
        (VGG, {"state_momentum": 1.0}, "--state-momentum"),
        (RESNET, {"blocks": (2, 2, 2)}, "--channels must be a number for each stage"),
        (RESNET, {"norm": "layer"}, "--norm must be batch or none"),
        (RESNET, {"blocks": (2, 2, 2, 2), "channels": (1, 1, 1, 1), "T": 16}, "--T must be at least 17"),
        (DECONV, {"channels": (8,) * 6}, "--channels must be one to five"),
    ],
)
def test_settings_that_do_not_fit_are_refused(experiment, changed, said):
    settings: Any = experiment.quick
    with pytest.raises(ValueError, match=said):
        dataclasses.replace(settings, **changed).check()


def test_enough_steps_for_each_network(image_folder):
    settings: Any = VGG.settings
    for network, nodes in (("vgg5", 5), ("vgg7", 7), ("vgg9", 9)):
        own = dataclasses.replace(settings, network=network, samples=128)
        own.check()
        assert own.steps >= nodes - 1
        arm = VGG.arm("pc-ce", own, cifar(own, Where(image_folder)))
        assert isinstance(arm, Trained)
        assert arm.augment is not None
    arm = VGG.arm("pc-ce", dataclasses.replace(settings, augment=False, samples=128), cifar(own, Where(image_folder)))
    assert isinstance(arm, Trained)
    assert arm.augment is None


@pytest.mark.hasty
@pytest.mark.parametrize("skips", ["levelled", "plain"])
def test_zil_of_both_kinds_of_skips_is_backpropagation(skips, image_folder):
    quick: Any = RESNET.quick
    settings = dataclasses.replace(quick, samples=64, test_samples=10, batch_size=8, blocks=(1, 1), channels=(2, 4))
    data = RESNET.data(settings, Where(image_folder))
    steps = {name: RESNET.arm(name, settings, data).first_steps(0, 3) for name in (f"zil-{skips}", "backprop")}
    a, b = steps.values()
    np.testing.assert_allclose(np.asarray(a.numbers["loss"], float), np.asarray(b.numbers["loss"], float), rtol=1e-4)


@pytest.mark.hasty
def test_a_decoder_makes_an_image_of_the_latent_alone():
    RKG.seed(0)
    for model, size in ((pxm.Decoder([3, 8, 6, 12]), 12), (pxm.DeconvDecoder(3, (4, 2), (1, 4, 4)), 16)):
        images = np.random.default_rng(0).normal(size=(5, *((12,) if size == 12 else (1, 4, 4)))).astype(np.float32)
        bound = pxl.bind(model, (None, images))
        start = bound.start()
        nodes = {name: jax.random.normal(jax.random.key(i), h.shape) for i, (name, h) in enumerate(start.h.items())}
        image = jax.jit(functools.partial(decoded, bound, targets=start.targets))
        found = image(nodes)
        hidden = {name: value if name == "latent" else 0 * value for name, value in nodes.items()}
        np.testing.assert_allclose(found, image(hidden), atol=1e-6)
        other = {**nodes, "latent": nodes["latent"] + 1}
        assert not np.allclose(found, image(other), atol=1e-3)


def test_images_as_plain_data_and_back():
    images = np.random.default_rng(0).uniform(-0.1, 1.1, (12, 3, 4, 4))
    kept = json.loads(json.dumps(packed(images)))
    found = unpacked(kept)
    assert found.shape == (12, 3, 4, 4)
    np.testing.assert_allclose(found, np.clip(images, 0, 1), atol=0.5 / 255 + 1e-9)
    assert packed(found) == kept
