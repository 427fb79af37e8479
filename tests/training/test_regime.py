"""What regime networks are in is seen while they are trained, at the same batches however a run is cut."""

import dataclasses
import re
import warnings
from pathlib import Path
from typing import Any, cast

import numpy as np
import optax
import pytest

import pcx.analysis as pxa
import pcx.learning as pxl
import pcx.training as pxt

from .linear import Linear
from .small import HELD_OUT, RULE, Cut, arrays, by_rate, cut_after, lines, make, model, same_bits, train


def seen(rows: list[dict[str, Any]]) -> list[tuple[int, list[int]]]:
    return [(row["epoch"], [each["batch"] for each in row["regime"]]) for row in rows]


@pytest.fixture(scope="module")
def plain():
    return train(epochs=2)


def test_looks_are_in_the_history_and_change_nothing(plain, tmp_path):
    run = train(epochs=2, regime=4, folder=tmp_path)
    assert seen(run.history) == [(1, [0, 4]), (2, [8, 12])]
    without = [{k: v for k, v in row.items() if k != "regime"} for row in run.history]
    assert same_bits(plain, dataclasses.replace(run, history=without))
    assert lines(tmp_path) == run.history
    first, last = run.history[0]["regime"][0], run.history[-1]["regime"][-1]
    assert first["silent"] == []
    assert first["verdict"] == last["verdict"] == "transient"
    assert list(last["module_cosine"]) == ["layers[0]", "layers[1]"]
    assert list(last["share"]) == ["vodes[0]", "vodes[1]"]


@pytest.mark.slow
def test_a_look_is_at_samples_that_were_held_out():
    """As many as there are in a batch, by the weights of then."""
    first = train(epochs=1, regime=6).history[0]["regime"][0]
    record = pxa.regime(RULE, model(), (HELD_OUT[0][:16], HELD_OUT[1][:16]), curvature=False).to_dict()
    for name in ("module_cosine", "module_norm_ratio", "share", "moving", "rest", "alignment"):
        assert first[name] == pytest.approx(record[name], rel=1e-3), name
    assert "stable_step" not in first


@pytest.mark.slow
def test_the_largest_stable_step_is_measured_where_it_is_asked_for():
    run = train(epochs=1, regime=pxa.Meter(3, curvature=True))
    first, middle, last = run.history[0]["regime"]
    assert "stable_step" not in middle
    record = pxa.regime(RULE, model(), (HELD_OUT[0][:16], HELD_OUT[1][:16])).to_dict()
    assert first["step"] == pytest.approx(0.1)
    for name in ("step", "stable_step", "curvature"):
        assert first[name] == pytest.approx(record[name], rel=1e-2), name
    assert last["stable_step"] != first["stable_step"]
    assert same_bits(train(epochs=1), dataclasses.replace(run, history=train(epochs=1).history))
    rule, batch = pxl.pc(optax.sgd(0.1), optax.sgd(0.1), 4, dtype="bfloat16"), (HELD_OUT[0][:16], HELD_OUT[1][:16])
    view = pxt.View(rule, [{}], [rule.init(model(), batch)], batch, 0)
    with pytest.raises(ValueError, match=r"^Meter: .*16 bits .*or leave curvature=True out"):
        pxa.Meter(6, curvature=True).begin(view)


def test_a_run_that_is_cut_off_goes_on_at_the_same_batches(tmp_path):
    whole = train(epochs=2, regime=4)
    options: dict[str, Any] = {"epochs": 2, "regime": 4, "folder": tmp_path, "checkpoint_every": 5}
    with pytest.raises(Cut):
        train(**options, **cut_after(10))  # in the second epoch, after the look at batch 8, on a checkpoint of 10
    again = train(**options, resume=True)
    assert same_bits(whole, again)
    assert seen(lines(tmp_path)) == [(1, [0, 4]), (2, [8, 12])]


