# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false
# pyright: reportOptionalOperand=false, reportArgumentType=false
"""Folders and checkpoints: a run that was cut off anywhere goes on to the bits of one that wasn't."""

import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx.data as pxd
import pcx.learning as pxl
import pcx.models as pxm
import pcx.training as pxt

from .small import (
    TRAIN,
    Cut,
    arrays,
    at_batch,
    by_rate,
    cut_after,
    lines,
    make,
    model,
    moons,
    same_bits,
    timeless,
    train,
)
from .test_fit import noisy

checkpoints = pytest.importorskip("orbax.checkpoint")


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    return train(augment=noisy, folder=folder)


@pytest.mark.hasty
@pytest.mark.parametrize("batches", [0, 1, 5, 6, 7, 12, 17])
def test_cut_off_at_any_batch(tmp_path, unbroken, batches):
    with pytest.raises(Cut):
        train(augment=noisy, folder=tmp_path / "run", checkpoint_every=1, **cut_after(batches))
    # Other checkpoints after than before: they are not part of what is computed.
    fit = train(augment=noisy, folder=tmp_path / "run", resume=True)
    assert same_bits(fit, unbroken)
    assert timeless(lines(fit.folder)) == timeless(fit.history) == timeless(lines(unbroken.folder))
    weights = [(f.folder / "weights.safetensors").read_bytes() for f in (fit, unbroken)]
    assert weights[0] == weights[1]
    assert f"resumed at epoch {batches // 6}, batch {batches % 6}" in (fit.folder / "log.txt").read_text()


def test_cut_off_between_checkpoints(tmp_path, unbroken):
    with pytest.raises(Cut):
        train(augment=noisy, folder=tmp_path / "run", checkpoint_every=4, **cut_after(11))
    assert sorted(p.name for p in (tmp_path / "run/checkpoints/last").iterdir()) == ["4", "8"]
    assert same_bits(train(augment=noisy, folder=tmp_path / "run", resume=True), unbroken)


def test_checkpoints_count_over_the_ends_of_epochs(tmp_path):
    train(folder=tmp_path / "run", checkpoint_every=8, keep=9)
    assert sorted(int(p.name) for p in (tmp_path / "run/checkpoints/last").iterdir()) == [8, 16, 18]


def test_a_callback_that_raises(tmp_path, unbroken):
    def fail(report):
        if report.epoch == 2:
            raise Cut

    with pytest.raises(Cut):
        train(augment=noisy, folder=tmp_path / "run", callbacks=[fail], checkpoint_seconds=0)
    assert same_bits(train(augment=noisy, folder=tmp_path / "run", resume=True), unbroken)


def test_resumed_twice_and_longer(tmp_path):
    long = train(epochs=4)
    train(epochs=2, folder=tmp_path / "run")
    same = train(epochs=2, folder=tmp_path / "run", resume=True)
    assert same.ended == "done"
    assert len(lines(tmp_path / "run")) == 2
    assert same_bits(train(epochs=4, folder=tmp_path / "run", resume=True), long)


@pytest.mark.slow
def test_several_networks_resume(tmp_path):
    options = {"seeds": [0, 1], "settings": [{"lr": 0.0}, {"lr": 3e-3}], "epochs": 4}
    options["early_stopping"] = pxt.EarlyStopping("validation_loss", patience=1)
    for parallel in ("loop", "vmap"):
        whole = train(make, by_rate, parallel=parallel, **options)
        assert [len(whole.of(i)) for i in range(4)] == [2, 4, 2, 4]
        cut = {"folder": tmp_path / parallel, "checkpoint_every": 5, **cut_after(15)}
        with pytest.raises(Cut):
            train(make, by_rate, parallel=parallel, **cut, **options)
        resumed = train(make, by_rate, parallel=parallel, folder=tmp_path / parallel, resume=True, **options)
        assert same_bits(resumed, whole)
        assert (tmp_path / parallel / "weights-3.safetensors").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("several", [False, True])
