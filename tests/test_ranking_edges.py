"""What rankings and limits say where a score is impossible, a correlation perfect, a modality mute, a list wrong."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rdjax import limits
from rdjax.checks import InputError
from rdjax.limits import (
    blind_distortion,
    blind_rate,
    cut_set_rate,
    dobrushin_coefficient,
    fano_bounds,
    first_relevant_rate,
    indirect_rate,
    one_shot_codewords,
    one_shot_distortion,
    ranking_curve,
    ranking_distortion,
    ranking_range,
    ranking_rate,
    relevance_bounds,
    shannon_rate,
    share_margin,
)
from rdjax.rate_distortion import gaussian_bottleneck, gaussian_bottleneck_rate
from rdjax.retrieval import (
    PooledRanks,
    SigmoidRanks,
    SoftmaxRanks,
    calibrate_temperatures,
    count_above,
    doubting_posterior,
    fit_reliability,
    follow_stream,
    listwise_loss,
    log_posterior,
    mean_reciprocal_rank,
    online_temperatures,
    pairwise_loss,
    parse_metric,
    query_temperatures,
    search_temperatures,
    smooth_metric,
    top_document,
    update_temperatures,
)
from rdjax.retrieval.weights import rank_biased
from rdjax.sweep.mixture_known import FINEST, _code

NEVER = -np.inf


@pytest.mark.parametrize("ranks", [SigmoidRanks(), SoftmaxRanks(), PooledRanks()], ids=lambda r: type(r).__name__)
def test_documents_that_cannot_be_come_last(ranks, dtype):
    scores = jnp.asarray([[2.0, 1.0, NEVER, NEVER]], dtype)
    np.testing.assert_allclose(ranks(scores, np.array([[0, 1, 2, 3]])), [[1, 2, 3.5, 3.5]], atol=1e-4)
    value, slope = jax.value_and_grad(lambda s: smooth_metric(parse_metric("mrr"), s, np.array([0]), rank_fn=ranks)[0])(
        scores
    )
    assert value == pytest.approx(1, abs=1e-4)
    assert np.all(np.isfinite(slope))


def test_a_perfect_component_carries_every_bit(dtype):
    rho = jnp.asarray([1.0, 0.5], dtype)
    bits = np.array([0.0, 3.0, 32.0], dtype)
    np.testing.assert_allclose(gaussian_bottleneck(rho, bits), bits)
    np.testing.assert_allclose(gaussian_bottleneck_rate(rho, bits), bits)
    np.testing.assert_allclose(blind_rate(0.0, 100_000, np.ones(1, dtype)), np.log2(100_000), rtol=1e-5)


@pytest.mark.float64_only
def test_a_modality_that_says_nothing_is_no_end_of_a_fit(rng):
    told = rng.normal(size=(1, 40, 4))
    relevant = rng.integers(0, 4, 40)
    told[0, np.arange(40), relevant] += 2
    for scores in (np.full((1, 40, 4), 5.0), np.concatenate([told, np.full((1, 40, 4), 5.0)])):
        found = fit_reliability(scores, relevant, steps=5)
        assert np.isfinite(found.cross_entropy)
        assert np.all(np.isfinite(doubting_posterior(scores, found.temperatures, found.doubt)))


@pytest.mark.float64_only
@pytest.mark.parametrize("doubt", [0.0, 1.0])
def test_the_slope_in_a_doubt_at_its_ends(rng, doubt):
    scores, inward = rng.normal(size=(2, 3, 4)), 1e-6 * (1 - 2 * doubt)
    value = lambda eps: doubting_posterior(scores, jnp.ones(2), jnp.stack([eps, jnp.asarray(0.3)]))[0, 0]
    slope = jax.grad(value)(jnp.asarray(doubt))
    step = (value(jnp.asarray(doubt + inward)) - value(jnp.asarray(doubt))) / inward
    assert float(slope) == pytest.approx(float(step), rel=1e-4)
    assert abs(float(slope)) > 1e-3


def test_impossible_scores_leave_numbers_behind(dtype):
    scores = jnp.asarray([[0.0, NEVER, 1.0], [0.5, 1.0, 0.0]], dtype)
    left_out = log_posterior(scores, jnp.asarray([jnp.inf, 1.0], dtype))
    np.testing.assert_allclose(left_out, jax.nn.log_softmax(scores[1]), rtol=1e-5)
    kept = log_posterior(scores, jnp.ones(2, dtype))
    np.testing.assert_allclose(np.exp(kept), np.array([np.exp(0.5), 0, np.e]) / (np.exp(0.5) + np.e), rtol=1e-5)
    slope = jax.grad(lambda tau: log_posterior(scores, tau)[0])(jnp.ones(2, dtype))
    assert np.all(np.isfinite(slope))
    assert np.all(np.asarray(slope) != 0)


def test_without_doubt_it_is_the_calibrated_posterior_however_far_apart(dtype):
    scores = jnp.asarray([[[900.0, 0.0, 0.0]], [[0.0, 900.0, 0.0]]], dtype)  # exp(-900) is 0
    sure = doubting_posterior(scores, np.ones(2), np.zeros(2))
    np.testing.assert_allclose(sure[0], np.log(0.5) - np.array([0.0, 0.0, 900.0]), rtol=1e-5)
    np.testing.assert_allclose(query_temperatures(scores, np.ones(2), np.zeros(2)), 1, rtol=1e-5)


@pytest.mark.parametrize("tau", [[0.5, 2.0], [0.5, np.inf]], ids=["both", "one left out"])
def test_doubt_does_not_bring_back_what_cannot_be(rng, dtype, tau):
    scores, law = rng.normal(size=(2, 3, 5)).astype(dtype), np.full(5, 0.2, dtype)
    wide, heavier = np.insert(scores, 2, NEVER, axis=-1), np.insert(law / 2, 2, 0.5)
    eps = jnp.asarray([0.1, 0.3], dtype)
    told = lambda s, t, prior: doubting_posterior(s, t, eps, prior)
    tau = jnp.asarray(tau, dtype)
    found, shorter = told(wide, tau, heavier), told(scores, tau, law)
    np.testing.assert_array_equal(found[:, 2], NEVER)
    np.testing.assert_allclose(np.delete(found, 2, axis=-1), shorter, rtol=1e-4)
    each = query_temperatures(wide, tau, eps), query_temperatures(scores, tau, eps)
    np.testing.assert_allclose(*each, rtol=1e-4)
    slopes = [jax.grad(lambda t, s=s: told(s, t, None)[0, 0])(tau) for s in (wide, scores)]
    np.testing.assert_allclose(*slopes, rtol=1e-3, atol=1e-6)


def test_a_list_of_which_no_document_can_be_is_refused(dtype):
    scores = jnp.asarray([[[0.0, 1.0], [0.0, NEVER]]], dtype)
    for of in (log_posterior, lambda *given: doubting_posterior(*given[:2], np.full(1, 0.2), given[2])):
        with pytest.raises(InputError, match=r"no document can be in list 1: .* leave that list out"):
            of(scores, np.ones(1), np.array([0.0, 1.0]))
        found = jax.jit(of)(scores, jnp.ones(1), jnp.asarray([0.0, 1.0]))
        np.testing.assert_array_equal(found, [[NEVER, 0], [NEVER, NEVER]])


def test_pairs_with_what_cannot_be_do_not_count(dtype):
    scores = np.array([[[1.0, NEVER, 0.0, 2.0]]], dtype)
    np.testing.assert_allclose(pairwise_loss(scores, [0], [1.0]), np.mean(np.log1p(np.exp([-1.0, 1.0]))), rtol=1e-5)
    assert pairwise_loss(scores, [1], [1.0]) == np.inf


def test_whole_scores_are_scores(dtype):
    exact = np.exp([3.0, 1.0, 2.0]) / np.sum(np.exp([3.0, 1.0, 2.0]))
    np.testing.assert_allclose(np.exp(log_posterior([[[3, 1, 2]]], [1.0]))[0], exact, rtol=1e-5)


@pytest.mark.float64_only
def test_nothing_comes_through_and_nothing_is_needed():
    posteriors = np.array([[0.5, 0.5]])
    nothing = dobrushin_coefficient(posteriors)
    assert nothing == 0
    np.testing.assert_array_equal(indirect_rate(np.array([0.5, 0.0]), posteriors, contraction=nothing), [0, np.inf])


@pytest.mark.float64_only
@pytest.mark.parametrize("prior", [2, np.array([0.5, 0.5])], ids=["uniform", "listed"])
@pytest.mark.parametrize(("weights", "words"), [([0.0, 1.0], "the weights rise"), ([1.0], r"shape \(1,\)")])
def test_lists_of_weights_are_looked_at(prior, weights, words):
    with pytest.raises(InputError, match=words):
        one_shot_distortion(1, prior, weights)


@pytest.mark.float64_only
def test_what_is_no_share_and_no_set_is_refused():
    with pytest.raises(InputError, match="the estimates"):
        share_margin(np.array([-1.0, 3.0]), 0.5)
    with pytest.raises(InputError, match="relevant lists document 0 twice in row 1; list each once"):
        mean_reciprocal_rank(np.ones((2, 3)), np.array([[0, 1], [0, 0]]))


@pytest.mark.float64_only
def test_rows_that_sum_to_a_little_more_than_one_are_laws():
    posteriors = np.array([[1, 1e-8], [1e-8, 1]], np.float32)
    found = relevance_bounds(posteriors, 100.0, rounds=1, passes=0)
    assert found.distortion == pytest.approx(5e-9, rel=1e-6)  # of the second document, half the mass that is wrong
    assert found.upper == pytest.approx(1, abs=1e-3)


@pytest.mark.float64_only
@pytest.mark.parametrize("rate", [4.0, 512.0, 5000.0])
def test_a_step_is_one_that_float32_can_count_in(rate):
    known = {"intent_dim": 1, "dim": 1, "code": "scalar", "rate": rate}
    steps, added = _code(known, np.array([1.0, 1.0]))
    assert np.all(np.isfinite(np.float32(1) / steps.astype(np.float32)))
    assert np.all(added > 0)
    if rate > 100:
        np.testing.assert_array_equal(steps, FINEST * np.sqrt(2))


FEW, NONE = np.ones((3, 2)), np.zeros(0, int)


@pytest.mark.float64_only
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: count_above(FEW[0], FEW, np.zeros(3, int)), r"the shapes \(2,\), \(3, 2\); each must be"),
        (lambda: count_above(FEW, 1.0, np.zeros(3, int)), r"the shapes \(3, 2\), \(\); each must be"),
        (lambda: top_document(FEW, FEW[0]), r"the shapes \(3, 2\), \(2,\); each must be"),
        (lambda: top_document(FEW, FEW * 1j), "the documents hold complex128 values"),
        (lambda: top_document(FEW, {"a": FEW[:, :1], "b": FEW[:2, :1]}), r"the modalities have \[3, 2\] documents"),
        (lambda: calibrate_temperatures(np.ones((1, 0, 4)), NONE), "calibration needs .* not empty"),
        (lambda: search_temperatures(np.ones((1, 0, 4)), NONE), "a search needs .* not empty"),
        (lambda: fit_reliability(np.ones((1, 0, 4)), NONE), r"must be \[M, Q, N\] and \[Q\], not empty"),
        (lambda: mean_reciprocal_rank(np.ones((0, 4)), NONE), "no query to take a mean over"),
        (lambda: listwise_loss(np.ones((1, 0, 4)), NONE, [1.0]), "no query to take a mean over"),
        (lambda: calibrate_temperatures(np.ones((0, 3, 4)), [0, 1, 2]), r"calibration needs \[modalities"),
        (lambda: search_temperatures(np.ones((0, 3, 4)), [0, 1, 2]), r"a search needs \[modalities"),
        (lambda: fit_reliability(np.ones((0, 3, 4)), np.arange(3)), r"they must be \[M, Q, N\]"),
        (lambda: update_temperatures(online_temperatures([0.1]), 1e160 * FEW[None], [0, 1, 0]), "reach 1.0e.161 times"),
        (lambda: follow_stream(online_temperatures([0.1]), 1e160 * FEW[None, None], [[0, 1, 0]]), "scale them down"),
    ],
)
def test_what_has_no_rank_or_no_square_is_refused(call, words):
    with pytest.raises(InputError, match=words):
        call()


def indirect(distortion, posteriors, weights, source, contraction):
    return indirect_rate(distortion, posteriors, weights=weights, source=source, contraction=contraction)


LAW, WORTH = np.array([0.4, 0.3, 0.2, 0.1]), np.array([1.0, 0.5, 0.3, 0.2])


@pytest.mark.float64_only
@pytest.mark.parametrize(
    ("limit", "given"),
    [
        (ranking_rate, (0.3, LAW, WORTH)),
        (shannon_rate, (0.3, LAW, WORTH)),
        (first_relevant_rate, (0.2, LAW, WORTH)),
        (indirect, (0.45, np.stack([LAW, LAW[::-1]]), WORTH, np.array([0.5, 0.5]), 0.9)),
        (ranking_distortion, (0.5, LAW, WORTH)),
        (lambda *given: ranking_curve(*given).rate, (3.0, LAW, WORTH)),
    ],
    ids=["rate", "shannon", "first relevant", "indirect", "distortion", "curve"],
)
def test_a_traced_nan_is_no_rate(limit, given):
    """It was 0 bits, which says that nothing need be sent."""
    traced = jax.jit(limit)
    assert 0 < traced(*given) < np.inf
    for place, values in enumerate(given):
        for entry in range(np.size(values)):
            spoiled = np.array(values)
            spoiled.flat[entry] = np.nan
            assert np.isnan(traced(*given[:place], spoiled, *given[place + 1 :])), (place, entry)


@pytest.mark.float64_only
def test_a_traced_nan_is_no_rate_of_a_number_of_documents():
    assert np.isnan(jax.jit(lambda d: ranking_rate(d, 100))(np.nan))


@pytest.mark.float64_only
@pytest.mark.parametrize(
    "limit",
    [
        lambda d, prior, weights: ranking_rate(d, prior, weights),
        lambda d, prior, weights: shannon_rate(d, prior, weights),
        lambda d, prior, weights: fano_bounds(d, prior, weights).lower,
        lambda d, prior, weights: blind_rate(d, prior, weights=weights),
        lambda d, prior, weights: indirect_rate(d, [prior, prior[::-1]], weights=weights),
        lambda d, prior, weights: first_relevant_rate(d, prior, weights),
        lambda d, prior, weights: cut_set_rate(d, np.diag(prior), [0], weights),
        lambda d, prior, weights: ranking_distortion(d, prior, weights),
        lambda d, prior, weights: ranking_curve(d, prior, weights).rate,
    ],
    ids=["rate", "shannon", "fano", "blind", "indirect", "first relevant", "cut set", "distortion", "curve"],
)
def test_whole_numbers_and_lists_are_as_good_as_arrays(limit):
    for value in (1, [1]):
        listed = limit(value, LAW.tolist(), WORTH.tolist())
        np.testing.assert_array_equal(listed, limit(np.asarray(value, float), LAW, WORTH))


def test_whole_numbers_of_distortion_with_a_number_of_documents():
    np.testing.assert_allclose(ranking_rate(0, 1024), 10, rtol=1e-6)
    np.testing.assert_allclose(shannon_rate(np.array([0, 1]), 1024), [10, 0], rtol=1e-6)


@pytest.mark.float64_only
@pytest.mark.parametrize("prior", [np.array([0.2, 0.4, 0.13, 0.27]), LAW[::-1]], ids=["any order", "rising"])
def test_gradients_at_rate_zero_are_those_of_the_best_order(prior):
    """D_max = 1 - sum_k P_(k) w_k, and the slope there, in NumPy; the prior moved along logits, which keep it a law."""
    logits = np.log(prior)

    def exact(x):
        falling = np.sort(np.exp(x) / np.exp(x).sum())[::-1]
        return 1 - falling @ WORTH, np.min(np.log2(falling[:-1] / falling[1:]) / -np.diff(WORTH))

    ways = [lambda p: ranking_range(p, WORTH).worst, lambda p: ranking_range(p, WORTH).slope_at_worst]
    ways += [lambda p: ranking_distortion(0.0, p, WORTH), lambda p: blind_distortion(0.0, p, weights=WORTH)]
    steps = 1e-6 * np.eye(4)
    for way, place in zip(ways, (0, 1, 0, 0), strict=True):
        value, gradient = jax.value_and_grad(lambda x, way=way: way(jax.nn.softmax(x)))(logits)
        assert float(value) == pytest.approx(exact(logits)[place], rel=1e-12)
        central = [(exact(logits + step)[place] - exact(logits - step)[place]) / 2e-6 for step in steps]
        np.testing.assert_allclose(gradient, central, atol=1e-8)


@pytest.mark.float64_only
def test_equally_likely_documents_share_a_gradient():
    tied = np.array([0.2, 0.4, 0.2, 0.2])
    gradient = jax.grad(lambda p: ranking_range(p, WORTH).worst)(jnp.asarray(tied))
    mean = (1 - WORTH[1:]).mean()
    np.testing.assert_allclose(gradient - gradient[1], [mean, 0, mean, mean], atol=1e-12)


@pytest.mark.float64_only
def test_the_first_bit_is_worth_what_the_slope_says():
    slope = jax.grad(lambda rate, *given: ranking_distortion(rate, *given))
    difference = (ranking_distortion(1e-6, LAW, WORTH) - ranking_distortion(0.0, LAW, WORTH)) / 1e-6
    assert float(slope(0.0, LAW, WORTH)) == pytest.approx(float(difference), rel=1e-3)
    assert -np.inf < slope(0.0, 100) < -1e6  # minus infinity in truth
    assert slope(0.0, 3, np.ones(3)) == 0


@pytest.mark.float64_only
def test_small_weights_keep_their_digits_in_float32():
    """Rank-biased precision, where 1 - w_1 = .999 rounds away a part in a hundred thousand of w_1 = .001."""
    distortion = np.float32(0.9995)
    exact = float(ranking_rate(np.float64(distortion), 10**9, rank_biased(0.999)))
    with jax.enable_x64(False):
        found = ranking_rate(distortion, 10**9, rank_biased(0.999))
    assert found.dtype == np.float32
    assert float(found) == pytest.approx(exact, abs=3e-5)


@pytest.mark.float64_only
def test_codewords_among_a_million_documents():
    prior = np.random.default_rng(5).random(10**6)
    prior /= prior.sum()
    assert one_shot_codewords(0.0, prior) == 10**6
    sizes = np.array([999_999, 500_001, 1000])
    found = one_shot_distortion(sizes, prior)
    assert float(found[0]) == pytest.approx(prior.min() / 2, rel=1e-9)  # one document is second
    assert [one_shot_codewords(d, prior) for d in np.asarray(found)] == list(sizes)
    assert one_shot_codewords(one_shot_distortion(10**12 - 1, 10**12), 10**12) == 10**12 - 1


@pytest.mark.float64_only  # it sets both precisions itself
@pytest.mark.parametrize("size", [100, 10_000])
def test_the_tail_of_a_prior_counts_in_float32(size):
    """Terms of 1e-7 that are added to a sum near 1 one by one would be rounded away."""
    with jax.enable_x64(True):
        steep = 1 / np.arange(1.0, size + 1)
        priors = [np.full(size, 1 / size), (steep / steep.sum()).astype(np.float32).astype(np.float64)]
        distortions = np.array([0.003, 0.01, 0.03], np.float32).astype(np.float64)
        exact = [np.asarray(ranking_rate(distortions, prior)) for prior in priors]
    with jax.enable_x64(False):
        for prior, bits in zip(priors, exact, strict=True):
            found = ranking_rate(distortions.astype(np.float32), prior.astype(np.float32))
            np.testing.assert_allclose(found, bits, atol=1e-5)


@pytest.mark.parametrize("size", [30, 1000])
def test_codewords_and_their_distortion_are_each_others_inverse(size, precision):
    """Also where the distortion was rounded to float32, as an array and as Python's number."""
    wanted = np.arange(1, min(size, 60))
    for prior in (size, np.full(size, 1 / size, precision)):
        reached = one_shot_distortion(wanted, prior)
        assert [one_shot_codewords(one, prior) for one in reached] == wanted.tolist()
        assert [one_shot_codewords(float(one), prior) for one in reached] == wanted.tolist()


