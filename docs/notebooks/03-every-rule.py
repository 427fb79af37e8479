# %% [markdown]
# # One network by many rules
#
# You will train one network by six learning rules in twenty lines, see what each makes of two moons, and know what to
# change to try another.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/pcx/blob/main/docs/notebooks/03-every-rule.ipynb)
# · [Open in Binder](https://mybinder.org/v2/gh/OWNER/pcx/main?labpath=docs%2Fnotebooks%2F03-every-rule.ipynb)

# %% tags=["hide-input", "hide-output"]
import importlib.util, subprocess, sys

if importlib.util.find_spec("pcx") is None:  # as on Colab
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "git+https://github.com/OWNER/pcx"], check=True)

# %% [markdown]
# These are the twenty lines, and what comes of them. A rule is one object. All have the same `init`, `step`, `predict`
# and `evaluate`, so that to compare two is to change one word.

# %% alt="Six pictures of two moons, one for each rule, with the plane coloured by what the network decides."
import jax, jax.numpy as jnp, matplotlib.pyplot as plt, numpy as np, optax

import pcx as px, pcx.analysis as pxa, pcx.data as pxd, pcx.learning as pxl, pcx.models as pxm

data = pxd.two_moons(train=256, test=500, standardise=True)
x, y = jnp.asarray(data.train.x), jnp.asarray(data.train.y)
weights, values, T, STEPS = optax.adam(1e-2), optax.sgd(0.2), 8, 200
rules = {
    "backpropagation": pxl.backprop(weights),
    "Z-IL": pxl.zil(weights),
    "PC": pxl.pc(weights, values, T),
    "iPC": pxl.ipc(optax.adam(2e-3), values, T),  # it moves the weights T times a batch
    "FPA": pxl.fpa(weights, optax.sgd(1.0), T=2),
    "ePC": pxl.epc(weights, optax.sgd(0.05), T),
}
states, losses = {}, {}
for name, rule in rules.items():
    px.RKG.seed(0)  # the same first weights for all
    model = pxm.MLP([2, 16, 16, 2], act=jnp.tanh)
    train = jax.jit(lambda s, rule=rule: jax.lax.scan(lambda s, _: rule.step(s, (x, y)), s, None, STEPS))
    states[name], info = train(rule.init(model, (x, y)))
    losses[name] = np.asarray(info.loss)

figure, axes = plt.subplots(2, 3, figsize=(8.5, 5.4), layout="constrained")
for ax, (name, rule) in zip(axes.flat, rules.items(), strict=True):
    pxa.plot_decision_boundary(rule, states[name], (x, y), ax, points=60).set(title=name, xlabel="", ylabel="")
    ax.set(xticks=[], yticks=[])
    if ax.get_legend():
        ax.get_legend().remove()
plt.show()

# %% [markdown]
# ## How they learned
#
# `info.loss` is the same quantity under every rule: the energy of the output at the forward pass, before anything
# settles. So the curves can be laid over one another.

# %% alt="Loss over training steps of six rules. All fall; those of backpropagation, Z-IL and FPA lie on each other."
figure, ax = plt.subplots(figsize=(8, 4), layout="constrained")
looks = zip("os^DvP", ("-", "--", "-.", ":", "-", "--"), strict=True)
for (name, loss), (mark, line) in zip(losses.items(), looks, strict=True):
    ax.plot(loss, line, marker=mark, markevery=(5, 40), ms=5, lw=1.4, label=name)
ax.set(xlabel="training step", ylabel="loss at the forward pass", yscale="log")
ax.spines[["top", "right"]].set_visible(False)
ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

held_out = jnp.asarray(data.test.x), jnp.asarray(data.test.y)
for name, rule in rules.items():
    right = (rule.predict(states[name], held_out[0]).argmax(-1) == held_out[1]).mean()
    print(f"{name:16} loss {losses[name][-1]:.4f}, held-out accuracy {right:.1%}")

# %% [markdown]
# Don't read a ranking into this: it is one seed, one easy problem, and rates that nobody tuned. What the curves are good
# for is to see that each rule learns, and which are the same.
#
# ## Rules that are the same
#
# Z-IL (zero-divergence inference learning) computes backpropagation's gradient by local steps of inference, exactly:

# %%
furthest = max(
    float(jnp.abs(states["Z-IL"].weights[path] - w).max()) for path, w in states["backpropagation"].weights.items()
)
one = jax.jit(rules["Z-IL"].step)(rules["Z-IL"].init(model, (x, y)), (x, y))[0]
other = jax.jit(rules["backpropagation"].step)(rules["backpropagation"].init(model, (x, y)), (x, y))[0]
first = max(float(jnp.abs(one.weights[path] - w).max()) for path, w in other.weights.items())
print(f"weights of Z-IL and of backpropagation differ by {first:.0e} after one step, by {furthest:.0e} after {STEPS}")

