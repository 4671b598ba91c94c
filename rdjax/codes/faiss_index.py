"""faiss indexes that rank as our codes do, for those who serve with faiss (an optional dependency)."""

from collections.abc import Sequence
from importlib import import_module
from typing import IO, Any

import numpy as np

from rdjax.checks import InputError
from rdjax.codes.binary import SignBits
from rdjax.codes.code import Code
from rdjax.codes.directional import Directional, quantizer_of
from rdjax.codes.exported import affine_inverse
from rdjax.codes.learned import LearnedCode
from rdjax.codes.lengths import Renormalized
from rdjax.codes.product import ProductQuantizer
from rdjax.codes.recoded import EntropyCoded
from rdjax.codes.scalar import ScalarQuantizer
from rdjax.codes.wrapped import Weighted

Book = tuple[np.ndarray, np.ndarray]  # the coefficients of a symbol's block [d], and its codewords [K, d]


def to_faiss(code: Code, symbols: Any) -> Any:
    """A faiss index that ranks as `code.scores` does: a linear map, then a product or an additive quantizer.

    Codes whose coefficients come in blocks of equal size and bits, one symbol each, become an IndexPQ; residual stages
    and unequal blocks an IndexResidualQuantizer, its codebooks zero outside their block. A search scores raw queries by
    inner product; scores lack a term that is the same for every item. Add no vectors to it: encode them here.

    Args:
      code: a product or residual code, a scalar quantizer or sign bits, entropy-coded or not.
      symbols: int [n, L], what it encoded.

    Raises:
      InputError: if faiss is not installed, or has no index for this code.
    """
    rows, widths, books = _additive(code)  # refuses what there is no index for, with faiss or without
    faiss = _faiss()
    symbols = np.asarray(code._host(symbols))
    used = np.flatnonzero(widths).tolist()  # a symbol of no bits adds the same to every item
    widths, books = [widths[i] for i in used], [books[i] for i in used]
    places = np.concatenate([members for members, _ in books])
    if len(set(widths)) == 1 and len({len(members) for members, _ in books}) == 1 and len(set(places)) == len(places):
        rows, index = rows[places], _product(faiss, widths, books)
    else:
        index = _additive_quantizer(faiss, widths, books, len(rows))
    packed = faiss.pack_bitstrings(symbols[:, used].astype(np.int32), tuple(widths))
    index.is_trained = True
    faiss.copy_array_to_vector(packed.ravel(), index.codes)
    index.ntotal = len(symbols)
    linear = faiss.LinearTransform(code.dimension, len(rows), False)
    faiss.copy_array_to_vector(np.ascontiguousarray(rows, np.float32).ravel(), linear.A)
    linear.is_trained = True
    whole = faiss.IndexPreTransform(linear, index)
    for made in (linear, index):
        made.this.disown()
    whole.own_fields = True
    return whole


def require_index(code: Code) -> None:
    """What `to_faiss` refuses of a code, before there are symbols."""
    _faiss()
    _additive(code)


def write_index(index: Any, file: IO[bytes]) -> None:
    """The bytes of faiss' own `write_index`, which says nothing where the disk is full as it closes its file.

    Raises:
      OSError: what the file raises.
    """
    faiss, raised = _faiss(), []

    def write(data: bytes) -> None:
        try:
            file.write(data)
        except OSError as error:  # faiss makes something else of it
            raised.append(error)
            raise

    try:
        faiss.write_index(index, faiss.PyCallbackIOWriter(write))
    except RuntimeError:
        if raised:
            raise raised[0] from None
        raise


def _faiss() -> Any:
    try:
        return import_module("faiss")
    except ImportError:
        raise InputError("faiss is not installed, and an index file needs it; install faiss-cpu.") from None


def _additive(code: Code) -> tuple[np.ndarray, Sequence[int], list[Book]]:
    """(rows [k, D], bits of every symbol, its codewords): item = sum of codewords in coefficients, times rows."""
    if isinstance(code, EntropyCoded | LearnedCode | Directional):
        return _additive(code.code)
    if isinstance(code, Weighted):
        rows, widths, books = _additive(code.code)
        return rows * np.asarray(code.weights)[None, :], widths, books
    if isinstance(code, Renormalized):
        plain = isinstance(quantizer_of(code), ScalarQuantizer | SignBits | ProductQuantizer)
        else_ = ", or encode with the family that does not stretch" if plain else ", or encode with a product code"
        raise InputError(f"faiss has no index for {code.name}; export the tables{else_}.")
    if isinstance(code, ScalarQuantizer):
        levels = np.asarray(code.levels)
        tables = [(np.array([i]), levels[i, : 1 << width, None]) for i, width in enumerate(code.widths)]
    elif isinstance(code, SignBits):
        tables = [(np.array([i]), np.array([[-scale], [scale]])) for i, scale in enumerate(np.asarray(code.scale))]
    elif isinstance(code, ProductQuantizer):
        tables = [
            (np.array(members), words[: 1 << width, : len(members)])
            for members, block, row in zip(code.blocks, np.asarray(code.codebooks), code.table, strict=True)
            for words, width in zip(block, row, strict=True)
        ]
    else:
        raise InputError(f"faiss has no index for {code.name}; export its tables, or encode with a product code.")
    return affine_inverse(code.transform)[0], code.widths, tables


def _product(faiss: Any, widths: list[int], books: list[Book]) -> Any:
    """One block of coefficients after the other, each with its codebook."""
    block = len(books[0][0])
    index = faiss.IndexPQ(block * len(books), len(books), widths[0], faiss.METRIC_INNER_PRODUCT)
    words = np.concatenate([table for _, table in books]).astype(np.float32)
    faiss.copy_array_to_vector(words.ravel(), index.pq.centroids)
    return index


def _additive_quantizer(faiss: Any, widths: list[int], books: list[Book], size: int) -> Any:
    """Codewords of all coefficients, zero outside a symbol's block."""
    bits = faiss.UInt64Vector()
    faiss.copy_array_to_vector(np.array(widths, np.uint64), bits)
    search = faiss.AdditiveQuantizer.ST_LUT_nonorm
    index = faiss.IndexResidualQuantizer(size, bits, faiss.METRIC_INNER_PRODUCT, search)
    words = [np.zeros((len(table), size), np.float32) for _, table in books]
    for wide, (members, table) in zip(words, books, strict=True):
        wide[:, members] = table
    faiss.copy_array_to_vector(np.concatenate(words).ravel(), index.rq.codebooks)
    index.rq.is_trained = True
    return index
