"""Reads the folders in `benchmarks/results` that tables are made of."""

import dataclasses
import json
import pathlib

RESULTS = pathlib.Path(__file__).parent / "results"

RULES = {
    "pc": "PC",
    "ipc": "iPC",
    "zil": "Z-IL",
    "hil": "HIL",
    "fpa": "FPA",
    "epc": "ePC",
    "pn": "PN",
    "nn": "NN",
    "cn": "CN",
    "mcpc": "MCPC",
    "bpc": "bPC",
    "backprop": "backprop",
}
ENERGIES = {"se": "squared error", "ce": "cross entropy"}
ARMS = {"memory": {"pc": "generative", "hopfield": "Hopfield"}}
"""Names of arms in tables, where they aren't rules, by experiment."""


@dataclasses.dataclass(frozen=True)
class Folder:
    """A folder that `pcx run` made.

    **Arguments:**

    - `path`: of the folder.
    """

    path: pathlib.Path

    @property
    def name(self):
        """Its name in `benchmarks/results`."""
        return self.path.name

    def json(self, name):
        """What a file of it holds."""
        return read_json(self.path / name)

    @property
    def experiment(self):
        """The experiment, as this pcx has it."""
        from pcx.experiments import EXPERIMENTS

        name = self.json("config.json")["experiment"]
        if name not in EXPERIMENTS:
            raise ValueError(f"{self.path} is of {name!r}, which this pcx has no experiment of")
        return EXPERIMENTS[name]

    @property
    def results(self):
        """The results by arm and measure."""
        return self.json("summary.json")["results"]

    def arm(self, name):
        """The record of an arm."""
        return self.json(f"arms/{name}.json")

    def name_of(self, arm):
        """The name of an arm in tables."""
        own = ARMS.get(self.experiment.name, {})
        rule, _, energy = arm.partition("-")
        if arm in own or rule not in RULES or (energy and energy not in ENERGIES):
            return own.get(arm, arm)
        return f"{RULES[rule]}, {ENERGIES[energy]}" if energy else RULES[rule]


def read_json(path):
    """What a file holds."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} can't be read: {error}") from error


def made_by(command, results=RESULTS):
    """The folders that a command made, by name. Those that aren't sealed yet, or are quick looks, are no evidence.
    Those of a study, which is no experiment, have tables of their own."""
    from pcx.cli._experiment import STUDIES

    found = {}
    for config in sorted(results.glob("*/config.json")):
        told = read_json(config)
        if told.get("experiment") in STUDIES:
            continue
        if told.get("command") == command and not told.get("quick") and (config.parent / "sums.json").is_file():
            found[config.parent.name] = Folder(config.parent)
    return found


def cell(measure, found, deviation=True):
    """A result as it stands in a table: mean and sample deviation, shares in percent. A deviation that would be
    written as zero is left out."""
    if found["mean"] is None:
        return "-"
    written, zero = number(measure.form, found["mean"]), number(measure.form, 0.0)
    spread = "" if found["std"] is None else number(measure.form.lstrip("+"), found["std"])
    if deviation and spread and spread != zero.lstrip("+"):
        written += f" ± {spread}"
    written += " %" if measure.form.endswith("%") else ""
    seeds = len(found["by_seed"])
    return written if found["n"] == seeds else f"{written} ({found['n']} of {seeds})"


def number(form, value):
    """A number in a measure's form; of shares the percent without their sign."""
    return format(value, form).rstrip("%")


def table(heads, rows, texts=1):
    """Lines of Markdown; the first columns are text, as many as `texts` says."""
    lines = [heads, ["---"] * texts + ["--:"] * (len(heads) - texts), *rows]
    return "\n".join(
        "| " + " | ".join(line) + " |" if i != 1 else "|" + "|".join(line) + "|" for i, line in enumerate(lines)
    )
