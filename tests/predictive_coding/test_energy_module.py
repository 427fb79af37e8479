"""Modules with an energy: sums, statuses, clearing."""

import jax.numpy as jnp
import numpy as np
import pytest

import pcx as px
import pcx.functional as pxf
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.utils as pxu


def vode(h, u):
    node = pxc.Vode()
    node.h.set(jnp.asarray(h))
    node(jnp.asarray(u))
    return node


class Tree(pxc.EnergyModule):
    def __init__(self):
        super().__init__()
        self.first = vode([1.0, 2.0], [0.0, 0.0])  # 2.5
        self.more = [vode([2.0], [0.0]), {"a": vode([4.0], [0.0])}]  # 2, 8
        self.again = self.first
        self.layer = pxnn.Linear(2, 2, rkg=px.RandomKeyGenerator(0))


class Inner(pxc.EnergyModule):
    def __init__(self, *children):
        super().__init__()
        self.children = list(children)


def test_no_children_no_energy():
    assert pxc.EnergyModule().energy() == 0.0


def test_the_sum_over_direct_children_each_once():
    assert Tree().energy() == pytest.approx(12.5)


def test_a_child_may_define_its_own_energy():
    class Half(Inner):
        def energy(self):
            return 0.5 * super().energy()

    assert Inner(Half(vode([2.0], [0.0])), vode([2.0], [0.0])).energy() == pytest.approx(3.0)


class Plain(px.BaseModule):
    def __init__(self, *children):
        self.held = {"a": children}


@pytest.mark.parametrize(
    ("below", "expected"),
    [
        (lambda v: [Plain(v)], 0.5 + 2),
        (lambda v: [Plain(Plain(v), v)], 0.5 + 2),
        (lambda v: [Plain(Inner(v)), v], 0.5 + 2 + 2),
        (lambda v: [{"k": Plain(Inner(Plain(v)))}], 0.5 + 2),
    ],
)
def test_vodes_below_a_module_without_an_energy_count(below, expected):
    assert Inner(vode([1.0], [0.0]), *below(vode([2.0], [0.0]))).energy() == pytest.approx(expected)


def test_a_vode_below_a_plain_module_is_named_with_its_whole_path():
    with pytest.raises(ValueError, match=r"energy\(\) of \.children\[0\]\.held\['a'\]\[0\]: "):
        Inner(Plain(pxc.Vode())).energy()


def test_a_scalar_inside_vmap_and_the_batch_outside():
    model = Inner(pxc.Vode(), pxc.Vode())

    @pxf.vmap(pxu.M(pxc.VodeParam | pxc.VodeParam.Cache).to((None, 0)), in_axes=(0, 0))
    def run(h, u, *, model):
        for node in model.children:
            node.h.set(h)
            node(u)
        energy = model.energy()
        assert energy.shape == ()
        return energy

    h, u = jnp.arange(12.0).reshape(4, 3), jnp.ones((4, 3))
    expected = np.sum((h - u) ** 2, axis=1)
    np.testing.assert_allclose(run(h, u, model=model), expected, rtol=1e-6)
    assert jnp.shape(model.energy()) == (4,)
    np.testing.assert_allclose(model.energy(), expected, rtol=1e-6)


def test_status():
    model = Tree()
    assert model.status is None
    model.status = "settle"
    assert model.status == "settle"
    assert model.first.status is None  # a module's own; step sets it on all
    with pxu.step(model, "x"):
        assert {model.status, model.first.status, model.more[1]["a"].status} == {"x"}
    assert (model.status, model.first.status) == ("settle", None)
    assert (pxc.STATUS.NONE, pxc.STATUS.ALL, pxc.STATUS.INIT) == (None, ".*", "init")


def test_the_status_works_without_the_initialiser():
    class Bare(pxc.EnergyModule):
        def __init__(self):
            pass

    bare = Bare()
    assert bare.status is None
    with pxu.step(bare, "a"):
        assert bare.status == "a"
    assert bare.status is None


@pytest.mark.parametrize(
    ("choice", "cleared"),
    [
        (pxc.VodeParam, {"h"}),
        (pxc.VodeParam.Cache, {"cache"}),
        (pxc.VodeParam | pxc.VodeParam.Cache, {"h", "cache"}),
        (lambda p: isinstance(p, pxc.VodeParam) and not pxu.M_has(None, frozen=True).matches(p), {"h"}),
        (pxnn.LayerParam, {"weight", "bias"}),
        (px.BaseParam, {"h", "cache", "weight", "bias"}),
        (px.Param, {"h", "weight", "bias"}),
        (None, {"h", "cache", "weight", "bias"}),
        (pxu.M(pxc.VodeParam) | pxu.M(pxnn.LayerParam), {"h", "weight", "bias"}),
        (pxu.M_hasnot(pxc.VodeParam, frozen=True), {"h"}),
    ],
)
def test_clear_params(choice, cleared):
    model = Tree()
    model.clear_params(choice)
    held = {
        "h": model.more[1]["a"].h,
        "cache": model.first.cache,
        "weight": model.layer.nn.weight,
        "bias": model.layer.nn.bias,
    }
    assert {name for name, param in held.items() if param.get() is None} == cleared


def test_a_predicate_that_fails_clears_nothing():
    model = Tree()

    def choice(param):
        if param is model.more[0].h:
            raise RuntimeError("no")
        return True

    with pytest.raises(RuntimeError, match="no"):
        model.clear_params(choice)
    assert model.first.h.get() is not None
    assert model.layer.nn.weight.get() is not None


def test_the_error_says_which_vode_is_not_set():
    tree = Inner(vode([1.0], [0.0]), Inner(vode([1.0], [0.0]), pxc.Vode()))
    with pytest.raises(ValueError, match=r"energy\(\) of \.children\[1\]\.children\[1\]: .*'h'"):
        tree.energy()
