"""The folder of an experiment: what is in it, how it goes on, and what verifying it finds."""

import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest

from pcx.experiments import EXPERIMENTS, FirstSteps, Plan, Record, Settings, Where, run, verify
from pcx.experiments.frame import read_config, verify_sums
from pcx.experiments.frame._verify import compared

from .toy import Toy, ToySettings


@pytest.fixture
def toy():
    return Toy()


def plan(toy, **changed):
    return Plan(toy, ToySettings(), **changed)


def made(toy, out, **changed):
    return run(plan(toy), out, show=False, say=lambda text: None, **changed)


def looked_at(toy, out):
    return verify(out, toy, ToySettings(), Where(), say=lambda text: None)


def test_a_folder_holds_all_that_its_results_came_from(toy, tmp_path):
    out = tmp_path / "run"
    assert made(toy, out).ended == "done"
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    listed = set(json.loads((out / "sums.json").read_text())["files"])
    arms = {"arms/slow.json", "arms/fast.json"}
    made_by_all = {"config.json", "versions.json", "metrics.jsonl", "summary.json", "table.md", "figure.png", "log.txt"}
    assert files == {*arms, *made_by_all, "sums.json"}
    assert listed == files - {"sums.json"}
    config, versions = (json.loads((out / f"{name}.json").read_text()) for name in ("config", "versions"))
    assert config["experiment"] == "toy"
    assert config["seeds"] == [0, 1, 2]
    assert config["options"]["rate"] == 0.5
    assert len(config["data_sha256"]) == len(versions["source"]) == 64
    assert {"packages", "device", "commit", "dirty"} <= set(versions)
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert len(rows) == 2 * 3 * 4
    assert rows[0] == {"rule": "slow", "seed": 0, "epoch": 1, "error": 0.5}


def test_both_protocols(toy, tmp_path):
    class Rising(Toy):
        def arm(self, name, settings, data):
            arm = super().arm(name, settings, data)
            arm.errors = lambda seed: [1.0, 0.25 * (1 + seed), 0.5, 1.0 + seed]
            return arm

    found = run(plan(Rising(), only=("slow",)), tmp_path / "run", show=False, say=lambda text: None)
    error = json.loads((tmp_path / "run" / "summary.json").read_text())["results"]["slow"]["error"]
    assert error["last"]["by_seed"] == {"0": 1.0, "1": 2.0, "2": 3.0}
    assert error["best"]["by_seed"] == {"0": 0.25, "1": 0.5, "2": 0.5}
    assert error["last"]["mean"] == 2.0
    assert error["last"]["std"] == 1.0
    assert "2.000 ± 1.000" in found.table
    assert "1.0 ± 1.0" in found.table  # what is measured once


def test_what_is_done_is_not_done_again(toy, tmp_path):
    out = tmp_path / "run"
    toy.ends["fast"] = "interrupted"
    assert made(toy, out).ended == "interrupted"
    assert not (out / "sums.json").exists()
    with pytest.raises(ValueError, match="isn't finished"):
        read_config(out)
    assert [path.name for path in (out / "runs").iterdir()] == ["fast"]  # that of the arm that is to go on
    toy.ends.clear()
    assert made(toy, out).ended == "done"
    assert toy.trained == ["slow", "fast", "fast"]
    assert not (out / "runs").exists()
    table = (out / "table.md").read_text()
    assert made(toy, out).table == table  # it is finished: nothing changes
    assert toy.trained == ["slow", "fast", "fast"]
    assert looked_at(toy, out).holds


def test_it_stops_between_two_arms_when_it_is_told_to(toy, tmp_path):
    assert made(toy, tmp_path / "run", stop=lambda: True).ended == "interrupted"
    assert toy.trained == ["slow"]


def test_an_arm_that_failed_is_told(toy, tmp_path):
    toy.ends["slow"] = "failed"
    found = made(toy, tmp_path / "run")
    assert found.ended == "failed"
    assert "slow failed" in found.table
    assert found.records["fast"].ended == "done"


def test_runs_are_kept_where_that_is_asked_for(toy, tmp_path):
    made(toy, tmp_path / "run", keep=True)
    assert (tmp_path / "run" / "runs" / "fast" / "checkpoint").exists()
    assert "runs/fast/checkpoint" in json.loads((tmp_path / "run" / "sums.json").read_text())["files"]


def test_another_experiment_is_not_mixed_in(toy, tmp_path):
    out = tmp_path / "run"
    toy.ends["fast"] = "interrupted"
    made(toy, out)
    with pytest.raises(ValueError, match="begun otherwise: options"):
        run(Plan(toy, ToySettings(rate=0.25)), out, show=False)
    with pytest.raises(ValueError, match="begun otherwise: rules"):
        run(plan(toy, only=("fast",)), out, show=False)
    toy.seen = np.arange(6)
    with pytest.raises(ValueError, match="begun otherwise: data"):
        made(toy, out)
    with pytest.raises(ValueError, match="no 'quick' in toy; it has slow, fast"):
        run(plan(toy, only=("quick",)), tmp_path / "other", show=False)
    assert not (tmp_path / "other").exists()


