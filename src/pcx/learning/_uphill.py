"""Whether settling went uphill: the energy after it against the energy before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from ..energy._landscape import log_part
from ..inference._relax import SLACK
from ._batch import Batch


def start_energies(landscape: Any, nodes: Mapping[str, Any], forward: bool) -> dict[str, Any]:
    """The energies `{node: [batch]}` at the values from which the nodes settle.

    Under a forward start the errors of most nodes are zero, so only the others are evaluated, and those the forward
    pass itself has computed.

    **Arguments:**

    - `landscape`: the energy as a function of the free nodes.
    - `nodes`: the values at the start.
    - `forward`: whether those are of a forward pass.
    """
    p = landscape.problem
    still = [n for n in p.free if n in p.energy_ids and n not in p.unsettled] if forward and p.extra is None else []
    found = landscape.energies(nodes, [n for n in p.energy_ids if n not in still] if still else None)
    return found | {n: e for n in still if (e := landscape.constant(n)) is not None}


def rose(batch: Batch, before: Mapping[str, Any], after: Mapping[str, Any], heat: Any = 0.0) -> Any:
    """Whether the energy of a batch went up while values settled, by more than rounding and by a part that counts.

    **Arguments:**

    - `before`, `after`: energies of one landscape, `{node: [batch]}`.
    - `heat`: the temperature of the noise that values are moved by. At equilibrium it holds each number half of it
        above the least energy; twice that is allowed for. None if it isn't known: nothing is claimed then.
    """
    if heat is None or not before:
        return jnp.array(False)
    p = batch.problem
    free = sum(p.nodes[n].size for n in p.free)
    eps = max([float(jnp.finfo(p.nodes[n].dtype).eps) for n in p.free], default=0.0)
    rise = _total(after) - _total(before)
    # Log-determinants are in both, and say nothing of how large the energies are that descend.
    logs = {n: log_part(batch.precision[n], p.nodes[n].size) for n in before if n in batch.precision}
    scale = sum([jnp.abs(jnp.sum(e + logs.get(n, 0.0))) for n, e in before.items()])
    return rise > SLACK * scale + p.size * free * (eps + heat)


def _total(energies: Mapping[str, Any]) -> Any:
    return sum([jnp.sum(e) for e in energies.values()], jnp.float32(0))


def forward_energies(batch: Batch, held: Mapping[str, Any]) -> dict[str, Any]:
    """The energies at a forward pass, where no free node has an error: those of the `held` ones, and what precisions
    add to the others', `{node: [batch]}`."""
    p, precision = batch.problem, batch.precision
    logs = {n: -log_part(precision[n], p.nodes[n].size) for n in p.free if n in precision and n in p.energy_ids}
    return {n: jnp.broadcast_to(log, (p.size,)) for n, log in logs.items()} | dict(held)
