"""A model, from one or from a function that makes one."""

from __future__ import annotations

from collections.abc import Callable

from ..core import seeded
from ..energy import no_model
from ..predictive_coding import EnergyModule


def model_of(call: str, model: EnergyModule | Callable[[], EnergyModule], seed: int) -> EnergyModule:
    """Return a model as it is; or what a function makes, with first weights from the seed.

    **Arguments:**

    - `call`: who asks, such as `"fit"`.

    **Raises:** `TypeError` if the function makes something else.
    """
    if isinstance(model, EnergyModule):
        return model
    with seeded(seed):  # this thread's generator alone
        found = model()
    if not isinstance(found, EnergyModule):
        raise no_model(f"{call}: the function must make an EnergyModule, but it gave {type(found).__name__}: ", found)
    return found
