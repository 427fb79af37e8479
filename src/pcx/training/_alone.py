"""One training at a time of one model."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from ..predictive_coding import EnergyModule

_lock = threading.Lock()
_trained: dict[int, int] = {}  # by the model's identity: the thread that trains it


@contextlib.contextmanager
def alone(model: object) -> Iterator[None]:
    """Keep other threads from training this model: of two that write what they learned into it, one would be lost.

    **Raises:** `RuntimeError` if another thread is training it.
    """
    me = threading.get_ident()
    with _lock:
        first = isinstance(model, EnergyModule) and id(model) not in _trained
        if isinstance(model, EnergyModule) and _trained.setdefault(id(model), me) != me:
            raise RuntimeError(
                f"fit: another thread is training this {type(model).__name__}, and one model can hold the weights of "
                "one training; give each thread a model of its own, or a function that makes one"
            )
    try:
        yield
    finally:
        if first:
            with _lock:
                del _trained[id(model)]
