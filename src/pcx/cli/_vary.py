"""The settings that `pcx sweep` tries, as they are written: `--vary NAME=VALUES`. Imports nothing heavy."""

from __future__ import annotations

import copy
import math
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin, get_type_hints

from ._checks import dashed
from ._failures import Refused
from ._rules import RULE_NAMES, Rules
from ._settings import TrainOptions, is_own

if TYPE_CHECKING:
    from ..training import Choice, Integers, Log, Uniform

# What decides how a network learns. Data, seeds and epochs are the same for all that are compared.
_OPTIONS = ("rule", "model", "hidden", "act", "energy", "optimiser", "lr", "weight_decay", "momentum", "schedule",
            "decay_epochs", "batch_size", "dtype")  # fmt: skip
OF_MODEL = ("model", "hidden", "act", "energy")
# Numbers that a compiled program can be given: all others make a program of their own.
_TRACED = ("lr", "weight_decay", "momentum", "state_lr", "state_momentum", "beta", "step", "variance")
_NOT_TRACED = ("mcpc.momentum",)


@dataclass(frozen=True)
class Vary:
    """One setting and its values.

    **Attributes:**

    - `text`: as it was written.
    - `name`: a word for it; `path`: where it is among the options, `*` for the rule that is used.
    - `low`, `high`, `log`, `points`: of a range; `values`: of a list.
    - `static`: whether each value makes a program of its own.
    """

    text: str
    name: str
    path: tuple[str, ...]
    static: bool
    values: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None
    log: bool = False
    points: int | None = None
    whole: bool = False

    @property
    def domain(self) -> Log | Uniform | Integers | Choice:
        """The values, as `pcx.training.sweep` takes them.

        **Raises:** `Refused` if they can't be tried.
        """
        from .. import training as pxt

        try:
            if self.low is None or self.high is None:
                return pxt.Choice(self.values, static=self.static)
            if self.whole:
                return pxt.Integers(int(self.low), int(self.high), self.log)
            return (pxt.Log if self.log else pxt.Uniform)(self.low, self.high, self.points, self.static)
        except (TypeError, ValueError) as error:
            raise Refused(f"--vary {self.text}: {error}") from error

    @property
    def examples(self) -> tuple[Any, ...]:
        """Values to check: all of a list, the bounds of a range."""
        return self.values if self.low is None else (self.low, self.high)


def varied(text: str, rules: tuple[str, ...], constant: bool) -> Vary:
    """Return a setting from what was written.

    **Arguments:**

    - `rules`: that are used.
    - `constant`: whether the rate of the weights is constant; the course of another one is known when it is compiled.

    **Raises:** `Refused`.
    """
    written, equals, values = text.partition("=")
    if not equals or not written.strip() or not values.strip():
        raise Refused(f"--vary must be NAME=VALUES, such as lr=1e-4,1e-3 or lr=1e-4..1e-2:log:5, got {text}")
    path, hint = _found(written.strip().removeprefix("--").replace("-", "_"), rules, text)
    name = "_".join(part for part in path if part != "*")
    values, static = values.strip(), False
    if values.endswith(":static"):
        values, static = values.removesuffix(":static"), True
    traced = path[-1] in _TRACED and ".".join(path) not in _NOT_TRACED and not (path == ("lr",) and not constant)
    static = static or not traced
    if ".." in values and hint in (int, float):
        return _range(text, name, path, values, hint, static)
    kept = tuple([_value(each.strip(), hint, text) for each in values.split(",")])
    return Vary(text, name, path, static, kept)


