# %% [markdown]
# # Gradients: predictive coding's against backpropagation's
#
# You will measure, layer by layer, how far a rule's weight gradient is from backpropagation's, and read the meter that
# says what regime a run is in.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/pcx/blob/main/docs/notebooks/04-gradients-and-regimes.ipynb)
# · [Open in Binder](https://mybinder.org/v2/gh/OWNER/pcx/main?labpath=docs%2Fnotebooks%2F04-gradients-and-regimes.ipynb)

# %% tags=["hide-input", "hide-output"]
import importlib.util, subprocess, sys

if importlib.util.find_spec("pcx") is None:  # as on Colab
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "git+https://github.com/OWNER/pcx"], check=True)

# %% alt="Left: cosine of each layer's weight gradient to backpropagation's against inference steps. Right: the ratio of their norms, on logarithmic axes; the first layer's rises last."
import jax, jax.numpy as jnp, matplotlib.pyplot as plt, numpy as np, optax

import pcx as px, pcx.analysis as pxa, pcx.data as pxd, pcx.inference as pxi, pcx.learning as pxl, pcx.models as pxm

data = pxd.digits(flat=True, standardise=True)
x, y = jnp.asarray(data.train.x[:128]), jnp.asarray(data.train.y[:128])
px.RKG.seed(0)
model = pxm.MLP([64, 32, 32, 32, 10], act=jnp.tanh)
LAYERS = [f"layers[{i}].nn.weight" for i in range(4)]
one = optax.sgd(1.0)  # with plain steps of 1 the change of the weights is the gradient


def gradient(rule):
    before = rule.init(model, (x, y))
    after, _ = rule.step(before, (x, y))
    return {path: before.weights[path] - after.weights[path] for path in LAYERS}


def compared(a, b):
    """Cosine and ratio of the norms of two gradients, by layer: [2, layers]."""
    pairs = [(a[path].ravel(), b[path].ravel()) for path in LAYERS]
    norms = [(jnp.linalg.norm(g), jnp.linalg.norm(to)) for g, to in pairs]
    cosines = [g @ to / (n * m) for (g, to), (n, m) in zip(pairs, norms, strict=True)]
    return jnp.array([cosines, [n / m for n, m in norms]])


@jax.jit
def along_inference(steps=300, rate=0.1):
    """The same of the weight gradient after 0, 1, 2, ... inference steps: [steps, 2, layers]."""
    bound = pxl.bind(model, (x, y))
    begin = bound.start()
    landscape = bound.landscape(begin.targets)
    to = gradient(pxl.backprop(one))

    def weight_gradient(h):
        return jax.grad(lambda w: bound.at(w).landscape(begin.targets).total(h) / len(x))(bound.weights)

    def step(h, _):
        moves = landscape.gradient(h)(h)
        return {name: h[name] - rate * moves[name] for name in h}, compared(weight_gradient(h), to)

    return jax.lax.scan(step, begin.h, None, steps)[1]


found = np.asarray(along_inference())
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
for i, (colour, line) in enumerate(
    zip(("#0072B2", "#009E73", "#E69F00", "#222222"), ("-", "--", "-.", ":"), strict=True)
):
    there = np.where(found[:, 1, i] > 1e-5)[0]  # before that there is none, but for rounding
    for ax, which in ((left, 0), (right, 1)):
        ax.plot(there + 1, found[there, which, i], line, color=colour, label=f"layers[{i}]")
left.set(xscale="log", xlabel="inference steps + 1", ylabel="cosine to backpropagation's")
right.set(
    xscale="log", yscale="log", ylim=(1e-6, 3), xlabel="inference steps + 1", ylabel="norm, backpropagation's = 1"
)
right.legend(frameon=False)
plt.show()

# %% [markdown]
# This is one network, on one batch. The weights are the same everywhere in the picture; all that grows to the right is
# the number of inference steps before the weight gradient is taken. Three things to see:
#
# - **At the beginning** every layer that has a gradient has backpropagation's *direction*, in a size that falls by a
#   power of ten or more from layer to layer.
# - **In between** the sizes come up, first those near the output.
# - **In the end** nothing changes any more: equilibrium. The gradient is another one than backpropagation's, close to it.
#
# ## Why the direction is right at first
#
# For small steps, the error that a node has is the one behind it, carried back by the weights, times the rate:
# $e_l \approx \gamma\, t\; W_{l+1}^\top f'\, e_{l+1}$. That is backpropagation's recursion, with a factor in each layer.
# Divided by its norm each layer's gradient is backpropagation's, and Adam divides by the norm. So "our network matched
# backpropagation" may mean that it *was* backpropagation, in small print.
#
# At equilibrium the errors are in balance, $e_l = W_{l+1}^\top f'\, e_{l+1}$ at values that have *moved*, and the output's
# own error has shrunk. That is the part which is predictive coding's own.
#
# ## Rules side by side
#
# `pxa.regime` measures it for any rule, on a model or a state and a batch, and `pxa.plot_alignment` draws it.

