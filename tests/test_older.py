"""Programs written for 0.6.0 and 0.6.1 run: each older idiom means what is written today, and says so."""

# Type checkers know what is written today alone.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportOperatorIssue=false

import subprocess
import sys
import tomllib
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx as px
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.utils as pxu

ROOT = Path(__file__).parents[1]


class Net(pxc.EnergyModule):
    def __init__(self):
        super().__init__()
        self.layer = pxnn.Linear(3, 2, rkg=px.RandomKeyGenerator(0))
        self.vodes = [pxc.Vode(), pxc.Vode(output=True)]


def older(instead):
    return pytest.warns(DeprecationWarning, match=instead)


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


# -- value nodes ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("make", "energy_fn"),
    [
        (lambda: pxc.Vode((3,)), pxc.se_energy),
        (lambda: pxc.Vode((3,), pxc.ce_energy), pxc.ce_energy),
        (lambda: pxc.Vode((3,), energy_fn=pxc.zero_energy), pxc.zero_energy),
        (lambda: pxc.Vode(shape=(3,), energy_fn=None), None),
        (lambda: pxc.Vode(energy_fn=(3,)), pxc.se_energy),
        (lambda: pxc.Vode((np.int64(3),), pxc.se_energy, {"x": ("h <- u",)}, {}), pxc.se_energy),
    ],
)
def test_a_shape_before_the_energy(make, energy_fn):
    with older(r"write Vode\(\.\.\.\)"):
        vode = make()
    assert vode.energy_fn.get() is energy_fn
    assert vode.shape.get() == (3,)
    assert vode.shape == (3,)
    vode(jnp.zeros(2))
    assert vode.shape == (2,)


def test_a_subclass_hands_a_shape_on(request):
    class Node(pxc.Vode):
        def __init__(self, n):
            super().__init__((n,), pxc.zero_energy)

    with older("Vode") as said:
        node = Node(4)
    assert node.shape.get() == (4,)
    if not request.config.getoption("jaxtyping_packages", None):  # whose own frames come in between
        assert said[0].filename == __file__  # the line that wrote it, not one of the library


@pytest.mark.parametrize("wrong", [("a",), (1.5,), (True,), (-1,), (pxc.se_energy,)])
def test_another_tuple_is_no_shape(wrong):
    with pytest.raises(TypeError, match=r"Vode: the first argument must be an energy function or None, got \("):
        pxc.Vode(wrong)


def test_the_shape_says_what_a_sample_is():
    with older("Vode"):
        vode = pxc.Vode((4, 3))
    vode.set("u", jnp.zeros((5, 4, 3)))
    vode.set("h", jnp.ones((5, 4, 3)))
    np.testing.assert_allclose(vode.energy(), np.full(5, 6.0))


# -- masks ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("pair", [None, (None, 0), [False, True]])
def test_masks(pair):
    model = Net()
    with older(r"write pxu\.M\(mask\)$" if pair is None else r"write pxu\.M\(mask\)\.to"):
        mask = pxu.Mask(pxc.VodeParam | pxc.VodeParam.Cache, pair)
    assert isinstance(mask, pxu.M)
    got, expected = mask(model), pxu.M(pxc.VodeParam | pxc.VodeParam.Cache).to(pair)(model)
    assert jax.tree.leaves(got) == jax.tree.leaves(expected) or pair is None
    if pair is None:
        assert got.vodes[0].h is model.vodes[0].h
        assert got.layer.nn.weight is None


def test_masks_by_attributes():
    model = Net()
    with older(r"pxu\.M\(mask\)"):
        states = pxu.m(pxc.VodeParam)
    with older("hasnot"):
        free = states.has_not(frozen=True)
    with older("hasnot"):
        neither = (states | pxnn.LayerParam).has_not(frozen=True)
    for mask in (free, neither):
        chosen = mask(model)
        assert chosen.vodes[0].h is model.vodes[0].h
        assert chosen.vodes[1].h is None
    assert neither(model).layer.nn.weight is model.layer.nn.weight


# -- optimisers -------------------------------------------------------------------------------------------
def test_a_transformation_in_the_place_of_the_factory():
    model = Net()
    with older("lambda: transformation"):
        optim = pxu.Optim(optax.sgd(0.5), pxu.M(pxnn.LayerParam)(model))
    before = model.layer.nn.weight.get()
    optim.step(model, jax.tree.map(jnp.ones_like, pxu.M(pxnn.LayerParam)(model)))
    np.testing.assert_allclose(model.layer.nn.weight.get(), before - 0.5, rtol=1e-6)
    with older("lambda: transformation"):
        pxu.OptimTree(optax.sgd(0.5), lambda x: isinstance(x, pxnn.Layer), pxu.M(pxnn.LayerParam)(model))


