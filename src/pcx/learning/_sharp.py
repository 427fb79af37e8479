"""Warn of a user's energies whose gradient is not finite where values start: no rate of the states mends that."""

from __future__ import annotations

from collections.abc import Hashable

import jax
import jax.numpy as jnp
from jax.core import Tracer

from ..core import get, see, warn
from ..energy import Problem, vodes_of
from ..predictive_coding import Energy, EnergyModule


def warn_of_sharp_energies(call: str, model: EnergyModule, problem: Problem) -> None:
    """Warn of free nodes with an energy whose gradient is not finite at h = u, where a forward pass puts them.

    **Arguments:**

    - `call`: the rule's name.
    - `model`: the model, with its energies.
    - `problem`: its problem.
    """
    if type(problem) is not Problem:  # of two networks each has its energies
        return
    known: dict[Hashable, bool] = {}  # one look at energies that are alike
    sharp: dict[str, str] = {}
    for name, vode in vodes_of(problem.structure, model).items():
        energy, node = get(vode.energy_fn), problem.nodes[name]
        own = isinstance(energy, Energy) and not energy.squared and not type(energy).__module__.startswith("pcx.")
        if not own or name not in problem.free or not jnp.issubdtype(node.dtype, jnp.floating):
            continue
        key = energy.__static_key__(), node.shape, node.dtype
        if key not in known:
            known[key] = _is_sharp(energy, node.shape, node.dtype)
        if known[key]:
            sharp[name] = type(energy).__name__
    if sharp:
        classes = ", ".join(dict.fromkeys(sharp.values()))
        warn(
            f"{call}: the gradient of {classes}, the energy of {', '.join(sharp)}, is not finite at h = u, where "
            "values start, as that of sqrt((h - u)**2) or of a norm or logarithm of h - u: no rate of the states mends "
            f"that. Make it smooth there, as in sqrt((h - u)**2 + 1e-6){see('diverges')}"
        )


def _is_sharp(energy: Energy, shape: tuple[int, ...], dtype: jnp.dtype) -> bool:
    with jax.ensure_compile_time_eval():  # `init` may be called in a compiled function
        u = jnp.full(shape, 0.5, dtype)
        gradient = jax.grad(lambda h: jnp.sum(energy.elements(h, u)))(u)
        return not isinstance(gradient, Tracer) and not bool(jnp.isfinite(gradient).all())
