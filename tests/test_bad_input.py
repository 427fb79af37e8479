# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# (wrong types are what this file is about)
"""What is wrong is said once, clearly, by the call that was wrong; and every object is as it was."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import optax
import pytest
from jax.core import Tracer

import pcx as px
import pcx.functional as pxf
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.utils as pxu

BATCHED = pxu.M(pxc.VodeParam | pxc.VodeParam.Cache).to((None, 0))
WEIGHTS = pxu.M(pxnn.LayerParam).to((False, True))


class Net(pxc.EnergyModule):
    def __init__(self, n=3, width=3, seed=0):
        super().__init__()
        rkg = px.RandomKeyGenerator(seed)
        self.layers = [pxnn.Linear(width if i else 3, width, rkg=rkg) for i in range(n)]
        self.vodes = [pxc.Vode() for _ in range(n)]
        self.rate = 0.5
        self.constant = px.static([1, 2])

    def __call__(self, x):
        for layer, vode in zip(self.layers, self.vodes, strict=True):
            x = vode(jnp.tanh(layer(x)))
        return x


class Box(px.Module):
    def __init__(self):
        super().__init__()
        self.p = px.Param(jnp.arange(3.0))
        self.n = px.Param(jnp.arange(3))
        self.empty = px.Param(None)
        self.p.note = {"kind": "a fact"}


@pxf.vmap(BATCHED, in_axes=0)
def forward(x, *, model):
    return model(x)


class World:
    """The objects that the bad calls are given."""

    def __init__(self, folder):
        self.model = Net()
        self.other = Net(2)
        self.box = Box()
        self.x = jnp.ones((4, 3))
        self.folder = folder
        self.vode = pxc.Vode()
        self.vode.h.set(jnp.ones(3))
        with pxu.step(self.model, pxc.STATUS.INIT):
            forward(self.x, model=self.model)
        self.optim = pxu.Optim(lambda: optax.adam(0.1), pxu.M(pxnn.LayerParam)(self.model))
        self.optim_tree = pxu.OptimTree(
            lambda: optax.adam(0.1), lambda node: isinstance(node, pxnn.Layer), pxu.M(pxnn.LayerParam)(self.model)
        )
        self.unready = pxu.Optim(lambda: optax.sgd(0.1))
        self.grads = jtu.tree_map(jnp.ones_like, pxu.M(pxnn.LayerParam)(self.model))

    def snapshot(self):
        seen: dict[int, Any] = {}
        return {name: snapshot(x, seen) for name, x in [*vars(self).items(), ("RKG", px.RKG)]}

    def mask(self, tree=None):
        return pxu.M(None).to((False, False))(self.model if tree is None else tree, is_pytree=True)


def snapshot(x: Any, seen: dict[int, Any]) -> Any:
    """Everything there is to know of an object: identities, values, facts, attributes. Finds tracers."""
    assert not isinstance(x, Tracer), "a tracer was left"
    if id(x) in seen:
        return ("again", id(x))
    if isinstance(x, px.StaticParam):
        assert x._mark is None, "a mark of a trace was left"
        return ("static", snapshot(x.get(), seen))
    if isinstance(x, px.BaseParam):
        seen[id(x)] = x
        assert x._mark is None, "a mark of a trace was left"
        return ("param", id(x), type(x), snapshot(x._value, seen), snapshot(x._facts, seen))
    if isinstance(x, px.BaseModule):
        seen[id(x)] = x
        return ("module", id(x), type(x), [(k, snapshot(v, seen)) for k, v in vars(x).items()])
    if isinstance(x, (jax.Array, np.ndarray)):
        return ("array", id(x), x.shape, x.dtype, np.asarray(x).tobytes())
    if isinstance(x, dict):
        return ("dict", id(x), type(x), [(k, snapshot(v, seen)) for k, v in x.items()])
    if isinstance(x, (list, tuple)):
        return (type(x), id(x) if isinstance(x, list) else None, [snapshot(v, seen) for v in x])
    if dataclasses.is_dataclass(x) and not isinstance(x, type):  # a layer of Equinox
        names = [f.name for f in dataclasses.fields(x)]
        return ("dataclass", id(x), [(name, snapshot(getattr(x, name, None), seen)) for name in names])
    leaves = jtu.tree_leaves(x, is_leaf=lambda y: y is not x)
    if len(leaves) == 1 and leaves[0] is x:
        return ("object", id(x), repr(x))
    return ("tree", id(x), [snapshot(v, seen) for v in leaves])


@dataclasses.dataclass
class Bad:
    name: str
    call: Any
    error: type[BaseException]
    says: tuple[str, ...]


CASES: list[Bad] = []


def bad(error, *says):
    """Enter a bad call into the table: a function of a world, what it must raise, and fragments of what it must say."""

    def enter(fn):
        CASES.append(Bad(fn.__name__, fn, error, says))
        return fn

    return enter


def entries(error, *rows):
    for name, call, *says in rows:
        CASES.append(Bad(name, call, error, tuple(says)))


def named(fn):
    fn.__name__ = fn.__qualname__ = "mine"
    return fn


# -- vmap -----------------------------------------------------------------------------------------------
def mapped(mask=BATCHED, in_axes: Any = 0, fn=None, **options):
    fn = named(lambda x, *, model: model(x)) if fn is None else named(fn)
    return pxf.vmap(mask, in_axes=in_axes, **options)(fn)


def set_state(x, *, model):
    model.vodes[1].h.set(x)


def without_vodes(w):
    mask = pxu.M(None).to((None, None))(w.model)
    del mask.vodes
    return mask


def with_text(w):
    mask = BATCHED(w.model)
    mask.vodes[1].h = "first"
    return mask


entries(
    ValueError,
    ("mask of another model", lambda w: mapped({"model": BATCHED(w.other)})(w.x, model=w.model),
     "pxf.vmap", "model.layers", "list of 3", "list of 2"),
    ("mask of another class", lambda w: mapped({"model": BATCHED(w.box)})(w.x, model=w.model),
     "pxf.vmap", "Net", "Box"),
    ("mask that lacks a part", lambda w: mapped({"model": without_vodes(w)})(w.x, model=w.model),
     "pxf.vmap", "model.vodes"),
    ("mask with a text in it", lambda w: mapped({"model": with_text(w)})(w.x, model=w.model),
     "pxf.vmap", "model.vodes[1].h", "str"),
    ("mask for an unknown keyword", lambda w: mapped({"modle": 0})(w.x, model=w.model), "pxf.vmap", "'modle'", "model"),
    ("mask without axes", lambda w: mapped(pxu.M(None))(w.x, model=w.model),
     "pxf.vmap of mine", "model.layers[0].nn.weight", "True"),
    ("too many in_axes", lambda w: mapped(in_axes=(0, 0))(w.x, model=w.model), "pxf.vmap of mine", "in_axes", "2", "1"),
    ("too few in_axes", lambda w: mapped(in_axes=())(w.x, model=w.model), "pxf.vmap of mine", "in_axes", "0", "1"),
    ("in_axes beyond the axes", lambda w: mapped(in_axes=2)(w.x, model=w.model),
     "pxf.vmap of mine", "axis 2", "(4, 3)"),
    ("in_axes for a scalar", lambda w: mapped()(1.0, model=w.model), "pxf.vmap of mine", "axis 0", "()"),
    ("in_axes of another structure", lambda w: mapped(in_axes=({"a": 0},))(w.x, model=w.model),
     "pxf.vmap of mine", "in_axes"),
    ("batches of two sizes",
     lambda w: mapped(in_axes=(0, 0), fn=lambda x, y, *, model: model(x))(w.x, w.x[:2], model=w.model),
     "pxf.vmap of mine", "4 in argument 0", "2 in argument 1"),
    ("states of another batch size", lambda w: mapped()(w.x[:2], model=w.model),
     "pxf.vmap of mine", "model.vodes[0].", "(4, 3)", "batch of 2"),
    ("an array by keyword of another batch size",
     lambda w: mapped({"k": 0}, fn=lambda x, *, k: x)(w.x, k=jnp.ones(3)), "pxf.vmap of mine", "k has shape (3,)", "4"),
    ("keywords of two sizes", lambda w: mapped({("a", "b"): 0}, in_axes=(), fn=lambda *, a, b: None)(
        a=px.Param(jnp.ones(2)), b=px.Param(jnp.ones(3))), "pxf.vmap of mine", "differ in size"),
    ("nothing mapped", lambda w: mapped(None, in_axes=(), fn=lambda *, model: None)(model=w.model),
     "pxf.vmap of mine", "nothing is mapped"),
    ("out_axes of another structure", lambda w: mapped(out_axes=(0, 0))(w.x, model=w.model),
     "pxf.vmap of mine", "out_axes=(0, 0)"),
    ("out_axes beyond the axes", lambda w: mapped(out_axes=5)(w.x, model=w.model), "pxf.vmap of mine", "out_axes=5"),
    ("out_axes None for a batch", lambda w: mapped(out_axes=None)(w.x, model=w.model),
     "pxf.vmap of mine", "out_axes=None"),
    ("a batched value in a param without an axis", lambda w: mapped(None, fn=set_state)(w.x, model=w.model),
     "pxf.vmap of mine", "model.vodes[1].h"),
    ("a value without the axis it is mapped by",
     lambda w: mapped({"box": 2}, fn=lambda x, *, box: named_set(box.empty, x))(w.x, box=w.box),
     "pxf.vmap of mine", "box.empty", "axis 2", "(3,)"),
)  # fmt: skip
entries(
    TypeError,
    ("in_axes of a wrong type", lambda w: mapped(in_axes="first")(w.x, model=w.model), "pxf.vmap of mine", "in_axes"),
    ("an axis of a wrong type", lambda w: mapped(in_axes=("a",))(w.x, model=w.model), "pxf.vmap of mine", "('a',)"),
    ("out_axes of a wrong type", lambda w: mapped(out_axes="a")(w.x, model=w.model),
     "pxf.vmap of mine", "out_axes='a'"),
    ("a missing keyword", lambda w: mapped()(w.x), "mine", "keyword-only argument: 'model'"),
    ("vmap of no function", lambda w: pxf.vmap()(3), "pxf.vmap", "int"),
    ("a mask function that returns no dict", lambda w: mapped(lambda objects: 0)(w.x, model=w.model),
     "pxf.vmap", "dict"),
)  # fmt: skip


def named_set(param, value):
    param.set(value)


# -- value_and_grad -------------------------------------------------------------------------------------
def grad(mask, fn, **options):
    return pxf.value_and_grad(mask, **options)(named(fn))


def total(*, model):
    return sum((jnp.sum(layer.nn.weight.get()) for layer in model.layers), start=jnp.zeros(()))


def with_word(w):
    mask = w.mask()
    mask.layers[0] = "all"
    return mask


entries(
    ValueError,
    ("grad mask of another model", lambda w: grad({"model": WEIGHTS(w.other)}, total)(model=w.model),
     "pxf.value_and_grad", "model.layers"),
    ("grad mask with a text in it", lambda w: grad({"model": with_word(w)}, total)(model=w.model),
     "pxf.value_and_grad", "model.layers[0]", "str"),
    ("argnums beyond the arguments", lambda w: grad({}, lambda x: x, argnums=1)(1.0),
     "pxf.value_and_grad of mine", "argument 1", "gave 1"),
    ("grad mask for an unknown keyword", lambda w: grad({"m": True}, total)(model=w.model),
     "pxf.value_and_grad", "'m'", "model"),
)  # fmt: skip
entries(
    TypeError,
    ("a text for an argument", lambda w: grad({}, lambda x: 1.0, argnums=0)("text"),
     "pxf.value_and_grad of mine", "positional argument 0", "'text'"),
    ("grad without the keyword", lambda w: grad({}, total)(), "mine", "'model'"),
)  # fmt: skip


# -- jit ------------------------------------------------------------------------------------------------
def compiled(fn, **options):
    return pxf.jit(**options)(named(fn))


entries(
    ValueError,
    ("static_argnums beyond the arguments",
     lambda w: compiled(lambda x, *, model: x, static_argnums=1)(w.x, model=w.model),
     "pxf.jit", "(1,)", "mine", "1 posi"),
    ("static_argnums from the end beyond the arguments",
     lambda w: compiled(lambda x, y, *, model: x, static_argnums=-3)(w.x, 1, model=w.model),
     "pxf.jit", "(-3,)", "mine"),
    ("static_argnums and no arguments",
     lambda w: compiled(lambda *, model: 1, static_argnums=-1)(model=w.model), "pxf.jit", "(-1,)", "mine", "0 posi"),
)  # fmt: skip
entries(
    TypeError,
    ("static_argnums of a wrong type", lambda w: compiled(lambda x: x, static_argnums="x"),
     "pxf.jit", "static_argnums"),
    ("an option that is not supported", lambda w: compiled(lambda x: x, in_shardings=None),
     "pxf.jit", "in_shardings"),
    ("an unknown option", lambda w: compiled(lambda x: x, donate=1), "pxf.jit", "'donate'"),
    ("jit of no function", lambda w: pxf.jit()(None), "pxf.jit", "NoneType"),
    ("jit without the keyword", lambda w: compiled(lambda x, *, model: x)(w.x), "mine", "'model'"),
    ("an argument that is no array", lambda w: compiled(lambda x, *, model: 1)("text", model=w.model),
     "pxf.jit of mine", "str", "static_argnums"),
    ("a result that is no array", lambda w: compiled(lambda x, *, model: "text")(w.x, model=w.model),
     "pxf.jit of mine", "returned", "str"),
    ("a param set to what is no array", lambda w: compiled(lambda *, box: named_set(box.p, object()))(box=w.box),
     "pxf.jit of mine", "box.p", "object"),
)  # fmt: skip


# -- loops and branches ---------------------------------------------------------------------------------
def loop(body, going=lambda i, *, box: i < 3):
    return pxf.while_loop(named(body), going)


def setting(name, value, result=lambda i: i):
    """A body that sets a param of the box."""

    def body(*args, box):
        getattr(box, name).set(value() if callable(value) else value)
        return result(*args)

    return named(body)


def none(*args, box):
    return None


entries(
    ValueError,
    ("while: a param changes its shape", lambda w: loop(setting("p", jnp.ones(4)))(0, box=w.box),
     "pxf.while_loop of mine", "box.p", "float32[3]", "float32[4]"),
    ("while: a param changes its dtype", lambda w: loop(setting("n", jnp.ones(3)))(0, box=w.box),
     "pxf.while_loop of mine", "box.n", "int32[3]", "float32[3]"),
    ("while: a param from None to an array", lambda w: loop(setting("empty", jnp.ones(3)))(0, box=w.box),
     "pxf.while_loop of mine", "box.empty", "None"),
    ("while: a condition that is no scalar",
     lambda w: loop(lambda i, *, box: i + 1, lambda i, *, box: box.p.get() > 0)(0, box=w.box),
     "pxf.while_loop of mine", "scalar", "(3,)"),
    ("scan: a param changes its shape",
     lambda w: pxf.scan(named(lambda x, *, box: (named_set(box.p, box.p.get()[:2]), None)), length=2)(box=w.box),
     "pxf.scan of mine", "box.p", "float32[3]", "float32[2]"),
    ("scan: a param changes its dtype",
     lambda w: pxf.scan(named(lambda x, *, box: (named_set(box.n, box.n + 0.5), None)), length=2)(box=w.box),
     "pxf.scan of mine", "box.n", "int32[3]", "float32[3]"),
    ("scan: neither xs nor length", lambda w: pxf.scan(named(lambda x: (None, x))), "pxf.scan of mine", "xs or length"),
    ("scan: a wrong length", lambda w: pxf.scan(named(none), jnp.ones(3), length=2),
     "pxf.scan of mine", "2", "3 steps"),
    ("scan: a negative length", lambda w: pxf.scan(named(none), length=-1), "pxf.scan of mine", "-1"),
    ("scan: xs of two lengths", lambda w: pxf.scan(named(none), (jnp.ones(3), jnp.ones(2))),
     "pxf.scan of mine", "(2,)"),
    ("cond: branches leave different shapes",
     lambda w: pxf.cond(setting("p", jnp.ones(2), none_of), none_of)(True, box=w.box),
     "pxf.cond of mine", "box.p", "float32[2]", "float32[3]"),
    ("cond: branches leave different dtypes",
     lambda w: pxf.cond(setting("p", jnp.arange(3), none_of), none_of)(True, box=w.box),
     "pxf.cond of mine", "box.p", "int32[3]", "float32[3]"),
    ("cond: one branch sets what was None",
     lambda w: pxf.cond(setting("empty", jnp.ones(2), none_of), none_of)(True, box=w.box),
     "pxf.cond of mine", "box.empty", "None"),
    ("cond: a predicate that is no scalar", lambda w: pxf.cond(named(none), none)(w.x > 0, box=w.box),
     "pxf.cond of mine", "predicate", "(4, 3)"),
    ("switch: branches leave different shapes",
     lambda w: pxf.switch([setting("p", jnp.ones(n), none_of) for n in (3, 2)])(0, box=w.box),
     "pxf.switch of mine", "box.p"),
)  # fmt: skip
entries(
    TypeError,
    ("while: a carry changes its shape", lambda w: loop(lambda i, *, box: jnp.ones(2))(0, box=w.box),
     "pxf.while_loop of mine", "argument 0", "int32[]", "float32[2]"),
    ("while: a carry changes its number", lambda w: loop(lambda i, *, box: (i, i))(0, box=w.box),
     "pxf.while_loop of mine", "1", "2"),
    ("while: a condition that is no boolean", lambda w: loop(lambda i, *, box: i, lambda i, *, box: i)(0, box=w.box),
     "pxf.while_loop of mine", "boolean", "int32"),
    ("while: a condition that is no function", lambda w: pxf.while_loop(named(none), 3),
     "pxf.while_loop of mine", "int"),
    ("scan: a carry changes its shape",
     lambda w: pxf.scan(named(lambda x, c, *, box: (jnp.ones(2), None)), length=2)(jnp.ones(3), box=w.box),
     "pxf.scan of mine", "carry 0", "float32[3]", "float32[2]"),
    ("scan: a carry changes its structure",
     lambda w: pxf.scan(named(lambda x, c, *, box: ((c, c), None)), length=2)(1.0, box=w.box), "pxf.scan of mine", "2"),
    ("scan: no pair returned", lambda w: pxf.scan(named(lambda x, *, box: 1.0), length=2)(box=w.box),
     "pxf.scan of mine", "(carry, y)"),
    ("cond: results of two structures",
     lambda w: pxf.cond(named(lambda *, box: (1.0, 2.0)), lambda *, box: 1.0)(True, box=w.box),
     "pxf.cond of mine", "float32[]", "(float32[], float32[])"),
    ("cond: results of two dtypes", lambda w: pxf.cond(named(lambda *, box: 1), lambda *, box: 1.0)(True, box=w.box),
     "pxf.cond of mine", "int32[]", "float32[]"),
    ("cond: a branch that is no function", lambda w: pxf.cond(named(none), None), "pxf.cond of mine", "NoneType"),
    ("switch: an index that is no integer", lambda w: pxf.switch([named(none)])(0.5, box=w.box), "pxf.switch", "0.5"),
    ("switch: no branch", lambda w: pxf.switch([]), "pxf.switch", "at least one"),
)  # fmt: skip


def none_of(*args, **kwargs):
    return None


# -- optimisers -----------------------------------------------------------------------------------------
def without(grads, *params):
    for param in params:
        param(grads).set(None)
    return grads


def filled_late(w):
    box = Box()
    optim = pxu.Optim(lambda: optax.sgd(0.1), pxu.M(lambda p: p is not box.n)(box))
    optim.step(box, jtu.tree_map(jnp.ones_like, box))


def wider_grads(w):
    return jtu.tree_map(jnp.ones_like, pxu.M(pxnn.LayerParam)(Net(3, 5)))


def missing_bias(grads):
    return grads.layers[2].nn.bias


def longer_grads(w):
    return jtu.tree_map(jnp.ones_like, pxu.M(pxnn.LayerParam)(Net(4)))


def init_with_empty(w):
    holder = px.Module()
    holder.p = px.Param(None)
    optim = pxu.Optim(lambda: optax.sgd(0.1, momentum=0.9), holder)
    grads = px.Module()
    grads.p = px.Param(jnp.ones(2))
    holder.p.set(jnp.ones(2))
    optim.step(holder, grads)


entries(
    ValueError,
    ("step before init", lambda w: w.unready.step(w.model, w.grads), "pxu.Optim.step", "init"),
    ("no gradient", lambda w: w.optim.step(w.model, pxu.M(lambda p: p.ndim == 2)(w.grads)),
     "pxu.Optim.step", ".layers[0].nn.bias", "allow_none"),
    ("gradients of a wider model", lambda w: w.optim.step(w.model, wider_grads(w)),
     "pxu.Optim.step", ".layers[0].nn.", "another model"),
    ("gradients of a deeper model", lambda w: w.optim.step(w.model, longer_grads(w)),
     "pxu.Optim.step", ".layers[3].nn.", "another model"),
    ("gradients of a deeper model by node", lambda w: w.optim_tree.step(w.model, longer_grads(w)),
     "pxu.OptimTree.step", ".layers[3].nn.", "another model"),
    ("the dict by keyword for gradients", lambda w: w.optim.step(w.model, {"model": w.grads}),
     "pxu.Optim.step", "['model']", "grads['model']"),
    ("the dict by keyword for gradients by node", lambda w: w.optim_tree.step(w.model, {"model": w.grads}),
     "pxu.OptimTree.step", "['model']", "grads['model']"),
    ("a module without the params", lambda w: w.optim.step(w.other, w.grads), "pxu.Optim.step", ".layers[2].nn."),
    ("a scale that is no scalar", lambda w: w.optim.step(w.model, w.grads, scale_by=jnp.ones(3)),
     "pxu.Optim.step", "scale_by", "(3,)"),
    ("a param that was empty at init", init_with_empty, "pxu.Optim.step", ".p", "init"),
)  # fmt: skip
entries(
    TypeError,
    ("a rate for an optimiser", lambda w: pxu.Optim(0.1), "pxu.Optim", "0.1"),
    ("a factory of something else", lambda w: pxu.OptimTree(lambda: 0.1, callable, w.model),
     "pxu.OptimTree.init", "Optax"),
    ("a type for leaf_fn", lambda w: pxu.OptimTree(lambda: optax.sgd(0.1), "Layer"), "pxu.OptimTree", "leaf_fn", "str"),
)  # fmt: skip

# -- params, statics, trees -----------------------------------------------------------------------------
entries(
    ValueError,
    ("inject too many", lambda w: px.tree_inject(w.box, values=[1, 2, 3, 4]), "tree_inject", "too many", "3", "4"),
    ("inject too few", lambda w: px.tree_inject(w.box, params=w.vode), "tree_inject", "too few", "3", "2"),
    ("inject both", lambda w: px.tree_inject(w.box, params=w.box, values=[1]), "tree_inject", "either"),
    ("extract from unlike trees", lambda w: px.tree_extract(w.model, w.other), "tree_extract", "structure", "3"),
    ("three values for a mask", lambda w: pxu.M(None).to((1, 2, 3)), "pxu.M.to", "(1, 2, 3)"),
)
entries(
    TypeError,
    (
        "no scalar",
        lambda w: grad(WEIGHTS, lambda *, model: model.layers[0].nn.bias * 2)(model=w.model),
        "pxf.value_and_grad of mine",
        "scalar",
        "(3,)",
    ),
    (
        "nothing returned",
        lambda w: grad(WEIGHTS, lambda *, model: None)(model=w.model),
        "pxf.value_and_grad of mine",
        "scalar",
        "NoneType",
    ),
    (
        "two values without has_aux",
        lambda w: grad(WEIGHTS, lambda *, model: (total(model=model), 1))(model=w.model),
        "pxf.value_and_grad of mine",
        "has_aux=True",
    ),
    (
        "has_aux and nothing",
        lambda w: grad(WEIGHTS, lambda *, model: (), has_aux=True)(model=w.model),
        "pxf.value_and_grad of mine",
        "empty tuple",
    ),
    (
        "an integer for a scalar",
        lambda w: grad(WEIGHTS, lambda *, model: 1)(model=w.model),
        "pxf.value_and_grad of mine",
        "floating",
        "int32",
    ),
    (
        "an integer param selected",
        lambda w: grad({"box": True}, lambda *, box: box.p.sum())(box=w.box),
        "pxf.value_and_grad of mine",
        "box.n",
        "int32",
    ),
    (
        "an integer argument",
        lambda w: grad({}, lambda x: 1.0 * x, argnums=0)(1),
        "pxf.value_and_grad of mine",
        "positional argument 0",
        "int32",
    ),
)
entries(
    TypeError,
    ("the truth of a param", lambda w: bool(w.box.p), "Param", "get()"),
    ("if param", lambda w: 1 if w.box.p else 2, "Param", "get()"),
    ("a mask of a number", lambda w: pxu.M(3), "pxu.M", "3"),
    ("a mask and a number", lambda w: pxu.M(None) | 3, "pxu.M", "3"),  # pyright: ignore[reportOperatorIssue]
    ("sharing what is no param type", lambda w: pxnn.shared(w.model, "weights"), "pxnn.shared", "'weights'"),
)
entries(
    AttributeError,
    ("setting a static", lambda w: setattr(w.model.constant, "a", 1), "static", "'a'", "pcx.static"),
    ("an attribute that a param lacks", lambda w: w.box.p.frozen, "Param", "'frozen'", "[3], float32"),
    ("deleting a fact that is not there", lambda w: delattr(w.box.p, "frozen"), "Param", "'frozen'"),
)

# -- steps and statuses ---------------------------------------------------------------------------------
entries(
    TypeError,
    ("a number for a status", lambda w: pxu.step(w.model, 3).__enter__(), "pxu.step", "status", "3"),
    ("three statuses", lambda w: pxu.step(w.model, ("a", "b", "c")).__enter__(), "pxu.step", "pair"),
    ("a status set to a number", lambda w: setattr(w.model, "status", 3), "Net.status", "int"),
    ("clearing by name", lambda w: pxu.step(w.model, "a", clear_params="h").__enter__(), "pxu.step", "'h'"),
    ("clearing by three", lambda w: pxu.step(w.model, clear_params=(px.Param,) * 3).__enter__(), "pxu.step", "A | B"),
    ("clear_params by name", lambda w: w.model.clear_params("h"), "EnergyModule.clear_params", "'h'"),
)


# -- vodes ----------------------------------------------------------------------------------------------
def mismatched(energy_fn):
    vode = pxc.Vode(energy_fn)
    vode.h.set(jnp.ones(3))
    vode(jnp.ones(2))
    return vode


def unset_inside(x, *, model):
    model.vodes[0].h.set(x)
    return model.energy()


def fresh_energy(w):
    holder = pxc.EnergyModule()
    holder.deep = {"a": [Net(1)]}
    holder.energy()


def cleared_in_vmap(w):
    @pxf.vmap(BATCHED, in_axes=0)
    def run(x, *, model):
        model.vodes[1].cache.set(None)
        return model.energy()

    run(w.x, model=w.model)


entries(
    ValueError,
    ("an unknown mode", lambda w: pxnn.BatchNorm(3, "batch", mode="other"), "mode", "'ema' or 'batch'"),
    ("an energy without a prediction", lambda w: w.vode.energy(), "se_energy", "'u'", "before it was set"),
    ("an energy without a state", lambda w: pxc.Vode(pxc.ce_energy)(jnp.ones(3), output=None).energy(),
     "ce_energy", "'h'", "before it was set"),
    ("a zero energy without a state", lambda w: pxc.Vode(pxc.zero_energy).energy(), "zero_energy", "'h'"),
    ("the energy of a model without a forward pass", lambda w: w.other.energy(), "energy() of .vodes[0]", "'h'"),
    ("the energy of a deep model", fresh_energy, "energy() of .deep['a'][0].vodes[0]", "'h'"),
    ("an energy in a vmap", cleared_in_vmap, "energy() of .vodes[1]", "'u'"),
    ("a state and a prediction of two shapes", lambda w: mismatched(pxc.se_energy).energy(),
     "se_energy", "(3,)", "(2,)"),
    ("the same for cross entropy", lambda w: mismatched(pxc.ce_energy).energy(), "ce_energy", "(3,)", "(2,)"),
)  # fmt: skip
entries(
    TypeError,
    ("an energy that is no function", lambda w: pxc.Vode("se"), "Vode", "energy_fn", "str"),
    ("an energy's class", lambda w: pxc.Vode(pxc.Huber), "Vode", "energy_fn", "make one: Huber(...)"),
    ("an output that is a name", lambda w: pxc.Vode(output="h"), "Vode", "output", "'h'"),
    ("a param type that is none", lambda w: pxc.Vode(param_type=px.Param), "Vode", "param_type", "Param"),
    ("a ruleset that is no dict", lambda w: pxc.Vode(ruleset=["h <- u"]), "Vode", "ruleset", "list"),
    ("rules that are no texts", lambda w: pxc.Vode(ruleset={"a": 3}), "Ruleset", "'a'", "3"),
    ("a rule that is no text", lambda w: pxc.Vode(ruleset={"a": (3,)}), "Ruleset", "'a'", "3"),
    ("transformations that are no dict", lambda w: pxc.Vode(tforms=3), "Ruleset", "tforms", "int"),
    ("a transformation that is no function", lambda w: pxc.Vode(tforms={"f": 3}), "Ruleset", "'f'", "int"),
)
entries(
    ValueError,
    ("an unknown transformation", lambda w: pxc.Vode(ruleset={"a": ("h <- u:g",)}, tforms={"f": min}),
     "Ruleset", "'h <- u:g'", "'a'", "unknown transformation 'g'", "f"),
    ("an unknown second transformation", lambda w: pxc.Vode(ruleset={"a": ("h -> u:f:g",)}, tforms={"f": min}),
     "Ruleset", "'h -> u:f:g'", "unknown transformation 'g'"),
    ("a transformation and none known", lambda w: pxc.Vode(ruleset={"a": ("h <- u:g",)}), "Ruleset", "'g'", "none"),
    ("a status that is no expression", lambda w: pxc.Vode(ruleset={"(": ("h <- u",)}), "Ruleset", "'('"),
    ("a number for a status in rules", lambda w: pxc.Vode(ruleset={3: ("h <- u",)}), "Ruleset", "3"),
)  # fmt: skip

TYPOS = """
h, u < - u|h u <- v|<- u|h <-|h, <- u|,h <- u|h,,u <- v|h <- u, v|h <= u|h = u|h <- u <- v|h -> u -> v|h <- u -> v
h <- u:|h <- u::f|h <- :f|h <- u : f :|h ->|-> u|h, u -> v|1h <- u|h <- 2u|h.x <- u|h <- u:f f|h <- u:f()|h <- u:f;
h <-- u|h --> u|h <-> u|h → u|h ← u|h < u|h - u|h: f <- u|h <- u.f|h <- u;f|"h" <- u|h <- 'u'
h-u <- v|h <- u f|:f <- u
"""
for typo in ["", " ", "<-", "->", *TYPOS.strip().replace("\n", "|").split("|")]:
    entries(
        ValueError,
        (f"rule {typo!r}", lambda w, typo=typo: pxc.Vode(ruleset={"s": ("h <- u", typo)}, tforms={"f": min}),
         "Ruleset", repr(typo), "'s'", "can't be read"),
    )  # fmt: skip


# -- files ----------------------------------------------------------------------------------------------
def saved(w, model):
    pxu.save_params(model, w.folder / "m")
    return w.folder / "m"


def text_file(w):
    (w.folder / "t.npz").write_text("no arrays")
    return w.folder / "t"


def half_precision(w):
    net = Net()
    net.layers[1].nn.weight.set(net.layers[1].nn.weight.astype("float16"))
    return net


def save_object(w):
    holder = px.Module()
    holder.inner = [px.Param(object())]
    pxu.save_params(holder, w.folder / "o", filter=None)


entries(
    KeyError,
    ("a file of a smaller model", lambda w: pxu.load_params(w.model, saved(w, w.other)),
     "load_params", ".layers[2].nn.", "m.npz"),
)  # fmt: skip
entries(
    ValueError,
    ("a file of a wider model", lambda w: pxu.load_params(w.model, saved(w, Net(3, 5))),
     "load_params", ".layers[0].nn.", "5", "m.npz"),
    ("a file of another dtype", lambda w: pxu.load_params(w.model, saved(w, half_precision(w))),
     "load_params", ".layers[1].nn.weight", "float16", "float32"),
    ("a file that is no npz", lambda w: pxu.load_params(w.model, text_file(w)), "load_params", "t.npz", "npz"),
)  # fmt: skip
entries(
    TypeError,
    ("a value that can't be saved", save_object, "save_params", ".inner[0]"),
    ("a filter that is none", lambda w: pxu.save_params(w.model, w.folder / "f", filter=3), "save_params", "3"),
    (
        "a filter that is none, loading",
        lambda w: pxu.load_params(w.model, saved(w, w.model), filter="w"),
        "load_params",
    ),
)
entries(FileNotFoundError, ("no such file", lambda w: pxu.load_params(w.model, w.folder / "none"), "none.npz"))


# -- the user's own error, after much was changed ---------------------------------------------------------
def spoil(x=None, *carry, model):
    """Change what there is to change, and fail."""
    model.layers[0].nn.weight.set(model.layers[0].nn.weight * 2)
    model.vodes[0].h.set(None)
    model.vodes[1].cache["more"] = 1.0 if x is None else x
    model.vodes[0].h.fact = True
    model.rate = px.RKG()
    model.new = px.Param(px.RKG())
    model.layers.append(model.layers[0])
    model.constant = px.static(3)
    model.train()
    with pxu.step(model, "inside", clear_params=pxc.VodeParam.Cache):
        raise RuntimeError("the user's own")


entries(
    RuntimeError,
    ("fails in jit", lambda w: pxf.jit()(spoil)(w.x, model=w.model), "the user's own"),
    ("fails in vmap", lambda w: pxf.vmap(BATCHED, in_axes=0)(spoil)(w.x, model=w.model), "the user's own"),
    ("fails in value_and_grad", lambda w: pxf.value_and_grad(WEIGHTS)(spoil)(model=w.model), "the user's own"),
    ("fails in scan", lambda w: pxf.scan(spoil, w.x)(model=w.model), "the user's own"),
    ("fails in while_loop", lambda w: pxf.while_loop(spoil, lambda x, *, model: True)(w.x, model=w.model),
     "user's own"),
    ("fails in a condition", lambda w: pxf.while_loop(lambda x, *, model: x, spoil)(w.x, model=w.model), "user's own"),
    ("fails in cond", lambda w: pxf.cond(spoil, lambda x, *, model: None)(True, w.x, model=w.model), "the user's own"),
    ("fails in switch", lambda w: pxf.switch([spoil, spoil])(1, w.x, model=w.model), "the user's own"),
    ("fails in jit of vmap of grad", lambda w: pxf.jit()(
        pxf.vmap(BATCHED, in_axes=0)(lambda x, *, model: pxf.value_and_grad(WEIGHTS)(spoil)(x, model=model)))(
            w.x, model=w.model), "the user's own"),
)  # fmt: skip


@bad(TypeError, "model.vodes[0].h", "before it was set", "STATUS.INIT")
def value_node_read_before_it_was_set(w):
    fresh = Net()
    forward(w.x, model=fresh)


@bad(TypeError, "model.vodes[0].h", "before it was set", "STATUS.INIT")
def value_node_read_before_it_was_set_in_jit(w):
    pxf.jit()(lambda x, *, net: forward(x, model=net))(w.x, net=Net())


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_a_clear_error_and_nothing_changed(case, tmp_path):
    world = World(tmp_path)
    px.RKG()  # there is a key
    before = world.snapshot()
    with pytest.raises(case.error) as caught:
        case.call(world)
    said = "\n".join([str(caught.value), *getattr(caught.value, "__notes__", ())])  # as a traceback shows it
    for fragment in case.says:
        assert fragment in said
    assert "Traced<" not in said
    after = world.snapshot()
    for name, seen in before.items():
        assert after[name] == seen, f"{name} was changed"
    assert after.keys() == before.keys()
    # And everything still works.
    with pxu.step(world.model, pxc.STATUS.INIT, clear_params=pxc.VodeParam.Cache):
        forward(world.x, model=world.model)
    world.optim.step(world.model, world.grads)


@pytest.mark.parametrize(
    "change",
    [
        lambda w: w.model.layers[1].nn.weight.set(w.model.layers[1].nn.weight + 0.0),
        lambda w: w.model.vodes[2].cache.set(None),
        lambda w: setattr(w.box.p, "fact", 1),
        lambda w: w.box.p.note.update(kind="another"),
        lambda w: setattr(w.model.vodes[0], "status", "a"),
        lambda w: w.model.eval(),
        lambda w: setattr(w.model, "rate", 0.25),
        lambda w: w.model.constant.append(3),
        lambda w: w.model.layers.pop(),
        lambda w: setattr(w.model, "new", None),
        lambda w: w.optim.clear(),
        lambda w: w.optim_tree.step(w.model, w.grads, apply_updates=False),
        lambda w: w.grads.layers[0].nn.weight.set(None),
        lambda w: px.RKG(),
    ],
)
def test_the_snapshot_sees_every_change(change, tmp_path):
    world = World(tmp_path)
    before = world.snapshot()
    assert world.snapshot() == before
    change(world)
    assert world.snapshot() != before


def test_the_table_is_long_and_its_names_differ():
    assert len(CASES) >= 45
    assert len({case.name for case in CASES}) == len(CASES)
