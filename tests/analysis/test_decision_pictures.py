"""What is drawn of decisions: confusions, and boundaries in the plane."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure

import pcx.analysis as pxa


def test_a_row_for_each_class_a_column_for_what_it_is_taken_for():
    ax = Figure().subplots()
    labels, taken = [0, 0, 0, 1, 2], [0, 0, 1, 1, 1]
    assert pxa.plot_confusion(labels, taken, ax) is ax
    image: Any = ax.images[0].get_array()
    np.testing.assert_allclose(image, [[200 / 3, 100 / 3, 0], [0, 100, 0], [0, 100, 0]])
    assert [t.get_text() for t in ax.texts] == ["67", "33", "100", "100"]
    assert ax.get_title() == "60.0% of 5 right"
    outputs = np.eye(4)[taken]
    ax = pxa.plot_confusion(jnp.asarray(labels), outputs, Figure().subplots(), names=list("abcd"), counts=True)
    image = ax.images[0].get_array()
    np.testing.assert_allclose(image, [[2, 1, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]])
    assert [t.get_text() for t in ax.get_yticklabels()] == list("abcd")
    many = pxa.plot_confusion(np.arange(50), np.arange(50), Figure().subplots())
    assert len(many.texts) == 0  # too small to be read
    assert len(many.get_yticks()) <= 20


@pytest.mark.parametrize(
    ("labels", "predictions", "names"),
    [
        ([0, 1], [0], None),
        ([], [], None),
        ([0.5], [0], None),
        ([-1], [0], None),
        ([0], [3], ["a", "b"]),
        ([0], [[0.0, np.nan]], None),
        ([[0, 1]], [[0.0, 1.0]], None),
    ],
)
def test_what_are_no_classes_is_refused(labels, predictions, names):
    with pytest.raises(ValueError, match="plot_confusion: "):
        pxa.plot_confusion(labels, predictions, names=names)


class Sides:
    """Decides by the first input."""

    def __init__(self, outputs: int = 2):
        self.outputs = outputs

    def init(self, model: Any, batch: Any, key: int = 0) -> Any: ...

    def step(self, state: Any, batch: Any) -> Any: ...

    def evaluate(self, state: Any, batch: Any) -> Any: ...

    def predict(self, model: Any, x: Any) -> Any:
        if self.outputs == 1:
            return x[:, 0] + 0.5
        return jnp.stack([-x[:, 0], x[:, 0]], axis=1)


CROSS = np.array([[-1.0, 0], [1, 0], [0.5, 1], [0.5, -1]])


@pytest.mark.parametrize("outputs", [1, 2])
def test_the_boundary_lies_where_decisions_change(outputs):
    ax = Figure().subplots()
    assert pxa.plot_decision_boundary(Sides(outputs), None, (CROSS, np.array([0, 1, 1, 0])), ax, points=41) is ax
    line = np.asarray(ax.collections[0].get_paths()[0].vertices, float)
    np.testing.assert_allclose(line[:, 0], 0, atol=1e-6)
    assert ax.get_title() == "Decisions, 75.0% of 4 samples right"
    zero, one = [np.asarray(p.get_xydata(), float) for p in ax.get_lines()]
    np.testing.assert_allclose(zero, CROSS[[0, 3]])
    np.testing.assert_allclose(one, CROSS[[1, 2]])
    image: Any = ax.images[0].get_array()
    assert image.shape == (41, 41, 3)
    assert image[0, 0, 2] > image[0, 0, 0]  # blue on the left
    assert image[0, -1, 2] < image[0, -1, 0]  # orange on the right


@pytest.mark.parametrize(
    ("x", "y", "points"),
    [
        (np.ones((4, 3)), np.zeros(4), 9),
        (CROSS, np.zeros(3), 9),
        (CROSS * np.nan, np.zeros(4), 9),
        (CROSS, np.full(4, 0.5), 9),
        (CROSS, np.zeros(4), 1),
    ],
)
def test_what_is_not_in_the_plane_is_refused(x, y, points):
    with pytest.raises(ValueError, match="plot_decision_boundary: "):
        pxa.plot_decision_boundary(Sides(), None, (x, y), points=points)
