"""Commands leave nothing in the user's home."""

import os
import subprocess
import sys

import pytest

TINY = ["--data", "two-moons", "--hidden", "4", "--epochs", "1", "--quiet", "--rule", "backprop", "--out", "run"]


@pytest.mark.parametrize("words", [["info"], ["train", *TINY]], ids=["info", "train"])
@pytest.mark.hasty
def test_home_stays_empty(words, tmp_path):
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "PCX_")) and k != "MPLCONFIGDIR"}
    command = [sys.executable, "-m", "pcx.cli", *words]
    environment |= {"HOME": str(home)}
    done = subprocess.run(command, cwd=work, env=environment, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert list(home.rglob("*")) == []
