# %% [markdown]
# # Z-IL and HIL
#
# You learn why Z-IL, a rule of local steps, computes backpropagation's update exactly, what breaks that, and how to read
# what HIL gains by going on to settle.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/pcx/blob/main/docs/notebooks/09-zil-and-hil.ipynb)
# · [Open in Binder](https://mybinder.org/v2/gh/OWNER/pcx/main?labpath=docs%2Fnotebooks%2F09-zil-and-hil.ipynb)

# %% tags=["hide-input", "hide-output"]
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("pcx") is None:  # as on Colab
    source = "pcx-jax[cli] @ git+https://github.com/OWNER/pcx"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", source], check=True)

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import pcx as px
import pcx.analysis as pxa
import pcx.data as pxd
import pcx.learning as pxl
import pcx.models as pxm
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.training as pxt

# %% alt="Left: the energy of each node by inference step; what no error has reached is hatched, and that grows smaller by a node each step. Right: the gradients of Z-IL against those of backpropagation, all on the diagonal; those of PC beside it."
data = pxd.two_moons(1024, 1000)
x, y = data.train.x[:64], jax.nn.one_hot(data.train.y[:64], 2)
px.RKG.seed(0)
model = pxm.MLP([2, 16, 16, 16, 2], act=jnp.tanh)


def gradient(rule, model=model):
    """With plain gradient descent of rate 1, what a step takes away from the weights is the gradient."""
    before = rule.init(model, (x, y))
    after, _ = jax.jit(rule.step)(before, (x, y))
    return {path: before.weights[path] - after.weights[path] for path in before.weights}


one = optax.sgd(1.0)
found = {
    "backprop": gradient(pxl.backprop(one)),
    "Z-IL": gradient(pxl.zil(one)),
    "PC": gradient(pxl.pc(one, optax.sgd(0.1), T=8)),
}
(wave,) = pxa.trace(pxl.pc(one, one, T=4), model, (x, y))

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
pxa.plot_energy_flow(wave, left)
left.set_title("An error travels one layer a step")
flat = {name: np.concatenate([np.ravel(g) for g in grads.values()]) for name, grads in found.items()}
right.plot(flat["backprop"], flat["PC"], ".", color="#D55E00", alpha=0.4, label="PC, 8 steps of 0.1")
right.plot(flat["backprop"], flat["Z-IL"], ".", color="#0072B2", label="Z-IL")
right.set(
    xlabel="gradient of each weight, backpropagation", ylabel="the same, by local steps", title="One dot a weight"
)
right.legend()
plt.show()

# %% [markdown]
# On the left is the energy of each node while values settle with a step of 1. Hatched is what no error has reached: at
# the beginning all the error is at the output, and each step carries it one layer further. On the right is every
# weight's gradient. Z-IL's lie on the diagonal. They are not close to backpropagation's; they are the same numbers.
#
# ## Why they are equal
#
# A network has layers $u_l = f_l(h_{l-1})$, and each value $h_l$ has an error $e_l = h_l - u_l$ and an energy
# $\tfrac12 |e_l|^2$. A value moves along
#
# $$\frac{\partial E}{\partial h_l} = e_l - J_{l+1}^\top e_{l+1},$$
#
# where $J_{l+1}$ is the Jacobian of the next layer, at $h_l$: its own error pulls it to its prediction, the error of
# the node above pulls it elsewhere.
#
# Start with a forward pass: all hidden errors are 0. Clamp the output, whose error becomes $e_L = y - u_L$. Then take
# steps of size **1**. When the error reaches node $l$ for the first time, its own error is still 0, and so it moves by
# exactly
#
# $$e_l = J_{l+1}^\top e_{l+1}.$$
#
# That is the recursion of backpropagation, with $J_{l+1}$ at the values of the forward pass, since node $l$ had not
# moved before. If each weight learns at the very step at which the error has arrived at its prediction, *before
# anything else moves*, it learns from backpropagation's error and from the forward pass's values.
#
# Nothing in this needs to look further than one node up. And it is why the rule is called **zero-divergence inference
# learning**.
#
# ## By hand
#
# `pxl.bind` takes the model apart at its value nodes, and `bound.landscape` is the energy as a function of the
# values, as in [One training step by hand](../step-by-hand.md). The loop below is all of Z-IL.

# %%
bound = pxl.bind(model, (x, y))
begin = bound.start()  # the forward pass
landscape = bound.landscape(begin.targets)  # the output is clamped

