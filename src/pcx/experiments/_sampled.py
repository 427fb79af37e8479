"""Monte Carlo predictive coding (Oliviers et al. 2024) of one number, whose distance to the true distribution is known.

The Wasserstein distance of two distributions of one number with quantile functions P and Q is

`W1 = integral over p from 0 to 1 of |P(p) - Q(p)|`.

Here P is that of n samples x_1 <= ... <= x_n which the network generates, and Q that of the normal distribution
N(m, s^2) which the data were drawn from, so that W1 is the mean over i of `|x_i - (m + s z((i - 1/2) / n))|`, with z
the quantiles of N(0, 1).

```bibtex
@article{oliviers2024learning,
    author  = {Gaspard Oliviers and Rafal Bogacz and Alexander Meulemans},
    title   = {Learning Probability Distributions of Sensory Inputs with Monte Carlo Predictive Coding},
    journal = {PLOS Computational Biology}, volume = {20}, number = {10}, year = {2024},
}
```
"""

from __future__ import annotations

import warnings

import jax
import numpy as np
import optax

from .. import learning as pxl
from ..models import GenerativeHierarchy
from ._mcpc import GaussianSettings
from .frame import Data, Trained, sha256_of


def wasserstein(samples: np.ndarray, mean: float, deviation: float) -> float:
    """Return the distance W1 of samples to the normal distribution of that mean and deviation.

    **Arguments:**

    - `samples`: `[n]`, in any order.
    - `mean`, `deviation`: of the distribution.
    """
    from scipy.special import ndtri  # scipy.stats would take seconds to import

    places = (np.arange(samples.size) + 0.5) / samples.size
    return float(np.mean(np.abs(np.sort(samples.ravel().astype(np.float64)) - (mean + deviation * ndtri(places)))))


def line() -> GenerativeHierarchy:
    """Return the network: a latent from N(m, 1), data from N(w latent, 1); so the data are from N(w m, w^2 + 1)."""
    return GenerativeHierarchy([1, 1], act=_identity, bias=False)


def _identity(h: jax.Array) -> jax.Array:
    return h


def predictions(state: pxl.State, node: str, shape: tuple[int, int], rule: pxl.Rule) -> np.ndarray:
    """Return the predictions of the data node at the ends of chains in which it is free, one of each chain.

    **Arguments:**

    - `state`: the network, and the key of the chains.
    - `node`: the data node.
    - `shape`: `(chains, features)`.
    - `rule`: `pxl.mcpc` with the steps to take from a forward pass on.

    **Returns:** `[chains, features]`.
    """
    free = {node: (np.zeros((1, 1), bool), np.zeros(shape, np.float32))}
    with warnings.catch_warnings():
        # From a forward pass, where the energy is lowest, the noise of a chain can but raise it.
        warnings.filterwarnings("ignore", ".*settling went uphill")
        return np.asarray(rule.predict(state, None, settle=True, hold=free, key=state.key))


def samples(state: pxl.State, node: str, shape: tuple[int, int], rule: pxl.Rule) -> np.ndarray:
    """Generate data by the chain that learns, with the data node free, one sample from each chain.

    A free node that predicts nothing follows its prediction in the chain. Given that, it is normal around it with
    variance 1, exactly, so what its own noise would be is added at the end.

    **Arguments:** as of `predictions`.

    **Returns:** `[chains, features]`.
    """
    noise = jax.random.normal(jax.random.fold_in(state.key, 1), shape)
    return predictions(state, node, shape, rule) + np.asarray(noise)


def numbers(settings: GaussianSettings) -> Data:
    """Draw what is learned, and as many numbers to test by: without input, `x` is None."""
    random, deviation = np.random.default_rng(0), settings.variance**0.5
    counts = settings.samples or 4096, settings.test_samples or 4096
    train, test = (random.normal(settings.mean, deviation, (count, 1)).astype(np.float32) for count in counts)
    name = f"N({settings.mean:g}, {settings.variance:g})"
    return Data(name, (None, train), (None, test), sha256_of(train, test))


def gaussian(name: str, settings: GaussianSettings, data: Data) -> Trained:
    """Return the arm of a rule, `"mcpc"` or `"pc"`. What each network generates is sampled by the same chain."""
    optim = optax.adam(settings.lr)
    if name == "mcpc":
        rule = pxl.mcpc(optim, settings.step, settings.T, burn_in=settings.burn_in)
    else:
        rule = pxl.pc(optim, optax.sgd(settings.step), settings.T)
    chain = pxl.mcpc(optax.sgd(1.0), settings.step, settings.generate_T)

    def measured(state: pxl.State) -> dict[str, float]:
        found = samples(state, "data", (settings.generate, 1), chain)
        weight, mean = (float(np.squeeze(state.weights[path])) for path in ("layers[0].nn.weight", "mean"))
        return {
            "wasserstein": wasserstein(found, settings.mean, settings.variance**0.5),
            "generated_mean": float(found.mean()),
            "generated_variance": float(found.var(ddof=1)),
            "mean_by_weights": weight * mean,
            "variance_by_weights": weight**2 + 1,
        }

    return Trained(line, rule, data, settings.epochs, settings.batch_size, after=measured, looks=False)
