"""Folders of runs, written by hand."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

NODES = ("vodes[0]", "vodes[1]", "vodes[2]")


def row(epoch: int, network: int = 0, **values: Any) -> dict[str, Any]:
    """A line of `metrics.jsonl`."""
    energy = 0.5 / epoch + 0.01 * network
    energies = {node: energy * 10.0 ** (place - 2) for place, node in enumerate(NODES)}
    accuracy = 0.9 - 0.4 / epoch + 0.02 * network
    made = {"epoch": epoch, "network": network, "seed": network, "accuracy": accuracy, "energy": energy}
    made |= {"validation_loss": 0.7 / epoch, "steps": 8.0, "seconds": 0.1, "energies": energies}
    return made | values


def run(folder: Path, rows: list[dict[str, Any]], log: str = "done", **options: Any) -> Path:
    """The folder of a run of `pcx train`."""
    folder.mkdir(parents=True)
    networks = [{"seed": seed, "settings": {}} for seed in range(1 + max([r["network"] for r in rows], default=0))]
    given = {"rule": "pc", "data": "two-moons", "pc": {"T": 8}, "zil": {"state_lr": 1.0}, "lr": 0.01} | options
    config = {"command": "train", "epochs": 4, "options": given, "made_of": {"networks": networks}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    (folder / "log.txt").write_text(f"2026-01-01T10:00:00 began: 1 network\n2026-01-01T10:01:00 {log}\n")
    (folder / "versions.json").write_text(json.dumps({"pcx": "0.1.0", "packages": {"jax": "0.9.2"}, "git": None}))
    return folder


class Page(HTMLParser):
    """What a page holds: its tags with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def count(self, tag: str) -> int:
        return sum(1 for name, _ in self.tags if name == tag)
