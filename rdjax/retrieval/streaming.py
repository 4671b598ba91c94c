"""Counts and top documents over a corpus that does not fit in memory, one tile of documents after the other."""

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rdjax.checks import InputError, require
from rdjax.retrieval.scores import check_relevant, inner_products, working

_TIE = 2**16  # a tile's two counts share an int32: above + 2^16 tied
_LARGEST_BLOCK = 2**15 - 64


def count_above(
    queries: Any, documents: Any, relevant: Any, *, query_block: int = 256, document_block: int = 4096
) -> tuple[np.ndarray, np.ndarray]:
    """The counts of `counts_from_scores`, streamed: memory does not grow with the number of documents.

    The matrix of scores is never formed: tiles of documents are read one after the other (from a memory map, if that is
    what they are), multiplied with tiles of queries, compared, and forgotten.

    What is guaranteed. A relevant document always ties with itself, and is never above itself. Its score is computed by
    the same compiled tile product (same shapes, same program) as the scores it is compared with, in a first pass over
    tiles made of the relevant documents alone; so two documents with identical vectors tie wherever that product
    accumulates every entry of a tile in the same order, which the tests ask of the backend they run on. Nothing is
    rounded together: scores that differ in the last bit are not a tie.

    Args:
      queries: fused queries [Q, D] (see `fuse`).
      documents: [N, D], NumPy array or memory map of any numeric type; or modality name -> array [N, D_m], put side by
        side one tile at a time, so that memory maps are never copied whole.
      relevant: int [Q], or int [Q, J] padded with -1.
      query_block, document_block: the largest tile, in rows; more than 2^15 brings nothing and is not used.

    Returns:
      above, tied: NumPy int64 of the shape of `relevant`; both 0 at padding.

    Raises:
      InputError: shapes that do not belong together, an index out of range, a score that overflows.
    """
    plan = _Plan(queries, documents, query_block, document_block)
    check_relevant(jax.ShapeDtypeStruct((plan.num_queries, plan.num_documents), np.float32), relevant)
    wanted = np.asarray(relevant).reshape(plan.num_queries, -1)
    places = _pad(wanted, len(plan.blocks) * plan.height, fill=-1).reshape(len(plan.blocks), plan.height, -1)
    references = [_own_scores(plan, block, place) for block, place in zip(plan.blocks, places, strict=True)]
    _check_finite(np.concatenate(references)[: len(wanted)], wanted)
    zero = jnp.zeros(places.shape[1:], jnp.int32)
    counts = [(zero, zero)] * len(plan.blocks)
    for start, valid, tile in plan.tiles():
        jax.block_until_ready(counts)  # the next tile was read meanwhile; no more than two are in memory
        inside = np.where((places >= start) & (places < start + valid), places - start, -1).astype(np.int32)
        counts = [
            _count_step(block, tile, valid, place, reference, *count)[1:]
            for block, place, reference, count in zip(plan.blocks, inside, references, counts, strict=True)
        ]
    above, tied = (np.concatenate([np.asarray(pair[i], np.int64) for pair in counts])[: len(wanted)] for i in (0, 1))
    judged, shape = wanted >= 0, np.shape(relevant)
    return np.where(judged, above, 0).reshape(shape), np.where(judged, tied, 0).reshape(shape)


def top_document(queries: Any, documents: Any, *, query_block: int = 256, document_block: int = 4096) -> np.ndarray:
    """The document of the highest score for each query, streamed; the lowest index among equals.

    Without judgements it stands for the relevant document: fidelity to this search (theory notes, section 1.7).

    Args:
      queries, documents, query_block, document_block: as in `count_above`.

    Returns:
      indices, int64 [Q].

    Raises:
      InputError: shapes that do not belong together, a score that is not a number.
    """
    plan = _Plan(queries, documents, query_block, document_block)
    zero = jnp.zeros(plan.height, jnp.int32)
    best = [(jnp.full(plan.height, -jnp.inf, plan.dtype), zero, zero)] * len(plan.blocks)
    for number, (_, valid, tile) in enumerate(plan.tiles()):
        jax.block_until_ready(best)
        best = [_top_step(block, tile, valid, number, *state) for block, state in zip(plan.blocks, best, strict=True)]
    score, tile_number, column = (np.concatenate([np.asarray(state[i]) for state in best]) for i in range(3))
    finite = np.isfinite(score[: plan.num_queries])
    require(
        bool(finite.all()), f"the best score of query {int(np.argmin(finite))} is not finite; scale the vectors down."
    )
    return (tile_number.astype(np.int64) * plan.width + column)[: plan.num_queries]


