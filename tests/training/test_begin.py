"""Where a run begins, and where one goes on."""

import json

import pytest

import pcx.training as pxt

from .small import same_bits, train

pytest.importorskip("orbax.checkpoint")


@pytest.mark.hasty
def test_one_call_for_a_job_that_may_be_restarted(tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("new", "empty"):
        for epochs in (1, 2):
            fit = train(folder=tmp_path / name, epochs=epochs, resume="auto")
        assert fit.compiled == [1, 2]
        assert json.loads((tmp_path / name / "config.json").read_text())["epochs"] == 2
        assert " began: 1 network, 1 epoch, 1 device\n" in (tmp_path / name / "log.txt").read_text()
    assert same_bits(fit, train(epochs=2))
    with pytest.warns(RuntimeWarning, match="there is no run in .*third yet: it begins"):
        train(folder=tmp_path / "third", epochs=1, resume=True)
    for other in ("yes", 2, None):
        with pytest.raises(ValueError, match="resume must be True, False or 'auto'"):
            train(folder=tmp_path / "third", resume=other)


def test_a_folder_with_other_runs_in_it(tmp_path):
    pxt.Folder(tmp_path / "one", False).write_json("config.json", {})
    with pytest.raises(pxt.RunExists, match=r"is not empty \(one\)"):
        pxt.Folder(tmp_path, False)
    assert not pxt.Folder(tmp_path, "auto").resumed
    assert not pxt.Folder(tmp_path, True).resumed
    (tmp_path / "notes").mkdir()
    with pytest.raises(pxt.RunExists, match=r"is not empty \(notes\)"):
        pxt.Folder(tmp_path, "auto")


LEFT = {
    "killed after versions.json": ["versions.json"],
    "killed while a file was written": ["versions.json", ".0123456789abcdef.partial.json"],
    "killed while an earlier version wrote": ["versions.json", ".config.partial.json"],
    "before anything was whole": [".0123456789abcdef.partial.json"],
}


@pytest.mark.parametrize("left", LEFT.values(), ids=LEFT)
@pytest.mark.parametrize("resume", [False, "auto", True])
def test_what_a_killed_run_leaves_is_as_good_as_nothing(left, resume, tmp_path):
    for name in left:
        (tmp_path / name).write_text('{"half')
    place = pxt.Folder(tmp_path, resume)
    assert not place.resumed
    place.write_json("versions.json", {"a": 1})
    assert [p.name for p in tmp_path.iterdir()] == ["versions.json"]


def test_no_room_for_the_config(tmp_path, monkeypatch):
    write = pxt.Folder.write_json

    def full(self, name, value):
        if name == "config.json":
            raise pxt.CheckpointError("No space left on device")
        return write(self, name, value)

    with monkeypatch.context() as context:
        context.setattr(pxt.Folder, "write_json", full)
        with pytest.raises(pxt.CheckpointError, match="No space"):
            train(folder=tmp_path / "run", epochs=1)
    assert train(folder=tmp_path / "run", epochs=1).ended == "done"


def test_a_config_that_is_no_json(tmp_path):
    (tmp_path / "config.json").write_text('{"made_of": ')
    with pytest.raises(pxt.CheckpointError, match=r"config.json in .* can't be read"):
        train(folder=tmp_path, resume="auto")
