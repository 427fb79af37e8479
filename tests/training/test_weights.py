# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false
# pyright: reportOptionalOperand=false, reportArgumentType=false
"""Weights files: they come back to the bit, and one that doesn't fit changes nothing."""

import hashlib
import itertools
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx.learning as pxl
import pcx.models as pxm
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.training as pxt

from .small import RULE, TRAIN, make, model, train

safetensors = pytest.importorskip("safetensors.numpy")


def weights(net):
    return {k: np.asarray(v) for k, v in RULE.init(net, (TRAIN[0][:4], TRAIN[1][:4])).weights.items()}


def equal(a, b):
    return a.keys() == b.keys() and all(a[k].tobytes() == b[k].tobytes() for k in a)


@pytest.mark.parametrize("of", ["model", "state"])
def test_round_trip(tmp_path, of):
    net, other = model(), model(1)
    path = pxt.save_weights(tmp_path / "w.safetensors", net if of == "model" else RULE.init(net, TRAIN))
    assert not equal(weights(net), weights(other))
    pxt.load_weights(path, other)
    assert equal(weights(net), weights(other))
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]
    assert equal({k: v for k, v in safetensors.load_file(path).items()}, weights(net))


def test_running_statistics_travel_along(tmp_path):
    def made(value):
        return jax.tree.map(lambda a: jnp.full_like(a, value), pxnn.BatchNorm(3, "batch"))

    one, other = made(2.0), made(3.0)
    pxt.load_weights(pxt.save_weights(tmp_path / "w", one), other)
    pairs = list(zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))
    assert len(pairs) >= 4  # weights, and running statistics
    for a, b in pairs:
        np.testing.assert_array_equal(a, b)


