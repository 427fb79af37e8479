# pyright: reportArgumentType=false, reportOptionalMemberAccess=false
"""Equal layers shared out over four devices against one. Run by `training/test_layout.py`, in a process that has so
many."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh

import pcx as px
import pcx.inference as pxi
import pcx.learning as pxl
import pcx.models as pxm
from pcx.energy import Stacks
from pcx.training._layout import Layout

from .problems import cast
from .test_equal_layers import Net

DEVICES = np.array(jax.devices())
MESHES = {
    "layers": Mesh(DEVICES, ("layers",)),
    "layers and batch": Mesh(DEVICES.reshape(2, 2), ("layers", "batch")),
}
SGD, SLOW = optax.sgd(0.1, momentum=0.3), optax.sgd(0.01, momentum=0.5)
RULES = {
    "pc": lambda **how: pxl.pc(SLOW, SGD, pxi.Plateau(20, rtol=1e-2), **how),
    "nudged": lambda **how: pxl.nudged(SLOW, SGD, 8, 0.1, centred=True, **how),
    "ipc": lambda **how: pxl.ipc(optax.sgd(0.001), SGD, 6, **how),
    "mcpc": lambda **how: pxl.mcpc(SLOW, 0.01, 8, burn_in=2, **how),
    "epc": lambda **how: pxl.epc(SLOW, optax.sgd(0.1), 5, **how),
    "fpa": lambda **how: pxl.fpa(SLOW, optax.sgd(0.3), 5, **how),
}
DRAW = np.random.default_rng(0)
X, Y = DRAW.normal(size=(50, 8, 8)), DRAW.normal(size=(50, 8, 8))


def plain():
    return cast(pxm.MLP([8] * 7, act=jnp.tanh))  # four of its layers are equal


def blocks():
    """Four blocks of two layers, the second with a skip over the first."""
    return cast(Net(((jnp.tanh, 0), *[(jnp.tanh, 0), (jnp.sin, 2)] * 5, (lambda a: a, 0))))


def stepped(make: Any, rule: Any, mesh: Mesh | None, data: Any = (X, Y), steps: int = 50) -> Any:
    """State and diagnostics after some steps."""
    px.RKG.seed(0)
    layout, batches = Layout(mesh), list(zip(*data, strict=True))
    with layout.context():
        state = layout.states(rule.init(make(), batches[0]))
        step = jax.jit(lambda state, batch: layout.kept(rule.step(state, layout.divided(batch))))
        info = None
        for batch in batches[:steps]:
            # Of a CPU's devices one that is 32 steps ahead waits, and may keep the others from what it waits for.
            state, info = jax.block_until_ready(step(state, layout.replicated(batch)))
    return state, info


def apart(one: Any, other: Any) -> float:
    """The largest relative difference of a weight, or of energies."""
    (a, first), (b, second) = one, other
    assert int(first.result) == int(second.result) == 0
    pairs = [pair for p in a.weights for pair in zip(*(jax.tree.leaves(s.weights[p]) for s in (a, b)), strict=True)]
    pairs += [(first.energy, second.energy), (first.energy_before, second.energy_before), (first.steps, second.steps)]
    return max(float(np.linalg.norm(u - v) / np.linalg.norm(u)) for u, v in [map(np.asarray, pair) for pair in pairs])


@pytest.mark.parametrize(
    ("name", "meshes"),
    [
        ("pc", MESHES),  # how a step is shared out is the same for every rule; what each shares is its own
        ("nudged", ["layers and batch"]),
        ("ipc", ["layers"]),
        ("mcpc", ["layers and batch"]),
        ("epc", ["layers and batch"]),
        ("fpa", ["layers"]),
    ],
)
def test_every_rule_by_layer(double, name, meshes):
    one = stepped(plain, RULES[name](equal_layers="apart"), None)
    for mesh in map(MESHES.__getitem__, meshes):
        state, info = stepped(plain, RULES[name](), mesh)
        parts = [leaf.sharding.shard_shape(leaf.shape)[0] for leaf in jax.tree.leaves(state.weights.stacks[:2])]
        assert isinstance(state.weights, Stacks)
        assert set(parts) == {4 // mesh.shape["layers"]}
        assert apart(one, (state, info)) < 1e-12


def test_blocks_with_skips(double):
    rule, net = pxl.pc(SLOW, SGD, 6, precision=2.0, start=pxl.Zeros()), blocks()
    one, other = (stepped(lambda: net, rule, mesh, steps=8) for mesh in (None, MESHES["layers and batch"]))
    assert [len(names) for names in other[0].weights.blocks][:4] == [4] * 4
    assert apart(one, other) < 1e-12
    with Layout(MESHES["layers and batch"]).context():
        (_, mine), (_, loss) = (jax.jit(rule.evaluate)(state, (X[0], Y[0])) for state, _ in (other, one))
    np.testing.assert_allclose(mine, loss, rtol=1e-12)


EXCHANGE = re.compile(r" = (.*?) (all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)(?:-start)?\(")


def exchanges(rule, mesh, depth):
    """What a step's compiled program exchanges: kinds and sizes, for each of its loops and the rest."""
    layout, batch = Layout(mesh), (jnp.zeros((16, 8)), jnp.zeros((16, 8)))
    with layout.context():
        state = layout.states(rule.init(pxm.MLP([8] * (depth + 3), act=jnp.tanh), batch))
        step = jax.jit(lambda state, batch: layout.kept(rule.step(state, layout.divided(batch))))
        text = step.lower(state, layout.replicated(batch)).compile().as_text()
    found: dict[str, list[tuple[str, int]]] = {}
    name = ""
    for line in text.splitlines():
        head = re.match(r"(?:ENTRY )?%?([\w.\-]+) \(.*\{$", line)
        name = head.group(1) if head else name
        told = EXCHANGE.search(line)
        if told:
            sizes = [np.prod([int(d) for d in dims.split(",") if d]) for dims in re.findall(r"\[([\d,]*)\]", told[1])]
            found.setdefault(name, []).append((told[2], int(sum(sizes))))
    return found


