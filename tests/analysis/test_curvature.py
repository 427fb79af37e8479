"""Curvatures against dense Hessians, and the steps that they allow against where settling diverges."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx.analysis as pxa
import pcx.energy as pxe
import pcx.inference as pxi
import pcx.learning as pxl
import pcx.models as pxm
import pcx.predictive_coding as pxc

from .conftest import enable_x64
from .networks import Normed, Skip, bound, chain, conv, dense, eigenvalues, landscape, mlp, moved, normal


@pytest.mark.hasty
@pytest.mark.usefixtures("double")
def test_the_ends_of_each_sample():
    space = landscape(bound(mlp))
    at = moved(space)
    found = pxa.curvature(space, at, per_sample=True, tolerance=1e-6)
    assert found.converged.all()
    H = dense(space, at)
    for i in range(3):
        own = np.concatenate([np.broadcast_to((np.arange(3) == i)[:, None], at[n].shape).ravel() for n in sorted(at)])
        true, vectors = np.linalg.eigh(H[np.ix_(own, own)])
        np.testing.assert_allclose([found.smallest[i], found.largest[i]], true[[0, -1]], rtol=1e-6)
        for direction, want in ((found.smallest_direction, vectors[:, 0]), (found.largest_direction, vectors[:, -1])):
            v = np.concatenate([direction[n][i] for n in sorted(at)])
            np.testing.assert_allclose(abs(v @ want), 1, rtol=1e-4)
    np.testing.assert_allclose(sum(found.shares().values()), 1, rtol=1e-9)


@pytest.mark.hasty
@pytest.mark.parametrize(
    ("make", "per_sample", "wide"),
    [
        (Skip, True, False),
        (conv, False, False),
    ],
)
def test_curvatures_are_those_of_dense_hessians(make, per_sample, wide):
    with enable_x64(wide):
        space = landscape(bound(make))
        at = moved(space)
        true = eigenvalues(space, at)
        found = pxa.curvature(space, at, per_sample=per_sample)
        assert jnp.all(found.converged)
        assert found.largest.dtype == (jnp.float64 if wide else jnp.float32)
        np.testing.assert_allclose(jnp.max(found.largest), true[-1], rtol=1e-5)
        np.testing.assert_allclose(jnp.min(found.smallest), true[0], rtol=1e-5 if wide else 1e-4)


@pytest.mark.hasty
@pytest.mark.usefixtures("double")
def test_errors_say_how_far_values_may_be_off():
    # Of samples whose curvatures are close to each other, before they have converged and after.
    for seed in range(2):
        space = landscape(bound(lambda: pxm.MLP([5, 16, 16, 16, 3], act=jnp.tanh), batch=5, seed=seed))
        at = moved(space)
        H = dense(space, at)
        sample = np.concatenate([np.repeat(np.arange(5), 16)] * 3)
        each = np.stack([np.linalg.eigvalsh(H[np.ix_(sample == i, sample == i)])[[0, -1]] for i in range(5)])
        for per_sample in (False, True):
            true = each if per_sample else np.array([each[:, 0].min(), each[:, 1].max()])
            for steps in (60,) if per_sample else (7, 60):
                found = pxa.curvature(space, at, per_sample=per_sample, steps=steps, tolerance=1e-5)
                values, errors = [
                    np.stack(ends, axis=-1)
                    for ends in ((found.smallest, found.largest), (found.smallest_error, found.largest_error))
                ]
                # Before they have converged an end may not have been met yet: they say how far it is, about.
                assert np.all(np.abs(values - true) <= (4 if steps == 7 else 1) * errors + 1e-12)
                assert np.all(found.converged) == (steps == 60)
                if steps == 60:
                    np.testing.assert_allclose(values, true, rtol=1e-5)
                if steps == 7 or per_sample:
                    continue
                # The directions are of the sample that is outermost.
                v = np.concatenate([np.ravel(found.smallest_direction[n]) for n in sorted(at)])
                np.testing.assert_allclose(H @ v, true[0] * v, atol=1e-2 * abs(true[0]))
                np.testing.assert_allclose(np.linalg.norm(v), 1)


@pytest.mark.hasty
@pytest.mark.usefixtures("double")
def test_stacks_a_part_of_the_nodes_and_nodes_clamped_in_part():
    b = bound(chain)
    space = landscape(b)
    at = moved(space)
    true = eigenvalues(space, at)
    for over in ("values", "errors"):
        stacked = dataclasses.replace(b, form="stacked")
        targets = stacked.start().targets
        there = stacked.landscape(targets) if over == "values" else pxe.OverErrors(b, targets)
        assert over == "errors" or there.blocks(there.free) != tuple((n,) for n in there.free)
        found = pxa.curvature(there, at, per_sample=True)
        want = true if over == "values" else eigenvalues(landscape(b, "errors"), at)
        np.testing.assert_allclose([jnp.min(found.smallest), jnp.max(found.largest)], want[[0, -1]], rtol=1e-6)
        np.testing.assert_allclose(sum(found.shares("smallest").values()), 1, rtol=1e-9)
    names = space.free[1:3]
    found = pxa.curvature(space, at, moving=names, per_sample=True)
    part = eigenvalues(space, at, names)
    np.testing.assert_allclose([jnp.min(found.smallest), jnp.max(found.largest)], part[[0, -1]], rtol=1e-6)

    # Half of a node is clamped: the other coordinates alone have a Hessian.
    name = space.free[1]
    mask = np.arange(6) < 3
    held = b.landscape({**b.start().targets, name: at[name]}, hold={name: mask[None]})
    assert name in held.free
    H = dense(held, held.begin(at))
    free = np.concatenate([np.tile(~mask if n == name else np.ones(6, bool), 3) for n in sorted(held.free)])
    want = np.linalg.eigvalsh(H[np.ix_(free, free)])
    found = pxa.curvature(held, at, tolerance=1e-7)
    np.testing.assert_allclose([found.smallest, found.largest], want[[0, -1]], rtol=1e-6)


@pytest.mark.hasty
@pytest.mark.usefixtures("double")
def test_several_networks_at_once_under_jit():
    bounds = [bound(mlp, seed=s) for s in range(3)]
    weights = jax.tree.map(lambda *a: jnp.stack(a), *[b.weights for b in bounds])
    targets = bounds[0].start().targets

    @jax.jit
    @jax.vmap
    def found(weights):
        return pxa.curvature(bounds[0].at(weights).landscape(targets), per_sample=True)

    several = found(weights)
    for i, b in enumerate(bounds):
        true = eigenvalues(landscape(b), b.start().h)
        np.testing.assert_allclose(jnp.max(several.largest[i]), true[-1], rtol=1e-5)
        np.testing.assert_allclose(jnp.min(several.smallest[i]), true[0], rtol=1e-5)
    assert several.stable_step().shape == (3, 3)


# -- stable steps -----------------------------------------------------------------------------------------------
def where_it_diverges(space, start, optim, bound, steps):
    """The smallest multiple of a step, of some, from which on settling does not come to rest."""
    factors = jnp.asarray([0.90, 0.95, 0.98, 1.02, 1.05, 1.10])
    grad = space.gradient(start)

    @jax.jit
    @jax.vmap
    def left(factor):
        solution = pxi.relax(space, start, descent=optim(factor * bound), stop=steps)
        return jnp.sqrt(sum(jnp.sum(g**2) for g in grad(solution.nodes).values()))

    at_rest = np.asarray(left(factors)) < 1e-3
    assert np.array_equal(at_rest, np.sort(at_rest)[::-1]), at_rest
    return float(factors[at_rest.sum()]) if not at_rest.all() else np.inf


@pytest.mark.hasty
@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(
    ("act", "optims"),
    [(lambda x: x, [(0.0, False), (0.9, False)]), (jnp.tanh, [(0.0, False), (0.7, True)])],
    ids=["linear", "tanh"],
)
def test_settling_diverges_where_the_bound_says(act, optims):
    b = bound(lambda: pxm.MLP([5, 8, 8, 8, 3], act=act))
    b = b.at({p: 1.5 * w for p, w in b.weights.items()})
    space = landscape(b)
    start = space.start()
    rest = pxi.relax(space, start, descent=optax.sgd(0.2), stop=pxi.GradientNorm(20000, 1e-9)).nodes
    curvature = pxa.curvature(space, rest, which="largest")
    for momentum, nesterov in optims:
        found = where_it_diverges(
            space,
            start,
            lambda step, m=momentum, n=nesterov: optax.sgd(step, momentum=m, nesterov=n),
            curvature.stable_step(momentum, nesterov),
            3000,
        )
        assert found == pytest.approx(1.02), (momentum, nesterov)


def test_steps_and_conditions_of_odd_curvatures():
    none = {"h": jnp.zeros((1,))}
    numbers = jnp.array([4.0, -1.0, jnp.nan])
    made = pxa.Curvature(
        numbers, jnp.array([0.5, -2.0, jnp.nan]), numbers, numbers, numbers > 0, jnp.int32(1), none, none
    )
    np.testing.assert_allclose(made.stable_step(), [0.5, np.inf, np.nan])
    np.testing.assert_allclose(made.stable_step(0.5), [0.75, np.inf, np.nan])
    np.testing.assert_allclose(made.stable_step(0.5, nesterov=True), [0.375, np.inf, np.nan])
    np.testing.assert_allclose(made.condition, [8, np.inf, np.nan])
    with pytest.raises(ValueError, match="momentum must be 0 or more, and below 1"):
        made.stable_step(1.0)
    with pytest.raises(ValueError, match="end is"):
        made.shares("both")  # pyright: ignore[reportArgumentType]


# -- what can't be measured ---------------------------------------------------------------------------------------
@pytest.mark.hasty
def test_what_has_no_curvature_is_refused():
    b = bound(mlp)
    space = landscape(b)
    with pytest.raises(TypeError, match=r"a landscape is what bound\.landscape"):
        pxa.curvature(b)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="descend on no energy"):
        pxa.curvature(pxe.OverFixedErrors(b, b.start().targets))
    with pytest.raises(ValueError, match=r"which is one of"):
        pxa.curvature(space, which="top")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="steps must be at least 1"):
        pxa.curvature(space, steps=0)
    with pytest.raises(ValueError, match="tolerance must be above 0"):
        pxa.curvature(space, tolerance=0.0)
    with pytest.raises(ValueError, match="no node 'h'"):
        pxa.curvature(space, {**space.start(), "h": jnp.zeros((3, 2))})
    with pytest.raises(ValueError, match="moving names 'h'"):
        pxa.curvature(space, moving=["h"])
    with pytest.raises(ValueError, match="no node is free"):
        pxa.spectrum(b.landscape({**b.start().targets, **b.start().h}))
    narrow = pxl.bind(mlp(), (b.x, b.y), dtype="bfloat16")
    with pytest.raises(ValueError, match="no second derivative"):
        pxa.curvature(landscape(narrow))
    for call in (pxa.weight_curvature, pxa.equilibrated_energy):
        with pytest.raises(ValueError, match="no second derivative"):
            call(narrow)
    with pytest.raises(ValueError, match="probes must be at least 1"):
        pxa.spectrum(space, probes=0)


@jax.custom_jvp
def twisted(h):
    """A function that says another derivative than it has."""
    return h * jnp.roll(h, 1)


@twisted.defjvp
def _(primals, tangents):
    return twisted(primals[0]), jnp.roll(primals[0], 1) * tangents[0]


class Twisted(pxc.EnergyModule):
    def __init__(self):
        super().__init__()
        self.vodes = [pxc.Vode(), pxc.Vode(output=True)]

    def __call__(self, x):
        return self.vodes[1](twisted(self.vodes[0](x[:3])))


@pytest.mark.hasty
def test_samples_that_meet_and_gradients_of_no_energy_are_refused():
    b = bound(Normed, batch=4)
    space = landscape(b)
    with pytest.raises(ValueError, match="depends on other samples"):
        pxa.curvature(space, per_sample=True)
    true = eigenvalues(space, space.start())
    found = pxa.curvature(space)
    np.testing.assert_allclose([found.smallest, found.largest], true[[0, -1]], rtol=1e-4)
    odd = landscape(bound(Twisted))
    for call in (pxa.curvature, pxa.spectrum):
        with pytest.raises(ValueError, match="not symmetric"):
            call(odd)
    compiled = jax.jit(lambda: (pxa.curvature(space, per_sample=True), pxa.curvature(odd)))()
    assert np.isnan(compiled[0].largest).all()
    assert not compiled[0].converged.any()
    assert np.isnan(compiled[1].largest)


@jax.custom_vjp
def halved(h):
    return jnp.tanh(h)


@jax.custom_vjp
def _half(h, g):
    return g / jnp.cosh(h) ** 2


halved.defvjp(lambda h: (jnp.tanh(h), h), lambda h, g: (_half(h, g),))
_half.defvjp(
    lambda h, g: (_half(h, g), (h, g)),
    lambda kept, t: (-2 * t * kept[1] * jnp.tanh(kept[0]) / jnp.cosh(kept[0]) ** 2, t / jnp.cosh(kept[0]) ** 2),
)


@pytest.mark.hasty
def test_operations_that_are_differentiated_in_reverse_alone():
    plain, reverse = (bound(lambda act=act: pxm.MLP([5, 6, 6, 3], act=act)) for act in (jnp.tanh, halved))
    at = moved(landscape(plain))
    true = eigenvalues(landscape(plain), at)
    found = pxa.curvature(landscape(reverse), at, per_sample=True)
    np.testing.assert_allclose([jnp.min(found.smallest), jnp.max(found.largest)], true[[0, -1]], rtol=1e-4)
    with pytest.raises(ValueError, match="in reverse alone"):
        pxa.weight_curvature(reverse)


@pytest.mark.hasty
def test_vgg5():
    b = pxl.bind(pxm.vgg5(classes=10), (normal(0, 1, 3, 32, 32), normal(1, 1, 10)))
    space = landscape(b)
    found = pxa.curvature(space, per_sample=True, which="largest", steps=24, tolerance=1e-3)
    assert (found.largest_error < 0.1 * found.largest).all()
    assert (found.largest > 1).all()
    assert (found.smallest < found.largest).all()
