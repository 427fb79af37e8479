"""Older idioms: how programs for 0.6.0 and 0.6.1 say things, what that means now, and what to write instead.

Everything that is known of those versions stands here. The places that take an older idiom hand over what they got.
"""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, cast, runtime_checkable

import jax.tree_util as jtu
import numpy as np

from ._types import Constant, Tree, Value

# The packages whose frames are not the user's: this one, under both of its names, the machinery of imports, and checks
# of types as a program runs.
_PASSED = frozenset({"pcx", "pcax", "importlib", "_frozen_importlib", "jaxtyping", "beartype", ""})


@runtime_checkable
class _Mask(Protocol):
    """The part of a mask that its older names make use of."""

    def to(self, map_to: tuple[Value, Value] | list[Value] | None) -> Any: ...

    def hasnot(self, **attrs: Constant) -> Any: ...


MaskT = TypeVar("MaskT", bound=_Mask)
P = ParamSpec("P")


def said(old: str, new: str) -> None:
    """Warn of an older idiom in the name of the line that wrote it. Python shows such a warning once for each line.

    **Arguments:**

    - `old`: what was written.
    - `new`: what to write instead.
    """
    frame = sys._getframe(1)
    while frame.f_back is not None and _package(frame) in _PASSED:
        frame = frame.f_back
    module, seen = frame.f_globals.get("__name__", "<unknown>"), frame.f_globals.setdefault("__warningregistry__", {})
    text = f"{old} is an older idiom; write {new}"
    warnings.warn_explicit(text, DeprecationWarning, frame.f_code.co_filename, frame.f_lineno, module, seen)


def _package(frame: FrameType) -> str:
    return frame.f_globals.get("__name__", "").partition(".")[0]


# -- value nodes ------------------------------------------------------------------------------------------
def shape_first(init: Callable[P, None]) -> Callable[P, None]:
    """Return the initialiser of a value node, which also takes a shape before the energy, or in its place."""

    make: Callable[..., None] = init

    @functools.wraps(init)
    def taken(self: Any, *args: Constant, **kwargs: Constant) -> None:
        if args and isinstance(args[0], tuple):
            shape, args = args[0], args[1:]
        elif isinstance(kwargs.get("energy_fn"), tuple):
            shape = kwargs.pop("energy_fn")
        elif isinstance(kwargs.get("shape"), tuple):
            shape = kwargs.pop("shape")
        else:
            make(self, *args, **kwargs)
            return
        if not all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n >= 0 for n in shape):
            raise TypeError(
                f"{type(self).__name__}: the first argument must be an energy function or None, got {shape!r} (a tuple "
                "of whole numbers would be taken for a shape, as older programs give it)"
            )
        said(f"Vode({shape!r}, ...)", "Vode(...): the shape is that of the prediction")
        make(self, *args, **kwargs)
        self.shape.set(tuple([int(n) for n in shape]))

    return cast(Callable[P, None], taken)  # type checkers see what is written today


# -- masks ------------------------------------------------------------------------------------------------
class OlderMask:
    """The older name of a mask's method."""

    def has_not(self: _Mask, **attrs: Constant) -> Any:
        """The older name of `hasnot`.

        **Arguments:**

        - `attrs`: values by name.

        **Returns:** as `hasnot`.
        """
        said(".has_not(...)", ".hasnot(...)")
        return self.hasnot(**attrs)


class OlderNames(Generic[MaskT]):
    """The older names of masks, as functions.

    **Arguments:**

    - `mask`: the class of masks.
    """

    def __init__(self, mask: Callable[[Any], MaskT]) -> None:
        self.mask = mask

    def Mask(self, mask: Constant, map_to: tuple[Value, Value] | list[Value] | None = None) -> MaskT:
        """Return `M(mask).to(map_to)`, of which this is the older form.

        **Arguments:**

        - `mask`: as in `M`.
        - `map_to`: a pair of values (no match, match); None keeps what matches.
        """
        pair = map_to is not None
        said("pxu.Mask(mask, (a, b))" if pair else "pxu.Mask(mask)", "pxu.M(mask)" + ".to((a, b))" * pair)
        return self.mask(mask).to(map_to)

    def m(self, mask: Constant) -> MaskT:
        """Return `M(mask)`, of which this is the older name.

        **Arguments:**

        - `mask`: as in `M`.
        """
        said("pxu.m(mask)", "pxu.M(mask)")
        return self.mask(mask)


# -- optimisers -------------------------------------------------------------------------------------------
def factory_of(call: str, transformation: Constant) -> Callable[[], Any]:
    """Return a factory of a transformation that was given in the place of one.

    **Arguments:**

    - `call`: such as `"pxu.Optim"`.
    - `transformation`: of Optax.
    """
    said(f"{call}(transformation, ...)", f"{call}(lambda: transformation, ...)")
    return lambda: transformation


def scaled(call: str, scale_by: Value, mul: Value, grads: Mapping[str, Tree]) -> tuple[Value, dict[str, Tree]]:
    """Return the factor of all gradients, and the gradients.

    **Arguments:**

    - `call`: such as `"pxu.Optim.step"`.
    - `scale_by`: the factor; True stands for the size of the batch, by which each gradient is multiplied.
    - `mul`: the older name of the factor; None if it wasn't given.
    - `grads`: by path.
    """
    if mul is not None:
        if scale_by is not None:
            raise TypeError(f"{call}: mul is the older name of scale_by; give one of them")
        said(f"{call}(..., mul=factor)", "scale_by=factor")
        scale_by = mul
    if scale_by is not True:
        return scale_by, dict(grads)
    said(f"{call}(module, grads, True)", "scale_by=the size of the batch, or sum the energies over the batch")
    return None, {path: jtu.tree_map(lambda g: g * np.shape(g)[0] if np.ndim(g) else g, x) for path, x in grads.items()}
