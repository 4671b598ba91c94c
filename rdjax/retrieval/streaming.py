"""Counts and top documents over a corpus that does not fit in memory, tile after tile, on one device or on many."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from rdjax.checks import InputError, require
from rdjax.host import on_the_host
from rdjax.retrieval.beside import Beside, options
from rdjax.retrieval.scores import check_relevant, inner_products, working
from rdjax.retrieval.tiles import Tiles, ends, padded

_TIE = 2**16  # a tile's two counts share an int32: above + 2^16 tied


@on_the_host
def count_above(
    queries: Any,
    documents: Any,
    relevant: Any,
    *,
    query_block: int | None = None,
    document_block: int = 16384,
    mesh: Mesh | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The counts of `counts_from_scores`, streamed: memory does not grow with the number of documents.

    The matrix of scores is never formed: documents are read one chunk after the other (from a memory map, if that is
    what they are), multiplied tile by tile with blocks of queries, compared, and forgotten. Many hosts:

        jax.distributed.initialize()  # on each
        above, tied = count_above(queries, documents, relevant, mesh=Mesh(np.array(jax.devices()), ("documents",)))

    What is guaranteed. A relevant document always ties with itself, and is never above itself. Its score is computed by
    the same compiled tile product (same shapes, same program) as the scores it is compared with, in a first pass over
    tiles made of the relevant documents alone; so two documents with identical vectors tie wherever that product
    accumulates every entry of a tile in the same order, which the tests ask of the backend they run on. Nothing is
    rounded together: scores that differ in the last bit are not a tie.

    What it costs, with Q queries, N documents of D numbers of b bytes, P devices: 2 Q N D / P operations and one read
    of N D b / P bytes of documents on each device; one sum of 2 Q J integers over the devices at the very end, so
    devices and hosts never wait for each other before. Memory of a device: 4 Q (D + 8 J) bytes of queries and counts,
    2 x document_block x D b of documents (one chunk computed, the next one read), a tile of scores for each block at
    work; of a host, the chunks of its devices, whatever N is. Below Q = rate x b / (2 x bandwidth) queries the pass
    waits for the documents, not for the products: 1e9 x 256 documents in bfloat16 are 512 GB, read by 64 hosts at
    2 GB/s each in 4 s; 10,000 queries are 5.1e15 operations, .2 s on 256 devices of 1e14 (float32) operations a second,
    so that they take 4 s, and 200,000 queries the same.

    An audit is the work of one host and its default device; this is what a corpus for a pod goes through.

    Args:
      queries: fused queries [Q, D] (see `fuse`).
      documents: [N, D], NumPy array or memory map of any numeric type; or modality name -> array [N, D_m], put side by
        side one chunk at a time, so that memory maps are never copied whole. N below 2^31.
      relevant: int [Q], or int [Q, J] padded with -1.
      query_block: the most queries of a product; None: 768 on processors, 2,048 on accelerators.
      document_block: the most documents that a device holds at a time, twice.
      mesh: devices that share the documents between them along all axes of the mesh, of one process or of many (all of
        them call with the same arguments and get the same counts); None: the default device alone.

    Returns:
      above, tied: NumPy int64 of the shape of `relevant`; both 0 at padding. The same for every mesh of equal devices.

    Raises:
      InputError: shapes that do not belong together, an index out of range, a document with a NaN or an infinity, a
        score that overflows.
    """
    plan = Tiles(queries, documents, query_block, document_block, mesh)
    check_relevant(jax.ShapeDtypeStruct((plan.num_queries, plan.num_documents), np.float32), relevant)
    wanted = np.asarray(relevant).reshape(plan.num_queries, -1)
    every = padded(wanted, len(plan.blocks) * plan.height, fill=-1)
    split = np.swapaxes(every.reshape(len(plan.blocks), plan.height, -1), 1, 2)  # [J, height] each
    with Beside(plan.mesh) as beside:
        own = _own_scores(plan, split, beside)
        _check_finite(np.swapaxes(own, 1, 2).reshape(every.shape)[: len(wanted)], wanted)
        places, levels = ([plan.replicated(rows) for rows in arrays] for arrays in (split, own))
        fixed = list(zip(plan.blocks, places, levels, strict=True))
        starts = [_no_counts(plan, split.shape[1], looks=block == 0) for block in range(min(2, len(fixed)))]
        starts += starts[1:] * (len(fixed) - 2)  # one block looks at the documents for all
        counts = _over_chunks(plan, beside, _count_tiles, fixed, starts)
    size = float(plan.merged(counts[0][3], _all).max())
    _check_documents(plan, size)
    if _may_overflow(plan, queries, size):
        _ = top_document(queries, documents, query_block=query_block, document_block=document_block, mesh=mesh)
    sums = plan.merged([count[1:3] for count in counts], _sum)
    above, tied = (np.concatenate(parts, axis=1).T[: len(wanted)].astype(np.int64) for parts in zip(*sums, strict=True))
    judged, shape = wanted >= 0, np.shape(relevant)
    return np.where(judged, above, 0).reshape(shape), np.where(judged, tied, 0).reshape(shape)


