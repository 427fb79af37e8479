"""How the values of a step settle can be watched."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx as px
import pcx.inference as pxi
import pcx.learning as pxl
import pcx.models as pxm

W, H = optax.adam(1e-2), optax.sgd(0.1)
RULES = {
    "pc": pxl.pc(W, H, 5),
    "epc": pxl.epc(W, H, 5),
    "nudged": pxl.nudged(W, H, 5, 0.1, centred=True),
    "mcpc": pxl.mcpc(W, 0.1, 5),
    "until": pxl.pc(W, H, pxi.Plateau(50), start=pxl.Kept()),
    "hil": pxl.hil(optax.sgd(0.0), T=5),  # by weights that stay; its first step is larger than the others
}


@pytest.mark.hasty
@pytest.mark.parametrize("name", RULES)
def test_what_settles_again_is_what_a_step_did(name):
    rule = RULES[name]
    px.RKG.seed(0)
    r = np.random.default_rng(0)
    batch = jnp.asarray(r.normal(size=(6, 3)), jnp.float32), jnp.asarray(r.normal(size=(6, 2)), jnp.float32)
    state = rule.init(pxm.MLP([3, 4, 4, 2], act=jnp.tanh), batch, key=3)

    def watch(state):
        bound = rule.bind(state, batch)
        return [
            pxi.relax(s.landscape, s.start, descent=s.solver, stop=s.stop, key=s.key, trace=True)
            for s in rule.settling(bound, bound.start(), rule.memory_of(state))
        ]

    seen = jax.jit(watch)(state)
    _, info = jax.jit(rule.step)(state, batch)
    assert len(seen) == (2 if name == "nudged" else 1)
    for solution in seen:
        assert solution.trace is not None
    for node, energy in info.energies.items():
        trace, steps = seen[-1].trace[node], seen[-1].steps
        np.testing.assert_allclose(jnp.mean(trace[jnp.max(steps)]), energy, rtol=1e-6)


def test_rules_that_do_not_settle_have_nothing_to_watch():
    rule = pxl.zil(W)
    batch = jnp.ones((2, 3)), jnp.ones((2, 2))
    state = rule.init(pxm.MLP([3, 4, 2]), batch)
    bound = rule.bind(state, batch)
    assert rule.settling(bound, bound.start(), rule.memory_of(state)) == ()
    with pytest.raises(TypeError, match=r"zil.bind: expected the state"):
        rule.bind(pxm.MLP([3, 4, 2]), batch)  # pyright: ignore[reportArgumentType]


@pytest.mark.hasty
@pytest.mark.parametrize("form", ["apart", "looped"])
@pytest.mark.parametrize("stop", [6, pxi.Plateau(40, 1e-2)], ids=["fixed", "until"])
def test_a_trace_keeps_what_is_asked_for(form, stop):
    rule = pxl.pc(W, H, stop, equal_layers=form)
    px.RKG.seed(0)
    batch = jnp.ones((2, 4)), jnp.zeros((2, 4))
    state = rule.init(pxm.MLP([4] * 6, act=jnp.tanh), batch)
    bound = rule.bind(state, batch)
    (s,) = rule.settling(bound, bound.start(), rule.memory_of(state))

    def norms(coords):
        grad = s.landscape.gradient(coords)(coords)
        return {n: jnp.sum(jnp.square(grad[n]), axis=1) for n in s.landscape.free}

    def relax(trace):
        return pxi.relax(s.landscape, s.start, descent=s.solver, stop=s.stop, trace=trace)

    energies, squares = relax(True).trace, relax(norms).trace
    assert energies is not None
    assert squares is not None
    assert list(squares) == [f"vodes[{i}]" for i in range(4)]
    assert set(energies) == {f"vodes[{i}]" for i in range(5)}
    assert energies["vodes[0]"].shape == squares["vodes[0]"].shape == ((7 if stop == 6 else 41), 2)
    arrives = [int(jnp.argmax(squares[n][:, 0] > 0)) for n in squares]
    assert arrives == [3, 2, 1, 0]
