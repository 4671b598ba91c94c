"""Every public solver, rank, metric and limit lowers for CUDA and TPU, on a machine that has neither.

`jax.export` traces a function, lowers it once for both platforms and refuses what has no lowering there, calls back to
the host, or calls a library function whose interface is not kept stable. `LINEAR_ALGEBRA` are the library calls that do
occur; all of them are on JAX's own list of stable ones, so no check is switched off. What is lowered is not compiled:
TPUs emulate float64 and lack parts of it, so float32 is the precision that counts there, and the one lowered here.
Codes are lowered in test_codes, where all are fitted.
"""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import export

from rdjax import codes, information, limits, nn, rate_distortion, retrieval
from rdjax.codes import learning, relaxed_forms
from rdjax.limits import free_embeddings, rankings_code, relevance, relevance_certificate
from rdjax.nn import dual_encoder
from rdjax.rate_distortion import GaussianIntent, interior_point
from rdjax.retrieval import streaming
from rdjax.sweep.fused_threefry import folded_key
from rdjax.sweep.mixture_cell import MixtureCells
from rdjax.sweep.source_cell import SourceCells

#: By factorization, on CUDA and on TPU (which has Cholesky and triangular solves of its own).
LINEAR_ALGEBRA = {
    "cholesky": {"cusolver_potrf_ffi"},
    "eigenvalues": {"cusolver_syevd_ffi", "Eigh"},
    "lu": {"cusolver_getrf_ffi", "cu_lu_pivots_to_permutation", "LuDecomposition"},
    "qr": {"cusolver_geqrf_ffi", "cusolver_orgqr_ffi", "Qr", "ProductOfElementaryHouseholderReflectors"},
    "svd": {"cusolver_gesvdj_ffi", "Eigh", "Qr", "ProductOfElementaryHouseholderReflectors"},
}
INT = jnp.int32
pytestmark = pytest.mark.float64_only  # once is enough: `lower` sets its own precision
CHUNK = ((2, 64, 3), *((INT, ()),) * 4)  # rows, first, last, spare, base
# place, level, picked, above, tied, size
COUNTS = ((INT, (2, 8)), (2, 8), (1, 2, 8), (INT, (1, 2, 8)), (INT, (1, 2, 8)), (1,))

