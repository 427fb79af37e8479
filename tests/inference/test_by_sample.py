# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportReturnType=false, reportOperatorIssue=false
# (Optax calls by other names than its types say)
"""Transformations of values act on each sample as if alone, whatever they read: norms, shapes, places. What they draw
from a seed of their own is said."""

import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx as px
import pcx.inference as pxi
import pcx.learning as pxl
import pcx.models as pxm
from pcx.inference._apart import apart


def stateless(move: Any) -> optax.GradientTransformation:
    return optax.stateless(lambda updates, params: jax.tree.map(move, updates))


def first_axis(a: jax.Array) -> jax.Array:
    return jnp.arange(a.shape[0], dtype=a.dtype).reshape(-1, *[1] * (a.ndim - 1))


# What reads the shape that it is given, or the place in it.
READING: dict[str, Any] = {
    "a mean over the first axis": stateless(lambda a: -a / a.shape[0]),
    "the size": stateless(lambda a: -0.5 * a / a.size),
    "the number of axes": stateless(lambda a: -0.1 * a.ndim * a),
    "the place": stateless(lambda a: -0.1 * a * first_axis(a)),
    "a state of the first axis": optax.GradientTransformation(
        lambda a: jnp.ones(a.shape[:1]), lambda a, state, value=None: (-0.1 * a * state.sum(), state)
    ),
    "clipped by the norm": optax.chain(optax.clip_by_global_norm(0.01), optax.sgd(0.5)),
}
ELEMENTWISE: dict[str, Any] = {
    "sgd": optax.sgd(0.1),
    "momentum": optax.sgd(0.1, momentum=0.9, nesterov=True),
    "Adam": optax.adamw(0.1),
    "RMSprop": optax.rmsprop(0.1, centered=True, momentum=0.5),
    "Lion": optax.lion(0.1),
    "a schedule": optax.sgd(optax.cosine_decay_schedule(0.1, 10)),
    "a rate in the state": optax.inject_hyperparams(optax.adam)(learning_rate=0.1),
    "every other step": optax.MultiSteps(optax.sgd(0.1), 2).gradient_transformation(),
    "clipped": optax.chain(optax.clip(1.0), optax.rprop(0.1)),
}
NOISY: Any = optax.chain(optax.add_noise(0.1, 0.5, 0), optax.sgd(0.1))
SHAPES = [(6, 5), (6, 2, 3, 3)]


def posed(size):
    px.RKG.seed(0)
    rng = np.random.default_rng(0)
    x, y = (jnp.asarray(rng.normal(size=(6, n))[:size], jnp.float32) for n in (4, 2))
    bound = pxl.bind(pxm.MLP([4, 5, 5, 2], jnp.tanh), (x, y))
    start = bound.start()
    return bound.landscape(start.targets), start.h


@pytest.mark.hasty
@pytest.mark.parametrize("name", READING)
def test_what_reads_its_shape_does_not_see_the_batch(name):
    transformation = READING[name]
    assert not any(
        apart(transformation.init, transformation.update, jax.ShapeDtypeStruct(s, jnp.float32)) for s in SHAPES
    )
    found = [pxi.relax(*posed(size), descent=transformation, stop=4).nodes for size in (6, 2)]
    for n, v in found[1].items():
        np.testing.assert_allclose(found[0][n][:2], v, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_what_is_proved_to_work_by_element_is_given_the_whole_batch(name):
    transformation = ELEMENTWISE[name]
    assert all(apart(transformation.init, transformation.update, jax.ShapeDtypeStruct(s, jnp.float32)) for s in SHAPES)


@pytest.mark.parametrize("name", ["a state", "a constant"])
def test_a_constant_for_each_sample_is_not_for_one(name):
    factors = jnp.arange(6.0).reshape(6, 1)

    def update(a, state, value=None):
        return -0.1 * a * (state if name == "a state" else factors)[: len(a)] if a.ndim > 1 else -a, state

    transformation = optax.GradientTransformation(lambda a: factors, update)
    assert not apart(transformation.init, transformation.update, jax.ShapeDtypeStruct((6, 5), jnp.float32))


def test_numbers_from_a_seed_of_its_own_are_said():
    landscape, start = posed(6)
    match = "draws random numbers from a seed of its own: .* For numbers of their own give pxi.Langevin"
    with pytest.warns(UserWarning, match=match):
        found = pxi.relax(landscape, start, descent=NOISY, stop=1).nodes
    # Of one node at least each sample has numbers of its own.
    moved = found["vodes[0]"] - start["vodes[0]"]
    assert float(jnp.abs(moved[0] - moved[1]).max()) > 1e-3
    batch = jnp.ones((3, 4)), jnp.ones((3, 2))
    with pytest.warns(UserWarning, match=match):
        pxl.pc(optax.sgd(0.1), NOISY, 2).init(pxm.MLP([4, 5, 5, 2]), batch)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pxl.pc(optax.sgd(0.1), pxi.Langevin(0.1), 2).init(pxm.MLP([4, 5, 5, 2]), batch)
