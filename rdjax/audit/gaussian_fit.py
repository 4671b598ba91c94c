"""A Gaussian model of query and document, for the model-based floor of Theorem D, which says that it is one."""

import numpy as np

from rdjax.audit.frontier import pairs
from rdjax.audit.view import View

DOCUMENTS = 20_000  # sampled for the principal components


FEWEST = 4  # pairs, of which chance leaves something to be fitted


def component_correlations(view: View, seed: int) -> np.ndarray | None:
    """Correlations of query and relevant document along the documents' principal components, [k]; None of 3 pairs.

    Each squared sample correlation r^2 over n pairs is replaced by 1 - (1 - r^2)(n - 1)/(n - 2) (Ezekiel 1930), and
    by 0 where that is negative: what chance alone correlates is taken off. Correlation across components is left out.
    """
    fit, rng = view.fit, np.random.default_rng(seed)
    asked, wanted = pairs(view, np.arange(fit.num_queries), None)
    if len(asked) < FEWEST:
        return None
    chosen = np.sort(rng.permutation(fit.num_documents)[:DOCUMENTS])
    documents = view.vectors({name: array[chosen] for name, array in fit.documents.items()}).astype(float)
    centered = documents - documents.mean(axis=0)
    _, basis = np.linalg.eigh(centered.T @ centered)
    basis = basis[:, ::-1][:, : min(len(chosen) - 1, basis.shape[1])]
    return np.sqrt(adjusted_square(asked.astype(float) @ basis, wanted.astype(float) @ basis))


def adjusted_square(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Squared correlation of each column of x with that of y, [k], less what chance gives; 0 for fewer than 4 rows."""
    n = len(x)
    if n < FEWEST:
        return np.zeros(x.shape[1])
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    power = (x**2).sum(axis=0) * (y**2).sum(axis=0)
    square = (x * y).sum(axis=0) ** 2 / np.where(power > 0, power, 1)
    return np.clip(1 - (1 - square) * (n - 1) / (n - 2), 0, 1 - 1e-9)
