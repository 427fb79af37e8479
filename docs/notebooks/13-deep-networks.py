# %% [markdown]
# # Deep networks, and what goes wrong
#
# You learn why errors fade in deep networks, what muPC does about it, and how to read divergence and dead layers.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/pcx/blob/main/docs/notebooks/13-deep-networks.ipynb)
# · [Open in Binder](https://mybinder.org/v2/gh/OWNER/pcx/main?labpath=docs%2Fnotebooks%2F13-deep-networks.ipynb)

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
import pcx.training as pxt

# %% alt="The energy by node and inference step in a plain network of 16 layers, and in one of muPC."
DEPTH = 16
data = pxd.digits(flat=True, standardise=True)
batch = data.train.x[:64], jax.nn.one_hot(data.train.y[:64], 10)
widths = [64, *[32] * (DEPTH - 1), 10]
px.RKG.seed(0)
plain, mu = pxm.MLP(widths, act=jnp.tanh), pxm.MuMLP(widths)
rule = pxl.pc(optax.adam(0.01), optax.sgd(0.2), T=24)

figure, axes = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
for net, ax, name in zip((plain, mu), axes, ("plain MLP", "muPC"), strict=True):
    (trace,) = pxa.trace(rule, net, batch)
    pxa.plot_energy_flow(trace, ax)
    ax.set_title(f"{name}, {DEPTH} layers")
plt.show()

# %% [markdown]
# The energy of each node, step by step, from a forward pass to the end of settling. The output's error travels down
# one layer a step, and loses a part on the way; mind the logarithmic colours. On the left it loses so much that it is
# less than the rounding of the values on its way, and the first node has none after 24 steps. So in a deep network three
# things can go wrong: the error has not arrived, it has arrived too small to count, or it has grown. pcx says which.
#
# ## Why errors fade
#
# A value moves by the step $g$ times what comes from above, so after one visit of the wave-front each node has passed
# on at most
#
# $$e_l \approx g\, J_{l+1}^\top e_{l+1},$$
#
# and a node that is $k$ predictions below the output has seen $g^k$ times a product of $k$ Jacobians. In a plain
# network of tanh units with small weights these Jacobians shrink, too. The sizes of the values do so on their way up:

# %% alt="The mean square of the values by layer: it shrinks in the plain network, and keeps its size in muPC."
figure, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
for net, name, look in ((plain, "plain MLP", "o-"), (mu, "muPC", "s--")):
    size = pxa.activity(pxl.bind(net, batch))
    ax.plot([float(v) for v in size.values()], look, label=name)
ax.set(
    xlabel="node, from the input to the output", ylabel="mean square of the values", title="Values at a forward pass"
)
ax.set_yscale("log")
ax.legend()
plt.show()

# %% [markdown]
# **muPC** is a parametrisation: skips around the layers, and scales of width and depth in front of them, so that
# values keep their size at any depth, a Jacobian passes errors on whole, and rates that are right for one width and
# depth are right for others. What is left is the factor $g$ for each layer, which is why errors fade on the right of the
# first picture, too. muPC is no rule; any rule of predictive coding trains `pxm.MuMLP`.
#
# ## Reading `health`
#
# `pxa.health` looks at one step of a rule on one batch and says of each layer whether it learns, and if not, why.
# First a rule with too few steps:

# %%
short = pxl.pc(optax.adam(0.01), optax.sgd(0.2), T=6)
for finding in pxa.health(short, plain, batch).findings:
    print("-", finding)

# %% [markdown]
# The first finding is arithmetic: an error that travels one layer a step can't come to the bottom of 16 layers in 6
# steps. With enough steps that finding is gone. What is left then is a matter of sizes:

# %%
for name, net in (("plain MLP", plain), ("muPC", mu)):
    found = pxa.health(rule, net, batch)
    print(f"{name}: {len(found.silent)} of {DEPTH} layers learn nothing")
    for finding in found.findings:
        print("  -", finding)

# %% [markdown]
# ## Dead layers
#
# Units that give the same for every sample pass nothing on in either direction. ReLU does that to units whose input
# is always negative. Here a layer is killed on purpose, by a bias:

# %%
px.RKG.seed(0)
relu = pxm.MLP([64, 32, 32, 32, 10], act=jax.nn.relu)
relu.layers[1].nn.bias.set(jnp.full(32, -20.0))
found = pxa.health(pxl.pc(optax.adam(0.01), optax.sgd(0.2), T=8), relu, batch)
for finding in found.findings:
    print("-", finding)
print("learn nothing:", found.silent)

# %% [markdown]
# Two layers are named though one was killed: the one below it learns nothing either, since no error passes a dead
# layer. So look first at the one that is nearest to the output.
#
# ## Divergence
#
# A step of the values that is too large makes the energy grow. How large is too large is known: along a direction in
# which the energy has the curvature $\lambda$, a step $g$ multiplies the distance to the minimum by $1 - g \lambda$,
# so $g$ must be below $2 / \lambda$. `pxa.curvature` measures it:

