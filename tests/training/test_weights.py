# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false
# pyright: reportOptionalOperand=false, reportArgumentType=false
"""Weights files: they come back to the bit, and one that doesn't fit changes nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pcx.models as pxm
import pcx.nn as pxnn
import pcx.training as pxt

from .small import RULE, TRAIN, model, train

safetensors = pytest.importorskip("safetensors.numpy")


def weights(net):
    return {k: np.asarray(v) for k, v in RULE.init(net, (TRAIN[0][:4], TRAIN[1][:4])).weights.items()}


def equal(a, b):
    return a.keys() == b.keys() and all(a[k].tobytes() == b[k].tobytes() for k in a)


@pytest.mark.parametrize("of", ["model", "state"])
def test_round_trip(tmp_path, of):
    net, other = model(), model(1)
    path = pxt.save_weights(tmp_path / "w.safetensors", net if of == "model" else RULE.init(net, TRAIN))
    assert not equal(weights(net), weights(other))
    pxt.load_weights(path, other)
    assert equal(weights(net), weights(other))
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]
    assert equal({k: v for k, v in safetensors.load_file(path).items()}, weights(net))


def test_running_statistics_travel_along(tmp_path):
    def made(value):
        norm = pxnn.BatchNorm(3, "batch")
        for param, _, _ in pxt._weights._params(norm).values():
            param.set(jax.tree.map(lambda a: jnp.full_like(a, value), param.get()))
        return norm

    one, other = made(2.0), made(3.0)
    pxt.load_weights(pxt.save_weights(tmp_path / "w", one), other)
    for a, b in zip(pxt._weights._params(one).values(), pxt._weights._params(other).values(), strict=True):
        np.testing.assert_array_equal(np.asarray(a[2]), np.asarray(b[2]))


def test_files_that_do_not_fit(tmp_path):
    net = model()
    before = weights(net)
    path = pxt.save_weights(tmp_path / "w", pxm.MLP([2, 9, 2]))
    with pytest.raises(ValueError, match=r"w doesn't fit the model: .*\(9, 2\) in the file, \(8, 2\) in the model"):
        pxt.load_weights(path, net)
    path = pxt.save_weights(tmp_path / "deep", pxm.MLP([2, 8, 8, 2]))
    with pytest.raises(ValueError, match=r"in the file, nothing in the model"):
        pxt.load_weights(path, net)
    with pytest.raises(FileNotFoundError):
        pxt.load_weights(tmp_path / "none", net)
    whole = path.read_bytes()
    for content in (b"", b"hello", whole[:20], whole[: len(whole) // 2], b"\x80\x04K\x01."):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="is no whole safetensors file"):
            pxt.load_weights(path, net)
    assert equal(weights(net), before)


def test_a_failed_write_leaves_the_file_before(tmp_path, monkeypatch):
    path = pxt.save_weights(tmp_path / "w", model())
    before = path.read_bytes()

    def fail(arrays, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(safetensors, "save_file", fail)
    with pytest.raises(OSError, match="No space left"):
        pxt.save_weights(path, model(1))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["w"]


def test_those_of_a_run(tmp_path):
    net, other = model(), model(1)
    train(net, folder=tmp_path / "run", epochs=1)
    pxt.load_weights(tmp_path / "run" / "weights.safetensors", other)
    assert equal(weights(net), weights(other))
