"""What is drawn of energies: by node and step, and as shares."""

from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

import pcx.analysis as pxa

from .records import record

NAN = np.nan


def traced(energies: dict[str, Any], **gradients: Any) -> pxa.Trace:
    rows = {n: np.asarray(e, float) for n, e in energies.items()}
    networks = next(iter([r.shape[:-1] for r in rows.values()]), ())
    steps = np.full((*networks, 3), 2)
    return pxa.Trace(rows, {n: np.asarray(g, float) for n, g in gradients.items()}, steps)


def labels(axis: Any) -> list[str]:
    return [t.get_text() for t in axis.get_ticklabels()]


def test_energy_flows_from_the_output_on_a_logarithmic_scale():
    figure = Figure()
    ax = figure.subplots()
    flow = traced({"a": [0, 0, 1e-20, NAN, NAN], "out": [2, 1, 0.5, NAN, NAN]}, a=[0, 3, 4, NAN, NAN])
    assert pxa.plot_energy_flow(flow, ax) is ax
    image: Any = ax.images[0]
    drawn = image.get_array()
    assert drawn.shape == (2, 3)  # no step after the last that was taken
    np.testing.assert_array_equal(np.ma.getmaskarray(drawn), [[True, True, False], [False] * 3])
    np.testing.assert_allclose(drawn[1], [2, 1, 0.5])
    assert image.norm.vmin == pytest.approx(2e-12)  # twelve powers of ten, not twenty
    assert image.norm.vmax == 2
    assert labels(ax.yaxis) == ["a", "out"]
    assert image.get_extent()[:2] == [-0.5, 2.5]
    assert figure.axes[1].get_ylabel() == "energy, mean of samples\nhatched: 0"
    figure.draw_without_rendering()

    ax = Figure().subplots()
    pxa.plot_energy_flow(flow, ax, of="gradients", decades=3)
    gradients: Any = ax.images[0].get_array()
    np.testing.assert_allclose(gradients[0, 1:], [3, 4])
    for wrong in ({"of": "values"}, {"decades": 0}, {"of": "gradients", "trace": traced({"a": [1.0]})}):
        options: Any = {"trace": flow} | wrong
        with pytest.raises(ValueError, match="plot_energy_flow"):
            pxa.plot_energy_flow(**options)


def test_in_a_flow_of_several_networks_those_that_have_stopped_stay_where_they_are():
    ax = pxa.plot_energy_flow(traced({"a": [[1, 2, NAN, NAN], [3, 4, 6, NAN]]}))  # on axes of its own
    drawn: Any = ax.images[0].get_array()
    np.testing.assert_allclose(drawn, [[2, 3, 4]])


def test_numbers_that_are_not_finite_are_said():
    figure = Figure()
    pxa.plot_energy_flow(traced({"a": [0, 1, np.inf], "b": [1, NAN, 2]}), figure.subplots())
    assert figure.axes[1].get_ylabel().endswith("hatched: 0 or not finite")


def test_a_flow_of_zeros_has_nothing_to_scale():
    figure = Figure()
    ax = pxa.plot_energy_flow(traced({"a": [0.0, 0.0]}), figure.subplots())
    drawn: Any = ax.images[0].get_array()
    assert np.all(np.ma.getmaskarray(drawn))
    assert len(figure.axes) == 1


def test_many_nodes_are_named_at_equal_distances():
    ax = pxa.plot_energy_flow(traced({f"vodes[{i}]": [1.0, 1.0] for i in range(100)}), Figure().subplots())
    named = labels(ax.yaxis)
    assert named[:2] == ["vodes[0]", "vodes[9]"]
    assert (named[-1], len(named)) == ("vodes[99]", 12)
    ax = pxa.plot_energy_flow(traced({"encoder.blocks[7].attention.vodes[3]": [1.0]}), Figure().subplots())
    assert labels(ax.yaxis) == ["encoder…tention.vodes[3]"]


def points(ax: Any) -> list[list[float]]:
    return [np.asarray(line.get_xdata(), float).tolist() for line in ax.get_lines() if line.get_marker() == "o"]


def test_a_share_has_a_point_for_each_node_and_network():
    one = pxa.plot_energy_share(record({"a": 1.0, "b": 3.0}), Figure().subplots())
    assert one.get_xscale() == "linear"
    np.testing.assert_allclose(points(one), [[25, 75]])
    many = pxa.plot_energy_share(record({"a": [1e-6, 0.0], "b": [1.0, 1.0], "c": [0.0, 0.0]}), Figure().subplots())
    assert many.get_xscale() == "log"
    np.testing.assert_allclose(points(many)[0], [1e-4, 100], rtol=1e-5)
    assert points(many)[1] == [100]
    marked = {line.get_label(): np.asarray(line.get_ydata()).tolist() for line in many.get_lines()}
    assert marked["none, or not finite"] == [2]
    assert marked["mean of 2 networks"] == [0, 1, 2]
    with pytest.raises(ValueError, match="no node has an energy"):
        pxa.plot_energy_share(record({"a": 0.0}))


def heights(ax: Any) -> list[float]:
    """The upper ends of the areas at the right."""
    paths = [area.get_paths()[0].vertices for area in ax.collections]
    return [float(v[v[:, 0] == v[:, 0].max(), 1].max()) for v in paths]


def test_shares_over_steps_and_epochs_are_areas_up_to_all_of_it():
    ax = pxa.plot_energy_share(traced({"a": [0, 1, NAN], "b": [4, 3, NAN]}), Figure().subplots())
    np.testing.assert_allclose(heights(ax), [25, 100])
    assert ax.get_xlim() == (0, 1)
    legend: Any = ax.get_legend()
    assert [t.get_text() for t in legend.get_texts()] == ["b", "a"]  # as the areas lie

    rows = [
        {"epoch": e, "network": n, "energies": {"a": 1.0 + n, "b": 3.0 - n}} for e in (1, 2) for n in (0, 1)
    ]  # a quarter and a half
    ax = pxa.plot_energy_share(
        [*rows, {"epoch": 3, "network": 0, "energies": {"a": None, "b": 1.0}}], Figure().subplots()
    )
    np.testing.assert_allclose(heights(ax), [37.5, 100])
    assert (ax.get_xlabel(), ax.get_xlim()) == ("epoch", (1, 2))
    ax = pxa.plot_energy_share(rows[:1], Figure().subplots())
    assert ax.get_xticks().tolist() == [1]
    for nothing in ([], traced({}), traced({"a": [0.0]})):
        with pytest.raises(ValueError, match="no energies above 0"):
            pxa.plot_energy_share(nothing)


def test_shares_of_many_nodes_have_a_scale_in_the_place_of_a_legend():
    figure = Figure()
    ax = pxa.plot_energy_share(traced({f"v{i}": [1.0, 1.0] for i in range(40)}), figure.subplots())
    assert ax.get_legend() is None
    assert labels(figure.axes[1].yaxis)[0] == "v0"
