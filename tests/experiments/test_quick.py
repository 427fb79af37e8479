"""Every experiment runs from end to end, at tiny sizes; every arm of it can be made."""

import json

import pytest

import pcx.experiments.frame._trained as of_trained
from pcx.experiments import EXPERIMENTS, Trained, Where

from .commands import call

SMALL = ["--samples", "200", "--test-samples", "50", "--batch-size", "50", "--seeds", "1", "--epochs", "1"]
OWN = {
    "autoencoder": ["--widths", "4", "8", "--T", "2", "--only", "pc"],
    "deep": ["--depths", "3", "--width", "8"],
    "hybrid": ["--hidden", "8", "--T", "2", "--only", "hybrid-T2"],
    "both-ways": ["--hidden", "8", "--T", "2", "--only", "bpc"],
    "resnet": ["--blocks", "1", "--channels", "2", "--only", "pc-levelled"],
    "deconv": ["--latent", "4", "--channels", "2", "2", "--T", "2", "--only", "pc", "backprop"],
}


LOOKED_AT = ("autoencoder",)
"""The experiments whose regime is measured here: it takes as long as all else."""


class Unseen:
    def to_dict(self):
        return dict.fromkeys(
            ("verdict", "why", "share", "moving", "module_cosine", "module_norm_ratio", "arrival", "alignment"),
            "unseen",
        )


@pytest.mark.hasty
@pytest.mark.parametrize("name", OWN)
def test_from_end_to_end(name, image_folder, tmp_path, monkeypatch):
    if name not in LOOKED_AT:
        monkeypatch.setattr(of_trained, "regime", lambda *args, **options: Unseen())
    out = tmp_path / "run"
    words = ["run", name, "--quick", *SMALL, *OWN[name], "--data-folder", image_folder, "--quiet", "--out", out]
    assert call(*words) == 0
    config = json.loads((out / "config.json").read_text())
    assert config["quick"]
    summary = json.loads((out / "summary.json").read_text())["results"]
    for found in summary.values():
        assert all(way["mean"] is not None for each in found.values() for way in each.values())
    assert (out / "figure.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_arm_can_be_made(name, image_folder):
    experiment = EXPERIMENTS[name]
    settings = type(experiment.settings)(samples=128, test_samples=20)
    data = experiment.data(settings, Where(image_folder))
    for each in experiment.arms(settings):
        arm = experiment.arm(each, settings, data)
        assert not isinstance(arm, Trained) or arm.rule is not None
