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


@pytest.mark.hasty
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
            assert f"that takes T={needed} (see " in said[0]


GROWS = optax.adam(optax.linear_schedule(0.0, 0.1, 3))
LATE = {
    "pc": (lambda h, T: pxl.pc(W, h, T), 4),
    "until it rests": (lambda h, T: pxl.pc(W, h, pxi.Plateau(T, 0.0)), 4),
    "ipc": (lambda h, T: pxl.ipc(W, h, T), 5),
    "nudged": (lambda h, T: pxl.nudged(W, h, T, 0.1), 4),
    "fpa": (lambda h, T: pxl.fpa(W, h, T), 4),
    "downward": (lambda h, T: pxl.pc(W, h, T, schedule=pxi.Sweeps("down")), 2),
}


@pytest.mark.hasty
@pytest.mark.parametrize("name", LATE)
def test_transformations_that_move_late_take_more_steps(name):
    # One step in two: each node feels an error as late as two steps after the one below it.
    every = optax.MultiSteps(optax.sgd(0.2), 2).gradient_transformation()
    make, needed = LATE[name]
    model, batch = small()
    for steps in (needed - 1, needed):
        rule = make(every, steps)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            state = rule.init(model, batch)
        weights = rule.step(state, batch)[0].weights
        still = {p.split(".nn.")[0] for p, w in state.weights.items() if bool(jnp.all(weights[p] == w))}
        said = [str(w.message) for w in caught if "is too small" in str(w.message)]
        assert bool(still) == (steps < needed)
        assert len(said) == len(caught) - (name == "downward" and steps == 1)  # which never moves a node at all
        if still:
            assert f"T={steps} is too small: {', '.join(sorted(still))} will learn nothing" in said[0]
            assert f"that takes T={needed} (see " in said[0]


def test_a_rate_that_grows_from_zero():
    model, batch = small()
    with pytest.warns(UserWarning, match=r"T=2 is too small: layers\[0\] will learn .* takes T=3"):
        pxl.pc(W, GROWS, 2).init(model, batch)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pxl.pc(W, GROWS, 3).init(model, batch)
    # One step for each node is the first of its transformation, however many there are.
    with pytest.warns(UserWarning, match=r"layers\[0\], layers\[1\] will .*: the values' transformation moves nothing"):
        pxl.pc(W, GROWS, 3, schedule=pxi.LayerTime()).init(model, batch)


class Asked(pxi.Stop):
    def reached(self, energy, before, gradient):
        return jnp.ones(energy.shape, bool)


class NotAsked(pxi.Stop):
    early = True


@pytest.mark.parametrize("rule", [pxl.pc, pxl.epc, pxl.fpa])
def test_a_stop_that_would_not_be_asked_is_refused(rule):
    with pytest.raises(TypeError, match="Asked has a method reached, which is only asked with `early = True`"):
        rule(W, H, Asked(4))
    with pytest.raises(TypeError, match="NotAsked has no method reached"):
        rule(W, H, NotAsked(4))


@dataclasses.dataclass(frozen=True)
class Planned(pxi.Schedule):
    plan: tuple[tuple[int, tuple[tuple[str, ...], ...]], ...]

    def segments(self, landscape, steps):
        return tuple([pxi.Segment(*each) for each in self.plan])


@pytest.mark.parametrize(
    ("plan", "stop", "said"),
    [
        (((4, (("vodes[2]",),)),), 4, r"moves 'vodes\[2\]', but the nodes that move are vodes\[0\], vodes\[1\]"),
        (((5, (("vodes[0]",),)),), 4, "longer than the 4 steps"),
        (((2, (("vodes[0]",),)), (2, (("vodes[1]",),))), pxi.Plateau(4), "every step must be the same"),
    ],
)
def test_a_schedule_that_does_something_else_is_refused(plan, stop, said):
    model, batch = small()
    rule = pxl.pc(W, H, stop, schedule=Planned(plan), start=pxl.Zeros())
    state = rule.init(model, batch)
    with pytest.raises(ValueError, match=said):
        rule.step(state, batch)


def test_what_backpropagation_makes_no_use_of_is_said():
    class Decayed(pxm.MLP):
        def energy(self):
            return super().energy() + jnp.sum(self.layers[0].nn.weight.get() ** 2)

    model, batch = small()
    with pytest.warns(UserWarning, match=r"the precision of vodes\[0\], vodes\[1\] has no effect"):
        pxl.backprop(W, precision=2.0).init(model, batch)
    with pytest.raises(ValueError, match="LearnedPrecision would never learn"):
        pxl.backprop(W, precision=pxl.LearnedPrecision(W)).init(model, batch)
    with pytest.warns(UserWarning, match="adds to its nodes' energies has no effect"):
        pxl.backprop(W).init(Decayed([3, 4, 2]), batch)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pxl.backprop(W, precision={"vodes[2]": 2.0}).init(model, batch)


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


class Deep(pxl.Precision):
    """A precision that remembers nothing has one method."""

    def values(self, problem, memory):
        return {n: 0.5**i for i, n in enumerate(problem.free)}


@pytest.mark.hasty
def test_a_precision_that_remembers_nothing_is_one_of_fixed_numbers():
    model, batch = small()
    given = {n: 0.5**i for i, n in enumerate(pxl.bind(model, batch).problem.free)}
    after = []
    for precision in (Deep(), given):
        rule = pxl.pc(W, H, 4, precision=precision)
        after.append(rule.step(rule.init(model, batch), batch)[0])
    for path, weight in after[0].weights.items():
        np.testing.assert_array_equal(weight, after[1].weights[path])


@pytest.mark.hasty
def test_a_precision_of_ones_own_learns_by_a_method_or_is_refused():
    model, batch = small()
    rule = pxl.pc(W, H, 4, precision=Growing())
    state = rule.init(model, batch)
    state = rule.step(state, batch)[0]
    assert float(rule.step(state, batch)[0].memory["seen"]) == 3.0
    with pytest.raises(TypeError, match="give it a method learn"):
        pxl.pc(W, H, 4, precision=Still()).init(model, batch)
