"""A relay between this process and the coordinator of its job, which stays when the coordinator falls."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable

_CONNECT = 5.0  # seconds for a connection to the coordinator; JAX tries again
_LOOK = 1.0  # seconds between two looks at whether the coordinator answers


class Relay:
    """Passes on what this process and the coordinator send each other, unread.

    JAX ends a process by SIGABRT in the moment in which its connection to the coordinator breaks: no error reaches
    Python, and no word of what it means. So JAX is connected to this relay, in its own process. While anybody watches,
    a connection that breaks on the coordinator's side stays open on JAX's; all who watch are told, and have until
    JAX misses the coordinator's heartbeat to end the process in order.

    **Arguments:**

    - `coordinator`: its address, `"host:port"`.

    **Attributes:**

    - `address`: of the relay, on the loopback interface, for JAX.
    """

    def __init__(self, coordinator: str) -> None:
        host, _, port = coordinator.rpartition(":")
        self._there = (host.strip("[]"), int(port))
        self._door = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._door.getsockname()[1]}"
        self._lock = threading.Lock()
        self._watching: dict[Callable[[], None], None] = {}  # in the order in which they came
        self._held = False  # JAX's side stays open
        self._asked = 0.0  # since when the coordinator owes an answer; 0 if it owes none
        self._start(self._let_in)

    def watch(self, silent: float, lost: Callable[[], None]) -> None:
        """Call a function, once, when the coordinator can't be reached any more, and let JAX not see it. Several may
        watch: a program that trains watches, and so does each run in it.

        **Arguments:**

        - `silent`: seconds without any answer, after which it is taken for gone. Something must be asked more often.
        - `lost`: the function. It is called by another thread, and must return soon: others wait to be told.
        """
        with self._lock:
            self._watching[lost] = None
        self._start(self._look, silent, lost)

    def leave(self, lost: Callable[[], None]) -> None:
        """Call this function no more. When nobody watches, JAX sees again what becomes of the coordinator."""
        with self._lock:
            self._watching.pop(lost, None)

    def hold(self) -> None:
        """Let JAX see no more what becomes of the coordinator: this process ends soon."""
        self._held = True

    def _start(self, do: Callable[..., None], *given: object) -> None:
        threading.Thread(target=do, args=given, name="pcx-relay", daemon=True).start()

    def _let_in(self) -> None:
        while True:
            here, _ = self._door.accept()
            self._start(self._connect, here)

    def _connect(self, here: socket.socket) -> None:
        try:
            there = socket.create_connection(self._there, timeout=_CONNECT)
        except OSError:
            here.close()  # JAX sees that, and tries again
            return
        there.settimeout(None)
        for end in (here, there):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        left = threading.Event()
        self._start(self._ask, here, there, left)
        self._answer(there, here, left)

    def _ask(self, here: socket.socket, there: socket.socket, left: threading.Event) -> None:
        with contextlib.suppress(OSError):  # said by `_answer`
            while data := here.recv(1 << 16):
                self._asked = self._asked or time.monotonic()
                there.sendall(data)
            left.set()
        with contextlib.suppress(OSError):
            there.shutdown(socket.SHUT_RDWR)

    def _answer(self, there: socket.socket, here: socket.socket, left: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := there.recv(1 << 16):
                self._asked = 0.0
                here.sendall(data)
        self._asked = 0.0
        if left.is_set() or not self._tell():
            with contextlib.suppress(OSError):
                here.shutdown(socket.SHUT_RDWR)

    def _look(self, silent: float, lost: Callable[[], None]) -> None:
        while lost in self._watching:
            if self._asked and time.monotonic() - self._asked > silent:
                self._tell()
                return
            time.sleep(_LOOK)

    def _tell(self) -> bool:
        """Tell all who watch, and return whether JAX's side stays open: that anybody watched, or did when the first
        connection broke."""
        with self._lock:
            told, self._watching = self._watching, {}
            self._held = self._held or bool(told)
        for lost in told:
            lost()
        return self._held
