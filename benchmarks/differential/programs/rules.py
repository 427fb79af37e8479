"""Rulesets: what is stored when a name is set, what is derived when it is read."""

import jax
import jax.numpy as jnp
from record import program

import pcx.predictive_coding as pxc
import pcx.utils as pxu
from programs.vodes import RULES, H, U, batched


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
    tforms = {"minus": lambda n, k, x, rkg: x - n.get("u"), "twice": lambda n, k, x, rkg: x * 2}
    v = pxc.Vode(ruleset={".*": ("error -> h:minus:twice", "same -> u")}, tforms=tforms)
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
