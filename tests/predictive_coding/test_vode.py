"""Value nodes: what is set, read, cached and forgotten."""

import functools

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


# -- the shape of the prediction --------------------------------------------------------------------------
def test_the_shape_is_that_of_the_last_prediction_given_by_a_call():
    vode = pxc.Vode()
    assert isinstance(vode.shape, px.StaticParam)
    assert vode.shape.get() is None
    vode.set("u", jnp.zeros(5))
    assert vode.shape.get() is None
    vode(jnp.zeros((4, 3)))
    assert vode.shape.get() == (4, 3) == vode.shape
    vode.clear_params(pxc.VodeParam | pxc.VodeParam.Cache)
    assert vode.shape == (4, 3)
    vode(-1)  # a number in the place of a prediction that rules make says nothing
    assert vode.shape == (4, 3)
    vode.shape = (7,)
    assert vode.shape.get() == (7,)
    assert jnp.zeros(vode.shape).shape == (7,)  # pyright: ignore[reportArgumentType]


def test_the_shape_is_that_of_what_rules_store():
    seen = []

    def twice(vode, key, value, rkg):
        seen.append(vode.shape.get())
        return jnp.concatenate([value, value])

    vode = pxc.Vode(ruleset={".*": ("u <- u:twice",)}, tforms={"twice": twice})
    vode(jnp.zeros(3))
    vode(jnp.zeros(2))
    assert seen == [None, (6,)]
    assert vode.shape == (4,)
    assert jnp.shape(vode.set("h", jnp.ones(4)).energy()) == ()


@pytest.mark.parametrize("transform", ["vmap", "jit", "value_and_grad", "scan"])
def test_in_a_transform_the_shape_is_that_of_a_sample_and_stays_inside(transform):
    seen = []

    def call(u, *, vode):
        seen.append(vode.shape.get())
        vode(u)
        seen.append(vode.shape.get())
        return vode.set("h", u + 1).energy()

    vode, u = pxc.Vode(), jnp.zeros((4, 3))
    if transform == "vmap":
        pxf.vmap(BATCHED, in_axes=0)(call)(u, vode=vode)
    elif transform == "jit":
        pxf.jit()(call)(u[0], vode=vode)
    elif transform == "value_and_grad":
        pxf.value_and_grad(pxu.M(pxc.VodeParam).to((False, True)))(call)(u[0], vode=vode)
    else:
        vode.set("h", u[0])

        def body(u, *, vode):
            with pxu.step(vode, clear_params=pxc.VodeParam.Cache):
                return (), call(u, vode=vode)

        pxf.scan(body, xs=u)(vode=vode)
    assert set(seen) == {None, (3,)}
    assert vode.shape.get() is None


def test_another_shape_is_the_same_program_unless_it_is_read():
    traced = []

    @pxf.jit()
    def call(u, *, vode):
        traced.append(1)
        return vode(u, output="u")

    @pxf.jit()
    def read(*, vode):
        traced.append(vode.shape.get())
        return jnp.zeros(vode.shape.get() or ())

    vode = pxc.Vode()
    call(jnp.zeros(3), vode=vode)
    vode(jnp.zeros(2))
    vode.clear_params(pxc.VodeParam.Cache)
    call(jnp.zeros(3), vode=vode)
    assert traced == [1]
    assert read(vode=vode).shape == (2,)
    vode(jnp.zeros(5))
    assert read(vode=vode).shape == (5,)
    assert traced == [1, (2,), (5,)]


# -- which axes are a sample's ----------------------------------------------------------------------------
@pytest.mark.parametrize("sample", [(), (3,), (2, 3)])
@pytest.mark.parametrize("h_in", ["the vmap", "outside"])
@pytest.mark.parametrize("u_by", ["a call", "set", "a rule"])
def test_the_energy_inside_and_outside_whichever_way_u_was_set(sample, h_in, u_by):
    h = jnp.arange(4.0 * np.prod(sample, dtype=int)).reshape(4, *sample)
    expected = 0.5 * jnp.sum((h + 1).reshape(4, -1) ** 2, axis=1)
    inside = []

    @pxf.vmap(BATCHED, in_axes=(0, 0))
    def run(h, u, *, vode):
        vode.set("h", h)
        if u_by == "a call":
            vode(u)
        else:
            vode.set("u" if u_by == "set" else "v", u)
        if h_in == "the vmap":
            inside.append(vode.energy())

    vode = pxc.Vode(ruleset={".*": ("u <- v",)})
    run(h, -jnp.ones_like(h), vode=vode)
    assert [jnp.shape(e) for e in inside] == [()] * len(inside)
    vode.set("h", h)
    np.testing.assert_allclose(vode.energy(), expected)


@pytest.mark.parametrize("shape", [(4,), (4, 3), (4, 2, 3)])
def test_what_was_set_outside_is_a_batch(shape):
    vode = pxc.Vode().set("h", jnp.ones(shape)).set("u", jnp.zeros(shape))
    np.testing.assert_allclose(vode.energy(), np.full(4, 0.5 * np.prod(shape[1:])))


# -- shapes that broadcast --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("h", "u"), [((1,), (3,)), ((3,), (1,)), ((2, 3), (3,)), ((), (3,)), ((3,), ()), ((2, 1), (1, 3))]
)
@pytest.mark.parametrize("energy_fn", [pxc.se_energy, pxc.Laplace(), lambda vode, rkg: vode.get("h") - vode.get("u")])
def test_shapes_that_broadcast(h, u, energy_fn):
    rng = np.random.default_rng(0)
    h, u = rng.normal(size=(4, *h)), rng.normal(size=(4, *u))

    def expected(h, u):
        e = h - u
        return (
            0.5 * e**2 if energy_fn is pxc.se_energy else np.abs(e) if isinstance(energy_fn, pxc.Laplace) else e
        ).sum()

    @pxf.vmap(BATCHED, in_axes=(0, 0))
    def run(h, u, *, vode):
        vode(u)
        return vode.set("h", h).energy()

    each = [expected(a, b) for a, b in zip(h, u, strict=True)]
    vode = pxc.Vode(energy_fn)
    np.testing.assert_allclose(run(jnp.asarray(h), jnp.asarray(u), vode=vode), each, rtol=1e-5)


