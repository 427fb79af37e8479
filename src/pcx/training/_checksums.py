"""Checksums: what is read from a file is what was written, or it is said."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from ._types import Json


def of_array(array: np.ndarray) -> str:
    """Return the SHA-256 of an array: of its dtype, shape and bytes."""
    found = hashlib.sha256(f"{array.dtype}{list(array.shape)}".encode())
    found.update(bytes_of(array))
    return found.hexdigest()


def bytes_of(array: np.ndarray) -> memoryview:
    """Return the bytes of an array in the order of its elements, without a copy where they lie so."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def of_json(value: Json) -> str:
    """Return the SHA-256 of a JSON value, whatever the order of its names."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def sealed(content: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return a JSON value with checksums of arrays by name, and of itself."""
    seal: dict[str, Any] = json.loads(json.dumps(content))
    seal["sha256"] = {name: of_array(array) for name, array in arrays.items()}
    return {**seal, "sha256_of_this": of_json(seal)}


def unsealed(seal: object, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return what `sealed` was given, if neither it nor an array has changed.

    **Raises:** `ValueError` saying what has changed.
    """
    if not isinstance(seal, dict) or not isinstance(seal.get("sha256"), dict) or "sha256_of_this" not in seal:
        raise ValueError("it has no checksums: it is damaged, or was written before there were any")
    content = {name: value for name, value in seal.items() if name != "sha256_of_this"}
    if of_json(content) != seal["sha256_of_this"]:
        raise ValueError("its description has changed since it was written")
    held = content.pop("sha256")
    if set(held) != set(arrays):
        raise ValueError(f"arrays are missing or new: {', '.join(sorted(set(held) ^ set(arrays))[:5])}")
    changed = [name for name, array in arrays.items() if of_array(array) != held[name]]
    if changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        raise ValueError(f"{', '.join(changed[:3])}{more} changed since it was written")
    return content
