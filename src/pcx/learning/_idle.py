"""Warn of weights that learn nothing however long values settle: no gradient of an energy comes to them."""

from __future__ import annotations

from collections.abc import Iterable

from ..core import warn
from ..energy import Problem, felt_by

_OWN = ""


def from_any_energy(problem: Problem) -> set[str]:
    """Return the weights by which any energy has a gradient, for values that may have errors anywhere."""
    return set().union(*[felt_by(problem, n).weights for n in (*problem.nodes, _OWN)])


def from_errors(problem: Problem, follows: bool = True) -> set[str]:
    """Return the weights that errors come to from the clamped nodes, if values settle for as long as it takes.

    **Arguments:**

    - `problem`: the problem.
    - `follows`: whether a prediction follows the values that it is made from.
    """
    if problem.has_own_energy:
        return from_any_energy(problem)
    free = set(problem.free)
    learn: set[str] = set()
    todo = [*problem.clamped, *problem.with_error]
    wrong = set(todo)
    while todo:
        name = todo.pop()
        if problem.nodes[name].silent:
            continue
        felt = felt_by(problem, name)
        learn |= felt.weights
        # What feels an error moves, and so has one of its own, as have those that are predicted from it.
        moving = felt.nodes & free
        new = {*moving, *[c for n in moving if follows for c in problem.graph.children[n]]} - wrong
        wrong |= new
        todo += new
    return learn


def from_outputs(problem: Problem) -> set[str]:
    """Return the weights by which the clamped nodes' energies have a gradient through the predictions of all others."""
    learn: set[str] = set()
    todo = [n for n in problem.clamped if not problem.nodes[n].silent]
    seen = set(todo)
    while todo:
        name = todo.pop()
        felt = felt_by(problem, name, prediction=name not in problem.clamped)
        learn |= felt.weights
        new = [n for n in felt.nodes if n not in seen and n not in problem.clamped]
        seen.update(new)
        todo += new
    return learn


def warn_of_idle_weights(call: str, weights: Iterable[str], learn: set[str]) -> None:
    """Warn of weights that learn nothing, by layer where that is true of all of a layer's.

    **Arguments:**

    - `call`: the rule's name.
    - `weights`: the paths of all weights.
    - `learn`: those that learn.
    """
    weights = tuple(weights)
    idle = [w for w in weights if w not in learn]
    if not idle:
        return
    some = {_layer(w) for w in weights if w in learn}
    names = dict.fromkeys([w if _layer(w) in some else _layer(w) for w in idle])
    warn(
        f"{call}: {', '.join(names)} will learn nothing, whatever the batch: the call makes no use of it, or no "
        "gradient comes to it, as behind stop_gradient or on a side branch that no error reaches. If that is meant, "
        "mark it: `param.frozen = True`",
    )


def warn_of_bypassed(call: str, problem: Problem) -> None:
    """Warn of free nodes whose value nothing is predicted from, while another prediction is made by their layers: their
    call's result was not used.

    **Arguments:**

    - `call`: the rule's name.
    - `problem`: the problem.
    """
    if type(problem) is not Problem or problem.has_own_energy:  # of two networks values are shared
        return
    ends = [n for n in problem.free if not problem.graph.children[n] and not problem.nodes[n].silent]
    if not ends:
        return
    owners: dict[str, list[str]] = {}
    for name in problem.nodes:
        for path in problem.weights_of(name):
            owners.setdefault(path, []).append(name)
    by = {n: {other for path in problem.weights_of(n) for other in owners[path] if other != n} for n in ends}
    bypassed = [n for n in ends if by[n]]
    if bypassed:
        others = [n for n in problem.nodes if n not in bypassed and any(n in by[end] for end in bypassed)]
        others = others or bypassed
        warn(
            f"{call}: no prediction is made from the value of {', '.join(bypassed)}, though {', '.join(others)} "
            f"{'is' if len(others) == 1 else 'are'} predicted by the same layers. Go on with what the node's call "
            "returns: h = vode(u)"
        )


def _layer(path: str) -> str:
    return path.split(".nn.")[0]
