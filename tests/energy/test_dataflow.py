"""A traced function, taken apart."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pcx.energy._dataflow import Program

X = jnp.linspace(-1.0, 1.0, 4)
TABLE = np.arange(4.0, dtype=np.float32)  # a constant of the traced functions


@jax.custom_vjp
def clipped(x):
    return jnp.sin(x)


clipped.defvjp(lambda x: (jnp.sin(x), x), lambda x, g: (jnp.clip(g * jnp.cos(x), -0.1, 0.1),))


def elementwise(a, b):
    return a * 2 + b, a - 1


def custom_jvp(a, b):
    return jax.nn.relu(a) + jax.nn.gelu(b), jax.nn.relu(a)


def custom_vjp(a, b):
    return clipped(a), clipped(a * b)


def nested_jit(a, b):
    inner = jax.jit(lambda x: jax.jit(jnp.tanh)(x) + 1)
    return inner(a), inner(inner(b))


def jit_that_returns_what_it_got(a, b):
    x, y, z = jax.jit(lambda a, b: (b, a, b))(a, b)
    return x, y + z


def scan_inside(a, b):
    return jax.lax.scan(lambda c, x: (c * x, c), a, jnp.stack([b, b + 1, b + 2]))


def many_outputs(a, b):
    values, places = jax.lax.top_k(a * b, 2)
    return values, places


def constants(a, b):
    return a * TABLE, b + jnp.asarray([1.0, 2.0, 3.0, 4.0])


def literals(a, b):
    return 3.0, a, a, b > 0


def remat(a, b):
    return jax.checkpoint(lambda x: jnp.exp(jnp.sin(x)))(a), b


def linear_algebra(a, b):
    return jnp.outer(a, b) @ b, jnp.cumsum(a)


def branches(a, b):
    return jax.lax.cond(a[0] > 0, lambda x: x, lambda x: -x, b), jax.lax.while_loop(lambda x: x < 3, lambda x: x + 1, 0)


FUNCTIONS = [
    elementwise,
    custom_jvp,
    custom_vjp,
    nested_jit,
    jit_that_returns_what_it_got,
    scan_inside,
    many_outputs,
    constants,
    literals,
    remat,
    linear_algebra,
    branches,
]


def run(program, *args):
    ids, treedef = jax.tree.flatten(program.outputs)
    known = dict(zip(jax.tree.leaves(program.inputs), jax.tree.leaves(args), strict=True))
    return jax.tree.unflatten(treedef, program.evaluate(ids, known))


def same(a, b):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-7), a, b)


@pytest.mark.parametrize("fn", FUNCTIONS, ids=lambda f: f.__name__)
def test_a_program_computes_what_its_function_does(fn):
    program = Program(fn, X, X + 0.5)
    same(run(program, X, X + 0.5), fn(X, X + 0.5))
    same(jax.jit(functools.partial(run, program))(X, X + 0.5), fn(X, X + 0.5))


@pytest.mark.parametrize("fn", [f for f in FUNCTIONS if f not in (many_outputs, literals, branches)])
def test_and_has_the_same_derivatives(fn):
    def total(fn, a):
        return sum(jnp.sum(x) for x in jax.tree.leaves(fn(a, X + 0.5)))

    program = Program(fn, X, X + 0.5)
    found = jax.grad(lambda a: total(functools.partial(run, program), a))(X)
    np.testing.assert_allclose(found, jax.grad(lambda a: total(fn, a))(X), rtol=1e-6)


def test_trees_go_in_and_come_out():
    program = Program(lambda d, n: {"sum": d["a"] + d["b"][0], "none": None, "n": n}, {"a": X, "b": [X]}, None)
    assert program.outputs["none"] is None
    assert program.inputs[1] is None
    same(run(program, {"a": X, "b": [X]}, None)["sum"], 2 * X)


def test_shapes_will_do():
    program = Program(lambda a: jnp.sum(a), jax.ShapeDtypeStruct((4,), jnp.float32))
    assert program.avals.shape == ()
    same(run(program, X), jnp.sum(X))


# -- slices -------------------------------------------------------------------------------------------
def chain(a, b, c):
    u = jnp.tanh(a * b)
    v = jax.jit(lambda u: u + c)(u)
    return {"u": u, "v": v, "w": v * 2}


@pytest.fixture
def traced():
    return Program(chain, X, X + 1, X + 2)


def test_a_slice_starts_at_any_value(traced):
    _, _, c = traced.inputs
    out = traced.outputs
    (found,) = traced.evaluate([out["w"]], {out["u"]: X, c: X})
    same(found, 4 * X)
    (found,) = traced.evaluate([out["w"]], {out["v"]: X})
    same(found, 2 * X)


def test_what_is_known_is_not_computed(traced):
    out = traced.outputs
    found = traced.evaluate([out["v"], out["w"]], {out["v"]: X, out["w"]: X + 1})
    same(found, [X, X + 1])


def test_no_more_is_computed_than_is_wanted(traced):
    a, b, _ = traced.inputs
    text = str(jax.make_jaxpr(lambda x, y: traced.evaluate([traced.outputs["u"]], {a: x, b: y}))(X, X))
    assert "tanh" in text
    assert "add" not in text


def test_what_is_needed(traced):
    a, b, c = traced.inputs
    out = traced.outputs
    assert traced.needed([out["u"]], ())[1] == {a, b}
    assert traced.needed([out["w"]], ())[1] == {a, b, c}
    ops, missing = traced.needed([out["w"]], [out["u"]])
    assert missing == {c}
    assert [traced.ops[i].eqn.primitive.name for i in ops] == ["add", "mul"]


def test_missing_inputs_are_named(traced):
    a, b, _ = traced.inputs
    with pytest.raises(KeyError) as e:
        traced.evaluate([traced.outputs["u"]], {})
    assert e.value.args[0] == (a, b)


def test_what_is_reached(traced):
    a, _, c = traced.inputs
    out = traced.outputs
    assert {*out.values(), a} <= traced.reached([a])
    assert out["u"] not in traced.reached([c])
    assert not {out["v"], out["w"]} & traced.reached([a], stop=[out["u"]])


def test_opened_functions_show_which_output_needs_which_input():
    program = Program(lambda a, b: jax.jit(lambda a, b: (a + 1, b + 1))(a, b), X, X)
    first, second = program.outputs
    assert program.needed([first], ())[1] == {program.inputs[0]}
    assert program.needed([second], ())[1] == {program.inputs[1]}


def test_hoisted_leaves_only_what_moves(traced):
    a, b, c = traced.inputs
    out = traced.outputs
    known = {a: X, b: X + 1, c: X + 2}
    fixed = traced.hoisted([out["w"]], {a: X, b: X + 1}, [c])
    assert set(fixed) == {out["u"]}
    (found,) = traced.evaluate([out["w"]], fixed | {c: X + 2})
    same(found, chain(X, X + 1, X + 2)["w"])
    # A wanted value that doesn't move at all is settled itself.
    assert set(traced.hoisted([out["u"], out["w"]], {a: X, b: X + 1}, [c])) == {out["u"]}
    # With nothing that moves, so is everything.
    assert set(traced.hoisted([out["w"]], known, [])) == {out["w"]}


def test_hoisted_stops_at_what_is_known(traced):
    a, b, c = traced.inputs
    out = traced.outputs
    fixed = traced.hoisted([out["w"]], {out["u"]: X, b: X, c: X}, [a])  # u is given: a moves nothing
    same(fixed[out["w"]], 4 * X)


def test_settled_with_many_outputs_of_one_operation():
    def fn(a, b):
        values, _ = jax.lax.top_k(a, 2)
        return values * b[:2]

    program = Program(fn, X, X + 1)
    a, b = program.inputs
    fixed = program.hoisted([program.outputs], {a: X}, [b])
    assert a not in fixed
    same(program.evaluate([program.outputs], fixed | {b: X + 1})[0], fn(X, X + 1))


def test_operations_may_be_performed_another_way(traced):
    a, b, c = traced.inputs
    seen = []

    def bind(eqn, args):
        seen.append(eqn.primitive.name)
        return eqn.primitive.bind(*args, **eqn.params)

    traced.evaluate([traced.outputs["w"]], {a: X, b: X, c: X}, bind)
    assert seen == ["mul", "tanh", "add", "mul"]
