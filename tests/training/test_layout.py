# pyright: reportArgumentType=false
"""Several devices: what doesn't fit is refused, and what is trained is the same as on one."""

import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from jax.sharding import Mesh

from pcx.training._layout import Layout

from .small import train

ONE = np.array(jax.devices()[:1])


@pytest.mark.parametrize(
    ("mesh", "error", "said"),
    [
        (0, ValueError, "at least 1 device, got 0"),
        (-2, ValueError, "at least 1 device, got -2"),
        (True, TypeError, "a jax.sharding.Mesh or a number of devices, got bool"),
        ("cpu", TypeError, "a jax.sharding.Mesh or a number of devices, got str"),
        (1000, ValueError, "1000 devices are asked for (mesh), and JAX has "),
        (1000, ValueError, "XLA_FLAGS=--xla_force_host_platform_device_count=1000"),
        (Mesh(ONE, ("data",)), ValueError, "the axes of a mesh are 'batch', 'layers' and 'ensemble', got 'data'"),
        (Mesh(np.zeros(()), ()), ValueError, "the axes of a mesh are 'batch', 'layers' and 'ensemble', got none"),
    ],
)
def test_what_is_no_layout_is_refused(tmp_path, mesh, error, said):
    with pytest.raises(error, match=f"^fit: .*{re.escape(said)}"):
        train(mesh=mesh, folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_one_device_of_a_number_is_that_of_jax():
    assert Layout.of(1, 3) == Layout.of(None, 3) == Layout()


@pytest.mark.slow
@pytest.mark.parametrize("file", ["learning/on_devices.py", "learning/by_layer.py", "training/on_devices.py"])
@pytest.mark.usefixtures("in_haste")
def test_on_four_devices(file):
    """What stands in these files, by a process that has so many."""
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=4"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        str(Path(__file__).parents[1] / file),
    ]
    done = subprocess.run(
        command,
        env=os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stdout + done.stderr
