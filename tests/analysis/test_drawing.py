"""Drawings of networks: what they show, as XML; and that no arrow crosses a box."""

import random
import re
import xml.etree.ElementTree as ET

import jax.numpy as jnp
import optax
import pytest

import pcx as px
import pcx.analysis as pxa
import pcx.learning as pxl
import pcx.models as pxm
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
from pcx.analysis._boxes import Box, Line
from pcx.analysis._layered import Arrow, layered
from pcx.analysis._svg import Picture, svg_of

from .nets import Pair, net

SVG = "{http://www.w3.org/2000/svg}"


def seen(drawing):
    """The texts of boxes, each box's together, and the labels of arrows with what is told of these."""
    root = ET.fromstring(drawing.svg)
    assert root.tag == SVG + "svg"
    assert root.get("role") == "img"
    boxes, arrows = [], []
    for group in root.iter(SVG + "g"):
        told, texts = group.find(SVG + "title"), [t.text for t in group.findall(SVG + "text")]
        if told is not None and group.find(SVG + "path") is None:
            boxes.append((group.findall(SVG + "rect")[-1].get("class"), *texts))
        elif told is not None:
            arrows.append((told.text, *texts))
    return boxes, arrows


def test_a_small_network():
    boxes, arrows = seen(pxa.draw(*net([4, 6, 6, 2])))
    assert boxes == [
        ("input", "x", "[4]"),
        ("free", "vodes[0]", "[6] squared error"),
        ("free", "vodes[1]", "[6] squared error"),
        ("within", "vodes[2]", "[2] squared error", "clamped"),
    ]
    assert arrows == [
        ("x to vodes[0]: layers[0].nn.weight [6, 4]; layers[0].nn.bias [6]", "layers[0]"),
        ("vodes[0] to vodes[1]: layers[1].nn.weight [6, 6]; layers[1].nn.bias [6]", "layers[1]"),
        ("vodes[1] to vodes[2]: layers[2].nn.weight [2, 6]; layers[2].nn.bias [2]", "layers[2]"),
    ]


def test_equal_layers_are_one_box_unless_asked_for():
    model, batch = net([4, *[6] * 11, 2], kind=pxm.MuMLP)
    state = pxl.pc(optax.sgd(0.1), optax.sgd(0.1), 12).init(model, batch)
    boxes, arrows = seen(pxa.draw(state, batch))
    assert boxes[2] == ("free", "vodes[1] to vodes[10]", "[6] squared error", "10 equal layers")
    assert [a[1] for a in arrows] == ["weights[0]", "weights[1] to weights[10] + skip", "weights[11]"]
    boxes, arrows = seen(pxa.draw(model, batch, unfold=True))
    assert [b[1] for b in boxes] == ["x", *[f"vodes[{i}]" for i in range(12)]]
    assert arrows[5] == ("vodes[4] to vodes[5]: weights[5] [6, 6]; as it is (a skip)", "weights[5] + skip")


class Blocks(pxc.EnergyModule):
    """Blocks of two nodes with a skip over each, and a reader of one in the middle."""

    def __init__(self):
        super().__init__()
        self.a, self.b = [pxnn.Linear(5, 5, False)] * 4, [pxnn.Linear(5, 5, False)] * 4
        self.va, self.vb = [pxc.Vode() for _ in self.a], [pxc.Vode() for _ in self.b]
        self.ends = [pxc.Vode(output=True), pxc.Vode(pxc.ce_energy, output=True)]

    def __call__(self, x):
        h, each = x, []
        for a, b, va, vb in zip(self.a, self.b, self.va, self.vb, strict=True):
            h = vb(h + b(va(jnp.tanh(a(h)))))
            each.append(h)
        self.ends[0](h)
        self.ends[1](each[2])


