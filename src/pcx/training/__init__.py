"""pxt: training. `fit` for whole runs; checkpoints, weights files and run folders."""

from ._checkpoint import Checkpoints
from ._describe import describe, differences
from ._events import EventFiles
from ._figure import draw
from ._files import CheckpointError
from ._fit import fit
from ._folder import Folder, RunExists, versions
from ._load_run import load_run
from ._loop import accuracy
from ._result import Fit, Member, Report
from ._stopping import EarlyStopping
from ._weights import load_weights, save_weights

__all__ = [
    "CheckpointError",
    "Checkpoints",
    "EarlyStopping",
    "EventFiles",
    "Fit",
    "Folder",
    "Member",
    "Report",
    "RunExists",
    "accuracy",
    "describe",
    "differences",
    "draw",
    "fit",
    "load_run",
    "load_weights",
    "save_weights",
    "versions",
]
