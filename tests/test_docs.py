"""The pages' code runs, and prints what they say that it prints."""

import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jaxtyping import config as jaxtyping_config

import pcx as px
import pcx.learning as pxl
import pcx.models as pxm

DOCS = Path(__file__).parents[1] / "docs"
NOT_RUN = {"command.md": "reads Fashion-MNIST and the folder of a run of the command"}
SAYS_ALL = (
    "choose-a-rule.md",
    "cite.md",
    "data.md",
    "extend.md",
    "models.md",
    "samples.md",
    "start.md",
    "step-by-hand.md",
    "your-own-network.md",
)
"""Pages on which everything that is printed stands; on the others some depends on where they run."""
SLOW = (
    "analysis.md",
    "choose-a-rule.md",
    "data.md",
    "deep-wide-many.md",
    "experiments.md",
    "extend.md",
    "models.md",
    "moving-over.md",
    "samples.md",
    "start.md",
    "step-by-hand.md",
    "training.md",
    "your-own-network.md",
)
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+\.?\d*(?:e[-+]?\d+)?(?![\w])")


def blocks(page: str) -> list[tuple[str, str]]:
    """The fenced blocks of a page, with their languages, in order."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@contextlib.contextmanager
def doors_alone(code: str) -> Iterator[None]:
    """Where a block shows what is refused, nothing but the package itself checks types, as inside `pytest.raises`."""
    before = jaxtyping_config.jaxtyping_disable
    jaxtyping_config.update("jaxtyping_disable", before or "\nexcept " in code)
    try:
        yield
    finally:
        jaxtyping_config.update("jaxtyping_disable", before)


def outputs(page: str) -> list[tuple[str, str, str | None]]:
    """Runs a page's Python blocks in one namespace: for each its code, what it printed, and what the page says that it
    prints, None if nothing is said."""
    found = blocks(page)
    namespace: dict[str, object] = {"__name__": page}
    results = []
    for i, (language, code) in enumerate(found):
        if language == "python":
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed), doors_alone(code):
                exec(compile(code, f"{page}, block {i}", "exec"), namespace)
            said = found[i + 1][1] if i + 1 < len(found) and found[i + 1][0] == "text" else None
            results.append((code, printed.getvalue(), said))
    return results


def taken_apart(text: str) -> tuple[list[str], list[float]]:
    """The words and the numbers of a text; how numbers are laid out doesn't count."""
    words = NUMBER.sub(" # ", text).replace("[", " [ ").replace("]", " ] ").split()
    return words, [float(n) for n in NUMBER.findall(text)]


def python_in(page: str) -> bool:
    """Whether a page has blocks of Python."""
    return any(language == "python" for language, _ in blocks(page))


PAGES = sorted(path.name for path in DOCS.glob("*.md") if path.name not in NOT_RUN and python_in(path.name))


@pytest.fixture
def untouched():
    """Leaves the global key and NumPy's way of printing as they are."""
    key, options = px.RKG.key.get(), np.get_printoptions()
    yield
    px.RKG.key.set(key)
    np.set_printoptions(**options)


@pytest.mark.parametrize("page", [pytest.param(p, marks=pytest.mark.hasty) if p in SLOW else p for p in PAGES])
@pytest.mark.usefixtures("untouched")
def test_a_page_runs_and_prints_what_it_says(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # what a page writes
    for code, printed, said in outputs(page):
        if said is None and page not in SAYS_ALL:
            continue
        words, numbers = taken_apart(printed)
        expected_words, expected_numbers = taken_apart(said or "")
        assert words == expected_words, f"after\n{code}\nprinted\n{printed}"
        np.testing.assert_allclose(numbers, expected_numbers, rtol=0, atol=1e-5, err_msg=code)


def test_every_page_with_python_is_run():
    assert {*SAYS_ALL, *SLOW} <= set(PAGES)
    for page in NOT_RUN:
        assert python_in(page), f"{page} has no Python to run"


def test_the_comparison_sees_what_differs():
    assert taken_apart("a: [[ 1.  -0.5]]") == taken_apart("a: [[1.0 -0.50]]")
    assert taken_apart("a: 1e-3") == (["a:", "#"], [0.001])
    assert taken_apart("vodes[0] (3,)")[1] == [0.0, 3.0]
    assert taken_apart("a: 1.0")[1] != taken_apart("a: 1.1")[1]
    assert taken_apart("a: 1.0")[0] != taken_apart("b: 1.0")[0]


def products(rule: pxl.Rule, layers: int) -> int:
    """How many products of matrices the compiled step of a chain of equal layers takes."""
    model = pxm.MLP([5] * (layers + 1), act=jnp.tanh)
    batch = jnp.ones((3, 5)), jnp.ones((3, 5))
    state = rule.init(model, batch)
    program = jax.jit(rule.step).lower(state, batch).compile().as_text() or ""
    # Those that give a matrix: sums over features are products with a vector of ones.
    # XLA of JAX 0.10.2 and newer writes sums as products with a column of ones, [n,1]; tests for numbers that are not
    # finite are sums by products with two columns, [n,2].
    return len(re.findall(r"= \w+\[\d+,(?![12]\])\d+\]\S* dot\(", program))


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="reads the program that XLA makes for CPUs")
@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (pxl.backprop(optax.sgd(0.1)), 3 * 3 - 1),
        (pxl.zil(optax.sgd(0.1)), 3 * 3 - 1),
        (pxl.pc(optax.sgd(0.1), optax.sgd(0.1), T=2), 2 * 3 + 2 * (1 + 2)),
        (pxl.fpa(optax.sgd(0.1), optax.sgd(1.0), T=2), 2 * 3 + (1 + 2) - 2 + 1),
        (pxl.epc(optax.sgd(0.1), optax.sgd(0.1), T=1), 2 * 3 + 2 * 2),
    ],
    ids=["backprop", "zil", "pc", "fpa", "epc"],
)
def test_the_costs_that_the_page_counts(rule, expected):
    assert products(rule, layers=3) == expected