# name: (function, shapes of its arguments); a shape of integers is (dtype, shape)
RETRIEVAL = {
    "average_precision": (retrieval.average_precision, (4, 6), (INT, (4, 2))),
    "calibrate_temperatures": (retrieval.calibrate_temperatures, (2, 4, 6), (INT, (4,))),
    "calibrate_temperatures, gradient": (
        jax.grad(lambda s, r: jnp.sum(retrieval.calibrate_temperatures(s, r).temperatures)),
        (2, 4, 6),
        (INT, (4,)),
    ),
    "count_above, one tile": (streaming._count_tiles, *CHUNK, (3, 8), *COUNTS),
    "counts_from_scores": (retrieval.counts_from_scores, (4, 6), (INT, (4,))),
    "dcg": (retrieval.dcg, (4, 6), (INT, (4,))),
    "expected_weight": (
        lambda above, tied: retrieval.expected_weight(retrieval.weights.dcg, above, tied, size=6),
        (INT, (4,)),
        (INT, (4,)),
    ),
    "follow_stream": (
        lambda s, r: retrieval.follow_stream(retrieval.online_temperatures(jnp.ones(2)), s, r),
        (3, 2, 4, 6),
        (INT, (3, 4)),
    ),
    "forgetful_mean": (retrieval.forgetful_mean, (5,), ()),
    "fuse": (lambda a, b, tau: retrieval.fuse({"a": a, "b": b}, tau), (6, 3), (6, 2), (2,)),
    "gaussian_temperatures": (retrieval.gaussian_temperatures, (2,), (2,)),
    "log_posterior": (retrieval.log_posterior, (2, 4, 6), (2,), (6,)),
    "mean_reciprocal_rank": (retrieval.mean_reciprocal_rank, (4, 6), (INT, (4, 2))),
    "modality_scores": (
        lambda a, b, c, d: retrieval.modality_scores({"a": a, "b": b}, {"a": c, "b": d}),
        (4, 3),
        (4, 2),
        (6, 3),
        (6, 2),
    ),
    "ndcg": (lambda s, r: retrieval.ndcg(s, r, k=3), (4, 6), (INT, (4, 2))),
    "online_temperatures": (retrieval.online_temperatures, (2,)),
    "posterior": (retrieval.posterior, (2, 4, 6), (2,)),
    "precision_at_k": (lambda s, r: retrieval.precision_at_k(s, r, 3), (4, 6), (INT, (4,))),
    "printed_rule": (retrieval.printed_rule, (3,)),
    "section_six_rule": (retrieval.section_six_rule, (3,)),
    "quantized_temperatures": (retrieval.quantized_temperatures, (2,), (2,), (2,), (2,), (2,)),
    "dominant_scores": (retrieval.dominant_scores, (2, 4, 6), (2,), (INT, (6,))),
    "listwise_loss": (retrieval.listwise_loss, (2, 4, 6), (INT, (4, 2)), (2,)),
    "pairwise_loss": (retrieval.pairwise_loss, (2, 4, 6), (INT, (4, 2)), (2,)),
    "contrastive_loss": (retrieval.contrastive_loss, (2, 6, 6), (2,)),
    "contrastive_loss, gradient": (jax.grad(retrieval.contrastive_loss, argnums=(0, 1)), (2, 6, 6), (2,)),
    "doubting_posterior": (retrieval.doubting_posterior, (2, 4, 6), (2,), (2,)),
    "query_temperatures": (retrieval.query_temperatures, (2, 4, 6), (2,), (2,)),
    "smooth_metric": (lambda s, r: retrieval.smooth_metric("mrr", s, r), (4, 6), (INT, (4, 2))),
    "smooth_metric, soft sort": (
        jax.grad(lambda s, r: jnp.sum(retrieval.smooth_metric("ndcg", s, r, rank_fn=retrieval.PooledRanks()))),
        (4, 6),
        (INT, (4, 2)),
    ),
    "smooth_metric, SoftSort": (
        jax.grad(lambda s, r: jnp.sum(retrieval.smooth_metric("map", s, r, rank_fn=retrieval.SoftmaxRanks()))),
        (4, 6),
        (INT, (4, 2)),
    ),
    "search_temperatures": (
        lambda s, r: retrieval.search_temperatures(s, r, starts=2, steps=2).temperatures,
        (2, 4, 6),
        (INT, (4,)),
    ),
    "temperature_intervals": (retrieval.temperature_intervals, (2, 4, 6), (INT, (4,)), (2,)),
    "update_temperatures": (
        lambda s, r: retrieval.update_temperatures(retrieval.online_temperatures(jnp.ones(2)), s, r),
        (2, 4, 6),
        (INT, (4,)),
    ),
    "rank_biased_precision": (retrieval.rank_biased_precision, (4, 6), (INT, (4,))),
    "ranks": (retrieval.ranks, (4, 6), (INT, (4,))),
    "recall_at_k": (lambda s, r: retrieval.recall_at_k(s, r, 3), (4, 6), (INT, (4, 2))),
    "top_document, one tile": (
        streaming._top_tiles,
        *CHUNK,
        (3, 8),
        (1, 8),
        (INT, (1, 8)),
    ),
}
LIMITS = {
    "allocation_margin": (limits.allocation_margin, (), (3,)),
    "cut_set_rate": (lambda d, p: limits.cut_set_rate(d, p, (0,)), (3,), (2, 3, 4)),
    "decoder_complexity": (lambda k, n: limits.decoder_complexity(k, 10, n), (3,), ()),
    "decoder_supremum": (
        lambda signs, k, y: limits.decoder_supremum(signs, k, y, sizes=(2, 3)),
        (5, 8),
        (INT, (8,)),
        (INT, (8,)),
    ),
    "dobrushin_coefficient": (limits.dobrushin_coefficient, (4, 5)),
    "doeblin_coefficient": (limits.doeblin_coefficient, (4, 5)),
    "fano_bounds": (lambda d, p: (limits.fano_bounds(d, p).lower, limits.fano_bounds(d, p).upper), (3,), (5,)),
    "generalization_bound": (limits.generalization_bound, (), (), (), ()),
    "indirect_rate": (lambda d, q, p: limits.indirect_rate(d, q, source=p), (3,), (4, 5), (4,)),
    "rademacher_complexity": (
        lambda k, y: limits.rademacher_complexity(jax.random.key(0), k, y, sizes=(2, 3), draws=4),
        (INT, (8,)),
        (INT, (8,)),
    ),
    "several_targets_rate": (limits.several_targets_rate, (2,), (3, 4)),
    "shannon_rate": (limits.shannon_rate, (3,), (5,)),
    "shannon_threshold": (limits.shannon_threshold, (5,)),
    "success_range": (lambda d: limits.success_range(d, 5), (3,)),
    **{
        name: (getattr(limits, name), *shapes)
        for name, shapes in {
            "entropy_bias": ((), ()),
            "entropy_continuity": ((3,), ()),
            "entropy_deviation": ((3,), ()),
            "entropy_margin": ((), (), ()),
            "interval_growth": ((2,), ()),
            "massart_complexity": ((), ()),
            "share_margin": ((3,), ()),
        }.items()
    },
    "least_answer_error": (lambda r, p, h, m: limits.least_answer_error(r, p, 2, h, m), (3,), (5,), (), ()),
    "least_answer_error, alone": (
        lambda r, p, h, m: limits.least_answer_error(r, p, 2, h, m, alone=True),
        (3,),
        (5,),
        (),
        (),
    ),
    "least_error_beyond_luck": (lambda r, p, q: limits.least_error_beyond_luck(r, p, 2, q), (3,), (5,), ()),
    "observed_complexity": (lambda counts: limits.observed_complexity(counts, 10), (4,)),
    "blind_distortion": (lambda rate, rho: limits.blind_distortion(rate, 1000, rho), (3,), (4,)),
    "blind_rate": (lambda d, rho: limits.blind_rate(d, 1000, rho), (3,), (4,)),
    "data_processing": (limits.data_processing, (3,)),
    "first_relevant_law": (limits.first_relevant_law, (5,)),
    "first_relevant_rate": (limits.first_relevant_rate, (3,), (5,)),
    "one_shot_distortion": (limits.one_shot_distortion, (INT, (3,)), (5,)),
    "ranking_curve": (limits.ranking_curve, (3,), (5,)),
    "ranking_distortion": (limits.ranking_distortion, (3,), (5,)),
    "ranking_range": (limits.ranking_range, (5,)),
    "ranking_rate": (limits.ranking_rate, (3,), (5,)),
    "ranking_rate, uniform": (lambda d: limits.ranking_rate(d, 10**12), (3,)),
    "ranking_rate, gradient": (jax.grad(lambda d, p: limits.ranking_rate(d, p)), (), (5,)),
}
RATE_DISTORTION = {
    "blahut_arimoto": (rate_distortion.blahut_arimoto, (5,), (5, 4), (3,)),
    "capacity": (rate_distortion.capacity, (5, 4)),
    "curve": (rate_distortion.curve, (5,), (5, 4), (3,)),
    "gaussian_bottleneck": (rate_distortion.gaussian_bottleneck, (4,), (3,)),
    "gaussian_bottleneck_rate": (rate_distortion.gaussian_bottleneck_rate, (4,), (3,)),
    "interior_point": (interior_point, (5,), (5, 4), (3,)),
    "interior_point, reduced": (interior_point, (200,), (200, 200), ()),
    "interior_point, gradient of the value": (
        jax.grad(lambda p, d, s: interior_point(p, d, s).lagrangian, argnums=(0, 1, 2)),
        (5,),
        (5, 4),
        (),
    ),
    "interior_point, implicit gradient": (
        jax.grad(lambda p, d, s: interior_point(p, d, s).distortion, argnums=(0, 1, 2)),
        (5,),
        (5, 4),
        (),
    ),
    "intent_from_covariance": (lambda c: rate_distortion.intent_from_covariance(c, 2), (5, 5)),
    "intent_from_noise": (rate_distortion.intent_from_noise, (3,)),
    "joint_intent_distortion": (
        lambda e, u, rate: rate_distortion.joint_intent_distortion(GaussianIntent(e, u), rate),
        (3,),
        (),
        (),
    ),
    "joint_intent_rate": (lambda e, u, d: rate_distortion.joint_intent_rate(GaussianIntent(e, u), d), (3,), (), ()),
    "rate_at": (rate_distortion.rate_at, (5,), (5, 4), (3,)),
    "reverse_water_filling": (rate_distortion.reverse_water_filling, (4,), ()),
    "reverse_water_filling_at": (rate_distortion.reverse_water_filling_at, (4,), ()),
    "separate_intent_distortion": (rate_distortion.separate_intent_distortion, (3,), ()),
    "separate_intent_rate": (rate_distortion.separate_intent_rate, (3,), ()),
}
JOINT, PAIRS, SQUARE = (3, 4), ((12, 2), (12, 3)), (5, 5)
INFORMATION = {
    "bound_standard_error": (lambda scores: information.bound_standard_error(information.infonce, scores), (6, 6)),
    "canonical_correlations": (lambda s: information.canonical_correlations(s, 2), SQUARE),
    "contingency_table": (lambda x, y: information.contingency_table(x, y, sizes=(2, 3)), (INT, (9,)), (INT, (9,))),
    "dither": (lambda x: information.dither(x, jax.random.key(0)), (12, 3)),
    "entropy_from_counts, nsb": (lambda counts: information.entropy_from_counts(counts, "nsb"), (INT, (8, 6))),
    "gaussian_mutual_information": (lambda s: information.gaussian_mutual_information(s, 2), SQUARE),
    "gaussian_mutual_information, gradient": (
        jax.grad(lambda s: information.gaussian_mutual_information(s, 2)),
        SQUARE,
    ),
    "gaussian_total_correlation": (lambda s: information.gaussian_total_correlation(s, (2, 3)), SQUARE),
    "kozachenko_leonenko, gradient": (jax.grad(information.kozachenko_leonenko), (12, 3)),
    "ksg, second variant": (lambda x, y: information.ksg(x, y, variant=2), *PAIRS),
    "ksg, Euclidean products": (
        lambda x, y: information.ksg(x, y, variant="mixed", norm="euclidean"),
        (12, 20),
        (12, 3),
    ),
    "ksg_conditional": (information.ksg_conditional, *PAIRS, (12, 1)),
    "mutual_information, gradient": (jax.grad(information.mutual_information), JOINT),
    "permutation_test": (
        lambda x, y: information.permutation_test(information.ksg, x, y, jax.random.key(0), permutations=9).p_value,
        (12, 1),
        (12, 1),
    ),
    "unique_relevance": (information.unique_relevance, (2, 3, 4)),
    **{
        name: (getattr(information, name), *shapes)
        for names, shapes in {
            ("entropy", "joint_entropy", "conditional_entropy", "mutual_information", "total_correlation"): (JOINT,),
            ("conditional_mutual_information", "modalities_of_law"): ((3, 4, 2),),
            ("cross_entropy", "kl", "jensen_shannon", "barber_agakov"): ((5,), (5,)),
            ("entropy_from_counts", "entropy_standard_error"): ((INT, (8, 6)),),
            ("binary_entropy",): ((5,),),
            ("mutual_information_from_counts", "mutual_information_standard_error"): ((INT, (2, 3)),),
            ("gaussian_entropy",): (SQUARE,),
            ("shrunk_covariance",): ((9, 5),),
            ("sample_canonical_correlations", "gaussian_mutual_information_from_samples", "ksg"): PAIRS,
            ("kozachenko_leonenko",): ((12, 3),),
            (
                "infonce",
                "nwj",
                "donsker_varadhan",
                "smile",
                "jensen_shannon_bound",
                "leave_one_out",
                "club",
            ): ((6, 6),),
        }.items()
        for name in names
    },
}
NN = {
    "jensen_shannon_loss": (nn.jensen_shannon_loss, (6, 6)),
    "mine_loss": (nn.mine_loss, (6, 6), ()),
    "mine_loss, gradient": (jax.grad(lambda s, a: nn.mine_loss(s, a)[0]), (6, 6), ()),
}
SHAPE = {"documents": 6, "queries": 4, "modalities": 2, "intent_dim": 3, "metric": "mrr"}


