# %% [markdown]
# # A rule of your own
#
# You learn to put a learning rule together from parts, to write a part of your own, and to write a whole rule in one
# method.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/pcx/blob/main/docs/notebooks/11-a-rule-of-your-own.ipynb)
# · [Open in Binder](https://mybinder.org/v2/gh/OWNER/pcx/main?labpath=docs%2Fnotebooks%2F11-a-rule-of-your-own.ipynb)

# %% tags=["hide-input", "hide-output"]
import dataclasses
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

# %% alt="The energy by inference step for four ways to settle; all fall, at different speeds."
data = pxd.digits(flat=True, standardise=True)
batch = data.train.x[:64], jax.nn.one_hot(data.train.y[:64], 10)
px.RKG.seed(0)
model = pxm.MLP([64, 32, 32, 32, 10], act=jnp.tanh)
optim_w = optax.adam(3e-3)

ways = {
    "plain descent": pxl.pc(optim_w, optax.sgd(0.1), T=24),
    "with momentum": pxl.pc(optim_w, optax.sgd(0.1, momentum=0.7), T=24),
    "by Adam": pxl.pc(optim_w, optax.adam(0.01), T=24),
    "over errors": pxl.epc(optim_w, optax.sgd(0.1), T=24),
}
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for (name, rule), line in zip(ways.items(), ("-", "--", "-.", ":"), strict=True):
    (trace,) = pxa.trace(rule, model, batch)
    ax.plot(trace.total, line, linewidth=2, label=name)
ax.set(xlabel="inference step", ylabel="energy, mean of samples", title="One network, one batch, four ways to settle")
ax.legend()
plt.show()

# %% [markdown]
# Each line is the same network on the same batch. What differs is one part of the rule.
#
# ## What a rule consists of
#
# One step of predictive coding answers six questions, and each answer is an argument:
#
# | question | part | default of `pxl.pc` |
# |---|---|---|
# | what settles? | coordinates: values or errors | values |
# | where does it start? | `start` | a forward pass |
# | at what is the output clamped? | `clamp` | the target |
# | how does a value move? | `optim_h`, a descent | yours to say |
# | which nodes move when? | `schedule` | all that the error has reached |
# | when is it enough? | `T`, a stop | yours to say |
#
# And each node's error has a weight, its `precision`. Parts can be combined as you like:

# %%
mine = pxl.pc(
    optim_w,
    optax.sgd(0.1, momentum=0.5),
    T=pxi.Plateau(50, rtol=0.0, atol=1e-4),  # until the energy falls by no more than that, 50 steps at most
    clamp=pxl.Nudged(0.2, centred=True, follow=True),  # a small pull towards the target, and one away from it
    precision={"vodes[0]": 2.0},
)
state = mine.init(model, batch)
state, info = jax.jit(mine.step)(state, batch)
print(f"loss {info.loss:.3f}, energy {info.energy:.5f}, inference steps {info.steps:.0f}")

# %% [markdown]
# The number of steps is a mean over samples, of both pulls together: each sample stops by itself. The energy is negative
# because a precision brings a constant with it. That is why the tolerance is absolute here: with `rtol=1e-3`, a
# thousandth of that constant, everything would stop after a few steps, before the first layers have an error worth
# the name. Parts can be combined freely; that they make sense together is yours to look at.
#
# A combination without a meaning is refused when the rule is built, not after an hour of training:

# %%
try:
    pxl.ipc(optim_w, optax.sgd(0.1), T=pxi.Plateau(50))
except ValueError as error:
    print(error)

# %% [markdown]
# ## A part of your own
#
# Say you want *contrastive* predictive coding: settle once with the output at the target and once with the output at
# its own prediction, and learn from the difference of the two weight gradients,
#
# $$\Delta W \propto \left.\frac{\partial E}{\partial W}\right|_{\text{free}} -
# \left.\frac{\partial E}{\partial W}\right|_{\text{clamped}}.$$
#
# Only the answer to one question changes: at what the output is clamped. A clamp is a class with one method,
# `phases`. It gets the predictions `u` of a forward pass and the targets, and says what to settle to, in how many
# phases, and with what factor each phase's gradient counts.


# %%
@dataclasses.dataclass(frozen=True)
class Contrast(pxl.Clamp):
    """The output at its own prediction, with a minus sign; and at the target."""

    def phases(self, problem, u, targets, count):
        predicted = {name: u[name] for name in targets}
        return [pxl.Phase(predicted, factor=-1.0), pxl.Phase(dict(targets), factor=1.0)]


by_parts = pxl.pc(optim_w, optax.sgd(0.1), T=8, clamp=Contrast())

# %% [markdown]
# ## A whole rule
#
# If the six questions don't fit what you have in mind, write the method that answers all of them. A rule is a
# subclass of `pxl.Rule` with one method, `learn`, that turns a batch into an `Update`: a gradient of the weights, and
# the energies that it comes from.
#
# - `bound` is the problem with its arrays: the model, taken apart at its value nodes, its weights, and the batch.
#   `bound.landscape(clamped)` is the energy as a function of the values of all other nodes.
# - `forward` is the forward pass: values `h`, predictions `u`, and `targets`.
# - `memory` is what the rule remembers from batch to batch; this one remembers nothing.


