"""RelevanceMap: a linear transform fitted to relevance rather than to variance.

Coordinates are first divided by the noise between a query and its document, so that directions in which the two
disagree count little, however much they vary; squared error there is lost log-likelihood. Then they are ordered by how
much documents differ. Its inverse gives vectors whose inner products with the raw vectors of the other side are those
of these coordinates, and they rank better than plain inner products wherever noise is not the same in all directions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np

from rdjax.checks import require
from rdjax.codes.arrays import device_array, fit_vectors, require_dimension, working_dtype
from rdjax.codes.query_model import QueryModel
from rdjax.codes.transform import Transform, covariance, mean_and_variance, require_k, signs, wider

SIDES = ("queries", "documents")


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["mean", "basis", "back", "variances"],
    meta_fields=["side"],
)
@dataclass(frozen=True)
class RelevanceMap(Transform):
    """c = basis' (x - mean) of the coded side; <back c, y> is its score with a raw vector y of the other side.

    Args:
      mean: [D], of the coded side.
      basis: [D, k]; the noise of a coefficient between a query and its document has variance 1.
      back: [D, k].
      variances: [k], of the coefficients of the coded side under the model.
      side: "queries" or "documents", the one that is coded.
    """

    mean: jax.Array
    basis: jax.Array
    back: jax.Array
    variances: jax.Array
    side: str

    @property
    def label(self) -> str:
        """How a code's name begins."""
        return f"relevance {self.k}"

    @property
    def encoder_bytes(self) -> int:
        """Memory of the encoder, at 4 bytes a number; the way back is the decoder's."""
        return 4 * (self.mean.size + self.basis.size)

    def apply(self, vectors: jax.Array) -> jax.Array:
        """Vectors of the coded side [n, D] to coefficients [n, k]."""
        return (vectors - self.mean[None, :]) @ self.basis

    def invert(self, coefficients: jax.Array) -> jax.Array:
        """Coefficients [n, k] to vectors [n, D] to take inner products with the other side's raw vectors with."""
        return coefficients @ self.back.T

    def take(self, k: int) -> "RelevanceMap":
        """The same, keeping the first k coefficients."""
        return self._with(lambda x: np.asarray(x)[..., :k])

    def padded(self, multiple: int) -> "RelevanceMap":
        """The same with directions of length zero added, up to a multiple: their coefficients are 0 and add nothing."""
        k = self.k + -self.k % multiple
        return self._with(lambda x: wider(x, k))

    def _with(self, change: Callable[[jax.Array], np.ndarray]) -> "RelevanceMap":
        basis, back, variances = (jax.device_put(change(x)) for x in (self.basis, self.back, self.variances))
        return RelevanceMap(self.mean, basis, back, variances, self.side)


def fit_relevance_map(model: QueryModel, documents: Any, k: int, *, side: str) -> RelevanceMap:
    """The k directions that tell documents apart best, in units of the noise between a query and its document.

        H = Sigma^-1/2,   V diag(lambda) V' = H A cov(documents) A' H,   lambda non-increasing: signal to noise
        queries:    c = V' H (q - m),         back = A H V
        documents:  c = V' H A (d - mean),    back = (I - e m') H V,   e = C^-1 m / (1 + m' C^-1 m)

    with A the model's gains, Sigma its noise, m the mean query of these documents and C = A cov(documents) A' + Sigma
    the covariance of queries. These directions are those of the Gaussian information bottleneck between query and
    document. A squared distance is twice a loss of log-likelihood: with all D of them, the document nearest to a query
    is the likeliest one, and inner products rank so too where the documents' norms are equal in these units. Scores are
    <q - m, H V c> on both sides, up to what does not depend on the document; e is the vector whose inner product with
    queries is nearest to 1, so that raw queries can stand for centered ones.

    Args:
      model: of the queries.
      documents: [N, D], those that are to be told apart: the searched ones (class B) or others (class C).
      k: directions kept, 1 to D. More than N - 1 are no better than random ones.
      side: what is coded, "queries" or "documents".

    Raises:
      InputError: if D is not the model's, or k or side is out of range.

    Source: Chechik, Globerson, Tishby, Weiss 2005 (the directions); Fisher's linear discriminants are the same.
    """
    array = fit_vectors(documents)
    require_dimension(array, model.dimension, "the query model")
    require_k(k, model.dimension, f"the vectors have {model.dimension} dimensions")
    require(side in SIDES, f'the side is {side!r}; it must be "queries" or "documents".')
    mean, _ = mean_and_variance(array)
    gains, asked = model.coordinate_gains, model.predict(mean[None, :])[0]
    whiten = _inverse_root(model.noise, model.blocks)
    signal = whiten @ (gains[:, None] * covariance(array, mean) * gains[None, :]) @ whiten
    ratios, axes = np.linalg.eigh((signal + signal.T) / 2)
    ratios, axes = np.maximum(ratios[::-1], 0.0), axes[:, ::-1]
    directions = whiten @ axes * signs(axes)
    if side == "queries":
        center, basis, back, variances = asked, directions, gains[:, None] * directions, 1 + ratios
    else:
        own = directions.T @ asked  # C^-1 = directions diag(1 / (1 + ratios)) directions'
        one = directions @ (own / (1 + ratios)) / (1 + own @ (own / (1 + ratios)))
        center, basis, variances = mean, gains[:, None] * directions, ratios
        back = directions - one[:, None] * own[None, :]
    dtype = working_dtype(array)
    center, basis, back, variances = (
        device_array(x, dtype) for x in (center, basis[:, :k], back[:, :k], variances[:k])
    )
    return RelevanceMap(center, basis, back, variances, side)


def _inverse_root(noise: np.ndarray, blocks: tuple[int, ...]) -> np.ndarray:
    """noise^-1/2, symmetric, modality by modality."""
    root, start = np.zeros_like(noise), 0
    for width in blocks:
        own = slice(start, start + width)
        values, axes = np.linalg.eigh(noise[own, own])
        root[own, own] = (axes / np.sqrt(values)) @ axes.T
        start += width
    return root
