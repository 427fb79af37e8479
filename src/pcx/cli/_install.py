"""Hints for modules that are not installed. Imports nothing heavy."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from importlib.util import find_spec

from ..core import see

# By name, never as an extra of pcx: the registry has another package of that name, which would replace this one.
_PACKAGES = {
    "jinja2": "jinja2>=3.1",
    "matplotlib": "matplotlib>=3.8",
    "optuna": "optuna>=4",
    "orbax": "orbax-checkpoint>=0.11",
    "rich": "rich>=13",
    "safetensors": "safetensors>=0.5",
    "sklearn": "scikit-learn>=1.4",
    "tyro": "tyro>=0.9",
}


def missing_of(modules: Sequence[str]) -> list[str]:
    """Return those of the top-level modules that are not installed."""
    return [name for name in modules if find_spec(name) is None]


def not_installed(modules: Sequence[str]) -> str:
    """Return the words for modules that are not installed: the command that installs them."""
    packages = " ".join(shlex.quote(_PACKAGES[name]) for name in modules)
    return f"{', '.join(modules)} not installed; run: pip install {packages}{see('package')}"
