"""Makes the sections of docs/results.md: our results beside the literature's."""

import functools
import pathlib
import tomllib

from _folders import RULES, cell, made_by, number, table
from _measured import number_at

LITERATURE = pathlib.Path(__file__).parent / "literature.toml"
TIMED = ("deep",)
"""Experiments that are about time, too."""


@functools.cache
def literature():
    """What the literature says, see the file's head."""
    return tomllib.loads(LITERATURE.read_text(encoding="utf-8"))


def results():
    """A section for each folder that `pcx run` made, in the order of the experiments."""
    from pcx.experiments import EXPERIMENTS

    order = list(EXPERIMENTS)
    folders = sorted(made_by("run").values(), key=lambda each: (order.index(each.experiment.name), each.name))
    if not folders:
        raise ValueError("there is no folder of pcx run in benchmarks/results")
    return "\n\n".join(map(section, folders))


def section(folder):
    """A folder's section: what it is, its table, the literature, and why they differ."""
    experiment, config = folder.experiment, folder.json("config.json")
    beside = next((each for each in literature()["experiment"] if each["name"] == experiment.name), {})
    same = all(config["options"].get(name) == value for name, value in beside.get("where", {}).items())
    numbers = beside.get("numbers", {}) if same else {}
    seeds, epochs = len(config["seeds"]), config["epochs"]
    lines = [
        f"## {folder.name}",
        f"{experiment.prints} {data_of(config)}{seeds} seed{'s' * (seeds > 1)}, {epochs} epoch{'s' * (epochs > 1)}.",
        arms_table(folder, numbers),
    ]
    if numbers:
        lines.append(f"Literature: {beside['source']}; {beside['status']}.")
    if claim := beside.get("claim"):
        lines.append(f"Literature: {claim}")
    if numbers or "explained" in beside:
        lines.append(f"Differences explained: {beside.get('explained', 'not yet.')}")
    lines.append(f"Settings: {config['source']}")
    lines.append(origin(folder, config))
    return "\n\n".join(lines)


def data_of(config):
    """What a folder's networks learned from, where it is part of a set of images or a copy of it."""
    name, count = config["data"], config["options"].get("samples")
    if count is None and "copy" not in name:
        return ""
    return f"Data: {name}{'' if count is None else f', {count:,} samples'}. "


def arms_table(folder, numbers):
    """A line for each arm: both protocols, the literature's number, the regime."""
    experiment, summary = folder.experiment, folder.json("summary.json")
    heads = [experiment.arms_are]
    for m in experiment.measures:
        heads += [m.title] if m.once else [f"{m.title}, last epoch", "best epoch"]
    there = any(arm in numbers for arm in summary["results"])
    timed = experiment.name in TIMED
    heads += ["literature"] * there + ["first call, s", "step, ms"] * timed
    looked = any(each is not None for each in summary["regimes"].values())
    heads += ["regime"] * looked
    rows = []
    for arm, found in summary["results"].items():
        cells = [folder.name_of(arm)]
        for m in experiment.measures:
            cells += [cell(m, found[m.key][way]) for way in (("once",) if m.once else ("last", "best"))]
        if there:
            cells.append(quoted(experiment.measures[0], numbers.get(arm)))
        if timed:
            seconds = summary["seconds"][arm]
            cells += [spell(seconds["first_call"]), spell(seconds["step"], 1e3)]
        if looked:
            regime = summary["regimes"].get(arm)
            cells.append("-" if regime is None else str(regime["verdict"]))
        rows.append(cells)
    return table(heads, rows)


def quoted(measure, value):
    """A number of the literature in the form of ours."""
    return "-" if value is None else number(measure.form, value) + " %" * measure.form.endswith("%")


def spell(seconds, factor=1.0):
    """A time to three digits."""
    return "-" if seconds is None else f"{factor * seconds:.3g}"


def origin(folder, config):
    """The command that made a folder, and by what code, with what software."""
    made = folder.json("versions.json")
    commit = made["commit"][:10] if made.get("commit") else "of no checkout"
    changed = " with changes" if made.get("dirty") else ""
    device = f"{made['cpus']} CPU cores" if made["backend"] == "cpu" else made["device"]
    words = " ".join(map(str, config["argv"]))
    jax = made["packages"]["jax"]
    return f"`{words}`: `benchmarks/results/{folder.name}`, code {commit}{changed}, JAX {jax}, {device}."


def settings_found():
    """What the searches for settings found, beside what is published."""
    from pcx.experiments import EXPERIMENTS
    from pcx.experiments._benchmark import BenchmarkSettings
    from pcx.experiments._benchmark_rules import numbers_of

    parts = []
    for name, folder in made_by("settings").items():
        config, summary = folder.json("config.json"), folder.json("summary.json")
        usual = EXPERIMENTS[config["data"]].settings
        assert isinstance(usual, BenchmarkSettings)
        ranges = {rule: each["ranges"] for each in literature()["found"] for rule in each["rules"]}
        rows = []
        for rule, best in summary["best"].items():
            for key, value in best["settings"].items():
                low, high = ranges.get(rule, {}).get(key, (None, None))
                first = key == "lr"
                rows.append([
                    RULES[rule] if first else "",
                    key,
                    spell(numbers_of(rule, usual)[key]),
                    "-" if low is None else f"{low:.3g} to {high:.3g}",
                    "{:.3g} to {:.3g}".format(*config["space"][rule][key][:2]),
                    f"{value:.3g}",
                    f"{100 * best['held_out_accuracy']:.2f} %" if first else "",
                ])  # fmt: skip
        heads = ["rule", "number", "our default", "literature", "searched", "found", "held-out accuracy"]
        o = config["options"]
        text = (
            f"{config['data']}: {o['trials']} trials of each rule, {o['epochs']} epochs on {o['samples']} samples, "
            f"judged by {o['held_out']} others of the training set; {summary['seconds']['processor']} s of the "
            f"processor in all (`benchmarks/results/{name}`)."
        )
        parts += [text, table(heads, rows)]
    return "\n\n".join(parts) if parts else "No search has been made yet."


def others():
    """What else the literature says in numbers."""
    rows = []
    for each in literature()["other"]:
        ours = "-"
        if "ours" in each:
            ratio = number_at(each["ours"]) / (number_at(each["against"]) if "against" in each else 1)
            ours = f"{ratio:.2f} (`{each['ours'][0].partition('/')[0]}`)"
        rows.append([each["what"], f"{each['literature']}, {each['source']}", ours, each.get("explained", "")])
    return table(["", "literature", "ours", "why they differ"], rows)
