"""Tables of HTML: escaped, short, and never a reason to stop."""

import jax.numpy as jnp
import numpy as np

import pcx as px
from pcx.core import html_or_text, html_table


def test_what_is_given_stands_there_as_text():
    page = html_table(("<a>", "n"), [("  x & 'y'", "<script>")], "<caption>")
    assert page == (
        '<table>\n<caption style="text-align: left">&lt;caption&gt;</caption>\n'
        '<thead><tr><th scope="col" style="text-align: left">&lt;a&gt;</th>'
        '<th scope="col" style="text-align: right">n</th></tr></thead>\n<tbody>\n'
        '<tr><td style="text-align: left; padding-left: 1.7em">x &amp; &#x27;y&#x27;</td>'
        '<td style="text-align: right">&lt;script&gt;</td></tr>\n</tbody>\n</table>'
    )


def test_a_long_table_leaves_out_its_middle():
    page = html_table(("n",), [(str(i),) for i in range(1000)])
    assert page.count("<tr>") == 1 + 100
    assert ">88</td>" in page
    assert ">\u2026 901 more</td>" in page
    assert ">989</td>" not in page
    assert ">990</td>" in page


class Held(px.Module):
    def __init__(self):
        super().__init__()
        self.big, self.none = px.Param(jnp.ones((100, 100))), px.Param()
        self.frozen = px.Param(np.zeros(3, np.float32))
        self.frozen.frozen = True
        self.names = {"<b>": px.Param((jnp.ones(2), jnp.ones(3))), "again": self.big}


def test_a_module_shows_its_params():
    page = Held()._repr_html_()
    cells = [row.split("</td>")[:-1] for row in page.split("<tr>")[2:]]
    assert [[cell.rpartition(">")[2] for cell in row] for row in cells] == [
        ["big", "Param", "[100, 100], float32", "10,000"],
        ["frozen", "Param, frozen", "[3], float32", "3"],
        ["names[&#x27;&lt;b&gt;&#x27;]", "Param", "2 arrays", "5"],
        ["names[&#x27;again&#x27;]", "the same as big", "", ""],
        ["none", "Param", "none", "0"],
        ["total", "", "", "10,008"],
    ]


class Broken(px.Module):
    def __repr__(self):
        raise RuntimeError("no")


def test_a_display_never_raises():
    def fails():
        raise ValueError("no")

    assert html_or_text(fails, "<x>") == "<pre>&#x27;&lt;x&gt;&#x27;</pre>"
    assert html_or_text(fails, Broken()).startswith("<pre>&lt;tests.core.test_html.Broken object")
    module = Held()
    module.big.get().delete()
    assert "10,000" in module._repr_html_()
