"""The published pcx 0.6.3, as its users write a training step (`classic.py`), its inference steps written out."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from _classic import MLP, VGG5
from _worker import main
from _workloads import LEARN, MOMENTUM, RATE
from classic import params, train, written_out

import pcx.nn as pxnn
import pcx.utils as pxu


class Published:
    packages = ("pcx", "jax", "jaxlib", "equinox", "optax")
    inference = staticmethod(written_out)

    def __init__(self, work, rule, weights, x, y):
        if rule != "pc":
            raise NotImplementedError("has no step of backpropagation")
        self.model = VGG5() if work.widths is None else MLP(work.widths)
        for layer, (w, b) in zip(self.model.layers, weights, strict=True):
            layer.nn.weight.set(jnp.asarray(w))
            layer.nn.bias.set(jnp.asarray(b).reshape(layer.nn.bias.get().shape))
        self.T = work.T
        self.x, self.y = jax.block_until_ready((jnp.asarray(x), jnp.asarray(y)))

    def begin(self):
        self.optim_w = pxu.Optim(lambda: optax.sgd(LEARN, momentum=MOMENTUM), pxu.M(pxnn.LayerParam)(self.model))
        self.optim_h = pxu.Optim(lambda: optax.sgd(RATE))
        self.step()

    def step(self):
        tracked = {"model": self.model, "optim_w": self.optim_w, "optim_h": self.optim_h}
        self.value = train(self.inference, self.T, self.x, self.y, **tracked)
        jax.block_until_ready((self.value, [p.get() for p in params(self.model)]))

    def energy(self):
        return float(self.value)

    def weights(self):
        flat = [np.asarray(p.get()) for p in params(self.model)]
        return [(w, b.reshape(-1)) for w, b in zip(flat[::2], flat[1::2], strict=True)]


if __name__ == "__main__":
    main(Published)
