"""Differences between what a program showed in two environments."""

import math


def differences(theirs: dict, ours: dict, tolerance: float) -> dict[str, tuple[str, str]]:
    """The values that differ, by name, in short; `ended` says how a program stopped, where it did."""
    found = {}
    if theirs["ended"] != ours["ended"]:
        found["ended"] = str(theirs["ended"]), str(ours["ended"])
    names = dict.fromkeys([*theirs["shown"], *ours["shown"]])
    if "ended" in found:  # what only one of them came to is no other difference
        names = {name: None for name in names if name in theirs["shown"] and name in ours["shown"]}
    for name in names:
        a, b = (side["shown"].get(name, "not shown") for side in (theirs, ours))
        if not same(a, b, tolerance):
            found[name] = short(a), short(b)
    return found


def same(a: object, b: object, tolerance: float) -> bool:
    match a, b:
        case (bool(), _) | (_, bool()):
            return a is b
        case int() | float(), int() | float():
            return a == b or abs(a - b) <= tolerance * max(1.0, abs(a)) or (math.isnan(a) and math.isnan(b))
        case list(), list():
            return len(a) == len(b) and all(same(x, y, tolerance) for x, y in zip(a, b, strict=True))
        case dict(), dict():
            return a.keys() == b.keys() and all(same(a[k], b[k], tolerance) for k in a)
    return a == b


def short(x: object, limit: int = 160) -> str:
    text = str(x)
    return text if len(text) <= limit else text[:limit] + "..."
