"""Checkpoints, by Orbax: all that a run is at one instant."""

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
from jaxtyping import PyTree

from ..core import is_typed_key, see
from ..data import check_flags, given_path
from ..energy import apart, in_stacks_of
from ._checksums import sealed, unsealed
from ._describe import in_words
from ._files import CheckpointError, refuse_links
from ._processes import Processes
from ._shared_out import forms_of, shared_out, wanted
from ._types import is_whole


class Damaged(CheckpointError):
    """A checkpoint that isn't what was written."""


class Checkpoints:
    """The checkpoints of a run: the last few, and the best.

    Each is written under another name and renamed when it is whole, so that a process that is killed at any instant
    leaves the one before. Nothing in a checkpoint can run code: arrays, and JSON. Each array and the JSON have a
    checksum, so that a byte that changed on the disk is noticed.

    **Arguments:**

    - `path`: their folder, made if need be; that of a run is `checkpoints` inside it.
    - `keep`: how many of the last are kept.
    - `together`: in a job of several processes (see `join`), whether all of them make this object and call its methods,
        in the same order and with equal arrays, and write each checkpoint together, to a folder that all see. False:
        this process alone does.

    **Raises:** `ValueError` for an empty path or a `keep` below 1; `TypeError` for what is no path or no number;
    `CheckpointError` if there are links in the folder: nothing is written through one; `ImportError` if Orbax is not
    installed.
    """

    def __init__(self, path: str | os.PathLike[str], keep: int = 2, *, together: bool = True) -> None:
        check_flags("Checkpoints", together=together)
        if not is_whole(keep):
            raise TypeError(f"Checkpoints: keep must be a whole number, got {keep!r}")
        if keep < 1:
            raise ValueError(f"Checkpoints: keep must be at least 1, got {keep}")
        self.path = given_path("Checkpoints: path", path).absolute()
        refuse_links(self.path)
        self._processes = Processes.of(together)
        self._remove_partial()  # Orbax writes over what it finds there
        self._processes.meet()
        self._last = _manager(self.path / "last", keep, together)
        self._best = _manager(self.path / "best", 1, together)

    def save(self, step: int, tree: PyTree, meta: dict[str, Any], best: bool = False) -> None:
        """Save a tree of arrays and a JSON value under a step's number, as the newest or as the best.

        **Arguments:**

        - `step`: its number, from 0. The largest is the newest; the best one is the one that was saved last.
        - `tree`: arrays, of any shapes.
        - `meta`: what JSON can hold.
        - `best`: whether it takes the place of the best one.

        **Raises:** `ValueError` for what is no number, one that there is a whole checkpoint of, or one below the
        newest; `CheckpointError` if it can't be written; the earlier ones stay.
        """
        ocp = require_orbax()
        manager = self._best if best else self._last
        if not is_whole(step) or step < 0:
            raise ValueError(f"Checkpoints.save: step must be a whole number from 0, got {step!r}")
        if self.has(step, best):
            raise ValueError(
                f"Checkpoints.save: there is a checkpoint {step} in {self.path} already; give another number"
            )
        if step in manager.all_steps():
            self.set_aside(step, best)
        for later in [other for other in manager.all_steps() if other > step]:
            if not best:
                raise ValueError(
                    f"Checkpoints.save: {self.path} has checkpoint {later}, which is newer than {step}; give a larger "
                    "number"
                )
            manager.delete(later)  # of a future that comes again, as a run went on from before it
        arrays, paths, empty = _flat(tree)
        several = self._processes.count > 1
        described = {"meta": meta, "paths": paths, "empty": empty, **({"forms": forms_of(arrays)} if several else {})}
        content = ocp.args.Composite(
            arrays=ocp.args.StandardSave(shared_out(arrays) if several else arrays),
            meta=ocp.args.JsonSave(sealed(described, arrays)),
        )
        try:
            manager.save(step, args=content, force=True)
            manager.wait_until_finished()
        except Exception as e:  # the file system's, TensorStore's or Orbax's own
            self._remove_partial()
            reason = _reason(e)
            raise CheckpointError(
                f"checkpoint {step} can't be written to {self.path}: {reason}. The earlier checkpoints are whole; make "
                "room and resume"
            ) from e

    def has(self, step: int, best: bool = False) -> bool:
        """Return whether there is a whole checkpoint of a number.

        **Arguments:**

        - `step`: the number.
        - `best`: whether to look at the best one, not at the last.

        **Returns:** False, too, if it is damaged.
        """
        if step not in self.steps(best):
            return False
        with contextlib.suppress(Damaged):
            self._read(step, best)
            return True
        return False

    def latest(self, best: bool = False) -> int | None:
        """Return the number of the newest checkpoint.

        **Arguments:**

        - `best`: of the best one, not of the newest.

        **Returns:** the number; None if there is no checkpoint.
        """
        return (self._best if best else self._last).latest_step()

    def steps(self, best: bool = False) -> list[int]:
        """Return the numbers of the checkpoints that are there.

        **Arguments:**

        - `best`: of the best one, not of the last.

        **Returns:** the numbers, the newest first.
        """
        return sorted((self._best if best else self._last).all_steps(), reverse=True)

    def load(self, like: PyTree = None, best: bool = False, step: int | None = None) -> tuple[PyTree, dict[str, Any]]:
        """Read a checkpoint's arrays and JSON value.

        **Arguments:**

        - `like`: a tree of the same form; without it, the arrays come as a dict by path.
        - `best`: the best one, not the newest.
        - `step`: the number of an earlier one, see `steps`.

        **Returns:** the arrays, as NumPy's, and what `meta` was.

        **Raises:** `CheckpointError` if there is none, it is damaged (naming an earlier one that is whole, if there is
        one), or it is of another form, naming the differences.
        """
        chosen = self.latest(best) if step is None else step
        if chosen is None or chosen not in self.steps(best):
            what = f"no {'best' if best else 'whole'} checkpoint" if step is None else f"no checkpoint {step}"
            raise CheckpointError(f"{self.path} holds {what}")
        try:
            by_path, meta = self._read(chosen, best)
        except Damaged as e:
            raise Damaged(f"{e}{self._offer(chosen, best)}") from e
        return (by_path if like is None else _fitted(by_path, like)), meta

    def set_aside(self, step: int, best: bool = False) -> Path:
        """Move a damaged checkpoint to the folder `damaged`.

        **Arguments:**

        - `step`: its number.
        - `best`: whether it is the best one.

        **Returns:** its path now.
        """
        manager, kind = (self._best, "best") if best else (self._last, "last")
        target, count = self.path / "damaged" / f"{kind}-{step}", 1
        while target.exists():
            target, count = target.with_name(f"{kind}-{step}-{count}"), count + 1
        self._processes.meet()  # all have looked
        if self._processes.writes:
            target.parent.mkdir(exist_ok=True)
            os.rename(self.path / kind / str(step), target)
        self._processes.meet()
        manager.reload()
        return target

    def _remove_partial(self) -> None:
        """Remove what a failed save left, which may be what fills the disk."""
        for folder in _partial(self.path) if self._processes.writes else ():
            with contextlib.suppress(OSError):
                shutil.rmtree(folder)

    def _read(self, step: int, best: bool) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        ocp = require_orbax()
        manager, where = self._best if best else self._last, f"checkpoint {step} in {self.path}"
        try:
            description = manager.restore(step, args=ocp.args.Composite(meta=ocp.args.JsonRestore())).meta
            # What several processes wrote in parts is read whole, by however many there are now.
            forms = description.get("forms") if isinstance(description, dict) else None
            target = None if forms is None else wanted(forms)
            found = manager.restore(step, args=ocp.args.Composite(arrays=ocp.args.StandardRestore(target)))
            arrays = {name: np.asarray(array) for name, array in (found.arrays or {}).items()}
        except Exception as e:
            raise Damaged(f"{where} can't be read: {str(e).strip()[:300]}") from e
        try:
            seal = unsealed(description, arrays)
            paths, empty = seal["paths"], seal["empty"]
            by_path = {
                path: np.zeros(*empty[path]) if path in empty else arrays[f"{i:05d}"] for i, path in enumerate(paths)
            }
            return by_path, seal["meta"]
        except (KeyError, TypeError, ValueError) as e:
            raise Damaged(f"{where} can't be read: {e}") from e

    def _offer(self, step: int, best: bool) -> str:
        for of_best, each in [(best, s) for s in self.steps(best)] + [(not best, s) for s in self.steps(not best)]:
            if (of_best, each) != (best, step):
                with contextlib.suppress(Damaged):
                    self._read(each, of_best)
                    return f". Checkpoint {each} is whole: load({'best=True, ' if of_best else ''}step={each})"
        return ""

    def close(self) -> None:
        """Let go of the folder."""
        self._last.close()
        self._best.close()


