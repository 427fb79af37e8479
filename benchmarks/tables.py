"""Makes the tables of README.md and of the docs from the folders in `benchmarks/results`.

    python benchmarks/tables.py
    python benchmarks/tables.py --check

A table stands between `<!-- table: NAME -->` and `<!-- end -->`, and NAME is a line of `TABLES` or a table of
`measured.toml`, whose rows are text with numbers of several folders. The block `results` has a section for each folder
that `pcx run` made, so that a new folder needs nothing but this script; a table of its own in another page is a line
there and the marks in the page. `--check` changes nothing, and ends with 1 where a block
isn't what the folders give.
"""

import argparse
import functools
import pathlib
import re
import sys

from _folders import RESULTS, Folder, cell, read_json, table
from _measured import filled, told
from _neighbours_page import neighbours
from _results_page import others, results, settings_found

ROOT = pathlib.Path(__file__).parents[1]
BLOCK = re.compile(r"(^<!-- table: (\S+) -->\n)(.*?)(^<!-- end -->$)", re.MULTILINE | re.DOTALL)
MARK = re.compile(r"^<!-- table: .*$", re.MULTILINE)


def by_arm(name, measures=None, titles=()):
    """A table with a line for each arm of a folder: of what is measured every epoch the last one."""
    folder = Folder(RESULTS / name)
    experiment = folder.experiment
    chosen = [m for m in experiment.measures if measures is None or m.key in measures]
    heads = [experiment.arms_are, *(titles or [m.title for m in chosen])]
    rows = [
        [folder.name_of(arm), *[cell(m, found[m.key]["once" if m.once else "last"]) for m in chosen]]
        for arm, found in folder.results.items()
    ]
    return table(heads, rows)


def online(name):
    """PC and backpropagation by setting, and how sure their difference is."""
    folder = Folder(RESULTS / name)
    measures = {m.key: m for m in folder.experiment.measures}

    def mean(found, key):
        return cell(measures[key], found[key]["once"], deviation=False)

    rows = []
    for arm, found in folder.results.items():
        low, high = mean(found, "difference_low"), mean(found, "difference_high")
        ends = folder.arm(arm)["after"]
        last = [100 * sum(ends[f"{rule}_last"]) / len(ends[f"{rule}_last"]) for rule in ("pc", "backprop")]
        interval = f"{low.removesuffix(' %')} to {high.removesuffix(' %')}"
        difference = mean(found, "difference").removesuffix(" %")
        at_end = f"{last[0]:.1f} % against {last[1]:.1f} %"
        rows.append([arm, mean(found, "pc"), mean(found, "backprop"), difference, interval, at_end])
    return table(["setting", "PC", "backprop", "difference", "95 % interval", "at the end"], rows)


def trained(folders):
    """Accuracies on the test set of folders that `pcx train` made and `pcx eval` judged."""
    rows = []
    for title, name in folders.items():
        found = read_json(RESULTS / name / "test.json")["accuracy"]
        rows.append([title, f"{100 * found['mean']:.2f} ± {100 * found['std']:.2f} %"])
    return table(["rule", "test accuracy"], rows)


def copied(path):
    """A table that the script which made a folder wrote itself."""
    return (RESULTS / path).read_text(encoding="utf-8").strip()


TABLES = {
    "results": results,
    "settings-found": settings_found,
    "others": others,
    "memory": functools.partial(
        by_arm,
        "memory",
        titles=("recalled from a half", "error", "error of the missing half", "recalled from noise", "error"),
    ),
    "mcpc": functools.partial(by_arm, "mcpc"),
    "mcpc-digits": functools.partial(
        by_arm, "mcpc-digits", ("inception_score", "frechet_distance", "confidence", "rarest_class")
    ),
    "online": functools.partial(online, "online"),
    "fashion-mnist-trained": functools.partial(
        trained,
        {
            "PC, T = 8, states SGD 0.015 with momentum 0.3": "fashion-mnist-pc",
            "backpropagation": "fashion-mnist-backprop",
        },
    ),
    "neighbours": functools.partial(neighbours, "neighbours-cpu"),
    "dtypes": functools.partial(copied, "dtypes-cpu/table.md"),
    **{name: functools.partial(filled, **each) for name, each in told().items()},
}
"""What makes each table, by the name in its marks."""


def rewritten(text, tables):
    """A page with its tables made anew, and the names of those that were others.

    **Raises:** `ValueError` for a name that there is no table of, marks that don't close, or folders that can't be
        read.
    """
    changed = []

    def made(match):
        begin, name, was, end = match.groups()
        if name not in tables:
            raise ValueError(f"there is no table {name!r}; there are {', '.join(tables)}")
        now = tables[name]() + "\n"
        if now != was:
            changed.append(name)
        return begin + now + end

    found = BLOCK.sub(made, text)
    if MARK.search(BLOCK.sub("", text)) or any(MARK.search(match.group(3)) for match in BLOCK.finditer(text)):
        raise ValueError("a table isn't closed by <!-- end -->")
    return found, changed


def update(root, tables, check):
    """Make the tables of all pages anew, or look whether they are; the names of those that were others, by page."""
    stale = {}
    for path in [root / "README.md", *sorted((root / "docs").rglob("*.md"))]:
        text = path.read_text(encoding="utf-8")
        try:
            now, changed = rewritten(text, tables)
        except ValueError as error:
            raise ValueError(f"{path.relative_to(root)}: {error}") from error
        if changed:
            stale[path.relative_to(root).as_posix()] = changed
            if not check:
                path.write_text(now, encoding="utf-8")
    return stale


def main(argv=None):
    """Make the tables, or check them; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; end with 1 where a table is another")
    args = parser.parse_args(argv)
    try:
        stale = update(ROOT, TABLES, args.check)
    except ValueError as error:
        print(f"tables: {error}", file=sys.stderr)
        return 2
    for page, names in stale.items():
        print(f"{page}: {', '.join(names)} {'is not what the folders give' if args.check else 'made anew'}")
    return int(args.check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
