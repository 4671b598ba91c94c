"""Inner products per modality, their fusion, and how many documents score above the relevant one.

Scores are [..., N], the last axis is the list of documents; a stack over modalities is [M, Q, N]. A rank metric needs
only two counts of a relevant document: how many documents score strictly above it, and how many tie with it (itself
included). `counts_from_scores` reads them from a matrix, `streaming.count_above` streams them over a larger corpus.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rdjax.checks import InputError, arrays_of, held, is_concrete, looking, numbers, require
from rdjax.numerics import floating, on_device, without_gradient
from rdjax.shards import by_compiler

Features = Mapping[str, Any]


def modality_scores(queries: Features, documents: Features) -> jax.Array:
    """Inner products of every query with every document, one matrix per modality.

        s_m(q, n) = <x_qm, y_nm>

    Args:
      queries: modality name -> array [Q, D_m].
      documents: the same names -> arrays [N, D_m]; their order is the order of the modalities (under jit, pass a tuple
        of arrays through and build the mapping inside, since JAX sorts the keys).

    Returns:
      scores [M, Q, N], in the precision of the inputs and at least float32. For a corpus that fits in memory; a larger
      one goes through `fuse` and `count_above`.

    Raises:
      InputError: a side that is no mapping, sides that name different modalities, a NaN or an infinity.
    """
    for side, features in (("queries", queries), ("documents", documents)):
        named = hasattr(features, "keys")
        require(named, f"the {side} are a {type(features).__name__}; give a dict of arrays [n, D] by modality.")
    require(
        set(queries) == set(documents) and len(documents) > 0,
        f"queries have the modalities {sorted(queries)} and documents {sorted(documents)}; both need the same names.",
    )
    for side, features in (("queries", queries), ("documents", documents)):
        _check_features(features, side)
    for name in documents:
        widths = np.shape(queries[name])[1], np.shape(documents[name])[1]
        require(
            widths[0] == widths[1],
            f"{name} has {widths[0]} numbers a query and {widths[1]} a document; both must have as many: arrays are "
            "[rows, dimensions], so transpose one that is not, or embed both by one model.",
        )
    return jnp.stack([inner_products(working(queries[name]), working(documents[name])) for name in documents])


def fuse(features: Features, temperatures: Any = None) -> jax.Array:
    """Modalities side by side, each divided by its temperature, so that the fused score is one inner product.

        <fuse(x, tau), fuse(y)> = sum_m <x_m, y_m> / tau_m

    Args:
      features: modality name -> array [n, D_m], in the order of the temperatures (a `Corpus` keeps both sides in one
        order; under jit, pass a tuple of arrays through and build the mapping inside, since JAX sorts the keys).
      temperatures: tau [M] > 0 for queries (infinity leaves a modality out); None for documents, which stay as is.

    Returns:
      array [n, sum of D_m], in the precision of the inputs and at least float32.

    Raises:
      InputError: a temperature missing, or not above 0; a NaN or an infinity.
    """
    _check_features(features, "vectors")
    arrays = tuple(on_device(array) for array in features.values())
    if temperatures is None:
        return _beside(arrays, None)
    require(
        np.shape(temperatures) == (len(features),),
        f"there are {len(features)} modalities and temperatures of shape {np.shape(temperatures)}; give one for each.",
    )
    check_temperatures(temperatures)
    return _beside(arrays, on_device(temperatures))


@jax.jit
def _beside(arrays: tuple[jax.Array, ...], temperatures: jax.Array | None) -> jax.Array:
    parts = [working(array) for array in arrays]
    if temperatures is not None:
        parts = [part * (1.0 / t).astype(part.dtype) for part, t in zip(parts, temperatures, strict=True)]
    return jnp.concatenate(parts, axis=-1)


def _check_features(features: Features, side: str) -> None:
    shapes = {name: np.shape(array) for name, array in features.items()}
    for name, shape in shapes.items():
        good = len(shape) == 2 and 0 not in shape
        require(good, f"{name} of the {side} has shape {shape}; it must be [n, D], at least one vector.")
    require(len({shape[0] for shape in shapes.values()}) == 1, f"the {side} differ in number: {shapes}.")
    for name, array in features.items():
        numbers(array, f"{name} of the {side}")


def check_temperatures(temperatures: Any) -> None:
    """Refuse one that is not above 0; infinity leaves a modality out. Traced values pass unseen."""
    if is_concrete(temperatures):
        require(bool(np.all(np.asarray(temperatures) > 0)), "a temperature is not above 0; temperatures are positive.")


def checked_scores(scores: Any) -> jax.Array:
    """Scores as floats; NaN and +inf are refused, -inf is a document that cannot be. Traced values pass unseen."""
    if is_concrete(scores) and not isinstance(scores, jax.ShapeDtypeStruct):
        with looking():
            xp = arrays_of(scores)
            array = xp.asarray(scores)
            good = array.dtype.kind in "iub" or bool(xp.max(array, initial=-np.inf) < np.inf)
        require(good, "the scores hold a NaN or +inf; they must be numbers, -inf for what cannot be.")
    return working(scores)


def finite(scores: jax.Array) -> jax.Array:
    """Scores that overflowed at the ends of their precision, where differences of two are no NaN."""
    most = float(jnp.finfo(scores.dtype).max) / 2
    return jnp.clip(scores, -most, most)


def fused_scores(scores: jax.Array, temperatures: jax.Array) -> jax.Array:
    """sum_m s_m / tau_m [..., N] of [M, ..., N]; -inf where a modality that counts has it, with gradient 0 in tau."""
    weights = (1.0 / temperatures).astype(scores.dtype)
    possible = scores != -jnp.inf
    counts = (weights > 0).reshape(-1, *[1] * (scores.ndim - 1))
    fused = jnp.tensordot(weights, jnp.where(possible & counts, scores, 0), 1, precision=jax.lax.Precision.HIGHEST)
    return jnp.where(jnp.any(~possible & counts, axis=0), -jnp.inf, finite(fused))


def counts_from_scores(scores: Any, relevant: Any) -> tuple[jax.Array, jax.Array]:
    """How many documents score above each relevant one, and how many tie with it, from the matrix of scores.

        above = #{n : s_n > s_r},  tied = #{n : s_n = s_r} >= 1

    Args:
      scores: [..., N]; equal scores are ties, exactly.
      relevant: index of the relevant document, int [...]; or of several, int [..., J], padded with -1.

    Returns:
      above, tied: integers of the shape of `relevant`; both 0 at padding. Under jit, where values cannot be refused, a
      document with a NaN score counts above every other, and a relevant one with a NaN score ties with nothing.

    Raises:
      InputError: shapes that do not belong together, an index out of range, a NaN score.
      TypeError: when differentiated: counts are piecewise constant, so their gradient says nothing.
    """
    if not hasattr(scores, "dtype") and is_concrete(scores):
        scores = np.asarray(scores)  # a list of Python's numbers, which have all their digits
    check_relevant(scores, relevant)
    narrowed = getattr(scores, "dtype", np.dtype(np.float32))
    if isinstance(scores, np.ndarray) and jax.dtypes.canonicalize_dtype(narrowed) != narrowed and is_concrete(relevant):
        with looking(), jax.enable_x64(True):  # in fewer digits scores that differ would tie, and large integers wrap
            above, tied = _counts(jax.device_put(scores), jax.device_put(np.asarray(relevant)))
        return on_device(np.asarray(above), np.int32), on_device(np.asarray(tied), np.int32)
    scores, relevant = _ranked(on_device(scores)), on_device(relevant)
    return by_compiler(_counts, scores, relevant, leading=scores.ndim - 1)


@jax.jit
def _counts(scores: jax.Array, relevant: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Both counts, of one relevant document after the other.

    Scores that are computed inside the caller's jit may be computed twice by XLA, once where a document's own score is
    looked up and once where it is compared, and differ in the last bit (a product fused with a sum rounds once): then a
    relevant document would stand above itself. A loop whose body needs them, and whose end is known only when it runs,
    makes XLA keep one copy. An optimization barrier does not: on processors it is gone before loops are fused.
    """
    listed = relevant if relevant.ndim == scores.ndim else relevant[..., None]
    scored = jnp.take_along_axis(scores, jnp.maximum(listed[..., :1], 0), axis=-1)
    turns = listed.shape[-1] + jnp.any(jnp.isnan(scored)).astype(jnp.int32)  # the last one again changes nothing
    none = jnp.zeros(listed.shape, jnp.int32)

    def count(state: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        turn, above, tied = state
        wanted = jax.lax.dynamic_slice_in_dim(listed, turn, 1, axis=-1)
        place = jnp.maximum(wanted, 0) + (turn // turns).astype(wanted.dtype)  # turn < turns: adds 0
        own = jnp.take_along_axis(scores, place, axis=-1)

        def put(counts: jax.Array, which: jax.Array) -> jax.Array:
            here = jnp.where(wanted >= 0, jnp.sum(which, axis=-1, keepdims=True, dtype=counts.dtype), 0)
            return jax.lax.dynamic_update_slice_in_dim(counts, here, turn, axis=-1)

        return turn + 1, put(above, ~(scores <= own)), put(tied, scores == own)

    _, above, tied = jax.lax.while_loop(lambda state: state[0] < turns, count, (jnp.int32(0), none, none))
    return above.reshape(relevant.shape), tied.reshape(relevant.shape)


def listed_documents(relevant: jax.Array, scores: jax.Array) -> jax.Array:
    """Relevant documents [..., J]; under jit what is neither one nor padding is N, where `take_along_axis` has NaN."""
    several = relevant.ndim == scores.ndim
    listed = relevant if several else relevant[..., None]
    return jnp.where(listed < (-1 if several else 0), scores.shape[-1], listed)


def is_sound(scores: Any, relevant: Any) -> jax.Array:
    """Which queries have scores without NaN and relevant documents that there are, bool [...]: for what is traced."""
    there = listed_documents(jnp.asarray(relevant), jnp.asarray(scores)) < np.shape(scores)[-1]
    return jnp.all(there, axis=-1) & ~jnp.any(jnp.isnan(scores), axis=-1)


def is_listed(listed: jax.Array, size: int) -> jax.Array:
    """Which of `size` documents are listed [..., J], bool [..., size]; from `size` on a number is none."""
    rows = jnp.indices(listed.shape[:-1], sparse=True)
    place = (*(row[..., None] for row in rows), listed)
    return jnp.zeros((*listed.shape[:-1], size), bool).at[place].set(True, mode="drop")


def mean_over_queries(values: jax.Array) -> jax.Array:
    """The mean over all axes, of one query at least."""
    require(values.size > 0, "there is no query to take a mean over; give at least one.")
    return jnp.mean(values)


def working(array: Any) -> jax.Array:
    """`floating` of real numbers alone, of 64-bit ones that fit float32 where x64 is off; int8 is always float32."""
    if not hasattr(array, "dtype"):
        try:
            array = np.asarray(array) if is_concrete(array) else jnp.asarray(array)
        except ValueError:
            raise InputError(f"there are {held(array)}; give an array.") from None
    kind = getattr(array.dtype, "kind", "O")  # keys of JAX have none
    real = kind not in "OSUMc" and array.dtype.itemsize <= 8
    require(real, f"there are {array.dtype} values; give real numbers, of 64 bits at most.")
    if isinstance(array, np.ndarray) and jax.dtypes.canonicalize_dtype(array.dtype) != array.dtype:
        array = _narrowed(array)
    if array.dtype.itemsize <= 2 and not jnp.issubdtype(array.dtype, jnp.inexact):
        array = array.astype(np.float32)  # which holds all of them: where x64 is on a stored corpus takes no more
    floats = floating(array)
    return floats.astype(floats.dtype)  # not weakly, as what is made of Python's numbers in a trace


def _narrowed(array: np.ndarray) -> np.ndarray:
    """64-bit real numbers in float32, on the host, where integers do not wrap."""
    if array.dtype.kind not in "iuf":
        return array
    with np.errstate(over="ignore"):
        narrow = array.astype(np.float32)
    lost = np.isinf(narrow) & np.isfinite(array)
    require(not lost.any(), "a number is too large for float32; scale all down, or turn on JAX's x64.")
    return narrow


def inner_products(queries: jax.Array, documents: jax.Array) -> jax.Array:
    """All inner products, at full precision on accelerators too: their default would reorder near neighbors."""
    return jnp.matmul(queries, documents.T, precision=jax.lax.Precision.HIGHEST)


def _in_row(row: list[int]) -> str:
    return f" in row {row[0] if len(row) == 1 else tuple(row)}" if row else ""


def check_relevant(scores: Any, relevant: Any) -> None:
    """Refuse relevant documents that do not fit the scores (arrays, or anything with a shape)."""
    shape, entries = np.shape(scores) if not hasattr(scores, "shape") else scores.shape, np.shape(relevant)
    several = len(entries) == len(shape)
    require(not several or entries[-1:] != (0,), f"relevant has shape {entries}; it lists no document for any query.")
    require(
        len(shape) > 0 and (entries[:-1] if several else entries) == shape[:-1],
        f"scores have shape {shape} and relevant {entries}; relevant must be {shape[:-1]}, or {(*shape[:-1], 'J')} for "
        f"several per query.",
    )
    dtype = relevant.dtype if hasattr(relevant, "dtype") else np.asarray(relevant).dtype
    words = f"relevant holds {dtype} values; it must hold document indices (integers)."
    require(np.issubdtype(dtype, np.integer), words)
    if is_concrete(relevant):
        values = np.asarray(relevant)
        bad = (values >= shape[-1]) | (values < (-1 if several else 0))
        if bad.any():
            place = tuple(int(i) for i in np.argwhere(bad)[0])
            raise InputError(
                f"relevant has {int(values[place])} at {place or 'its only entry'}, "
                f"but there are {shape[-1]} documents, numbered 0 to {shape[-1] - 1}."
            )
        ordered = np.sort(values, axis=-1) if several else np.zeros((1, 1))
        twice = (np.diff(ordered, axis=-1) == 0) & (ordered[..., 1:] >= 0)
        if twice.any():
            *row, column = (int(i) for i in np.argwhere(twice)[0])
            raise InputError(
                f"relevant lists document {int(ordered[(*row, column)])} twice{_in_row(row)}; list each once."
            )
    kind = getattr(scores, "dtype", np.float64)
    require(not np.issubdtype(kind, np.complexfloating), f"the scores hold {kind} values; they must be real numbers.")
    if is_concrete(scores) and not isinstance(scores, jax.ShapeDtypeStruct):
        with looking():
            xp = arrays_of(scores)
            nan = bool(xp.isnan(xp.max(xp.asarray(scores), initial=0)))
        require(not nan, "the scores hold a NaN; a ranking needs numbers.")


_ranked = without_gradient(
    "ranks and rank metrics are piecewise constant in the scores, so their gradient is zero or undefined and says "
    "nothing; differentiate a smooth loss instead, or wrap the scores in jax.lax.stop_gradient."
)
