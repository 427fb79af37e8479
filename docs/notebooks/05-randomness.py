# %% [markdown]
# # Randomness and keys
#
# You will know where every random number of a program comes from, and make first weights, dropout, noise and many seeds
# come out the same each time.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/pcx/blob/main/docs/notebooks/05-randomness.ipynb)
# · [Open in Binder](https://mybinder.org/v2/gh/OWNER/pcx/main?labpath=docs%2Fnotebooks%2F05-randomness.ipynb)

# %% tags=["hide-input", "hide-output"]
import importlib.util, subprocess, sys

if importlib.util.find_spec("pcx") is None:  # as on Colab
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "git+https://github.com/OWNER/pcx"], check=True)

# %% alt="Left: the losses of twenty seeds over training, thin lines that spread, with their mean. Right: 2000 samples by Langevin dynamics, a slanted cloud along the line of latents that predict the data."
import jax, jax.numpy as jnp, matplotlib.pyplot as plt, numpy as np, optax

import pcx as px, pcx.data as pxd, pcx.functional as pxf, pcx.inference as pxi, pcx.learning as pxl, pcx.models as pxm
import pcx.nn as pxnn, pcx.predictive_coding as pxc

data = pxd.two_moons(train=256, test=256, standardise=True)
x, y = jnp.asarray(data.train.x), jnp.asarray(data.train.y)
rule = pxl.pc(optax.adam(1e-2), optax.sgd(0.2), T=6)


def first_state(seed):
    px.RKG.seed(seed)  # decides the first weights
    return rule.init(pxm.MLP([2, 16, 16, 2], act=jnp.tanh), (x, y), key=seed)  # decides what the rule draws


seeds = range(20)
step = jax.vmap(rule.step, in_axes=(0, None))
train = jax.jit(lambda s: jax.lax.scan(lambda s, _: step(s, (x, y)), s, None, 120))
states, info = train(pxl.stack([first_state(seed) for seed in seeds]))
loss = np.asarray(info.loss)  # [steps, seeds]


class Two(pxc.EnergyModule):
    """A latent of two units around (1, 0), and data of which it is seen through a fixed matrix."""

    def __init__(self):
        super().__init__()
        self.layer = pxnn.Linear(2, 1, bias=False)
        self.layer.nn.weight.set(jnp.array([[1.5, 1.5]]))
        self.latent, self.data = pxc.Vode(), pxc.Vode(output=True)

    def __call__(self, x):
        return self.data(self.layer(self.latent(jnp.array([1.0, 0.0]))))


chains = jnp.zeros((2000, 1))  # the data is 0, for 2000 chains
bound = pxl.bind(Two(), (None, chains))
begin = bound.start()
solve = jax.jit(
    lambda key: pxi.relax(bound.landscape(begin.targets), begin.h, descent=pxi.Langevin(0.05), stop=150, key=key).nodes[
        "latent"
    ]
)
samples = np.asarray(solve(jax.random.key(0)))

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
left.plot(loss, color="#0072B2", lw=0.6, alpha=0.6)
left.plot(loss.mean(axis=1), color="#222222", lw=2, label="mean of 20 seeds")
left.set(xlabel="training step", ylabel="loss", yscale="log", title="what a seed changes")
left.legend(frameon=False)
right.scatter(*samples.T, s=4, color="#D55E00", alpha=0.5)
right.plot([-3, 3], [3, -3], color="#222222", lw=1, ls="--", label="latents that predict the data")
right.set(xlim=(-2.5, 3.5), ylim=(-3, 3), aspect="equal", title="2000 samples of a latent")
right.legend(frameon=False, fontsize="small")
plt.show()

# %% [markdown]
# Two kinds of chance are in this picture. On the left, the same network learns the same data from twenty different first
# weights. On the right, noise is part of the inference: values don't settle to one place, they go on moving, and where
# they are is a sample of what the latent may be.
#
# ## One place for keys
#
# JAX has no hidden random state: each draw is given a *key*, and the same key gives the same numbers. pcx keeps one key
# for you, `px.RKG`, which gives a new one whenever it is called. Layers draw their first weights from it.

# %%
px.RKG.seed(0)
a = pxnn.Linear(3, 3).nn.weight.get()
b = pxnn.Linear(3, 3).nn.weight.get()  # the next keys
px.RKG.seed(0)
c = pxnn.Linear(3, 3).nn.weight.get()  # from the beginning
print("first and second layer equal:", bool((a == b).all()), "- first layer of either program:", bool((a == c).all()))

assert (a == c).all()
assert not (a == b).all()

# %% [markdown]
# A program that never seeds `px.RKG` starts at 0, and does the same each time. Where two parts of a program shall not
# move each other's numbers, give each a generator of its own, `mine = px.RandomKeyGenerator(seed)`, and hand it to layers:
# `pxnn.Linear(3, 3, rkg=mine)`.
#
# ## In compiled functions
#
# The key of `px.RKG` is a param, so that `pxf.jit` and the other transforms carry it along without being told. A compiled
# function that draws gives other numbers at each call, and `vmap` gives each lane its own.


# %%
@pxf.jit()
def draw():
    return jax.random.normal(px.RKG(), (2,))


@pxf.vmap(in_axes=(0,))
def lanes(i):
    return jax.random.normal(px.RKG())


px.RKG.seed(3)
print("two calls:", draw(), draw())
print("three lanes:", lanes(jnp.arange(3)))
px.RKG.seed(3)
print("again:", draw())