@on_the_host
def top_document(
    queries: Any,
    documents: Any,
    *,
    query_block: int | None = None,
    document_block: int = 16384,
    mesh: Mesh | None = None,
) -> np.ndarray:
    """The document of the highest score for each query, streamed; the lowest index among equals.

    Without judgments it stands for the relevant document: fidelity to this search (theory notes, section 1.7).

    Args:
      queries, documents, query_block, document_block, mesh: as in `count_above`.

    Returns:
      indices, int64 [Q].

    Raises:
      InputError: shapes that do not belong together, a score that is not a number.
    """
    plan = Tiles(queries, documents, query_block, document_block, mesh)
    empty = np.full((plan.devices, plan.height), -np.inf, plan.dtype), np.zeros((plan.devices, plan.height), np.int32)
    nothing, blocks = tuple(map(plan.per_device, empty)), [(block,) for block in plan.blocks]
    with Beside(plan.mesh) as beside:
        best = _over_chunks(plan, beside, _top_tiles, blocks, [nothing] * len(blocks))
    scores, documents = (np.concatenate(parts, axis=1) for parts in zip(*plan.merged(best, _all), strict=True))
    highest = scores.max(axis=0)
    finite = np.isfinite(highest[: plan.num_queries])
    require(
        bool(finite.all()), f"the best score of query {int(np.argmin(finite))} is not finite; scale the vectors down."
    )
    first = np.where(scores == highest, documents, np.iinfo(np.int32).max).min(axis=0)
    return first[: plan.num_queries].astype(np.int64)


def _over_chunks(plan: Tiles, beside: Beside, step: Callable, fixed: list[tuple], states: list[Any]) -> list[tuple]:
    """The state of each block after all documents; a block goes on to the next chunk whatever the others do."""
    begun = _on(step, plan.mesh)
    for chunk in plan.chunks():
        earlier, states = states, beside.begin(begun, [(*chunk, *one) for one in fixed], states)
        beside.done(earlier)  # the next chunk is read while this one is at work; no more than two are in memory
    return beside.done(states)


def _sum(counts: jax.Array) -> jax.Array:
    return jnp.sum(counts, axis=0, dtype=counts.dtype)


def _all(states: jax.Array) -> jax.Array:
    return states


