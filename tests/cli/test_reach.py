"""Which layers learn."""

import dataclasses
from typing import Any

import jax
import numpy as np
import pytest

from pcx import RKG
from pcx.cli._build import make_rule, model_maker
from pcx.cli._main import main
from pcx.cli._reach import warn_of_layers_out_of_reach
from pcx.cli._settings import TrainOptions
from pcx.core import seeded

from .commands import SMALL


@pytest.mark.parametrize("steps", [2, 3, 4])
@pytest.mark.parametrize("rule", ["pc", "ipc", "fpa", "nudged"])
def test_what_is_said_not_to_learn_does_not(rule, steps, capsys):
    # Rates so large that what is learned is far above rounding.
    options: Any = TrainOptions(hidden=(4, 4, 4), rule=rule, batch_size=2, optimiser="sgd", lr=0.1)
    own = dataclasses.replace(getattr(options, rule), T=steps, state_lr=0.2)
    options = dataclasses.replace(options, **{rule: own})
    batch = np.ones((2, 3), np.float32), np.arange(2)
    splits: Any = type("Splits", (), {"shape": (3,), "classes": 2})
    RKG.seed(0)
    made = make_rule(options, rule, 2)
    state = made.init(model_maker(options, splits)(), batch)
    before = jax.device_get(jax.tree.leaves(state.weights))
    after = jax.device_get(jax.tree.leaves(made.step(state, batch)[0].weights))
    still = sum(np.abs(a - b).max() < 1e-8 for a, b in zip(before, after, strict=True) if a.ndim == 2)
    warn_of_layers_out_of_reach(options)
    said = capsys.readouterr().err
    if still == 0:
        assert said == ""
    else:
        named = "the first layer of 4" if still == 1 else f"the first {still} layers of 4"
        assert said.startswith(f"pcx: warning: --{rule}.T {steps}: nothing reaches {named}, which won't learn; ")
        assert said.count("\n") == 1


def test_the_layers_of_every_model():
    assert TrainOptions(hidden=()).layers == 1
    assert TrainOptions(model="mu-mlp", hidden=(3, 3)).layers == 3
    splits: Any = type("Splits", (), {"shape": (1, 32, 32), "classes": 2})
    for options in (TrainOptions(model="vgg5"), TrainOptions(model="vgg7")):
        with seeded(0):  # what is traced leaves no tracer behind
            made: Any = jax.eval_shape(lambda options=options: model_maker(options, splits)())
        assert len(made.vodes) == options.layers


def test_a_warning_is_no_error(tmp_path, capsys):
    words = ["train", *SMALL, "--hidden", "4", "4", "--pc.T", "1", "--epochs", "1", "--out", tmp_path / "run"]
    assert main([str(word) for word in words]) == 0
    assert "--pc.T 1: nothing reaches the first layer of 3" in capsys.readouterr().err
