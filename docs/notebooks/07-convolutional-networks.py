# %% [markdown]
# # Convolutional networks on Fashion-MNIST
#
# You will write a convolutional predictive coding network, train it by PC and by backpropagation, and look at the errors
# in its feature maps.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/pcx/blob/main/docs/notebooks/07-convolutional-networks.ipynb)
# · [Open in Binder](https://mybinder.org/v2/gh/OWNER/pcx/main?labpath=docs%2Fnotebooks%2F07-convolutional-networks.ipynb)

# %% tags=["hide-input", "hide-output"]
import importlib.util, subprocess, sys

if importlib.util.find_spec("pcx") is None:  # as on Colab
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "git+https://github.com/OWNER/pcx"], check=True)

# %% alt="Left: a row of images of the training data. Right: the kernels of the first convolution before training."
import jax, jax.numpy as jnp, matplotlib.pyplot as plt, numpy as np, optax

import pcx as px, pcx.analysis as pxa, pcx.data as pxd, pcx.inference as pxi, pcx.learning as pxl, pcx.nn as pxnn
import pcx.predictive_coding as pxc, pcx.training as pxt

try:
    data = pxd.fashion_mnist(standardise=True)  # download=True fetches it
except FileNotFoundError:
    data = pxd.digits(standardise=True)  # smaller images, which scikit-learn carries
SIDE = data.train.x.shape[-1]
print(f"{data.name}, {SIDE} x {SIDE}: {', '.join(map(str, data.classes))}")


class Conv(pxc.EnergyModule):
    def __init__(self, side, classes=10):
        super().__init__()
        self.convs = [pxnn.Conv2d(1, 8, 3, padding=1), pxnn.Conv2d(8, 16, 3, padding=1)]
        self.pool = pxnn.MaxPool2d(2, 2)
        self.linear = pxnn.Linear(16 * (side // 4) ** 2, classes)
        self.vodes = [pxc.Vode(), pxc.Vode(), pxc.Vode(output=True)]

    def __call__(self, x):  # ONE image, [side, side]
        h = x[None]  # a channel axis, [1, side, side]
        for conv, vode in zip(self.convs, self.vodes, strict=False):
            h = vode(self.pool(jax.nn.gelu(conv(h))))  # half the side
        return self.vodes[-1](self.linear(h.reshape(-1)))


px.RKG.seed(0)
model = Conv(SIDE)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 2.8), width_ratios=[2, 1], layout="constrained")
images = {str(name): data.train.x[np.asarray(data.train.y) == i][:8] for i, name in list(enumerate(data.classes))[:4]}
pxa.plot_images(images, left).set_title(data.name)
pxa.plot_weights(model.convs[0].nn.weight.get(), right).set_title("first kernels")
plt.show()

# %% [markdown]
# ## The network
#
# A value node may hold an array of any shape. Here the first two hold feature maps, `[channels, height, width]`, and the
# last one a vector with a unit for each class. Between two nodes stand convolution, activation and pooling: all of that is
# one *prediction*. The summary counts:

# %%
x, y = jnp.asarray(data.train.x[:1500]), jnp.asarray(data.train.y[:1500])
print(pxa.summary(model, (x[:64], y[:64])))

# %% [markdown]
# Predictive coding asks nothing special of a convolution. The gradient of the energy by a value runs back through it by
# the same transposed convolution as in backpropagation:
#
# $$\frac{\partial E}{\partial h_l} = e_l - J_{l+1}^\top\, e_{l+1}, \qquad J_{l+1} = \frac{\partial u_{l+1}}{\partial h_l}.$$
#
# ## Training
#
# `pxt.fit` trains a model by a rule. y may be class numbers; the output is clamped to one-hot vectors.

# %% alt="Held-out accuracy by epoch of PC and of backpropagation."
WEIGHTS = optax.adam(3e-3)
rules = {"PC": pxl.pc(WEIGHTS, optax.sgd(0.1, momentum=0.5), T=5), "backpropagation": pxl.backprop(WEIGHTS)}
held_out = data.test.x[:360], data.test.y[:360]
models, runs = {}, {}
for name, rule in rules.items():
    px.RKG.seed(0)
    models[name] = Conv(SIDE)
    runs[name] = pxt.fit(models[name], rule, (x, y), held_out, epochs=5, batch_size=50, show=False)
    print(f"{name}: held-out accuracy {runs[name].last('validation_accuracy')[0]:.1%}")

figure, ax = plt.subplots(figsize=(6, 3), layout="constrained")
for (name, run), style in zip(runs.items(), ("o-", "s--"), strict=True):
    ax.plot(
        [row["epoch"] for row in run.history], [row["validation_accuracy"] for row in run.history], style, label=name
    )
ax.set(xlabel="epoch", ylabel="held-out accuracy", xticks=range(1, 6))
ax.legend(frameon=False)
plt.show()

assert all(run.last("validation_accuracy")[0] > 0.6 for run in runs.values())