def stepped(*args, **kwargs):
    """A step of size 1 of states of a batch of 4, with gradients of 1."""
    model = Net()
    model.vodes[0].h.set(jnp.zeros((4, 3)))
    optim = pxu.Optim(lambda: optax.sgd(1.0), pxu.M_hasnot(pxc.VodeParam, frozen=True)(model))
    grads = pxu.M_hasnot(pxc.VodeParam, frozen=True).to((None, jnp.ones((4, 3))))(model)
    optim.step(model, grads, *args, **kwargs)
    return model.vodes[0].h.get()


def test_steps_scaled_by_the_batch():
    with older("scale_by=the size of the batch"):
        h = stepped(True)
    np.testing.assert_allclose(h, np.full((4, 3), -4.0))


def test_steps_scaled_by_mul():
    with older("scale_by=factor"):
        h = stepped(mul=0.25)
    np.testing.assert_allclose(h, np.full((4, 3), -0.25))
    with pytest.raises(TypeError, match="mul is the older name of scale_by"):
        stepped(0.5, mul=0.5)


def test_what_is_written_today_says_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stepped(0.5)
        stepped(scale_by=1)


# -- a whole program, twice -------------------------------------------------------------------------------
OLDER = """
class Net(pxc.EnergyModule):
    def __init__(self):
        super().__init__()
        self.layers = [pxnn.Linear(2, 5), pxnn.Linear(5, 2)]
        self.vodes = [pxc.Vode((5,)), pxc.Vode((2,), pxc.ce_energy)]
        self.vodes[-1].h.frozen = True

    def __call__(self, x, y):
        x = self.vodes[0](jax.nn.tanh(self.layers[0](x)))
        self.vodes[1](self.layers[1](x))
        if y is not None:
            self.vodes[1].set("h", y)
        return self.vodes[1].get("u")


STATES = pxu.Mask(pxc.VodeParam | pxc.VodeParam.Cache, (None, 0))
FREE = pxu.m(pxc.VodeParam).has_not(frozen=True)
forward = pxf.vmap(STATES, in_axes=(0, 0), out_axes=0)(lambda x, y, *, model: model(x, y))


@pxf.vmap(STATES, in_axes=(0,), out_axes=(None, 0), axis_name="batch")
def energy(x, *, model):
    y_ = model(x, None)
    return jax.lax.pmean(model.energy(), "batch"), y_


@pxf.jit()
def learn(x, y, *, model, optim_h, optim_w):
    with pxu.step(model, pxc.STATUS.INIT, clear_params=pxc.VodeParam.Cache):
        forward(x, y, model=model)
    for _ in range(3):
        with pxu.step(model, clear_params=pxc.VodeParam.Cache):
            _, g = pxf.value_and_grad(pxu.Mask(FREE, [False, True]), has_aux=True)(energy)(x, model=model)
        optim_h.step(model, g["model"], True)
    with pxu.step(model, clear_params=pxc.VodeParam.Cache):
        (e, y_), g = pxf.value_and_grad(pxu.Mask(pxnn.LayerParam, [False, True]), has_aux=True)(energy)(x, model=model)
    optim_w.step(model, g["model"], mul=0.5)
    return e


px.RKG.seed(0)
model = Net()
x, y = jnp.linspace(-1, 1, 8).reshape(4, 2), jnp.eye(2)[jnp.array([0, 1, 1, 0])]
with pxu.step(model, pxc.STATUS.INIT, clear_params=pxc.VodeParam.Cache):
    forward(x, y, model=model)
    optim_h = pxu.Optim(optax.sgd(0.1, momentum=0.5), pxu.Mask(FREE)(model))
    optim_w = pxu.Optim(optax.adam(0.01), pxu.Mask(pxnn.LayerParam)(model))
energies = [float(learn(x, y, model=model, optim_h=optim_h, optim_w=optim_w)) for _ in range(3)]
"""
TODAY = {
    "pxc.Vode((5,))": "pxc.Vode()",
    "pxc.Vode((2,), pxc.ce_energy)": "pxc.Vode(pxc.ce_energy)",
    "pxu.Mask(pxc.VodeParam | ": "pxu.M(pxc.VodeParam | ",
    "Cache, (None, 0))": "Cache).to((None, 0))",
    "pxu.m(pxc.VodeParam).has_not(frozen=True)": "pxu.M_hasnot(pxc.VodeParam, frozen=True)",
    "pxu.Mask(FREE, [False, True])": "pxu.M(FREE).to((False, True))",
    "pxu.Mask(pxnn.LayerParam, [False, True])": "pxu.M(pxnn.LayerParam).to((False, True))",
    "optax.sgd(0.1, momentum=0.5), pxu.Mask(FREE)(model)": "lambda: optax.sgd(0.1, momentum=0.5), pxu.M(FREE)(model)",
    "optax.adam(0.01), pxu.Mask(": "lambda: optax.adam(0.01), pxu.M(",
    'g["model"], True)': 'g["model"], scale_by=4)',
    "mul=0.5": "scale_by=0.5",
}
IMPORTS = """
import jax, jax.numpy as jnp, optax
import {0} as px, {0}.functional as pxf, {0}.nn as pxnn, {0}.predictive_coding as pxc, {0}.utils as pxu
"""


