"""Checkpoints, by Orbax: a run at one instant."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.tree_util as jtu
import numpy as np


class CheckpointError(RuntimeError):
    """A checkpoint that can't be written, read, or used."""


class Checkpoints:
    """The checkpoints of a run: the last few, and the best.

    Each is written under another name and renamed when it is whole, so that a process that is killed at any instant
    leaves the one before. Nothing in a checkpoint can run code: arrays, and JSON.

    **Arguments:**

    - `path`: their folder, made if need be; that of a run is `checkpoints` inside it.
    - `keep`: how many of the last are kept.
    """

    def __init__(self, path: str | os.PathLike[str], keep: int = 2) -> None:
        if keep < 1:
            raise ValueError(f"keep must be at least 1, got {keep}")
        self.path = Path(path).absolute()
        self._last = _manager(self.path / "last", keep)
        self._best = _manager(self.path / "best", 1)

    def save(self, step: int, tree: Any, meta: dict[str, Any], best: bool = False) -> None:
        """Save a tree of arrays and a JSON value under a step's number, as the newest or as the `best`.

        **Raises:** `CheckpointError` if it can't be written; the earlier ones stay.
        """
        ocp = require_orbax()
        arrays, paths, empty = _flat(tree)
        manager = self._best if best else self._last
        if step in manager.all_steps():
            return
        content = ocp.args.Composite(
            arrays=ocp.args.StandardSave(arrays), meta=ocp.args.JsonSave({**meta, "paths": paths, "empty": empty})
        )
        try:
            manager.save(step, args=content, force=True)
            manager.wait_until_finished()
        except Exception as e:  # the file system's, TensorStore's or Orbax's own
            _remove_partial(self.path)
            reason = _reason(e)
            raise CheckpointError(
                f"checkpoint {step} can't be written to {self.path}: {reason}. The earlier checkpoints are whole; make "
                "room and resume"
            ) from e

    def latest(self, best: bool = False) -> int | None:
        """The number of the newest whole checkpoint (of the best one); None if there is none."""
        return (self._best if best else self._last).latest_step()

    def load(self, like: Any = None, best: bool = False) -> tuple[Any, dict[str, Any]]:
        """The newest checkpoint's arrays and JSON value.

        **Arguments:**

        - `like`: a tree of the same form; without it, the arrays come as a dict by path.

        **Raises:** `CheckpointError` if there is none, it can't be read, or it is of another form, naming the
        differences.
        """
        ocp = require_orbax()
        manager = self._best if best else self._last
        step = manager.latest_step()
        if step is None:
            raise CheckpointError(f"{self.path} holds no whole checkpoint")
        content = ocp.args.Composite(arrays=ocp.args.StandardRestore(), meta=ocp.args.JsonRestore())
        try:
            found = manager.restore(step, args=content)
        except Exception as e:
            raise CheckpointError(f"checkpoint {step} in {self.path} can't be read: {str(e).strip()[:300]}") from e
        meta = dict(found.meta)
        paths, empty = meta.pop("paths"), meta.pop("empty")
        by_path = {
            path: np.zeros(*empty[path]) if path in empty else np.asarray(found.arrays[f"{i:05d}"])
            for i, path in enumerate(paths)
        }
        if like is None:
            return by_path, meta
        return _fitted(by_path, like), meta

    def close(self) -> None:
        """Let go of the folder."""
        self._last.close()
        self._best.close()


def require_orbax() -> Any:
    """Orbax's module; `ImportError` with what to install if it isn't there."""
    try:
        import orbax.checkpoint as ocp
    except ImportError as e:
        raise ImportError("checkpoints need Orbax: pip install 'pcx[train]'") from e
    # It tells of every file, and of errors that are raised as well.
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    return ocp


def _manager(path: Path, keep: int) -> Any:
    ocp = require_orbax()
    options = ocp.CheckpointManagerOptions(
        max_to_keep=keep, create=True, enable_async_checkpointing=False, cleanup_tmp_directories=True
    )
    return ocp.CheckpointManager(path, options=options)


def _flat(tree: Any) -> tuple[dict[str, np.ndarray], list[str], dict[str, Any]]:
    """Arrays by number, their paths, and shapes and dtypes of those without elements."""
    # By number: paths hold characters that not every store takes; and none takes an array without elements.
    leaves = [
        (jtu.keystr(path), np.asarray(leaf)) for path, leaf in jtu.tree_flatten_with_path(jax.device_get(tree))[0]
    ]
    arrays = {f"{i:05d}": leaf for i, (_, leaf) in enumerate(leaves) if leaf.size}
    empty = {path: (list(leaf.shape), str(leaf.dtype)) for path, leaf in leaves if not leaf.size}
    return arrays, [path for path, _ in leaves], empty


def _fitted(by_path: dict[str, np.ndarray], like: Any) -> Any:
    leaves, treedef = jtu.tree_flatten_with_path(like)
    wanted = {jtu.keystr(path): (tuple(np.shape(leaf)), str(_dtype(leaf))) for path, leaf in leaves}
    wrong = []
    for path in {**by_path, **wanted}:
        held = (tuple(by_path[path].shape), str(by_path[path].dtype)) if path in by_path else "nothing"
        expected = wanted.get(path, "nothing")
        if held != expected:
            wrong.append(f"{path}: the checkpoint has {held}, the run {expected}")
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise CheckpointError(f"the checkpoint is of another model or rule: {'; '.join(wrong[:5])}{more}")
    return jtu.tree_unflatten(treedef, [by_path[path] for path in wanted])


def _dtype(leaf: Any) -> Any:
    return leaf.dtype if hasattr(leaf, "dtype") else np.asarray(leaf).dtype


def _reason(e: Exception) -> str:
    text = str(e).strip()
    if "No space left on device" in text:  # TensorStore says so at length
        return "No space left on device"
    return text.splitlines()[0] if text else type(e).__name__


def _remove_partial(path: Path) -> None:
    """Remove what a failed save left, which may be what fills the disk."""
    for folder in _partial(path):
        with contextlib.suppress(OSError):
            shutil.rmtree(folder)


def _partial(path: Path) -> Iterator[Path]:
    for kind in ("last", "best"):
        if (path / kind).is_dir():
            yield from (p for p in (path / kind).iterdir() if "orbax-checkpoint-tmp" in p.name)
