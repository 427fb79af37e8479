"""Params in files: round trips, errors, and that nothing is left half done."""

import os
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pcx as px
import pcx.nn as pxnn
import pcx.utils as pxu


class Model(px.Module):
    b: pxnn.Linear

    def __init__(self, seed=0, width=3):
        super().__init__()
        rkg = px.RandomKeyGenerator(seed)
        self.a = pxnn.Linear(2, width, rkg=rkg)
        self.layers = [pxnn.Linear(width, width, rkg=rkg), {"out": pxnn.Linear(width, 1, rkg=rkg)}]
        self.h = px.Param(jnp.full(2, float(seed)))


def values(model):
    return [np.asarray(x) for x in jax.tree.leaves(model)]


def assert_same(one, two):
    for a, b in zip(one, two, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("saved", "loaded"), [("m", "m"), ("m", "m.npz"), ("m.npz", "m"), ("m.v1", "m.v1.npz")])
def test_round_trip(tmp_path, saved, loaded):
    one, two = Model(0), Model(1)
    pxu.save_params(one, tmp_path / saved)
    pxu.load_params(two, str(tmp_path / loaded))
    np.testing.assert_array_equal(two.h.get(), 1.0)  # not selected
    two.h.set(one.h)
    assert_same(values(one), values(two))
    with np.load(str(tmp_path / loaded.removesuffix(".npz")) + ".npz", allow_pickle=False) as file:
        assert sorted(file.files) == [
            ".a.nn.bias",
            ".a.nn.weight",
            ".layers[0].nn.bias",
            ".layers[0].nn.weight",
            ".layers[1]['out'].nn.bias",
            ".layers[1]['out'].nn.weight",
        ]
    assert len(os.listdir(tmp_path)) == 1


@pytest.mark.parametrize(
    ("chosen", "n"),
    [
        (None, 7),
        (px.BaseParam, 7),
        (px.Param | pxnn.LayerParam, 7),
        (lambda p: p.ndim == 2, 3),
        (pxu.M(pxnn.LayerParam).hasnot(frozen=True), 5),
        (~pxu.M(pxnn.LayerParam), 1),
    ],
)
def test_filters(tmp_path, chosen, n):
    one, two = Model(0), Model(1)
    for model in (one, two):
        model.a.nn.bias.frozen = True
    pxu.save_params(one, tmp_path / "m", filter=chosen)
    with np.load(tmp_path / "m.npz") as file:
        assert len(file.files) == n
    pxu.load_params(two, tmp_path / "m", filter=chosen)
    same = sum(np.array_equal(a, b) for a, b in zip(values(one), values(two), strict=True))
    assert same == n


def test_shared_params_are_saved_once_and_stay_shared(tmp_path):
    def pair(seed):
        model = Model(seed)
        model.b = pxnn.shared(model.a)
        return model

    one, two = pair(0), pair(1)
    pxu.save_params(one, tmp_path / "m")
    with np.load(tmp_path / "m.npz") as file:
        assert not any(name.startswith(".b") for name in file.files)
    pxu.load_params(two, tmp_path / "m")
    assert two.a.nn.weight is two.b.nn.weight
    np.testing.assert_array_equal(two.b.nn.weight.get(), one.a.nn.weight.get())


@pytest.mark.parametrize("dtype", ["bfloat16", "float8_e4m3fn", "float16", "complex64", "uint8", "bool"])
@pytest.mark.parametrize("shape", [(), (0, 2), (2, 3)])
def test_dtypes_and_shapes(tmp_path, dtype, shape):
    x = jnp.asarray(np.arange(np.prod(shape, dtype=int)).reshape(shape) % 3, dtype=dtype)
    pxu.save_params(px.Param(x), tmp_path / "m", filter=None)
    back = px.Param(jnp.zeros_like(x))
    pxu.load_params(back, tmp_path / "m", filter=None)
    assert back.get().dtype == x.dtype
    assert isinstance(back.get(), jax.Array)
    np.testing.assert_array_equal(np.asarray(back.get()), np.asarray(x))


