"""The frame of experiments: what each is made of, how it is run, the folder that it leaves, and how that is verified.

What needs JAX is loaded when it is first used, so that `pcx --help` need not wait for it.
"""

from typing import TYPE_CHECKING

from ...core import loaded_on_use
from ._experiment import Arm, Experiment, Measure
from ._record import FirstSteps, Record
from ._settings import Settings, Where

if TYPE_CHECKING:  # what type checkers and editors read; the same names as in _NAMES
    from ._code import software
    from ._data import Data, chosen, first, images, sha256_of
    from ._figure import draw_with_images, figure_at, seeds_of
    from ._run import ARMS, COMMAND, Outcome, Plan, run
    from ._steps import first_steps, steps_between
    from ._sums import Sums, check_sums, seal
    from ._trained import Trained
    from ._verify import TOLERANCE, Compared, Verified, read_config, verify, verify_sums

__all__ = [
    "ARMS",
    "COMMAND",
    "TOLERANCE",
    "Arm",
    "Compared",
    "Data",
    "Experiment",
    "FirstSteps",
    "Measure",
    "Outcome",
    "Plan",
    "Record",
    "Settings",
    "Sums",
    "Trained",
    "Verified",
    "Where",
    "check_sums",
    "chosen",
    "draw_with_images",
    "figure_at",
    "first",
    "first_steps",
    "images",
    "read_config",
    "run",
    "seal",
    "seeds_of",
    "sha256_of",
    "software",
    "steps_between",
    "verify",
    "verify_sums",
]

_NAMES = {
    "_data": "Data chosen first images sha256_of",
    "_figure": "draw_with_images figure_at seeds_of",
    "_run": "ARMS COMMAND Outcome Plan run",
    "_code": "software",
    "_steps": "first_steps steps_between",
    "_sums": "Sums check_sums seal",
    "_trained": "Trained",
    "_verify": "TOLERANCE Compared Verified read_config verify verify_sums",
}
_HOME = {name: f"{__name__}.{module}" for module, names in _NAMES.items() for name in names.split()}

if not TYPE_CHECKING:  # hidden from type checkers, which would take any name for a good one
    __getattr__ = loaded_on_use(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
