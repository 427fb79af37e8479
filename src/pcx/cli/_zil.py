"""Two moons by three learning rules: the network, one training step per rule, and the training of one network.

Z-IL (Song et al., "Can the brain do backpropagation? Exact implementation of backpropagation in predictive coding
networks", NeurIPS 2020): from forward initialisation, the error of the clamped output moves one layer per inference
step. With a state learning rate of one, and each layer's weights updated at the very step at which the error arrives,
the updates are those of backpropagation, so the two rules train the same network up to rounding.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax

from .. import RKG, static
from .. import functional as pxf
from .. import nn as pxnn
from .. import predictive_coding as pxc
from .. import utils as pxu
from ._options import POINTS, ZilOptions

CLASSES = 2
HIL_STEPS = 8  # inference steps of the hybrid rule

_CACHE = pxc.VodeParam.Cache
_STATE = pxc.VodeParam | pxc.VodeParam.Cache
_PER_SAMPLE = pxu.M(_STATE).to((None, 0))


class Classifier(pxc.EnergyModule):
    """Three linear layers, each followed by a value node; the output node measures cross entropy with the label."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.act_fn = static(jax.nn.leaky_relu)
        self.layers = [pxnn.Linear(2, hidden), pxnn.Linear(hidden, hidden), pxnn.Linear(hidden, CLASSES)]
        self.vodes = [pxc.Vode(), pxc.Vode(), pxc.Vode(energy_fn=pxc.ce_energy)]
        self.vodes[-1].h.frozen = True  # clamped to the label: inference does not move it

    def __call__(self, x: jax.Array, label: jax.Array | None = None) -> jax.Array:
        """One sample `x: [2]` and its one-hot label `[2]` or None; returns the logits `[2]`."""
        for layer, vode in zip(self.layers[:-1], self.vodes[:-1], strict=True):
            x = vode(self.act_fn(layer(x)))
        self.vodes[-1](self.layers[-1](x))
        if label is not None:
            self.vodes[-1].set("h", label)
        return self.vodes[-1].get("u")


@pxf.vmap(_PER_SAMPLE, in_axes=(0, 0), out_axes=0)
def _forward(x, label, *, model: Classifier):
    return model(x, label)


@pxf.vmap(_PER_SAMPLE, in_axes=(0,), out_axes=None, axis_name="batch")
def _energy(x, *, model: Classifier):
    model(x)
    return jax.lax.psum(model.energy(), "batch")


@pxf.vmap(_PER_SAMPLE, in_axes=(0, 0), out_axes=None, axis_name="batch")
def _cross_entropy(x, label, *, model: Classifier):
    return jax.lax.psum(optax.softmax_cross_entropy(model(x), label), "batch")


def _initialise(x, label, model: Classifier, optim_h: pxu.OptimTree) -> None:
    """Forward initialisation, output clamped to the label."""
    with pxu.step(model, pxc.STATUS.INIT, clear_params=_CACHE):
        _forward(x, label, model=model)
    optim_h.init(pxu.M_hasnot(pxc.VodeParam, frozen=True)(model))


def _gradients(mask, x, model: Classifier):
    with pxu.step(model, clear_params=_CACHE):
        _, grads = pxf.value_and_grad({"model": mask})(_energy)(x, model=model)
    return grads["model"]


def _select_weights(mask, model: Classifier, layer: int) -> None:
    mask.layers[layer] = pxu.M(pxnn.LayerParam).to((False, True))(model.layers[layer], is_pytree=True)


@pxf.jit()
def zil_step(x, label, *, model: Classifier, optim_w: pxu.OptimTree, optim_h: pxu.OptimTree) -> None:
    """One batch of Z-IL: a sweep from the output to the input, one layer per inference step."""
    model.train()
    _initialise(x, label, model, optim_h)
    for layer in reversed(range(len(model.layers))):
        mask = pxu.M(None).to((False, False))(model, is_pytree=True)
        _select_weights(mask, model, layer)
        if layer > 0:
            mask.vodes[layer - 1].h = True  # the value that this layer's error reaches next
        grads = _gradients(mask, x, model)
        if layer > 0:
            optim_h.step(model, grads)
        optim_w.step(model, grads, scale_by=1.0 / x.shape[0])
    _forget(model, optim_h)


