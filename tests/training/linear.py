"""A rule that is compiled in no time, for tests in which many settings are tried."""

import dataclasses

import jax
import jax.numpy as jnp
import optax


@dataclasses.dataclass(frozen=True)
class Linear:
    """Gradient descent, T steps a batch, on the cross entropy of a linear model."""

    rate: float
    decay: float = 0.0
    T: int = 1
    name: str = "a"

    def init(self, model, batch, key=0):
        return {"weights": 0.01 * jax.random.normal(jax.random.PRNGKey(key), (2, 2))}

    def predict(self, state, x):
        return x @ state["weights"].T

    def evaluate(self, state, batch):
        x, y = batch
        output = self.predict(state, x)
        return output, optax.softmax_cross_entropy_with_integer_labels(output, y)

    def step(self, state, batch):
        def loss(weights):
            return self.evaluate({"weights": weights}, batch)[1].mean()

        w = state["weights"]
        for _ in range(self.T):
            w = w - self.rate * (jax.grad(loss)(w) + self.decay * w)
        return {"weights": w}, {
            "loss": loss(w),
            "output": self.predict({"weights": w}, batch[0]),
            "result": self._ok(w),
        }

    def _ok(self, w):
        """Fails where the weights have grown beyond all bounds."""
        return jnp.where(jnp.max(jnp.abs(w)) < 1e3, 0, 2)
