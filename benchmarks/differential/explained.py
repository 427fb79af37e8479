"""Differences that are meant, by program and by the name of the value: each with its reason."""

EXPLAINED: dict[str, dict[str, str]] = {}
