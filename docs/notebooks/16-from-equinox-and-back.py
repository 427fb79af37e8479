# %% [markdown]
# # From Equinox and back
#
# You learn to turn a network that you have in Equinox, trained or not, into a predictive coding network, and to get
# your own class back.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/pcx/blob/main/docs/notebooks/16-from-equinox-and-back.ipynb)
# · [Open in Binder](https://mybinder.org/v2/gh/OWNER/pcx/main?labpath=docs%2Fnotebooks%2F16-from-equinox-and-back.ipynb)

# %% tags=["hide-input", "hide-output"]
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

import pcx.analysis as pxa
import pcx.data as pxd
import pcx.learning as pxl
import pcx.models as pxm
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.training as pxt


# %% alt="Left: outputs of an Equinox module and of the network made of it, all on the diagonal. Right: the energy of its nodes by inference step."
class Classifier(eqx.Module):
    """A network as one has them in Equinox: layers, and a call with a skip."""

    into: eqx.nn.Linear
    deep: eqx.nn.Sequential
    out: eqx.nn.Linear

    def __init__(self, key):
        a, b, c = jax.random.split(key, 3)
        self.into, self.out = eqx.nn.Linear(64, 32, key=a), eqx.nn.Linear(32, 10, key=b)
        self.deep = eqx.nn.Sequential([eqx.nn.Linear(32, 32, key=c), eqx.nn.Lambda(jnp.tanh)])

    def __call__(self, x):
        h = jnp.tanh(self.into(x))
        return self.out(h + self.deep(h))


data = pxd.digits(flat=True, standardise=True)
x, y = jnp.asarray(data.train.x), jax.nn.one_hot(data.train.y, 10)
mine = Classifier(jax.random.key(0))
network = pxm.from_equinox(mine, cuts=["into", "deep"])  # a value node after each of these, and one for the output

rule = pxl.pc(optax.adam(1e-2), optax.sgd(0.1), T=8)
(trace,) = pxa.trace(rule, network, (x[:64], y[:64]))
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained")
same = rule.predict(network, x[:200])
left.plot(np.ravel(jax.vmap(mine)(x[:200])), np.ravel(same), ".", color="#0072B2")
left.set(
    title="One output, two objects", xlabel="output of the Equinox module", ylabel="output of the network made of it"
)
pxa.plot_energy_flow(trace, right)
plt.show()

# %% [markdown]
# On the left, every output of an Equinox module against that of the predictive coding network which was made from it:
# they are the same. On the right, what the network can do beyond that: hold a value at each cut, and settle.
#
# The digits are those of scikit-learn; nothing is downloaded.
#
# ## Where are the values?
#
# An Equinox module is a function with weights. A predictive coding network also has **values**, one at each place
# where a prediction is compared with something. So the one thing to say is where: `cuts` names layers, and a value
# node comes after each. Everything between two cuts is one local prediction, whatever it computes.

# %%
print(pxa.summary(network, (x[:64], y[:64])))

# %% [markdown]
# Note the last node: it is predicted from *two* nodes. The skip was found in what the module computes; nobody had to
# describe it.
#
# The same as a drawing:

# %% alt="A drawing of the network: the input, two hidden nodes, and the output, which is predicted from both."
pxa.draw(network, (x[:64], y[:64]))

# %% [markdown]
# ## Train it by any rule

# %%
results = {}
for name, trained_by in {
    "pc": rule,
    "backprop": pxl.backprop(optax.adam(1e-2)),
    "zil, levelled": pxl.zil(optax.adam(1e-2), level=True),
}.items():
    net = pxm.from_equinox(mine, cuts=["into", "deep"])
    run = pxt.fit(net, trained_by, data.train, data.test, epochs=4, batch_size=64, show=False)
    results[name] = net
    print(f"{name:14} {run.ended}, test accuracy {run.last('validation_accuracy')[0]:.1%}")

# %% [markdown]
# Z-IL needs all ways from a node to the output to have the same number of nodes, which a skip breaks; `level=True`
# puts identity nodes there. Its result is backpropagation's.
#
# ## And back
#
# `pxm.to_equinox` gives an object of *your* class with the weights of now, to be saved, served or trained as before.
# The module that you started from is as it was.

# %%
back = pxm.to_equinox(results["pc"])
print(
    type(back).__name__,
    "- outputs equal:",
    np.allclose(jax.vmap(back)(x[:9]), rule.predict(results["pc"], x[:9]), atol=1e-5),
)
print("the original is untouched:", np.array_equal(mine.out.weight, Classifier(jax.random.key(0)).out.weight))


@eqx.filter_jit
def accuracy(model):  # plain Equinox, no pcx
    return jnp.mean(jax.vmap(model)(jnp.asarray(data.test.x)).argmax(-1) == data.test.y)


print(f"accuracy before {accuracy(mine):.1%}, after {accuracy(back):.1%}")

# %% [markdown]
# ## A trained network: what would it change?
#
# A network that has learned by backpropagation can be looked at as a predictive coding network, too. How much energy does
# it hold when it is shown the right answers, and how much when it is shown wrong ones?

