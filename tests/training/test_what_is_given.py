# pyright: reportAttributeAccessIssue=false, reportArgumentType=false
"""Metrics that are no JAX functions, what callbacks may spoil, and arguments of the wrong kind."""

import dataclasses
import inspect
import io
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx.data as pxd
import pcx.inference as pxi
import pcx.learning as pxl
import pcx.training as pxt
import pcx.utils as pxu

from .small import HELD_OUT, RULE, TRAIN, by_rate, make, model, same_bits, train
from .test_fit import by_hand

# -- metrics -----------------------------------------------------------------------------------------------------------


def by_numpy(output, y):
    return np.asarray(output).argmax(1) == np.asarray(y)


def by_branch(output, y):
    return output[:, 0] if output[0, 0] > 0 else output[:, 1]


def by_number(output, y):
    return [float(each) for each in output[:, 0]]


def by_mask(output, y):
    return output[y == 1][:, 0]


def by_sklearn(output, y):
    return pytest.importorskip("sklearn.metrics").f1_score(y, output.argmax(1))


@pytest.mark.parametrize("metric", [by_numpy, by_branch, by_number, by_mask, by_sklearn])
@pytest.mark.parametrize("parallel", ["loop", "vmap"])
def test_metrics_that_are_no_jax_functions(metric, parallel, tmp_path):
    said = "the metric 'own' is no function of JAX arrays.*in a callback"
    with pytest.raises(TypeError, match=said):
        train(make, RULE, metrics={"own": metric}, seeds=[0, 1], parallel=parallel, folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("given", [{"keep": 3}, {"config": {"a": 1}}, {"checkpoint_every": 2, "checkpoint_seconds": 1}])
def test_what_needs_a_folder_and_has_none_is_said(given):
    with pytest.warns(RuntimeWarning, match=f"fit: {', '.join(given)} without a folder: nothing is kept"):
        train(epochs=1, **given)


def by_list(k):
    return [(TRAIN[0][i : i + 16], TRAIN[1][i : i + 16]) for i in range(0, 96, 16)]


@pytest.mark.parametrize("data", [by_list(0), by_list, pxd.ArrayBatches(TRAIN, 16)])
def test_a_batch_size_that_batches_do_not_have_is_said(data):
    with pytest.warns(RuntimeWarning, match="fit: batch_size=8 has no effect: train comes in batches, of 16 samples"):
        said = train(epochs=1, data=data, batch_size=8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for size in (16, None):
            assert same_bits(train(epochs=1, data=data, batch_size=size), said)


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"data": by_list, "batches_per_dispatch": 2}, "batches_per_dispatch=2"),
        ({"checkpoint_every": 2, "checkpoint_seconds": 1}, "checkpoint_seconds"),
    ],
)
def test_what_has_no_effect_beside_the_rest_is_said(given, what, tmp_path):
    with pytest.warns(RuntimeWarning, match=f"fit: {what} has no effect"):
        train(epochs=1, folder=tmp_path, **given)


EMPTY = {
    "fit": lambda: train(folder=""),
    "load_run": lambda: pxt.load_run(""),
    "load_run: data_folder": lambda: pxt.load_run("run", data_folder=""),
    "load_weights": lambda: pxt.load_weights("", model()),
    "save_weights": lambda: pxt.save_weights("", model()),
    "Checkpoints": lambda: pxt.Checkpoints(""),
    "EventFiles": lambda: pxt.EventFiles(""),
    "search_path": lambda: pxd.search_path(""),
    "mnist": lambda: pxd.mnist(""),
    "cifar10": lambda: pxd.cifar10(""),
    "save_params": lambda: pxu.save_params(model(), ""),
    "load_params": lambda: pxu.load_params(model(), ""),
}


@pytest.mark.parametrize("call", EMPTY)
def test_empty_paths(call, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="empty"):
        EMPTY[call]()
    assert not list(tmp_path.iterdir())


def test_a_data_folder_without_an_effect(tmp_path):
    pytest.importorskip("orbax.checkpoint")
    train(folder=tmp_path, epochs=1)
    with pytest.raises(ValueError, match="data_folder has no effect where the model is given"):
        pxt.load_run(tmp_path, make, RULE, data_folder=tmp_path)


def test_such_metrics_in_a_callback():
    metrics = pytest.importorskip("sklearn.metrics")
    found = []

    def f1(report):
        predicted = np.argmax(RULE.predict(report.states[0], HELD_OUT[0]), 1)
        found.append(metrics.f1_score(HELD_OUT[1], predicted))

    train(callbacks=[f1], epochs=2)
    assert len(found) == 2


