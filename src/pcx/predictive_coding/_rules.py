"""Rules of value nodes: what happens when a value is set or read, by status.

Rule strings are parsed once, when the ruleset is made. Which rules hold under a status is found when that status is
first met, and remembered.
"""

from __future__ import annotations

import dataclasses
import re
import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING

from jaxtyping import PyTree

from ..core import static, static_key

_NAME = r"[A-Za-z_]\w*"
_SET = re.compile(rf"\s*({_NAME}(?:\s*,\s*{_NAME})*)\s*<-\s*({_NAME})((?:\s*:\s*{_NAME})*)\s*")
_GET = re.compile(rf"\s*({_NAME})\s*->\s*({_NAME})((?:\s*:\s*{_NAME})*)\s*")

if TYPE_CHECKING:
    from ..core import RandomKeyGenerator
    from ._vode import Vode

Transformation = Callable[["Vode", str, PyTree, "RandomKeyGenerator"], PyTree]
"""`f(vode, key, value, rkg)`: the value of that name, changed."""


@dataclasses.dataclass(frozen=True)
class SetRule:
    """`"t1, t2 <- key:f:g"`: what is set as `key` is transformed and stored in the targets."""

    key: str
    targets: tuple[str, ...]
    tforms: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class GetRule:
    """`"key -> target:f:g"`: who reads `key` gets the transformed `target`."""

    key: str
    target: str
    tforms: tuple[str, ...]

    @property
    def cached_as(self) -> str:
        """The name under which the cache has the value that the rule gave."""
        return ":".join((self.target, *self.tforms))


def _parse(text: object, pattern: str, tforms: Mapping[str, Transformation]) -> SetRule | GetRule:
    where = f"Ruleset: rule {text!r} of status {pattern!r}"
    if not isinstance(text, str):
        raise TypeError(f"{where}: a rule must be a string")
    for form, expression in ((SetRule, _SET), (GetRule, _GET)):
        found = expression.fullmatch(text)
        if found is None:
            continue
        left, right, chain = found.groups()
        names = tuple([t.strip() for t in chain.split(":")[1:]])
        unknown = [n for n in names if n not in tforms]
        if unknown:
            known = ", ".join(tforms) or "none"
            raise ValueError(f"{where}: unknown transformation {unknown[0]!r} (tforms has: {known})")
        if form is SetRule:
            return SetRule(right, tuple([t.strip() for t in left.split(",")]), names)
        return GetRule(left, right, names)
    raise ValueError(f"{where} can't be read: write 'target, target <- key:f:g' or 'key -> target:f:g'")


