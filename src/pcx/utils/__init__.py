"""pxu: masks, optimisers, steps, files."""

# What `__all__` does not list are older names, which programs find.
# ruff: noqa: F401

from ._files import load_params, save_params
from ._mask import M, M_has, M_hasnot, M_is, Mask, m
from ._optim import Optim, OptimTree
from ._step import step

__all__ = ["M", "M_has", "M_hasnot", "M_is", "Optim", "OptimTree", "load_params", "save_params", "step"]
