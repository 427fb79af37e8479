"""Value nodes: state, cache, rulesets, energies, statuses; modules of energies."""

import jax
import jax.numpy as jnp
from record import program

import pcx as px
import pcx.functional as pxf
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.utils as pxu

VODE, RULES, ENERGY, MODULE = "pxc: Vode", "pxc: Ruleset", "pxc: energies", "pxc: EnergyModule"
STATE = pxc.VodeParam | pxc.VodeParam.Cache
U = jnp.array([[1.0, -2.0, 0.5], [0.1, 0.2, 0.3]])
H = jnp.array([[0.0, 1.0, 2.0], [0.5, 0.5, 0.5]])


def batched(f, out=0, axis_name=None):
    return pxf.vmap(pxu.M(STATE).to((None, 0)), in_axes=(0,), out_axes=out, axis_name=axis_name)(f)


@program(VODE)
def vode_call(show):
    v = pxc.Vode()
    show("without a status", [v(U[0]), v.h.get(), v.get("u")])
    with pxu.step(v, pxc.STATUS.INIT, clear_params=pxc.VodeParam.Cache):
        show("when initialised", [v(U[0]), v.h.get()])
    show("cleared", v.cache.get())
    v.status = None
    show("h is kept", v(U[1]))
    show("h and u", [v.get("h"), v.get("u")])
    show("returns the node", v(U[0], output=None) is v)
    show("returns u", v(U[0], output="u"))


@program(VODE)
def vode_call_with_others(show):
    v = pxc.Vode()
    show("h is given", v(U[0], h=H[0]))
    show("both", [v.get("h"), v.get("u")])
    show("an extra name", v(U[1], output="extra", extra=jnp.ones(2)))
    show("read again", v.get("extra"))
    show("cache", sorted(v.cache.get()))
    show("no u", [v(None, h=H[1]), v.get("u")])


@program(VODE)
def vode_set_and_get(show):
    v = pxc.Vode()
    show("set returns the node", v.set("h", H[0]) is v)
    show("h", v.h)
    v.set("u", U[0])
    show("u", [v.get("u"), v.cache])
    show("missing", [v.get("nothing"), v.get("nothing", 5)])
    v.set("other", 3.0)
    show("other", v.get("other"))
    v.set("h", None)
    show("h without a value", v.h.get())
    v.h.set(H[1])
    show("h by hand", v.get("h"))
    v.cache.set(None)
    show.raises("no cache", lambda: [v.get("u"), v.get("u", 1.0)])


@program(VODE)
def vode_in_vmap(show):
    v = pxc.Vode()
    forward = batched(lambda u, *, v: v(u))
    with pxu.step(v, pxc.STATUS.INIT, clear_params=pxc.VodeParam.Cache):
        show("returned", forward(U, v=v))
    show("h", v.h)
    v.h.set(H)
    v.status = None

    @batched
    def energy(u, *, v):
        v(u)
        return v.energy()

    show("energies", energy(U, v=v))
    show("names of the cache", sorted(v.cache.get()))


@program(VODE)
def vode_params_of_ones_own(show):
    class Node(pxc.Vode):
        def __init__(self):
            super().__init__(ruleset={pxc.STATUS.INIT: ("h, h0, u <- u",)})
            self.h0 = pxc.VodeParam()
            self.h0.frozen = True

    v = Node()
    with pxu.step(v, pxc.STATUS.INIT, clear_params=pxc.VodeParam.Cache):
        v(U[0])
    v.status = None
    v.h.set(H[0])
    show("h0", [v.h0.get(), v.get("h0"), v.h.get()])
    v.set("h0", U[1])
    show("set", [v.h0.get(), v.cache.get()])


@program(VODE)
def vode_param_types(show):
    class Own(pxc.VodeParam):
        class Cache(pxc.VodeParam.Cache):
            pass

    v = pxc.Vode(param_type=Own)
    show("types", [type(v.h).__name__, type(v.cache).__name__])
    v.set("u", U[0])
    show("cache", v.get("u"))
    show("default", [type(pxc.Vode().h).__name__, type(pxc.Vode().cache).__name__])


@program(VODE)
def vode_values_for_params(show):
    show("value", pxc.Vode(pxc.se_energy, {}, {}, pxc.VodeParam, H[0]).h)
    show.raises("by keyword", lambda: pxc.Vode(value=H[0]).h)


@program(VODE)
def vode_shapes(show):
    v = pxc.Vode()
    show("before", v.shape.get())
    v(U)
    show("after a call", list(v.shape.get()))
    show("equal", v.shape == (2, 3))
    batched(lambda u, *, v: v(u))(U, v=v)
    show("after a vmap", list(v.shape.get()))
    w = pxc.Vode()
    w.set("u", U)
    show("after a set", w.shape.get())