class Ruleset:
    """Rules by status.

    **Arguments:**

    - `rules`: a dict from a regular expression, which must match the whole status (None counts as the empty string),
      to rules. `"t1, t2 <- key:f:g"`, when `key` is set: all rules that match, in order; the value goes through the
      transformations from left to right and into the targets. `"key -> target:f:g"`, when `key` is read: the first
      that matches, with a UserWarning if several do; the result is cached until cleared.
    - `tforms`: transformations by name, each `f(vode, key, value, rkg)`.

    **Attributes:**

    - `rules`, `tforms`: statics that hold what was given.

    **Raises:** `ValueError` for a rule that can't be read, naming it; `TypeError` for rules or transformations of
    another type.
    """

    __slots__ = ("_by_status", "_rules", "rules", "tforms")

    def __init__(self, rules: Mapping[str, Sequence[str]], tforms: Mapping[str, Transformation] = {}) -> None:
        for name, given in (("rules", rules), ("tforms", tforms)):
            if not isinstance(given, Mapping):
                raise TypeError(f"Ruleset: {name} must be a dict, got {type(given).__name__}")
        self.rules, self.tforms = static(dict(rules)), static(dict(tforms))
        for name, fn in tforms.items():
            if not callable(fn):
                raise TypeError(f"Ruleset: the transformation {name!r} must be a function, got {type(fn).__name__}")
        parsed: list[tuple[re.Pattern[str], tuple[SetRule | GetRule, ...]]] = []
        for pattern, texts in rules.items():
            try:
                compiled = re.compile(pattern)
            except (re.error, TypeError) as e:
                raise ValueError(f"Ruleset: status {pattern!r} is no regular expression: {e}") from None
            if isinstance(texts, str):
                texts = (texts,)
            if not isinstance(texts, Sequence):
                raise TypeError(f"Ruleset: the rules of status {pattern!r} must be a tuple of strings, got {texts!r}")
            parsed.append((compiled, tuple([_parse(t, pattern, tforms) for t in texts])))
        self._rules = tuple(parsed)
        self._by_status: dict[str, tuple[dict[str, tuple[SetRule, ...]], dict[str, tuple[GetRule, ...]]]] = {}

    def __static_key__(self) -> Hashable:
        return ("Ruleset", tuple([(p.pattern, rules) for p, rules in self._rules]), static_key(self.tforms))

    def __repr__(self) -> str:
        return f"Ruleset({ {p.pattern: rules for p, rules in self._rules} })"

    def _in_force(self, status: str | None) -> tuple[dict[str, tuple[SetRule, ...]], dict[str, tuple[GetRule, ...]]]:
        status = status or ""
        found = self._by_status.get(status)
        if found is None:
            on_set: dict[str, tuple[SetRule, ...]] = {}
            on_get: dict[str, tuple[GetRule, ...]] = {}
            for pattern, rules in self._rules:
                if pattern.fullmatch(status) is None:
                    continue
                for rule in rules:
                    if isinstance(rule, SetRule):
                        on_set[rule.key] = (*on_set.get(rule.key, ()), rule)
                    else:
                        on_get[rule.key] = (*on_get.get(rule.key, ()), rule)
            found = self._by_status[status] = (on_set, on_get)
        return found

    def when_set(self, status: str | None, key: str) -> tuple[SetRule, ...]:
        """Return the rules for setting a value, in order.

        **Arguments:**

        - `status`: of the vode.
        - `key`: the name of the value.

        **Returns:** none if the value is stored under its own name.
        """
        return self._in_force(status)[0].get(key, ())

    def when_read(self, status: str | None, key: str) -> GetRule | None:
        """Return the rule for reading a value.

        **Arguments:**

        - `status`: of the vode.
        - `key`: the name of the value.

        **Returns:** None if the value is read as it is stored.
        """
        found = self._in_force(status)[1].get(key)
        return found[0] if found else None

    def warn_of_several(self, status: str | None, key: str) -> None:
        """Warn if more than one rule says how a value is read.

        **Arguments:**

        - `status`: of the vode.
        - `key`: the name of the value.
        """
        found = self._in_force(status)[1].get(key, ())
        if len(found) > 1:
            warnings.warn(
                f"several rules say how {key!r} is read under status {status!r}; the first is taken: {found[0]}",
                UserWarning,
                stacklevel=3,
            )

    def plain(self, init: str) -> bool:
        """Return whether `h` and `u` are read as they are when values settle, and `u` is then stored as under the
        status of initialisation: only then is the error zero at the start.

        **Arguments:**

        - `init`: that status.

        **Returns:** True or False.
        """
        read = [self.when_read(None, key) for key in ("h", "u")]
        if any(rule is not None and (rule.tforms or rule.target != rule.key) for rule in read):
            return False
        return self._stored_through(None) == self._stored_through(init)

    def _stored_through(self, status: str | None) -> tuple[str, ...]:
        """Return the transformations that a prediction goes through before it is stored."""
        rules = self.when_set(status, "u")
        last = [rule.tforms for rule in rules if "u" in rule.targets]
        return last[-1] if last else ()

    def transform(self, names: Sequence[str], vode: Vode, key: str, value: PyTree, rkg: RandomKeyGenerator) -> PyTree:
        """Apply transformations to a value, from left to right.

        **Arguments:**

        - `names`: of the transformations.
        - `vode`, `key`, `rkg`: what each is called with beside the value.
        - `value`: the value that the first one gets.

        **Returns:** what the last one gives.
        """
        for name in names:
            value = self.tforms[name](vode, key, value, rkg)
        return value
