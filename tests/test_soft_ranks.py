"""Soft ranks and smooth metrics: brute force in NumPy, limits, invariance, ties, edges, gradients, memory."""

import itertools

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
    parse_metric,
    smooth_metric,
)

FUNCTIONS = [SigmoidRanks, SoftmaxRanks, PooledRanks]
METRICS = ["mrr", "map", "recall@3", "precision@3", "ndcg", "ndcg@4", "dcg", "rbp@0.7"]
every = pytest.mark.parametrize("make", FUNCTIONS)


def lists(rng, dtype, shape=(3, 12)):
    return rng.standard_normal(shape).astype(dtype)


def all_of(scores):
    return np.arange(scores.shape[-1])


@jax.jit
def soft(ranks, scores, listed, among=None):
    return ranks(scores, listed, among)


@jax.jit
def slopes(ranks, scores, weights, listed=None, among=None):
    """(sum of weighted ranks, the ranks), and the gradient of the sum."""
    total = lambda s: (jnp.sum((found := ranks(s, all_of(s) if listed is None else listed, among)) * weights), found)
    return jax.value_and_grad(total, has_aux=True)(scores)


# against brute force


def test_sigmoids_count_what_is_above(rng, dtype, tolerance):
    scores = lists(rng, dtype)
    width = 0.3 * scores.std(axis=-1, keepdims=True)
    odds = (scores[:, None, :] - scores[:, :, None]) / width[..., None]
    expected = 0.5 + expit(odds).sum(axis=-1)  # itself counts one half
    np.testing.assert_allclose(soft(SigmoidRanks(0.3), scores, all_of(scores)), expected, rtol=20 * tolerance)


def test_softmax_is_the_mean_place(rng, dtype, tolerance):
    scores = lists(rng, dtype)
    width = 0.3 * scores.std(axis=-1, keepdims=True)[..., None]
    places = -np.abs(np.sort(scores, axis=-1)[:, None, ::-1] - scores[:, :, None]) / width
    share = np.exp(places) / np.exp(places).sum(axis=-1, keepdims=True)
    expected = share @ np.arange(1.0, 13.0)
    np.testing.assert_allclose(soft(SoftmaxRanks(0.3), scores, all_of(scores)), expected, rtol=20 * tolerance)


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
    np.testing.assert_allclose(slopes(PooledRanks(temperature), scores, np.ones(5))[0][1], found.x, atol=1e-5)


# properties of each


@every
def test_cold_ranks_are_hard_ranks(make, rng, dtype):
    scores = lists(rng, dtype)
    hard = 1 + (scores[:, None, :] > scores[:, :, None]).sum(axis=-1)
    np.testing.assert_allclose(soft(make(1e-5), scores, all_of(scores)), hard, atol=1e-3)


@every
def test_shifts_and_scales_change_nothing(make, rng, dtype, tolerance):
    scores = lists(rng, dtype)
    found = lambda scores: soft(make(0.2), scores, all_of(scores))
    np.testing.assert_allclose(found(1e-3 * scores), found(scores), rtol=100 * tolerance)
    np.testing.assert_allclose(found(7 * scores + 3), found(scores), rtol=1000 * tolerance)


def test_cold_ranks_of_a_long_list_are_hard_ranks(rng, dtype):
    """Sums over the list that decide the pools are far larger than what they differ by."""
    scores = lists(rng, dtype, (2, 2000))
    hard = 1 + np.argsort(np.argsort(-scores, axis=-1), axis=-1)
    np.testing.assert_allclose(soft(PooledRanks(1e-7), scores, all_of(scores)), hard, atol=0.6)  # 0.5: as good as tied


@pytest.mark.float64_only
@every
def test_a_list_of_which_nothing_counts_has_finite_ranks(make):
    (_, found), gradient = slopes(make(0.1), np.arange(3.0), np.ones(3), among=np.zeros(3, bool))
    assert np.all(np.isfinite(found))
    assert np.all(np.isfinite(gradient))


@every
@pytest.mark.parametrize("unit", [1e25, 1e-25])
def test_units_whose_squares_no_float_holds_change_nothing(make, unit, rng, dtype, tolerance):
    scores = lists(rng, dtype)
    found = soft(make(0.2), scores * dtype.type(unit), all_of(scores))
    np.testing.assert_allclose(found, soft(make(0.2), scores, all_of(scores)), rtol=100 * tolerance)


