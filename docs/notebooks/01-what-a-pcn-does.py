# %% [markdown]
# # What a predictive coding network does
#
# You will see a network of five value nodes settle and learn on two moons, and know what each number in it is for.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/pcx/blob/main/docs/notebooks/01-what-a-pcn-does.ipynb)
# · [Open in Binder](https://mybinder.org/v2/gh/OWNER/pcx/main?labpath=docs%2Fnotebooks%2F01-what-a-pcn-does.ipynb)

# %% tags=["hide-input", "hide-output"]
import importlib.util, subprocess, sys

if importlib.util.find_spec("pcx") is None:  # as on Colab
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "git+https://github.com/OWNER/pcx"], check=True)

# %% [markdown]
# Here is the whole of it. Each column of circles is a **value node**: a variable of the network, here an array of a few
# units, with a value of its own. The layer before it *predicts* it. Purple and orange units are below and above what is
# predicted for them: they have an **error**. At first the output alone has one, because it is held at the right answer.
# Then the network settles: every node moves to where its own error and the errors that it causes are in balance.

# %% alt="Animation: two inputs and five columns of circles. The last column is coloured at first; with every step the colour moves one column further back, until all have some."
import pathlib, tempfile

import jax, jax.numpy as jnp, matplotlib.pyplot as plt, numpy as np, optax
from IPython.display import Image, display
from matplotlib.animation import FuncAnimation, PillowWriter

import pcx as px, pcx.analysis as pxa, pcx.data as pxd, pcx.inference as pxi, pcx.learning as pxl, pcx.models as pxm

px.RKG.seed(0)
data = pxd.two_moons(train=300, test=300, standardise=True)
x, y = jnp.asarray(data.train.x), jnp.asarray(data.train.y)
WIDTHS = [2, 6, 6, 6, 6, 2]  # two inputs, then five value nodes
model = pxm.MLP(WIDTHS, act=jnp.tanh)
NODES = [f"vodes[{i}]" for i in range(5)]


def network(ax, errors, scale):
    """Draw one sample's network: a column for the input and for each value node, coloured by the errors."""
    ax.set(xlim=(-0.6, 5.6), ylim=(-3.6, 3.5))
    ax.axis("off")
    heights = [np.arange(w) - (w - 1) / 2 for w in WIDTHS]
    for i in range(5):
        for a in heights[i]:
            for b in heights[i + 1]:
                ax.plot([i, i + 1], [a, b], color="0.85", lw=0.7, zorder=0)
    for i, at in enumerate(heights):
        colour = np.zeros(len(at)) if i == 0 else errors[NODES[i - 1]]
        ax.scatter(
            np.full(len(at), i), at, c=colour, s=170, cmap="PuOr_r", vmin=-scale, vmax=scale, edgecolors="0.3", lw=0.8
        )
        ax.text(i, -3.5, "input x" if i == 0 else NODES[i - 1], ha="center", fontsize=9)


def animation(frames, draw, fps, size):
    """A GIF of what `draw(figure, frame)` draws."""
    figure = plt.figure(figsize=size, layout="constrained")

    def redraw(frame):
        figure.clear()
        draw(figure, frame)

    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "animation.gif")
        FuncAnimation(figure, redraw, frames=frames).save(path, writer=PillowWriter(fps=fps), dpi=72)
        plt.close(figure)
        return Image(data=path.read_bytes(), format="gif")


bound = pxl.bind(model, (x[:1], y[:1]))  # the model and a batch of one sample
begin = bound.start()  # a forward pass, and the target
landscape = bound.landscape(begin.targets)  # the energy as a function of the values


@jax.jit
def settling(h, steps=40, rate=0.2):
    def step(h, _):
        errors = jax.tree.map(jnp.subtract, {**h, **begin.targets}, bound.predictions(h, begin.targets))
        gradient = landscape.gradient(h)(h)
        return {name: h[name] - rate * gradient[name] for name in h}, (errors, landscape.energies(h))

    return jax.lax.scan(step, h, None, steps)[1]


errors, energies = jax.tree.map(lambda a: np.asarray(a)[:, 0], settling(begin.h))


def frame(figure, step):
    left, right = figure.subplots(1, 2, width_ratios=[3, 1])
    shown = {name: np.sign(e[step]) * np.abs(e[step]) ** 0.5 for name, e in errors.items()}
    network(left, shown, scale=0.7)
    left.set_title(f"inference step {step}", fontsize=10)
    right.barh(range(5), [energies[name][step] for name in NODES], color="#0072B2")
    right.set(xscale="log", xlim=(1e-7, 3), yticks=range(5), yticklabels=NODES, xlabel="energy")


