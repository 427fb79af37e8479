# %% [markdown]
# # Monte Carlo predictive coding
#
# You learn to sample what a network might think of its data, not only what it thinks is likeliest, and why a generative
# model needs that to learn.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/pcx/blob/main/docs/notebooks/10-monte-carlo-pc.ipynb)
# · [Open in Binder](https://mybinder.org/v2/gh/OWNER/pcx/main?labpath=docs%2Fnotebooks%2F10-monte-carlo-pc.ipynb)

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
import pcx.training as pxt

BLUE, ORANGE = "#0072B2", "#D55E00"

# %% alt="Left: values of PC come to rest at two places. Middle: values of Monte Carlo PC go on to move, and some change sides. Right: the histogram of the chains follows the exact density, which has two peaks."
# One latent h with a standard normal prior, and one number that is predicted to be its square.
squares = pxm.GenerativeHierarchy([1, 1], act=jnp.square)
squares.layers[0].nn.weight.set(jnp.ones((1, 1)))
squares.layers[0].nn.bias.set(jnp.zeros(1))
seen = 2.5  # the number that is observed, by 2000 chains at once

bound = pxl.bind(squares, (None, jnp.full((2000, 1), seen)))
begin = bound.start()
landscape = bound.landscape(begin.targets)
name = "latents[0]"
start = {name: jax.random.normal(jax.random.key(1), (2000, 1))}


def keep(nodes):  # of each step
    return {"h": nodes[name][:, 0]}


settle = jax.jit(lambda h, rate: pxi.relax(landscape, h, descent=optax.sgd(rate), stop=400, trace=keep))
sample = jax.jit(lambda h, key: pxi.relax(landscape, h, descent=pxi.Langevin(0.02), stop=400, trace=keep, key=key))
settled, sampled = settle(start, 0.02), sample(start, jax.random.key(2))

grid = np.linspace(-3, 3, 601)
exact = np.exp(-0.5 * grid**2 - 0.5 * (seen - grid**2) ** 2)
exact /= exact.sum() * (grid[1] - grid[0])

figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained", sharey=True)
left.plot(settled.trace["h"][:, :12], color=BLUE, linewidth=1)
left.set(title="PC: values come to rest", xlabel="inference step", ylabel="value of the latent")
middle.plot(sampled.trace["h"][:, :5], color=ORANGE, linewidth=0.7)
middle.set(title="Monte Carlo PC: they go on to move", xlabel="inference step")
right.hist(np.ravel(sampled.nodes[name]), bins=60, density=True, orientation="horizontal", color=ORANGE, alpha=0.5)
right.plot(exact, grid, color="black", label="exact posterior")
for at in np.unique(np.round(np.ravel(settled.nodes[name]), 2)):
    right.axhline(at, color=BLUE, linestyle="--", linewidth=1)
right.plot([], [], color=BLUE, linestyle="--", label="where PC rests")
right.set(title="2000 chains after the last step", xlabel="density")
right.legend()
plt.show()

# %% [markdown]
# A number was seen, and a latent $h$ explains it: the number should be near $h^2$, and $h$ itself near 0. Two values
# explain it equally well. Predictive coding settles to one of them, whichever is nearer to where it starts. **Monte
# Carlo predictive coding** (MCPC) shakes the values while they settle, so that they visit each value as often as it
# is probable.
#
# ## The energy is a probability
#
# The energy of a network of squared errors is the negative logarithm of a joint density,
#
# $$E(h) = \sum_l \tfrac12 |h_l - u_l|^2 = -\log p(h, \text{data}) + \text{const},$$
#
# since each node says: *my value is normally distributed around my prediction*. Descent on the energy finds the
# likeliest values, the *mode* of the posterior $p(h \mid \text{data})$. Langevin dynamics adds noise to each step
# $n$:
#
# $$h \leftarrow h - n \frac{\partial E}{\partial h} + \sqrt{2 n}\,\xi, \qquad \xi \sim \mathcal N(0, 1).$$
#
# The chain that this makes has the posterior for its stationary distribution, if the step is small. In pcx the noise
# is a descent like any other, `pxi.Langevin`, in the place of `optax.sgd`.
#
# ## How small is small?
#
# For a normal posterior everything is known exactly, the error that a step of finite size makes included. With
# curvature $c$ of the energy, the exact variance is $1/c$, and that of the chain is $1 / (c\,(1 - nc/2))$. With $h
# \sim \mathcal N(0, 1)$ and data $\sim \mathcal N(2h, 1)$ the curvature is $c = 1 + 2^2 = 5$.

