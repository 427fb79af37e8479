# pyright: reportArgumentType=false, reportOptionalMemberAccess=false
"""Runs on four devices against one, and what is refused. Run by `test_layout.py`, in a process that has so many."""

import shutil
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh

import pcx.data as pxd
import pcx.learning as pxl
import pcx.models as pxm
import pcx.training as pxt
from pcx.training._compiled import Compiled
from pcx.training._layout import Layout

from .linear import Linear
from .small import TRAIN, Cut, arrays, by_rate, cut_after, make, model, moons, same_bits, timeless, train

DEVICES = np.array(jax.devices())


def apart(one: pxt.Fit, two: pxt.Fit) -> float:
    """The largest relative difference of an array of the states, and of a number of the histories."""
    assert one.ended == two.ended == "done"
    assert len(one.states) == len(two.states)
    pairs = [p for s, t in zip(one.states, two.states, strict=True) for p in zip(arrays(s), arrays(t), strict=True)]
    for a, b in zip(timeless(one.history), timeless(two.history), strict=True):
        assert a.keys() == b.keys()
        pairs += [(np.asarray(a[k]), np.asarray(b[k])) for k in a if isinstance(a[k], (int, float))]
    floats = [(a, b) for a, b in pairs if np.issubdtype(a.dtype, np.floating)]
    assert all(np.array_equal(a, b) for a, b in pairs if not np.issubdtype(a.dtype, np.floating))
    return max(float(np.linalg.norm(a - b) / (np.linalg.norm(a) + 1e-9)) for a, b in floats)


def test_there_are_four_devices():
    assert len(DEVICES) == 4


def test_seeds_and_settings():
    """Eight networks, of which four stop early, two on each device."""
    options: dict[str, Any] = {"seeds": [3, 1, 2, 0], "settings": [{"lr": 0.0}, {"lr": 0.01}], "epochs": 4}
    options["early_stopping"] = pxt.EarlyStopping("validation_loss", patience=1)
    one = train(make, by_rate, **options)
    for parallel in ("vmap", "loop"):
        four = train(make, by_rate, parallel=parallel, mesh=4, **options)
        assert [len(four.of(i)) for i in range(8)] == [len(one.of(i)) for i in range(8)] == [2, 4] * 4
        assert apart(one, four) < 1e-5


@pytest.mark.parametrize("kind", ["rest of an epoch", "streamed"])
def test_batches_of_other_forms(kind):
    """The smaller batch at the end of an epoch, of 6 samples, is whole on every device."""
    batches = pxd.ArrayBatches(moons(54), 16, drop_last=False)
    data = batches if kind == "rest of an epoch" else lambda epoch: batches.epoch(epoch)
    one, four = (train(data=data, validation=None, epochs=2, mesh=mesh) for mesh in (None, 4))
    assert apart(one, four) < 1e-5


def test_a_run_goes_on_on_another_layout(tmp_path):
    options: dict[str, Any] = {"net": make, "rule": by_rate, "seeds": [0, 1], "settings": [{"lr": 1e-2}]}
    options["epochs"] = 2
    whole = train(mesh=4, **options)
    with pytest.raises(Cut):
        train(mesh=4, folder=tmp_path / "cut", checkpoint_every=4, **options, **cut_after(8))
    for mesh in (4, 2, None):
        folder = shutil.copytree(tmp_path / "cut", tmp_path / str(mesh))
        resumed = train(mesh=mesh, folder=folder, resume=True, **options)
        if mesh == 4:
            assert same_bits(resumed, whole)
        assert apart(resumed, whole) < 1e-5
        log = (folder / "log.txt").read_text()
        assert "4 devices (2 parts of the networks x 2 parts of each batch)" in log.splitlines()[0]
        assert (
            f"resumed at epoch 1, batch 2, {'1 device' if mesh is None else f'{2 if mesh == 2 else 4} devices ('}"
            in log
        )


LAYERS = Mesh(DEVICES, ("layers",))
BOTH = Mesh(DEVICES.reshape(2, 2), ("layers", "batch"))


def deep():
    return pxm.MLP([2, *[6] * 5, 2])


