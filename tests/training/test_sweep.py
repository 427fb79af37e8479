"""What a sweep computes: what `fit` computes of each setting, however it was broken off."""

# pyright: reportArgumentType=false

import json

import optuna
import pytest

import pcx.training as pxt
from pcx.training._space import space_of
from pcx.training._sweep_loop import Plan, _beginning
from pcx.training._units import units_of

from .linear import Linear
from .small import HELD_OUT, TRAIN, make

RATES = [0.01, 0.1]
GRID = {"lr": pxt.Log(1e-2, 1.0, points=3), "decay": [0.0, 0.01], "T": [1, 2]}
SEARCHED = {"lr": pxt.Log(1e-2, 1.0), "decay": pxt.Uniform(0.0, 0.1), "T": [1, 2]}


def linear(lr=0.1, decay=0.0, T=1, name="a"):
    return Linear(lr, decay, T, name)


def sweep(space, rule=linear, **options):
    options = {"epochs": 2, "batch_size": 16, "show": False, "figure": False, **options}
    return pxt.sweep(make, rule, TRAIN, HELD_OUT, space=space, **options)


def test_a_setting_with_the_name_of_a_number():
    rows = sweep({"loss": ["a", "b"]}, lambda loss: linear(name=loss)).table().rows
    assert [row["loss"] for row in rows] == ["a", "b"]
    assert all(isinstance(row["last loss"], float) for row in rows)


@pytest.mark.hasty
def test_a_grid_is_what_fit_gives_of_each_setting(tmp_path, capsys):
    found = sweep({"lr": RATES}, seeds=range(2), ensemble=1, show=True, folder=tmp_path)
    head, *lines = capsys.readouterr().out.splitlines()
    assert head == "2 settings of 1 program"
    assert [line.partition(": val")[0] for line in lines] == ["setting 0: lr 0.01", "setting 1: lr 0.1"]
    assert not (tmp_path / "progress.json").exists()
    sweep({"lr": RATES}, seeds=range(2), ensemble=1, show=True, folder=tmp_path)
    assert capsys.readouterr().out == "2 settings of 1 program: all are done\n"
    fitted = pxt.fit(
        make, linear, TRAIN, HELD_OUT, epochs=2, batch_size=16, seeds=range(2), settings=[{"lr": r} for r in RATES],
        show=False,
    )  # fmt: skip
    assert [row["setting"] for row in found.rows] == [{"lr": r} for r in RATES]
    lines = {line["lr"]: line for line in fitted.table().rows}
    for row, line in zip(found.rows, found.table().rows, strict=True):
        one = lines[row["setting"]["lr"]]
        assert row["value"] == line["best validation_loss"] == one["best validation_loss"]
        assert row["last"] == {k: one[k] for k in row["last"]}
        assert row["ended"] == "done"
        assert row["deviation"] > 0
    assert found.best == {"lr": fitted.table().rows[0]["lr"]}
    assert found.table(best_first=True).rows[0]["lr"] == found.best["lr"]


def test_what_is_said_of_a_sweep_that_goes_on():
    space = space_of({"lr": [0.1, 0.2], "T": [1, 2]}, make, linear)
    units = units_of(space, dict(enumerate(space.grid())), 1)
    assert _beginning(Plan(space, None, "tpe", 0, 8), units, 3) == "4 settings of 2 programs; 3 of 4 are done, going on"
    assert _beginning(Plan(space, 24, "tpe", 0, 8), units, 0) == "a search of 24 settings, 8 at a time"


