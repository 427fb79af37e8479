"""Modules with an energy."""

from __future__ import annotations

from typing import Any

import jax

from ..core import Choice, Module, Setting, clear_params, get, html_or_text, nearest


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
    """A module that has an energy: the sum of the energies of the nearest energy modules below it."""

    def __init__(self) -> None:
        super().__init__()
        self._status = Setting(None)

    @property
    def status(self) -> str | None:
        """The name of the rules of the vodes inside that are in force; set it with `pcx.utils.step`."""
        return get(vars(self).get("_status"))

    @status.setter
    def status(self, value: str | None) -> None:
        if value is not None and not isinstance(value, str):
            raise TypeError(f"{type(self).__name__}.status must be a string or None, got {type(value).__name__}")
        if "_status" not in vars(self):  # a class that doesn't call super().__init__()
            self._status = Setting()
        self._status.set(value)

    def energy(self) -> jax.Array | float:
        """Return the sum of the energies of the nearest energy modules below, through modules that have none.

        **Returns:** a scalar inside a vmap, `[batch]` outside; 0.0 if there are none.

        **Raises:** `ValueError` naming the vode whose state or prediction isn't set, or whose shapes don't fit.
        """
        total: Any = 0.0
        first = True
        for child in self.submodules(cls=EnergyModule):
            try:
                energy = child.energy()
            except UnsetEnergyError as e:
                path = next(path for path, module in nearest(self, EnergyModule) if module is child)
                raise UnsetEnergyError(path + e.path, e.reason) from None
            total = energy if first else total + energy
            first = False
        return total

    def _repr_html_(self) -> str:
        from ._html import module_html  # which knows the nodes, that are modules like this one

        return html_or_text(lambda: module_html(self), self)

    def clear_params(self, filter: Choice) -> None:
        """Set the params inside that `filter` picks to None.

        **Arguments:**

        - `filter`: a type, a union of types, a predicate of a param, a mask (`pcx.utils.M`), or None for all.

        **Raises:** `TypeError` for any other filter.
        """
        clear_params("EnergyModule.clear_params", self, filter)
