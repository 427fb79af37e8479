# %% [markdown]
# # Control flow
#
# You will write loops, branches and stops in compiled code, over objects and over arrays, and know when a Python `for` is
# the better one.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/pcx/blob/main/docs/notebooks/06-control-flow.ipynb)
# · [Open in Binder](https://mybinder.org/v2/gh/OWNER/pcx/main?labpath=docs%2Fnotebooks%2F06-control-flow.ipynb)

# %% tags=["hide-input", "hide-output"]
import importlib.util, subprocess, sys

if importlib.util.find_spec("pcx") is None:  # as on Colab
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "git+https://github.com/OWNER/pcx"], check=True)

# %% alt="Left: two moons, each point coloured by how many inference steps its sample needs to come to rest. Right: a histogram of these numbers."
import time

import jax, jax.numpy as jnp, matplotlib.pyplot as plt, numpy as np, optax

import pcx as px, pcx.data as pxd, pcx.functional as pxf, pcx.inference as pxi, pcx.learning as pxl, pcx.models as pxm
import pcx.nn as pxnn, pcx.predictive_coding as pxc, pcx.utils as pxu

data = pxd.two_moons(train=256, test=256, standardise=True)
x, y = jnp.asarray(data.train.x), jnp.asarray(data.train.y)
px.RKG.seed(0)
model = pxm.MLP([2, 16, 16, 2], act=jnp.tanh)
rule = pxl.pc(optax.adam(1e-2), optax.sgd(0.1), T=6)
train = jax.jit(lambda s: jax.lax.scan(lambda s, _: rule.step(s, (x, y)), s, None, 60))
train(rule.init(model, (x, y)))[0].write_to(model)

bound = pxl.bind(model, (x, y))
begin = bound.start()
landscape = bound.landscape(begin.targets)
settle = jax.jit(lambda h: pxi.relax(landscape, h, descent=optax.sgd(0.1), stop=pxi.GradientNorm(400, tol=1e-2)))
solution = settle(begin.h)
steps = np.asarray(solution.steps)

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
dots = left.scatter(*np.asarray(x).T, c=steps, s=22, cmap="cividis")
figure.colorbar(dots, ax=left, label="inference steps until it rests")
left.set(xticks=[], yticks=[])
right.hist(steps, bins=30, color="#0072B2")
right.set(xlabel="inference steps until it rests", ylabel="samples")
plt.show()

# %% [markdown]
# Every sample here settled until its gradient was small, and stopped. In one compiled program, over a batch, each with a
# number of steps of its own. That is control flow that depends on *values*, and compiled code needs a way to say it.
#
# ## Why Python's `if` and `while` are not enough
#
# JAX runs your Python once, on tracers that have shapes but no values, and compiles what it saw. A `for` over a fixed
# range is written out, and an `if` about shapes is decided then. What depends on values must be said by a function:
#
# | Python | over arrays | over objects that change |
# |---|---|---|
# | `for`, a fixed number of times | `jax.lax.scan` | `pxf.scan(f, length=n)(*carry, **objects)` |
# | `while` | `jax.lax.while_loop` | `pxf.while_loop(f, cond_fun)(*args, **objects)` |
# | `if` | `jax.lax.cond` | `pxf.cond(true_fun, false_fun)(pred, *args, **objects)` |
# | `match` | `jax.lax.switch` | `pxf.switch(branches)(i, *args, **objects)` |
#
# Those of `pxf` differ in one thing: of objects given by keyword, the params that the body changes are carried along.
#
# ## `scan`: the loop of inference
#
# The classic inference loop, over a model whose values change in place. First the energy of a batch, as in
# [notebook 2](02-the-object-interface.ipynb):

# %%
STATE = pxc.VodeParam | pxc.VodeParam.Cache
FREE = pxu.M_hasnot(pxc.VodeParam, frozen=True)


@pxf.vmap(pxu.M(STATE).to((None, 0)), in_axes=(0, 0), out_axes=None, axis_name="batch")
def energy(x, y, *, model):
    model(x, y)
    return jax.lax.psum(model.energy(), "batch")


def begin_at_prediction(x, y, *, model, optim_h):
    with pxu.step(model, pxc.STATUS.INIT, clear_params=pxc.VodeParam.Cache):
        energy(x, y, model=model)
    optim_h.init(FREE(model))


def inference_step(x, y, *, model, optim_h):
    with pxu.step(model, clear_params=pxc.VodeParam.Cache):
        e, grads = pxf.value_and_grad({"model": FREE.to((False, True))})(energy)(x, y, model=model)
    optim_h.step(model, grads["model"])
    return e, grads["model"]


