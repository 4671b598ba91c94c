"""Scores at the ends of a precision: 64-bit numbers where JAX has 32, sums and differences that overflow."""

import jax
import numpy as np
import pytest

from rdjax.checks import InputError
from rdjax.retrieval import (
    PooledRanks,
    SigmoidRanks,
    SoftmaxRanks,
    calibrate_temperatures,
    count_above,
    counts_from_scores,
    doubting_posterior,
    listwise_loss,
    log_posterior,
    mean_reciprocal_rank,
    modality_scores,
    pairwise_loss,
    ranks,
    search_temperatures,
)
from rdjax.retrieval.temperature import NOT_CERTIFIED

SCORES = {
    "integers": np.array([3_000_000_000, 1, 5]),
    "unsigned": np.array([2**32 + 1, 7, 2**63 + 5], np.uint64),
    "close": np.array([1.0, 1.0 + 1e-9, 1.0]),
    "large": np.array([1e39, 2e39, -1e39]),
    "impossible": np.array([1e39, -np.inf, 1e300]),
}


@pytest.mark.parametrize("scores", SCORES.values(), ids=SCORES)
def test_scores_of_64_bits_are_compared_as_they_are(scores):
    for relevant in range(3):
        above, tied = counts_from_scores(scores, relevant)
        assert (int(above), int(tied)) == ((scores > scores[relevant]).sum(), (scores == scores[relevant]).sum())
        assert above.dtype in (np.int32, jax.dtypes.canonicalize_dtype(np.int64))
    several = counts_from_scores(np.stack([scores, scores[::-1]]), np.array([[0, -1], [2, 1]]))
    assert [np.shape(count) for count in several] == [(2, 2), (2, 2)]
    assert int(several[1][0, 1]) == 0


def test_scores_that_a_trace_closed_over_are_counted_at_once():
    counted = jax.jit(lambda x: x + counts_from_scores(SCORES["close"], 0)[0])
    assert int(counted(np.int32(5))) == 6


def test_metrics_of_64_bits():
    assert float(ranks(SCORES["integers"], 0)) == 1
    assert float(mean_reciprocal_rank(SCORES["large"][None], [0])) == pytest.approx(1 / 2)


def test_products_of_large_integers_do_not_wrap():
    documents = np.array([[3_000_000_000], [1]])
    found = modality_scores({"x": np.ones((1, 1))}, {"x": documents})
    np.testing.assert_allclose(found[0, 0], documents[:, 0], rtol=1e-6)
    assert int(count_above(np.ones((1, 1)), documents, np.array([0]))[0][0]) == 0


def test_what_float32_cannot_hold_is_refused(precision):
    call = lambda: modality_scores({"x": np.array([[1e39]])}, {"x": np.ones((2, 1))})
    if precision == "float64":
        assert float(call()[0, 0, 0]) == 1e39
        return
    with pytest.raises(InputError, match="too large for float32"):
        call()


def test_posteriors_of_cold_temperatures():
    row = np.float32([[[1, 2, 3]]])
    np.testing.assert_allclose(log_posterior(row, np.float16([1e-5])), [[-2e5, -1e5, 0]], rtol=0.02)
    far = np.float32([[[1e38, 0]]])
    np.testing.assert_allclose(log_posterior(far, np.float32([0.1])), [[0, -np.finfo(np.float32).max / 2]], rtol=1e-6)
    np.testing.assert_allclose(log_posterior(-far, np.float32([0.1]))[0, 1], 0)
    np.testing.assert_allclose(
        doubting_posterior(far, np.float32([0.1]), np.float32([0.5])), np.log([[3 / 4, 1 / 4]]), rtol=1e-5
    )
    assert float(listwise_loss(far, [0], np.float32([0.1]))) == 0


@pytest.mark.parametrize("make", [SigmoidRanks, SoftmaxRanks, PooledRanks])
def test_soft_ranks_of_scores_whose_sum_overflows(make):
    scores = np.linspace(0.9, 1, 1000)
    soft = jax.jit(lambda s: make(1e-6)(s, np.array([999, 0, 500])))
    np.testing.assert_allclose(soft(np.float32(scores * 1e36)), soft(np.float32(scores)), rtol=0.01)
    assert float(soft(np.float32(scores * 1e36))[0]) == pytest.approx(1, abs=0.01)


def test_a_search_over_scores_whose_squares_overflow(rng):
    scores = rng.standard_normal((1, 20, 8)).astype(np.float32)
    scores[0, :, 0] += 9
    found = search_temperatures(scores * np.float32(1e30), np.zeros(20, int), starts=1, steps=3)
    assert float(found.value) > 0.99
    assert np.isfinite(np.asarray(found.temperatures)).all()


def test_calibration_refuses_scores_whose_differences_overflow():
    scores = np.float32([[[3e38, -3e38], [-3e38, 1e38], [2e38, 3e38]]])
    with pytest.raises(InputError, match="differences overflow; scale them down"):
        calibrate_temperatures(scores, [0, 0, 1])
    traced = jax.jit(lambda s: calibrate_temperatures(s, np.array([0, 0, 1])))(scores)
    assert int(traced.status) == NOT_CERTIFIED


@pytest.mark.parametrize("loss", [listwise_loss, pairwise_loss])
def test_lists_that_nothing_is_relevant_in_count_for_nothing(loss, rng, dtype):
    scores = rng.standard_normal((2, 3, 5)).astype(dtype)
    whole = loss(scores[:, :2], np.array([[1, 2], [3, -1]]), np.ones(2, dtype))
    padded = jax.value_and_grad(lambda s: loss(s, np.array([[1, 2], [3, -1], [-1, -1]]), np.ones(2, dtype)))(scores)
    assert float(padded[0]) == pytest.approx(float(whole), rel=1e-5)
    assert not np.asarray(padded[1])[:, 2].any()
    assert float(loss(scores, -np.ones((3, 1), int), np.ones(2, dtype))) == 0