@pytest.mark.slow  # two programs, two seconds
def test_seeds_and_settings_each_have_their_own():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = train(make, by_rate, seeds=[0, 1], settings=[{"lr": 1e-2}, {"lr": 0.0}], epochs=2, regime=6)
    (said,) = [str(w.message) for w in caught if "before the first batch" in str(w.message)]
    assert "layers[0], layers[1] will learn nothing, because the optimiser's step leaves them as they are" in said
    assert "(networks 1, 3): its rate may be 0" in said
    at_first = [run.of(i)[0]["regime"][0]["module_cosine"]["layers[0]"] for i in range(4)]
    at_last = [run.of(i)[-1]["regime"][-1]["module_cosine"]["layers[0]"] for i in range(4)]
    moved = [m.name for m, a, b in zip(run.members, at_first, at_last, strict=True) if a != b]
    assert moved == [m.name for m in run.members if m.settings["lr"]]
    assert len(set(at_first)) == 2  # of two seeds


def test_a_probe_of_ones_own():
    class Mine:
        every = 6

        def begin(self, view):
            return [f"there are {len(view.states)} networks"]

        def look(self, view):
            return [{"verdict": "fine", "by": view.trained, "samples": len(view.batch[1])}]

    with pytest.warns(RuntimeWarning, match="before the first batch: there are 1 networks"):
        run = train(rule=Linear(0.1), epochs=1, validation=None, regime=cast(Any, Mine()))
    assert run.history[0]["regime"] == [{"batch": b, "verdict": "fine", "by": b, "samples": 16} for b in (0, 6)]


@dataclasses.dataclass
class Given:
    """A probe that gives what it is told to."""

    every: Any = 6
    begins: Any = ()
    looks: Any = ({"a": 1},)

    def begin(self, view):
        view.states[0].weights.clear()  # containers of the view's own
        return self.begins

    def look(self, view):
        return self.looks


@pytest.mark.parametrize("every", [0, -1, 1.5, float("nan"), True, "6", [6]])
def test_a_probe_says_after_how_many_batches(every, tmp_path):
    with pytest.raises(ValueError, match="fit: every of a probe, batches between two looks, must be a whole number"):
        train(regime=Given(every), folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("probe", "said"),
    [
        (Given(begins=None), "begin of the probe must give a list of sentences, it gave None"),
        (Given(begins="abc"), "begin of the probe must give a list of sentences, it gave 'abc'"),
        (Given(looks=None), "look of the probe must give a list with a dict for each network, it gave None"),
        (Given(looks=[None]), "look of the probe must give a list with a dict for each network"),
        (Given(looks=[{}, {}]), "a dict for each of 1 networks, it gave 2"),
        (Given(looks=[{"a": object()}]), "look of the probe must give what JSON takes"),
    ],
)
def test_a_probe_that_gives_something_else_is_told(probe, said):
    with pytest.raises((TypeError, ValueError), match=f"fit: .*{re.escape(said)}"):
        train(epochs=1, regime=probe)


def test_what_a_probe_gives_does_not_stand_in_for_where_it_was_given():
    run = train(epochs=1, regime=Given(looks=[{"network": "x", "batch": -5, "module_cosine": 3, "verdict": "v"}]))
    assert [each["batch"] for each in run.history[0]["regime"]] == [0, 6]


def test_numbers_of_numpy_are_numbers_of_batches():
    assert seen(train(epochs=1, regime=np.int64(4)).history) == [(1, [0, 4, 6])]


@dataclasses.dataclass
class Weighing:
    """A probe that sees the weights, and says that all is well."""

    every: Any = 5
    well: Any = "all is well"

    def begin(self, view):
        return []

    def look(self, view):
        return [{"verdict": "seen", "weight": weighed(state), "last": view.last} for state in view.states]


def weighed(state):
    return float(sum(np.abs(a).sum() for a in arrays(state.weights)))


def test_the_last_look_is_at_the_trained_network(tmp_path):
    run = train(epochs=2, regime=Weighing(), folder=tmp_path)
    assert seen(run.history) == seen(lines(tmp_path)) == [(1, [0, 5]), (2, [10, 12])]
    assert run.history[-1]["regime"][-1]["weight"] == weighed(run.states[0])
    assert [each["last"] for row in run.history for each in row["regime"]] == [False, False, False, True]
    longer = train(epochs=3, regime=Weighing(), folder=tmp_path, resume=True)
    assert seen(longer.history) == [(1, [0, 5]), (2, [10, 12]), (3, [15, 18])]


