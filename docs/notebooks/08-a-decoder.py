# %% [markdown]
# # A decoder: images without labels
#
# You will train a network that only predicts images, without labels and without an encoder, and let it code images, fill
# in a missing half, and draw what lies between two of them.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/pcx/blob/main/docs/notebooks/08-a-decoder.ipynb)
# · [Open in Binder](https://mybinder.org/v2/gh/OWNER/pcx/main?labpath=docs%2Fnotebooks%2F08-a-decoder.ipynb)

# %% tags=["hide-input", "hide-output"]
import importlib.util, subprocess, sys

if importlib.util.find_spec("pcx") is None:  # as on Colab
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "git+https://github.com/OWNER/pcx"], check=True)

# %% alt="Rows of images: originals; their upper halves; the images filled in; and reconstructions of the whole images."
import jax, jax.numpy as jnp, matplotlib.pyplot as plt, numpy as np, optax

import pcx as px, pcx.analysis as pxa, pcx.data as pxd, pcx.inference as pxi, pcx.learning as pxl, pcx.models as pxm

try:
    data = pxd.mnist(flat=True)
except FileNotFoundError:
    data = pxd.digits(flat=True)  # smaller images, which scikit-learn carries
PIXELS = data.train.x.shape[1]
SIDE = int(PIXELS**0.5)
images, new = jnp.asarray(data.train.x[:1000]), jnp.asarray(data.test.x[:200])
mean = images.mean(axis=0)
print(f"{data.name}, {SIDE} x {SIDE}")

LATENTS = 8
PRIOR = {"latent": 1.0}  # the precision of the latent, by which it is drawn to zero
px.RKG.seed(0)
model = pxm.Decoder([LATENTS, 64, PIXELS], act=jnp.tanh, prior="normal")
T = 20
values = optax.sgd(0.05, momentum=0.5)
rule = pxl.pc(optax.adam(3e-3), values, T, precision=PRIOR)
BATCH, EPOCHS = 100, 40
order = jnp.stack([jnp.asarray(pxd.shuffled(1000, 0, epoch)) for epoch in range(EPOCHS)]).reshape(-1, BATCH)


@jax.jit
def train(state):
    def step(state, chosen):
        state, info = rule.step(state, (None, images[chosen] - mean))
        return state, info.energies

    return jax.lax.scan(step, state, order)


state, energies = train(rule.init(model, (None, images[:BATCH] - mean)))
state.write_to(model)


@jax.jit
def reconstruct(weights, images):
    bound = pxl.bind(model, (None, images - mean), precision=PRIOR).at(weights)
    begin = bound.start()
    landscape = bound.landscape(begin.targets)
    h = pxi.relax(landscape, begin.h, descent=values, stop=100).nodes
    return h["latent"], bound.predictions(h, begin.targets)["image"] + mean


upper = jnp.arange(PIXELS) < PIXELS // 2  # which pixels are known
settling = pxl.pc(optax.adam(3e-3), values, T=200, precision=PRIOR)


@jax.jit
def fill_in(state, images):
    hold = {"image": (upper[None], images - mean)}
    return settling.predict(state, None, settle=True, hold=hold) + mean


codes, made = reconstruct(state.weights, new)
filled = fill_in(state, new)
shown = {"original": new, "known": jnp.where(upper, new, 0.5), "filled in": filled, "coded": made}
figure, ax = plt.subplots(figsize=(9, 3.9), layout="constrained")
pxa.plot_images({name: rows[:10] for name, rows in shown.items()}, ax, limits=(0, 1))
plt.show()

# %% [markdown]
# None of these images was ever seen in training, no label was used, and nothing was trained to fill in halves. There is one
# network, which *predicts* images; all the rest is inference in it.
#
# ## The model
#
# A decoder goes from a **latent**, a small vector, over hidden nodes to an image. The image node is clamped at the data.
# The latent isn't given: it is free, and settles to what predicts the image best, drawn to zero a little by its *prior*.

