"""pxl: learning rules. Each is one object over one model, with pure `init` and `step`; each name chooses its parts."""

from ._backprop import Backprop
from ._batch import Batch, bind
from ._clamp import Clamp, Hard, Nudged
from ._errors import EPC, FPA
from ._gradient import weight_gradient
from ._joint import Joint
from ._named import backprop, bpc, epc, fpa, hil, hybrid, ipc, mcpc, nudged, pc, zil
from ._precision import LearnedPrecision, Precision
from ._rule import Rule
from ._samples import Targets
from ._settled import PredictiveCoding
from ._start import Forward, Kept, Start, Zeros
from ._state import OUTCOME, Info, State, explain, stack, unstack
from ._sweep import HIL, ZIL
from ._timing import AtEnd, ChainAverage, EveryStep, Timing

__all__ = [
    "EPC",
    "FPA",
    "HIL",
    "OUTCOME",
    "ZIL",
    "AtEnd",
    "Backprop",
    "Batch",
    "ChainAverage",
    "Clamp",
    "EveryStep",
    "Forward",
    "Hard",
    "Info",
    "Joint",
    "Kept",
    "LearnedPrecision",
    "Nudged",
    "Precision",
    "PredictiveCoding",
    "Rule",
    "Start",
    "State",
    "Targets",
    "Timing",
    "Zeros",
    "backprop",
    "bind",
    "bpc",
    "epc",
    "explain",
    "fpa",
    "hil",
    "hybrid",
    "ipc",
    "mcpc",
    "nudged",
    "pc",
    "stack",
    "unstack",
    "weight_gradient",
    "zil",
]
