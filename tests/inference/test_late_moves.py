"""Errors travel as nodes move: where a transformation moves nothing at some steps (a rate that grows from zero, one
step in several), what lies beyond a node that has not moved has no error, and its rounding moves nothing."""

from typing import Any

import jax.numpy as jnp
import optax
import pytest

import pcx as px
import pcx.inference as pxi
import pcx.learning as pxl
import pcx.models as pxm

GROWING = optax.linear_schedule(0.0, 0.05, 3)
LATE: dict[str, Any] = {
    "Adam, a rate that grows": optax.adam(GROWING),
    "RMSprop, a rate that grows": optax.rmsprop(GROWING),
    "Adam, every other step": optax.MultiSteps(optax.adam(0.05), 2).gradient_transformation(),
    "Adam, applied every third": optax.chain(optax.adam(0.05), optax.apply_every(3)),
    "Rprop": optax.rprop(0.05),
    "Adam": optax.adam(0.05),
}
# The steps at which the nodes first move, the last one first.
FIRST = {
    "Adam, a rate that grows": [1, 2, 3, 4],
    "RMSprop, a rate that grows": [1, 2, 3, 4],
    "Adam, every other step": [1, 3, 5, 7],
    "Adam, applied every third": [2, 5, 8, 11],
    "Rprop": [1, 3, 5, 7],
    "Adam": [0, 1, 2, 3],
}


@pytest.mark.parametrize("name", LATE)
def test_first_moves_are_proved_from_the_transformation(name, posed):
    _, landscape, h = posed
    plan = pxi.AllNodes().prepare(landscape, h, pxi.Steps(12), pxi.Optax(LATE[name]))
    assert plan.wave is not None
    # A node feels an error one step after its child has moved.
    assert [plan.wave.arrival[f"vodes[{i}]"] for i in (3, 2, 1, 0)] == [0, *[t + 1 for t in FIRST[name][:3]]]


@pytest.mark.hasty
@pytest.mark.parametrize("name", LATE)
@pytest.mark.parametrize("schedule", [pxi.AllNodes(), pxi.Sweeps("up")])
def test_rounding_moves_nothing_before_the_error_has_come(name, schedule, posed):
    _, landscape, h = posed
    beside = {n: jnp.nextafter(v, jnp.float32(9)) for n, v in h.items()}
    for steps in (3, 5):
        moved = pxi.relax(landscape, beside, descent=LATE[name], stop=steps, schedule=schedule).nodes
        for place, first in zip((3, 2, 1, 0), FIRST[name], strict=True):
            change = float(jnp.abs(moved[f"vodes[{place}]"] - beside[f"vodes[{place}]"]).max())
            assert (change > 1e-3) if first < steps else (change == 0), (place, steps)


def test_an_early_stop_waits_for_late_moves(posed):
    _, landscape, h = posed
    plan = pxi.AllNodes().prepare(landscape, h, pxi.Plateau(40), pxi.Optax(LATE["Adam, every other step"]))
    assert plan.reached == 6


def test_a_rate_that_is_zero_at_one_late_step():
    px.RKG.seed(0)
    model = pxm.MLP([2, *[3] * 24, 2], jnp.tanh)
    bound = pxl.bind(model, (jnp.ones((2, 2)), jnp.ones((2, 2))))
    start = bound.start()
    pause = optax.adam(lambda count: jnp.where(count == 18, 0.0, 0.05))
    plan = pxi.AllNodes().prepare(bound.landscape(start.targets), start.h, pxi.Steps(30), pxi.Optax(pause))
    assert plan.wave is not None
    # The node that first feels an error at that step waits for the next one.
    assert [plan.wave.arrival[f"vodes[{23 - t}]"] for t in range(24)] == [*range(19), *range(20, 25)]


@pytest.mark.hasty
def test_what_is_proved_does_not_depend_on_the_steps_that_were_asked_for_before():
    every = pxi.Optax(optax.chain(optax.adam(0.05), optax.apply_every(6)))
    value = jnp.zeros((2, 3))
    assert [every.first_move(value, 0, most) for most in (2, 4, 30)] == [2, 4, 5]