def _found(name: str, rules: tuple[str, ...], text: str) -> tuple[tuple[str, ...], Any]:
    """The place of an option, and its type."""
    hints = get_type_hints(TrainOptions)
    if name in _OPTIONS:
        return (name,), hints[name]
    owner, dot, inside = name.rpartition(".")
    of_rules = get_type_hints(Rules)
    if dot and owner in RULE_NAMES:
        own = get_type_hints(of_rules[owner])
        if inside not in own:
            raise Refused(f"--vary {text}: rule {owner} has no option {dashed(inside)}; it has {_list(own)}")
        if set(rules) != {owner}:
            raise Refused(f"--vary {text} has no effect: the rule is {', '.join(rules)}")
        return (owner, inside), own[inside]
    if not dot:
        owners = [get_type_hints(of_rules[rule]) if rule in RULE_NAMES else {} for rule in rules]
        if owners and all(name in own for own in owners):
            return ("*", name), owners[0][name]
        lacking = [rule for rule, own in zip(rules, owners, strict=True) if name not in own]
        if len(lacking) < len(owners):
            raise Refused(f"--vary {text}: rule {', '.join(lacking)} has no option {dashed(name)}")
        if name in hints and name not in RULE_NAMES:
            raise Refused(f"--vary {text}: --{dashed(name)} is the same for all that are compared; give it by itself")
    there = list(
        dict.fromkeys([*_OPTIONS, *[n for r in rules if r in RULE_NAMES for n in get_type_hints(of_rules[r])]])
    )
    raise Refused(f"--vary {text}: there is no option {dashed(name)}; there are {_list(there)}")


def _list(names: Any) -> str:
    return ", ".join(map(dashed, names))


def _range(text: str, name: str, path: tuple[str, ...], values: str, hint: type, static: bool) -> Vary:
    bounds, *flags = values.split(":")
    low, _, high = bounds.partition("..")
    log, points = False, None
    for flag in flags:
        if flag == "log":
            log = True
        elif flag.isdecimal():
            points = int(flag)
        else:
            raise Refused(f"--vary {text}: {flag or 'nothing'} is neither log nor a number of points nor static")
    if hint is int and points is not None:
        raise Refused(f"--vary {text}: of whole numbers give a list, such as {name}=4,8,16, or all: {name}={bounds}")
    low, high = (_value(bound.strip(), hint, text) for bound in (low, high))
    return Vary(text, name, path, static, (), low, high, log, points, hint is int)


def _value(text: str, hint: Any, whole: str) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        kinds = [kind for kind in get_args(hint) if kind is not type(None)]
        if str in kinds and is_own(text):
            return text
        return _value(text, kinds[0], whole)
    if get_origin(hint) is tuple:
        return tuple([_value(part, get_args(hint)[0], whole) for part in text.split()])
    if get_args(hint):  # a Literal
        if text in get_args(hint):
            return text
        raise Refused(f"--vary {whole}: there is no {text or 'empty value'}; choose from {', '.join(get_args(hint))}")
    if hint is bool:
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        raise Refused(f"--vary {whole}: {text} is neither true nor false")
    if hint is str:
        return text
    try:
        found = hint(text)
    except ValueError:
        kind = "whole number" if hint is int else "number"
        raise Refused(f"--vary {whole}: {text or 'an empty value'} is no {kind}") from None
    if not math.isfinite(found):
        raise Refused(f"--vary {whole}: {text} is not finite")
    return found


def with_setting(options: TrainOptions, varied: tuple[Vary, ...], setting: Mapping[str, Any]) -> TrainOptions:
    """Return options with the values of a setting, which may be traced."""
    found = copy.copy(options)
    for each in sorted(varied, key=lambda v: v.path[0] == "*"):  # the rule first, then its options
        if each.name not in setting:
            continue
        value = setting[each.name]
        if len(each.path) == 1:
            _set(found, each.path[0], value)
        else:
            rule = found.rule if each.path[0] == "*" else each.path[0]
            inside = copy.copy(getattr(found, rule))
            _set(inside, each.path[1], value)
            _set(found, rule, inside)
    return found


def _set(options: object, name: str, value: object) -> None:
    # Not by dataclasses.replace: what checks the types of arguments would not know a traced number.
    object.__setattr__(options, name, value)
