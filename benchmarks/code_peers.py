"""The peers of the code benchmark: faiss, bitbudget, remex and what is usual, each as a fit that returns a `Fitted`.

Bits are what has to be kept of an item, and no more: a product code of M numbers of b bits is M b bits, not padded to
bytes, and residual codes carry no norm, which inner products do not need; RaBitQ and remex keep the floats that their
scores use. Encoder memory is 4 bytes for every real number held: rotation, means, codebooks; a rotation that is made
from a seed holds none. Everything is fitted on the very vectors that ours are; OPQ in more than 256 dimensions takes 8
steps of the 50 that are usual, each being a singular value decomposition of that size, and 10 where its blocks have
fewer than 8 coefficients, where a step takes faiss ten times as long and more of them gain nothing. Behind our maps,
beyond 64 bits, such blocks are left out: at 64 bits they took half of the time and were the best of no row of 15. Of
256 bits residual codes are put behind 128 components, and behind the widest map.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import bitbudget
import faiss
import numpy as np
import remex

from rdjax.codes import SignBitsRescored
from rdjax.codes.bitstream import categorical_models, pack_entropy

ROTATION_STEPS = 50  # of OPQ, faiss' default
WIDE = 256  # dimensions above which it takes `WIDE_STEPS`
WIDE_STEPS = 8
NARROW = 8  # coefficients of a block below which it takes `NARROW_STEPS`
NARROW_STEPS = 10
WIDEST = 128  # directions of the widest map
CLASSES = ("B", "C")
faiss.omp_set_num_threads(1)  # quality and single-thread times; threads that share busy cores make it ten times slower


@dataclass(frozen=True)
class Fitted:
    """A peer's code after its fit.

    Args:
      bits: of every item, true.
      encoder_bytes: 4 for each real number the encoder holds.
      encode: vectors [n, D] to its own codes, the first axis the items.
      decode: codes to the vectors [n, D] that inner products are taken with.
      scores: (codes, other side [m, D]) to [n, m], where a peer scores in a way of its own; else None.
      symbols: codes to whole numbers [n, L], for the entropy-coded version; None where there is none.
      stored: bytes of the codes as its own format stores them, per item.
    """

    bits: float
    encoder_bytes: int
    encode: Callable
    decode: Callable | None
    scores: Callable | None = None
    symbols: Callable | None = None
    stored: float = 0.0


@dataclass(frozen=True)
class Peer:
    """A peer at a budget: `fit(vectors)` returns a `Fitted`, or None where these vectors are too few."""

    name: str
    fit: Callable[[np.ndarray], Fitted | None]
    sides: tuple[str, ...] = ("queries", "documents")
    classes: tuple[str, ...] = CLASSES
    slow: bool = False


def peers(bits: int, dimension: int, quick: bool = False) -> Iterator[Peer]:
    """Every peer that can be had at this budget; `quick` leaves out those that take long to fit."""
    every = itertools.chain(
        _product(bits, dimension), _additive(bits, dimension), _principal(bits, dimension), _natural(bits, dimension)
    )
    return (peer for peer in every if not (quick and peer.slow))


def _product(bits: int, dimension: int) -> Iterator[Peer]:
    for width in (8, 6, 4):
        count, rest = divmod(bits, width)
        if rest or not 1 <= count <= dimension:
            continue
        name = f"{count}x{width}"
        yield Peer(f"faiss PQ{name}", lambda x, m=count, b=width: product(x, m, b))
        yield Peer(f"faiss OPQ{name}", lambda x, m=count, b=width: rotated(x, m, b), slow=dimension > WIDE)
        for kept in (32, 64, 128, 256):
            if count <= kept < dimension:
                yield Peer(
                    f"faiss PCA{kept}, OPQ{name}",
                    lambda x, m=count, b=width, k=kept: behind_pca(x, k, lambda z: rotated(z, m, b)),
                    slow=kept == 256 or width == 6 or (width == 4 and kept != 64),
                )


def _additive(bits: int, dimension: int) -> Iterator[Peer]:
    for width in (8, 6, 4):
        count, rest = divmod(bits, width)
        if rest or count < 1:
            continue
        name, slow = f"{count}x{width}", count * 2**width > 2048
        yield Peer(f"faiss RQ{name}", lambda x, m=count, b=width: residual(x, m, b), slow=slow or dimension > WIDE)
        for kept in (32, 128) if bits <= 128 else (128,):
            quantize = lambda z, m=count, b=width: residual(z, m, b)
            yield Peer(
                f"faiss PCA{kept}, RQ{name}",
                lambda x, k=kept, q=quantize: behind_pca(x, k, q),
                slow=slow or kept == 32 < bits,
            )
        if count * 2**width <= 2048 and width != 6:
            quantize = lambda z, m=count, b=width: local_search(z, m, b)
            yield Peer(f"faiss PCA64, LSQ{name}", lambda x, q=quantize: behind_pca(x, 64, q), slow=True)
            yield Peer(f"faiss LSQ{name}", quantize, slow=True)


def _principal(bits: int, dimension: int) -> Iterator[Peer]:
    for width in (4, 6, 8):
        if bits % width == 0 and bits // width < dimension:
            quantize = lambda z, b=width: scalar(z, b)
            yield Peer(
                f"faiss PCA{bits // width}, SQ{width}", lambda x, k=bits // width, q=quantize: behind_pca(x, k, q)
            )
    if bits < dimension:
        yield Peer(f"faiss ITQ{bits}", lambda x: iterative(x, bits))
        yield Peer(f"faiss LSH{bits}", lambda x: hyperplanes(x, bits))
    if 0 < bits - 64 < dimension:
        yield Peer(f"faiss PCA{bits - 64}, RaBitQ", lambda x: behind_pca(x, bits - 64, rabitq))
    for width in (1, 2, 3, 4):
        kept = bits // width - (bits // width) % 2
        if 4 <= kept < dimension:
            yield Peer(
                f"PCA{kept}, remex {width}-bit",
                lambda x, k=kept, b=width: behind_pca(x, k, lambda z: remex_scalar(z, b)),
            )
        kept = (bits - 32) // width - ((bits - 32) // width) % 2
        if 4 <= kept < dimension:
            yield Peer(
                f"PCA{kept}, remex {width}-bit + norm",
                lambda x, k=kept, b=width: behind_pca(x, k, lambda z: remex_unit(z, b)),
            )
    for width in (16, 32):
        if bits % width == 0 and bits // width <= dimension:
            yield Peer(
                f"PCA truncation to {bits // width} x {width}",
                lambda x, k=bits // width, b=width: truncated(x, k, b, True),
            )
            yield Peer(
                f"Matryoshka, first {bits // width} x {width}",
                lambda x, k=bits // width, b=width: truncated(x, k, b, False),
            )
    count = bits // 8
    if bits % 8 == 0 and dimension % count == 0 and count < dimension:
        yield Peer(f"bitbudget pq, m = {count}", lambda x: from_bitbudget(x, "pq", m=count), ("documents",), ("B",))


def behind_map(label: str, chart, vectors: np.ndarray, bits: int, side: str, quick: bool = False) -> Iterator[Peer]:
    """faiss behind a linear map of ours: `chart` has apply, invert, k and encoder_bytes; `vectors` are what it is fitted on."""
    forward = lambda v: _floats(chart.apply(np.asarray(v, chart.mean.dtype)))
    back = lambda c: _floats(chart.invert(np.asarray(c, chart.mean.dtype)))
    for width in (8, 4):
        count, rest = divmod(bits, width)
        if rest or not 1 <= count <= chart.k:
            continue
        for kind, make in (("PQ", product), ("OPQ", rotated), ("RQ", residual)):
            if not _promising(kind, count, bits, chart.k) or (
                quick and (kind == "OPQ" or (kind == "RQ" and (count * 2**width > 1024 or chart.k > 64)))
            ):
                continue
            fit = lambda _, m=count, b=width, f=make: behind(
                chart.encoder_bytes, forward, back, f(forward(vectors), m, b)
            )
            yield Peer(f"faiss {kind}{count}x{width} behind {label}", fit, (side,))


def _promising(kind: str, count: int, bits: int, directions: int) -> bool:
    """Whether a code of faiss behind a map of so many directions can be the best: see the head."""
    if kind == "OPQ":
        return bits <= 64 or directions >= NARROW * count
    return kind == "PQ" or bits <= 128 or directions >= WIDEST


def _natural(bits: int, dimension: int) -> Iterator[Peer]:
    """Codes whose size the dimension sets, at the budget they are the largest below, down to two thirds of it."""
    fits = lambda size: bits * 2 / 3 < size <= bits
    for name, size in (("binary", 1), ("binary-mean", 1), ("rabitq", 1), ("int4", 4), ("int8", 8), ("float16", 16)):
        if fits(size * dimension):
            yield Peer(f"bitbudget {name}", lambda x, n=name: from_bitbudget(x, n), ("documents",), ("B",))
    for width in (4, 6, 8):
        if fits(width * dimension):
            yield Peer(f"faiss SQ{width}", lambda x, b=width: scalar(x, b))
    if fits(dimension + 64):
        yield Peer("faiss RaBitQ", rabitq)
    if fits(9 * dimension):
        yield Peer("sign bits, int8 rescores 100", rescored, ("documents",))
    for width in (1, 2, 3, 4, 8):
        if dimension % 2 == 0 and fits(width * dimension + 64):
            yield Peer(f"remex {width}-bit, centered", lambda x, b=width: remex_unit(x, b, centered=True))
        if dimension % 2 == 0 and fits(width * dimension + 32):
            yield Peer(f"remex {width}-bit", lambda x, b=width: remex_unit(x, b))


def behind(encoder_bytes: int, apply: Callable, invert: Callable, inner: Fitted | None) -> Fitted | None:
    """A code of the coefficients of an affine map; `invert` gives what inner products are taken with."""
    if inner is None:
        return None
    return replace(
        inner,
        encoder_bytes=encoder_bytes + inner.encoder_bytes,
        encode=lambda v: inner.encode(_floats(apply(v))),
        decode=None if inner.decode is None else lambda codes: invert(inner.decode(codes)),
        # scores of a peer's own are of coefficients: the other side goes through the transpose of `invert`
        scores=None if inner.scores is None else lambda codes, other: _linear_scores(inner, invert, codes, other),
    )


def _linear_scores(inner: Fitted, invert: Callable, codes, other: np.ndarray) -> np.ndarray:
    zero = invert(np.zeros((1, inner.scores.dimension), np.float32))
    basis = invert(np.eye(inner.scores.dimension, dtype=np.float32)) - zero
    return inner.scores(codes, _floats(other @ basis.T)) + (other @ zero[0])[None, :]


def behind_pca(vectors: np.ndarray, kept: int, make: Callable[[np.ndarray], Fitted | None]) -> Fitted | None:
    """A code of the first principal components."""
    if kept >= min(len(vectors), vectors.shape[1]):
        return None
    mean = vectors.mean(axis=0)
    basis = _floats(np.linalg.eigh(np.cov((vectors - mean).T.astype(np.float64)))[1][:, ::-1][:, :kept])
    forward, back = lambda v: (v - mean) @ basis, lambda c: c @ basis.T + mean
    return behind(4 * (mean.size + basis.size), forward, back, make(_floats(forward(vectors))))


def product(vectors: np.ndarray, count: int, width: int) -> Fitted | None:
    """faiss PQ; zeros are appended where the dimension does not divide."""
    if len(vectors) < 2**width:
        return None
    extra = -vectors.shape[1] % count
    wide = lambda v: _floats(np.pad(v, ((0, 0), (0, extra))))
    quantizer = faiss.ProductQuantizer(vectors.shape[1] + extra, count, width)
    quantizer.train(wide(vectors))
    return Fitted(
        count * width,
        4 * vectors.shape[1] * 2**width,
        lambda v: quantizer.compute_codes(wide(v)),
        lambda codes: quantizer.decode(codes)[:, : vectors.shape[1]],
        symbols=lambda codes: _unpacked(codes, count, width),
        stored=quantizer.code_size,
    )


def rotated(vectors: np.ndarray, count: int, width: int) -> Fitted | None:
    """faiss OPQ, then PQ."""
    if len(vectors) < 2**width:
        return None
    dimension = vectors.shape[1]
    extra = -dimension % count
    matrix = faiss.OPQMatrix(dimension, count, dimension + extra)
    narrow = dimension + extra < NARROW * count
    matrix.niter = WIDE_STEPS if dimension > WIDE else NARROW_STEPS if narrow else ROTATION_STEPS
    # of fewer vectors than dimensions faiss 1.15 writes beyond its arrays; words of 8 bits turn it whatever the width
    times = -(-max(dimension, 256) // len(vectors))
    matrix.train(np.tile(vectors, (times, 1)))
    inner = product(_floats(matrix.apply(vectors)), count, width)
    return behind(
        4 * dimension * (dimension + extra), matrix.apply, lambda z: matrix.reverse_transform(_floats(z)), inner
    )


def residual(vectors: np.ndarray, count: int, width: int) -> Fitted | None:
    """faiss RQ with its beam of 5."""
    return _codebooks(faiss.ResidualQuantizer, vectors, count, width)


def local_search(vectors: np.ndarray, count: int, width: int) -> Fitted | None:
    """faiss LSQ; with few training vectors it cannot solve for its codebooks."""
    return _codebooks(faiss.LocalSearchQuantizer, vectors, count, width)


def _codebooks(kind, vectors: np.ndarray, count: int, width: int) -> Fitted | None:
    if len(vectors) < 2**width or (kind is faiss.LocalSearchQuantizer and len(vectors) < count * 2**width):
        return None
    quantizer = kind(vectors.shape[1], count, width)
    if kind is faiss.ResidualQuantizer and len(vectors) <= vectors.shape[1]:
        quantizer.train_type = faiss.ResidualQuantizer.Train_default  # the progressive one needs principal components
    quantizer.train(np.ascontiguousarray(vectors))
    return Fitted(
        count * width,
        4 * count * 2**width * vectors.shape[1],
        quantizer.compute_codes,
        quantizer.decode,
        symbols=lambda codes: _unpacked(codes, count, width),
        stored=quantizer.code_size,
    )


def scalar(vectors: np.ndarray, width: int) -> Fitted:
    """faiss SQ: a range for every dimension."""
    kind = {4: faiss.ScalarQuantizer.QT_4bit, 6: faiss.ScalarQuantizer.QT_6bit, 8: faiss.ScalarQuantizer.QT_8bit}[width]
    quantizer = faiss.ScalarQuantizer(vectors.shape[1], kind)
    quantizer.train(vectors)
    size = 8 * vectors.shape[1]
    return Fitted(width * vectors.shape[1], size, quantizer.compute_codes, quantizer.decode, stored=quantizer.code_size)


def iterative(vectors: np.ndarray, bits: int) -> Fitted | None:
    """faiss ITQ: signs after a rotation that suits them, each standing for the mean magnitude on its side of zero."""
    if bits >= min(len(vectors), vectors.shape[1]):
        return None
    transform = faiss.ITQTransform(vectors.shape[1], bits, True)
    transform.train(vectors)
    basis = faiss.vector_to_array(transform.pca_then_itq.A).reshape(bits, vectors.shape[1]).T
    mean = faiss.vector_to_array(transform.mean)
    size = np.abs((vectors - mean) @ basis).mean(axis=0)
    encode = lambda v: np.packbits((v - mean) @ basis > 0, axis=1)
    decode = lambda c: (2.0 * np.unpackbits(c, axis=1)[:, :bits] - 1) * size @ basis.T + mean
    return Fitted(bits, 4 * (mean.size + basis.size), encode, lambda c: _floats(decode(c)), stored=-(-bits // 8))


def hyperplanes(vectors: np.ndarray, bits: int) -> Fitted:
    """faiss LSH: signs of random projections, scored with real vectors on the other side."""
    index = faiss.IndexLSH(vectors.shape[1], bits, True, False)
    index.train(vectors)
    return Fitted(bits, 4 * vectors.shape[1] * bits, index.sa_encode, index.sa_decode, stored=index.sa_code_size())


class _Scorer:
    """A faiss index as a scorer: the coded items are searched with every vector of the other side."""

    def __init__(self, index, dimension: int):
        self.index, self.dimension = index, dimension

    def __call__(self, codes: np.ndarray, other: np.ndarray) -> np.ndarray:
        self.index.reset()
        self.index.add_sa_codes(codes)
        found, places = self.index.search(other, len(codes))
        scores = np.empty((len(codes), len(other)), np.float32)
        scores[places, np.arange(len(other))[:, None]] = found
        return scores


def rabitq(vectors: np.ndarray) -> Fitted:
    """faiss RaBitQ by its own estimator: a bit for every dimension and two floats, here for inner products."""
    index = faiss.IndexRaBitQ(vectors.shape[1], faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    scorer = _Scorer(index, vectors.shape[1])
    return Fitted(
        vectors.shape[1] + 64, 4 * vectors.shape[1], index.sa_encode, None, scorer, stored=index.sa_code_size()
    )


def remex_scalar(vectors: np.ndarray, width: int) -> Fitted:
    """remex without norms (its scalar mode): random rotation, Lloyd-Max for one Gaussian, the scale fitted."""
    scale = float(np.sqrt((vectors.astype(np.float64) ** 2).mean()))
    return _remex(remex.Quantizer(vectors.shape[1], width, normalize=False, scale=scale), width * vectors.shape[1], 1)


def remex_unit(vectors: np.ndarray, width: int, centered: bool = False) -> Fitted:
    """remex as its authors use it: unit directions and a stored norm, or about a mean with two stored floats."""
    mean = remex.corpus_mean(vectors) if centered else None
    extra = 64 if centered else 32
    quantizer = remex.Quantizer(vectors.shape[1], width, mean=mean)
    return _remex(quantizer, width * vectors.shape[1] + extra, vectors.shape[1] if centered else 0)


def _remex(quantizer, bits: int, reals: int) -> Fitted:
    def scores(codes, other: np.ndarray) -> np.ndarray:
        places, found = quantizer.search_batch(codes, other, k=codes.n)
        result = np.empty((codes.n, len(other)), np.float32)
        result[places, np.arange(len(other))[:, None]] = found
        return result

    scores_of = _Named(scores, quantizer.d)
    levels = 4 * 2**quantizer.bits
    plain = quantizer.mean is None
    return Fitted(
        bits, 4 * reals + levels, quantizer.encode, quantizer.decode if plain else None, None if plain else scores_of
    )


def rescored(vectors: np.ndarray) -> Fitted:
    """Sign bits find a hundred documents, int8 ranks them: what is usual, in rdjax's version."""
    code = SignBitsRescored.fit(vectors, min(100, len(vectors)))
    scores = _Named(lambda codes, other: np.asarray(code.scores(codes, other)), vectors.shape[1])
    encode = lambda v: np.asarray(code.encode(v))
    return Fitted(code.bits, code.encoder_bytes, encode, None, scores, stored=code.bits / 8)