# %% alt="A drawing of the decoder: the latent above, a hidden node, the clamped image below."
pxa.draw(model, (None, images[:BATCH]))

# %% [markdown]
# So there are two optimisations in one energy, one inside the other,
#
# $$\min_{W}\; \sum_{i}\; \min_{z_i,\, h_i}\; \tfrac{\pi}{2} \lVert z_i \rVert^2 +
# \tfrac12 \lVert h_i - f(W_1 z_i) \rVert^2 + \tfrac12 \lVert x_i - W_2 h_i \rVert^2 ,$$
#
# where $z_i$ is the latent of image $i$, which is its **code**, and $\pi$ the precision of the prior. Inference finds the
# codes, learning the weights. With no hidden node, linear layers and no prior this is principal component analysis: the
# decoder then finds the same subspace.
#
# Batches are `(None, images)`: no input, and the target is the image. (The mean image was subtracted, so that the weights
# needn't learn it first.)

# %% alt="Mean energy of the latent, the hidden node and the image over training steps; the image's falls."
figure, ax = plt.subplots(figsize=(6.5, 3), layout="constrained")
for (name, energy), line in zip(energies.items(), ("-", "--", "-."), strict=False):
    ax.plot(energy, line, label=name)
ax.set(xlabel="training step", ylabel="energy after settling", yscale="log")
ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# ## Coding, without an encoder
#
# A forward pass starts at the latent zero, and predicts the same image for all. It is by settling that the latent becomes
# the image's code. How much does each step of inference do?


# %% alt="Rows: originals, and their reconstructions after 0, 5, 20 and 100 inference steps."
@jax.jit
def after(weights, images):
    bound = pxl.bind(model, (None, images - mean), precision=PRIOR).at(weights)
    begin = bound.start()
    landscape = bound.landscape(begin.targets)
    shown = {}
    for n in (0, 5, 20, 100):
        h = begin.h if n == 0 else pxi.relax(landscape, begin.h, descent=values, stop=n).nodes
        shown[n] = bound.predictions(h, begin.targets)["image"] + mean
    return shown


rows = {f"{n} steps": made for n, made in after(state.weights, new[:10]).items()}
figure, ax = plt.subplots(figsize=(9, 4.8), layout="constrained")
pxa.plot_images({"original": new[:10], **rows}, ax, limits=(0, 1))
plt.show()

# %% [markdown]
# How much of an image is in its code? The last row was predicted from the *hidden* values, which settled as well, and those
# are more numbers than the code has. To predict from the latents alone, hold them, and nothing else. Principal components
# of the same number are to compare with: the best *linear* code of the images that they were computed from.


# %%
@jax.jit
def decode(state, latents):
    nothing = jnp.zeros((1, PIXELS), bool)
    hold = {"latent": (jnp.ones((1, 1), bool), latents), "image": (nothing, jnp.zeros((len(latents), PIXELS)))}
    return settling.predict(state, None, settle=True, hold=hold) + mean


_, _, axes = np.linalg.svd(np.asarray(images - mean), full_matrices=False)
kept = axes[:LATENTS]
linear = np.asarray(new - mean) @ kept.T @ kept + np.asarray(mean)
for words, them in {
    "the settled hidden values, 64 numbers": made,
    f"the latents alone, {LATENTS} numbers": decode(state, codes),
    f"principal components, {LATENTS} numbers": linear,
}.items():
    left = float(jnp.mean((them - new) ** 2) / jnp.mean((new - mean) ** 2))
    print(f"{words}: {left:.0%} of the variance of new images is left")

# %% [markdown]
# The code alone leaves more than the hidden values do, which may depart from what it predicts of them; and principal
# components, which are computed for just this, do a little better than it.
#
# ## Filling in a missing half
#
# What is known is clamped, the rest is free. `hold` is a mask, True where a node is held at a value:
#
# ```py
# rule.predict(model, None, settle=True, hold={"image": (upper[None], images - mean)})
# ```
#
# The free pixels follow their prediction. Known pixels have errors, which move the code until it predicts *them*, and what
# the code predicts for the unknown half is the answer. To measure it, compare with the mean image, which is what one can
# say without looking:

