# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false
# pyright: reportOptionalOperand=false, reportArgumentType=false
"""What `fit` refuses at the door: it says why, and leaves no folder behind."""

import numpy as np
import optax
import pytest

import pcx.data as pxd
import pcx.learning as pxl
import pcx.training as pxt

from .small import HELD_OUT, RULE, TRAIN, model, train

X, Y = TRAIN


@pytest.mark.hasty
@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"epochs": 0}, ValueError, "epochs must be a whole number of at least 1, got 0"),
        ({"epochs": 2.5}, ValueError, "epochs must be a whole number"),
        ({"epochs": True}, ValueError, "epochs must be a whole number"),
        ({"keep": 0}, ValueError, "keep must be a whole number of at least 1, got 0"),
        ({"checkpoint_every": 0}, ValueError, "checkpoint_every must be"),
        ({"checkpoint_seconds": -1}, ValueError, "checkpoint_seconds must be 0 or more"),
        ({"parallel": "threads"}, ValueError, "parallel must be 'auto', 'vmap' or 'loop', got 'threads'"),
        ({"batch_size": 97}, ValueError, "batch_size=97 is more than there are samples to train on, 96"),
        ({"batch_size": 0}, ValueError, "a batch of 0"),
        ({"seeds": []}, ValueError, "seeds must be one or several different"),
        ({"seeds": [1, 1]}, ValueError, "seeds must be one or several different"),
        ({"seeds": "01"}, ValueError, "seeds must be"),
        ({"seeds": None}, TypeError, "seeds must be a number or several, got NoneType"),
        ({"seeds": -1}, ValueError, "seed"),
        ({"seeds": [0, 1]}, ValueError, "several seeds need a function that makes the model"),
        ({"net": 3}, TypeError, "model must be an EnergyModule or a function"),
        ({"net": lambda: 3}, TypeError, "must make an EnergyModule, but it gave int"),
        ({"rule": "pc"}, TypeError, "rule must be a pcx.learning.Rule or a function"),
        ({"rule": lambda lr: RULE}, ValueError, "give the settings to call it with"),
        ({"rule": lambda lr: 3, "settings": [{"lr": 1.0}]}, TypeError, "must make a pcx.learning.Rule, not int"),
        ({"settings": [{"lr": 1.0}]}, ValueError, "a rule was given"),
        ({"rule": lambda lr: RULE, "settings": [{"lr": "big"}]}, ValueError, "finite numbers, but 'lr' is 'big'"),
        ({"rule": lambda lr: RULE, "settings": [{"lr": np.nan}]}, ValueError, "finite numbers"),
        ({"rule": lambda lr: RULE, "settings": {"lr": 1.0}}, ValueError, "settings must be dicts"),
        ({"rule": lambda **c: RULE, "settings": [{"a": 1.0}, {"b": 1.0}]}, ValueError, "must all have the same names"),
        (
            {"rule": lambda loss: RULE, "settings": [{"loss": 1.0}]},
            ValueError,
            "'loss' is a name that the history uses",
        ),
        ({"metrics": {"energy": pxt.accuracy}}, ValueError, "'energy' is a name that the history uses"),
        ({"metrics": [pxt.accuracy]}, TypeError, "metrics must be a dict"),
        ({"metrics": {"recall": 3}}, TypeError, "the metric 'recall' must be a function, got 3"),
        ({"augment": 3}, TypeError, "augment must be a function, got 3"),
        ({"augment": lambda key, x: x[:, :1]}, (TypeError, ValueError), ""),
        ({"validation": (X, Y + 5)}, ValueError, "labels must be from 0 to 1 for the output node .*, got 5 to 6"),
        ({"validation": (X, -Y - 1)}, ValueError, "labels must be from 0 to 1"),
        (
            {"metrics": {"mean": lambda output, y: output.mean()}},
            ValueError,
            r"the metric 'mean' gives shape \(\), but there must be one number for each",
        ),
        (
            {"metrics": {"each": lambda output, y: output}},
            ValueError,
            r"the metric 'each' gives shape \(\d+, 2\)",
        ),
        ({"callbacks": print}, TypeError, "callbacks must be a list of functions, got builtin_function_or_method"),
        ({"callbacks": [3]}, TypeError, "callback 0 must be a function, got 3"),
        ({"early_stopping": 3}, TypeError, "early_stopping must be an EarlyStopping, got int"),
        ({"early_stopping": pxt.EarlyStopping("recall")}, ValueError, "early_stopping asks for 'recall'; the history"),
        ({"best": "recall"}, ValueError, "best asks for 'recall'; the history will have energy, loss"),
        ({"best": "validation_loss", "validation": None}, ValueError, "'validation_loss' without validation"),
        ({"validation": iter([TRAIN])}, TypeError, "validation must be a split or a pair of arrays"),
        ({"validation": (X[:0], Y[:0])}, ValueError, "at least 1"),
        ({"validation": (X, Y[:-1])}, ValueError, "the same number of samples"),
        ({"validation": (X[:, :1], Y)}, ValueError, r"can't be judged on validation \(float32\[96, 1\]"),
        ({"data": (X, Y[:-1])}, ValueError, "the same number of samples"),
        ({"data": (X, Y[:-1])}, ValueError, "fit: x and y must have .* x has 96, y has 95"),
        (
            {"data": (X[:9], Y[:9]), "batch_size": None},
            ValueError,
            "batch_size, 128 if it isn't given, is more than .* 9",
        ),
        ({"data": (X, Y + 1)}, ValueError, "labels must be from 0 to 1"),
        ({"data": (X, Y - 1)}, ValueError, r"samples without a label: pxl\.Targets\(y, known=mask\)"),
        ({"data": X}, TypeError, r"a pair \(x, y\), got an array of shape"),
        ({"data": (X, Y, Y)}, TypeError, r"a pair \(x, y\), got a tuple of 3"),
        ({"data": (X[:, :1], Y)}, (TypeError, ValueError), ""),
        ({"data": iter([])}, (TypeError, ValueError), ""),
        ({"data": []}, ValueError, "empty"),
        ({"data": [X, X, X]}, TypeError, "a pair"),
        ({"data": pxd.Dataset}, TypeError, ""),
        ({"resume": True, "folder": None}, ValueError, "resume=True needs the folder"),
        ({"rule": pxl.pc(optax.adam(0.1), optax.sgd(0.1), 4), "net": lambda: 1 / 0}, ZeroDivisionError, ""),
    ],
    ids=lambda x: "-".join(x) if isinstance(x, dict) else "",
)
def test_refused(tmp_path, options, error, said):
    folder = tmp_path / "new" / "run"
    with pytest.raises(error, match=said or None):
        train(**{"folder": folder, **options})
    assert not (tmp_path / "new").exists()


def test_the_data_set_instead_of_a_split():
    split = pxd.Split(X, Y)
    data = type("Sets", (), {"train": split, "test": split})()
    with pytest.raises(TypeError, match=r"give the split to train on, such as data.train"):
        train(data=data)


def test_early_stopping_refuses():
    with pytest.raises(ValueError, match="patience must be at least 1, got 0"):
        pxt.EarlyStopping(patience=0)
    with pytest.raises(ValueError, match="mode must be 'min' or 'max', got 'up'"):
        pxt.EarlyStopping(mode="up")  # pyright: ignore


def test_a_model_that_is_refused_stays_as_it_was():
    net = model()
    before = np.asarray(net.layers[0].nn.weight.get())
    with pytest.raises(ValueError, match="judged"):
        train(net, validation=(HELD_OUT[0][:, :1], HELD_OUT[1]))
    np.testing.assert_array_equal(before, np.asarray(net.layers[0].nn.weight.get()))
