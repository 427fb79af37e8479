"""Tests leave nothing in the user's home, and none fails because the machine is busy."""

import os
import shutil
import tempfile

from hypothesis import settings

settings.register_profile("pcx", deadline=None)
settings.load_profile("pcx")

_VARIABLES = ("MPLCONFIGDIR", "XDG_CONFIG_HOME")
_folder = ""


def pytest_configure(config):
    """Libraries keep their settings and what they found out in a folder that goes when the tests end. Before any of
    them is imported, and for the processes that tests start, too."""
    global _folder
    _folder = tempfile.mkdtemp(prefix="pcx-tests-")
    for name in _VARIABLES:
        os.environ[name] = os.path.join(_folder, name.lower())
        os.mkdir(os.environ[name])


def pytest_unconfigure(config):
    """The folder goes."""
    if _folder:
        shutil.rmtree(_folder, ignore_errors=True)
