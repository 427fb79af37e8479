"""Sizes of a layer, as users give them: checked, and as numbers of Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from ..core import Whole, whole

Size: TypeAlias = Whole | Sequence[Whole]
"""One integer for all spatial axes, or one for each."""

Padding: TypeAlias = str | Whole | Sequence[Whole] | Sequence[Sequence[Whole]]
"""One integer for all spatial axes, one or a pair (before, after) for each, or the name of a padding."""

_Nested: TypeAlias = "str | int | tuple[_Nested, ...]"


def sizes(call: str, name: str, x: Size, axes: int | None, least: int = 1) -> int | tuple[int, ...]:
    """Return sizes along axes: one number for all, or a tuple of one for each.

    **Arguments:**

    - `call`, `name`: what to name in errors: the layer and its argument.
    - `x`: the sizes.
    - `axes`: the number of axes; None for any.
    - `least`: the least size that makes sense.

    **Raises:** `ValueError` for what is no such number, or for more or fewer of them than axes.
    """
    if isinstance(x, str) or not isinstance(x, Sequence):
        return whole(call, name, x, least)
    if axes is not None and len(x) != axes:
        raise ValueError(f"{call}: {name} must be one number, or one for each of the {axes} spatial axes, got {x!r}")
    return tuple([whole(call, name, n, least) for n in x])


def paddings(call: str, x: Padding, axes: int) -> _Nested:
    """Return a padding with tuples in the place of lists: Equinox hashes them.

    **Arguments:** `call`, the layer to name in errors; `x`, the padding; `axes`, the number of spatial axes.

    **Raises:** `ValueError` for what is neither a name nor whole numbers of 0 or more.
    """
    if isinstance(x, str):
        return x
    if not isinstance(x, (list, tuple)):
        return whole(call, "padding", x, 0)
    pairs = all(isinstance(n, (list, tuple)) and len(n) == 2 for n in x)
    if len(x) != axes or not (pairs or not any(isinstance(n, (list, tuple)) for n in x)):
        raise ValueError(
            f"{call}: padding must be one number, or one or a pair (before, after) for each of the {axes} spatial "
            f"axes, got {x!r}"
        )
    return tuple([sizes(call, "padding", n, None, 0) for n in x])


def checked_axes(call: str, axes: object, in_channels: object, out_channels: object) -> tuple[int, tuple[int, int]]:
    """Return the number of a convolution's spatial axes, and its channels, as numbers of Python.

    **Arguments:** `call`, the layer to name in errors; the others as the layer is given them.

    **Raises:** `ValueError` for what is no whole number of 1 or more.
    """
    channels = whole(call, "in_channels", in_channels, 1), whole(call, "out_channels", out_channels, 1)
    return whole(call, "num_spatial_dims", axes, 1), channels


def checked_groups(call: str, groups: object, channels: tuple[int, int]) -> int:
    """Return the number of groups of a convolution, which must divide its channels.

    **Arguments:**

    - `call`: the layer to name in errors.
    - `groups`: as the layer is given it.
    - `channels`: of input and output.

    **Raises:** `ValueError` for a number that doesn't, or is no whole number of 1 or more.
    """
    number = whole(call, "groups", groups, 1)
    for name, n in zip(("in_channels", "out_channels"), channels, strict=True):
        if n % number:
            raise ValueError(f"{call}: groups={number} must divide {name}={n}")
    return number


def one_of(call: str, name: str, x: object, allowed: tuple[str, ...]) -> str:
    """Return a word among those that are allowed, in capitals.

    **Arguments:**

    - `call`, `name`: the layer and its argument to name in errors.
    - `x`: the word, as the layer is given it.
    - `allowed`: the words, in capitals.

    **Raises:** `ValueError` for any other.
    """
    word = x.upper() if isinstance(x, str) else x
    if word not in allowed:
        raise ValueError(f"{call}: {name} must be {' or '.join(map(repr, allowed))}, got {x!r}")
    return str(word)
