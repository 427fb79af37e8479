"""The gradient flow, integrated by Diffrax."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import Array

from ..core import not_negative, positive, see
from ..energy import Landscape, Nodes, laid_out
from ._first_bad import find_bad
from ._solution import RESULT, Solution
from ._solver import Observe, Solver, Trace
from ._stop import Stop

if TYPE_CHECKING:
    import diffrax


class Flow(Solver):
    """The flow `dh/dt = -dE/dh` up to a time, by a solver of Diffrax (extra `ode`): Heun's method with a fixed step, or
    with steps that adapt to an error tolerance. The number of steps given to `relax` or a rule is the most that are
    taken.

    Plain descent with step g for T steps is Euler's method up to time g T.

    **Arguments:**

    - `time`: how long values flow, above 0.
    - `step`: the step of the solver, above 0; None lets steps adapt.
    - `rtol`, `atol`: error tolerances of adaptive steps, on all values of the batch together.
    - `solver`: a Diffrax solver; `diffrax.Heun()` by default.

    **Raises:** `ImportError` if Diffrax isn't installed, `ValueError` for numbers out of these ranges.
    """

    def __init__(
        self,
        time: Array | float,
        step: Array | float | None = None,
        rtol: float = 1e-3,
        atol: float = 1e-6,
        solver: diffrax.AbstractSolver | None = None,
    ) -> None:
        try:
            import diffrax
        except ImportError as e:
            raise ImportError(f"Flow needs Diffrax: pip install diffrax{see('package')}") from e
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

    def solve(
        self,
        landscape: Landscape,
        start: Nodes,
        stop: Stop,
        *,
        key: Array | None = None,
        trace: Trace = False,
        observe: Observe | None = None,
        unobserved: int = 0,
    ) -> Solution:
        import diffrax

        if stop.early:
            raise ValueError(f"relax: Flow ends at its time: give a number of steps, not {type(stop).__name__}")
        if trace or observe is not None:
            raise ValueError("relax: Flow integrates, and has no steps of which to keep a trace or to observe")
        grad = laid_out(landscape.gradient(start), start)
        solved = diffrax.diffeqsolve(
            diffrax.ODETerm(lambda t, h, _: jax.tree.map(jnp.negative, grad(h))),
            self.solver,
            t0=0.0,
            t1=self.time,
            dt0=self.step,
            y0=start,
            stepsize_controller=self.controller,
            max_steps=stop.steps,
            saveat=diffrax.SaveAt(t1=True),
            throw=False,
        )
        saved: Any = solved.ys
        ended = {n: saved[n][-1] for n in start}
        steps = jnp.asarray(solved.stats["num_steps"], jnp.int32)
        # An integration that is cut off saves nothing at its end time.
        bad = find_bad(landscape.names, ended.items(), steps)
        result = jnp.where(solved.result == diffrax.RESULTS.successful, RESULT.settled, RESULT.out_of_steps)
        result = jnp.where(bad >= 0, RESULT.not_finite, result).astype(jnp.int32)
        size = next(iter(start.values())).shape[0]
        return Solution(ended, jnp.full((size,), steps), jnp.full((size,), result), None, bad)