def test_bfloat16_and_its_like_are_not_taken_for_each_other(tmp_path):
    pxu.save_params(px.Param(jnp.ones(2, "bfloat16")), tmp_path / "m", filter=None)
    with pytest.raises(ValueError, match="bfloat16"):
        pxu.load_params(px.Param(jnp.ones(2, "float16")), tmp_path / "m", filter=None)
    pxu.save_params(px.Param(jnp.ones(2, "float8_e4m3fn")), tmp_path / "m", filter=None)
    with pytest.raises(ValueError, match="float8_e4m3fn"):
        pxu.load_params(px.Param(jnp.ones(2, "float8_e5m2")), tmp_path / "m", filter=None)


def test_trees_numbers_and_none(tmp_path):
    class Mixed(px.Module):
        def __init__(self, x):
            super().__init__()
            self.bn = pxnn.BatchNorm(2, "batch")
            self.cache = px.ParamCache({"u": jnp.full(2, x)})
            self.empty = px.Param(None)
            self.late = px.Param(jnp.full(2, x) if x else None)
            self.number = px.Param(x)
            self.host = px.Param(np.full(2, x))

    one, two = Mixed(2.5), Mixed(0.0)
    one.bn.state.set(jax.tree.map(lambda x: ~x if x.dtype == bool else x + 1, one.bn.state.get()))
    pxu.save_params(one, tmp_path / "m", filter=None)
    pxu.load_params(two, tmp_path / "m", filter=None)
    assert_same(values(one), values(two))
    assert two.number.get() == 2.5
    assert isinstance(two.number.get(), float)
    assert isinstance(two.host.get(), np.ndarray)
    assert two.empty.get() is None
    np.testing.assert_array_equal(two.late.get(), 2.5)


def test_any_equinox_layer(tmp_path):
    one, two = (pxnn.Layer(eqx.nn.MLP, 2, 2, 3, 2, key=jax.random.PRNGKey(i)) for i in range(2))
    pxu.save_params(one, tmp_path / "m")
    pxu.load_params(two, tmp_path / "m")
    np.testing.assert_array_equal(two(jnp.ones(2)), one(jnp.ones(2)))


# -- errors ---------------------------------------------------------------------------------------------
def refuses(model, path, error, match):
    before = values(model)
    with pytest.raises(error, match=match) as caught:
        pxu.load_params(model, path)
    assert_same(before, values(model))
    return str(caught.value.args[0])


def test_missing_key(tmp_path):
    smaller = Model(0)
    del smaller.layers[1]
    pxu.save_params(smaller, tmp_path / "m")
    assert ".layers[1]['out'].nn." in refuses(Model(1), tmp_path / "m", KeyError, "nothing at")


def test_wrong_shape(tmp_path):
    pxu.save_params(Model(0, width=4), tmp_path / "m")
    text = refuses(Model(1), tmp_path / "m", ValueError, "shape")
    assert ".a.nn." in text
    assert "(4," in text
    assert "(3," in text


def test_wrong_dtype(tmp_path):
    one = Model(0)
    weight = one.layers[1]["out"].nn.weight
    weight.set(weight.get().astype("float16"))
    pxu.save_params(one, tmp_path / "m")
    text = refuses(Model(1), tmp_path / "m", ValueError, "float16")
    assert ".layers[1]['out'].nn.weight" in text
    assert "float32" in text


def test_files_that_are_no_params(tmp_path):
    path = tmp_path / "m.npz"
    with pytest.raises(FileNotFoundError):
        pxu.load_params(Model(), path)
    path.write_bytes(b"")
    refuses(Model(1), path, ValueError, "npz")
    path.write_text("hello")
    refuses(Model(1), path, ValueError, "npz")
    path.write_bytes(b"PK\x03\x04 not really")
    refuses(Model(1), path, ValueError, "npz")
    with open(path, "wb") as file:
        np.save(file, np.ones(2))
    refuses(Model(1), path, ValueError, "npz")


