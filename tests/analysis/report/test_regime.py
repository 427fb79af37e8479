"""What a run's looks at its regime become on its page."""

import re
from typing import Any

import pcx.analysis.report as pxr

from .folders import Page, run


def look(batch, verdict: Any = "transient", **values: Any) -> dict[str, Any]:
    found = {"batch": batch, "verdict": verdict, "why": "errors have not come", "alignment": 0.5}
    found |= {"backprop_alignment": 0.75, "module_cosine": {"layers[0]": None, "layers[1]": 0.25}}
    found |= {"module_norm_ratio": {"layers[0]": 0.0, "layers[1]": 1e-7}, "share": {"h": 0.125, "u": 0.875}}
    return found | {"moving": {"h": None, "u": 0.5}, "rest": {"h": 0.0, "u": 12.0}, "silent": ["layers[0]"]} | values


def test_regime_and_health(tmp_path):
    rows = [{"epoch": i, "network": 0, "seed": 7, "regime": [look(5 * i), look(5 * i + 2)]} for i in (1, 2)]
    rows[0]["regime"] += ["odd", {"batch": "odd"}]
    rows.append({"epoch": 3, "network": 0, "seed": 7, "regime": [look(20, "diverging", module_cosine="odd")]})
    folder = run(tmp_path / "run", rows)
    with (folder / "log.txt").open("a") as file:
        file.write("2026-01-01T10:00:00 before the first batch: layers[0] will learn nothing\n")
    html = pxr.page(pxr.read(folder))
    page = Page(html)
    assert "run: layers[0] will learn nothing" in page.text
    for each in ("diverging", "errors have not come", "Cosine to backprop", "Target alignment", "87.50%", "1e-07"):
        assert each in page.text, each
    words = [attrs["aria-label"] or "" for tag, attrs in page.tags if attrs.get("role") == "img"]
    assert any("layers[1] 0.25" in each and "layers[0]" not in each for each in words)
    assert any("the rule 0.5; backprop 0.75" in each for each in words)


# Each figure takes a quarter of a second.
UNDRAWN: dict[str, Any] = {"module_cosine": {}, "module_norm_ratio": {}, "alignment": None, "backprop_alignment": None}


def test_the_largest_stable_step_stands_beside_the_verdict(tmp_path):
    steps: dict[str, Any] = {"step": 0.1, "stable_step": 0.625, "curvature": [3.2, 0.5], **UNDRAWN}
    rows = [{"epoch": 1, "network": 0, "regime": [look(0, **steps), look(5, **(steps | {"stable_step": 0.5}))]}]
    html = pxr.page(pxr.read(run(tmp_path / "run", rows)))
    assert "largest stable<" in html
    assert re.search(r">transient</td>\s*<td[^>]*>0\.1</td>\s*<td[^>]*>0\.5</td>", html)
    assert "Step of the values by batch; at the end: the step 0.1; largest stable 0.5" in html
    rows[0]["regime"] = [look(0, **steps, curvature_error=[0.2, 0.0])]
    assert re.search(r"<td[^>]*>at most 0\.625</td>", pxr.page(pxr.read(run(tmp_path / "off", rows))))
    rows[0]["regime"] = [look(0, **UNDRAWN)]
    assert "largest stable" not in pxr.page(pxr.read(run(tmp_path / "without", rows)))


def test_what_is_well_is_said(tmp_path):
    folder = run(tmp_path / "run", [{"epoch": 1, "network": 0, "regime": [look(0, **UNDRAWN)]}])
    with (folder / "log.txt").open("a") as file:
        file.write("2026-01-01T10:00:00 health: every layer learns\n")
    page = Page(pxr.page(pxr.read(folder)))
    assert "Health before the first batch: every layer learns." in page.text


def test_figures_of_one_kind_are_beside_each_other_in_the_order_of_the_runs(tmp_path):
    rows = [
        {
            "epoch": 1,
            "network": 0,
            "energies": {"h": 1.0},
            "regime": [look(0, **UNDRAWN | {"module_cosine": {"a": 1.0}})],
        }
    ]
    records = [each for name in ("b", "a") for each in pxr.read(run(tmp_path / name, rows))]
    titles = re.findall(r"<figure([^>]*)>\s*<figcaption>([^<]*)</figcaption>", pxr.page(records))
    kinds = ["Energy of each node", "Cosine to backprop&#39;s gradient"]
    expected = [(' class="begins"' * (name == "b"), f"{kind}, {name}") for kind in kinds for name in ("b", "a")]
    assert titles == expected


def test_a_run_that_was_not_looked_at_has_no_such_section(tmp_path):
    rows = [{"epoch": 1, "network": 0, "regime": []}, {"epoch": 2, "network": 0, "regime": None}]
    assert "Regime" not in pxr.page(pxr.read(run(tmp_path / "run", rows)))
