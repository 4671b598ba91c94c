"""A certificate for noisy relevance: no code of rankings has a smaller Lagrangian.

Weak duality: for every positive vector v and every slope s (nats),

    R(D) >= s (1 - D) - sum_x p_x ln v_x - ln max_pi sum_x (p_x / v_x) exp(s <q_x, u_pi>),   u_pi(y) = w(rank of y).

The maximum over rankings is NP-hard in general. It is bounded from above in three steps.

1. Split by the document j on top, and bound every kernel by a function that is separable given j (`kernel_majorant`).
2. What is left is an assignment of documents to ranks for each j, with costs C_j[y, k], the ranks lumped on knots.
3. Any prices P_k of the knots bound an assignment: sum_k cap_k P_k + sum_y max_k (C_j[y, k] - P_k). Those that clear
   one knot after the other are within about a thousandth of the best.

v is a mixture of the bounds at the codewords of a good code and, by column generation, at the best rankings that steps
2 and 3 found, reweighted so that no j stands out. What is certified is computed in float64. Source: theory notes,
section 2.2; steps 1 to 3 and the choice of v are stronger than what is there.
"""

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec

from rdjax.limits.kernel_majorant import Majorant, majorant_at, majorize
from rdjax.limits.queries import Queries
from rdjax.limits.rank_knots import Knots, lay_knots
from rdjax.limits.ranking_assignment import add_costs, assignments
from rdjax.limits.rankings_code import RankingsCode
from rdjax.rate_distortion.ascent import ascend
from rdjax.retrieval.beside import Beside
from rdjax.shards import by_rows

HIGHEST = lax.Precision.HIGHEST
ENOUGH = 1e-4  # nats: passes go on while they gain more
SMALL = 0.2  # of the mean weight
EAGER = 5.0  # times its excess score, in mean weights, is added to a small weight
SWEEPS = 50  # of the mixture's law after columns were added


class Sizes(NamedTuple):
    """Documents on top in flight; passes at most; how many of them add columns; how often the majorants are fitted and
    all of that is done."""

    width: int
    passes: int
    generations: int
    fits: int


class _Block(NamedTuple):
    """Some queries: posteriors [B, N], source [B], majorant; scale [B] times columns [B, G] are the bounds to mix.

    The first N columns are means over the codewords with each document on top; then N for each generation.
    """

    posteriors: jax.Array
    source: jax.Array
    majorant: Majorant
    scale: jax.Array
    columns: jax.Array


def certify(queries: Queries, worth: np.ndarray, slope: float, code: RankingsCode, sizes: Sizes) -> float:
    """The best lower bound found of min over codes of I(X; C) - s E <q_X, u_C>, in nats; -inf if it overflows.

    Args:
      queries: posteriors [X, N], N at least 2, and their law.
      worth: [N], float64.
      slope: nats.
      code: a good one; the bounds are made tight at its codewords, and after the first fit also at the best rankings
        found by the fit before.
      sizes: of the computation. A pass is one matrix product [N, X] by [X, N], and for each document some 70 times K
        counts of N numbers.
    """
    knots, best = lay_knots(worth, slope), -math.inf
    columns = np.asarray(code.orders), np.asarray(code.law, np.float64)
    for _ in range(sizes.fits):
        value, mass, rankings = _passes(queries, worth, slope, knots, *columns, sizes)
        best = max(best, value)
        columns = _with_rankings(code, rankings, mass)
    terms = queries.size + len(worth) * knots.worth.shape[0] + 16 * (slope + 1)
    return best - 4 * float(np.finfo(np.float64).eps) * terms  # rounding of sums of so many terms


