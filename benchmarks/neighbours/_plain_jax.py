"""Plain JAX, written by hand as one writes it first: backpropagation, and descent on the values of all layers."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from _plain import backprop, descent, mlp, squared_error, vgg, windows
from _worker import main
from _workloads import LEARN, MOMENTUM, RATE


class Plain:
    packages = ("jax", "jaxlib", "optax")

    def __init__(self, work, rule, weights, x, y):
        self.optimiser = optax.sgd(LEARN, momentum=MOMENTUM)
        layer = vgg(jax.nn.gelu, windows) if work.widths is None else mlp(jnp.tanh)
        # Channels come before height and width.
        shaped = [(w, b.reshape(-1, 1, 1) if w.ndim == 4 else b) for w, b in weights]
        self.made = (
            descent(layer, self.optimiser, work.T, RATE, unroll=work.widths is None)
            if rule == "pc"
            else backprop(layer, squared_error, self.optimiser)
        )
        self.now, self.pair = jax.block_until_ready(jax.tree.map(jnp.asarray, (shaped, (x, y))))

    def begin(self):
        self.state = self.optimiser.init(self.now)
        self.step()

    def step(self):
        self.now, self.state, self.value = jax.block_until_ready(self.made(self.now, self.state, *self.pair))

    def energy(self):
        return float(self.value)

    def weights(self):
        return [(np.asarray(w), np.asarray(b).reshape(-1)) for w, b in self.now]


if __name__ == "__main__":
    main(Plain)
