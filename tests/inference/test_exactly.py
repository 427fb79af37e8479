"""Operations that proofs perform by NumPy give the bits of XLA."""

import jax
import jax.extend.core as jex
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from pcx.energy import bind_as_it_stands
from pcx.inference import made_of_nothing
from pcx.inference._exactly import performed_exactly

FUNCTIONS = {
    "arithmetic": lambda a, b: [a + b, a - b, a * b, a / b, -a, jnp.abs(a), a * 0.1, jnp.sqrt(b)],
    "comparisons": lambda a, b: [a < b, a >= b, a == b, jnp.isfinite(a / b)],
    "shapes": lambda a, b: [a.reshape(-1), a[None], jnp.squeeze(a[None]), jnp.broadcast_to(a[0], (2, 3)), a.T],
    "kinds": lambda a, b: [(a < b).astype(jnp.float32), a.astype(jnp.int32), jnp.int32(7) + 1, a.astype(jnp.bfloat16)],
    "others": lambda a, b: [jnp.tanh(a), a**3, 0.9 ** jnp.int32(3), jnp.sum(a)],
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_they_give_the_bits_of_xla_or_none(name):
    rng = np.random.default_rng(0)
    a, b = (jnp.asarray(rng.normal(size=(2, 3)), jnp.float32) for _ in range(2))
    made = jax.make_jaxpr(FUNCTIONS[name])(a, b)
    env = dict(zip(made.jaxpr.invars, (a, b), strict=True)) | dict(zip(made.jaxpr.constvars, made.consts, strict=True))
    done = 0
    for eqn in made.jaxpr.eqns:
        args = [v.val if isinstance(v, jex.Literal) else env[v] for v in eqn.invars]
        wanted = bind_as_it_stands(eqn, args)
        exact = performed_exactly(eqn, args)
        every = wanted if eqn.primitive.multiple_results else [wanted]
        if exact is not None:
            done += 1
            assert exact.shape == every[0].shape
            assert exact.dtype == every[0].dtype
            assert exact.tobytes() == np.asarray(every[0]).tobytes()
        env |= dict(zip(eqn.outvars, every, strict=True))
    assert done or name == "others"


def test_states_of_optimisers_that_begin_with_zeros():
    weights = {"a": jnp.ones((2, 3)), "b": jnp.ones((4,))}
    for optim in (optax.sgd(0.1, momentum=0.9), optax.adam(0.1), optax.chain(optax.clip(1.0), optax.rmsprop(0.1))):
        made, wanted = made_of_nothing(optim.init, weights), optim.init(weights)
        assert jax.tree.structure(made) == jax.tree.structure(wanted)
        for x, y in zip(jax.tree.leaves(made), jax.tree.leaves(wanted), strict=True):
            assert x.dtype == y.dtype
            assert np.array_equal(x, y)


def test_nothing_is_said_of_those_that_keep_the_weights():
    assert made_of_nothing(lambda w: {"kept": w, "count": jnp.int32(0)}, {"a": jnp.ones(2)}) is None
    assert made_of_nothing(lambda w: {"rate": 0.1}, {"a": jnp.ones(2)}) is None  # no array, or a number without a kind
    assert made_of_nothing(lambda w: {"a": float(w["a"][0])}, {"a": jnp.ones(2)}) is None