assert first < 1e-6

# %% [markdown]
# (After many steps the last digits, in which float32 rounds differently, have grown.) Fixed-prediction PC (FPA) has the
# same gradient, too, with steps of 1 and as many of them as the network has layers less one, which is what was asked for
# above. [Choose a rule](../choose-a-rule.md) lists what is exact, and when.
#
# ## What differs
#
# The six, and three that weren't run here:
#
# | rule | what settles | the weights learn |
# |---|---|---|
# | backpropagation | nothing | from the output's error, sent back |
# | Z-IL | nothing; one sweep of local steps | when the error reaches them |
# | PC | the values | after T steps |
# | iPC | the values | at each of the T steps |
# | FPA | the errors, predictions held as they were at the start | after T steps |
# | ePC | the errors | after T steps |
# | `pxl.hil(weights, T=8)` | the values, after Z-IL's sweep | twice: in the sweep and at the end |
# | `pxl.nudged(weights, values, 8, beta=0.2)` | the values, with the output near its prediction | after T steps |
# | `pxl.mcpc(weights, 0.05, T=8)` | the values, with noise | from the mean over samples |
#
# Most of them take a part, `values` above, that says how the values move: any transformation of Optax. And under
# PC `T` may be a stop, such as `pxi.Plateau(50)` of `pcx.inference`, in the place of a number.
#
# ## Two more, that need a network in each direction
#
# `pxl.hybrid` and `pxl.bpc` train a network from x to y and one from y to x over the same hidden values. `pxm.Pair` is
# such a model. It recognises, and it draws what a class looks like to it. By the second:

# %% alt="Two moons under bidirectional PC, with the point that the model draws for each class marked by a star."
px.RKG.seed(0)
pair, rule = pxm.Pair([2, 16, 16, 2], act=jnp.tanh), pxl.bpc(weights, optax.sgd(0.05), T=T)
train = jax.jit(lambda s: jax.lax.scan(lambda s, _: rule.step(s, (x, y)), s, None, STEPS))
state, info = train(rule.init(pair, (x, y)))
state.write_to(pair)
print(f"held-out accuracy {(rule.predict(pair, held_out[0]).argmax(-1) == held_out[1]).mean():.1%}")

figure, ax = plt.subplots(figsize=(5, 3.6), layout="constrained")
pxa.plot_decision_boundary(rule, pair, (x, y), ax, points=60).set(title="bidirectional PC", xlabel="", ylabel="")
drawn = np.asarray(pxl.backprop(weights).predict(pair.generative, jnp.eye(2)))
ax.scatter(*drawn.T, marker="*", s=220, c="white", edgecolors="black", zorder=5)
plt.show()

# %% [markdown]
# The stars are near the middle of each moon: with squared errors, the best single point that stands for a whole class is
# its mean.
#
# ## Exercises
#
# 1. Give PC Adam for its *values*, `optax.adam(0.05)`. Does it learn faster? Is that the rule, or the step?
#
# <details><summary>Hint</summary>
#
# Adam moves each value by about its rate, however small its error is, so that errors which shrink from layer to layer
# don't stay behind. Compare `info.energies` of the first node under both.
#
# </details>
#
# 2. Train five seeds of PC at once.
#
# <details><summary>Solution</summary>
#
# ```py
# states = []
# for seed in range(5):
#     px.RKG.seed(seed)
#     states.append(rule.init(pxm.MLP([2, 16, 16, 2], act=jnp.tanh), (x, y), key=seed))
# step = jax.jit(jax.vmap(rule.step, in_axes=(0, None)))
# stacked, info = step(pxl.stack(states), (x, y))
# ```
#
# Or `pxt.fit(lambda: pxm.MLP(...), rule, (x, y), epochs=..., seeds=range(5))`.
#
# </details>
#
# 3. FPA with `T=1`: which weights stay as they were, and why?
#
# <details><summary>Solution</summary>
#
# Those of the first layer. With three layers the error needs two steps to come to the first node; after one it is still
# zero there.
#
# </details>
#
# 4. Which of the rules refuse `energy=pxc.ce_energy` in *hidden* nodes, and what do they say?
#
# <details><summary>Hint</summary>
#
# Read the message: `zil`, `hil`, `fpa` and `epc` are derived for squared errors in hidden nodes. In the output any energy
# will do.
#
# </details>