# %% alt="The energy by inference step, lower for right answers than for wrong ones."
trained = pxm.from_equinox(pxm.to_equinox(results["backprop"]), cuts=["into", "deep"])
energies = {}
for name, labels in {"right answers": data.test.y, "wrong answers": (data.test.y + 1) % 10}.items():
    (shown,) = pxa.trace(
        pxl.pc(optax.sgd(0.1), optax.sgd(0.1), T=30), trained, (data.test.x, jax.nn.one_hot(labels, 10))
    )
    energies[name] = shown.total
figure, ax = plt.subplots(figsize=(6.5, 3.6), layout="constrained")
for (name, total), look in zip(energies.items(), ("-", "--"), strict=True):
    ax.plot(total, look, linewidth=2, label=name)
ax.set(
    xlabel="inference step",
    ylabel="energy, mean of test digits",
    title="A network is surprised by wrong answers",
    ylim=(0, None),
)
ax.legend()
plt.show()

# %% [markdown]
# ## Convolutions
#
# `eqx.nn.Sequential` and `eqx.nn.MLP` need no cuts: they get a node before each layer with weights but the first, or
# after each activation.

# %%
keys = jax.random.split(jax.random.key(1), 3)
layers = [
    eqx.nn.Conv2d(1, 8, 3, stride=2, padding=1, key=keys[0]),
    eqx.nn.Lambda(jax.nn.relu),
    eqx.nn.Conv2d(8, 16, 3, stride=2, padding=1, key=keys[1]),
    eqx.nn.Lambda(jax.nn.relu),
    eqx.nn.Lambda(jnp.ravel),
    eqx.nn.Linear(64, 10, key=keys[2]),
]
conv = pxm.from_equinox(eqx.nn.Sequential(layers))
images = x.reshape(-1, 1, 8, 8)
print(pxa.summary(conv, (images[:16], y[:16])))
test_images = data.test.x.reshape(-1, 1, 8, 8)
run = pxt.fit(conv, rule, (images, data.train.y), (test_images, data.test.y), epochs=3, batch_size=64, show=False)
print(f"test accuracy {run.last('validation_accuracy')[0]:.1%}")

# %% [markdown]
# ## One layer at a time
#
# The other way to use Equinox is layer by layer: write the network as a pcx module and put any Equinox layer into it
# by `pxnn.Layer(cls, *args)`. Its arrays become params that learn.


# %%
class ByLayers(pxc.EnergyModule):
    def __init__(self, key):
        super().__init__()
        a, b = jax.random.split(key)
        self.layers = [
            pxnn.Layer(eqx.nn.Linear, 64, 32, key=a),
            pxnn.Layer(eqx.nn.LayerNorm, 32),
            pxnn.Layer(eqx.nn.Linear, 32, 10, key=b),
        ]
        self.vodes = [pxc.Vode(), pxc.Vode(output=True)]

    def __call__(self, x):
        h = self.vodes[0](jnp.tanh(self.layers[1](self.layers[0](x))))
        return self.vodes[1](self.layers[2](h))


by_layers = ByLayers(jax.random.key(2))
run = pxt.fit(by_layers, rule, data.train, data.test, epochs=3, batch_size=64, show=False)
print(f"test accuracy {run.last('validation_accuracy')[0]:.1%}")

# %% [markdown]
# ## What is refused
#
# A layer with a state of its own can't be taken over, since a module without side effects passes its state by hand:

# %%
try:
    with_state, _ = eqx.nn.make_with_state(eqx.nn.BatchNorm)(4, axis_name="batch", mode="batch")
    pxm.from_equinox(eqx.nn.Sequential([eqx.nn.Linear(4, 4, key=keys[0]), with_state]))
except (TypeError, ValueError) as error:
    print(error)

# %% [markdown]
# `pxnn.BatchNorm` is the one to use in its place.
#
# ## Exercises
#
# 1. Cut the network inside of `deep`, by the path `"deep.layers[0]"`. What does the new node hold?
#
# <details><summary>Solution</summary>
#
# What the linear layer gives, before tanh. Its activation then belongs to the next local prediction.
#
# </details>
#
# 2. Leave out `"deep"` from the cuts. How many ways are there from `into` to the output, and does Z-IL need
#    `level=True`?
#
# <details><summary>Solution</summary>
#
# One local prediction contains both, so there is one way, and the graph is levelled.
#
# </details>
#
# 3. Fine-tune `out` alone: mark the other weights frozen in the network, train, and compare with `mine`.
#
# <details><summary>Hint</summary>
#
# `for p in ...: p.frozen = True`, see the notebook on the object interface; `pxa.summary` shows what learns.
#
# </details>
#
# 4. Save `back` by `eqx.tree_serialise_leaves`, and the network by `pxt.save_weights`. Which can be loaded without pcx?
#
# <details><summary>Solution</summary>
#
# Both. The first needs Equinox and the class `Classifier`. The second is a safetensors file, which many libraries read:
# arrays by their paths in the network.
#
# </details>
