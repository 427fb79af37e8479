"""Networks with known gradients: each model beside the same network in plain JAX."""

import dataclasses
import functools
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.experimental
import jax.numpy as jnp
import numpy as np
import optax

import pcx as px
import pcx.models as pxm
import pcx.nn as pxnn
import pcx.predictive_coding as pxc

# Under this name from JAX 0.8 on.
enable_x64 = jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64  # pyright: ignore

# Most of the time of these tests is compilation.
jit = functools.partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
)
BATCH = 6
ACTIVATIONS: dict[str, Callable[..., Any]] = {
    "tanh": jnp.tanh,
    "gelu": jax.nn.gelu,
    "relu": jax.nn.relu,
    "leaky_relu": jax.nn.leaky_relu,
}

# A weight optimiser that leaves the weights alone and keeps the gradient, with all its digits, as its state.
GRADIENT = optax.GradientTransformation(
    lambda params: jax.tree.map(jnp.zeros_like, params),
    lambda updates, state, params=None: (jax.tree.map(jnp.zeros_like, updates), updates),
)


def cast(model: Any, dtype: Any = None) -> Any:
    """A model with its weights in `dtype`; by default in the precision that is enabled."""
    for p in _params(model):
        p.set(p.get().astype(dtype or jnp.result_type(float)))
    return model


def _params(model: Any) -> list[Any]:
    return [
        p
        for p in jax.tree.leaves(model, is_leaf=lambda p: isinstance(p, px.BaseParam))
        if isinstance(p, pxnn.LayerParam)
    ]


def gradients(model: Any, batch: Any, known: Any = None, **rules: Any) -> Any:
    """The weight gradients of rules whose weight optimiser is `GRADIENT`, in their order; before them, that of the
    plain network, if it is given. All in one compiled program."""
    states = {name: rule.init(model, batch) for name, rule in rules.items()}

    @jit
    def both(states, w, batch):
        stepped = {name: rules[name].step(state, batch) for name, state in states.items()}
        return stepped, {} if known is None else {"": jax.grad(known.mean_loss)(w, *batch)}

    stepped, plain = both(states, weights(model), batch)
    for name, (_, info) in stepped.items():
        assert int(info.result) == 0, (name, info)
    found = [*plain.values(), *[stepped[name][0].optim for name in rules]]
    return found[0] if len(found) == 1 else found


def error(found: dict[str, Any], expected: dict[str, Any]) -> float:
    """The largest relative error of an array."""
    assert found.keys() == expected.keys()
    one, two = jax.device_get((found, expected))
    return max(float(np.linalg.norm(one[k] - v) / np.linalg.norm(v)) for k, v in two.items())


def seeded(cls: Callable[..., Any], *args: Any, seed: int = 0, **kwargs: Any) -> Any:
    """A model with weights from a seed, in the precision that is enabled."""
    kept = px.RKG.key.get()
    px.RKG.seed(seed)
    try:
        return cast(cls(*args, **kwargs))
    finally:
        px.RKG.key.set(kept)


def dense(w: dict[str, Any], layer: str, x: Any) -> Any:
    return w[f"{layer}.nn.weight"] @ x + w[f"{layer}.nn.bias"]


def se(u: Any, y: Any) -> Any:
    return 0.5 * jnp.sum((y - u) ** 2)


def ce(u: Any, y: Any) -> Any:
    return -jnp.sum(y * jax.nn.log_softmax(u))


def normal(seed: int, *shape: int) -> Any:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


def classes(seed: int, n: int) -> Any:
    return jax.nn.one_hot(np.random.default_rng(seed).integers(0, n, BATCH), n)


# -- models with a plain twin: `loss(weights, x, y)` of one sample ----------------------------------------------


class Before(pxc.EnergyModule):
    """Value nodes before the activation."""

    def __init__(self, widths):
        super().__init__()
        self.layers = [pxnn.Linear(a, b) for a, b in itertools.pairwise(widths)]
        self.vodes = [pxc.Vode() for _ in self.layers]
        self.vodes[-1].h.frozen = True

    def __call__(self, x, y=None):
        for layer, vode in zip(self.layers[:-1], self.vodes[:-1], strict=True):
            x = jnp.tanh(vode(layer(x)))
        self.vodes[-1](self.layers[-1](x))
        if y is not None:
            self.vodes[-1].set("h", y)
        return self.vodes[-1].get("u")


