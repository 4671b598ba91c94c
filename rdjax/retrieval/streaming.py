"""Counts and top documents over a corpus that does not fit in memory, tile after tile, on one device or on many."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from rdjax.checks import InputError, require
from rdjax.retrieval.scores import check_relevant, inner_products
from rdjax.retrieval.tiles import Tiles, padded

_TIE = 2**16  # a tile's two counts share an int32: above + 2^16 tied


def count_above(
    queries: Any,
    documents: Any,
    relevant: Any,
    *,
    query_block: int = 512,
    document_block: int = 16384,
    mesh: Mesh | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The counts of `counts_from_scores`, streamed: memory does not grow with the number of documents.

    The matrix of scores is never formed: documents are read one chunk after the other (from a memory map, if that is
    what they are), multiplied tile by tile with blocks of queries, compared, and forgotten.

    What is guaranteed. A relevant document always ties with itself, and is never above itself. Its score is computed by
    the same compiled tile product (same shapes, same program) as the scores it is compared with, in a first pass over
    tiles made of the relevant documents alone; so two documents with identical vectors tie wherever that product
    accumulates every entry of a tile in the same order, which the tests ask of the backend they run on. Nothing is
    rounded together: scores that differ in the last bit are not a tie.

    What it costs, with Q queries, N documents of D numbers of b bytes, P devices: 2 Q N D / P operations and one read
    of N D b / P bytes of documents on each device; one sum of 2 Q J integers over the devices at the very end, so
    devices and hosts never wait for each other before. Memory of a device: 4 Q (D + 3 J) bytes of queries and counts,
    2 x document_block x D b of documents (one chunk computed, the next one read), a tile of 512 x 1024 scores; of a
    host, the chunks of its devices, whatever N is. Below Q = rate x b / (2 x bandwidth) queries the pass waits for the
    documents, not for the products: 1e9 x 256 documents in bfloat16 are 512 GB, read by 64 hosts at 2 GB/s each in 4 s;
    10,000 queries are then 5.1e15 operations, .2 s on 256 devices of 1e14 operations a second.

    Args:
      queries: fused queries [Q, D] (see `fuse`).
      documents: [N, D], NumPy array or memory map of any numeric type; or modality name -> array [N, D_m], put side by
        side one chunk at a time, so that memory maps are never copied whole. N below 2^31.
      relevant: int [Q], or int [Q, J] padded with -1.
      query_block: the most queries of a product.
      document_block: the most documents that a device holds at a time, twice.
      mesh: devices that share the documents between them along all axes of the mesh, of one process or of many (all of
        them call with the same arguments and get the same counts); None: the default device alone.

    Returns:
      above, tied: NumPy int64 of the shape of `relevant`; both 0 at padding. The same for every mesh of equal devices.

    Raises:
      InputError: shapes that do not belong together, an index out of range, a score that overflows.
    """
    plan = Tiles(queries, documents, query_block, document_block, mesh)
    check_relevant(jax.ShapeDtypeStruct((plan.num_queries, plan.num_documents), np.float32), relevant)
    wanted = np.asarray(relevant).reshape(plan.num_queries, -1)
    every = padded(wanted, len(plan.blocks) * plan.height, fill=-1)
    split = np.swapaxes(every.reshape(len(plan.blocks), plan.height, -1), 1, 2)  # [J, height] each
    own = _own_scores(plan, split)
    _check_finite(np.swapaxes(own, 1, 2).reshape(every.shape)[: len(wanted)], wanted)
    places, levels = ([plan.replicated(rows) for rows in arrays] for arrays in (split, own))
    step, counts = _on(_count_tiles, plan.mesh), [_no_counts(plan, split.shape[1])] * len(plan.blocks)
    for chunk in plan.chunks():
        jax.block_until_ready(counts)  # the next chunk was read meanwhile; no more than two are in memory
        counts = [
            step(*chunk, block, place, level, *count)
            for block, place, level, count in zip(plan.blocks, places, levels, counts, strict=True)
        ]
    found = plan.gathered([count[1:] for count in counts])
    above, tied = (
        np.concatenate([part[i].sum(axis=0, dtype=np.int64) for part in found], axis=1).T[: len(wanted)] for i in (0, 1)
    )
    judged, shape = wanted >= 0, np.shape(relevant)
    return np.where(judged, above, 0).reshape(shape), np.where(judged, tied, 0).reshape(shape)


def top_document(
    queries: Any,
    documents: Any,
    *,
    query_block: int = 512,
    document_block: int = 16384,
    mesh: Mesh | None = None,
) -> np.ndarray:
    """The document of the highest score for each query, streamed; the lowest index among equals.

    Without judgements it stands for the relevant document: fidelity to this search (theory notes, section 1.7).

    Args:
      queries, documents, query_block, document_block, mesh: as in `count_above`.

    Returns:
      indices, int64 [Q].

    Raises:
      InputError: shapes that do not belong together, a score that is not a number.
    """
    plan = Tiles(queries, documents, query_block, document_block, mesh)
    empty = np.full((plan.devices, plan.height), -np.inf, plan.dtype), np.zeros((plan.devices, plan.height), np.int32)
    step, best = _on(_top_tiles, plan.mesh), [tuple(map(plan.per_device, empty))] * len(plan.blocks)
    for chunk in plan.chunks():
        jax.block_until_ready(best)
        best = [step(*chunk, block, *state) for block, state in zip(plan.blocks, best, strict=True)]
    scores, documents = (np.concatenate(parts, axis=1) for parts in zip(*plan.gathered(best), strict=True))
    highest = scores.max(axis=0)
    finite = np.isfinite(highest[: plan.num_queries])
    require(
        bool(finite.all()), f"the best score of query {int(np.argmin(finite))} is not finite; scale the vectors down."
    )
    first = np.where(scores == highest, documents, np.iinfo(np.int32).max).min(axis=0)
    return first[: plan.num_queries].astype(np.int64)


