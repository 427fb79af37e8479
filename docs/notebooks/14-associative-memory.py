# %% [markdown]
# # Associative memory
#
# You learn how a network recalls a whole image from a part of it, with three memories, and how much two of
# them can hold.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/pcx/blob/main/docs/notebooks/14-associative-memory.ipynb)
# · [Open in Binder](https://mybinder.org/v2/gh/OWNER/pcx/main?labpath=docs%2Fnotebooks%2F14-associative-memory.ipynb)

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
import pcx.inference as pxi
import pcx.learning as pxl
import pcx.models as pxm

# %% alt="Rows of digits: stored, the known upper half, and what three memories recall."
digits = pxd.digits(flat=True)
patterns = jnp.asarray(digits.train.x[:8])
known = (np.arange(64) < 32)[None]  # of each image the upper half
queries = jnp.where(known, patterns, 0.5)
optim_w = optax.adam(0.01)


def learn(memory, rule, patterns, steps):
    """Store the patterns, all of them in every batch, and return the state."""
    batch = (None, patterns)
    state = rule.init(memory, batch)
    state, _ = jax.jit(lambda s: jax.lax.scan(lambda s, _: rule.step(s, batch), s, None, steps))(state)
    return state


px.RKG.seed(0)
hopfield = pxm.HopfieldMemory(patterns, beta=5.0)  # is given its patterns
hopfield_rule = pxl.pc(optim_w, optax.sgd(1.0), T=5)
implicit_rule = pxl.pc(optim_w, optax.sgd(0.02, momentum=0.9), T=300)  # a step of 0.2 is too large for many images
implicit = learn(pxm.PCMemory(64), implicit_rule, patterns, 1000)
store_rule, recall_rule = (pxl.pc(optim_w, optax.sgd(0.1), T=T) for T in (20, 500))
hierarchy = learn(pxm.GenerativeHierarchy([16, 64, 64]), store_rule, patterns, 1000)


def recall(rule, memory, name, queries=queries, patterns=patterns):
    hold = {name: (known, patterns)}
    return jax.jit(lambda q: rule.predict(memory, q, settle=True, hold=hold))(queries)


recalled = {
    "HopfieldMemory": recall(hopfield_rule, hopfield, "state"),
    "PCMemory": recall(implicit_rule, implicit, "state"),
    "GenerativeHierarchy": recall(recall_rule, hierarchy, "data", None),
}
figure, ax = plt.subplots(figsize=(8, 5), layout="constrained")
pxa.plot_images({"stored": patterns, "known": queries} | recalled, ax, shape=(8, 8), limits=(0, 1))
plt.show()
for name, images in recalled.items():
    print(f"{name:20} mean squared error of the missing half {jnp.mean((images - patterns)[:, 32:] ** 2):.5f}")

# %% [markdown]
# Eight images are stored. The network is shown the upper half of each, held fast, and the lower half settles. Nothing
# looks the image up in a table: it is at rest where the energy is lowest, and learning has made the energy low at the
# stored images.
#
# The digits are those that scikit-learn carries, so nothing is downloaded.
#
# ## Recall is settling
#
# An associative memory is an energy over one value, with low places at what is stored. A *modern Hopfield network* has
#
# $$E(h) = -\frac1\beta \log \sum_i \exp\left(-\frac\beta2 |h - m_i|^2\right),$$
#
# for the patterns $m_i$. In the plane it can be drawn, and so can the way down of a few queries:

# %% alt="Two maps of an energy in the plane with three patterns, and the ways of queries: with a large beta each ends at a pattern, with a small one all end between them."
points = jnp.array([[-1.0, -0.6], [1.1, -0.8], [0.1, 1.0]])
grid = np.stack(np.meshgrid(np.linspace(-2, 2, 121), np.linspace(-2, 2, 121)), -1).astype(np.float32)
start = jax.random.uniform(jax.random.key(1), (14, 2), minval=-1.9, maxval=1.9)

figure, axes = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained", sharey=True)
for beta, ax in zip((0.8, 8.0), axes, strict=True):
    small = pxm.HopfieldMemory(points, beta=beta)
    bound = pxl.bind(small, (start, None))
    landscape = bound.landscape({}, wave=False)  # nothing is clamped, and values may have errors at once

    def keep(nodes):
        return {"first": nodes["state"][:, 0], "second": nodes["state"][:, 1]}

    way = pxi.relax(landscape, landscape.start(), descent=optax.sgd(0.1), stop=60, trace=keep).trace
    flat = pxl.bind(small, (grid.reshape(-1, 2), None))
    energy = flat.landscape({}).energies(flat.landscape({}).start())["state"].reshape(121, 121)
    ax.contourf(grid[..., 0], grid[..., 1], energy, levels=18, cmap="Greys_r")
    ax.plot(way["first"], way["second"], color="#0072B2", linewidth=1.5)
    ax.plot(start[:, 0], start[:, 1], ".", color="#0072B2")
    ax.plot(points[:, 0], points[:, 1], "*", color="#D55E00", markersize=15, markeredgecolor="white")
    ax.set(title=f"beta = {beta}", xlabel="first feature")
