"""Modules with an energy."""

from __future__ import annotations

from typing import Any

import jax

from ..core import BaseModule, Choice, Module, clear_params, known


class STATUS:
    """The statuses with a meaning of their own; any string is a status."""

    NONE = None
    ALL = ".*"
    INIT = "init"


class UnsetEnergyError(ValueError):
    """The error of an energy that can't be computed, with the path of its node in the model."""

    def __init__(self, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"energy(){f' of {path}' if path else ''}: {reason}")


class EnergyModule(Module):
    """A module that has an energy: the sum of the energies of the energy modules directly below it."""

    def __init__(self) -> None:
        super().__init__()
        self._status = None

    @property
    def status(self) -> str | None:
        """The name of the rules of the vodes inside that are in force; set it with `pcx.utils.step`."""
        return known(vars(self).get("_status"))

    @status.setter
    def status(self, value: str | None) -> None:
        if value is not None and not isinstance(value, str):
            raise TypeError(f"{type(self).__name__}.status must be a string or None, got {type(value).__name__}")
        self._status = value

    def energy(self) -> jax.Array | float:
        """Return the sum of the energies of the energy modules directly below.

        **Returns:** a scalar inside a vmap, `[batch]` outside; 0.0 if there are none.

        **Raises:** `ValueError` naming the vode whose state or prediction isn't set, or whose shapes don't fit.
        """
        total: Any = 0.0
        first = True
        for child in self.submodules(cls=EnergyModule):
            try:
                energy = child.energy()
            except UnsetEnergyError as e:
                raise UnsetEnergyError(_path_of(self, child) + e.path, e.reason) from None
            total = energy if first else total + energy
            first = False
        return total

    def clear_params(self, filter: Choice) -> None:
        """Set the params inside that `filter` picks to None.

        **Arguments:**

        - `filter`: a type, a union of types, or a predicate of a param.

        **Raises:** `TypeError` for any other filter.
        """
        clear_params("EnergyModule.clear_params", self, filter)


def _path_of(module: BaseModule, child: BaseModule) -> str:
    """Return the path of a direct child in its module, such as `.vodes[0]`."""

    def search(x: object, path: str) -> str | None:
        if x is child:
            return path
        if isinstance(x, (list, tuple)):
            items = [(f"[{i}]", v) for i, v in enumerate(x)]
        elif isinstance(x, dict):
            items = [(f"[{k!r}]", v) for k, v in x.items()]
        else:
            return None
        return next((p for k, v in items if (p := search(v, path + k)) is not None), None)

    found = (search(value, f".{name}") for name, value in vars(module).items())
    return next((p for p in found if p is not None), "")
