"""Compiled programs are kept where that was asked for, or where pcx has a folder in the user's cache; nowhere else."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from pcx.cli import _programs
from pcx.cli._programs import Programs, kept_programs

from .commands import SMALL, call

SETTINGS: Any = jax.config


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The user's cache, without a folder of pcx in it, where no variable says anything."""
    monkeypatch.delenv(_programs.VARIABLE, raising=False)
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def _compiled(number):
    """Compile a program that no other test has."""
    jax.jit(lambda x: x * number)(jnp.ones(3)).block_until_ready()


def _files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_nothing_is_kept_where_pcx_never_put_anything(cache):
    with kept_programs(Programs()):
        _compiled(1.25)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("how", ["option", "variable", "user's cache"])
def test_programs_are_kept_and_settings_are_as_before(how, cache, monkeypatch):
    folder, given = cache / "kept", None
    if how == "option":
        given = folder
    elif how == "variable":
        monkeypatch.setenv(_programs.VARIABLE, str(folder))
    else:
        (cache / "pcx").mkdir()
        folder = cache / "pcx" / "programs"
    names = ("jax_compilation_cache_dir", "jax_enable_compilation_cache", "jax_persistent_cache_min_compile_time_secs")
    before = [getattr(SETTINGS, name) for name in names]
    with kept_programs(Programs(given)):
        _compiled({"option": 1.5, "variable": 1.625, "user's cache": 1.75}[how])
    found = _files(folder)
    assert any(name.startswith("jit_") for name in found)
    assert [getattr(SETTINGS, name) for name in names] == before
    _compiled(2.5)
    assert _files(folder) == found


def test_off_keeps_none_whatever_the_variables_say(cache, monkeypatch):
    monkeypatch.setenv(_programs.VARIABLE, str(cache / "kept"))
    with kept_programs(Programs(Path("off"))):
        _compiled(3.25)
    assert _files(cache) == []


def test_a_folder_that_cannot_be_used_is_said_and_nothing_is_lost(cache, capsys):
    (cache / "file").write_text("mine")
    with kept_programs(Programs(cache / "file" / "in it")):
        _compiled(3.5)
    said = capsys.readouterr().err
    assert "compiled programs are not kept" in said
    assert "Not a directory" in said
    assert said.count("\n") == 1
    assert (cache / "file").read_text() == "mine"


def test_programs_not_used_for_longest_make_room(tmp_path, monkeypatch):
    monkeypatch.setattr(_programs, "_MOST", 250)
    for i in range(4):
        path = tmp_path / str(i)
        path.write_bytes(bytes(100))
        os.utime(path, (i, i))
    _programs._make_room(tmp_path)
    assert _files(tmp_path) == ["2", "3"]


@pytest.mark.slow
def test_where_programs_are_kept_is_no_option_of_the_run(tmp_path):
    run = tmp_path / "run"
    words = ["train", *SMALL, "--rule", "backprop", "--epochs", 1, "--out", run, "--compile-cache", tmp_path / "kept"]
    jax.clear_caches()  # what this process has compiled before is not compiled again
    assert call(*words) == 0
    assert "compile_cache" not in json.loads((run / "config.json").read_text())["options"]
    assert _files(tmp_path / "kept")


@pytest.mark.slow
def test_another_process_finds_every_program_and_one_that_is_broken_is_made_again(tmp_path):
    kept = tmp_path / "kept"

    def train(name: str) -> list[dict[str, Any]]:
        command = [sys.executable, "-m", "pcx.cli", "train", *SMALL, "--rule", "pc", "--out", tmp_path / name]
        # Another order of sets in each process.
        environment = os.environ | {"PYTHONHASHSEED": str(len(name))}
        done = subprocess.run(
            [*map(str, command), "--compile-cache", str(kept)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "cpu_aot_loader" not in done.stderr
        rows = [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        return [{k: v for k, v in row.items() if "second" not in k and k != "time"} for row in rows]

    first = train("a")
    found = _files(kept)
    assert train("bb") == first
    assert _files(kept) == found
    for path in kept.rglob("jit_*"):
        path.write_bytes(path.read_bytes()[:50])
    assert train("ccc") == first
