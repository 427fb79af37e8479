"""Nodes that no error has reached are not touched, where that changes no number."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx.inference as pxi
import pcx.learning as pxl
import pcx.models as pxm
from pcx.inference._by_node import as_descent

from .problems import GRADIENT, UNLEVELLED, error, gradients, jit, normal, seeded
from .test_equilibria import landscape_of

pytestmark = pytest.mark.usefixtures("double")
MOVERS: dict[str, Any] = {
    "sgd": optax.sgd(0.1),
    "momentum": optax.sgd(0.3, momentum=0.8),
    # With the usual eps, Adam makes whole steps of the rounding errors that nodes of `AllNodes` have for gradients
    # where they should be zero.
    "adam": optax.adam(0.05, eps=0.1),
    "rate schedule": optax.sgd(optax.linear_schedule(0.3, 0.01, 6)),
}
OTHERS: dict[str, Any] = {
    "weight decay": optax.chain(optax.add_decayed_weights(0.1), optax.sgd(0.1)),
    "adamw": optax.adamw(0.05, eps=0.1, weight_decay=0.1),
    "noise": pxi.Langevin(0.05),
    "noisy sgd": optax.chain(optax.add_noise(0.1, 0.5, 0), optax.sgd(0.1)),
}


def chain(depth: int) -> Any:
    model = seeded(pxm.MLP, [3] * depth + [2], jnp.tanh)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    for layer in model.layers[:-1]:  # errors keep their size on the way
        layer.nn.weight.set(jnp.asarray(turn))
        layer.nn.bias.set(jnp.zeros(3))
    return landscape_of(model, 0.1 * normal(1, 4, 3), normal(2, 4, 2))


def settled(landscape: Any, start: Any, descent: Any, steps: int, **schedules: Any) -> list[dict[str, Any]]:
    key = jax.random.PRNGKey(0) if as_descent("test", descent).random else None

    @jit
    def run(h):
        return [
            pxi.relax(landscape, h, descent=descent, stop=steps, schedule=s, key=key).nodes for s in schedules.values()
        ]

    return run(start)


def largest_difference(one: Any, two: Any) -> float:
    return max(float(jnp.max(jnp.abs(one[n] - two[n]))) for n in one)


@pytest.mark.hasty
@pytest.mark.parametrize("name", [*MOVERS, *OTHERS])
@pytest.mark.parametrize("steps", [2, 8])
def test_the_numbers_are_those_of_all_nodes(name, steps):
    landscape, start = chain(5)
    one, two = settled(landscape, start, (MOVERS | OTHERS)[name], steps, wave=pxi.WaveFront(), all=pxi.AllNodes())
    assert largest_difference(one, two) <= 1e-13


@pytest.mark.parametrize("name", ["momentum", "adam"])
@pytest.mark.hasty
def test_in_deep_networks_too(name):
    landscape, start = chain(40)
    one, two = settled(landscape, start, MOVERS[name], 60, wave=pxi.WaveFront(), all=pxi.AllNodes())
    assert largest_difference(one, two) <= 1e-11
    if name == "momentum":  # the wave really came through
        assert min(float(jnp.max(jnp.abs(one[n] - start[n]))) for n in start) > 1e-9


def test_the_steps_that_are_taken():
    landscape, _ = chain(5)
    assert landscape.arrival == {f"vodes[{i}]": 3 - i for i in range(4)}
    segments = pxi.WaveFront().segments(landscape, 9)
    assert [s.repeats for s in segments] == [1, 1, 1, 6]
    assert [len(s.groups[0]) for s in segments] == [1, 2, 3, 4]
    # Few steps: the nodes that are never reached never move.
    assert [len(s.groups[0]) for s in pxi.WaveFront().segments(landscape, 2)] == [1, 2]
    # In deep networks spans grow, so that their number, and with it the time of compilation, stays small.
    deep, _ = chain(40)
    segments = pxi.WaveFront().segments(deep, 60)
    assert sum(s.repeats for s in segments) == 60
    assert len(segments) <= 8
    work = sum(s.repeats * len(s.groups[0]) for s in segments)
    assert work < 60 * 39
    t = 0
    for segment in segments:
        moving = segment.groups[0]
        t += segment.repeats
        assert set(moving) >= {n for n, arrival in deep.arrival.items() if arrival < t}


def test_it_is_used_only_where_a_zero_gradient_moves_nothing():
    value = jnp.ones((4, 3))
    for name, mover in MOVERS.items():
        states = as_descent("test", mover).at("node").idle(value, 3)
        assert states is not None, name
        assert len(states) == 4
    for name, mover in OTHERS.items():
        assert as_descent("test", mover).at("node").idle(value, 3) is None, name


@pytest.mark.hasty
def test_rules_take_it_by_themselves():
    known = UNLEVELLED["skip"]
    rules = {
        s: pxl.pc(GRADIENT, optax.adam(0.05), 6, schedule=schedule)
        for s, schedule in (("default", None), ("all", pxi.AllNodes()), ("wave", pxi.WaveFront()))
    }
    default, everywhere, wave = gradients(known.build(), known.batch(), **rules)
    assert error(wave, everywhere) <= 1e-12
    assert all(np.array_equal(default[p], wave[p]) for p in wave)