def test_files_that_do_not_fit(tmp_path):
    net = model()
    before = weights(net)
    path = pxt.save_weights(tmp_path / "w", pxm.MLP([2, 9, 2]))
    with pytest.raises(ValueError, match=r"w doesn't fit the model: .*\(9, 2\) in the file, \(8, 2\) in the model"):
        pxt.load_weights(path, net)
    path = pxt.save_weights(tmp_path / "deep", pxm.MLP([2, 8, 8, 2]))
    with pytest.raises(ValueError, match=r"in the file, nothing in the model"):
        pxt.load_weights(path, net)
    with pytest.raises(FileNotFoundError, match="load_weights: there is no"):
        pxt.load_weights(tmp_path / "none", net)
    whole = path.read_bytes()
    for content in (b"", b"hello", whole[:20], whole[: len(whole) // 2], b"\x80\x04K\x01."):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="is no whole safetensors file"):
            pxt.load_weights(path, net)
    assert equal(weights(net), before)


def test_a_failed_write_leaves_the_file_before(tmp_path, monkeypatch):
    path = pxt.save_weights(tmp_path / "w", model())
    before = path.read_bytes()

    def fail(path, content):
        path.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="No space left"):
        pxt.save_weights(path, model(1))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["w"]


@pytest.mark.parametrize("other", [None, {}, [], "model", 3, make, pxm.MLP])
def test_what_is_no_model(other, tmp_path):
    path = pxt.save_weights(tmp_path / "w", model())
    with pytest.raises(TypeError, match="save_weights: source must be a model or a State of one network, such as run"):
        pxt.save_weights(tmp_path / "other", other)
    with pytest.raises(TypeError, match="load_weights: "):
        pxt.load_weights(path, other)
    assert [p.name for p in tmp_path.iterdir()] == ["w"]


def test_those_of_a_run(tmp_path):
    net, other = model(), model(1)
    train(net, folder=tmp_path / "run", epochs=1)
    pxt.load_weights(tmp_path / "run" / "weights.safetensors", other)
    assert equal(weights(net), weights(other))


# -- what weights belong to --------------------------------------------------------------------------------------------
MADE = {
    "activation": (lambda: pxm.MLP([2, 8, 2], act=jnp.tanh), "act: was .*tanh, is .*gelu"),
    "energy": (lambda: pxm.MLP([2, 8, 2], energy=pxc.ce_energy), r"vodes\[1\].energy_fn: was .*ce_energy, is .*se_ene"),
    "class": (lambda: Other([2, 8, 2]), "class: was .*Other, is .*MLP"),
    "a nameless function": (lambda: pxm.MLP([2, 8, 2], act=lambda x: jnp.tanh(x)), "act: was .*lambda.*, is .*gelu"),
    "rules": (lambda: ruled("h <- u"), r"vodes\[0\].ruleset.rules: was|vodes\[0\].ruleset.rules.init"),
}


class Other(pxm.MLP):
    pass


def ruled(rule):
    net = make()
    net.vodes[0] = pxc.Vode(ruleset={"init": (rule,)})
    return net


CASES = [(of, *case) for of in ("model", "state") for case in MADE.values()] + [("run", *MADE["activation"])]


@pytest.mark.parametrize(("of", "made", "named"), CASES)
def test_weights_of_another_model(of, made, named, tmp_path):
    net, other = make(), made()
    if of == "run":
        train(other, folder=tmp_path / "w", epochs=1)
    else:
        pxt.save_weights(tmp_path / "w", other if of == "model" else RULE.init(other, TRAIN))
    before = weights(net)
    with pytest.raises(ValueError, match=f"are of another model: .*{named}.*compare=False"):
        pxt.load_weights(tmp_path / "w", net)
    assert equal(weights(net), before)
    pxt.load_weights(tmp_path / "w", made())
    pxt.load_weights(tmp_path / "w", net, compare=False)
    assert equal(weights(net), weights(other))


def two_lambdas(act):
    return pxm.MLP([2, 8, 2], act=act)


def test_two_functions_without_a_name(tmp_path):
    pxt.save_weights(tmp_path / "w", two_lambdas(lambda x: jnp.tanh(x)))
    pxt.load_weights(tmp_path / "w", two_lambdas(lambda x: jnp.tanh(x)))
    for act in (lambda x: jnp.sin(x), lambda x: jnp.tanh(2 * x)):
        with pytest.raises(ValueError, match=r"are of another model: .*act"):
            pxt.load_weights(tmp_path / "w", two_lambdas(act))


def scaled(a):
    def act(x, a=a):
        return jnp.tanh(a * x)

    return act


class Slotted:
    __slots__ = ("a",)

    def __init__(self, a):
        self.a = a

    def __call__(self, x):
        return jnp.tanh(self.a * x)


def classes(what):
    space = {"pxm": pxm, "jax": jax, "__name__": "nets"}
    exec(f"class Net(pxm.MLP):\n    def __call__(self, x):\n        return super(Net, self).__call__({what})", space)
    return space["Net"]([2, 8, 2])


@pytest.mark.parametrize(
    ("one", "other", "named"),
    [
        (lambda: two_lambdas(scaled(0.5)), lambda: two_lambdas(scaled(0.6)), r"act.<default 0>: was 0.5, is 0.6"),
        (lambda: two_lambdas(Slotted(0.5)), lambda: two_lambdas(Slotted(0.6)), r"act.a: was 0.5, is 0.6"),
        (lambda: classes("jax.nn.relu(x)"), lambda: classes("jax.nn.tanh(x)"), r"__call__\[\d\]: was relu, is tanh"),
        (lambda: classes("2 * x"), lambda: classes("2 + x"), r"__call__\[\d\]: was \*, is \+"),
    ],
)
def test_code_of_ones_own_that_changed(one, other, named, tmp_path):
    path = pxt.save_weights(tmp_path / "w", one())
    pxt.load_weights(path, one())
    with pytest.raises(ValueError, match=f"are of another model: .*{named}"):
        pxt.load_weights(path, other())


@pytest.mark.hasty
def test_what_a_model_went_through_does_not_count(tmp_path):
    for i, made in enumerate((make, lambda: pxm.MuMLP([2, 8, 2]), normed)):
        net = made()
        train(net, epochs=1)
        net.eval()
        net.vodes[0].h.frozen = True
        path = pxt.save_weights(tmp_path / str(i), net)
        pxt.load_weights(path, made())
        state = RULE.init(made(), TRAIN)
        pxt.load_weights(pxt.save_weights(path, state), net)


def normed():
    net = make()
    net.norm = pxnn.LayerNorm(8)
    return net


def of_module(module, name="Net"):
    space = {"pxm": pxm, "__name__": module}
    exec(f"class {name}(pxm.MLP):\n    pass", space)
    return space[name]([2, 8, 2])


def test_a_class_of_a_script_is_the_one_that_is_imported_from_it(tmp_path):
    for one, other in itertools.permutations(("__main__", "train.nets")):
        path = pxt.save_weights(tmp_path / "w", of_module(one))
        pxt.load_weights(path, of_module(other))
        for name in ("OtherNet", "SubNet"):
            with pytest.raises(ValueError, match=f"are of another model: .*class: was {one}.Net"):
                pxt.load_weights(path, of_module(other, name))


def test_another_version_has_other_words(tmp_path):
    path = pxt.save_weights(tmp_path / "w", pxm.MLP([2, 8, 2], act=jnp.tanh))
    content = path.read_bytes()
    metadata = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    seal = {**json.loads(metadata["pcx"]), "pcx": "0.0.1"}
    del seal["sha256_of_this"]
    digest = hashlib.sha256(json.dumps(seal, sort_keys=True).encode()).hexdigest()
    metadata["pcx"] = json.dumps({**seal, "sha256_of_this": digest})
    safetensors.save_file(safetensors.load(content), path, metadata)
    with pytest.warns(RuntimeWarning, match=r"are of another model: .*tanh.*written by pcx 0.0.1"):
        pxt.load_weights(path, make())


def test_a_file_of_another_tool(tmp_path):
    net, other = model(), model(1)
    held = {k: np.asarray(v) for k, v in weights(net).items()}
    for metadata in (None, {"format": "pt"}):
        safetensors.save_file(held, tmp_path / "w", metadata)
        pxt.load_weights(tmp_path / "w", other)
        assert equal(weights(net), weights(other))


@pytest.mark.parametrize("every", [23, pytest.param(3, marks=pytest.mark.slow)])
def test_bytes_of_a_file(every, tmp_path):
    net, path = model(), tmp_path / "w"
    before = weights(net)
    whole = pxt.save_weights(path, net).read_bytes()
    loaded = model(1)
    untouched = weights(loaded)
    refused = 0
    for at in range(0, len(whole), every):
        broken = bytearray(whole)
        broken[at] ^= 1 << (at % 8)
        path.write_bytes(broken)
        try:
            pxt.load_weights(path, loaded)
        except ValueError:
            assert equal(weights(loaded), untouched), at
            refused += 1
        else:
            assert equal(weights(loaded), before), at
            pxt.load_weights(pxt.save_weights(path, model(1)), loaded)
    assert refused > 0.9 * (len(whole) // every)


# -- the weights of a run ----------------------------------------------------------------------------------------------
def test_the_folder_of_a_run(tmp_path):
    one = train(folder=tmp_path / "one", epochs=2, checkpoint_seconds=0)
    net = model(3)
    for network in (None, 0):
        pxt.load_weights(tmp_path / "one", net, network=network)
        assert equal(weights(net), {k: np.asarray(v) for k, v in one.states[0].weights.items()})
    with pytest.raises(ValueError, match=r"no network 1; .*by network=: 0 \(seed 0\)"):
        pxt.load_weights(tmp_path / "one", net, network=1)
    several = train(make, seeds=[4, 7], folder=tmp_path / "two", epochs=1)
    for choice in (tmp_path / "two", tmp_path / "two" / "weights.safetensors"):
        with pytest.raises((ValueError, FileNotFoundError), match=r"network=: 0 \(seed 4\), 1 \(seed 7\)"):
            pxt.load_weights(choice, net)
    for best in (False, True):
        pxt.load_weights(tmp_path / "two", net, network=1, best=best)  # of one epoch, which is the best, too
        assert equal(weights(net), {k: np.asarray(v) for k, v in several.states[1].weights.items()})
    with pytest.raises(TypeError, match=r"give the model whose weights are set"):
        pxt.load_weights(tmp_path / "one")
    with pytest.raises(FileNotFoundError, match="holds no weights weights"):
        pxt.load_weights(tmp_path, net)


@pytest.mark.hasty
def test_the_best_weights_are_a_file(tmp_path):
    states = []
    watch = {"callbacks": [lambda report: states.append(report.states[0])], "checkpoint_seconds": 0}
    fit = train(folder=tmp_path / "run", epochs=6, rule=pxl.pc(optax.sgd(0.4), optax.sgd(0.1), 4), **watch)
    values = [row["validation_loss"] for row in fit.history]
    best = min(range(6), key=lambda i: values[i])
    net = model(3)
    pxt.load_weights(tmp_path / "run", net, best=True)
    assert equal(weights(net), {k: np.asarray(v) for k, v in states[best].weights.items()})