# %% alt="Cosines to backpropagation's gradient by layer of three rules: Z-IL at 1, PC a little below, most in the last layer."
optim_w = optax.adam(1e-3)
rules = {
    "Z-IL": pxl.zil(optim_w),
    "PC, 8 steps of 0.1": pxl.pc(optim_w, optax.sgd(0.1), T=8),
    "PC, 300 steps of 0.3": pxl.pc(optim_w, optax.sgd(0.3), T=300),
}
records = {name: pxa.regime(rule, model, (x, y), curvature=False) for name, rule in rules.items()}
figure, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
pxa.plot_alignment(records, ax)
plt.show()
for name, record in records.items():
    print(f"{name}: {record.verdict}")

assert records["Z-IL"].verdict == "backprop-like" and records["PC, 300 steps of 0.3"].verdict == "equilibrium"

# %% [markdown]
# ## The meter
#
# The verdict is one of these, and the record says why:
#
# | verdict | what it means |
# |---|---|
# | backprop-like | every layer has backpropagation's direction, and the layers' sizes stand to each other as there |
# | transient | values are still on their way |
# | equilibrium | at every node the gradient is small against what the node's own error pulls with |
# | diverging | the energy grows, or would with more steps |

# %%
print(records["PC, 8 steps of 0.1"])

# %% [markdown]
# ## The largest stable step
#
# How far may one step go? Along a direction in which the energy has curvature $\lambda$, a step $\gamma$ multiplies the
# distance to rest by $1 - \gamma\lambda$. So plain descent comes to rest below $2/\lambda_{\max}$ and runs away above.
# `pxa.curvature` finds $\lambda_{\max}$ without ever making the Hessian. Let us believe it only after trying:

# %% alt="Energy over inference steps at 0.9 and at 1.1 times the largest stable step: one comes to rest, the other turns up."
bound = pxl.bind(model, (x[:16], y[:16]))
landscape = bound.landscape(bound.start().targets)
rest = pxa.equilibrium(landscape).nodes
stable = float(pxa.curvature(landscape, rest, which="largest").stable_step())
print(f"largest stable step near rest: {stable:.2f}")


@jax.jit
def settled(factor):
    solution = pxi.relax(landscape, landscape.start(), descent=optax.sgd(factor * stable), stop=200, trace=True)
    return sum(solution.trace.values()).mean(axis=1)


figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
for factor, line in ((0.3, "-"), (0.9, "--"), (1.1, "-.")):
    ax.plot(settled(factor), line, label=f"{factor} of it")
ax.set(xlabel="inference step", ylabel="energy per sample", yscale="log")
ax.legend(frameon=False, title="step")
plt.show()

# %% [markdown]
# In a network with tanh the values that run away end up where the curvature is lower, so that the energy stays finite:
# it swings, and nothing says "NaN". This is why the meter looks at the step, and not only at the numbers.
#
# ## While a network learns
#
# `pxt.fit(..., regime=20)` looks every 20 batches. It costs little, and the weights are the same to the bit.

# %% alt="Cosine to backpropagation's gradient of each layer over 88 batches of training: near 1, that of the last layer below."
import pcx.training as pxt

px.RKG.seed(0)
run = pxt.fit(
    pxm.MLP([64, 32, 32, 32, 10], act=jnp.tanh),
    rules["PC, 8 steps of 0.1"],
    data.train,
    data.test,
    epochs=4,
    batch_size=64,
    regime=11,
    show=False,
)
figure, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
pxa.plot_alignment(run, ax)
plt.show()
print("held-out accuracy after 4 epochs:", f"{run.last('validation_accuracy')[0]:.1%}")

# %% [markdown]
# [What is my network doing?](../analysis.md) says how each number is defined, and what regimes the published settings of
# predictive coding are in.
#
# ## Exercises
#
# 1. Draw the first picture with a rate of 0.5 and 60 steps. What stays the same, and what moves?
#
# <details><summary>Solution</summary>
#
# The end, equilibrium, stays: it depends on the network alone. One gets there in about a fifth of the steps. The wave
# still takes one step per layer, so that the first layer has no gradient before step 3 at any rate.
#
# </details>
#
# 2. Show that the sizes of the layers' gradients don't matter under Adam: train the network by PC with T = 4 and
#    `optax.sgd` for the weights, then with `optax.adam`. Which layers move?
#
# <details><summary>Hint</summary>
#
# Compare `after.weights[path] - before.weights[path]` by their norms. `pxa.health` calls this *imbalance*.
#
# </details>
#
# 3. For which nudge does nudged PC become backpropagation? Use `gradient(pxl.nudged(one, optax.sgd(0.3), 200, beta=b,
#    follow=True))` for several `b`.
#
# <details><summary>Solution</summary>
#
# For $b \to 0$, at equilibrium: the cosine tends to 1, with an error that shrinks like $b$, or $b^2$ with
# `centred=True`. Without `follow=True` it does not; see [choose a rule](../choose-a-rule.md#the-nudge).
#
# </details>
#
# 4. Make the network linear, `act=lambda h: h`. What does `pxi.linear_equilibrium` give, and how many steps does PC need
#    to come within 1 % of it?
#
# <details><summary>Hint</summary>
#
# `pxi.linear_equilibrium(landscape, landscape.start())` solves for the values at rest in one go.
#
# </details>
