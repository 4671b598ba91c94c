"""Modalities: the paper's quantities, exact and estimated, against NumPy and closed forms."""

import jax
import numpy as np
import pytest

from rdjax.checks import InputError
from rdjax.information.entropy_calibration import calibrate_entropy
from rdjax.information.modalities import (
    UNIT_CAVEAT,
    calibrated_reading,
    modalities_of_law,
    modalities_of_samples,
    modalities_of_symbols,
    unique_relevance,
)


def plain_entropy(law):
    law = np.asarray(law, np.float64).ravel()
    law = law[law > 0]
    return -np.sum(law * np.log2(law))


def brute(joint):
    """Entropies [M] and pairwise information [M, M] in float64."""
    count = joint.ndim
    marginal = lambda *kept: joint.sum(axis=tuple(a for a in range(count) if a not in kept))
    alone = np.array([plain_entropy(marginal(m)) for m in range(count)])
    shared = np.zeros((count, count))
    for m in range(count):
        for n in range(count):
            if m != n:
                shared[m, n] = alone[m] + alone[n] - plain_entropy(marginal(m, n))
    return alone, shared


def copies(count, size=4):
    """Every modality the same uniform symbol."""
    joint = np.zeros((size,) * count)
    joint[(np.arange(size),) * count] = 1 / size
    return joint


def test_of_a_law(rng, dtype, tolerance):
    joint = rng.dirichlet(np.full(24, 0.3)).reshape(2, 3, 4)
    found = jax.device_get(jax.jit(modalities_of_law)(joint.astype(dtype)))
    alone, shared = brute(joint)
    np.testing.assert_allclose(found.entropies, alone, rtol=10 * tolerance)
    np.testing.assert_allclose(found.information, shared, atol=10 * tolerance)
    ratio = shared.sum() / alone.sum()
    np.testing.assert_allclose(found.redundancy_as_printed, ratio, rtol=100 * tolerance)
    np.testing.assert_allclose(found.redundancy, ratio / 2, rtol=100 * tolerance)
    np.testing.assert_allclose(found.skew_as_printed, (1 - ratio) / 2, rtol=100 * tolerance)
    np.testing.assert_allclose(found.imbalance, np.abs(alone - alone.mean()).sum(), rtol=100 * tolerance)
    assert found.message == ""


@pytest.mark.parametrize(("count", "kappa"), [(2, 0), (3, -1 / 2), (4, -2 / 3)])
def test_copies_break_the_printed_range_and_not_the_normalized_one(count, kappa, dtype):
    found = jax.device_get(modalities_of_law(copies(count).astype(dtype)))
    np.testing.assert_allclose(found.redundancy_as_printed, count - 1, rtol=1e-5)
    np.testing.assert_allclose(found.redundancy, 1, rtol=1e-5)
    np.testing.assert_allclose(found.skew_as_printed, kappa, atol=1e-5)


def test_redundancy_is_a_share(rng, dtype):
    joints = rng.dirichlet(np.full(12, 0.2), 20).reshape(20, 2, 3, 2).astype(dtype)
    shares = np.asarray(jax.jit(jax.vmap(lambda joint: modalities_of_law(joint).redundancy))(joints))
    assert ((shares >= -1e-5) & (shares <= 1 + 1e-5)).all()


def test_unique_relevance(dtype, tolerance, rng):
    joint = rng.dirichlet(np.full(24, 0.3)).reshape(2, 3, 4)
    expected = [plain_entropy(joint.sum(axis=m)) - plain_entropy(joint.sum(axis=(m, 2))) for m in range(2)]
    np.testing.assert_allclose(unique_relevance(joint.astype(dtype)), expected, rtol=100 * tolerance)
    bits = np.zeros((2, 2, 4))  # Y is both bits, and modality m knows one
    for a in range(2):
        for b in range(2):
            bits[a, b, 2 * a + b] = 0.25
    np.testing.assert_allclose(unique_relevance(bits.astype(dtype)), [1, 1], rtol=1e-5)
    same = np.zeros((2, 2, 2))  # both know all of it: neither is needed
    same[0, 0, 0] = same[1, 1, 1] = 0.5
    np.testing.assert_allclose(unique_relevance(same.astype(dtype)), [0, 0], atol=1e-6)


@pytest.mark.float64_only
def test_symbols_come_near_the_law(rng):
    joint = rng.dirichlet(np.ones(12)).reshape(2, 3, 2)
    drawn = np.array(np.unravel_index(rng.choice(12, 20_000, p=joint.ravel()), joint.shape))
    found, exact = modalities_of_symbols(drawn, joint.shape), brute(joint)
    np.testing.assert_allclose(found.entropies, exact[0], atol=0.02)
    np.testing.assert_allclose(found.information, exact[1], atol=0.02)


