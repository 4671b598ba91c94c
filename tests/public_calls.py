"""One good call of every public function that takes numbers, small: what benchmarks/robust.py spoils.

Arrays are NumPy float64 or int64; all else stays as it is. `test_robust` says what is not here.
"""

import jax
import numpy as np
from flax import nnx

from rdjax import codes, data, information, limits, nn, rate_distortion, retrieval
from rdjax.rate_distortion import sources
from rdjax.retrieval import weights

rng = np.random.default_rng(4)
scores = rng.standard_normal((6, 5))
both = rng.standard_normal((2, 6, 5))
wanted = np.array([0, 1, 2, 3, 4, 1])
several = np.array([[0, 1], [2, -1], [3, 4], [1, 0], [4, -1], [2, 3]])
grades = np.where(several >= 0, [[1.0, 2.0]], 0.0)
temperatures = np.array([0.5, 2.0])
prior = np.array([0.4, 0.25, 0.2, 0.1, 0.05])
posteriors = rng.dirichlet(np.ones(5), size=6)
joint = rng.dirichlet(np.ones(12)).reshape(3, 4)
joint3 = rng.dirichlet(np.ones(12)).reshape(2, 2, 3)
rows = rng.standard_normal((24, 2))
other = rows @ np.array([[0.7, 0.2], [0.1, 0.9]]) + 0.5 * rng.standard_normal((24, 2))
third = rng.standard_normal((24, 1))
covariance = np.array([[2.0, 0.6, 0.3], [0.6, 1.5, 0.2], [0.3, 0.2, 1.0]])
counts = np.array([[4, 2, 3, 1], [1, 1, 5, 0]])
table = np.array([[4, 2, 1], [1, 5, 3]])
symbols = np.array([[0, 1, 1, 0, 1, 0, 1, 1], [0, 2, 1, 0, 2, 1, 1, 2]])
pairs = rng.standard_normal((6, 6))
unit = np.array([0.1, 0.3, 0.7])
rates = np.array([0.5, 1.0, 2.0])
variances = np.array([2.0, 1.0, 0.3])
correlations = np.array([0.9, 0.5, 0.1])
distances = np.array([[0.0, 1.0, 0.4], [1.0, 0.0, 0.7]])
patterns = np.array([[1, 0, 0, 1, 0, 0], [0, 1, 1, 0, 0, 0], [0, 0, 1, 0, 0, 1]]) > 0
vectors = rng.standard_normal((30, 4))
worth = np.array([1.0, 0.5, 0.3, 0.2, 0.1])
features = {"image": rng.standard_normal((6, 3)), "text": rng.standard_normal((6, 2))}
texts = {"image": rng.standard_normal((5, 3)), "text": rng.standard_normal((5, 2))}

CALLS = {}


def call(function, /, *args, name=None, **kwargs):
    """Enter a call under the function's public name."""
    where = function.__module__.split(".")[1]
    key = f"{where}.{name or function.__name__}"
    while key in CALLS:
        key += "'"
    CALLS[key] = (function, args, kwargs)


# retrieval
for metric in (retrieval.ranks, retrieval.mean_reciprocal_rank, retrieval.average_precision):
    call(metric, scores, wanted)
    call(metric, scores, several)
for metric in (retrieval.recall_at_k, retrieval.precision_at_k):
    call(metric, scores, wanted, 2)