# %% [markdown]
# This is a part of the data and a few epochs, so that it takes seconds; `pxd.fashion_mnist()`, `pxm.vgg5()` and a GPU are
# the way to real numbers, see [networks of the literature](../models.md). Which classes are taken for which:

# %% alt="A confusion matrix of the held-out images, and the kernels that were learned."
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.4), width_ratios=[2, 1], layout="constrained")
predicted = rules["PC"].predict(models["PC"], jnp.asarray(held_out[0]))
pxa.plot_confusion(held_out[1], predicted, left, names=[str(c) for c in data.classes])
pxa.plot_weights(models["PC"].convs[0].nn.weight.get(), right).set_title("first kernels, after training")
plt.show()

# %% [markdown]
# ## Errors as maps
#
# Now something that backpropagation has no word for. Clamp the output to a class and let the values settle: then every
# node has an error, and in a convolutional network it is a *map*. Where in the image would the features have to be other
# ones for that class to be right? Below, the same images, settled to their own class and to another one.

# %% alt="Rows: images; the error energy of the first node settled to the right class; the same settled to another class, which is larger."
rule, network = rules["PC"], models["PC"]
wrong_class = (y[:8] + 1) % 10


@jax.jit
def error_maps(labels):
    bound = pxl.bind(network, (x[:8], labels))
    begin = bound.start()
    landscape = bound.landscape(begin.targets)
    solution = pxi.relax(landscape, begin.h, descent=optax.sgd(0.1), stop=60)
    errors = solution.nodes["vodes[0]"] - bound.predictions(solution.nodes, begin.targets)["vodes[0]"]
    return jnp.sum(errors**2, axis=1), sum(landscape.energies(solution.nodes).values())


(own, own_energy), (other, other_energy) = error_maps(y[:8]), error_maps(wrong_class)
print("energy after settling, own class:  ", np.asarray(own_energy).round(2))
print("energy after settling, other class:", np.asarray(other_energy).round(2))

figure, axes = plt.subplots(3, 8, figsize=(9, 3.6), layout="constrained")
top = float(np.quantile(np.asarray(other), 0.995))
for row, (words, maps) in enumerate({"image": x[:8], "own class": own, "other class": other}.items()):
    for ax, image in zip(axes[row], np.asarray(maps), strict=True):
        ax.imshow(image, **({"cmap": "gray"} if row == 0 else {"cmap": "cividis", "vmin": 0, "vmax": top}))
        ax.set(xticks=[], yticks=[])
    axes[row, 0].set_ylabel(words)
plt.show()

assert own_energy.mean() < other_energy.mean()

# %% [markdown]
# The energy after settling is lower under the right class, so it can be used to *choose* the class: try each one, settle,
# and take that of the lowest energy. That is inference in the sense of a generative model, at ten times the price; compare
# it with `rule.predict` in the exercises.
#
# ## How the error comes through
#
# Convolutions pass an error on like any layer: one node per step.

# %% alt="Energy flow of the convolutional network: three rows, an oblique front from the output to the first node."
(trace,) = pxa.trace(pxl.pc(WEIGHTS, optax.sgd(0.1), T=20), network, (x[:32], y[:32]))
figure, ax = plt.subplots(figsize=(7, 2.6), layout="constrained")
pxa.plot_energy_flow(trace, ax)
plt.show()

# %% [markdown]
# ## Exercises
#
# 1. Add a skip connection: the second convolution's node gets `h` of the first, brought to its shape, added to its
#    prediction.
#
# <details><summary>Solution</summary>
#
# In `__init__`: `self.skip = pxnn.Conv2d(8, 16, 1, stride=2)`. In the call, with `first` the value of the first node:
# `self.vodes[1](self.pool(jax.nn.gelu(self.convs[1](first))) + self.skip(first))`. It stays within one prediction, so the
# graph is levelled and `pxl.zil` takes it, too.
#
# </details>
#
# 2. Classify 100 held-out images by the lowest energy over the ten classes. How often does that agree with
#    `rule.predict`?
#
# <details><summary>Hint</summary>
#
# `jax.vmap` over labels: `jax.vmap(lambda c: energies_of(jnp.full(100, c)))(jnp.arange(10))` is `[10, 100]`; take
# `argmin(axis=0)`.
#
# </details>
#
# 3. Train with cross entropy at the output, `pxc.Vode(pxc.ce_energy, output=True)`. Which learning rates have to change?
#
# <details><summary>Hint</summary>
#
# `pxa.regime(rule, model, batch)` says the largest stable step of the values, and whether yours is below it.
#
# </details>
#
# 4. Augment: `pxt.fit(..., augment=pxd.compose(pxd.flip(), pxd.crop(pad=2)))`. For which of the two data sets is `flip` a
#    bad idea?
#
# <details><summary>Solution</summary>
#
# Digits: a mirrored 2 is no digit. Most clothes may be mirrored.
#
# </details>