@pytest.mark.slow
def test_rows_are_in_the_order_of_the_grid_whatever_is_trained_together(tmp_path):
    found = sweep(GRID, folder=tmp_path / "all", ensemble=3)
    rates, decays, steps = [0.01, 0.1, 1.0], [0.0, 0.01], [1, 2]
    expected = [{"lr": a, "decay": b, "T": c} for a in rates for b in decays for c in steps]
    assert [row["setting"] for row in found.rows] == expected
    assert repr(sweep(GRID, ensemble=1).table()) == repr(found.table())
    assert found.best == min(found.rows, key=lambda row: row["value"])["setting"]
    importances = found.importances()
    assert sum(importances.values()) == pytest.approx(1)
    assert next(iter(importances)) == "lr"
    kept = [json.loads(line) for line in (tmp_path / "all" / "trials.jsonl").read_text().splitlines()]
    assert kept == found.rows
    summary = json.loads((tmp_path / "all" / "summary.json").read_text())
    assert (summary["best"], summary["importances"]) == (found.best, importances)
    assert (tmp_path / "all" / "table.csv").read_text().startswith("setting,lr,decay,T,ended,")


class Died(Exception):
    pass


def dies_in(monkeypatch, number):
    """Let the run of this number end with an error."""
    runs, fit = 0, pxt.fit

    def broken(*args, **options):
        nonlocal runs
        runs += 1
        if runs == number:
            raise Died
        return fit(*args, **options)

    monkeypatch.setattr("pcx.training._units.fit", broken)


@pytest.mark.slow
@pytest.mark.parametrize("trials", [None, 12])
def test_one_that_was_broken_off_ends_with_the_same_table(tmp_path, monkeypatch, trials):
    space = GRID if trials is None else SEARCHED
    options = {"trials": trials, "at_once": 5, "ensemble": 2}
    whole = sweep(space, **options)
    for _ in range(2):
        dies_in(monkeypatch, 3)
        with pytest.raises(Died):
            sweep(space, folder=tmp_path / "s", **options)
        monkeypatch.undo()
    again = sweep(space, folder=tmp_path / "s", **options)
    assert repr(again.table()) == repr(whole.table())
    assert again.ended == "done"
    assert len({json.dumps(row["setting"]) for row in again.rows}) == 12


@pytest.mark.slow
def test_a_search_goes_on_from_what_it_found_and_may_become_longer(tmp_path):
    options = {"at_once": 4, "seed": 3, "folder": tmp_path / "s"}
    short = sweep(SEARCHED, trials=6, **options)
    long = sweep(SEARCHED, trials=9, **options)
    assert long.rows[:6] == short.rows
    assert repr(long.table()) == repr(sweep(SEARCHED, trials=9, at_once=4, seed=3).table())
    assert long.table().rows != sweep(SEARCHED, trials=9, at_once=4, seed=4).table().rows
    drawn = [row["setting"] for row in long.rows]
    assert all(1e-2 <= s["lr"] <= 1 and 0 <= s["decay"] <= 0.1 and s["T"] in (1, 2) for s in drawn)
    by_random = sweep(SEARCHED, trials=3, at_once=2, sampler=optuna.samplers.RandomSampler)
    assert by_random.table().rows == sweep(SEARCHED, trials=3, at_once=2, sampler="random").table().rows


@pytest.mark.slow
def test_what_is_no_number_is_a_program_of_its_own():
    seen = set()

    def rule(lr, T, name):
        seen.add((isinstance(lr, float), T, name))
        return Linear(lr, 0.0, T, name)

    def model(width):
        seen.add(width)
        return make()

    space = {"width": [4, 8], "T": pxt.Integers(1, 2), "name": ["a"], "lr": [0.1, 0.2]}
    found = pxt.sweep(model, rule, TRAIN, HELD_OUT, space=space, epochs=1, batch_size=16, show=False)
    assert len(found.rows) == 8
    assert {4, 8} <= seen
    programs = {each for each in seen if isinstance(each, tuple) and not each[0]}
    assert programs == {(False, T, name) for T in (1, 2) for name in "a"}  # of tracers
    widths = sweep({"shape": [(8, 8), (4,)]}, lambda shape: Linear(0.1, 0.0, len(shape)))
    assert [row["setting"]["shape"] for row in widths.rows] == [(8, 8), (4,)]


