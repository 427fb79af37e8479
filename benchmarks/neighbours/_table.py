"""The result as one table, and the ratios that the bars are about."""

from _libraries import NEIGHBOURS, OURS

FIRST_BAR = 0.9  # of the first call


def ratios(rows, bar):
    """This package against the fastest neighbour, by updates and by first calls; empty if one of the two is missing."""
    theirs = {n: rows[n] for n in NEIGHBOURS if "update" in rows.get(n, {})}
    ours = rows.get(OURS, {})
    if "update" not in ours or not theirs:
        return {}
    made = {}
    for what, (part, median, least), bar_of in (
        ("update", ("update", "median_ms", "min_ms"), bar),
        ("first call", ("first_s", "median", "min"), FIRST_BAR),
    ):
        best = min(theirs, key=lambda n: theirs[n][part][median])
        made[f"{what}: {OURS} / {best}"] = {
            "of_medians": ours[part][median] / theirs[best][part][median],
            "of_minima": ours[part][least] / theirs[best][part][least],
            "bar": bar_of,
        }
    return made


def _agreement(row):
    made = row.get("first update, against pcx")
    if made is None:
        return ""
    same = f"{made['difference']:.0e}"
    return same if made["difference"] < 0.01 else f"{same} (cosine {made['cosine']:.3f}, length {made['length']:.3g})"


HEAD = ("first call s", "second call s", "update ms", "peak MiB", "energy", "first update differs from pcx's by")


def _cells(row):
    def pair(part, median, least, digits):
        return f"{row[part][median]:.{digits}f} ({row[part][least]:.{digits}f})"

    return (
        pair("first_s", "median", "min", 2),
        pair("second_s", "median", "min", 3),
        pair("update", "median_ms", "min_ms", 2),
        "" if row["peak_mb"] is None else f"{row['peak_mb']:.0f}",
        f"{row['energy']:.6g}",
        _agreement(row),
    )


def _lines(what, rows):
    lines = [f"{what}"]
    for name, row in rows.items():
        if "left out" in row:
            lines.append(f"  {name:17} {row['left out']}")
        else:
            lines.append(f"  {name:17} " + " ".join(f"{cell:>16}" for cell in _cells(row)).rstrip())
    return lines


def table(result):
    """Lines of text: `median (minimum)` of each measurement."""
    lines = [" " * 20 + " ".join(f"{word:>16}" for word in HEAD)]
    for made in result["workloads"].values():
        for rule, part in made["rules"].items():
            lines += _lines(f"{made['what']}: {rule}", part["libraries"])
            for name, row in part.get("ratios", {}).items():
                lines.append(f"  -> {name}: {row['of_medians']:.2f} ({row['of_minima']:.2f}), bar {row['bar']}")
    if "study" in result:
        lines.append(result["study"]["what"])
        for name, row in result["study"]["libraries"].items():
            if "left out" in row:
                lines.append(f"  {name:17} {row['left out']}")
            else:
                lines.append(f"  {name:17} {row['median']:.1f} ({row['min']:.1f}) s, peak {row['peak_mb']:.0f} MiB")
        for name, row in result["study"]["ratios"].items():
            lines.append(f"  -> {name}: {row['of_medians']:.2f} ({row['of_minima']:.2f})")
    return "\n".join(lines)