def test_verifying(toy, tmp_path):
    out = tmp_path / "run"
    made(toy, out)
    found = looked_at(toy, out)
    assert found.holds
    assert found.data
    assert found.steps["slow"].same_bits
    assert found.sums.whole == 9

    (out / "report.html").write_text("added later")
    assert verify_sums(out).sums.added == ["report.html"]
    assert verify_sums(out).holds
    (out / "table.md").write_text("better numbers")
    (out / "figure.png").unlink()
    found = verify_sums(out)
    assert (found.sums.changed, found.sums.missing) == (["table.md"], ["figure.png"])
    assert not found.holds


def test_a_link_in_the_folder_is_not_followed(toy, tmp_path):
    out = tmp_path / "run"
    made(toy, out)
    elsewhere = tmp_path / "elsewhere"
    (out / "table.md").rename(elsewhere)
    (out / "table.md").symlink_to(elsewhere)
    assert verify_sums(out).sums.changed == ["table.md"]


def test_other_steps_and_other_data_are_found(toy, tmp_path):
    out = tmp_path / "run"
    made(toy, out)
    other = verify(out, toy, ToySettings(rate=0.5 + 1e-6), Where(), say=lambda text: None)
    assert not other.holds
    assert not other.good("slow")  # other bits, with the same software
    assert dataclasses.replace(other, software=["jax was 1, is 2"]).good("slow")
    much = verify(out, toy, ToySettings(rate=0.6), Where(), say=lambda text: None)
    assert not dataclasses.replace(much, software=["jax was 1, is 2"]).good("slow")
    toy.seen = np.arange(6)
    assert not looked_at(toy, out).data


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (None, "holds no run"),
        ({"command": "train", "options": {}}, "was written by pcx train, which keeps no checksums"),
        ({"made_of": {}}, "was written by something else"),
        ([], "was written by something else"),
    ],
)
def test_what_is_no_such_folder_is_refused(config, said, tmp_path):
    if config is not None:
        (tmp_path / "config.json").write_text(json.dumps(config))
    for look in (read_config, verify_sums):
        with pytest.raises(ValueError, match=said):
            look(tmp_path)


def test_the_files_of_any_sealed_folder_are_verified(tmp_path):
    (tmp_path / "config.json").write_text('{"command": "settings"}')
    (tmp_path / "sums.json").write_text('{"files": {"other.json": "0"}}')
    assert verify_sums(tmp_path).sums.missing == ["other.json"]
    with pytest.raises(ValueError, match="--sums-only verifies its files"):
        read_config(tmp_path)


def test_steps_are_compared_number_by_number():
    was = FirstSteps({"loss": [1.0, 2.0]}, {"w": 3.0, "v": 0.0}, "bits")
    assert compared(was, was).same_bits
    near = compared(was, FirstSteps({"loss": [1.0, 2.00002]}, {"w": 3.0, "v": 0.0}, "others"))
    assert near.difference == pytest.approx(1e-5, rel=1e-3)
    assert near.at == "loss of step 2"
    far = compared(was, FirstSteps({"loss": [1.0, 2.0]}, {"w": 3.3, "v": 0.0}, "others"))
    assert far.at == "the way of w"
    changed: list[Any] = [({"loss": [1.0]}, was.moved), ({"loss": [1.0, None]}, was.moved), (was.numbers, {"w": 3.0})]
    for numbers, moved in changed:
        assert compared(was, FirstSteps(numbers, moved, "others")).difference == math.inf


def test_a_record_as_json_and_back():
    record = Record([{"seed": 0, "epoch": 1}], first_steps=FirstSteps({"loss": [1.0]}, {"w": 1.0}, "bits"))
    assert Record.from_json(json.loads(json.dumps(record.as_json()))) == record
    with pytest.raises(ValueError, match="no record"):
        Record.from_json({"lines": []})


@pytest.mark.parametrize("changed", [{"seeds": 0}, {"epochs": -1}, {"samples": 0}, {"batch_size": 2**31}])
def test_settings_that_cannot_be_used(changed):
    with pytest.raises(ValueError, match=f"--{next(iter(changed)).replace('_', '-')} must be"):
        Settings(**changed).check()


@pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=EXPERIMENTS)
def test_every_experiment_says_what_it_is(experiment):
    for text in (experiment.help, experiment.source, experiment.prints):
        assert text.endswith(".")
    assert type(experiment.quick) is type(experiment.settings)
    for settings in (experiment.settings, experiment.quick):
        settings.check()
        arms = experiment.arms(settings)
        assert len(set(arms)) == len(arms) > 0
        assert all(part.isalnum() for name in arms for part in name.split("-"))