@jax.jit
def _count_step(queries, tile, valid, position, reference, above, tied):
    """Add one tile to the counts; also return the scores at `position`, from the very product that is compared.

    queries [B, D], tile [W, D], valid: how many rows of the tile are documents; position [B, J]: where in this tile
    each relevant document stands (-1: elsewhere); reference [B, J]: its score; above, tied [B, J].
    """
    scores = inner_products(queries, tile.astype(queries.dtype))
    column = jnp.arange(tile.shape[0])[None, :]
    present = column < valid

    def count(entry: tuple[jax.Array, jax.Array]) -> jax.Array:
        own, level = column == entry[0][:, None], entry[1][:, None]
        verdict = jnp.where(own | (scores == level), _TIE, jnp.where(scores <= level, 0, 1))  # a NaN counts against us
        return jnp.sum(jnp.where(present, verdict, 0), axis=1, dtype=jnp.int32)

    both = jax.lax.map(count, (position.T, reference.T)).T  # one sum for both counts: a third of the time of two
    picked = jnp.take_along_axis(scores, jnp.maximum(position, 0), axis=1)
    return picked, above + both % _TIE, tied + both // _TIE


@jax.jit
def _top_step(queries, tile, valid, number, best, best_tile, best_column):
    """Keep the highest score so far, with the number of its tile and its column there. A NaN wins, to be refused."""
    scores = inner_products(queries, tile.astype(queries.dtype))
    scores = jnp.where(jnp.arange(tile.shape[0])[None, :] < valid, scores, -jnp.inf)
    value = jnp.max(scores, axis=1)
    columns = jnp.arange(tile.shape[0])[None, :]
    column = jnp.min(jnp.where(scores == value[:, None], columns, tile.shape[0]), axis=1)  # argmax is five times slower
    better = ~(value <= best)
    return (
        jnp.where(better, value, best),
        jnp.where(better, number, best_tile).astype(jnp.int32),
        jnp.where(better, column, best_column).astype(jnp.int32),
    )


class _Plan:
    """The tiles of a pass: blocks of queries on the device, tiles of documents read on demand, in one precision.

    Tile sizes are multiples of 8 and 64, so that no entry of a product falls to a remainder loop with its own order.
    """

    def __init__(self, queries: Any, documents: Any, query_block: int, document_block: int):
        require(query_block >= 1 and document_block >= 1, "block sizes must be at least 1.")
        arrays = list(documents.values()) if isinstance(documents, Mapping) else [documents]
        self._arrays = [array if hasattr(array, "shape") else np.asarray(array) for array in arrays]
        self.num_documents = len(self._arrays[0])
        queries = working(queries)
        self.num_queries = len(queries)
        dimension = sum(array.shape[1] for array in self._arrays)
        require(
            self.num_queries > 0 and self.num_documents > 0 and queries.shape[1] == dimension,
            f"queries have shape {queries.shape} and documents ({self.num_documents}, {dimension}); "
            f"both must have at least one row, and the same dimensions.",
        )
        stored = (jax.dtypes.canonicalize_dtype(array.dtype) for array in self._arrays)
        self.dtype = jnp.result_type(queries.dtype, *stored)
        self.height = _multiple(min(query_block, self.num_queries, _LARGEST_BLOCK - 64), 8)
        self.width = _multiple(max(min(document_block, self.num_documents, _LARGEST_BLOCK), self.height), 64)
        starts = range(0, self.num_queries, self.height)
        self.blocks = [_pad(queries[i : i + self.height].astype(self.dtype), self.height) for i in starts]

    def rows(self, which: Any) -> np.ndarray:
        """Documents [rows, D], modalities side by side."""
        parts = [np.asarray(array[which]) for array in self._arrays]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def tiles(self) -> Iterator[tuple[int, int, np.ndarray]]:
        """(first document, how many, [width, D]) in turn, padded with zeros so that one compiled step serves all."""
        for start in range(0, self.num_documents, self.width):
            rows = self.rows(slice(start, start + self.width))
            yield start, len(rows), _pad(rows, self.width)


def _own_scores(plan: _Plan, block: jax.Array, place: np.ndarray) -> np.ndarray:
    """Scores [B, J] of each query's own relevant documents, by `_count_step` on tiles made of them; inf at padding."""
    share = plan.width // plan.height
    zero = jnp.zeros(place.shape, jnp.int32)
    own = np.full(place.shape, np.inf, plan.dtype)
    for first in range(0, place.shape[1], share):
        chosen = place[:, first : first + share]
        tile = _pad(plan.rows(np.maximum(chosen, 0).ravel()), plan.width)
        position = np.zeros(place.shape, np.int32)
        position[:, first : first + share] = np.arange(chosen.size).reshape(chosen.shape)
        scores = np.asarray(_count_step(block, tile, plan.width, position, own, zero, zero)[0])
        own[:, first : first + share] = np.where(chosen >= 0, scores[:, first : first + share], np.inf)
    return own


def _multiple(size: int, unit: int) -> int:
    return -(-size // unit) * unit


def _pad(array: Any, rows: int, fill: int = 0) -> Any:
    missing = rows - array.shape[0]
    xp = jnp if isinstance(array, jax.Array) else np
    return xp.pad(array, ((0, missing), (0, 0)), constant_values=fill) if missing else array


def _check_finite(own: np.ndarray, wanted: np.ndarray) -> None:
    bad = (wanted >= 0) & ~np.isfinite(own)
    if bad.any():
        query = int(np.argwhere(bad)[0][0])
        raise InputError(f"the score of query {query} and its relevant document is not finite; scale the vectors down.")
