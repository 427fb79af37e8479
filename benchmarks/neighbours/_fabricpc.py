"""The published fabricpc 0.6.0, by its public functions as its documentation shows them."""

import itertools

import fabricpc
import jax
import jax.numpy as jnp
import numpy as np
import optax
from _deep_fabricpc import chain
from _worker import main
from _workloads import CHANNELS, LEARN, MOMENTUM, RATE, SIDE
from fabricpc.core import IdentityActivation, InferenceSGD, NodeParams
from fabricpc.core.topology import Edge
from fabricpc.graph_assembly import TaskMap, graph
from fabricpc.nodes import ConvNode, IdentityNode, Linear
from fabricpc.training import make_train_step


class PooledConv(ConvNode):
    """A convolution with GELU and 2x2 max pooling in one node: with a `MaxPool` of its own, the graph would have more
    values than the networks of the other libraries."""

    @staticmethod
    def initialize_params(key, node_shape, input_shapes, weight_init, config=None):
        *sides, channels = node_shape  # of the image after pooling, which a convolution alone would not give
        whole = (*(2 * s for s in sides), channels)
        return ConvNode.initialize_params(key, whole, input_shapes, weight_init, config)

    @staticmethod
    def predict(params, inputs, state, node_info):
        ((edge, h),) = inputs.items()
        (b,) = params.biases.values()
        order = ("NHWC", "HWIO", "NHWC")
        u = jax.lax.conv_general_dilated(h, params.weights[edge], (1, 1), "SAME", dimension_numbers=order) + b
        window = (1, 2, 2, 1)
        return jax.lax.reduce_window(jax.nn.gelu(u), -jnp.inf, jax.lax.max, window, window, "VALID"), None


def vgg(inference):
    """The graph of VGG-5, channels last."""
    nodes, side = [IdentityNode(shape=(SIDE, SIDE, CHANNELS[0]), name="n0")], SIDE
    for i, channels in enumerate(CHANNELS[1:], 1):
        side //= 2
        shape = (side, side, channels)
        nodes.append(PooledConv(shape=shape, name=f"n{i}", kernel_size=(3, 3), activation=IdentityActivation()))
    nodes.append(Linear(shape=(10,), name=f"n{len(nodes)}", flatten_input=True))
    return graph(
        nodes=nodes,
        edges=[Edge(source=a, target=b.slot("in")) for a, b in itertools.pairwise(nodes)],
        task_map=TaskMap(x=nodes[0], y=nodes[-1]),
        inference=inference,
    )


def theirs(w, like):
    """A weight `[out, in]` or `[out, in, 3, 3]` as fabricpc has it, channels last."""
    if w.ndim == 4:
        return w.transpose(2, 3, 1, 0)
    if w.shape[1] == CHANNELS[-1] * 4 and w.shape[0] == 10:
        # The images that it reads are 2x2, flattened with channels last.
        w = w.reshape(10, CHANNELS[-1], 2, 2).transpose(0, 2, 3, 1).reshape(10, -1)
    return w.T.reshape(like.shape)


def ours(w):
    """The reverse."""
    if w.ndim == 4:
        return w.transpose(3, 2, 0, 1)
    w = w.reshape(-1, w.shape[-1]).T
    if w.shape == (10, CHANNELS[-1] * 4):
        w = w.reshape(10, 2, 2, CHANNELS[-1]).transpose(0, 3, 1, 2).reshape(10, -1)
    return w


class Fabricpc:
    packages = ("fabricpc", "jax", "jaxlib", "optax")

    def __init__(self, work, rule, weights, x, y):
        fabricpc.setup_jax()
        inference = InferenceSGD(eta_infer=RATE, infer_steps=work.T)
        self.structure = vgg(inference) if work.widths is None else chain(work.widths, inference)
        self.rule = rule
        self.key = jax.random.PRNGKey(0)
        params = fabricpc.initialize_params(self.structure, self.key)
        nodes = dict(params.nodes)
        for i, (w, b) in enumerate(weights, 1):
            ((edge, like_w),) = nodes[f"n{i}"].weights.items()
            ((bias, like_b),) = nodes[f"n{i}"].biases.items()
            nodes[f"n{i}"] = NodeParams(
                weights={edge: jnp.asarray(theirs(w, like_w))}, biases={bias: jnp.asarray(b.reshape(like_b.shape))}
            )
        x = x.transpose(0, 2, 3, 1) if x.ndim == 4 else x
        pair = {"x": jnp.asarray(x), "y": jnp.asarray(y)}
        self.params, self.pair = jax.block_until_ready((params._replace(nodes=nodes), pair))

    def begin(self):
        optimizer = optax.sgd(LEARN, momentum=MOMENTUM)
        self.optim = optimizer.init(self.params)
        self.train = make_train_step(self.structure, optimizer, algorithm=self.rule)
        self.step()

    def step(self):
        self.params, self.optim, self.metrics, _ = jax.block_until_ready(
            self.train(self.params, self.optim, self.pair, self.key)
        )

    def energy(self):
        return float(self.metrics["energy"])

    def weights(self):
        pairs = []
        for i in range(1, len(self.params.nodes)):
            node = self.params.nodes[f"n{i}"]
            ((w,), (b,)) = node.weights.values(), node.biases.values()
            pairs.append((ours(np.asarray(w)), np.asarray(b).reshape(-1)))
        return pairs


if __name__ == "__main__":
    main(Fabricpc)