def test_an_optimiser_that_keeps_a_random_key(tmp_path, several):
    def draws(seed):
        key = jax.random.key(seed)

        def noise(gradient, key, params=None):
            key, draw = jax.random.split(key)
            return jax.tree.map(lambda g: g + 0.01 * jax.random.normal(draw, g.shape), gradient), key

        drawn = optax.GradientTransformation(lambda params: key, noise)
        return pxl.pc(optax.chain(drawn, optax.sgd(0.1)), optax.sgd(0.1), 4)

    options = {"net": make, "seeds": [0, 1]} if several else {}
    whole = train(rule=draws(0), best="validation_loss", best_mode="min", folder=tmp_path / "whole", **options)
    train(rule=draws(0), epochs=1, folder=tmp_path / "cut", **options)
    with pytest.raises(pxt.CheckpointError, match="key"):
        train(rule=draws(1), folder=tmp_path / "cut", resume=True, **options)
    resumed = train(rule=draws(0), folder=tmp_path / "cut", resume=True, **options)
    for one, two in zip(whole.states, resumed.states, strict=True):
        assert all(bool(jnp.all(a == b)) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True))


@pytest.mark.slow
def test_streamed_batches_resume(tmp_path):
    def epoch(k):
        return (b for b in pxd.ArrayBatches(TRAIN, 16, seed=5).epoch(k))

    whole = train(data=epoch, augment=noisy)
    for cut in (4, 6, 13):
        with pytest.raises(Cut):
            train(data=epoch, augment=noisy, folder=tmp_path / str(cut), checkpoint_every=1, **cut_after(cut))
        assert same_bits(train(data=epoch, augment=noisy, folder=tmp_path / str(cut), resume=True), whole)


def test_fewer_epochs_than_a_run_has(tmp_path):
    train(epochs=3, folder=tmp_path / "run")
    before = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    with pytest.raises(ValueError, match="has 3 epochs; epochs=2 would be fewer"):
        train(epochs=2, folder=tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == before


def test_checkpoints_are_read_by_any_form_of_path(tmp_path, monkeypatch):
    train(epochs=1, folder=tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    for path in ("run/checkpoints", Path("run") / "checkpoints", tmp_path / "run" / "checkpoints"):
        arrays, meta = pxt.Checkpoints(path).load(best=True)
        assert arrays
        assert meta["epoch"] == 1


def test_a_run_out_of_patience_stays_ended(tmp_path):
    stop = pxt.EarlyStopping("loss", patience=2, least=1e3)  # never good enough
    for epochs in (9, 12):
        fit = train(early_stopping=stop, epochs=epochs, folder=tmp_path / "run", resume=epochs > 9)
        assert (fit.ended, len(fit.history)) == ("stopped early", 3)


def test_a_failed_run_stays_failed(tmp_path):
    x = TRAIN[0].copy()
    x[40] = np.nan
    fit = train(data=(x, TRAIN[1]), folder=tmp_path / "run")
    again = train(data=(x, TRAIN[1]), folder=tmp_path / "run", resume=True)
    assert fit.ended == again.ended == "failed"
    assert fit.why == again.why
    assert "vodes[0] is not finite" in (tmp_path / "run" / "log.txt").read_text()


# -- what may be resumed, and where ------------------------------------------------------------------------------------
def other_order(x):
    return x[::-1].copy()


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"net": pxm.MLP([2, 9, 2])}, r"layers\[0\].*\[8, 2\].*\[9, 2\]"),
        ({"net": pxm.MLP([2, 8, 2], act=jnp.tanh)}, r"model.act: was .*gelu, is .*tanh"),
        ({"rule": pxl.pc(optax.adamw(1e-2), optax.sgd(0.1), 5)}, "rule.stop.steps: was 4, is 5"),
        ({"rule": pxl.pc(optax.adamw(2e-2), optax.sgd(0.1), 4)}, "step_size: was -0.01, is -0.02"),
        ({"rule": pxl.backprop(optax.adamw(1e-2))}, "rule.class: was .*PredictiveCoding, is .*Backprop"),
        ({"data": moons(112)}, r"data.arrays.*\[96, 2\].*\[112, 2\]"),
        ({"data": tuple(map(other_order, TRAIN))}, "data.sample: was"),
        ({"data": pxd.ArrayBatches(TRAIN, 16, seed=1)}, "data.seed: is 1"),
        ({"batch_size": 32}, "data.batch_size: was 16, is 32"),
        ({"augment": noisy}, "augment: was None, is .*noisy"),
        ({"seeds": 1}, r"networks\[0\].seed: was 0, is 1"),
    ],
    ids=lambda x: next(iter(x)) if isinstance(x, dict) else "",
)
def test_another_run_is_refused(begun, changed, named):
    before = snapshot(begun)
    with pytest.raises(pxt.CheckpointError, match=named):
        train(folder=begun, resume=True, **changed)
    assert snapshot(begun) == before


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    folder = tmp_path_factory.mktemp("begun") / "run"
    train(folder=folder, epochs=1)
    return folder