def test_zeros_are_of_the_shape_of_h():
    vode = pxc.Vode(pxc.zero_energy)
    vode(jnp.zeros(3))
    assert pxc.zero_energy(vode.set("h", jnp.ones(1))).shape == (1,)


def test_shapes_that_do_not_broadcast():
    vode = pxc.Vode()
    vode(jnp.zeros(3))
    with pytest.raises(ValueError, match=r"se_energy: the vode's h has shape \(2,\), its prediction u \(3,\)"):
        vode.set("h", jnp.ones(2)).energy()
    batch = pxc.Vode().set("u", jnp.zeros((3, 3))).set("h", jnp.ones(3))
    with pytest.raises(ValueError, match="the vode's h has shape"):  # one number for each of a batch of 3
        batch.energy()


# -- energies and their source of random keys -------------------------------------------------------------
def by_keyword(vode, *, rkg):
    return (vode.get("h") - vode.get("u")) * jnp.sum(rkg.key.get())


def by_place(vode, keys, /):
    return (vode.get("h") - vode.get("u")) * jnp.sum(keys.key.get())


@pytest.mark.parametrize(
    "energy_fn",
    [
        by_keyword,
        by_place,
        lambda vode, rkg: by_place(vode, rkg),
        lambda vode, rkg=px.RKG: by_place(vode, rkg),
        lambda vode, **given: by_place(vode, given["rkg"]),
        lambda vode, source: by_place(vode, source),
        functools.partial(by_keyword),
    ],
)
def test_an_energy_gets_the_random_keys_by_name_or_by_place(energy_fn):
    vode = pxc.Vode(energy_fn)
    vode(jnp.zeros(3))
    assert vode.set("h", jnp.ones(3)).energy(px.RandomKeyGenerator(2)) == 6.0


@pytest.mark.parametrize("energy_fn", [lambda: 0.0, lambda vode: 0.0, lambda vode, *, keys: 0.0, lambda a, b, c: 0.0])
def test_an_energy_that_cannot_be_called_is_refused(energy_fn):
    with pytest.raises(TypeError, match=r"energy_fn is called as energy_fn\(vode, rkg=rkg\)"):
        pxc.Vode(energy_fn)


# -- params of a subclass ---------------------------------------------------------------------------------
class Node(pxc.Vode):
    def __init__(self, rules=("h, h0, u <- u",), **own):
        super().__init__(ruleset={pxc.STATUS.INIT: rules, "read": ("z -> h0:twice",)}, tforms={"twice": double})
        self.h0 = pxc.VodeParam()
        self.h0.frozen = True
        for name, value in own.items():
            setattr(self, name, value)


def double(vode, key, value, rkg):
    return 2 * value


def test_rules_write_and_read_the_params_of_a_subclass():
    node, u = Node(), jnp.arange(3.0)
    with pxu.step(node, pxc.STATUS.INIT, clear_params=pxc.VodeParam.Cache):
        node(u)
    assert node.h0.get() is node.h.get() is u is node.get("h0")
    assert node.cache.get() is None  # they are no part of the cache
    node.h.set(jnp.zeros(3))
    assert node(2 * u, output="h0") is u
    assert node.set("h0", -u) is node
    np.testing.assert_array_equal(node.h0.get(), -u)
    node(None, h0=4 * u)
    np.testing.assert_array_equal(node.get("h0"), 4 * u)
    with pxu.step(node, "read"):
        np.testing.assert_array_equal(node.get("z"), 8 * u)
        node.set("h0", u)  # what was derived of it is forgotten
        np.testing.assert_array_equal(node.get("z"), 2 * u)
    assert pxu.M_hasnot(pxc.VodeParam, frozen=True)(node).h0 is None


def test_the_params_of_a_subclass_in_transforms():
    @pxf.vmap(BATCHED, in_axes=0)
    def run(u, *, node):
        node(u)

    node, u = Node(), jnp.arange(6.0).reshape(2, 3)
    with pxu.step(node, pxc.STATUS.INIT, clear_params=pxc.VodeParam.Cache):
        run(u, node=node)
    np.testing.assert_array_equal(node.h0.get(), u)
    node.clear_params(lambda p: isinstance(p, pxc.VodeParam) and p is not node.h)
    assert node.h0.get() is None
    assert node.get("h0", 7) == 7


def test_a_prediction_that_a_subclass_keeps_in_a_param():
    node = Node(("h <- u",), u=pxc.VodeParam())
    node(jnp.zeros(3))
    assert vars(node)["u"].get() is node.get("u")
    assert node.set("h", jnp.ones(3)).energy() == 1.5
    node.set("u", jnp.ones(3))
    assert node.energy() == 0.0


@pytest.mark.parametrize("other", [px.static(5), px.ParamDict({"a": 1}), jnp.ones(2), "text", None])
def test_what_is_no_param_of_data_is_no_place_for_a_value(other):
    node = Node(other=other)
    assert node.get("other") is None
    node.set("other", 3.0)
    assert node.cache["other"] == 3.0 == node.get("other")
    assert vars(node)["other"] is other
