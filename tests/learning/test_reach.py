"""What has no effect is said or refused: layers that no error reaches, timings and precisions that do nothing."""

import dataclasses
import warnings

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx as px
import pcx.inference as pxi
import pcx.learning as pxl
import pcx.models as pxm

W, H = optax.sgd(0.1), optax.sgd(0.2)
RULES = {
    "pc": lambda T: pxl.pc(W, H, T),
    "pc, Adam": lambda T: pxl.pc(W, optax.adam(0.1), T),
    "ipc": lambda T: pxl.ipc(W, H, T),
    "nudged": lambda T: pxl.nudged(W, H, T, 0.1),
    "fpa": lambda T: pxl.fpa(W, H, T),
    "epc": lambda T: pxl.epc(W, H, T),
    "downward": lambda T: pxl.pc(W, H, T, schedule=pxi.Sweeps("down")),
    "by layers": lambda T: pxl.pc(W, H, T, schedule=pxi.LayerTime()),
    "from zeros": lambda T: pxl.pc(W, H, T, start=pxl.Zeros()),
    "until it rests": lambda T: pxl.pc(W, H, pxi.Plateau(T, 0.0)),
    "values that decay": lambda T: pxl.pc(W, optax.chain(optax.add_decayed_weights(0.1), H), T),
}


def small():
    px.RKG.seed(0)
    r = np.random.default_rng(0)
    x, y = r.normal(size=(4, 3)), r.normal(size=(4, 2))
    return pxm.MLP([3, 4, 4, 2], act=jnp.tanh), (jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32))


@pytest.mark.parametrize("name", RULES)
def test_what_is_said_to_learn_nothing_does_not(name):
    model, batch = small()
    for steps in (1, 2):
        rule = RULES[name](steps)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            state = rule.init(model, batch)
        weights = rule.step(state, batch)[0].weights
        still = {p.split(".nn.")[0] for p, w in state.weights.items() if bool(jnp.all(weights[p] == w))}
        said = [str(w.message) for w in caught]
        if not still:
            assert not said
        else:
            needed = 3 if name == "ipc" else 2
            assert f"T={steps} is too small: {', '.join(sorted(still))} will learn nothing" in said[0]
            assert said[0].endswith(f"that takes T={needed}")


def test_a_timing_of_ones_own_is_refused():
    class Never(pxl.Timing):
        pass

    class Later(pxl.AtEnd):
        pass

    for timing, said in (
        (Never(), "be AtEnd"),
        (Later(), "be AtEnd"),
        ("at the end", "be a Timing, such as pxl.AtEnd"),
    ):
        with pytest.raises(TypeError, match=f"timing must {said}"):
            pxl.PredictiveCoding(W, H, 4, timing=timing)


@dataclasses.dataclass(frozen=True)
class Growing(pxl.Precision):
    """A precision that counts batches."""

    def init(self, problem):
        return {"seen": jnp.float32(1.0)}

    def values(self, problem, memory):
        return {n: memory["seen"] for n in problem.free}

    def learn(self, problem, memory, energies):
        assert set(energies) == set(problem.nodes)
        return {"seen": memory["seen"] + 1}


class Still(Growing):
    learn = pxl.Precision.learn


def test_a_precision_of_ones_own_learns_by_a_method_or_is_refused():
    model, batch = small()
    rule = pxl.pc(W, H, 4, precision=Growing())
    state = rule.init(model, batch)
    state = rule.step(state, batch)[0]
    assert float(rule.step(state, batch)[0].memory["seen"]) == 3.0
    with pytest.raises(TypeError, match="give it a method learn"):
        pxl.pc(W, H, 4, precision=Still()).init(model, batch)
