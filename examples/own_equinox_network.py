"""A network written in Equinox, trained by predictive coding, and given back.

Run: python examples/own_equinox_network.py
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

import pcx.analysis as pxa
import pcx.data as pxd
import pcx.learning as pxl
import pcx.models as pxm
import pcx.training as pxt


class Block(eqx.Module):
    """A convolution with a skip around it."""

    conv: eqx.nn.Conv2d

    def __init__(self, channels: int, key: jax.Array):
        self.conv = eqx.nn.Conv2d(channels, channels, 3, padding=1, key=key)

    def __call__(self, x: jax.Array) -> jax.Array:
        return x + jax.nn.gelu(self.conv(x))


class Net(eqx.Module):
    """From an image `[1, 8, 8]` to a number for each class, `[10]`."""

    into: eqx.nn.Conv2d
    block: Block
    out: eqx.nn.Linear

    def __init__(self, key: jax.Array):
        a, b, c = jax.random.split(key, 3)
        self.into = eqx.nn.Conv2d(1, 8, 3, stride=2, padding=1, key=a)
        self.block = Block(8, b)
        self.out = eqx.nn.Linear(8 * 4 * 4, 10, key=c)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.out(jnp.ravel(self.block(jax.nn.gelu(self.into(x)))))


def main() -> None:
    data = pxd.digits(standardise=True)
    x, x_test = (split.x.reshape(-1, 1, 8, 8) for split in (data.train, data.test))
    net = Net(jax.random.key(0))

    # A value node after each of these layers, and one for the output.
    model = pxm.from_equinox(net, cuts=["into", "block"])
    print(pxa.summary(model, (x[:8], jax.nn.one_hot(data.train.y[:8], 10))))

    rule = pxl.pc(optax.adam(3e-3), optax.sgd(0.1), T=6)
    run = pxt.fit(model, rule, (x, data.train.y), (x_test, data.test.y), epochs=5, batch_size=64, show=False)
    print(f"{run.ended}; test accuracy {run.last('validation_accuracy')[0]:.1%}")

    learned = pxm.to_equinox(model)  # a `Net` again; `net` is as it was
    right = jax.vmap(learned)(x_test).argmax(-1) == data.test.y
    print(f"the same by Equinox alone: {np.mean(right):.1%}, with a {type(learned).__name__}")


if __name__ == "__main__":
    main()