def mixture_cell(noise, step, inverse, norm, code, fitted):
    parameters = {"noise": noise, "step": step, "inverse": inverse, "norm": norm, "code": code, "fitted": fitted}
    cells = MixtureCells(modalities=2)
    return cells.cell(SHAPE, (), cells.draw(SHAPE, folded_key(jnp.zeros(2, jnp.uint32), 0)), parameters)


def source_cell(law, distortion, slope):
    return SourceCells().cell({"size": 5}, (law, distortion), (), {"slope": slope})


SWEEP = {
    "mixture cell": (mixture_cell, (2, 2), (2,), (2,), (), (INT, ()), (INT, ())),
    "source cell": (source_cell, (5,), (5, 5), ()),
}
TABLE = RETRIEVAL | LIMITS | RATE_DISTORTION | INFORMATION | NN | SWEEP
LIBRARY_CALLS = {
    "canonical_correlations": {"cholesky", "svd"},
    "gaussian_entropy": {"cholesky", "eigenvalues"},
    "gaussian_mutual_information": {"cholesky", "svd"},
    "gaussian_mutual_information, gradient": {"cholesky", "svd"},
    "gaussian_mutual_information_from_samples": {"qr", "svd"},
    "gaussian_total_correlation": {"cholesky", "svd"},
    "sample_canonical_correlations": {"qr", "svd"},
    "calibrate_temperatures": {"cholesky", "eigenvalues"},
    "follow_stream": {"eigenvalues"},
    "update_temperatures": {"eigenvalues"},
    "calibrate_temperatures, gradient": {"cholesky", "svd"},
    "temperature_intervals": {"cholesky"},
    "curve": {"cholesky"},
    "intent_from_covariance": {"cholesky", "eigenvalues"},
    "capacity": {"cholesky"},
    "interior_point": {"cholesky"},
    "interior_point, reduced": {"cholesky"},
    "interior_point, gradient of the value": {"cholesky"},
    "interior_point, implicit gradient": {"cholesky", "lu"},
    "rate_at": {"cholesky", "lu"},
    "mixture cell": {"cholesky"},
    "source cell": {"cholesky"},
}

