"""What a run keeps in its folder, and takes up again."""

from __future__ import annotations

import dataclasses
import json
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu

from ._checkpoint import Checkpoints, Damaged
from ._describe import differences
from ._figure import can_draw, draw
from ._files import CheckpointError
from ._folder import Folder, versions
from ._result import Fit
from ._weights import file_name, write_weights


@dataclasses.dataclass
class Standing:
    """How far a run is, beside its arrays: plain values.

    **Attributes:**

    - `epoch`, `batch`: the next batch, both from 0; `seconds`: of this epoch so far.
    - `history`: its rows; `active`: which networks still learn; `why`: which failed, in words.
    """

    epoch: int
    batch: int
    seconds: float
    history: list[dict[str, Any]]
    active: list[bool]
    why: list[str]

    def copy(self) -> dict[str, Any]:
        """A value for JSON, that doesn't change with this one."""
        return {f.name: _copied(getattr(self, f.name)) for f in dataclasses.fields(self)}


class Keep:
    """The folder of a run: when it is written to, and what.

    **Arguments:**

    - `keep`: how many of the last checkpoints are kept.
    - `every`: batches between checkpoints; None: one at the end of an epoch, `seconds` after the last.
    - `made_of`: what the run is made of, see `describe`.
    - `config`: what else is kept in `config.json`.
    - `belongs`: what the weights of each network belong to, see `belonging`.

    **Raises:** `CheckpointError` if the run to be resumed was made of something else.
    """

    def __init__(
        self,
        folder: Folder,
        keep: int,
        every: int | None,
        seconds: float,
        made_of: Mapping[str, Any],
        config: Mapping[str, Any],
        belongs: Sequence[Mapping[str, Any]],
    ) -> None:
        self.folder, self.every, self.seconds = folder, every, seconds
        if folder.resumed:
            wrong = differences(folder.read_json("config.json")["made_of"], plain(made_of))
            if wrong:
                more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
                raise CheckpointError(
                    f"the run in {folder.path} is of another model, rule or data: {'; '.join(wrong[:5])}{more}. Resume "
                    "it with what it was begun with, or begin one in another folder"
                )
        else:
            folder.write_json("versions.json", versions())
            # Last: it is what makes the folder a run.
            folder.write_json("config.json", {**config, "made_of": made_of})
        self.checkpoints = Checkpoints(folder.path / "checkpoints", keep)
        self._best: tuple[int, Any, dict[str, Any]] | None = None
        self._belongs = list(belongs)
        self._saved = -1
        self._said: str | None = None  # of damaged checkpoints
        self._done_at_save, self._time_of_save = 0, time.monotonic()

    def restore(self, like: Any) -> tuple[Any, Standing] | None:
        """What the newest whole checkpoint holds, a tree of the form of `like`; None if there is none. Damaged ones
        that are newer are moved out of its way, which is warned of.

        **Raises:** `CheckpointError` if all are damaged, or of another form.
        """
        damaged: list[tuple[int, Damaged]] = []
        for step in self.checkpoints.steps():
            try:
                tree, meta = self.checkpoints.load(like, step=step)
            except Damaged as e:
                damaged.append((step, e))
                continue
            for number, _ in damaged:
                place = self.checkpoints.set_aside(number)
                self._said = f"checkpoint {number} is damaged and was moved to {place}; checkpoint {step} is whole"
                warnings.warn(f"fit: {self._said}: the run goes on from there", RuntimeWarning, stacklevel=4)
            return jtu.tree_map(jnp.asarray, tree), Standing(**meta)
        if damaged:
            raise damaged[0][1]
        return None

    def begin(self, standing: Standing, text: str) -> None:
        """Bring the files in line with where the run begins."""
        if self._said is not None:
            self.folder.log(self._said)
        if self.folder.resumed:
            self.folder.metrics(standing.history, fresh=True)
            text = f"resumed at epoch {standing.epoch}, batch {standing.batch}"
        self.folder.log(text)

    def at_most(self, batches: int) -> int | None:
        """How many batches may pass before the next checkpoint, when this process has done `batches`; None: any
        number."""
        return None if self.every is None else max(self._done_at_save + self.every - batches, 1)

    def due(self, batches: int, epoch_ended: bool) -> bool:
        """Whether it is time for a checkpoint, when this process has done `batches`."""
        if self.every is not None:
            return batches - self._done_at_save >= self.every
        return epoch_ended and time.monotonic() - self._time_of_save > self.seconds

    def hold_best(self, number: int, tree: Any, standing: Standing, epochs: list[int]) -> None:
        """Hold the best so far until the next checkpoint is due: a run that is killed before comes to it again.

        **Arguments:** `epochs`, of which each network's state is.
        """
        self._best = (number, jax.device_get(tree), {**standing.copy(), "best_epochs": list(epochs)})

    def restore_best(self, like: Any) -> tuple[Any, list[int]] | None:
        """What the best checkpoint holds, and of which epoch each network is; None if there is none."""
        if self.checkpoints.latest(best=True) is None:
            return None
        try:
            tree, meta = self.checkpoints.load(like, best=True)
        except CheckpointError as e:
            warnings.warn(f"fit: the best epoch so far is lost: {e}", RuntimeWarning, stacklevel=4)
            return None
        return tree, meta.get("best_epochs", [meta["epoch"]] * len(tree["states"]))

    def save(self, number: int, tree: Any, standing: Standing, batches: int) -> None:
        """Write a checkpoint of now, unless the last one is of now."""
        if number == self._saved:
            return
        if self._best is not None:
            self.checkpoints.save(*self._best, best=True)
            best = self._best[1]["states"]
            for i, held in enumerate(best):
                self._weights("best", i, len(best), {**held["weights"], **held["rest"]})
            self._best = None
        self.checkpoints.save(number, tree, standing.copy())
        self._saved, self._done_at_save, self._time_of_save = number, batches, time.monotonic()

    def end(self, fit: Fit) -> None:
        """Write the weights, how it ended, and the figure."""
        for i, state in enumerate(fit.states):
            self._weights("weights", i, len(fit.states), {**state.weights, **state.rest})
        self.folder.log(fit.ended if fit.why is None else f"{fit.ended}: {fit.why}")
        # Last: whoever ends a job may not wait for it.
        if can_draw(fit):
            self.folder.write("figure.png", lambda path: draw(fit, path))

    def _weights(self, kind: str, network: int, of: int, held: Mapping[str, Any]) -> None:
        name = file_name(kind, network if of > 1 else None)
        belongs = {**self._belongs[network], "run": {"weights": kind, "network": network}}
        self.folder.write(name, lambda path: write_weights(path, held, belongs))

    def close(self) -> None:
        """Let go of the folder."""
        self.checkpoints.close()


def plain(x: Any) -> Any:
    """As JSON gives it back."""
    return json.loads(json.dumps(x, default=str))


def _copied(x: Any) -> Any:
    return list(x) if isinstance(x, list) else x
