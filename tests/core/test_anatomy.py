"""One answer to what is inside of an object: every walk over a model finds the same, in the same places."""

import collections
import dataclasses
import functools
import types
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import pytest

import pcx as px
import pcx.nn as pxnn
import pcx.utils as pxu
from pcx.core import Kind, contents, inside, kind_of, params_by_path, parts, step


class Pair(NamedTuple):
    a: object
    b: object


class Node(px.Module):
    def __init__(self, value: float):
        super().__init__()
        self.p = px.Param(jnp.array(value))


class Holder(eqx.Module):
    module: Node
    items: list


class Everything(px.Module):
    def __init__(self):
        super().__init__()
        self.node = Node(1.0)
        self.list = [Node(2.0), (Node(3.0), px.Param(4.0))]
        self.dict = {"b": Node(5.0), "a b": px.ParamDict({"x": jnp.ones(2)})}
        self.ordered = collections.OrderedDict(z=Node(6.0), a=Node(7.0))
        self.pair = Pair(Node(8.0), [px.Param(9.0)])
        self.foreign = Holder(Node(10.0), [Node(11.0)])
        self.layer = pxnn.Linear(2, 2)
        self.again = self.node
        self.act = px.static(jnp.tanh)
        self.number, self.text, self.fn = 3, "text", jnp.cos
        self.me = self


PATHS = [
    ".node.p",
    ".list[0].p",
    ".list[1][0].p",
    ".list[1][1]",
    ".dict['b'].p",
    ".dict['a b']",
    ".ordered['z'].p",
    ".ordered['a'].p",
    ".pair.a.p",
    ".pair.b[0]",
    ".foreign.module.p",
    ".foreign.items[0].p",
    ".layer.nn.weight",
    ".layer.nn.bias",
]


def at(model, path):
    return eval(f"m{path}", {"m": model})


def test_every_walk_finds_the_same_params():
    model = Everything()
    found = params_by_path(model)
    first = {".again.p": ".node.p"}  # a param that is met twice has the path that comes first by name
    assert {first.get(path, path) for path in found} == set(PATHS)
    assert all(found[path] is at(model, path) for path in found)
    mask = pxu.M(px.BaseParam)(model)
    assert {id(at(mask, path)) for path in PATHS} == {id(p) for p in found.values()}
    del model.me  # JAX itself can't flatten a circle
    paths = [jtu.keystr(p) for p, leaf in jtu.tree_leaves_with_path(model, is_leaf=lambda x: type(x) in BOXES)]
    assert {first.get(path, path) for path in found} <= set(paths)
    assert {id(p) for p in px.tree_extract(model)} == {id(p) for p in found.values()}


BOXES = {px.Param, px.ParamDict, pxnn.LayerParam}


def test_modules_are_found_wherever_params_are():
    model = Everything()
    nodes = [at(model, path).p for path in (p.removesuffix(".p") for p in PATHS if p.endswith(".p"))]
    direct = [m.p for m in model.submodules(cls=Node)]
    assert [id(p) for p in direct] == [id(p) for p in nodes]
    model.train()
    assert all(m.is_train for m in [*model.submodules(cls=Node), model.layer])


def test_parts_and_their_names():
    model = Everything()
    assert [kind_of(getattr(model, name)).name for name in vars(model)] == [
        *["STATIC", "MODULE", "LIST", "DICT", "DICT", "TREE", "TREE", "MODULE", "MODULE", "STATIC"],
        *["LEAF", "CONSTANT", "CONSTANT", "MODULE"],
    ]
    for x in (model, model.list, model.list[1], model.dict, model.pair, model.foreign, model.layer.nn):
        kind, held = parts(x)
        assert [id(child) for _, child in held] == [id(child) for child in inside(x, kind)]
        assert all(at(x, step(kind, name)) is child for name, child in held)
    assert parts(model.number) == (Kind.LEAF, [])
    assert parts(None) == (Kind.CONSTANT, [])


@dataclasses.dataclass
class Record:
    n: int
    names: list


@pytest.mark.parametrize(
    ("x", "kind", "names"),
    [
        ([5, 6], Kind.LIST, [0, 1]),
        (Pair(5, 6), Kind.TUPLE, [0, 1]),
        ({"a": 5}, Kind.DICT, ["a"]),
        ({5}, Kind.SET, [None]),
        (types.SimpleNamespace(n=5), Kind.RECORD, ["n"]),
        (Record(5, []), Kind.DATACLASS, ["n", "names"]),
        (functools.partial(jnp.sum, axis=5), Kind.WRAPPER, ["func", "args", "keywords"]),
        (Everything.train, Kind.CONSTANT, []),
        (px.static(5), Kind.STATIC, ["value"]),
        (5, Kind.CONSTANT, []),
        (np.ones(2), Kind.CONSTANT, []),
        (jax.jit(jnp.sum), Kind.CONSTANT, []),
    ],
)
def test_contents_of_constants(x, kind, names):
    found, held = contents(x)
    assert found is kind
    assert [name for name, _ in held] == names