def require_orbax() -> Any:
    """Return Orbax's module.

    **Raises:** `ImportError`, with what to install, if it isn't there.
    """
    try:
        import orbax.checkpoint as ocp
    except ImportError as e:
        raise ImportError(f"checkpoints need Orbax: pip install orbax-checkpoint{see('package')}") from e
    # It tells of every file, and of errors that are raised as well.
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    return ocp


def _manager(path: Path, keep: int, together: bool) -> Any:
    ocp = require_orbax()
    more: dict[str, Any] = {}
    if not together and jax.distributed.is_initialized():
        path.mkdir(parents=True, exist_ok=True)
        me = jax.process_index()
        more["multiprocessing_options"] = ocp.options.MultiprocessingOptions(
            primary_host=me, active_processes={me}, barrier_sync_key_prefix=f"pcx{me}"
        )
    options = ocp.CheckpointManagerOptions(
        max_to_keep=keep, create=not more, enable_async_checkpointing=False, cleanup_tmp_directories=True, **more
    )
    return ocp.CheckpointManager(path, options=options)


def _flat(tree: PyTree) -> tuple[dict[str, np.ndarray], list[str], dict[str, Any]]:
    """Arrays by number, their paths, and shapes and dtypes of those without elements."""
    # By number: paths hold characters that not every store takes; and none takes an array without elements.
    tree = jtu.tree_map(lambda leaf: jax.random.key_data(leaf) if is_typed_key(leaf) else leaf, tree)
    # By path, whatever is computed together here: on another device it may be something else.
    tree = apart(jax.device_get(tree))
    leaves = [(jtu.keystr(path), np.asarray(leaf)) for path, leaf in jtu.tree_flatten_with_path(tree)[0]]
    arrays = {f"{i:05d}": leaf for i, (_, leaf) in enumerate(leaves) if leaf.size}
    empty = {path: (list(leaf.shape), str(leaf.dtype)) for path, leaf in leaves if not leaf.size}
    return arrays, [path for path, _ in leaves], empty