# -- callbacks ---------------------------------------------------------------------------------------------------------
def spoil(report):
    for row in report.rows:
        row["energies"].clear()
        row["validation_loss"] = -1e9
        row["network"] = "?"
    report.rows.clear()
    report.states[0].weights.clear()
    report.states.clear()
    report.epoch = 99


def test_callbacks_may_spoil_what_they_are_given(tmp_path):
    pytest.importorskip("orbax.checkpoint")
    seen = []
    options = {"early_stopping": pxt.EarlyStopping(patience=2), "epochs": 3}
    spoiled = train(callbacks=[spoil, seen.append, spoil], folder=tmp_path, **options)
    clean = train(**options)
    assert same_bits(spoiled, clean)
    assert [r.epoch for r in seen] == [1, 2, 3]
    assert [r.rows for r in seen] == [[row] for row in spoiled.history]
    assert all(r.states[0].weights for r in seen)


def test_each_callback_can_stop():
    for callbacks in ([lambda r: r.stop(), spoil], [spoil, lambda r: r.stop()]):
        assert train(callbacks=callbacks).ended == "stopped early"


# -- arguments ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"metrics": {1: pxt.accuracy}}, TypeError, "names of metrics must be strings, got 1"),
        ({"metrics": {"": pxt.accuracy}}, TypeError, "names of metrics must be strings, got ''"),
        ({"metrics": {("a",): pxt.accuracy}}, TypeError, "names of metrics must be strings"),
        ({"rule": lambda **c: RULE, "settings": [{1: 1.0}]}, TypeError, "names of settings must be strings, got 1"),
        ({"batch_size": True}, TypeError, "batch_size must be a whole number, got True"),
        ({"batch_size": 16.0}, TypeError, "batch_size must be a whole number, got 16.0"),
        ({"batch_size": "16"}, TypeError, "batch_size must be a whole number"),
        ({"folder": ""}, ValueError, "folder is an empty path"),
        ({"folder": 3}, TypeError, "folder must be a path, got 3"),
        ({"folder": False}, TypeError, "folder must be a path, got False"),
        ({"config": [1]}, TypeError, "config must be a dict, got list"),
        ({"on_dispatch": 3}, TypeError, "on_dispatch must be a function, got 3"),
        ({"batches_per_dispatch": 0}, ValueError, "batches_per_dispatch must be a whole number of at least 1, got 0"),
        ({"figure": "no"}, TypeError, "figure must be True or False, got 'no'"),
        ({"restore_best": 1}, TypeError, "restore_best must be True or False, got 1"),
        ({"overwrite": "yes"}, TypeError, "overwrite must be True or False, got 'yes'"),
        ({"checkpoint_seconds": "60"}, ValueError, "checkpoint_seconds must be 0 or more, got '60'"),
        ({"best": 3}, TypeError, "best must be the name of a metric, got 3"),
        ({"show": "no"}, TypeError, "show must be True or False, got 'no'"),
        ({"config": {"made_of": 1}, "folder": "run"}, ValueError, "config has the name 'made_of', under which a run"),
        ({"config": {"best": 1}, "folder": "run"}, ValueError, "config has the name 'best'"),
        ({"config": {(1, 2): 3}, "folder": "run"}, TypeError, "config can't be written as JSON: keys must be"),
    ],
)
def test_arguments_of_the_wrong_kind(options, error, said, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=said):
        train(**options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"patience": 2.5}, TypeError, "patience must be a whole number of epochs, got 2.5"),
        ({"patience": True}, TypeError, "patience must be a whole number of epochs, got True"),
        ({"patience": "2"}, TypeError, "patience must be a whole number"),
        ({"metric": None}, TypeError, "metric must be a name in the history, got None"),
        ({"least": -0.1}, ValueError, "least must be a number of 0 or more, got -0.1"),
        ({"least": float("nan")}, ValueError, "least must be a number"),
        ({"least": "0"}, ValueError, "least must be a number"),
        ({"mode": "up"}, ValueError, "mode must be 'min' or 'max'"),
    ],
)
def test_early_stopping_of_the_wrong_kind(options, error, said):
    with pytest.raises(error, match=said):
        pxt.EarlyStopping(**options)
    assert pxt.EarlyStopping(patience=np.int64(2), least=np.float32(0.5)).patience == 2


