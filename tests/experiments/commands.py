"""The command inside this process."""

import json
from pathlib import Path
from typing import Any

from pcx.cli import main


def call(*words: object) -> int:
    """The exit status of a command."""
    try:
        return main([str(word) for word in words])
    except SystemExit as leaving:
        return int(leaving.code or 0)


def results(out: Path, name: str, *words: object) -> dict[str, Any]:
    """The results of an experiment at its quick settings, by arm and measure, from a folder that verifies."""
    assert call("run", name, "--quick", "--quiet", "--out", out, *words) == 0
    assert (out / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert call("verify", out, "--sums-only") == 0
    return json.loads((out / "summary.json").read_text())["results"]
