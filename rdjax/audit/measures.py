"""What the paper prices modalities by, H_m and the mutual information of pairs, read from the vectors of the queries.

By nearest neighbors, and withheld where the same reading misses by more than 20% on data of this shape whose truth is
known. Redundancy and skew are shares of differential entropies, which change with the unit of the vectors; they bound
nothing (theory notes, section 3.1). What a modality does cost is in `rdjax.audit.shares`.
"""

from typing import Any

import numpy as np

from rdjax.audit.result import Measures, Pair
from rdjax.audit.view import View
from rdjax.information.modalities import calibrated_reading
from rdjax.limits import Bound

ROWS = 1000  # that neighbors are searched among, at most
NEIGHBORS = "nearest neighbors, calibrated"


def shared_information(views: list[View], names: tuple[str, str], seed: int) -> tuple[Bound | None, str]:
    """I(X_m; X_n) of the audited queries' vectors, bits: what look-alike data hold that read so much, or why not."""
    found, why = calibrated_reading([_vectors(views, name, seed) for name in names], seed=seed)
    if found is None:
        return None, why
    return Bound(float(found.least), float(found.most), "estimate", (NEIGHBORS,)), ""


def paper_measures(views: list[View], pairs: tuple[Pair, ...], seed: int) -> Measures:
    """H_m, redundancy, kappa and Delta H, each as an estimate or withheld.

    Args:
      views: of the audit.
      pairs: every two modalities, with `shared_information` in them.
      seed: of the rows and the Gaussian data.
    """
    names = views[0].test.modalities
    read = {name: calibrated_reading([_vectors(views, name, seed)], seed=seed) for name in names}
    why = [f"H of {name}: {reason}" for name, (_, reason) in read.items() if reason]
    alone = np.array([np.nan if found is None else float(found.estimate) for found, _ in read.values()])
    total, several = float(alone.sum()), len(names)
    shared = _twice([pair.information for pair in pairs])
    if total <= 0:
        why.append(f"redundancy and kappa: withheld: the entropies sum to {total:.3g} bits, which has no shares.")
    ratio = shared / total if total > 0 else np.full(2, np.nan)
    return Measures(
        entropies=tuple(_bound(h, h) for h in alone),
        redundancy_as_printed=_bound(*ratio),
        redundancy=_bound(*ratio / (several - 1)),
        skew_as_printed=_bound(*(1 - ratio[::-1]) / (several - 1)),
        imbalance=_bound(*[np.abs(alone - alone.mean()).sum()] * 2),
        why=tuple(why),
    )


def _vectors(views: list[View], name: str, seed: int) -> np.ndarray:
    """A sample of the audited queries; the same rows of every modality."""
    every = np.concatenate([np.asarray(view.test.queries[name], np.float64) for view in views])
    return every[np.sort(np.random.default_rng(seed).permutation(len(every))[:ROWS])]


def _twice(shared: list[Bound | None]) -> np.ndarray:
    """I_cross [lower, upper], every pair counted twice as the paper does; NaN where one is withheld."""
    ends: Any = [(np.nan, np.nan) if bound is None else (bound.lower, bound.upper) for bound in shared]
    return 2 * np.sum(np.array(ends, np.float64), axis=0)


def _bound(lower: float, upper: float) -> Bound | None:
    return None if np.isnan(lower) else Bound(float(lower), float(upper), "estimate", (NEIGHBORS,))
