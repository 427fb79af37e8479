# %% [markdown]
# # The object interface
#
# You will take one training step with models, value nodes, masks and steps in your own hands, and see that it is what a
# learning rule does.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/pcx/blob/main/docs/notebooks/02-the-object-interface.ipynb)
# · [Open in Binder](https://mybinder.org/v2/gh/OWNER/pcx/main?labpath=docs%2Fnotebooks%2F02-the-object-interface.ipynb)

# %% tags=["hide-input", "hide-output"]
import importlib.util, subprocess, sys

if importlib.util.find_spec("pcx") is None:  # as on Colab
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "git+https://github.com/OWNER/pcx"], check=True)

# %% alt="A drawing of the network: the input x, two hidden value nodes and the clamped output, one below the other, with the layers on the arrows between them."
import jax, jax.numpy as jnp, matplotlib.pyplot as plt, numpy as np, optax

import pcx as px, pcx.analysis as pxa, pcx.functional as pxf, pcx.learning as pxl, pcx.nn as pxnn
import pcx.predictive_coding as pxc, pcx.utils as pxu


class Net(pxc.EnergyModule):
    def __init__(self):
        super().__init__()
        self.layers = [pxnn.Linear(2, 16), pxnn.Linear(16, 16), pxnn.Linear(16, 1)]
        self.vodes = [pxc.Vode(), pxc.Vode(), pxc.Vode(output=True)]

    def __call__(self, x, y):  # ONE sample
        h = self.vodes[0](jnp.tanh(self.layers[0](x)))
        h = self.vodes[1](jnp.tanh(self.layers[1](h)))
        u = self.vodes[2](self.layers[2](h))
        if y is not None:
            self.vodes[2].set("h", y)  # the output is clamped to the target
        return u


px.RKG.seed(0)
x = jax.random.normal(jax.random.key(0), (256, 2))
y = x[:, :1] * x[:, 1:]
model = Net()
pxa.draw(model, (x, y))

# %% [markdown]
# That picture was drawn from the class above, which is all that there is of a model: **layers**, and a **value node**
# (`pxc.Vode`) after each prediction. `h = vode(u)` stores the prediction `u` and gives the node's value `h`, from which
# the next prediction is made. The call sees *one* sample; the batch axis is added from outside.
#
# ## Params: boxes that compiled functions may change
#
# Everything in a model that can change is a **param**: a box around an array. `get` and `set` read and write it, and
# arithmetic reads it by itself. There are two kinds here, and their class says what each is for:
#
# - `pxnn.LayerParam`: a weight,
# - `pxc.VodeParam`: the value `h` of a node. What a node caches while it computes, like `u`, is a `pxc.VodeParam.Cache`.

# %%
weight = model.layers[0].nn.weight
print(type(weight).__name__, weight.shape)
print("the node's value is", model.vodes[0].get("h"), "until the model is called")


@pxf.jit()
def grow(factor, *, model):  # what comes by keyword is tracked: its params may change
    weight = model.layers[0].nn.weight
    weight.set(factor * weight)


before = weight.get()
grow(2.0, model=model)
grow(0.5, model=model)
print("doubled and halved, in the caller's model:", bool((weight.get() == before).all()))

# %% [markdown]
# `pxf.jit`, `pxf.vmap`, `pxf.value_and_grad`, `pxf.scan` and their like are JAX's transforms with one addition: of
# **keyword arguments**, params that the function changes are changed in the caller's objects. Positional arguments are
# plain JAX. So a function that trains a model doesn't have to return it.
#
# ## Masks: which params
#
# A transform has to be told which params it is about: which have a batch axis, which are differentiated. A **mask**
# chooses, by class and by attributes, and `.to((a, b))` says what stands for those that are not chosen, and for those
# that are.