class _Named:
    def __init__(self, call: Callable, dimension: int):
        self.call, self.dimension = call, dimension

    def __call__(self, *args):
        return self.call(*args)


def truncated(vectors: np.ndarray, kept: int, width: int, principal: bool) -> Fitted | None:
    """A few numbers of each vector as floats, of principal components or of the coordinates as they come."""
    dtype = {16: np.float16, 32: np.float32}[width]
    store = lambda z: Fitted(
        width * kept, 0, lambda v: v.astype(dtype), lambda c: c.astype(np.float32), stored=width * kept / 8
    )
    if principal:
        return behind_pca(vectors, kept, store)
    back = lambda c: np.pad(c, ((0, 0), (0, vectors.shape[1] - kept)))
    return behind(0, lambda v: v[:, :kept], back, store(vectors))


def from_bitbudget(vectors: np.ndarray, name: str, **settings) -> Fitted:
    """A method of bitbudget: it fits on the documents that it codes, and returns scores."""
    method, dimension = bitbudget.METHODS[name], vectors.shape[1]
    if settings:
        bits, reals = 8 * settings["m"], 256 * dimension
    else:
        bits = {"int8": 8, "int4": 4, "float16": 16}.get(name, 1) * dimension
        reals = {"rabitq": dimension**2, "float16": 0, "binary": 0}.get(name, dimension)
    run = lambda documents, queries: method(np.array(documents), queries, **settings)[0].T
    return Fitted(bits, 4 * reals, np.asarray, None, _Named(run, dimension), stored=bits / 8)


def entropy_coded_bits(fitted: Fitted, vectors: np.ndarray, coded: np.ndarray) -> float | None:
    """Bits per item when the peer's own symbols go through our range coder with laws counted on the training vectors."""
    if fitted.symbols is None:
        return None
    seen, sent = (fitted.symbols(fitted.encode(part)) for part in (vectors, coded))
    sizes = np.maximum(seen.max(axis=0), sent.max(axis=0)) + 1
    laws = [np.bincount(column, minlength=size) + 0.5 for column, size in zip(seen.T, sizes, strict=True)]
    payload = pack_entropy(sent.astype(np.int32), categorical_models([law / law.sum() for law in laws]))
    return 8 * len(payload) / len(sent)


def _unpacked(codes: np.ndarray, count: int, width: int) -> np.ndarray:
    """Numbers [n, count] from faiss' packed bytes, lowest bits first."""
    bits = np.unpackbits(codes, axis=1, bitorder="little")[:, : count * width].reshape(len(codes), count, width)
    return bits.astype(np.int64) @ (1 << np.arange(width))


def _floats(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array, np.float32)
