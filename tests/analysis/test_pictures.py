"""What is drawn, and on what."""

import sys
import types
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure

import pcx.analysis as pxa


def texts(ax):
    return [t.get_text() for t in ax.get_legend().get_texts()]


def test_new_axes_are_of_a_figure_that_shows_itself_where_pyplot_is_used(monkeypatch):
    saddle = pxa.Saddle(jnp.array([-2.0, 0.0]), (3, 7))
    made = []

    def figure(layout: str) -> Figure:
        made.append(Figure(layout="constrained"))
        return made[-1]

    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", types.SimpleNamespace(figure=figure))
    assert pxa.plot_saddle(saddle).figure is made[0]
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot")
    assert pxa.plot_saddle(saddle).figure is not made[0]
    assert "matplotlib.pyplot" not in sys.modules  # which would choose how figures are shown
    assert len(made) == 1

    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(
        ImportError, match=r"^plot_saddle: pictures need matplotlib: pip install matplotlib \(see docs/"
    ):
        pxa.plot_saddle(saddle)


def test_activity_shows_every_network_in_the_order_of_the_nodes():
    ax = Figure().subplots()
    measured = {f"vodes[{i}]": jnp.arange(1.0, 4) * (i + 1) for i in (0, 1, 10, 2)}  # as JAX sorts them
    expected = {f"vodes[{i}]": jnp.float32(i + 1) for i in (0, 1, 2, 10)}
    assert pxa.plot_activity(measured, expected, ax, label="muPC") is ax
    assert texts(ax) == ["muPC, measured", "muPC, expected"]
    *networks, theory = ax.get_lines()
    assert len(networks) == 3
    np.testing.assert_allclose(np.asarray(networks[1].get_ydata()), [2, 4, 6, 22])
    np.testing.assert_allclose(np.asarray(theory.get_ydata()), [1, 2, 3, 11])
    with pytest.raises(ValueError, match="has the nodes"):
        pxa.plot_activity(measured, {"h": jnp.float32(1)}, ax)


def test_the_energy_comes_down_to_theory():
    ax = Figure().subplots()
    theory = pxa.EquilibratedEnergy(jnp.array([1.0, 2.0]), jnp.array([4.0, 4.0]), jnp.ones((2, 1)), jnp.ones((2, 1, 1)))
    trace = {"h": jnp.ones((5, 2)), "out": jnp.zeros((5, 2))}
    assert pxa.plot_equilibrated_energy(trace, theory, ax) is ax
    assert texts(ax) == ["energy, measured", "loss of a forward pass, 4", "at equilibrium, by theory 1.5"]
    np.testing.assert_allclose(np.asarray(ax.get_lines()[0].get_ydata()), np.ones(5))
    for wrong in ({}, {"h": jnp.ones((5, 3))}):
        with pytest.raises(ValueError, match="of 2 samples"):
            pxa.plot_equilibrated_energy(wrong, theory, ax)


def test_a_saddle_has_a_step_for_each_weight():
    ax = Figure().subplots()
    saddle, none, zero = pxa.Saddle(jnp.array([-2.0, 0.0]), (3, 7)), {"w": jnp.zeros((1,))}, jnp.zeros(())
    measured = pxa.Curvature(zero, jnp.array(-2.0), zero, zero, jnp.array(True), jnp.int32(4), none, none)
    assert pxa.plot_saddle(saddle, measured, ax) is ax
    assert texts(ax) == ["theory", "measured"]
    stairs: Any = ax.patches[0]
    np.testing.assert_allclose(stairs.get_data().edges, [0, 3, 10])
