"""The command inside this process, and in one of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pcx.cli import main

# A network so small that only compiling it takes time.
SMALL = ["--data", "two-moons", "--hidden", "8", "--batch-size", "50", "--epochs", "2", "--quiet"]


def call(*words: object) -> int:
    """The exit status of a command run in this process."""
    try:
        return main([str(word) for word in words])
    except SystemExit as leaving:
        return int(leaving.code or 0)


def listed(folder: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """The runs in a folder, as `pcx runs` lists them."""
    assert call("runs", "--json", folder) == 0
    return json.loads(capsys.readouterr().out)


def start(*words: object, cwd: Path) -> subprocess.Popen[str]:
    """A command in a process of its own."""
    command = [sys.executable, "-m", "pcx.cli", *map(str, words)]
    return subprocess.Popen(
        command,
        cwd=cwd,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