def test_layers_go_on_on_another_layout(tmp_path):
    options: dict[str, Any] = {"net": deep, "rule": pxl.pc(optax.sgd(0.01), optax.sgd(0.1), 5), "seeds": [0, 1]}
    options["epochs"] = 2
    whole = train(mesh=LAYERS, **options)
    with pytest.raises(Cut):
        train(mesh=LAYERS, folder=tmp_path / "cut", checkpoint_every=4, **options, **cut_after(8))
    for i, mesh in enumerate((LAYERS, BOTH, None)):
        folder = shutil.copytree(tmp_path / "cut", tmp_path / str(i))
        resumed = train(mesh=mesh, folder=folder, resume=True, **options)
        if mesh is LAYERS:
            assert same_bits(resumed, whole)
        for path, weight in whole.states[1].weights.items():
            (a,), (b,) = arrays(weight), arrays(resumed.states[1].weights[path])
            assert float(np.linalg.norm(a - b) / np.linalg.norm(a)) < 1e-5
        log = (folder / "log.txt").read_text()
        assert "4 devices (4 parts of the layers)" in log.splitlines()[0]
        assert mesh is not BOTH or "4 devices (2 parts of the layers x 2 parts of each batch)" in log
    assert {leaf.devices() == {DEVICES[0]} for s in whole.states for leaf in jax.tree.leaves(s)} == {True}


def test_the_model_is_as_it_would_be_on_one_device():
    net = model()
    fit = train(net, mesh=4)
    weight = net.layers[0].nn.weight.get()
    assert weight.devices() == {DEVICES[0]}
    assert np.array_equal(weight, fit.states[0].weights["layers[0].nn.weight"])
    assert (jax.device_put(TRAIN[0], DEVICES[0]) @ weight.T).devices() == {DEVICES[0]}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"mesh": 4, "batch_size": 18},
            "batches of 18 samples can't be shared out evenly among 4 devices; take batches of 16",
        ),
        ({"mesh": 4, "batch_size": 3}, "take batches of 4"),
        ({"mesh": Mesh(DEVICES, ("ensemble",))}, "4 devices on its axis 'ensemble'.* and there is 1 network;"),
        ({"mesh": Mesh(DEVICES, ("ensemble",)), "net": make, "seeds": range(6)}, "and there are 6 networks;"),
        ({"mesh": Mesh(DEVICES.reshape(2, 2), ("batch", "model"))}, "got 'model'"),
        ({"mesh": 5}, "5 devices are asked for"),
        (
            {"mesh": Mesh(DEVICES.reshape(2, 2), ("layers", "ensemble"))},
            "shares out layers .* or networks .*, got both",
        ),
        ({"mesh": LAYERS, "net": deep, "seeds": [0, 1], "parallel": "vmap"}, "networks are trained in turn"),
        ({"mesh": LAYERS, "rule": Linear(0.1)}, "and Linear is none; share out the batch instead"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, options, said):
    with pytest.raises(ValueError, match=f"^fit: .*{said}"):
        train(folder=tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_each_device_works_on_its_part_of_the_batch():
    """By XLA's count of the operations of one device. And no device is sent what it has, or could compute."""
    rule, data = pxl.pc(optax.adam(0.1), optax.sgd(0.1), 4), (jnp.ones((128, 64)), jnp.zeros((128, 64)))
    state, counted = rule.init(pxm.MLP([64, 64, 64]), data), {}
    for devices in (None, 4):
        layout = Layout.of(devices, 1)
        compiled = Compiled.of(rule, None, {}, layout, False)
        given = layout.replicated((state, compiled.totals(state, {}, data), {}, data))
        rows = layout.batch(np.arange(128, dtype=np.int32)[None], 1)
        with layout.context():
            lowered = compiled.steps.lower(*given, rows, 0, 1, True, jax.random.PRNGKey(0))
        program: Any = lowered.compile()
        counted[devices] = program.cost_analysis()["flops"]
    assert counted[4] < 0.35 * counted[None]
    assert "all-reduce" in program.as_text()
    assert "all-gather" not in program.as_text()


def test_the_regime_is_that_of_one_device():
    one, four = (train(epochs=1, regime=3, mesh=mesh) for mesh in (None, 4))
    (first,), (second,) = (run.history for run in (one, four))
    assert [seen["batch"] for seen in second["regime"]] == [0, 3, 6]
    for a, b in zip(first["regime"], second["regime"], strict=True):
        assert a["verdict"] == b["verdict"]
        assert a["module_cosine"] == pytest.approx(b["module_cosine"], rel=1e-4)


def test_the_regime_is_not_measured_where_layers_are_shared_out():
    with pytest.raises(ValueError, match="fit: regime looks at a network on one device"):
        train(regime=3, mesh=Mesh(DEVICES, ("layers",)))
