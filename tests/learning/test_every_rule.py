"""What every rule promises, whatever it computes."""

import functools
import inspect
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import optax
import pytest
from jax.core import Tracer

import pcx as px
import pcx.inference as pxi
import pcx.learning as pxl
import pcx.models as pxm
import pcx.nn as pxnn
import pcx.predictive_coding as pxc

from .problems import jit, normal, seeded, weights

CALLS = [0]  # of a model's Python code


class Net(pxm.MLP):
    def __call__(self, x, y=None):
        CALLS[0] += 1
        return super().__call__(x, y)


class Up(pxm.MLP):
    def __call__(self, x, y=None):
        CALLS[0] += 1
        return super().__call__(x, y)


class Pair(pxc.EnergyModule):
    """Two networks over the same values, for hybrid and bidirectional PC."""

    def __init__(self):
        super().__init__()
        self.generative = Up([2, 4, 4, 3], jnp.tanh)
        self.recognition = Up([3, 4, 4, 2], jnp.tanh)


OWN = "one's own"
MORE: dict[str, Any] = {}  # rules of users, by `--rule file.py:name`


@functools.cache
def contrastive() -> Any:
    """The rule of docs/extend.md, made from public names alone."""
    text = (Path(__file__).parents[2] / "docs" / "extend.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^class Contrastive\(pxl\.Rule\):\n(?:(?:    .*)?\n)+", text, re.MULTILINE)
    assert len(code.strip().splitlines()) <= 30
    namespace = {"jax": jax, "jnp": jnp, "pxl": pxl, "pxi": pxi}
    exec(code, namespace)
    return namespace["Contrastive"]


def rules() -> dict[str, Any]:
    """`{name: factory(rate of the weights, rate of the values)}`."""
    adam, sgd = optax.adam, optax.sgd
    return {
        "backprop": lambda w, h: pxl.backprop(adam(w)),
        "pc": lambda w, h: pxl.pc(adam(w), sgd(h, momentum=0.5), 4),
        "pc, kept": lambda w, h: pxl.pc(adam(w), sgd(h), 4, start=pxl.Kept()),
        "pc, learned precision": lambda w, h: pxl.pc(adam(w), sgd(h), 4, precision=pxl.LearnedPrecision(sgd(0.1))),
        # Not Adam: its first steps have its rate as their size, even along a gradient of rounding errors.
        "ipc": lambda w, h: pxl.ipc(sgd(w, momentum=0.5), sgd(h), 4),
        "zil": lambda w, h: pxl.zil(adam(w), sgd(h)),
        "hil": lambda w, h: pxl.hil(adam(w), sgd(h), 4),
        "fpa": lambda w, h: pxl.fpa(adam(w), sgd(h), 4),
        "nudged": lambda w, h: pxl.nudged(adam(w), sgd(h), 4, -0.1),
        "nudged, centred": lambda w, h: pxl.nudged(adam(w), sgd(h), 4, 0.1, centred=True),
        "nudged, alternating": lambda w, h: pxl.nudged(adam(w), sgd(h), 4, 0.1, alternate=True),
        "nudged, following": lambda w, h: pxl.nudged(adam(w), sgd(h), 4, 0.1, follow=True),
        "epc": lambda w, h: pxl.epc(adam(w), sgd(h), 4),
        "mcpc": lambda w, h: pxl.mcpc(adam(w), h, 4, burn_in=1),
        "hybrid": lambda w, h: pxl.hybrid(adam(w), sgd(h), 4),
        "bpc": lambda w, h: pxl.bpc(adam(w), sgd(h), 4),
        OWN: lambda w, h: contrastive()(adam(w), sgd(h), 4),
        **MORE,
    }


NAMES = tuple(rules())
RATES = (0.01, 0.05)


def build(name: str, seed: int = 0) -> Any:
    return seeded(Pair, seed=seed) if name in ("hybrid", "bpc") else seeded(Net, [3, 4, 4, 2], jnp.tanh, seed=seed)


def data(size: int = 5, seed: int = 1) -> Any:
    return jnp.asarray(normal(seed, size, 3), jnp.float32), jnp.asarray(normal(seed + 1, size, 2), jnp.float32)


def leaves(*trees: Any) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jtu.tree_leaves(trees)]