def _count_tiles(rows, first, last, spare, base, queries, place, level, picked, above, tied, size):
    """Add a device's share of a chunk to its counts; pick the relevant documents' scores, as the product gave them.

    rows [T, W, D] with first, last, spare, base (see `ends`); queries [D, B]; place [J, B]: the number of the relevant
    document (-1: none); level [J, B]: its score; picked, above, tied [1, J, B]; size [1]: the largest magnitude in the
    documents so far, NaN if there is one; below 0 where nobody asks.
    """
    width = rows.shape[1]

    def verdict(scores: jax.Array, against: jax.Array) -> jax.Array:
        beyond = (~(scores <= against)).astype(jnp.int32)  # a NaN counts against us
        return jnp.where(scores == against, jnp.int32(_TIE), beyond)

    def add(number: jax.Array, state: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        picked, above, tied, size = state
        scores = _scores(rows, number, queries)
        larger = lambda: jnp.maximum(size, jnp.max(jnp.abs(rows[number])).astype(size.dtype))
        size = jax.lax.cond(size >= 0, larger, lambda: size)
        count = lambda line: _sum_down(verdict(scores, line[None, :]))  # one sum for two counts
        both = count(level[0])[None] if level.shape[0] == 1 else jax.lax.map(count, level)
        here = place - base - number * width
        inside = (here >= 0) & (here < width)
        own = jnp.take_along_axis(scores, jnp.clip(here, 0, width - 1), axis=0)
        both += jnp.where(inside, _TIE - verdict(own, level), 0)  # whatever it scored, it ties with itself
        return jnp.where(inside, own, picked), above + both % _TIE, tied + both // _TIE, size

    found, more, equal, size = jax.lax.fori_loop(first, last, add, (picked[0], above[0], tied[0], size[0]))
    nothing = verdict(jnp.zeros_like(level), level)  # what a row of zeros counted
    return found[None], (more - spare * (nothing == 1))[None], (equal - spare * (nothing == _TIE))[None], size[None]


def _top_tiles(rows, first, last, spare, base, queries, best, document):
    """Keep a device's highest score so far, with its document [1, B]. A NaN wins, to be refused."""
    width = rows.shape[1]
    line = jnp.arange(width, dtype=jnp.int32)[:, None]

    def add(number: jax.Array, state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        best, document = state
        scores = _scores(rows, number, queries)
        scores = jnp.where(line < (last - number) * width - spare, scores, -jnp.inf)
        value = jnp.max(scores, axis=0)
        row = jnp.min(
            jnp.where(scores == value[None, :], line, jnp.int32(width)), axis=0
        )  # argmax is five times slower
        better = ~(value <= best)
        return jnp.where(better, value, best), jnp.where(better, base + number * width + row, document)

    score, found = jax.lax.fori_loop(first, last, add, (best[0], document[0]))
    return score[None], found[None].astype(document.dtype)


def _scores(rows: jax.Array, number: jax.Array, queries: jax.Array) -> jax.Array:
    """Tile `number` of rows [T, W, D] against queries [D, B]: [W, B], since sums over rows are twice as fast.

    Of queries in columns, since a processor packs those faster for the product.
    """
    tile = jax.lax.dynamic_index_in_dim(rows, number, keepdims=False)
    return inner_products(tile.astype(queries.dtype), queries.T)


def _sum_down(counts: jax.Array) -> jax.Array:
    """Sums of columns of [W, B], W a multiple of 8. Eight slices first: XLA fuses them with what makes the counts."""
    return jnp.sum(sum(jnp.split(counts, 8)), axis=0, dtype=jnp.int32)


@lru_cache(maxsize=32)
def _on(step: Callable, mesh: Mesh) -> Callable:
    """A step over a chunk, for each device its share: the chunk and the states are split, the rest is everywhere."""
    split, whole = PartitionSpec(mesh.axis_names), PartitionSpec()
    given = (split, whole) + {_count_tiles: (whole,) * 3 + (split,) * 4, _top_tiles: (whole, split, split)}[step]
    results = (split,) * (4 if step is _count_tiles else 2)

    def share(rows: jax.Array, window: jax.Array, *rest: jax.Array) -> tuple[jax.Array, ...]:
        return step(rows, *ends(rows, window, jax.lax.axis_index(mesh.axis_names)), *rest)

    shared = jax.shard_map(share, mesh=mesh, in_specs=given, out_specs=results, check_vma=False)
    # A core for each block from product to counts, not all cores for each product: comparisons run on one anyway.
    # Of an array of one number XLA forgets how it is split, and the next call would compile again.
    return jax.jit(shared, out_shardings=NamedSharding(mesh, split), compiler_options=options(mesh))


def _no_counts(plan: Tiles, columns: int, looks: bool) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    shape = (plan.devices, columns, plan.height)
    zero = plan.per_device(np.zeros(shape, np.int32))
    picked, size = np.zeros(shape, plan.dtype), np.full(shape[0], 0 if looks else -1, plan.dtype)
    return plan.per_device(picked), zero, zero, plan.per_device(size)


def _own_scores(plan: Tiles, places: np.ndarray, beside: Beside) -> np.ndarray:
    """Scores [blocks, J, B] of each query's own relevant documents, by `_count_tiles` on tiles of them; inf at none."""
    share, columns, at_once = plan.width // plan.height, places.shape[1], plan.depth // plan.width
    jobs = [(b, c, min(c + share, columns)) for b in range(len(plan.blocks)) for c in range(0, columns, share)]
    tiles = [padded(np.maximum(places[b, c:end], 0).ravel(), plan.width) for b, c, end in jobs]
    own = np.full(places.shape, np.inf, plan.dtype)
    found: list[Any] = []
    level, none, step = plan.replicated(own[0]), _no_counts(plan, columns, looks=False), _on(_count_tiles, plan.mesh)
    rows = {span: plan.replicated(_rows_of(plan, columns, span)) for span in {job[1:] for job in jobs}}
    for (block, *span), chunk in zip(jobs, plan.repeated(tiles), strict=True):
        if len(found) >= at_once:  # no more than two chunks are in memory
            beside.done(found[-at_once:][:1])
        found += beside.begin(step, [(*chunk, plan.blocks[block], rows[tuple(span)], level)], [none])
    for (block, first, end), (scores, *_) in zip(jobs, beside.done(found), strict=True):
        own[block, first:end] = np.asarray(scores.addressable_data(0))[0, first:end]
    return np.where(places >= 0, own, np.inf)


def _rows_of(plan: Tiles, columns: int, span: tuple[int, int]) -> np.ndarray:
    """The row [J, B] in a tile of the relevant documents of these columns; -1 in the others."""
    found = np.full((columns, plan.height), -1)
    found[slice(*span)] = np.arange((span[1] - span[0]) * plan.height).reshape(-1, plan.height)
    return found


def _check_finite(own: np.ndarray, wanted: np.ndarray) -> None:
    bad = (wanted >= 0) & ~np.isfinite(own)
    if bad.any():
        query = int(np.argwhere(bad)[0][0])
        raise InputError(f"the score of query {query} and its relevant document is not finite; scale the vectors down.")


def _check_documents(plan: Tiles, size: float) -> None:
    """Refuse documents whose largest magnitude is none: a NaN would count above every other, whatever the query."""
    if np.isfinite(size):
        return
    for start in range(0, plan.num_documents, plan.depth):
        good = np.isfinite(plan.rows(slice(start, start + plan.depth))).all(axis=1)
        if not good.all():
            number = start + int(np.argmin(good))
            raise InputError(f"document {number} has a NaN or an infinity; remove it or embed it again.")


def _may_overflow(plan: Tiles, queries: Any, size: float) -> bool:
    """Whether documents of this largest magnitude may have a score that is not finite."""
    most = float(np.abs(np.asarray(working(queries))).max())
    return most * size * plan.dimension > float(jnp.finfo(plan.dtype).max)
