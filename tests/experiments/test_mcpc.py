"""Monte Carlo PC: the distances that it is judged by, and that it learns a distribution."""

import numpy as np
import pytest
from scipy.special import ndtri

from pcx.experiments._judge import frechet
from pcx.experiments._sampled import wasserstein

from .commands import results


def test_the_wasserstein_distance_is_how_far_quantiles_must_be_moved():
    z = ndtri((np.arange(1000) + 0.5) / 1000)
    samples = np.random.default_rng(0).permutation(2 * z + 1)
    assert wasserstein(samples, 1.0, 2.0) == pytest.approx(0, abs=1e-12)
    assert wasserstein(samples, 1.3, 2.0) == pytest.approx(0.3)
    # Of normal distributions of one mean it is the difference of deviations times E|z|.
    assert wasserstein(samples, 1.0, 3.0) == pytest.approx(np.sqrt(2 / np.pi), rel=1e-2)


def test_the_frechet_distance_of_normal_distributions():
    random = np.random.default_rng(0)
    a = random.normal(size=(500, 4)) @ random.normal(size=(4, 4))
    assert frechet(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet(a + 2, a) == pytest.approx(16)
    # Where covariances commute it is the sum over their axes of (s - r)^2.
    assert frechet(3 * a, a) == pytest.approx(4 * a.var(axis=0, ddof=1).sum() + 4 * (a.mean(axis=0) ** 2).sum())


@pytest.mark.hasty
def test_a_normal_distribution_is_learned(tmp_path):
    longer = ("--seeds", 1, "--epochs", 20, "--lr", 0.03, "--samples", 4096, "--T", 150, "--burn-in", 75)
    (found,) = results(tmp_path / "run", "mcpc", "--only", "mcpc", *longer, "--generate", 2000).values()
    assert found["wasserstein"]["once"]["mean"] < 0.3
    assert found["generated_variance"]["once"]["mean"] == pytest.approx(5, rel=0.25)


@pytest.mark.hasty
def test_real_digits_are_judged(tmp_path):
    (found,) = results(tmp_path / "run", "mcpc-digits", "--only", "real").values()
    assert 2 < found["inception_score"]["once"]["mean"] <= 10
    assert found["judge_accuracy"]["once"]["mean"] > 0.5
