"""Soft ranks and smooth metrics: brute force in NumPy, limits, invariance, ties, edges, gradients, memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from rdjax.checks import InputError
from rdjax.retrieval import (
    PooledRanks,
    SigmoidRanks,
    SoftmaxRanks,
    mean_reciprocal_rank,
    parse_metric,
    ranks,
    smooth_metric,
)

FUNCTIONS = [SigmoidRanks, SoftmaxRanks, PooledRanks]
METRICS = ["mrr", "map", "recall@3", "precision@3", "ndcg", "ndcg@4", "dcg", "rbp@0.7"]
every = pytest.mark.parametrize("make", FUNCTIONS)


def lists(rng, dtype, shape=(3, 12)):
    return rng.standard_normal(shape).astype(dtype)


def all_of(scores):
    return jnp.arange(scores.shape[-1])


# against brute force


def test_sigmoids_count_what_is_above(rng, dtype, tolerance):
    scores = lists(rng, dtype)
    width = 0.3 * scores.std(axis=-1, keepdims=True)
    odds = (scores[:, None, :] - scores[:, :, None]) / width[..., None]
    expected = 0.5 + expit(odds).sum(axis=-1)  # itself counts one half
    np.testing.assert_allclose(SigmoidRanks(0.3)(scores, all_of(scores)), expected, rtol=20 * tolerance)


def test_softmax_is_the_mean_place(rng, dtype, tolerance):
    scores = lists(rng, dtype)
    width = 0.3 * scores.std(axis=-1, keepdims=True)[..., None]
    places = -np.abs(np.sort(scores, axis=-1)[:, None, ::-1] - scores[:, :, None]) / width
    share = np.exp(places) / np.exp(places).sum(axis=-1, keepdims=True)
    expected = share @ np.arange(1.0, 13.0)
    np.testing.assert_allclose(SoftmaxRanks(0.3)(scores, all_of(scores)), expected, rtol=20 * tolerance)


@pytest.mark.float64_only
@pytest.mark.parametrize("temperature", [0.05, 0.5, 5.0])
def test_pooling_is_the_projection_onto_averages_of_rankings(rng, temperature):
    """The hull of the orders of (1..N): any k entries sum to at least 1 + ... + k, all to N (N + 1) / 2."""
    scores = rng.standard_normal(5)
    target = -scores / (temperature * scores.std())
    subsets = [np.array([b >> i & 1 for i in range(5)]) for b in range(1, 32)]
    constraints = [{"type": "eq", "fun": lambda r: r.sum() - 15}]
    for members in subsets[:-1]:
        size = members.sum()
        constraints.append({"type": "ineq", "fun": lambda r, a=members, k=size: r @ a - k * (k + 1) / 2})
    middle = np.full(5, 3.0)
    found = minimize(
        lambda r: ((r - target) ** 2).sum(), middle, constraints=constraints, options={"ftol": 1e-14, "maxiter": 1000}
    )
    np.testing.assert_allclose(PooledRanks(temperature)(scores, np.arange(5)), found.x, atol=1e-5)


# properties of each


@every
def test_cold_ranks_are_hard_ranks(make, rng, dtype):
    scores = lists(rng, dtype, (4, 30))
    relevant = rng.integers(0, 30, (4, 2))
    np.testing.assert_allclose(make(1e-5)(scores, relevant), ranks(scores, relevant), atol=1e-3)


@every
def test_shifts_and_scales_change_nothing(make, rng, dtype, tolerance):
    scores = lists(rng, dtype)
    plain = make(0.2)(scores, all_of(scores))
    np.testing.assert_allclose(make(0.2)(1e-3 * scores, all_of(scores)), plain, rtol=100 * tolerance)
    np.testing.assert_allclose(make(0.2)(7 * scores + 3, all_of(scores)), plain, rtol=1000 * tolerance)


@every
def test_ties_get_the_mean_rank_and_finite_gradients(make, dtype, tolerance):
    every = jax.jit(lambda ranks, s: ranks(s, np.arange(len(s))))
    first = jax.jit(jax.grad(lambda s, ranks: every(ranks, s)[0]))
    scores, constant = jnp.asarray([2.0, 1.0, 1.0, 1.0, 0.0], dtype), jnp.full(5, 0.4, dtype)
    np.testing.assert_allclose(every(make(1e-4), scores), [1, 3, 3, 3, 5], rtol=20 * tolerance)
    np.testing.assert_allclose(every(make(0.1), constant), np.full(5, 3.0), rtol=20 * tolerance)
    for case in (scores, constant, jnp.zeros(1, dtype)):
        assert np.isfinite(first(case, make(0.1))).all()


@every
def test_extreme_scores_stay_finite(make, dtype):
    scores = jnp.asarray([1e6, -1e6, 0.0, 1.0], dtype)
    total = lambda s, ranks: (jnp.sum((found := ranks(s, np.arange(4))) ** 2), found)
    both = jax.jit(jax.value_and_grad(total, has_aux=True))
    (found, _), gradient = both(scores, make(0.01))
    assert np.isfinite(found)
    assert np.isfinite(gradient).all()
    np.testing.assert_allclose(both(scores, make(1e-8))[0][1], [1, 4, 3, 2], atol=0.5)


@pytest.mark.float64_only
@every
def test_documents_left_out_do_not_count(make, rng, dtype, tolerance):
    scores = lists(rng, dtype, (2, 9))
    among = rng.random((2, 9)) < 0.6
    among[:, 0] = True
    found = make(0.2)(scores, jnp.asarray([0]), among)
    for row in range(2):
        alone = make(0.2)(scores[row][among[row]], jnp.asarray([0]))
        np.testing.assert_allclose(found[row], alone, rtol=100 * tolerance)
    masked = np.where(among, scores, -np.inf).astype(dtype)
    gradient = jax.jit(jax.grad(lambda s: jnp.sum(make(0.2)(s, jnp.asarray([0]), among))))(jnp.asarray(masked))
    np.testing.assert_array_equal(np.asarray(gradient)[~among], 0)


@every
@pytest.mark.float64_only
def test_gradients_against_differences(make, rng):
    scores, direction, weights = rng.standard_normal((3, 2, 8))
    both = jax.jit(jax.value_and_grad(lambda s: jnp.sum(make(0.4)(s, np.arange(8)) * weights)))
    step = 1e-6
    expected = (both(scores + step * direction)[0] - both(scores - step * direction)[0]) / (2 * step)
    assert float(jnp.sum(both(scores)[1] * direction)) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.float64_only
@every
def test_jit_vmap_and_a_traced_temperature(make, rng, dtype, tolerance):
    scores = lists(rng, dtype)
    relevant = np.array([[1, 2], [0, 5], [11, 3]])
    plain = make(0.2)(scores, relevant)
    np.testing.assert_allclose(jax.jit(lambda f, s: f(s, relevant))(make(0.2), scores), plain, rtol=20 * tolerance)
    np.testing.assert_allclose(jax.vmap(make(0.2))(scores, relevant), plain, rtol=20 * tolerance)
    gradient = jax.jit(jax.grad(lambda t: jnp.sum(make(t)(scores, relevant))))(0.2)
    assert np.isfinite(gradient)


def test_bad_input_is_refused():
    with pytest.raises(InputError, match="above 0"):
        SigmoidRanks(0.0)(np.zeros(3), np.arange(3))
    with pytest.raises(InputError, match="listed documents"):
        SigmoidRanks()(np.zeros((2, 3)), np.zeros((3, 1), int))
    with pytest.raises(InputError, match="a number"):
        SigmoidRanks()(1.0, np.arange(1))


# metrics


@every
@pytest.mark.parametrize("name", METRICS)
def test_cold_metrics_are_hard_metrics(make, name, rng, dtype):
    scores = lists(rng, dtype, (5, 20))
    relevant = np.array([[0, 3, -1], [7, -1, -1], [1, 2, 19], [4, 5, 6], [8, 0, -1]])
    hard = parse_metric(name)(scores, relevant)
    np.testing.assert_allclose(smooth_metric(name, scores, relevant, rank_fn=make(1e-5), width=0.01), hard, atol=1e-3)


@pytest.mark.parametrize("name", METRICS)
def test_one_relevant_document_and_grades(name, rng, dtype, tolerance):
    scores = lists(rng, dtype)
    relevant = np.array([3, 0, 7])
    one = smooth_metric(name, scores, relevant)
    np.testing.assert_allclose(one, smooth_metric(name, scores, relevant[:, None]), rtol=20 * tolerance)
    assert one.shape == (3,)


def test_grades_count_in_gains(rng, dtype):
    scores = lists(rng, dtype)
    relevant, grades = np.array([[3, 1], [0, 2], [7, -1]]), np.array([[3.0, 1.0], [1.0, 0.0], [2.0, 0.0]])
    hard = parse_metric("ndcg")(scores, relevant, grades=grades)
    found = smooth_metric("ndcg", scores, relevant, grades=grades, rank_fn=SigmoidRanks(1e-5))
    np.testing.assert_allclose(found, hard, atol=1e-4)


@pytest.mark.parametrize("name", METRICS)
def test_raising_the_relevant_score_raises_the_metric(name, rng, dtype):
    scores = lists(rng, dtype, (6, 15))
    relevant = rng.integers(0, 15, 6)
    gradient = jax.grad(lambda s: jnp.sum(smooth_metric(name, s, relevant, rank_fn=SigmoidRanks(0.3))))(
        jnp.asarray(scores)
    )
    own = np.asarray(gradient)[np.arange(6), relevant]
    assert (own >= 0).all()
    assert own.sum() > 0


@every
@pytest.mark.parametrize("spread", [0.03, 30.0])
def test_the_bias_at_the_usual_temperature_is_below_two_percent(make, spread, dtype):
    """64 x 1000 cosines with MRR near .011: what a fixed temperature of 1 reads as .002."""
    rng = np.random.default_rng(0)
    scores = (spread * rng.standard_normal((64, 1000))).astype(dtype)
    relevant = rng.integers(0, 1000, 64)
    hard = float(mean_reciprocal_rank(scores, relevant))
    assert float(jnp.mean(smooth_metric("mrr", scores, relevant, rank_fn=make()))) == pytest.approx(hard, rel=0.02)


@pytest.mark.float64_only
def test_the_gradient_of_all_ranks_needs_no_square_of_the_list():
    """8 lists of 2000, all ranks: 8 x 2000 x 2000 numbers would be 244 MiB."""

    def total(scores):
        return jnp.sum(1 / SigmoidRanks(0.1)(scores, jnp.arange(2000)))

    compiled = jax.jit(jax.grad(total)).lower(jax.ShapeDtypeStruct((8, 2000), jnp.float64)).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 25 * 2**20
