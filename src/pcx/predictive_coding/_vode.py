"""Value nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import PyTree

from ..core import (
    RKG,
    BaseParam,
    ParamDict,
    RandomKeyGenerator,
    Setting,
    StaticParam,
    get,
    in_vmap,
    is_param,
    shape_first,
    static,
    watching,
)
from ._energy import Energy, EnergyFn, by_name, elements_of, se_energy
from ._energy_module import STATUS, EnergyModule, UnsetEnergyError
from ._parameter import VodeParam
from ._rules import GetRule, Ruleset, Transformation


class Predictions(dict[int, list[Any]]):
    """By a vode's identity, the value that it had after each prediction it was given.

    **Arguments:**

    - `through`: what each prediction goes through before the node gets it.
    """

    def __init__(self, through: Callable[[Any], Any]) -> None:
        super().__init__()
        self.through = through


predictions: ContextVar[Predictions | None] = ContextVar("pcx_predictions", default=None)
"""Those of a model's call; None unless someone looks."""


class Vode(EnergyModule):
    """A value node: a state `h`, a prediction `u` of it, and the energy between them.

    Called with a prediction, it stores it and returns its state. Under `STATUS.INIT` the state is set to the
    prediction (forward initialisation). An output node is marked, `Vode(output=True)`: learning rules clamp it to the
    target, and `pcx.utils.M_hasnot(VodeParam, frozen=True)` selects the states that are free to move. A node that was
    made already is marked by `vode.h.frozen = True`, which is the same.

    **Arguments:**

    - `energy_fn`: an `Energy` or a function `f(vode, rkg)`, the unreduced energy, as a rule of h's shape; None for no
      energy.
    - `ruleset`: the user's rules, see `Ruleset`; beneath them is `{"init": ("h, u <- u",)}`.
    - `tforms`: the transformations that the rules name.
    - `param_type`: the type of `h`; its `Cache` is the type of `cache`.
    - `args`, `kwargs`: what `param_type` is called with.
    - `output`: whether targets clamp this node.

    **Raises:** `ValueError` for a rule that can't be read, naming it; `TypeError` for an argument of another type.
    """

    @shape_first
    def __init__(
        self,
        energy_fn: EnergyFn | None = se_energy,
        ruleset: Mapping[str, Sequence[str]] | None = {},
        tforms: Mapping[str, Transformation] = {},
        param_type: type[VodeParam] = VodeParam,
        *args: object,
        output: bool = False,
        **kwargs: object,
    ) -> None:
        super().__init__()
        if energy_fn is not None and not callable(energy_fn):
            raise TypeError(f"Vode: energy_fn must be a function or None, got {type(energy_fn).__name__}")
        _check_energy_fn(energy_fn)
        if not isinstance(param_type, type) or not hasattr(param_type, "Cache"):
            raise TypeError(f"Vode: param_type must be VodeParam or a subclass of it, got {param_type!r}")
        if not isinstance(ruleset or {}, Mapping):
            raise TypeError(f"Vode: ruleset must be a dict from status to rules, got {type(ruleset).__name__}")
        if not isinstance(output, bool):
            raise TypeError(f"Vode: output must be True or False, got {output!r}")
        self.h = param_type(*args, **kwargs)
        if output:
            self.h.frozen = True
        self.cache = param_type.Cache()
        self._shape = Setting(None)
        self.energy_fn = static(energy_fn)
        self.ruleset = static(Ruleset({STATUS.INIT: ("h, u <- u",), **(ruleset or {})}, tforms))

    @property
    def shape(self) -> StaticParam:
        """A static that holds the shape of the last prediction given by a call; None before, or in a node that was made
        with a shape, that shape."""
        return self._shape

    @shape.setter
    def shape(self, value: tuple[int, ...] | StaticParam | None) -> None:
        self._shape = Setting(value)

    def __repr__(self) -> str:
        shown, name, h = super().__repr__(), type(self).__name__, vars(self).get("h")
        marked = isinstance(h, BaseParam) and h._facts.get("frozen")
        return shown.replace(f"({name}):", f"({name}, output=True):", 1) if marked else shown

    def __call__(
        self, u: ArrayLike | None, rkg: RandomKeyGenerator = RKG, output: str | None = "h", **others: PyTree
    ) -> Any:
        """Set the prediction and other values, and return a value.

        A node without a value that is called outside of rules and of pcx.functional's transforms gives its prediction,
        so that `model(x)`, `jax.vmap(model)(x)` and `jax.jit(model)(x)` are forward passes.

        **Arguments:**

        - `u`: the prediction, `[*shape]` of one sample inside a vmap; None sets none.
        - `rkg`: where transformations get random keys from.
        - `output`: the name of the value to return; None for the vode itself.
        - `others`: values by name, set after `u`.

        **Returns:** the value named `output`, or the vode.
        """
        u = get(u)
        if u is not None and output == "h" and not others and self._is_unset():
            if isinstance(u, Tracer):  # which would be left behind
                self._shape.set(jnp.shape(u))
            else:
                self._set("u", u, rkg, called=True)
            return u
        if u is not None:
            self._set("u", u, rkg, called=True)
        for key, value in others.items():
            self._set(key, value, rkg, called=True)
        return self if output is None else self.get(output, rkg=rkg)

    def _is_unset(self) -> bool:
        """Return whether the node has no value, gets none from a prediction, and is no copy in a tracked function, nor
        a stranger in one."""
        if self.h._mark is not None or self.h._value is not None or watching():
            return False
        rules: Ruleset = get(self.ruleset)
        return not rules.when_set(self.status, "u") and rules.when_read(self.status, "h") is None

    def set(self, key: str, value: PyTree, rkg: RandomKeyGenerator = RKG) -> Vode:
        """Set a value through the rules of the status. What was computed of the old values is forgotten.

        **Arguments:**

        - `key`: the name, such as `"h"` or `"u"`; or that of a param that a subclass has of its own.
        - `value`: an array, `[*shape]` of one sample inside a vmap and `[batch, *shape]` outside; or a tree, or None.
        - `rkg`: where transformations get random keys from.

        **Returns:** the vode.
        """
        self._set(key, value, rkg, called=False)
        return self

    def _set(self, key: str, value: PyTree, rkg: RandomKeyGenerator, called: bool) -> None:
        seen = predictions.get() if key == "u" else None
        if seen is not None:
            value = seen.through(value)
        rules: Ruleset = get(self.ruleset)
        found = rules.when_set(self.status, key)
        cached: dict[str, Any] = {}
        u: Any = None
        for targets, new in [(rule.targets, rules.transform(rule.tforms, self, key, value, rkg)) for rule in found] or [
            ((key,), value)
        ]:
            for target in targets:
                own = self._own(target)
                if own is not None:
                    own.set(new)
                else:
                    cached[target] = new
                if target == "u":
                    u = new
        # What was derived from the old values is no longer true.
        contents = self.cache.get() or {}
        stale = tuple([k for k in contents if (k == "E" or ":" in k) and k not in cached])
        if called and hasattr(u, "shape"):
            self._shape.set(tuple(u.shape))
        if cached or stale:
            # In a call, as inside a vmap, u is the prediction of one sample.
            self.cache.update(cached, stale, getattr(u, "ndim", 0) if u is not None and (called or in_vmap()) else None)
        if seen is not None:
            seen.setdefault(id(self), []).append(self.h.get())

    def get(self, key: str, default: PyTree = None, rkg: RandomKeyGenerator = RKG) -> Any:
        """Return a value by name, through the rules of the status.

        **Arguments:**

        - `key`: the name, such as `"h"`, `"u"` or `"E"`.
        - `default`: what to return if there is no such value.
        - `rkg`: where transformations get random keys from.

        **Returns:** the value as it was set, or as a rule transforms it.
        """
        rules: Ruleset = get(self.ruleset)
        rules.warn_of_several(self.status, key)
        rule = rules.when_read(self.status, key)
        if rule is None:
            value = self._stored(key)
        elif not rule.tforms:
            value = self._source(rule, rkg)
        else:
            value = self.cache.get(rule.cached_as)
            if value is None:
                value = self._source(rule, rkg)
                if value is not None:
                    value = rules.transform(rule.tforms, self, key, value, rkg)
                    self.cache[rule.cached_as] = value
        return default if value is None else value

    def _source(self, rule: GetRule, rkg: RandomKeyGenerator) -> Any:
        # A rule that reads its own key means the stored value.
        return self._stored(rule.target) if rule.target == rule.key else self.get(rule.target, rkg=rkg)

    def _stored(self, key: str) -> Any:
        own = self._own(key)
        return self.cache.get(key) if own is None else own.get()

    def _own(self, key: str) -> BaseParam | None:
        """Return the param of that name: `h`, or one that a subclass has of its own. Other names are of the cache."""
        found = vars(self).get(key)
        return found if is_param(found) and not isinstance(found, ParamDict) else None

    def energy(self, rkg: RandomKeyGenerator = RKG) -> jax.Array | float:
        """Return the energy of the node, evaluated once and cached under "E".

        **Arguments:**

        - `rkg`: where the energy gets random keys from, if it draws.

        **Returns:** a scalar inside a vmap; outside, `[batch]`, or a scalar if the node was called on one sample there.
        Without knowledge of a sample's shape (u was set from outside, and no call was) the first axis is the batch.
        0.0 without an energy.

        **Raises:** `ValueError` if h or u isn't set, or their shapes don't broadcast.
        """
        energy_fn = get(self.energy_fn)
        if energy_fn is None:
            return 0.0
        cached = self.cache.get("E")
        if cached is not None:
            return cached
        try:
            elements = jnp.asarray(elements_of(energy_fn, self, rkg))
        except ValueError as e:
            if self.get("h") is None or self.get("u") is None or "shape" in str(e):
                raise UnsetEnergyError("", str(e)) from e
            raise
        total = jnp.sum(elements, axis=self._sample_axes(elements))
        self.cache["E"] = total
        return total

    def _sample_axes(self, elements: jax.Array) -> tuple[int, ...]:
        ndim = elements.ndim
        if in_vmap():
            return tuple(range(ndim))
        known = self._sample_ndim()
        return tuple(range(min(ndim, 1) if known is None else max(ndim - known, 0), ndim))

    def _sample_ndim(self) -> int | None:
        """Return the number of axes of one sample, None if it isn't known."""
        if self.cache.sample_ndim is not None:
            return self.cache.sample_ndim
        shape = self._shape.get()
        return None if shape is None else len(shape)


def _check_energy_fn(energy_fn: EnergyFn | None) -> None:
    """Refuse a function that can't be called with a vode and a generator of random keys, saying that h and u are read
    from the vode: from the names of its arguments no one would guess."""
    if isinstance(energy_fn, type) and issubclass(energy_fn, Energy):
        raise TypeError(f"Vode: energy_fn is the class {energy_fn.__name__}; make one: {energy_fn.__name__}(...)")
    try:
        _ = by_name(energy_fn) if energy_fn is not None else None
    except TypeError as e:
        raise TypeError(
            "Vode: energy_fn is called as energy_fn(vode, rkg=rkg) and reads vode.get('h') and vode.get('u'), but "
            f"{getattr(energy_fn, '__name__', energy_fn)!r} can't be called so: {e}"
        ) from None
