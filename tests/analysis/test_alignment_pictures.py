"""What is drawn of cosines to backpropagation: by layer, and over training."""

from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

import pcx.analysis as pxa
import pcx.training as pxt

from .records import record

NAN = np.nan


def lines(ax: Any) -> dict[str, list[float]]:
    """What the lines with labels show."""
    return {
        line.get_label(): np.asarray(line.get_ydata(), float).tolist()
        for line in ax.get_lines()
        if not line.get_label().startswith("_")
    }


def seen(**cosines: Any) -> pxa.Regime:
    return record({}, cosines)


def test_layers_stand_from_the_input_to_the_output():
    ax = Figure().subplots()
    assert pxa.plot_alignment(seen(a=0.5, b=1.0), ax) is ax
    assert lines(ax) == {"pc": [0.5, 1.0]}
    assert [t.get_text() for t in ax.get_xticklabels()] == ["a", "b"]
    assert ax.get_ylim() == (-0.05, 1.05)


def test_rules_are_compared_with_every_network_and_their_mean():
    records = {"PC": seen(a=[0.2, 0.4], b=[-1.0, -0.5]), "Z-IL": seen(a=NAN, b=1.0)}
    ax = pxa.plot_alignment(records, Figure().subplots())
    found = lines(ax)
    assert list(found) == ["PC, mean of 2", "Z-IL", "no gradient"]
    np.testing.assert_allclose(found["PC, mean of 2"], [0.3, -0.75])
    np.testing.assert_allclose(found["Z-IL"], [NAN, 1])
    assert found["no gradient"] == [0]
    points = [np.asarray(line.get_ydata(), float) for line in ax.get_lines()[:2]]
    np.testing.assert_allclose(points, [[0.2, -1], [0.4, -0.5]])  # every network
    assert ax.get_ylim()[0] == pytest.approx(-1.05)
    # Told apart without colours, too.
    named: Any = [line for line in ax.get_lines() if line.get_label() in ("PC, mean of 2", "Z-IL")]
    assert len({line.get_marker() for line in named}) == len({line.get_linestyle() for line in named}) == 2


def test_over_training_each_layer_is_a_line():
    ax = pxa.plot_alignment([(200, seen(a=0.7, b=NAN)), (100, seen(a=0.5, b=0.9))], Figure().subplots())
    np.testing.assert_allclose(lines(ax)["a"], [0.5, 0.7])  # by the steps
    np.testing.assert_allclose(lines(ax)["b"], [0.9, NAN])
    assert ax.get_xlabel() == "training step"
    legend: Any = ax.get_legend()
    assert [t.get_text() for t in legend.get_texts()] == ["b", "a"]
    several = pxa.plot_alignment([(0, seen(a=[0.2, 0.4])), (1, seen(a=[0.4, 0.8]))], Figure().subplots())
    np.testing.assert_allclose(lines(several)["a"], [0.3, 0.6])
    np.testing.assert_allclose(np.asarray(several.get_lines()[1].get_ydata(), float), [0.4, 0.8])
    many = Figure()
    names: Any = {f"layers[{i}]": 0.5 for i in range(64)}
    assert pxa.plot_alignment([(3, seen(**names))], many.subplots()).get_legend() is None
    assert many.axes[0].get_xticks().tolist() == [3]
    assert len(many.axes) == 2  # a scale in its place


@pytest.mark.parametrize(
    "wrong",
    [[], {}, seen(), {"a": seen(a=1.0), "b": seen(b=1.0)}, [(0, seen(a=1.0)), (1, seen(a=[1.0, 1.0]))]],
)
def test_what_cannot_be_compared_is_refused(wrong):
    with pytest.raises(ValueError, match="plot_alignment: "):
        pxa.plot_alignment(wrong)


def rows(*cosines: dict[str, float | None], network: int = 0, first: int = 0) -> list[dict[str, Any]]:
    """A history with a look in each epoch, as `fit(regime=10)` makes it."""
    return [
        {"epoch": i + 1, "network": network, "regime": [{"batch": 10 * (first + i), "module_cosine": c}]}
        for i, c in enumerate(cosines)
    ]


def test_a_run_that_has_looked_is_drawn_over_its_batches():
    history = [*rows({"a": 0.2, "b": None}, {"a": 0.4, "b": 0.9}), *rows({"a": 0.6, "b": 0.7}, network=1, first=1)]
    run = pxt.Fit([], [], [*history, {"epoch": 3, "network": 0}], "done", None, None)
    for given in (run, run.history):
        ax = pxa.plot_alignment(given, Figure().subplots())
        assert ax.get_xlabel() == "batches that were learned from"
        np.testing.assert_allclose(lines(ax)["a"], [0.2, 0.5])  # the mean of those that were looked at
        np.testing.assert_allclose(lines(ax)["b"], [NAN, 0.8])
        np.testing.assert_allclose(np.asarray(ax.get_lines()[0].get_xdata(), float), [0, 10])
    ax = pxa.plot_alignment(history[1]["regime"], Figure().subplots())
    assert lines(ax) == {"a": [0.4], "b": [0.9]}
    with pytest.raises(ValueError, match=r"plot_alignment: networks must have the same layers"):
        pxa.plot_alignment([*history, *rows({"c": 1.0}, network=2)])
