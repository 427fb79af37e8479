"""Fills in the tables of `measured.toml` from the folders in `benchmarks/results`."""

import pathlib
import statistics
import string
import tomllib

from _folders import RESULTS, number, read_json, table

MEASURED = pathlib.Path(__file__).parent / "measured.toml"
_OF_ALL = {"* min": min, "* median": statistics.median, "* max": max}


def told():
    """The tables by name, as the file has them."""
    return tomllib.loads(MEASURED.read_text(encoding="utf-8"))


class Cells(string.Formatter):
    """Writes numbers as tables have them: shares without their percent sign."""

    def format_field(self, value, format_spec):
        """A number in its form."""
        return number(format_spec, value)


def filled(heads, rows, results=RESULTS):
    """A table with its numbers.

    **Raises:** `ValueError` where a folder doesn't have a number, or what a row says doesn't hold.
    """
    lines = []
    for row in rows:
        if doubtful := [way for way in row.get("true", []) if number_at(way, results) is not True]:
            raise ValueError(f"{row['cells'][0]}: {spelt(doubtful[0])} isn't true")
        numbers = {name: number_at(way, results) for name, way in row.items() if name not in ("cells", "true")}
        lines.append([Cells().vformat(cell, (), numbers) for cell in row["cells"]])
    return table(heads, lines, texts=len(heads))


def number_at(way, results=RESULTS):
    """What lies at the end of a way, see the file's head.

    **Raises:** `ValueError` if there is no such way.
    """
    try:
        return down(read_json(results / way[0]), way[1:])
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError(f"there is no {spelt(way)}") from error


def down(value, way):
    """What lies at the end of a way in plain data."""
    for i, key in enumerate(way):
        if key in _OF_ALL:
            each = value.values() if isinstance(value, dict) else value
            return _OF_ALL[key](down(one, way[i + 1 :]) for one in each)
        value = value[key]
    return value


def spelt(way):
    """A way in words."""
    return " / ".join(map(str, way))
