"""The gradient flow, integrated by Diffrax."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from ..energy._loops import laid_out
from ._descent import Descent
from ._numbers import not_negative, positive
from ._schedule import AllNodes, Schedule, WaveFront
from ._solution import RESULT, Solution
from ._stop import Steps, Stop


class Flow(Descent):
    """The flow `dh/dt = -dE/dh` up to a time, by a solver of Diffrax (extra `ode`): Heun's method with a fixed step, or
    with steps that adapt to an error tolerance. The number of steps given to `relax` or a rule is the most that are
    taken.

    Plain descent with step g for T steps is Euler's method up to time g T.

    **Arguments:**

    - `time`: how long values flow, above 0.
    - `step`: the step of the solver; None lets steps adapt.
    - `rtol`, `atol`: error tolerances of adaptive steps, on all values of the batch together.
    - `solver`: a Diffrax solver; `diffrax.Heun()` by default.

    **Raises:** `ImportError` if Diffrax isn't installed.
    """

    def __init__(self, time: Any, step: Any = None, rtol: float = 1e-3, atol: float = 1e-6, solver: Any = None) -> None:
        try:
            import diffrax
        except ImportError as e:
            raise ImportError("Flow needs Diffrax: pip install diffrax") from e
        positive("Flow", "time", time)
        if step is not None:
            positive("Flow", "step", step)
        for name, value in (("rtol", rtol), ("atol", atol)):
            not_negative("Flow", name, value)
        self.time, self.step = time, step
        self.solver = diffrax.Heun() if solver is None else solver
        self.controller = (
            diffrax.ConstantStepSize() if step is not None else diffrax.PIDController(rtol=rtol, atol=atol)
        )

    def init(self, value: jax.Array) -> Any:
        return ()

    def update(self, gradient: jax.Array, state: Any, value: jax.Array, key: jax.Array | None) -> tuple[Any, Any]:
        raise TypeError("Flow takes no single steps: it is integrated")

    def integrate(
        self, landscape: Any, nodes: Mapping[str, Any], stop: Stop, schedule: Schedule, trace: bool
    ) -> Solution:
        """Settle by integration, for `relax`.

        **Raises:** `ValueError` for a stop, a schedule or a trace that an integration doesn't have.
        """
        import diffrax

        if not isinstance(stop, Steps):
            raise ValueError(f"Flow ends at its time: give a number of steps, not {type(stop).__name__}")
        if not isinstance(schedule, (AllNodes, WaveFront)):
            raise ValueError(f"Flow moves all nodes together: {type(schedule).__name__} can't be used")
        if trace:
            raise ValueError("Flow keeps no trace of energies")
        nodes = {n: nodes[n] for n in landscape.free}
        slope = laid_out(landscape.gradient(nodes), nodes)
        names = {n: i for i, n in enumerate(landscape.names)}
        solved = diffrax.diffeqsolve(
            diffrax.ODETerm(lambda t, h, _: jax.tree.map(jnp.negative, slope(h))),
            self.solver,
            t0=0.0,
            t1=self.time,
            dt0=self.step,
            y0=nodes,
            stepsize_controller=self.controller,
            max_steps=stop.steps,
            saveat=diffrax.SaveAt(t1=True),
            throw=False,
        )
        saved: Any = solved.ys
        ended = {n: v[-1] for n, v in saved.items()}
        size = next(iter(nodes.values())).shape[0]
        done = solved.result == diffrax.RESULTS.successful
        # An integration that is cut off saves nothing at its end time.
        finite = {n: jnp.all(jnp.isfinite(v)) for n, v in ended.items()}
        bad = jnp.int32(-1)
        for name, good in finite.items():
            code = jnp.int32(len(names)) * solved.stats["num_steps"] + names[name]
            bad = jnp.where((bad < 0) & ~good, code.astype(jnp.int32), bad)
        result = jnp.where(done, RESULT.settled, RESULT.out_of_steps).astype(jnp.int32)
        result = jnp.where(bad >= 0, RESULT.not_finite, result)
        steps = jnp.asarray(solved.stats["num_steps"], jnp.int32)
        return Solution(ended, jnp.full((size,), steps), jnp.full((size,), result), None, bad)
