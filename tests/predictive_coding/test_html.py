"""Models in notebooks: tables of nodes and params."""

import re

import jax.numpy as jnp

import pcx.functional as pxf
import pcx.nn as pxnn
import pcx.predictive_coding as pxc


class Net(pxc.EnergyModule):
    def __init__(self):
        super().__init__()
        self.layer, self.parts = pxnn.Linear(3, 2), {"<i>": pxc.Vode(pxc.Huber(2.0))}
        self.out = pxc.Vode(pxc.ce_energy, output=True)
        self.silent, self.own = pxc.Vode(None), pxc.Vode(weird)

    def __call__(self, x):
        return self.out(self.parts["<i>"](self.layer(x)))


def weird(vode, rkg):
    return vode.get("h")


def tables(page):
    return [
        [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in table.split("<tr>")[2:]]
        for table in page.split("<table>")[1:]
    ]


def test_a_model_shows_nodes_and_params_without_running():
    model = Net()
    nodes, params = tables(model._repr_html_())
    assert nodes == [
        ["parts[&#x27;&lt;i&gt;&#x27;]", "free", "not known yet", "Huber(delta=2.0)"],
        ["out", "output", "not known yet", "cross-entropy"],
        ["silent", "free", "not known yet", "none"],
        ["own", "free", "not known yet", "weird"],
    ]
    assert params[-1] == ["total", "", "", "8"]
    assert [row[0] for row in params[:-1]] == ["layer.nn.weight", "layer.nn.bias"]


def test_shapes_are_shown_once_they_are_known():
    model = Net()
    model(jnp.ones(3))
    nodes, _ = tables(model._repr_html_())
    assert nodes[0][2] == nodes[1][2] == "[2]"
    model.own.set("h", jnp.ones((7, 5)))
    assert tables(model._repr_html_())[0][3][2] == "[7, 5] of a batch"


def test_it_works_while_a_function_is_traced():
    pages = []

    @pxf.jit()
    def shown(x, *, model):
        model.out.set("h", x)
        pages.append(model._repr_html_())
        return x

    shown(jnp.ones((2, 2)), model=Net())
    assert "cross-entropy" in pages[0]


def test_modules_without_nodes_and_nodes_themselves():
    assert "nn.weight" in pxnn.Linear(3, 2)._repr_html_()
    assert [row[0] for row in tables(pxc.Vode()._repr_html_())[0]] == ["cache", "h", "total"]
