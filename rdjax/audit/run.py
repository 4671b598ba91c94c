"""THE main job: a corpus in, an `Audit` out.

corpus -> scores -> temperature -> ranking -> metrics, then limits (no code can beat) and codes (bits really spent).
"""

from collections.abc import Collection
from typing import Any

import jax
import numpy as np

from rdjax.audit.answer import beside_chance, beside_weights, recommend
from rdjax.audit.asked import require_askable, sides_of, telling_metric
from rdjax.audit.families import trials
from rdjax.audit.floors import fitted_here, floors_for, relevance_law, sought
from rdjax.audit.frontier import Bench, sampled
from rdjax.audit.fusion import fused_modalities
from rdjax.audit.gaussian_fit import component_correlations
from rdjax.audit.measures import paper_measures
from rdjax.audit.memory import sizes_within
from rdjax.audit.noisy import posterior_floor
from rdjax.audit.quality import by_chance, length_warnings, todays, uncompressed_rankings
from rdjax.audit.result import Audit, Quality, Setting
from rdjax.audit.shares import modality_shares
from rdjax.audit.tried import all_tried
from rdjax.audit.view import Progress, View, calibrated, make_views, plainly_judged, with_judgements
from rdjax.audit.wording import percent
from rdjax.checks import require
from rdjax.data import Corpus
from rdjax.limits.bound import Bound
from rdjax.retrieval.metrics import Metric
from rdjax.retrieval.temperature import CONVERGED, FLAT


def audit(
    corpus: Corpus,
    *,
    fit: Corpus | None = None,
    metric: str = "mrr",
    target: float = 0.95,
    side: str | None = None,
    prior: Any = "queries",
    families: Collection[str] | None = None,
    seed: int = 0,
    memory: float | None = None,
    progress: Progress | None = None,
) -> Audit:
    """How many bits per query, and per stored document, are necessary?

    Args:
      corpus: what is audited. Without judgments the uncompressed top document stands for the relevant one.
      fit: what everything is fitted on and every choice is made by (but for the bytes of the stored documents, which
        are those of the documents themselves); it may share documents with `corpus`. None: a seeded half of the
        queries, the other half being audited; or where there are fewer than 400 cross-fitting, in which each query is
        audited by codes that have not seen it, but the choice among codes is one, by all queries.
      metric: mrr, recall@K, ndcg@K, dcg, precision@K, rbp@P or map.
      target: share of today's quality (fused, tau = 1) that a code must keep, in (0, 1].
      side: "queries", "documents", or None for both.
      prior: law of the relevant document for the floors: "queries" (the audited queries' own, a fact about them),
        "uniform", "corpus" (the prior it holds), or an array [N] (assumptions).
      families: names of the families of codes to try (see `families.FAMILIES`), None for the usual ones.
      seed: of the split and the bootstrap.
      memory: bytes that the process may take: it sets how much is computed at a time, never what (see
        `memory.sizes_within`). None: as much as is fast and this machine has; a warning where that may not do.
      progress: called as progress(what, done, total); total None where nobody knows when it ends.

    Returns:
      an `Audit`, every number a `Bound`; rates in bits per item.

    Raises:
      InputError: a target or prior out of range, an unknown metric, side or family, a metric as deep as the corpus, a
        negative seed, corpora that do not fit together.
    """
    sides, untried = _sides(target, side, families, seed, len(corpus.modalities))
    measure_by, sizes = telling_metric(metric, corpus.num_documents), sizes_within(memory, corpus, fit)
    tell = progress or (lambda *_: None)
    with jax.enable_x64(True):
        tell("reading the corpus", 0, 1)
        corpus, fit = plainly_judged(corpus, measure_by), fit and plainly_judged(fit, measure_by)
        views, protocol, warnings = make_views(corpus, fit, seed)
        views = views if corpus.relevant is None else [calibrated(view, seed) for view in views]
        audited = views[0].test if len(views) == 1 else with_judgements(corpus)
        whole, prior_words = relevance_law(audited, prior)
        law = sought(whole)
        protocol += f"{sampled(views[0])}; scores are inner products of the vectors as they are"
        setting = _setting(audited, corpus.relevant, views, metric, target, prior_words, protocol, seed)
        tell("ranking without codes", 0, 1)
        qualities, todays_values = uncompressed_rankings(views, measure_by, seed)
        today = todays(qualities, corpus.modalities)
        first = (*_worth_keeping(today, audited, measure_by, setting), *beside_weights(qualities, today, setting))
        aim = target * float(today.value.lower)
        points = all_tried(Bench(views, measure_by, todays_values, target, seed, sizes), setting, sides, families, tell)
        correlations = component_correlations(views[0], seed) if setting.judgements == "single" else None
        floors = [f for s in sides for f in floors_for(s, setting, measure_by, audited, law, aim, correlations)]
        floors = list(fitted_here(floors)) if any(view.fitted_here for view in views) else floors
        if "queries" in sides:
            tell("the interval for noisy relevance", 0, 1)
            floors.append(posterior_floor(views, setting, measure_by, aim, seed))
        tell("what each modality knows", 0, 1)
        of_modalities = _of_modalities(views, setting, whole, measure_by, aim)
    chosen = recommend(points, floors, setting)
    return Audit(
        setting=setting,
        today=today,
        aim=Bound.value(aim, "measured", f"{percent(target)} of today's"),
        qualities=tuple(qualities),
        points=tuple(points),
        floors=tuple(floors),
        **of_modalities,
        recommendations=chosen,
        answer=(*first, *(choice.sentence for choice in chosen)),
        warnings=(*untried, *warnings, *length_warnings(audited), *_calibration_warnings(views)),
    )


