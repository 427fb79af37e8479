"""The energy as a function of the values that are free to move."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.core import Tracer

import pcx as px
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
from pcx.energy import Bound, ForwardPass, Inputs, OverErrors, Problem
from pcx.energy._precision import weighed
from pcx.energy._structure import Structure

BATCH = 3
WIDTHS = (4, 5, 6, 5, 2)


class Net(pxc.EnergyModule):
    def __init__(self):
        super().__init__()
        rkg = px.RandomKeyGenerator(0)
        self.layers = [pxnn.Linear(a, b, rkg=rkg) for a, b in itertools.pairwise(WIDTHS)]
        self.vodes = [pxc.Vode() for _ in self.layers]
        self.vodes[-1].h.frozen = True

    def __call__(self, x):
        for layer, vode in zip(self.layers, self.vodes, strict=True):
            x = vode(jnp.tanh(layer(x)))


def normal(seed, *shape):
    return jax.random.normal(jax.random.PRNGKey(seed), shape)


@pytest.fixture(scope="module")
def problem():
    """A problem, and what its functions take."""
    model, batch = Net(), (normal(0, BATCH, 4), normal(1, BATCH, 2))
    structure = Structure.of(model, pxnn.LayerParam)
    values = structure.values_of(model)
    made = Problem.of(structure, values, batch)
    arrays = values.weights, values.rest, np.zeros(2, np.uint32), *batch
    return made, arrays, ForwardPass(**jax.jit(lambda *a: vars(made.start(Inputs(*a))))(*arrays))


@pytest.fixture(scope="module")
def moved(problem):
    return {n: h + normal(i, *h.shape) for i, (n, h) in enumerate(problem[2].h.items())}


def by_hand(problem, nodes):
    """The energies of the net, elementwise."""
    _, (weights, _, _, x, y), _ = problem
    out, below = {}, x
    for i in range(len(WIDTHS) - 1):
        name = f"vodes[{i}]"
        u = jnp.tanh(below @ weights[f"layers[{i}].nn.weight"].T + weights[f"layers[{i}].nn.bias"])
        below = nodes.get(name, y)
        out[name] = 0.5 * (below - u) ** 2
    return out


@pytest.mark.hasty
def test_energies_and_their_total(problem, moved):
    made, arrays, start = problem
    landscape = Bound(made, *arrays).landscape(start.targets)
    expected = {n: jnp.sum(e, axis=1) for n, e in by_hand(problem, moved).items()}
    found = jax.jit(landscape.energies)(moved)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), found, expected)
    np.testing.assert_allclose(landscape.total(moved), sum(jnp.sum(e) for e in expected.values()), rtol=1e-6)
    assert landscape.free == ("vodes[0]", "vodes[1]", "vodes[2]")
    assert landscape.order == landscape.names == tuple(made.nodes)


def test_the_gradient_is_of_the_sum_over_the_batch(problem, moved):
    made, arrays, start = problem
    landscape = Bound(made, *arrays).landscape(start.targets)
    expected = jax.jit(jax.grad(lambda h: sum(jnp.sum(e) for e in by_hand(problem, h).values())))(moved)
    found = jax.jit(landscape.gradient(moved))(moved)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6), found, expected)


def test_only_what_moves_has_a_gradient(problem, moved):
    made, arrays, start = problem
    landscape = Bound(made, *arrays).landscape(start.targets)
    whole = jax.jit(landscape.gradient(moved))(moved)
    some = landscape.gradient(moved, ["vodes[2]"])
    found = jax.jit(some)({"vodes[2]": moved["vodes[2]"]})
    assert set(found) == {"vodes[2]"}
    np.testing.assert_allclose(found["vodes[2]"], whole["vodes[2]"], rtol=1e-5, atol=1e-6)
    # The prediction of the node itself is computed before, that of the output at every call.
    text = str(jax.make_jaxpr(some)({"vodes[2]": moved["vodes[2]"]}))
    assert text.count("= tanh") == 1


def test_precisions_weigh_energies_and_add_their_logarithm(problem, moved):
    made, arrays, start = problem
    each = {"vodes[0]": 2.0, "vodes[1]": jnp.linspace(0.5, 2.0, 6)}
    landscape = Bound(made, *arrays, each).landscape(start.targets)  # pyright: ignore[reportCallIssue]
    elements = by_hand(problem, moved)
    found = landscape.energies(moved)
    plain = Bound(made, *arrays).landscape(start.targets).energies(moved)
    expected = 2 * jnp.sum(elements["vodes[0]"], axis=1) - 5 / 2 * jnp.log(2.0)
    np.testing.assert_allclose(found["vodes[0]"], expected, rtol=1e-5)
    expected = jnp.sum(each["vodes[1]"] * elements["vodes[1]"] - 0.5 * jnp.log(each["vodes[1]"]), axis=1)
    np.testing.assert_allclose(found["vodes[1]"], expected, rtol=1e-5)
    np.testing.assert_array_equal(found["vodes[2]"], plain["vodes[2]"])
    np.testing.assert_allclose(landscape.total(moved), sum(jnp.sum(e) for e in found.values()), rtol=1e-5)
    gradient = jax.jit(landscape.gradient(moved))(moved)
    expected = jax.jit(jax.grad(landscape.total))(moved)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6), gradient, expected)


def test_factors_scale_energies(problem, moved):
    made, arrays, start = problem
    plain = Bound(made, *arrays).landscape(start.targets).energies(moved)
    scaled = Bound(made, *arrays).landscape(start.targets, scale={"vodes[3]": 0.1}).energies(moved)
    np.testing.assert_allclose(scaled["vodes[3]"], 0.1 * plain["vodes[3]"], rtol=1e-6)
    np.testing.assert_array_equal(scaled["vodes[0]"], plain["vodes[0]"])


def test_arrivals_are_when_gradients_are_first_other_than_zero(problem):
    made, arrays, start = problem
    landscape = Bound(made, *arrays).landscape(start.targets)
    assert landscape.arrival == {"vodes[2]": 0, "vodes[1]": 1, "vodes[0]": 2}
    nodes, gradient = start.h, jax.jit(landscape.gradient(start.h))
    for step in range(3):
        slope = gradient(nodes)
        felt = {n for n, g in slope.items() if np.any(g != 0)}
        assert felt == {n for n, t in landscape.arrival.items() if t <= step}  # pyright: ignore[reportOptionalMemberAccess]
        nodes = {n: v - 0.1 * slope[n] for n, v in nodes.items()}


def test_nothing_is_known_of_arrivals_if_other_nodes_are_clamped(problem, moved):
    made, arrays, start = problem
    clamped = start.targets | {"vodes[0]": moved["vodes[0]"]}
    landscape = Bound(made, *arrays).landscape(clamped)
    assert landscape.arrival is None
    assert landscape.free == ("vodes[1]", "vodes[2]")
    np.testing.assert_allclose(
        landscape.total(moved), Bound(made, *arrays).landscape(start.targets).total(moved), rtol=1e-6
    )
    assert Bound(made, *arrays).landscape(clamped, sources=["vodes[3]"]).arrival == {"vodes[2]": 0, "vodes[1]": 1}


def test_a_prediction_from_its_parents_and_an_energy_from_its_prediction(problem, moved):
    made, arrays, _ = problem
    weights = arrays[0]
    u = made.at(Inputs(*arrays)).predict("vodes[1]", {"vodes[0]": moved["vodes[0]"]})
    expected = jnp.tanh(moved["vodes[0]"] @ weights["layers[1].nn.weight"].T + weights["layers[1].nn.bias"])
    np.testing.assert_allclose(u, expected, rtol=1e-5)
    elements = made.at(Inputs(*arrays)).elements("vodes[1]", moved["vodes[1]"], u)
    np.testing.assert_allclose(elements, 0.5 * (moved["vodes[1]"] - u) ** 2, rtol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_sums_leave_the_range_of_half_precision(dtype):
    elements = jnp.full((4, 100), 300.0, dtype)  # 120000 in all, more than a float16 holds
    assert weighed(elements, None, 100, summed=True) == pytest.approx(120000, rel=0.01)
    assert weighed(elements, 1.0, 100, summed=True) == pytest.approx(120000, rel=0.01)
    assert weighed(elements, None, 100).dtype == jnp.float32


def test_energies_of_whole_samples_can_be_weighed():
    elements = jnp.arange(3.0)
    np.testing.assert_allclose(weighed(elements, None, 5), elements)
    np.testing.assert_allclose(weighed(elements, 2.0, 5), 2 * elements - 2.5 * np.log(2), rtol=1e-6)
    np.testing.assert_allclose(weighed(elements, 2.0, 5, summed=True), 6 - 7.5 * np.log(2), rtol=1e-6)


def test_a_start_over_errors_that_a_compiled_function_asks_for_first_keeps_no_tracer(problem):
    made, (weights, rest, key, x, y), forward = problem
    landscape = OverErrors(Bound(made, weights, rest, key, x, y), forward.targets)
    inside = jax.jit(landscape.start)()
    outside = landscape.start()
    assert inside.keys() == outside.keys() == set(made.free)
    assert not any(isinstance(zero, Tracer) for zero in outside.values())
    assert landscape.starts_forward(outside)
