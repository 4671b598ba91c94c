"""Ties resolved exactly: the expectation over all orders of tied documents, or the best or the worst order.

Everything starts from two counts of a relevant document: `above` documents score strictly higher, `tied` score the same
(itself included; 0 at padding). Over random tie-breaking its rank is uniform on above + 1 .. above + tied, which is all
that a metric linear in the relevant documents needs. Several relevant documents in one tie group are drawn without
replacement, and the first of them and average precision need that joint law (McSherry and Najork, ECIR 2008).
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rdjax.checks import InputError, arrays_of, is_concrete, looking, numbers, require, whole_numbers
from rdjax.numerics import at_ranks, on_device
from rdjax.shards import by_compiler

TIES = ("expected", "optimistic", "pessimistic")
_CHUNK = 128


def expected_weight(
    weights: Any, above: Any, tied: Any, *, ties: str = "expected", size: int | None = None
) -> jax.Array:
    """Mean of w over the tie orders of one document, each metric's value of a single relevant document.

        expected: (w_{a+1} + ... + w_{a+t}) / t;   optimistic: w_{a+1};   pessimistic: w_{a+t}

    Sums over tie groups are differences of prefix sums in float64 (as pairs of float32 where x64 is off; of traced
    weights in the default precision), and w itself where t = 1, so a list without ties needs no array of its length.

    Args:
      weights: a function of rank (see `weights`) or a non-increasing array [N].
      above, tied: integers, any one shape; tied is 0 at padding, which is worth 0.
      ties: expected, optimistic or pessimistic.
      size: length N of the list; needed only under jit, where above + tied is not known. The prefix sums are constants
        of the program then, N + 1 pairs of floats (1.6 GB in float64 at N = 1e8), so leave long lists out of jit, or
        break their ties (0 says that there are none).

    Returns:
      float array of their shape, in the default precision.

    Raises:
      InputError: an unknown `ties`, no `size` under jit; shapes that do not belong together; counts that are no
        integers or below 0; weights that are not finite.
    """
    check_ties(ties)
    check_counts(above, tied)
    if not callable(weights):
        numbers(weights, "the weights")
        good = np.ndim(weights) == 1 and np.size(weights) > 0
        require(good, f"the weights have shape {np.shape(weights)}; give one for each rank, [N].")
    covered = table_size(above, tied, size) if ties == "expected" else 0
    above, tied = counted(above), counted(tied)
    if ties == "expected":
        table = prefix_table(weights, covered)
        of = partial(_compiled, weights) if callable(weights) else partial(_compiled_listed, on_device(weights))
        return handed_over(of, above, tied, table, leading=above.ndim)
    return expected_weight(weights, *_untied(above, tied, ties), size=0)


def handed_over(function: Callable[..., Any], *arrays: Any, leading: int) -> Any:
    """`by_compiler` with arrays of the host among them: a guard of transfers is for those that nobody meant."""
    with jax.transfer_guard_host_to_device("allow"):
        return by_compiler(function, *arrays, leading=leading)


def counted(counts: Any) -> jax.Array:
    """Counts on the device, in integers that a rank fits in."""
    counts = on_device(counts)
    if counts.dtype in (jnp.int32, jnp.int64):
        return counts
    return counts.astype(jnp.int32 if counts.dtype.itemsize < 4 else jax.dtypes.canonicalize_dtype(np.int64))


@partial(jax.jit, static_argnums=2)
def _untied(above: jax.Array, tied: jax.Array, ties: str) -> tuple[jax.Array, jax.Array]:
    """Counts of one document after its best or its worst tie order."""
    return above if ties == "optimistic" else above + jnp.maximum(tied - 1, 0), jnp.minimum(tied, 1)


def check_counts(above: Any, tied: Any) -> None:
    """Refuse what does not count documents, or not the same ones."""
    whole_numbers(above, "the counts above")
    whole_numbers(tied, "the counts of ties")
    shapes = np.shape(above), np.shape(tied)
    require(shapes[0] == shapes[1], f"the counts have shapes {shapes[0]} and {shapes[1]}; both must be the same.")
    if np.size(above) and jnp.result_type(int) == jnp.int32 and is_concrete(above, tied):
        last = int(np.max(above)) + int(np.max(tied))
        words = "the counts are of 2^31 - 1 documents or more; that many are counted inside jax.enable_x64(True)."
        require(last < 2**31 - 1, words)


def check_ties(ties: str) -> None:
    """Refuse a rule of ties that is none."""
    require(ties in TIES, f"ties is {ties!r}; it must be one of {', '.join(TIES)}.")


def table_size(above: Any, tied: Any, size: int | None) -> int:
    """How many ranks a table of prefix sums must cover: 0 without ties, else a power of two (few compilations)."""
    if not is_concrete(above, tied):
        if size is None:
            raise InputError("the length of the list is not known under jit; pass size=N.")
        return size
    with looking():
        xp = arrays_of(tied)
        above, tied = xp.asarray(above).astype(int), xp.asarray(tied).astype(int)
        if above.size == 0 or int(tied.max()) <= 1:
            return 0
        return 1 << int(xp.where(tied > 1, above + tied, 0).max() - 1).bit_length()


def prefix_table(weights: Any, size: int) -> tuple[Any, Any]:
    """W_k = w_1 + ... + w_k for k = 0 .. size as a pair (high, low) whose sum has more digits than either.

    On the host where the weights are known: a compiled function takes such arrays faster than they are put anywhere.
    """
    dtype = jnp.result_type(float)
    if callable(weights):
        return _prefix_sums(weights, size, dtype)
    if is_concrete(weights):
        return _as_pair(np.asarray(weights, np.float64), dtype)
    summed = jnp.cumsum(jnp.pad(jnp.asarray(weights, dtype), (1, 0)))
    return summed, jnp.zeros_like(summed)


@lru_cache(maxsize=8)
def _prefix_sums(weights: Any, size: int, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    return _as_pair(at_ranks(weights, np.arange(1.0, size + 1.0)), dtype)


def _as_pair(weights: np.ndarray, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """Of weights in float64; nobody may write into what is remembered."""
    sums = np.concatenate([[0.0], np.cumsum(weights)])
    high = sums.astype(dtype)
    low = (sums - high).astype(dtype)
    high.flags.writeable = low.flags.writeable = False
    return high, low


def at_rank(weights: Any, rank: jax.Array) -> jax.Array:
    """w at integer ranks, in the default precision; beyond the end of an array of weights it is 0."""
    if callable(weights):
        return jnp.asarray(weights(rank.astype(jnp.result_type(float))))
    listed = jnp.asarray(weights, jnp.result_type(float))
    return jnp.where(rank <= listed.size, listed[jnp.clip(rank - 1, 0, listed.size - 1)], 0.0)


def mean_weight(weights: Any, above: jax.Array, tied: jax.Array, table: tuple[Any, Any]) -> jax.Array:
    """(W_{a+t} - W_a) / t, and w_{a+1} itself where t = 1."""
    high, low = table
    last = high.size - 1
    start, stop = jnp.minimum(above, last), jnp.minimum(above + tied, last)
    total = (high[stop] - high[start]) + (low[stop] - low[start])
    several = total / jnp.maximum(tied, 1).astype(high.dtype)
    return jnp.where(tied > 1, several, jnp.where(tied == 1, at_rank(weights, above + 1), 0.0))


_compiled = jax.jit(mean_weight, static_argnums=0)
_compiled_listed = jax.jit(mean_weight)


def group_counts(above: jax.Array, relevant: jax.Array) -> tuple[jax.Array, jax.Array]:
    """For each document, how many relevant ones score above it, and how many are in its tie group; all [..., J]."""
    mine, other = above[..., :, None], above[..., None, :]
    listed = relevant[..., None, :]
    return jnp.sum(listed & (other < mine), axis=-1), jnp.sum(listed & (other == mine), axis=-1)


@partial(jax.jit, static_argnums=3)
def resolve(above: jax.Array, tied: jax.Array, gains: jax.Array, ties: str) -> tuple[jax.Array, jax.Array]:
    """Counts after the best or the worst tie order for the whole list: no tie is left.

    In the best order the relevant documents of a group come first, the highest gain foremost; in the worst they come
    last, the highest gain hindmost. [..., J] each; what has no gain keeps tied = 0.
    """
    relevant = (gains > 0) & (tied > 0)
    group = relevant[..., None, :] & (above[..., None, :] == above[..., :, None])
    mine, other = gains[..., :, None], gains[..., None, :]
    index = jax.lax.broadcasted_iota(jnp.int32, gains.shape, gains.ndim - 1)
    earlier = index[..., None, :] < index[..., :, None]
    before = other > mine if ties == "optimistic" else other < mine
    place = jnp.sum(group & (before | ((other == mine) & earlier)), axis=-1)
    spare = 0 if ties == "optimistic" else tied - jnp.sum(group, axis=-1)
    return jnp.where(relevant, above + spare + place, 0), relevant.astype(tied.dtype)


def first_weight(weights: Any, above: jax.Array, tied: jax.Array, relevant: jax.Array, mean: jax.Array) -> jax.Array:
    """Mean of w at the first relevant document: the least of r draws without replacement out of the t of its group.

        P(first > a + i) = prod_{j < i} (1 - r / (t - j))

    Args:
      above, tied, relevant: [..., J]; mean: `expected_weight` of each, used where r = 1.

    Returns:
      [...]; 0 where nothing is relevant.
    """
    found = relevant & (tied > 0)
    most = jnp.iinfo(above.dtype).max
    top = jnp.min(jnp.where(found, above, most), axis=-1, initial=most)
    first = found & (above == top[..., None])
    count = jnp.sum(first, axis=-1)
    group = jnp.max(jnp.where(first, tied, 0), axis=-1, initial=0)
    alone = jnp.max(jnp.where(first, mean, 0.0), axis=-1, initial=0)
    return jnp.where(count <= 1, alone, _least_of(weights, jnp.where(count > 0, top, 0), group, count))


def _least_of(weights: Any, above: jax.Array, group: jax.Array, count: jax.Array) -> jax.Array:
    """sum_i P(the least of `count` draws from `group` is i) w_{above + i}, in chunks until nothing can be left."""
    dtype = jnp.result_type(float)
    steps = jnp.arange(_CHUNK)
    drawn = jnp.where(count > 1, count, 0)
    end = jnp.where(count > 1, group - count + 1, 0)  # the least draw is at most there

    def add(state: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        start, later, total = state
        place = (start + steps).reshape((1,) * above.ndim + (-1,))
        left = group[..., None] - place
        chance = jnp.clip(drawn[..., None] / jnp.maximum(left, 1).astype(dtype), 0.0, 1.0)
        survive = later[..., None] * jnp.cumprod(1.0 - chance, axis=-1)
        arrive = jnp.concatenate([later[..., None], survive[..., :-1]], axis=-1) * chance
        worth = at_rank(weights, above[..., None] + place + 1)
        inside = place < end[..., None]
        return start + _CHUNK, survive[..., -1], total + jnp.sum(jnp.where(inside, arrive * worth, 0.0), axis=-1)

    longest = jnp.max(end, initial=0)
    begin = (jnp.zeros((), longest.dtype), jnp.ones(above.shape, dtype), jnp.zeros(above.shape, dtype))
    return jax.lax.while_loop(lambda state: state[0] < longest, add, begin)[2]
