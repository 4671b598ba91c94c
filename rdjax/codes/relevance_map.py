"""RelevanceMap: a linear transform fitted to relevance rather than to variance.

Coordinates are first divided by the noise between a query and its document, so that directions in which the two
disagree count little, however much they vary; squared error there is lost log-likelihood. Then they are ordered by how
much documents differ. Its inverse gives vectors whose inner products with the raw vectors of the other side are those
of these coordinates, and they rank better than plain inner products wherever noise is not the same in all directions.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np

from rdjax.checks import require
from rdjax.codes.arrays import device_array, fit_vectors, require_dimension, working_dtype
from rdjax.codes.moments import covariance, mean_and_variance
from rdjax.codes.query_model import QueryModel, modality_slices
from rdjax.codes.transform import Transform, require_k, signs, wider
from rdjax.numerics import matmul
from rdjax.trees import register_dataclass

SIDES = ("queries", "documents")


@partial(
    register_dataclass,
    data_fields=["mean", "basis", "back", "variances"],
    meta_fields=["side", "turned"],
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
      turned: whether the coefficients were turned for a product of codebooks (see `turning`), for the name.
    """

    mean: jax.Array
    basis: jax.Array
    back: jax.Array
    variances: jax.Array
    side: str
    turned: bool = False

    @property
    def sides(self) -> tuple[str, ...]:  # type: ignore[override]  # of an object here, of the class elsewhere
        """The one it was fitted for."""
        return (self.side,)

    @property
    def label(self) -> str:
        """How a code's name begins."""
        return f"{'turned ' if self.turned else ''}relevance {self.k}"

    @property
    def encoder_bytes(self) -> int:
        """Memory of the encoder, at 4 bytes a number; the way back, and zeros between modalities, it does not hold."""
        return 4 * (self.mean.size + int(np.count_nonzero(np.asarray(self.basis))))

    @property
    def signal(self) -> np.ndarray:
        """[k], float64: the part of each variance that tells documents apart; of queries lambda^2 / (1 + lambda)."""
        variances = np.asarray(self.variances, np.float64)
        ratios = np.maximum(variances - 1, 0)
        return variances if self.side == "documents" else ratios**2 / (1 + ratios)

    def apply(self, vectors: jax.Array) -> jax.Array:
        """Vectors of the coded side [n, D] to coefficients [n, k]."""
        return matmul(vectors - self.mean[None, :], self.basis)

    def invert(self, coefficients: jax.Array) -> jax.Array:
        """Coefficients [n, k] to vectors [n, D] to take inner products with the other side's raw vectors with."""
        return matmul(coefficients, self.back.T)

    def heading(self, coefficients: jax.Array) -> jax.Array:
        """The coefficients [n, k]: nothing is added to them, and noise of a query about its document is white there."""
        return coefficients

    def take(self, k: int) -> "RelevanceMap":
        """The same, keeping the first k coefficients."""
        return self._with(lambda x: np.asarray(x)[..., :k])

    def padded(self, k: int) -> "RelevanceMap":
        """The same with directions of length zero added, up to k: their coefficients are 0 and add nothing."""
        return self._with(lambda x: wider(x, k))

    def _with(self, change: Callable[[jax.Array], np.ndarray]) -> "RelevanceMap":
        basis, back, variances = (jax.device_put(change(x)) for x in (self.basis, self.back, self.variances))
        return RelevanceMap(self.mean, basis, back, variances, self.side, self.turned)


def fit_relevance_map(
    model: QueryModel, documents: Any, k: int | Sequence[int], *, side: str, queries: Any | None = None
) -> RelevanceMap:
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
      k: directions kept, 1 to D; or those of every modality [M], each fitted by itself and all side by side, for codes
        that give every modality bits of its own. More than the vectors span are no better than random ones.
      side: what is coded, "queries" or "documents".
      queries: [Q, D] to count as further (predicted) documents; None for none. Where documents are few they show
        directions that these do not span, which is worth more than their noise costs.

    Raises:
      InputError: if D is not the model's, or k or side is out of range.

    Source: Chechik, Globerson, Tishby, Weiss 2005 (the directions); Fisher's linear discriminants are the same.
    """
    array = fit_vectors(documents)
    require_dimension(array, model.dimension, "the query model")
    require(side in SIDES, f'the side is {side!r}; it must be "queries" or "documents".')
    mean, _ = mean_and_variance(array)
    gains, asked = model.coordinate_gains, model.predict(mean[None, :])[0]
    spread = gains[:, None] * covariance(array, mean) * gains[None, :]
    if queries is not None:
        spread = _joined(spread, asked, len(array), queries)
    directions, ratios = _directions(model, spread, k)
    if side == "queries":
        fitted = asked, directions, gains[:, None] * directions, 1 + ratios
    else:
        e = np.linalg.solve(spread + model.noise, asked)
        back = directions - np.outer(e / (1 + asked @ e), asked @ directions)
        fitted = mean, gains[:, None] * directions, back, ratios
    return _on_device(*fitted, side=side, dtype=working_dtype(array))


def _on_device(
    mean: np.ndarray, basis: np.ndarray, back: np.ndarray, variances: np.ndarray, *, side: str, dtype: Any
) -> RelevanceMap:
    put = lambda values: device_array(values, dtype)
    return RelevanceMap(put(mean), put(basis), put(back), put(variances), side)


def _directions(model: QueryModel, spread: np.ndarray, k: int | Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """(H V [D, k], lambda [k]), of all modalities together or of each by itself."""
    slices, whiten = modality_slices(model.blocks), np.zeros_like(spread)
    for own in slices:
        values, axes = np.linalg.eigh(np.asarray(model.noise[own, own], np.float64))
        whiten[own, own] = (axes / np.sqrt(values)) @ axes.T
    signal = whiten @ spread @ whiten
    if not isinstance(k, Iterable):
        require_k(k, model.dimension, f"the vectors have {model.dimension} dimensions")
        return _leading(whiten, signal, k)
    counts, parts = [*k], []
    require(len(counts) == len(slices), f"{len(counts)} numbers of directions were given for {len(slices)} modalities.")
    for own, count in zip(slices, counts, strict=True):
        width = own.stop - own.start
        require_k(count, width, f"a modality has {width} dimensions")
        directions, ratios = _leading(whiten[own, own], signal[own, own], count)
        parts.append((np.pad(directions, ((own.start, len(spread) - own.stop), (0, 0))), ratios))
    return np.concatenate([part for part, _ in parts], axis=1), np.concatenate([part for _, part in parts])


def _leading(whiten: np.ndarray, signal: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """(H V [d, k], lambda [k]) of the k largest eigenvalues of the signal [d, d]."""
    ratios, axes = np.linalg.eigh((signal + signal.T) / 2)
    directions = whiten @ axes[:, ::-1][:, :k]
    return directions * signs(directions), np.maximum(ratios[::-1][:k], 0.0)


def _joined(spread: np.ndarray, asked: np.ndarray, count: int, queries: Any) -> np.ndarray:
    """Covariance of `count` predicted queries, of which mean and covariance are given, and of others together."""
    others = fit_vectors(queries)
    require_dimension(others, len(asked), "the query model")
    mean, _ = mean_and_variance(others)
    share, apart = count / (count + len(others)), mean - asked
    return share * spread + (1 - share) * (covariance(others, mean) + share * np.outer(apart, apart))
