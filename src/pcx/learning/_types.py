"""Types of the arguments of rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, TypeAlias, TypedDict

import numpy as np
import optax
from jax import Array
from jaxtyping import PyTree

from ..core import Choice, Whole
from ..energy import PolicyLike
from ..inference import Schedule

if TYPE_CHECKING:
    from ._clamp import Clamp
    from ._precision import Precision
    from ._start import Start

Call: TypeAlias = Callable[..., PyTree]
"""How a model is called on one sample, `call(model, x, y)`."""
PrecisionLike: TypeAlias = "Precision | float | Array | np.ndarray | Mapping[str, float | Array | np.ndarray] | None"
"""A precision: for all nodes that are not clamped, by node, or one that says so itself; None is 1."""
KeyLike: TypeAlias = int | np.integer | Array | np.ndarray
"""A seed, or a random key."""


Optimiser: TypeAlias = optax.GradientTransformation | optax.MultiSteps
"""An optimiser of the weights, by Optax."""
Count: TypeAlias = Whole
"""A number of steps."""


EqualLayers: TypeAlias = Literal["auto", "stacked", "looped", "apart"]
"""How layers whose local predictions are equal are computed."""


class RuleOptions(TypedDict, total=False):
    """The options that all rules share, see `Rule`."""

    learn: Choice
    call: Call | None
    precision: PrecisionLike
    dtype: PolicyLike
    equal_layers: EqualLayers


class PCOptions(RuleOptions, total=False):
    """The options of rules that let values settle, see `pc`."""

    schedule: Schedule | None
    clamp: Clamp | None
    start: Start | None
