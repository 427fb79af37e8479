"""The commit that a run was made at, without running a program for it."""

import contextlib
import json
import os
import shutil
import subprocess
import sys

import pytest

import pcx.training as pxt

from .small import RULE, make, train

HASH, OTHER = "0123456789abcdef" * 2 + "01234567", "f" * 64


def commit(folder):
    """The commit that a run would be said to be made at, if it were started in the folder."""
    with contextlib.chdir(folder):
        found = pxt.versions()["git"]
    return found if found is None else found["commit"]


def repository(folder, head="ref: refs/heads/main\n", **files):
    """The files of a repository; names with `__` for `/` and `_` for `-`."""
    (folder / ".git" / "objects").mkdir(parents=True)
    (folder / ".git" / "HEAD").write_text(head)
    for name, text in files.items():
        path = folder / ".git" / name.replace("__", "/").replace("_", "-")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"head": f"{HASH}\n"}, HASH),
        ({"head": OTHER}, OTHER),
        ({"refs__heads__main": f"{HASH}\n"}, HASH),
        (
            {"packed_refs": f"# pack-refs with: peeled\n{OTHER} refs/heads/maine\n{HASH} refs/heads/main\n^{OTHER}\n"},
            HASH,
        ),
        ({"refs__heads__main": HASH, "packed_refs": f"{OTHER} refs/heads/main\n"}, HASH),
        ({"refs__heads__main": "ref: refs/heads/b", "refs__heads__b": HASH}, HASH),
        ({}, None),  # no commit yet
        ({"head": "ref: refs/heads/.invalid\n"}, None),  # references in a table
        ({"refs__heads__main": "ref: refs/heads/main"}, None),
        ({"head": "ref: refs/../../../secret\n"}, None),
        ({"head": "ref: secret\n", "secret": HASH}, None),
        ({"head": "damaged \x00\n"}, None),
        ({"head": ""}, None),
    ],
)
def test_what_is_checked_out(files, expected, tmp_path):
    (tmp_path / "secret").write_text(HASH)
    inside = repository(tmp_path / "a" / "b", **files) / "deep" / "er"
    inside.mkdir(parents=True)
    assert commit(inside) == expected


def test_worktrees_and_submodules(tmp_path):
    main = repository(tmp_path / "main", packed_refs=f"{HASH} refs/heads/side\n")
    (main / ".git" / "worktrees" / "side").mkdir(parents=True)
    (main / ".git" / "worktrees" / "side" / "HEAD").write_text("ref: refs/heads/side\n")
    (main / ".git" / "worktrees" / "side" / "commondir").write_text("../..\n")
    (tmp_path / "side").mkdir()
    (tmp_path / "side" / ".git").write_text(f"gitdir: {main}/.git/worktrees/side\n")
    assert commit(tmp_path / "side") == HASH
    shutil.move(main / ".git", tmp_path / "modules")
    (tmp_path / "modules" / "HEAD").write_text(OTHER)
    (main / ".git").write_text("gitdir: ../modules\n")
    assert commit(main) == OTHER


def test_names_that_are_no_text(tmp_path):
    name = os.fsdecode(b"br\xe4nch")
    repository(tmp_path)
    (tmp_path / ".git" / "HEAD").write_bytes(b"ref: refs/heads/br\xe4nch\n")
    (tmp_path / ".git" / "packed-refs").write_bytes(b"\xff\xfe\n" + HASH.encode() + b" refs/heads/br\xe4nch\n")
    assert commit(tmp_path) == HASH
    inside = tmp_path / name
    inside.mkdir()
    assert commit(inside) == HASH


def test_no_repository(tmp_path):
    outside = commit(tmp_path)
    (tmp_path / ".git").write_text("gitdir: nowhere\n")
    assert commit(tmp_path) == outside
    (tmp_path / ".git").write_bytes(b"gitdir: \x00\xff\n")
    assert commit(tmp_path) is None


def test_a_pipe_is_not_waited_for(tmp_path):
    repository(tmp_path)
    (tmp_path / ".git" / "HEAD").unlink()
    os.mkfifo(tmp_path / ".git" / "HEAD")
    assert commit(tmp_path) is None


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """A working folder whose configuration names a program for every occasion, and a `git` that is first on the path;
    the file that they make."""
    mark = tmp_path / "executed"
    bad = tmp_path / "bin" / "git"
    bad.parent.mkdir()
    bad.write_text(f"#!/bin/sh\ntouch {mark}\n")
    bad.chmod(0o755)
    settings = f"""
[core]
    repositoryformatversion = 0
    fsmonitor = {bad}
    sshCommand = {bad}
    hooksPath = {bad.parent}
    pager = {bad}
    editor = {bad}
[diff]
    external = {bad}
[diff "a"]
    textconv = {bad}
[filter "a"]
    clean = {bad}
    smudge = {bad}
    process = {bad}
[alias]
    status = !{bad}
    rev-parse = !{bad}
"""
    here = repository(tmp_path / "here", config=settings, refs__heads__main=HASH)
    (here / ".gitattributes").write_text("* filter=a diff=a\n")
    for hook in ("post-index-change", "fsmonitor-watchman"):
        (here / ".git" / "hooks").mkdir(exist_ok=True)
        shutil.copy(bad, here / ".git" / "hooks" / hook)
    monkeypatch.chdir(here)
    monkeypatch.setenv("PATH", f"{bad.parent}:{os.environ['PATH']}")
    return mark


def test_nothing_of_the_repository_is_run(trap, tmp_path):
    assert pxt.versions()["git"] == {"commit": HASH}
    train(make, RULE, folder=tmp_path / "run", epochs=1)
    assert json.loads((tmp_path / "run" / "versions.json").read_text())["git"] == {"commit": HASH}
    assert not trap.exists()


@pytest.mark.parametrize(
    "words",
    [
        ["info", "--json"],
        ["train", "--data", "two-moons", "--hidden", "4", "--epochs", "1", "--rule", "backprop", "--out", "run"],
    ],
    ids=["info", "train"],
)
@pytest.mark.slow
def test_nothing_of_the_repository_is_run_by_the_command(words, trap):
    pytest.importorskip("tyro")
    done = subprocess.run([sys.executable, "-m", "pcx.cli", *words], capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert not trap.exists()