@every
def test_ties_get_the_mean_rank_and_finite_gradients(make, dtype, tolerance):
    scores, constant = np.array([[2, 1, 1, 1, 0], [0.4] * 5], dtype)
    first = np.eye(1, 5, dtype=dtype)[0]
    for case, ranks, expected in ((scores, make(1e-4), [1, 3, 3, 3, 5]), (constant, make(0.1), [3, 3, 3, 3, 3])):
        (_, found), gradient = slopes(ranks, case, first)
        np.testing.assert_allclose(found, expected, rtol=20 * tolerance)
        assert np.isfinite(gradient).all()
    assert np.isfinite(slopes(make(0.1), scores, first)[1]).all()


@pytest.mark.float64_only
@every
@pytest.mark.parametrize("entry", range(6))
def test_gradients_at_ties_are_the_mean_over_the_orders_of_what_ties(make, entry):
    """Of orders that a billionth tells apart; whatever place ties have in the list, their gradients are the same."""
    scores = np.array([0.0, 1, 1, 1, -1, 0])
    gradient = lambda scores: slopes(make(0.1), scores, np.ones(1), np.array([entry]))[1]
    tied, orders = np.array([1, 2, 3, 0, 5]), []
    for three in itertools.permutations(range(3)):
        for two in itertools.permutations(range(2)):
            moved = scores.copy()
            moved[tied] += 1e-9 * np.array([*three, *two])
            orders.append(gradient(moved))
    found = gradient(scores)
    np.testing.assert_allclose(found, np.mean(orders, axis=0), atol=1e-6)
    alike = np.array([place for place in (1, 2, 3) if place != entry])
    np.testing.assert_allclose(found[alike], found[alike[0]], rtol=1e-12, atol=1e-15)
    if entry in (1, 2, 3):
        assert found[entry] < 0 < found[alike[0]]  # a better score, a better rank; of another one, a worse


@pytest.mark.float64_only
@every
def test_a_list_of_one(make):
    (_, found), gradient = slopes(make(0.1), np.zeros(1), np.ones(1))
    assert (found, gradient) == (1, 0)


@every
def test_extreme_scores_stay_finite(make, dtype):
    scores, weights = np.array([[1e6, -1e6, 0, 1, 2], [2, 10, 8, 6, 4]], dtype)
    (found, _), gradient = slopes(make(0.01), scores, weights)
    assert np.isfinite(found)
    assert np.isfinite(gradient).all()
    np.testing.assert_allclose(slopes(make(1e-8), scores, weights)[0][1], [1, 5, 4, 3, 2], atol=0.5)


@pytest.mark.float64_only
@every
def test_documents_left_out_do_not_count(make, rng, tolerance):
    scores, among = rng.standard_normal((2, 9)), np.zeros((2, 9), bool)
    listed = np.sort([rng.permutation(9)[:5] for _ in range(2)])
    np.put_along_axis(among, listed, True, axis=1)
    masked = np.where(among, scores, -np.inf)
    (_, found), gradient = slopes(make(0.2), masked, np.eye(1, 5), listed, among)
    np.testing.assert_array_equal(gradient[~among], 0)
    for row in range(2):
        (_, alone), _ = slopes(make(0.2), scores[row][among[row]], np.ones(5))
        np.testing.assert_allclose(found[row], alone, rtol=100 * tolerance)
    np.testing.assert_array_equal(slopes(make(0.2), scores, np.eye(1, 5), listed, among)[0][1], found)


@every
@pytest.mark.float64_only
def test_gradients_against_differences(make, rng):
    scores, direction, weights = rng.standard_normal((3, 5))
    value = lambda step: slopes(make(0.4), scores + step * direction, weights)[0][0]
    expected = (value(1e-6) - value(-1e-6)) / 2e-6
    assert slopes(make(0.4), scores, weights)[1] @ direction == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.float64_only
@every
def test_jit_vmap_and_a_traced_temperature(make, rng, dtype, tolerance):
    scores = lists(rng, dtype)
    relevant = np.array([[1, 2], [0, 5], [11, 3]])
    plain = make(0.2)(scores, relevant)
    whole = soft(make(0.2), scores, all_of(scores))
    np.testing.assert_allclose(np.take_along_axis(np.asarray(whole), relevant, axis=1), plain, rtol=20 * tolerance)
    each = lambda t: (jnp.sum(found := jax.vmap(make(t))(scores, relevant)), found)
    (_, one_by_one), gradient = jax.jit(jax.value_and_grad(each, has_aux=True))(0.2)
    np.testing.assert_allclose(one_by_one, plain, rtol=20 * tolerance)
    assert np.isfinite(gradient)


