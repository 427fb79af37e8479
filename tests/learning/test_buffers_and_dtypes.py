"""A state has arrays of its own, and nothing rests on implicit promotion of dtypes."""

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import optax
import pytest

import pcx.inference as pxi
import pcx.learning as pxl
import pcx.models as pxm
import pcx.training as pxt

from .problems import jit
from .test_every_rule import Pair, rules

X = np.linspace(-1, 1, 18, dtype=np.float32).reshape(6, 3)
Y = np.linspace(0, 1, 12, dtype=np.float32).reshape(6, 2)
LABELS = np.arange(6, dtype=np.int32) % 2

MORE = {
    "pc, plateau": lambda w, h: pxl.pc(optax.adam(w), optax.sgd(h), pxi.Plateau(4)),
    "pc, schedule free": lambda w, h: pxl.pc(optax.contrib.schedule_free_sgd(w), optax.sgd(h), 3),
}


def made(name):
    rule = (rules() | MORE)[name](0.01, 0.1)
    both = name in ("hybrid", "bpc")
    return rule, Pair() if both else pxm.MLP([3, 4, 2], act=jnp.tanh), (X, X[:, :2] if both else Y)


def arrays(tree):
    return [np.array(a) for a in jtu.tree_leaves(tree)]


@pytest.mark.parametrize("name", ["pc, schedule free", "pc, kept", "bpc"])
def test_a_state_that_is_used_up_leaves_model_batch_and_key_whole(name):
    rule, model, batch = made(name)
    batch, key = jtu.tree_map(jnp.asarray, batch), jax.random.PRNGKey(3)
    step = jit(rule.step, donate_argnums=0)
    before = arrays((model, batch, key))
    state, _ = step(rule.init(model, batch, key), batch)
    for a, b in zip(before, arrays((model, batch, key)), strict=True):
        np.testing.assert_array_equal(a, b)

    state.write_to(model)
    written = arrays(model)
    again, _ = step(state, batch)
    jax.block_until_ready(again)
    for a, b in zip(written, arrays(model), strict=True):
        np.testing.assert_array_equal(a, b)


def test_states_of_fit_and_its_model_share_nothing():
    model = pxm.MLP([3, 4, 2], act=jnp.tanh)
    rule = pxl.pc(optax.sgd(0.1), optax.sgd(0.1), 2)
    run = pxt.fit(model, rule, (X, LABELS), epochs=1, batch_size=3, show=False)
    learned = arrays(model)
    jit(rule.step, donate_argnums=0)(run.states[0], (X, LABELS))
    for a, b in zip(learned, arrays(model), strict=True):
        np.testing.assert_array_equal(a, b)


def test_no_leaf_of_a_state_is_there_twice():
    rule, model, batch = made("pc, schedule free")
    leaves = jtu.tree_leaves(rule.init(model, batch))
    held = [a.unsafe_buffer_pointer() for a in leaves if a.size] + [
        a.unsafe_buffer_pointer() for a in jtu.tree_leaves(model) if isinstance(a, jax.Array) and a.size
    ]
    assert len(held) == len(set(held))


STRICT = [n for n in [*rules(), *MORE] if n not in ("pc, schedule free", "pc, kept", "nudged, alternating")]


@pytest.mark.hasty
@pytest.mark.parametrize("name", STRICT)
def test_rules_under_strict_promotion(name, monkeypatch):
    monkeypatch.setattr(optax, "adam", optax.sgd)  # Optax's Adam itself mixes dtypes
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        rule, model, batch = made(name)
        state = rule.init(model, batch)
        jax.eval_shape(rule.step, state, batch)  # dtypes are judged as a program is traced
        if name not in ("hybrid", "bpc"):
            jax.eval_shape(rule.evaluate, state, (X, LABELS))


@pytest.mark.hasty
def test_fit_under_strict_promotion():
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        run = pxt.fit(
            lambda: pxm.MLP([3, 4, 2], act=jnp.tanh),
            lambda lr: pxl.pc(optax.sgd(lr), optax.sgd(0.1), 2),
            (X, LABELS),
            (X, LABELS),
            epochs=2,
            batch_size=4,
            seeds=[0, 1],
            settings=[{"lr": 0.1}],
            parallel="vmap",
            early_stopping=pxt.EarlyStopping("validation_loss", patience=1),
            show=False,
        )
    assert run.ended in ("done", "stopped early")
