"""What a compiled program does, counted in its text: work of products, and what devices tell each other.

XLA's own analysis counts the body of a loop once, whatever its number of turns; here it counts as often as it runs.
"""

import collections
import math
import re

_BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "f32": 4, "s64": 8, "u64": 8, "f64": 8}
_SHAPE = re.compile(rf"\b({'|'.join(_BYTES)})\[([\d,]*)\]")
_LINE = re.compile(r"^\s+(?:ROOT )?%?([\w.\-]+) = (.*?) ([a-z][\w\-]*)\((.*)$")
_HEAD = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*-> .*\{$")
EXCHANGES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")


def counted(text, once=False):
    """Count what one run of a program does: `flops` of products and convolutions, `exchanges`, and their `bytes`.

    **Arguments:**

    - `text`: the compiled program.
    - `once`: whether bodies of loops count once, as in XLA's own analysis.

    **Returns:** a Counter; bytes are of what is summed or gathered, as one device has it.
    """
    computations, entry = _computations(text)

    def walk(name):
        shapes, total = {}, collections.Counter()
        for line in computations[name]:
            found = _LINE.match(line)
            if found is None:
                continue
            out, shape, op, rest = found.groups()
            shapes[out] = shape
            if op.removesuffix("-start") in EXCHANGES:
                total += {"exchanges": 1, "bytes": _size(shape), op.removesuffix("-start"): 1}
            elif op in ("dot", "convolution"):
                total["flops"] += _flops(op, shape, rest, shapes)
            elif op == "while":
                turns = re.search(r'"known_trip_count":\{"n":"(\d+)"', rest)
                inner = walk(re.search(r"body=%?([\w.\-]+)", rest).group(1))
                times = 1 if once or turns is None else int(turns.group(1))
                total += {k: times * v for k, v in inner.items()}
            elif op == "conditional":  # what is looked at only where a number is not finite
                named = re.findall(r"(?:branch_computations=\{|computation=|, )%([\w.\-]+)", rest)
                inner = [walk(n) for n in named if n in computations]
                total += min(inner, key=lambda c: (c["exchanges"], c["flops"]), default=collections.Counter())
            elif op in ("call", "fusion"):
                total += walk(re.search(r"(?:calls|to_apply)=%?([\w.\-]+)", rest).group(1))
        return total

    return walk(entry)


def _computations(text):
    found, entry, lines = {}, None, None
    for line in text.splitlines():
        head = _HEAD.match(line)
        if head:
            lines = found.setdefault(head.group(2), [])
            entry = head.group(2) if head.group(1) else entry
        elif line.startswith("}"):
            lines = None
        elif lines is not None:
            lines.append(line)
    return found, entry


def _dims(shape):
    return [int(d) for d in _SHAPE.search(shape).group(2).split(",") if d]


def _size(shape):
    return sum(_BYTES[kind] * math.prod(int(d) for d in dims.split(",") if d) for kind, dims in _SHAPE.findall(shape))


def _flops(op, shape, rest, shapes):
    left, right = [_dims(shapes[name]) for name in re.findall(r"%([\w.\-]+)", rest)[:2]]
    if op == "dot":
        summed = re.search(r"lhs_contracting_dims=\{([\d,]*)\}", rest).group(1)
        return 2 * math.prod(_dims(shape)) * math.prod(left[int(d)] for d in summed.split(",") if d)
    kernel = re.search(r"dim_labels=\w+_(\w+)->", rest).group(1)  # of every output, over the kernel without its outputs
    return 2 * math.prod(_dims(shape)) * math.prod(d for d, label in zip(right, kernel, strict=True) if label != "o")
