# pyright: reportArgumentType=false
# (wrong arguments are to be refused)
"""Decoders, hierarchies and memories: networks that are given nothing but what they are to make."""

import functools
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx.inference as pxi
import pcx.learning as pxl
import pcx.models as pxm

from .small import GRADIENT, HASTE, enable_x64, error, gradients, normal, predicted, seeded, weights


@pytest.fixture
def double():
    with enable_x64(True):
        yield


def settled(model: Any, y: Any, rate: float, steps: int) -> tuple[Any, Any]:
    """Values at rest with the output clamped, and predictions there."""
    bound = pxl.bind(model, (None, y))

    @functools.partial(jax.jit, compiler_options=HASTE)
    def both():
        start = bound.start()
        solution = pxi.relax(bound.landscape(start.targets), start.h, descent=optax.sgd(rate), stop=steps)
        return solution.nodes, bound.predictions(solution.nodes, start.targets)

    return jax.device_get(both())


def image(model: Any, *shape: int) -> Any:
    """What a decoder predicts in a forward pass."""
    bound = pxl.bind(model, (None, np.zeros((1, *shape))))
    return jax.jit(lambda: bound.start().u["image"], compiler_options=HASTE)()[0]


def total(model: Any, nodes: dict[str, Any]) -> Any:
    """The energy of each sample at these values of all nodes."""
    free = {n: jnp.asarray(v) for n, v in nodes.items()}
    last = list(nodes)[-1]
    bound, held = pxl.bind(model, (None, nodes[last])), {last: free.pop(last)}
    return jax.jit(lambda: sum(bound.landscape(held).energies(free).values()), compiler_options=HASTE)()


@pytest.mark.hasty
def test_the_code_of_a_linear_decoder_is_that_of_least_squares(double):
    model, images = seeded(lambda: pxm.Decoder([2, 6])), normal(1, 3, 6)
    w = weights(model)
    weight, bias = w["layers[0].nn.weight"], w["layers[0].nn.bias"]
    nodes, u = settled(model, images, 0.3, 300)
    code = np.linalg.lstsq(np.asarray(weight), np.asarray(images - bias).T, rcond=None)[0].T
    np.testing.assert_allclose(nodes["latent"], code, atol=1e-6)
    np.testing.assert_allclose(u["image"], code @ weight.T + bias, atol=1e-6)
    nodes, _ = settled(seeded(lambda: pxm.Decoder([2, 6], prior="normal")), images, 0.3, 300)
    ridge = np.linalg.solve(weight.T @ weight + np.eye(2), weight.T @ (images - bias).T).T
    np.testing.assert_allclose(nodes["latent"], ridge, atol=1e-6)


@pytest.mark.hasty
def test_decoders_are_their_layers():
    model = seeded(lambda: pxm.Decoder([2, 3, 4], act=jnp.tanh, shape=(2, 2)))
    w, z = weights(model), np.zeros(2)
    h = np.tanh(w["layers[0].nn.weight"] @ z + w["layers[0].nn.bias"])
    u = w["layers[1].nn.weight"] @ h + w["layers[1].nn.bias"]
    np.testing.assert_allclose(image(model, 2, 2), u.reshape(2, 2), rtol=1e-5)
    model = seeded(lambda: pxm.DeconvDecoder(2, (3, 2), (1, 8, 4), act=jnp.tanh))
    w = weights(model)
    h = np.tanh(w["linear.nn.weight"] @ z + w["linear.nn.bias"]).reshape(1, 3, 2, 1)
    for i, act in enumerate([np.tanh, lambda u: u]):
        h = jax.lax.conv_general_dilated(
            np.float32(h), w[f"convs[{i}].nn.weight"], (1, 1), [(2, 2)] * 2, lhs_dilation=(2, 2)
        )
        h = act(np.asarray(h) + w[f"convs[{i}].nn.bias"])
    np.testing.assert_allclose(image(model, 1, 8, 4), h[0], rtol=1e-4, atol=1e-6)
    found = pxl.bind(model, (None, normal(0, 2, 1, 8, 4))).problem.nodes
    assert {n: node.shape for n, node in found.items()} == {
        "latent": (2,),
        "vodes[0]": (3, 2, 1),
        "vodes[1]": (2, 4, 2),
        "image": (1, 8, 4),
    }


GENERATIVE: dict[str, Any] = {
    "decoder": lambda: pxm.Decoder([2, 5, 8], act=jnp.tanh),
    "deconv": lambda: pxm.DeconvDecoder(2, (2,), (2, 2, 2), act=jnp.tanh, prior="normal"),
    "hierarchy": lambda: pxm.GenerativeHierarchy([2, 5, 8]),
}


def data(name: str, size: int = 8) -> Any:
    images = np.float32(normal(3, size, 2) @ normal(4, 2, 8))
    return None, images.reshape(size, 2, 2, 2) if name == "deconv" else images


