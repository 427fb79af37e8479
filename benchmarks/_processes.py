"""Processes that measure when they are asked to, so that packages which cannot live in one process take turns."""

import contextlib
import json
import re
import subprocess
import tempfile
import threading

EXCEPTION = re.compile(r"[\w.]*(Error|Exception)\b")


class Failed(Exception):
    """A process ended, or was ended, before it had answered; says why in one line."""


class Answering:
    """A process that prints a line of JSON when it has started, and one for each line that it reads.

    **Arguments:**

    - `command`: what to run, a list; `environment`: its environment variables.
    """

    def __init__(self, command, environment):
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115, for as long as the process
        self.process = subprocess.Popen(
            [*map(str, command)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env=environment,
        )

    def read(self, limit=None):
        """The next answer; `Failed` if there is none within `limit` seconds."""
        ended = threading.Event()
        timer = threading.Timer(limit or 0, lambda: (ended.set(), self.process.kill()))
        if limit is not None:
            timer.start()
        line = self.process.stdout.readline()
        timer.cancel()
        if line:
            return json.loads(line)
        self.process.wait()
        raise Failed(f"no answer within {limit:g} s" if ended.is_set() else self._last_words())

    def _last_words(self):
        self.errors.seek(0)
        said = [line.strip() for line in self.errors if line.strip()]
        # JAX puts a note of its own after some exceptions.
        raised = [line for line in said if EXCEPTION.match(line)]
        return (raised or said or [f"exit status {self.process.returncode}"])[-1][:300]

    def ask(self, question="", limit=None):
        """Send a line, and read the answer."""
        self.process.stdin.write(f"{question}\n")
        self.process.stdin.flush()
        return self.read(limit)

    def end(self):
        """Let the process end, and wait for that."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()
        self.errors.close()
