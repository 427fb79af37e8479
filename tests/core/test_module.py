"""Modules: attribute containers that are pytrees."""

# Attributes that no class declares are what is tested here.
# pyright: reportAttributeAccessIssue=false

import copy
import pickle

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import pytest

import pcx as px
import pcx.functional as pxf
import pcx.nn as pxnn


class Leaf(px.Module):
    def __init__(self, v: float | jax.Array = 0.0):
        super().__init__()
        self.p = px.Param(v)


class Bare(px.BaseModule):  # no call of super().__init__()
    def __init__(self):
        self.a = px.Param(jnp.ones(2))
        self.n = 3


def test_structure_is_independent_of_the_order_of_assignment():
    a, b = Bare(), Bare()
    del b.a
    b.a = px.Param(jnp.zeros(2))
    assert list(vars(a)) != list(vars(b))
    assert jtu.tree_structure(a) == jtu.tree_structure(b)
    b.extra = None
    assert jtu.tree_structure(a) != jtu.tree_structure(b)


def test_paths_and_round_trip():
    a = Bare()
    leaves, treedef = jtu.tree_flatten_with_path(a)
    assert [jtu.keystr(path) for path, _ in leaves] == [".a.value", ".n"]
    back = jtu.tree_unflatten(treedef, [leaf for _, leaf in leaves])
    assert type(back) is Bare
    assert back.a is not a.a
    assert back.a.get() is a.a.get()
    assert jax.jit(lambda m: m.a.get() * m.n)(a)[0] == 3


@pytest.mark.parametrize("made", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies(made):
    m = Leaf(jnp.ones(2))
    m.again = m.p
    m.train()
    new = made(m)
    assert new.again is new.p
    assert new.p is not m.p
    assert new.is_train
    np.testing.assert_array_equal(new.p.get(), 1)


def test_submodules():
    m = Leaf()
    m.layers = [Leaf(), (Bare(), {"k": Leaf()})]
    m.again = m.layers[0]
    m.bare = Bare()
    m.bare.inner = Leaf()
    found = list(m.submodules())
    assert [id(f) for f in found] == [id(m.layers[0]), id(m.layers[1][0]), id(m.layers[1][1]["k"]), id(m.bare)]
    assert all(type(f) is Bare for f in m.submodules(cls=Bare))
    assert len(list(m.submodules(cls=Bare))) == 2


def test_modes():
    m = Leaf()
    m.layers = [Leaf(), Bare()]
    m.me = m
    assert m.mode() is px.Module.MODE.NONE
    m.train()
    assert m.is_train
    assert m.layers[0].is_train
    m.eval()
    assert m.is_eval
    assert not m.layers[0].is_train
    assert m.layers[0].mode() is px.Module.MODE.EVAL


def test_repr_names_the_params():
    assert ".p" in repr(Leaf())
    assert repr(px.Module()) == "(Module): (empty)"


def test_no_mode_is_falsy_and_a_copy_has_a_mode_of_its_own():
    m = Leaf()
    assert not m.mode()
    assert m.mode() == None  # noqa: E711
    assert m.mode() != px.Module.MODE.TRAIN
    new = jtu.tree_map(lambda x: x, m)
    new.train()
    assert m.mode() is px.Module.MODE.NONE
    assert m.mode(px.Module.MODE.EVAL)
    assert new.is_train


def test_modes_are_whole_numbers():
    m, mode = Leaf(), px.Module.MODE
    assert [int(x) for x in (mode.NONE, mode.TRAIN, mode.EVAL)] == [0, 1, 2]
    assert m.mode(2) is mode.EVAL
    assert m.is_eval
    assert mode.NONE == None == mode.NONE  # noqa: E711
    assert mode.TRAIN != None  # noqa: E711
    assert bool(mode.TRAIN)
    assert not bool(mode.NONE)
    assert {mode.TRAIN: "t"}[m.mode(1)] == "t"


def test_submodules_of_a_class_are_the_nearest_through_others():
    m = Leaf()
    m.bare = Bare()
    m.bare.inner = [Leaf(), {"a": (Leaf(), Bare())}]
    m.bare.inner[0].deep = Leaf()
    assert list(m.submodules(cls=Leaf)) == [m.bare.inner[0], m.bare.inner[1]["a"][0]]
    assert list(m.submodules(cls=Bare)) == [m.bare]
    assert list(m.submodules()) == list(m.submodules(cls=px.BaseModule)) == [m.bare]
    m.bare.me = m
    assert len(list(m.submodules(cls=Leaf))) == 2


def test_submodules_of_a_class_of_params_are_the_params_inside():
    m = Leaf()
    m.first = Leaf(1.0)
    m.tree = {"a": (Leaf(2.0), m.first), "lin": pxnn.Linear(2, 2)}
    m.static = px.static(3)
    found = [m.p, m.first.p, m.tree["a"][0].p, m.tree["lin"].nn.weight, m.tree["lin"].nn.bias]
    assert [id(p) for p in m.submodules(cls=px.Param)] == [id(p) for p in found]
    assert [type(p) for p in m.submodules(cls=pxnn.LayerParam)] == [pxnn.LayerParam] * 2
    assert any(p is m.static for p in m.submodules(cls=px.StaticParam))


def test_a_copy_made_in_a_compiled_function_reads_what_it_copies():
    m = Leaf(2.0)
    m.train()

    def fn(*, m):
        new = copy.deepcopy(m)
        return new.p.get() * (3.0 if new.is_train else 1.0)

    j = pxf.jit()(fn)
    assert j(m=m) == 6
    m.p.set(5.0)
    m.eval()
    assert j(m=m) == 5


@pytest.mark.parametrize("value", ["training", 3, ["train"]])
def test_what_is_no_mode_is_refused_by_name(value):
    with pytest.raises(ValueError, match=r"^Module.mode: expected one of MODE.NONE, MODE.TRAIN, MODE.EVAL, got "):
        px.Module().mode(value)
