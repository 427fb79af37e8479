"""What is drawn where rules are compared: seeds, and what accuracy costs."""

from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

import pcx.analysis as pxa
import pcx.training as pxt

NAN = np.nan


def texts(ax: Any) -> list[str]:
    return [t.get_text() for t in ax.get_legend().get_texts()]


def ys(lines: Any) -> list[list[float]]:
    return [np.asarray(line.get_ydata(), float).tolist() for line in lines]


def test_every_seed_is_seen_with_the_mean_and_its_interval():
    ax = Figure().subplots()
    values = {"PC": [0.9, 0.9, 0.96], "Z-IL": [0.97], "lost": [NAN]}
    assert pxa.plot_seeds(values, ax, label="test accuracy") is ax
    points: Any = [line for line in ax.get_lines() if line.get_linestyle() == "None"]
    seeds = [line for line in points if line.get_marker() in "os"]
    assert ys(seeds) == [[0.9, 0.9, 0.96], [0.97]]
    assert len(set(seeds[0].get_xdata())) == 3  # nor does one lie upon another
    assert texts(ax) == ["mean", "95% interval of the mean"]
    error: Any = ax.containers[0]
    low, high = error.lines[2][0].get_segments()[0][:, 1]
    np.testing.assert_allclose((low, high), 0.92 + 4.302653 * 0.02 * np.array([-1, 1]), rtol=1e-6)
    assert len(ax.containers) == 1  # a single seed has none
    assert [t.get_text() for t in ax.get_xticklabels()] == ["PC", "Z-IL", "lost"]
    assert (ax.get_ylabel(), ax.get_title()) == ("test accuracy", "Every seed, and their mean")
    alone = pxa.plot_seeds({"PC": [0.9]}, Figure().subplots())
    assert alone.get_legend() is None


def test_numbers_over_epochs_are_curves():
    values = {"PC": [[1.0, 2.0], [3.0, NAN]], "Z-IL": [[5.0, 6.0]]}
    ax = pxa.plot_seeds(values, Figure().subplots(), at=[10, 20])
    assert texts(ax) == ["PC, mean of 2", "Z-IL"]
    np.testing.assert_allclose(ys(ax.get_lines()), [[1, 2], [3, NAN], [2, 2], [5, 6]])
    assert np.asarray(ax.get_lines()[0].get_xdata()).tolist() == [10, 20]
    thick, other = ax.get_lines()[2:]
    assert thick.get_marker() != other.get_marker()
    assert thick.get_linestyle() != other.get_linestyle()
    assert len(ax.collections) == 1  # the band of the two seeds


def test_many_names_are_beside_the_curves():
    figure = Figure(figsize=(7.5, 4.8), layout="constrained", dpi=50)
    ax = pxa.plot_seeds({f"rule {i}": [[0.1, 0.2]] for i in range(19)}, figure.subplots())
    figure.draw_without_rendering()
    legend: Any = ax.get_legend()
    names, curves, whole = legend.get_window_extent(), ax.get_window_extent(), figure.bbox
    assert len(texts(ax)) == 19
    assert names.x0 >= curves.x1
    assert (names.x1 <= whole.x1, names.y0 >= whole.y0, names.y1 <= whole.y1) == (True, True, True)


@pytest.mark.parametrize(
    ("values", "options"),
    [
        ({}, {}),
        ({"a": 1.0}, {}),
        ({"a": []}, {}),
        ({"a": [1.0], "b": [[1.0]]}, {}),
        ({"a": [1.0]}, {"level": 1.0}),
        ({"a": [1.0]}, {"at": [1.0]}),
        ({"a": [[1.0, 2.0]]}, {"at": [1.0]}),
    ],
)
def test_seeds_of_other_shapes_are_refused(values, options):
    with pytest.raises(ValueError, match="plot_seeds: "):
        pxa.plot_seeds(values, **options)


def rows(*accuracies: list[float | None]) -> list[dict[str, Any]]:
    """A history of several networks."""
    return [
        {"epoch": epoch, "network": network, "seed": network, "validation_accuracy": a}
        for network, each in enumerate(accuracies)
        for epoch, a in enumerate(each, 1)
    ]


def test_accuracy_stands_over_what_it_cost():
    run = pxt.Fit([], [], rows([0.5, 0.75]), "done", None, None)
    runs: Any = {"PC": rows([0.5, 0.6], [0.7, None]), "backprop": run}
    ax = Figure().subplots()
    assert pxa.plot_cost(runs, {"PC": 4.5, "backprop": 1, "other": 3}, ax, batches=10) is ax
    assert texts(ax) == ["PC, mean of 2", "backprop"]
    one, two, mean, other = ax.get_lines()
    np.testing.assert_allclose(ys([one, two, mean, other]), [[50, 60], [70, NAN], [60, 60], [50, 75]])
    np.testing.assert_allclose(np.asarray(mean.get_xdata(), float), [45, 90])
    np.testing.assert_allclose(np.asarray(other.get_xdata(), float), [10, 20])
    assert (ax.get_xscale(), ax.get_ylabel()) == ("log", "validation accuracy, %")
    ax = pxa.plot_cost(runs, {"PC": 1, "backprop": 1}, Figure().subplots(), batches={"PC": 5, "backprop": 20})
    np.testing.assert_allclose(np.asarray(ax.get_lines()[-1].get_xdata(), float), [20, 40])


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"runs": {}}, "no runs"),
        ({"costs": {}}, "needs a cost"),
        ({"costs": {"PC": 0}}, "needs a cost"),
        ({"batches": {}}, "needs a cost"),
        ({"metric": "margin"}, "no metric 'margin'; its history has epoch, network"),
        ({"runs": {"PC": []}}, "no rows"),
    ],
)
def test_a_run_without_a_cost_or_the_metric_is_refused(changed, why):
    given: Any = {"runs": {"PC": rows([0.5])}, "costs": {"PC": 4.5}, "batches": 10} | changed
    with pytest.raises(ValueError, match=why):
        pxa.plot_cost(given.pop("runs"), given.pop("costs"), **given)
