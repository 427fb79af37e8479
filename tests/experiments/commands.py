"""The command inside this process."""

from pcx.cli import main


def call(*words: object) -> int:
    """The exit status of a command."""
    try:
        return main([str(word) for word in words])
    except SystemExit as leaving:
        return int(leaving.code or 0)
