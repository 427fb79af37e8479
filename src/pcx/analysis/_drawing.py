"""Drawings of networks."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import PyTree

from ..core import Choice
from ..learning import Rule, State
from ..predictive_coding import EnergyModule
from ._boxes import boxes_of
from ._looked_at import problem_of
from ._network import model_name, networks_of, weights_of
from ._networks import Batch
from ._record import Regime
from ._svg import Picture, svg_of


@dataclasses.dataclass(frozen=True, repr=False)
class Drawing:
    """A drawing of a network, see `draw`. In a notebook it shows itself.

    **Attributes:**

    - `svg`: the drawing, as text of an SVG file. It needs no other file, and follows light and dark pages.
    - `title`: all of it in a few words.
    """

    svg: str
    title: str

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the drawing into a file, over one that is there.

        **Arguments:**

        - `path`: of the file; its name ends in `.svg`.

        **Returns:** the path.

        **Raises:** `ValueError` for another ending; `OSError` if it can't be written, which leaves the old file whole.
        """
        path = Path(path)
        if path.suffix != ".svg":
            raise ValueError(f"save: the drawing is SVG, so the file's name must end in .svg, got {path.name!r}")
        new = path.with_name(f".{path.name}.{os.getpid()}.new")
        try:
            new.write_text(self.svg, encoding="utf-8")
            os.replace(new, path)
        finally:
            new.unlink(missing_ok=True)
        return path

    def __repr__(self) -> str:
        return f"Drawing({self.title})"

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_html_(self) -> str:
        return f'<div style="overflow-x: auto">{self.svg}</div>'


def draw(
    model: State | EnergyModule,
    batch: Batch,
    *,
    energies: Regime | Mapping[str, ArrayLike] | None = None,
    rule: Rule | None = None,
    call: Callable[..., PyTree] | None = None,
    learn: Choice | None = None,
    unfold: bool = False,
) -> Drawing:
    """Draw a network: value nodes in rows by depth, with arrows of predictions and the layers in between. Nodes that
    targets clamp have a double frame and square corners. The model is traced at the shapes of the batch; it is neither
    run nor changed.

    **Arguments:**

    - `model`, `batch`, `rule`, `call`, `learn`: see `summary`.
    - `energies`: numbers to write into the nodes: a `Regime`; or `{node: energy}`, such as a row of a run's history has
        under `"energies"`. Of several networks their mean is written.
    - `unfold`: whether equal layers are drawn one by one; three or more are otherwise one box.

    **Returns:** a `Drawing`.

    **Raises:** as `summary`; `ValueError` for energies of nodes that there are not.
    """
    problem, several = problem_of("draw", model, batch, rule, call, learn)
    networks, weights = networks_of(problem), weights_of(problem)
    values = [n for network in networks for n in network.values]
    numbers = None if energies is None else _numbers(energies, values)
    pictures = [Picture(n.part, *boxes_of(n, weights, numbers, unfold)) for n in networks]
    clamped = [n for network in networks for n, v in network.values.items() if v.clamped]
    count = len(set(values))
    title = f"{model_name(problem.structure)}: {count} value node{'s' if count != 1 else ''}; clamped: "
    title += ", ".join(dict.fromkeys(clamped)) or "none"
    return Drawing(svg_of(title + (f"; one of {several} networks" if several else ""), pictures), title)


def _numbers(energies: Regime | Mapping[str, ArrayLike], values: list[str]) -> dict[str, float]:
    given = energies.energy if isinstance(energies, Regime) else energies
    if not isinstance(given, Mapping):
        raise TypeError(f"draw: energies are a Regime or {{node: number}}, got {type(energies).__name__}")
    for name in given:
        if name not in values and name:  # what the model itself adds goes by no name
            raise ValueError(f"draw: energies has {name!r}, which is no node; the nodes are {', '.join(values)}")
    return {n: float(np.mean(np.asarray(given[n], float))) for n in values if n in given}
