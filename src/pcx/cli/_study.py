"""`pcx run zil`: trains every network, shows how it goes, and leaves a folder with all that came out."""

import time
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from ..experiments import COMMAND, seal, software
from ..learning import State
from ..training import CheckpointError, Folder, display, versions
from ._failures import CommandError, Refused
from ._figure import Boundary, draw, load
from ._options import ZilOptions
from ._saved import new_folder
from ._zil import Data, Study, two_moons
from ._zil_steps import DATA, Seen, digest_of, keep_steps

_GRID = 250  # points per side, for the decision boundaries


def run(options: ZilOptions) -> None:
    """Runs the study and prints its table.

    **Raises:** `Refused` for options or a folder that cannot be used, `CommandError` if it can't be written to.
    """
    options.check()
    out = new_folder(None, "zil", "") if options.out is None else options.out
    try:
        folder = Folder(out, resume=False)
    except OSError as error:
        message = f"cannot use the folder {out}: {error}; a run is not mixed into another, choose with --out"
        raise Refused(message) from error
    try:
        _run(replace(options, out=out), folder)
    except CheckpointError as error:  # a full disk, say
        raise CommandError(str(error)) from error


def _run(options: ZilOptions, folder: Folder) -> None:
    console = Console(markup=False, emoji=False)
    facts = versions()
    data = two_moons(options.batch_size)
    folder.write_json("config.json", _config(options, digest_of(data)))
    folder.log(f"pcx {facts['pcx']}, jax {facts['packages']['jax']}, {facts['device']} ({facts['backend']})")

    start = time.perf_counter()
    study = Study(options, tuple(range(options.seeds)), _GRID**2)
    # While that is compiled:
    facts |= software()
    folder.write_json("versions.json", facts)
    load()
    code = {name: facts[name] for name in ("pcx", "commit", "dirty", "source")}
    accuracy, seconds, boundaries = _train_all(study, data, folder, console, code)
    summary = summarise(accuracy) | {"seconds": {rule: round(value, 3) for rule, value in seconds.items()}}
    folder.write_json("summary.json", summary)
    folder.write("figure.png", lambda path: draw(path, accuracy, boundaries, data))

    table = _table(summary, options)
    console.print(table)
    total = f"{time.perf_counter() - start:.1f} s in all; results in {options.out}"
    console.print(total, soft_wrap=True)
    plain = Console(markup=False, emoji=False, width=100, no_color=True, force_terminal=False)
    with plain.capture() as captured:
        plain.print(table)
    folder.log(f"done\n{captured.get()}{total}")
    seal(folder)


def _config(options: ZilOptions, digest: str) -> dict[str, Any]:
    """Return what the study is made of, with what `pcx verify` asks for."""
    given = {name: value for name, value in asdict(options).items() if name != "out"}
    return {
        **given,
        "rules": options.rules,
        "out": str(options.out),
        "command": COMMAND,
        "experiment": "zil",
        "resumes": False,
        "options": given,
        "data": DATA,
        "data_sha256": digest,
    }


def summarise(accuracy: dict[str, np.ndarray]) -> dict[str, Any]:
    """Mean and standard deviation over the seeds, per rule, of the test accuracies `[seeds, epochs]`.

    `best` takes each seed's best epoch, chosen on the test points themselves; `half` the epoch right after half of them
    have passed, `last` the last one, both the same for all seeds.
    """
    rules = {}
    for rule, values in accuracy.items():
        half = values.shape[1] // 2
        rules[rule] = {
            "best": _moments(values.max(axis=1)),
            "half": {"epoch": half + 1} | _moments(values[:, half]),
            "last": {"epoch": values.shape[1]} | _moments(values[:, -1]),
        }
    return {"test_accuracy": rules}


def _moments(values: np.ndarray) -> dict[str, float]:
    return {"mean": float(values.mean()), "std": float(values.std())}


def _train_all(
    study: Study, data: Data, folder: Folder, console: Console, code: dict[str, Any]
) -> tuple[dict[str, np.ndarray], dict[str, float], dict[str, Boundary]]:
    seeds, epochs = len(study.seeds), study.epochs
    accuracy = {rule: np.zeros((seeds, epochs)) for rule in study.rules}
    seconds = dict.fromkeys(study.rules, 0.0)
    boundaries = {}
    with display(len(study.rules) * epochs, 0, show=True) as (advance, say):
        for rule in study.rules:
            left_out = np.zeros(seeds, int)
            state: Any = None
            seen = Seen(study.first()[rule], study.train(rule, data))
            for result, state in seen:  # noqa: B007 - its last value is used below
                accuracy[rule][:, result.epoch - 1] = result.test_accuracy
                seconds[rule] += result.seconds
                left_out += result.left_out
                folder.metrics(
                    {
                        "rule": rule,
                        "seed": seed,
                        "epoch": result.epoch,
                        "test_accuracy": float(result.test_accuracy[seed]),
                        "test_loss": float(result.test_loss[seed]),
                        "seconds_of_all_seeds": result.seconds,
                    }
                    for seed in range(seeds)
                )
                advance(1, f"{rule} epoch {result.epoch}/{epochs}")
            boundaries[rule] = _boundary(study, data, state)
            keep_steps(folder, rule, seen, code)
            for seed in range(seeds):
                line = f"{rule}: seed {seed + 1}/{seeds}, test accuracy {accuracy[rule][seed, -1]:.2%}"
                if left_out[seed]:
                    line += f"; {left_out[seed]} batches changed no weight: a number was not finite"
                folder.log(line)
                if not console.is_terminal:  # where a bar has shown how it went
                    say(line)
    return accuracy, seconds, boundaries


def _boundary(study: Study, data: Data, state: State) -> Boundary:
    low, high = data.x_test.min(axis=0) - 0.3, data.x_test.max(axis=0) + 0.3
    x, y = np.meshgrid(np.linspace(low[0], high[0], _GRID), np.linspace(low[1], high[1], _GRID))
    out = study.predict(state, np.stack([x.ravel(), y.ravel()], axis=-1).astype(np.float32))
    return Boundary(x, y, (out[:, 1] - out[:, 0]).reshape(x.shape))


def _table(summary: dict[str, Any], options: ZilOptions) -> Table:
    rules = summary["test_accuracy"]
    half, last = options.epochs // 2 + 1, options.epochs
    seeds = f"{options.seeds} seed{'s' if options.seeds > 1 else ''}"
    caption = f"training: all of a rule's {options.seeds} networks at once, without compilation"
    table = Table(title=f"Test accuracy, mean ± deviation over {seeds}", caption=caption)
    table.add_column("rule")
    for title in ("best epoch", f"epoch {half} of {last}", f"epoch {last} of {last}", "training"):
        table.add_column(title, justify="right")
    for rule, values in rules.items():
        cells = (f"{values[key]['mean']:.2%} ± {values[key]['std']:.2%}" for key in ("best", "half", "last"))
        table.add_row(rule, *cells, f"{summary['seconds'][rule]:.2f} s")
    return table
