"""Texts by name that the processes of a job tell each other beside their programs, kept by JAX's coordinator.

JAX's distributed runtime runs a coordinator in process 0, to which all are connected from the beginning. Its store of
texts is what JAX itself and Orbax agree by. It is reached through `jax._src`, as Orbax reaches it: in JAX 0.7 to 0.12
there is no public name for it. This is the only file that knows of that.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import time
from typing import Any

import jax

_broken: list[bool] = []


def _leave() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # closed, or nobody reads it
            stream.flush()
    os._exit(1)


class Coordinator:
    """The store of texts of a job's coordinator. It outlives a run, so names are to be used once.

    **Arguments:**

    - `client`: JAX's connection to it.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    @staticmethod
    def of_this_job() -> Coordinator | None:
        """Return the coordinator; None for a process that is by itself.

        **Raises:** `RuntimeError` if this process's job has broken off.
        """
        if _broken:
            raise RuntimeError(
                "the processes of this job can't reach each other any more, since one of them ended with an error; "
                "start all again"
            )
        if not jax.distributed.is_initialized() or jax.process_count() == 1:
            return None
        from jax._src import distributed

        return Coordinator(distributed.global_state.client)

    def abandon(self) -> None:
        """Give up a job of which a process is dead: the exit of this program doesn't wait for it. JAX would, and then
        end the program by a signal."""
        if not _broken:
            _broken.append(True)
            atexit.register(_leave)

    def leave(self) -> None:
        """Leave the job as one leaves at the end of a program: together with all others."""
        jax.distributed.shutdown()

    def tell(self, name: str, text: str) -> None:
        """Give a name a text, in place of one that it has."""
        self._client.key_value_set(name, text, allow_overwrite=True)

    def forget(self, name: str) -> None:
        """Remove a name."""
        self._client.key_value_delete(name)

    def ask(self, name: str, seconds: float) -> str | None:
        """Return the text of a name, as soon as it has one; None if it has none in so many seconds."""
        try:
            return self._client.blocking_key_value_get(name, max(int(1000 * seconds), 1))
        except jax.errors.JaxRuntimeError as e:
            if "DEADLINE_EXCEEDED" in str(e):
                return None
            raise

    def all(self, folder: str) -> dict[str, str]:
        """Return what is told under the names `folder/...`, by the rest of the name."""
        return {name.removeprefix(f"{folder}/"): text for name, text in self._client.key_value_dir_get(f"{folder}/")}

    def meet(self, name: str, seconds: float) -> None:
        """Wait until all processes have come here.

        **Raises:** `TimeoutError` if not all come in so many seconds.
        """
        begun = time.monotonic()
        try:
            self._client.wait_at_barrier(name, int(1000 * seconds))
        except jax.errors.JaxRuntimeError as e:
            if "DEADLINE_EXCEEDED" in str(e) or time.monotonic() - begun >= seconds:
                raise TimeoutError(f"not all processes came to {name} in {seconds:.0f} s") from e
            raise
