"""Summaries: every node and weight, with shapes, numbers and cost."""

import json

import jax
import jax.numpy as jnp
import optax
import pytest

import pcx as px
import pcx.analysis as pxa
import pcx.learning as pxl
import pcx.models as pxm
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
from pcx.analysis._folded import span

from .nets import Pair, net
from .networks import Normed, Skip

PC = pxl.pc(optax.sgd(0.1), optax.sgd(0.1), 2)

SMALL = """\
MLP: 3 value nodes

node or weight         shape   is       energy         predicted from  params  products
x                      [4]     input
vodes[0]               [6]     free     squared error  x                             24
  layers[0].nn.bias    [6]     learns                                       6
  layers[0].nn.weight  [6, 4]  learns                                      24
vodes[1]               [6]     free     squared error  vodes[0]                      36
  layers[1].nn.bias    [6]     learns                                       6
  layers[1].nn.weight  [6, 6]  learns                                      36
vodes[2]               [2]     clamped  squared error  vodes[1]                      12
  layers[2].nn.bias    [2]     learns                                       2
  layers[2].nn.weight  [2, 6]  learns                                      12

params that learn: 86
products of a forward pass, by sample: 72"""

DEEP = """\
MuMLP: 12 value nodes

node or weight                          shape   is       energy         predicted from        params  products
x                                       [4]     input
vodes[0]                                [6]     free     squared error  x                                   24
  weights[0]                            [6, 4]  learns                                            24
vodes[1] to vodes[10] (10 equal)        [6]     free     squared error  vodes[0] to vodes[9]               360
  weights[1] to weights[10] (10 equal)  [6, 6]  learns                                           360
vodes[11]                               [2]     clamped  squared error  vodes[10]                           12
  weights[11]                           [2, 6]  learns                                            12

params that learn: 396
products of a forward pass, by sample: 396"""


def rows(found, part=""):
    return {row.name: row for row in found.rows[part]}


def test_a_small_network_in_full():
    found = pxa.summary(*net([4, 6, 6, 2]))
    assert str(found) == repr(found) == SMALL
    assert (found.params, found.frozen, found.kept, found.products) == (86, 0, 0, 72.0)


def test_equal_layers_are_one_line_unless_asked_for():
    model, batch = net([4, *[6] * 11, 2], kind=pxm.MuMLP)
    assert str(pxa.summary(model, batch)) == DEEP
    each = rows(pxa.summary(model, batch, unfold=True))
    assert len(each) == 1 + 2 * 12
    assert each["vodes[7]"].reads == ("vodes[6]",)
    assert each["weights[7]"].params == 36


def test_a_state_and_several_are_summed_up_like_their_model():
    model, batch = net([4, 6, 6, 2])
    state = PC.init(model, batch)
    assert str(pxa.summary(state, batch)) == str(pxa.summary(state, batch, rule=PC)) == SMALL
    several = pxa.summary(pxl.stack([state, state, state]), batch)
    assert several.networks == 3
    assert several.params == 86
    assert str(several).splitlines()[0] == "MLP: 3 value nodes; 3 networks, the numbers are of one"


@pytest.mark.hasty
def test_a_skip_is_among_what_a_node_is_predicted_from():
    found = rows(pxa.summary(Skip(), (jnp.ones((3, 5)), jnp.ones((3, 3)))))
    assert found["vodes[2]"].reads == ("vodes[0]", "vodes[1]")
    assert found["vodes[2]"].products == 36.0


@pytest.mark.hasty
def test_convolutions_count_what_they_multiply():
    model = pxm.VGG([2, 3], [True, False], [1, 1], (2, 4, 4), 3, energy=pxc.ce_energy)
    found = rows(pxa.summary(model, (jnp.ones((5, 2, 4, 4)), jnp.ones((5, 3)))))
    assert found["vodes[0]"].shape == (2, 2, 2)
    assert found["vodes[0]"].products == 2 * 4 * 4 * 2 * 9
    assert found["vodes[1]"].products == 3 * 2 * 2 * 2 * 9
    assert found["vodes[2]"].products == 3 * 12
    assert found["vodes[2]"].energy == "cross-entropy"


def test_state_that_does_not_learn_is_told():
    found = pxa.summary(Normed(), (jnp.ones((3, 5)), jnp.ones((3, 3))))
    assert rows(found)["norm.state"][2:] == ("kept", "", (), 1, 13, None, 3)
    assert found.kept == 13
    assert "other numbers kept: 13" in str(found)
    assert "3 arrays" in str(found)


@pytest.mark.hasty
def test_two_networks_of_a_rule():
    batch = (jnp.ones((3, 3)), jnp.ones((3, 2)))
    with pytest.raises(TypeError, match="a state of two networks needs the rule"):
        pxa.summary(pxl.bpc(optax.sgd(0.1), optax.sgd(0.1), 2).init(Pair(), batch), batch)
    found = pxa.summary(Pair(), batch, rule=pxl.bpc(optax.sgd(0.1), optax.sgd(0.1), 2))
    assert list(found.rows) == ["generative", "recognition"]
    assert found.unread == ()
    assert rows(found, "generative")["y"].shape == (2,)
    assert rows(found, "recognition")["recognition.vodes[2]"].kind == "clamped"
    assert (found.params, found.products) == (93, 72.0)


