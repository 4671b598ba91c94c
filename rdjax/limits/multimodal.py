"""What a modality has to send, and what several targets cost together: converses for M modalities.

Cut-set: hand everything but X_S to the decoder for free, and what is still open of the relevant document Y has to come
from X_S. Several targets: a code from which M rankings are made has to tell all M documents, and what these share it
sends once. Neither has a price for unequal entropies, as (7) of the paper has: such a price cannot exist (theory notes,
section 3.2). Source: theory notes, section 3.3, with Theorem B in place of Theorem A.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from rdjax import checks
from rdjax.information.discrete import mutual_information
from rdjax.limits.ranking import ranking_rate
from rdjax.numerics import floating, safe_log, to_bits
from rdjax.retrieval.weights import Weights, reciprocal_rank

MOST_TARGETS = 12  # 4,095 sets of targets, 531,441 marginal probabilities of two documents each


def cut_set_rate(
    distortion: ArrayLike,
    joint: ArrayLike,
    senders: Sequence[int],
    weights: Weights | ArrayLike = reciprocal_rank,
) -> jax.Array:
    """Bits that the modalities S have to send beyond what the others could ever tell: [R_Y(D) - I(Y; X_rest)]^+.

    For joint encoders I(X_S; C | X_rest), for separate ones sum_{m in S} R_m is at least this: I(X_S; C | X_rest) >=
    I(Y; C | X_rest) >= H(Y | X_rest) - H(Y | C), and H(Y | C) <= H(Y) - R_Y(D) by Theorem B. At D_min it is
    H(Y | X_rest), `unique_relevance` for one sender: 0 if the others determine Y.

    Args:
      distortion: D = 1 - E w(rank of Y), any shape.
      joint: p [K_1, ..., K_M, K_Y].
      senders: S, numbers of modalities from 0; static.
      weights: a function of the rank, or a non-increasing array [K_Y].

    Returns:
      bits, the shape of `distortion`.

    Raises:
      InputError: no law; no senders, or some that are no modalities; a distortion below 1 - w_1.

    Source: theory notes, section 3.3 (M2).
    """
    law = _joint(joint)
    checks.require(np.ndim(senders) == 1, f"the senders are {senders!r}; give a sequence of modalities, e.g. (0,).")
    count, wanted = law.ndim - 1, tuple(senders)
    checks.require(count > 0, f"the joint law has shape {law.shape}; it must be [K_1, ..., K_M, K_Y].")
    good = len(wanted) > 0 and len(set(wanted)) == len(wanted) and set(wanted) <= set(range(count))
    checks.require(good, f"the senders are {wanted}; they must be some of the modalities 0 to {count - 1}, each once.")
    rest = jnp.sum(law, axis=wanted).reshape(-1, law.shape[-1])
    return jnp.maximum(ranking_rate(distortion, jnp.sum(rest, axis=0), weights) - mutual_information(rest), 0)


def several_targets_rate(
    distortions: ArrayLike, joint: ArrayLike, weights: Weights | ArrayLike = reciprocal_rank
) -> jax.Array:
    """Bits of a code from which M rankings are made, each for a document of its own: the best over sets A of targets of

        sum_{m in A} R_m(D_m) - TC(Y_A),    R_m of Theorem B.

    What the targets share lowers the rate, by their total correlation at most. In a Gray-Wyner network, with one common
    message and one for each ranking, R_0 + sum_m R_m is at least this, and R_0 + R_m at least R_m(D_m).

    Args:
      distortions: D_m [M], each 1 - E w(rank of Y_m).
      joint: p [N_1, ..., N_M] of the M relevant documents; at most 12.
      weights: a function of the rank, or a non-increasing array if all targets have equally many documents.

    Returns:
      bits, a number. Time and memory are those of all marginals, prod_m (N_m + 1) numbers. Where the joint is 0 its
      derivative, which may be infinite, is some finite number.

    Raises:
      InputError: no law; another number of distortions; a distortion below 1 - w_1.

    Source: theory notes, section 3.3 (M3).
    """
    law = _joint(joint)
    count = law.ndim
    checks.require(
        np.shape(distortions) == (count,), f"there are {np.shape(distortions)} distortions for {count} targets."
    )
    checks.require(count <= MOST_TARGETS, f"there are {count} targets; at most {MOST_TARGETS} are taken at once.")
    each = jnp.asarray(distortions)
    marginals, shared = _marginals(law)
    alone = [ranking_rate(each[m], marginal, weights) for m, marginal in enumerate(marginals)]
    return _best_set(alone, shared)


@jax.jit
def _marginals(joint: jax.Array) -> tuple[list[jax.Array], jax.Array]:
    """The law of each target, and TC(Y_A) of every set A in bits [2, ..., 2]: at 0 along its axes, at 1 along the rest.

    One table has the marginals of all sets, so that there is one program and not one for each shape: along every axis
    its sum is put after it.
    """
    count, table = joint.ndim, joint
    for axis in range(count):
        table = jnp.concatenate([table, jnp.sum(table, axis, keepdims=True)], axis)
    last = (-1,) * count
    marginals = [table[(*last[:m], slice(-1), *last[m + 1 :])] for m in range(count)]
    table = jnp.where(table != 0, table, 0)  # a probability that is 0 stays 0, with gradient 0
    along = lambda values, axis: jnp.expand_dims(jnp.pad(values, (0, 1)), tuple({*range(count)} - {axis}))
    product = sum(along(safe_log(marginal), m) for m, marginal in enumerate(marginals))
    bits = to_bits(table * (safe_log(table) - product))
    for axis in range(count):
        inside, beyond = lax.slice_in_dim(bits, 0, -1, axis=axis), lax.slice_in_dim(bits, -1, None, axis=axis)
        bits = jnp.concatenate([jnp.sum(inside, axis, keepdims=True), beyond], axis)
    return marginals, bits + lax.stop_gradient(jnp.where(bits < 0, -bits, 0))  # rounding made it so; as `_floored`


@jax.jit
def _best_set(alone: list[jax.Array], shared: jax.Array) -> jax.Array:
    """The largest of sum_{m in A} R_m - TC(Y_A) over all A but the empty one, which is the last."""
    either = jnp.meshgrid(*(jnp.stack([rate, jnp.zeros_like(rate)]) for rate in alone), indexing="ij", sparse=True)
    return jnp.max((sum(either[1:], either[0]) - shared).ravel()[:-1])


def _joint(joint: ArrayLike) -> jax.Array:
    """The law, tested as one law over all its axes unless it is traced."""
    checks.law(np.ravel(joint) if checks.is_concrete(joint) else joint, "the joint law")
    return floating(joint)
