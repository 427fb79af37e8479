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
from collections.abc import Callable
from typing import Any

import jax

from ._relay import Relay

_broken: list[bool] = []
_relays: list[Relay] = []  # through which this process reaches its coordinator


def record_of_jax() -> Any:
    """Return what JAX knows of this process's job: `client`, `coordinator_address` and `process_id`.

    **Raises:** `RuntimeError` if this JAX doesn't say.
    """
    try:
        from jax._src.distributed import global_state
    except ImportError as e:
        raise RuntimeError(
            f"JAX {jax.__version__} doesn't say how its coordinator is reached, so that several processes can't train "
            "a run together; take a JAX with which pcx is tested, from 0.7 to 0.12"
        ) from e
    return global_state


def reach_through(relay: Relay) -> None:
    """Say through which relay this process has reached its coordinator."""
    _relays[:] = [relay]


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
        return Coordinator(record_of_jax().client)

    def watch(self, silent: float, lost: Callable[[], None]) -> None:
        """Call a function, instead of JAX's end of this process, when the coordinator can't be reached any more. That
        takes a relay, see `join`.

        **Arguments:**

        - `silent`: seconds without any answer, after which it is taken for gone.
        - `lost`: the function. It is called by another thread, and must return soon.
        """
        for relay in _relays:
            relay.watch(silent, lost)

    def stop_watching(self, lost: Callable[[], None]) -> None:
        """Call this function no more, see `watch`."""
        for relay in _relays:
            relay.leave(lost)

    def abandon(self) -> None:
        """Give up a job of which a process is dead: the exit of this program doesn't wait for it. JAX would, and then
        end the program by a signal, as it would where process 0 is the first to end."""
        for relay in _relays:
            relay.hold()
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
