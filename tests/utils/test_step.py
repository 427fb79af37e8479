"""Steps: statuses and clearing, whatever happens inside."""

import jax.numpy as jnp
import pytest

import pcx as px
import pcx.functional as pxf
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.utils as pxu


class Model(pxc.EnergyModule):
    def __init__(self):
        super().__init__()
        self.vodes = [pxc.Vode(), pxc.Vode()]
        self.layer = pxnn.Linear(2, 2, rkg=px.RandomKeyGenerator(0))
        for vode in self.vodes:
            vode.h.set(jnp.ones(2))
            vode(jnp.ones(2))


def statuses(model):
    return [model.status, *(v.status for v in model.vodes)]


def cached(model):
    return [v.cache.get() is not None for v in model.vodes]


def test_the_status_holds_inside_and_the_earlier_one_comes_back():
    model = Model()
    model.vodes[1].status = "own"
    with pxu.step(model, "a") as nothing:
        assert nothing is None
        assert statuses(model) == ["a", "a", "a"]
    assert statuses(model) == [None, None, "own"]


def test_without_a_status_there_is_none_inside():
    model = Model()
    model.status = "own"
    with pxu.step(model):
        assert statuses(model) == [None, None, None]
    assert statuses(model) == ["own", None, None]


def test_nesting():
    model = Model()
    with pxu.step(model, "a"):
        with pxu.step(model, "b"):
            assert statuses(model) == ["b"] * 3
            with pxu.step(model.vodes[0], "c"):
                assert statuses(model) == ["b", "c", "b"]
            assert statuses(model) == ["b"] * 3
        assert statuses(model) == ["a"] * 3
    assert statuses(model) == [None] * 3


def test_a_pair_of_statuses():
    model = Model()
    with pxu.step(model, ("a", "b")):
        assert statuses(model) == ["a"] * 3
    assert statuses(model) == ["b"] * 3
    with pxu.step(model, ("c", None)):
        assert statuses(model) == ["c"] * 3
    assert statuses(model) == [None] * 3


def test_clearing_after():
    model = Model()
    with pxu.step(model, clear_params=pxc.VodeParam.Cache):
        assert cached(model) == [True, True]
    assert cached(model) == [False, False]
    assert model.vodes[0].h.get() is not None
    assert model.layer.nn.weight.get() is not None


def test_clearing_before_and_after():
    model = Model()
    with pxu.step(model, clear_params=(pxc.VodeParam, pxc.VodeParam.Cache)):
        assert model.vodes[0].h.get() is None
        assert cached(model) == [True, True]
        model.vodes[0].h.set(jnp.zeros(2))
    assert model.vodes[0].h.get() is not None
    assert cached(model) == [False, False]
    model = Model()
    with pxu.step(model, clear_params=(pxc.VodeParam.Cache, None)):
        assert cached(model) == [False, False]
        model.vodes[0](jnp.ones(2))
    assert cached(model) == [True, False]


@pytest.mark.parametrize(
    "choice",
    [pxc.VodeParam | pxc.VodeParam.Cache, lambda p: not isinstance(p, pxnn.LayerParam), pxu.M(pxc.VodeParam).matches],
)
def test_what_may_be_cleared(choice):
    model = Model()
    with pxu.step(model, clear_params=choice):
        assert model.vodes[0].h.get() is not None
    assert model.vodes[0].h.get() is None
    assert model.layer.nn.bias.get() is not None


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception(error):
    model = Model()
    model.status = "own"

    def fails():
        with pxu.step(model, "outer"), pxu.step(model, ("inner", "left"), clear_params=pxc.VodeParam.Cache):
            raise error

    with pytest.raises(error):
        fails()
    assert statuses(model) == ["own", None, None]
    assert cached(model) == [False, False]
    with pytest.raises(error), pxu.step(model, ("inner", "left")):
        raise error
    assert statuses(model) == ["left"] * 3


def test_a_plain_module_and_other_trees():
    class Plain(px.Module):
        def __init__(self):
            super().__init__()
            self.inner = Model()

    plain = Plain()
    with pxu.step(plain, "a", clear_params=pxc.VodeParam.Cache):
        assert statuses(plain.inner) == ["a"] * 3
    assert statuses(plain.inner) == [None] * 3
    assert cached(plain.inner) == [False, False]
    one, two = Model(), Model()
    with pxu.step([one, {"two": two}], "a"):
        assert statuses(one) == statuses(two) == ["a"] * 3
    assert statuses(two) == [None] * 3
    with pxu.step(pxnn.Linear(1, 1), "a"):
        pass


def test_a_module_that_is_there_twice():
    model = Model()
    model.vodes.append(model.vodes[0])
    with pxu.step(model, "a"):
        assert statuses(model) == ["a"] * 4
    assert statuses(model) == [None] * 4


def test_inside_and_outside_of_compiled_functions():
    traced = []

    @pxf.jit()
    def run(x, *, model):
        traced.append(model.vodes[0].status)
        with pxu.step(model, "inside", clear_params=pxc.VodeParam.Cache):
            assert statuses(model) == ["inside"] * 3
            model.vodes[0](x)
        assert statuses(model) == [traced[-1]] * 3

    model = Model()
    run(jnp.ones(2), model=model)
    assert statuses(model) == [None] * 3
    assert cached(model) == [False, False]
    with pxu.step(model, "outside"):
        run(jnp.ones(2), model=model)
        assert statuses(model) == ["outside"] * 3
    assert traced == [None, "outside"]


def test_one_step_can_be_used_once_and_many_can_be_made():
    model = Model()
    for status in ("a", "b"):
        with pxu.step(model, status):
            assert model.status == status
    assert model.status is None


def test_a_status_that_came_back_counts_only_if_it_is_read_then():
    def only_inside(*, model):
        with pxu.step(model, "a"):
            return jnp.array(model.status == "a")

    def afterwards(*, model):
        with pxu.step(model, "a"):
            pass
        return jnp.array(model.status == "b")

    model = Model()
    inside, after = pxf.jit()(only_inside), pxf.jit()(pxf.jit()(afterwards))
    for status in ("b", None, "b", None):
        model.status = status
        assert inside(model=model)
        assert after(model=model) == (status == "b")
    assert inside.n_traces == 1
    assert after.n_traces == 2
