"""Words for what a function was given, and the checks that several functions share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

FEW = 4
"""So many of a dict's names are said."""


def described(x: object) -> str:
    """Return what something is, in a few words.

    **Arguments:**

    - `x`: whatever was given.
    """
    if x is None or isinstance(x, (bool, int, float, str, bytes)):
        said = repr(x)
        return said if len(said) <= 40 else f"{said[:37]}..."
    if isinstance(x, type):
        return f"the class {x.__name__}"
    if isinstance(x, Mapping):
        names = [repr(n) if isinstance(n, str) else str(n) for n in x]
        some = ", ".join(names if len(names) <= FEW else [*names[: FEW - 1], "..."])
        return f"{_a(type(x).__name__)} with {some}" if names else f"an empty {type(x).__name__}"
    if isinstance(x, (list, tuple)) and not hasattr(x, "_fields"):
        kind = type(x).__name__
        return f"{_a(kind)} of {len(x)}, the first {described(x[0])}" if x else f"an empty {kind}"
    shape, dtype = getattr(x, "shape", None), getattr(x, "dtype", None)
    if isinstance(shape, tuple) and dtype is not None:
        return f"an array, {dtype}{list(shape)}"
    return _a(type(x).__name__)


def _a(word: str) -> str:
    return f"{'an' if word[:1].lower() in 'aeiou' else 'a'} {word}"


def wrong(call: str, wanted: str, got: object) -> TypeError:
    """Return the error for what a function doesn't take.

    **Arguments:**

    - `call`: the function's name.
    - `wanted`: what it takes: a sentence without its end.
    - `got`: what it was given.
    """
    return TypeError(f"{call}: {wanted}, got {described(got)}")


def numbers(call: str, name: str, x: Any) -> Float[np.ndarray, ...]:
    """Return numbers as an array of floats.

    **Arguments:**

    - `call`, `name`: what to name in errors: the function and its argument.
    - `x`: an array, a number, or lists of numbers.

    **Raises:** `TypeError` for anything else.
    """
    try:
        if x is None or isinstance(x, (str, bytes, Mapping)):
            raise TypeError
        return np.asarray(x, float)
    except (TypeError, ValueError):
        raise wrong(call, f"{name} must be an array of numbers", x) from None


def by_name(call: str, name: str, x: Any, values: str) -> Mapping[str, Any]:
    """Return what is given by name.

    **Arguments:**

    - `call`, `name`: what to name in errors: the function and its argument.
    - `x`: a dict.
    - `values`: what its values are, in words, as `[seeds]`.

    **Raises:** `TypeError` for anything else.
    """
    if not isinstance(x, Mapping):
        raise wrong(call, f"{name} must be a dict, {{name: {values}}}", x)
    return x


def some_finite(call: str, what: str, arrays: Sequence[Float[np.ndarray, ...]]) -> None:
    """Refuse numbers of which none can be drawn.

    **Arguments:**

    - `call`: the function's name.
    - `what`: what the numbers are, such as `"energies"`.
    - `arrays`: the numbers.

    **Raises:** `ValueError`.
    """
    if not any(np.any(np.isfinite(a)) for a in arrays):
        raise ValueError(f"{call}: there are no {what} that are finite, so that there is nothing to draw")
