"""Settings of the rules of `mnist` and `fashion-mnist` that a search found, by data set and rule.

Each rule was given the same number of trials on samples held out of the training set, squared error alone:

    python benchmarks/settings.py --data mnist --out benchmarks/results/settings-mnist

The folder has the space, all trials and what they cost; `--write` copies what it found to this file.
"""

FOUND: dict[str, dict[str, dict[str, float]]] = {}
