"""What networks generate from each class is measured in pixels from 0 to 1."""

import numpy as np

import pcx.data as pxd
from pcx.experiments._both_ways import BothWaysSettings
from pcx.experiments._directions import class_means, directed
from pcx.experiments.frame import Data


def test_errors_are_those_of_pixels_whatever_the_scaling():
    rng = np.random.default_rng(0)
    pixels = rng.random((12, 9)).astype(np.float32)
    labels = np.arange(12) % 3
    scaling = pxd.Scaling.of(pixels)
    scaled = scaling(pixels)
    data = Data("drawn", (scaled, labels), (scaled, labels), "", 3, scaling)
    means = np.stack([pixels[labels == each].mean(axis=0) for each in range(3)])
    np.testing.assert_allclose(class_means(data), means, atol=1e-6)

    settings = BothWaysSettings(hidden=(4,), epochs=1, batch_size=4)
    arm = directed("pc-generates", settings, data)
    state = arm.rule.init(arm.make(), (np.eye(3, dtype=np.float32)[labels[:4]], scaled[:4]))
    first, second = ({n: np.asarray(state.weights[f"layers[{i}].nn.{n}"]) for n in ("weight", "bias")} for i in (0, 1))
    hidden = first["weight"].T + first["bias"]  # of the labels, one hot
    made = np.tanh(hidden) @ second["weight"].T + second["bias"]
    error = np.sqrt(np.mean(np.square(made * scaling.std[0] + scaling.mean[0] - means)))
    assert arm.each is not None
    np.testing.assert_allclose(arm.each(state)["generation_error"], error, rtol=1e-5)
