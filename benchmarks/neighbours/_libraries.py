"""The libraries, their environments, and what each is run with."""

import dataclasses
import os
import pathlib
import subprocess
import sys

import _environments as env

HERE = pathlib.Path(__file__).resolve().parent


@dataclasses.dataclass(frozen=True)
class Library:
    """A library, or a way to use one.

    **Attributes:**

    - `driver`: the script that runs it.
    - `folder`: name of its environment; None is this Python with this source tree.
    - `requirements`: what pip installs there; held to this package's constraints if `held`.
    """

    driver: str
    folder: str | None = None
    requirements: tuple[str, ...] = ()
    held: bool = True


OURS = "pcx"
FABRIC = "fabricpc 0.6.0"
SCAN = f"{env.PUBLISHED}, scan"
_published = Library("_published.py", env.PUBLISHED, tuple(env.INSTALL[env.PUBLISHED]), held=False)
LIBRARIES = {
    OURS: Library("_ours.py"),
    env.PUBLISHED: _published,
    SCAN: dataclasses.replace(_published, driver="_published_scan.py"),
    FABRIC: Library("_fabricpc.py", "fabricpc-0.6.0", ("fabricpc==0.6.0",)),
    "plain JAX": Library("_plain_jax.py", "plain-jax", ("jax", "optax")),
    "PyTorch": Library("_torch.py", "pytorch", ("torch==2.13.0", "numpy"), held=False),
}
NEIGHBOURS = (env.PUBLISHED, SCAN, FABRIC)
"""Those that the bars are about."""


def pythons(args, names):
    """The Python of each library, its environment built where it is missing; or, as an exception, why there is none."""
    made, found = {}, {}
    for name in names:
        folder = LIBRARIES[name].folder
        if folder not in made:
            made[folder] = _python(args, LIBRARIES[name])
        found[name] = made[folder]
    return found


def _python(args, library):
    if library.folder is None:
        return pathlib.Path(sys.executable)
    needs = library.requirements
    print(f"environment of {', '.join(needs)} in {args.work / library.folder.replace(' ', '-')}", file=sys.stderr)
    try:
        return env.neighbour(args, library.folder, *needs, held=library.held)
    except (subprocess.CalledProcessError, OSError) as why:
        return RuntimeError(f"not installed: pip could not install {', '.join(needs)} ({why})"[:300])


def command(python, name, *options):
    return [python, HERE / LIBRARIES[name].driver, *options]


def environment(name):
    """The environment variables of a library's process: on the CPU, with the benchmarks' modules in reach."""
    paths = [env.HERE] if LIBRARIES[name].folder else [env.ROOT / "src", env.HERE]
    return env.CLEAN | {"PYTHONPATH": os.pathsep.join(map(str, paths)), "JAX_PLATFORMS": "cpu"}