call(retrieval.rank_biased_precision, scores, wanted, 0.7)
call(retrieval.dcg, scores, several, k=2, grades=grades)
call(retrieval.ndcg, scores, several, grades=grades)
call(retrieval.counts_from_scores, scores, wanted)
call(retrieval.count_above, features["image"], texts["image"], wanted)
call(retrieval.top_document, features["image"], texts["image"])
call(retrieval.expected_weight, weights.dcg, np.array([0, 1, 3]), np.array([1, 2, 1]))
call(retrieval.expected_weight, worth, np.array([0, 1, 3]), np.array([1, 2, 1]))
call(
    retrieval.parse_metric("ndcg").per_query,
    np.array([[0, 1]]),
    np.array([[0, 0]]),
    grades[:1],
    name="Metric.per_query",
)
call(retrieval.metric_credits, retrieval.parse_metric("ndcg"), grades)
call(retrieval.metric_breadth, retrieval.parse_metric("map"), grades)
call(retrieval.fuse, features, temperatures)
call(retrieval.modality_scores, features, texts)
call(retrieval.gains, several, grades)
call(retrieval.paired_bootstrap, rng.random((2, 8)), rng.random(8), samples=50)
call(retrieval.forgetful_mean, rng.random(7), 3.0)
call(retrieval.log_posterior, both, temperatures, prior)
call(retrieval.posterior, both, temperatures, prior)
call(retrieval.calibrate_temperatures, both, wanted, prior=prior)
call(retrieval.temperature_intervals, both, wanted, temperatures)
call(retrieval.search_temperatures, both, wanted, starts=1, steps=3)
call(retrieval.fit_reliability, both, wanted, steps=3)
call(retrieval.doubting_posterior, both, temperatures, np.array([0.1, 0.3]), prior)
call(retrieval.query_temperatures, both, temperatures, np.array([0.1, 0.3]), prior)
call(retrieval.contrastive_loss, both[:, :5], temperatures)
call(retrieval.listwise_loss, both, wanted, temperatures, prior=prior)
call(retrieval.pairwise_loss, both, wanted, temperatures)
call(retrieval.smooth_metric, "mrr", scores, wanted)
call(retrieval.smooth_metric, "ndcg@2", scores, several, grades=grades)
call(retrieval.dominant_scores, both, temperatures, np.array([0, 1, 0, 1, 0]))
call(retrieval.printed_rule, temperatures)
call(retrieval.section_six_rule, temperatures)
call(retrieval.gaussian_temperatures, temperatures, np.array([0.2, 0.5]))
call(retrieval.quantized_temperatures, temperatures, np.array([0.2, 0.5]), np.ones(2), np.array([8.0, 4.0]), np.ones(2))
call(retrieval.online_temperatures, temperatures)
stream = retrieval.online_temperatures(temperatures)
call(retrieval.update_temperatures, stream, both, wanted)
call(retrieval.follow_stream, stream, both[None], wanted[None])

# limits
for limit in (limits.ranking_rate, limits.ranking_bound, limits.fano_bounds, limits.shannon_rate):
    call(limit, unit, prior)
call(limits.ranking_rate, unit, 1000, weights.recall_at(3))
call(limits.ranking_rate, unit, prior, worth)
call(limits.ranking_distortion, rates, prior)
call(limits.ranking_distortion, rates, 1000)
call(limits.ranking_curve, rates, prior)
call(limits.ranking_range, prior)
call(limits.shannon_threshold, prior)
call(limits.success_range, np.array([0.1, 0.3]), 5)
call(limits.one_shot_distortion, np.array([1, 2, 4]), prior)
call(limits.one_shot_codewords, 0.3, prior)
call(limits.one_shot_bound, 0.3, prior)
call(limits.blind_rate, unit, 100, correlations)
call(limits.blind_rate, unit, 100, limits.data_processing)
call(limits.blind_distortion, rates, 100, correlations)
call(limits.blind_bound, unit, 100, correlations)
call(limits.data_processing, rates)
call(limits.indirect_rate, unit[1:], posteriors)
call(limits.dobrushin_coefficient, posteriors)
call(limits.doeblin_coefficient, posteriors)
call(limits.relevance_bounds, posteriors, 6.0, codewords=4, rounds=2, passes=2)
call(limits.relevance_bound, posteriors, 6.0, codewords=4, rounds=2, passes=2)
call(limits.first_relevant_law, unit)
call(limits.first_relevant_rate, unit[:2], unit)
call(limits.first_relevant_bound, unit[:2], unit)
call(limits.relevance_sum_rate, unit[:2], np.array([[0, 1], [2, -1]]), np.array([[0.5, 0.5], [1.0, 0]]), 4, weights.dcg)
call(
    limits.relevance_sum_bound, unit[:2], np.array([[0, 1], [2, -1]]), np.array([[0.5, 0.5], [1.0, 0]]), 4, weights.dcg
)
call(limits.cut_set_rate, unit[:2], joint3, (0,))
call(limits.several_targets_rate, np.array([0.2, 0.3]), joint)
call(limits.least_answer_error, rates, prior, 2, 0.1, 0.6)
call(limits.least_answer_error, rates, 100, 2, np.array([0.1]), np.array([0.6]), alone=True)
call(limits.least_error_beyond_luck, rates, prior, 2, 0.05)
call(limits.answer_error, np.array([1, 1, 0, 1]), np.array([0, 0, 1, 0]))
call(limits.complete_dimension, 12, 2)
call(limits.least_dimension, 5.0, 12)
call(limits.log2_rankings, 12, 3)
call(limits.moment_curve, patterns)
call(limits.pattern_dimension, patterns)
call(limits.embed_freely, patterns, 3, starts=1, steps=5)
call(limits.achieved_dimension, patterns, 2, 3, starts=1, steps=5)
call(limits.allocation_margin, rates, unit)
call(limits.share_margin, rates, 0.1)
call(limits.entropy_bias, np.array([100, 1000]), np.array([4, 8]))
call(limits.entropy_continuity, unit, 5)
call(limits.entropy_deviation, unit, np.array([10, 100, 1000]))
call(limits.entropy_margin, 100, 8, 0.05, 2)
call(limits.generalization_bound, 0.3, 0.05, 1000, 0.05)
call(limits.decoder_complexity, np.array([4, 8]), 5, 100)
call(limits.observed_complexity, np.array([10, 20, 5]), 5)
call(limits.massart_complexity, 3.0, 100)
call(limits.interval_growth, np.array([2, 3]), 100)
call(limits.decoder_supremum, np.array([1, -1, 1, 1]), np.array([0, 1, 0, 1]), np.array([0, 2, 1, 2]), sizes=(2, 3))
key = jax.random.key(0)
call(limits.rademacher_complexity, key, np.array([0, 1, 0, 1]), np.array([0, 2, 1, 2]), sizes=(2, 3), draws=4)
samples = np.array([100, 400, 1600, 6400])
call(limits.fit_decay, samples, 0.1 + rng.random((4, 6)) / samples[:, None] ** 0.5, resamples=4)

