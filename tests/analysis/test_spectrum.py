"""Spectra by quadrature against all eigenvalues."""

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure

import pcx.analysis as pxa

from .networks import bound, eigenvalues, landscape, mlp, moved


@pytest.mark.hasty
@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("per_sample", [True, False])
def test_moments_and_distribution(per_sample):
    space = landscape(bound(mlp, batch=8))
    at = moved(space)
    true = eigenvalues(space, at)
    found = pxa.spectrum(space, at, per_sample=per_sample, probes=100, steps=20)
    assert found.values.shape == ((100, 8, 20) if per_sample else (100, 20))
    np.testing.assert_allclose(jnp.sum(found.weights, axis=-1), 1, rtol=1e-9)
    for power in range(5):
        np.testing.assert_allclose(found.moment(power), np.mean(true**power), rtol=0.02)
    at = jnp.linspace(-1, 5, 300)
    density = found.density(at, 0.1)
    want = np.mean(np.exp(-0.5 * ((at[:, None] - true) / 0.1) ** 2), axis=1) / (0.1 * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(np.trapezoid(density, at), 1, atol=1e-3)
    np.testing.assert_allclose(density, want, atol=0.06 * want.max())
    logs = found.density_of_logs(jnp.linspace(-4, 3, 500), 0.05)
    np.testing.assert_allclose(np.trapezoid(logs, dx=7 / 499), np.mean(true > 0), atol=0.02)


def spectra(*values):
    v = jnp.asarray([values])
    return pxa.Spectrum(v, jnp.full(v.shape, 1 / len(values)))


def test_pictures():
    one, two = Figure().subplots(1, 2)
    zero = jnp.zeros(())
    wide, none = spectra(0.01, 0.5, 1.0, 4.0), {"h": jnp.zeros((1,))}
    made = pxa.Curvature(jnp.array(4.0), jnp.array(0.01), zero, zero, jnp.array(True), jnp.int32(4), none, none)
    assert pxa.plot_spectrum(wide, made, one) is one
    assert one.get_xscale() == "log"
    assert [t.get_text() for t in one.get_legend().get_texts()] == [
        "smallest 0.01",
        "largest 4: steps below 0.5 are stable",
    ]
    pxa.plot_spectrum(spectra(-1.0, 2.0), ax=two, label="a saddle")
    assert two.get_xscale() == "linear"
    with pytest.raises(ValueError, match="not finite"):
        pxa.plot_spectrum(spectra(1.0, float("nan")), ax=two)
    with pytest.raises(ValueError, match="width"):
        pxa.plot_spectrum(wide, ax=two, width=0.0)