class Residual(pxc.EnergyModule):
    """A skip over one layer; with a value node of its own where `levelled`."""

    def __init__(self, levelled=True):
        super().__init__()
        self.layers = [pxnn.Linear(a, b) for a, b in itertools.pairwise([3, 5, 5, 5, 2])]
        self.vodes = [pxc.Vode() for _ in self.layers]
        self.vodes[-1].h.frozen = True
        self.skip = pxc.Vode() if levelled else None

    def __call__(self, x):
        first = self.vodes[0](jnp.tanh(self.layers[0](x)))
        second = self.vodes[1](jnp.tanh(self.layers[1](first)))
        past = first if self.skip is None else self.skip(first)
        third = self.vodes[2](jnp.tanh(self.layers[2](second)) + past)
        self.vodes[3](self.layers[3](third))
        return self.vodes[3].get("u")


class TwoInputs(pxc.EnergyModule):
    """Takes a dict."""

    def __init__(self):
        super().__init__()
        self.left, self.right = pxnn.Linear(3, 5), pxnn.Linear(4, 6)
        self.from_left, self.from_right, self.out = pxnn.Linear(5, 4), pxnn.Linear(6, 4), pxnn.Linear(4, 2)
        self.vodes = [pxc.Vode() for _ in range(4)]
        self.vodes[-1].h.frozen = True

    def __call__(self, x, y=None):
        left = self.vodes[0](jnp.tanh(self.left(x["left"])))
        right = self.vodes[1](jax.nn.gelu(self.right(x["right"])))
        both = self.vodes[2](jnp.tanh(self.from_left(left) * self.from_right(right)))
        self.vodes[3](self.out(both))
        if y is not None:
            self.vodes[3].set("h", y)
        return self.vodes[3].get("u")


class TwoOutputs(pxc.EnergyModule):
    """One output measures squared error, the other cross entropy; `y` is a tuple that the model doesn't see."""

    def __init__(self, deeper=False):
        super().__init__()
        self.layers = [pxnn.Linear(3, 5), pxnn.Linear(5, 5)]
        self.heads = [pxnn.Linear(5, 2), pxnn.Linear(5, 3)]
        self.vodes = [pxc.Vode(), pxc.Vode()]
        self.outs = [pxc.Vode(), pxc.Vode(pxc.ce_energy)]
        self.deeper = px.static(deeper)
        for vode in self.outs:
            vode.h.frozen = True

    def __call__(self, x):
        first = self.vodes[0](jnp.tanh(self.layers[0](x)))
        second = self.vodes[1](jnp.tanh(self.layers[1](first)))
        self.outs[0](self.heads[0](second))
        self.outs[1](self.heads[1](first if self.deeper else second))


class Shared(pxc.EnergyModule):
    """One layer, used three times in a row."""

    def __init__(self):
        super().__init__()
        self.first, self.again, self.last = pxnn.Linear(3, 4), pxnn.Linear(4, 4), pxnn.Linear(4, 2)
        self.vodes = [pxc.Vode() for _ in range(5)]
        self.vodes[-1].h.frozen = True

    def __call__(self, x, y=None):
        x = self.vodes[0](jnp.tanh(self.first(x)))
        for vode in self.vodes[1:4]:
            x = vode(jnp.tanh(self.again(x)))
        self.vodes[-1](self.last(x))
        if y is not None:
            self.vodes[-1].set("h", y)
        return self.vodes[-1].get("u")


class HeldInput(pxc.EnergyModule):
    """A network whose input is held in a value node of its own, without a prediction or an energy."""

    def __init__(self):
        super().__init__()
        self.input = pxc.Vode(None)
        self.layers = [pxnn.Linear(3, 4), pxnn.Linear(4, 2)]
        self.vodes = [pxc.Vode(), pxc.Vode()]
        self.input.h.frozen = self.vodes[-1].h.frozen = True

    def __call__(self, x, y=None):
        self.input.set("h", x)
        self.vodes[1](self.layers[1](self.vodes[0](jnp.tanh(self.layers[0](self.input.get("h"))))))
        if y is not None:
            self.vodes[-1].set("h", y)


@dataclasses.dataclass(frozen=True)
class Known:
    """A network, data for it, and the same network in plain JAX: its loss on one sample."""

    build: Callable[[], Any]
    batch: Callable[[], Any]
    loss: Callable[[dict[str, Any], Any, Any], Any]

    def mean_loss(self, w: dict[str, Any], x: Any, y: Any) -> Any:
        return jnp.mean(jax.vmap(lambda x, y: self.loss(w, x, y))(x, y))


def weights(model: Any) -> dict[str, Any]:
    """A copy of a model's weights, by path."""
    flat = jax.tree_util.tree_flatten_with_path(model, is_leaf=lambda p: isinstance(p, px.BaseParam))[0]
    return {
        jax.tree_util.keystr(path).removeprefix("."): jnp.asarray(p.get())
        for path, p in flat
        if isinstance(p, pxnn.LayerParam) and p.get() is not None
    }


