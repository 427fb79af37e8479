"""Options that are True or False."""

from __future__ import annotations

import numpy as np


def check_flags(call: str, **flags: object) -> None:
    """Refuse options that are neither True nor False: any other value would be taken for one of them.

    **Arguments:**

    - `call`: the public function, for the message.
    - `flags`: the options by name.

    **Raises:** `TypeError`, naming the option.
    """
    for name, value in flags.items():
        if not isinstance(value, (bool, np.bool_)):
            raise TypeError(f"{call}: {name} must be True or False, got {value!r}")
