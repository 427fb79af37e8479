"""Associative memories: one value node that settles from a query to what is stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ..core import RKG, RandomKeyGenerator, Whole, positive, static, whole
from ..nn import LayerParam
from ..predictive_coding import EnergyModule, Vode, zero_energy


class _Memory(EnergyModule):
    """A value node with an energy that reads weights, and no prediction but the query from which it starts; and one
    that is predicted to be the same, without an energy: a node from which others are predicted settles where parts of
    it are held, while one at the end would follow its prediction."""

    def __init__(self, state: Vode, features: int):
        super().__init__()
        self.features = static(features)
        self.state, self.recalled = state, Vode(zero_energy)

    def __call__(self, x: jax.Array | None = None, y: jax.Array | None = None) -> jax.Array:
        """Put the state of ONE sample at a query.

        **Arguments:**

        - `x`: the query, of any shape with as many elements as there are features; None for zeros.
        - `y`: the pattern to clamp the state to, `[features]`; None leaves it as it is.

        **Returns:** the value of the state, `[features]`.

        **Raises:** `ValueError` for a query of another size.
        """
        features = self.features.get()
        if x is not None and x.size != features:
            raise ValueError(f"{type(self).__name__}: a query must have {features} elements, got shape {x.shape}")
        self.state(jnp.zeros(features) if x is None else x.reshape(-1))
        if y is not None:
            self.state.set("h", y)
        h = self.state.get("h")
        return self.recalled(h)


class _Recurrent(Vode):
    """A value that is predicted from itself."""

    def __init__(self, features: int, act: Callable[[jax.Array], jax.Array]):
        super().__init__(_recurrent_energy, output=True)
        self.act = static(act)
        self.weight = LayerParam(jnp.zeros((features, features)))
        self.bias = LayerParam(jnp.zeros(features))


def _recurrent_energy(vode: Any, rkg: RandomKeyGenerator = RKG) -> jax.Array:
    h, weight = vode.get("h"), vode.weight.get()
    others = weight - jnp.diag(jnp.diag(weight))
    return 0.5 * jnp.square(h - vode.act(h) @ others.T - vode.bias.get())


class PCMemory(_Memory):
    """A recurrent network that stores patterns by predicting each feature from all others, with the energy of
    predictive coding,

    `E = 1/2 |h - W act(h) - b|^2`, where W has no diagonal.

    Patterns are stored by training on batches `(None, patterns)`, `pxl.pc(optim_w, optim_h, T)`, and recalled by
    `rule.predict(memory, queries, settle=True, hold={"state": (known, queries)})`: the state starts at the query; what
    is known of it is held, the rest settles. Without `hold` all of it settles, as for noisy queries.

    Nodes: `state`, `[features]`, the output; `recalled`, its value. `PCMemory(784)` has 2 value nodes and 615,440
    weights, all of them zero at first.

    Source: Tang et al., "Recurrent predictive coding models for associative memory employing covariance learning", PLOS
    Computational Biology 19(4), 2023 (the implicit model).

    **Arguments:**

    - `features`: the size of a pattern.
    - `act`: the activation function; the identity by default, which learns the patterns' covariance.

    **Raises:** `ValueError` for what is no whole number of 2 or more.
    """

    def __init__(self, features: Whole, act: Callable[[jax.Array], jax.Array] | None = None):
        size = whole("PCMemory", "features", features, 2)
        super().__init__(_Recurrent(size, _identity if act is None else act), size)


def _identity(h: jax.Array) -> jax.Array:
    return h


class _Attracted(Vode):
    """A value near one of several patterns."""

    def __init__(self, patterns: jax.Array, beta: float):
        super().__init__(_attracted_energy, output=True)
        self.beta = static(beta)
        self.patterns = LayerParam(patterns)


def _attracted_energy(vode: Any, rkg: RandomKeyGenerator = RKG) -> jax.Array:
    h, patterns, beta = vode.get("h"), vode.patterns.get(), vode.beta.get()
    distances = jnp.sum(jnp.square(h[..., None, :] - patterns), axis=-1)
    total = -jax.nn.logsumexp(-0.5 * beta * distances, axis=-1) / beta
    # One number for the whole state; each feature has its share.
    return jnp.broadcast_to(total[..., None] / h.shape[-1], h.shape)


class HopfieldMemory(_Memory):
    """A modern Hopfield network: the state is drawn to the stored patterns m_i that are near, with the energy

    `E = -1/b log sum_i exp(-b/2 |h - m_i|^2)`,

    whose gradient is `h - sum_i p_i m_i`, p the softmax of the similarities: a step of 1 is a step of attention. For
    patterns of one norm it is the published energy `1/2 |h|^2 - 1/b log sum_i exp(b m_i . h)` but for a constant; with
    distances in the place of products, patterns of any norm can be recalled, and learned: the energy is the negative
    logarithm of a mixture of Gaussians.

    Patterns are recalled by `rule.predict(memory, queries, settle=True, hold={"state": (known, queries)})`, with
    `pxl.pc(optim_w, optax.sgd(1.0), T)`; see `PCMemory`. Trained on batches `(None, data)`, the stored patterns move to
    what they are nearest to.

    Nodes: `state`, `[features]`, the output; `recalled`, its value. With 50 patterns of 784 features it has 2 value
    nodes and 39,200 weights: the patterns.

    Source: Ramsauer et al., "Hopfield networks is all you need", 2020, arXiv 2008.02217; with distances: Millidge et
    al., "Universal Hopfield networks", 2022, arXiv 2202.04557.

    **Arguments:**

    - `patterns`: those to store, `[count, ...]`, flattened to vectors of features.
    - `beta`: b, the inverse temperature, above 0: how sharply the nearest pattern is picked.

    **Raises:** `ValueError` for patterns without features, or a beta that is not above 0.
    """

    def __init__(self, patterns: ArrayLike | Sequence[Sequence[float]], beta: float = 1.0):
        stored = jnp.asarray(patterns)
        if stored.ndim < 2 or not stored.size or not jnp.issubdtype(stored.dtype, jnp.floating):
            raise ValueError(
                f"HopfieldMemory: patterns must be real numbers, [count, ...], got {stored.dtype}{list(stored.shape)}"
            )
        stored = jnp.array(stored.reshape(len(stored), -1), copy=True)
        beta = float(positive("HopfieldMemory", "beta", beta))
        super().__init__(_Attracted(stored, beta), stored.shape[1])