NO_CHOICE = {
    "load_run: best": lambda: pxt.load_run(".", best="no"),
    "load_run: compare": lambda: pxt.load_run(".", compare=0),
    "load_weights: best": lambda: pxt.load_weights(".", model(), best="last"),
    "load_weights: compare": lambda: pxt.load_weights(".", model(), compare=None),
    "ArrayBatches: shuffle": lambda: pxd.ArrayBatches(TRAIN, 4, shuffle="no"),
    "ArrayBatches: drop_last": lambda: pxd.ArrayBatches(TRAIN, 4, drop_last=0),
    "digits: flat": lambda: pxd.digits(flat="no"),
    "digits: standardise": lambda: pxd.digits(standardise=0),
    "two_moons: standardise": lambda: pxd.two_moons(standardise="no"),
    "mnist: download": lambda: pxd.mnist(download="no"),
    "fashion_mnist: flat": lambda: pxd.fashion_mnist(flat=1),
    "cifar10: standardise": lambda: pxd.cifar10(standardise="no"),
}


@pytest.mark.parametrize("name", NO_CHOICE)
def test_what_is_neither_true_nor_false(name):
    with pytest.raises(TypeError, match=f"{name} must be True or False, got"):
        NO_CHOICE[name]()


@pytest.mark.parametrize("network", [1, -1, "0", True, None])
def test_networks_that_are_not_there(network):
    fit = train(epochs=1)
    assert fit.of(0) == fit.of(np.int64(0)) == fit.history
    for call in (fit.of, lambda i: fit.restore_best(model(), i)):
        with pytest.raises(ValueError, match=f"there is no network {network!r}; the run has 1, from 0"):
            call(network)


def test_a_rule_that_is_none(tmp_path):
    with pytest.raises(TypeError, match=r"load_run: rule must be a pcx.learning.Rule or a function .*, got int"):
        pxt.load_run(tmp_path, make, 3)


@pytest.mark.parametrize("name", ["batch_size", "seed"])
def test_batches_of_a_truth_value(name):
    with pytest.raises(TypeError, match=f"{name} must be a whole number, got True"):
        pxd.ArrayBatches(TRAIN, **{"batch_size": 4, name: True})


# -- shown in short ----------------------------------------------------------------------------------------------------
def test_states_and_infos_are_shown_in_short():
    state, infos = by_hand(model(), [TRAIN])
    assert "'layers[0].nn.weight': float32[8, 2]" in repr(state)
    assert "structure" not in repr(state)
    text = repr(infos[0])
    assert text.startswith("Info(energy=")
    assert f"loss={float(infos[0].loss):.6g}" in text
    assert "output=float32[96, 2]" in text
    assert max(len(repr(state)), len(text)) < 1500
    seen = []
    jax.jit(lambda s: seen.append(repr(s)) or s)(state)  # under a trace, too
    assert "float32[8, 2]" in seen[0]
    deep = pxl.pc(optax.adam(0.1), optax.sgd(0.1), 2).init(model(), TRAIN)
    assert "ScaleByAdamState(count=0, mu={" in repr(deep)
    assert "float32" in repr(pxl.stack([state, state]))
    bound = pxl.bind(model(), TRAIN)
    assert "x=float32[96, 2]" in repr(bound)
    solved = pxi.Solution({"h": jnp.ones((4, 3))}, jnp.ones(4, int), jnp.zeros(4, int), None, jnp.int32(-1))
    assert repr(solved).startswith(
        "Solution(nodes={'h': float32[4, 3]}, steps=int32[4], result=int32[4], trace=None, first_bad=-1"
    )


# -- lines in a notebook -----------------------------------------------------------------------------------------------
class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_line_is_not_wrapped_or_read_as_markup(monkeypatch):
    pytest.importorskip("rich")
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr("sys.stdout", shown := Terminal())
    settings = [{"lr[bold]": 1e-3}, {"lr[bold]": 1e-2}]
    train(make, lambda **each: by_rate(*each.values()), settings=settings, epochs=1, show=True)
    said = [line for line in shown.getvalue().splitlines() if "lr[bold] 0.01: " in line]
    assert any("energy" in line and "validation accuracy" in line for line in said)


# -- the options as a record -------------------------------------------------------------------------------------------
def test_the_options_are_the_arguments():
    arguments = inspect.signature(pxt.fit).parameters.values()
    named = {p.name: p.default for p in arguments if p.kind is p.KEYWORD_ONLY}
    fields = {f.name: f.default for f in dataclasses.fields(pxt.FitOptions)}
    assert named.pop("epochs") is inspect.Parameter.empty
    assert fields.pop("epochs") is dataclasses.MISSING
    assert named == fields
    options = pxt.FitOptions(epochs=1, batch_size=16, show=False, callbacks=iter([lambda report: report.stop()]))
    options.check()
    for _ in range(2):  # what was an iterator is there again
        assert pxt.fit(model(), RULE, TRAIN, **vars(options)).ended == "stopped early"
