"""States as tables of HTML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from ..core import html_table
from ..energy import Structure, forms_of
from ..predictive_coding import NodeRow, nodes_html

if TYPE_CHECKING:
    from ._state import State


def state_html(
    state: State, energies: Mapping[str, float | None] | None = None, head: str = "E", of: str = "state"
) -> str:
    """Return tables of a state's nodes and of its arrays. None of these is shown, or waited for.

    **Arguments:**

    - `state`: of one network, or of several.
    - `energies`: numbers to show beside nodes, by name; None where one is not finite.
    - `head`: what these are.
    - `of`: what the state is.
    """
    networks = _networks(state)
    caption = f"{_model_name(state)}: {of}" + (f" of {networks} networks" if networks is not None else "")
    rows = []
    for name, shape, energy in _nodes(state.structure):
        numbers = () if energies is None else (_number(energies, name),)
        rows.append(NodeRow(name, "clamped" if name in state.outputs else "free", shape, energy, numbers))
    arrays = [*_arrays(state.weights, "learns", networks), *_arrays(state.rest, "does not learn", networks)]
    place = {path: i for i, path in enumerate(_parts(state.structure)[0].params)}
    arrays.sort(key=lambda cells: place.get(cells[0], len(place)))
    total = sum(int(cells[-1].replace(",", "")) for cells in arrays)
    arrays.append(["total", "", "", f"{total:,}"])
    heads = ("array", "is", "shape", "numbers")
    each = "arrays" if networks is None else "arrays of each network"
    return (
        nodes_html(rows, caption, () if energies is None else (head,)) + "\n" + html_table(heads, arrays, each, left=3)
    )


def _parts(structure: Structure) -> list[Structure]:
    """Return the structures of both networks of two, or the one there is."""
    whole: Any = structure
    return [whole.generative, whole.recognition] if hasattr(whole, "recognition") else [structure]


def _nodes(structure: Structure) -> list[tuple[str, str, str]]:
    """Return each node's name, shape and energy in words."""
    found = {}
    for part in _parts(structure):
        # Equal networks share what was traced of them. Shapes for one sample are as in the last batch.
        traced: Any = next(reversed(part.problems.values()), None)
        for name in part.nodes:
            shape = "not known yet" if traced is None else str(list(traced.nodes[name].shape))
            found[name] = name, shape, part.energy_names[name]
    return list(found.values())


def _arrays(arrays: Mapping[str, Any], kind: str, networks: int | None) -> list[list[str]]:
    one: Any = arrays
    if networks is not None:
        one = jtu.tree_map(lambda a: jax.ShapeDtypeStruct(np.shape(a)[1:], jnp.result_type(a)), arrays)
    rows = []
    for path, forms in forms_of(one).items():
        leaves = jtu.tree_leaves(forms)
        shape = f"{list(leaves[0].shape)}, {leaves[0].dtype}" if len(leaves) == 1 else f"{len(leaves)} arrays"
        rows.append([path.removeprefix("="), kind, shape, f"{sum(a.size for a in leaves):,}"])
    return rows


def _networks(state: State) -> int | None:
    typed = jnp.issubdtype(state.key.dtype, jax.dtypes.prng_key)
    shape = np.shape(state.key)
    return int(shape[0]) if len(shape) > (0 if typed else 1) else None


def _model_name(state: State) -> str:
    s: Any = state.structure
    return type(s.skeleton.without_values(s.numbers, s.statics)).__name__


def _number(energies: Mapping[str, float | None], name: str) -> str:
    energy = energies.get(name)
    return "" if name not in energies else "not finite" if energy is None else f"{energy:.4g}"
