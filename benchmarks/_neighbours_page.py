"""Makes the table of the neighbours from the folder of `benchmarks/neighbours/run.py`."""

from _folders import RESULTS, read_json, table

OURS = "pcx"
NEIGHBOURS = ("pcx 0.6.3", "pcx 0.6.3, scan", "fabricpc 0.6.0")
HEADS = (
    "PC on", "update, ms", "fastest neighbour, ms", "ours / its", "products alone, ms", "first call, s",
    "neighbour's, s", "ours / its", "peak, MiB",
)  # fmt: skip


def neighbours(name):
    """A line for each workload: updates and first calls of PC, ours and of the neighbour that is faster at each."""
    folder = RESULTS / name
    timed = read_json(folder / "neighbours.json")["workloads"]
    products = read_json(folder / "products.json")["workloads"]
    return table(HEADS, [_row(each, products.get(work)) for work, each in timed.items()], texts=1)


def _row(work, products):
    rows = work["rules"]["pc"]["libraries"]
    ours, update = rows[OURS], "update"
    theirs = {name: rows[name] for name in NEIGHBOURS if update in rows.get(name, {})}
    faster = min(theirs, key=lambda name: theirs[name][update]["median_ms"])
    sooner = min(theirs, key=lambda name: theirs[name]["first_s"]["median"])
    mine, its = ours[update]["median_ms"], theirs[faster][update]["median_ms"]
    first, their_first = ours["first_s"]["median"], theirs[sooner]["first_s"]["median"]
    return [
        work["what"],
        _ms(ours[update]),
        f"{_ms(theirs[faster][update])}, {faster}",
        f"{mine / its:.2f}",
        "" if products is None else _ms(products),
        f"{first:.2f}",
        f"{their_first:.2f}, {sooner}",
        f"{first / their_first:.2f}",
        f"{ours['peak_mb']:.0f}",
    ]


def _ms(row):
    return f"{row['median_ms']:.1f} ({row['min_ms']:.1f})"