def snapshot(folder):
    return {p: p.read_bytes() for p in sorted(Path(folder).rglob("*")) if p.is_file()}


def test_folders(tmp_path, begun):
    before = snapshot(begun)
    with pytest.raises(pxt.RunExists, match="holds a run already: give resume=True"):
        train(folder=begun)
    assert snapshot(begun) == before
    (tmp_path / "file").write_text("mine")
    for resume in (False, True, "auto"):
        with pytest.raises(pxt.RunExists, match="is a file; choose a folder"):
            train(folder=tmp_path / "file", resume=resume)
    with pytest.raises(pxt.RunExists, match=r"is not empty \(file\)"):
        train(folder=tmp_path)
    with pytest.raises(FileNotFoundError, match="holds no run to resume"):
        train(folder=tmp_path, resume=True)
    with pytest.raises(pxt.RunExists, match=r"is not empty \(file\)"):
        train(folder=tmp_path, resume="auto")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    (tmp_path / "empty").mkdir()
    assert train(folder=tmp_path / "empty", epochs=1).folder == tmp_path / "empty"


def test_what_is_in_a_folder(tmp_path):
    pytest.importorskip("matplotlib")
    fit = train(folder=tmp_path / "a" / "run", config={"note": "hello", "at": Path("x")}, figure=True)
    names = (
        "best.safetensors checkpoints config.json figure.png log.txt metrics.jsonl versions.json weights.safetensors"
    )
    assert sorted(p.name for p in fit.folder.iterdir()) == names.split()
    config = json.loads((fit.folder / "config.json").read_text())
    assert (config["note"], config["at"], config["epochs"], config["best"]) == ("hello", "x", 3, "validation_loss")
    assert config["made_of"]["rule"]["stop"]["steps"] == 4
    assert json.loads((fit.folder / "versions.json").read_text())["packages"]["optax"]
    assert lines(fit.folder) == fit.history


def test_nothing_in_a_run_can_run_code(begun):
    for path, content in snapshot(begun).items():
        # A pickle begins so from protocol 2 on; and one of an older protocol names the module of what it makes.
        assert not content.startswith(b"\x80"), path
        assert b"cnumpy" not in content, path
        assert path.suffix not in (".pkl", ".pickle", ".npy", ".npz", ".pt"), path


# -- checkpoints -------------------------------------------------------------------------------------------------------
@pytest.mark.hasty
def test_the_best_checkpoint_is_that_of_the_best_epoch(tmp_path):
    states = {}
    fit = train(
        folder=tmp_path / "run",
        epochs=8,
        rule=pxl.pc(optax.sgd(0.4), optax.sgd(0.1), 4),
        callbacks=[lambda report: states.setdefault(report.epoch, report.states)],
        best="validation_accuracy",
        checkpoint_seconds=0,
    )
    values = [row["validation_accuracy"] for row in fit.history]
    best = max(range(8), key=lambda i: (values[i], i)) + 1
    held = pxt.Checkpoints(tmp_path / "run" / "checkpoints")
    assert held.latest(best=True) == best * 6
    by_path, meta = held.load(best=True)
    held.close()
    assert meta["epoch"] == best
    weight = "['states'][0]['weights']['layers[0].nn.weight']"
    np.testing.assert_array_equal(by_path[weight], np.asarray(states[best][0].weights["layers[0].nn.weight"]))


