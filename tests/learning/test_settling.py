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
}


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
