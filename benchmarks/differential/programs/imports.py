"""Names that programs import, from the packages and from the modules below them."""

from importlib import import_module

import jax.numpy as jnp
from record import program

import pcx as px
import pcx.functional as pxf

ROW = "imports"

NAMES = {
    "pcx": "BaseModule Module BaseParam Param ParamCache ParamDict RKG RandomKeyGenerator get set static "
    "tree_apply tree_extract tree_inject tree_ref tree_unref",
    "pcx.functional": "jit vmap value_and_grad scan while_loop cond switch",
    "pcx.nn": "Layer LayerParam LayerState StateParam StatefulLayer Linear Conv Conv2d ConvTranspose Pool MaxPool2d "
    "AvgPool2d AdaptivePool AdaptiveAvgPool2d Dropout LayerNorm BatchNorm shared",
    "pcx.predictive_coding": "EnergyModule Ruleset STATUS Vode VodeParam ce_energy se_energy zero_energy",
    "pcx.utils": "M M_has M_hasnot M_is Optim OptimTree load_params save_params step",
    "pcx.core": "BaseModule Module BaseParam Param ParamCache ParamDict RKG RandomKeyGenerator get set static",
    "pcx.core._module": "BaseModule Module",
    "pcx.core._parameter": "BaseParam Param ParamCache ParamDict get set",
    "pcx.core._static": "StaticParam static",
    "pcx.core._random": "RKG RandomKeyGenerator RKGState",
    "pcx.core._tree": "tree_apply tree_extract tree_inject tree_ref tree_unref",
    "pcx.nn._parameter": "LayerParam LayerState",
    "pcx.predictive_coding._vode": "Vode Ruleset STATUS",
    "pcx.predictive_coding._energy": "se_energy ce_energy zero_energy",
    "pcx.predictive_coding._parameter": "VodeParam",
    "pcx.utils._mask": "M M_has M_hasnot M_is",
    "pcx.utils._optim": "Optim OptimTree",
}
OTHERS = {
    "pcx.nn._layer": "Layer Linear Conv Conv2d Dropout",
    "pcx.nn._stateful": "StatefulLayer StateParam BatchNorm",
    "pcx.nn._shared": "shared",
    "pcx.predictive_coding._energy_module": "EnergyModule STATUS",
    "pcx.utils._misc": "step",
    "pcx.utils._serialisation": "save_params load_params",
}


def found(module, names):
    try:
        loaded = import_module(module)
    except ImportError:
        return "no module"
    return {name: hasattr(loaded, name) for name in names.split()}


@program(ROW)
def import_names(show):
    for module, names in NAMES.items():
        show(module, found(module, names))


@program(ROW)
def import_other_modules(show):
    for module, names in OTHERS.items():
        show(module, found(module, names))


@program(ROW)
def import_same_objects(show):
    for module, name in (("pcx.core._parameter", "Param"), ("pcx.core._module", "Module"), ("pcx.core._random", "RKG")):
        show(f"{module} {name}", getattr(import_module(module), name) is getattr(px, name))
    from pcx.predictive_coding import Vode
    from pcx.predictive_coding._vode import Vode as Below

    show("Vode", Vode is Below)


@program("Positional and keyword arguments")
def arguments_are_tracked_by_keyword(show):
    p = px.Param(jnp.ones(2))
    for name, call in {
        "jit": lambda f: pxf.jit()(f),
        "vmap": lambda f: pxf.vmap({"p": 0}, in_axes=(0,), out_axes=0)(f),
    }.items():
        p.set(jnp.ones(2))

        def f(x, *, p):
            p += x
            return p * 2.0

        show(name, call(f)(jnp.arange(2.0), p=p))
        show(f"{name}, after", p)
    show("a number", isinstance(float(p.get()[0]), float))


@program("Positional and keyword arguments")
def arguments_after_an_exception(show):
    p = px.Param(jnp.ones(2))

    def f(*, p):
        p.set(p * 2)
        raise ValueError("stop")

    for name, call in {
        "jit": lambda: pxf.jit()(f)(p=p),
        "vmap": lambda: pxf.vmap({"p": 0}, out_axes=0)(f)(p=p),
        "scan": lambda: pxf.scan(lambda x, *, p: f(p=p), length=2)(p=p),
        "cond": lambda: pxf.cond(f, f)(True, p=p),
    }.items():
        p.set(jnp.ones(2))
        show.raises(name, call)


@program("Positional and keyword arguments")
def arguments_given_twice(show):
    p = px.Param(jnp.ones(2))

    @pxf.jit()
    def f(*, a, b):
        a += 1.0
        b *= 3.0
        return a + b

    show("returned", f(a=p, b=p))
    show("after", p)
    q = [p, p]
    show("in a list", pxf.jit()(lambda *, q: q[0].set(q[1] * 2).get())(q=q))
    show("after a list", p)


@program("Positional and keyword arguments")
def arguments_plain_numbers(show):
    class Net(px.Module):
        def __init__(self):
            super().__init__()
            self.n, self.rate = 3, 0.5
            self.w = px.Param(jnp.ones(2))

        def __call__(self, x):
            self.w += self.rate
            return self.w * x * self.n

    net = Net()
    show("plainly", net(2.0))
    show("jit", pxf.jit()(lambda x, *, net: net(x))(2.0, net=net))
    show("after", [net.w, float(net.rate), int(net.n)])


@program("Positional and keyword arguments")
def arguments_donated(show):
    p = px.Param(jnp.ones(2))
    f = pxf.jit(donate_argnums=(0,))(lambda x, *, p: p.set(p + x).get())
    show("donated", f(jnp.ones(2), p=p))
    show("after", p)


@program("Positional and keyword arguments")
def arguments_of_many_kinds(show):
    f = pxf.jit()(lambda a, b, c, *, k: {"a": a["x"] + b[0], "c": c, "k": k["p"] * 2.0})
    show("trees", f({"x": 1.0}, (jnp.ones(2), None), None, k={"p": px.Param(jnp.ones(1))}))
    g = pxf.jit()(lambda *, k=None, n=3: n if k is None else k * 1.0)
    show("defaults", g())
    show("no keywords", pxf.jit()(lambda x: x * 2)(3.0))
