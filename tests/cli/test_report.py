"""`pcx report`: where the page goes, and what is refused."""

import json
import os

import pytest

from .commands import call


def run(folder, rows):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"command": "train", "options": {"rule": "pc"}, "epochs": 2}))
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return folder


@pytest.fixture
def first(tmp_path):
    return run(tmp_path / "first", [{"epoch": 1, "network": 0, "loss": 0.5}])


def test_it_writes_a_page_into_the_runs_folder_and_writes_it_again(first, capsys):
    assert call("report", first) == 0
    out = first / "report.html"
    assert f"report in {out}" in capsys.readouterr().out
    before = out.read_text(encoding="utf-8")
    assert "<title>first – pcx report</title>" in before
    assert call("report", first, "--out", out) == 0  # a report may take the place of one


def test_of_several_runs_it_is_here(first, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(tmp_path / "other" / "first", [])
    assert call("report", "first", "other/first") == 0
    assert "other/first" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "other", "report.html"]


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ([], 2, "give it the folder of a run"),
        (["nothing"], 1, "there is no folder nothing"),
        (["."], 1, "holds no run"),
        (["first", "./first"], 1, "given twice"),
        (["first", "--out", "first"], 1, "is a folder"),
        (["first", "--out", "notes.txt"], 1, "is no report of pcx"),
        (["first", "--out", "notes.txt/page.html"], 1, "notes.txt/page.html"),
        (["first", "--out", "a\0b"], 1, "zero byte"),
        (["first", "--out", "x" * 300], 1, "can't be"),
    ],
)
def test_what_is_refused_and_leaves_nothing(words, status, said, first, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    assert call("report", *words) == status
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "notes.txt"]
    assert not (first / "report.html").exists()


@pytest.mark.skipif(os.name != "posix", reason="needs a link")
def test_nothing_is_written_through_a_link(first, tmp_path):
    other = tmp_path / "other.html"
    assert call("report", first, "--out", other) == 0
    before = other.read_bytes()
    (tmp_path / "link.html").symlink_to(other)
    assert call("report", first, "--out", tmp_path / "link.html") == 0
    assert other.read_bytes() == before
    assert not (tmp_path / "link.html").is_symlink()


def with_options(folder, **options):
    run(folder, [{"epoch": 1, "network": n, "energies": {"vodes[0]": 0.25 * n, "vodes[1]": 0.5}} for n in (0, 1)])
    config = {"command": "train", "options": {"data": "two-moons", "hidden": [8]} | options, "epochs": 1}
    config["made_of"] = {"data": {"arrays": ["float32[90, 2]", "int32[90]"]}, "networks": [{}, {}]}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_the_network_is_drawn_with_the_last_energies(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call("report", with_options(tmp_path / "run")) == 0
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert '<div class="drawing"><svg' in page
    assert "E = 0.125" in page


def test_what_a_folder_names_is_not_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text("open('ran', 'w')\nNet = int\n")
    for i, options in enumerate(
        [{"model": "net.py:Net"}, {"energy": "net.py:Net"}, {"rule": "net.py:Net", "hidden": [3]}]
    ):
        assert call("report", with_options(tmp_path / f"{i}", **options)) == 0
        page = (tmp_path / f"{i}" / "report.html").read_text(encoding="utf-8")
        assert ("a report doesn&#39;t execute" in page) == (i < 2)
    assert not (tmp_path / "ran").exists()


def test_a_network_that_cannot_be_made_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call("report", with_options(tmp_path / "run", hidden=["<b>"])) == 0
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "Not drawn, run: " in page
    assert "<b>" not in page