class Odd(pxc.EnergyModule):
    """Two inputs, two outputs, a shared layer, a frozen one, one that nobody reads, loops, an energy of its own."""

    def __init__(self):
        super().__init__()
        self.shared = pxnn.Linear(4, 4)
        self.frozen = pxnn.Linear(4, 4, False)
        self.frozen.nn.weight.frozen = True
        self.idle = pxnn.Linear(7, 7, False)
        self.vodes = [pxc.Vode(), pxc.Vode(pxc.Huber(2.0), output=True), pxc.Vode(cubed, output=True)]

    def __call__(self, x):
        weight = self.frozen.nn.weight.get()
        h, _ = jax.lax.scan(lambda h, _: (weight @ h, None), self.shared(x["a"] + x["b"]), None, length=5)
        h = self.vodes[0](h)
        return self.vodes[1](self.shared(h)), self.vodes[2](h)

    def energy(self):
        return super().energy() + jnp.sum(self.shared.nn.weight.get() ** 2)


def cubed(vode, rkg):
    return jnp.abs(vode.get("h") - vode.get("u")) ** 3


def test_whatever_a_network_is_made_of():
    px.RKG.seed(0)
    batch = ({"a": jnp.ones((2, 4)), "b": jnp.ones((2, 4))}, (jnp.ones((2, 4)), jnp.ones((2, 4))))
    found = pxa.summary(Odd(), batch)
    each = rows(found)
    assert {n: (r.kind, r.energy, r.reads, r.products) for n, r in each.items() if r.is_node} == {
        "vodes[0]": ("free", "squared error", ("x['a']", "x['b']"), 16 + 5 * 16),
        "vodes[1]": ("clamped", "Huber(delta=2.0)", ("vodes[0]",), 16),
        "vodes[2]": ("clamped", "cubed", ("vodes[0]",), 0),
    }
    assert each["frozen.nn.weight"].kind == "frozen"
    assert found.frozen == 16
    text = str(found)
    assert text.count("shared.nn.weight") == 2
    assert text.count("above") == 2
    assert [(r.name, r.params) for r in found.unread] == [("idle.nn.weight", 49)]
    assert "read by no node:" in text
    assert found.params == 16 + 4 + 49
    assert found.own_energy
    assert text.endswith("The model adds an energy of its own to those of its nodes.")


class Looped(pxc.EnergyModule):
    """A matrix product in a loop of a known length, or of one that shows."""

    def __init__(self, known: bool):
        super().__init__()
        self.known = px.static(known)
        self.layer, self.vode = pxnn.Linear(4, 4, False), pxc.Vode(output=True)

    def __call__(self, x):
        weight = self.layer.nn.weight.get()
        if self.known.get():
            return self.vode(jax.lax.fori_loop(0, 5, lambda _, h: weight @ h, x))
        return self.vode(jax.lax.while_loop(lambda h: h[0] > 1, lambda h: weight @ h, x))


@pytest.mark.parametrize(("known", "products"), [(True, 5 * 16), (False, 16)])
def test_loops_count_as_often_as_they_run_if_that_is_known(known, products):
    found = pxa.summary(Looped(known), (jnp.ones((2, 4)), jnp.ones((2, 4))))
    assert found.products == products
    assert found.while_loops == (not known)
    assert ("while loop counts once" in str(found)) == (not known)


def test_it_is_json_and_html():
    model, batch = net([4, 6, 6, 2])
    found = pxa.summary(model, batch)
    plain = json.loads(json.dumps(found.to_dict()))
    assert plain["rows"][""][1]["name"] == "vodes[0]"
    assert plain["params"] == 86
    page = found._repr_html_()
    assert page.count("<tr>") == 1 + 10 + 1 + 2
    assert ">layers[0].nn.weight</td>" in page
    assert "<td" in page
    assert "<script" not in page


def test_names_in_order_are_one():
    assert span(["a[1].w"]) == span(["a[1].w"] * 3) == "a[1].w"
    assert span(["a[1]", "a[2]"]) == "a[1], a[2]"
    assert span(["a[9]", "a[10]", "a[11]"]) == "a[9] to a[11]"
    assert span(["a[1]", "a[3]", "a[5]", "a[7]"]) == "a[1], a[3] to a[7]"
    assert span(["a[1]", "a[3]", "a[4]"]) == "a[1], a[3], \u2026 a[4]"
    assert span(["a[3]", "a[2]", "a[1]"]) == "a[3], a[2], \u2026 a[1]"
    assert span(["a[1].b[1]", "a[2].b[2]", "a[3].b[3]"]) == "a[1].b[1], a[2].b[2], \u2026 a[3].b[3]"
    assert span(["first", "b[2]", "last"]) == "first, b[2], \u2026 last"


def test_what_is_refused():
    model, batch = net([4, 6, 2])
    with pytest.raises(TypeError, match="summary: leave `call` and `learn` out where a rule is given"):
        pxa.summary(model, batch, rule=PC, call=lambda m, x, y: m(x))
    with pytest.raises(TypeError, match=r"summary: a batch is a pair \(x, y\), got an array, float32\[2, 4\]"):
        pxa.summary(model, jnp.ones((2, 4)))  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="summary: expected an energy module, or a state, got 3"):
        pxa.summary(3, batch)  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="leave `call` and `learn` out for a state"):
        pxa.summary(PC.init(model, batch), batch, learn=pxnn.LayerParam)


def test_the_call_may_be_another():
    model, (x, y) = net([4, 6, 2])
    found = pxa.summary(model, ((x, x), y), call=lambda m, x, y: m(x[0] + x[1]))
    assert rows(found)["vodes[0]"].reads == ("x[0]", "x[1]")