def test_blocks_and_two_outputs():
    px.RKG.seed(0)
    batch = (jnp.ones((2, 5)), (jnp.ones((2, 5)), jnp.ones((2, 5))))
    boxes, arrows = seen(pxa.draw(Blocks(), batch))
    names = [b[1] for b in boxes]
    assert names == ["x", "va[0]", "vb[0]", "va[1] to va[3]", "vb[1] to vb[3]", "ends[0]", "ends[1]"]
    assert boxes[4][3] == "3 equal blocks of 2"
    assert boxes[6] == ("within", "ends[1]", "[5] cross-entropy", "clamped")
    told = {a[0]: a[1:] for a in arrows}
    assert told["x to vb[0]: as it is (a skip)"] == ("skip",)
    assert told["va[1] to va[3] to vb[1] to vb[3]: b[0].nn.weight [5, 5]"] == ("b[0]",)
    assert told["vb[2] to ends[1]: as it is (a skip)"] == ("skip from vb[2]",)
    assert told["vb[3] to ends[0]: as it is (a skip)"] == ("skip",)


@pytest.mark.slow
def test_two_networks_stand_side_by_side():
    batch = (jnp.ones((3, 3)), jnp.ones((3, 2)))
    found = pxa.draw(Pair(), batch, rule=pxl.bpc(optax.sgd(0.1), optax.sgd(0.1), 2))
    assert {"generative", "recognition"} <= {t.text for t in ET.fromstring(found.svg).iter(SVG + "text")}
    assert repr(found) == ("Drawing(Pair: 6 value nodes; clamped: generative.vodes[2], recognition.vodes[2])")


def test_energies_are_written_into_nodes():
    model, batch = net([4, 6, 6, 2])
    boxes, _ = seen(pxa.draw(model, batch, energies={"vodes[1]": 0.25, "vodes[2]": jnp.array([0.5, 1.0])}))
    assert boxes[1][2:] == ("[6] squared error",)
    assert boxes[2][3:] == ("E = 0.25 (25%)",)
    assert boxes[3][3:] == ("clamped", "E = 0.75 (75%)")
    boxes, _ = seen(pxa.draw(model, batch, energies={"vodes[1]": -0.25, "vodes[2]": 1.0}))
    assert boxes[2][3:] == ("E = -0.25",)  # no share of what may be negative
    with pytest.raises(ValueError, match=r"draw: energies has 'vodes\[7\]', which is no node; the nodes are vodes"):
        pxa.draw(model, batch, energies={"vodes[7]": 1.0})
    with pytest.raises(TypeError, match="draw: energies are a Regime or"):
        pxa.draw(model, batch, energies=3.0)  # pyright: ignore[reportArgumentType]


def test_energies_of_equal_layers_are_added():
    model, batch = net([4, *[6] * 11, 2], kind=pxm.MuMLP)
    boxes, _ = seen(pxa.draw(model, batch, energies={f"vodes[{i}]": 1.0 for i in range(12)}))
    assert boxes[2][-1] == "E = 10 (83%)"


NAME = "<b>&\"'\n\x00" + "long" * 20


class Odd(pxc.EnergyModule):
    """Names that no attribute would have; a prediction of nothing."""

    def __init__(self):
        super().__init__()
        self.prior, self.nodes = pxnn.LayerParam(jnp.zeros(3)), {NAME: pxc.Vode(), "]]>": pxc.Vode(output=True)}

    def __call__(self, x):
        return self.nodes["]]>"](self.nodes[NAME](self.prior.get()) + x)


def test_odd_names_are_escaped():
    found = pxa.draw(Odd(), (jnp.ones((2, 3)), jnp.ones((2, 3))))
    boxes, _ = seen(found)
    names = [b[1] for b in boxes]
    assert "nodes[']]>']" in names
    assert any(n.startswith("nodes['<b>") and "\u2026" in n and len(n) < 50 for n in names)
    assert "<b>" not in found.svg


def test_it_needs_nothing_else_and_is_saved_whole(tmp_path):
    found = pxa.draw(*net([4, 6, 2]))
    assert found._repr_svg_() == found.svg
    assert found.svg in found._repr_html_()
    assert "prefers-color-scheme: dark" in found.svg
    assert not re.search(r"@import|url\(|href|<script|<image", found.svg)
    path = found.save(tmp_path / "net.svg")
    assert path.read_text("utf-8") == found.svg
    with pytest.raises(ValueError, match=r"save: the drawing is SVG.*got 'net.png'"):
        found.save(tmp_path / "net.png")
    with pytest.raises(OSError, match="nowhere"):
        found.save(tmp_path / "nowhere" / "net.svg")
    assert [p.name for p in tmp_path.iterdir()] == ["net.svg"]