# public functions that run on the host, and why
ON_THE_HOST = {
    retrieval: {
        "count_above": "streams tiles from memory maps; its compiled step is exported below",
        "top_document": "streams tiles from memory maps; its compiled step is exported below",
        "gains": "reads what a corpus holds",
        "paired_bootstrap": "NumPy",
        "metric_breadth": "counts, NumPy",
        "metric_credits": "reads a metric, on the host",
        "parse_metric": "reads a name",
        "fit_reliability": "picks the best start on the host; its descent is of `doubting_posterior`, which lowers",
    },
    limits: {
        "answer_error": "counts, NumPy",
        "achieved_dimension": "one dimension after the other; the compiled steps are exported below",
        "blind_bound": "a sentence around blind_rate",
        "complete_dimension": "whole numbers",
        "embed_freely": "looks from time to time; its compiled steps are exported below",
        "fit_decay": "NumPy, of a table of results",
        "first_relevant_bound": "a sentence around first_relevant_rate",
        "least_dimension": "searches a whole number",
        "log2_rankings": "counts of whole numbers, NumPy",
        "moment_curve": "NumPy: its gaps are too small for float32",
        "one_shot_bound": "a sentence around one_shot_codewords",
        "one_shot_codewords": "searches a whole number",
        "pattern_dimension": "NumPy",
        "ranking_bound": "a sentence around ranking_rate",
        "relevance_bound": "a sentence around relevance_bounds",
        "relevance_sum_bound": "a sentence around relevance_sum_rate",
        "relevance_sum_rate": "lists are read on the host; what is solved is that of first_relevant_rate",
        "relevance_bounds": "loops over blocks on the host; its compiled steps are exported below",
    },
    rate_distortion: {},
    information: {
        "all_tasks": "makes laws; what samples them lowers",
        "calibrate_entropy": "draws look-alike data on the host",
        "calibrate_estimator": "calls an estimator again and again, which may run on the host",
        "gaussian_information_bias": "NumPy, of three whole numbers",
        "like": "NumPy",
        "modalities_of_samples": "calibrates estimates",
        "modalities_of_symbols": "counts, which lower, and checks of what was counted",
        "task": "looks up a name",
    },
    nn: {
        "fit_critic": "trains, with progress; its compiled steps are exported in test_critics",
        "fit_dual_encoder": "shuffles batches; its compiled loop is exported below",
        "objective": "looks up a name",
        "small_committee": "makes a critic",
    },
}


