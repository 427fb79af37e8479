"""Layers: their params, their values on one sample, state and sharing."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from record import program

import pcx as px
import pcx.functional as pxf
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.utils as pxu

ROW = "pxnn: layers"
IMAGE = jnp.asarray(np.random.default_rng(0).normal(size=(2, 7, 7)))
VECTOR = jnp.asarray(np.random.default_rng(1).normal(size=(6,)))

LAYERS = {
    "linear": (lambda: pxnn.Linear(6, 4), VECTOR),
    "linear_without_bias": (lambda: pxnn.Linear(6, 4, bias=False), VECTOR),
    "linear_bias_by_position": (lambda: pxnn.Linear(6, 4, False), VECTOR),
    "conv2d": (lambda: pxnn.Conv2d(2, 3, 3), IMAGE),
    "conv2d_strided": (lambda: pxnn.Conv2d(2, 3, (3, 2), (2, 1), (1, 0)), IMAGE),
    "conv2d_padded": (lambda: pxnn.Conv2d(2, 4, kernel_size=3, stride=2, padding=1, groups=2), IMAGE),
    "conv2d_dilated": (lambda: pxnn.Conv2d(2, 3, 3, dilation=2, use_bias=False), IMAGE),
    "conv_1d": (lambda: pxnn.Conv(1, 2, 3, 3), IMAGE[:, 0]),
    "conv_3d": (lambda: pxnn.Conv(3, 1, 2, 2), IMAGE[None]),
    "conv_transpose_2d": (lambda: pxnn.ConvTranspose(2, 2, 3, 3, stride=2, padding=1, output_padding=1), IMAGE),
    "conv_transpose_1d": (lambda: pxnn.ConvTranspose(1, 2, 3, 4, stride=2), IMAGE[:, 0]),
    "max_pool2d": (lambda: pxnn.MaxPool2d(2, 2), IMAGE),
    "max_pool2d_ceil": (lambda: pxnn.MaxPool2d(2, 2, use_ceil=True), IMAGE),
    "max_pool2d_padded": (lambda: pxnn.MaxPool2d(3, 2, 1), IMAGE),
    "avg_pool2d": (lambda: pxnn.AvgPool2d(3, 2), IMAGE),
    "avg_pool2d_default_stride": (lambda: pxnn.AvgPool2d(2), IMAGE),
    "adaptive_avg_pool2d": (lambda: pxnn.AdaptiveAvgPool2d(3), IMAGE),
    "adaptive_pool": (lambda: pxnn.AdaptivePool((2, 3), 2, jnp.max), IMAGE),
    "pool": (lambda: pxnn.Pool(0, jax.lax.add, 2, (2, 2), (1, 1)), IMAGE),
    "layer_norm": (lambda: pxnn.LayerNorm((6,)), VECTOR),
    "layer_norm_plain": (lambda: pxnn.LayerNorm((6,), elementwise_affine=False), VECTOR),
    "layer_norm_of_eps": (lambda: pxnn.LayerNorm((6,), 1e-2), VECTOR),
    "layer_norm_without_bias": (lambda: pxnn.LayerNorm((6,), 1e-3, use_bias=False), VECTOR),
    "layer_of_mlp": (lambda: pxnn.Layer(eqx.nn.MLP, 6, 2, 5, 2, key=jax.random.PRNGKey(1)), VECTOR),
    "layer_of_group_norm": (lambda: pxnn.Layer(eqx.nn.GroupNorm, 2, 2), IMAGE),
    "layer_of_gru": (lambda: pxnn.Layer(eqx.nn.GRUCell, 6, 3, key=jax.random.PRNGKey(2)), (VECTOR, jnp.zeros(3))),
    "layer_of_embedding": (lambda: pxnn.Layer(eqx.nn.Embedding, 5, 3, key=jax.random.PRNGKey(3)), jnp.array(2)),
    "layer_of_lambda": (lambda: pxnn.Layer(eqx.nn.Lambda, jnp.tanh), VECTOR),
}


def one_layer(make, x):
    xs = x if isinstance(x, tuple) else (x,)

    def run(show):
        layer = make()
        show("params", layer)
        show("value", layer(*xs))
        show("under jit", pxf.jit()(lambda *xs, layer: layer(*xs))(*xs, layer=layer))
        batch = [jnp.stack([a, a * 2]) for a in xs]
        axes = tuple(0 for _ in xs)
        show(
            "under vmap",
            pxf.vmap({"layer": None}, in_axes=axes, out_axes=0)(lambda *xs, layer: layer(*xs))(*batch, layer=layer),
        )
        mask = {"layer": pxu.M(pxnn.LayerParam).to((False, True))}
        value, grads = pxf.value_and_grad(mask)(lambda *xs, layer: (layer(*xs) ** 2).sum())(*xs, layer=layer)
        show("gradients", [value, jtu.tree_leaves(grads["layer"])])

    return run


for _name, (_make, _x) in LAYERS.items():
    program(ROW, f"layer_{_name}" if not _name.startswith("layer") else _name)(one_layer(_make, _x))


@program(ROW)
def layer_weights_are_params(show):
    layer = pxnn.Linear(3, 2)
    show("types", [type(layer.nn.weight).__name__, type(layer.nn.bias).__name__])
    layer.nn.weight.set(jnp.ones((2, 3)))
    layer.nn.bias += 1.0
    show("value", layer(jnp.ones(3)))
    layer.nn.weight.frozen = True
    show("frozen", pxu.M(pxnn.LayerParam).hasnot(frozen=True)(layer))
    show("leaves", [jtu.keystr(k) for k, _ in jtu.tree_flatten_with_path(layer)[0]])


@program(ROW)
def layer_with_a_filter(show):
    layer = pxnn.Layer(eqx.nn.Linear, 3, 2, key=jax.random.PRNGKey(0), filter=lambda x: eqx.is_array(x) and x.ndim == 2)
    show("weight alone", [type(layer.nn.weight).__name__, isinstance(layer.nn.bias, pxnn.LayerParam)])
    show("value", layer(jnp.ones(3)))


@program(ROW)
def layer_dropout(show):
    layer = pxnn.Dropout(0.3)
    x = jnp.ones(10)
    layer.train()
    show("train", [layer(x, key=px.RKG()), layer(x, key=px.RKG())])
    layer.eval()
    show("eval", layer(x))
    f = pxf.vmap({"layer": None}, in_axes=(0,), out_axes=0)(lambda x, *, layer: layer(x, key=px.RKG()))
    layer.train()
    show("a mask for each sample", f(jnp.ones((3, 4)), layer=layer))


@program("pxnn: BatchNorm, StatefulLayer")
def layer_batch_norm(show):
    layer = pxnn.BatchNorm(3, axis_name="batch")
    show(
        "params",
        sorted(
            type(p).__name__
            for p in jtu.tree_leaves(layer, is_leaf=lambda p: isinstance(p, pxnn.LayerParam))
            if isinstance(p, px.BaseParam)
        ),
    )
    f = pxf.vmap({"layer": None}, in_axes=(0,), out_axes=0, axis_name="batch")(lambda x, *, layer: layer(x))
    x = jnp.asarray(np.random.default_rng(2).normal(size=(8, 3)) * 2 + 1)
    layer.train()
    show("train", f(x, layer=layer))
    show("train again", f(x * 2, layer=layer))
    layer.eval()
    show("eval", f(x, layer=layer))


@program("pxnn: BatchNorm, StatefulLayer")
def layer_batch_norm_in_a_net(show):
    class Net(px.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm, self.out = (
                pxnn.Conv2d(2, 3, 3),
                pxnn.BatchNorm(3, "batch", momentum=0.5),
                pxnn.Linear(75, 2),
            )

        def __call__(self, x):
            return self.out(jax.nn.relu(self.norm(self.conv(x))).reshape(-1))

    net = Net()
    net.train()
    xs = jnp.stack([IMAGE, IMAGE * 2, IMAGE - 1])

    @pxf.vmap({"net": None}, in_axes=(0,), out_axes=None, axis_name="batch")
    def loss(x, *, net):
        return jax.lax.pmean((net(x) ** 2).sum(), "batch")

    mask = {"net": pxu.M(pxnn.LayerParam).to((False, True))}
    step = pxf.jit()(lambda x, *, net: pxf.value_and_grad(mask)(loss)(x, net=net))
    for i in range(3):
        value, grads = step(xs, net=net)
        show(f"step {i}", [value, grads["net"].conv.nn.bias, grads["net"].out.nn.bias])
    net.eval()
    show("eval", loss(xs, net=net))


@program("pxnn: BatchNorm, StatefulLayer")
def layer_spectral_norm(show):
    layer = pxnn.StatefulLayer(
        eqx.nn.SpectralNorm, eqx.nn.Linear(4, 3, key=jax.random.PRNGKey(0)), "weight", key=jax.random.PRNGKey(1)
    )
    x = jnp.arange(4.0)
    layer.train()
    show.raises("first", lambda: layer(x))
    show.raises("second", lambda: layer(x))
    layer.eval()
    show.raises("eval", lambda: layer(x))


@program("pxnn: shared")
def layer_shared(show):
    a = pxnn.Linear(3, 3)
    b = pxnn.shared(a)
    show("other module, same params", [a is b, a.nn.weight is b.nn.weight])
    a.nn.bias += 1.0
    show("value", b(jnp.ones(3)))

    class Net(px.Module):
        def __init__(self):
            super().__init__()
            self.a = pxnn.Linear(3, 3)
            self.b = pxnn.shared(self.a)

        def __call__(self, x):
            return self.b(jnp.tanh(self.a(x)))

    net = Net()
    mask = {"net": pxu.M(pxnn.LayerParam).to((False, True))}
    value, grads = pxf.value_and_grad(mask)(lambda x, *, net: net(x).sum())(jnp.ones(3), net=net)
    show("shared gradient", [value, grads["net"].a.nn.weight])
    show("jit", pxf.jit()(lambda x, *, net: net(x))(jnp.ones(3), net=net))


@program("pxnn: shared")
def layer_shared_filter(show):
    a = pxnn.Linear(3, 3)
    b = pxnn.shared(a, filter=lambda p: isinstance(p, pxnn.LayerParam) and p.ndim == 2)
    show("weight alone", [a.nn.weight is b.nn.weight, a.nn.bias is b.nn.bias])
    c = pxnn.shared(a, pxc.VodeParam)
    show("nothing", [a.nn.weight is c.nn.weight, c(jnp.ones(3))])


@program("pxnn: layers")
def layer_exceptions(show):
    show.fails("wrong size", lambda: pxnn.Linear(3, 2)(jnp.ones(4)))
    show.fails("a batch given as one sample", lambda: pxnn.Linear(3, 2)(jnp.ones((5, 3))))
    show.fails("an image without channels", lambda: pxnn.Conv2d(2, 3, 3)(IMAGE[0]))