def same(one: Any, two: Any) -> bool:
    """To the bit."""
    assert jtu.tree_structure(one) == jtu.tree_structure(two)
    return all(a.tobytes() == b.tobytes() and a.dtype == b.dtype for a, b in zip(leaves(one), leaves(two), strict=True))


def close(one: Any, two: Any) -> None:
    assert jtu.tree_structure(one) == jtu.tree_structure(two)
    for a, b in zip(leaves(one), leaves(two), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-6)


def test_every_name_is_here():
    functions = {n: getattr(pxl, n) for n in pxl.__all__ if inspect.isfunction(getattr(pxl, n))}
    named = {n for n, f in functions.items() if next(iter(inspect.signature(f).parameters)) == "optim_w"}
    assert named == {name.split(",")[0] for name in NAMES} - {OWN}
    assert all(functions[n].__doc__ for n in named)


def pytest_generate_tests(metafunc):
    """All rules, or those alone that `--rule` names."""
    if "run" not in metafunc.fixturenames:
        return
    for place in metafunc.config.getoption("--rule", None) or ():
        file, _, name = place.rpartition(":")
        if not Path(file).is_file():
            raise pytest.UsageError(f"--rule {place}: say file.py:name, there is no file {file!r}")
        MORE[place] = runpy.run_path(file)[name]
    metafunc.parametrize("run", tuple(MORE) or NAMES, indirect=True, scope="module")


@pytest.fixture(scope="module")
def run(request):
    """A rule with its model, first state, compiled step and what two steps gave; compiled once for all tests."""
    name = request.param
    rule = rules()[name](*RATES)
    model = build(name)
    before = weights(model)
    state = rule.init(model, data(), key=3)
    CALLS[0] = 0
    step = jit(rule.step)
    first, info = step(state, data())
    calls = CALLS[0]
    second, info2 = step(first, data(seed=5))
    return {
        "name": name, "rule": rule, "model": model, "before": before, "state": state, "step": step, "first": first,
        "info": info, "second": second, "info2": info2, "calls": calls, "more": CALLS[0] - calls,
    }  # fmt: skip


def test_it_learns_and_says_what_it_did(run):
    info, first = run["info"], run["first"]
    assert isinstance(run["rule"], pxl.Rule)
    assert isinstance(info, pxl.Info)
    assert int(info.result) == pxl.OUTCOME.ok
    assert pxl.explain(info, first) is None
    assert int(info.first_bad) == -1
    assert info.energy.shape == info.loss.shape == info.result.shape == ()
    assert float(info.energy) == pytest.approx(sum(float(e) for e in info.energies.values()), rel=1e-5)
    assert all(bool(jnp.any(first.weights[p] != w)) for p, w in run["state"].weights.items())
    assert jtu.tree_structure(first) == jtu.tree_structure(run["state"])
    assert [(a.shape, a.dtype) for a in leaves(first)] == [(a.shape, a.dtype) for a in leaves(run["state"])]


def test_it_is_pure(run):
    assert same(run["before"], weights(run["model"]))
    assert not any(isinstance(p.get(), Tracer) for p in px.tree_extract(run["model"]))
    kept = [a.copy() for a in leaves(run["state"])]
    again = run["step"](run["state"], data())
    assert same(again, (run["first"], run["info"]))
    assert all(a.tobytes() == b.tobytes() for a, b in zip(kept, leaves(run["state"]), strict=True))


def test_a_seed_decides_everything(run):
    state = run["rule"].init(build(run["name"]), data(), key=3)
    assert same(state, run["state"])
    assert same(run["step"](state, data()), (run["first"], run["info"]))
    other = run["step"](run["rule"].init(run["model"], data(), key=4), data())[0]
    assert same(other.weights, run["first"].weights) != (run["name"] == "mcpc" or run["rule"].random)


def test_the_model_is_read_once_for_a_shape(run):
    assert run["calls"] == 0  # init has traced it
    assert run["more"] == 0
    CALLS[0] = 0
    # An equal model, built by the same code, shares what is compiled.
    state = run["rule"].init(build(run["name"], seed=7), data(), key=3)
    run["step"](state, data())
    assert CALLS[0] == 0
    assert run["step"]._cache_size() == 1
    # As does an equal rule what is traced.
    rules()[run["name"]](*RATES).init(build(run["name"]), data())
    assert CALLS[0] == 0


