# pyright: reportArgumentType=false, reportCallIssue=false
# (wrong types are what this file is about)
"""What is given and would do nothing is refused, or said: rates of 0, entries for nodes that never move, names of no
nodes, factors of 0, complex numbers."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx.energy as pxe
import pcx.inference as pxi
import pcx.learning as pxl
import pcx.models as pxm
import pcx.predictive_coding as pxc

from .problems import jit, normal, seeded

W, H = optax.sgd(0.1), optax.sgd(0.1)
X, Y = jnp.asarray(normal(1, 5, 3), jnp.float32), jnp.asarray(normal(2, 5, 2), jnp.float32)


def build(cls=pxm.MLP):
    return seeded(cls, [3, 4, 4, 2], jnp.tanh)


@pytest.fixture(scope="module")
def bound():
    return pxl.bind(build(), (X, Y))


RULES = {
    "pc": lambda h: pxl.pc(W, h, 4),
    "pc until it rests": lambda h: pxl.pc(W, h, pxi.Plateau(4)),
    "ipc": lambda h: pxl.ipc(W, h, 4),
    "zil": lambda h: pxl.zil(W, h),
    "hil": lambda h: pxl.hil(W, h, T=4),
    "fpa": lambda h: pxl.fpa(W, h, 4),
    "epc": lambda h: pxl.epc(W, h, 4),
    "nudged": lambda h: pxl.nudged(W, h, 4, 0.1),
    "mcpc": lambda h: pxl.mcpc(W, h, 4),
}
# Transformations that are proved to move nothing in four steps.
STILL = {
    "sgd": optax.sgd(0.0),
    "momentum": optax.sgd(0.0, momentum=0.9),
    "Adam": optax.adam(0.0),
    "clipped": optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.0)),
    "an array": optax.sgd(jnp.array(0.0)),
    "a schedule of zeros": optax.sgd(optax.constant_schedule(0.0)),
    "a rate in the state": optax.inject_hyperparams(optax.sgd)(learning_rate=0.0),
    "nothing": optax.set_to_zero(),
    "every eighth step": optax.MultiSteps(optax.sgd(0.1), 8).gradient_transformation(),
}
MOVING = {
    "a rate that grows from 0": optax.sgd(optax.linear_schedule(0.0, 0.1, 3)),
    "every other step": optax.MultiSteps(optax.sgd(0.1), 2).gradient_transformation(),
    "Adam": optax.adam(1e-6),
}


@pytest.mark.parametrize("name", RULES)
def test_values_that_never_settle_are_said(name):
    with pytest.warns(UserWarning, match=r"vodes\[1\] never settle: .* whatever the gradient, as with a rate of 0"):
        RULES[name](optax.sgd(0.0)).init(build(), (X, Y))


@pytest.mark.parametrize("name", STILL)
def test_what_moves_nothing_is_proved_from_the_transformation(name, bound):
    with pytest.warns(UserWarning, match=r"pc: the values of vodes\[0\], vodes\[1\] never settle"):
        pxl.pc(W, STILL[name], 4).init(build(), (X, Y))
    start = bound.start()
    with pytest.warns(UserWarning, match=r"relax: the values of vodes\[0\], vodes\[1\] never settle"):
        found = pxi.relax(bound.landscape(start.targets), start.h, descent=STILL[name], stop=4)
    assert all(np.array_equal(found.nodes[n], v) for n, v in start.h.items())


@pytest.mark.hasty
@pytest.mark.parametrize("name", MOVING)
def test_what_moves_at_last_is_taken(name):
    rule = pxl.pc(W, MOVING[name], 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        state = rule.init(build(), (X, Y))
    assert not np.array_equal(
        rule.step(state, (X, Y))[0].weights["layers[1].nn.weight"], state.weights["layers[1].nn.weight"]
    )


@pytest.mark.hasty
def test_a_rate_that_is_not_known_is_taken():
    def energy(rate):
        rule = pxl.pc(W, optax.sgd(rate), 4)
        return rule.step(rule.init(build(), (X, Y)), (X, Y))[1].energy

    found = jax.vmap(energy)(jnp.array([0.0, 0.1]))
    assert found[0] > found[1]


def test_one_node_that_never_moves_is_said():
    rule = pxl.pc(W, {"vodes[0]": H, "vodes[1]": optax.set_to_zero()}, 4)
    with pytest.warns(UserWarning, match=r"pc: the values of vodes\[1\] never settle"):
        rule.init(build(), (X, Y))


def test_an_entry_for_a_node_that_never_moves_is_refused(bound):
    every = {n: H for n in bound.problem.nodes}
    for name in ("pc", "zil", "hil", "epc"):
        with pytest.raises(ValueError, match=r"an entry for 'vodes\[2\]', which is clamped and never moves"):
            RULES[name](every).init(build(), (X, Y))
    start = bound.start()
    with pytest.raises(ValueError, match=r"relax: descent has an entry for 'vodes\[2\]', which is clamped"):
        pxi.relax(bound.landscape(start.targets), start.h, descent=every, stop=4)


class Middle(pxm.MLP):
    """An output from which another node is predicted: it settles where it has no target."""

    def __call__(self, x, y=None):
        h = self.vodes[0](jnp.tanh(self.layers[0](x)))
        h = self.vodes[1](jnp.tanh(self.layers[1](h)))
        return self.vodes[2](self.layers[2](h))


def test_an_entry_for_an_output_that_may_be_free_is_taken():
    model = build(Middle)
    model.vodes[1].h.frozen = True
    every = {f"vodes[{i}]": H for i in range(2)}
    targets = {"vodes[1]": jnp.zeros((5, 4)), "vodes[2]": Y}
    pxl.pc(W, every, 4).init(model, (X, targets))


def test_names_of_no_node_are_refused(bound):
    start = bound.start()
    landscapes = [
        bound.landscape(start.targets),
        pxe.OverErrors(bound, start.targets),
        pxe.OverFixedErrors(bound, start.targets),
    ]
    for landscape in landscapes:
        at = landscape.start()
        more = {**at, "hidden": at["vodes[0]"]}
        for call in ("energies", "gradient", "weight_gradient", "values"):
            with pytest.raises(ValueError, match="there is no node 'hidden'; the nodes are "):
                getattr(landscape, call)(more)
            with pytest.raises(ValueError, match=r"the coordinates lack vodes\[1\]"):
                getattr(landscape, call)({"vodes[0]": at["vodes[0]"]})
        for wrong in ("hidden", "vodes[2]"):
            with pytest.raises(ValueError, match=f"moving names '{wrong[:3]}.*', which doesn't move"):
                landscape.gradient(at, [wrong])
        with pytest.raises(ValueError, match="there is no node 'hidden'"):
            pxi.relax(landscape, more, descent=H, stop=4)
        with pytest.raises(ValueError, match=r"shape \(2, 4\), but this problem is of a batch of 5"):
            landscape.energies({n: v[:2] for n, v in at.items()})
    with pytest.raises(ValueError, match="there is no node 'hidden'"):
        landscapes[0].energies(start.h, ["hidden"])
    with pytest.raises(TypeError, match=r"scale of vodes\[0\] must be a number, finite"):
        bound.landscape(start.targets, scale={"vodes[0]": "much"})


@pytest.mark.parametrize("rule", [pxl.pc, pxl.epc, pxl.fpa])
def test_a_start_with_another_node_is_refused(rule):
    class Elsewhere(pxl.Start):
        def coords(self, landscape, kept, key):
            return {**landscape.start(), "hidden": jnp.zeros((5, 4))}

    made = rule(W, H, 4, start=Elsewhere())
    with pytest.raises(ValueError, match=r"Elsewhere.coords gives coordinates of 'hidden'"):
        made.step(made.init(build(), (X, Y)), (X, Y))


def test_unobserved_steps_of_nothing_are_refused(bound):
    start = bound.start()

    def relax(unobserved, observe):
        landscape = bound.landscape(start.targets)
        pxi.relax(landscape, start.h, descent=H, stop=4, unobserved=unobserved, observe=observe)

    with pytest.raises(ValueError, match="unobserved=2 has no effect without observe"):
        relax(2, None)
    with pytest.raises(ValueError, match="unobserved=4 leaves none of 4 steps to observe"):
        relax(4, lambda nodes: nodes)
    with pytest.raises(ValueError, match=r"relax: unobserved must be a whole number, 0 or more, got 1\.5"):
        relax(1.5, lambda nodes: nodes)


@pytest.mark.parametrize("rule", [pxl.pc, pxl.ipc, pxl.mcpc, pxl.epc, pxl.fpa])
def test_kept_values_are_of_the_same_samples(rule):
    made = rule(W, H, 4, start=pxl.Kept())
    state = made.init(build(), (X, Y))
    with pytest.raises(ValueError, match="Kept keeps the values of 5 samples, but this batch has 3"):
        jit(made.step)(state, (X[:3], Y[:3]))


def test_factors_of_nothing_are_refused():
    for wrong in (0.0, -1.0, float("nan")):
        for name in ("generative", "discriminative"):
            with pytest.raises(ValueError, match=f"bpc: {name} must be above 0"):
                pxl.bpc(W, H, 4, **{name: wrong})


def test_a_precision_of_a_node_without_an_energy_is_refused():
    model = build()
    model.vodes[0] = pxc.Vode(pxc.zero_energy)
    for precision in ({"vodes[0]": 2.0}, pxl.LearnedPrecision(optax.sgd(0.1), nodes=("vodes[0]",))):
        with pytest.raises(ValueError, match=r"names vodes\[0\], which has no energy that a precision could weigh"):
            pxl.pc(W, H, 4, precision=precision).init(model, (X, Y))
    for nodes in ((), "vodes[0]"):
        with pytest.raises(TypeError, match="nodes must be a tuple of names, one at least"):
            pxl.LearnedPrecision(optax.sgd(0.1), nodes=nodes)


@pytest.mark.parametrize("rule", [pxl.backprop(W), pxl.pc(W, H, 4), pxl.zil(W), pxl.epc(W, H, 4)], ids=str)
def test_complex_numbers_are_refused_by_node(rule):
    model, z = build(), X.astype(jnp.complex64)
    match = r"the prediction of vodes\[0\] is of complex numbers"
    with pytest.raises(ValueError, match=match):
        rule.init(model, (z, Y))
    with pytest.raises(ValueError, match=match):
        rule.predict(model, z)
    with pytest.raises(ValueError, match=r"the value of vodes\[2\] is of complex numbers"):
        rule.init(model, (X, Y.astype(jnp.complex64)))
    with pytest.raises(ValueError, match=r"the target of vodes\[2\] is of complex numbers"):
        rule.evaluate(build(Middle), (X, Y.astype(jnp.complex64)))
    model.layers[0].nn.weight.set(model.layers[0].nn.weight.get().astype(jnp.complex64))
    with pytest.raises(TypeError, match=r"layers\[0\].nn.weight is to learn but holds complex64; mark it"):
        rule.init(model, (X, Y))


class Spectrum(pxm.MLP):
    def __call__(self, x, y=None):
        return super().__call__(jnp.abs(x), y)


def test_what_a_model_makes_real_is_taken():
    rule = pxl.pc(W, H, 4)
    batch = X.astype(jnp.complex64), Y
    assert int(rule.step(rule.init(build(Spectrum), batch), batch)[1].result) == pxl.OUTCOME.ok


def test_values_of_another_kind_are_refused(bound):
    start = bound.start()
    landscape = bound.landscape(start.targets)
    for kind in (jnp.complex64, jnp.int32):
        at = {n: v.astype(kind) for n, v in start.h.items()}
        with pytest.raises(
            ValueError, match=r"the value of vodes\[0\] is of (complex64|int32), but this node holds real"
        ):
            pxi.relax(landscape, at, descent=H, stop=4)
        with pytest.raises(
            ValueError, match=r"the value of vodes\[2\] is of (complex64|int32), but this node holds real"
        ):
            bound.landscape({"vodes[2]": Y.astype(kind)})
