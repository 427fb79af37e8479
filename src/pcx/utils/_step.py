"""Steps: a status for a while, and what to clear around it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from jaxtyping import PyTree

from ..core import Choice, Setting, modules, predicate
from ..core import clear_params as _clear


@contextlib.contextmanager
def step(
    module: PyTree,
    status: str | tuple[str | None, str | None] | None = None,
    *,
    clear_params: Choice | tuple[Choice, Choice] = None,
) -> Iterator[None]:
    """Enter a context in which every energy module inside `module` has a status.

    On exit, also by an exception, the status that was there before comes back, and what `clear_params` picks is set
    to None. Steps nest.

    **Arguments:**

    - `module`: a module or any tree of modules.
    - `status`: a string or None; or a pair, whose second is set on exit in place of the earlier status.
    - `clear_params`: what to clear on exit: a type, a union of types, or a predicate; or a pair, the first of which is
      cleared on entry and the second on exit.

    **Returns:** a context manager, for `with`.

    **Raises:** `TypeError` for another status or choice.
    """
    inner, *leaving = status if isinstance(status, tuple) else (status,)
    before, *rest = clear_params if isinstance(clear_params, tuple) else (None, clear_params)
    if len(rest) != 1:
        raise TypeError(
            "pxu.step: clear_params must be a type, a union of types (written A | B), a predicate, or a pair of these, "
            f"got {clear_params!r}"
        )
    after = rest[0]
    if len(leaving) > 1 or not all(s is None or isinstance(s, str) for s in (inner, *leaving)):
        raise TypeError(f"pxu.step: status must be a string, None, or a pair of these, got {status!r}")
    for choice in (before, after):
        if choice is not None:
            predicate("pxu.step", choice)  # refuse it now, not on exit
    nodes = [m for m in modules(module) if hasattr(type(m), "status")]
    if before is not None:
        _clear("pxu.step", module, before)
    settings = [vars(m).get("_status") for m in nodes]
    earlier = [setting.saved() if isinstance(setting, Setting) else None for setting in settings]
    try:
        for node in nodes:
            node.status = inner  # type: ignore[attr-defined]
        yield
    finally:
        for node, old in zip(nodes, earlier, strict=True):
            if leaving or old is None:
                node.status = leaving[0] if leaving else None  # type: ignore[attr-defined]
            else:
                vars(node)["_status"].restore(old)
        if after is not None:
            _clear("pxu.step", module, after)
