"""The boxes and arrows that a network is drawn as, equal layers as one box."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from ._folded import Item, aligned, items_of, span
from ._network import Network, Weight, layers_of


class Box(NamedTuple):
    """A box.

    **Attributes:**

    - `kind`: of what it is.
    - `name`: what it says first.
    - `lines`: what else it says.
    - `told`: all of it in words.
    - `several`: whether it stands for several nodes.
    - `share`: of the total energy, if it is known.
    """

    kind: Literal["input", "free", "clamped"]
    name: str
    lines: tuple[str, ...]
    told: str
    several: bool = False
    share: float | None = None


class Line(NamedTuple):
    """An arrow between boxes.

    **Attributes:**

    - `source`, `target`: the boxes' places in their list.
    - `label`: the layers in between.
    - `told`: all of it in words.
    """

    source: int
    target: int
    label: str
    told: str


def boxes_of(
    network: Network, weights: Mapping[str, Weight], energies: Mapping[str, float] | None, unfold: bool
) -> tuple[list[Box], list[Line]]:
    """Return what a network is drawn as: boxes, and arrows from boxes to later ones.

    **Arguments:**

    - `network`: the network.
    - `weights`: its model's arrays by path.
    - `energies`: numbers to write into nodes, by name; None for none.
    - `unfold`: whether equal layers are drawn one by one.
    """
    items = items_of(network, unfold)
    total = sum(energies.values()) if energies else 0.0
    shares = total > 0 and energies is not None and min(energies.values()) >= 0
    boxes = [
        Box("input", n, (str(list(shape)),), f"{n}, of shape {list(shape)}: input")
        for n, shape in network.inputs.items()
    ]
    place = {n: i for i, n in enumerate(network.inputs)}
    for item in items:
        place.update(dict.fromkeys(item.names, len(boxes)))
        known = [energies[n] for n in item.names if n in energies] if energies is not None else []
        boxes.append(_box(network, item, sum(known) if known else None, total if shares else 0.0))
    lines: dict[tuple[int, int], list[tuple[str, str]]] = {}
    for item in items:
        for source, labels in _read(network, items, item):
            own = next((i.name for i in items if source in i.names and i.run == item.run), source)
            said = f"{own} to {item.name}: {_told(labels, weights)}"
            lines.setdefault((place[source], place[item.names[0]]), []).append(
                (_label(source, item, items, labels), said)
            )
    found = []
    for (a, b), each in lines.items():
        label = ", ".join(dict.fromkeys([text for text, _ in each if text]))
        found.append(Line(a, b, label, "; ".join(dict.fromkeys([said for _, said in each]))))
    return boxes, found


class _Labels(NamedTuple):
    """The layers between a source and equal nodes, the arrays in them, and whether there is a skip."""

    layers: tuple[tuple[str, ...], ...]
    arrays: tuple[tuple[str, ...], ...]
    skip: bool


def _read(network: Network, items: Sequence[Item], item: Item) -> list[tuple[str, _Labels]]:
    """Return what a box is predicted from outside of its own repetitions, with what is in between."""
    members = [(v, list(v.ways)) for v in item.values]
    alike = len({len(sources) for _, sources in members}) == 1
    repetition = {n: i for other in items if other.run == item.run and item.run >= 0 for i, n in enumerate(other.names)}
    order = {other.names: i for i, other in enumerate(items)}
    of = {n: other for other in items for n in other.names}
    found = []
    for j, (value, sources) in enumerate(members):
        for i, source in enumerate(sources):
            inside = source in repetition and (repetition[source] != j or order[of[source].names] >= order[item.names])
            if inside:
                continue
            ways = [v.ways[names[i]] for v, names in members] if alike else [value.ways[source]]
            labels = _Labels(
                tuple(aligned([layers_of(way.arrays) for way in ways])),
                tuple(aligned([way.arrays for way in ways])),
                any(way.skip for way in ways),
            )
            found.append((source, labels))
    return found


def _label(source: str, target: Item, items: Sequence[Item], labels: _Labels) -> str:
    parts = [*[span(names) for names in labels.layers], *(["skip"] if labels.skip else [])]
    # The end of equal layers is what is read as a rule.
    inner = [item for item in items if source in item.names[:-1] and (item.run != target.run)]
    return " + ".join(parts) + (f" from {source}" if inner else "")


def _told(labels: _Labels, weights: Mapping[str, Weight]) -> str:
    parts = []
    for paths in labels.arrays:
        shapes = " ".join([str(list(shape)) for shape in weights[paths[0]].shapes])
        frozen = ", frozen" if weights[paths[0]].kind == "frozen" else ""
        parts.append(f"{span(paths)} {shapes}{frozen}")
    return "; ".join([*parts, *(["as it is (a skip)"] if labels.skip else [])]) or "by no layer"


def _box(network: Network, item: Item, energy: float | None, total: float) -> Box:
    first, several = item.values[0], len(item.values)
    kind = "clamped" if first.clamped else "free"
    lines = [f"{list(first.shape)} {'no energy' if first.energy == 'none' else first.energy}"]
    told = [f"{item.name}, of shape {list(first.shape)}: {kind}; energy: {first.energy}"]
    if several > 1:
        places = len(network.runs[item.run])
        lines.append(f"{several} equal layers" if places == 1 else f"{several} equal blocks of {places}")
        told.append(f"{several} nodes, predicted alike with other weights, one after the other")
    if kind == "clamped":
        lines.append("clamped")
    share = None
    if energy is not None:
        share = energy / total if total else None
        digits = 3 if share is not None and share >= 0.995 else 2  # 99.7%, and not 1e+02%
        number = f"E = {energy:.3g}" + (f" ({100 * share:.{digits}g}%)" if share is not None else "")
        lines.append(number)
        told.append(number + (" together" if several > 1 else ""))
    return Box(kind, item.name, tuple(lines), "; ".join(told), several > 1, share)
