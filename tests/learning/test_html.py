"""States in notebooks: tables of nodes and arrays."""

import re

import jax
import jax.numpy as jnp
import optax

import pcx as px
import pcx.learning as pxl
import pcx.models as pxm
from pcx.learning import state_html

RULE = pxl.pc(optax.sgd(0.1), optax.sgd(0.1), 12, equal_layers="looped")


def made():
    px.RKG.seed(0)
    return RULE.init(pxm.MuMLP([3, *[4] * 11, 2]), (jnp.ones((5, 3)), jnp.ones((5, 2))))


def tables(page):
    return [
        [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in table.split("<tr>")[2:]]
        for table in page.split("<table>")[1:]
    ]


def test_a_state_shows_nodes_and_arrays():
    state = made()
    page = state._repr_html_()
    nodes, arrays = tables(page)
    assert "MuMLP: state</caption>" in page
    assert [row[0] for row in nodes] == [f"vodes[{i}]" for i in range(12)]
    assert nodes[0] == ["vodes[0]", "free", "[4]", "squared error"]
    assert nodes[11] == ["vodes[11]", "clamped", "[2]", "squared error"]
    assert [row[0] for row in arrays] == [*[f"weights[{i}]" for i in range(12)], "total"]
    assert arrays[1] == ["weights[1]", "learns", "[4, 4], float32", "16"]
    assert arrays[-1][-1] == str(12 + 10 * 16 + 8)


def test_several_networks_have_the_shapes_of_one():
    state = made()
    page = pxl.stack([state, state, state])._repr_html_()
    assert "MuMLP: state of 3 networks</caption>" in page
    assert tables(page) == tables(state._repr_html_())


def test_energies_stand_beside_nodes():
    nodes, _ = tables(state_html(made(), {"vodes[0]": 0.25, "vodes[1]": None}, "E, last epoch"))
    assert [row[4] for row in nodes[:3]] == ["0.25", "not finite", ""]


def test_it_works_while_a_function_is_traced():
    pages = []

    def shown(state):
        pages.append(state._repr_html_())
        return 0

    jax.eval_shape(shown, made())
    assert "[4, 4], float32" in pages[0]
