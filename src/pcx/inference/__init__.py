"""pxi: how values settle. Pure functions on arrays.

`relax` lets the free nodes of a landscape settle, by a `Solver`: steps of a `Descent` in the order of a `Schedule`
until a `Stop`, or a `Flow`. The loops know none of these by name.
"""

from ._by_node import DescentLike
from ._descent import Descent
from ._descent_solver import SolverLike
from ._first_bad import where_bad
from ._flow import Flow
from ._langevin import Langevin
from ._linear import linear_equilibrium
from ._optax import Optax
from ._plan import Plan, Segment
from ._relax import relax
from ._schedule import Schedule
from ._schedules import AllNodes, LayerTime, Sweeps
from ._solution import RESULT, Solution
from ._solver import Solver
from ._stop import GradientNorm, Plateau, Steps, Stop
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