def lower(function, *shapes):
    """The exported function for CUDA and TPU at once."""
    typed = [s if s and not isinstance(s[0], int) else (jnp.float32, s) for s in shapes]
    arguments = [jax.ShapeDtypeStruct(shape, dtype) for dtype, shape in typed]
    with jax.enable_x64(False):
        return export.export(jax.jit(function), platforms=("cuda", "tpu"))(*arguments)


def library_calls(exported):
    return set(re.findall(r"custom_call @(\w+)", exported.mlir_module()))


@pytest.mark.parametrize("name", TABLE)
def test_lowers_for_cuda_and_tpu(name):
    exported = lower(*TABLE[name])
    assert exported.platforms == ("cuda", "tpu")
    allowed = set().union(*(LINEAR_ALGEBRA[kind] for kind in LIBRARY_CALLS.get(name, ())))
    assert library_calls(exported) == allowed


def relevance_bounds(rng):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(relevance, "FEW", 0)  # one fit: half the compiling
        limits.relevance_bounds(rng.dirichlet(np.full(6, 0.3), 24), 6.0)


def embed_freely(rng):
    limits.embed_freely(np.eye(4, dtype=bool), 2, steps=20)


def fit_dual_encoder(rng):
    x, y = rng.standard_normal((8, 3)), rng.standard_normal((8, 2))
    model = nn.DualEncoder(3, 2, dimension=2, hidden=(4,), rngs=nnx.Rngs(0))
    nn.fit_dual_encoder(model, x, y, steps=2, batch=4)