targets = jax.nn.one_hot(y, 2)


@pxf.jit()
def scanned(x, y, T, *, model, optim_h):
    begin_at_prediction(x, y, model=model, optim_h=optim_h)

    def body(t, *, model, optim_h):
        return (), inference_step(x, y, model=model, optim_h=optim_h)[0]  # the carry, and what is collected

    _, energies = pxf.scan(body, jnp.arange(len(T)))(model=model, optim_h=optim_h)
    return energies


optim_h = pxu.Optim(lambda: optax.sgd(0.1))
by_scan = scanned(x, targets, jnp.zeros(30), model=model, optim_h=optim_h)
print(f"energy {by_scan[0]:.3f} at the first step, {by_scan[-1]:.3f} at the last, of {len(by_scan)}")

assert jnp.all(jnp.diff(by_scan) < 0)

# %% [markdown]
# The body's first argument is a slice of `xs`; it returns the next carry and something to collect. Params are carried by
# themselves, so the carry is `()`. What stays the same, the batch, is closed over.
#
# ## A Python `for`
#
# The same by a Python loop gives the same numbers. It is written out, so what is compiled grows with the number of steps:


# %%
def unrolled(steps):
    @pxf.jit()
    def run(x, y, *, model, optim_h):
        begin_at_prediction(x, y, model=model, optim_h=optim_h)
        return jnp.stack([inference_step(x, y, model=model, optim_h=optim_h)[0] for _ in range(steps)])

    return run


def first_call(function, *args):
    began = time.perf_counter()
    jax.block_until_ready(function(*args, model=model, optim_h=optim_h))
    return time.perf_counter() - began


counts = [2, 8, 16]
by_for = [first_call(unrolled(n), x, targets) for n in counts]
by_scan_too = [first_call(scanned, x, targets, jnp.zeros(n)) for n in counts]
same = unrolled(8)(x, targets, model=model, optim_h=optim_h)
print("largest difference of the two:", f"{float(jnp.abs(same - by_scan[:8]).max()):.0e}")

# %% alt="Seconds of the first call against inference steps: rising for a Python loop, flat for a scan."
figure, ax = plt.subplots(figsize=(6, 3), layout="constrained")
ax.plot(counts, by_for, "o-", color="#D55E00", label="Python for")
ax.plot(counts, by_scan_too, "s--", color="#0072B2", label="pxf.scan")
ax.set(xlabel="inference steps", ylabel="first call, seconds", ylim=(0, None), xticks=counts)
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# A few steps may be a `for`, and XLA can then work across them. Many should be a scan.
#
# ## `while_loop`: until it rests
#
# How long to go on may depend on the values. The body returns the next arguments; the condition is asked before each step.


# %%
def size(grads):
    return jnp.sqrt(sum(jnp.sum(g**2) for g in jax.tree.leaves(grads)))


@pxf.jit()
def until_rest(x, y, tolerance, *, model, optim_h):
    begin_at_prediction(x, y, model=model, optim_h=optim_h)

    def body(taken, _, *, model, optim_h):
        _, grads = inference_step(x, y, model=model, optim_h=optim_h)
        return taken + 1, size(grads)

    def go_on(taken, gradient, *, model, optim_h):
        return (gradient > tolerance) & (taken < 1000)

    first = (jnp.array(0), jnp.array(jnp.inf, jnp.float32))
    return pxf.while_loop(body, go_on)(*first, model=model, optim_h=optim_h)


taken = []
for tolerance in (1.0, 0.1, 0.01):
    count, gradient = until_rest(x, targets, tolerance, model=model, optim_h=optim_h)
    taken.append(int(count))
    print(f"gradient below {tolerance}: {count} steps, ended at {gradient:.4f}")

assert taken == sorted(taken)

# %% [markdown]
# This stops when the whole batch rests. `pxi.GradientNorm(400, tol=1e-2)`, by which the first picture was made, stops each
# sample alone: `solution.steps` is `[batch]`. A learning rule takes it in the place of T:

# %%
stopping = pxl.pc(optax.adam(1e-2), optax.sgd(0.1), T=pxi.GradientNorm(400, tol=1e-2))
_, info = jax.jit(stopping.step)(stopping.init(model, (x, y)), (x, y))
print(f"steps on average {info.steps:.1f}, energy {info.energy:.4f}")

