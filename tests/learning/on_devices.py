# pyright: reportArgumentType=false, reportOptionalMemberAccess=false
"""Every rule on four devices against one. Run by `training/test_layout.py`, in a process that has so many."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh

import pcx.inference as pxi
import pcx.learning as pxl
import pcx.models as pxm
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.training as pxt

from .problems import cast
from .test_every_rule import NAMES, RATES, build, leaves, rules

DEVICES = np.array(jax.devices())
HALVES = Mesh(DEVICES.reshape(2, 2), ("batch", "ensemble"))
X, Y = (np.random.default_rng(seed).normal(size=(96, width)) for seed, width in ((1, 3), (2, 2)))


def fitted(net: Any, rule: Any, data: Any = (X, Y), validation: Any = None, **options: Any) -> pxt.Fit:
    options = {"epochs": 9, "batch_size": 16, "show": False, **options}
    return pxt.fit(net() if "seeds" not in options else net, rule, data, validation, **options)


def apart(one: pxt.Fit, two: pxt.Fit) -> float:
    """The largest relative difference of an array of the states, and of a number of the histories."""
    assert one.ended == two.ended == "done"
    assert len(one.states) == len(two.states)
    pairs = [p for s, t in zip(one.states, two.states, strict=True) for p in zip(leaves(s), leaves(t), strict=True)]
    for a, b in zip(one.history, two.history, strict=True):
        assert a.keys() == b.keys()
        pairs += [(np.asarray(a[k]), np.asarray(b[k])) for k in a if k != "seconds" and isinstance(a[k], (int, float))]
    floats = [(a, b) for a, b in pairs if np.issubdtype(a.dtype, np.floating)]
    assert all(np.array_equal(a, b) for a, b in pairs if not np.issubdtype(a.dtype, np.floating))
    return max(float(np.linalg.norm(a - b) / (np.linalg.norm(a) + 1e-9)) for a, b in floats)


@pytest.mark.parametrize("name", NAMES)
def test_every_rule(double, name):
    """After 54 steps, with the numbers of the history."""
    rule = rules()[name](*RATES)
    one, four = (fitted(lambda: cast(build(name)), rule, mesh=mesh) for mesh in (None, 4))
    assert apart(one, four) < 1e-6
    assert {len(leaf.devices()) for s in four.states for leaf in jax.tree.leaves(s)} == {1}


def test_single_precision():
    rule = rules()["pc"](*RATES)
    data = X.astype(np.float32), Y.astype(np.float32)
    one, four = (fitted(lambda: build("pc"), rule, data, mesh=mesh) for mesh in (None, 4))
    for a, b in zip(one.states[0].weights.values(), four.states[0].weights.values(), strict=True):
        assert float(np.linalg.norm(a - b) / np.linalg.norm(a)) < 5e-6


SETTLED = {
    "layer time": {"T": 4, "schedule": pxi.LayerTime()},
    "sweeps": {"T": 4, "schedule": pxi.Sweeps()},
    "plateau": {"T": pxi.Plateau(20, rtol=1e-2)},
}


@pytest.mark.parametrize("name", SETTLED)
def test_schedules_and_stops(double, name):
    rule = pxl.pc(optax.adam(0.01), optax.sgd(0.2), **SETTLED[name])
    one, four = (fitted(lambda: cast(build("pc")), rule, mesh=mesh, epochs=3) for mesh in (None, 4))
    assert apart(one, four) < 1e-9
    if name == "plateau":
        assert all(row["steps"] < 20 for row in four.history)


def noisy(key, x):
    return x + 0.1 * jax.random.normal(key, x.shape, x.dtype)


class Normed(pxc.EnergyModule):
    """What looks at a whole batch, and what draws random numbers."""

    def __init__(self):
        super().__init__()
        self.first, self.last = pxnn.Linear(3, 8), pxnn.Linear(8, 2)
        self.norm, self.drop = pxnn.BatchNorm(8, "batch", dtype=jnp.float64), pxnn.Dropout(0.3)
        self.hidden, self.out = pxc.Vode(), pxc.Vode(output=True)

    def __call__(self, x, y=None):
        return self.out(self.last(self.drop(self.hidden(jnp.tanh(self.norm(self.first(x)))))))


def convolutional():
    shape = {"shape": (3, 8, 8), "classes": 4}
    return cast(pxm.VGG((4, 6), (True, False), (1, 1), **shape, act=jax.nn.gelu, energy=pxc.ce_energy))


NETS = {
    "normed": (lambda: cast(Normed()), (X, Y)),
    "convolutional": (convolutional, (np.random.default_rng(3).normal(size=(48, 3, 8, 8)), np.arange(48) % 4)),
}


@pytest.mark.parametrize("name", NETS)
def test_two_networks_on_two_devices_each(double, name):
    net, data = NETS[name]
    rule = pxl.pc(optax.adam(0.01), optax.sgd(0.1), 4)
    options: dict[str, Any] = {"seeds": [0, 1], "epochs": 3, "augment": noisy, "validation": data}
    one, halves = (fitted(net, rule, data, mesh=mesh, **options) for mesh in (None, HALVES))
    assert apart(one, halves) < 1e-6


def test_weights_of_samples_and_missing_targets(double):
    targets = pxl.Targets(Y, weight=np.arange(96) % 3, known=np.arange(96) % 5 != 0)
    rule = pxl.pc(optax.adam(0.01), optax.sgd(0.1), 4)
    options: dict[str, Any] = {"validation": (X, targets), "epochs": 3}
    one, four = (fitted(lambda: cast(build("pc")), rule, (X, targets), mesh=mesh, **options) for mesh in (None, 4))
    assert apart(one, four) < 1e-9
