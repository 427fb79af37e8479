"""The pure functions that a model stands for: its forward pass, and its energies at given values.

Here, and only here, an energy module becomes a function on arrays; here, and only here, the batch axis is added.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jax import Array
from jaxtyping import PyTree

from ..core import ABSENT, Mark, Mismatched, RKGState, get, is_param, modules, one_more_vmap, trace
from ..predictive_coding import STATUS, EnergyModule, Predictions, Vode, elements_of, predictions, zero_energy
from ._batch_first import batch_first
from ._dtypes import cast_like
from ._model_errors import raise_reworded, refuse_nodes_inside, told_of_one_sample
from ._products import in_fewer_bits
from ._structure import Structure
from ._types import Inputs, NodesIn, Weights

BATCH = "batch"
"""The name of the batch axis while a model's call is traced."""

# What is made of each node: values, predictions or energies, by their names; None where there is none.
Made = dict[str, dict[str, Array | None]]


def forward_pass(
    structure: Structure,
    inputs: Inputs,
    training: bool = True,
    size: int | None = None,
    set_in_call: set[str] | None = None,
) -> tuple[tuple[Made, PyTree], Weights]:
    """Return the values and predictions of a batch under forward initialisation.

    **Arguments:**

    - `size`: the number of samples, where neither x nor y says it.
    - `set_in_call`: receives the nodes whose value the call set otherwise than by a prediction.

    **Returns:** `({node: {"h", "u"}}, output), rest`: by node, the model's own output, and its params that don't learn
    as they are afterwards.
    """

    structure.check_unchanged()

    def forward(x: PyTree, y: PyTree, lane: Array, *, model: EnergyModule) -> tuple[Made, PyTree]:
        _prepare(model, training, STATUS.INIT)
        # As in the energies, what is predicted from a value is computed from it with the batch as first axis.
        token = predictions.set(given := Predictions(lambda u: batch_first(u, lane) if type(u) is type(lane) else u))
        vodes = vodes_of(structure, model)
        try:
            output = _call(structure, model, x, y)
        except jax.errors.UnexpectedTracerError:
            refuse_nodes_inside(vodes, lane)
            raise
        finally:
            predictions.reset(token)
        refuse_nodes_inside(vodes, lane)
        made: Made = {}
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
            given_u = batch_first(u, lane)
            made[name] = {"h": given_u if h is u else batch_first(h, lane), "u": given_u}
            _refuse_complex(name, made[name])
        return made, output

    return _over_batch(structure, forward, inputs, size=size)


def _refuse_complex(name: str, made: Mapping[str, Array | None]) -> None:
    for kind, value in (("prediction", made["u"]), ("value", made["h"])):
        if value is not None and jnp.issubdtype(value.dtype, jnp.complexfloating):
            raise ValueError(
                f"the {kind} of {name} is of complex numbers ({value.dtype}), but energies are of real ones: give real "
                "and imaginary part as features, as in jnp.concatenate([x.real, x.imag])"
            )


def energies_at(
    structure: Structure, inputs: Inputs, nodes: NodesIn, clamped: Collection[str], training: bool = True
) -> tuple[Made, Array | None]:
    """Return a batch's energies at given values of the nodes.

    **Arguments:**

    - `nodes`: `{node: [batch, *shape]}`, of all nodes.
    - `clamped`: those whose value the rule sets, whatever the model's call makes of y.

    **Returns:** `{node: {"u", "E"}}`, with E elementwise, or one for each sample if the node says so itself; and
    `[batch]` of what the modules' own energies add, None if they add nothing.
    """

    def energies(x: PyTree, y: PyTree, lane: Array, h: NodesIn, *, model: EnergyModule) -> tuple[Made, Array | None]:
        _prepare(model, training, None)
        vodes = vodes_of(structure, model)
        for name, vode in vodes.items():
            vode.h.set(h.get(name))
        _call(structure, model, x, y)
        out: Made = {}
        for name, vode in vodes.items():
            if name in clamped:
                vode.h.set(h[name])
            u = structure.as_values(batch_first(vode.get("u"), lane))
            _pin_prediction(vode, u)
            out[name] = {"u": u, "E": _energy_of(name, vode)}
        extra = None
        if structure.has_own_energy:
            parts = [v.energy() for v in vodes.values()]
            extra = jnp.asarray(model.energy()) - sum(parts)
        return out, extra

    (out, extra), _ = _over_batch(structure, energies, inputs, nodes, unknown=structure.own_params)
    return out, extra


def _pin_prediction(vode: Vode, u: Array | None) -> None:
    """Make the energy be computed now, and from `u`, so that the program can be cut there."""
    stored = {} if get(vode.ruleset).when_read(None, "u") is not None or u is None else {"u": u}
    own: Any = vars(vode).get("u")
    if stored and is_param(own):  # a subclass keeps its prediction in a param
        own.set(stored.pop("u"))
    vode.cache.update(stored, tuple([k for k in vode.cache.get() or {} if k == "E" or ":" in k]))


