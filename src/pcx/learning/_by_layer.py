"""Equal layers that are shared out over devices: what a rule and a problem must be for that, and predictions."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from ..energy import LAYERS, Bound, Factors, ModelArrays, Nodes, Problem, Stacks, Structure, Weights, layer_devices

if TYPE_CHECKING:
    from ._rule import Rule


class NotByLayer(ValueError):
    """A rule or a network whose layers can't be shared out over devices.

    **Arguments:**

    - `rule`: the name of the rule.
    - `why`: the reason, after "the mesh shares layers out over 4 devices, and".
    - `joint`: the word before it.
    - `equal`, `take`: of layers that don't go evenly, how many they are and how many would do.
    """

    def __init__(self, rule: str, why: str, joint: str = "and", equal: int = 0, take: tuple[int, ...] = ()) -> None:
        self.why, self.equal, self.take = why, equal, take
        super().__init__(
            f"{rule}: the mesh shares layers out over {layer_devices()} devices (its axis {LAYERS!r}), {joint} {why}"
        )


def check_by_layer(rule: Rule, problem: Problem) -> None:
    """Refuse a rule or a network whose layers can't be shared out, if the mesh of JAX has an axis for them.

    **Arguments:**

    - `rule`: the rule.
    - `problem`: the problem.

    **Raises:** `NotByLayer`, with the reason.
    """
    devices = layer_devices()
    if devices == 1:
        return
    if not rule.in_stacks or not rule.can_stack(problem):
        raise NotByLayer(rule.name, "this rule computes each layer apart; share out the batch instead")
    if not rule.by_layer:
        raise NotByLayer(
            rule.name,
            "this rule goes through them one after the other, or in two directions, so that devices would wait "
            "for each other; share out the batch instead",
        )
    if rule.equal_layers in ("looped", "apart"):
        raise NotByLayer(rule.name, f"takes them in stacks: leave equal_layers={rule.equal_layers!r} out", "which")
    if not problem.runs:
        raise NotByLayer(
            rule.name,
            "no layers of this network are equal but for their weights, one after the other: they differ in "
            "width or activation, or in what is frozen, draw random numbers, or have energies of their own",
        )
    for group in [group for run in problem.runs for group in run.groups]:
        size, name = len(group.names), group.names[0]
        if size % devices:
            less = size - size % devices
            take = (less, less + devices) if less else (devices,)
            raise NotByLayer(
                rule.name,
                f"the {size} equal layers from {name} on can't be shared out evenly; take "
                f"{' or '.join(map(str, take))} of them, or another number of devices",
                equal=size,
                take=take,
            )
    if not problem.runs_forward:
        raise NotByLayer(rule.name, "a forward pass of this network computes them otherwise than by their predictions")


def check_in_stacks(rule: Rule, problem: Problem, weights: Weights, precision: Factors) -> None:
    """Refuse, if the mesh of JAX has an axis for layers, what takes the stacks of these apart.

    **Arguments:**

    - `rule`, `problem`: see `check_by_layer`.
    - `weights`: as the state has them.
    - `precision`: of the nodes.

    **Raises:** `NotByLayer`, with the reason.
    """
    devices = layer_devices()
    if devices == 1:
        return
    if not isinstance(weights, Stacks):
        raise NotByLayer(
            rule.name,
            "optim_w can't be given their weights in stacks: it looks at paths or at all weights together "
            "(a global norm, say), or holds a function that isn't Optax's own",
        )

    def weighed(name: str) -> Hashable:
        given = precision.get(name)
        return None if given is None else (np.shape(given), str(jnp.result_type(given)))

    for group in [group for run in problem.runs for group in run.groups]:
        if len({weighed(n) for n in group.names}) > 1:
            raise NotByLayer(rule.name, f"some of {group.names[0]} to {group.names[-1]} alone have a precision")
    why = rule.takes_apart(problem)
    if why is not None:
        raise NotByLayer(rule.name, why)


def outputs_by_layer(structure: Structure, outputs: tuple[str, ...], arrays: ModelArrays, x: PyTree) -> Nodes | None:
    """Return the predictions of the output nodes by a forward pass that goes from device to device.

    **Arguments:**

    - `structure`, `arrays`: the model.
    - `outputs`: the names of the output nodes.
    - `x`: the input, `[batch, ...]`.

    **Returns:** `{node: [batch, *shape]}`; None where layers are not shared out, or otherwise than they learn.
    """
    devices = layer_devices()
    if devices == 1 or not outputs or not isinstance(arrays.weights, Stacks):
        return None
    problem = Problem.of(structure, arrays, (x, None), training=False)
    groups = [group for run in problem.runs for group in run.groups]
    if not groups or any(len(group.names) % devices for group in groups) or not problem.runs_forward:
        return None
    bound = Bound(problem, arrays.weights, arrays.rest, jax.random.PRNGKey(0), x, None, form="stacked")
    u = bound.start(effects=False).u
    return {n: u[n] for n in structure.nodes if n in outputs}