@pytest.mark.hasty
@pytest.mark.parametrize("name", ["deconv"])
def test_training_brings_predictions_near_images(name):
    batch, model = data(name), seeded(GENERATIVE[name])
    rule = pxl.pc(optax.adam(0.01), optax.sgd(0.1), 20)
    state = rule.init(model, batch)
    steps = jax.jit(lambda s: jax.lax.scan(lambda s, _: rule.step(s, batch), s, None, 100), compiler_options=HASTE)
    _, info = steps(state)
    assert not np.any(info.result)
    assert info.energy[-1] < 0.5 * info.energy[0]


@pytest.mark.usefixtures("double")
@pytest.mark.hasty
@pytest.mark.parametrize("name", ["hierarchy"])
def test_zil_is_backpropagation_from_the_latent_of_a_forward_pass(name):
    model = seeded(lambda: pxm.Decoder([2, 5, 8], prior="normal") if name == "decoder" else GENERATIVE[name]())
    batch = None, normal(1, 4, 8)
    found, expected = gradients(model, batch, zil=pxl.zil(GRADIENT), backprop=pxl.backprop(GRADIENT))
    assert error(found, expected) <= 1e-12


@pytest.mark.hasty
def test_the_energy_of_a_hierarchy_is_the_negative_logarithm_of_its_density(double):
    model = seeded(lambda: pxm.GenerativeHierarchy([2, 3, 4]))
    model.mean.set(normal(9, 2))
    w = weights(model)
    nodes = {"latents[0]": normal(0, 5, 2), "latents[1]": normal(1, 5, 3), "data": normal(2, 5, 4)}
    top, middle, low = nodes.values()
    u = [np.tanh(h) @ w[f"layers[{i}].nn.weight"].T + w[f"layers[{i}].nn.bias"] for i, h in enumerate((top, middle))]
    errors = [top - w["mean"], middle - u[0], low - u[1]]
    expected = sum(0.5 * np.sum(e**2, axis=1) for e in errors)
    np.testing.assert_allclose(total(model, nodes), expected, rtol=1e-10)


@pytest.mark.hasty
@pytest.mark.filterwarnings("ignore:mcpc.predict. settling went uphill")  # a chain does
def test_a_hierarchy_samples_its_latents_and_those_of_data():
    model = pxm.GenerativeHierarchy([1, 1], act=lambda h: h)
    for path, value in {"mean": 0.5, "weight": 1.0, "bias": -1.0}.items():
        param = model.mean if path == "mean" else getattr(model.layers[0].nn, path)
        param.set(jnp.full(param.shape, value))
    rule, zeros, free = pxl.mcpc(optax.sgd(0.1), 0.1, 100), jnp.zeros((4000, 1)), jnp.zeros((1, 1), bool)
    made = rule.predict(model, None, settle=True, hold={"data": (free, zeros)}, key=1)
    assert float(made.mean()) == pytest.approx(-0.5, abs=0.06)
    assert float(made.std()) == pytest.approx(1, abs=0.08)
    # Of data at 1 the latent is between 0.5, its mean, and 2, which would predict 1.
    filled = rule.predict(model, None, settle=True, hold={"data": (~free, zeros + 1)}, key=1)
    np.testing.assert_array_equal(filled, 1.0)
    bound = pxl.bind(model, (None, zeros + 1))
    start = bound.start()
    langevin = {"descent": pxi.Langevin(0.1), "stop": 100, "key": jax.random.PRNGKey(0)}
    chain = jax.jit(lambda: pxi.relax(bound.landscape(start.targets), start.h, **langevin), compiler_options=HASTE)()
    assert float(chain.nodes["latents[0]"].mean()) == pytest.approx(1.25, abs=0.06)
    assert float(chain.nodes["latents[0]"].std()) == pytest.approx(0.5**0.5, abs=0.06)


PATTERNS = np.sign(normal(5, 4, 12))


def energy(memory: Any, h: Any) -> Any:
    """That of the state."""
    state = jnp.asarray(h)
    landscape = pxl.bind(memory, (h, h)).landscape({"state": state})
    return jax.jit(lambda: landscape.energies({"recalled": state})["state"], compiler_options=HASTE)()


@pytest.mark.hasty
def test_the_energies_of_memories(double):
    h = normal(1, 3, 12)
    memory = seeded(lambda: pxm.PCMemory(12, act=jnp.tanh))
    memory.state.weight.set(normal(2, 12, 12))
    memory.state.bias.set(normal(3, 12))
    w = weights(memory)
    weight = w["state.weight"] * (1 - np.eye(12))
    expected = 0.5 * np.sum((h - np.tanh(h) @ weight.T - w["state.bias"]) ** 2, axis=1)
    np.testing.assert_allclose(energy(memory, h), expected)
    memory = pxm.HopfieldMemory(PATTERNS.reshape(4, 3, 4), beta=0.7)
    near = np.sum((h[:, None] - PATTERNS) ** 2, axis=-1)
    expected = -np.log(np.sum(np.exp(-0.35 * near), axis=1)) / 0.7
    np.testing.assert_allclose(energy(memory, h), expected)


