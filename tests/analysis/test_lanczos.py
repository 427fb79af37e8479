"""Lanczos' method against dense linear algebra."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pcx.analysis._lanczos import begun, extend, outermost, ritz, vectors_of
from pcx.analysis._outer import outer_of

pytestmark = pytest.mark.usefixtures("double")


def symmetric(spectrum: np.ndarray, seed: int) -> np.ndarray:
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(spectrum),) * 2))
    return (q * spectrum) @ q.T


def space(matrices: np.ndarray, steps: int, done=None):
    start = jnp.asarray(np.random.default_rng(5).normal(size=matrices.shape[:2]))
    product = lambda v: jnp.einsum("lij,lj->li", matrices, v)  # noqa: E731
    return jax.jit(lambda s: extend(product, begun(s, steps), done))(start)


@pytest.mark.hasty
def test_ends_vectors_and_errors():
    # One lane with gaps, one with many eigenvalues of a kind, whose space is soon full, one with a dense spectrum.
    spectra = [np.linspace(-3, 1, 40), np.repeat([2.0, 5.0, 9.0], [20, 15, 5]), np.linspace(1, 2, 40) ** 4]
    matrices = np.stack([symmetric(s, i) for i, s in enumerate(spectra)])
    found = space(matrices, 25)
    values = ritz(found)
    ends = jax.jit(outermost)(found)
    low, high = ends.smallest_error, ends.largest_error
    np.testing.assert_allclose(ends.smallest, values.values[:, 0], atol=1e-12)
    np.testing.assert_allclose(ends.largest, values.values[:, -1], atol=1e-12)
    for i, true in enumerate(spectra):
        for end, error in ((0, low), (-1, high)):
            assert abs(values.values[i, end] - true[end]) <= error[i] + 1e-12
            v = np.asarray(vectors_of(found, values.vectors[:, :, end]))[i]
            np.testing.assert_allclose(np.linalg.norm(v), 1, atol=1e-12)
            left = np.linalg.norm(matrices[i] @ v - values.values[i, end] * v)
            np.testing.assert_allclose(left, values.residuals[i, end], atol=1e-11)
    assert not found.alive[1]
    np.testing.assert_allclose(np.asarray(values.values)[1, [0, -1]], [2, 9])
    assert np.all(np.asarray(found.asymmetry) < 1e-12)


@pytest.mark.hasty
def test_a_full_space_is_exact_and_vectors_stay_orthogonal():
    spectrum = np.geomspace(1e-4, 10, 12)
    found = space(symmetric(spectrum, 3)[None], 12)
    np.testing.assert_allclose(ritz(found).values[0], spectrum, rtol=1e-9)
    basis = np.asarray(found.basis)[:, 0]
    np.testing.assert_allclose(basis @ basis.T, np.eye(12), atol=1e-13)


def test_it_ends_when_lanes_are_done():
    matrices = np.stack([symmetric(np.r_[np.linspace(0, 1, 59), 5.0], i) for i in range(2)])
    found = space(matrices, 60, lambda ends: ends.largest_error < 1e-9)
    assert 8 <= int(found.taken) <= 24
    np.testing.assert_allclose(ritz(found).values[:, -1], 5, atol=1e-9)


def test_one_dimension_and_zero():
    one = ritz(space(np.array([[[3.0]], [[0.0]]]), 1))
    np.testing.assert_allclose(one.values[:, 0], [3, 0])
    np.testing.assert_allclose(one.residuals, 0, atol=1e-15)


def test_what_is_not_symmetric_is_seen():
    matrices = np.stack([np.triu(np.ones((8, 8))), symmetric(np.arange(8.0), 0)])
    odd = np.asarray(space(matrices, 6).asymmetry)
    assert odd[0] > 0.1
    assert odd[1] < 1e-13


@pytest.mark.hasty
def test_lanes_that_meet_are_joined():
    whole = symmetric(np.linspace(-3, 1, 12), 0)
    apart = whole * np.kron(np.eye(3), np.ones((4, 4)))
    start = jnp.asarray(np.random.default_rng(1).normal(size=(3, 4)))

    @jax.jit
    def found(matrix):
        space = extend(lambda v: (matrix @ v.ravel()).reshape(v.shape), begun(start, 12, ask=True))
        return space, outermost(space)

    for matrix in (whole, apart):
        space, ends = found(matrix)
        assert bool(space.joined) == (matrix is whole)
        true = np.linalg.eigvalsh(matrix)[[0, -1]]
        np.testing.assert_allclose([ends.smallest.min(), ends.largest.max()], true, atol=1e-12)
        np.testing.assert_allclose(space.asymmetry, 0, atol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_outermost_eigenvalues_of_tridiagonal_matrices(dtype):
    r = np.random.default_rng(0)
    diagonal, beside = r.normal(size=(3, 20)).astype(dtype), r.normal(size=(3, 20)).astype(dtype)
    diagonal[1] = np.linspace(0, 9, 20) ** 3  # whose last eigenvectors end where they begin
    beside[2, 7] = 0  # two blocks
    fn = jax.jit(outer_of)
    for taken in (20, 9, 3, 1):
        found = fn(diagonal, beside, jnp.int32(taken))
        for i in range(3):
            inner = beside[i, : taken - 1]
            T = np.diag(diagonal[i, :taken]) + np.diag(inner, 1) + np.diag(inner, -1)
            values, vectors = np.linalg.eigh(T.astype(np.float64))
            at = np.clip([0, 1, taken - 2, taken - 1], 0, taken - 1)
            scale = 8 * np.finfo(dtype).eps * np.abs(values).max()
            np.testing.assert_allclose(found.values[i], values[at], rtol=0, atol=scale + 1e-37)
            if i < 2:
                np.testing.assert_allclose(found.last[i], np.abs(vectors[-1, at]), atol=1e3 * scale)