def learn_code(rng):
    """Both forms, both sides; the floor's objective reads the smooth metric, which lowers by itself above."""
    documents = rng.standard_normal((20, 4))
    wanted = np.repeat(np.arange(20), 3)
    queries = documents[wanted] + 0.3 * rng.standard_normal((60, 4))
    model = codes.QueryModel.fit(queries, documents[wanted], blocks=(4,))
    quantizer, scalar = codes.ProductQuantizer, codes.EntropyCodedScalar
    for side, kind, objective in (
        ("queries", quantizer, "cross-entropy"),
        ("documents", scalar, "bits above the floor"),
    ):
        chart, coded = (
            codes.fit_relevance_map(model, documents, 3, side=side),
            {"queries": queries}.get(side, documents),
        )
        options = {"width": 2, "blocks": 1} if kind is quantizer else {}
        code = kind.fit(coded, 4 if options else 3.0, transform=chart, **options)
        told, steps = (queries, documents, wanted), 2 if options else 200  # until it is better, and is made into a code
        codes.LearnedCode.fit(code, told, chart=chart, steps=steps, looks=2, objective=objective)


STEPS = {
    relevance_bounds: {
        relevance_certificate: ("_block", "_append", "_ascend", "_mix", "_add_costs", "_assignments"),
        rankings_code: ("_round", "_spend_block"),
    },
    embed_freely: {free_embeddings: ("_begin", "_descend", "_read")},
    fit_dual_encoder: {dual_encoder: ("_train",)},
    learn_code: {
        learning: ("_begin", "_entry", "_hard_logits", "_stretch", "_all_terms", "_symbols"),
        relaxed_forms: ("_hard_bits",),
    },
}


@pytest.mark.parametrize("run", STEPS, ids=lambda run: run.__name__)
def test_the_compiled_steps_lower_for_cuda_and_tpu(run, monkeypatch, rng):
    """Every compiled function that one run calls, at each of the shapes it called it with."""
    called = {}

    def recorded(name, function):
        def call(*args, **kwargs):
            shapes = jax.tree.map(lambda leaf: getattr(leaf, "shape", leaf), (args, kwargs))
            called.setdefault((name, repr(shapes)), (function, args, kwargs))
            return function(*args, **kwargs)

        return call

    for module, names in STEPS[run].items():
        for name in names:
            monkeypatch.setattr(module, name, recorded(name, getattr(module, name)))
    run(rng)
    assert {name for name, _ in called} == set().union(*STEPS[run].values())
    with jax.enable_x64(True):
        for function, args, kwargs in called.values():
            exported = export.export(function, platforms=("cuda", "tpu"))(*args, **kwargs)
            assert not library_calls(exported)


@pytest.mark.parametrize("folder", ON_THE_HOST, ids=lambda m: m.__name__)
def test_no_public_function_is_forgotten(folder):
    public = {
        name
        for name in folder.__all__
        if callable(getattr(folder, name)) and not isinstance(getattr(folder, name), type)
    }
    assert public - set(TABLE) == set(ON_THE_HOST[folder])


def test_what_has_no_lowering_there_is_refused():
    """The test above can fail: general eigenvalues exist on CPUs and GPUs alone, and a callback needs its host."""
    with pytest.raises(Exception, match="tpu"):
        lower(jnp.linalg.eigvals, (3, 3))
    shape = jax.ShapeDtypeStruct((3,), jnp.float32)
    with pytest.raises(Exception, match="callback"):
        lower(lambda x: jax.pure_callback(np.sin, shape, x), (3,))
