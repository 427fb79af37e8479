"""The `pcx` command, as a user runs it: in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pcx.core._version import __version__

RULES = ["zil", "hil", "backprop"]


def pcx(*args: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pcx.cli", *map(str, args)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)


def test_version(tmp_path):
    done = pcx("--version", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"pcx {__version__}\n")


def test_version_and_help_are_fast(tmp_path):
    # What costs time is named, rather than timed: a clock is no good judge on a busy machine.
    code = (
        "import sys; from pcx.cli import main\n"
        "try: main([{word!r}])\n"
        "except SystemExit: pass\n"
        "print([name for name in ('jax', 'matplotlib', 'sklearn', 'numpy') if name in sys.modules], file=sys.stderr)"
    )
    for word in ("--version", "--help"):
        command = [sys.executable, "-c", code.format(word=word)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
        assert done.stderr.strip() == "[]"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], ["run"]),
        (["--help"], ["run", "--version"]),
        (["run", "--help"], ["zil"]),
        (
            ["run", "zil", "--help"],
            ["--seeds", "--epochs", "--rule", "--out", "--batch-size", "--hidden", "(default: 8)"],
        ),
    ],
)
def test_help(args, words, tmp_path):
    done = pcx(*args, cwd=tmp_path)
    assert done.returncode == 0
    for word in words:
        assert word in done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ["compare", "--help"],
        ["runs", "--json"],
        ["train", "--data", "two-moons", "--hidden", "8", "--epochs", "10000", "--rule", "backprop"],
    ],
)
@pytest.mark.hasty
def test_a_reader_that_has_seen_enough(words, tmp_path):
    command = [sys.executable, "-m", "pcx.cli", *words]
    (tmp_path / "runs").mkdir()
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        if words[0] == "train":
            process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=120) == 141


@pytest.mark.hasty
def test_run(tmp_path):
    out = tmp_path / "results" / "first"
    done = pcx("run", "zil", "--seeds", 1, "--epochs", 1, "--out", out, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Test accuracy" in done.stdout
    names = {path.name for path in out.iterdir()}
    plain = {"config.json", "versions.json", "metrics.jsonl", "log.txt", "summary.json", "figure.png"}
    assert names == {*plain, "arms", "sums.json"}

    config = json.loads((out / "config.json").read_text())
    assert (config["seeds"], config["epochs"], config["rules"]) == (1, 1, RULES)
    versions = json.loads((out / "versions.json").read_text())
    assert versions["pcx"] == __version__
    assert versions["packages"]["jax"]
    assert versions["device"]
    metrics = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [(line["rule"], line["seed"], line["epoch"]) for line in metrics] == [(rule, 0, 1) for rule in RULES]
    assert all(line["seconds_of_all_seeds"] > 0 for line in metrics)
    summary = json.loads((out / "summary.json").read_text())["test_accuracy"]
    assert list(summary) == RULES
    for line in metrics:
        assert 0.6 < line["test_accuracy"] <= 1.0
        assert summary[line["rule"]]["best"] == {"mean": line["test_accuracy"], "std": 0.0}
    # Z-IL is backpropagation, up to rounding.
    assert metrics[0]["test_loss"] == pytest.approx(metrics[2]["test_loss"], abs=1e-4)
    assert (out / "figure.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.hasty
def test_several_rules_and_seeds(tmp_path):
    out = tmp_path / "out"
    args = ("--seeds", 3, "--epochs", 2, "--rule", "backprop", "zil", "zil", "--hidden", 8, "--out", out)
    done = pcx("run", "zil", *args, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for rule in ("zil", "backprop"):
        for seed in (1, 2, 3):
            assert f"{rule}: seed {seed}/3, test accuracy" in done.stdout
    assert json.loads((out / "config.json").read_text())["rules"] == ["zil", "backprop"]
    metrics = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    rows = {(line["rule"], line["epoch"], line["seed"]): line for line in metrics}
    assert list(rows) == [(r, e, s) for r in ("zil", "backprop") for e in (1, 2) for s in (0, 1, 2)]
    for (_, epoch, seed), line in rows.items():
        other = rows["backprop", epoch, seed]
        assert line["test_loss"] == pytest.approx(other["test_loss"], abs=1e-4)
        assert line["test_accuracy"] == pytest.approx(other["test_accuracy"], abs=1 / 1024)
    assert len({line["test_loss"] for line in metrics if line["rule"] == "zil"}) == 6  # the seeds do differ
    summary = json.loads((out / "summary.json").read_text())
    for rule in ("zil", "backprop"):
        last = [rows[rule, 2, seed]["test_accuracy"] for seed in (0, 1, 2)]
        assert summary["test_accuracy"][rule]["last"]["mean"] == pytest.approx(sum(last) / 3)
        assert summary["test_accuracy"][rule]["last"]["std"] > 0
        assert summary["seconds"][rule] >= 0


@pytest.mark.hasty
def test_default_folder(tmp_path):
    args = ("run", "zil", "--seeds", 1, "--epochs", 1, "--rule", "backprop", "--batch-size", 1000, "--hidden", 4)
    done = pcx(*args, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("zil-")
    assert str(Path("runs") / folder.name) in done.stdout


def test_a_folder_in_use_is_refused(tmp_path):
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "notes.txt").write_text("mine")
    done = pcx("run", "zil", "--out", "used", cwd=tmp_path)
    assert done.returncode == 2
    assert "used is not empty" in done.stderr
    assert "--out" in done.stderr
    assert [path.name for path in (tmp_path / "used").iterdir()] == ["notes.txt"]


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("mine")
    done = pcx("run", "zil", "--out", "file", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("pcx: error: cannot use the folder file")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--seeds", "0"], "--seeds must be at least 1, got 0"),
        (["--epochs", "-3"], "--epochs must be at least 1, got -3"),
        (["--hidden", "0"], "--hidden must be at least 1, got 0"),
        (["--batch-size", "0"], "--batch-size must be at least 1, got 0"),
        (["--batch-size", "2000"], "--batch-size must be at most 1024"),
        (["--rule", "hebb"], "hebb"),
        (["--rule", "zil", "hebb"], "hebb"),
        (["--rule"], "--rule"),
        (["--seeds", "many"], "many"),
        (["--sedes", "2"], "--sedes"),
    ],
)
def test_options_that_cannot_be_used_are_refused(args, message, tmp_path):
    done = pcx("run", "zil", *args, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_missing_extra_is_named(tmp_path):
    code = (
        "import sys, importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'matplotlib' else find(name, *a)\n"
        "from pcx.cli import main; sys.exit(main(['run', 'zil']))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "pcx: error: matplotlib not installed; run: pip install 'matplotlib>=3.8' "
        "(see docs/troubleshooting.md#a-package-is-missing)\n"
    )
    assert list(tmp_path.iterdir()) == []