def test_neighbours_exchange_a_value_and_a_gradient_a_step():
    """And what stands before and after the layers gets one of each; no stack leaves its device."""
    one, layers = 16 * 8, 8  # numbers of a value, of 16 samples
    found = exchanges(pxl.pc(SLOW, SGD, 10), MESHES["layers"], layers)
    assert all(size == one for each in found.values() for kind, size in each if kind == "collective-permute")
    others = [(kind, size) for each in found.values() for kind, size in each]
    assert all(size <= layers for kind, size in others if kind in ("all-gather", "all-to-all", "reduce-scatter"))
    passed = {n: sum(kind == "collective-permute" for kind, _ in each) for n, each in found.items()}
    (settling,) = [n for n, count in passed.items() if count == 2]
    assert sorted(count for count in passed.values() if count) == [1, 1, 2]  # a forward pass, and a last look
    summed = sum(size for kind, size in found[settling] if kind == "all-reduce")
    assert 2 * one <= summed <= 3 * one + 8


# -- bad input ----------------------------------------------------------------------------------------
def mlp(*widths):
    return lambda: pxm.MLP(list(widths) or [8] * 7, act=jnp.tanh)


def by_path(weights):
    return {path: "slow" if "layers[2]" in path else "fast" for path in weights}


NOT_SHARED_OUT = {
    "goes layer by layer": (
        pxl.zil(SLOW),
        mlp(),
        "one after the other, or in two directions, so that devices would wait for each other",
    ),
    "backprop": (pxl.backprop(SLOW), mlp(), "one after the other"),
    "apart": (pxl.hil(SLOW, SGD, 6), mlp(), "this rule goes through them one after the other"),
    "looped": (pxl.pc(SLOW, SGD, 6, equal_layers="looped"), mlp(), "leave equal_layers='looped' out"),
    "said to be apart": (pxl.ipc(SLOW, SGD, 6, equal_layers="apart"), mlp(), "leave equal_layers='apart' out"),
    "not alike": (pxl.pc(SLOW, SGD, 6), mlp(8, 7, 6, 8), "no layers of this network are equal"),
    "not even": (pxl.pc(SLOW, SGD, 7), mlp(*[8] * 8), "the 5 equal layers from vodes.1. on .* take 4 or 8 of them"),
    "too few": (pxl.pc(SLOW, SGD, 6), mlp(*[8] * 5), "the 2 equal layers .* take 4 of them"),
    "global norm": (
        pxl.pc(optax.chain(optax.clip_by_global_norm(0.1), SLOW), SGD, 6),
        mlp(),
        "optim_w can't be given their weights in stacks",
    ),
    "by path": (
        pxl.pc(optax.multi_transform({"slow": SLOW, "fast": SGD}, by_path), SGD, 6),
        mlp(),
        "optim_w can't be given their weights in stacks",
    ),
    "kept": (pxl.pc(SLOW, SGD, 6, start=pxl.Kept()), mlp(), "Kept keeps the values of each by itself"),
    "sweeps": (pxl.pc(SLOW, SGD, 6, schedule=pxi.Sweeps("down")), mlp(), "Sweeps moves them one after the other"),
    "some precise": (
        pxl.pc(SLOW, SGD, 6, precision={"vodes[1]": 2.0}),
        mlp(),
        r"some of vodes\[1\] to vodes\[4\] alone have a precision",
    ),
    "move otherwise": (
        pxl.pc(SLOW, lambda name: SLOW if name == "vodes[2]" else SGD, 6),
        mlp(),
        r"the values of vodes\[1\] to vodes\[4\] don't all move alike",
    ),
}


@pytest.mark.parametrize("name", NOT_SHARED_OUT)
def test_what_can_not_be_shared_out_by_layer_is_refused(name):
    rule, make, said = NOT_SHARED_OUT[name]
    data = tuple(a[0].astype(np.float32) for a in (X, Y))
    refused = pytest.raises(ValueError, match=f"^{rule.name}: the mesh shares layers out over 4 devices .*{said}")
    with Layout(MESHES["layers"]).context(), refused:
        rule.init(make(), data)
