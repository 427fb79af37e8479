"""What a function depends on is found through any nesting of transforms: modes, statuses, statics and values."""

import random

import jax.numpy as jnp
import pytest

import pcx as px
import pcx.functional as pxf
import pcx.predictive_coding as pxc
import pcx.utils as pxu


class Leaf(pxc.EnergyModule):
    def __init__(self):
        super().__init__()
        self.p = px.Param(jnp.array(2.0))
        self.k = px.static(3)


class Model(pxc.EnergyModule):
    def __init__(self):
        super().__init__()
        self.a, self.b = Leaf(), Leaf()
        self.b.k = self.a.k
        self.c = px.static([1, 2])


def value(x, *, m):
    """Depends on everything that is changed below."""
    out = x * m.a.p.get() * m.b.k.get() * len(m.c)
    return out + (100 if m.a.is_train else 0) + (1000 if m.b.status == "s" else 0)


def mapped(x, *, m):
    return pxf.vmap(in_axes=0)(value)(jnp.stack([x, x]), m=m)[0]


def differentiated(x, *, m):
    return pxf.value_and_grad(pxu.M(px.Param).to((False, True)))(lambda *, m: value(x, m=m))(m=m)[0]


def scanned(x, *, m):
    return pxf.scan(lambda _, c, *, m: (c, value(x, m=m)), jnp.arange(2.0))(x, m=m)[1][0]


def chosen(x, *, m):
    return pxf.cond(value, lambda x, *, m: 1 * value(x, m=m))(True, x, m=m)


def looped(x, *, m):
    return pxf.while_loop(lambda i, y, *, m: (i + 1, value(x, m=m)), lambda i, y, *, m: i < 2)(0, x, m=m)[1]


def static_set_and_back(x, *, m):
    old = m.b.k.get()
    m.a.k.set(10)
    value(x, m=m)
    m.a.k.set(old)
    return value(x, m=m)


def status_set_and_back(x, *, m):
    with pxu.step(m, "s"):
        value(x, m=m)
    return value(x, m=m)


def mode_set(x, *, m):
    before = value(x, m=m)
    m.train()
    return before + 0 * value(x, m=m)


CHANGES = {
    "train": lambda m, _: m.train(),
    "eval": lambda m, _: m.eval(),
    "no mode": lambda m, _: m.a.mode(px.Module.MODE.NONE),
    "status": lambda m, draw: setattr(m.b, "status", draw.choice([None, "s"])),
    "static": lambda m, draw: m.a.k.set(draw.choice([3, 4, 5])),
    "static in place": lambda m, _: m.c.append(1) if len(m.c) < 5 else m.c.pop(),
    "value": lambda m, draw: m.a.p.set(jnp.array(draw.choice([1.0, 2.0, 3.0]))),
}
FUNCTIONS = [
    *[value, mapped, differentiated, scanned, chosen, looped],
    *[static_set_and_back, status_set_and_back, mode_set],
]


@pytest.mark.parametrize("fn", FUNCTIONS, ids=lambda fn: fn.__name__)
def test_any_change_is_noticed_through_any_nesting(fn):
    draw = random.Random(fn.__name__)
    models = [Model(), Model()]
    once, twice = pxf.jit()(fn), pxf.jit()(pxf.jit()(fn))
    for _ in range(12):
        CHANGES[draw.choice([*CHANGES])](draw.choice(models), draw)
        m = draw.choice(models)
        expected = float(value(jnp.array(1.0), m=m))
        assert [float(j(jnp.array(1.0), m=m)) for j in (once, twice)] == [expected] * 2