@program(VODE)
def vode_frozen_masks(show):
    vodes = [pxc.Vode() for _ in range(3)]
    vodes[-1].h.frozen = True
    for i, v in enumerate(vodes):
        v.h.set(jnp.full(2, float(i)))
    kept = pxu.M_hasnot(pxc.VodeParam, frozen=True)(vodes)
    show("not frozen", [v.h is not None for v in kept])
    show("frozen", [v.h is not None for v in pxu.M_has(pxc.VodeParam, frozen=True)(vodes)])


@program(RULES)
def rules_when_set(show):
    v = pxc.Vode(ruleset={"a": ("h <- u:double", "u <- u"), "b|c": ("h, x <- h:double:plus",), "d.*": ("y <- u",)},
                 tforms={"double": lambda n, k, x, rkg: x * 2, "plus": lambda n, k, x, rkg: x + 1})  # fmt: skip
    for status in ("a", "b", "c", "deep", "e", None):
        v.status = None
        with pxu.step(v, status, clear_params=pxc.VodeParam.Cache):
            v(U[0], h=H[0]) if status in ("b", "c") else v(U[0])
            show(f"status {status}", [v.h.get(), v.cache.get()])


@program(RULES)
def rules_when_read(show):
    v = pxc.Vode(ruleset={".*": ("error -> h:minus:twice", "same -> u")},
                 tforms={"minus": lambda n, k, x, rkg: x - n.get("u"), "twice": lambda n, k, x, rkg: x * 2})  # fmt: skip
    with pxu.step(v, "any"):
        v(U[0], h=H[0])
        show("derived", [v.get("error"), v.get("same")])
        show("of another call", v(U[1], output="error"))
        show("cached", sorted(v.cache.get()))


@program(RULES)
def rules_that_read_themselves(show):
    v = pxc.Vode(ruleset={".*": ("u -> u:half",)}, tforms={"half": lambda n, k, x, rkg: x / 2})
    with pxu.step(v, "any"):
        show.raises("u", lambda: v(U[0], output="u"))


@program(RULES)
def rules_that_store_no_u(show):
    v = pxc.Vode(ruleset={"a": ("h <- u",)})
    with pxu.step(v, "a"):
        show.raises("h", lambda: v(U[0]))


@program(RULES)
def rules_read_other_names(show):
    v = pxc.Vode(ruleset={pxc.STATUS.ALL: ("half -> h:half",)}, tforms={"half": lambda n, k, x, rkg: x / 2})
    v(U[0], h=H[0])
    with pxu.step(v, "now"):
        show("a name that is derived", v.get("half"))
        v.h.set(H[1])
        show("cached", v.get("half"))
        v.cache.set({})
        show("cleared", v.get("half"))


@program(RULES)
def rules_without_a_status(show):
    v = pxc.Vode(ruleset={pxc.STATUS.ALL: ("h, u <- u",), "x": ("other <- u",)})
    v(U[0])
    show("no status", [v.h.get(), v.cache.get()])
    with pxu.step(v, "x"):
        v(U[1])
        show("status x", [v.h.get(), v.cache.get()])


@program(RULES)
def rules_for_init(show):
    v = pxc.Vode(ruleset={pxc.STATUS.INIT: ("h, u <- u:noise",)},
                 tforms={"noise": lambda n, k, x, rkg: x + jax.random.normal(rkg(), x.shape)})  # fmt: skip
    with pxu.step(v, pxc.STATUS.INIT, clear_params=pxc.VodeParam.Cache):
        show("noise", v(U[0]))
    w = pxc.Vode(ruleset={"other": ("h <- u",)})
    with pxu.step(w, pxc.STATUS.INIT, clear_params=pxc.VodeParam.Cache):
        show("the rule beneath", w(U[0]))
    z = pxc.Vode(ruleset={pxc.STATUS.INIT: ("h, u <- u:zero",)}, tforms={"zero": lambda n, k, x, rkg: jnp.zeros(3)})
    with pxu.step(z, pxc.STATUS.INIT, clear_params=pxc.VodeParam.Cache):
        show("zeros", z(U[0]))


@program(RULES)
def rules_noise_in_vmap(show):
    v = pxc.Vode(ruleset={pxc.STATUS.INIT: ("h, u <- u:noise",)},
                 tforms={"noise": lambda n, k, x, rkg: x + jax.random.normal(rkg(), x.shape)})  # fmt: skip
    with pxu.step(v, pxc.STATUS.INIT, clear_params=pxc.VodeParam.Cache):
        show("noise of each sample", batched(lambda u, *, v: v(u))(U, v=v))