@pytest.mark.hasty
def test_many_seeds_and_rates_at_once_step_after_step(run):
    """Two batches scanned, three networks mapped: two seeds at one rate, and one of them at another, with the rule
    built from the rate that is being mapped."""
    name, rule = run["name"], run["rule"]
    states = [rule.init(build(name, seed=seed), data(), key=seed + 3) for seed in (0, 1, 0)]
    rates = jnp.array([RATES, RATES, (0.02, 0.1)])
    batches = jtu.tree_map(lambda *a: jnp.stack(a), data(), data(seed=5))

    def train(state, rates):
        return jax.lax.scan(rules()[name](*rates).step, state, batches)

    last, infos = jit(jax.vmap(train))(pxl.stack(states), rates)
    assert not infos.result.any()
    lanes = pxl.unstack(last)
    close(lanes[0], run["second"])
    close(jtu.tree_map(lambda a: a[0, 1], infos), run["info2"])
    close(lanes[1], run["step"](run["step"](states[1], data())[0], data(seed=5))[0])
    assert not same(lanes[2].weights, lanes[0].weights)
    if name in ("pc", "zil", "mcpc"):
        other = rules()[name](0.02, 0.1)
        step = jit(other.step)
        close(lanes[2], step(step(other.init(run["model"], data(), key=3), data())[0], data(seed=5))[0])


def test_what_was_learned_goes_back_into_the_model(run):
    rule, second = run["rule"], run["second"]
    model = build(run["name"])
    second.write_to(model)
    assert same(weights(model), second.weights)
    x = data()[0]
    shown = rule.predict(model, x)
    assert shown.shape == (5, 2)
    assert same(shown, rule.predict(second, x))
    inside = model.recognition if run["name"] in ("hybrid", "bpc") else model
    h = x
    for i, layer in enumerate(inside.layers):
        h = h @ layer.nn.weight.get().T + layer.nn.bias.get()
        h = jnp.tanh(h) if i < 2 else h
    np.testing.assert_allclose(shown, h, rtol=1e-5, atol=1e-6)


def test_a_batch_of_another_size(run):
    if run["name"] == "pc, kept":
        pytest.skip("kept values belong to a batch")
    state, info = jax.eval_shape(run["rule"].step, run["state"], data(8))
    assert jtu.tree_structure(state) == jtu.tree_structure(run["state"])
    assert info.output.shape == (8, 2)


OF_USERS = """
import optax, pcx.learning as pxl

def good(w, h):
    return pxl.pc(optax.adam(w), optax.sgd(h), 4)

class Idle(pxl.Rule):
    def learn(self, bound, forward, memory):
        zero = {path: 0 * weight for path, weight in bound.weights.items()}
        return pxl.Update(zero, bound.landscape(forward.targets, forward=forward).energies(forward.h))

def idle(w, h):
    return Idle(optax.sgd(w))
"""


@pytest.mark.hasty
def test_a_rule_of_a_user_is_tested_by_its_place(tmp_path):
    (tmp_path / "mine.py").write_text(OF_USERS)
    args = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", "learns_and_says"]
    for name, code, said in (("good", 0, "1 passed"), ("idle", 1, "1 failed"), ("", 2, "say file.py:name")):
        place = f"{tmp_path / 'mine.py'}:{name}" if name else "mine"
        done = subprocess.run([*args, "--rule", place], capture_output=True, text=True, cwd=Path(__file__).parents[2])
        assert (done.returncode, said in done.stdout + done.stderr) == (code, True), done.stdout + done.stderr


def test_learned_params_can_be_chosen():
    model = build("pc")
    model.layers[0].nn.weight.frozen = True
    model.layers[0].nn.bias.frozen = True
    rule = pxl.zil(optax.sgd(0.1), learn=lambda p: isinstance(p, pxnn.LayerParam))
    state = rule.init(model, data())
    assert set(state.weights) == {f"layers[{i}].nn.{n}" for i in (1, 2) for n in ("weight", "bias")}
    new, _ = jit(rule.step)(state, data())
    assert same(state.rest, new.rest)
    full = jit(rule.step)(rule.init(build("pc"), data()), data())[0]
    close(new.weights, {p: full.weights[p] for p in new.weights})
