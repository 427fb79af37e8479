"""A model without its values: what is left when all arrays are taken out."""

from __future__ import annotations

import abc
import weakref
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jaxtyping import PyTree

from ..core import BaseParam, Choice, function_key, like, modules, plan_for, predicate, warn
from ..predictive_coding import EnergyModule, Vode, VodeParam, name_of_energy
from ._about import form_of, is_squared, params_of, positional
from ._dtypes import Casts, check_weights
from ._model_errors import no_model
from ._types import Weights

Call = Callable[..., PyTree]
Part = Callable[[Any], Any]
T = TypeVar("T")
_interned: weakref.WeakValueDictionary[Any, Any] = weakref.WeakValueDictionary()


class ModelArrays(NamedTuple):
    """A model's arrays.

    **Attributes:**

    - `weights`: those that learn, `{path: array}`.
    - `rest`: everything else it holds (running statistics, constants, keys), `{path: array}`.
    """

    weights: Weights
    rest: Weights


class Structure(abc.ABC):  # noqa: B024  (two networks' structures, as one, are registered as one)
    """A model without its values. Two models built by the same code have equal structures.

    **Arguments:**

    - `model`: an energy module.
    - `learn`: which params are weights: a type, a union of types or a predicate of a param. Params marked
        `frozen = True` are not.
    - `call`: how the model is called on one sample, `call(model, x, y)`. By default `model(x, y)`, or `model(x)` if
        it takes one argument.
    - `part`: the part of the model whose value nodes count, `part(model)`; by default all of it.
    - `casts`: the dtypes that the model's call is traced at, if not those of its arrays.
    """

    def __init__(
        self,
        model: EnergyModule,
        learn: Choice,
        call: Call | None = None,
        part: Part | None = None,
        casts: Casts | None = None,
    ) -> None:
        if not isinstance(model, EnergyModule):
            raise no_model("", model)
        self.call = call
        self.part = part
        self.dtypes = None if casts is None else casts.policy
        self.rounding = 0.0 if casts is None else casts.policy.rounding
        self.called: tuple[str, str] = getattr(call, "names", ("x", "y"))  # what x and y are in the batch
        self.takes_y = call is not None or positional(model) >= 2
        self.takes_x = call is not None or positional(model) >= 1
        self._made_by = learn, call, part, casts
        self._learn = predicate("learn", learn)
        plan = plan_for({"model": model}, fresh=True)
        self.skeleton = plan.skeleton
        self.statics = [like(s, s.get()) for s in plan.statics]  # as they are now
        paths = [_short(path) for path in self.skeleton.param_paths]
        self.params = dict(zip(paths[1:], range(1, plan.n), strict=True))
        index_of = {id(p): i for i, p in enumerate(plan.params)}
        vodes = [v for v in modules(model if part is None else part(model)) if isinstance(v, Vode)]
        if not vodes:
            raise ValueError(f"{type(model).__name__} has no value nodes: put a pxc.Vode after each prediction")
        nodes = {paths[index_of[id(vode.h)]].removesuffix(".h"): vode for vode in vodes}
        self.nodes = tuple(nodes)
        params = enumerate(self.skeleton.params)
        self.vode_params = {i for i, p in params if isinstance(p, (VodeParam, VodeParam.Cache))}
        states = {id(vode.h) for vode in modules(model) if isinstance(vode, Vode)}
        # What subclasses of vodes keep of a sample beside h.
        self.own_params = {i for i, p in enumerate(plan.params) if isinstance(p, VodeParam) and id(p) not in states}
        self.cast: set[int] = set()
        if casts is not None:  # weights, also those that don't learn; no other state, such as running statistics
            layers = predicate("casts", casts.layers)
            self.cast = {i for i in range(1, plan.n) if self.is_weight(i) or layers(self.skeleton.params[i])}
        self.frozen = frozenset(name for name, vode in nodes.items() if vode.h._facts.get("frozen"))
        self.squared = {name: is_squared(vode) for name, vode in nodes.items()}
        self.forms = {name: form_of(vode) for name, vode in nodes.items()}
        self.energy_names = {name: name_of_energy(vode) for name, vode in nodes.items()}
        self.has_own_energy = any(
            type(m).energy is not EnergyModule.energy
            for m in modules(model)
            if isinstance(m, EnergyModule) and not isinstance(m, Vode)
        )
        self.numbers = {i: x for i, x in enumerate(plan.raws) if not isinstance(x, (jax.Array, np.ndarray))}
        self.raw_paths = [_short(p) for p in self.skeleton.raw_paths]
        self.problems: dict[Hashable, Any] = {}  # what was traced of it, by the shapes of a batch
        self._key = (
            self.skeleton.key,
            self.skeleton.settings_key(self.statics),
            tuple([(i, type(x), x) for i, x in self.numbers.items()]),
            _key_of(call),
            _key_of(part),
            self.dtypes,
            tuple(sorted(self.cast)),
            tuple([i for i in range(1, plan.n) if self.is_weight(i)]),
            self.nodes,  # in their order: targets go by it
        )
        self._hash = hash(self._key)
        self._called_before = False

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (type(other) is type(self) and self._key == other._key)

    @property
    def frozen_weights(self) -> tuple[str, ...]:
        """The paths of params that would learn if they were not marked `frozen = True`."""
        params = self.skeleton.params
        places = {p: i for p, i in self.params.items() if i not in self.vode_params and self._learn(params[i])}
        return tuple([path for path, i in places.items() if params[i]._facts.get("frozen")])

    @classmethod
    def of(
        cls,
        model: EnergyModule,
        learn: Choice,
        call: Call | None = None,
        part: Part | None = None,
        casts: Casts | None = None,
    ) -> Structure:
        """Return the structure of a model: the very one made before of an equal model, with all that was traced of
        it."""
        new = cls(model, learn, call, part, casts)
        return _interned.setdefault(new, new)

    def __reduce__(self) -> Any:
        # A copy is made like the first: of a model of this structure, which holds nothing. So it is the very same
        # structure again where that one is known, and an equal one in another process.
        return _restored, (self.skeleton.without_values(self.numbers, self.statics), *self._made_by)

    def __copy__(self) -> Structure:
        return self

    def __deepcopy__(self, memo: Any) -> Structure:
        return self

    def as_values(self, made: T) -> T:
        """Return values and predictions, or their shapes, in the dtype of values, whatever the model's call makes."""
        return made if self.dtypes is None else self.dtypes.cast(made)

    def learns(self, param: BaseParam) -> bool:
        """Return whether a param that is no part of the model is one that would have to learn."""
        constant = any(p is param for static in self.statics for p in params_of(static.get()))
        return not isinstance(param, (VodeParam, VodeParam.Cache)) and bool(self._learn(param)) and not constant

    def is_weight(self, index: int) -> bool:
        """Return whether the param at that place of the skeleton learns."""
        param = self.skeleton.params[index]
        return index not in self.vode_params and not param._facts.get("frozen") and bool(self._learn(param))

    def values_of(self, model: EnergyModule) -> ModelArrays:
        """Return the arrays of a model of this structure.

        **Raises:** `ValueError` if the model has another structure; `TypeError` for weights that are no floats.
        """
        plan = plan_for({"model": model})
        if plan.skeleton is not self.skeleton and plan.skeleton.key != self.skeleton.key:
            raise ValueError(
                f"this {type(model).__name__} is built differently from the model that the state was made of, or what "
                "its functions read (a configuration, a global value) has changed since; build it as it was then, or "
                "begin with rule.init(model, batch)"
            )
        weights: dict[str, Any] = {}
        rest: dict[str, Any] = {}
        for path, index in self.params.items():
            value = BaseParam.get(plan.params[index])
            if index in self.vode_params or value is None:
                continue
            if self.is_weight(index):
                for leaf in jtu.tree_leaves(value):
                    if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
                        raise TypeError(
                            f"{path} is to learn but holds {jnp.result_type(leaf)}; mark it `frozen = True`"
                        )
                    check_weights(self.dtypes, path, jnp.result_type(leaf))
                weights[path] = jtu.tree_map(jnp.asarray, value)
            else:
                rest[path] = jtu.tree_map(jnp.asarray, value)
        for i, (path, value) in enumerate(zip(self.raw_paths, plan.raws, strict=True)):
            if i not in self.numbers:
                rest[f"={path}"] = jnp.asarray(value)
        return ModelArrays(weights, rest)

    def write(self, model: EnergyModule, values: ModelArrays) -> None:
        """Set a model's params to `values`.

        **Raises:** `ValueError` if the model has another structure, before anything is set.
        """
        old = self.values_of(model)
        for name, new, have in (("weights", values.weights, old.weights), ("rest", values.rest, old.rest)):
            if new.keys() != have.keys():
                raise ValueError(
                    f"the {name} don't fit the model: {sorted(new.keys() ^ have.keys())} are in one of them alone; "
                    "give a model that is built as theirs was"
                )
            for path in new:
                got, expected = jtu.tree_map(jnp.shape, new[path]), jtu.tree_map(jnp.shape, have[path])
                if got != expected:
                    raise ValueError(
                        f"{path} has shape {expected} in the model, {got} in what is to be written; give a model "
                        "that is built alike"
                    )
        plan = plan_for({"model": model})
        for path, value in {**values.weights, **values.rest}.items():
            if not path.startswith("="):
                plan.params[self.params[path]].set(value)

    def check_unchanged(self) -> None:
        """Warn, when the model's call is about to run again, if what it reads is not what it was."""
        if not self._called_before:
            self._called_before = True  # it was made just now
            return
        model = self.skeleton.without_values(self.numbers, self.statics)
        if Structure(model, *self._made_by)._key != self._key:
            warn(
                f"what the functions of {type(model).__name__} read (a configuration, a global value) has changed "
                "since the state was made. This batch is computed with what they read now, but batches of shapes that "
                "came before still with what it was then: make a new state by rule.init",
            )


def _restored(
    model: EnergyModule, learn: Choice, call: Call | None, part: Part | None, casts: Casts | None = None
) -> Structure:
    return Structure.of(model, learn, call, part, casts)


def _short(path: str) -> str:
    return path.removeprefix("model").removeprefix(".")


def _key_of(fn: Callable[..., object] | None) -> Hashable:
    return None if fn is None else function_key(fn)
