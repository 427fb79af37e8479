"""`pcx watch`: the page of `pcx report`, served on this machine's own address while a run goes on."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Sequence
from http.client import HTTP_PORT
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from ..analysis import report as pages
from ._drawn import Models, with_drawings
from ._failures import DONE, CommandError, Refused
from ._interrupt import by_exception
from ._report import read_all
from ._tables import say

_ADDRESS = "127.0.0.1"
_EVERY = 2.0  # seconds after which the page asks for a newer one
_SAFE = {
    "Content-Security-Policy": f"{pages.policy(True)}; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def watch(runs: Sequence[Path], port: int) -> int:
    """Serve the page of runs until Ctrl-C; the exit status.

    **Raises:** `CommandError` if a run can't be read, or the port not be used.
    """
    if not 0 <= port <= 65535:
        raise Refused(f"--port must be from 1 to 65535, or 0 for any that is free, got {port}")
    waiting = _not_begun(runs)
    read_all(runs, waiting)  # what is no run is said here, and not in a browser
    with serving(runs, port, waiting) as server, by_exception():
        try:
            if waiting:
                say(f"waiting for {' and '.join(map(str, waiting))} to begin")
            say(f"watching {' '.join(map(str, runs))} at http://{_ADDRESS}:{server.server_port}/ until Ctrl-C")
            server.serve_forever()
        except KeyboardInterrupt:
            say("ended; the runs go on as they did")
    return DONE


def _not_begun(runs: Sequence[Path]) -> list[Path]:
    """Return the runs whose folders there are not yet.

    **Raises:** `CommandError` for a path at which there can't be one.
    """
    found = []
    for run in runs:
        try:
            os.lstat(run)
        except FileNotFoundError:
            found.append(run)
        except (OSError, ValueError) as error:
            raise CommandError(f"{run} can't be a run: {getattr(error, 'strerror', None) or error}") from error
    return found


def _has_begun(run: Path) -> bool:
    """Return whether there is a run to be read, or something that is none."""
    try:
        return (run / "config.json").is_file() or (run.exists() and not run.is_dir())
    except OSError:
        return True


def serving(runs: Sequence[Path], port: int, waiting: Sequence[Path] = ()) -> Server:
    """Return a server of the page, which listens from now on.

    **Arguments:**

    - `waiting`: those of the runs that have not begun.

    **Raises:** `CommandError` if the port can't be used.
    """
    try:
        return Server(Watched(runs, waiting), port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CommandError(
                f"port {port} is in use, perhaps by another pcx watch; choose another with --port, or --port 0 for any "
                "that is free"
            ) from error
        raise CommandError(f"port {port} can't be used: {error.strerror}; choose another with --port") from error


class Watched:
    """The page of runs, made anew whenever their files have changed.

    **Arguments:**

    - `runs`: their folders.
    - `waiting`: those that have not begun, of which it says so until they have.
    """

    def __init__(self, runs: Sequence[Path], waiting: Sequence[Path] = ()) -> None:
        self._runs, self._waiting = list(runs), list(waiting)
        self._lock = threading.Lock()
        self._models: Models = {}
        self._made: tuple[str, bytes] = ("", b"")

    def page(self) -> tuple[str, bytes]:
        """Return what tells this page from others, and itself.

        **Raises:** `CommandError` if a run can't be read any more.
        """
        with self._lock:
            tag = self._tag()
            if tag != self._made[0]:
                self._waiting = [run for run in self._waiting if not _has_begun(run)]
                records = with_drawings(read_all(self._runs, self._waiting), self._models)
                text = pages.page(records, refresh=_EVERY, waiting=[str(run) for run in self._waiting])
                self._made = tag, text.encode("utf-8", "backslashreplace")
            return self._made

    def _tag(self) -> str:
        found = hashlib.sha256()
        for path in [path for run in self._runs for path in pages.files_of(run)]:
            try:
                about = os.stat(path)
                found.update(f"{path} {about.st_mtime_ns} {about.st_size} {about.st_ino}\n".encode("utf-8", "replace"))
            except OSError:
                found.update(b"-\n")
        return f'"{found.hexdigest()[:32]}"'


class Server(ThreadingHTTPServer):
    """A server of one page on the address that only this machine can reach."""

    daemon_threads = True
    allow_reuse_port = False

    def __init__(self, watched: Watched, port: int) -> None:
        self.watched = watched
        super().__init__((_ADDRESS, port), Handler)

    @property
    def hosts(self) -> set[str]:
        """Return by which names it may be asked: a page from elsewhere, whose name was made to lead here, has
        another."""
        names = (_ADDRESS, "localhost")
        alone = names if self.server_port == HTTP_PORT else ()  # which clients leave out
        return {*alone, *[f"{name}:{self.server_port}" for name in names]}

    def handle_error(self, request: Any, client_address: object) -> None:
        """Say nothing of a browser that has gone away."""


class Handler(BaseHTTPRequestHandler):
    """The answer to one request: the page for GET of /, and words for everything else."""

    timeout = 10
    server: Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        """Answer with the page, or say that it is the one that is known already."""
        if [host.lower() for host in self.headers.get_all("Host", [])] not in [[host] for host in self.server.hosts]:
            return self._answer(421, "This answers under its own address alone.")
        if self.path != "/":
            return self._answer(404, "There is only one page here: /")
        try:
            tag, page = self.server.watched.page()
        except CommandError as error:
            return self._answer(503, str(error))
        if self.headers.get("If-None-Match") == tag:
            return self._answer(304, "", ETag=tag)
        return self._answer(200, page, "text/html", ETag=tag)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what isn't understood, which other methods than GET are."""
        self.close_connection = True
        if code == 501:
            self._answer(405, "Only GET is answered.", Allow="GET")
        else:
            self._answer(code, "This is no request that is answered.")

    def version_string(self) -> str:
        """Return no more than what it is."""
        return "pcx"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the terminal is for other things."""

    def _answer(self, status: int, body: str | bytes, kind: str = "text/plain", **headers: str) -> None:
        data = body.encode("utf-8", "replace") if isinstance(body, str) else body
        self.send_response(status)
        for name, value in {**_SAFE, **headers}.items():
            self.send_header(name, value)
        if status != 304:
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