@pytest.mark.float64_only
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ranking_rate(0.1, 10, "mrr"), r"take parse_metric\('mrr'\).weights"),
        (lambda: one_shot_distortion(2, 10, "mrr"), r"take parse_metric\('mrr'\).weights"),
        (lambda: relevance_bounds(np.eye(2), 1.0, weights="mrr"), r"take parse_metric\('mrr'\).weights"),
        (lambda: relevance_bounds(np.eye(2), 1.0, weights=None), "the weights are None; give a function"),
        (lambda: first_relevant_rate(0.1, np.full(3, 0.5), "mrr"), r"take parse_metric\('mrr'\).weights"),
        (lambda: limits.success_range(0.1, 3, "mrr"), r"take parse_metric\('mrr'\).weights"),
        (lambda: ranking_rate(0.1, None), "the prior is None; give a law"),
        (lambda: ranking_rate("a", 4), "<U1 values of rates, distortions or slopes; give real numbers"),
        (lambda: relevance_bounds(np.eye(2), None), "the slope is None; it is bits"),
        (lambda: relevance_bounds(np.eye(2), "a"), "the slope is a; it is bits"),
        (lambda: one_shot_codewords("a", 4), "the distortion holds <U1 values"),
        (lambda: limits.least_dimension("a", 10), "the bits holds <U1 values"),
        (lambda: cut_set_rate(0.1, np.full((2, 2), 0.25), 0), "the senders are 0; give a sequence"),
        (lambda: limits.fit_decay(["a"], [1]), "the sample sizes holds <U1 values"),
        (lambda: first_relevant_rate(np.nan, np.full(3, 0.5)), "the distortion has an entry nan"),
    ],
)
def test_what_is_no_number_and_no_function_is_refused(call, words):
    with pytest.raises(InputError, match=words):
        call()


