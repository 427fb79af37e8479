"""Keys of static values: equal only if programs built from them compute the same."""

import dataclasses
import enum
import functools
import gc
import types
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pcx as px
import pcx.functional as pxf
from pcx.core._key import ById, Keyed, function_key, static_key


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


@dataclasses.dataclass
class Config:
    n: int
    names: list[str]


class Opaque:
    def __init__(self, n):
        self.n = n


SCALE = 2.0


def closure(value):
    return lambda x: x * value


def reads_global(scope, name="scale"):
    """A fresh function that reads a global of its own scope."""
    space = {"__builtins__": __builtins__, **scope}
    exec(f"def fn(x):\n    return x * {name}", space)
    return space["fn"]


EQUAL = [
    lambda: 1,
    lambda: (1, [2.0, {"a": None}]),
    lambda: {1, 2},
    lambda: np.arange(5),
    lambda: jnp.arange(5.0),
    lambda: float("nan"),
    lambda: Colour.RED,
    lambda: Config(1, ["a"]),
    lambda: types.SimpleNamespace(n=[1]),
    lambda: slice(1, None, 2),
    lambda: functools.partial(jnp.sum, axis=1),
    lambda: lambda x: x + 1,
    lambda: closure(2.0),
    lambda: closure(jnp.ones(3)),
    lambda: closure(closure(closure([1, 2]))),
    lambda: optax.adam(1e-3),
    lambda: optax.chain(optax.clip(1.0), optax.sgd(0.1, momentum=0.9)),
    lambda: jnp.float32,
    lambda: np.dtype("float32"),
    lambda: px.static([1]),
    lambda: px.static(lambda x: x * SCALE),
]


@pytest.mark.parametrize("make", EQUAL)
def test_equal(make):
    assert static_key(make()) == static_key(make())
    assert hash(static_key(make())) == hash(static_key(make()))
    assert Keyed(make()) == Keyed(make())


def one(n):
    def inner(x):
        try:
            return x * n
        finally:
            pass

    return inner


def other(n):
    def inner(x):
        try:
            return x * n
        finally:
            pass

    return inner


def test_where_a_function_stands_is_no_part_of_what_it_computes():
    a = lambda x, y=1: [x + y for _ in range(3)]  # noqa: E731

    b = lambda x, y=1: [x + y for _ in range(3)]  # noqa: E731
    assert a.__code__ != b.__code__
    assert static_key(a) == static_key(b)

    assert static_key(one(2.0)) == static_key(other(2.0)) != static_key(other(3.0))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (lambda x: x + 1, lambda y: y + 1),
        (lambda x: (x, 1), lambda x: (x, True)),
        (lambda x: lambda: x + 1, lambda x: lambda: x + 2),
        (lambda x: x if x in {1, 2} else 0, lambda x: x if x in {1, 3} else 0),
        (1, 1.0),
        (1, True),
        (0.0, -0.0),
        (0, False),
        (1.0, np.float32(1)),
        (1 + 0j, 1.0),
        (0j, -0j),
        ("1", 1),
        (b"a", "a"),
        ([1], (1,)),
        ((1,), (1.0,)),
        ({"a": 1}, {"a": True}),
        ({"a": 0.0}, {"a": -0.0}),
        (None, False),
        (np.arange(3), np.arange(3.0)),
        (np.zeros(2), np.array([0.0, -0.0])),
        (np.zeros((2, 1)), np.zeros((1, 2))),
        (jnp.zeros(2), np.zeros(2, np.float32)),
        (jnp.zeros(2), jnp.ones(2)),
        (Colour.RED, Colour.BLUE),
        (Config(1, ["a"]), Config(1, ["b"])),
        (types.SimpleNamespace(n=1), types.SimpleNamespace(n=1.0)),
        (slice(1), slice(2)),
        (functools.partial(jnp.sum, axis=1), functools.partial(jnp.sum, axis=0)),
        (closure(1), closure(1.0)),
        (closure(1), closure(True)),
        (closure(0.0), closure(-0.0)),
        (closure(jnp.ones(3)), closure(jnp.zeros(3))),
        (closure(np.ones(3)), closure(np.array([1, 1, 2.0]))),
        (closure([1]), closure([2])),
        (closure(closure(1)), closure(closure(2))),
        (lambda x: x + 1, lambda x: x + 2),
        (lambda x: x + 1, lambda x: x + 1.0),
        (lambda x, y=1: x + y, lambda x, y=2: x + y),
        (lambda x, *, y=1: x + y, lambda x, *, y=2: x + y),
        (optax.adam(1e-3), optax.adam(1e-2)),
        (optax.sgd(0.1), optax.adam(0.1)),
        (reads_global({"scale": 1}), reads_global({"scale": 2})),
        (reads_global({"scale": 1}), reads_global({"scale": 1.0})),
        (reads_global({"scale": jnp.ones(2)}), reads_global({"scale": jnp.zeros(2)})),
        (Opaque(1), Opaque(1)),
        (closure(Opaque(1)), closure(Opaque(1))),
        (object(), object()),
    ],
)
def test_different(a, b):
    assert static_key(a) != static_key(b)
    assert static_key(a) == static_key(a)
    assert static_key((a, 1)) != static_key((b, 1))


