"""Files of params."""

from __future__ import annotations

import json
import os
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jax.core import Tracer
from jaxtyping import PyTree

from ..core import BaseParam, params_by_path, predicate
from ..nn import LayerParam
from ._mask import MaskLike

# NumPy's format knows no bfloat16 and its like, and reads them as raw bytes: their names are kept beside them. No
# attribute path begins with a letter.
_DTYPES = "dtypes"

Leaf = jax.Array | np.ndarray | np.generic | bool | int | float | complex
T = TypeVar("T")


def save_params(model: PyTree, path: str | os.PathLike[str], filter: MaskLike = LayerParam) -> None:
    """Write the params of `model` to an `.npz` file, by attribute path as in `.a.nn.weight`.

    A param that is referred to many times is written once, under its first path; one that holds None is left out; one
    that holds a tree of arrays is written leaf by leaf (`.state['mean']`). The file is there as a whole or not at
    all: a file of that name stays as it was if anything goes wrong.

    **Arguments:**

    - `model`: a module, or any tree of params.
    - `path`: the file; the ending `.npz` may be left out.
    - `filter`: which params: a type, a union of types, a predicate, a mask (`pxu.M`), or None for all.

    **Raises:** `TypeError` naming the path of a value that is no array or number; `ValueError` for an empty `path`;
    `OSError` if the file can't be written.
    """
    arrays: dict[str, np.ndarray] = {}
    dtypes: dict[str, str] = {}
    for at, param in _selected("save_params", model, filter):
        for key, leaf in _leaves(at, BaseParam.get(param)):
            array = _as_array("save_params", key, leaf)
            if key in arrays:
                raise ValueError(f"save_params: two params have the path {key}")
            arrays[key] = array
            if array.dtype.kind == "V" and array.dtype.names is None:
                dtypes[key] = array.dtype.name
    if dtypes:
        arrays[_DTYPES] = np.array(json.dumps(dtypes))
    _write(_with_ending(path), arrays)


def load_params(model: PyTree, path: str | os.PathLike[str], filter: MaskLike = LayerParam) -> None:
    """Set the params of `model` to what `save_params` wrote; shared params keep being shared.

    Everything is checked before the first param is set. What the file has beyond that is left alone. A param that
    holds None takes the array saved under its path, if there is one. A shared param takes what is saved under any of
    its places: other versions of this interface write None under all but the first.

    **Arguments:**

    - `model`: a module, or any tree of params, that has the structure of the one saved.
    - `path`: the file; the ending `.npz` may be left out.
    - `filter`: which params: a type, a union of types, a predicate, a mask (`pxu.M`), or None for all.

    **Raises:** `KeyError` naming the path of a param that the file doesn't have; `ValueError` naming the path of one
    that has another shape or dtype in the file, if the file is no `.npz` file or damaged, or if `path` is empty;
    `OSError` if it can't be opened.
    """
    new: list[tuple[BaseParam, PyTree]] = []
    places = _places(model)
    with _Reader(_with_ending(path)) as file:
        for first, param in _selected("load_params", model, filter):
            current = BaseParam.get(param)
            leaves: list[tuple[str, Any]] = [("", None)] if current is None else _leaves("", current)
            at = next((p for p in places[id(param)] if all(p + inside in file for inside, _ in leaves)), first)
            if current is None:
                if at in file:
                    new.append((param, jnp.asarray(file[at])))
                continue
            values = [_checked(file, at + inside, leaf) for inside, leaf in leaves]
            new.append((param, jtu.tree_structure(current).unflatten(values)))
    for param, value in new:
        BaseParam.set(param, value)


def _selected(call: str, model: PyTree, filter: MaskLike) -> Iterator[tuple[str, BaseParam]]:
    chosen = predicate(call, filter)
    for at, param in params_by_path(model).items():
        if chosen(param):
            yield at, param


def _places(model: PyTree) -> dict[int, list[str]]:
    """Return the paths to every place in which each param stands, by its identity; the path of `_selected` first."""
    found = {id(param): [at] for at, param in params_by_path(model).items()}
    leaves = jtu.tree_flatten_with_path(model, is_leaf=lambda x: isinstance(x, BaseParam))[0]
    for path, leaf in leaves:
        at = jtu.keystr(path)
        if id(leaf) in found and at not in found[id(leaf)]:
            found[id(leaf)].append(at)
    return found


