"""Table 2: an image and its caption as one document, with R varied by PCA projection as in the paper, and by our codes.

On Flickr30k where the user has it; else on the emoji corpus, a drawing and a text, which is labelled as what it is.
"""

from collections.abc import Iterator

import numpy as np

from rdjax.codes import Code, QueryModel, ScalarQuantizer, Truncation, fit_relevance_map
from rdjax.codes.allocation import largest_remainder
from rdjax.codes.transform import fit_pca
from rdjax.data import Corpus, emoji, flickr30k
from rdjax.data.corpus import trusted
from rdjax.data.flickr30k import predicted_modality
from rdjax.paper.columns import Found, clip_towers, sent_by, sent_by_all
from rdjax.paper.decoders import Decoder, Views, calibrated_decoder, of_temperatures, per_query
from rdjax.retrieval.closed_forms import printed_rule, section_six_rule

RATES = (16, 64, 256, 512)
WORD = 16  # bits of a principal component that is kept
MOST_FIT = 1000  # pairs that decoders are calibrated on
DIRECTIONS, SIMULATED = 256, 8000  # of a relevance map, and queries that its levels are fitted on
STEP = 0.1  # of the root mean square of a coordinate: cells whose entropy is H_m
EMOJI = {
    "text": "a pair is sought by another text",
    "image": "a pair is sought by another drawing",
    "both": "a pair is sought by another drawing and another text",
}


def load_reading(path: str | None, reading: str) -> tuple[Corpus, Corpus]:
    """fit, test: of Flickr30k in the folder `path`, or of the emoji."""
    if path is not None:
        return flickr30k(path, reading=reading)
    fit, test = emoji("T1")
    if reading == "both":
        return fit, test
    lacking = "image" if reading == "text" else "text"
    known, sought = (fit.documents[name].astype(np.float64) for name in (reading, lacking))

    def asked(corpus: Corpus) -> Corpus:
        given = corpus.queries[reading]
        guess = predicted_modality(known, sought, given.astype(np.float64)).astype(np.float32)
        return trusted(corpus, queries={name: given if name == reading else guess for name in corpus.queries})

    return asked(fit), asked(test)


def pair_columns(fit: Corpus, test: Corpus, steps: int, seed: int) -> Found:
    """Every method at every rate: (1 / rank, whether first) of each test query, and bits; all is fitted on `fit`."""
    told, asked = (tuple(corpus.queries.values()) for corpus in (fit, test))
    wanted = tuple(array[np.asarray(fit.relevant)] for array in fit.documents.values())
    documents = tuple(test.documents.values())
    some = min(MOST_FIT, len(told[0]))
    first = lambda views: tuple(view[:some] for view in views)
    entropies = quantized_entropies(told)
    rules = {
        "fixed": of_temperatures(np.ones(len(told))),
        "adaptive (10)": of_temperatures(np.asarray(printed_rule(entropies))),
        "adaptive, section 6": of_temperatures(np.asarray(section_six_rule(entropies))),
    }
    found: Found = {name: {} for name in (*rules, "calibrated", "ours", "ours, relevance", "clip")}
    value = lambda decoder, sent, kept, bits: {
        "values": per_query(decoder, sent, kept, test.num_documents)[0].round(6).tolist(),
        "bits": None if bits is None else round(float(bits), 3),
    }
    uniform, whole = rules["fixed"], calibrated_decoder(first(told), first(wanted), some)
    found["uncompressed"] = value(uniform, asked, documents, None)
    found["uncompressed, calibrated"] = value(whole, asked, documents, None)
    for rate in RATES:
        codes = projections(told, wanted, entropies, rate)
        known, _ = sent_by_all(codes, first(told))
        sent, bits = sent_by_all(codes, asked)
        decoders = {**rules, "calibrated": calibrated_decoder(known, first(wanted), some)}
        for name, decoder in decoders.items():
            found[name][str(rate)] = value(decoder, sent, documents, bits)
    for rate, name, code in our_codes(told, wanted, whole):
        (seen, _), (coded, spent) = (sent_by(code, weighted(whole, views)) for views in (first(told), asked))
        ours = calibrated_decoder((seen,), (np.concatenate(first(wanted), axis=1),), some)
        found[name][str(rate)] = value(ours, (coded,), (np.concatenate(documents, axis=1),), spent)
    for rate, embedded, kept, bits in _clip(told, wanted, asked, documents, steps, seed):
        found["clip"][str(rate)] = value(Decoder(np.ones(1), 0.0), (embedded,), (kept,), bits)
    found["entropies"] = {"bits": np.round(entropies, 2).tolist()}
    return found