def recalled(memory: Any, patterns: Any, rate: float, steps: int) -> tuple[Any, Any]:
    """What is recalled of noisy patterns, and of halves."""
    rule = pxl.pc(optax.sgd(0.1), optax.sgd(rate), steps)
    noisy = rule.predict(memory, patterns + 0.1 * normal(8, *patterns.shape), settle=True)
    known = np.arange(12) < 6
    hold = {"state": (known[None], patterns)}
    return noisy, rule.predict(memory, np.where(known, patterns, 0.0), settle=True, hold=hold)


def test_a_hopfield_network_recalls_what_it_was_given():
    noisy, halves = recalled(pxm.HopfieldMemory(PATTERNS, beta=8.0), PATTERNS, 1.0, 4)
    np.testing.assert_allclose(noisy, PATTERNS, atol=1e-3)
    np.testing.assert_allclose(halves, PATTERNS, atol=1e-3)


def trained(model: Any, batch: Any, rule: Any, steps: int) -> Any:
    state = rule.init(model, batch)
    many = jax.jit(lambda s: jax.lax.scan(lambda s, _: rule.step(s, batch), s, None, steps), compiler_options=HASTE)
    state, info = many(state)
    assert not np.any(info.result)
    state.write_to(model)
    return info.loss


@pytest.mark.hasty
def test_a_recurrent_network_recalls_what_it_was_trained_on():
    memory = pxm.PCMemory(12)
    loss = trained(memory, (None, PATTERNS), pxl.pc(optax.adam(0.01), optax.sgd(0.1), 1), 1500)
    assert loss[-1] < 1e-5 * loss[0]
    noisy, halves = recalled(memory, PATTERNS, 0.1, 1000)
    assert np.sum((noisy - PATTERNS) ** 2) < 0.6 * np.sum((0.1 * normal(8, 4, 12)) ** 2)  # what lies across is gone
    np.testing.assert_allclose(halves, PATTERNS, atol=0.05)


@pytest.mark.hasty
def test_a_hopfield_network_learns_the_middles_of_what_it_sees():
    centres = np.asarray([[2.0, 0.0], [-2.0, 1.0]])
    seen = (centres[:, None] + 0.1 * normal(1, 2, 20, 2)).reshape(40, 2)
    memory = pxm.HopfieldMemory(0.1 * centres, beta=1.0)
    trained(memory, (None, seen), pxl.pc(optax.sgd(0.5), optax.sgd(0.1), 1), 60)
    np.testing.assert_allclose(weights(memory)["state.patterns"], seen.reshape(2, 20, 2).mean(1), atol=0.01)


def test_without_a_target_nothing_is_silently_left_out():
    model = pxm.Decoder([2, 4])
    with pytest.raises(ValueError, match=re.escape("Decoder: nothing is predicted from an input")):
        pxl.bind(model, (normal(0, 3, 4), None))
    with pytest.raises(ValueError, match=re.escape("GenerativeHierarchy: nothing is predicted from an input")):
        pxl.bind(pxm.GenerativeHierarchy([2, 4]), (normal(0, 3, 4), normal(0, 3, 4)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: pxm.Decoder([3]), "Decoder: widths must be two or more positive numbers, got [3]"),
        (lambda: pxm.Decoder([3, 4], shape=(2, 3)), "Decoder: shape (2, 3) has 6 elements, but its width is 4"),
        (lambda: pxm.Decoder([3, 4], prior="none"), 'Decoder: prior must be "flat" or "normal", got \'none\''),
        (lambda: pxm.DeconvDecoder(0), "DeconvDecoder: latent must be at least 1"),
        (
            lambda: pxm.DeconvDecoder(2, (4, 2), (1, 6, 8)),
            "height and width must be multiples of 4, got shape (1, 6, 8)",
        ),
        (lambda: pxm.GenerativeHierarchy([2, 0]), "GenerativeHierarchy: widths must be two or more positive numbers"),
        (lambda: pxm.PCMemory(1), "PCMemory: features must be at least 2"),
        (lambda: pxm.HopfieldMemory(np.zeros(3)), "HopfieldMemory: patterns must be real numbers, [count, ...]"),
        (lambda: pxm.HopfieldMemory(np.zeros((2, 3)), beta=0.0), "HopfieldMemory: beta must be above 0"),
        (
            lambda: predicted(pxm.PCMemory(4), np.zeros((2, 3))),
            "PCMemory: a query must have 4 elements, got shape (3,)",
        ),
    ],
)
def test_bad_sizes(make, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make()