def _leaves(at: str, value: PyTree) -> list[tuple[str, Leaf]]:
    return [(at + jtu.keystr(inside), leaf) for inside, leaf in jtu.tree_flatten_with_path(value)[0]]


def _as_array(call: str, key: str, leaf: Leaf) -> np.ndarray:
    try:
        array = np.asarray(leaf)
    except Exception as error:
        raise TypeError(f"{call}: the value at {key} can't be made a NumPy array: {leaf!r}") from error
    if array.dtype.hasobject:
        raise TypeError(f"{call}: the value at {key} is no array and no number: {leaf!r}")
    return array


def _checked(file: _Reader, key: str, current: Leaf) -> Leaf:
    if key not in file:
        raise KeyError(f"load_params: {file.path} has nothing at {key}, which the model has: is it of another model?")
    array = file[key]
    array_like = current if isinstance(current, (jax.Array, np.ndarray, np.generic)) else np.asarray(current)
    shape, dtype = np.shape(current), np.dtype(array_like.dtype)
    if array.shape != shape or array.dtype != dtype:
        raise ValueError(
            f"load_params: at {key}, {file.path} has shape {array.shape} and dtype {array.dtype}, "
            f"but the model has shape {shape} and dtype {dtype}"
        )
    if isinstance(current, np.ndarray):
        return array
    if isinstance(current, (bool, int, float, complex)):
        return array.item()
    # One that was put on a device, or spread over several, comes back to where it was.
    if isinstance(current, jax.Array) and not isinstance(current, Tracer) and current.committed:
        return jax.device_put(array, current.sharding)
    return jnp.asarray(array)


def _with_ending(path: str | os.PathLike[str]) -> str:
    name = os.fspath(path)
    if not name:  # it would be a file without a name, hidden in the folder that the program runs in
        raise ValueError("save_params and load_params: path is empty; name a file")
    return name if name.endswith(".npz") else name + ".npz"


def _write(path: str, arrays: dict[str, np.ndarray]) -> None:
    path = os.path.realpath(path)  # a link stays a link
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "xb") as file:
            # Not np.savez, whose own arguments' names would be taken from the keys.
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
                for key, array in arrays.items():
                    with archive.open(key + ".npy", "w", force_zip64=True) as member:
                        np.lib.format.write_array(member, array, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


class _Reader:
    """An `.npz` file, open to be read; whatever is wrong with it is a ValueError that names the file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __enter__(self) -> _Reader:
        self._file = open(self.path, "rb")
        try:
            if self._file.read(2) != b"PK":  # np.load would take it for an array or a pickle
                raise ValueError(f"load_params: {self.path} is not an .npz file")
            self._file.seek(0)
            self._arrays = self._guard(lambda: np.load(self._file, allow_pickle=False))
            self._keys = set(self._arrays.files)  # without their ending, .npy
            names = json.loads(str(self._read(_DTYPES))) if _DTYPES in self._keys else {}
            self._dtypes = {key: np.dtype(name) for key, name in names.items()}
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._file.close()

    def __contains__(self, key: str) -> bool:
        return key in self._keys and not self._guard(lambda: self._is_none(key))

    def _is_none(self, key: str) -> bool:
        """Return whether a member is one object, as None is written. It isn't looked into: to read an object runs what
        the file says."""
        archive: zipfile.ZipFile = self._arrays.zip  # pyright: ignore[reportAssignmentType]
        with archive.open(key + ".npy") as member:
            version = np.lib.format.read_magic(member)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(member)
            return shape == () and dtype.hasobject

    def __getitem__(self, key: str) -> np.ndarray:
        array = self._read(key)
        return array.view(self._dtypes[key]) if key in self._dtypes else array

    def _read(self, key: str) -> np.ndarray:
        array = self._guard(lambda: self._arrays[key])
        if not isinstance(array, np.ndarray):  # a member that isn't in NumPy's format
            raise ValueError(f"load_params: {self.path} holds no array at {key}")
        return array

    def _guard(self, read: Callable[[], T]) -> T:
        try:
            return read()
        except (ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
            raise ValueError(f"load_params: {self.path} is not an .npz file that can be read: {error}") from error
