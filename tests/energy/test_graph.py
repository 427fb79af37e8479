"""Which node's value reaches which node's energy."""

import hypothesis
import hypothesis.strategies as st
import pytest

from pcx.energy._graph import Graph

CHAIN = {"a": [], "b": ["a"], "c": ["b"], "d": ["c"]}
SKIP = {"a": [], "b": ["a"], "c": ["b", "a"]}


@st.composite
def graphs(draw):
    """Parents by node, of an acyclic graph; the order of the names says nothing."""
    names = draw(st.permutations("abcdefg"[: draw(st.integers(1, 7))]))
    parents = {n: draw(st.lists(st.sampled_from(names[:i]), unique=True)) if i else [] for i, n in enumerate(names)}
    return {n: parents[n] for n in sorted(names)}


def ways(graph, node, targets):
    """The lengths of all ways from a node to the first target on each."""
    if node in targets:
        return [0]
    return [1 + n for child in graph.children[node] for n in ways(graph, child, targets)]


def test_parents_and_children_are_inverse():
    graph = Graph(SKIP)
    assert graph.parents == {"a": (), "b": ("a",), "c": ("b", "a")}
    assert graph.children == {"a": ("b", "c"), "b": ("c",), "c": ()}


def test_distances_of_a_chain_and_of_a_skip():
    assert Graph(CHAIN).distances(["d"]) == ({"a": 3, "b": 2, "c": 1, "d": 0},) * 2
    nearest, furthest = Graph(SKIP).distances(["c"])
    assert (nearest["a"], furthest["a"]) == (1, 2)


def test_nodes_that_lead_to_no_target_have_no_distance():
    nearest, furthest = Graph(SKIP).distances(["b"])
    assert "c" not in nearest
    assert "c" not in furthest


def test_arrivals_of_a_chain_with_a_clamped_output():
    arrivals = Graph(CHAIN).arrivals(["d"], ["d"], [])
    assert arrivals == {"c": 0, "b": 1, "a": 2}


def test_arrivals_pass_by_a_skip():
    assert Graph(SKIP).arrivals(["c"], ["c"], []) == {"a": 0, "b": 0}


def test_a_move_is_felt_by_the_other_parents_of_its_children():
    # `low` moves at once; at the next step its child's error has changed, and `beside` feels it, though no target does.
    parents = {"low": [], "beside": [], "child": ["low", "beside"], "out": ["low"]}
    assert Graph(parents).arrivals(["out"], ["out"], []) == {"low": 0, "child": 1, "beside": 1}


def test_silent_nodes_pass_nothing_on():
    assert Graph(CHAIN).arrivals(["d"], ["d"], ["c"]) == {"c": 0}


def test_a_source_that_is_free_moves_at_once():
    assert Graph(CHAIN).arrivals(["b"], ["d"], []) == {"b": 0, "a": 0, "c": 1}


def test_circles_are_refused():
    with pytest.raises(ValueError, match="depend on each other"):
        Graph({"a": ["b"], "b": ["a"]})


def test_long_chains_are_sorted_without_recursion():
    names = [str(i) for i in range(3000)]
    graph = Graph({n: [p] if (p := str(i + 1)) in names[i + 1 : i + 2] else [] for i, n in enumerate(names)})
    assert graph.order == tuple(reversed(names))


@hypothesis.given(graphs())
def test_order_has_parents_first(parents):
    order = Graph(parents).order
    assert sorted(order) == sorted(parents)
    assert all(order.index(p) < order.index(n) for n in parents for p in parents[n])


@hypothesis.given(graphs(), st.data())
def test_distances_are_those_of_all_ways(parents, data):
    graph = Graph(parents)
    targets = data.draw(st.lists(st.sampled_from(sorted(parents)), unique=True))
    nearest, furthest = graph.distances(targets)
    lengths = {n: w for n in parents if (w := ways(graph, n, targets))}
    assert nearest == {n: min(w) for n, w in lengths.items()}
    assert furthest == {n: max(w) for n, w in lengths.items()}


@hypothesis.given(graphs(), st.data())
def test_arrivals_are_those_of_settling_step_by_step(parents, data):
    names = st.sampled_from(sorted(parents))
    sources = data.draw(st.lists(names, unique=True))
    fixed = data.draw(st.lists(names, unique=True))
    silent = [n for n in data.draw(st.lists(names, unique=True)) if n not in sources]
    graph = Graph(parents)
    # What may be other than zero: an error, where the node or a parent has moved; a gradient, where an error is near.
    moved, arrivals = set(), {}
    for step in range(len(parents) + 1):
        errors = {n for n in parents if n not in silent and (n in sources or {n, *parents[n]} & moved)}
        felt = {n for n in parents if n not in fixed and errors & {n, *graph.children[n]}}
        for node in felt - moved:
            arrivals[node] = step
        moved |= felt
    assert graph.arrivals(sources, fixed, silent) == arrivals
