"""A run of a second, that all tests share, so that it is compiled once."""

import json
from typing import Any

import jax
import jax.tree_util as jtu
import numpy as np
import optax

import pcx
import pcx.learning as pxl
import pcx.models as pxm
import pcx.training as pxt


def moons(n=96, seed=0, dtype=np.int32):
    """Two half circles, `x [n, 2]` and `y [n]`."""
    draw = np.random.default_rng(seed)
    angle, y = draw.uniform(0, np.pi, n), np.arange(n) % 2
    x = np.stack([np.where(y, 1 - np.cos(angle), np.cos(angle)), np.where(y, 0.5 - np.sin(angle), np.sin(angle))], 1)
    return (x + draw.normal(0, 0.1, (n, 2))).astype(np.float32), y.astype(dtype)


TRAIN, HELD_OUT = moons(), moons(50, seed=1)  # six batches of 16
RULE = pxl.pc(optax.adamw(1e-2), optax.sgd(0.1), 4)


def by_rate(lr):
    return pxl.pc(optax.adamw(lr), optax.sgd(0.1), 4)


def make():
    return pxm.MLP([2, 8, 2])


def model(seed=0):
    before = pcx.RKG.key.get()
    pcx.RKG.seed(seed)
    try:
        return make()
    finally:
        pcx.RKG.key.set(before)


def train(net: Any = None, rule: Any = RULE, data: Any = TRAIN, validation: Any = HELD_OUT, **options: Any):
    """`fit` with what is usual here; without a figure, since drawing takes longer than training."""
    options = {"epochs": 3, "batch_size": 16, "show": False, "figure": False, **options}
    return pxt.fit(model() if net is None else net, rule, data, validation, **options)


def arrays(state):
    """All arrays of a state, on the host."""
    return [np.asarray(leaf) for leaf in jtu.tree_leaves(jax.device_get(state))]


def same_bits(a, b):
    """Whether two runs have the same states, bit for bit, and the same history but for the time that it took."""
    states = all(
        x.dtype == y.dtype and x.tobytes() == y.tobytes()
        for s, t in zip(a.states, b.states, strict=True)
        for x, y in zip(arrays(s), arrays(t), strict=True)
    )
    return states and timeless(a.history) == timeless(b.history)


def timeless(rows):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


def lines(folder):
    """The rows of a folder's `metrics.jsonl`."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


class Cut(Exception):
    """What `cut_after` raises."""


def at_batch(number, do):
    """Options of a run that does something before its batch of this number, counted from 0 in this process."""
    done = 0

    def before(dispatch):
        nonlocal done
        if done == number:
            do()
        done += dispatch.batches

    return {"on_dispatch": before, "batches_per_dispatch": 1}


def cut_after(batches):
    """Options of a run that dies once it has done so many batches."""

    def cut():
        raise Cut

    return at_batch(batches, cut)