def _energy_of(name: str, vode: Vode) -> Array | None:
    """Return a node's energy; errors of its own code name the node."""
    try:
        return _own_energy(vode)
    except (TypeError, ValueError) as e:
        raise_reworded(e, f"the energy of {name}: {e}", f"In the energy of {name}.")


def _own_energy(vode: Vode) -> Array | None:
    function = get(vode.energy_fn)
    if type(vode).energy is not Vode.energy:
        return jnp.asarray(vode.energy())
    if function is None or function is zero_energy:
        return None
    made = elements_of(function, vode)
    return made if isinstance(made, jax.Array) else jnp.asarray(made)


def vodes_of(structure: Structure, model: EnergyModule) -> dict[str, Vode]:
    """Return the value nodes of a model, by name.

    **Arguments:**

    - `structure`: of the model.
    - `model`: the model, or one of the same structure.
    """
    inside = model if structure.part is None else structure.part(model)
    return dict(zip(structure.nodes, [v for v in modules(inside) if isinstance(v, Vode)], strict=True))


def _call(structure: Structure, model: EnergyModule, x: PyTree, y: PyTree) -> PyTree:
    with told_of_one_sample(model, x, y, structure.called):
        if structure.call is not None:
            return structure.call(model, x, y)
        called: Any = model
        return called(x, y) if structure.takes_y else called(x) if structure.takes_x else called()


def _over_batch(
    structure: Structure,
    fn: Callable[..., Any],
    inputs: Inputs,
    *more: PyTree,
    size: int | None = None,
    unknown: Collection[int] = (),
) -> Any:
    """Run `fn(x, y, lane, *more, model=...)` on every sample of a batch, on a copy of the model with these arrays.

    **Arguments:**

    - `unknown`: the places of params that must not be read before they are set.
    """
    skeleton, paths, dtypes = structure.skeleton, structure.params, structure.dtypes
    x = inputs.x if dtypes is None else dtypes.cast(inputs.x)  # not y: targets keep their digits
    values: list[Any] = [None] * len(skeleton.params)
    keys = [0]
    values[0] = inputs.key
    for path, index in paths.items():
        if path in inputs.weights:
            values[index] = inputs.weights[path] if dtypes is None else dtypes.cast(inputs.weights[path])
        elif path in inputs.rest:
            values[index] = inputs.rest[path]
            if dtypes is not None and index in structure.cast:
                values[index] = dtypes.cast(values[index])
            if isinstance(skeleton.params[index], RKGState):
                keys.append(index)
    raws = [structure.numbers.get(i, inputs.rest.get(f"={path}")) for i, path in enumerate(structure.raw_paths)]
    names = {index: path for path, index in paths.items()}

    def one(x: PyTree, y: PyTree, lane: Array, *more: PyTree) -> Any:
        own = list(values)
        for i in keys:  # each sample draws numbers of its own
            own[i] = jax.random.fold_in(jax.random.split(values[i])[1], lane)
        marks: list[Mark] = [Mark(None) for _ in own]
        for i in unknown:
            own[i], marks[i] = ABSENT, Mismatched(None, _not_kept(names[i]))
        with one_more_vmap():
            out = trace(skeleton, fn, (x, y, lane, *more), own, raws, structure.statics, marks)
        fixed = structure.vode_params | set(keys)
        return out.result, {names[i]: v for i, v in out.changed.items() if i not in fixed}

    lanes = jnp.arange(_size(inputs.x, inputs.y, *more) if size is None else size)
    try:
        every = jax.vmap(one, out_axes=(0, None), axis_name=BATCH)
        if dtypes is not None and dtypes.replaced is not None:
            every = in_fewer_bits(every, dtypes.replaced)
        result, changed = every(x, inputs.y, lanes, *more)
    except ValueError as e:
        if "out_axes" in str(e):
            raise ValueError(
                "the model sets a param to a value that differs over the batch; reduce it over the axis "
                f"{BATCH!r} first, as BatchNorm(axis_name={BATCH!r}) does"
            ) from e
        raise
    rest = {path: changed.get(path, value) for path, value in inputs.rest.items()}
    if dtypes is not None:  # what the call has set is kept as it was
        rest = {path: cast_like(value, inputs.rest[path]) for path, value in rest.items()}
    for i in keys[1:]:
        rest[names[i]] = jax.random.split(values[i])[0]
    return result, rest


def _not_kept(path: str) -> str:
    return (
        f"{path} is read before it is set: of a value node, learning rules keep its value h alone from the forward "
        "pass to what follows. Set it in every call, under any status; or make it a pcx.Param, if it is the same for "
        "all samples"
    )


def _prepare(model: EnergyModule, training: bool, status: str | None) -> None:
    for module in modules(model):
        if isinstance(module, EnergyModule):
            module.status = status
    if training:
        model.train()
    else:
        model.eval()


def _size(*trees: PyTree) -> int:
    leaves = jtu.tree_leaves(trees)
    if not leaves:
        raise ValueError("there is no array in the batch, so it is not known how many samples it has")
    return int(np.shape(leaves[0])[0])
