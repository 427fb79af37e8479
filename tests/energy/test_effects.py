"""What a model's call does beside computing: once a step for each sample, whatever the rule."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.experimental import io_callback

import pcx.learning as pxl
import pcx.nn as pxnn
import pcx.predictive_coding as pxc

SEEN: list = []
W, H = optax.sgd(0.1), optax.sgd(0.1)
RULES = {
    "backprop": pxl.backprop(W),
    "pc": pxl.pc(W, H, T=3),
    "ipc": pxl.ipc(W, H, T=3),
    "zil": pxl.zil(W),
    "fpa": pxl.fpa(W, H, T=3),
    "epc": pxl.epc(W, H, T=3),
    "mcpc": pxl.mcpc(W, 0.1, T=3),
}
X, Y = np.arange(8, dtype=np.float32).reshape(4, 2), np.ones((4, 2), np.float32)


def see(x):
    SEEN.append(float(x))


def printed(x):
    jax.debug.callback(see, x[0])
    return x


def counted(x):
    io_callback(see, None, x[0])
    return x


def in_a_jit(x):
    return jax.jit(printed)(x)


def in_a_cond(x):
    return jax.lax.cond(x[0] > -1, printed, lambda x: x, x)


class Net(pxc.EnergyModule):
    def __init__(self, effect):
        super().__init__()
        self.effect = effect
        self.layers, self.vodes = [pxnn.Linear(2, 2), pxnn.Linear(2, 2)], [pxc.Vode(), pxc.Vode()]
        self.vodes[-1].h.frozen = True

    def __call__(self, x):
        h = self.vodes[0](self.layers[0](self.effect(x)))
        return self.vodes[1](self.layers[1](h))


def seen_of(run):
    SEEN.clear()
    jax.block_until_ready(run())
    jax.effects_barrier()
    return sorted(SEEN)


@pytest.mark.parametrize("effect", [printed, counted], ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", RULES)
def test_once_a_step_for_each_sample(name, effect):
    rule = RULES[name]
    state = rule.init(Net(effect), (X, Y))
    assert seen_of(lambda: jax.jit(rule.step)(state, (X, Y))) == [0.0, 2.0, 4.0, 6.0]


@pytest.mark.parametrize("effect", [in_a_jit, in_a_cond], ids=lambda f: f.__name__)
def test_inside_of_what_the_call_compiles(effect):
    state = RULES["pc"].init(Net(effect), (X, Y))
    assert set(seen_of(lambda: jax.jit(RULES["pc"].step)(state, (X, Y)))) == {0.0, 2.0, 4.0, 6.0}


def test_predictions_and_steps_by_hand():
    model = Net(printed)
    assert seen_of(lambda: RULES["pc"].predict(model, X)) == [0.0, 2.0, 4.0, 6.0]
    assert seen_of(lambda: pxl.bind(model, (X, Y)).start().h) == [0.0, 2.0, 4.0, 6.0]


@pytest.mark.skipif(not hasattr(jax, "new_ref"), reason="this JAX has no jax.new_ref")
def test_what_is_changed_in_place_is_refused_by_name():
    def in_place(x):
        ref = jax.new_ref(x)
        ref[...] = ref[...] * 2
        return ref[...]

    with pytest.raises(ValueError, match=r"can't keep the order of: .*jax\.new_ref"):
        RULES["pc"].init(Net(in_place), (X, Y))


def test_without_effects_nothing_is_asked():
    problem = pxl.bind(Net(jnp.tanh), (X, Y)).problem
    assert problem._forward.effects == problem.wiring.program.effects == []
