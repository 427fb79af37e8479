"""Nothing is written through a link."""

import os
import secrets

import numpy as np
import pytest

import pcx.training as pxt

from .small import model

pytest.importorskip("orbax.checkpoint")


@pytest.fixture
def outside(tmp_path):
    """A file that must stay as it is."""
    path = tmp_path / "profile"
    path.write_text("mine\n")
    yield path
    assert path.read_text() == "mine\n"


@pytest.fixture
def run(tmp_path):
    """The folder of a run, as it might have been handed over."""
    path = tmp_path / "run"
    place = pxt.Folder(path, False)
    place.write_json("config.json", {})
    place.log("began")
    place.metrics([{"epoch": 1}])
    held = pxt.Checkpoints(path / "checkpoints")
    held.save(1, {"a": np.arange(3.0)}, {"epoch": 0})
    held.close()
    return path


LINKS = [
    ".metrics.partial.jsonl",
    "log.txt",
    "metrics.jsonl",
    "summary.json",
    "weights.safetensors",
    "checkpoints/last/2.orbax-checkpoint-tmp",
    "checkpoints/last/1/arrays/manifest.ocdbt",
    "events/network-0-seed-0",
]


@pytest.mark.parametrize("name", LINKS)
def test_a_folder_with_a_link_is_refused(name, run, outside):
    path = run / name
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(outside)
    before = sorted(run.rglob("*"))
    with pytest.raises(pxt.CheckpointError, match=f"{path.name} in .* is a link"):
        pxt.Folder(run, True)
    if name.startswith("checkpoints"):
        with pytest.raises(pxt.CheckpointError, match="is a link"):
            pxt.Checkpoints(run / "checkpoints")
    assert sorted(run.rglob("*")) == before


def test_a_folder_as_a_link_and_a_pipe_are_refused(run, tmp_path):
    (tmp_path / "other").mkdir()
    (run / "checkpoints" / "best").rmdir()
    (run / "checkpoints" / "best").symlink_to(tmp_path / "other")
    with pytest.raises(pxt.CheckpointError, match=r"best in .* is a link"):
        pxt.Folder(run, True)
    (run / "checkpoints" / "best").unlink()
    (run / "log.txt").unlink()
    os.mkfifo(run / "log.txt")
    with pytest.raises(pxt.CheckpointError, match=r"log.txt in .* is no plain file"):
        pxt.Folder(run, True)


def test_the_run_itself_may_lie_behind_a_link(run, tmp_path):
    (tmp_path / "link").symlink_to(run)
    pxt.Folder(tmp_path / "link", True).log("went on")
    assert "went on" in (run / "log.txt").read_text()


@pytest.mark.parametrize("name", ["log.txt", "metrics.jsonl", "config.json", "weights.safetensors"])
def test_a_second_name_of_a_file_keeps_what_it_had(name, run, outside):
    (run / name).unlink(missing_ok=True)
    os.link(outside, run / name)
    place = pxt.Folder(run, True)
    place.log("more")
    place.metrics([{"epoch": 2}])
    place.write_json("config.json", {"new": 1})
    place.write("weights.safetensors", lambda path: pxt.save_weights(path, model()))
    if name.endswith(("txt", "jsonl")):
        assert (run / name).read_text().startswith("mine\n")
        assert len((run / name).read_text().splitlines()) == 2


def test_what_a_killed_save_left_is_not_written_into(run, outside):
    left = run / "checkpoints" / "last" / "2.orbax-checkpoint-tmp"
    (left / "meta.orbax-checkpoint-tmp").mkdir(parents=True)
    for name in ("_CHECKPOINT_METADATA", "meta.orbax-checkpoint-tmp/metadata"):
        os.link(outside, left / name)
    held = pxt.Checkpoints(run / "checkpoints")
    held.save(2, {"a": np.arange(3.0)}, {"epoch": 1})
    assert held.load()[1] == {"epoch": 1}
    held.close()


def test_where_a_link_appears_later(run, outside, tmp_path):
    place = pxt.Folder(run, True)
    for name in ("log.txt", "summary.json"):
        (run / name).unlink(missing_ok=True)
        (run / name).symlink_to(outside)
    with pytest.raises(pxt.CheckpointError, match=r"log.txt can't be written"):
        place.log("more")
    place.write_json("summary.json", {})  # the link is replaced
    assert not (run / "summary.json").is_symlink()


def test_weights_files(outside, tmp_path):
    (tmp_path / ".w.partial").symlink_to(outside)
    (tmp_path / "w").symlink_to(outside)
    pxt.save_weights(tmp_path / "w", model())
    assert not (tmp_path / "w").is_symlink()


def test_temporary_names(tmp_path, outside, monkeypatch):
    names, replace = set(), os.replace

    def noted(source, target):
        names.add(source.name)
        replace(source, target)

    monkeypatch.setattr(os, "replace", noted)
    for _ in range(2):
        pxt.save_weights(tmp_path / "a.safetensors", model())
    assert len(names) == 2
    assert all(name.startswith(".") and name.endswith(".safetensors") for name in names)
    assert (tmp_path / "a.safetensors").stat().st_mode & 0o777 == outside.stat().st_mode & 0o777
    monkeypatch.setattr(secrets, "token_hex", lambda n: "0" * 16)
    (tmp_path / ".0000000000000000.partial").symlink_to(outside)
    with pytest.raises(FileExistsError):
        pxt.save_weights(tmp_path / "b", model())
