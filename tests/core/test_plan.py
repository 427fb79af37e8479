"""The kept walk of a model is dropped when the model isn't what it was."""

# Attributes that no class declares are what is tested here.
# pyright: reportAttributeAccessIssue=false

import argparse
import dataclasses
import types
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import pytest

import pcx as px
import pcx.functional as pxf
from pcx.core._walk import plan_for


class Model(px.Module):
    def __init__(self):
        super().__init__()
        self.a = px.Param(jnp.array(1.0))
        self.b = px.Param(jnp.array(10.0))
        self.layers = [px.Param(jnp.array(100.0))]
        self.by_name = {"x": px.Param(jnp.array(1000.0))}
        self.n = 2
        self.names = px.static(["p"])
        self.options = px.static({"k": [1]})


def total(*, m):
    """Depends on everything that a test below changes."""
    out = m.a * 1.0 + 2.0 * m.b
    if hasattr(m, "c"):
        out = out + 7.0 * m.c
    for i, p in enumerate(m.layers):
        out = out + (i + 1) * p
    for name, p in m.by_name.items():
        out = out + len(name) * p
    if getattr(m.a, "frozen", False):
        out = out * 3.0
    out = out + 0.1 * len(m.names) + 0.01 * sum(m.options["k"]) + 0.001 * m.n
    if m.is_train:
        out = -out
    return out


def swap(m):
    m.a, m.b = m.b, m.a


def rename(m):
    m.c = m.b
    m.b = m.a


