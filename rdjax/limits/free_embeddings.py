"""Freely optimized embeddings: the fewest dimensions in which given relevance is found to be possible.

No text, no image, no encoder: the vectors themselves are the parameters, so nothing that computes vectors from content
can do with fewer dimensions than the best of these. What is found is achievable; what is not found is only not found
(floors: `pattern_dimension`; a construction: `moment_curve`).
"""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rdjax.checks import require, whole
from rdjax.descent import falling_adam
from rdjax.host import on_the_host
from rdjax.limits.dimensions import check_patterns
from rdjax.trees import register_dataclass

if TYPE_CHECKING:
    import optax

LOOKS = 20  # at most, at which it is seen whether every set is on top
SHARPEST = 200.0  # inverse temperature of the loss at the end, of unit vectors


@register_dataclass
@dataclass(frozen=True)
class FreeEmbeddings:
    """Unit vectors whose inner products rank.

    Args:
      queries: [P, d].
      documents: [N, d].
      gaps: the least score of a wanted document less the largest of the others [P]; above 0 where the query has its own
        on top.
    """

    queries: jax.Array
    documents: jax.Array
    gaps: jax.Array

    @property
    def on_top(self) -> jax.Array:
        """Which queries [P] have their documents on top, by more than what rounds d products and two lengths."""
        return self.gaps > 2 * (self.queries.shape[-1] + 2) * jnp.finfo(self.gaps.dtype).eps

    @property
    def satisfied(self) -> float:
        """Share of the queries whose documents are on top."""
        return float(np.mean(np.asarray(self.on_top)))


@on_the_host
def embed_freely(
    patterns: Any,
    dimension: int,
    *,
    optimizer: "optax.GradientTransformation | None" = None,
    starts: int = 4,
    steps: int = 2000,
    seed: int = 0,
) -> FreeEmbeddings:
    """The vectors that bring most queries' documents to the top, by gradient descent from several starts.

    The loss of a query is ln(1 + sum_{i wanted, j not} exp(beta (s_j - s_i))), which takes one softmax of each kind,
    with beta rising to 200. It ends when all of a start's queries are satisfied.

    Args:
      patterns: booleans [P, N]: which documents each query wants.
      dimension: d >= 1.
      optimizer: of Optax, on vectors that are normalized in the loss; None: Adam, rate 0.1 falling to 0.
      starts: S >= 1, side by side.
      steps: of each start, at most.
      seed: of the starts.

    Returns:
      `FreeEmbeddings` of the best start.

    Raises:
      InputError: no such patterns, a query that wants none or all, sizes below 1.
    """
    sets = check_patterns(patterns)
    d, starts, steps = whole(dimension, "the dimension"), whole(starts, "starts"), whole(steps, "steps")
    optimizer = falling_adam(0.1, steps) if optimizer is None else optimizer
    rng = np.random.default_rng(seed)
    wanted = jnp.asarray(sets)
    dtype = jnp.result_type(float)
    queries, documents = (jnp.asarray(rng.standard_normal((starts, len(a), d)), dtype) for a in (sets, sets.T))
    state = _begin(optimizer, (queries, documents))
    length, best = -(-steps // LOOKS), None
    for done in range(0, steps, length):
        further = min(length, steps - done)  # another program only where the steps do not divide
        state = _descend(optimizer, further, state, wanted, jnp.asarray(done / steps, dtype), 1 / steps)
        found = _read(state[0], wanted)
        place = int(np.argmax(np.asarray(jnp.mean(found.on_top, axis=1))))
        chosen = jax.tree.map(lambda leaf, place=place: leaf[place], found)
        best = chosen if best is None or chosen.satisfied > best.satisfied else best
        if best.satisfied == 1:
            break
    assert best is not None
    return best


@on_the_host
def achieved_dimension(patterns: Any, least: int, most: int, **options: Any) -> tuple[int | None, FreeEmbeddings]:
    """The first dimension from `least` on in which all queries are satisfied, and its vectors.

    Args:
      patterns: booleans [P, N].
      least, most: where to look.
      options: of `embed_freely`.

    Returns:
      (d, embeddings), or (None, those of the last dimension that was tried) where none was found up to `most`.
    """
    require(1 <= least <= most, f"dimensions from {least} to {most} were asked for; give a range from 1 on.")
    for dimension in range(least, most + 1):
        found = embed_freely(patterns, dimension, **options)
        if found.satisfied == 1:
            return dimension, found
    return None, found


Vectors = tuple[jax.Array, jax.Array]


def _unit(vectors: Vectors) -> Vectors:
    queries, documents = (v / jnp.linalg.norm(v, axis=-1, keepdims=True) for v in vectors)
    return queries, documents


def _scores(vectors: Vectors) -> jax.Array:
    queries, documents = _unit(vectors)
    return jnp.matmul(queries, documents.T, precision=lax.Precision.HIGHEST)


def _loss(vectors: Vectors, wanted: jax.Array, beta: jax.Array) -> jax.Array:
    scores = beta * _scores(vectors)
    worst = jax.nn.logsumexp(jnp.where(wanted, -scores, -jnp.inf), axis=1)
    best = jax.nn.logsumexp(jnp.where(wanted, -jnp.inf, scores), axis=1)
    return jnp.mean(jax.nn.softplus(worst + best)) / beta


@partial(jax.jit, static_argnums=0)
def _begin(optimizer: Any, vectors: Vectors) -> tuple[Vectors, Any]:
    return vectors, jax.vmap(optimizer.init)(vectors)


@partial(jax.jit, static_argnums=(0, 1))
def _descend(optimizer: Any, length: int, state: Any, wanted: jax.Array, first: jax.Array, share: float) -> Any:
    """So many steps of every start."""
    import optax

    def step(state: Any, number: jax.Array) -> tuple[Any, None]:
        vectors, memory = state
        beta = 5 * (SHARPEST / 5) ** (first + number * share)
        slopes = jax.grad(_loss)(vectors, wanted, beta.astype(first.dtype))
        moves, memory = optimizer.update(slopes, memory, vectors)
        return (optax.apply_updates(vectors, moves), memory), None

    many = lambda one: lax.scan(step, one, jnp.arange(length))[0]
    return jax.vmap(many)(state)


@jax.jit
def _read(vectors: Vectors, wanted: jax.Array) -> FreeEmbeddings:
    scores = jax.vmap(_scores)(vectors)
    least = jnp.min(jnp.where(wanted[None], scores, jnp.inf), axis=2)
    most = jnp.max(jnp.where(wanted[None], -jnp.inf, scores), axis=2)
    return FreeEmbeddings(*_unit(vectors), least - most)
