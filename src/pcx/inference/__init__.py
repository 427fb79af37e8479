"""pxi: how values settle. Descent x schedule x stop, and one loop. Pure functions on arrays."""

from ._descent import Descent, Langevin, Optax
from ._flow import Flow
from ._linear import linear_equilibrium
from ._relax import relax
from ._schedule import AllNodes, LayerTime, Schedule, Segment, Sweeps, WaveFront
from ._solution import RESULT, Solution, where_bad
from ._stop import GradientNorm, Plateau, Steps, Stop

__all__ = [
    "RESULT",
    "AllNodes",
    "Descent",
    "Flow",
    "GradientNorm",
    "Langevin",
    "LayerTime",
    "Optax",
    "Plateau",
    "Schedule",
    "Segment",
    "Solution",
    "Steps",
    "Stop",
    "Sweeps",
    "WaveFront",
    "linear_equilibrium",
    "relax",
    "where_bad",
]
