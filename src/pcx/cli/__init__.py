"""The `pcx` command. What is heavy (JAX, the libraries of the `cli` extra) is imported by the commands that need it."""

from ._main import main

__all__ = ["main"]
