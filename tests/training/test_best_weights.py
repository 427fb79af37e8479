# pyright: reportAttributeAccessIssue=false, reportArgumentType=false
"""The best epoch's weights, after training and over a resume; sweeps; beginning anew in a folder."""

import numpy as np
import optax
import pytest

import pcx.learning as pxl
import pcx.training as pxt

from .small import HELD_OUT, RULE, Cut, arrays, by_rate, cut_after, lines, make, model, same_bits, train

ROUGH = pxl.backprop(optax.sgd(0.8, momentum=0.9))  # does not get better in every epoch


def rough(lr):
    return pxl.backprop(optax.sgd(lr, momentum=0.9))


def judged(source, rule=ROUGH):
    return float(np.mean(np.asarray(rule.evaluate(source, HELD_OUT)[1])))


def check_best(fit):
    """Each network's best state is that of its best epoch, the last of equal ones."""
    for i, state in enumerate(fit.best_states):
        losses = [row["validation_loss"] for row in fit.of(i)]
        assert fit.best_epochs[i] == max(range(len(losses)), key=lambda e: (-losses[e], e)) + 1
        assert judged(state) == pytest.approx(min(losses), rel=1e-5)


def test_the_best_weights_without_a_folder():
    net = model()
    fit = train(net, ROUGH, epochs=8, early_stopping=pxt.EarlyStopping(patience=3))
    check_best(fit)
    assert fit.best_epochs[0] < len(fit.history)  # or this shows nothing
    assert judged(net) == pytest.approx(fit.last("validation_loss")[0], rel=1e-5)
    fit.restore_best(net)
    assert judged(net) == pytest.approx(min(row["validation_loss"] for row in fit.history), rel=1e-5)
    asked = model()
    again = train(asked, ROUGH, epochs=8, early_stopping=pxt.EarlyStopping(patience=3), restore_best=True)
    for a, b in zip(arrays(again.states), arrays(fit.best_states), strict=True):
        assert a.tobytes() == b.tobytes()
    assert judged(asked) == judged(net)


@pytest.mark.hasty
@pytest.mark.parametrize("parallel", ["loop", "vmap"])
def test_each_network_has_its_best(parallel, tmp_path):
    settings = [{"lr": 0.8}, {"lr": 0.05}, {"lr": 1e30}]
    with pytest.warns(RuntimeWarning, match="training failed"):
        fit = train(make, rough, settings=settings, seeds=[0, 1], epochs=5, parallel=parallel)
    assert fit.best_epochs[1] > 0
    for i in (0, 1, 3, 4):
        losses = [row["validation_loss"] for row in fit.of(i)]
        assert judged(fit.best_states[i]) == pytest.approx(min(losses), rel=1e-4)
    text = repr(fit.table())
    assert len(text.splitlines()) == 4
    table = fit.table()
    assert [row["lr"] for row in table.rows][-1] == 1e30
    best = [row["best validation_loss"] for row in table.rows[:2]]
    assert best == sorted(best)
    assert [row["networks"] for row in table.rows] == [2, 2, 2]
    exact = np.mean([min(row["validation_loss"] for row in fit.of(i)) for i in (0, 3)])
    assert next(row for row in table.rows if row["lr"] == 0.8)["best validation_loss"] == pytest.approx(exact)


@pytest.mark.hasty
@pytest.mark.parametrize("cut", [7, 20, 31])
def test_the_best_over_a_resume(tmp_path, cut):
    pytest.importorskip("orbax.checkpoint")
    options = {"net": make, "rule": ROUGH, "seeds": [0, 1], "epochs": 6, "parallel": "loop"}
    whole = train(**options)
    with pytest.raises(Cut):
        train(folder=tmp_path, checkpoint_every=3, **cut_after(cut), **options)
    fit = train(folder=tmp_path, resume=True, **options)
    assert same_bits(fit, whole)
    assert fit.best_epochs == whole.best_epochs
    for a, b in zip(arrays(fit.best_states), arrays(whole.best_states), strict=True):
        assert a.tobytes() == b.tobytes()
    # A finished run that is taken up has them too, and asks for what it was begun with.
    again = train(folder=tmp_path, resume=True, restore_best=True, **options)
    for a, b in zip(arrays(again.states), arrays(whole.best_states), strict=True):
        assert a.tobytes() == b.tobytes()
    with pytest.raises(pxt.CheckpointError, match="begun with best='validation_loss'"):
        train(folder=tmp_path, resume=True, best="validation_accuracy", **options)


