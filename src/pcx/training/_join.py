"""Making several processes one job: they find each other, and JAX sees the devices of all of them."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import threading
from collections.abc import Mapping

import jax
import numpy as np

from ._coordinator import reach_through, record_of_jax
from ._relay import Relay
from ._types import is_whole

# Seconds without a sign of life, after which JAX itself breaks a job off. It asks the coordinator whenever half of that
# has passed, and waits as long for its answer: `fit`, which looks more often, must have ended the process by then.
_HEARTBEAT = 80
_LAUNCHERS = {
    # what each gives its processes: how many they are, which one this is, where the first one is, and which one this
    # is on its machine
    "SLURM": ("SLURM_NTASKS", "SLURM_PROCID", "SLURM_STEP_NODELIST", "SLURM_LOCALID"),
    "Open MPI": (
        "OMPI_COMM_WORLD_SIZE",
        "OMPI_COMM_WORLD_RANK",
        "OMPI_MCA_orte_hnp_uri",
        "OMPI_COMM_WORLD_LOCAL_RANK",
    ),
}


def join(
    coordinator: str | None = None,
    processes: int | None = None,
    process: int | None = None,
    *,
    seconds: int | float = 120.0,
) -> int:
    """Join the other processes of a job, on this machine or on others. From then on JAX has the devices of all.

    To be called before anything else makes JAX look for its devices; then every process calls `fit` with the same
    arguments. This is `jax.distributed.initialize`, which does as well, with errors that can be caught: what JAX finds
    wrong at this point ends the process. On CPUs sums over processes go by Gloo, which comes with JAX.

    ```python
    pxt.join("10.0.0.1:9876", processes=2, process=0)  # on the machine 10.0.0.1; process=1 on the other
    pxt.join()                                         # started by srun or mpirun
    ```

    **Arguments:**

    - `coordinator`: address and port of process 0, `"host:port"`, as the other processes reach it. Any port that is
        free there.
    - `processes`: how many there are.
    - `process`: the number of this one, from 0.
    - `seconds`: how long to wait until all are there.

    Without the first three they come from the variables that SLURM or Open MPI gave the process; one that wasn't
    started by either, or is the only one, stays by itself. Open MPI 5 doesn't say where process 0 is: give
    `coordinator`.

    **Returns:** the number of this process, from 0.

    **Raises:** `ValueError` or `TypeError` for arguments that don't fit; `RuntimeError` if JAX has started already, or
    the port is taken; `TimeoutError` if the coordinator doesn't answer, or not all processes come, in time.
    """
    launcher = launched(os.environ)
    if launcher is not None and processes is None and process is None:
        processes, process = launcher.processes, launcher.process
        if coordinator is None and not launcher.says_where:
            raise ValueError(
                f"join: {launcher.name} started this process as number {process} of {processes}, and doesn't say where "
                "process 0 is: give its coordinator, 'host:port', with any free port of its machine"
            )
    by_hand = launcher is None or coordinator is not None
    if by_hand and _none_given(coordinator, processes, process):
        return 0
    _check(coordinator, processes, process, seconds, by_hand)
    if jax.distributed.is_initialized():
        raise RuntimeError("join: this process has joined a job already; call it once, at the start of the program")
    if processes == 1:
        return 0
    if by_hand and process == 0:
        _check_free(str(coordinator))
    if hasattr(jax.config, "jax_enable_preemption_service"):  # not in JAX 0.7
        jax.config.update("jax_enable_preemption_service", False)
    local = None if launcher is None or launcher.says_where else launcher.local  # else JAX finds that, too
    # The process that holds the coordinator falls with it.
    relay = Relay(coordinator) if coordinator is not None and process != 0 else None
    joining = _Joining(coordinator if relay is None else relay.address, processes, process, local)
    joining.start()
    joining.join(seconds)
    if joining.is_alive():
        began = "" if launcher is None else f". {launcher.name} started this process as number {process} of {processes}"
        raise TimeoutError(f"join: {_what_is_missing(coordinator, process, seconds)}{began}")
    if joining.error is not None:
        raise RuntimeError(f"join: {joining.error}") from joining.error
    if relay is not None:
        reach_through(relay)
    _keep_sigterm()
    return jax.process_index()


@dataclasses.dataclass(frozen=True)
class Launcher:
    """A program that started this process as one of several.

    **Attributes:**

    - `name`: of the program.
    - `processes`, `process`: how many there are, and the number of this one.
    - `says_where`: whether JAX finds process 0 by its variables.
    - `local`: the number of this process among those of its machine, which is that of the GPU that it takes.
    """

    name: str
    processes: int
    process: int
    says_where: bool
    local: int | None = None


def launched(variables: Mapping[str, str]) -> Launcher | None:
    """Return what started this process as one of several; None if nothing did.

    **Arguments:**

    - `variables`: of the environment.
    """
    for name, (count, index, where, local) in _LAUNCHERS.items():
        # A job of SLURM has these variables, too, where a step of it, or its script, is one process.
        if name == "SLURM" and (where not in variables or variables.get("SLURM_STEP_NUM_TASKS") == "1"):
            continue
        processes, process = variables.get(count, ""), variables.get(index, "")
        if processes.isdecimal() and process.isdecimal() and int(processes) > 1:
            own = variables.get(local, "")
            return Launcher(
                name, int(processes), int(process), where in variables, int(own) if own.isdecimal() else None
            )
    return None


class _Joining(threading.Thread):
    """A thread, since JAX ends the process where it has waited in vain: before that, `join` says what is wrong."""

    def __init__(self, coordinator: str | None, processes: int | None, process: int | None, local: int | None) -> None:
        super().__init__(name="pcx-join", daemon=True)
        self.given, self.error = (coordinator, processes, process, local), None

    def run(self) -> None:
        try:
            jax.distributed.initialize(
                *self.given, initialization_timeout=24 * 3600, heartbeat_timeout_seconds=_HEARTBEAT
            )
        except Exception as e:  # of JAX, or of the variables that it reads
            self.error = e


def _none_given(*given: object) -> bool:
    return all(each is None for each in given)


def _check(
    coordinator: str | None, processes: int | None, process: int | None, seconds: int | float, by_hand: bool
) -> None:
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float, np.number)) or not seconds > 0:
        raise ValueError(f"join: seconds must be a number above 0, got {seconds!r}")
    given = {"coordinator": coordinator, "processes": processes, "process": process}
    missing = [name for name, value in given.items() if value is None]
    if not by_hand:
        missing = []
    if missing:
        raise ValueError(
            f"join: {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing; give coordinator, "
            "processes and process, or none of them where SLURM or Open MPI says them"
        )
    for name, value in (("processes", processes), ("process", process)):
        if not is_whole(value):
            raise TypeError(f"join: {name} must be a whole number, got {value!r}")
    assert processes is not None
    assert process is not None
    if processes < 1:
        raise ValueError(f"join: processes must be at least 1, got {processes}")
    if not 0 <= process < processes:
        raise ValueError(f"join: process must be from 0 to {processes - 1}, of {processes} processes, got {process}")
    if not by_hand:
        return
    if not isinstance(coordinator, str):
        raise TypeError(f"join: coordinator must be a text 'host:port', got {coordinator!r}")
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise ValueError(f"join: coordinator must be 'host:port', with a port from 1 to 65535, got {coordinator!r}")


def _keep_sigterm() -> None:
    """Let SIGTERM do what it did: JAX takes it for a notice, of which nobody asks it here. `fit` listens itself."""
    if threading.current_thread() is threading.main_thread():
        handler = signal.getsignal(signal.SIGTERM)
        if handler is not None:
            signal.signal(signal.SIGTERM, handler)


def _check_free(coordinator: str) -> None:
    """Refuse a port that something listens on already."""
    port = int(coordinator.rpartition(":")[2])
    with socket.socket(socket.AF_INET) as found:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind(("", port))
        except OSError as e:
            raise RuntimeError(
                f"join: process 0 can't listen on port {port} of this machine ({e.strerror}); give all processes "
                "another port in coordinator"
            ) from e


def _what_is_missing(coordinator: str | None, process: int | None, seconds: int | float) -> str:
    waited = f"waited {seconds:g} s"
    if coordinator is None:
        state = record_of_jax()  # what JAX made of the launcher's variables
        coordinator, process = state.coordinator_address, state.process_id
    if process == 0:
        return f"not all other processes came to the coordinator, this process at {coordinator} ({waited})"
    host, _, port = str(coordinator).rpartition(":")
    begin = f"the coordinator at {coordinator} doesn't answer ({waited}): "
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=5):
            return (
                f"{begin}something listens there, but it is no coordinator, or not all other processes have come to it"
            )
    except socket.gaierror:
        return f"{begin}there is no machine {host!r}"
    except (OSError, ValueError) as e:
        return (
            f"{begin}{getattr(e, 'strerror', None) or e}. Process 0 is to be started on that machine, with the same "
            "coordinator, and the port is to be open between the machines"
        )