# %% alt="The energy by inference step for four sizes of the step: below the largest stable one it falls, above it rises."
px.RKG.seed(0)
model = pxm.MLP([64, 32, 32, 10], act=jnp.tanh)
bound = pxl.bind(model, batch)
landscape = bound.landscape(bound.start().targets)
stable = float(pxa.curvature(landscape, which="largest").stable_step())
print(f"the largest stable step is {stable:.2f}")

figure, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
for factor, look in ((0.3, ":"), (0.9, "-"), (1.05, "--"), (1.15, "-.")):
    (trace,) = pxa.trace(pxl.pc(optax.adam(0.01), optax.sgd(factor * stable), T=40), model, batch)
    ax.plot(trace.total, look, linewidth=2, label=f"{factor} of the largest stable step")
ax.set(
    xlabel="inference step",
    ylabel="energy, mean of samples",
    title="Below the bound values settle, above it they run away",
)
ax.set_yscale("log")
ax.legend()
plt.show()

# %% [markdown]
# Curvature grows with the weights, so a step that is stable at first may not be so later. A rule tells of each step
# whether it was sound, in `info.result`, and `pxl.explain` says it in words. In a run, `run.ended` and `run.why` do:

# %%
hot = pxl.pc(optax.adam(0.01), optax.sgd(1.6 * stable), T=40)
state, info = jax.jit(hot.step)(hot.init(model, batch), batch)
print("one step: ", pxl.explain(info, state))

far = pxl.pc(optax.adam(0.01), optax.sgd(100.0), T=40)
run = pxt.fit(model, far, (data.train.x, data.train.y), epochs=2, batch_size=64, show=False)
print("a run:    ", run.ended, "-", run.why)

# %% [markdown]
# The weights after a failed run are those before the batch that failed: nothing that isn't finite gets into a model.
#
# ## Does it pay?
#
# The plain network and muPC, at this depth, trained by the same rule for a few epochs. (`pxt.fit(..., regime=500)`
# watches all of the above while it trains.)

# %% alt="Test accuracy over the epochs of a plain network of 16 layers and of muPC."
curves = {}
for name, make, rate in (
    ("plain MLP", lambda: pxm.MLP(widths, act=jnp.tanh), 0.003),
    ("muPC", lambda: pxm.MuMLP(widths), 0.1),
):
    deep = pxl.pc(optax.adam(rate), optax.sgd(0.2), T=DEPTH)
    run = pxt.fit(make, deep, data.train, data.test, epochs=5, batch_size=64, seeds=range(3), show=False)
    curves[name] = np.array([row["validation_accuracy"] for row in run.history]).reshape(5, 3).T
    print(f"{name}: {run.ended}, test accuracy {curves[name][:, -1].mean():.1%}")
figure, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
pxa.plot_seeds(curves, ax, label="test accuracy")
ax.set(title=f"Digits, {DEPTH} layers", xlabel="epoch", ylim=(0, 1))
plt.show()

# %% [markdown]
# The rates differ, since the weights of muPC are scaled. Neither was searched for with care, so take this for an
# example and not for a result; notebook 15 shows how to compare. [Deep, wide, many](../deep-wide-many.md) goes on to
# hundreds of layers.
#
# ## Exercises
#
# 1. How many steps does `health` ask for, for the plain network? Does every layer learn with them?
#
# <details><summary>Solution</summary>
#
# For 15. An error comes to every layer then, but by the first ones it is no more than the rounding of their values, so
# that these still learn nothing.
#
# </details>
#
# 2. Replace `optax.sgd(0.2)` by `optax.adam(0.02)` for the values, and draw the first picture again. Why does the
#    error no longer fade?
#
# <details><summary>Solution</summary>
#
# Adam divides a gradient by its own size, so every node moves by its rate once an error has come, however small that
# is.
#
# </details>
#
# 3. `pxl.epc` settles over errors. What does its trace look like in the plain network of 16 layers?
#
# <details><summary>Solution</summary>
#
# Each step is a pass of backpropagation, so all layers have an error after the first. What comes to the lower ones is
# still multiplied by all Jacobians.
#
# </details>
#
# 4. Revive the dead layer without changing its bias.
#
# <details><summary>Hint</summary>
#
# Another activation: with `jax.nn.leaky_relu` nothing is ever quite off.
#
# </details>
#
# 5. Is the largest stable step the same after training? Measure it before and after some epochs.
#
# <details><summary>Hint</summary>
#
# Curvature grows with the weights, so the step should shrink. `run = pxt.fit(model, rule, ...)` changes `model` in place:
#
# ```py
# def largest(model):
#     bound = pxl.bind(model, batch)
#     return float(pxa.curvature(bound.landscape(bound.start().targets), which="largest").stable_step())
#
# before = largest(model)
# pxt.fit(model, pxl.pc(optax.adam(0.01), optax.sgd(0.2), T=8), data.train, epochs=5, batch_size=64, show=False)
# print(before, largest(model))
# ```
#
# </details>