# %%
class Contrastive(pxl.Rule):
    def __init__(self, optim_w, optim_h, T):
        super().__init__(optim_w)
        self.optim_h, self.T = optim_h, T

    def learn(self, bound, forward, memory):
        def settled(clamped):
            landscape = bound.landscape(clamped, forward=forward)
            solution = pxi.relax(landscape, landscape.start(), descent=self.optim_h, stop=self.T)
            return landscape.weight_gradient(solution.nodes), solution

        on, solution = settled(forward.targets)
        off, _ = settled({name: forward.u[name] for name in forward.targets})
        gradient = jax.tree.map(jnp.subtract, on.gradient, off.gradient)
        return pxl.Update(gradient, on.energies, steps=solution.steps, first_bad=solution.first_bad)


by_hand = Contrastive(optim_w, optax.sgd(0.1), T=8)

# %% [markdown]
# The base class does the rest: the step of the optimiser, the refusal of numbers that are not finite, `info`,
# `predict`, `evaluate`. Are the two the same rule? One step of each from the same weights must give the same weights.

# %%
after = [jax.jit(rule.step)(rule.init(model, batch), batch)[0].weights for rule in (by_parts, by_hand)]
for path in after[0]:
    assert np.allclose(after[0][path], after[1][path], atol=1e-6), path
print("the same weights after a step, in all", len(after[0]), "arrays")

# %% [markdown]
# ## Is it backpropagation in other words?
#
# Any rule can be compared with backpropagation, layer by layer, on the same weights and batch. With the output at its
# own prediction nothing has an error, so the free phase has a gradient of zero, and contrastive PC is PC, which strays
# from backpropagation where values have moved far. A small nudge to both sides moves them little, and its updates
# point almost where those of backpropagation do:

# %% alt="By layer, the cosine between a rule's weight gradient and backpropagation's, for two rules."
records = {
    "contrastive": pxa.regime(by_hand, model, batch, curvature=False),
    "mine, nudged": pxa.regime(mine, model, batch, curvature=False),
}
figure, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
pxa.plot_alignment(records, ax)
plt.show()

# %% [markdown]
# ## It trains like any other
#
# `pxt.fit` takes anything that has `init`, `step`, `predict` and `evaluate`. So a rule can also be a few lines around
# another one, such as this control that many comparisons need: backpropagation, twice on each batch.


# %% alt="Test accuracy over the epochs for four rules."
class Twice:
    def __init__(self, rule):
        self.rule = rule
        self.init, self.predict, self.evaluate = rule.init, rule.predict, rule.evaluate

    def step(self, state, batch):
        state, _ = self.rule.step(state, batch)
        return self.rule.step(state, batch)


rules = {
    "contrastive": by_hand,
    "mine, nudged": mine,
    "backprop": pxl.backprop(optim_w),
    "backprop, twice": Twice(pxl.backprop(optim_w)),
}
curves = {}
for name, rule in rules.items():
    px.RKG.seed(0)
    net = pxm.MLP([64, 32, 32, 32, 10], act=jnp.tanh)
    run = pxt.fit(net, rule, data.train, data.test, epochs=6, batch_size=64, show=False)
    curves[name] = [[row["validation_accuracy"] for row in run.history]]
    print(f"{name:16} {run.ended}, test accuracy {run.last('validation_accuracy')[0]:.1%}")

figure, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
pxa.plot_seeds(curves, ax, label="test accuracy")
ax.set(title="Digits, one seed of each", xlabel="epoch")
plt.show()

# %% [markdown]
# The tests that every built-in rule passes (it is pure, a seed decides everything, many seeds can be mapped, ...) run
# on yours, too: `python -m pytest tests/learning/test_every_rule.py --rule mine.py:function`. All parts, one of each
# written out, are in [Extend](../extend.md).
#
# ## Exercises
#
# 1. Write a clamp that goes only half of the way to the target, and compare it with `pxl.Nudged(0.5)`.
#
# <details><summary>Solution</summary>
#
# `half = {n: u[n] + 0.5 * (t - u[n]) for n, t in targets.items()}` and `return [pxl.Phase(half)]`. `pxl.Nudged` also
# divides the gradient by the nudge, so that a small one doesn't learn less.
#
# </details>
#
# 2. In the first picture, which way settles to the lowest energy in 24 steps, and which in 200? What does that tell
#    about them?
#
# <details><summary>Hint</summary>
#
# They descend on the same energy, but for the coordinates. At rest all are at the same place.
#
# </details>
#
# 3. Give `Contrastive` a memory: let the free phase be that of the *last* batch's weights. What must `init_memory`
#    return?
#
# <details><summary>Hint</summary>
#
# `init_memory(bound)` returns a dict by name, for instance `{"off": jax.tree.map(jnp.zeros_like, bound.weights)}`, and
# `pxl.Update(..., memory={"off": ...})` the next one, in the same shapes.
#
# </details>
#
# 4. `Twice` reports the loss of its second step. Let it report that of the first.
#
# <details><summary>Solution</summary>
#
# `state, info = self.rule.step(state, batch)`, then `return self.rule.step(state, batch)[0], info`.
#
# </details>