def test_damaged_file(tmp_path):
    path = tmp_path / "m.npz"
    pxu.save_params(Model(0), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refuses(Model(1), path, ValueError, "npz")
    weight = np.asarray(Model(0).layers[0].nn.weight.get()).tobytes()
    at = whole.index(weight)
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    refuses(Model(1), path, ValueError, "npz")


class Holder(px.Module):
    def __init__(self):
        super().__init__()
        self.value = px.Param(jnp.ones(1))


def test_pickles_are_never_read_or_written(tmp_path):
    path = tmp_path / "m.npz"
    arrays: dict[str, Any] = {".value": np.array([object()], dtype=object)}
    np.savez(path, **arrays)
    holder = Holder()
    with pytest.raises(ValueError, match="npz"):
        pxu.load_params(holder, path, filter=None)
    holder.value.set(object())
    before = path.read_bytes()
    with pytest.raises(TypeError, match=r"\.value"):
        pxu.save_params(holder, path, filter=None)
    assert path.read_bytes() == before


def test_a_failed_write_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "m.npz"
    pxu.save_params(Model(0), path)
    before = path.read_bytes()

    def fails(*args):
        raise OSError("no space")

    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, fails)
            with pytest.raises(OSError, match="no space"):
                pxu.save_params(Model(1), path)
        assert path.read_bytes() == before
        assert os.listdir(tmp_path) == ["m.npz"]


def test_a_link_stays_a_link(tmp_path):
    target, link = tmp_path / "target.npz", tmp_path / "link.npz"
    pxu.save_params(Model(0), target)
    link.symlink_to(target)
    pxu.save_params(Model(1), link)
    assert link.is_symlink()
    two = Model(0)
    pxu.load_params(two, target)
    np.testing.assert_array_equal(two.a.nn.weight.get(), Model(1).a.nn.weight.get())


@pytest.mark.parametrize("shared_at", [".a", ".z"])
def test_a_file_with_none_at_further_places_of_a_shared_param(tmp_path, shared_at):
    """As the interface's other versions write it: in their own order of places, and None for what holds nothing."""
    model = Model(0)
    model.z = pxnn.shared(model.a)  # pyright: ignore[reportAttributeAccessIssue]
    model.unset = pxnn.LayerParam()  # pyright: ignore[reportAttributeAccessIssue]
    pxu.save_params(model, tmp_path / "m")
    with np.load(tmp_path / "m.npz") as file:
        arrays = {name: file[name] for name in file.files}
    none: Any = np.array(None, dtype=object)
    other = ".z" if shared_at == ".a" else ".a"
    for name in (".nn.weight", ".nn.bias"):
        arrays[shared_at + name] = arrays[".a" + name] + 1
    arrays |= {other + ".nn.weight": none, other + ".nn.bias": none, ".unset": none, "._mode": none}
    np.savez(tmp_path / "m.npz", **arrays)
    before = model.a.nn.weight.get()
    pxu.load_params(model, tmp_path / "m")
    np.testing.assert_array_equal(model.a.nn.weight.get(), before + 1)
    assert model.z.nn.weight is model.a.nn.weight  # pyright: ignore[reportAttributeAccessIssue]
    assert model.unset.get() is None  # pyright: ignore[reportAttributeAccessIssue]
    model.unset.set(jnp.ones(1))  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(KeyError, match=r"has nothing at \.unset"):
        pxu.load_params(model, tmp_path / "m")


def test_what_looks_like_none_is_not_run(tmp_path):
    class Runs:
        def __reduce__(self):
            return open, (str(tmp_path / "made"), "w")

    path, holder = tmp_path / "m.npz", px.Param(jnp.ones(2))
    arrays: dict[str, Any] = {".value": np.array(Runs(), dtype=object)}
    np.savez(path, **arrays)
    with pytest.raises(KeyError):
        pxu.load_params(holder, path, filter=None)
    assert not (tmp_path / "made").exists()