def quantized_entropies(views: Views) -> np.ndarray:
    """H_m [M], bits: the entropies of the coordinates in uniform cells of one width for all modalities, added up.

    The differential entropy of vectors of unit norm is negative, and (10) takes its root.
    """
    width = STEP * float(np.sqrt(np.mean(np.concatenate([view.ravel() for view in views]) ** 2)))
    totals = []
    for view in views:
        cells = np.round(view / width).astype(np.int64).T
        shares = (np.unique(column, return_counts=True)[1] / len(view) for column in cells)
        totals.append(sum(-float((share * np.log2(share)).sum()) for share in shares))
    return np.array(totals)


def projections(told: Views, wanted: Views, entropies: np.ndarray, rate: int) -> list[Code | None]:
    """Section 7.1: R varied by PCA projection, in half precision, components in proportion to the entropies."""
    counts = largest_remainder(entropies, rate // WORD)
    fitted = [np.concatenate([x, y]) for x, y in zip(told, wanted, strict=True)]
    return [
        Truncation(fit_pca(rows, min(int(k), len(rows) - 1, rows.shape[1])), "float16") if k else None
        for rows, k in zip(fitted, counts, strict=True)
    ]


def weighted(decoder: Decoder, views: Views) -> np.ndarray:
    """Modalities side by side, each times its calibrated weight, so that inner products with documents are scores."""
    return np.concatenate([w * view for w, view in zip(decoder.weights, views, strict=True)], axis=1).astype(np.float32)


def our_codes(told: Views, wanted: Views, whole: Decoder) -> Iterator[tuple[int, str, Code]]:
    """(rate, name, code): scalar quantizers of fixed length of the weighted queries, in two kinds of coordinates.

    Principal components, and directions of relevance; the latter are fitted on queries simulated from the pairs.
    """
    asked, sought = weighted(whole, told), np.concatenate(wanted, axis=1)
    model = QueryModel.fit(asked, sought, blocks=tuple(view.shape[1] for view in told))
    k = min(DIRECTIONS, sought.shape[1], len(sought) - 1)
    chart = fit_relevance_map(model, sought, k, side="queries")
    drawn = model.simulate(sought, max(1, SIMULATED // len(sought)))
    examples = np.concatenate([drawn.astype(np.float32), asked])
    for rate in RATES:
        yield rate, "ours", ScalarQuantizer.fit(asked, rate)
        yield rate, "ours, relevance", ScalarQuantizer.fit(examples, rate, transform=chart)


def _clip(
    told: Views, wanted: Views, asked: Views, documents: Views, steps: int, seed: int
) -> Iterator[tuple[int, np.ndarray, np.ndarray, float]]:
    """(rate, query embeddings as sent, document embeddings, bits): two linear towers, tau = .07, trained on fit."""
    x, y = np.concatenate(told, axis=1), np.concatenate(wanted, axis=1)
    model = clip_towers(x, y, steps, min(256, len(x)), seed)
    kept = np.asarray(model.embed_documents(np.concatenate(documents, axis=1)))
    sent, seen = np.asarray(model.embed_queries(np.concatenate(asked, axis=1))), np.asarray(model.embed_queries(x))
    for rate in RATES:
        found, bits = sent_by(Truncation(fit_pca(seen, rate // WORD), "float16"), sent)
        yield rate, found, kept, bits
