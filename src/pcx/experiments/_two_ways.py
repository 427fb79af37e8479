"""Networks of two directions: images to classes and classes to images, over the same hidden values."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ..core import static
from ..nn import Linear
from ..predictive_coding import EnergyModule, Vode, zero_energy

Act = Callable[[jax.Array], jax.Array]


class Direction(EnergyModule):
    """Layers that are linear in what the nonlinearity makes of the value before; a value node after each, the last one
    an output.

    **Arguments:**

    - `widths`: from the input to the output.
    - `act`: the nonlinearity, of all values but the input.
    """

    def __init__(self, widths: Sequence[int], act: Act) -> None:
        super().__init__()
        self.act = static(act)
        self.layers = [Linear(a, b) for a, b in itertools.pairwise(widths)]
        self.vodes = [Vode() for _ in widths[2:]] + [Vode(output=True)]

    def __call__(self, x: jax.Array) -> jax.Array:
        """Predict the output of ONE sample.

        **Arguments:**

        - `x`: the sample.

        **Returns:** the prediction.
        """
        h = self.vodes[0](self.layers[0](x.reshape(-1)))
        for layer, vode in zip(self.layers[1:], self.vodes[1:], strict=True):
            h = vode(layer(self.act(h)))
        return h


class TwoWays(EnergyModule):
    """A recognition network from images to classes, and a generative one back.

    **Arguments:**

    - `widths`: from the images to the classes.
    - `act`: the nonlinearity.
    """

    def __init__(self, widths: Sequence[int], act: Act) -> None:
        super().__init__()
        self.recognition = Direction(widths, act)
        self.generative = Direction(list(reversed(widths)), act)


class Generative(EnergyModule):
    """A generative network by itself, whose label is a value node: clamped while it learns, and free, without an
    energy, where it is to be found under an image. The image, x, is what the last node is clamped at.

    **Arguments:**

    - `widths`: from the classes to the images.
    - `act`: the nonlinearity.
    """

    def __init__(self, widths: Sequence[int], act: Act) -> None:
        super().__init__()
        self.act, self.classes = static(act), static(widths[0])
        self.layers = [Linear(a, b) for a, b in itertools.pairwise(widths)]
        self.label = Vode(zero_energy, output=True)
        self.vodes = [Vode() for _ in widths[1:]]

    def __call__(self, x: jax.Array) -> None:
        """Predict ONE image from its label, and clamp it.

        **Arguments:**

        - `x`: the image.
        """
        h = self.vodes[0](self.layers[0](self.label(jnp.zeros(self.classes.get()))))
        for layer, vode in zip(self.layers[1:], self.vodes[1:], strict=True):
            h = vode(layer(self.act(h)))
        self.vodes[-1].set("h", x.reshape(-1))


Layers = list[tuple[Float[Array, "_ _"], Float[Array, " _"]]]
"""Weight and bias of each layer."""


def layers_in(weights: PyTree, part: str, count: int) -> Layers:
    """Return the layers of a network, or of a part of it, among a state's weights.

    **Arguments:**

    - `weights`: `{path: array}`.
    - `part`: what their paths begin with, such as `"generative."`.
    - `count`: how many there are.
    """
    path = "{}layers[{}].nn.{}"
    return [tuple(weights[path.format(part, i, name)] for name in ("weight", "bias")) for i in range(count)]  # type: ignore[misc]


def swept(layers: Layers, act: Act, x: Float[Array, "N _"]) -> list[Float[Array, "N _"]]:
    """Return the values of a forward pass, one for each layer.

    **Arguments:**

    - `layers`, `act`: of the network.
    - `x`: the input.
    """
    values = []
    for i, (weight, bias) in enumerate(layers):
        values.append((act(values[-1]) if i else x) @ weight.T + bias)
    return values


def labels_of(
    layers: Layers,
    act: Act,
    images: Float[Array, "N pixels"],
    start: list[Float[Array, "N _"]],
    rate: float,
    T: int,
) -> Float[Array, "N classes"]:
    """Return the labels at which the energy of a generative network comes to rest under images, after so many steps of
    gradient descent on label and hidden values.

    **Arguments:**

    - `layers`, `act`: of the generative network, from the label to the image.
    - `images`: what it is to predict.
    - `start`: the first values: of the label, and of each hidden layer.
    - `rate`, `T`: the step size, and how many steps.
    """

    def energy(values: list[Float[Array, "N _"]]) -> Float[Array, ""]:
        total = jnp.zeros(())
        for i, (weight, bias) in enumerate(layers):
            u = (act(values[i]) if i else values[i]) @ weight.T + bias
            h = values[i + 1] if i + 1 < len(values) else images
            total += 0.5 * jnp.sum(jnp.square(h - u))
        return total

    def step(values: list[Float[Array, "N _"]], _: None) -> tuple[list[Float[Array, "N _"]], None]:
        return jax.tree.map(lambda h, g: h - rate * g, values, jax.grad(energy)(values)), None

    values, _ = jax.lax.scan(step, start, None, T)
    return values[0]
