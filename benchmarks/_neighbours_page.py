"""Makes the table of the neighbours from the folder of `benchmarks/neighbours/run.py`."""

from _folders import RESULTS, read_json, table

OURS = "pcx"
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
    part = work["rules"]["pc"]
    rows, ours = part["libraries"], part["libraries"][OURS]
    faster, update = _beside(part, "update")
    sooner, first = _beside(part, "first call")
    return [
        work["what"],
        _ms(ours["update"]),
        f"{_ms(rows[faster]['update'])}, {faster}",
        f"{update:.2f}",
        "" if products is None else _ms(products),
        f"{ours['first_s']['median']:.2f}",
        f"{rows[sooner]['first_s']['median']:.2f}, {sooner}",
        f"{first:.2f}",
        f"{ours['peak_mb']:.0f}",
    ]


def _beside(part, what):
    """The neighbour that the script found fastest at something, and what share of its time ours is, by medians."""
    begin = f"{what}: {OURS} / "
    name = next(each for each in part["ratios"] if each.startswith(begin))
    return name.removeprefix(begin), part["ratios"][name]["of_medians"]


def _ms(row):
    return f"{row['median_ms']:.1f} ({row['min_ms']:.1f})"
