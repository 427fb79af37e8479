"""Energies of value nodes. All are unreduced: one value for each element of `h`."""

from __future__ import annotations

import abc
import inspect
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer

from ..core import RKG, RandomKeyGenerator, in_vmap, static_key

if TYPE_CHECKING:
    from ._vode import Vode

EnergyFn = Callable[..., jax.Array]
"""`f(vode, rkg=rkg)`: the energy of a value node, one number for each element."""


class Energy(abc.ABC):
    """The energy between a value and its prediction, with what learning rules have to know of it.

    Given to `pxc.Vode(energy)`, as any function of a vode and a generator of random keys may be. What sets an object of
    this class apart is that it says what it is: a rule needs not guess. To write one, subclass it and define
    `elements`; where there is one, also the value of a nudge, `nudged`. A frozen dataclass makes its settings
    arguments:

    ```python
    @dataclasses.dataclass(frozen=True)
    class LogCosh(pxc.Energy):
        scale: float = 1.0

        def elements(self, h, u):
            e = (h - u) / self.scale
            return self.scale * (jnp.logaddexp(e, -e) - jnp.log(2.0))
    ```

    An energy is a constant of the program: two of one class with equal settings are the same program. What learns
    belongs into a layer.

    **Attributes:**

    - `squared`: whether `elements(h, u)` is exactly `0.5 * (h - u)**2`. Rules that compute with errors in the place of
        gradients (Z-IL, HIL, FPA, ePC) need that of hidden nodes.
    """

    squared: ClassVar[bool] = False

    @abc.abstractmethod
    def elements(self, h: jax.Array, u: jax.Array) -> jax.Array:
        """Return the energy of each element. Its gradients must be finite at h = u, too, where values start.

        **Arguments:**

        - `h`, `u`: value and prediction, `[*shape]`, of one sample as a rule: energies are computed inside of a vmap.

        **Returns:** `[*shape]`.
        """

    def nudged(self, u: jax.Array, y: jax.Array, b: float | jax.Array) -> jax.Array:
        """Return the value at which a nudged clamp puts an output node: the one whose energy has `b` times the
        gradient by `u` that clamping the node to `y` would give.

        **Arguments:**

        - `u`: the prediction that the forward pass made, `[*shape]`.
        - `y`: the target, `[*shape]`.
        - `b`: the strength of the nudge, a scalar; 1 is as strong as the target itself.

        **Returns:** `[*shape]`.

        **Raises:** `ValueError` if this energy has no such value.
        """
        raise ValueError(
            f"{self.__name__} doesn't say at which value a nudged clamp puts a node: use follow=True, or define "
            "nudged(u, y, b) in its class"
        )

    def __call__(self, vode: Vode, rkg: RandomKeyGenerator = RKG) -> jax.Array:
        """Return the energy of each element of a node's value.

        **Arguments:**

        - `vode`: the value node; its `h` and `u` are read as `vode.get` gives them.
        - `rkg`: a source of random keys, of which an energy that doesn't draw takes none.

        **Returns:** of h's shape; where h and u differ in shape, of the shape to which they broadcast.

        **Raises:** `ValueError` if h or u isn't set, or their shapes don't broadcast.
        """
        h, u = (_read(self.__name__, vode, name) for name in ("h", "u"))
        shapes = jnp.shape(h), jnp.shape(u)
        # Outside of vmaps values have a batch axis, and axes of samples would be matched with that.
        if shapes[0] != shapes[1] and not (_broadcast(*shapes) and (in_vmap() or len(shapes[0]) == len(shapes[1]))):
            raise ValueError(f"{self.__name__}: the vode's h has shape {shapes[0]}, its prediction u {shapes[1]}")
        return self.elements(h, u)

    @property
    def __name__(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return type(self).__name__

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"

    def __static_key__(self) -> Hashable:
        return ("Energy", static_key(type(self)), static_key(vars(self)))


def _broadcast(*shapes: tuple[int, ...]) -> bool:
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        return False
    return True


def by_name(energy_fn: EnergyFn) -> bool:
    """Return whether the second argument of an energy function, the source of random keys, is given by name, `rkg`.

    **Arguments:**

    - `energy_fn`: an energy or a function of a vode.

    **Raises:** `TypeError` for a function that can be called neither so nor by place.
    """
    if isinstance(energy_fn, Energy) and type(energy_fn).__call__ in (Energy.__call__, _Zero.__call__):
        return True
    try:
        signature = inspect.signature(energy_fn)
    except ValueError:  # none to look at
        return True
    try:
        signature.bind(None, rkg=None)
    except TypeError:
        signature.bind(None, None)
        return False
    return True


def elements_of(energy_fn: EnergyFn, vode: Vode, rkg: RandomKeyGenerator = RKG) -> jax.Array:
    """Return an energy, one number for each element of the node.

    **Arguments:**

    - `energy_fn`: an energy or a function of a vode.
    - `vode`: the value node.
    - `rkg`: a source of random keys.
    """
    try:
        made = energy_fn(vode, rkg=rkg) if by_name(energy_fn) else energy_fn(vode, rkg)
    except (TypeError, ValueError, AttributeError) as e:
        e.add_note(_about(energy_fn, vode))
        raise
    if made is None:
        raise TypeError(f"the energy returned None, not the energy of each element. {_about(energy_fn, vode)}")
    return made


def _about(energy_fn: EnergyFn, vode: Vode) -> str:
    """Return what an energy is called with, for an error of its own code."""
    name = getattr(energy_fn, "__name__", type(energy_fn).__name__)
    h, u = [f"{a.dtype}{list(a.shape)}" if hasattr(a, "shape") else "not set" for a in (vode.get("h"), vode.get("u"))]
    how = (
        f"{name}.elements(h, u)" if isinstance(energy_fn, Energy) else f"{name}(vode, rkg), a function of a value node"
    )
    more = "" if isinstance(energy_fn, Energy) else "; for one of h and u define `elements` in a subclass of pxc.Energy"
    return f"The energy is called as {how}, with h {h} and u {u}{more}."


def _read(call: str, vode: Vode, name: str) -> jax.Array:
    value = vode.get(name)
    if value is None:
        raise ValueError(
            f"{call}: the vode's {name!r} was read before it was set; run the forward pass first "
            "(under pxc.STATUS.INIT it sets both h and u)"
        )
    return value


class _Named(Energy):
    """An energy of which there is one, under a name in this file: so it is written, printed and pickled."""

    def __repr__(self) -> str:
        return f"pxc.{self.__name__}"

    def __reduce__(self) -> str:
        return self.__name__


class _SquaredError(_Named):
    """Squared error, `0.5 * (h - u)**2`, of h's shape: the energy of a Gaussian with unit variance around the
    prediction.

    Source: Whittington & Bogacz, "An approximation of the error backpropagation algorithm in a predictive coding
    network with local Hebbian synaptic plasticity", Neural Computation 29(5), 2017.
    """

    __name__ = "se_energy"
    squared = True

    def elements(self, h: jax.Array, u: jax.Array) -> jax.Array:
        """Return `0.5 * (h - u)**2`; shapes as in `Energy.elements`."""
        if isinstance(h, Tracer) and isinstance(u, Tracer):
            a: Any = h.aval
            b: Any = u.aval
            if a.shape == b.shape and a.dtype == b.dtype and jnp.issubdtype(a.dtype, jnp.floating):
                # The same operations, without what `jnp` does to find them: a deep model is traced node by node.
                return lax.mul(a.dtype.type(0.5), lax.square(lax.sub(h, u)))
        return 0.5 * jnp.square(h - u)

    def nudged(self, u: jax.Array, y: jax.Array, b: float | jax.Array) -> jax.Array:
        """Return `u - b * (u - y)`; arguments and shapes as in `Energy.nudged`."""
        return u - b * (u - y)


class _CrossEntropy(_Named):
    """Cross entropy, `-h * log_softmax(u)` over the last axis, of h's shape: h holds probabilities (one-hot, as a
    rule), u logits."""

    __name__ = "ce_energy"

    def elements(self, h: jax.Array, u: jax.Array) -> jax.Array:
        """Return `-h * log_softmax(u)`; shapes as in `Energy.elements`."""
        return -h * jax.nn.log_softmax(u)

    def nudged(self, u: jax.Array, y: jax.Array, b: float | jax.Array) -> jax.Array:
        """Return `p - b * (p - y)` with `p = softmax(u)`; arguments and shapes as in `Energy.nudged`."""
        p = jax.nn.softmax(u)
        return p - b * (p - y)


class _Zero(_Named):
    """Zeros of h's shape. The vode has no part in the energy and needs no prediction."""

    __name__ = "zero_energy"

    def elements(self, h: jax.Array, u: jax.Array) -> jax.Array:
        """Return zeros of h's shape."""
        return jnp.zeros_like(h)

    def __call__(self, vode: Vode, rkg: RandomKeyGenerator = RKG) -> jax.Array:
        """Return zeros of the shape of the vode's h.

        **Raises:** `ValueError` if h isn't set.
        """
        h = _read(self.__name__, vode, "h")
        return self.elements(h, h)


se_energy = _SquaredError()
ce_energy = _CrossEntropy()
zero_energy = _Zero()