display(animation([0, 0, *range(1, 12), *range(12, 40, 4)], frame, fps=3, size=(8, 3.3)))

# %% [markdown]
# (The colours show the square root of the errors, so that the small ones are seen, and the bars are logarithmic.)
#
# Count: `vodes[0]` to `vodes[4]` are the five value nodes. The last is the **output**. It has two units, one for each
# moon, and is **clamped**: held at the target, (1, 0) or (0, 1). The input is given, too, and isn't a node, because
# nothing predicts it.
#
# ## The energy
#
# Node $l$ has a value $h_l$ and a prediction $u_l = f(W_l h_{l-1} + b_l)$. Its error is $e_l = h_l - u_l$. The network's
# **energy** says how far all values are from what is predicted for them:
#
# $$E = \sum_{l=1}^{5} \tfrac{1}{2}\, \lVert h_l - u_l \rVert^2 .$$
#
# Everything that the network does lowers this one number, first by its values and then by its weights. After a forward
# pass each value *is* its prediction, so only the clamped output has an energy:

# %%
for name, energy in landscape.energies(begin.h).items():
    print(f"{name}: energy {energy[0]:.3f}, {'free' if name in begin.h else 'clamped'}")

assert all(landscape.energies(begin.h)[name][0] == 0 for name in NODES[:4])

# %% [markdown]
# ## Inference: the values settle
#
# With the weights held fixed, each free node takes steps down the gradient of the energy,
#
# $$h_l \leftarrow h_l - \gamma\, \frac{\partial E}{\partial h_l}, \qquad
# \frac{\partial E}{\partial h_l} = e_l - W_{l+1}^\top \bigl( f'(\cdot)\, e_{l+1} \bigr).$$
#
# The first part pulls a node back to its own prediction. The second moves it so that *it* predicts the next node better.
# A node needs no more than its own error and that of the node behind it. This is what people mean by *local*.
#
# `pxi.relax` is that loop. The picture has a row for each node and a column for each step. Hatched is an energy that is
# exactly zero: the error travels one node per step.

# %% alt="Left: energy of each node by inference step, an oblique front from the output at step 0 to the first node at step 4. Right: the total energy falls, and the energy of the hidden nodes rises."
rule = pxl.pc(optax.adam(1e-2), optax.sgd(0.2), T=40)
(trace,) = pxa.trace(rule, model, (x, y))
solution = pxi.relax(landscape, begin.h, descent=optax.sgd(0.2), stop=40, trace=True)

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
pxa.plot_energy_flow(trace, left, decades=9)
total = sum(np.asarray(e)[:, 0] for e in solution.trace.values())
output = np.asarray(solution.trace[NODES[4]])[:, 0]
right.plot(total, color="#222222", label="all nodes")
right.plot(output, color="#D55E00", ls="--", label="output")
right.plot(total - output, color="#0072B2", ls="-.", label="hidden nodes")
right.set(xlabel="inference step", ylabel="energy of the sample")
right.legend(frameon=False)
plt.show()

assert np.all(np.diff(total) < 1e-6)  # each step lowers the energy

# %% [markdown]
# The total falls, and energy moves from the output into the network: the hidden nodes now *share* the error, each by as
# much as it can do about it.
#
# ## Learning: the weights follow
#
# Now the values are held fixed, and each weight takes a step down the same energy. With the values fixed, a layer's
# weights are in the energy of one node only, so what they need is right there, the error after the layer and the value
# before it:
#
# $$\frac{\partial E}{\partial W_l} = -\bigl( f'(\cdot)\, e_l \bigr)\, h_{l-1}^\top .$$
#
# `rule.step` does both, inference and learning, for a batch. It is a pure function from a state to the next state. Here
# it is called a few hundred times, and we look at what the network decides after every few.

# %% alt="Animation: the plane in two colours with two half moons of points. The border begins as a line, bends, and comes to lie between the moons, while the energy falls."
rule = pxl.pc(optax.adam(1e-2), optax.sgd(0.2), T=12)
side = np.linspace(-2.4, 2.4, 60)
grid = jnp.asarray(np.stack(np.meshgrid(side, side), -1).reshape(-1, 2), jnp.float32)
LOOKS, STEPS = 18, 20


@jax.jit
def training(state):
    def look(state, _):
        state, info = jax.lax.scan(lambda s, _: rule.step(s, (x, y)), state, None, STEPS)
        energies = jax.tree.map(jnp.mean, info.energies)
        return state, (rule.predict(state, grid), energies, info.loss.mean())

    return jax.lax.scan(look, state, None, LOOKS)


