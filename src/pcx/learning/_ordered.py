"""Values by node, in the order of the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import jax.tree_util as jtu


class InOrder(dict[str, Any]):
    """A dict by node that keeps its order, the model's, where JAX would sort the keys of a plain one."""


def in_order(names: Iterable[str], values: Mapping[str, Any]) -> InOrder:
    """Return the values of the named nodes in that order, and then all others."""
    first = [n for n in names if n in values]
    return InOrder({n: values[n] for n in [*first, *[n for n in values if n not in first]]})


jtu.register_pytree_with_keys(
    InOrder,
    lambda d: ([(jtu.DictKey(n), v) for n, v in d.items()], tuple(d)),
    lambda names, values: InOrder(zip(names, values, strict=True)),
    lambda d: (list(d.values()), tuple(d)),
)
