"""The interval for noisy relevance at the aim: what any code needs, if the calibrated posterior is true.

Theorem B asks what the relevant document alone needs. Where a query only suggests it, a code must also spend bits on
which other documents the query resembles; `limits.relevance_bounds` brackets that for the audited queries themselves.
"""

import jax
import numpy as np

from rdjax.audit.result import EVERY_CLASS, STREAM, Floor, Setting
from rdjax.audit.view import View
from rdjax.limits import Bound, ranking_rate, relevance_bounds
from rdjax.limits.relevance import RelevanceBounds
from rdjax.retrieval import modality_scores, posterior
from rdjax.retrieval.metrics import Metric

ENTRIES = 4_000_000  # queries times documents up to which the interval is computed: about ten seconds
LEAST = 500  # queries; the rate of fewer is capped by the log of their number, and says little about the others
ROUNDS, PASSES = 2, 3  # few, and cheap
TRIES = 3
NEAR = 1.25  # a certificate serves slopes up to so many times its own: it is a line, and what takes the time
NAME = "any code (if the calibrated posterior is true)"
RESTS = ("calibrated posterior is true", "the audited queries, each as likely")


def posterior_floor(views: list[View], setting: Setting, metric: Metric, aim: float, seed: int) -> Floor:
    """Bits per query between a certificate and an explicit code, at the aim, both in the model's own expectation."""
    without = lambda why: Floor(NAME, "queries", EVERY_CLASS, STREAM, None, why)
    if setting.judgements == "fidelity":
        return without("without judgments no document is known to be relevant, and a posterior is calibrated on those")
    if setting.judgements != "single":
        return without("a posterior is calibrated only where each query has one relevant document")
    if setting.queries < LEAST:
        return without(f"fewer than {LEAST} queries say too little about the law of queries")
    if setting.queries * setting.documents > ENTRIES:
        return without(f"it is computed for at most {ENTRIES:,} pairs of query and document")
    if any(view.temperatures is None for view in views):
        return without("no modality tells which document is relevant, so there is no posterior")
    laws = np.concatenate([_posteriors(view) for view in views])
    worth = np.asarray(metric.weights(np.arange(1.0, setting.documents + 1)), np.float64)
    best = float(np.mean(np.sort(laws, axis=1)[:, ::-1].astype(np.float64) @ worth))
    best = min(best, float(worth[0]))  # rows of float32 may sum to more than one
    if aim >= best:
        return without(f"the calibrated posterior promises {best:.3f} at best, which is below the aim")
    found = _certificates(laws, 1 - aim, metric, seed)
    quality = np.append(np.linspace(0.02, 1, 99) * best, aim)
    known = np.asarray(ranking_rate(1 - quality, _prior(laws), metric.weights))
    *lower, least = np.maximum(known, _lower(found, 1 - quality)).tolist()
    upper = min((float(f.upper) for f in found if f.distortion <= 1 - aim), default=np.inf)
    bits = Bound(least, max(upper, least), "certificate", RESTS)
    curve = tuple(zip(lower, quality[:-1].tolist(), strict=True))
    return Floor(NAME, "queries", EVERY_CLASS, STREAM, bits, "", curve)


def _posteriors(view: View) -> np.ndarray:
    """P(y | x) of the audited queries of a view, [Q, N], float32."""
    scores = modality_scores(view.test.queries, view.test.documents)
    return np.asarray(posterior(scores, view.temperatures), np.float32)


def _certificates(laws: np.ndarray, goal: float, metric: Metric, seed: int) -> list[RelevanceBounds]:
    """Codes at slopes that approach the goal, the last one at or below it unless the tries run out, and certificates.

    A code just below the goal takes a slope just above the curve's, at which a certificate is no better.
    """
    prior = _prior(laws)
    slope = -float(jax.grad(lambda d: ranking_rate(d, prior, metric.weights))(goal))
    slope = 2.0 * max(slope, 1.0)  # of Theorem B; noisy relevance is steeper
    found: list[RelevanceBounds] = []
    certified = 0.0
    while len(found) < TRIES and not (found and found[-1].distortion <= goal):
        near = certified / NEAR <= slope <= certified * NEAR
        passes = 0 if near else PASSES
        found.append(relevance_bounds(laws, slope, weights=metric.weights, seed=seed, rounds=ROUNDS, passes=passes))
        certified = certified if near else slope
        slope *= float(np.clip(1.03 * (float(found[-1].distortion) / goal) ** 2, 0.5, 2.0))  # to just below the goal
    return found


def _lower(found: list[RelevanceBounds], distortion: np.ndarray | float) -> np.ndarray:
    """Bits at any distortion: a certificate is a line of its slope that is below R everywhere."""
    lines = [f.certificate + f.slope * (f.distortion - distortion) for f in found]
    return np.maximum(np.max(lines, axis=0), 0.0)


def _prior(laws: np.ndarray) -> np.ndarray:
    mean = laws.mean(axis=0, dtype=np.float64)
    return mean / mean.sum()
