"""Steps: statuses that come and go, what is cleared before and after."""

import jax.numpy as jnp
from record import program

import pcx as px
import pcx.functional as pxf
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.utils as pxu

ROW = "pxu: step"


class Net(pxc.EnergyModule):
    def __init__(self):
        super().__init__()
        self.a, self.b = pxc.Vode(), [pxc.Vode()]
        self.layer = pxnn.Linear(2, 2)


def statuses(m):
    return [m.status, m.a.status, m.b[0].status]


def filled():
    m = Net()
    for i, v in enumerate((m.a, m.b[0])):
        v(jnp.full(2, 1.0 + i), h=jnp.full(2, -1.0))
    return m


def held(m):
    return [[v.h.get(), v.cache.get()] for v in (m.a, m.b[0])]


@program(ROW)
def step_sets_a_status(show):
    m = Net()
    with pxu.step(m, pxc.STATUS.INIT):
        show("inside", statuses(m))
    with pxu.step(m):
        show("none given", statuses(m))


@program(ROW)
def step_status_afterwards(show):
    m = Net()
    with pxu.step(m, pxc.STATUS.INIT):
        pass
    show("after one", statuses(m))
    m = Net()
    with pxu.step(m, "a"):
        with pxu.step(m, "b"):
            show("inner", statuses(m))
        show("outer again", statuses(m))
    show("after nested ones", statuses(m))


@program(ROW)
def step_pair_of_statuses(show):
    m = Net()
    with pxu.step(m, ("a", "b")):
        show("first", statuses(m))
    show("second", statuses(m))
    with pxu.step(m, ("a", None)):
        pass
    show("none", statuses(m))


@program(ROW)
def step_clears_afterwards(show):
    for name, what in {
        "cache": pxc.VodeParam.Cache,
        "h": pxc.VodeParam,
        "both": pxc.VodeParam | pxc.VodeParam.Cache,
    }.items():
        m = filled()
        with pxu.step(m, None, clear_params=what):
            show(f"{name} inside", held(m))
        show(f"{name} after", held(m))


@program(ROW)
def step_clears_before_and_after(show):
    m = filled()
    with pxu.step(m, None, clear_params=(pxc.VodeParam.Cache, pxc.VodeParam)):
        show("before", held(m))
        m.a(jnp.zeros(2))
    show("after", held(m))
    m = filled()
    with pxu.step(m, None, clear_params=lambda p: isinstance(p, pxc.VodeParam) and p.get() is not None):
        pass
    show("by a predicate", held(m))


@program(ROW)
def step_and_exceptions(show):
    m = filled()

    def f():
        with pxu.step(m, ("a", "done"), clear_params=pxc.VodeParam.Cache):
            raise RuntimeError("stop")

    show.raises("raised", f)
    show("status", statuses(m))
    show("cleared", held(m))


@program(ROW)
def step_on_plain_modules(show):
    class Plain(px.Module):
        def __init__(self):
            super().__init__()
            self.net = filled()

    m = Plain()
    with pxu.step(m, "a"):
        show("inside", statuses(m.net))

    def clear():
        with pxu.step(m, "a", clear_params=pxc.VodeParam.Cache):
            pass
        return held(m.net)

    show.raises("clearing", clear)


@program(ROW)
def step_inside_jit(show):
    m = filled()

    @pxf.jit()
    def f(x, *, m):
        with pxu.step(m, pxc.STATUS.INIT, clear_params=pxc.VodeParam.Cache):
            m.a(x)
            m.b[0](m.layer(m.a.get("h")))
        with pxu.step(m, clear_params=pxc.VodeParam.Cache):
            m.a(x + 1)
            return m.a.get("h"), m.a.get("u")

    show("returned", f(jnp.array([3.0, 4.0]), m=m))
    show("after", held(m))