def test_bad_input_is_refused():
    with pytest.raises(InputError, match="above 0"):
        SigmoidRanks(0.0)(np.zeros(3), np.arange(3))
    with pytest.raises(InputError, match="listed documents"):
        SigmoidRanks()(np.zeros((2, 3)), np.zeros((3, 1), int))
    with pytest.raises(InputError, match="a number"):
        SigmoidRanks()(1.0, np.arange(1))
    for width in (0.0, -0.1, np.nan):
        with pytest.raises(InputError, match=r"the width of a cutoff has an entry .* above 0"):
            smooth_metric("recall@3", np.arange(5.0), np.array(0), width=width)


# metrics


@jax.jit
def metrics(rank_fn, scores, relevant, width=0.05):
    """Every metric, soft, of lists that are ranked once."""
    plain = rank_fn(scores, relevant)
    known = lambda scores, listed, among=None: plain if among is None else rank_fn(scores, listed, among)
    return {name: smooth_metric(name, scores, relevant, rank_fn=known, width=width) for name in METRICS}


@jax.jit
def hard_metrics(scores, relevant):
    return {name: parse_metric(name)(scores, relevant) for name in METRICS}


@pytest.mark.float64_only
@every
def test_cold_metrics_are_hard_metrics(make, rng):
    scores = lists(rng, float, (5, 20))
    relevant = np.array([[0, 3, -1], [7, -1, -1], [1, 2, 19], [4, 5, 6], [8, 0, -1]])
    found, hard = metrics(make(1e-5), scores, relevant, 0.01), hard_metrics(scores, relevant)
    for name in METRICS:
        np.testing.assert_allclose(found[name], hard[name], atol=1e-3, err_msg=name)


def test_one_relevant_document_has_no_second_axis(rng, dtype, tolerance):
    scores = lists(rng, dtype)
    relevant = np.array([3, 0, 7])
    every = jax.jit(lambda s: [[smooth_metric(name, s, r) for name in METRICS] for r in (relevant, relevant[:, None])])
    for name, one, listed in zip(METRICS, *every(scores), strict=True):
        assert one.shape == (3,)
        np.testing.assert_allclose(one, listed, rtol=20 * tolerance, err_msg=name)


def test_grades_count_in_gains(rng, dtype):
    scores = lists(rng, dtype)
    relevant, grades = np.array([[3, 1], [0, 2], [7, -1]]), np.array([[3.0, 1.0], [1.0, 0.0], [2.0, 0.0]], dtype)
    hard = jax.jit(parse_metric("ndcg"))(scores, relevant, grades=grades)
    soft = jax.jit(lambda *given: smooth_metric("ndcg", *given, rank_fn=SigmoidRanks(1e-5), grades=grades))
    np.testing.assert_allclose(soft(scores, relevant), hard, atol=1e-4)


def test_raising_the_relevant_score_raises_the_metric(rng, dtype):
    scores = lists(rng, dtype, (6, 15))
    relevant = rng.integers(0, 15, 6)
    total = lambda s: {name: jnp.sum(value) for name, value in metrics(SigmoidRanks(0.3), s, relevant[:, None]).items()}
    for name, gradient in jax.jit(jax.jacrev(total))(scores).items():
        own = np.asarray(gradient)[np.arange(6), relevant]
        assert (own >= 0).all(), name
        assert own.sum() > 0, name


@pytest.mark.float64_only
@every
@pytest.mark.parametrize("spread", [0.03, 30.0])
def test_the_bias_at_the_usual_temperature_is_below_two_percent(make, spread):
    """64 x 1000 cosines with MRR near .011: what a fixed temperature of 1 reads as .002."""
    rng = np.random.default_rng(0)
    scores = spread * rng.standard_normal((64, 1000))
    relevant = rng.integers(0, 1000, 64)
    own = scores[np.arange(64), relevant][:, None]
    hard = np.mean(1 / (1 + (scores > own).sum(axis=1)))
    found = smooth_metric("mrr", scores, relevant, rank_fn=make())
    assert np.mean(found) == pytest.approx(hard, rel=0.02)


@pytest.mark.float64_only
def test_the_gradient_of_all_ranks_needs_no_square_of_the_list():
    """8 lists of 2000, all ranks: 8 x 2000 x 2000 numbers would be 244 MiB."""

    def total(scores):
        return jnp.sum(1 / SigmoidRanks(0.1)(scores, jnp.arange(2000)))

    compiled = jax.jit(jax.grad(total)).lower(jax.ShapeDtypeStruct((8, 2000), jnp.float64)).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 25 * 2**20