# %%
lower = ~upper
to_truth = float(jnp.mean((filled - new)[:, lower] ** 2))
to_mean = float(jnp.mean((mean - new)[:, lower] ** 2))
print(f"squared error per unknown pixel: filled in {to_truth:.4f}, mean image {to_mean:.4f}")

# %% [markdown]
# It is better than the mean image, and blurred: a thousand images teach such a network only so much.
#
# A known upper half can belong to more than one digit, and the network gives one answer, not the distribution of them. For
# that, settle with noise; see Monte Carlo PC in [networks of the literature](../models.md).
#
# ## Between two images
#
# Codes are numbers, so that one can walk from one to another, and ask for the image at each place, by `decode` from above:

# %% alt="Four rows of images, each going over from one digit to another."
along = jnp.linspace(0, 1, 9)[:, None]
walks = jnp.concatenate([(1 - along) * codes[2 * i] + along * codes[2 * i + 1] for i in range(4)])
between = decode(state, walks).reshape(4, 9, PIXELS)
figure, ax = plt.subplots(figsize=(8, 3.6), layout="constrained")
pxa.plot_images({f"walk {i + 1}": row for i, row in enumerate(between)}, ax, limits=(0, 1))
plt.show()

# %% [markdown]
# ## What the code knows
#
# No label was used. Yet images of one class get codes near each other: draw the first two principal axes of the codes, and
# colour them by what they are.

# %% alt="Codes of 200 images in the plane of their first two principal axes; those of one digit lie together."
centred = np.asarray(codes - codes.mean(axis=0))
plane = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
figure, ax = plt.subplots(figsize=(6, 4.2), layout="constrained")
for digit in range(10):
    chosen = np.asarray(data.test.y[:200]) == digit
    for at in plane[chosen]:
        ax.text(*at, str(digit), color=plt.get_cmap("tab10")(digit), ha="center", va="center", fontsize=9)
ax.set(xlim=(plane[:, 0].min(), plane[:, 0].max()), ylim=(plane[:, 1].min(), plane[:, 1].max()), xticks=[], yticks=[])
plt.show()

nearest = np.argsort(((centred[:, None] - centred[None]) ** 2).sum(-1), axis=1)[:, 1]
labels = np.asarray(data.test.y[:200])
print(f"the image with the nearest code is of the same class in {(labels[nearest] == labels).mean():.0%}")

# %% [markdown]
# ## Exercises
#
# 1. Hold the *left* half, or every other pixel, in the place of the upper half. Which is easiest?
#
# <details><summary>Solution</summary>
#
# `known = (jnp.arange(PIXELS) % SIDE) < SIDE // 2` or `jnp.arange(PIXELS) % 2 == 0`. Neighbours tell most about a pixel,
# so that every other pixel is easiest by far.
#
# </details>
#
# 2. Take `prior="flat"` in `pxm.Decoder`, and no precision. What happens to the codes, and to the halves filled in?
#
# <details><summary>Hint</summary>
#
# Nothing then holds the codes near those of the training images. Half an image leaves some directions of the code
# undecided, and the other half is predicted from wherever they end up. Try precisions in between, too.
#
# </details>
#
# 3. A linear decoder: `pxm.Decoder([16, PIXELS], bias=False)`. Do its columns span the principal components?
#
# <details><summary>Hint</summary>
#
# Project the first principal axes on the span of the weights (by `np.linalg.qr`), and look at how much of their norm is
# left. Training must have come to an end.
#
# </details>
#
# 4. Add an encoder: `pxm.Pair([PIXELS, 64, 16], latent=True)` under `pxl.hybrid`, with batches `(images, None)`. How many
#    inference steps does it save?
#
# <details><summary>Hint</summary>
#
# `rule.predict(model, x)` gives the latents that the encoder guesses, `settle=True` those at which the energies come to
# rest. [Choose a rule](../choose-a-rule.md#two-directions) has the details.
#
# </details>
