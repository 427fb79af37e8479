"""Settings of the rules of `mnist` and `fashion-mnist` that a search found, by data set and rule.

Each rule was given the same number of trials on samples held out of the training set, squared error alone:

    python benchmarks/settings.py --data mnist --out benchmarks/results/settings-mnist

The folder has the space, all trials and what they cost; `--write` copies what it found to this file.
"""

FOUND: dict[str, dict[str, dict[str, float]]] = {
    "mnist": {
        "pc": {
            "lr": 0.00274,
            "weight_decay": 0.00379,
            "state_lr": 0.0358,
            "state_momentum": 0.716,
        },
        "ipc": {
            "lr": 0.000456,
            "weight_decay": 0.0286,
            "state_lr": 0.313,
            "state_momentum": 0.164,
        },
        "zil": {
            "lr": 0.00274,
            "weight_decay": 0.00379,
        },
        "hil": {
            "lr": 0.00105,
            "weight_decay": 0.000395,
            "state_lr": 0.484,
        },
        "fpa": {
            "lr": 0.00274,
            "weight_decay": 0.00379,
        },
        "epc": {
            "lr": 0.00213,
            "weight_decay": 0.000217,
            "state_lr": 0.00141,
        },
        "pn": {
            "lr": 0.00112,
            "weight_decay": 0.00393,
            "state_lr": 0.286,
            "state_momentum": 0.448,
            "beta": 0.0407,
        },
        "nn": {
            "lr": 0.00112,
            "weight_decay": 0.00393,
            "state_lr": 0.286,
            "state_momentum": 0.448,
            "beta": 0.0407,
        },
        "cn": {
            "lr": 0.00112,
            "weight_decay": 0.00393,
            "state_lr": 0.286,
            "state_momentum": 0.448,
            "beta": 0.0407,
        },
        "mcpc": {
            "lr": 0.00105,
            "weight_decay": 0.000395,
            "state_lr": 0.0981,
            "variance": 1.16e-05,
        },
        "backprop": {
            "lr": 0.00274,
            "weight_decay": 0.00379,
        },
    },
}
