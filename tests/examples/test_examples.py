"""The programs of `examples/` run as they stand, end well, and learn."""

import re
import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
LINES = 80


def output_of(
    name: str, options: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
) -> str:
    """What a program prints, run in a folder that is empty."""
    monkeypatch.setattr(sys, "argv", [name, *options])
    monkeypatch.chdir(folder)
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    return capsys.readouterr().out


def test_an_example_is_short_enough_to_copy():
    found = sorted(EXAMPLES.glob("*.py"))
    assert [path.name for path in found] == [
        "autoencode.py",
        "classify.py",
        "own_equinox_network.py",
        "own_loader.py",
        "own_rule.py",
    ]
    for path in found:
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= LINES, path.name
        assert f"python examples/{path.name}" in text, path.name


@pytest.mark.hasty
@pytest.mark.parametrize(
    ("name", "options", "accuracy"),
    [
        ("classify.py", ["--epochs", "4"], 85),
        ("own_loader.py", [], 85),
        ("own_rule.py", [], 80),
        ("own_equinox_network.py", [], 80),
    ],
)
def test_it_learns(name, options, accuracy, monkeypatch, capsys, tmp_path):
    printed = output_of(name, options, monkeypatch, capsys, tmp_path)
    ends = "\n".join(line for line in printed.splitlines() if not line.startswith("epoch "))
    found = [float(number) for number in re.findall(r"accuracy (\d+\.\d+)%", ends)]
    assert found, printed
    assert min(found) > accuracy, printed
    assert not list(tmp_path.iterdir())  # nothing is written that wasn't asked for


@pytest.mark.hasty
def test_images_are_filled_in_better_than_by_their_mean(monkeypatch, capsys, tmp_path):
    printed = output_of("autoencode.py", ["--picture", "images.png"], monkeypatch, capsys, tmp_path)
    filled, mean = re.findall(r"lower half: error (\d\.\d+), of the mean image (\d\.\d+)", printed)[0]
    assert float(filled) < float(mean), printed
    assert (tmp_path / "images.png").stat().st_size > 0


@pytest.mark.hasty
def test_batches_may_come_from_grain(monkeypatch, capsys, tmp_path):
    pytest.importorskip("grain", reason="Grain is an extra: pip install grain")
    printed = output_of("own_loader.py", ["--grain"], monkeypatch, capsys, tmp_path)
    assert "done" in printed, printed
