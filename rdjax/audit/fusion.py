"""Several modalities ranked together: their temperatures, what each contributes, what is left when one is wrong."""

import numpy as np

from rdjax.audit.quality import CALIBRATED, in_order, todays_name, uncompressed, values_of
from rdjax.audit.result import Fusion, Temperature
from rdjax.audit.savings import full_values, modality_savings, reaches
from rdjax.audit.stress import wrong_queries
from rdjax.audit.view import View, calibration_scores
from rdjax.limits import Bound
from rdjax.retrieval import temperature_intervals
from rdjax.retrieval.metrics import Metric
from rdjax.retrieval.temperature import CONVERGED

SPREAD = "95%, large-sample (sandwich) over fit queries, drawn independently"


def fused_modalities(views: list[View], metric: Metric, seed: int) -> Fusion | None:
    """The record of the fusion, with calibrated temperatures where there are any; None of one modality.

    Args:
      views: calibrated where there are judgments.
      metric: what is measured.
      seed: of every sample.
    """
    names = views[0].test.modalities
    if len(names) < 2:
        return None
    taus = [np.ones(len(names)) if view.temperatures is None else view.temperatures for view in views]
    parts = [values_of(metric, uncompressed(v.test, t, names), v.test) for v, t in zip(views, taus, strict=True)]
    values = in_order(views, parts)
    full = full_values(views, metric)
    reached = reaches(values, full)
    return Fusion(
        name=todays_name(names) if views[0].temperatures is None else CALIBRATED,
        value=Bound.value(float(values.mean()), "measured", "ties in expectation"),
        reached=Bound.value(int(reached.sum()), "measured", "ties are not enough"),
        reached_share=Bound.value(float(reached.mean()), "measured", "ties are not enough"),
        temperatures=_temperatures(views[0], len(views), seed),
        savings=modality_savings(views, metric, (values, full), seed),
        stresses=wrong_queries(views, metric, taus, seed),
    )


def _temperatures(view: View, count: int, seed: int) -> tuple[Temperature, ...]:
    """Of the first of several views, which stand for each other."""
    if view.temperatures is None:
        return ()
    scores, relevant = calibration_scores(view, seed)
    ends = np.asarray(temperature_intervals(scores, relevant, view.temperatures))
    fold = () if count == 1 else (f"the first of {count} folds",)
    why = "" if view.status == CONVERGED else f"withheld: {view.calibration}"
    found = []
    for name, tau, (low, high) in zip(view.test.modalities, view.temperatures.tolist(), ends.tolist(), strict=True):
        unknown = why or ("" if np.isfinite(high) else "withheld: this modality is left out.")
        interval = None if unknown else Bound(low, high, "estimate", (SPREAD, *fold))
        value = Bound.value(tau, "estimate", "least cross-entropy on the fit queries", *fold)
        found.append(Temperature(name, value, interval, unknown))
    return tuple(found)
