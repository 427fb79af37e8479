# pyright: reportArgumentType=false
"""Several devices: what doesn't fit is refused, and what is trained is the same as on one."""

import re

import jax
import numpy as np
import pytest
from jax.sharding import Mesh

from pcx.training._layout import Layout

from .small import make, same_bits, train

ONE = np.array(jax.devices()[:1])


@pytest.mark.parametrize(
    ("mesh", "error", "said"),
    [
        (0, ValueError, "at least 1 device, got 0"),
        (-2, ValueError, "at least 1 device, got -2"),
        (True, TypeError, "a jax.sharding.Mesh or a number of devices, got bool"),
        ("cpu", TypeError, "a jax.sharding.Mesh or a number of devices, got str"),
        (1000, ValueError, "asks for 1000 devices, and JAX has "),
        (1000, ValueError, "XLA_FLAGS=--xla_force_host_platform_device_count=1000"),
        (Mesh(ONE, ("data",)), ValueError, "the axes of a mesh are 'batch' and 'ensemble', got 'data'"),
        (Mesh(np.zeros(()), ()), ValueError, "the axes of a mesh are 'batch' and 'ensemble', got none"),
    ],
)
def test_what_is_no_layout_is_refused(tmp_path, mesh, error, said):
    with pytest.raises(error, match=f"^fit: .*{re.escape(said)}"):
        train(mesh=mesh, folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_one_device_of_a_number_is_that_of_jax():
    assert Layout.of(1, 3) == Layout.of(None, 3) == Layout()


@pytest.mark.slow
def test_a_mesh_of_one_device_is_that_device():
    alone = train(make, seeds=[0, 1])
    for mesh in (Mesh(ONE, ("batch",)), Mesh(ONE.reshape(1, 1), ("batch", "ensemble"))):
        assert same_bits(train(make, seeds=[0, 1], mesh=mesh), alone)