def _fitted(by_path: dict[str, np.ndarray], like: PyTree) -> PyTree:
    stacked, like = like, apart(like)
    leaves, treedef = jtu.tree_flatten_with_path(like)
    keys = {jtu.keystr(path): leaf for path, leaf in leaves if is_typed_key(leaf)}
    # Random keys, such as those of an optimiser that draws noise, are kept as the numbers that they are made of.
    forms = [
        (jtu.keystr(path), jax.eval_shape(jax.random.key_data, leaf) if is_typed_key(leaf) else leaf)
        for path, leaf in leaves
    ]
    wanted = {path: (tuple(np.shape(leaf)), str(_dtype(leaf))) for path, leaf in forms}
    wrong = []
    for path in {**by_path, **wanted}:
        held = (tuple(by_path[path].shape), str(by_path[path].dtype)) if path in by_path else "nothing"
        expected = wanted.get(path, "nothing")
        if held != expected:
            wrong.append(f"{path}: the checkpoint has {held}, the run {expected}")
    if wrong:
        raise CheckpointError(f"the checkpoint is of another model or rule: {in_words(wrong)}")
    found: dict[str, Any] = dict(by_path)
    found |= {
        n: jax.random.wrap_key_data(jax.numpy.asarray(by_path[n]), impl=jax.random.key_impl(k)) for n, k in keys.items()
    }
    return in_stacks_of(stacked, jtu.tree_unflatten(treedef, [found[path] for path in wanted]))


def _dtype(leaf: PyTree) -> np.dtype:
    return leaf.dtype if hasattr(leaf, "dtype") else np.asarray(leaf).dtype


def _reason(e: Exception) -> str:
    text = str(e).strip()
    if "No space left on device" in text:  # TensorStore says so at length
        return "No space left on device"
    return text.splitlines()[0] if text else type(e).__name__


def _partial(path: Path) -> Iterator[Path]:
    for kind in ("last", "best"):
        if (path / kind).is_dir():
            yield from (p for p in (path / kind).iterdir() if "orbax-checkpoint-tmp" in p.name)
