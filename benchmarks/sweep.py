"""A sweep of 60 settings: by one process, by two on one SQLite file, and by one that is killed and begun again.

    python benchmarks/sweep.py --data FOLDER --json sweep.json

State rate x T x weight rate of predictive coding on the first 10,000 samples of Fashion-MNIST (the last 1,000 of them
held out), a perceptron 784-128-128-128-10. Every sweep is made of processes of their own, from the start of Python to
its end, so imports and compilations count. One process and two take turns, `--rounds` times. The one that is killed
gets SIGKILL three times: when a fifth, two and three fifths of the settings have ended. The tables must be the same, to
the byte.
"""

import argparse
import contextlib
import os
import pathlib
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

from _common import finish, ratio

RATES, STEPS, WEIGHT_RATES = [0.01, 0.02, 0.05, 0.1, 0.2], [4, 8, 16], [1e-4, 3e-4, 1e-3, 3e-3]
SETTINGS = len(RATES) * len(STEPS) * len(WEIGHT_RATES)


def worker(folder, data, epochs, ensemble):
    """Make the sweep, or join it."""
    import jax
    import optax

    import pcx.data as pxd
    import pcx.learning as pxl
    import pcx.models as pxm
    import pcx.training as pxt

    def model():
        return pxm.MLP([784, 128, 128, 128, 10], act=jax.nn.gelu)

    def rule(h_rate, T, lr):
        return pxl.pc(optax.adamw(lr), optax.sgd(h_rate, momentum=0.5), T)

    found = pxd.fashion_mnist(data, flat=True, standardise=True)
    x, y = found.train.x[:10_000], found.train.y[:10_000]
    pxt.sweep(
        model,
        rule,
        (x[:9_000], y[:9_000]),
        (x[9_000:], y[9_000:]),
        space={"h_rate": RATES, "T": STEPS, "lr": WEIGHT_RATES},
        epochs=epochs,
        metric="validation_accuracy",
        ensemble=ensemble,
        folder=folder,
        show=False,
    )


def start(folder, args):
    """A process that makes the sweep in a folder."""
    words = ["--worker", folder, "--epochs", args.epochs, "--data", args.data]
    words += [] if args.ensemble is None else ["--ensemble", args.ensemble]
    return subprocess.Popen([sys.executable, __file__, *map(str, words)])


def wait(processes):
    """Wait for processes, and return the processor time of each, in seconds; one that fails ends this one."""
    spent = []
    for process in processes:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"a process of the sweep ended with exit status {process.returncode}")
        spent.append(round(used.ru_utime + used.ru_stime, 2))
    return spent


def sweep(folder, args, processes):
    """Seconds that a sweep takes by so many processes, and the processor time of each."""
    begun = time.perf_counter()
    spent = wait([start(folder, args) for _ in range(processes)])
    return time.perf_counter() - begun, spent


def ended(folder):
    """How many settings have ended."""
    with contextlib.suppress(sqlite3.OperationalError):
        path = folder / "trials.sqlite3"
        if path.exists():
            with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as database:
                found = database.execute("select count(*) from trials where state in ('COMPLETE', 'PRUNED')")
                return found.fetchone()[0]
    return 0


def killed(folder, args):
    """Make the sweep by processes that are killed; return how many settings had ended each time."""
    at = []
    for share in (0.2, 0.4, 0.6):
        process = start(folder, args)
        while ended(folder) < share * SETTINGS and process.poll() is None:
            time.sleep(0.05)
        if process.poll() is not None:
            sys.exit("the sweep was at its end before it could be killed; give more --epochs")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        at.append(ended(folder))
    wait([start(folder, args)])
    return at


def table(folder):
    """The table as it was written."""
    return (folder / "table.csv").read_bytes()


def main(args):
    """Make the sweeps and compare them."""
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        times, used = {1: [], 2: []}, {1: [], 2: []}
        for number in range(args.rounds):
            for processes in times:
                took, spent = sweep(place / f"{processes}-{number}", args, processes)
                times[processes].append(took)
                used[processes].append(spent)
                print(
                    f"round {number + 1}, processes {processes}: {took:.1f} s, of processors {spent}", file=sys.stderr
                )
        at = killed(place / "killed", args)
        first = table(place / "1-0")
        others = [f"{p}-{n}" for p in times for n in range(args.rounds)]
        same = {"after kills": table(place / "killed") == first}
        same |= {f"{p} processes": all(table(place / o) == first for o in others if o[0] == str(p)) for p in times}
        lines = first.decode().splitlines()
    finish(
        {
            "settings": SETTINGS,
            "epochs": args.epochs,
            "seconds": {str(p): spent for p, spent in times.items()},
            "processor seconds of each process": {str(p): spent for p, spent in used.items()},
            "two against one": ratio(times[2], times[1], 0.6),
            "killed when so many had ended": at,
            "same table": same,
            "best accuracies": sorted((line.rsplit(",", 1)[1] for line in lines[1:]), reverse=True)[:3],
        },
        args.json,
    )
    if not all(same.values()):
        sys.exit("the tables differ")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, help="folder of the files of Fashion-MNIST")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ensemble", type=int, help="settings that are trained together; as sweep has it by default")
    parser.add_argument("--json", help="file for the result")
    parser.add_argument("--worker", type=pathlib.Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker is not None:
        worker(given.worker, given.data, given.epochs, given.ensemble)
    else:
        main(given)
