"""The measurements of training, one after the other: what an epoch through `fit` costs, the first batch of `pcx train`,
and runs that are killed again and again. Needs the files of Fashion-MNIST.

    python benchmarks/training.py --data FOLDER --out benchmarks/results/training-cpu
"""

import argparse
import pathlib

import _environments as env


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder of Fashion-MNIST")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--kills", type=int, default=50)
    env.add_options(parser)
    args = parser.parse_args()
    ours = env.environments(args)[env.OURS]
    data = args.data.resolve()
    runs = {
        "fit": (ours, "fit.py", "--data", data),
        "first-batch": (ours, "first_batch.py", "--data", data),
        "kill": (ours, "kill.py", "--kills", args.kills, "--minutes", 60),
    }
    env.record(args.out.resolve(), {env.OURS: ours}, runs)


if __name__ == "__main__":
    main()