@program(RULES)
def rules_see_the_node(show):
    seen = []

    def note(node, key, value, rkg):
        seen.append([type(node).__name__, key, list(value.shape), callable(rkg)])
        return value + (0.0 if node.h.get() is None else node.h.get() * 0.5)

    v = pxc.Vode(ruleset={"n": ("h, u <- u:note",)}, tforms={"note": note})
    with pxu.step(v, "n"):
        v(U[0])
        v(U[0])
    show("what a transformation sees", seen)
    show("h", v.h)


@program(RULES)
def rules_that_both_match(show):
    v = pxc.Vode(ruleset={"a.*": ("h <- u:one",), ".*b": ("h <- u:two", "z <- u")},
                 tforms={"one": lambda n, k, x, rkg: x + 1, "two": lambda n, k, x, rkg: x + 2})  # fmt: skip
    with pxu.step(v, "ab"):
        v(U[0])
        show("when set", [v.h.get(), v.cache.get()])
    w = pxc.Vode(ruleset={"a.*": ("x -> h",), ".*b": ("x -> u",)})
    with pxu.step(w, "ab"):
        w(U[0], h=H[0])
        show.warns("when read", lambda: w.get("x"))
        w.cache.set({"u": U[0]})
        show("the first is taken", w.get("x"))


@program(RULES)
def rules_match_the_whole_status(show):
    for pattern in ("a", "b|train", ".", "a|ab", "(a)"):
        v = pxc.Vode(ruleset={pattern: ("h, u <- u",)})
        with pxu.step(v, "ab"):
            v.set("u", U[0])
        show(f"ab by {pattern}", v.h.get() is not None)
    for pattern in ("ab", "a.*", ".*b", "[abc]+", "a?b?"):
        v = pxc.Vode(ruleset={pattern: ("h, u <- u",)})
        with pxu.step(v, "ab"):
            v.set("u", U[0])
        show(f"ab by {pattern}", v.h.get() is not None)


@program(RULES)
def rules_malformed(show):
    def use(rule, tforms=None):
        v = pxc.Vode(ruleset={"a": (rule,)}, tforms=tforms or {})
        with pxu.step(v, "a"):
            v(U[0])
            v.get("h")

    show.fails("no arrow", lambda: use("h u"))
    show.fails("unknown transformation", lambda: use("h <- u:nothing"))


@program(ENERGY)
def energies_on_a_sample(show):
    for name, fn in {"se": pxc.se_energy, "ce": pxc.ce_energy, "zero": pxc.zero_energy}.items():
        v = pxc.Vode(fn)
        v(U[0], h=H[0])
        show(f"{name} unreduced", fn(v, px.RKG))
        show(f"{name} by default", fn(v))
        f = batched(lambda u, *, v: (v(u), v.energy())[1])
        w = pxc.Vode(fn)
        w.h.set(H)
        show(f"{name} in a vmap", f(U, v=w))


@program(ENERGY)
def energies_outside_a_vmap(show):
    v = pxc.Vode()
    v(U, h=H)
    show("after a call", v.energy())
    w = pxc.Vode()
    w.set("u", U).set("h", H)
    show("after a set", w.energy())


@program(ENERGY)
def energies_are_cached(show):
    calls = []

    def own(vode, rkg=px.RKG):
        calls.append(1)
        return (vode.get("h") - vode.get("u")) ** 2

    @batched
    def f(u, *, v):
        v(u)
        return v.energy() + v.energy()

    v = pxc.Vode(own)
    v.h.set(H)
    show("twice", f(U, v=v))
    show("evaluated", len(calls))
    show("under E", v.cache.get()["E"])


@program(ENERGY)
def energies_of_ones_own(show):
    @batched
    def f(u, *, v):
        v(u)
        return v.energy()

    for name, own in {
        "positional": lambda vode, rkg: jnp.abs(vode.get("h") - vode.get("u")),
        "keyword": lambda vode, *, rkg: vode.get("h") * vode.get("u"),
        "scalar": lambda vode, rkg: (vode.get("h") - vode.get("u")).sum() ** 2,
        "noise": lambda vode, rkg: jax.random.normal(rkg(), (3,)) + vode.get("h"),
        "constant": lambda vode, rkg: jnp.ones(()),
    }.items():
        v = pxc.Vode(own)
        v.h.set(H)
        px.RKG.seed(1)  # a vmap may move the global key
        show(name, f(U, v=v))


@program(ENERGY)
def energies_none(show):
    v = pxc.Vode(energy_fn=None)
    v(U[0], h=H[0])
    show("value", v.energy())

    class Two(pxc.EnergyModule):
        def __init__(self):
            super().__init__()
            self.a, self.b = pxc.Vode(None), pxc.Vode()

        def __call__(self, x):
            self.a(x, h=x)
            self.b(x + 1, h=x)

    m = Two()

    @batched
    def f(u, *, m):
        m(u)
        return m.energy()

    show("in a module", f(U, m=m))


