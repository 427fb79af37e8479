"""Reads the command line and hands over to a command."""

import sys
from collections.abc import Sequence
from importlib.util import find_spec

from ..core._version import __version__
from ._failures import INTERRUPTED, CommandError
from ._interrupt import at_once, interrupted, resumable
from ._options import Refused
from ._output import closed_pipe_is_no_error

_DESCRIPTION = "Predictive coding networks on JAX. `pcx --version` prints the version."
_EXTRA = ("tyro", "rich", "matplotlib", "sklearn")  # top-level modules of the `cli` extra


def main(argv: Sequence[str] | None = None) -> int:
    """The `pcx` command.

    **Arguments:** `argv`, the words after the command's name (those of the process by default).

    **Returns:** the exit status: 0; 1 if what was asked cannot be done (no such run, no data, a library of the `cli`
    extra is missing); 2 for options that cannot be used; 3 if training failed; 130 if interrupted. Words that cannot be
    read, and `--help`, leave through `SystemExit` (2 and 0).
    """
    if argv is None:
        with at_once(), closed_pipe_is_no_error():
            return _main(sys.argv[1:])
    return _main(list(argv))


def _main(args: list[str]) -> int:
    resumable(None)
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
        print(interrupted(), file=sys.stderr)
        return INTERRUPTED


def _parse_and_run(args: list[str]) -> int:
    import tyro

    from ._commands import commands

    made = commands(args)
    for name, (command, description) in made.items():
        words = name.split()
        if args[: len(words)] == words:
            # Read by itself, so that what is said of its options is about them alone.
            return tyro.cli(command, prog=f"pcx {name}", description=description, args=args[len(words) :])
    app, studies = tyro.extras.SubcommandApp(), tyro.extras.SubcommandApp()
    for name, (command, description) in made.items():
        owner = studies if name.startswith("run ") else app
        owner.command(name=name.removeprefix("run "), help=description)(command)
    app.command(studies, name="run", help="Run a study and keep what it found in a folder of its own.")
    if args[0] == "run":
        return studies.cli(prog="pcx run", args=args[1:])
    return app.cli(prog="pcx", description=_DESCRIPTION, args=args)