@pytest.mark.slow
def test_settings_that_fail_or_are_pruned_are_said_and_never_best():
    found = sweep({"lr": [0.1, 1e6], "batch_size": [16, 32]})
    assert [row["ended"] for row in found.rows] == ["done", "done", "failed", "failed"]
    assert found.rows[2]["why"].startswith("epoch 1, after batch")
    assert found.best["lr"] == 0.1

    class Late(optuna.pruners.BasePruner):
        def prune(self, study, trial):
            return trial.last_step == 2 and trial.params["lr"] < 0.1

    found = sweep({"lr": [0.1, 0.01, 0.2]}, epochs=4, pruner=Late(), seeds=range(2))
    assert [row["ended"] for row in found.rows] == ["done", "pruned", "done"]
    assert [row["epochs"] for row in found.rows] == [4, 2, 4]
    alone = sweep({"lr": [0.1, 0.2]}, epochs=4, seeds=range(2))
    assert [row["value"] for row in alone.rows] == [found.rows[0]["value"], found.rows[2]["value"]]


@pytest.mark.parametrize(
    ("space", "options", "says"),
    [
        ({"rate": [0.1]}, {}, "'rate': neither the function of the model nor that of the rule asks for it; they ask"),
        ({"epochs": [1, 2]}, {}, "'epochs' is a column of a sweep's table, and can't be a setting"),
        ({}, {}, "space must be a dict"),
        ({"lr": []}, {}, "'lr': Choice: there are no values"),
        ({"lr": 0.1}, {}, "'lr': Choice: values must be a list"),
        ({"lr": pxt.Log(1e-3, 1.0)}, {}, r"'lr' is a range, and a grid needs its points: Log\(0.001, 1.0, points=5\)"),
        ({"lr": [0.1]}, {"trials": 0}, "trials must be a whole number of at least 1, got 0"),
        ({"lr": [0.1]}, {"metric": "f1"}, "mode is needed for 'f1'"),
        ({"lr": [0.1]}, {"metric": "f1", "mode": "max"}, "best asks for 'f1'; the history will have loss, accuracy"),
        ({"lr": [0.1]}, {"sampler": "grid"}, "sampler must be 'tpe', 'random' or a function of seed"),
        ({"lr": [0.1]}, {"sampler": optuna.samplers.RandomSampler(0)}, "give a function of the seed"),
        ({"lr": [0.1]}, {"pruner": "best"}, "pruner must be 'median', 'halving', 'hyperband'"),
        (
            {"lr": [0.1, 0.2]},
            {"rule": lambda lr: Linear(lr if lr > 0 else 0.1)},
            "'lr' are numbers that one compiled program is given, .* say static=True",
        ),
        ({"lr": [0.1]}, {"mesh": 3}, "batches of 16 samples can't be shared out evenly over mesh=3 devices"),
        ({"batch_size": [0.5], "lr": [0.1]}, {}, "'batch_size' must be whole numbers"),
    ],
)
def test_bad_arguments_are_refused_before_there_is_a_folder(tmp_path, space, options, says):
    with pytest.raises((TypeError, ValueError), match=says):
        sweep(space, folder=tmp_path / "s", **options)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("make_domain", "says"),
    [
        (lambda: pxt.Log(0.0, 1.0), "0.0 has no logarithm"),
        (lambda: pxt.Uniform(1.0, 0.5), "nothing between 1.0 and 0.5"),
        (lambda: pxt.Uniform(0.0, float("inf")), "finite"),
        (lambda: pxt.Log(0.1, 1.0, points=1), "2 points or more"),
        (lambda: pxt.Integers(1, 2.5), "whole numbers"),
        (lambda: pxt.Integers(0, 4, log=True), "no logarithm"),
        (lambda: pxt.Choice([1, 1]), "twice"),
        (lambda: pxt.Choice([float("nan")]), "finite"),
        (lambda: pxt.Choice([print]), "give names"),
        (lambda: pxt.Choice(["a"], static=False), "must be numbers"),
    ],
)
def test_values_that_cannot_be_tried_are_refused(make_domain, says):
    with pytest.raises((TypeError, ValueError), match=says):
        make_domain()


