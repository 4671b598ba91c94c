"""A Gaussian model of query and document, for the model-based floor of Theorem D, which says that it is one."""

import numpy as np

from rdjax.audit.view import View

DOCUMENTS = 20_000  # sampled for the principal components


def component_correlations(view: View, seed: int) -> np.ndarray:
    """Correlations of query and relevant document along the documents' principal components, [k].

    Each squared sample correlation r^2 over n pairs is replaced by 1 - (1 - r^2)(n - 1)/(n - 2) (Ezekiel 1930), and
    by 0 where that is negative: what chance alone correlates is taken off. Correlation across components is left out.
    """
    fit, rng = view.fit, np.random.default_rng(seed)
    first = np.asarray(fit.relevant).reshape(fit.num_queries, -1)[:, 0]
    chosen = np.sort(rng.permutation(fit.num_documents)[:DOCUMENTS])
    pick = lambda features, rows: view.vectors({name: array[rows] for name, array in features.items()}).astype(float)
    documents = pick(fit.documents, chosen)
    centered = documents - documents.mean(axis=0)
    _, basis = np.linalg.eigh(centered.T @ centered)
    basis = basis[:, ::-1][:, : min(len(chosen) - 1, basis.shape[1])]
    asked = view.vectors(fit.queries).astype(float) @ basis
    wanted = pick(fit.documents, first) @ basis
    return np.sqrt(adjusted_square(asked, wanted))


def adjusted_square(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Squared correlation of each column of x with that of y, [k], less what chance gives; 0 for fewer than 4 rows."""
    n = len(x)
    if n < 4:
        return np.zeros(x.shape[1])
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    power = (x**2).sum(axis=0) * (y**2).sum(axis=0)
    square = (x * y).sum(axis=0) ** 2 / np.where(power > 0, power, 1)
    return np.clip(1 - (1 - square) * (n - 1) / (n - 2), 0, 1 - 1e-9)