# %% [markdown]
# `pxi.Plateau(50, rtol=1e-3)` stops when the energy no longer changes.
#
# ## `cond` and `switch`: branches
#
# Both branches are compiled, and one is run. Either may change params; a branch that doesn't set one leaves it.


# %%
@pxf.jit()
def shrink_if_large(limit, *, layer):
    def shrink(*, layer):
        layer.nn.weight.set(0.5 * layer.nn.weight)
        return 1

    def leave(*, layer):
        return 0

    return pxf.cond(shrink, leave)(jnp.linalg.norm(layer.nn.weight.get()) > limit, layer=layer)


layer = pxnn.Linear(8, 8)
layer.nn.weight.set(jnp.ones((8, 8)))  # of norm 8
print(
    "shrunk:",
    [int(shrink_if_large(3.0, layer=layer)) for _ in range(4)],
    "norm",
    float(jnp.linalg.norm(layer.nn.weight.get())),
)

assert jnp.linalg.norm(layer.nn.weight.get()) == 2


# %%
@pxf.jit()
def excite(kind, *, layer):
    def scaled(by):
        def branch(*, layer):
            layer.nn.weight.set(by * layer.nn.weight)

        return branch

    pxf.switch([scaled(1.0), scaled(2.0), scaled(-1.0)])(kind, layer=layer)


for kind in (0, 1, 2):
    excite(kind, layer=layer)
    print("kind", kind, "first weight", float(layer.nn.weight.get()[0, 0]))

# %% [markdown]
# ## In a model's call
#
# A model is Python, so a `for` over layers is just that. Control flow of JAX *between* two value nodes is fine, too: it is
# part of a prediction. A recurrent layer that goes on for as long as the sample is:


# %%
class Recurrent(pxc.EnergyModule):
    def __init__(self, width):
        super().__init__()
        self.into, self.again, self.out = pxnn.Linear(1, width), pxnn.Linear(width, width), pxnn.Linear(width, 1)
        self.state, self.last = pxc.Vode(), pxc.Vode(output=True)

    def __call__(self, x):  # [steps, 1]: a sequence
        def read(h, at):
            return jnp.tanh(self.again(h) + self.into(at)), None

        h, _ = jax.lax.scan(read, jnp.zeros(16), x)
        return self.last(self.out(self.state(h)))


px.RKG.seed(0)
sequences = jax.random.normal(jax.random.key(0), (128, 12, 1))
sums = sequences[:, -3:].sum(axis=1)  # the sum of the last three
recurrent, learner = Recurrent(16), pxl.pc(optax.adam(1e-2), optax.sgd(0.2), T=4)
learn = jax.jit(lambda s: jax.lax.scan(lambda s, _: learner.step(s, (sequences, sums)), s, None, 200))
_, info = learn(learner.init(recurrent, (sequences, sums)))
print(f"loss {info.loss[0]:.3f} before, {info.loss[-1]:.3f} after")

assert info.loss[-1] < 0.5 * info.loss[0]

# %% [markdown]
# A value node *inside* such a loop would be given a prediction at each turn, and only the last would have an energy: rules
# refuse that. Give each turn its own node, in a Python `for`.
#
# ## Exercises
#
# 1. Let the inference rate of `scanned` shrink with the step, $\gamma_t = 0.1 / (1 + t)$.
#
# <details><summary>Solution</summary>
#
# An Optax schedule: `pxu.Optim(lambda: optax.sgd(lambda t: 0.1 / (1 + t)))`. The optimiser counts its steps, and `init` at
# the start of each batch sets the count to 0.
#
# </details>
#
# 2. In the first picture, which samples need the most steps? Colour the points by the energy at the start,
#    `sum(landscape.energies(begin.h).values())`.
#
# <details><summary>Hint</summary>
#
# The tolerance is absolute, so that samples which are predicted well have little to settle.
#
# </details>
#
# 3. Stop inference when the energy falls by less than a thousandth in one step, by `pxf.while_loop`. Compare with
#    `pxi.Plateau(1000, rtol=1e-3)`.
#
# <details><summary>Hint</summary>
#
# Carry the last energy and the one before it.
#
# </details>
#
# 4. Use `pxf.cond` to let the weights learn only if the energy after settling is above a threshold. What must both
#    branches have in common?
#
# <details><summary>Solution</summary>
#
# Their results must have equal structure, shapes and dtypes, and so must each param after either. A branch that takes no
# step leaves the optimiser's state as it is, which fits.
#
# </details>