@pytest.mark.parametrize("every", [4, 5])  # one of which has looked at the end of the epoch already
@pytest.mark.parametrize("way", ["patience", "callback", "callback of a network"])
def test_a_network_that_stops_before_is_looked_at_then(way, every, tmp_path):
    def stop(report):
        if report.epoch == 2 and way != "patience":
            report.stop(None if way == "callback" else 0)

    early = pxt.EarlyStopping("loss", 1, least=1e9) if way == "patience" else None
    options: dict[str, Any] = {"early_stopping": early, "callbacks": [stop], "folder": tmp_path}
    run = train(epochs=5, regime=Weighing(every), **options)
    expected = {4: [(1, [0, 4]), (2, [8, 12])], 5: [(1, [0, 5]), (2, [10, 12])]}[every]
    assert seen(run.history) == seen(lines(tmp_path)) == expected
    assert run.history[-1]["regime"][-1]["weight"] == weighed(run.states[0])
    assert run.history[-1]["regime"][-1]["last"]


@pytest.mark.slow
def test_a_network_that_fails_is_looked_at_where_it_did():
    run = train(make, by_rate, settings=[{"lr": 1e-2}, {"lr": 1e30}], epochs=2, regime=pxa.Meter(5, health=False))
    assert run.ended == "failed"
    assert seen(run.of(0)) == [(1, [0, 5]), (2, [10, 12])]
    (row,) = run.of(1)
    assert row["regime"][-1]["verdict"] == "diverging"
    assert 0 < row["regime"][-1]["batch"] < 6
    assert [line["regime"] for line in run.table().rows] == ["transient", "diverging"]


def test_what_is_well_is_shown_and_logged(tmp_path, capsys):
    run = train(epochs=1, regime=Weighing(), folder=tmp_path, show=True)
    assert capsys.readouterr().out.splitlines()[0] == "all is well"
    assert "all is well" in (tmp_path / "log.txt").read_text()
    assert run.table().columns[-1] == "regime"
    assert run.table().rows[0]["regime"] == "seen"
    with pytest.raises(TypeError, match="well of the probe must be a sentence, it is 3"):
        train(epochs=1, regime=Weighing(well=3))


def test_the_meter_says_that_every_layer_learns(capsys):
    train(epochs=1, regime=4, show=True)
    assert capsys.readouterr().out.splitlines()[0] == "health: every layer learns"


@pytest.mark.parametrize("regime", [0, -1, 1.5, True, "often", pxa.Meter])
def test_what_is_no_probe_is_refused(regime):
    with pytest.raises((TypeError, ValueError), match="fit: regime"):
        train(regime=regime)


def test_a_rule_that_cant_be_measured_is_refused():
    with pytest.raises(TypeError, match=r"fit: regime measures a pcx.learning.Rule, .* Linear is none"):
        train(rule=Linear(0.1), regime=4)


def test_event_files(tmp_path):
    pytest.importorskip("tensorboardX")
    written: list[tuple[str, int]] = []

    class Writer:
        def __init__(self, folder, purge_step):
            self.name = Path(folder).name
            written.append((f"{self.name} from", purge_step))

        def add_scalar(self, tag, value, step):
            written.append((f"{self.name} {tag}", step))

        add_text = add_scalar

        def flush(self):
            pass

    events = pxt.EventFiles(tmp_path)
    events._writer_of = Writer
    seen = [{"batch": b, "verdict": "transient", "module_cosine": {"layers[0]": 1.0}} for b in (4, 8)]
    events(pxt.Report(2, [{"epoch": 2, "network": 0, "seed": 3, "loss": 1.0, "regime": seen}], []))
    name = "network-0-seed-3-regime"
    assert (f"{name} from", 4) in written
    assert [w for w in written if "layers" in w[0]] == [(f"{name} regime/module_cosine/layers_0_", b) for b in (4, 8)]
    assert (f"{name} regime/verdict", 8) in written
    assert ("network-0-seed-3 loss", 2) in written
