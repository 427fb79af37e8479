"""A model without its values: what is left when all arrays are taken out, and the pure functions it stands for.

Here, and only here, an energy module becomes a function on arrays; here, and only here, the batch axis is added.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Hashable
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from ..core import (
    RKG,
    BaseParam,
    Mark,
    RKGState,
    function_key,
    like,
    modules,
    one_more_vmap,
    plan_for,
    predicate,
    trace,
)
from ..predictive_coding import VodeParam
from ..predictive_coding._energy import zero_energy
from ..predictive_coding._energy_module import STATUS, EnergyModule
from ..predictive_coding._vode import Vode, predictions
from ._about import energy_of, params_of, positional
from ._door import no_model, refuse_nodes_inside, told_of_one_sample
from ._lead import led

BATCH = "batch"
Call = Callable[[Any, Any, Any], Any]
_known: weakref.WeakValueDictionary[Any, Any] = weakref.WeakValueDictionary()


class Values:
    """A model's arrays: `weights`, which learn, and `rest`, everything else it holds (running statistics, constants,
    keys), each a dict from path to value."""

    def __init__(self, weights: dict[str, Any], rest: dict[str, Any]) -> None:
        self.weights, self.rest = weights, rest


class Structure:
    """A model without its values. Two models built by the same code have equal structures.

    **Arguments:**

    - `model`: an energy module.
    - `learn`: which params are weights: a type, a union of types or a predicate of a param. Params marked
        `frozen = True` are not.
    - `call`: how the model is called on one sample, `call(model, x, y)`. By default `model(x, y)`, or `model(x)` if
        it takes one argument.
    - `part`: the part of the model whose value nodes count, `part(model)`; by default all of it.
    """

    def __init__(
        self, model: EnergyModule, learn: Any, call: Call | None = None, part: Callable[[Any], Any] | None = None
    ) -> None:
        if not isinstance(model, EnergyModule):
            raise no_model("", model)
        self.call = call
        self.part = part
        self.called: tuple[str, str] = getattr(call, "names", ("x", "y"))  # what x and y are in the batch
        self.takes_y = call is not None or positional(model) >= 2
        self.takes_x = call is not None or positional(model) >= 1
        self._made_by = learn, call, part
        self._learn = predicate("learn", learn)
        plan = plan_for({"model": model}, fresh=True)
        self.skeleton = plan.skeleton
        self.statics = [like(s, s.get()) for s in plan.statics]  # as they are now
        paths = [_short(path) for path in self.skeleton.param_paths]
        self._params = dict(zip(paths[1:], range(1, plan.n), strict=True))
        index_of = {id(p): i for i, p in enumerate(plan.params)}
        vodes = [v for v in modules(model if part is None else part(model)) if isinstance(v, Vode)]
        if not vodes:
            raise ValueError(f"{type(model).__name__} has no value nodes: put a pxc.Vode after each prediction")
        nodes = {paths[index_of[id(vode.h)]].removesuffix(".h"): vode for vode in vodes}
        self.nodes = tuple(nodes)
        params = enumerate(self.skeleton.params)
        self._vode_params = {i for i, p in params if isinstance(p, (VodeParam, VodeParam.Cache))}
        self.frozen = frozenset(name for name, vode in nodes.items() if vode.h._facts.get("frozen"))
        self.energies = {name: energy_of(vode) for name, vode in nodes.items()}
        self.has_own_energy = any(
            type(m).energy is not EnergyModule.energy
            for m in modules(model)
            if isinstance(m, EnergyModule) and not isinstance(m, Vode)
        )
        self._numbers = {i: x for i, x in enumerate(plan.raws) if not isinstance(x, (jax.Array, np.ndarray))}
        self._raw_paths = [_short(p) for p in self.skeleton.raw_paths]
        self._rest_paths: list[str] = []
        self.problems: dict[Hashable, Any] = {}  # what was traced of it, by the shapes of a batch
        self._key = (
            self.skeleton.key,
            self.skeleton.settings_key(self.statics),
            tuple([(i, type(x), x) for i, x in self._numbers.items()]),
            _key_of(call),
            _key_of(part),
            tuple([i for i in range(1, plan.n) if self.is_weight(i)]),
            self.nodes,  # in their order: targets go by it
        )
        self._hash = hash(self._key)
        self._begun = False

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Structure) and self._key == other._key)

    @classmethod
    def of(cls, *args: Any, **kwargs: Any) -> Structure:
        """The structure of a model: the very one made before of an equal model, with all that was traced of it."""
        new = cls(*args, **kwargs)
        return _known.setdefault(new, new)

    def __reduce__(self) -> Any:
        # A copy is made like the first: of a model of this structure, which holds nothing. So it is the very same
        # structure again where that one is known, and an equal one in another process.
        return _restored, (self.skeleton.without_values(self._numbers, self.statics), *self._made_by)

    def __copy__(self) -> Structure:
        return self

    def __deepcopy__(self, memo: Any) -> Structure:
        return self

    @property
    def convolves(self) -> bool:
        """Whether any problem that was traced of it has convolutions."""
        return any(problem.convolves for problem in self.problems.values())

    def learns(self, param: BaseParam) -> bool:
        """Whether a param that is no part of the model is one that would have to learn."""
        constant = any(p is param for static in self.statics for p in params_of(static.get()))
        return not isinstance(param, (VodeParam, VodeParam.Cache)) and bool(self._learn(param)) and not constant

    def is_weight(self, index: int) -> bool:
        """Whether the param at that place of the skeleton learns."""
        param = self.skeleton.params[index]
        return index not in self._vode_params and not param._facts.get("frozen") and bool(self._learn(param))

    def values_of(self, model: EnergyModule) -> Values:
        """The arrays of a model of this structure.

        **Raises:** `ValueError` if the model has another structure; `TypeError` for weights that are no floats.
        """
        plan = plan_for({"model": model})
        if plan.skeleton is not self.skeleton and plan.skeleton.key != self.skeleton.key:
            raise ValueError(
                f"this {type(model).__name__} is built differently from the model that the state was made of, or what "
                "its functions read (a configuration, a global value) has changed since"
            )
        weights: dict[str, Any] = {}
        rest: dict[str, Any] = {}
        for path, index in self._params.items():
            value = BaseParam.get(plan.params[index])
            if index in self._vode_params or value is None:
                continue
            if self.is_weight(index):
                for leaf in jtu.tree_leaves(value):
                    if not jnp.issubdtype(jnp.result_type(leaf), jnp.inexact):
                        raise TypeError(
                            f"{path} is to learn but holds {jnp.result_type(leaf)}; mark it `frozen = True`"
                        )
                weights[path] = jtu.tree_map(jnp.asarray, value)
            else:
                rest[path] = jtu.tree_map(jnp.asarray, value)
        for i, (path, value) in enumerate(zip(self._raw_paths, plan.raws, strict=True)):
            if i not in self._numbers:
                rest[f"={path}"] = jnp.asarray(value)
        return Values(weights, rest)

    def write(self, model: EnergyModule, values: Values) -> None:
        """Set a model's params to `values`.

        **Raises:** `ValueError` if the model has another structure, before anything is set.
        """
        old = self.values_of(model)
        for name, new, have in (("weights", values.weights, old.weights), ("rest", values.rest, old.rest)):
            if new.keys() != have.keys():
                raise ValueError(
                    f"the {name} don't fit the model: {sorted(new.keys() ^ have.keys())} are in one of them"
                )
            for path in new:
                got, expected = jtu.tree_map(jnp.shape, new[path]), jtu.tree_map(jnp.shape, have[path])
                if got != expected:
                    raise ValueError(f"{path} has shape {expected} in the model, {got} in what is to be written")
        plan = plan_for({"model": model})
        for path, value in {**values.weights, **values.rest}.items():
            if not path.startswith("="):
                plan.params[self._params[path]].set(value)

    def _begin(self) -> None:
        """Warn, when the model's call is about to run again, if what it reads is not what it was."""
        if not self._begun:
            self._begun = True  # it was made just now
            return
        model = self.skeleton.without_values(self._numbers, self.statics)
        if Structure(model, *self._made_by)._key != self._key:
            warnings.warn(
                f"what the functions of {type(model).__name__} read (a configuration, a global value) has changed "
                "since the state was made. This batch is computed with what they read now, but batches of shapes that "
                "came before still with what it was then: make a new state by rule.init",
                stacklevel=2,
            )

    # -- the pure functions ---------------------------------------------------------------------------
    def start(
        self,
        weights: Any,
        rest: Any,
        key: Any,
        x: Any,
        y: Any,
        training: bool = True,
        size: int | None = None,
        set_in_call: set[str] | None = None,
    ) -> Any:
        """Forward initialisation of a batch: `({node: {"h", "u"}}, output, new rest)`. `size`: how many samples, where
        neither x nor y says it. `set_in_call` receives the nodes whose value the call set otherwise than by a
        prediction."""

        self._begin()

        def forward(x: Any, y: Any, lane: Any, *, model: Any) -> Any:
            _prepare(model, training, STATUS.INIT)
            token = predictions.set(given := {})
            vodes = self._vodes(model)
            try:
                output = self._called(model, x, y)
            except jax.errors.UnexpectedTracerError:
                refuse_nodes_inside(vodes, lane)
                raise
            finally:
                predictions.reset(token)
            refuse_nodes_inside(vodes, lane)
            made = {}
            for name, vode in vodes.items():
                left = given.get(id(vode), [])
                if len(left) > 1:
                    raise ValueError(
                        f"the model's call gives the value node {name} {len(left)} predictions, and only the last one "
                        "would have an energy; each prediction needs a value node of its own"
                    )
                h, u = vode.h.get(), vode.get("u")
                if set_in_call is not None and h is not None and not any(h is state for state in left):
                    set_in_call.add(name)
                given_u = led(u, lane)
                made[name] = {"h": given_u if h is u else led(h, lane), "u": given_u}
            return made, output

        return self._mapped(forward, weights, rest, key, x, y, size=size)

    def energy(
        self,
        weights: Any,
        rest: Any,
        key: Any,
        x: Any,
        y: Any,
        nodes: dict[str, Any],
        clamped: Any,
        training: bool = True,
    ) -> Any:
        """Everything at given values of the nodes: `{node: {"u", "E"}}`, with E elementwise, or one for each sample
        if the node says so itself; and `[batch]` of what the modules' own energies add."""

        def energies(x: Any, y: Any, lane: Any, h: dict[str, Any], *, model: Any) -> Any:
            _prepare(model, training, None)
            vodes = self._vodes(model)
            for name, vode in vodes.items():
                vode.h.set(h.get(name))
            self._called(model, x, y)
            out = {}
            for name, vode in vodes.items():
                if name in clamped:  # whatever the model made of y: the rule says what the node is held at
                    vode.h.set(h[name])
                u = led(vode.get("u"), lane)
                # The energy is computed now, from what is given out as u: so the program can be cut there.
                stored = {} if vode.ruleset.get().when_read(None, "u") is not None or u is None else {"u": u}
                vode.cache.update(stored, tuple([k for k in vode.cache.get() or {} if k == "E" or ":" in k]))
                function = vode.energy_fn.get()
                energy = None
                if type(vode).energy is not Vode.energy:
                    energy = jnp.asarray(vode.energy())
                elif function is not None and function is not zero_energy:
                    energy = jnp.asarray(function(vode, RKG))
                out[name] = {"u": u, "E": energy}
            extra = None
            if self.has_own_energy:
                parts = [v.energy() for v in vodes.values()]
                extra = jnp.asarray(model.energy()) - sum(parts)
            return out, extra

        (out, extra), _ = self._mapped(energies, weights, rest, key, x, y, nodes)
        return out, extra

    def _vodes(self, model: Any) -> dict[str, Any]:
        inside = model if self.part is None else self.part(model)
        return dict(zip(self.nodes, [v for v in modules(inside) if isinstance(v, Vode)], strict=True))

    def _called(self, model: Any, x: Any, y: Any) -> Any:
        with told_of_one_sample(model, x, y, self.called):
            if self.call is not None:
                return self.call(model, x, y)
            return model(x, y) if self.takes_y else model(x) if self.takes_x else model()

    def _mapped(
        self, fn: Any, weights: Any, rest: Any, key: Any, x: Any, y: Any, *more: Any, size: int | None = None
    ) -> Any:
        values: list[Any] = [None] * len(self.skeleton.params)
        keys = [0]
        values[0] = key
        for path, index in self._params.items():
            if path in weights:
                values[index] = weights[path]
            elif path in rest:
                values[index] = rest[path]
                if isinstance(self.skeleton.params[index], RKGState):
                    keys.append(index)
        raws = [self._numbers.get(i, rest.get(f"={path}")) for i, path in enumerate(self._raw_paths)]
        names = {index: path for path, index in self._params.items()}

        def one(x: Any, y: Any, lane: Any, *more: Any) -> Any:
            own = list(values)
            for i in keys:  # each sample draws numbers of its own
                own[i] = jax.random.fold_in(jax.random.split(values[i])[1], lane)
            marks = [Mark(None) for _ in own]
            with one_more_vmap():
                out = trace(self.skeleton, fn, (x, y, lane, *more), own, raws, self.statics, marks)
            changed = {names[i]: v for i, v in out.changed.items() if i not in self._vode_params and i not in keys}
            return out.result, changed

        lanes = jnp.arange(_size(x, y, *more) if size is None else size)
        try:
            result, changed = jax.vmap(one, out_axes=(0, None), axis_name=BATCH)(x, y, lanes, *more)
        except ValueError as e:
            if "out_axes" in str(e):
                raise ValueError(
                    "the model sets a param to a value that differs over the batch; reduce it over the axis "
                    f"{BATCH!r} first, as BatchNorm(axis_name={BATCH!r}) does"
                ) from e
            raise
        new = {path: changed.get(path, value) for path, value in rest.items()}
        for i in keys[1:]:
            new[names[i]] = jax.random.split(values[i])[0]
        return result, new


def _prepare(model: Any, training: bool, status: str | None) -> None:
    for module in modules(model):
        if isinstance(module, EnergyModule):
            module.status = status
    if training:
        model.train()
    else:
        model.eval()


def _size(*trees: Any) -> int:
    leaves = jtu.tree_leaves(trees)
    if not leaves:
        raise ValueError("there is no array in the batch, so it is not known how many samples it has")
    return int(np.shape(leaves[0])[0])


def _restored(model: EnergyModule, learn: Any, call: Any, part: Any) -> Structure:
    return Structure.of(model, learn, call, part)


def _short(path: str) -> str:
    return path.removeprefix("model").removeprefix(".")


def _key_of(fn: Any) -> Hashable:
    return None if fn is None else function_key(fn)