CHANGES = {
    "append": lambda m: m.layers.append(px.Param(jnp.array(5.0))),
    "remove": lambda m: m.layers.pop(),
    "replace in list": lambda m: m.layers.__setitem__(0, px.Param(jnp.array(6.0))),
    "same size": lambda m: m.layers.__setitem__(slice(None), [m.a]),
    "new list": lambda m: setattr(m, "layers", [m.a, m.b]),
    "add to dict": lambda m: m.by_name.update(yy=px.Param(jnp.array(3.0))),
    "other key": lambda m: m.by_name.update(xyz=m.by_name.pop("x")),
    "rename": rename,
    "swap": swap,
    "alias": lambda m: setattr(m, "b", m.a),
    "replace": lambda m: setattr(m, "a", px.Param(jnp.array(4.0))),
    "new attribute": lambda m: setattr(m, "c", px.Param(jnp.array(4.0))),
    "value": lambda m: m.a.set(jnp.array(4.0)),
    "dtype": lambda m: m.a.set(jnp.array(4)),
    "fact": lambda m: setattr(m.a, "frozen", True),
    "other fact": lambda m: setattr(m.b, "frozen", True),
    "mode": lambda m: m.train(),
    "number": lambda m: setattr(m, "n", 3),
    "number's type": lambda m: setattr(m, "n", 2.5),
    "static": lambda m: setattr(m, "names", px.static(["p", "q"])),
    "static in place": lambda m: m.names.append("q"),
    "deep static in place": lambda m: m.options["k"].append(5),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changes_are_noticed(change):
    m, j = Model(), pxf.jit()(total)
    for _ in range(2):
        np.testing.assert_allclose(j(m=m), total(m=m), rtol=1e-6)
    before = float(j(m=m))
    CHANGES[change](m)
    for _ in range(2):
        np.testing.assert_allclose(j(m=m), total(m=m), rtol=1e-6)
    assert change == "other fact" or float(j(m=m)) != before


def test_a_fact_taken_away():
    m, j = Model(), pxf.jit()(total)
    m.a.frozen = True
    first = j(m=m)
    del m.a.frozen
    np.testing.assert_allclose(j(m=m) * 3, first, rtol=1e-3)


@dataclasses.dataclass
class Mutable:
    n: int


@pytest.mark.parametrize("wrap", [px.static, lambda x: x])
@pytest.mark.parametrize(
    ("make", "read", "change"),
    [
        (lambda: types.SimpleNamespace(n=2), lambda x: x.n, lambda x: setattr(x, "n", 3)),
        (lambda: argparse.Namespace(n=[2]), lambda x: x.n[0], lambda x: x.n.__setitem__(0, 3)),
        (lambda: Mutable(2), lambda x: x.n, lambda x: setattr(x, "n", 3)),
        (lambda: {1, 2}, len, lambda x: x.add(3)),
        (lambda: bytearray(b"ab"), len, lambda x: x.append(3)),
    ],
)
def test_mutable_program_values_are_watched(wrap, make, read, change):
    m = Model()
    value = make()
    m.config = wrap(value)
    j = pxf.jit()(lambda *, m: m.a * read(m.config))
    assert j(m=m) == 2
    change(value)
    assert j(m=m) == 3


def test_an_array_in_a_static_is_watched():
    m, table = Model(), np.array([2.0])
    m.table = px.static(table)
    j = pxf.jit()(lambda *, m: m.a * m.table[0])
    assert j(m=m) == 2
    table[0] = 3
    assert j(m=m) == 3


def test_a_mutable_dataclass_that_is_a_pytree_is_watched():
    @jtu.register_dataclass
    @dataclasses.dataclass
    class Node:
        p: px.Param

    m = Model()
    m.node = Node(px.Param(jnp.array(2.0)))
    j = pxf.jit()(lambda *, m: m.node.p.get())
    assert j(m=m) == 2
    m.node.p = px.Param(jnp.array(3.0))
    assert j(m=m) == 3


def test_plan_is_kept_and_not_shared():
    m = Model()
    first = plan_for({"m": m})
    assert plan_for({"m": m}) is first
    m.a.set(jnp.array(2.0))
    assert plan_for({"m": m}) is first
    assert plan_for({"m": Model()}) is not first
    m.layers.append(px.Param(0.0))
    assert plan_for({"m": m}) is not first
    assert jtu.tree_structure(m).num_leaves == 6
    assert not any("plan" in name for name in vars(m))


def test_leaves_given_by_keyword_are_not_remembered():
    m, j = Model(), pxf.jit()(lambda *, m, x: m.a * x)
    for x in (1.0, 2.0, jnp.array(3.0), np.float32(4)):
        assert j(m=m, x=x) == x


class Pair(NamedTuple):
    p: px.Param
    q: list


def test_skeletons_rebuild_any_container():
    import collections

    m = Model()
    m.pair = Pair(px.Param(jnp.array(1.0)), [m.a])
    m.ordered = collections.OrderedDict(z=m.a, y=px.Param(jnp.array(2.0)))
    m.default = collections.defaultdict(list, k=[m.b])
    m.me = m
    m.same = m.layers

    def fn(*, m):
        assert m.me is m
        assert m.same is m.layers
        assert m.pair.q[0] is m.a
        assert m.ordered["z"] is m.a
        assert list(m.ordered) == ["z", "y"]
        assert m.default["k"][0] is m.b
        assert m.default["new"] == []
        m.pair.p.set(m.ordered["y"] * 5)
        m.default["k"][0] += 1

    pxf.jit()(fn)(m=m)
    assert m.pair.p.get() == 10
    assert m.b.get() == 11
    assert "new" not in m.default


def test_cycles():
    a, b = Model(), Model()
    a.other, b.other = b, a

    def fn(*, a, b):
        assert a.other is b
        assert b.other is a
        a.other.a += 1
        b.other.a += 2

    for transform in (pxf.jit(), lambda f: f):
        transform(fn)(a=a, b=b)
    assert (float(a.a.get()), float(b.a.get())) == (5.0, 3.0)


def test_modes_are_part_of_a_program_only_if_read():
    m, not_reads = Model(), pxf.jit()(lambda *, m: m.a * 5)
    reads = pxf.jit()(lambda *, m: total(m=m))
    for mode in (m.train, m.eval, m.train, m.eval):
        mode()
        np.testing.assert_allclose(reads(m=m), total(m=m), rtol=1e-6)
        assert not_reads(m=m) == 5
    assert reads.n_traces == 2
    assert not_reads.n_traces == 1


def test_a_mode_read_in_a_later_trace_of_a_shared_program():
    j = pxf.jit()(lambda x, *, m: x * (2.0 if x.shape[0] > 2 and m.is_train else 1.0))
    a, b = Model(), Model()
    a.train()
    b.eval()
    for n, m, expected in [(2, a, 1), (2, b, 1), (3, b, 1), (3, a, 2), (2, a, 1), (3, b, 1), (4, a, 2), (4, b, 1)]:
        assert j(jnp.ones(n), m=m)[0] == expected


def test_a_mode_set_inside_stays_inside():
    m = Model()

    def fn(*, m):
        m.eval()
        return jnp.array(m.is_eval)

    assert pxf.jit()(fn)(m=m)
    assert not m.is_eval
    m.train()
    assert pxf.jit()(fn)(m=m)
    assert m.is_train


def test_a_returned_module_has_the_values_and_modes_of_its_call():
    m, j = Model(), pxf.jit()(lambda *, m: (m, m.b))
    for mode in (m.train, m.eval):
        mode()
        out, b = j(m=m)
        assert out.is_train is m.is_train
        assert out.a.get() == 1
        assert b.get() == 10
        m.b.set(jnp.array(10.0))
    assert isinstance(out.a.get(), jax.Array)