# %%
line = pxm.GenerativeHierarchy([1, 1], act=lambda h: h)
line.layers[0].nn.weight.set(jnp.full((1, 1), 2.0))
line.layers[0].nn.bias.set(jnp.zeros(1))
straight = pxl.bind(line, (None, jnp.full((20_000, 1), 1.5)))
posterior = straight.landscape(straight.start().targets)


@jax.jit
def chains(step, key):
    found = pxi.relax(posterior, posterior.start(), descent=pxi.Langevin(step), stop=400, key=key)
    return found.nodes[name]


print("exact:       mean 0.600, variance 0.200")
for step in (0.01, 0.05, 0.2):
    h = chains(step, jax.random.key(3))
    print(f"step {step:4}:   mean {h.mean():.3f}, variance {h.var():.3f}; in theory {0.2 / (1 - step * 5 / 2):.3f}")

# %% [markdown]
# A large step makes the chain too wide, and above $2/c$ it runs away, as descent does. `pxa.curvature` measures $c$
# for any network.
#
# ## Learning needs it
#
# In a generative model the weights should make the data likely, $\log p(\text{data}) = \log \int p(h,
# \text{data})\,dh$. Its gradient is the mean of the energy's gradient **over the posterior**, which is what
# `pxl.mcpc` takes: the mean over the values of the chain after a burn-in. PC takes the gradient at one point, the
# mode, and so maximises something else.
#
# The difference is plain to see where the answer is known. The data are normal with mean 1 and variance 5. The model
# is the line from above with a weight $w$ to learn: it generates numbers of variance $w^2 + 1$, so $w$ should come to
# $\pm 2$.

# %% alt="Left: the weight of PC grows beyond 2, that of MCPC comes close to 2. Right: numbers generated after MCPC follow the true density, those after PC are spread too widely."
numbers = 1 + np.sqrt(5) * np.random.default_rng(0).normal(size=(2048, 1)).astype(np.float32)
optim_w = optax.adam(0.02)
rules = {
    "PC": pxl.pc(optim_w, optax.sgd(0.02), T=100),
    "MCPC": pxl.mcpc(optim_w, 0.02, T=100, burn_in=50),
}
generated, weight = {}, {}
for rule_name, rule in rules.items():
    px.RKG.seed(0)
    weight[rule_name] = []
    run = pxt.fit(
        pxm.GenerativeHierarchy([1, 1], act=lambda h: h),
        rule,
        (None, numbers),
        epochs=60,
        batch_size=256,
        show=False,
        callbacks=[lambda r, to=weight[rule_name]: to.append(float(r.states[0].weights["layers[0].nn.weight"][0, 0]))],
    )
    # The model is sampled from the top: the latent around its mean, the number around its prediction.
    w, noise = run.states[0].weights, jax.random.normal(jax.random.key(2), (2, 10_000))
    latent = w["mean"][0] + noise[0]
    generated[rule_name] = np.asarray(latent * w["layers[0].nn.weight"][0, 0] + w["layers[0].nn.bias"][0] + noise[1])

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained")
for (rule_name, w), colour, line_style in zip(weight.items(), (BLUE, ORANGE), ("--", "-"), strict=True):
    left.plot(np.abs(w), line_style, color=colour, label=rule_name)
    right.hist(
        generated[rule_name],
        bins=np.linspace(-12, 14, 80),
        density=True,
        histtype="step",
        color=colour,
        linestyle=line_style,
        linewidth=1.5,
        label=f"generated after {rule_name}",
    )