def _sides(
    target: float, side: str | None, families: Collection[str] | None, seed: int, modalities: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(sides to audit, a warning of one that no named family makes codes for), when what was asked makes sense."""
    require_askable(target, side, families or (), seed)
    sides = sides_of(side)
    planned = tuple(side for side in sides if any(trials(side, 1, modalities, families)))
    said = f"none of the families that are named ({'; '.join(families or ())}) is for the {' or the '.join(sides)} of "
    count = "1 modality" if modalities == 1 else f"{modalities} modalities"
    require(bool(planned) or not families, f"{said}{count}; name another.")
    left = [side for side in sides if planned and side not in planned]
    return planned or sides, tuple(
        f"None of the named families codes {side}, so only {planned[0]} are audited." for side in left
    )


def _worth_keeping(today: Quality, audited: Corpus, metric: Metric, setting: Setting) -> tuple[str, ...]:
    """What is said before all else of today's quality, if there is any."""
    words = (
        f"today's {setting.metric} of {setting.corpus} is 0 on the audited queries, so there is nothing to keep; see "
    )
    least = "whether `relevant` numbers the right documents, or take a deeper metric."
    require(float(today.value.lower) > 0, words + least)
    return beside_chance(today, by_chance(audited, metric), setting)


def _of_modalities(views: list[View], setting: Setting, law: Any, metric: Metric, aim: float) -> dict[str, Any]:
    """What an `Audit` says of modalities, by field."""
    modalities, pairs = modality_shares(views, setting, law, metric, aim, setting.seed)
    return {
        "modalities": modalities,
        "pairs": pairs,
        "measures": paper_measures(views, pairs, setting.seed) if pairs else None,
        "fusion": fused_modalities(views, metric, setting.seed),
    }


def _setting(
    audited: Corpus,
    relevant: Any,
    views: list[View],
    metric: str,
    target: float,
    prior: str,
    protocol: str,
    seed: int,
) -> Setting:
    several = "single" if np.ndim(relevant) == 1 else "several"
    return Setting(
        corpus=audited.name,
        notes=audited.notes,
        metric=metric,
        target=target,
        judgements="fidelity" if relevant is None else several,
        prior=prior,
        protocol=protocol,
        documents=audited.num_documents,
        queries=audited.num_queries,
        fit_queries=views[0].fit.num_queries,
        repeated_queries=views[0].repeated,
        dimensions={name: array.shape[1] for name, array in audited.documents.items()},
        stored_bits=sum(
            audited.stored_bits.get(name, 8 * array.dtype.itemsize) * array.shape[1]
            for name, array in audited.documents.items()
        ),
        seed=seed,
    )


def _calibration_warnings(views: list[View]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(view.calibration for view in views if view.status not in (CONVERGED, FLAT)))
