"""The study of `pcx run zil` as a program with the pcx interface: two moons by Z-IL and HIL, 8 seeds, 8 epochs each.
Runs under any package that has the interface."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from _classic import MLP, energy, forward
from sklearn.datasets import make_moons
from zil_step import zil_step

import pcx as px
import pcx.functional as pxf
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.utils as pxu

POINTS, BATCH, SEEDS, EPOCHS, HIDDEN, STEPS = 1024, 256, 8, 8, 32, 8


@pxf.jit()
def hil_step(x, y, *, model, optim_w, optim_h):
    """Z-IL while the error goes back, then values settle on, and at last all weights learn from what they have become.

    A value's learning rate counts from the step at which the error reaches it, so it is left alone before.
    """
    model.train()
    with pxu.step(model, pxc.STATUS.INIT, clear_params=pxc.VodeParam.Cache):
        forward(x, y, model=model)
    optim_h.init(pxu.M_hasnot(pxc.VodeParam, frozen=True)(model))
    for layer in itertools.islice(itertools.chain(reversed(range(len(model.layers))), itertools.repeat(None)), STEPS):
        with pxu.step(model, clear_params=pxc.VodeParam.Cache):
            mask = pxu.M_hasnot(pxc.VodeParam, frozen=True).to((False, True))(model, is_pytree=True)
            if layer is not None:
                for vode in mask.vodes[: max(layer - 1, 0)]:
                    vode.h = False
                mask.layers[layer] = pxu.M(pxnn.LayerParam).to((False, True))(model.layers[layer], is_pytree=True)
            _, grads = pxf.value_and_grad({"model": mask}, has_aux=True)(energy)(x, model=model)
        optim_h.step(model, grads["model"])
        if layer is not None:
            optim_w.step(model, grads["model"], scale_by=1.0 / x.shape[0])
    optim_h.clear()
    with pxu.step(model, clear_params=pxc.VodeParam.Cache):
        mask = pxu.M(pxnn.LayerParam).to((False, True))
        _, grads = pxf.value_and_grad(mask, has_aux=True)(energy)(x, model=model)
    optim_w.step(model, grads["model"], scale_by=1.0 / x.shape[0])


@pxf.jit()
def predict(x, *, model):
    model.eval()
    with pxu.step(model, pxc.STATUS.INIT, clear_params=pxc.VodeParam.Cache):
        return forward(x, None, model=model)


RULES = {"zil": (zil_step, 1.0), "hil": (hil_step, optax.linear_schedule(1.0, 0.1, 1))}


def accuracies(step, rate, train, test):
    """Test accuracy after each epoch of one network."""
    model = MLP([2, HIDDEN, HIDDEN, 2], pxc.ce_energy, jax.nn.leaky_relu)
    optim_w = pxu.OptimTree(
        lambda: optax.sgd(0.2, momentum=0.9, nesterov=True),
        lambda n: isinstance(n, pxnn.Layer),
        pxu.M(pxnn.LayerParam)(model),
    )
    optim_h = pxu.OptimTree(lambda: optax.sgd(rate), lambda n: isinstance(n, pxc.Vode))
    found = []
    for _ in range(EPOCHS):
        for x, y in train:
            step(x, y, model=model, optim_w=optim_w, optim_h=optim_h)
        guesses = np.concatenate([np.asarray(predict(x, model=model)).argmax(-1) for x, _ in test])
        found.append(np.mean(guesses == np.concatenate([np.asarray(y).argmax(-1) for _, y in test])))
    return found


def batches(seed):
    x, y = make_moons(POINTS, noise=0.2, random_state=seed)
    x, y = x.astype(np.float32).reshape(-1, BATCH, 2), np.eye(2, dtype=np.float32)[y].reshape(-1, BATCH, 2)
    return [(jnp.asarray(a), jnp.asarray(b)) for a, b in zip(x, y, strict=True)]


def main():
    train, test = batches(42), batches(0)
    for name, (step, rate) in RULES.items():
        px.RKG.seed(0)
        found = np.asarray([accuracies(step, rate, train, test) for _ in range(SEEDS)])
        last, best = found[:, -1], found.max(1)
        print(f"{name}: last {last.mean():.2%} ± {last.std():.2%}, best {best.mean():.2%} ± {best.std():.2%}")


if __name__ == "__main__":
    main()