h, by_hand, errors = dict(begin.h), {}, []
for layer in reversed(range(4)):
    local = landscape.weight_gradient(h).gradient  # of every weight, from the values as they are now ...
    here = f"layers[{layer}]"
    by_hand |= {path: g for path, g in local.items() if path.startswith(here)}  # ... but one layer learns

    energies = landscape.energies(h)
    errors.append([float(jnp.sqrt(2 * energies[name].mean())) for name in energies])
    pull = landscape.gradient(h)(h)
    h = {name: h[name] - 1.0 * pull[name] for name in h}  # all values move, by a step of 1

for path in by_hand:
    off = jnp.abs(by_hand[path] - found["backprop"][path]).max() / jnp.abs(found["backprop"][path]).max()
    print(f"{path:22} relative difference from backpropagation {off:.0e}")
    assert off < 1e-5

# %% [markdown]
# What is left is the rounding of 32-bit numbers. The picture of the same loop: the number in each field is the mean
# size of a node's error at each step. A frame marks the step at which the weights into that node learn.

# %% alt="A table of nodes and inference steps: the numbers before the frames are zero, and the frames, along the diagonal, mark which weights learn."
figure, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
seen = np.array(errors).T
ax.imshow(seen, cmap="Blues", vmin=0, vmax=1.5 * seen.max(), aspect="auto", origin="lower")
for node in range(4):
    for step in range(4):
        ax.text(step, node, f"{seen[node, step]:.2g}", ha="center", va="center", color="black")
    ax.add_patch(plt.Rectangle((3 - node - 0.47, node - 0.47), 0.94, 0.94, fill=False, color="#D55E00", linewidth=2.5))
ax.set_xticks(range(4))
ax.set_yticks(range(4), [*[f"hidden node {i}" for i in range(3)], "output"])
ax.set(xlabel="inference step", title="Where the error is, and which weights learn")
plt.show()

# %% [markdown]
# ## The rule
#
# `pxl.zil` does that in one sweep and carries errors instead of subtracting values from predictions, so that it
# keeps their digits at any depth. A step costs what a step of backpropagation costs.

# %%
for path, g in found["Z-IL"].items():
    assert np.allclose(g, found["backprop"][path], atol=1e-6), path
print("Z-IL equals backpropagation to 1e-6, in all", sum(g.size for g in found["Z-IL"].values()), "weights")

# %% [markdown]
# ## What breaks it
#
# **Another step.** With a step $g$ each move is $g$ times as far, so the update of a layer that is $l$ predictions
# away from the output is $g^l$ times backpropagation's: the same direction, another size.

# %%
half = gradient(pxl.zil(one, optax.sgd(0.5)))
for path in ("layers[3].nn.weight", "layers[2].nn.weight", "layers[1].nn.weight", "layers[0].nn.weight"):
    ratio = jnp.linalg.norm(half[path]) / jnp.linalg.norm(found["backprop"][path])
    print(f"{path}: {ratio:.4f} of backpropagation's")

# %% [markdown]
# **Ways of different length.** In a network with a skip the error reaches a node by two ways. If one of them has
# fewer nodes, its part comes earlier, the node moves twice, and the argument above no longer holds. pcx refuses such
# a network and says what to do:


# %%
class Skip(pxc.EnergyModule):
    """Two hidden layers; the output reads both."""

    def __init__(self):
        super().__init__()
        self.layers = [pxnn.Linear(2, 16), pxnn.Linear(16, 16), pxnn.Linear(16, 2)]
        self.vodes = [pxc.Vode(), pxc.Vode(), pxc.Vode(output=True)]

    def __call__(self, x):
        first = self.vodes[0](jnp.tanh(self.layers[0](x)))
        second = self.vodes[1](jnp.tanh(self.layers[1](first)))
        return self.vodes[2](self.layers[2](first + second))


px.RKG.seed(0)
skip = Skip()
try:
    gradient(pxl.zil(one), skip)
except ValueError as error:
    print(error)

levelled, exact = gradient(pxl.zil(one, level=True), skip), gradient(pxl.backprop(one), skip)
print(
    "\nwith level=True:", "equal" if all(np.allclose(levelled[p], exact[p], atol=1e-6) for p in exact) else "not equal"
)

