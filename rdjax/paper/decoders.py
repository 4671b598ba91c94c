"""Decoders of the tables: every one scores a document by sum_m beta_m <c_m, e_m> - gamma |e|^2 / 2.

beta_m = 1 / tau_m. The paper's have gamma = 0 and documents of unit norm, each modality by itself; ours calibrates all
of them on training pairs, the convex problem of `calibrate_temperatures`, with -|e|^2 / 2 as one more modality. For
Gaussian pairs that family has the exact posterior in it.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rdjax.retrieval import calibrate_temperatures, parse_metric
from rdjax.retrieval.scores import inner_products

Views = tuple[np.ndarray, ...]
TEMPERATURES = (0.01, 0.03, 0.07, 0.2, 1.0)  # among which cross-validation chooses the fixed one
ROUNDING = 1e-5  # of the largest squared length: those that differ by less are one in float32


class Decoder(NamedTuple):
    """`weights` beta [M] and `length` gamma."""

    weights: np.ndarray
    length: float


def of_temperatures(temperatures: np.ndarray) -> Decoder:
    """beta = 1 / tau, and no length."""
    return Decoder(1 / np.asarray(temperatures, np.float64), 0.0)


def exact_decoder(correlation: float) -> Decoder:
    """The posterior of pairs at unit variance with this canonical correlation in every direction."""
    left = 1 - correlation**2
    return Decoder(np.array([correlation / left]), correlation**2 / left)


def calibrated_decoder(codes: Views, documents: Views, size: int) -> Decoder:
    """The decoder of least cross-entropy on these pairs, corpora of `size` one after the other.

    gamma is 0 where all documents have one length: it would be fitted to rounding.

    Args:
      codes: what the decoder gets of every query, by modality [C N, D_m].
      documents: [C N, D_m], row i is what query i wants.
      size: N.
    """
    blocks = [slice(start, start + size) for start in range(0, len(codes[0]), size)]
    scores = [np.concatenate([c[b] @ e[b].T for b in blocks]) for c, e in zip(codes, documents, strict=True)]
    norms = -_squares(documents).reshape(len(blocks), 1, size) / 2
    told = bool(np.ptp(norms) > ROUNDING * np.abs(norms).max())
    if told:
        scores.append(np.broadcast_to(norms, (len(blocks), size, size)).reshape(-1, size))
    wanted = np.tile(np.arange(size), len(blocks))
    with jax.enable_x64(True):
        found = calibrate_temperatures(np.stack(scores).astype(np.float64), wanted)
    inverse = 1 / np.asarray(found.temperatures)
    return Decoder(inverse[: len(codes)], float(inverse[-1]) if told else 0.0)


def cross_validated(codes: Views, documents: Views, size: int) -> tuple[Decoder, float]:
    """(one temperature for all modalities, best on these pairs of `TEMPERATURES`, largest less smallest MRR of them).

    Rankings do not depend on it, so the second is 0 but for rounding (theory notes, section 4).
    """
    tried = [of_temperatures(np.full(len(codes), tau)) for tau in TEMPERATURES]
    values = [float(qualities(decoder, codes, documents, size)[:, 0].mean()) for decoder in tried]
    return tried[int(np.argmax(values))], max(values) - min(values)


def unit_norm(documents: Views) -> Views:
    """Every modality of every document at norm 1."""
    return tuple(e / np.maximum(np.linalg.norm(e, axis=1, keepdims=True), 1e-12) for e in documents)


def qualities(decoder: Decoder, codes: Views, documents: Views, size: int) -> np.ndarray:
    """(MRR, Recall@1) of every corpus of `size` pairs [C, 2]; arguments as in `calibrated_decoder`."""
    return per_query(decoder, codes, documents, size).mean(axis=1)


def per_query(decoder: Decoder, codes: Views, documents: Views, size: int) -> np.ndarray:
    """(1 / rank, whether it is first) of every query [C, Q, 2], ties in expectation; arguments as above."""
    scaled = [np.asarray(w * c, np.float32) for w, c in zip(decoder.weights, codes, strict=True)]
    bias = np.asarray(-decoder.length / 2 * _squares(documents), np.float32)
    arrays = np.concatenate(scaled, axis=1), np.concatenate(documents, axis=1), bias
    asked, kept, bias = (a.reshape(-1, size, *a.shape[1:]) for a in arrays)
    return np.asarray(_ranked(asked, np.asarray(kept, np.float32), bias), np.float64)


@jax.jit
def _ranked(queries: jax.Array, documents: jax.Array, bias: jax.Array) -> jax.Array:
    """[C, Q, D], [C, N, D], [C, N], Q = N: a corpus at a time."""
    metrics = parse_metric("mrr"), parse_metric("recall@1")

    def one(corpus: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        asked, kept, shift = corpus
        scores = inner_products(asked, kept) + shift[None, :]
        return jnp.stack([metric(scores, jnp.arange(len(asked))) for metric in metrics], axis=-1)

    return jax.lax.map(one, (queries, documents, bias))


def _squares(documents: Views) -> np.ndarray:
    return np.asarray(sum((e**2).sum(axis=1) for e in documents))