# rate-distortion
for solve in (rate_distortion.blahut_arimoto, rate_distortion.interior_point, rate_distortion.curve):
    call(solve, np.array([0.4, 0.6]), distances, np.array([0.5, 3.0]))
call(rate_distortion.rate_at, np.array([0.4, 0.6]), distances, np.array([0.1, 0.2]))
call(rate_distortion.capacity, np.array([[0.9, 0.1], [0.2, 0.8]]))
call(rate_distortion.reverse_water_filling, variances, 2.0)
call(rate_distortion.reverse_water_filling, variances, np.array(2.0))
call(rate_distortion.reverse_water_filling_at, variances, np.array(1.0))
call(rate_distortion.gaussian_bottleneck, correlations, rates)
call(rate_distortion.gaussian_bottleneck_rate, correlations, np.array([0.1, 0.3]))
call(rate_distortion.intent_from_covariance, covariance, 1)
call(rate_distortion.intent_from_noise, variances)
intent = rate_distortion.intent_from_noise(variances)
call(rate_distortion.joint_intent_rate, intent, np.array([0.5, 0.9]))
call(rate_distortion.joint_intent_distortion, intent, rates)
call(rate_distortion.separate_intent_rate, variances, np.array([0.5, 0.9]))
call(rate_distortion.separate_intent_distortion, variances, rates)
call(sources.hamming, prior)
call(sources.cyclic, np.array([0.0, 1.0, 4.0, 1.0]))
call(sources.grid, np.array([0.0, 1.0, 2.5]), unit, 2.0)
call(sources.ranking, 3, unit)

# information
for functional in (information.entropy, information.binary_entropy):
    call(functional, prior)
for functional in (information.mutual_information, information.conditional_entropy, information.joint_entropy):
    call(functional, joint)
call(information.total_correlation, joint3)
call(information.conditional_mutual_information, joint3)
call(information.unique_relevance, joint3)
call(information.modalities_of_law, joint3)
call(information.modalities_of_symbols, symbols, (2, 3))
call(information.kl, prior, prior[::-1].copy())
call(information.cross_entropy, prior, prior[::-1].copy())
call(information.jensen_shannon, prior, prior[::-1].copy())
call(information.jensen_shannon, prior, prior[::-1].copy(), weights=np.array([0.3, 0.7]))
for method in information.METHODS:
    call(information.entropy_from_counts, counts, method)
call(information.entropy_from_counts, counts, "nsb", symbols=6)
call(information.entropy_standard_error, counts)
call(information.mutual_information_from_counts, table)
call(information.mutual_information_standard_error, table)
call(information.contingency_table, symbols[0], symbols[1], sizes=(2, 3))
call(information.gaussian_entropy, covariance)
call(information.gaussian_mutual_information, covariance, 1)
call(information.canonical_correlations, covariance, 1)
call(information.gaussian_total_correlation, covariance, (1, 2))
call(information.gaussian_mutual_information_from_samples, rows, other)
call(information.gaussian_mutual_information_from_samples, rows, other, "ledoit_wolf")
call(information.sample_canonical_correlations, rows, other)
call(information.shrunk_covariance, rows)
call(information.gaussian_information_bias, 24, 2, 2)
call(information.kozachenko_leonenko, rows)
call(information.ksg, rows, other)
call(information.ksg, rows, other, variant="mixed")
call(information.ksg_conditional, rows, other, third)
call(information.calibrate_entropy, rows, repeats=1)
call(information.calibrate_estimator, information.ksg, rows, other, levels=(0.0, 1.0), repeats=2)
call(information.like, rows, other, 0.5)
call(information.permutation_test, information.ksg, rows, other, key, permutations=3)
call(information.dither, rows, key)
for bound in (information.infonce, information.nwj, information.donsker_varadhan):
    call(bound, pairs)
    call(bound, pairs, np.array([0.3, 0.1, 0.2, 0.1, 0.2, 0.1]))
