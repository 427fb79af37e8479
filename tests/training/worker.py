"""One process of several, as tests start it: `python -m tests.training.worker '{"do": ...}'`, from the project's
folder.

It prints a line of JSON when it has come to its end.
"""

import json
import os
import sys
import time

import pcx.training as pxt
from pcx.training import _watch

from .small import TRAIN, model, train


def rules():
    """Rules by name, in float64."""
    import jax
    import optax

    import pcx.learning as pxl

    jax.config.update("jax_enable_x64", True)
    adam, sgd = optax.adam, optax.sgd
    return {
        "pc": pxl.pc(adam(1e-2), sgd(0.1, momentum=0.5), 4),
        "pc, kept": pxl.pc(adam(1e-2), sgd(0.1), 4, start=pxl.Kept()),
        "pc, learned precision": pxl.pc(adam(1e-2), sgd(0.1), 4, precision=pxl.LearnedPrecision(sgd(0.1))),
        "ipc": pxl.ipc(sgd(1e-2, momentum=0.5), sgd(0.1), 4),
        "zil": pxl.zil(adam(1e-2), sgd(1.0)),
        "hil": pxl.hil(adam(1e-2), sgd(0.1), 4),
        "fpa": pxl.fpa(adam(1e-2), sgd(0.1), 4),
        "epc": pxl.epc(adam(1e-2), sgd(0.1), 4),
        "nudged": pxl.nudged(adam(1e-2), sgd(0.1), 4, 0.1, centred=True),
        "mcpc": pxl.mcpc(adam(1e-2), 0.1, 4, burn_in=1),
        "backprop": pxl.backprop(adam(1e-2)),
    }


def learn(told, names, out, **options):
    """Fifty steps by each rule from the same first weights."""
    import numpy as np

    from .small import arrays

    found, known = {}, rules()
    for name in names:
        fit = train(model(), known[name], epochs=9, **options)
        found |= {f"{name} {i}": leaf for i, leaf in enumerate(arrays(fit.states[0]))}
        told[name] = fit.history[-1]["validation_loss"]
    np.savez(out, **found)


def run(told, dies_at=None, fails_at=None, stops_at=None, wide=8, **options):
    """One run, which this process may break off before a batch."""
    told["batches"] = 0

    def before(dispatch):
        told["batches"] += dispatch.batches
        if told["batches"] == dies_at:
            os.kill(os.getpid(), 9)
        if told["batches"] == stops_at:
            os.kill(os.getpid(), 15)
        if told["batches"] == fails_at:
            raise OSError("no more room")

    net = model() if wide == 8 else make_wide(wide)
    fit = train(net, **{"on_dispatch": before, "batches_per_dispatch": 1, **options})
    told |= {"ended": fit.ended, "loss": fit.history[-1]["loss"]}


def refused(told, runs, **options):
    """What is said of runs that don't fit."""
    told["refused"] = []
    for each in runs:
        try:
            train(**options, **each)
        except Exception as e:
            told["refused"].append((type(e).__name__, str(e)))


class Divisible:
    """Batches that know which of their samples were read."""

    batches_per_epoch = 6

    def __init__(self, first=0, last=16):
        self.first, self.last, self.read = first, last, set()

    def part(self, first, last):
        self.own = Divisible(first, last)
        return self.own

    def epoch(self, k, start=0):
        for i in range(start, 6):
            rows = slice(16 * i + self.first, 16 * i + self.last)
            self.read |= set(range(rows.start, rows.stop))
            yield TRAIN[0][rows], TRAIN[1][rows]


def divide(told):
    """Train on batches of which this process reads its part."""
    batches = Divisible()
    fit = train(data=batches, batch_size=None, validation=None, epochs=2)
    told |= {"losses": [row["loss"] for row in fit.history], "first": sorted(batches.read)}
    told["read"] = sorted(batches.own.read) if hasattr(batches, "own") else []


def make_wide(width):
    """A network whose weights are large enough for several processes to write them in parts."""
    import pcx
    import pcx.models as pxm

    pcx.RKG.seed(0)
    return pxm.MLP([2, width, width, 2])


def main():
    asked = json.loads(sys.argv[1])
    _watch._SILENT = asked.pop("silent", _watch._SILENT)
    told, job = {}, asked.pop("job", None)
    begun = time.monotonic()
    try:
        if job is not None:
            pxt.join(**job)
        {"learn": learn, "run": run, "refused": refused, "divide": divide, "join": lambda told: None}[asked.pop("do")](
            told, **asked
        )
    except Exception as e:
        told |= {"error": type(e).__name__, "words": str(e)}
    told["seconds"] = time.monotonic() - begun
    print(json.dumps(told), flush=True)
    sys.exit("error" in told)


if __name__ == "__main__":
    main()
