"""What functions are given that they don't take: errors name the call, what it got and what it takes."""

from typing import Any

import numpy as np
import optax
import pytest
from matplotlib.figure import Figure

import pcx.analysis
import pcx.learning as pxl
import pcx.training as pxt
from pcx.analysis._given import described

from .nets import net
from .records import record

pxa: Any = pcx.analysis  # which is given what it does not take
RUN = pxt.Fit([], [], [{"epoch": 1, "network": 0, "loss": 1.0}], "done", None, None)
WRONG = (None, "x", (), ((),), {}, {"a": object()}, object(), RUN, np.full((2, 2), np.nan), [record({"a": 1.0})])
PICTURES: dict[str, Any] = {
    "plot_activity": pxa.plot_activity,
    "plot_alignment": pxa.plot_alignment,
    "plot_confusion": lambda x: pxa.plot_confusion(x, x),
    "plot_cost": lambda x: pxa.plot_cost(x, {"a": 1.0}, batches=1),
    "plot_decision_boundary": lambda x: pxa.plot_decision_boundary(pxl.zil(optax.sgd(0.1)), None, x),
    "plot_energy_flow": pxa.plot_energy_flow,
    "plot_energy_share": pxa.plot_energy_share,
    "plot_equilibrated_energy": lambda x: pxa.plot_equilibrated_energy(x, x),
    "plot_images": pxa.plot_images,
    "plot_saddle": pxa.plot_saddle,
    "plot_seeds": pxa.plot_seeds,
    "plot_spectrum": pxa.plot_spectrum,
    "plot_weights": pxa.plot_weights,
}


def test_every_picture_is_asked():
    assert sorted(PICTURES) == [name for name in pxa.__all__ if name.startswith("plot_")]


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_of_other_things_are_refused(name):
    for wrong in WRONG:
        with pytest.raises((TypeError, ValueError), match=rf"^{name}: ."):
            PICTURES[name](wrong)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: pxa.plot_alignment(RUN), r"no looks at the regime in this history: fit\(regime=500\)"),
        (lambda: pxa.plot_alignment([{"epoch": 1, "regime": [{"x": 1}]}]), "its looks have x$"),
        (lambda: pxa.plot_alignment(record({"a": 1.0}, {"a": 1.0}), Figure()), "ax must be the axes of a figure"),
        (lambda: pxa.plot_energy_flow((FLOW, FLOW)), r"there are 2 traces, .*: choose one, such as traces\[0\]"),
        (lambda: pxa.plot_energy_flow(RUN), r"pxa.trace\(rule, run.states\[0\], batch\), got a Fit"),
        (lambda: pxa.plot_energy_flow(FLOW, decades="x"), "decades must be a number"),
        (lambda: pxa.plot_energy_share([{"energies": {"a": 1}}]), "each row of a history has 'epoch'; one is a dict"),
        (lambda: pxa.plot_seeds([0.9, 0.8]), r"values must be a dict, .* got a list of 2, the first 0.9"),
        (lambda: pxa.plot_seeds({"a": [np.nan]}), "no numbers that are finite"),
        (lambda: pxa.plot_images(np.ones((2, 4))), r"images must be a dict, .* got an array, float64\[2, 4\]"),
        (lambda: pxa.plot_images({"a": np.ones((1, 4))}, limits=3), "limits are two numbers"),
        (lambda: pxa.plot_weights(np.ones((2, 4)), shape=4), "shape is"),
        (lambda: pxa.plot_weights({"layers[0].nn.weight": 1}), "got a dict with 'layers"),
        (lambda: pxa.plot_confusion([0], [0], names="ab"), "names must be a list"),
        (lambda: pxa.plot_cost({"a": RUN}, [1], batches=1), "costs must be a dict"),
        (lambda: pxa.plot_cost({"a": RUN}, {"a": 1}, batches=1, metric="network.x"), "no metric 'network.x'"),
        (lambda: pxa.plot_cost({"a": RUN}, {"a": 1}, batches="x"), "needs a cost and batches above 0"),
        (lambda: pxa.plot_decision_boundary(pxl.zil, None, None), "rule must be a rule"),
        (lambda: pxa.activity(net([2, 2])), r"bound must be what pxl.bind\(model, batch\) gives, got a tuple of 2"),
        (lambda: pxa.weight_curvature(RUN), "bound must be what"),
        (lambda: pxa.curvature(RUN), r"a landscape is what bound\.landscape\(targets\) gives, .* got a Fit"),
        (lambda: pxa.saddle_at_zero(np.ones((2, 2)), np.ones((2, 2)), 3), "widths is a list"),
        (lambda: pxa.equilibrated_energy(None), "bound must be what"),
    ],
)  # fmt: skip
def test_what_is_said(call, said):
    with pytest.raises((TypeError, ValueError), match=rf"^(plot_)?\w+: .*{said}"):
        call()


FLOW = pxa.Trace({"a": np.asarray([1.0, 0.5])}, {}, np.asarray([1]))


def test_the_only_trace_of_a_tuple_is_drawn():
    assert pxa.plot_energy_flow((FLOW,)).get_title() == "Energy flow"
    assert pxa.plot_energy_share((FLOW,)).get_xlabel() == "inference step"


def test_several_states_are_not_one():
    rule, (model, batch) = pxl.zil(optax.sgd(0.1)), net([4, 3, 2])
    state = rule.init(model, batch)
    run: Any = pxt.Fit([state], [], [], "done", None, None)
    calls: list[Any] = [pxa.regime, pxa.health, pxa.trace, lambda rule, x, b: pxa.summary(x, b)]
    calls += [lambda rule, x, b: pxa.draw(x, b), pxa.plot_decision_boundary]
    for call in calls:
        for several in ([state, state], (state,), run):
            with pytest.raises(TypeError, match=r"run\.states\[0\],? ?;? or pxl\.stack\(run\.states\)"):
                call(rule, several, batch)
        with pytest.raises(TypeError, match="a batch is a pair"):
            call(rule, state, batch[0])


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (None, "None"),
        (np.ones((2, 3), np.float32), "an array, float32[2, 3]"),
        ({}, "an empty dict"),
        ({"a": 1, 2: 1, "c": 1, "d": 1, "e": 1}, "a dict with 'a', 2, 'c', ..."),
        ([], "an empty list"),
        (([1], 2), "a tuple of 2, the first a list of 1, the first 1"),
        (int, "the class int"),
        (RUN, "a Fit"),
        ("x" * 99, "'" + "x" * 36 + "..."),
    ],
)
def test_things_in_words(x, said):
    assert described(x) == said
