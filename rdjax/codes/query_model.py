"""QueryModel: what a query looks like, given the document that it looks for; fitted on pairs.

In every modality a query is the document, shrunk, plus Gaussian noise whose covariance is itself shrunk, so that a few
hundred pairs in a thousand dimensions are enough. It says which directions tell documents apart and which do not
(`relevance_map`), and it draws as many queries for codebooks to be fitted on as they need.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from rdjax.checks import require, whole
from rdjax.codes.arrays import fit_vectors, require_dimension, working_dtype
from rdjax.trees import register_dataclass

_SHRINKAGES = np.geomspace(1e-4, 1.0, 49)
_LEAST_SHRINKAGE = 1e-8  # of few pairs: with less the noise may be singular in float64
_MOST_PAIRS = 1 << 15
_MOST_RESIDUALS = 1 << 11
_LEAST_NOISE = 1e-6  # of the documents' variance: queries that equal their documents have some noise all the same


@partial(
    register_dataclass,
    data_fields=["mean_query", "mean_document", "gains", "noise", "shrinkages", "residuals"],
    meta_fields=["blocks"],
)
@dataclass(frozen=True)
class QueryModel:
    """query = mean_query + gain_m (document - mean_document) + noise, noise ~ N(0, Sigma_m), modality by modality.

    A scalar gain, and not a matrix, because inner products with the documents are what queries were embedded for; on
    228 pairs of 896 dimensions a ridge regression toward it gains nothing. It is fitted and used on the host.

    Args:
      mean_query, mean_document: of the pairs, float64 [D].
      gains: of every modality [M].
      noise: covariance [D, D], zero between modalities.
      shrinkages: weight of the scalar matrix in every modality's Sigma_m [M], in (0, 1].
      residuals: query - its mean given the document, of the pairs or 2,048 of them, evenly spaced [r, D].
      blocks: widths of the modalities [M].
    """

    mean_query: np.ndarray
    mean_document: np.ndarray
    gains: np.ndarray
    noise: np.ndarray
    shrinkages: np.ndarray
    residuals: np.ndarray
    blocks: tuple[int, ...]

    @classmethod
    def fit(
        cls, queries: Any, documents: Any, *, blocks: Sequence[int], shrinkage: float | None = None
    ) -> "QueryModel":
        """Gains by generalized least squares; Sigma = (1 - a) S + a (tr S / d) I, S the residuals' covariance.

        The gain is the one of least squares, then, once, the one of squares weighted by the noise that was left.
        Left to itself, the shrinkage a of a modality is the one of largest leave-one-out likelihood of the residuals.
        The mean square of the residuals is at least 1e-6 of the documents' variance. Of more than 32,768 pairs so many
        are used, evenly spaced.

        Args:
          queries: [n, D], n at least 2.
          documents: [n, D], row i relevant to query i.
          blocks: widths of the modalities, side by side in D.
          shrinkage: a of all modalities, 1e-8 to 1; None to fit it. Where a map is fitted on the documents of the pairs
            alone (class C), it wants more than the likelihood says: residuals are correlated with their own documents.

        Raises:
          InputError: shapes or widths that disagree, fewer than two pairs, shrinkage out of range.

        Source: Ledoit and Wolf 2004 (the target); Hoffbeck and Landgrebe 1996 (leave-one-out likelihood).
        """
        queries, documents, blocks = _pairs(queries, documents, blocks)
        require(
            shrinkage is None or _LEAST_SHRINKAGE <= shrinkage <= 1,
            f"the shrinkage is {shrinkage}; it must be {_LEAST_SHRINKAGE} to 1, or None to be fitted.",
        )
        mean_query, mean_document = queries.mean(axis=0), documents.mean(axis=0)
        noise = np.zeros((len(mean_query), len(mean_query)))
        gains, shrinkages = np.zeros(len(blocks)), np.zeros(len(blocks))
        for m, own in enumerate(modality_slices(blocks)):
            asked, wanted = queries[:, own] - mean_query[own], documents[:, own] - mean_document[own]
            gains[m], noise[own, own], shrinkages[m] = _fit_modality(asked, wanted, shrinkage)
        some = _evenly(len(queries), _MOST_RESIDUALS)
        residuals = queries[some] - mean_query - np.repeat(gains, blocks) * (documents[some] - mean_document)
        return cls(mean_query, mean_document, gains, noise, shrinkages, residuals, blocks)

    @property
    def dimension(self) -> int:
        """D."""
        return len(self.mean_query)

    @property
    def coordinate_gains(self) -> np.ndarray:
        """The gain of every coordinate [D]."""
        return np.repeat(self.gains, self.blocks)

    def predict(self, documents: Any) -> np.ndarray:
        """The mean query of each document.

        Args:
          documents: [N, D].

        Returns:
          [N, D], in the precision of the documents, float32 at least.

        Raises:
          InputError: if D is not the dimension of the pairs.
        """
        rows = fit_vectors(documents)
        require_dimension(rows, self.dimension, "the query model")
        dtype = working_dtype(rows)
        shift = self.mean_query - self.coordinate_gains * self.mean_document
        return rows.astype(dtype) * self.coordinate_gains.astype(dtype) + shift.astype(dtype)

    def simulate(
        self, documents: Any, draws: int, *, seed: int = 0, heat: float = 1.0, observed: float = 0.0
    ) -> np.ndarray:
        """Queries drawn from the model, those of document 0 first: a smoothed bootstrap of the noise.

            query = predict(document) + sqrt(heat) (sqrt(observed) r + sqrt(1 - observed) g),   g ~ N(0, Sigma)

        with r one of `residuals` at random. Those have the tails, and the dependence between modalities, that the
        Gaussian lacks; it has the directions that a few pairs do not show.

        Args:
          documents: [N, D].
          draws: queries of each document, at least 1.
          seed: of the NumPy generator.
          heat: scales the covariance of the noise, at least 0; below 1 for queries nearer to their documents.
          observed: share of the noise's variance that is that of observed residuals, 0 to 1.

        Returns:
          [N * draws, D], in the precision of the documents, float32 at least.

        Raises:
          InputError: if D is not the dimension of the pairs, or draws, heat or observed are out of range.

        Source: Silverman and Young 1987 (the smoothed bootstrap).
        """
        draws = whole(draws, "the number of draws")
        require(bool(np.isfinite(heat)) and heat >= 0, f"the heat is {heat}; it must be a number, at least 0.")
        require(0 <= observed <= 1, f"the share of observed noise is {observed}; it must be in [0, 1].")
        means = np.repeat(self.predict(documents), draws, axis=0)
        rng = np.random.default_rng(seed)
        if observed:
            errors = (np.sqrt(heat * observed) * self.residuals).astype(means.dtype)
            means += errors[rng.integers(len(errors), size=len(means))]
        scale = np.sqrt(heat * (1 - observed))
        for columns in modality_slices(self.blocks):
            root = (scale * np.linalg.cholesky(self.noise[columns, columns])).T.astype(means.dtype)
            for start in range(0, len(means), 65536):
                rows = means[start : start + 65536, columns]
                rows += rng.standard_normal(rows.shape, means.dtype) @ root
        return means


def _pairs(queries: Any, documents: Any, blocks: Sequence[int]) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
    queries, documents = fit_vectors(queries), fit_vectors(documents)
    require(
        queries.shape == documents.shape,
        f"queries have shape {queries.shape} and documents {documents.shape}; row i of one is relevant to row i of "
        f"the other, so both need the same.",
    )
    require(len(queries) > 1, "there is one pair of query and document; a model of queries needs at least two.")
    widths = tuple(whole(width, "the width of a modality") for width in blocks)
    require(
        sum(widths) == queries.shape[1],
        f"the modalities are {', '.join(map(str, widths))} wide, {sum(widths)} in all, but the vectors have "
        f"{queries.shape[1]} dimensions.",
    )
    kept = _evenly(len(queries), _MOST_PAIRS)
    return np.asarray(queries[kept], np.float64), np.asarray(documents[kept], np.float64), widths


def _evenly(count: int, most: int) -> np.ndarray:
    """So many rows of `count`, evenly spaced; all where there are no more."""
    return np.linspace(0, count - 1, min(count, most)).astype(np.int64)


def modality_slices(blocks: tuple[int, ...]) -> list[slice]:
    """Columns of each modality, from their widths."""
    ends = np.cumsum(blocks)
    return [slice(int(end) - width, int(end)) for end, width in zip(ends, blocks, strict=True)]


def _fit_modality(asked: np.ndarray, wanted: np.ndarray, a: float | None) -> tuple[float, np.ndarray, float]:
    """(gain, noise covariance, shrinkage) from deviations of queries and documents from their means [n, d]."""
    spread = float((wanted**2).sum())
    gain = float((asked * wanted).sum()) / spread if spread > 0 else 0.0
    least = _LEAST_NOISE * spread / wanted.size
    noise, _ = _fit_noise(asked - gain * wanted, least, a)
    if spread > 0:
        weighted = np.linalg.solve(noise, wanted.T).T
        gain = float((asked * weighted).sum()) / float((wanted * weighted).sum())
    return gain, *_fit_noise(asked - gain * wanted, least, a)


def _fit_noise(residuals: np.ndarray, least: float, a: float | None) -> tuple[np.ndarray, float]:
    """(covariance, shrinkage) of residuals [n, d], whose mean square counts as `least` where it is less."""
    n, width = residuals.shape
    values, axes = np.linalg.eigh(residuals.T @ residuals / n)
    values = np.maximum(values, 0.0)
    level = max(float(values.sum()) / width, least) or 1.0
    if a is None:
        squares = (residuals @ axes) ** 2
        a = float(min(_SHRINKAGES, key=lambda each: _left_out(squares, values, level, each)))
    return (axes * ((1 - a) * values + a * level)) @ axes.T, a


def _left_out(squares: np.ndarray, values: np.ndarray, level: float, a: float) -> float:
    """Mean -2 ln likelihood, up to a constant, of each residual r under the covariance that the n - 1 others give.

    With B = a level I + (1 - a) n / (n - 1) S that covariance is B - c r r', c = (1 - a) / (n - 1). So, h = r' B^-1 r,

        r' (B - c r r')^-1 r = h / (1 - c h),   det(B - c r r') = det(B) (1 - c h).
    """
    n = len(squares)
    c = (1 - a) / (n - 1)
    spectrum = a * level + c * n * values
    h = squares @ (1 / spectrum)
    rest = np.maximum(1 - c * h, 1e-12)  # above 0 but for rounding
    return float(np.log(spectrum).sum() + (np.log(rest) + h / rest).mean())