axes[0].set_ylabel("second feature")
plt.show()

# %% [markdown]
# With a large $\beta$ each pattern (star) has a valley of its own, and a query ends in the nearest one. With a small
# one the valleys run together, and everything ends in between: a mixture that was never stored.
#
# ## Three memories
#
# | | what is stored where | how |
# |---|---|---|
# | `HopfieldMemory` | the patterns themselves, as rows of a matrix | given, nothing to learn |
# | `PCMemory` | in weights from each feature to each other | each feature learns to be predicted from all others |
# | `GenerativeHierarchy` | in the weights of a decoder | latents settle, and learn to predict the image |
#
# The second is predictive coding with recurrent weights, $E = \tfrac12 |h - W h - b|^2$ with no weight from a feature
# to itself. What it learns can be looked at, for instance what a pixel in the lower half (marked) is predicted from:

# %% alt="Four maps of weights: from which pixels one pixel is predicted."
pixels = [36, 43, 51, 60]
weight = np.asarray(implicit.weights["state.weight"])
figure, axes = plt.subplots(1, 4, figsize=(10, 2.9), layout="constrained")
for pixel, ax in zip(pixels, axes, strict=True):
    row = weight[pixel].copy()
    row[pixel] = 0  # no part of the energy
    most = np.abs(row).max()
    ax.imshow(row.reshape(8, 8), cmap="RdBu", vmin=-most, vmax=most)
    ax.plot(pixel % 8, pixel // 8, "kx", markersize=10, markeredgewidth=2)
    ax.set(xticks=[], yticks=[], title=f"pixel {pixel}")
figure.suptitle("From where a pixel is predicted: blue is for, red is against")
plt.show()

# %% [markdown]
# ## How much fits in?
#
# More images, the same half held. What is asked is not how close the recalled image is to the stored one, but whether
# it is closer to the right one than to every other.

# %% alt="The part of the images that are recalled, by how many are stored, for two memories."
counts, right = (8, 32, 128), {"HopfieldMemory": [], "PCMemory": []}
for count in counts:
    many = jnp.asarray(digits.train.x[:count])
    cue = jnp.where(known, many, 0.5)
    state = learn(pxm.PCMemory(64), implicit_rule, many, 1000)
    found = {
        "HopfieldMemory": recall(hopfield_rule, pxm.HopfieldMemory(many, beta=20.0), "state", cue, many),
        "PCMemory": recall(implicit_rule, state, "state", cue, many),
    }
    for name, images in found.items():
        assert np.isfinite(images).all(), name
        distance = jnp.sum((images[:, None] - many[None]) ** 2, axis=-1)
        right[name].append(float(jnp.mean(distance.argmin(axis=1) == jnp.arange(count))))

figure, ax = plt.subplots(figsize=(6.5, 3.6), layout="constrained")
for (name, share), look in zip(right.items(), ("o-", "s--"), strict=True):
    ax.plot(counts, share, look, label=name)
ax.set(
    xlabel="images stored", ylabel="recalled: nearest to the right one", title="Half an image is shown", ylim=(0, 1.05)
)
ax.set_xscale("log", base=2)
ax.set_xticks(counts, counts)
ax.legend()
plt.show()
for name, share in right.items():
    print(f"{name:16}", *[f"{count}: {s:.0%}" for count, s in zip(counts, share, strict=True)])

# %% [markdown]
# Both still find most of 128 images, the Hopfield network more of them. `PCMemory` has one weight for each pair of
# features, however many images there are; the Hopfield network grows with each. So they answer different questions:
# what is *likely*, given this half, and which of the *stored* ones is it. The larger experiment, with MNIST or
# CIFAR-10, is `pcx run memory`.
#
# ## Exercises
#
# 1. Recall from noise in the place of a half: `queries = patterns + 0.3 * jax.random.normal(...)`, without `hold`.
#    Which memories can do that?
#
# <details><summary>Solution</summary>
#
# `rule.predict(memory, queries, settle=True)`. The Hopfield network can. The energy of `PCMemory` also falls along
# directions that no pattern fixes, so it cleans up less. The hierarchy has no query to start from: hold the noisy
# image, and look at its prediction.
#
# </details>
#
# 2. For which $\beta$ does the Hopfield memory of the first cell no longer recall?
#
# <details><summary>Hint</summary>
#
# Try 0.1. The answer depends on the distance between images: $\beta$ times the squared distance should be well above 1.
#
# </details>
#
# 3. Train the patterns: `learn(pxm.HopfieldMemory(patterns), ...)` on all images, `(None, digits.train.x)`. What do
#    the patterns become?
#
# <details><summary>Hint</summary>
#
# Its energy is the negative logarithm of a mixture of Gaussians. Look at `state.weights["state.patterns"]` with
# `pxa.plot_images`.
#
# </details>
#
# 4. Hold only every second pixel. Is that easier or harder than half an image?
#
# <details><summary>Hint</summary>
#
# `known = (np.arange(64) % 2 == 0)[None]`, before the cells that use it. Neighbours tell more of a pixel than those far
# away do.
#
# </details>