@pxf.jit()
def hil_step(x, label, *, model: Classifier, optim_w: pxu.OptimTree, optim_h: pxu.OptimTree) -> None:
    """One batch of the hybrid rule: the sweep of Z-IL, inference up to `HIL_STEPS`, then all weights once more."""
    model.train()
    _initialise(x, label, model, optim_h)
    for t in range(HIL_STEPS):
        layer = len(model.layers) - 1 - t  # that the error reaches now; below zero once the sweep is over
        mask = pxu.M_hasnot(pxc.VodeParam, frozen=True).to((False, True))(model, is_pytree=True)
        for below in range(layer - 1):
            mask.vodes[below].h = False  # no error has come this far: the gradient is zero
        if layer >= 0:
            _select_weights(mask, model, layer)
        grads = _gradients(mask, x, model)
        optim_h.step(model, grads)
        if layer >= 0:
            optim_w.step(model, grads, scale_by=1.0 / x.shape[0])
    grads = _gradients(pxu.M(pxnn.LayerParam).to((False, True)), x, model)
    optim_w.step(model, grads, scale_by=1.0 / x.shape[0])
    _forget(model, optim_h)


@pxf.jit()
def backprop_step(x, label, *, model: Classifier, optim_w: pxu.OptimTree, optim_h: pxu.OptimTree) -> None:
    """One batch of backpropagation through the same network. `optim_h` is not used."""
    model.train()
    with pxu.step(model, pxc.STATUS.INIT, clear_params=_STATE):
        mask = pxu.M(pxnn.LayerParam).to((False, True))
        _, grads = pxf.value_and_grad({"model": mask})(_cross_entropy)(x, label, model=model)
    optim_w.step(model, grads["model"], scale_by=1.0 / x.shape[0])


def _forget(model: Classifier, optim_h: pxu.OptimTree) -> None:
    """Drops what belongs to the batch: it need not leave the compiled step."""
    optim_h.clear()
    model.clear_params(_STATE)


@pxf.jit()
def logits(x, *, model: Classifier) -> jax.Array:
    """The predictions `[N, 2]` for points `[N, 2]`."""
    model.eval()
    with pxu.step(model, pxc.STATUS.INIT, clear_params=_STATE):
        return _forward(x, None, model=model)


_STEPS: dict[str, Callable] = {"zil": zil_step, "hil": hil_step, "backprop": backprop_step}
_STATE_RATES = {"zil": 1.0, "hil": optax.linear_schedule(1.0, 0.1, 1), "backprop": 1.0}


@dataclass(frozen=True)
class Data:
    """Points `[N, 2]` and labels `[N]` for training and test."""

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


def two_moons(batch_size: int) -> Data:
    """Two moons with noise 0.2, `POINTS` in each set, the same at every call; of those to train on, full batches."""
    from sklearn.datasets import make_moons

    def draw(seed: int) -> tuple[np.ndarray, np.ndarray]:
        x, y = make_moons(n_samples=POINTS, noise=0.2, random_state=seed)
        return np.asarray(x, np.float32), np.asarray(y)

    count = POINTS - POINTS % batch_size
    x, y = draw(42)
    return Data(x[:count], y[:count], *draw(0))


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to."""

    epoch: int
    """From 1."""
    test_accuracy: float
    """Share of the test points, 0 to 1."""
    test_loss: float
    """Mean cross entropy of the test points, nats."""
    seconds: float
    """Training alone; the first epoch of a rule includes compilation."""


def train(rule: str, seed: int, options: ZilOptions, data: Data) -> Iterator[tuple[Epoch, Classifier]]:
    """Trains one network and yields after every epoch. The seed alone decides the first weights, whatever the rule."""
    RKG.seed(seed)
    model = Classifier(options.hidden)
    optim_w = pxu.OptimTree(
        lambda: optax.sgd(0.2, momentum=0.9, nesterov=True),
        lambda node: isinstance(node, pxnn.Layer),
        pxu.M(pxnn.LayerParam)(model),
    )
    rate = _STATE_RATES[rule]
    optim_h = pxu.OptimTree(lambda: optax.sgd(rate), lambda node: isinstance(node, pxc.Vode))
    step = _STEPS[rule]
    x = jnp.asarray(data.x).reshape(-1, options.batch_size, 2)
    label = jax.nn.one_hot(data.y, CLASSES).reshape(-1, options.batch_size, CLASSES)

    for epoch in range(1, options.epochs + 1):
        start = time.perf_counter()
        for batch in range(x.shape[0]):
            step(x[batch], label[batch], model=model, optim_w=optim_w, optim_h=optim_h)
        jax.block_until_ready([layer.nn.weight.get() for layer in model.layers])
        seconds = time.perf_counter() - start
        out = logits(data.x_test, model=model)
        loss = optax.softmax_cross_entropy_with_integer_labels(out, data.y_test).mean()
        accuracy = np.mean(np.asarray(out).argmax(axis=-1) == data.y_test)
        yield Epoch(epoch, float(accuracy), float(loss), seconds), model