def energies(program, name="pcx"):
    namespace = {}
    exec(IMPORTS.format(name) + program, namespace)
    return namespace["energies"]


def test_a_whole_program_computes_what_it_computes_as_written_today():
    today = OLDER
    for old, new in TODAY.items():
        assert old in today
        today = today.replace(old, new)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expected = energies(today)
    with older("older idiom") as said:
        got = energies(OLDER)
    assert got == expected
    assert expected[2] < expected[0]
    told = {str(w.message).split(" is an older idiom")[0] for w in said}
    assert told == {
        "Vode((5,), ...)",
        "Vode((2,), ...)",
        "pxu.Mask(mask)",
        "pxu.Mask(mask, (a, b))",
        "pxu.m(mask)",
        ".has_not(...)",
        "pxu.Optim(transformation, ...)",
        "pxu.Optim.step(module, grads, True)",
        "pxu.Optim.step(..., mul=factor)",
    }


# -- the older name of the package ------------------------------------------------------------------------
@pytest.mark.hasty
def test_pcax_is_pcx():
    said = run("""
import warnings
with warnings.catch_warnings(record=True) as found:
    warnings.simplefilter("always")
    import pcax as px, pcax.predictive_coding as pxc, pcax.nn as pxnn, pcax.functional as pxf, pcax.utils as pxu
    from pcax.core import Param
    from pcax.core._parameter import BaseParam
    import pcax
print(*[w.message for w in found], {w.filename for w in found})
import importlib, importlib.util, pcx, pcx.core._parameter, pcx.functional, pcx.nn, pcx.predictive_coding, pcx.utils
print(pcax is px is pcx, [a is b for a, b in (
    (pxc, pcx.predictive_coding), (pxnn, pcx.nn), (pxf, pcx.functional), (pxu, pcx.utils), (Param, pcx.Param),
    (BaseParam, pcx.core._parameter.BaseParam))])
print(pxc.__name__, pxc.__spec__.name, importlib.reload(pxnn).__name__)
print(importlib.util.find_spec("pcax.nothing"))
import pcax.learning as pxl
print(pxl.__name__)
""")
    assert said == [
        "import pcax is an older idiom; write import pcx {'<string>'}",
        "True [True, True, True, True, True, True]",
        "pcx.predictive_coding pcx.predictive_coding pcx.nn",
        "None",
        "pcx.learning",
    ]


def test_a_program_under_the_older_name():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert energies(OLDER, "pcax") == energies(OLDER)


def test_the_older_name_is_in_what_is_installed():
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]
    assert build["wheel"]["packages"] == ["src/pcx", "src/pcax"]
    assert "/src" in build["sdist"]["include"]


def test_each_line_is_told_once():
    said = run("""
import sys, warnings, jax.numpy as jnp, pcx.predictive_coding as pxc
warnings.simplefilter("default")
warnings.showwarning = lambda message, *rest: print(message)
for n in range(3):
    pxc.Vode((2,))
""")
    assert said == ["Vode((2,), ...) is an older idiom; write Vode(...): the shape is that of the prediction"]


def test_the_shape_serves_as_the_tuple_that_it_was():
    with older("Vode"):
        shape = pxc.Vode((2, 3)).shape
    key = jax.random.PRNGKey(0)
    for made in (
        jnp.zeros(shape),
        jnp.full(shape, 1.0),
        jax.random.normal(key, shape),
        jax.random.bernoulli(key, 0.5, shape),
        jnp.zeros(6).reshape(shape),
        jnp.reshape(jnp.zeros(6), shape),
        jnp.broadcast_to(1.0, shape),
        np.zeros(shape),
        jax.jit(lambda: jnp.ones(shape))(),
    ):
        assert made.shape == (2, 3)
    assert (shape[0], shape[-1], len(shape), *shape) == (2, 3, 2, 2, 3)
    assert ((4, *shape), shape + (4,), (4,) + shape) == ((4, 2, 3), (2, 3, 4), (4, 2, 3))  # noqa: RUF005
    assert hash(shape) == hash((2, 3))
    assert (2, 3) == shape == (2, 3)
