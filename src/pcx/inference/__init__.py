"""pxi: how values settle. Pure functions on arrays.

`relax` lets the free nodes of a landscape settle, by a `Solver`: steps of a `Descent` in the order of a `Schedule`
until a `Stop`, or a `Flow`. The loops know none of these by name.
"""

# What `__all__` does not list is for other rooms, and not public.
# ruff: noqa: F401

from ._by_node import (
    DescentLike,
    as_descent,
)
from ._descent import (
    Descent,
    Descents,
)
from ._descent_solver import SolverLike, as_schedule, as_solver
from ._first_bad import (
    find_bad,
    where_bad,
)
from ._flow import Flow
from ._langevin import Langevin
from ._linear import linear_equilibrium
from ._operations import draws_numbers
from ._optax import (
    Optax,
    is_transformation,
)
from ._plan import Plan, Segment
from ._relax import (
    relax,
    settle,
)
from ._schedule import Schedule
from ._schedules import AllNodes, LayerTime, Sweeps
from ._solution import RESULT, Solution
from ._solver import Solver
from ._step import take_step
from ._still import made_of_nothing, stands_still
from ._stop import (
    GradientNorm,
    Plateau,
    Steps,
    Stop,
    as_stop,
)
from ._waiting import never_moving
from ._wave_front import WaveFront

__all__ = [
    "RESULT",
    "AllNodes",
    "Descent",
    "DescentLike",
    "Flow",
    "GradientNorm",
    "Langevin",
    "LayerTime",
    "Optax",
    "Plan",
    "Plateau",
    "Schedule",
    "Segment",
    "Solution",
    "Solver",
    "SolverLike",
    "Steps",
    "Stop",
    "Sweeps",
    "WaveFront",
    "linear_equilibrium",
    "relax",
    "where_bad",
]
