"""pxt: training. `fit` for whole runs; checkpoints, weights files and run folders."""

# What `__all__` does not list is for other rooms, and not public.
# ruff: noqa: F401

from ._checkpoint import Checkpoints
from ._describe import describe, differences
from ._display import display
from ._domains import Choice, Integers, Log, Uniform
from ._events import EventFiles
from ._files import CheckpointError, replacing
from ._fit import fit
from ._folder import Folder, RunExists, foreign, versions
from ._join import join, launched
from ._layout import Layout
from ._load_run import load_run
from ._looks import last_look, verdicts
from ._matplotlib import own_config
from ._mesh import mesh_by_layer
from ._metrics import accuracy
from ._options import FitOptions
from ._probe import Probe, View
from ._processes import Processes, ProcessLost
from ._result import Dispatch, Fit, Report
from ._rule import LearningRule
from ._stopping import EarlyStopping
from ._sweep import sweep
from ._sweep_result import Sweep, shown
from ._weights import load_weights, save_weights

__all__ = [
    "CheckpointError",
    "Checkpoints",
    "Choice",
    "Dispatch",
    "EarlyStopping",
    "EventFiles",
    "Fit",
    "FitOptions",
    "Integers",
    "LearningRule",
    "Log",
    "Probe",
    "ProcessLost",
    "Report",
    "RunExists",
    "Sweep",
    "Uniform",
    "View",
    "accuracy",
    "fit",
    "join",
    "load_run",
    "load_weights",
    "save_weights",
    "sweep",
    "versions",
]
