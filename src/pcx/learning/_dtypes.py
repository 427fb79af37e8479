"""The dtypes of a rule's step: what of a model is cast, and states that were made under others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..energy import Casts, DTypePolicy
from ..nn import LayerParam
from ._state import State

if TYPE_CHECKING:
    from ._rule import Rule


def casts_of(policy: DTypePolicy | None) -> Casts | None:
    """Return a policy with the params of layers as what it casts beside weights; None for None."""
    return None if policy is None else Casts(policy, LayerParam)


def check_dtype(rule: Rule, state: State) -> None:
    """Refuse a state that was made under other dtypes: its step would be computed in those.

    **Raises:** `ValueError`.
    """
    if state.structure.dtypes != rule.dtype:
        made, own = ["those of the model" if d is None else d for d in (state.structure.dtypes, rule.dtype)]
        raise ValueError(
            f"{rule.name}.step: the state was made for dtypes {made}, and this rule's are {own}; put it into a model, "
            "state.write_to(model), and begin with rule.init(model, batch)"
        )
