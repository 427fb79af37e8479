"""A byte that changed on the disk: the same arrays, or an error."""

import contextlib
import shutil

import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import pytest

import pcx.training as pxt

from .small import TRAIN, same_bits, train

pytest.importorskip("orbax.checkpoint")


TREE = {
    "weights": [np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3), jnp.arange(4, dtype=jnp.bfloat16)],
    "count": np.int32(7),
    "none": np.zeros((0, 3), np.float32),
    "flags": np.array([True, False]),
}
META = {"epoch": 3, "history": [{"loss": 0.1, "failed": None}], "why": []}


def flips(folder, every):
    """Flip one bit of a byte here and there in each file, one at a time."""
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        whole = path.read_bytes()
        for at in range(hash(path.name) % every if every > 1 else 0, len(whole), every):
            broken = bytearray(whole)
            broken[at] ^= 1 << (at % 8)
            path.write_bytes(broken)
            yield f"{path.relative_to(folder)}, byte {at}"
        path.write_bytes(whole)


def equal(a, b):
    return jtu.tree_structure(a) == jtu.tree_structure(b) and all(
        np.asarray(x).dtype == np.asarray(y).dtype and np.asarray(x).tobytes() == np.asarray(y).tobytes()
        for x, y in zip(jtu.tree_leaves(a), jtu.tree_leaves(b), strict=True)
    )


@pytest.mark.slow
@pytest.mark.parametrize("best", [False, True])
def test_every_fifth_byte_of_a_checkpoint(tmp_path, best):
    every_flip(tmp_path, best, every=5)  # prime to 8, so that it is every bit in turn


@pytest.mark.hasty
def test_bytes_of_a_checkpoint(tmp_path):
    every_flip(tmp_path, False, every=37)


def every_flip(tmp_path, best, every):
    held = pxt.Checkpoints(tmp_path)
    held.save(5, TREE, META, best=best)
    held.close()
    refused = same = 0
    for where in flips(tmp_path, every):
        held = pxt.Checkpoints(tmp_path)
        try:
            tree, meta = held.load(TREE, best=best)
        except pxt.CheckpointError:
            refused += 1
        else:
            assert equal(tree, TREE), where
            assert meta == META, where
            same += 1
        finally:
            held.close()
    assert refused > 5
    assert same < 4 * refused


def damage(folder):
    """Change an array of a checkpoint such that it can still be read, if its checksum is not looked at."""
    for path in sorted((folder / "arrays").rglob("*")):
        if path.is_file() and path.parent.name == "d":
            whole = bytearray(path.read_bytes())
            whole[len(whole) // 2] ^= 4
            path.write_bytes(whole)


def test_an_earlier_one_that_is_whole_is_offered(tmp_path):
    held = pxt.Checkpoints(tmp_path, keep=3)
    for step in (1, 2, 3):
        held.save(step, TREE, {"epoch": step})
    for step in (2, 3):
        damage(tmp_path / "last" / str(step))
    with pytest.raises(pxt.CheckpointError, match=r"checkpoint 3 .*Checkpoint 1 is whole: load\(step=1\)"):
        held.load()
    assert held.load(step=1)[1] == {"epoch": 1}
    with pytest.raises(pxt.CheckpointError, match="holds no checkpoint 9"):
        held.load(step=9)
    held.save(3, TREE, {"epoch": 3})  # not as if it were there already
    assert held.load(TREE)[1] == {"epoch": 3}
    assert [p.name for p in (tmp_path / "damaged").iterdir()] == ["last-3"]
    held.close()


def test_a_run_goes_on_from_the_last_whole_one(tmp_path):
    whole = train()
    train(folder=tmp_path / "run", epochs=2, checkpoint_every=3)
    shutil.copytree(tmp_path / "run", tmp_path / "lost")
    damage(tmp_path / "run" / "checkpoints" / "last" / "12")
    with pytest.warns(RuntimeWarning, match="checkpoint 12 is damaged and was moved to .*; checkpoint 9 is whole"):
        fit = train(folder=tmp_path / "run", resume=True)
    assert same_bits(fit, whole)
    assert "checkpoint 12 is damaged" in (tmp_path / "run" / "log.txt").read_text()
    for step in (9, 12):
        damage(tmp_path / "lost" / "checkpoints" / "last" / str(step))
    with pytest.raises(pxt.CheckpointError, match=r"checkpoint 12 .* can't be read"):
        train(folder=tmp_path / "lost", resume=True)


@pytest.mark.parametrize("part", ["x", "y"])
@pytest.mark.parametrize("which", ["training", "held-out"])
def test_data_of_which_a_single_number_changed(tmp_path, which, part):
    x, y = np.repeat(TRAIN[0], 3, axis=0), np.repeat(TRAIN[1], 3)
    train(data=(x, y), validation=(x, y), folder=tmp_path / "run", epochs=1)
    x2, y2 = x.copy(), y.copy()
    if part == "x":
        x2[101] += 1e-3
    else:
        y2[101] = 1 - y2[101]
    changed = (
        {"data": (x2, y2), "validation": (x, y)} if which == "training" else {"data": (x, y), "validation": (x2, y2)}
    )
    name = "data.sha256" if which == "training" else "validation.sha256"
    with pytest.raises(pxt.CheckpointError, match=f"{name}: was"):
        train(folder=tmp_path / "run", resume=True, epochs=1, **changed)


def test_held_out_data_that_came_or_went(tmp_path):
    train(validation=None, folder=tmp_path / "run", epochs=1)
    with pytest.raises(pxt.CheckpointError, match="validation"), contextlib.suppress(RuntimeWarning):
        train(folder=tmp_path / "run", resume=True, epochs=1)