# %%
for words, mask in {
    "weights": pxu.M(pxnn.LayerParam),
    "values": pxu.M(pxc.VodeParam),
    "values that are free": pxu.M_hasnot(pxc.VodeParam, frozen=True),
    "values and what nodes cache": pxu.M(pxc.VodeParam | pxc.VodeParam.Cache),
}.items():
    chosen = jax.tree.leaves(mask.to((False, True))(model), is_leaf=lambda leaf: isinstance(leaf, bool))
    print(f"{words}: {sum(leaf is True for leaf in chosen)}")

# %% [markdown]
# `output=True` froze the output's value, which is why one is missing among the free ones.
#
# ## The energy of a batch
#
# `vmap` maps the call over samples. The mask says that values and caches have a batch axis (0), and everything else is
# shared (None). Inside, the model is called, and its energy, the sum over all nodes, is summed over the batch:

# %%
STATE = pxc.VodeParam | pxc.VodeParam.Cache


@pxf.vmap(pxu.M(STATE).to((None, 0)), in_axes=(0, 0), out_axes=None, axis_name="batch")
def energy(x, y, *, model):
    model(x, y)
    return jax.lax.psum(model.energy(), "batch")


# %% [markdown]
# ## Steps: what the nodes do when they are called
#
# `pxu.step` is a `with` block around one evaluation. It gives all nodes a **status**, and clears what they cached. Under
# `pxc.STATUS.INIT` a node takes its prediction as its value: a forward pass. Under no status it keeps its value.

# %%
with pxu.step(model, pxc.STATUS.INIT, clear_params=pxc.VodeParam.Cache):
    at_start = energy(x, y, model=model)
    print("a node's value now has the batch axis:", model.vodes[0].get("h").shape)
    by_node = [float(0.5 * jnp.sum((vode.get("h") - vode.get("u")) ** 2)) for vode in model.vodes]

print("energy by node:", [round(e, 2) for e in by_node], "in all", round(float(at_start), 2))
assert by_node[0] == by_node[1] == 0

# %% [markdown]
# Only the output has an energy, since every other node is at its prediction.
#
# ## Inference, then learning
#
# Two gradients of the same function, by two masks: by the free values for inference, and by the weights for learning. An
# optimiser (`pxu.Optim`, around any of Optax) steps the params that its mask chose.

# %%
T, RATE = 12, 0.1
VALUES = {"model": pxu.M_hasnot(pxc.VodeParam, frozen=True).to((False, True))}
WEIGHTS = {"model": pxu.M(pxnn.LayerParam).to((False, True))}


@pxf.jit()
def learn(x, y, *, model, optim_h, optim_w):
    with pxu.step(model, pxc.STATUS.INIT, clear_params=pxc.VodeParam.Cache):
        first = energy(x, y, model=model)  # each value starts at its prediction

    def inference_step(_, *, model, optim_h):  # x and y are those of the function around it
        with pxu.step(model, clear_params=pxc.VodeParam.Cache):
            e, grads = pxf.value_and_grad(VALUES)(energy)(x, y, model=model)
        optim_h.step(model, grads["model"])
        return (), e

    optim_h.init(pxu.M_hasnot(pxc.VodeParam, frozen=True)(model))
    _, settling = pxf.scan(inference_step, length=T)(model=model, optim_h=optim_h)

    with pxu.step(model, clear_params=pxc.VodeParam.Cache):
        e, grads = pxf.value_and_grad(WEIGHTS)(energy)(x, y, model=model)
    optim_w.step(model, grads["model"], scale_by=1 / len(x))
    return e / len(x), settling / len(x), first / len(x)


optim_h = pxu.Optim(lambda: optax.sgd(RATE))
optim_w = pxu.Optim(lambda: optax.adam(1e-2), pxu.M(pxnn.LayerParam)(model))

rule = pxl.pc(optax.adam(1e-2), optax.sgd(RATE), T)  # to compare with: the same as one object
state = rule.init(model, (x, y))

