"""The columns of Table 1: from a trial to (MRR, Recall@1) of every test corpus, and the bits, at every rate.

The paper's own methods are here, as section 5 and section 7.1 have them; ours and the limits are in `our_columns`.
"""

from typing import Any, NamedTuple

import jax
import numpy as np

from rdjax.codes import Code, UniformInCell
from rdjax.codes.allocation import proportional_ceil
from rdjax.information.covariance import gaussian_entropy
from rdjax.paper.decoders import (
    Decoder,
    Views,
    calibrated_decoder,
    cross_validated,
    of_temperatures,
    qualities,
    unit_norm,
)
from rdjax.paper.readings import Sizes, Trial
from rdjax.retrieval.closed_forms import printed_rule, section_six_rule


class Reading(NamedTuple):
    """What one method gives at one rate: `values` [C, 2], MRR and Recall@1 of every corpus, and `bits` it spent."""

    values: np.ndarray
    bits: float

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"values": np.round(self.values, 6).tolist(), "bits": round(self.bits, 3)}


Found = dict[str, dict[str, Any]]  # method -> rate, as a string -> a plain Reading, or what is said of the method


def printed_columns(trial: Trial, sizes: Sizes, seed: int) -> Found:
    """Section 5: bits in proportion to entropy, uniform cells, a codeword uniform in its cell, and temperatures.

    H_m is the Gaussian differential entropy of modality m, bits, from the training queries; shares are rounded up as
    printed, so that M - 1 bits too many may be spent. Documents have unit norm in every modality. "calibrated" gives
    the very same codes to our decoder.
    """
    entropies = training_entropies(trial)
    rules = {
        "adaptive (10)": of_temperatures(np.asarray(printed_rule(entropies))),
        "adaptive, section 6": of_temperatures(np.asarray(section_six_rule(entropies))),
    }
    tried, asked = unit_norm(trial.calibration.documents), unit_norm(trial.test.documents)
    found: Found = {name: {} for name in ("fixed", *rules, "calibrated")}
    spread = 0.0
    for rate in sizes.rates:
        codes = printed_quantizer(trial.rest.queries, entropies, rate, sizes.rows, seed)
        known, _ = sent_by_all(codes, trial.calibration.queries)
        sent, bits = sent_by_all(codes, trial.test.queries)
        fixed, between = cross_validated(known, tried, sizes.documents)
        spread = max(spread, between)
        for name, decoder in {"fixed": fixed, **rules}.items():
            found[name][str(rate)] = Reading(qualities(decoder, sent, asked, sizes.documents), bits).plain()
        ours = calibrated_decoder(known, trial.calibration.documents, sizes.documents)
        found["calibrated"][str(rate)] = Reading(
            qualities(ours, sent, trial.test.documents, sizes.documents), bits
        ).plain()
    found["entropies"] = {"bits": entropies.tolist(), "spread over tau": spread}
    return found


def training_entropies(trial: Trial) -> np.ndarray:
    """H_m [M], bits: of a Gaussian with the covariance of the training queries."""
    with jax.enable_x64(True):
        found = [float(gaussian_entropy(np.cov(x.T.astype(np.float64)))) for x in trial.rest.queries]
    return np.array(found)


def printed_quantizer(queries: Views, entropies: np.ndarray, rate: int, rows: int, seed: int) -> list[Code | None]:
    """A code for every modality, None for one without bits: section 5.1 in the principal components."""
    shares = proportional_ceil(entropies, rate).bits
    return [
        UniformInCell.fit(x[:rows], float(share), transform="pca", seed=seed) if share else None
        for x, share in zip(queries, shares, strict=True)
    ]


def clip_columns(trial: Trial, sizes: Sizes, seed: int) -> Found:
    """Naive CLIP: two linear towers to unit vectors, InfoNCE at tau = .07, query embeddings by the same quantizer."""
    pairs = [np.concatenate(views, axis=1) for views in (trial.rest.queries, trial.rest.documents)]
    model = clip_towers(pairs[0], pairs[1], sizes.clip_steps, 512, seed)
    embed = lambda views: np.asarray(model.embed_queries(np.concatenate(views, axis=1)))
    told, asked = embed([x[: sizes.rows] for x in trial.rest.queries]), embed(trial.test.queries)
    documents = np.asarray(model.embed_documents(np.concatenate(trial.test.documents, axis=1)))
    decoder = Decoder(np.ones(1), 0.0)
    found: Found = {"clip": {}}
    for rate in sizes.rates:
        (sent,), bits = sent_by_all([UniformInCell.fit(told, float(rate), transform="pca", seed=seed)], (asked,))
        values = qualities(decoder, (sent,), (documents,), sizes.documents)
        found["clip"][str(rate)] = Reading(values, bits).plain()
    whole = qualities(decoder, (asked,), (documents,), sizes.documents)
    found["clip, uncompressed"] = Reading(whole, 32.0 * asked.shape[1]).plain()
    return found


def clip_towers(queries: np.ndarray, documents: np.ndarray, steps: int, batch: int, seed: int) -> Any:
    """A `DualEncoder` trained on these pairs [n, D], [n, E]: linear towers to 64 dimensions, tau fixed at .07."""
    from flax import nnx

    from rdjax.nn.dual_encoder import CLIP, DualEncoder, fit_dual_encoder

    widths = (queries.shape[1], documents.shape[1])
    start = DualEncoder(*widths, dimension=64, hidden=(), temperature=CLIP, learned=False, rngs=nnx.Rngs(seed))
    return fit_dual_encoder(start, queries, documents, steps=steps, batch=batch, seed=seed)[0]


def sent_by_all(codes: list[Code | None], queries: Views) -> tuple[Views, float]:
    """(what is decoded, mean ideal bits of a query); zeros where there is no code."""
    pairs = [(np.zeros_like(x), 0.0) if c is None else sent_by(c, x) for c, x in zip(codes, queries, strict=True)]
    return tuple(values for values, _ in pairs), sum(bits for _, bits in pairs)


def sent_by(code: Code, vectors: np.ndarray) -> tuple[np.ndarray, float]:
    """(what the code makes of these vectors, float32; bits of one: fixed, or the mean ideal length over them)."""
    symbols = np.asarray(code.encode(vectors))
    bits = code.bits if code.bits is not None else code.rate(symbols).entropy
    return np.asarray(code.decode(symbols), np.float32), float(bits)
