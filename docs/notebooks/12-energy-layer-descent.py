# %% [markdown]
# # An energy, a layer, a descent of your own
#
# You learn to change the three things that a predictive coding network is made of: how far is far, what predicts, and
# how values move.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/pcx/blob/main/docs/notebooks/12-energy-layer-descent.ipynb)
# · [Open in Binder](https://mybinder.org/v2/gh/OWNER/pcx/main?labpath=docs%2Fnotebooks%2F12-energy-layer-descent.ipynb)

# %% tags=["hide-input", "hide-output"]
import dataclasses
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("pcx") is None:  # as on Colab
    source = "pcx-jax[cli] @ git+https://github.com/OWNER/pcx"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", source], check=True)

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import pcx as px
import pcx.analysis as pxa
import pcx.inference as pxi
import pcx.learning as pxl
import pcx.models as pxm
import pcx.nn as pxnn
import pcx.predictive_coding as pxc


# %% alt="Left: the squared error and an energy that grows linearly. Right: points with outliers; the fit by squared errors is pulled up and goes after single points, the other one follows the truth."
@dataclasses.dataclass(frozen=True)
class SmoothLaplace(pxc.Energy):
    """Squared for small errors, linear for large ones."""

    scale: float = 0.1

    def elements(self, h, u):
        return self.scale * (jnp.sqrt(1 + jnp.square((h - u) / self.scale)) - 1)


random = np.random.default_rng(0)
x = random.uniform(-3, 3, (200, 1)).astype(np.float32)
clean = np.sin(x)
y = (clean + 0.05 * random.normal(size=x.shape)).astype(np.float32)
wrong = random.random(200) < 0.2  # a fifth of the measurements failed
y[wrong] = random.uniform(1, 4, (wrong.sum(), 1))


def train(model, rule, steps=1500):
    """Train on all samples at once, and return the learned model's state and the losses."""
    state = rule.init(model, (x, y))
    return jax.jit(lambda s: jax.lax.scan(lambda s, _: rule.step(s, (x, y)), s, None, steps))(state)


optim_w, optim_h = optax.adam(5e-3), optax.sgd(0.1)
grid = np.linspace(-3, 3, 200, dtype=np.float32)[:, None]
rule, exact, fits = pxl.pc(optim_w, optim_h, T=6), pxl.zil(optim_w), {}
for name, energy in {"squared error": pxc.se_energy, "SmoothLaplace": SmoothLaplace()}.items():
    px.RKG.seed(0)
    state, info = train(pxm.MLP([1, 32, 32, 1], act=jnp.tanh, energy=energy), exact)
    fits[name] = exact.predict(state, grid)

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained", width_ratios=(2, 3))
error = np.linspace(-1.5, 1.5, 301)
left.plot(error, 0.5 * error**2, "--", color="#0072B2", label="squared error")
left.plot(error, SmoothLaplace().elements(error, 0.0), color="#D55E00", label="SmoothLaplace")
left.set(title="Two energies", xlabel="error, value minus prediction", ylabel="energy")
left.legend()
right.plot(x, y, ".", color="grey", markersize=4, label="measured; some went wrong")
right.plot(grid, np.sin(grid), color="black", linewidth=0.8, label="truth")
right.plot(grid, fits["squared error"], "--", color="#0072B2", linewidth=2, label="squared error")
right.plot(grid, fits["SmoothLaplace"], color="#D55E00", linewidth=2, label="SmoothLaplace")
right.set(title="What networks with these outputs learn", xlabel="x", ylabel="y")
right.legend(fontsize="small")
plt.show()

# %% [markdown]
# The two networks, the rule and the data are the same. One of them takes every measurement at its word, and the other
# doesn't mind a few that are far off. What differs is the energy of the output: three lines.
#
# (Both learn by `pxl.zil`, whose updates are backpropagation's. By `pxl.pc` with six steps of 0.1, as further down,
# neither fitted this curve.)
#
# ## An energy
#
# An energy says how far a value $h$ is from its prediction $u$, element by element. Its negative is the logarithm of
# a density: by choosing it you say what you believe about errors. Squared errors believe in a normal distribution, in
# which an error of 3 is all but impossible; so the network bends to avoid it. Beyond its scale, `SmoothLaplace`
#
# $$E(h, u) = s \left( \sqrt{1 + \left(\frac{h - u}{s}\right)^2} - 1 \right)$$
#
# grows like $|h - u|$, so each sample pulls with a force of at most 1, however far off it is. Gradients are JAX's
# business. What comes with pcx already: `pxc.se_energy`, `pxc.ce_energy`, `pxc.Huber`, `pxc.Laplace`, `pxc.Poisson`.
#
# ## A layer
#
# A layer is a module with params, called on **one** sample; the batch axis is added around it. By PC a plain MLP
# finds a fast oscillation hard. This layer gives it waves whose frequencies it learns:


# %% alt="A curve that oscillates faster and faster; the network with waves follows it further than the plain one."
class Waves(px.Module):
    """Sines of learned frequencies and phases."""

    def __init__(self, size, fastest):
        super().__init__()
        self.frequency = pxnn.LayerParam(jnp.linspace(0.5, fastest, size))
        self.phase = pxnn.LayerParam(jnp.linspace(0, jnp.pi, size))

    def __call__(self, x):  # [1] -> [size]
        return jnp.sin(self.frequency * x + self.phase)


