"""Rules: when a value is set, when it is read, and under which status."""

import re
import warnings

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pcx as px
import pcx.functional as pxf
import pcx.predictive_coding as pxc
import pcx.utils as pxu

Log = list[tuple[str, str]]


def vode_with(rules, log=None):
    """A vode on numbers: `add` adds one, `double` doubles, `neg` negates."""

    def logged(name, fn):
        def tform(vode, key, value, rkg):
            if log is not None:
                log.append((name, key))
            return fn(value)

        return tform

    tforms = {
        "add": logged("add", lambda x: x + 1),
        "double": logged("double", lambda x: 2 * x),
        "neg": logged("neg", lambda x: -x),
    }
    return pxc.Vode(ruleset=rules, tforms=tforms)


# -- set ------------------------------------------------------------------------------------------------
def test_transformations_from_left_to_right():
    log: Log = []
    vode = vode_with({".*": ("h <- u:add:double", "v <- u:double:add")}, log)
    vode.set("u", 3)
    assert vode.h.get() == 8
    assert vode.get("v") == 7
    assert vode.get("u") is None  # a rule says where it goes
    assert log == [("add", "u"), ("double", "u"), ("double", "u"), ("add", "u")]


def test_several_targets_and_several_rules_in_order():
    vode = vode_with({".*": ("a, b <- u", "b, c <- u:neg", "h <- other")})
    vode.set("u", 5)
    assert (vode.get("a"), vode.get("b"), vode.get("c")) == (5, -5, -5)
    assert vode.h.get() is None


def test_all_matching_statuses_count():
    vode = vode_with({".*": ("a <- u",), "x.*": ("b <- u:add",), "xy": ("c <- u:double",), "y": ("d <- u",)})
    vode.status = "xy"
    vode.set("u", 1)
    assert [vode.get(k) for k in "abcd"] == [1, 2, 2, None]


@pytest.mark.parametrize(
    ("pattern", "status", "matches"),
    [
        ("init", "init", True),
        ("init", "initial", False),
        ("init", "re-init", False),
        ("init.*", "initial", True),
        ("", None, True),
        (".*", None, True),
        (".+", None, False),
        ("a|b", "b", True),
        ("[0-9]+", "12", True),
    ],
)
def test_the_whole_status_must_match(pattern, status, matches):
    vode = vode_with({pattern: ("v <- u:neg",)})
    vode.status = status
    vode.set("u", 1)
    assert vode.get("v") == (-1 if matches else None)


def test_init_is_beneath_the_users_rules():
    plain = pxc.Vode(ruleset={"other": ("h <- u",)})
    with pxu.step(plain, pxc.STATUS.INIT):
        plain(2.0)
    assert (plain.h.get(), plain.get("u")) == (2.0, 2.0)
    own = vode_with({pxc.STATUS.INIT: ("h, u <- u:double",)})
    with pxu.step(own, pxc.STATUS.INIT):
        own(2.0)
    assert (own.h.get(), own.get("u")) == (4.0, 4.0)
    added = vode_with({".*": ("v <- u:neg",)})
    with pxu.step(added, pxc.STATUS.INIT):
        added(2.0)
    assert (added.h.get(), added.get("u"), added.get("v")) == (2.0, 2.0, -2.0)


# -- get ------------------------------------------------------------------------------------------------
def test_read_through_a_rule():
    vode = vode_with({".*": ("v -> u:add:double",)})
    vode.set("u", 3)
    assert vode.get("v") == 8
    assert vode.get("u") == 3


def test_what_a_rule_gave_is_cached_until_cleared_or_set_again():
    log: Log = []
    vode = vode_with({".*": ("v -> u:add:double", "w -> u:add:double", "x -> u:add")}, log)
    vode.set("u", 3)
    assert [vode.get("v"), vode.get("v"), vode.get("w")] == [8, 8, 8]
    assert len(log) == 2  # one chain, evaluated once
    assert vode.get("x") == 4
    assert len(log) == 3
    vode.set("u", 4)
    assert vode.get("v") == 10
    assert len(log) == 5
    vode.clear_params(pxc.VodeParam.Cache)
    assert vode.get("v") is None
    assert vode.get("v", 0) == 0
    assert len(log) == 5  # nothing to transform


