"""The params of layers."""

from __future__ import annotations

from ..core import Param


class LayerParam(Param):
    """A value of a layer that is learned: a weight, a bias, a scale.

    **Arguments:**

    - `value`: the value to hold, see `pcx.BaseParam`.
    """

    __slots__ = ()


class LayerState(Param):
    """A value that a layer keeps from call to call and that is not learned.

    **Arguments:**

    - `value`: the value to hold, see `pcx.BaseParam`.
    """

    __slots__ = ()
