"""From embeddings to a ranking and what it is worth.

Scores are [..., N]: the last axis is the list of documents, leading axes are queries; over modalities, [M, Q, N].

Reading order: `weights` (what a rank is worth); `modality_scores`, `fuse`, `counts_from_scores`; `count_above`,
`top_document` (streamed); `expected_weight` (ties); `ranks`, `mean_reciprocal_rank` and the other metrics, `Metric`,
`parse_metric`; `paired_bootstrap`; soft ranks, `smooth_metric` and the losses, which have gradients; `posterior`;
`calibrate_temperatures` (convex), `temperature_intervals`, `search_temperatures` (any metric), `fit_reliability` (per
query), the closed forms; on a stream, `follow_stream` and `forgetful_mean`.
"""

from rdjax.retrieval import weights
from rdjax.retrieval.closed_forms import (
    dominant_scores,
    gaussian_temperatures,
    printed_rule,
    quantized_temperatures,
    section_six_rule,
)
from rdjax.retrieval.credits import metric_breadth, metric_credits
from rdjax.retrieval.intervals import PairedIntervals, paired_bootstrap
from rdjax.retrieval.losses import contrastive_loss, listwise_loss, pairwise_loss
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
from rdjax.retrieval.online import (
    FollowedStream,
    OnlineTemperatures,
    follow_stream,
    online_temperatures,
    update_temperatures,
)
from rdjax.retrieval.posteriors import log_posterior, posterior
from rdjax.retrieval.reliability import Reliability, doubting_posterior, fit_reliability, query_temperatures
from rdjax.retrieval.scores import counts_from_scores, fuse, modality_scores
from rdjax.retrieval.soft_metrics import smooth_metric
from rdjax.retrieval.soft_ranks import PooledRanks, SigmoidRanks, SoftmaxRanks
from rdjax.retrieval.streaming import count_above, top_document
from rdjax.retrieval.temperature import Calibration, calibrate_temperatures
from rdjax.retrieval.temperature_search import TemperatureSearch, search_temperatures
from rdjax.retrieval.temperature_spread import temperature_intervals
from rdjax.retrieval.ties import expected_weight
from rdjax.retrieval.window import forgetful_mean

__all__ = [
    "KNOWN_METRICS",
    "Calibration",
    "FollowedStream",
    "Metric",
    "OnlineTemperatures",
    "PairedIntervals",
    "PooledRanks",
    "Reliability",
    "SigmoidRanks",
    "SoftmaxRanks",
    "TemperatureSearch",
    "average_precision",
    "calibrate_temperatures",
    "contrastive_loss",
    "count_above",
    "counts_from_scores",
    "dcg",
    "dominant_scores",
    "doubting_posterior",
    "expected_weight",
    "fit_reliability",
    "follow_stream",
    "forgetful_mean",
    "fuse",
    "gains",
    "gaussian_temperatures",
    "listwise_loss",
    "log_posterior",
    "mean_reciprocal_rank",
    "metric_breadth",
    "metric_credits",
    "modality_scores",
    "ndcg",
    "online_temperatures",
    "paired_bootstrap",
    "pairwise_loss",
    "parse_metric",
    "posterior",
    "precision_at_k",
    "printed_rule",
    "quantized_temperatures",
    "query_temperatures",
    "rank_biased_precision",
    "ranks",
    "recall_at_k",
    "search_temperatures",
    "section_six_rule",
    "smooth_metric",
    "temperature_intervals",
    "top_document",
    "update_temperatures",
    "weights",
]