# %% [markdown]
# Values must also start at a forward pass, and hidden energies must be squared errors: with another energy the own pull
# of a node is not $e_l$. [Choose a rule](../choose-a-rule.md) lists all conditions.
#
# So Z-IL is *not* predictive coding at equilibrium: it is the first moments of it, and what predictive coding does
# differently from backpropagation happens afterwards.
#
# ## HIL: go on settling
#
# The hybrid does both. While the error travels, each weight takes Z-IL's step; the nodes behind go on to settle; and
# after $T$ steps all weights learn a second time, from the settled values. Here are eight networks under each rule on
# the same batches, with the same optimiser.

# %%
optim_w = optax.sgd(0.2, momentum=0.9, nesterov=True)
rules = {"backprop": pxl.backprop(optim_w), "Z-IL": pxl.zil(optim_w), "HIL": pxl.hil(optim_w, T=8)}
seeds, accuracy = range(8), {}
for name, rule in rules.items():
    run = pxt.fit(
        lambda: pxm.MLP([2, 32, 32, 2], act=jax.nn.leaky_relu, energy=pxc.ce_energy),
        rule,
        data.train,
        data.test,
        epochs=16,
        batch_size=256,
        seeds=seeds,
        show=False,
    )
    accuracy[name] = np.array([row["validation_accuracy"] for row in run.history]).reshape(16, len(seeds)).T

same = np.abs(accuracy["Z-IL"] - accuracy["backprop"]).max()
print(f"largest difference of Z-IL from backpropagation, over all seeds and epochs: {same:.1%} of the test points")
for name, curve in accuracy.items():
    print(f"{name:9}", *[f"epoch {epoch}: {curve[:, epoch - 1].mean():.1%}  " for epoch in (4, 8, 16)])

# %% alt="Test accuracy of backpropagation and HIL with all seeds: by epoch, and by steps of the optimiser."
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
shown = {"backprop": accuracy["backprop"], "HIL": accuracy["HIL"]}
pxa.plot_seeds(shown, left, label="test accuracy")
left.set(title="By epoch", xlabel="epoch")
paired = {"backprop": accuracy["backprop"][:, 1::2], "HIL": accuracy["HIL"][:, :8]}
pxa.plot_seeds(paired, right, label="", at=8 * np.arange(1, 9))
right.set(title="By steps of the weights' optimiser", xlabel="optimiser steps")
plt.show()

# %% [markdown]
# On the left HIL is ahead between epochs 5 and 8, by two to five points: it learns more from each batch. Then look at the
# thin lines. Single seeds fall back, late ones too, and after 16 epochs HIL's mean is *below* backpropagation's. A mean
# at one epoch would have told either story.
#
# HIL also takes **two steps of the optimiser a batch** where backpropagation takes one. On the right both are drawn by
# the steps that the weights have taken, which for backpropagation means twice the data. There nothing of that lead is
# left: what HIL gained here came from taking more steps, at a rate that two steps a batch hardly bear. Read the two
# pictures together before you say that a rule "beats" another: if data is what is scarce, the left one counts; if it is
# updates, the right one. And give each rule a rate of its own, as exercise 3 does.
#
# The command runs a study of this kind and leaves tables and a figure: `pcx run zil`.
#
# ## Exercises
#
# 1. In the loop by hand, let all weights learn at the last step instead of one layer at each. Which layers are still
#    backpropagation's, and why?
#
# <details><summary>Hint</summary>
#
# Replace the condition by `layer == 0`. Only the first layer's is: all others' errors have changed since the error
# first came to them.
#
# </details>
#
# 2. Give the model `energy=pxc.ce_energy` for its output. Is Z-IL still exact? And with hidden nodes of the energy
#    `pxc.Laplace()`?
#
# <details><summary>Solution</summary>
#
# The output's energy may be anything, since the output does not move: its gradient is what starts the recursion. Hidden
# energies must be squared errors, so `pxl.zil` refuses a hidden Laplace energy.
#
# </details>
#
# 3. Halve HIL's rate, and no one else's: do seeds still fall back? Then try `T=3` and 32.
#
# <details><summary>Hint</summary>
#
# `pxl.hil(optax.sgd(0.1, momentum=0.9, nesterov=True), T=8)`. `T` must be large enough for the error to reach every
# weight. Choose rates by other seeds and held-out data than those that you report.
#
# </details>
#
# 4. Is it the settling of HIL that helps, or the second step? Write the control: backpropagation, twice on each batch.
#
# <details><summary>Solution</summary>
#
# `pxt.fit` takes any list of batches: repeat each of them, `[batch for batch in batches for _ in range(2)]`, or write a
# rule whose `step` calls `pxl.backprop(...).step` twice (see the notebook on a rule of one's own).
#
# </details>