@pytest.mark.float64_only
def test_samples_come_near_a_gaussian_and_scale(rng):
    shared = rng.standard_normal((600, 1))
    one, two = (np.c_[shared + 0.5 * rng.standard_normal((600, 1)), rng.standard_normal((600, 1))] for _ in range(2))
    far = rng.standard_normal((600, 1))
    found = modalities_of_samples({"one": one, "two": two, "far": far})
    truth = -0.5 * np.log2(1 - (1 / 1.25) ** 2)
    assert abs(float(found.information[0, 1]) - truth) < 0.2
    assert abs(float(found.information[0, 2])) < 0.15
    assert found.continuous
    assert found.message.startswith(UNIT_CAVEAT)
    np.testing.assert_allclose(found.information, found.information.T)


@pytest.mark.float64_only
def test_too_few_rows_for_many_columns_are_withheld(rng):
    base = rng.standard_normal((60, 3))
    one = np.c_[base, rng.standard_normal((60, 40))]
    two = np.c_[base + 0.1 * rng.standard_normal((60, 3)), rng.standard_normal((60, 40))]
    found = modalities_of_samples({"one": one, "two": two})
    assert (0, 1) in dict(found.withheld)
    assert "modality 0 and 1: withheld" in found.message
    assert np.isnan(found.cross_information)
    assert np.isnan(found.redundancy)


@pytest.mark.float64_only
def test_an_entropy_that_cannot_be_read_is_withheld_and_what_is_shared_is_not(rng):
    angle = rng.uniform(0, 2 * np.pi, 500)
    circle = np.c_[np.cos(angle), np.sin(angle)]  # no density in the plane
    far = rng.standard_normal((500, 2))
    found = modalities_of_samples({"circle": circle, "far": far})
    assert (
        dict(found.withheld)[0,]
        == "withheld: all rows have one length, so their differential entropy is minus infinity."
    )
    assert np.isnan(found.entropies[0])
    assert float(found.entropies[1]) == pytest.approx(np.log2(2 * np.pi * np.e), abs=0.2)
    assert abs(float(found.information[0, 1])) < 0.2
    assert np.isnan(found.imbalance)


@pytest.mark.float64_only
def test_gradient_of_the_redundancy(rng):
    logits, way, step = rng.standard_normal((2, 3)), rng.standard_normal((2, 3)), 1e-4
    law = lambda t: jax.nn.softmax((logits + t * way).ravel()).reshape(2, 3)
    both = jax.jit(jax.value_and_grad(lambda t: modalities_of_law(law(t)).redundancy))
    (up, _), (down, _), (_, slope) = jax.device_get([both(t) for t in (step, -step, 0.0)])
    np.testing.assert_allclose(slope, (up - down) / (2 * step), rtol=1e-5)


@pytest.mark.float64_only
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: modalities_of_law(np.float64(1.0)), "one axis for each modality"),
        (lambda: modalities_of_law(np.array([0.5, 0.5])).redundancy, "two or more"),
        (lambda: modalities_of_law(np.ones((1, 1))).redundancy, "sum to 0 bits"),
        (lambda: unique_relevance(np.array([0.5, 0.5])), "[K_1, ..., K_M, K_Y]"),
        (lambda: modalities_of_symbols(np.zeros(3, int), (2,)), "[M, n]"),
        (lambda: modalities_of_symbols(np.zeros((2, 3), int), (2,)), "2 modalities and 1 sizes"),
        (lambda: modalities_of_symbols(np.zeros((2, 3), int), 2), "sizes is 2; give a tuple"),
        (lambda: modalities_of_samples({}), "there are no modalities"),
        (lambda: modalities_of_samples({"a": np.eye(9)}, neighbors=0), "neighbors is 0; it must be a whole"),
        (lambda: modalities_of_samples({"a": np.eye(9)}, neighbors=2.5), "neighbors is 2.5; it must be a whole"),
        (lambda: modalities_of_samples({"a": np.eye(9)}, neighbors="3"), "neighbors is '3'; it must be a whole"),
        (lambda: calibrated_reading([np.eye(9)], neighbors=0), "neighbors is 0; it must be a whole"),
        (lambda: calibrate_entropy(np.eye(4), neighbors=2.5), "neighbors is 2.5; it must be a whole"),
    ],
)
def test_what_cannot_be_answered_is_said(call, words):
    with pytest.raises(InputError) as error:
        call()
    assert words in str(error.value)
