"""pxl: learning rules. Each is one object over one model, with pure `init` and `step`; one file a rule."""

# What `__all__` does not list is for other rooms, and not public.
# ruff: noqa: F401

from ..energy import Bound, DTypePolicy
from ._backprop import backprop
from ._bidirectional import bpc
from ._bound import bind, weight_gradient
from ._by_layer import NotByLayer
from ._cite import References
from ._clamp import Clamp, Hard, Nudged, Phase
from ._coordinates import Coordinates, Errors, FixedErrors, Values
from ._epc import epc
from ._equal_layers import equal_layers_in_words
from ._fpa import fpa
from ._guards import went_uphill
from ._hil import hil
from ._html import state_html
from ._hybrid import hybrid
from ._ipc import ipc
from ._mcpc import mcpc
from ._nudged import nudged
from ._pc import PredictiveCoding, pc
from ._precision import LearnedPrecision, Precision
from ._rule import Memory, Rule
from ._samples import Targets, bare, split
from ._settling import Settling
from ._start import Forward, Kept, Start, Zeros
from ._state import (
    OUTCOME,
    Info,
    State,
    explain,
    stack,
    unstack,
    uphill_in_words,
)
from ._update import Update
from ._zil import zil

__all__ = [
    "OUTCOME",
    "Bound",
    "Clamp",
    "Coordinates",
    "DTypePolicy",
    "Errors",
    "FixedErrors",
    "Forward",
    "Hard",
    "Info",
    "Kept",
    "LearnedPrecision",
    "Memory",
    "Nudged",
    "Phase",
    "Precision",
    "PredictiveCoding",
    "References",
    "Rule",
    "Settling",
    "Start",
    "State",
    "Targets",
    "Update",
    "Values",
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