left.axhline(2, color="black", linewidth=0.8)
left.set(title="The weight; it should come to 2", xlabel="epoch", ylabel="|w|")
left.legend()
at = np.linspace(-12, 14, 300)
right.plot(at, np.exp(-((at - 1) ** 2) / 10) / np.sqrt(10 * np.pi), color="black", linewidth=0.8, label="true density")
right.set(title="What the trained models generate", xlabel="number")
right.legend()
plt.show()
for rule_name, values in generated.items():
    print(
        f"{rule_name:5} generates numbers of mean {values.mean():.2f} and variance {values.var():.2f} (true: 1 and 5)"
    )

# %% [markdown]
# PC's weight grows beyond what is right. At the mode a large weight costs nothing: the latent shrinks, so its prior is
# content, and the weight makes up for it. That such a latent would have to be known implausibly well is what only
# the whole posterior tells.
#
# ## Images: what could the missing half be?
#
# Digits of 8 x 8 pixels, learned without labels by a hierarchy of 16 latents and 64 hidden values. The precision says
# that pixels are off by about $1/\sqrt{20}$.

# %% alt="Rows of digits: originals, their upper halves, four samples of the whole, their mean, and their spread."
digits = pxd.digits(flat=True)
images = digits.train.x
px.RKG.seed(1)
hierarchy = pxm.GenerativeHierarchy([16, 64, 64])
rule = pxl.mcpc(optax.adam(3e-3), 0.01, T=40, burn_in=20, momentum=0.5, precision={"data": 20.0})
run = pxt.fit(hierarchy, rule, (None, images), epochs=40, batch_size=128, show=False)

unseen = digits.test.x[:8]
upper = (np.arange(64) < 32)[None]  # the mask of what is known
fill = pxl.mcpc(optax.adam(3e-3), 0.01, T=400, momentum=0.5, precision={"data": 20.0})
complete = jax.jit(lambda key: fill.predict(run.states[0], None, settle=True, hold={"data": (upper, unseen)}, key=key))
filled = jnp.stack([complete(jax.random.key(seed)) for seed in range(12)])

rows = {"original": unseen, "known": np.where(upper, unseen, 0.5)}
rows |= {f"sample {i + 1}": filled[i] for i in range(4)}
rows |= {"mean of 12": filled.mean(axis=0), "spread of 12": 3 * filled.std(axis=0)}
figure, ax = plt.subplots(figsize=(6.5, 6.5), layout="constrained")
pxa.plot_images(rows, ax, shape=(8, 8), limits=(0, 1))
plt.show()

# %% [markdown]
# Each sample is one image that the network thinks possible, given the upper half. The last row is where the samples
# differ, the network's doubt: bright is uncertain, and what was held is black. PC would give one image and no last row.
#
# The experiments of the literature come with the command: `pcx run mcpc` and `pcx run mcpc-digits`.
#
# ## Exercises
#
# 1. Draw the posterior of `squares` at a temperature: `pxi.Langevin(0.02, variance=0.1)`, and 4. What is it at 0?
#
# <details><summary>Solution</summary>
#
# The chain samples $\exp(-E / s^2)$: a low variance keeps to the modes, a high one spreads. At 0 there is no noise, and
# the chain is PC's descent.
#
# </details>
#
# 2. Start all chains of the first picture at `begin.h`, which is $h = 0$. Where does PC come to rest, and where do
#    the chains go?
#
# <details><summary>Solution</summary>
#
# $h = 0$ is the top of the hill between the two modes: the gradient is 0 there, and PC stays for ever. Noise leaves it
# at once, to both sides alike.
#
# </details>
#
# 3. How many steps until the chains have forgotten where they started? Start all of them at $h = 1.5$ and draw the
#    mean over the chains against the step.
#
# <details><summary>Hint</summary>
#
# The mean should come to 0, which takes as long as it takes to cross the hill between the modes. Try `seen = 6.0`, too:
# then the hill is too high, and no number of steps that you will wait for is enough.
#
# </details>
#
# 4. Hold the left half in the place of the upper one. For which digits is the spread large?
#
# <details><summary>Hint</summary>
#
# `left = (np.arange(64) % 8 < 4)[None]`.
#
# </details>
#
# 5. With `start=pxl.Kept()` a chain goes on where the last batch left it. What must then be true of the batches?
#
# <details><summary>Solution</summary>
#
# Each place in the batch must hold the same sample every time, so train on one full batch without shuffling, with
# `rule.step` in a loop.
#
# </details>