def mlp(widths: list[int], act: str = "tanh", entropy: bool = False) -> Known:
    """`pcx.models.MLP`."""

    def loss(w: dict[str, Any], x: Any, y: Any) -> Any:
        for i in range(len(widths) - 2):
            x = ACTIVATIONS[act](dense(w, f"layers[{i}]", x))
        return (ce if entropy else se)(dense(w, f"layers[{len(widths) - 2}]", x), y)

    def batch() -> Any:
        return normal(1, BATCH, widths[0]), classes(2, widths[-1]) if entropy else normal(2, BATCH, widths[-1])

    energy = pxc.ce_energy if entropy else pxc.se_energy
    return Known(lambda: seeded(pxm.MLP, widths, ACTIVATIONS[act], energy), batch, loss)


def _before(w, x, y):
    for i in range(3):
        x = jnp.tanh(dense(w, f"layers[{i}]", x))
    return se(dense(w, "layers[3]", x), y)


def _residual(w, x, y):
    first = jnp.tanh(dense(w, "layers[0]", x))
    third = jnp.tanh(dense(w, "layers[2]", jnp.tanh(dense(w, "layers[1]", first)))) + first
    return se(dense(w, "layers[3]", third), y)


def _two_inputs(w, x, y):
    left, right = jnp.tanh(dense(w, "left", x["left"])), jax.nn.gelu(dense(w, "right", x["right"]))
    both = jnp.tanh(dense(w, "from_left", left) * dense(w, "from_right", right))
    return se(dense(w, "out", both), y)


def _two_outputs(w, x, y, deeper=False):
    first = jnp.tanh(dense(w, "layers[0]", x))
    second = jnp.tanh(dense(w, "layers[1]", first))
    return se(dense(w, "heads[0]", second), y[0]) + ce(dense(w, "heads[1]", first if deeper else second), y[1])


def _shared(w, x, y):
    x = jnp.tanh(dense(w, "first", x))
    for _ in range(3):
        x = jnp.tanh(dense(w, "again", x))
    return se(dense(w, "last", x), y)


def _held(w, x, y):
    return se(dense(w, "layers[1]", jnp.tanh(dense(w, "layers[0]", x))), y)


def _convolutional(w, x, y):
    def conv(i, x):
        kernel = w[f"convs[{i}].nn.weight"]
        out = jax.lax.conv_general_dilated(x[None], kernel, (1, 1), "SAME", dimension_numbers=("NCHW", "OIHW", "NCHW"))
        return jax.nn.gelu(out[0] + w[f"convs[{i}].nn.bias"])

    x = conv(0, x)
    x = x.reshape(x.shape[0], 3, 2, 3, 2).max((2, 4))
    x = conv(1, x)
    return ce(dense(w, "linear", x.reshape(-1)), y)


def _pair(*shape):
    return lambda: (normal(1, BATCH, *shape), normal(2, BATCH, 2))


def _vgg():
    return seeded(
        pxm.VGG, (3, 4), (True, False), (1, 1), shape=(2, 6, 6), classes=3, act=jax.nn.gelu, energy=pxc.ce_energy
    )


WIDTHS = [3, 5, 5, 4, 2]
MLPS = {
    f"{act}-{'ce' if entropy else 'se'}": mlp(WIDTHS, act, entropy)
    for act, entropy in (("tanh", False), ("gelu", True), ("relu", False), ("relu", True))
}
LEVELLED = MLPS | {
    "before": Known(lambda: seeded(Before, [3, 5, 5, 4, 2]), _pair(3), _before),
    "conv": Known(_vgg, lambda: (normal(1, BATCH, 2, 6, 6), classes(2, 3)), _convolutional),
    "residual": Known(lambda: seeded(Residual), _pair(3), _residual),
    "inputs": Known(
        lambda: seeded(TwoInputs),
        lambda: ({"left": normal(1, BATCH, 3), "right": normal(3, BATCH, 4)}, normal(2, BATCH, 2)),
        _two_inputs,
    ),
    "outputs": Known(
        lambda: seeded(TwoOutputs),
        lambda: (normal(1, BATCH, 3), (normal(2, BATCH, 2), classes(3, 3))),
        _two_outputs,
    ),
    "shared": Known(lambda: seeded(Shared), _pair(3), _shared),
    "held": Known(lambda: seeded(HeldInput), _pair(3), _held),
}
UNLEVELLED = {
    "skip": Known(lambda: seeded(Residual, levelled=False), _pair(3), _residual),
    "heads": Known(
        lambda: seeded(TwoOutputs, deeper=True),
        LEVELLED["outputs"].batch,
        lambda w, x, y: _two_outputs(w, x, y, deeper=True),
    ),
}
