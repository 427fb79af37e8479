"""Rules of value nodes: what happens when a value is set or read, by status.

Rule strings are parsed once, when the ruleset is made. Which rules hold under a status is found when that status is
first met, and remembered.
"""

from __future__ import annotations

import dataclasses
import re
import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from ..core import static_key

_NAME = r"[A-Za-z_]\w*"
_SET = re.compile(rf"\s*({_NAME}(?:\s*,\s*{_NAME})*)\s*<-\s*({_NAME})((?:\s*:\s*{_NAME})*)\s*")
_GET = re.compile(rf"\s*({_NAME})\s*->\s*({_NAME})((?:\s*:\s*{_NAME})*)\s*")

Transformation = Callable[[Any, str, Any, Any], Any]


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
        """The name in the cache of the value that the rule gave."""
        return ":".join((self.target, *self.tforms))


def _parse(text: Any, pattern: str, tforms: Mapping[str, Any]) -> SetRule | GetRule:
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

    **Raises:** `ValueError` for a rule that can't be read, naming it.
    """

    __slots__ = ("_by_status", "_rules", "tforms")

    def __init__(self, rules: Mapping[str, Sequence[str]], tforms: Mapping[str, Transformation] = {}) -> None:
        for name, given in (("rules", rules), ("tforms", tforms)):
            if not isinstance(given, Mapping):
                raise TypeError(f"Ruleset: {name} must be a dict, got {type(given).__name__}")
        self.tforms = dict(tforms)
        for name, fn in self.tforms.items():
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
            parsed.append((compiled, tuple([_parse(t, pattern, self.tforms) for t in texts])))
        self._rules = tuple(parsed)
        self._by_status: dict[str, tuple[dict[str, tuple[SetRule, ...]], dict[str, GetRule]]] = {}

    def __static_key__(self) -> Hashable:
        return ("Ruleset", tuple([(p.pattern, rules) for p, rules in self._rules]), static_key(self.tforms))

    def __repr__(self) -> str:
        return f"Ruleset({ {p.pattern: rules for p, rules in self._rules} })"

    def _holding(self, status: str | None) -> tuple[dict[str, tuple[SetRule, ...]], dict[str, GetRule]]:
        status = status or ""
        held = self._by_status.get(status)
        if held is None:
            on_set: dict[str, tuple[SetRule, ...]] = {}
            on_get: dict[str, GetRule] = {}
            for pattern, rules in self._rules:
                if pattern.fullmatch(status) is None:
                    continue
                for rule in rules:
                    if isinstance(rule, SetRule):
                        on_set[rule.key] = (*on_set.get(rule.key, ()), rule)
                    elif rule.key in on_get:
                        warnings.warn(
                            f"several rules say how {rule.key!r} is read under status {status!r}; the first is taken: "
                            f"{on_get[rule.key]}",
                            UserWarning,
                            stacklevel=4,
                        )
                    else:
                        on_get[rule.key] = rule
            held = self._by_status[status] = (on_set, on_get)
        return held

    def when_set(self, status: str | None, key: str) -> tuple[SetRule, ...]:
        """The rules for setting `key`, in order."""
        return self._holding(status)[0].get(key, ())

    def when_read(self, status: str | None, key: str) -> GetRule | None:
        """The rule for reading `key`, if there is one."""
        return self._holding(status)[1].get(key)

    def plain(self, init: str) -> bool:
        """Whether `h` and `u` are read as they are when values settle, and `u` is then stored as under the status
        `init`: only then is the error zero at the start."""
        read = [self.when_read(None, key) for key in ("h", "u")]
        if any(rule is not None and (rule.tforms or rule.target != rule.key) for rule in read):
            return False
        return self._stored_through(None) == self._stored_through(init)

    def _stored_through(self, status: str | None) -> tuple[str, ...]:
        """The transformations that a prediction goes through before it is stored."""
        rules = self.when_set(status, "u")
        last = [rule.tforms for rule in rules if "u" in rule.targets]
        return last[-1] if last else ()

    def transform(self, names: Sequence[str], vode: Any, key: str, value: Any, rkg: Any) -> Any:
        """`value` through the named transformations, from left to right."""
        for name in names:
            value = self.tforms[name](vode, key, value, rkg)
        return value
