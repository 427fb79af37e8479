"""Classify images by predictive coding, and say how well it goes. Run: python examples/classify.py [--data NAME]

The digits of scikit-learn are the default, since they need no files. With --data fashion-mnist (or mnist) the files
are looked for where pcx looks for data: PCX_DATA, the user's cache, the system's data folders.
"""

import argparse

import jax
import optax

import pcx as px
import pcx.data as pxd
import pcx.learning as pxl
import pcx.models as pxm
import pcx.predictive_coding as pxc
import pcx.training as pxt

DATA = {"digits": pxd.digits, "mnist": pxd.mnist, "fashion-mnist": pxd.fashion_mnist}


def rules(steps: int) -> dict[str, pxl.Rule]:
    """The rules to choose from. `steps` is how many steps the weights take in all, for the schedule of their rate."""
    optim_w = optax.adamw(optax.warmup_cosine_decay_schedule(0.0, 3e-3, steps // 10, steps), weight_decay=1e-3)
    return {
        "pc": pxl.pc(optim_w, optax.sgd(0.05, momentum=0.5), T=8),
        "zil": pxl.zil(optim_w),  # backpropagation's update, by local steps
        "backprop": pxl.backprop(optim_w),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=list(DATA), default="digits")
    parser.add_argument("--rule", choices=list(rules(10)), default="pc")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", help="a folder for log, metrics, figure and weights; without it nothing is written")
    given = parser.parse_args()

    data = DATA[given.data](flat=True, standardise=True)
    # Settings are chosen by the last tenth of the training set; the test set is looked at once, at the end.
    cut = len(data.train.x) * 9 // 10
    train, held_out = (data.train.x[:cut], data.train.y[:cut]), (data.train.x[cut:], data.train.y[cut:])

    px.RKG.seed(given.seed)
    inputs, classes = data.train.x.shape[1], len(data.classes)
    model = pxm.MLP([inputs, 128, 128, classes], act=jax.nn.gelu, energy=pxc.ce_energy)
    rule = rules(given.epochs * (cut // given.batch_size))[given.rule]
    run = pxt.fit(
        model,
        rule,
        train,
        held_out,
        epochs=given.epochs,
        batch_size=given.batch_size,
        seeds=given.seed,
        restore_best=True,
        folder=given.out,
    )
    right = rule.predict(model, data.test.x).argmax(-1) == data.test.y
    print(f"{run.ended}; best epoch {run.best_epochs[0]}; test accuracy {right.mean():.2%}")


if __name__ == "__main__":
    main()
