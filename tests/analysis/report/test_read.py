"""From a folder to a record."""

import json

import pytest

import pcx.analysis.report as pxr

from .folders import row, run


def test_a_run(tmp_path):
    (record,) = pxr.read(run(tmp_path / "a", [row(2, 1), row(1, 0), row(2, 0), row(1, 1), row(2, 0, energy=7.0)]))
    assert (record.name, record.command, record.rule, record.data) == ("a", "train", "pc", "two-moons")
    assert (record.state, record.why, record.epochs, record.notes) == ("done", "", 4, [])
    (group,) = record.groups
    assert [network.name for network in group.networks] == ["seed 1", "seed 0"]
    assert [each["epoch"] for each in group.networks[0].rows] == [1, 2]
    assert group.networks[1].rows[-1]["energy"] == 7.0  # of an epoch that was done twice, the last
    assert record.settings["pc.T"] == "8"


@pytest.mark.parametrize(
    ("log", "state", "why"),
    [
        ("failed: h is not finite", "failed", "h is not finite"),
        ("interrupted: SIGTERM", "interrupted", "SIGTERM"),
        ("stopped early", "stopped early", ""),
        ("resumed", "unfinished", ""),
    ],
)
def test_how_it_ended(tmp_path, log, state, why):
    (record,) = pxr.read(run(tmp_path / "a", [row(1)], log=log))
    assert (record.state, record.why) == (state, why)


def test_networks_of_several_settings_are_groups(tmp_path):
    folder = run(tmp_path / "a", [row(1, network) for network in range(4)])
    networks = [{"seed": i % 2, "settings": {"lr": [0.1, 0.2][i // 2]}} for i in range(4)]
    (folder / "config.json").write_text(json.dumps({"epochs": 1, "made_of": {"networks": networks}, "why": [1, "x"]}))
    (record,) = pxr.read(folder)
    assert [(group.name, len(group.networks)) for group in record.groups] == [("a: lr 0.1", 2), ("a: lr 0.2", 2)]
    assert record.command == "fit"
    assert record.settings == {"epochs": "1", "why": "1 x"}


def test_a_comparison_has_its_rules(tmp_path):
    folder = run(tmp_path / "all", [])
    config = {"command": "compare", "options": {"rules": ["pc", "zil", "../../etc", "gone"]}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "summary.json").write_text(json.dumps({"rules": {"pc": {"test_accuracy": {"mean": 0.5}}}}))
    run(folder / "pc", [])
    run(folder / "zil", [], rule="zil")
    assert [record.name for record in pxr.read(folder)] == ["all", "all/pc", "all/zil"]
    assert "50.00%" in pxr.page(pxr.read(folder))
    assert folder / "zil" / "metrics.jsonl" in pxr.files_of(folder)


def test_a_sweep(tmp_path):
    folder = tmp_path / "sweep"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"command": "sweep", "options": {"rule": "pc"}, "sweep": {}}))
    (folder / "progress.json").write_text(json.dumps({"settings": {"done": 1, "not run": 1}, "best_value": 0.1}))
    (folder / "table.csv").write_text("setting,lr,ended,accuracy\n0,0.001,done,0.5\n1,0.01,failed,nan\nbroken\n")
    (record,) = pxr.read(folder)
    assert record.state == "unfinished"
    html = pxr.page([record])
    assert "not run" in html
    assert "50.00%" in html
    assert "not finite" in html


def test_damage_is_said_and_left_out(tmp_path):
    folder = run(tmp_path / "a", [row(1)])
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 2, "netw\n[1]\n{"epoch": true}\n' + "[" * 100_000 + "\n" + json.dumps(row(3)) + '\n{"epo')
    (folder / "versions.json").write_text("{")
    (folder / "log.txt").write_bytes(b"2026-01-01T10:00:00 done \xff\n")
    (record,) = pxr.read(folder)
    assert [each["epoch"] for each in record.groups[0].networks[0].rows] == [1, 3]
    notes = " ".join(record.notes)
    assert "4 of 6 lines of metrics.jsonl can't be read and are left out: 2, 3, 4, 5" in notes
    assert "not whole" in notes
    assert "versions.json can't be read" in notes


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(pxr.NoRun, match="there is no folder"):
        pxr.read(tmp_path / "nothing")
    with pytest.raises(pxr.NoRun, match="holds no run"):
        pxr.read(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(pxr.NoRun, match="no config of a run"):
        pxr.read(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(pxr.NoRun, match="can't be read"):
        pxr.read(tmp_path)
    with pytest.raises(pxr.NoRun, match="is a file"):
        pxr.read(tmp_path / "config.json")
