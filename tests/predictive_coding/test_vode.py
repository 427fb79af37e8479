"""Value nodes: what is set, read, cached and forgotten."""

import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import pytest

import pcx as px
import pcx.functional as pxf
import pcx.predictive_coding as pxc
import pcx.utils as pxu

BATCHED = pxu.M(pxc.VodeParam | pxc.VodeParam.Cache).to((None, 0))


def test_a_new_vode_is_empty():
    vode = pxc.Vode()
    assert vode.h.get() is None
    assert vode.get("h") is vode.get("u") is vode.get("E") is None
    assert vode.get("u", 7) == 7
    assert vode.status is None
    assert type(vode.h) is pxc.VodeParam
    assert type(vode.cache) is pxc.VodeParam.Cache


def test_init_sets_the_state_to_the_prediction():
    vode, u = pxc.Vode(), jnp.arange(3.0)
    with pxu.step(vode, pxc.STATUS.INIT):
        assert vode(u) is u
    assert vode.h.get() is u
    assert vode.get("u") is u


def test_outside_of_init_the_state_stays():
    vode, h, u = pxc.Vode(), jnp.zeros(3), jnp.ones(3)
    vode.h.set(h)
    assert vode(u) is h
    assert vode.get("u") is u
    assert vode.h.get() is h


def test_what_a_call_returns():
    vode, u = pxc.Vode(), jnp.ones(2)
    assert vode(u, output="u") is u
    assert vode(u, output=None) is vode
    assert vode(None, output="u") is u  # None sets nothing
    assert vode(None, output=None, h=2 * u) is vode
    np.testing.assert_array_equal(vode.h.get(), 2.0)
    assert vode(u, target=3 * u, output="target") is vode.get("target")
    assert vode.set("x", 1.0) is vode
    assert vode.get("x") == 1.0


def test_the_energy_is_evaluated_once_until_something_is_set():
    calls = []

    def energy_fn(vode, rkg=px.RKG):
        calls.append(1)
        return vode.get("h") - vode.get("u")

    vode = pxc.Vode(energy_fn)
    vode.h.set(jnp.full(2, 3.0))
    vode(jnp.ones(2))
    assert vode.energy() == 4.0
    assert vode.energy() == 4.0
    assert vode.get("E") == 4.0
    assert len(calls) == 1
    vode.set("h", jnp.full(2, 2.0))
    assert vode.energy() == 2.0
    vode(jnp.zeros(2))
    assert vode.energy() == 4.0
    assert len(calls) == 3
    vode.clear_params(pxc.VodeParam.Cache)
    assert vode.get("u") is None
    assert vode.get("E") is None


def test_the_type_of_the_state():
    class Mine(pxc.VodeParam):
        pass

    vode = pxc.Vode(param_type=Mine)
    assert type(vode.h) is Mine
    value = jnp.ones(2)
    assert pxc.Vode(pxc.se_energy, {}, {}, pxc.VodeParam, value).h.get() is value


def test_the_random_keys_reach_the_energy():
    rkg = px.RandomKeyGenerator(3)
    seen = []

    def energy_fn(vode, rkg):
        seen.append(rkg)
        return vode.get("h")

    vode = pxc.Vode(energy_fn)
    vode.h.set(jnp.ones(2))
    vode.energy(rkg)
    assert seen == [rkg]


def test_in_a_vmap_states_and_caches_get_the_batch_axis():
    @pxf.vmap(BATCHED, in_axes=0)
    def forward(x, *, vode):
        return vode(x)

    vode = pxc.Vode()
    x = jnp.arange(6.0).reshape(2, 3)
    with pxu.step(vode, pxc.STATUS.INIT):
        forward(x, vode=vode)
    assert vode.h.shape == (2, 3)
    assert vode.cache["u"].shape == (2, 3)
    np.testing.assert_array_equal(vode.energy(), np.zeros(2))


def test_one_call_on_a_batch_of_another_size():
    @pxf.vmap(BATCHED, in_axes=0)
    def forward(x, *, vode):
        vode(x)

    vode = pxc.Vode()
    for n in (2, 5, 1):
        with pxu.step(vode, pxc.STATUS.INIT, clear_params=pxc.VodeParam.Cache):
            forward(jnp.ones((n, 3)), vode=vode)
        assert vode.h.shape == (n, 3)
        assert vode.cache.get() is None


@pytest.mark.parametrize("status", [None, "init", "settle"])
@pytest.mark.parametrize("how", ["output", "frozen"])
def test_clamping(status, how):
    vode = pxc.Vode(output=how == "output")
    if how == "frozen":
        vode.h.frozen = True
    y = jnp.ones(3)
    vode.status = status
    vode(jnp.zeros(3))
    vode.set("h", y)
    assert vode.h.get() is y
    assert pxu.M_hasnot(pxc.VodeParam, frozen=True)(vode).h is None


def test_an_output_is_a_node_marked_frozen():
    class Mine(pxc.Vode):
        pass

    class Net(pxc.EnergyModule):
        def __init__(self, *vodes):
            super().__init__()
            self.vodes = list(vodes)

    marked = Mine()
    marked.h.frozen = True
    output = Mine(None, {}, {}, pxc.VodeParam, jnp.ones(2), output=True)
    assert jtu.tree_structure(marked) == jtu.tree_structure(Mine(output=True)) != jtu.tree_structure(Mine())
    assert output.h.frozen is True
    assert repr(output) == "(Mine, output=True):\n  .cache: Cache(None)\n  .h: VodeParam([2], float32, frozen=True)"
    assert repr(Mine()) == "(Mine):\n  .cache: Cache(None)\n  .h: VodeParam(None)"
    assert ".vodes[1].h: VodeParam(None, frozen=True)" in repr(Net(Mine(), marked))
    assert repr(pxu.M(pxc.VodeParam).to((0, 1))(output)).startswith("(Mine):")  # a mask's h is no param


def test_equal_vodes_have_equal_structure():
    def make():
        return pxc.Vode(ruleset={"a": ("h <- u:f",)}, tforms={"f": lambda vode, key, value, rkg: 2 * value})

    assert jtu.tree_structure(make()) == jtu.tree_structure(make())
    assert jtu.tree_structure(make()) != jtu.tree_structure(pxc.Vode())
