"""What no code can beat, for retrieval. Every rate in bits per query; last axis the documents, leading axes batch.

Which limit binds which code: `ranking` and `one_shot` bind every code; `blind` binds codes made without the
corpus; `dimensions` binds vectors whose inner products rank, and `free_embeddings` looks how few are enough. Where a
query only suggests its document, `relevance` encloses what every code needs; where it has several, `relevance_set`
binds every code by the first of them that is found, and `relevance_sum` by the credit of all. Beside these, simpler or
of more than one document: `converse`, `indirect`, `multimodal`; and of n samples in place of the source:
`generalization`, `concentration`, and `decay`, which fits how an excess falls with n. What a floor means for answers
that are written from what was found: `generation`.
"""

from rdjax.limits.blind import blind_bound, blind_distortion, blind_rate, data_processing
from rdjax.limits.bound import EVIDENCE, Bound
from rdjax.limits.concentration import (
    allocation_margin,
    entropy_bias,
    entropy_continuity,
    entropy_deviation,
    entropy_margin,
    share_margin,
)
from rdjax.limits.converse import fano_bounds, shannon_rate, shannon_threshold, success_range
from rdjax.limits.decay import DecayFit, fit_decay
from rdjax.limits.dimensions import (
    complete_dimension,
    least_dimension,
    log2_rankings,
    moment_curve,
    pattern_dimension,
)
from rdjax.limits.free_embeddings import FreeEmbeddings, achieved_dimension, embed_freely
from rdjax.limits.generalization import (
    decoder_complexity,
    decoder_supremum,
    generalization_bound,
    interval_growth,
    massart_complexity,
    observed_complexity,
    rademacher_complexity,
)
from rdjax.limits.generation import AnswerError, answer_error, least_answer_error, least_error_beyond_luck
from rdjax.limits.indirect import dobrushin_coefficient, doeblin_coefficient, indirect_rate
from rdjax.limits.multimodal import cut_set_rate, several_targets_rate
from rdjax.limits.one_shot import one_shot_bound, one_shot_codewords, one_shot_distortion
from rdjax.limits.ranking import (
    RankingCurve,
    RankingRange,
    ranking_bound,
    ranking_curve,
    ranking_distortion,
    ranking_range,
    ranking_rate,
)
from rdjax.limits.rankings_code import RankingsCode
from rdjax.limits.relevance import RelevanceBounds, relevance_bound, relevance_bounds
from rdjax.limits.relevance_set import first_relevant_bound, first_relevant_law, first_relevant_rate
from rdjax.limits.relevance_sum import relevance_sum_bound, relevance_sum_rate

__all__ = [
    "EVIDENCE",
    "AnswerError",
    "Bound",
    "DecayFit",
    "FreeEmbeddings",
    "RankingCurve",
    "RankingRange",
    "RankingsCode",
    "RelevanceBounds",
    "achieved_dimension",
    "allocation_margin",
    "answer_error",
    "blind_bound",
    "blind_distortion",
    "blind_rate",
    "complete_dimension",
    "cut_set_rate",
    "data_processing",
    "decoder_complexity",
    "decoder_supremum",
    "dobrushin_coefficient",
    "doeblin_coefficient",
    "embed_freely",
    "entropy_bias",
    "entropy_continuity",
    "entropy_deviation",
    "entropy_margin",
    "fano_bounds",
    "first_relevant_bound",
    "first_relevant_law",
    "first_relevant_rate",
    "fit_decay",
    "generalization_bound",
    "indirect_rate",
    "interval_growth",
    "least_answer_error",
    "least_dimension",
    "least_error_beyond_luck",
    "log2_rankings",
    "massart_complexity",
    "moment_curve",
    "observed_complexity",
    "one_shot_bound",
    "one_shot_codewords",
    "one_shot_distortion",
    "pattern_dimension",
    "rademacher_complexity",
    "ranking_bound",
    "ranking_curve",
    "ranking_distortion",
    "ranking_range",
    "ranking_rate",
    "relevance_bound",
    "relevance_bounds",
    "relevance_sum_bound",
    "relevance_sum_rate",
    "several_targets_rate",
    "shannon_rate",
    "shannon_threshold",
    "share_margin",
    "success_range",
]
