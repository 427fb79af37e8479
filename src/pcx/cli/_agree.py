"""The check that several processes of one command were given the same options."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ._failures import Refused

if TYPE_CHECKING:
    from ..training import Processes


def check_alike(processes: Processes, options: Mapping[str, object]) -> None:
    """Refuse options that aren't the same in all processes. All call it.

    **Arguments:**

    - `processes`: that train together.
    - `options`: by name, as plain data; those of a group are a mapping.

    **Raises:** `Refused`, with the options that differ.
    """
    if processes.count == 1:
        return
    given = [json.loads(text) for text in processes.each(json.dumps(_by_name(options)))]
    for index, own in enumerate(given):
        wrong = [
            f"{name}: {_shown(given[0].get(name))} in process 0, {_shown(own.get(name))} in process {index}"
            for name in {**given[0], **own}
            if given[0].get(name) != own.get(name)
        ]
        if wrong:
            raise Refused(f"all processes of a run are given the same options, and differ in {'; '.join(wrong)}")


def _by_name(options: Mapping[str, object], group: str = "--") -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in options.items():
        option = group + name.replace("_", "-")
        found |= _by_name(value, f"{option}.") if isinstance(value, Mapping) else {option: value}
    return found


def _shown(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return "left out" if value is None else str(value)