def _count_tiles(rows, first, last, spare, base, queries, place, level, picked, above, tied):
    """Add a device's share of a chunk to its counts; pick the relevant documents' scores, as the product gave them.

    rows [T, W, D] with first, last, spare, base [1] (see `Chunk`); queries [B, D]; place [J, B]: the number of the
    relevant document (-1: none); level [J, B]: its score; picked, above, tied [1, J, B].
    """
    width, base = rows.shape[1], base[0]

    def verdict(scores: jax.Array, against: jax.Array) -> jax.Array:
        beyond = (~(scores <= against)).astype(jnp.int32)  # a NaN counts against us
        return jnp.where(scores == against, jnp.int32(_TIE), beyond)

    def add(number: jax.Array, state: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        picked, above, tied = state
        scores = inner_products(
            jax.lax.dynamic_index_in_dim(rows, number, keepdims=False).astype(queries.dtype), queries
        )  # [W, B]: sums over rows are twice as fast
        count = lambda line: jnp.sum(verdict(scores, line[None, :]), axis=0, dtype=jnp.int32)  # one sum for two counts
        both = count(level[0])[None] if level.shape[0] == 1 else jax.lax.map(count, level)
        here = place - base - number * width
        inside = (here >= 0) & (here < width)
        own = jnp.take_along_axis(scores, jnp.clip(here, 0, width - 1), axis=0)
        both += jnp.where(inside, _TIE - verdict(own, level), 0)  # whatever it scored, it ties with itself
        return jnp.where(inside, own, picked), above + both % _TIE, tied + both // _TIE

    found, more, equal = jax.lax.fori_loop(first[0], last[0], add, (picked[0], above[0], tied[0]))
    nothing = verdict(jnp.zeros_like(level), level)  # what a row of zeros counted
    return found[None], (more - spare[0] * (nothing == 1))[None], (equal - spare[0] * (nothing == _TIE))[None]


def _top_tiles(rows, first, last, spare, base, queries, best, document):
    """Keep a device's highest score so far, with its document [1, B]. A NaN wins, to be refused."""
    width, base = rows.shape[1], base[0]
    line = jnp.arange(width, dtype=jnp.int32)[:, None]

    def add(number: jax.Array, state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        best, document = state
        scores = inner_products(
            jax.lax.dynamic_index_in_dim(rows, number, keepdims=False).astype(queries.dtype), queries
        )
        scores = jnp.where(line < (last[0] - number) * width - spare[0], scores, -jnp.inf)
        value = jnp.max(scores, axis=0)
        row = jnp.min(
            jnp.where(scores == value[None, :], line, jnp.int32(width)), axis=0
        )  # argmax is five times slower
        better = ~(value <= best)
        return jnp.where(better, value, best), jnp.where(better, base + number * width + row, document)

    score, found = jax.lax.fori_loop(first[0], last[0], add, (best[0], document[0]))
    return score[None], found[None].astype(document.dtype)


@lru_cache(maxsize=32)
def _on(step: Callable, mesh: Mesh) -> Callable:
    """A step over a chunk, for each device its share: the chunk and the states are split, the rest is everywhere."""
    split, whole = PartitionSpec(mesh.axis_names), PartitionSpec()
    given = (split,) * 5 + {_count_tiles: (whole,) * 3 + (split,) * 3, _top_tiles: (whole, split, split)}[step]
    results = (split,) * (3 if step is _count_tiles else 2)
    return jax.jit(jax.shard_map(step, mesh=mesh, in_specs=given, out_specs=results, check_vma=False))


def _no_counts(plan: Tiles, columns: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    shape = (plan.devices, columns, plan.height)
    zero = plan.per_device(np.zeros(shape, np.int32))
    return plan.per_device(np.zeros(shape, plan.dtype)), zero, zero


def _own_scores(plan: Tiles, places: np.ndarray) -> np.ndarray:
    """Scores [blocks, J, B] of each query's own relevant documents, by `_count_tiles` on tiles of them; inf at none."""
    share, columns = plan.width // plan.height, places.shape[1]
    jobs = [(b, c, min(c + share, columns)) for b in range(len(plan.blocks)) for c in range(0, columns, share)]
    tiles = [padded(np.maximum(places[b, c:end], 0).ravel(), plan.width) for b, c, end in jobs]
    own = np.full(places.shape, np.inf, plan.dtype)
    level, step = plan.replicated(own[0]), _on(_count_tiles, plan.mesh)
    for (block, first, end), chunk in zip(jobs, plan.repeated(tiles), strict=True):
        position = np.full(places.shape[1:], -1)
        position[first:end] = np.arange((end - first) * plan.height).reshape(-1, plan.height)
        found = step(*chunk, plan.blocks[block], plan.replicated(position), level, *_no_counts(plan, columns))[0]
        own[block, first:end] = np.asarray(found.addressable_data(0))[0, first:end]
    return np.where(places >= 0, own, np.inf)


def _check_finite(own: np.ndarray, wanted: np.ndarray) -> None:
    bad = (wanted >= 0) & ~np.isfinite(own)
    if bad.any():
        query = int(np.argwhere(bad)[0][0])
        raise InputError(f"the score of query {query} and its relevant document is not finite; scale the vectors down.")
