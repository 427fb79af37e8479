"""What the project says about itself holds."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import pcx

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
MOVING_OVER = (ROOT / "docs" / "moving-over.md").read_text(encoding="utf-8")


def block(name: str, text: str = README) -> str:
    """The code that the README, or another page, marks with a name."""
    found = re.findall(rf"^<!-- {name} -->\n```\w+\n(.*?)^```\n<!-- end -->$", text, re.MULTILINE | re.DOTALL)
    assert len(found) == 1, f"there should be one block named {name}"
    return found[0]


def run(folder: Path, *code: str) -> str:
    """What a program prints."""
    script = folder / "example.py"
    script.write_text("\n\n".join(code), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, script], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("name", "extra"), [("run-command", "cli"), ("test-command", "test")])
def test_readme_commands_are_one_line_and_stay_inside_the_folder(name, extra):
    (line,) = block(name).splitlines()
    create, install, use = (shlex.split(part) for part in line.split(" && "))
    assert create == ["python3", "-m", "venv", ".venv"]
    assert install[:2] == [".venv/bin/pip", "install"]
    assert "--no-cache-dir" in install
    assert install[install.index("-c") + 1] == "constraints.txt"
    assert install[-1] == f".[{extra}]"
    assert extra in PROJECT["optional-dependencies"]
    assert use[0].startswith(".venv/bin/")


def test_links_of_the_readme_in_a_wheel_lead_to_the_repository():
    made = README
    for each in PYPROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]:
        made = re.sub(each["pattern"], each["replacement"], made)
    before, after = (re.findall(r"(!?)\[[^]]*\]\(([^)]+)\)", text) for text in (README, made))
    assert len(before) == len(after) > 20
    for (picture, here), (_, there) in zip(before, after, strict=True):
        place = "raw.githubusercontent.com/OWNER/pcx/main" if picture else "github.com/OWNER/pcx/blob/main"
        assert there == (here if here.startswith("https://") else f"https://{place}/{here}")


def test_the_run_command_exists():
    command = shlex.split(block("run-command").split(" && ")[-1])
    assert Path(command[0]).name in PROJECT["scripts"]
    assert command[1:] == ["run", "zil"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_ci_runs_the_test_command_of_the_readme():
    done = subprocess.run(["bash", ".ci/run", "test-command"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == block("test-command")


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_ci_runs_the_slow_tests_too():
    done = subprocess.run(["bash", ".ci/run", "tests"], cwd=ROOT, capture_output=True, text=True, check=True)
    lines = [shlex.split(line) for line in done.stdout.splitlines()]
    (*quick, typed), hasty, slow = lines
    assert typed.startswith("--jaxtyping-packages=pcx,beartype.beartype")
    said = shlex.split(block("test-command"))[-len(quick) :]
    assert said[-2:] == ["-m", "not slow"]
    assert quick == said
    assert hasty == [*said[:-1], "hasty"]
    said[said.index("-n") + 1] = "3"
    assert slow == [*said[:-1], "slow and not hasty"]


def test_constraints_are_plain_and_cover_the_dependencies():
    pins = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            match = re.fullmatch(r"([a-z0-9-]+)==([0-9][0-9a-z.]*)", line)
            assert match, line
            assert match[1] not in pins, f"{match[1]} is pinned twice"
            pins[match[1]] = match[2]
    extras = PROJECT["optional-dependencies"]
    for requirement in [*PROJECT["dependencies"], *extras["cli"], *extras["docs"], *extras["test"]]:
        match = re.match(r"[A-Za-z0-9-]+", requirement)
        assert match
        assert match[0] == PROJECT["name"] or match[0] in pins, f"{requirement} is not pinned"


def test_public_names_load_and_are_all_there_is():
    assert {*pcx._HOME, "__version__"} == {*pcx.__all__} <= {*dir(pcx)}
    for name in pcx.__all__:
        assert getattr(pcx, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = pcx.nothing  # pyright: ignore[reportAttributeAccessIssue]


def test_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+", pcx.__version__)
    assert f"## [{pcx.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_example_of_the_readme_runs_and_learns(tmp_path):
    rules, classes = run(tmp_path, block("example")).splitlines()
    match = re.fullmatch(r"energy (\d+\.\d+), accuracy (\d+\.\d+)", rules)
    assert match, rules
    assert float(match[1]) < 0.3  # 0.7 before learning
    assert float(match[2]) > 0.9  # 0.5 before learning
    assert re.fullmatch(r"\[([01 ]+)\] \[([01 ]+)\]", classes), classes


def test_the_whole_program_of_the_classic_interface_learns(tmp_path):
    printed = run(tmp_path, *[block(name, MOVING_OVER) for name in ("example", "predict", "rule")])
    match = re.fullmatch(r"energy per sample (\d+\.\d+)\nenergy per sample (\d+\.\d+) \(256, 1\)\n", printed)
    assert match, printed
    assert float(match[1]) < 0.1  # 0.5 before learning
    assert float(match[2]) < 0.1
