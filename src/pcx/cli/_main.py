"""Reads the command line and hands over to a command."""

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Annotated

from ..core._version import __version__
from ._failures import CommandError
from ._options import Refused, ZilOptions

_DESCRIPTION = "Predictive coding networks on JAX. `pcx --version` prints the version."
_EXTRA = ("tyro", "rich", "matplotlib", "sklearn")  # top-level modules of the `cli` extra


def main(argv: Sequence[str] | None = None) -> int:
    """The `pcx` command.

    **Arguments:** `argv`, the words after the command's name (those of the process by default).

    **Returns:** the exit status: 0; 1 if what was asked cannot be done (no such run, no data, a library of the `cli`
    extra is missing); 2 for options that cannot be used; 3 if training failed; 130 if interrupted. Words that cannot be
    read, and `--help`, leave through `SystemExit` (2 and 0).
    """
    args = list(sys.argv[1:] if argv is None else argv)
    if args in (["--version"], ["-V"]):
        print(f"pcx {__version__}")
        return 0
    # All of them at the door: a study that has run for an hour must not fail at its figure.
    missing = [name for name in _EXTRA if find_spec(name) is None]
    if missing:
        print(f"pcx: error: {', '.join(missing)} not installed; run: pip install 'pcx[cli]'", file=sys.stderr)
        return 1
    try:
        return _parse_and_run(args or ["--help"])
    except Refused as error:
        print(f"pcx: error: {error}", file=sys.stderr)
        return 2
    except CommandError as error:
        print(f"pcx: error: {error}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        print("pcx: interrupted", file=sys.stderr)
        return 130


def _parse_and_run(args: list[str]) -> int:
    import tyro

    from ._commands import add_commands

    def zil(options: Annotated[ZilOptions, tyro.conf.arg(name="")]) -> int:
        options.check()
        from ._study import run  # imports JAX

        run(options)
        return 0

    studies = tyro.extras.SubcommandApp()
    studies.command(name="zil", help=ZilOptions.__doc__)(zil)
    app = tyro.extras.SubcommandApp()
    add_commands(app, args)
    app.command(studies, name="run", help="Run a study and keep what it found in a folder of its own.")
    return app.cli(prog="pcx", description=_DESCRIPTION, args=args)
