"""The page: what stands in it, and that nothing in a run's files can do anything in it."""

import json
import math
import re

import pytest

import pcx.analysis.report as pxr

from .folders import NODES, Page, row, run

EVIL = '<script>alert(1)</script><img src=x onerror="alert(2)">'


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """The page of a run of two networks."""
    rows = [row(epoch, network) for epoch in range(1, 5) for network in range(2)]
    return pxr.page(pxr.read(run(tmp_path_factory.mktemp("runs") / "first", rows)))


def test_it_holds_numbers_settings_and_figures(one):
    page = Page(one)
    for each in ("first", "two-moons", "seed 1", "4/4", "pc.T", "0.01", "jax", "began: 1 network", *NODES):
        assert each in page.text, each
    assert "zil.state_lr" not in page.text  # of a rule that isn't used
    assert "80.00%" in page.text  # accuracy at the end
    assert "81.00% ± 1.41%" in page.text
    assert page.count("svg") == page.count("figure") == 4  # accuracy, energy, validation loss, energy by node
    assert "steps" not in re.findall("<figcaption>(.*?)</figcaption>", one)  # always the same
    words = [attrs["aria-label"] for tag, attrs in page.tags if attrs.get("role") == "img"]
    assert any("accuracy over the epochs; in the last one" in (word or "") for word in words)


def test_it_asks_for_nothing_outside_itself(one):
    page = Page(one)
    links = [v for _, attrs in page.tags for k, v in attrs.items() if k in ("src", "href", "action", "xlink:href")]
    assert links
    assert all(link and link.startswith(("#", "data:,")) for link in links)
    assert "@import" not in one
    assert not re.search(r"url\((?!#)", one)
    policy = next(attrs["content"] for tag, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "connect-src 'none'" in policy
    assert "http:" not in policy
    assert "https:" not in policy


def test_ids_are_apart(one):
    ids = [attrs["id"] for _, attrs in Page(one).tags if "id" in attrs]
    own = [each for each in ids if each and re.match(r"[shtd]\d|dt\d", each)]  # not those inside of pictures
    assert len(own) == len(set(own)) > 20


def test_tables_can_be_sorted(one):
    page = Page(one)
    keys = [
        attrs["data-key"]
        for tag, attrs in page.tags
        if tag == "td" and "number" in (attrs["class"] or "")
        if "data-key" in attrs
    ]
    assert all(math.isfinite(float(key or "")) for key in keys)
    heads = one.count('<th scope="col"')
    assert heads == one.count('<button type="button">') > 20


def test_nothing_in_a_runs_files_becomes_markup(tmp_path):
    energies = {EVIL: 1.0, "$x$ & _": 0.1}
    rows = [{"epoch": i, "network": 0, "seed": EVIL, "energies": energies, EVIL: 0.1 * i} for i in (1, 2)]
    folder = run(tmp_path / "a <b> & $c$", rows, log=f"failed: {EVIL}", data=EVIL, **{EVIL: EVIL})
    (folder / "versions.json").write_text(json.dumps({EVIL: EVIL}))
    html = pxr.page(pxr.read(folder))
    page = Page(html)
    assert page.count("script") == 1
    assert page.count("img") == page.count("b") == 0
    assert not [attrs for _, attrs in page.tags if any(name.startswith("on") for name in attrs)]
    assert EVIL in page.text
    assert "a <b> & $c$" in page.text


def test_what_is_not_finite_is_said(tmp_path):
    numbers = [(0.1, 1.0, None), (None, 2.0, math.nan), (math.inf, -math.inf, None)]
    names = ("accuracy", "energy", "test_loss")
    rows = [{"epoch": 1 + i, "network": 0, **dict(zip(names, each, strict=True))} for i, each in enumerate(numbers)]
    rows[0]["energies"] = {"h": None, "k": 0.0}
    page = Page(pxr.page(pxr.read(run(tmp_path / "odd", rows))))
    assert page.text.count("not finite") >= 5
    assert "nan" not in page.text
    assert "test loss" in page.text  # though it was never finite


def test_a_run_without_an_epoch(tmp_path):
    folder = run(tmp_path / "new", [], log="resumed")
    (folder / "versions.json").unlink()
    page = Page(pxr.page(pxr.read(folder)))
    assert "new has no epoch yet" in page.text
    assert "still going on, or was killed" in page.text
    assert page.count("svg") == 0


def test_a_single_epoch_is_seen_as_points(tmp_path):
    energies = {f"vodes[{i}]": 10.0**-i for i in range(12)}
    rows = [row(1, network, energies=energies) for network in (0, 1)]
    html = pxr.page(pxr.read(run(tmp_path / "short", rows)))
    pictures = re.findall(r'<div class="picture".*?</svg>', html, re.DOTALL)
    assert len(pictures) == 4
    for picture, points in zip(pictures, (3, 3, 3, 12), strict=True):  # two networks and their mean; nodes
        drawn = re.findall(r"<g clip-path.*?</g>", picture, re.DOTALL)
        assert sum("<use" in each for each in drawn) == points


def test_several_runs_side_by_side(tmp_path):
    rows = [{"epoch": epoch, "network": 0, "loss": 1.0} for epoch in range(1, 4)]
    found = pxr.read(run(tmp_path / "a", rows)) + pxr.read(run(tmp_path / "b", rows, rule="zil", lr=0.1))
    html = pxr.page(found)
    page = Page(html)
    assert "<title>a, b – pcx report</title>" in html
    marked = [attrs for tag, attrs in page.tags if tag == "td" and "marked" in (attrs["class"] or "")]
    assert len(marked) == 8  # rule, lr, and those of each rule, in two columns
    assert html.index(">rule<") < html.index(">data<")


@pytest.mark.slow
def test_a_long_run_has_a_short_page(tmp_path):
    html = pxr.page(pxr.read(run(tmp_path / "long", [row(epoch) for epoch in range(1, 3001)])))
    assert "300 of 3000 epochs" in html
    assert len(html) < 600_000


def test_the_served_page_may_ask_where_it_came_from():
    html = pxr.page([], refresh=2)
    assert "connect-src &#39;self&#39;" in html
    assert 'data-refresh="2"' in html


def test_numbers_and_names_without_measure(tmp_path):
    numbers = [1e308, -1e308, 10**400, 0.5]
    rows = [{"epoch": 1 + i, "network": i % 2, "accuracy": each, "\ud800": 1e308} for i, each in enumerate(numbers)]
    (record,) = pxr.read(run(tmp_path / "odd", [*rows, {"epoch": 10**30, "network": 0}, {"epoch": -1, "network": 0}]))
    assert "2 of 6 lines" in " ".join(record.notes)
    page = pxr.page([record]).encode("utf-8", "backslashreplace").decode()
    assert "1e+308" in page
    assert "0" * 50 not in page
    assert page.count('class="picture"') == 1
