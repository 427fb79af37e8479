"""Gradients of single energies, differentiated once for nodes and steps that are alike."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pcx as px
import pcx.models as pxm
import pcx.nn as pxnn
from pcx.energy import Bound, Problem
from pcx.energy._structure import Structure

SIZE = 3


def bound_of(depth):
    px.RKG.seed(0)
    structure = Structure.of(model := pxm.MLP([4] * (depth + 1), jnp.tanh), pxnn.LayerParam)
    arrays = structure.values_of(model)
    x, y = np.random.default_rng(0).normal(size=(2, SIZE, 4)).astype(np.float32)
    return Bound(Problem.of(structure, arrays, (x, y)), arrays.weights, arrays.rest, jax.random.PRNGKey(0), x, y)


@pytest.mark.parametrize("moving", [None, 1, 3])
def test_they_add_up_to_the_gradient_of_all_energies(moving):
    bound = bound_of(5)
    landscape = bound.landscape(bound.start().targets)
    coords = {n: v + 0.1 for n, v in landscape.start().items()}
    names = landscape.free if moving is None else landscape.free[-moving:]

    def total(moved):
        return sum(jnp.sum(e) for e in landscape.energies({**coords, **moved}).values())

    wanted = jax.grad(total)({n: coords[n] for n in names})
    found = landscape.gradient(coords, names)(coords)
    assert list(found) == list(names)
    for n in names:
        assert np.allclose(found[n], wanted[n], rtol=1e-6, atol=1e-6)


def test_what_is_traced_does_not_grow_with_depth():
    traced = []
    for depth in (5, 9):
        bound = bound_of(depth)
        landscape = bound.landscape(bound.start().targets)
        coords = landscape.start()
        for many in range(1, len(landscape.free) + 1):
            landscape.gradient(coords, landscape.free[-many:])(coords)
        traced.append(len(bound.problem.wiring.gradients._traced))
    assert traced[0] == traced[1]
