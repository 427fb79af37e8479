"""Writes docs/notebooks/*.ipynb, without outputs, from the *.py beside them.

    python benchmarks/notebooks.py            write every pair
    python benchmarks/notebooks.py --check    say which are out of step

The `.py` files (Jupytext's percent format) are what people edit; needs `pip install '.[docs]'`.
"""

import argparse
import pathlib
import sys

import jupytext
import nbformat

FOLDER = pathlib.Path(__file__).parents[1] / "docs" / "notebooks"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def notebook(source: pathlib.Path) -> nbformat.NotebookNode:
    """The notebook of a percent file: the same one each time, without outputs."""
    made = jupytext.reads(source.read_text(encoding="utf-8"), fmt="py:percent")
    made.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": {"name": "python"}})
    made.nbformat, made.nbformat_minor = 4, 5
    for number, cell in enumerate(made.cells):
        cell.id = f"cell-{number}"  # Jupytext draws them
        cell.metadata = nbformat.from_dict({k: v for k, v in cell.metadata.items() if k in ("tags", "alt")})
    return made


def written(source: pathlib.Path) -> str:
    """The text of the `.ipynb` that belongs to a percent file."""
    return nbformat.writes(notebook(source)) + "\n"


def sources() -> list[pathlib.Path]:
    """The percent files."""
    return sorted(FOLDER.glob("[0-9]*.py"))


def out_of_step() -> list[str]:
    """The names of notebooks that are not what their percent files say, or have none."""
    pairs = {path.with_suffix(".ipynb"): written(path) for path in sources()}
    there = {path: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.ipynb")}
    return sorted(path.name for path in {*pairs, *there} if pairs.get(path) != there.get(path))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing")
    if parser.parse_args().check:
        wrong = out_of_step()
        print("\n".join(wrong) or "all pairs are in step")
        return bool(wrong)
    for source in sources():
        source.with_suffix(".ipynb").write_text(written(source), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