call(information.jensen_shannon_bound, pairs, name="jensen_shannon_bound")
for bound in (information.leave_one_out, information.club):
    call(bound, -np.abs(pairs))
call(information.smile, pairs)
call(information.barber_agakov, -np.abs(pairs[0]), -np.abs(pairs[1]))
call(information.bound_standard_error, information.infonce, pairs)

# codes
asked = codes.QueryModel.fit(vectors + 0.3 * rng.standard_normal((30, 4)), vectors, blocks=(4,))
signs = codes.SignBits.fit(vectors)
FITS = {  # a public class of codes: what its fit takes
    codes.Truncation: (vectors, 2),
    codes.ScalarQuantizer: (vectors, 6),
    codes.EntropyCodedScalar: (vectors, 6.0),
    codes.SignBits: (vectors,),
    codes.SignBitsRescored: (vectors, 5),
    codes.Int8: (vectors,),
    codes.DitheredScalar: (vectors, 6.0),
    codes.UniformInCell: (vectors, 6.0),
    codes.ProductQuantizer: (vectors, 4),
    codes.TrellisCode: (vectors, 4),
    codes.RankCode: (vectors,),
    codes.DesignedRankCode: (vectors, 3, vectors[::-1].copy()),
    codes.CellRankCode: (vectors, 3),
    codes.MappedRankCode: (vectors, 30, asked),
    codes.EntropyCoded: (signs, np.asarray(signs.encode(vectors))),
    codes.Directional: (signs,),
    codes.Renormalized: (signs, vectors),
    codes.Weighted: (signs, np.array([1.0, 2.0, 3.0, 4.0])),
}
for kind, settings in FITS.items():
    small = {"memory": 2, "rounds": 1} if kind is codes.TrellisCode else {}
    call(kind.fit, *settings, name=f"{kind.__name__}.fit", **small)
    fitted = kind.fit(*settings, **small)
    sent = np.asarray(fitted.encode(vectors[:6]))
    call(fitted.encode, vectors[:6], name=f"{kind.__name__}.encode")
    call(fitted.decode, sent, name=f"{kind.__name__}.decode")
    call(fitted.scores, sent, vectors, name=f"{kind.__name__}.scores")
    for method in ("to_bytes", "rate", "pack"):
        call(getattr(fitted, method), sent, name=f"{kind.__name__}.{method}")
call(codes.simulated_documents, vectors, 5)
call(codes.QueryModel.fit, vectors + 0.3, vectors, name="QueryModel.fit", blocks=(4,))
call(asked.predict, vectors, name="QueryModel.predict")
call(asked.simulate, vectors, 2, name="QueryModel.simulate")
call(codes.fit_relevance_map, asked, vectors, 2, side="queries")
call(codes.fit_pca_by_modality, vectors, (3, 1))
curves = [(np.arange(4.0), 1 - 0.25 ** np.arange(4)), (np.array([0.0, 2.0]), np.array([0.0, 0.8]))]
call(codes.marginal_returns, curves, 4.0)
product = codes.ProductQuantizer.fit(vectors, 4)
call(codes.lookup_scores, product, np.asarray(product.encode(vectors)), vectors[:3])
call(codes.Decoded, product, np.asarray(product.encode(vectors)))

# data, nn
call(data.Corpus, features, {"image": texts["image"][[0] * 6], "text": texts["text"][[1] * 6]}, wanted, name="Corpus")
call(nn.RateDistortionLoss(), np.ones((6,)), scores, wanted, name="RateDistortionLoss")
call(nn.RateDistortionLoss().distortion, scores, wanted, name="RateDistortionLoss.distortion")
call(nn.RateDistortionLoss().above_floor, np.ones((6,)), scores, wanted, name="RateDistortionLoss.above_floor")
call(nn.jensen_shannon_loss, pairs)
call(nn.mine_loss, pairs, np.inf)
call(nn.NormalScores.fit, rows, name="NormalScores.fit")
call(nn.TemperatureDecoder, temperatures, name="TemperatureDecoder")
call(nn.Quantizer(vectors.shape[1], rngs=nnx.Rngs(0)).to_code, vectors, name="Quantizer.to_code")