def points(path):
    """Points along a path of M, V and C."""
    x = y = 0.0
    for kind, text in re.findall(r"([MVC])([^MVC]*)", path):
        numbers = [float(n) for n in text.split()]
        if kind == "M":
            x, y = numbers
        elif kind == "V":
            yield from ((x, y + (numbers[0] - y) * t / 20) for t in range(21))
            y = numbers[0]
        else:
            a, b, c, d, e, f = numbers
            for t in [k / 40 for k in range(41)]:
                s = 1 - t
                weights = s**3, 3 * s * s * t, 3 * s * t * t, t**3
                yield tuple(sum(w * v for w, v in zip(weights, vs, strict=True)) for vs in ((x, a, c, e), (y, b, d, f)))
            x, y = e, f


@pytest.mark.parametrize("seed", range(6))
def test_no_arrow_crosses_a_box_and_no_label_another(seed):
    r = random.Random(seed)
    count = r.randint(2, 12)
    pairs = [(a, b) for b in range(1, count) for a in range(b) if r.random() < 0.4 or a == b - 1]
    boxes = [Box("free", "n" * r.randint(1, 30), ("",) * r.randint(1, 3), "", r.random() < 0.3) for _ in range(count)]
    lines = [Line(a, b, r.choice(["", "a label", "skip"]), "") for a, b in pairs]
    root = ET.fromstring(svg_of("", [Picture("", boxes, lines)]))
    rects = [[float(e.get(k, "nan")) for k in ("x", "y", "width", "height")] for e in root.iter(SVG + "rect")][1:]
    assert len(rects) == count + 2 * sum(box.several for box in boxes)  # cards behind, that may overlap
    tops = [rects[i] for i in range(len(rects)) if rects[i][:2] not in [[x + 6, y + 6] for x, y, _, _ in rects]]
    tops = [t for t in tops if t[:2] not in [[x + 3, y + 3] for x, y, _, _ in tops]]
    assert len(tops) == count
    for i, (x, y, w, h) in enumerate(tops):  # no box on another
        assert not any(abs(x + w / 2 - u - p / 2) < (w + p) / 2 and abs(y + h / 2 - v - q / 2) < (h + q) / 2
                       for u, v, p, q in tops[:i])  # fmt: skip
    labels = [(float(t.get("x", "")), float(t.get("y", "")), len(t.text or "")) for t in root.iter(SVG + "text")
              if t.get("class") == "label"]  # fmt: skip
    for i, (x, y, n) in enumerate(labels):
        assert not any(v == y and abs(u - x) < 3.4 * (m + n) for u, v, m in labels[:i])
    for way in [p for p in root.iter(SVG + "path") if p.get("class") == "way"]:
        for px_, py_ in points(way.get("d", "")):
            assert not any(x + 1 < px_ < x + w - 1 and y + 1 < py_ < y + h - 1 for x, y, w, h in rects)


def test_places_of_a_chain_lie_below_each_other():
    found = layered([(80, 40)] * 4, [Arrow(i, i + 1, 30, 16) for i in range(3)])
    assert len({round(p.x, 6) for p in [*found.boxes, *[q for lane in found.lanes for q in lane]]}) == 1
    assert [p.y for p in found.boxes] == sorted(p.y for p in found.boxes)
    assert layered([], []).width == layered([], []).height == 0


def test_one_seed_of_several():
    model, batch = net([4, 6, 2])
    state = pxl.pc(optax.sgd(0.1), optax.sgd(0.1), 2).init(model, batch)
    found = pxa.draw(pxl.stack([state, state]), batch)
    assert "one of 2 networks" in found.svg
    assert seen(found) == seen(pxa.draw(model, batch))