energies, settlings = [], []
for i in range(150):
    e, settling, first = learn(x, y, model=model, optim_h=optim_h, optim_w=optim_w)
    energies.append(float(e))
    if i in (0, 149):
        settlings.append(np.append(settling, e))
    if i == 0:
        by_hand = model.layers[0].nn.weight.get()

# %% alt="Left: energy while the values settle falls from step to step, before learning and after it. Right: the energy after settling falls over 150 training steps."
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
for words, settling, style in zip(("first batch", "last batch"), settlings, ("-", "--"), strict=True):
    left.plot(settling, style, label=words)
left.set(xlabel="inference step", ylabel="energy per sample", yscale="log")
left.legend(frameon=False)
right.plot(energies, color="#222222")
right.set(xlabel="training step", ylabel="energy after settling", yscale="log")
plt.show()

# %% [markdown]
# `scale_by=1 / len(x)` is there because values follow the *sum* over the batch, so that each sample settles as if it were
# alone, and weights follow the *mean*.
#
# ## The same as a rule
#
# `pxl.pc` does what `learn` does. After the first step, the first layer's weights are the same:

# %%
state, info = jax.jit(rule.step)(state, (x, y))
difference = float(jnp.abs(state.weights["layers[0].nn.weight"] - by_hand).max())
print(f"largest difference {difference:.1e}")

assert difference < 1e-5

# %% [markdown]
# So why write it by hand? Because every line is yours: another order of steps, an energy that is looked at half way,
# weights that learn while values move. And why not: the rule has batches, failures and many seeds thought through, and is
# three lines. The same model serves both.
#
# ## Predicting
#
# A forward pass with no target, and the output's prediction:


# %%
@pxf.vmap(pxu.M(STATE).to((None, 0)), in_axes=(0,), out_axes=0)
def predict(x, *, model):
    return model(x, None)


x_new = jax.random.normal(jax.random.key(1), (500, 2))
with pxu.step(model, pxc.STATUS.INIT, clear_params=STATE):
    error = float(jnp.mean((predict(x_new, model=model) - x_new[:, :1] * x_new[:, 1:]) ** 2))
print(f"mean squared error {error:.3f}; of always saying 0 {float(jnp.mean((x_new[:, 0] * x_new[:, 1]) ** 2)):.3f}")

# %% [markdown]
# [Programs of the existing interface](../moving-over.md) says what programs from elsewhere meet here.
#
# ## Exercises
#
# 1. Hold the first layer fixed while the others learn. Which one attribute do you set, and which mask do you change?
#
# <details><summary>Solution</summary>
#
# `for p in (model.layers[0].nn.weight, model.layers[0].nn.bias): p.frozen = True`, and
# `pxu.M_hasnot(pxnn.LayerParam, frozen=True)` in the place of `pxu.M(pxnn.LayerParam)`, in `WEIGHTS` and in `optim_w`. A
# learning rule needs the attribute alone.
#
# </details>
#
# 2. Move the weights at every inference step, by both gradients at one point, as incremental predictive coding does.
#
# <details><summary>Hint</summary>
#
# Give `inference_step` the keyword `optim_w`, differentiate by both masks
# (`pxu.M(pxc.VodeParam | pxnn.LayerParam)` without what is frozen), and step both optimisers. Compare with `pxl.ipc`.
#
# </details>
#
# 3. Make the output's energy a cross entropy, for classes. Which line of `Net` changes, and what must `y` be?
#
# <details><summary>Solution</summary>
#
# `pxc.Vode(pxc.ce_energy, output=True)`, with as many units in the last layer as there are classes. `y` is the one-hot
# vector: `set("h", y)` takes it as it is. (Rules make it of class numbers.)
#
# </details>
#
# 4. Leave out `clear_params=pxc.VodeParam.Cache` in `inference_step`. Does anything change? Why?
#
# <details><summary>Hint</summary>
#
# A node's `set` forgets its cached energy, so that a stale one is not read. What is left over otherwise? Print
# `model.vodes[0].get("u")` before and after the block.
#
# </details>