# %% [markdown]
# With plain `jax.jit` the key would be a constant of the program, the same at every call; this is why there is `pxf.jit`.
#
# ## Under a rule
#
# A rule is a pure function, so its key is in its **state**: `rule.init(model, batch, key=0)`. Each step uses it and leaves
# the next one. Dropout in the model, noise in an energy and Langevin dynamics draw from it. `px.RKG` decides the first
# weights and has no part in what comes after.


# %%
class Dropped(pxc.EnergyModule):
    def __init__(self):
        super().__init__()
        self.layers = [pxnn.Linear(2, 32), pxnn.Linear(32, 2)]
        self.dropout = pxnn.Dropout(0.5)
        self.vodes = [pxc.Vode(), pxc.Vode(output=True)]

    def __call__(self, x):
        h = self.vodes[0](self.dropout(jnp.tanh(self.layers[0](x))))
        return self.vodes[1](self.layers[1](h))


px.RKG.seed(0)
model = Dropped()
once = jax.jit(rule.step)
ends = {}
for key in (0, 0, 1):
    state, info = once(rule.init(model, (x, y), key=key), (x, y))
    ends.setdefault(key, []).append(float(info.energy))
    again, info = once(state, (x, y))
    print(f"key {key}: energy {ends[key][-1]:.5f}, and of the next step, with another mask, {info.energy:.5f}")

assert ends[0][0] == ends[0][1] != ends[1][0]

# %% [markdown]
# Within a step one mask holds, from the forward pass to the weights' gradient: otherwise the values would settle on an
# energy that changes under them. `rule.predict` is in evaluation mode, without dropout.
#
# ## Many seeds at once
#
# What the left picture was made by: `pxl.stack` puts states of equal networks into one, and `jax.vmap` steps all of them
# in one program. `key=seed` gives each its own noise; without it all would be given the same. Are they really the networks
# that they would be alone?

# %%
alone, _ = jax.jit(lambda s: jax.lax.scan(lambda s, _: rule.step(s, (x, y)), s, None, 120))(first_state(7))
together = pxl.unstack(states)[7]
gap = max(float(jnp.abs(alone.weights[path] - w).max()) for path, w in together.weights.items())
print(f"seed 7 alone and among twenty differ by {gap:.0e}")
accuracy = np.array([float((rule.predict(s, x).argmax(-1) == y).mean()) for s in pxl.unstack(states)[:5]])
print("accuracies of five seeds:", accuracy.round(3))

# %% [markdown]
# The difference is rounding: a product of twenty matrices at once adds up in another order. `pxt.fit(..., seeds=range(5))`
# does the same with data in an order of each seed's own, and on a CPU trains them one after the other, to the same bits
# as alone.
#
# ## Noise that samples
#
# `pxi.Langevin(n)` adds noise to each inference step,
#
# $$h \leftarrow h - n\, \frac{\partial E}{\partial h} + \sqrt{2 n}\; \xi, \qquad \xi \sim \mathcal{N}(0, 1),$$
#
# and for small $n$ the values are then distributed as $p(h) \propto e^{-E(h)}$. In the right picture the energy is
# $E = \tfrac12 \lVert h - (1, 0) \rVert^2 + \tfrac12 (1.5\, h_1 + 1.5\, h_2)^2$, a Gaussian whose mean and covariance one
# can write down:

# %%
seen = np.array([[1.5, 1.5]])
covariance = np.linalg.inv(np.eye(2) + seen.T @ seen)
print("mean", samples.mean(axis=0).round(2), "expected", (covariance @ [1.0, 0.0]).round(2))
print("covariance", np.cov(samples.T).round(2).tolist(), "expected", covariance.round(2).tolist())

assert np.abs(samples.mean(axis=0) - covariance @ [1.0, 0.0]).max() < 0.15
assert np.abs(np.cov(samples.T) - covariance).max() < 0.15

# %% [markdown]
# `pxl.mcpc` learns with such samples; [networks of the literature](../models.md) has a model for it.
#
# ## Data
#
# The order of batches is a pure function of seed and epoch, `pxd.shuffled(n, seed, epoch)`, the same on every machine. So a
# run can be taken up in the middle of an epoch and go on as if it had never stopped:

# %%
for seed, epoch in ((0, 0), (0, 1), (0, 0)):
    print(f"seed {seed}, epoch {epoch}: samples", pxd.shuffled(1000, seed, epoch)[:6], "first")

# %% [markdown]
# ## Exercises
#
# 1. Make the first weights of two models equal without seeding twice.
#
# <details><summary>Solution</summary>
#
# Copy one: `copy.deepcopy(model)`; or write one's state to the other, `state.write_to(other)`. (Both models made after one
# seed take keys one after the other, and are different.)
#
# </details>
#
# 2. What do you see in the right picture with `pxi.Langevin(0.5)`? Explain it by the largest curvature.
#
# <details><summary>Hint</summary>
#
# Along the direction (1, 1) the energy has curvature $1 + 2 \cdot 1.5^2 = 5.5$. Plain descent is stable below
# $2 / 5.5 \approx 0.36$, and noise is added at each step.
#
# </details>
#
# 3. `pxi.Langevin(0.05, variance=0.01)` is colder. Predict the covariance, then measure it.
#
# <details><summary>Solution</summary>
#
# The distribution is $e^{-E / 0.01}$, so the covariance is a hundredth of the one above. The mean stays.
#
# </details>
#
# 4. Train a dropout network by PC and by Z-IL with the same key. Is Z-IL still backpropagation?
#
# <details><summary>Hint</summary>
#
# Compare with `pxl.backprop` under the same `key=`: a mask is drawn once for the whole step.
#
# </details>
