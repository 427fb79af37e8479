"""What tests of models share: small networks of each kind, and their gradients."""

from typing import Any

import jax
import jax.experimental
import jax.numpy as jnp
import numpy as np
import optax

import pcx as px
import pcx.learning as pxl
import pcx.models as pxm
import pcx.nn as pxnn

# Under this name from JAX 0.8 on.
enable_x64 = jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64  # pyright: ignore
HASTE = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
# A weight optimiser that leaves the weights alone and keeps the gradient as its state.
GRADIENT = optax.GradientTransformation(
    lambda params: jax.tree.map(jnp.zeros_like, params),
    lambda updates, state, params=None: (jax.tree.map(jnp.zeros_like, updates), updates),
)


def normal(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).normal(size=shape)


def seeded(make: Any, seed: int = 0) -> Any:
    """A model with weights from a seed, in the precision that is enabled."""
    kept = px.RKG.key.get()
    px.RKG.seed(seed)
    try:
        model = make()
    finally:
        px.RKG.key.set(kept)
    for p in params(model):
        p.set(p.get().astype(jnp.result_type(float)))
    return model


def params(model: Any) -> list[Any]:
    leaves = jax.tree.leaves(model, is_leaf=lambda p: isinstance(p, px.BaseParam))
    return [p for p in leaves if isinstance(p, pxnn.LayerParam)]


def weights(model: Any) -> dict[str, Any]:
    """A model's weights, by path."""
    flat = jax.tree_util.tree_flatten_with_path(model, is_leaf=lambda p: isinstance(p, px.BaseParam))[0]
    found = {
        jax.tree_util.keystr(path).removeprefix("."): p.get() for path, p in flat if isinstance(p, pxnn.LayerParam)
    }
    return jax.device_get(found)


def gradients(model: Any, batch: Any, **rules: Any) -> list[Any]:
    """The weight gradients of rules whose weight optimiser is `GRADIENT`, from one compiled program."""
    states = {name: rule.init(model, batch) for name, rule in rules.items()}

    def stepped(states, batch):
        return {name: rules[name].step(state, batch) for name, state in states.items()}

    found = jax.jit(stepped, compiler_options=HASTE)(states, batch)
    for name, (_, info) in found.items():
        assert int(info.result) == 0, (name, info)
    return [found[name][0].optim for name in rules]


def error(found: dict[str, Any], expected: dict[str, Any]) -> float:
    """The largest error of an array, relative to the largest gradient."""
    assert found.keys() == expected.keys()
    one, two = jax.device_get((found, expected))
    size = max(float(np.linalg.norm(v)) for v in two.values())
    return max(float(np.linalg.norm(one[k] - v)) for k, v in two.items()) / size


def predicted(model: Any, x: Any) -> Any:
    """The output of a forward pass."""
    return pxl.backprop(GRADIENT).predict(model, x)


IMAGES: dict[str, Any] = {
    "vgg": lambda **o: pxm.VGG((2, 3), (True, False), (1, 1), shape=(2, 4, 4), classes=3, act=jnp.tanh, **o),
    "alexnet": lambda **o: pxm.AlexNet((2, 2, 3, 2, 2), (4,), shape=(2, 16, 16), classes=3, act=jnp.tanh, **o),
    "resnet": lambda **o: pxm.ResNet((1, 1), (2, 3), shape=(2, 4, 4), classes=3, act=jnp.tanh, **o),
}
"""Small networks for images, by name; each takes the options of its kind."""


def images(name: str, size: int = 4) -> Any:
    """A batch for one of them."""
    side = 16 if name == "alexnet" else 4
    return normal(1, size, 2, side, side), np.arange(size) % 3
