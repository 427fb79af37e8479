"""Generated programs: drawn from a seed each, so that both packages run the same ones."""

import random

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import optax
from record import program

import pcx as px
import pcx.functional as pxf
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.utils as pxu
from programs.networks import run_mlp

MLPS, RULES, MASKS, CALLS, OPTIMS = 16, 14, 20, 24, 10

ACTS = [jnp.tanh, jax.nn.relu, jax.nn.sigmoid, jax.nn.silu, lambda x: x]
OPTIMISERS = [
    lambda: optax.sgd(0.05),
    lambda: optax.sgd(0.05, momentum=0.8, nesterov=True),
    lambda: optax.adam(1e-2),
    lambda: optax.adamw(1e-2, weight_decay=0.01),
    lambda: optax.chain(optax.clip(0.3), optax.adagrad(0.05)),
]


def generated_mlp(seed):
    def run(show):
        draw = random.Random(seed)
        sizes = [draw.randint(1, 5) for _ in range(draw.randint(2, 5))]
        run_mlp(
            show,
            sizes=sizes,
            act=draw.choice(ACTS),
            energy_fn=draw.choice([pxc.se_energy, pxc.se_energy, pxc.ce_energy]),
            T=draw.randint(1, 5),
            loop=draw.choice(["for", "scan"]),
            lr_h=draw.choice([0.05, 0.1, 0.5]),
            momentum=draw.choice([None, 0.5]),
            make_w=draw.choice(OPTIMISERS),
            batches=2,
        )

    return run


TFORMS = {
    "half": lambda n, k, v, rkg: v / 2,
    "plus": lambda n, k, v, rkg: v + 1,
    "sin": lambda n, k, v, rkg: jnp.sin(v),
    "noise": lambda n, k, v, rkg: v + jax.random.normal(rkg(), v.shape),
}
STATUSES = ["a", "ab", "b", "train", pxc.STATUS.INIT]


def generated_ruleset(seed):
    def run(show):
        draw = random.Random(1000 + seed)

        def pipe():
            return "".join(f":{draw.choice(list(TFORMS))}" for _ in range(draw.randint(0, 3)))

        rules = {}
        for pattern in draw.sample(["a$", "a.*", ".*b", "train|b", "[at].*", pxc.STATUS.INIT], 3):
            # u is stored by every rule that is met when it is set; what is read has a name of its own.
            found = [f"{draw.choice(['h', 'h, x', 'y', 'x'])}, u <- u{pipe()}", f"h, z <- h{pipe()}"]
            rules[pattern] = tuple(draw.sample(found, draw.randint(1, 2)))
        if draw.random() < 0.5:
            rules[draw.choice(["b", "train"])] = ("u <- u", f"out{seed} -> h{pipe()}")
        v = pxc.Vode(ruleset=rules, tforms=TFORMS)
        v.h.set(jnp.zeros(3))
        v.cache.set({"u": jnp.zeros(3)})
        for i in range(6):
            status = draw.choice(STATUSES)
            v.status = None
            with pxu.step(v, status, clear_params=None):
                value = jnp.arange(3.0) * (i + 1)
                if draw.random() < 0.3:
                    v.set("h", value)
                else:
                    v(value)
                cache = v.cache.get()
                names = ("u", "x", "y", "z")
                show(f"{i}: {status}", [v.h.get(), {n: cache[n] for n in names if n in cache}, v.get("h")])
        show("key", px.RKG.key.get())

    return run


class Bag(pxc.EnergyModule):
    def __init__(self, draw):
        super().__init__()
        kinds = [px.Param, pxnn.LayerParam, pxc.VodeParam]
        self.params = []
        for i in range(8):
            p = draw.choice(kinds)(jnp.full((draw.randint(1, 3),), float(i)))
            for name in ("frozen", "kind"):
                if draw.random() < 0.4:
                    setattr(p, name, draw.choice([True, False]))
            self.params.append(p)
        self.vode = pxc.Vode()
        self.vode.set("u", jnp.zeros(2))
        self.layer = pxnn.Linear(2, 2)


def generated_mask(seed):
    def run(show):
        draw = random.Random(2000 + seed)
        bag = Bag(draw)

        def mask(depth):
            if depth == 0 or draw.random() < 0.2:
                leaf = draw.choice(["type", "union", "predicate", "none"])
                if leaf == "type":
                    return pxu.M(draw.choice([px.Param, pxnn.LayerParam, pxc.VodeParam, pxc.VodeParam.Cache]))
                if leaf == "union":
                    return pxu.M(draw.choice([pxc.VodeParam | pxnn.LayerParam, pxc.VodeParam | pxc.VodeParam.Cache]))
                if leaf == "predicate":
                    n = draw.randint(1, 3)
                    return pxu.M(lambda p: isinstance(p, px.Param) and p.get() is not None and p.shape[0] == n)
                return pxu.M(px.BaseParam)
            kind = draw.choice(["and", "or", "is", "has", "hasnot", "M_has", "M_hasnot"])
            attrs = {name: draw.choice([True, False]) for name in draw.sample(["frozen", "kind"], draw.randint(1, 2))}
            if kind == "and":
                return mask(depth - 1) & mask(depth - 1)
            if kind == "or":
                return mask(depth - 1) | mask(depth - 1)
            if kind == "is":
                return pxu.M_is(*(mask(depth - 1) for _ in range(draw.randint(1, 3))))
            if kind in ("has", "hasnot"):
                return getattr(mask(depth - 1), kind)(**attrs)
            return getattr(pxu, kind)(mask(depth - 1), **attrs)

        def held(tree):
            leaves = [*tree.params, tree.vode.h, tree.vode.cache, tree.layer.nn.weight, tree.layer.nn.bias]
            return [type(x).__name__ if isinstance(x, px.BaseParam) else x for x in leaves]

        for i in range(6):
            state = draw.getstate()
            m = mask(3)
            show(f"kept {i}", held(m(bag)))
            draw.setstate(state)
            show(f"mapped {i}", held(mask(3).to((0, 1))(bag)))

    return run