@program(ENERGY)
def energies_that_broadcast(show):
    v = pxc.Vode()

    @pxf.vmap(pxu.M(STATE).to((None, 0)), in_axes=(0, 0), out_axes=0)
    def f(h, u, *, v):
        v(u)
        v.set("h", h)
        return v.energy()

    show("1 against 3", f(jnp.ones((4, 1)), jnp.zeros((4, 3)), v=v))
    show.raises("a number against 3", lambda: f(jnp.ones(4), jnp.zeros((4, 3)), v=pxc.Vode()))


@program(ENERGY)
def energies_before_values(show):
    show.fails("nothing is set", lambda: pxc.Vode().energy())
    v = pxc.Vode()
    v.set("u", U[0])
    show.fails("h is not set", lambda: v.energy())


class Chain(pxc.EnergyModule):
    def __init__(self, energies):
        super().__init__()
        self.vodes = [pxc.Vode(e) for e in energies]
        self.layers = [pxnn.Linear(3, 3) for _ in energies]

    def __call__(self, x):
        for v, layer in zip(self.vodes, self.layers, strict=True):
            x = v(layer(x))
        return x


@program(MODULE)
def energy_module_sums(show):
    m = Chain([pxc.se_energy, pxc.zero_energy, pxc.ce_energy])
    with pxu.step(m, pxc.STATUS.INIT, clear_params=pxc.VodeParam.Cache):
        batched(lambda x, *, m: m(x))(U, m=m)
    m.status = None
    for v in m.vodes:
        v.status = None
        v.h.set(v.h * 0.5)

    @batched
    def f(x, *, m):
        m(x)
        return m.energy(), [v.energy() for v in m.vodes]

    show("energies", pxf.vmap(pxu.M(STATE).to((None, 0)), in_axes=(0,), out_axes=0)(
        lambda x, *, m: (m(x), m.energy())[1])(U, m=m))  # fmt: skip
    show("of each", [v.cache.get()["E"] for v in m.vodes])


@program(MODULE)
def energy_module_nested(show):
    class Outer(pxc.EnergyModule):
        def __init__(self):
            super().__init__()
            self.parts = {"a": Chain([pxc.se_energy]), "b": [Chain([pxc.se_energy, None])]}
            self.other = pxnn.Linear(2, 2)

        def __call__(self, x):
            return self.parts["b"][0](self.parts["a"](x))

    m = Outer()
    with pxu.step(m, pxc.STATUS.INIT, clear_params=pxc.VodeParam.Cache):
        batched(lambda x, *, m: m(x))(U, m=m)
    m.parts["a"].vodes[0].h.set(H)
    with pxu.step(m, None, clear_params=pxc.VodeParam.Cache):
        pass
    for v in (m.parts["a"].vodes[0], *m.parts["b"][0].vodes):
        v.status = None
    show("energies", batched(lambda x, *, m: (m(x), m.energy())[1])(U, m=m))


@program(MODULE)
def energy_module_without_children(show):
    class Empty(pxc.EnergyModule):
        pass

    show.raises("energy", lambda: float(Empty().energy()))
    show("status", Empty().status)


@program(MODULE)
def energy_module_clear_params(show):
    for name, what in {
        "type": pxc.VodeParam,
        "cache": pxc.VodeParam.Cache,
        "union": STATE,
        "predicate": lambda p: isinstance(p, pxc.VodeParam) and p.get() is not None and bool(p.get()[0] > 0),
    }.items():
        m = Chain([pxc.se_energy, pxc.se_energy])
        for i, v in enumerate(m.vodes):
            v(U[0], h=U[i] * (1, -1)[i])
        m.clear_params(what)
        show(name, [[v.h.get(), v.cache.get()] for v in m.vodes])
        show(f"{name}, weights", m.layers[0].nn.bias.get())


@program(MODULE)
def energy_module_statuses(show):
    m = Chain([pxc.se_energy, pxc.se_energy])
    seen = lambda: [m.status, *(v.status for v in m.vodes)]  # noqa: E731
    show("at first", seen())
    with pxu.step(m, "a"):
        show("inside", seen())
    m.status = "by hand"
    show("by hand", seen())
    show("names", [pxc.STATUS.NONE, pxc.STATUS.ALL, pxc.STATUS.INIT])


@program(MODULE)
def energy_module_status_in_jit(show):
    m = Chain([pxc.se_energy])
    m.vodes[0].h.set(H[0])

    @pxf.jit()
    def f(x, *, m):
        return m(x), m.status

    f2 = pxf.jit()(lambda x, *, m: m(x))
    with pxu.step(m, pxc.STATUS.INIT):
        show("init", f2(U[0], m=m))
    with pxu.step(m, None):
        m.vodes[0].h.set(H[0])
        show("none", f2(U[0], m=m))