def _passes(
    queries: Queries,
    worth: np.ndarray,
    slope: float,
    knots: Knots,
    orders: np.ndarray,
    law: np.ndarray,
    sizes: Sizes,
) -> tuple[float, np.ndarray, np.ndarray]:
    """With majorants fitted to these rankings: the best value, the weight of each document on top [N], and the last
    rankings [N, N]."""
    documents, best = len(worth), -math.inf
    groups = documents * (1 + sizes.generations)
    given = {"worth": worth, "slope": slope, "knots": knots, "sharding": queries.sharding}
    blocks = _each(queries, partial(_block, orders=orders, law=law, groups=groups, **given), queries.blocks())
    mass = _balance(blocks, np.bincount(orders[:, 0], law, groups))
    for turn in range(sizes.passes):
        value, scores, rankings = _pass(queries, blocks, mass, worth, slope, knots, sizes.width)
        gain, best = value - best, max(value, best)
        mass = _reweighted(mass.reshape(-1, documents), scores, min(turn, sizes.generations))
        if turn < sizes.generations:
            add = partial(_append, rankings=rankings, first=documents * (turn + 1), **given)
            blocks = _each(queries, add, [(block,) for block in blocks])
            mass[turn + 1] = mass.sum(axis=0)
            mass = _balance(blocks, mass.ravel())
        elif turn > sizes.generations and not gain > ENOUGH:
            break
        mass = mass.ravel() / mass.sum()
    return best, mass.reshape(-1, documents).sum(axis=0), rankings


def _each(queries: Queries, step: Callable[..., Any], given: Iterable[tuple[Any, ...]]) -> list[Any]:
    """step(*one) for each, so many at once as have their own part of the memory."""
    given = list(given)
    with Beside(queries.mesh, queries.blocks_at_once) as beside:
        return beside.done(beside.begin(step, given, [()] * len(given)))