def zero(x, *, s):
    return jnp.zeros(())


def wrapped(draw, f, depth, mapped=False):
    """`f(x, s=s) -> number` inside a random transform, and that in others."""
    if depth == 0:
        return f
    kinds = ["jit", "scan", "cond", "grad", "while", "switch"] + ([] if mapped else ["vmap"])
    kind = draw.choice(kinds)
    inner = wrapped(draw, f, depth - 1, mapped or kind == "vmap")
    n, which = draw.randint(1, 3), draw.random() < 0.7

    def jit(x, *, s):
        return pxf.jit()(inner)(x, s=s)

    def scan(x, *, s):
        step = lambda _, t, *, s: ((t + inner(x, s=s),), t)  # noqa: E731
        (t,), ys = pxf.scan(step, length=n)(jnp.zeros(()), s=s)
        return t + 0.1 * ys.sum()

    def cond(x, *, s):
        return pxf.cond(inner, zero)(jnp.asarray(which), x, s=s)

    def switch(x, *, s):
        return pxf.switch((zero, inner, zero))(jnp.asarray(1), x, s=s)

    def while_(x, *, s):
        body = lambda i, t, *, s: (i + 1, t + inner(x, s=s))  # noqa: E731
        return pxf.while_loop(body, lambda i, t, *, s: i < n)(0, jnp.zeros(()), s=s)[1]

    def vmap(x, *, s):
        mask = {"s": pxu.M(pxc.VodeParam).to((None, 0))}
        return pxf.vmap(mask, in_axes=(None,), out_axes=0)(inner)(x, s=s).sum()

    def grad(x, *, s):
        mask = {"s": pxu.M(pxnn.LayerParam).to((False, True))}
        v, g = pxf.value_and_grad(mask)(inner)(x, s=s)
        return v + 0.1 * sum(leaf.sum() for leaf in jtu.tree_leaves(g["s"]))

    if kind == "grad" and uses_while(inner):
        kind = "jit"  # no reverse mode through a loop of unknown length
    made = {"jit": jit, "scan": scan, "cond": cond, "switch": switch, "while": while_, "vmap": vmap, "grad": grad}[kind]
    made.loops = kind == "while" or uses_while(inner)
    return made


def uses_while(f):
    return getattr(f, "loops", False)


def generated_call(seed):
    def run(show):
        draw = random.Random(3000 + seed)
        w = [pxnn.LayerParam(jnp.array([1.0, -0.5]) * (i + 1)) for i in range(2)]
        h = [pxc.VodeParam(jnp.arange(6.0).reshape(3, 2) * 0.1 * (i + 1)) for i in range(3)]
        s = {"w": w, "h": h, "same": h[draw.randint(0, 2)], "n": px.static(draw.randint(1, 3))}
        ops = [
            (draw.choice(["add", "set", "mul"]), draw.randrange(3), draw.randrange(3), draw.randrange(2))
            for _ in range(4)
        ]

        def f(x, *, s):
            for op, i, j, k in ops:
                if op == "add":
                    s["h"][i] += 0.1 * s["h"][j] * s["w"][k]
                elif op == "set":
                    s["h"][i].set(jnp.tanh(s["h"][j] + s["same"] * 0.1) * s["n"].get())
                else:
                    s["h"][i] *= 0.9
            return sum((v * s["w"][0]).sum() for v in s["h"]) * x

        call = wrapped(draw, f, draw.randint(1, 3))
        show("value", call(jnp.array(1.5), s=s))
        show("once more", call(jnp.array(0.5), s=s))
        show("after", [s["h"], s["w"], s["same"]])

    return run


def generated_optim(seed):
    def run(show):
        draw = random.Random(4000 + seed)
        layers = [pxnn.Linear(3, draw.randint(1, 3)) for _ in range(draw.randint(1, 4))]
        make = draw.choice(OPTIMISERS)
        params = pxu.M(pxnn.LayerParam)(layers)
        kind = draw.choice(["one", "layers", "params"])
        node = pxnn.Layer if kind == "layers" else pxnn.LayerParam
        optim = pxu.Optim(make, params) if kind == "one" else pxu.OptimTree(make, lambda x: isinstance(x, node), params)
        f = lambda x, *, layers: sum((layer(x) ** 2).sum() for layer in layers)  # noqa: E731
        scale, jitted = draw.choice([None, 0.5, 0.1]), draw.random() < 0.5

        def train(x, *, layers, optim):
            v, g = pxf.value_and_grad({"layers": pxu.M(pxnn.LayerParam).to((False, True))})(f)(x, layers=layers)
            optim.step(layers, g["layers"], scale_by=scale)
            return v

        train = pxf.jit()(train) if jitted else train
        show("losses", [train(jnp.arange(3.0), layers=layers, optim=optim) for _ in range(4)])
        show("weights", [[layer.nn.weight, layer.nn.bias] for layer in layers])

    return run


for _kind, _count, _make, _row in (
    ("mlp", MLPS, generated_mlp, "generated: whole programs"),
    ("ruleset", RULES, generated_ruleset, "generated: pxc Ruleset"),
    ("mask", MASKS, generated_mask, "generated: pxu M"),
    ("call", CALLS, generated_call, "generated: pxf transforms"),
    ("optim", OPTIMS, generated_optim, "generated: pxu Optim, OptimTree"),
):
    for _seed in range(_count):
        program(_row, f"generated_{_kind}_{_seed}")(_make(_seed))
