# %% [markdown]
# # A sweep, a comparison, a report
#
# You learn to find good settings, to compare rules so that others can believe it, and to leave a page that shows what
# was done.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/pcx/blob/main/docs/notebooks/15-sweep-compare-report.ipynb)
# · [Open in Binder](https://mybinder.org/v2/gh/OWNER/pcx/main?labpath=docs%2Fnotebooks%2F15-sweep-compare-report.ipynb)

# %% tags=["hide-input", "hide-output"]
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile

if importlib.util.find_spec("pcx") is None:  # as on Colab
    source = "pcx-jax[cli,sweep] @ git+https://github.com/OWNER/pcx"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", source], check=True)

import matplotlib.pyplot as plt
import numpy as np
import optax
from IPython.display import Image, display

import pcx.analysis as pxa
import pcx.data as pxd
import pcx.learning as pxl
import pcx.models as pxm
import pcx.training as pxt

# %% alt="What mattered in a sweep: nearly all of it was the rate of the weights; beside it the results of all settings, by each setting."
work = pathlib.Path(tempfile.mkdtemp())  # what this notebook writes
data = pxd.digits(flat=True, standardise=True)
x, y = data.train.x, data.train.y
train, held_out = (x[:-200], y[:-200]), (x[-200:], y[-200:])  # settings are chosen on these, not on the test set

found = pxt.sweep(
    lambda: pxm.MLP([64, 32, 32, 10]),
    lambda lr, state_lr, T: pxl.pc(optax.adamw(lr), optax.sgd(state_lr, momentum=0.5), T),
    train,
    held_out,
    space={"lr": pxt.Log(3e-4, 1e-2, points=3), "state_lr": pxt.Log(0.01, 0.2, points=3), "T": [4, 8]},
    epochs=3,
    folder=work / "sweep",
    show=False,
)
found.figure(work / "what-mattered.png")
display(Image(filename=str(work / "what-mattered.png")))

# %% [markdown]
# Eighteen networks: three rates of the weights, three of the values, two numbers of inference steps. The picture is a
# by-product of the search, and the first thing to look at: not *which* setting was best, but *what mattered*. In three
# epochs that is the rate of the weights, and nearly nothing else; the line is the best of each column.
#
# ## A sweep
#
# `pxt.sweep` takes a function that makes the model, one that makes the rule, and the `space` of their arguments.
# Rates are numbers that a compiled program can be given, so all nine settings of one T train in one program; each T
# is a program of its own.

# %%
print(found.table())
print("best:", {name: round(value, 4) for name, value in found.best.items()})
print("what mattered:", {name: f"{share:.0%}" for name, share in found.importances().items()})

# %% [markdown]
# The best of 18 is a little too good to be true, since it was chosen for its number. So what is reported must come
# from data that nothing was chosen by: the test set, once, with new seeds. (`pcx sweep`, the same from the shell, refuses
# to choose by the test set.)
#
# In place of a grid, `trials=24` searches by Optuna; `pruner="median"` gives up what is behind. A sweep that is
# killed goes on where it was, and several processes can share one.
#
# ## A comparison
#
# A comparison that others can believe has: the same first weights, batches and budget for every rule; several seeds,
# all of them shown; the difference seed by seed, with an interval; and what each rule costs. The command does all of
# that in a line. We give PC the rates that the sweep has found.

# %%
best = found.best


def pcx(command):
    """Run a command of pcx, as in a shell, and show what it prints."""
    plain = {k: v for k, v in os.environ.items() if k != "FORCE_COLOR"} | {"COLUMNS": "110"}
    done = subprocess.run(
        [sys.executable, "-m", "pcx.cli", *command.split()], capture_output=True, text=True, env=plain
    )
    print(f"$ pcx {command}\n{done.stdout}{done.stderr}".replace(str(work), "runs"))


best = found.best
pcx(
    f"compare --data digits --rules pc zil backprop --seeds 5 --epochs 4 --hidden 32 32 --batch-size 64 "
    f"--lr {best['lr']:.5f} --pc.state-lr {best['state_lr']:.5f} --pc.state-momentum 0.5 --pc.T {best['T']} "
    f"--validation test --out {work / 'rules'}"
)

# %% [markdown]
# *Read the interval before the mean*: where it includes 0, these seeds don't tell the rules apart. Z-IL's difference
# is 0 or close to it by construction, which makes it a good check of the whole machinery: if it weren't, something
# else would differ between the arms. The last column is what a step costs in backpropagation's.
#
# The folder has it all as numbers, so any figure of your own is a few lines:

# %% alt="Test accuracy of three rules over five seeds: over the epochs, and after the last one, each with its mean and interval."
summary = json.loads((work / "rules" / "summary.json").read_text())
print(list(summary))
curves = {}
for rule in ("pc", "zil", "backprop"):
    rows = [json.loads(line) for line in (work / "rules" / rule / "metrics.jsonl").read_text().splitlines()]
    epochs = max(row["epoch"] for row in rows)
    curves[rule] = np.array([row["validation_accuracy"] for row in rows]).reshape(epochs, -1).T

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
pxa.plot_seeds(curves, left, label="test accuracy")
left.set(title="Every seed, over the epochs", xlabel="epoch")
pxa.plot_seeds({rule: curve[:, -1] for rule, curve in curves.items()}, right, label="test accuracy")
right.set_title("After the last epoch")
plt.show()

# %% [markdown]
# ## A report
#
# `pcx report` turns a run's folder, or a comparison, into one page of HTML with nothing to fetch: how runs ended,
# curves, the energy of each node, settings, versions, logs. It is what to send to a colleague, or to keep beside a
# paper.

# %%
pcx(f"report {work / 'rules'} --out {work / 'report.html'}")
page = (work / "report.html").read_text()
print(f"one file of {len(page) / 1e3:.0f} kB")

# %% [markdown]
# In a notebook on your own machine, `IPython.display.IFrame(str(work / "report.html"), 900, 600)` shows it here.
# While a run goes on, `pcx watch` serves the same page, and refreshes it.
#
# Here is what one run folder holds. It is enough to go on with the run, to judge it again, or to repeat it:

# %%
for path in sorted((work / "rules" / "pc").iterdir()):
    print(path.name)

# %% [markdown]
# ## Exercises
#
# 1. Add `"momentum": [0.0, 0.5, 0.9]` to the space. How many programs are compiled, and does it matter?
#
# <details><summary>Hint</summary>
#
# Lists of floats are given to one program as numbers; so still two. Let the rule's function take `momentum`.
#
# </details>
#
# 2. Is the best setting at the edge of the grid? What would you do then?
#
# <details><summary>Solution</summary>
#
# Widen the range on that side and run the same call again with another folder, or let `trials=24` search the wider one.
#
# </details>
#
# 3. Give backpropagation its own sweep of the rate. Does the comparison change?
#
# <details><summary>Hint</summary>
#
# Settings that were chosen for one rule favour it. The function that makes the rule becomes `lambda lr:
# pxl.backprop(optax.adamw(lr))`.
#
# </details>
#
# 4. How many seeds would it take to tell PC from backpropagation here, if the difference is real?
#
# <details><summary>Solution</summary>
#
# The interval shrinks with the square root of the number of seeds: to make it <em>k</em> times narrower takes
# <em>k</em>² times as many.
#
# </details>
#
# 5. Run the comparison with `--regime auto`. Which rule is backprop-like, and which transient?
#
# <details><summary>Hint</summary>
#
# The table gets a column. Give the comparison a folder of its own: `--out` with another name.
#
# </details>