class Net(pxc.EnergyModule):
    def __init__(self, energy):
        super().__init__()
        key = jax.random.key(0)
        # A layer of one's own, one of pcx, and one of Equinox.
        self.layers = [Waves(24, 6.0), pxnn.Linear(24, 24), pxnn.Layer(eqx.nn.Linear, 24, 1, key=key)]
        self.vodes = [pxc.Vode(), pxc.Vode(), pxc.Vode(energy, output=True)]

    def __call__(self, x):
        h = self.vodes[0](self.layers[0](x))
        h = self.vodes[1](jnp.tanh(self.layers[1](h)))
        self.vodes[2](self.layers[2](h))


x = np.sort(random.uniform(-3, 3, (300, 1)), axis=0).astype(np.float32)
y = np.sin(x**2).astype(np.float32)  # slow in the middle, fast at the ends
px.RKG.seed(0)
nets = {"MLP": pxm.MLP([1, 24, 24, 1], act=jnp.tanh), "with Waves": Net(pxc.se_energy)}
figure, ax = plt.subplots(figsize=(8, 3.6), layout="constrained")
ax.plot(x, y, color="black", linewidth=0.8, label="truth")
for (name, net), look in zip(nets.items(), ("--", "-"), strict=True):
    state, info = train(net, rule, steps=500)
    ax.plot(x, rule.predict(state, x), look, linewidth=2, label=f"{name}, loss {info.loss[-1]:.4f}")
ax.set(xlabel="x", ylabel="y", title="The same rule, another first layer")
ax.legend()
plt.show()

# %% [markdown]
# `pxa.summary` shows that the params of the layer are weights like any other, and that they learn:

# %%
print(pxa.summary(nets["with Waves"], (x, y)))

# %% [markdown]
# ## A descent
#
# A descent says how far a value moves for a gradient. Every Optax transformation is one, and a class with two methods
# is one, too. `init` gives what it remembers of a node's value, `update` the change of the value. This one moves each
# *sample* by a given length, however large its gradient is, so that samples far from rest and close to it take steps
# of one size:


# %% alt="The energy by inference step under three descents."
class FixedLength(pxi.Descent):
    """Move each sample of a node by a step of one length, which shrinks from step to step."""

    def __init__(self, length, decay=0.9):
        self.length, self.decay = length, decay

    def init(self, value):
        return jnp.full((len(value),) + (1,) * (value.ndim - 1), self.length, value.dtype)

    def update(self, gradient, state, value, key):
        axes = tuple(range(1, gradient.ndim))
        norm = jnp.sqrt(jnp.sum(jnp.square(gradient), axis=axes, keepdims=True))
        return -state * gradient / jnp.maximum(norm, 1e-8), state * self.decay


model, batch = nets["MLP"], (x[::5], y[::5] + 1.0)
ways = {"optax.sgd(0.1)": optax.sgd(0.1), "optax.adam(0.02)": optax.adam(0.02), "FixedLength(0.1)": FixedLength(0.1)}
figure, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
for (name, way), look in zip(ways.items(), ("-", "--", "-."), strict=True):
    (trace,) = pxa.trace(pxl.pc(optim_w, way, T=40), model, batch)
    ax.plot(trace.total, look, linewidth=2, label=name)
ax.set(xlabel="inference step", ylabel="energy, mean of samples", title="Three descents on the same energy")
ax.set_yscale("log")
ax.legend()
plt.show()

# %% [markdown]
# Descents differ in how fast they get down, and in what they do where the energy is steep; the place at which they
# would rest is the same. Which is best depends on the network and on how many steps you can pay for.
#
# A node may have a descent of its own, by name: `pxl.pc(optim_w, {"vodes[0]": FixedLength(0.1), "vodes[1]":
# optax.sgd(0.1)}, T=8)`.
#
# ## All three at once
#
# Parts know nothing of each other, so they go together:

# %%
px.RKG.seed(0)
state, info = train(Net(SmoothLaplace()), pxl.pc(optim_w, FixedLength(0.05), T=6), steps=300)
print(f"loss {info.loss[0]:.3f} at first, {info.loss[-1]:.3f} at the end")
print("every step was sound:", bool((info.result == pxl.OUTCOME.ok).all()))

# %% [markdown]
# ## Exercises
#
# 1. Write an energy for angles, which doesn't mind a whole turn, and learn $x \mapsto$ the angle of a point on a
#    circle.
#
# <details><summary>Solution</summary>
#
# `def elements(self, h, u): return 1 - jnp.cos(h - u)`. Near 0 it is half of the squared error.
#
# </details>
#
# 2. Set `scale` of `SmoothLaplace` to 0.01 and to 10. What do you get?
#
# <details><summary>Hint</summary>
#
# One tends to the absolute error, and so to medians; the other, up to a factor, to the squared error.
#
# </details>
#
# 3. Freeze the frequencies: `net.layers[0].frequency.frozen = True`. What does `pxa.summary` say, and how much is lost?
#
# <details><summary>Hint</summary>
#
# Set it before `rule.init`. The table says what learns. Compare the loss of the last step, printed above, with and without.
#
# </details>
#
# 4. Write a descent with two rates, 1 in the first step and 0.1 from then on. (HIL uses such a one.)
#
# <details><summary>Hint</summary>
#
# Optax has it already: `optax.sgd(optax.join_schedules([optax.constant_schedule(1.0), optax.constant_schedule(0.1)],
# [1]))`. By hand, let `init` return a counter.
#
# </details>
#
# 5. What does `FixedLength` do at equilibrium, and why does its length have to shrink?
#
# <details><summary>Solution</summary>
#
# A gradient close to 0 still makes a step of full length, so it would go back and forth across the minimum.
#
# </details>
