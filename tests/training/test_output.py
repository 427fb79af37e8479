# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false
# pyright: reportOptionalOperand=false, reportArgumentType=false
"""What a run shows: event files, the figure, and descriptions of what it was made of."""

import builtins
import functools
import json
import subprocess
import sys
import types

import numpy as np
import optax
import pytest

import pcx.data as pxd
import pcx.learning as pxl
import pcx.predictive_coding as pxc
import pcx.training as pxt

from .small import HELD_OUT, RULE, by_rate, make, train


def without(monkeypatch, package):
    before = builtins.__import__

    def load(name, *rest, **named):
        if name.split(".")[0] == package:
            raise ImportError(name)
        return before(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", load)


# -- event files -------------------------------------------------------------------------------------------------------
def events(folder):
    """`{(tag, step): value}` of the event files in a folder."""
    from tensorboardX.proto.event_pb2 import Event

    found = {}
    for path in sorted(folder.iterdir()):
        content, at = path.read_bytes(), 0
        while at < len(content):
            size = int.from_bytes(content[at : at + 8], "little")
            event = Event.FromString(content[at + 12 : at + 12 + size])
            found |= {(value.tag, event.step): value.simple_value for value in event.summary.value}
            at += size + 16
    return found


def test_event_files(tmp_path):
    pytest.importorskip("tensorboardX")
    with pxt.EventFiles(tmp_path) as files:
        fit = train(make, by_rate, settings=[{"lr": 1e-3}, {"lr": 1e-2}], callbacks=[files])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["network-0-seed-0", "network-1-seed-0"]
    for i in (0, 1):
        found = events(tmp_path / f"network-{i}-seed-0")
        for row in fit.of(i):
            assert found["validation_loss", row["epoch"]] == pytest.approx(row["validation_loss"], rel=1e-6)
            assert found["energies/vodes_0_", row["epoch"]] == pytest.approx(row["energies"]["vodes[0]"], rel=1e-6)
            assert found["lr", row["epoch"]] == pytest.approx(row["lr"])


def test_event_files_need_a_package(monkeypatch, tmp_path):
    without(monkeypatch, "tensorboardX")
    with pytest.raises(ImportError, match=r"event files need tensorboardX: pip install tensorboardX"):
        pxt.EventFiles(tmp_path)


# -- the figure --------------------------------------------------------------------------------------------------------
FIGURES = {
    "one epoch": {"epochs": 1},
    # Of which all but one have stopped at the end, and of which the held-out losses are far above the others.
    "three networks": {
        "net": make,
        "rule": pxl.backprop(optax.sgd(0.8, momentum=0.9)),
        "validation": (100 * HELD_OUT[0], HELD_OUT[1]),
        "seeds": range(3),
        "epochs": 6,
        "early_stopping": pxt.EarlyStopping(patience=1),
    },
    "held-out losses that are no numbers": {"validation": (np.nan * HELD_OUT[0], HELD_OUT[1])},
    "settings": {"net": make, "rule": by_rate, "settings": [{"lr": 1e-3}, {"lr": 1e-2}]},
}


@pytest.mark.parametrize("kind", FIGURES)
@pytest.mark.filterwarnings("ignore:fit. seed 0, epoch 1. validation_loss")
def test_figure(kind, tmp_path):
    pytest.importorskip("matplotlib")
    pytest.importorskip("orbax.checkpoint")
    fit = train(folder=tmp_path / "run", figure=True, **FIGURES[kind])
    if kind == "three networks":
        assert len({len(fit.of(i)) for i in range(3)}) > 1
    assert (fit.folder / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_to_draw(tmp_path, monkeypatch):
    pytest.importorskip("orbax.checkpoint")
    bad = pxl.pc(optax.sgd(0.1), optax.sgd(1e30), 8)
    with pytest.warns(RuntimeWarning, match="training failed"):
        train(rule=bad, validation=None, folder=tmp_path / "bad", figure=True)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert train(folder=tmp_path / "run", epochs=1, figure=True).ended == "done"
    assert not list(tmp_path.glob("*/figure.png"))


def test_a_folder_needs_packages(monkeypatch, tmp_path):
    without(monkeypatch, "orbax")
    with pytest.raises(ImportError, match=r"checkpoints need Orbax: pip install orbax-checkpoint"):
        train(folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert train(epochs=1).ended == "done"


# -- descriptions ------------------------------------------------------------------------------------------------------
@pytest.mark.slow
def test_descriptions_are_the_same_in_another_process():
    code = """
        import optax, pcx, pcx.learning as pxl, pcx.models as pxm, pcx.training as pxt, json
        rule = pxl.ipc(optax.adam(optax.cosine_decay_schedule(0.1, 10)), optax.sgd(0.1), 3)
        print(json.dumps(pxt.describe([rule, pxm.MLP([2, 3, 2]), {"b", "a", "c"}])))
    """
    code = "\n".join(line.strip() for line in code.splitlines())
    each = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout for _ in "ab"
    ]
    assert each[0] == each[1]
    assert "0x" not in each[0]


def test_descriptions_of_anything_end():
    import jax

    around = {"a": 1}
    around["self"] = around  # pyright: ignore
    many = [object() for _ in range(30_000)]
    assert pxt.describe(lambda: (jax, around, many))["jax"] == "jax"
    assert pxt.describe(around) == {"a": 1, "self": "builtins.dict"}


cfg, table = types.SimpleNamespace(rate=0.1, epochs=3, seen=[]), {"rate": 0.1}


def of_cfg(x):
    return cfg.rate * x


class Reader(pxc.EnergyModule):
    gain, calls = 0.1, 0

    def __call__(self, x):
        Reader.calls += 1
        return self.part(x)

    def part(self, x):
        cfg.seen.append(x)
        return of_cfg(x) + self.gain

    def report(self):
        return cfg.epochs, cfg.seen


class OfCfg(pxl.Precision):
    def init(self, problem):
        return {}

    def values(self, problem, memory):
        return dict.fromkeys(problem.free, cfg.rate)


def rule_of_cfg(lr):
    return pxl.backprop(optax.sgd(cfg.rate * lr))


def closing(options):
    return lambda key, x: options.rate * x


READERS = [
    of_cfg,
    lambda key, x: x * cfg.rate,
    lambda key, x: of_cfg(x) * table["rate"],
    closing(cfg),
    functools.partial(of_cfg, 1),
    Reader(),
    Reader().part,
    pxl.pc(optax.sgd(0.1), optax.sgd(0.1), 2, precision=OfCfg()),
    rule_of_cfg,
]


@pytest.mark.parametrize("x", READERS, ids=range(len(READERS)))
def test_configuration_that_functions_read_is_described(x, monkeypatch):
    before = pxt.describe(x)
    json.dumps(before)
    # What none of them reads, or what they only write to, is no part of it.
    monkeypatch.setattr(cfg, "epochs", 5)
    monkeypatch.setattr(cfg, "seen", [1])
    monkeypatch.setattr(Reader, "calls", 7)
    assert pxt.describe(x) == before
    monkeypatch.setattr(cfg, "rate", 0.2)
    said = pxt.differences(before, pxt.describe(x))
    assert said
    assert all(each.endswith(".rate: was 0.1, is 0.2") for each in said)


def test_constants_of_a_class_are_described(monkeypatch):
    before = pxt.describe(Reader())
    monkeypatch.setattr(Reader, "gain", 0.2)
    assert pxt.differences(before, pxt.describe(Reader())) == ["reads.gain: was 0.1, is 0.2"]


@pytest.mark.slow
def test_a_resume_under_another_configuration_is_refused(tmp_path, monkeypatch):
    pytest.importorskip("orbax.checkpoint")
    options = {"settings": [{"lr": 1e-2}], "validation": None, "folder": tmp_path, "resume": True}
    with pytest.warns(RuntimeWarning, match="it begins"):
        train(make, rule_of_cfg, epochs=1, **options)
    monkeypatch.setattr(cfg, "epochs", 5)
    assert train(make, rule_of_cfg, epochs=2, **options).ended == "done"
    monkeypatch.setattr(cfg, "rate", 0.2)
    with pytest.raises(pxt.CheckpointError, match=r"rule\.reads\.cfg\.rate: was 0\.1, is 0\.2"):
        train(make, rule_of_cfg, epochs=3, **options)


def test_descriptions_tell_apart():
    def scaled(a):
        return lambda key, x: a * x

    assert pxt.describe(scaled(1.0)) == pxt.describe(scaled(1.0))
    found = pxt.differences(pxt.describe(scaled(1.0)), pxt.describe(scaled(2.0)))
    assert found == ["a: was 1.0, is 2.0"]
    pairs = [
        (pxd.flip(), pxd.crop(pad=4)),
        (pxd.crop(pad=2), pxd.crop(pad=4)),
        (functools.partial(max, 1), functools.partial(max, 2)),
        (np.arange(3), np.arange(3) + 1),
        (np.float32(1), np.float32(2)),
        (RULE, pxl.backprop(optax.adamw(1e-2))),
        (optax.sgd(0.1), optax.sgd(optax.linear_schedule(0.1, 0.0, 10))),
    ]
    for a, b in pairs:
        assert pxt.differences(pxt.describe(a), pxt.describe(a)) == []
        assert pxt.differences(pxt.describe(a), pxt.describe(b))
    nan = float("nan")
    assert pxt.differences({"a": [nan, 1], "b": 1}, {"a": [nan, 2], "c": 1}) == [
        "a[1]: was 1, is 2",
        "b: was 1, is gone",
        "c: is 1, was not there",
    ]


def test_a_run_that_is_done_already_is_not_silent(capsys, tmp_path):
    pytest.importorskip("orbax.checkpoint")
    train(folder=tmp_path / "run", epochs=1)
    train(folder=tmp_path / "run", epochs=1, resume=True, show=True)
    assert capsys.readouterr().out == "nothing to train: epochs=1 counts the 1 that the run has already\n"


def test_a_run_that_failed_is_not_silent(capsys):
    bad = pxl.pc(optax.sgd(0.1), optax.sgd(1e30), 8)
    with pytest.warns(RuntimeWarning, match="training failed: seed 0, epoch 1.*is not finite"):
        fit = train(rule=bad)
    assert repr(fit).startswith("Fit(seed 0: failed after 0 epochs, why=")
    with pytest.warns(RuntimeWarning, match="training failed"):  # with progress shown, too
        train(rule=bad, show=True)
    assert "epoch 1/3" not in capsys.readouterr().out


def test_a_run_is_shown_in_a_line():
    assert repr(train(epochs=1)) == "Fit(seed 0: done after 1 epoch, folder=None)"