def test_a_rule_for_h_reads_the_stored_state():
    vode = vode_with({"read": ("h -> h:neg",)})
    vode.h.set(2.0)
    assert vode.get("h") == 2.0
    vode.status = "read"
    assert vode.get("h") == -2.0
    assert vode.h.get() == 2.0
    vode.set("h", 3.0)
    assert vode.get("h") == -3.0


def test_rules_lead_to_rules():
    vode = vode_with({".*": ("a -> b:add", "b -> c:double")})
    vode.set("c", 5)
    assert vode.get("a") == 11


def test_the_first_of_several_is_taken_with_a_warning():
    vode = vode_with({".*": ("v -> u:add",), "x": ("v -> u:double", "w -> u:neg")})
    vode.set("u", 5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert vode.get("v") == 6  # one only, under this status
    vode.status = "x"
    with pytest.warns(UserWarning, match="'v'.*'x'"):
        assert vode.get("v") == 6
    assert vode.get("w") == -5


def test_setting_never_warns_when_several_rules_match():
    vode = vode_with({".*": ("v <- u", "v <- u:add")})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vode.set("u", 1)
        assert vode.get("v") == 2


def test_inside_the_transforms():
    vode = vode_with({"t": ("h <- u:double", "v -> h:add")})

    @pxf.jit()
    @pxf.vmap(pxu.M(pxc.VodeParam | pxc.VodeParam.Cache).to((None, 0)), in_axes=0)
    def run(x, *, vode):
        vode(x)
        return vode.get("v")

    with pxu.step(vode, "t"):
        out = run(jnp.arange(3.0), vode=vode)
    assert out.tolist() == [1.0, 3.0, 5.0]
    assert vode.h.get().tolist() == [0.0, 2.0, 4.0]


# -- the grammar ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "rule", ["h<-u", "  h  <-  u  ", "h ,v<-u :add: double", "h,\tv <- u:add", "a->b", "a ->b: neg"]
)
def test_spaces_do_not_matter(rule):
    vode_with({".*": (rule,)})


NAMES = st.sampled_from(["h", "u", "a", "b2", "_c"])
CHAINS = st.lists(st.sampled_from(["add", "double", "neg"]), max_size=3)


@settings(max_examples=60, deadline=None)
@given(targets=st.lists(NAMES, min_size=1, max_size=3, unique=True), key=NAMES, chain=CHAINS, value=st.integers(-9, 9))
def test_set_rules_do_what_their_text_says(targets, key, chain, value):
    vode = vode_with({".*": (f"{', '.join(targets)} <- {':'.join([key, *chain])}",)})
    vode.set(key, value)
    for name in chain:
        value = {"add": value + 1, "double": 2 * value, "neg": -value}[name]
    for target in targets:
        assert vode.get(target) == value


@settings(max_examples=60, deadline=None)
@given(target=NAMES, chain=CHAINS, value=st.integers(-9, 9))
def test_get_rules_do_what_their_text_says(target, chain, value):
    vode = vode_with({".*": (f"read -> {':'.join([target, *chain])}",)})
    vode.set(target, value)
    for name in chain:
        value = {"add": value + 1, "double": 2 * value, "neg": -value}[name]
    assert vode.get("read") == value


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="hu <->:,a", max_size=12))
def test_any_other_text_is_refused_and_named(text):
    error = None
    try:
        pxc.Ruleset({"s": (text,)}, {"a": lambda vode, key, value, rkg: value})
    except ValueError as e:
        error = str(e)
    if error is not None:
        assert repr(text) in error
        assert "'s'" in error
    else:
        assert re.fullmatch(r"[\w\s,]+<-[\w\s:]+|[\w\s]+->[\w\s:]+", text)


def test_a_ruleset_in_the_place_of_a_vodes_own():
    rules, tforms = {"init": ("h <- u:twice", "u <- u")}, {"twice": lambda vode, key, value, rkg: 2 * value}
    ruleset = pxc.Ruleset(rules, tforms)
    assert ruleset.rules.get() == rules
    assert ruleset.tforms["twice"] is tforms["twice"]

    @pxf.jit()
    def run(u, *, vode):
        with pxu.step(vode, pxc.STATUS.INIT):
            vode(u)

    for held in (ruleset, px.static(ruleset)):
        vode = pxc.Vode()
        vode.ruleset = held  # pyright: ignore[reportAttributeAccessIssue]
        run(jnp.ones(2), vode=vode)
        np.testing.assert_array_equal(vode.h.get(), 2.0)
        assert vode.energy() == 1.0