def _with_rankings(code: RankingsCode, rankings: np.ndarray, mass: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The code's rankings and one for each document on top [L + N, N], and their weights, half and half [L + N]."""
    orders, law = np.asarray(code.orders), np.asarray(code.law, np.float64)
    tops = np.bincount(orders[:, 0], law, len(mass))
    kept = law * (mass / np.where(tops > 0, tops, 1))[orders[:, 0]]
    weights = np.concatenate([kept, mass])
    return np.concatenate([orders, rankings]), weights / weights.sum()


def _reweighted(mass: np.ndarray, scores: np.ndarray, latest: int) -> np.ndarray:
    """More weight [1 + generations, N] for the documents whose scores stand out.

    Weights grow in proportion to the scores, as in Blahut-Arimoto. A small weight hardly moves its own score, so it may
    take a larger step, in the latest columns; else one that has all but vanished would take very long to come back.
    """
    excess = scores * mass.sum() / (mass.sum(axis=0) @ scores) - 1
    mass = mass * (1 + excess)
    mass = mass / mass.sum()
    small = mass.sum(axis=0) < SMALL / len(scores)
    mass[latest] += np.where(small, np.clip(EAGER * excess, 0, SMALL) / len(scores), 0)
    return mass


@partial(jax.jit, static_argnames=("groups", "sharding"))
def _block(
    posteriors: jax.Array,
    source: jax.Array,
    worth: jax.Array,
    slope: float,
    knots: Knots,
    orders: jax.Array,
    law: jax.Array,
    groups: int,
    sharding: NamedSharding | None,
) -> _Block:
    def made(rows: tuple, rest: tuple) -> _Block:
        posteriors, source = rows[0].astype(jnp.float64), rows[1]
        posteriors = posteriors / jnp.sum(posteriors, axis=1, keepdims=True)
        majorant, means = majorize(posteriors, *rest)
        scale = jnp.max(means, axis=1)
        # float32 from here: all that is lost is how well v is chosen
        columns = jnp.pad((means / scale[:, None]).astype(jnp.float32), ((0, 0), (0, groups - means.shape[1])))
        return _Block(posteriors, source, majorant, scale, columns)

    return by_rows(made, sharding)((posteriors, source), (worth, slope, knots, orders, law))


@partial(jax.jit, static_argnames="sharding")
def _append(
    block: _Block,
    worth: jax.Array,
    slope: float,
    knots: Knots,
    rankings: jax.Array,
    first: int,
    sharding: NamedSharding | None,
) -> _Block:
    """The block with the bounds at N more rankings as columns, from column `first` on."""

    def added(block: _Block, rest: tuple) -> jax.Array:
        *problem, first = rest
        bounds = majorant_at(block.posteriors, block.majorant, *problem) / block.scale[:, None]
        return lax.dynamic_update_slice_in_dim(block.columns, bounds.astype(jnp.float32), first, axis=1)

    return block._replace(columns=by_rows(added, sharding)(block, (worth, slope, knots, rankings, first)))


def _balance(blocks: list[_Block], mass: np.ndarray) -> np.ndarray:
    """The law of the columns [G] that suits the bounds best."""
    law = _ascend([b.columns for b in blocks], [b.source for b in blocks], mass)
    return np.asarray(law, np.float64)


@jax.jit
def _ascend(columns: list[jax.Array], sources: list[jax.Array], mass: jax.Array) -> jax.Array:
    # blocks side by side, not one after the other: so no row of a device moves to another
    kernel = jnp.stack(columns, axis=1).reshape(-1, columns[0].shape[1])
    source = jnp.stack(sources, axis=1).ravel().astype(jnp.float32)
    return ascend(kernel, source, (mass / jnp.sum(mass)).astype(jnp.float32), 1e-6, SWEEPS).law


def _pass(
    queries: Queries,
    blocks: list[_Block],
    mass: np.ndarray,
    worth: np.ndarray,
    slope: float,
    knots: Knots,
    width: int,
) -> tuple[float, np.ndarray, np.ndarray]:
    """The lower bound that a law of the columns [G] gives; for each document on top, a bound from above of the best
    score [N], and a ranking that is good [N, N]."""
    documents, sharding = len(worth), queries.sharding
    mixes = [_mix(block, mass, slope) for block in blocks]

    def share(first: int) -> tuple[np.ndarray, np.ndarray]:
        table = queries.zeros((documents, width, knots.worth.shape[0]))
        for block, (dual, _) in zip(blocks, mixes, strict=True):
            table = _add_costs(table, block, dual, worth, slope, knots, first, sharding=sharding)
        bounds, orders = _assignments(table, knots, first, sharding=sharding)
        return np.asarray(bounds), np.asarray(orders)

    firsts = [min(first, documents - width) for first in range(0, documents, width)]
    found = _each(queries, share, [(first,) for first in firsts])
    scores, rankings = np.zeros(documents), np.zeros((documents, documents), np.int32)
    for first, (bounds, orders) in zip(firsts, found, strict=True):
        scores[first : first + width], rankings[first : first + width] = bounds, orders
    with np.errstate(all="ignore"):  # an overflow ends here, as no bound
        value = float(-sum(float(total) for _, total in mixes) - np.log(np.max(scores)))
    return (value if math.isfinite(value) else -math.inf), scores, rankings


@partial(jax.jit, static_argnames="sharding", donate_argnames="table")
def _add_costs(
    table: jax.Array,
    block: _Block,
    dual: jax.Array,
    worth: jax.Array,
    slope: float,
    knots: Knots,
    first: int,
    sharding: NamedSharding | None,
) -> jax.Array:
    """Adds what a block costs to the tables [devices, N, width, K], on each device what its own queries cost."""

    def added(rows: tuple, rest: tuple) -> jax.Array:
        table, block, dual = rows
        return add_costs(table[0], block.posteriors, block.majorant, dual, *rest)[None]

    return by_rows(added, sharding)((table, block, dual), (worth, slope, knots, first))


@partial(jax.jit, static_argnames="sharding")
def _assignments(
    table: jax.Array, knots: Knots, first: int, sharding: NamedSharding | None
) -> tuple[jax.Array, jax.Array]:
    """`assignments` of the sum of all devices' tables; each device takes a share of the documents on top."""
    if sharding is None or table.shape[2] % table.shape[0]:
        return assignments(jnp.sum(table, axis=0), knots, first)
    axes = sharding.spec[0]

    def shared(table: jax.Array, rest: tuple) -> tuple[jax.Array, jax.Array]:
        knots, first = rest
        share = lax.psum_scatter(table[0], axes, scatter_dimension=1, tiled=True)
        return assignments(share, knots, first + lax.axis_index(axes) * share.shape[1])

    found = by_rows(shared, sharding)(table, (knots, first))
    return lax.with_sharding_constraint(found, NamedSharding(sharding.mesh, PartitionSpec()))


@jax.jit
def _mix(block: _Block, mass: jax.Array, slope: float) -> tuple[jax.Array, jax.Array]:
    """p_x / v_x [B] with v in units of exp(s shift_x), and sum p_x ln v_x of a block."""
    mix = block.scale * jnp.matmul(block.columns.astype(mass.dtype), mass, precision=HIGHEST)
    logs = jnp.log(mix) + slope * block.majorant.shift
    return block.source / mix, jnp.matmul(block.source, logs, precision=HIGHEST)
