"""This pcx, by its learning rules."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from _worker import main
from _workloads import LEARN, MOMENTUM, RATE

import pcx as px
import pcx.learning as pxl
import pcx.models as pxm


class Pcx:
    packages = ("jax", "jaxlib", "equinox", "optax")

    def __init__(self, work, rule, weights, x, y):
        px.RKG.seed(0)
        if work.widths is None:
            self.model = pxm.vgg5()
            layers = {f"convs[{i}]": conv for i, conv in enumerate(self.model.convs)} | {"linear": self.model.linear}
        else:
            self.model = pxm.MLP(work.widths, jnp.tanh)
            layers = {f"layers[{i}]": layer for i, layer in enumerate(self.model.layers)}
        for layer, (w, b) in zip(layers.values(), weights, strict=True):
            layer.nn.weight.set(jnp.asarray(w))
            layer.nn.bias.set(jnp.asarray(b).reshape(layer.nn.bias.get().shape))
        self.names = [(f"{name}.nn.weight", f"{name}.nn.bias") for name in layers]
        optim = optax.sgd(LEARN, momentum=MOMENTUM)
        self.rule = pxl.pc(optim, optax.sgd(RATE), work.T) if rule == "pc" else pxl.backprop(optim)
        self.pair = jax.block_until_ready((jnp.asarray(x), jnp.asarray(y)))

    def begin(self):
        self.state = self.rule.init(self.model, self.pair)
        self._step = jax.jit(self.rule.step)
        self.step()

    def step(self):
        self.state, self.info = jax.block_until_ready(self._step(self.state, self.pair))

    def energy(self):
        return float(self.info.energy)

    def weights(self):
        pairs = [[np.asarray(self.state.weights[name]) for name in pair] for pair in self.names]
        return [(w, b.reshape(-1)) for w, b in pairs]


if __name__ == "__main__":
    main(Pcx)
