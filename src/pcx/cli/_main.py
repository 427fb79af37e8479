"""Reads the command line and hands over to a command."""

import contextlib
import functools
import io
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from ..core import __version__
from ._failures import ERROR, INTERRUPTED, CommandError, Refused, complain, one_line, wants_traceback, words_for
from ._install import missing_of, not_installed
from ._interrupt import at_once, interrupted, resumable
from ._output import own_streams
from ._regime import check_regime_in

_DESCRIPTION = "Predictive coding networks on JAX. `pcx --version` prints the version."
_EXTRA = ("tyro", "rich", "matplotlib", "sklearn")  # top-level modules


def main(argv: Sequence[str] | None = None) -> int:
    """Run the `pcx` command.

    **Arguments:**

    - `argv`: the words after the command's name (those of the process by default).

    **Returns:** the exit status: 0; 1 if what was asked cannot be done (no such run, no data, a library is
    missing); 2 for options that cannot be read or used; 3 if training failed; 130 if interrupted. `--help`
    leaves through `SystemExit` (0), SIGTERM and SIGHUP through one of 143 and 129.
    """
    if argv is None:
        with at_once(), own_streams():
            return _main(sys.argv[1:])
    return _main(list(argv))


def _main(args: list[str]) -> int:
    resumable(None)
    if args in (["--version"], ["-V"]):
        print(f"pcx {__version__}")
        return 0
    # All of them at the door: a study that has run for an hour must not fail at its figure.
    missing = missing_of(_EXTRA)
    if missing:
        complain(f"pcx: error: {not_installed(missing)}")
        return ERROR
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _told_once()
            return _parsed(args or ["--help"])()
    except CommandError as error:
        complain(f"pcx: error: {error}")
        return error.status
    except KeyboardInterrupt:
        complain(interrupted())
        return INTERRUPTED
    except BrokenPipeError:  # of stdout
        raise
    except Exception as error:
        if wants_traceback():
            raise
        complain(f"pcx: error: {words_for(error)}")
        return ERROR


def _told_once() -> Callable[..., None]:
    """Return what prints a warning, a line each, and each line once: networks are made one by one."""
    told: set[str] = set()

    def tell(message: Warning | str, *args: object) -> None:
        line = f"pcx: warning: {one_line(str(message))}"
        if line not in told:
            told.add(line)
            complain(line)

    return tell


def _parsed(args: list[str]) -> Callable[[], int]:
    """The command that the words ask for, ready to be run.

    **Raises:** `Refused` for words that can't be read.
    """
    import tyro

    from ._commands import commands
    from ._experiment import listing

    _check_none_empty(args)
    check_regime_in(args)
    if args == ["run"]:
        return listing
    made = {name: (_later(command), description) for name, (command, description) in commands(args).items()}
    for name, (command, description) in made.items():
        words = name.split()
        if args[: len(words)] == words:
            # Read by itself, so that what is said of its options is about them alone.
            return _read(tyro.cli, command, prog=f"pcx {name}", description=description, args=args[len(words) :])
    app, studies = tyro.extras.SubcommandApp(), tyro.extras.SubcommandApp()
    for name, (command, description) in made.items():
        owner = studies if name.startswith("run ") else app
        owner.command(name=name.removeprefix("run "), help=description)(command)
    app.command(
        studies, name="run", help="Run an experiment and keep what it found in a folder of its own; alone, list them."
    )
    if args[0] == "run":
        return _read(studies.cli, prog="pcx run", args=args[1:])
    return _read(app.cli, prog="pcx", description=_DESCRIPTION, args=args)


def _check_none_empty(args: Sequence[str]) -> None:
    """Refuse words that say nothing, as those of a variable that isn't set: no option can mean it, and an empty path
    would be taken for the folder that the command runs in."""
    for before, word in zip(["", *args], args, strict=False):
        name, equals, value = word.partition("=")
        if not word or (name.startswith("--") and equals and not value):
            option = name if word else before if before.startswith("--") else f"pcx {args[0]}".strip()
            raise Refused(f"{option}: the value is empty; for the folder that the command runs in, write .")


def _later(command: Callable[..., int]) -> Callable[..., Callable[[], int]]:
    """A command that, called, is ready to be run and not run yet: what goes wrong in it is no fault of its options."""

    @functools.wraps(command)
    def ready(*args: object, **named: object) -> Callable[[], int]:
        return functools.partial(command, *args, **named)

    return ready


def _read(cli: Callable[..., Any], *args: object, **named: object) -> Callable[[], int]:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return cli(*args, **named)
    except SystemExit as leaving:
        if not leaving.code:  # --help
            raise
        raise Refused(_unboxed(said.getvalue())) from None


def _unboxed(text: str) -> str:
    """Return the text of a box with a title, on one line, without the title and the help of options."""
    kept = []
    for line in text.splitlines()[1:]:
        inside = line.strip("│")
        if not inside.startswith(" " * 8) and not re.fullmatch(r"[ ─╰╯-]*", inside):
            kept.append(inside.strip())
    joined = re.sub(r"Argument helptext: .*(?=For full helptext)", "", " ".join(kept))
    return re.sub(r"\.?\s*For full helptext,", "; for all options,", joined)
