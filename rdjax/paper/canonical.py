"""Canonical coordinates: the linear functions of query and document that are most correlated with each other.

For jointly Gaussian pairs nothing else of the query says anything of the document, so a code for ranking codes these.
"""

import math
from dataclasses import dataclass

import numpy as np

_CUT = 1e-5  # of the largest variance: below, a direction is rounding


@dataclass(frozen=True)
class Canonical:
    """u = (x - mean_x) query_map, v = (y - mean_y) document_map: unit variances, E u v' = diag(`correlations`)."""

    means: tuple[np.ndarray, np.ndarray]
    query_map: np.ndarray
    document_map: np.ndarray
    correlations: np.ndarray

    def apply(
        self, queries: tuple[np.ndarray, ...], documents: tuple[np.ndarray, ...]
    ) -> tuple[np.ndarray, np.ndarray]:
        """(u [n, k], v [n, k]) of modalities side by side, float32."""
        put = lambda views, mean, chart: (np.concatenate(views, axis=1) - mean) @ chart
        u = put(queries, self.means[0], self.query_map)
        return u.astype(np.float32), put(documents, self.means[1], self.document_map).astype(np.float32)


def fit_canonical(queries: tuple[np.ndarray, ...], documents: tuple[np.ndarray, ...]) -> Canonical:
    """Canonical correlation analysis; keeps the correlations that chance does not give.

    Pairs that are independent have none above sqrt(D_x / n) + sqrt(D_y / n), up to rare luck (Johnstone 2008); kept are
    those above, and at least one.

    Args:
      queries, documents: by modality, [n, D_m] each, row i a pair.

    Returns:
      a `Canonical`, float64.

    Source: Hotelling 1936.
    """
    sides = [np.concatenate(views, axis=1).astype(np.float64) for views in (queries, documents)]
    means = sides[0].mean(axis=0), sides[1].mean(axis=0)
    x, y = (side - mean for side, mean in zip(sides, means, strict=True))
    count = len(x)
    white_x, white_y = (_whitening(side.T @ side / count) for side in (x, y))
    left, correlations, right = np.linalg.svd(white_x.T @ (x.T @ y / count) @ white_y, full_matrices=False)
    chance = math.sqrt(white_x.shape[1] / count) + math.sqrt(white_y.shape[1] / count)
    k = max(1, int((correlations > chance).sum()))
    return Canonical(means, white_x @ left[:, :k], white_y @ right[:k].T, np.minimum(correlations[:k], 1.0))


def _whitening(covariance: np.ndarray) -> np.ndarray:
    values, axes = np.linalg.eigh(covariance)
    kept = values > _CUT * values[-1]
    return axes[:, kept] / np.sqrt(values[kept])