state, (outputs, shares, loss) = jax.tree.map(np.asarray, training(rule.init(model, (x, y))))


def learned(figure, i):
    left, right = figure.subplots(1, 2)
    ahead = (outputs[i][:, 1] - outputs[i][:, 0]).reshape(60, 60)
    left.contourf(side, side, ahead, levels=np.linspace(-1.6, 1.6, 9), cmap="PuOr_r", extend="both", alpha=0.7)
    left.contour(side, side, ahead, levels=[0], colors="0.2")
    for label, mark, colour in ((0, "o", "#4B2A7B"), (1, "^", "#B35806")):
        left.scatter(*np.asarray(x)[np.asarray(y) == label].T, s=9, marker=mark, c=colour)
    left.set(title=f"after {(i + 1) * STEPS} training steps", xticks=[], yticks=[])
    right.barh(range(5), [shares[name][i] for name in NODES], color="#0072B2")
    right.set(xscale="log", xlim=(1e-6, 1), yticks=range(5), yticklabels=NODES, xlabel="energy after settling, mean")


display(animation([0, *range(LOOKS), LOOKS - 1], learned, fps=3, size=(8, 3.4)))

# %%
state = jax.tree.map(jnp.asarray, state)
test_x, test_y = jnp.asarray(data.test.x), jnp.asarray(data.test.y)
right_ones = (rule.predict(state, test_x).argmax(-1) == test_y).mean()
print(f"loss {loss[0]:.3f} in the first {STEPS} steps, {loss[-1]:.3f} in the last")
print(f"of points that it never saw it puts {right_ones:.1%} in the right moon")

assert loss[-1] < loss[0] and right_ones > 0.85

# %% [markdown]
# ## Predicting
#
# To predict, nothing has to settle. With the output free, a forward pass has no error anywhere: energy 0, the lowest that
# there is. So `rule.predict` is a forward pass, and the border in the animation is what it gives.
#
# ## The whole program
#
# This is all that one needs to write. [Your own network](../your-own-network.md) and [training](../training.md) go on
# from here.

# %%
px.RKG.seed(1)
model = pxm.MLP([2, 6, 6, 6, 6, 2], act=jnp.tanh)
rule = pxl.pc(optax.adam(1e-2), optax.sgd(0.2), T=12)
state, step = rule.init(model, (x, y)), jax.jit(rule.step)
for _ in range(100):
    state, info = step(state, (x, y))
state.write_to(model)  # the learned weights go into the model
print(f"energy {info.energy:.3f}, training accuracy {(rule.predict(model, x).argmax(-1) == y).mean():.1%}")

# %% [markdown]
# ## Exercises
#
# 1. With `T=3` in the last cell, which layers can learn at all? Think first, then look at `info.energies`.
#
# <details><summary>Solution</summary>
#
# The error starts at the output and comes one node further with each step. After 3 steps `vodes[1]` to `vodes[4]` have
# an error, and `vodes[0]` has none, so its layer learns nothing: `info.energies["vodes[0]"]` is exactly 0. The first
# layer needs `T` of at least the number of layers less one.
#
# </details>
#
# 2. Set the rate of inference to 2.0, `optax.sgd(2.0)`. What happens to the energy, and what does
#    `pxl.explain(info, state)` say?
#
# <details><summary>Solution</summary>
#
# The step is larger than the curvature of the energy allows: along a direction of curvature $\lambda$ a step $\gamma$
# multiplies the distance to rest by $1 - \gamma\lambda$, which must be smaller than 1 in size. The values run away, and
# the sentence names the node or says that the energy grew. `pxa.curvature` measures the largest stable step.
#
# </details>
#
# 3. Draw the network's errors after settling for a sample that the trained network gets right, and for one that it gets
#    wrong. Where are the colours?
#
# <details><summary>Hint</summary>
#
# `bound = pxl.bind(model, (x[i:i+1], y[i:i+1]))` after `state.write_to(model)`, then `pxi.relax` as above and
# `bound.predictions(solution.nodes, begin.targets)`. A sample that is predicted well has almost no error anywhere.
#
# </details>
#
# 4. Replace `pxl.pc(...)` by `pxl.backprop(optax.adam(1e-2))` in the last cell. What is in `info.energies` now?
#
# <details><summary>Solution</summary>
#
# The same network, without inference: the output alone has an energy, which is the loss.
# [Choose a rule](../choose-a-rule.md#what-regime-is-a-run-in) compares the two gradients.
#
# </details>