def test_checkpoints_go_by_their_numbers(tmp_path):
    pytest.importorskip("orbax.checkpoint")
    held = pxt.Checkpoints(tmp_path)
    tree = {"a": np.arange(3.0)}
    for number in (5, 6):
        held.save(number, tree, {"at": number})
    # One that is there is not written again, and an older one would be the first to go: neither is taken silently.
    for number, said in (
        (6, "there is a checkpoint 6"),
        (3, "newer than 3"),
        (-1, "got -1"),
        ("a", "got 'a'"),
        (True, ""),
    ):
        with pytest.raises(ValueError, match=f"Checkpoints.save: .*{said}"):
            held.save(number, {"a": -tree["a"]}, {"at": number})
    assert (held.steps(), held.load()[1]) == ([6, 5], {"at": 6})
    for number in (20, 15, 17):  # the best so far, of a run that went on from before it
        held.save(number, tree, {"at": number}, best=True)
        assert (held.latest(best=True), held.load(best=True)[1]) == (number, {"at": number})
    assert [held.has(n, best) for n, best in ((6, False), (7, False), (17, True), (20, True))] == [True, False] * 2
    held.close()
    for keep in (True, 1.5):
        with pytest.raises(TypeError, match="Checkpoints: keep must be a whole number"):
            pxt.Checkpoints(tmp_path, keep)


def test_how_many_are_kept(tmp_path):
    for keep in (1, 3):
        train(folder=tmp_path / str(keep), checkpoint_every=2, keep=keep, epochs=2)
        held = sorted(int(p.name) for p in (tmp_path / str(keep) / "checkpoints" / "last").iterdir())
        assert held == [2, 4, 6, 8, 10, 12][-keep:]


def test_a_full_disk(tmp_path, monkeypatch, unbroken):
    with monkeypatch.context() as context:
        saves = []
        before = checkpoints.CheckpointManager.save

        def save(self, step, *rest, **named):
            saves.append(step)
            if len(saves) > 2:
                raise OSError(errno.ENOSPC, "No space left on device")
            return before(self, step, *rest, **named)

        context.setattr(checkpoints.CheckpointManager, "save", save)
        with pytest.raises(pxt.CheckpointError, match=r"No space left on device.*are whole; make room and resume"):
            train(augment=noisy, folder=tmp_path / "run", checkpoint_every=4)
    assert same_bits(train(augment=noisy, folder=tmp_path / "run", resume=True), unbroken)


def test_a_full_disk_for_other_files(tmp_path, monkeypatch):
    write = Path.write_bytes

    def full(path, content):
        if path.suffix == ".safetensors":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, content)

    with monkeypatch.context() as context:
        context.setattr(Path, "write_bytes", full)
        with pytest.raises(pxt.CheckpointError, match=r"best.safetensors can't be written to .*No space left"):
            train(folder=tmp_path / "run")
    assert not list((tmp_path / "run").glob("*.partial*"))
    assert same_bits(train(folder=tmp_path / "run", resume=True), train())


def test_damaged_checkpoints(begun, tmp_path):
    def damaged(name, change):
        folder = tmp_path / name
        shutil.copytree(begun, folder)
        files = [p for p in (folder / "checkpoints" / "last").rglob("*") if p.is_file() and p.stat().st_size > 20]
        for path in files:
            change(path)
        return folder

    def cut(path):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    for name, change in {"cut": cut, "gone": Path.unlink, "zeros": lambda p: p.write_bytes(b"\0" * 50)}.items():
        folder = damaged(name, change)
        with pytest.raises(pxt.CheckpointError, match=r"can't be read|no whole checkpoint"):
            train(folder=folder, resume=True)


