"""What is handed over as data or as a key is taken or refused in words, at every door alike."""

import array

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx as px
import pcx.learning as pxl
import pcx.models as pxm
import pcx.training as pxt
from pcx.core._arrays import raw_key, taken

X, Y = np.arange(12, dtype=np.float32).reshape(4, 3) / 12, np.ones((4, 2), np.float32)
RULE = pxl.backprop(optax.sgd(0.1))


class Tensor:
    """Gives itself as an array, as tensors of PyTorch do."""

    def __init__(self, x, fails=""):
        self.x, self.fails = x, fails

    def __len__(self):
        return len(self.x)

    def __array__(self, dtype=None, copy=None):
        if self.fails:
            raise RuntimeError(self.fails)
        return np.asarray(self.x, dtype)


GOOD = {
    "other byte order": X.astype(">f4"),
    "float64": X.astype(np.float64),
    "list": X.tolist(),
    "tuple": tuple(map(tuple, X.tolist())),
    "view": np.repeat(X, 2, axis=0)[::2],
    "backwards": X[::-1][::-1],
    "memory": X.data,
    "tensor": Tensor(X),
    "matrix": np.asmatrix(X),
    "jax": jnp.asarray(X),
}
BAD = {
    "masked": (np.ma.masked_array(X, X > 0.5), "masked array.*filled"),
    "objects": (np.array([[1, None]] * 4, dtype=object), "holds object"),
    "words": (np.array(["a"] * 4), "JAX's arrays hold numbers: convert it first; of names of classes, np.unique"),
    "dates": (np.array(["2020-01-01"] * 4, dtype="M8[D]"), "JAX's arrays hold numbers"),
    "records": (np.zeros(4, dtype=[("a", "f4")]), "JAX's arrays hold numbers"),
    "views of a dict": ({"x": X}.values(), "dict_values; give an array"),
    "generator": ((row for row in X), "generator; give an array"),
    "tensor with a gradient": (Tensor(X, "Use tensor.detach()"), r"can't be made a NumPy array: Use tensor\.detach"),
    "random keys": (jax.random.split(jax.random.key(0), 4), "random keys"),
}


@pytest.fixture(scope="module")
def model():
    px.RKG.seed(0)
    return pxm.MLP([3, 2])


DOORS = {
    "init": lambda m, x: RULE.init(m, (x, Y)),
    "step": lambda m, x: RULE.step(RULE.init(m, (X, Y)), (x, Y))[1].loss,
    "predict": lambda m, x: RULE.predict(m, x),
    "evaluate": lambda m, x: RULE.evaluate(m, (x, Y)),
    "bind": lambda m, x: pxl.bind(m, (x, Y)).x,
}


@pytest.mark.parametrize("kind", GOOD)
def test_taken(kind, model):
    np.testing.assert_array_equal(taken("here", "x", GOOD[kind]), X)
    np.testing.assert_allclose(RULE.predict(model, GOOD[kind]), RULE.predict(model, X))


@pytest.mark.hasty
@pytest.mark.parametrize("door", DOORS)
def test_at_every_door(door, model):
    expected = DOORS[door](model, X)
    for kind in ("other byte order", "list", "tensor"):
        jax.tree.map(np.testing.assert_allclose, DOORS[door](model, GOOD[kind]), expected)
    for kind in ("masked", "words", "views of a dict"):
        x, words = BAD[kind]
        with pytest.raises(TypeError, match=rf"{door}: x.*{words}"):
            DOORS[door](model, x)


@pytest.mark.parametrize("kind", BAD)
def test_refused(kind):
    x, words = BAD[kind]
    with pytest.raises(TypeError, match=f"here: x.*{words}"):
        taken("here", "x", x)


def test_trees_lists_and_numbers_that_do_not_fit():
    assert jax.tree.map(jnp.shape, taken("here", "x", {"a": [X, Y], "b": None})) == {"a": [(4, 3), (4, 2)], "b": None}
    with pytest.raises(TypeError, match=r"here: x\['a'\]\[1\] holds <U1"):
        taken("here", "x", {"a": [X, np.array(["a"])]})
    with pytest.raises(ValueError, match="differ in length"):
        taken("here", "x", [[1.0, 2.0], [3.0]])
    with pytest.raises(ValueError, match=r"here: y holds 0 to 4294967297, more than int32 can hold"):
        taken("here", "y", np.array([0, 2**32 + 1]))
    assert taken("here", "y", array.array("i", [1, 2])).tolist() == [1, 2]


def test_fit_takes_them_too(model):
    def after(train):
        px.RKG.seed(0)
        net = pxm.MLP([3, 2])
        pxt.fit(net, RULE, train, train, epochs=1, batch_size=2, show=False)
        return jax.tree.leaves(net)

    expected = after((X, Y))
    for train in ((Tensor(X), Tensor(Y)), (X.tolist(), Y.tolist()), (X.astype(">f4"), Y.astype(">f8"))):
        jax.tree.map(np.testing.assert_array_equal, after(train), expected)
    with pytest.raises(TypeError, match="fit: y is a masked array"):
        after((X, np.ma.masked_array(Y)))


def test_keys(model):
    raw = np.asarray(jax.random.PRNGKey(3))
    for key in (3, np.int64(3), np.array(3), jnp.int32(3), raw, jax.random.PRNGKey(3), jax.random.key(3)):
        np.testing.assert_array_equal(raw_key("here", key), raw)  # pyright: ignore[reportArgumentType]
        px.RKG.seed(key)  # pyright: ignore[reportArgumentType]
        np.testing.assert_array_equal(px.RKG.key.get(), raw)
        np.testing.assert_array_equal(px.RandomKeyGenerator(key).key.get(), raw)  # pyright: ignore[reportArgumentType]
        np.testing.assert_array_equal(RULE.init(model, (X, Y), key).key, raw)
        np.testing.assert_array_equal(pxl.bind(model, (X, Y), key=key).key, raw)
        np.testing.assert_array_equal(jax.jit(lambda k: raw_key("here", k))(key), raw)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (None, "got NoneType"),
        (0.5, "got float"),
        (True, "got bool"),
        ("0", "got str"),
        (2**70, "beyond 64 bits"),
        (jax.random.key(0, impl="rbg"), r"got key<rbg>\[\]; keys are of the kind 'threefry2x32'"),
        (jax.random.PRNGKey(0, impl="rbg"), r"got uint32\[4\]"),
        (jax.random.split(jax.random.key(0), 2), r"got key<fry>\[2\]"),
        (jax.random.split(jax.random.PRNGKey(0), 2), r"got uint32\[2, 2\]"),
        (np.zeros(2), r"got float64\[2\]"),
    ],
    ids=str,
)
def test_keys_that_are_none(key, words, model):
    doors = (
        px.RKG.seed,
        px.RandomKeyGenerator,
        lambda k: RULE.init(model, (X, Y), k),
        lambda k: pxl.bind(model, (X, Y), key=k),
    )
    for door in doors:
        with pytest.raises((TypeError, ValueError), match=f"the key must be a seed.*{words}"):
            door(key)
