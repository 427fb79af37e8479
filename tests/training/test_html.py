"""Results of runs in notebooks."""

import re

import numpy as np
import optax
import pytest

import pcx.learning as pxl
import pcx.models as pxm
import pcx.training as pxt
from pcx.training._space import Space


@pytest.mark.slow
def test_a_result_shows_its_networks_and_the_first_one_s_nodes():
    x, y = np.ones((16, 3), np.float32), np.ones((16, 2), np.float32)
    rule = pxl.pc(optax.sgd(0.1), optax.sgd(0.1), 2)
    run = pxt.fit(lambda: pxm.MLP([3, 4, 2]), rule, (x, y), epochs=2, batch_size=8, seeds=(3, 7), show=False)
    page = run._repr_html_()
    assert "Fit(seed 3, seed 7: done after 2 epochs" in page
    assert "MLP: state of network 0, seed 3</caption>" in page
    rows = re.findall(r"vodes\[(\d)\]</td>.*?right\">(.*?)</td></tr>", page)
    assert rows == [(str(i), f"{run.of(0)[-1]['energies'][f'vodes[{i}]']:.4g}") for i in range(2)]
    assert run.table()._repr_html_() in page.replace(f'<caption style="text-align: left">{run!r}</caption>\n', "")


def test_a_result_of_anything_is_shown():
    run = pxt.Fit([object()], [], [], "failed", "<why>", None)
    assert "&lt;why&gt;" in run._repr_html_()
    run.states = None  # pyright: ignore[reportAttributeAccessIssue]
    assert "&lt;why&gt;" in run._repr_html_()


def test_a_sweep_shows_its_table():
    row = {"place": 0, "setting": {"rate": 0.5}, "ended": "done", "why": None, "value": 0.25, "deviation": None}
    row |= {"epochs": 3, "last": {"loss": 0.75}, "seconds": 1.0}
    found = pxt.Sweep(
        [row],
        "loss",
        "min",
        "done",
        None,
        Space({"rate": pxt.Choice([0.5])}, frozenset(), frozenset(["rate"]), frozenset()),
    )
    page = found._repr_html_()
    assert "Sweep(done: 1 of 1 settings, best loss 0.25 at rate 0.5" in page
    assert re.findall(r"<td[^>]*>(.*?)</td>", page) == ["0", "0.5", "done", "3", "0.75", "0.25"]