def test_globals_read_by_inner_functions_count():
    def outer(scope):
        space = {"__builtins__": __builtins__, **scope}
        exec("def fn(x):\n    return (lambda y: y * scale)(x)", space)
        return space["fn"]

    assert static_key(outer({"scale": 1})) != static_key(outer({"scale": 2}))
    assert static_key(outer({"scale": 1, "other": 1})) == static_key(outer({"scale": 1, "other": 2}))


def test_an_optimiser_that_needs_its_parameter_is_not_another():
    schedule = optax.linear_schedule(0.1, 0.0, 10)
    assert static_key(optax.sgd(schedule)) == static_key(optax.sgd(schedule))
    assert static_key(optax.sgd(schedule)) != static_key(optax.sgd(optax.linear_schedule(0.2, 0.0, 10)))


def test_values_that_contain_themselves():
    a, b = [1], [1]
    a.append(a)  # pyright: ignore
    b.append(b)  # pyright: ignore
    assert static_key(a) == static_key(b)

    def recursive(x):
        return recursive(x - 1) if x else 0

    assert static_key(recursive) == static_key(recursive)


def test_identity_keys_keep_nothing_alive():
    x = Opaque(1)
    ref, key = weakref.ref(x), static_key(x)
    assert isinstance(key, ById)
    assert key == static_key(x)
    del x
    gc.collect()
    assert ref() is None
    assert key == key
    assert key != static_key(Opaque(1))


def test_large_and_deleted_arrays():
    a = jnp.zeros(100_000)
    assert static_key(a) == static_key(a)
    assert static_key(a) != static_key(jnp.zeros(100_000))
    b = jnp.ones(3)
    b.delete()
    assert static_key(b) == static_key(b)
    key = jax.random.key(0)
    assert static_key(key) == static_key(key)


def test_huge_values_compare_by_identity():
    big = list(range(20_000))
    assert static_key(big) == static_key(big)
    assert static_key(big) != static_key(list(big))


def test_function_key_looks_at_globals_of_named_functions():
    space = {"__builtins__": __builtins__, "scale": 1, "__name__": "nowhere"}
    exec("def fn(x):\n    return x * scale", space)
    before = function_key(space["fn"])
    assert before == function_key(space["fn"])
    space["scale"] = 2
    assert before != function_key(space["fn"])


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats() | st.text(max_size=2) | st.binary(max_size=2),
    lambda x: st.lists(x, max_size=3) | st.tuples(x, x) | st.dictionaries(st.text(max_size=2), x, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(VALUES, VALUES)
def test_keys_separate_what_repr_separates(a, b):
    assert (static_key(a) == static_key(b)) == (repr(a) == repr(b))


def test_a_function_that_names_the_transform_of_itself_has_a_short_key():
    source = "def fn(x, *, m):\n    return m.fn() + x\nfn = vmap()(fn)\n"

    def made(text=source):
        scope = {"vmap": pxf.vmap}
        exec(text, scope)
        return scope["fn"]

    def deeper(n):
        return static_key(made()) if n == 0 else deeper(n - 1)

    key = static_key(made())
    assert len(repr(key)) < 1000
    assert key == deeper(0) == deeper(100) == static_key(made())
    assert key != static_key(made(source.replace("+", "-")))