def test_a_checkpoint_of_another_form(tmp_path):
    held = pxt.Checkpoints(tmp_path)
    with pytest.raises(pxt.CheckpointError, match="holds no whole checkpoint"):
        held.load()
    held.save(1, {"a": np.ones(2), "b": jnp.zeros((), jnp.int32), "none": np.zeros((0, 3))}, {"epoch": 1})
    tree, meta = held.load({"a": np.zeros(2), "b": np.int32(1), "none": np.zeros((0, 3))})
    assert meta == {"epoch": 1}
    assert (tree["a"] == 1).all()
    with pytest.raises(
        pxt.CheckpointError, match=r"\['a'\]: the checkpoint has \(\(2,\), 'float64'\), the run nothing"
    ):
        held.load({"b": np.int32(1), "none": np.zeros((0, 3))})
    held.close()
    with pytest.raises(ValueError, match="keep must be at least 1"):
        pxt.Checkpoints(tmp_path, keep=0)


# -- other processes ---------------------------------------------------------------------------------------------------
CHILD = """
    import sys
    from pathlib import Path
    import numpy as np, optax, pcx, pcx.learning as pxl, pcx.models as pxm, pcx.training as pxt

    def run(epochs, folder=None, **options):
        draw = np.random.default_rng(0)
        x = draw.normal(size=(96, 2)).astype(np.float32)
        data = x, (x[:, 0] > 0).astype(np.int32)
        return pxt.fit(lambda: pxm.MLP([2, 4, 2]), rule, data, (x[:8], data[1][:8]), epochs=epochs, batch_size=16,
                       folder=folder, show=False, **options)

    rule = pxl.backprop(optax.adam(1e-2))
    epochs = int(sys.argv[2])
    run(1)  # compiles, so that what is cut off is the run itself
    print("ready", flush=True)
    input()
    folder = Path(sys.argv[1])
    fit = run(epochs, folder, resume=(folder / "config.json").exists(), checkpoint_every=4)
    print(fit.ended, flush=True)
"""


def child(tmp_path, folder, epochs):
    script = tmp_path / "child.py"
    script.write_text(textwrap.dedent(CHILD))
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "2"}
    environment["JAX_COMPILATION_CACHE_DIR"] = str(tmp_path / "compiled")
    command = [sys.executable, str(script), str(folder), str(epochs)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def go(process):
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.slow
def test_killed_and_interrupted_at_random(tmp_path):
    draw = np.random.default_rng()
    epochs = 30
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    processes = [child(tmp_path, whole, epochs)]
    try:
        for i in range(6):
            following = child(tmp_path, broken, epochs)  # starts while the one before runs
            processes.append(following)
            if i == 0:
                go(processes[0])
                assert processes[0].stdout.readline() == "done\n"
            go(following)
            if i < 5:
                with contextlib.suppress(subprocess.TimeoutExpired):  # on a fast machine it may be done
                    following.wait(draw.uniform(0.02, 0.6))
                following.send_signal(signal.SIGKILL if i < 4 else signal.SIGINT)
                following.wait()
            else:
                assert following.stdout.readline() == "done\n"
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert (whole / "weights.safetensors").read_bytes() == (broken / "weights.safetensors").read_bytes()
    assert timeless(lines(whole)) == timeless(lines(broken))


def test_interrupted_in_this_process(tmp_path, unbroken):
    # What Ctrl-C does: the run ends after the dispatch, with a checkpoint, and the handler is the old one again.
    before = signal.getsignal(signal.SIGINT)
    interrupted = at_batch(7, lambda: os.kill(os.getpid(), signal.SIGINT))
    fit = train(augment=noisy, folder=tmp_path / "run", **interrupted)
    assert signal.getsignal(signal.SIGINT) is before
    assert fit.ended == "interrupted"
    assert len(fit.history) == 1
    resumed = train(augment=noisy, folder=tmp_path / "run", resume=True)
    assert "resumed at epoch 1, batch 2" in (tmp_path / "run" / "log.txt").read_text()
    assert same_bits(resumed, unbroken)


def test_the_model_of_an_interrupted_run_has_its_weights(tmp_path):
    net = model()
    fit = train(net, folder=tmp_path / "run", callbacks=[lambda report: report.stop()])
    loaded = model(3)
    pxt.load_weights(tmp_path / "run" / "weights.safetensors", loaded)
    for x, y in zip(arrays(net.layers[0].nn.weight.get()), arrays(loaded.layers[0].nn.weight.get()), strict=True):
        assert x.tobytes() == y.tobytes()
    assert fit.ended == "stopped early"
