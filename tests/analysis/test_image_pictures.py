"""What is drawn as images: weights, originals and what is made of them."""

from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

import pcx.analysis as pxa


def drawn(ax: Any) -> Any:
    return np.ma.filled(np.ma.asarray(ax.images[0].get_array(), float), np.nan)


def test_each_unit_is_an_image_with_a_scale_of_its_own():
    ax = Figure().subplots()
    weights = np.array([[1.0, -2, 0, 0.5], [10, 0, 0, 0], [0, 0, 0, 0]])
    assert pxa.plot_weights(weights, ax) is ax
    image = drawn(ax)
    assert image.shape == (5, 5)  # two by two, a pixel between them
    np.testing.assert_allclose(image[:2, :2], [[0.5, -1], [0, 0.25]])
    np.testing.assert_allclose(image[:2, 3:], [[1, 0], [0, 0]])
    np.testing.assert_allclose(image[3:, :2], 0)
    assert np.all(np.isnan(image[2]))
    assert np.all(np.isnan(image[3:, 3:]))  # no fourth unit
    assert ax.get_title() == "Weights of 3 units"
    alike = pxa.plot_weights(weights, Figure().subplots(), each=False, columns=3)
    np.testing.assert_allclose(drawn(alike)[:, :2], [[0.1, -0.2], [0, 0.05]])
    some = pxa.plot_weights(weights, Figure().subplots(), shape=(1, 4), most=2)
    assert drawn(some).shape == (1, 9)
    assert some.get_title() == "Weights of 2 of 3 units"


def test_kernels_are_images_by_unit_and_channel():
    colours = pxa.plot_weights(np.ones((2, 3, 2, 2)), Figure().subplots())
    assert drawn(colours).shape == (2, 5, 4)
    np.testing.assert_allclose(drawn(colours)[:, 2, 3], 0)  # between them there is nothing
    kernels = np.arange(2 * 4 * 2 * 2, dtype=float).reshape(2, 4, 2, 2)
    ax = pxa.plot_weights(kernels, Figure().subplots(), each=False)
    assert drawn(ax).shape == (5, 11)  # a row is a unit
    np.testing.assert_allclose(drawn(ax)[3:, 9:], kernels[1, 3] / 31)
    assert ax.get_title() == "Weights of 2 units, 8 images"


def test_rows_of_images_have_the_scale_of_the_first():
    ax = Figure().subplots()
    originals = np.arange(8.0).reshape(2, 2, 2)
    assert pxa.plot_images({"originals": originals, "generated": 2 * originals[:1].reshape(1, 4)}, ax) is ax
    image = drawn(ax)
    assert image.shape == (5, 5)
    np.testing.assert_allclose(image[:2, 3:], originals[1])
    np.testing.assert_allclose(image[3:, :2], 2 * originals[0])
    assert np.all(np.isnan(image[3:, 3:]))
    assert ax.images[0].get_clim() == (0, 7)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["originals", "generated"]
    colours = pxa.plot_images({"a": np.full((1, 3, 2, 2), 5.0)}, Figure().subplots(), limits=(0, 10))
    np.testing.assert_allclose(drawn(colours)[0, 0], [0.5, 0.5, 0.5, 1])


@pytest.mark.parametrize(
    "call",
    [
        lambda: pxa.plot_weights(np.ones(4)),
        lambda: pxa.plot_weights(np.ones((2, 5))),
        lambda: pxa.plot_weights(np.full((2, 4), np.nan)),
        lambda: pxa.plot_weights(np.ones((2, 4)), shape=(3, 2)),
        lambda: pxa.plot_weights(np.ones((2, 4)), most=0),
        lambda: pxa.plot_images({}),
        lambda: pxa.plot_images({"a": np.ones((1, 2, 3, 3))}),
        lambda: pxa.plot_images({"a": np.ones((1, 4)), "b": np.ones((1, 9))}),
        lambda: pxa.plot_images({"a": np.ones((1, 4))}, limits=(1, 1)),
        lambda: pxa.plot_images({"a": np.ones((0, 4))}),
        lambda: pxa.plot_images({"a": np.ones((1, 4))}, most=0),
    ],
)
def test_what_is_no_image_is_refused(call):
    with pytest.raises(ValueError, match=r"plot_(weights|images): "):
        call()
