"""`pcx info`: versions, devices, data."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ..data import CIFAR10, CIFAR100, FASHION_MNIST, MNIST, VARIABLE, find, search_path
from ..training import versions
from ._failures import DONE, told
from ._tables import console, say, table


def info(as_json: bool, data_folder: Path | None) -> int:
    """Print what pcx runs on; the exit status."""
    import jax

    with told():
        found: dict[str, Any] = versions()
        data = {}
        for source in (FASHION_MNIST, MNIST, CIFAR10, CIFAR100):
            paths = find(source.wanted, data_folder)
            data[source.wanted.name] = str(paths[0].parent) if paths else None
    found.pop("git")
    found["devices"] = [str(device) for device in jax.devices()]
    found["cpus"] = os.cpu_count()
    found["searched"] = [str(path) for path in search_path(data_folder)]
    found["data"] = data
    if as_json:
        print(json.dumps(found, indent=2))
        return DONE
    made = table(None, ["", ""], texts=2)
    made.show_header = False
    made.add_row("pcx", found["pcx"])
    made.add_row("Python", f"{found['python']}, {found['platform']}, {found['cpus']} CPUs")
    for package, version in found["packages"].items():
        made.add_row(package, version or "not installed")
    made.add_section()
    made.add_row("devices", f"{', '.join(found['devices'])} ({found['device']})")
    made.add_section()
    for name, place in data.items():
        made.add_row(name, place or "not found")
    made.add_row("digits, two moons", "come with scikit-learn")
    console().print(made)
    say(f"Data sets are searched in these folders, in this order ({VARIABLE} adds to them):")
    for path in found["searched"]:
        say(f"  {path}{'' if Path(path).is_dir() else '  (no such folder)'}")
    return DONE
