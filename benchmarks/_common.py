"""What the scripts share: timing in turns, and the end of a script that leaves its result as JSON."""

import json
import pathlib
import statistics
import time


def seconds(call, number=1, wait=None):
    """Seconds that a call takes, mean over `number`; `wait(result)` of the last one counts."""
    start = time.perf_counter()
    for _ in range(number):
        out = call()
    if wait is not None:
        wait(out)
    return (time.perf_counter() - start) / number


def in_turns(calls, rounds, number=1, wait=None):
    """Seconds of each call in every round, `{name: [rounds]}`; within a round the calls take turns."""
    times = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            times[name].append(seconds(call, number, wait))
    return times


def milliseconds(times):
    """Median and minimum of each list of seconds, in ms."""
    return {n: {"median_ms": statistics.median(t) * 1e3, "min_ms": min(t) * 1e3} for n, t in times.items()}


def ratio(above, below, bar=None, factor=1.0):
    """How many times `below` (seconds of all rounds) `above` takes, by medians and by minima."""
    row = {
        "of_medians": statistics.median(above) / (factor * statistics.median(below)),
        "of_minima": min(above) / (factor * min(below)),
    }
    return row if bar is None else {**row, "bar": bar}


def finish(result, path):
    """Print the result, and write it to `path` if there is one."""
    text = json.dumps(result, indent=2, ensure_ascii=False)
    print(text)
    if path:
        pathlib.Path(path).write_text(text + "\n")