def test_a_resumed_run_keeps_what_best_means(tmp_path):
    pytest.importorskip("orbax.checkpoint")
    train(rule=ROUGH, folder=tmp_path, best="loss", best_mode="max", epochs=2)
    fit = train(rule=ROUGH, folder=tmp_path, resume=True, epochs=3)
    assert (fit.by, fit.mode) == ("loss", "max")
    assert fit.best_epochs == [1 + int(np.argmax([row["loss"] for row in fit.history]))]


def test_no_best():
    fit = train(validation=None, epochs=1)
    assert fit.best_states == fit.best_epochs == []
    with pytest.raises(ValueError, match="the run has no best epoch"):
        fit.restore_best(model())
    with pytest.raises(ValueError, match="restore_best needs validation"):
        train(validation=None, restore_best=True)
    with pytest.raises(ValueError, match="there is no network 1"):
        train(epochs=1).restore_best(model(), 1)


# -- sweeps ------------------------------------------------------------------------------------------------------------
def test_a_sweep_is_shown_by_setting(capsys, tmp_path, monkeypatch):
    pytest.importorskip("orbax.checkpoint")
    kept = []
    figure = pytest.importorskip("matplotlib.figure").Figure
    monkeypatch.setattr(figure, "savefig", lambda self, *rest, **named: kept.append(self))
    settings = {"settings": [{"lr": 1e-9}, {"lr": 1e-2}], "seeds": [0, 1]}
    fit = train(make, by_rate, **settings, epochs=1, show=True, figure=True, folder=tmp_path)
    said = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0].strip() for line in said] == [said[0].split(":")[0], "lr 0.01", "lr 1e-09"]
    assert said[0].startswith("epoch 1/1, the best validation loss first (")
    good = np.mean([fit.of(i)[0]["loss"] for i in (1, 3)])
    assert f"loss {good:.4g}" in said[1]
    axes = kept[0].axes[-1]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["lr 0.01", "lr 1e-09"]
    assert len(axes.get_lines()) == 4
    table = fit.table("accuracy", "min")
    assert "best accuracy" in table.columns
    with pytest.raises(ValueError, match="table: mode is needed for 'steps'"):
        fit.table("steps")
    seeds = train(make, RULE, seeds=[3, 4], epochs=1, show=True)
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert sorted(row["seed"] for row in seeds.table().rows) == [3, 4]


# -- beginning anew ----------------------------------------------------------------------------------------------------
def test_overwrite(tmp_path):
    pytest.importorskip("orbax.checkpoint")
    folder = tmp_path / "run"
    for epochs in (3, 1):  # in a new folder, and over a run
        fit = train(folder=folder, overwrite=True, epochs=epochs)
        assert len(lines(folder)) == len(fit.history) == epochs
    with pytest.raises(pxt.RunExists):
        train(folder=folder)
    with pytest.raises(ValueError, match="epochs must be"):
        train(folder=folder, overwrite=True, epochs=0)
    assert len(lines(folder)) == 1  # a refused call removes nothing
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(pxt.RunExists, match=r"holds more than a run \(notes.txt\)"):
        train(folder=folder, overwrite=True)
    assert len(lines(folder)) == 1
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    with pytest.raises(pxt.RunExists, match="not empty"):
        train(folder=other, overwrite=True)
    for wrong in ({"folder": folder, "resume": True}, {}):
        with pytest.raises(ValueError, match="give the folder, and no resume"):
            train(overwrite=True, **wrong)
    assert (other / "notes.txt").read_text() == "mine"
