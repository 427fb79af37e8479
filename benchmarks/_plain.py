"""The networks of the benchmarks in plain JAX: layers, a backpropagation step, and the least work that a predictive
coding step takes, written by hand.

A network is `layer(weights, i, h)`, the prediction of layer i for a batch, and `weights`, a pair for each layer.
"""

import jax
import jax.numpy as jnp
import optax


def mlp(act):
    def layer(weights, i, h):
        w, b = weights[i]
        u = h @ w.T + b
        return u if i == len(weights) - 1 else act(u)

    return layer


def windows(x):
    """2x2 max pooling as one writes it: XLA takes its gradient by a scatter."""
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")


def side_by_side(x):
    """The same pooling with the gradient that costs least, the one that the library's layer has."""
    from pcx.nn._windows import largest  # here alone, so that the rest runs where there is no pcx

    return jnp.moveaxis(jax.vmap(lambda x: largest(x, (2, 2)))(jnp.moveaxis(x, 1, -1)), -1, 1)


def vgg(act, pool=side_by_side):
    def layer(weights, i, h):
        w, b = weights[i]
        if i == len(weights) - 1:
            return h.reshape(h.shape[0], -1) @ w.T + b
        order = ("NCHW", "OIHW", "NCHW")
        u = jax.lax.conv_general_dilated(h, w, (1, 1), ((1, 1), (1, 1)), dimension_numbers=order) + b
        return pool(act(u))

    return layer


def squared_error(u, y):
    return 0.5 * jnp.sum(jnp.square(y - u))


def cross_entropy(u, y):
    return -jnp.sum(y * jax.nn.log_softmax(u))


def backprop(layer, loss, optimiser, give_updates=False):
    """A step of backpropagation on the mean loss of the batch; returns the loss, or the updates."""

    def mean(weights, x, y):
        for i in range(len(weights)):
            x = layer(weights, i, x)
        return loss(x, y) / x.shape[0]

    @jax.jit
    def step(weights, state, x, y):
        value, grads = jax.value_and_grad(mean)(weights, x, y)
        updates, state = optimiser.update(grads, state, weights)
        return optax.apply_updates(weights, updates), state, updates if give_updates else value

    return step


def descent(layer, optimiser, steps, rate, unroll=False):
    """A step of predictive coding as one writes it first: gradient descent on the values of all layers, in a loop, then
    a step of the weights' optimiser. Returns the mean energy of the batch after settling.

    **Arguments:**

    - `steps`: inference steps; `rate`: of the states.
    - `unroll`: whether the steps are written out. On CPUs, convolutions in a loop are far slower.
    """

    def total(values, weights, x, y):
        pairs = zip([x, *values], [*values, y], strict=True)
        return sum(squared_error(layer(weights, i, a), b) for i, (a, b) in enumerate(pairs))

    @jax.jit
    def step(weights, state, x, y):
        values = []
        for i in range(len(weights) - 1):
            values.append(layer(weights, i, values[-1] if values else x))
        down = jax.grad(total)

        def move(_, values):
            return [v - rate * g for v, g in zip(values, down(values, weights, x, y), strict=True)]

        values = jax.lax.fori_loop(0, steps, move, values, unroll=unroll)
        energy, gradient = jax.value_and_grad(total, 1)(values, weights, x, y)
        gradient = jax.tree.map(lambda g: g / len(x), gradient)
        updates, state = optimiser.update(gradient, state, weights)
        return optax.apply_updates(weights, updates), state, energy / len(x)

    return step


def predictive_coding(layer, optimiser, steps, rate, unroll):
    """A step of predictive coding with no more work than it takes: the first layer's prediction is computed once, nodes
    that the error has not reached are left alone, and errors go back by local vector-Jacobian products.

    **Arguments:**

    - `steps`: inference steps, no fewer than there are hidden layers; `rate`: of the states.
    - `unroll`: whether the steps at which all nodes move are written out, or a scan.
    """

    @jax.jit
    def step(weights, state, x, y):
        start = [layer(weights, 0, x)]
        for i in range(1, len(weights) - 1):
            start.append(layer(weights, i, start[-1]))

        def move(values, lowest):
            """One inference step, at which only the nodes from `lowest` on move."""
            moved = list(values)
            u, back = jax.vjp(lambda h: layer(weights, len(values), h), values[-1])
            (arriving,) = back(y - u)
            for i in reversed(range(lowest, len(values))):
                # What predicts the lowest node does not move.
                u = start[i]
                if i > lowest:
                    u, back = jax.vjp(lambda h, i=i: layer(weights, i, h), values[i - 1])
                error = values[i] - u
                moved[i] = values[i] - rate * (error - arriving)
                if i > lowest:
                    (arriving,) = back(error)
            return moved

        values = start
        for lowest in reversed(range(1, len(start))):
            values = move(values, lowest)
        rest = steps - (len(start) - 1)
        if unroll:
            for _ in range(rest):
                values = move(values, 0)
        else:
            values, _ = jax.lax.scan(lambda values, _: (move(values, 0), None), values, None, length=rest)

        def energy(weights):
            pairs = zip([x, *values], [*values, y], strict=True)
            return sum(squared_error(layer(weights, i, a), b) for i, (a, b) in enumerate(pairs)) / x.shape[0]

        value, grads = jax.value_and_grad(energy)(weights)
        updates, state = optimiser.update(grads, state, weights)
        return optax.apply_updates(weights, updates), state, value

    return step
