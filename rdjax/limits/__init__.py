"""What no code can beat, for retrieval. Every rate in bits per query; last axis the documents, leading axes batch.

Which limit binds which code: `ranking` and `one_shot` bind every code; `blind` binds codes made without the
corpus; `dimensions` binds vectors whose inner products rank, and `free_embeddings` looks how few are enough.
"""

from rdjax.limits.blind import blind_bound, blind_distortion, blind_rate, data_processing
from rdjax.limits.bound import EVIDENCE, Bound
from rdjax.limits.dimensions import (
    complete_dimension,
    least_dimension,
    log2_rankings,
    moment_curve,
    pattern_dimension,
)
from rdjax.limits.free_embeddings import FreeEmbeddings, achieved_dimension, embed_freely
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

__all__ = [
    "EVIDENCE",
    "Bound",
    "FreeEmbeddings",
    "RankingCurve",
    "RankingRange",
    "RankingsCode",
    "RelevanceBounds",
    "achieved_dimension",
    "blind_bound",
    "blind_distortion",
    "blind_rate",
    "complete_dimension",
    "data_processing",
    "embed_freely",
    "first_relevant_bound",
    "first_relevant_law",
    "first_relevant_rate",
    "least_dimension",
    "log2_rankings",
    "moment_curve",
    "one_shot_bound",
    "one_shot_codewords",
    "one_shot_distortion",
    "pattern_dimension",
    "ranking_bound",
    "ranking_curve",
    "ranking_distortion",
    "ranking_range",
    "ranking_rate",
    "relevance_bound",
    "relevance_bounds",
]