def test_one_document_has_one_slope(precision):
    assert float(ranking_range(1).slope_at_worst) == float(ranking_range(np.ones(1, precision)).slope_at_worst)


@pytest.mark.float64_only
def test_half_precision_posteriors_are_laws_as_good_as_they_can_be():
    posteriors = np.random.default_rng(0).dirichlet(np.ones(5), 6)
    found = relevance_bounds(posteriors.astype(np.float16), 2.0)
    exact = relevance_bounds(posteriors, 2.0)
    assert float(found.lower) == pytest.approx(float(exact.lower), abs=0.02)


@pytest.mark.float64_only
def test_a_batch_that_is_not_full_gives_what_each_gives_alone(rng):
    """Five distortions, two of 1,000 ranks at a time on processors: the last batch is filled up."""
    prior, distortions = rng.dirichlet(np.ones(1000)), np.array([0.1, 0.3, 0.5, 0.7, 0.8])
    alone = [float(limits.ranking_rate(d, prior)) for d in distortions]
    np.testing.assert_allclose(limits.ranking_rate(distortions, prior), alone, rtol=1e-12)
    assert limits.ranking_rate(distortions[None], prior).shape == (1, 5)


@pytest.mark.float64_only
def test_more_documents_than_sums_are_exact_for_are_refused():
    assert float(ranking_rate(0.2, 10**15)) > 0
    with pytest.raises(InputError, match="sums over ranks are exact up to 1e15"):
        ranking_rate(0.2, 10**16)
