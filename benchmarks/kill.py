"""Kill a training run again and again, and compare what comes out with a run that was never stopped.

    python benchmarks/kill.py --json kill.json

A child process trains with a checkpoint every few batches. It is killed (SIGKILL) at a random instant, or, every second
time, once a checkpoint's temporary folder is there; the next child resumes. Weights, file by file, and the history must
be those of the unbroken run. It takes some minutes.
"""

import argparse
import contextlib
import hashlib
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

from _common import finish

BATCH, EVERY = 32, 3


def train(folder, epochs, **options):
    """The run: noise in the data, a rule with memory in its optimiser, and held-out data."""
    import jax
    import numpy as np
    import optax

    import pcx.learning as pxl
    import pcx.models as pxm
    import pcx.training as pxt

    draw = np.random.default_rng(0)
    x = draw.normal(size=(512, 8)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] > 0).astype(np.int32)
    global RULE  # one object, so that the second run finds its program compiled
    if "RULE" not in globals():
        RULE = pxl.backprop(optax.adam(1e-3))  # what is tested doesn't depend on the rule
    return pxt.fit(
        lambda: pxm.MLP([8, 64, 64, 2]),
        RULE,
        (x, y),
        (x[:64], y[:64]),
        epochs=epochs,
        batch_size=BATCH,
        augment=lambda key, x: x + 0.1 * jax.random.normal(key, x.shape),
        folder=folder,
        show=False,
        **options,
    )


def child(folder, epochs):
    """Compile, say so, wait for the word, and train until killed or done."""
    train(None, 1)
    print("ready", flush=True)
    input()
    fit = train(folder, epochs, resume=(folder / "config.json").exists(), checkpoint_every=EVERY)
    print(fit.ended, flush=True)


def start(folder, epochs, cache):
    command = [sys.executable, __file__, "--child", str(folder), "--epochs", str(epochs)]
    env = {**os.environ, "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3"}
    env["JAX_COMPILATION_CACHE_DIR"] = str(cache)
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)


def go(process):
    if process.stdout.readline() != "ready\n":
        raise RuntimeError("the child did not begin")
    process.stdin.write("\n")
    process.stdin.flush()


def unfinished(folder):
    """The temporary folders of checkpoints: name and number, which tells one from its successor of the same name."""
    found = set()
    for kind in ("last", "best"):
        with contextlib.suppress(FileNotFoundError):  # they come and go meanwhile
            for path in (folder / "checkpoints" / kind).iterdir():
                if "orbax-checkpoint-tmp" in path.name:
                    found.add((path.name, path.stat().st_ino))
    return found


def kill(process, folder, aimed, longest):
    """Kill at a random instant, or within the writing of a checkpoint. What was there, or None if it was done first."""
    old = unfinished(folder)  # what the kill before left doesn't count
    due = time.monotonic() + random.uniform(0.0, longest)
    while process.poll() is None:
        now = time.monotonic()
        if now >= due and (not aimed or unfinished(folder) - old):
            if aimed:
                time.sleep(random.uniform(0.0, 0.008))
            break
        time.sleep(0 if aimed and now >= due else 0.001)
    if process.poll() is not None:
        return None
    process.kill()
    process.wait()
    config = (folder / "config.json").exists()
    return {"aimed": aimed, "half_a_checkpoint_left": bool(unfinished(folder) - old), "run_had_begun": config}


def result_of(folder):
    """What a run left, as digests; the time it took left out."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for row in rows:
        row.pop("seconds")
    weights = (folder / "weights.safetensors").read_bytes()
    return {name: hashlib.sha256(content).hexdigest() for name, content in
            {"weights": weights, "metrics": json.dumps(rows).encode()}.items()}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=20, help="of the run")
    parser.add_argument("--minutes", type=float, default=8.0, help="no more kills after so long")
    parser.add_argument("--longest", type=float, default=0.8, help="most seconds before a kill")
    parser.add_argument("--json", help="where the result is written")
    parser.add_argument("--child", type=pathlib.Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child is not None:
        return child(args.child, args.epochs)
    work = pathlib.Path(tempfile.mkdtemp(prefix="pcx-kill-"))
    begun = time.monotonic()
    kills, runs = [], []

    def enough():
        return len(kills) >= args.kills or time.monotonic() - begun > args.minutes * 60

    process = waiting = start(work / "whole", args.epochs, work / "compiled")
    try:
        go(process)
        process.communicate()
        expected = result_of(work / "whole")
        folder = work / "run-0"
        waiting = start(folder, args.epochs, work / "compiled")
        while True:
            # Children that follow start while the one before runs. A new run begins where one was done.
            process, waiting = waiting, start(folder, args.epochs, work / "compiled")
            go(process)
            found = kill(process, folder, len(kills) % 2 == 1, args.longest) if not enough() else None
            if found is not None:
                kills.append(found)
                continue
            process.communicate()
            runs.append({"equal": result_of(folder) == expected, "after_kills": len(kills)})
            if enough():
                break
            folder = work / f"run-{len(runs)}"
            waiting.kill()
            waiting.wait()
            waiting = start(folder, args.epochs, work / "compiled")
    finally:
        for each in (process, waiting):
            each.kill()
            each.wait()
        shutil.rmtree(work, ignore_errors=True)
    result = {
        "kills": len(kills),
        "while_a_checkpoint_was_written": sum(k["half_a_checkpoint_left"] for k in kills),
        "before_the_run_had_begun": sum(not k["run_had_begun"] for k in kills),
        "runs": runs,
        "all_equal": bool(runs) and all(run["equal"] for run in runs),
        "checkpoint_every_batches": EVERY,
        "batches_of_a_run": args.epochs * 512 // BATCH,
        "seconds": round(time.monotonic() - begun, 1),
    }
    finish(result, args.json)
    return 0 if result["all_equal"] else 1


if __name__ == "__main__":
    sys.exit(main())
