"""The tables of the pages are what the committed folders give; the script that makes them says where they aren't."""

import importlib
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def scripts(monkeypatch):
    """The scripts that make tables, as modules."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    names = ("tables", "_folders", "_results_page", "_measured")
    yield tuple(importlib.import_module(name) for name in names)
    for name in names:
        sys.modules.pop(name, None)


def test_the_pages_are_what_the_folders_give(scripts):
    assert scripts[0].main(["--check"]) == 0, "python benchmarks/tables.py makes the tables anew"


def test_every_folder_has_its_section_and_every_table_its_place(scripts):
    tables, folders = scripts[:2]
    text = {path: path.read_text() for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]}
    results = text[ROOT / "docs" / "results.md"]
    for name in folders.made_by("run"):
        assert f"\n## {name}\n" in results
    for name in tables.TABLES:
        assert sum(f"<!-- table: {name} -->" in page for page in text.values()) == 1, name


def test_what_is_stale_is_said_and_made_anew(scripts, tmp_path):
    tables = scripts[0]
    page, made = tmp_path / "README.md", {"a": lambda: "| new |"}
    (tmp_path / "docs").mkdir()
    page.write_text("x\n<!-- table: a -->\n| old |\n<!-- end -->\ny\n")
    assert tables.update(tmp_path, made, check=True) == {"README.md": ["a"]}
    assert "| old |" in page.read_text()
    assert tables.update(tmp_path, made, check=False) == {"README.md": ["a"]}
    assert page.read_text() == "x\n<!-- table: a -->\n| new |\n<!-- end -->\ny\n"
    assert tables.update(tmp_path, made, check=True) == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<!-- table: b -->\n<!-- end -->\n", "no table 'b'"),
        ("<!-- table: a -->\n", "isn't closed"),
        ("<!-- table: a -->\n<!-- table: a -->\n<!-- end -->\n", "isn't closed"),
    ],
)
def test_marks_that_say_nothing_are_refused(text, said, scripts):
    with pytest.raises(ValueError, match=said):
        scripts[0].rewritten(text, {"a": lambda: ""})


def folder(
    place: Path,
    name: str,
    regime: str | None = "transient",
    hidden: tuple[int, ...] = (128, 128, 128),
    data: str = "fashion-mnist",
    samples: int | None = None,
) -> None:
    """Write what a section reads of a folder of `pcx run fashion-mnist`."""

    def found(mean: float, n: int = 3) -> dict:
        return {"mean": mean, "std": 0.0012, "n": n, "by_seed": dict.fromkeys("012", mean)}

    arm = {"test_accuracy": {"last": found(0.8951, 2), "best": found(0.8990)}}
    config = {
        "command": "run",
        "experiment": "fashion-mnist",
        "argv": ["pcx", "run", "fashion-mnist"],
        "quick": False,
        "epochs": 25,
        "options": {"hidden": hidden, "samples": samples},
        "data": data,
        "seeds": [0, 1, 2],
        "source": "made up.",
    }
    regimes = {"pc-se": None if regime is None else {"verdict": regime}, "epc-ce": None}
    files = {
        "config.json": config,
        "summary.json": {"results": {"pc-se": arm, "epc-ce": arm}, "regimes": regimes, "seconds": {}},
        "versions.json": {"commit": "0123456789abcdef", "backend": "cpu", "cpus": 2, "packages": {"jax": "0.9.2"}},
        "sums.json": {},
    }
    (place / name).mkdir()
    for file, content in files.items():
        (place / name / file).write_text(json.dumps(content))


def test_a_new_folder_gets_a_section_with_the_literature_beside_it(scripts, tmp_path):
    _, folders, page, _ = scripts
    folder(tmp_path, "one")
    section = page.section(folders.made_by("run", tmp_path)["one"])
    assert "| PC, squared error | 89.51 ± 0.12 % (2 of 3) | 89.90 ± 0.12 % | 89.58 % | transient |" in section
    assert "| ePC, cross entropy | 89.51 ± 0.12 % (2 of 3) | 89.90 ± 0.12 % | - | - |" in section
    assert "not verified" in section
    assert "Differences explained:" in section
    folder(tmp_path, "without", regime=None, hidden=(8,))
    section = page.section(folders.made_by("run", tmp_path)["without"])
    assert "regime" not in section
    assert "89.58" not in section, "those of another network"


def test_a_section_says_of_what_part_or_copy_of_the_data_it_is(scripts, tmp_path):
    _, folders, page, _ = scripts
    folder(tmp_path, "whole")
    folder(tmp_path, "part", samples=5000)
    folder(tmp_path, "copy", data="CIFAR-10 (JPEG copy)")
    whole, part, copy = (page.section(folders.made_by("run", tmp_path)[name]) for name in ("whole", "part", "copy"))
    assert "Data:" not in whole
    assert "Data: fashion-mnist, 5,000 samples. 3 seeds" in part
    assert "Data: CIFAR-10 (JPEG copy). 3 seeds" in copy


def test_what_is_not_sealed_is_no_evidence(scripts, tmp_path):
    folders = scripts[1]
    folder(tmp_path, "one")
    (tmp_path / "one" / "sums.json").unlink()
    assert not folders.made_by("run", tmp_path)


def test_the_literature_is_of_experiments_and_arms_that_there_are(scripts):
    from pcx.experiments import EXPERIMENTS

    told = scripts[2].literature()["experiment"]
    assert len({each["name"] for each in told}) == len(told)
    for each in told:
        assert ("numbers" in each) <= ({"source", "status"} <= {*each}), each["name"]
        if each["name"] in EXPERIMENTS:
            experiment = EXPERIMENTS[each["name"]]
            assert {*each.get("numbers", {})} <= {*experiment.arms(experiment.settings)}, each["name"]


def test_cells_are_filled_from_folders(scripts, tmp_path):
    filled, path = scripts[3].filled, tmp_path / "a.json"
    path.write_text(json.dumps({"s": {"x": {"t": [3, 1, 8]}, "y": {"t": [5]}}, "share": 0.0123, "same": True}))
    rows = [
        {
            "cells": ["{share:.1%} %", "{middle} of {first:.1f}, {least} to {most}"],
            "share": ["a.json", "share"],
            "middle": ["a.json", "s", "x", "t", "* median"],
            "first": ["a.json", "s", "x", "t", 0],
            "least": ["a.json", "s", "* min", "t", "* max"],
            "most": ["a.json", "s", "* max", "t", "* max"],
            "true": [["a.json", "same"]],
        }
    ]
    assert filled(["of", "text"], rows, tmp_path) == "| of | text |\n|---|---|\n| 1.2 % | 3 of 3.0, 5 to 8 |"
    path.write_text(path.read_text().replace("true", "false"))
    with pytest.raises(ValueError, match=r"a\.json / same isn't true"):
        filled(["of", "text"], rows, tmp_path)
    with pytest.raises(ValueError, match=r"there is no a\.json / s / z"):
        filled(["of"], [{"cells": ["{z}"], "z": ["a.json", "s", "z"]}], tmp_path)