@pytest.mark.slow
def test_a_storage_of_another_sweep_is_refused_and_nothing_is_lost(tmp_path):
    space, place = {"lr": [0.1, 0.2]}, tmp_path / "s"
    sweep(space, folder=place)
    before = {p.name: p.read_bytes() for p in place.iterdir()}
    for options, says in [
        ({"space": {"lr": [0.1, 0.3]}}, r"holds another sweep: space.lr.values\[1\]: was 0.2, is 0.3"),
        ({"epochs": 3}, "training.epochs: was 2, is 3"),
        ({"rule": lambda lr: Linear(lr, 0.0, 2)}, "rule"),
        ({"metric": "validation_accuracy"}, "judged.metric: was validation_loss"),
        ({"trials": 2}, "way: was grid"),
        ({"seeds": 1}, "training.seeds: was 0, is 1"),
    ]:
        with pytest.raises(pxt.CheckpointError, match=says):
            sweep(**{"space": space, "folder": place, **options})
        assert {p.name: p.read_bytes() for p in place.iterdir()} == before
    other = pxt.sweep(
        make,
        linear,
        HELD_OUT,
        TRAIN,
        space=space,
        epochs=2,
        batch_size=16,
        show=False,
        storage=url(place),
        name="other",
    )
    assert other.ended == "done"
    with pytest.raises(pxt.CheckpointError, match=r"data\.arrays"):
        pxt.sweep(make, linear, HELD_OUT, TRAIN, space=space, epochs=2, batch_size=16, show=False, storage=url(place))


def url(place):
    return f"sqlite:///{place / 'trials.sqlite3'}"


@pytest.mark.slow
def test_a_folder_or_storage_that_holds_something_else_is_refused(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(pxt.RunExists, match=r"notes\.txt"):
        sweep({"lr": [0.1]}, folder=tmp_path / "mine")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")
    with pytest.raises(pxt.RunExists, match="holds a run, and no sweep"):
        sweep({"lr": [0.1]}, folder=tmp_path / "run")
    for wrong in (f"sqlite:///{tmp_path}/no/such/folder.db", "nosuch://here", f"sqlite:///{tmp_path}/mine/notes.txt"):
        with pytest.raises(pxt.CheckpointError, match="can't be used"):
            sweep({"lr": [0.1]}, storage=wrong)
    study = optuna.create_study(storage=f"sqlite:///{tmp_path}/theirs.db", study_name="sweep")
    study.optimize(lambda trial: trial.suggest_float("lr", 0, 1), n_trials=1)
    with pytest.raises(pxt.CheckpointError, match="trials of another program; choose another name="):
        sweep({"lr": [0.1]}, storage=f"sqlite:///{tmp_path}/theirs.db")
    with pytest.raises(TypeError, match="every trial begins with first weights"):
        pxt.sweep(make(), linear, TRAIN, space={"lr": [0.1]}, epochs=1)
    with pytest.raises(TypeError, match="an iterator has only one walk"):
        pxt.sweep(make, linear, iter([TRAIN]), space={"lr": [0.1]}, epochs=1)


@pytest.mark.slow
def test_a_storage_that_goes_away_loses_nothing(tmp_path, monkeypatch):
    def away(*args, **options):
        raise optuna.exceptions.StorageInternalError("the disk is full")

    monkeypatch.setattr("pcx.training._trials.Trials.finish", away)
    with pytest.raises(pxt.CheckpointError, match="can't be read or written any more: the disk is full"):
        sweep({"lr": [0.1, 0.2]}, ensemble=1, folder=tmp_path / "s")
    monkeypatch.undo()
    again = sweep({"lr": [0.1, 0.2]}, ensemble=1, folder=tmp_path / "s")
    assert again.table().rows == sweep({"lr": [0.1, 0.2]}).table().rows
