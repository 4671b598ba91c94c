"""From embeddings to a ranking and what it is worth.

Scores are [..., N]: the last axis is the list of documents, leading axes are queries; over modalities, [M, Q, N].

Reading order: `weights` (what a rank is worth); `modality_scores`, `fuse`, `counts_from_scores`; `count_above`,
`top_document` (streamed); `expected_weight` (ties); `ranks`, `mean_reciprocal_rank` and the other metrics, `Metric`,
`parse_metric`; `paired_bootstrap`; `posterior`; `calibrate_temperatures` and the closed forms.
"""

from rdjax.retrieval import weights
from rdjax.retrieval.intervals import PairedIntervals, paired_bootstrap
from rdjax.retrieval.metrics import (
    KNOWN_METRICS,
    Metric,
    average_precision,
    dcg,
    gains,
    mean_reciprocal_rank,
    ndcg,
    parse_metric,
    precision_at_k,
    rank_biased_precision,
    ranks,
    recall_at_k,
)
from rdjax.retrieval.posteriors import log_posterior, posterior
from rdjax.retrieval.scores import counts_from_scores, fuse, modality_scores
from rdjax.retrieval.streaming import count_above, top_document
from rdjax.retrieval.temperature import Calibration, calibrate_temperatures, gaussian_temperatures, printed_rule
from rdjax.retrieval.ties import expected_weight

__all__ = [
    "KNOWN_METRICS",
    "Calibration",
    "Metric",
    "PairedIntervals",
    "average_precision",
    "calibrate_temperatures",
    "count_above",
    "counts_from_scores",
    "dcg",
    "expected_weight",
    "fuse",
    "gains",
    "gaussian_temperatures",
    "log_posterior",
    "mean_reciprocal_rank",
    "modality_scores",
    "ndcg",
    "paired_bootstrap",
    "parse_metric",
    "posterior",
    "precision_at_k",
    "printed_rule",
    "rank_biased_precision",
    "ranks",
    "recall_at_k",
    "top_document",
    "weights",
]
