"""Entropy, divergence and mutual information of laws that are given, in bits.

A law is the last axis, a joint law the last axes, one per variable; leading axes are batch. 0 log 0 = 0 everywhere, and
a divergence from a law that lacks a symbol is infinite, in value and in gradient.

Gradients: the simplex ends where a probability is 0, and there the slope of -p log p is infinite, so no finite number
is the derivative in that direction. What is returned is the derivative along the face that the law lies on: a
probability that is 0 stays 0 and has gradient 0, so that p = softmax(logits) with a logit of -inf, or p = t^2 at t = 0,
differentiate right. Only directions that sum to 0 move along laws; off the simplex each formula is extended as it
stands, so gradients may differ from another library's by a constant over the symbols that are not 0.
"""

import math
from contextlib import suppress
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from rdjax import checks
from rdjax.numerics import floating, safe_log, to_bits, xlogy

Factors = tuple[jax.Array, ...]


def entropy(law: ArrayLike) -> jax.Array:
    """H(X) = -sum_x p_x log2 p_x.

    Args:
      law: p [..., K].

    Returns:
      bits [...], in [0, log2 K].

    Raises:
      InputError: no law.

    Gradients: at the edge of the simplex as the head of this file says; so for all here but `cross_entropy`.

    Source: Cover and Thomas, Elements of Information Theory, chapter 2, as for all of this file but Jensen-Shannon.
    """
    return _entropy(_law(law, "the law"), 1)


def binary_entropy(probability: ArrayLike) -> jax.Array:
    """h(p) = -p log2 p - (1 - p) log2(1 - p).

    Args:
      probability: p in [0, 1], any shape.

    Returns:
      bits, the shape of p.

    Raises:
      InputError: p outside [0, 1].
    """
    checks.numbers(probability, "the probability", 0, 1)
    p = floating(probability)
    p = jnp.where(p % 1 == 0, lax.stop_gradient(p), p)  # 0 and 1
    return to_bits(0.0 - xlogy(p, p) - xlogy(1 - p, 1 - p))  # of 1 as of 0, and not -0.0


def cross_entropy(law: ArrayLike, other: ArrayLike) -> jax.Array:
    """H(p, q) = -sum_x p_x log2 q_x: bits per symbol of p under the ideal code for q.

    Args:
      law: p [..., K].
      other: q [..., K]; leading axes broadcast.

    Returns:
      bits [...]; inf where q lacks a symbol of p.

    Raises:
      InputError: no law, two lengths, shapes that do not broadcast.

    Gradients: in p -log2 q, also where p is 0 (0 where both are); in q -p / q / ln 2.
    """
    return _cross_entropy(*_pair(law, other))


def kl(law: ArrayLike, other: ArrayLike) -> jax.Array:
    """D(p || q) = sum_x p_x log2(p_x / q_x).

    Args:
      law: p [..., K].
      other: q [..., K]; leading axes broadcast.

    Returns:
      bits [...], at least 0; inf where q lacks a symbol of p.

    Raises:
      InputError: no law, two lengths, shapes that do not broadcast.
    """
    return _kl(*_pair(law, other))


def jensen_shannon(*laws: ArrayLike, weights: ArrayLike | None = None) -> jax.Array:
    """JS = H(sum_m w_m p_m) - sum_m w_m H(p_m) = I(which law; symbol).

    Args:
      laws: two or more, each [..., K]; leading axes broadcast.
      weights: a law w [M] over them; None: equal.

    Returns:
      bits [...], in [0, log2 M]; always finite.

    Raises:
      InputError: fewer than two laws, no law, shapes that do not broadcast, as many weights as there are not laws.

    Source: Lin, Divergence measures based on the Shannon entropy, IEEE Trans. Inf. Theory 37, 1991.
    """
    checks.require(len(laws) >= 2, f"{len(laws)} law(s) were given; a Jensen-Shannon divergence needs at least two.")
    given = _broadcast([_law(law, f"law {m}") for m, law in enumerate(laws)])
    w = floating(np.full(len(laws), 1 / len(laws), given[0].dtype)) if weights is None else _law(weights, "the weights")
    checks.require(w.shape == (len(laws),), f"the weights have shape {w.shape}; there are {len(laws)} laws.")
    return _jensen_shannon(given, w)


def joint_entropy(joint: ArrayLike, variables: int | None = None) -> jax.Array:
    """H(X_1, ..., X_M) of a joint law.

    Args:
      joint: [..., K_1, ..., K_M].
      variables: M, how many of the last axes are variables; None: all axes are.

    Returns:
      bits [...].

    Raises:
      InputError: no law, more variables than axes.
    """
    count = _variables(joint, variables)
    return _entropy(_law(joint, "the joint law", count), count)


def conditional_entropy(joint: ArrayLike) -> jax.Array:
    """H(Y | X) = -sum_xy p_xy log2(p_xy / p_x).

    Args:
      joint: p [..., X, Y]; what is known comes first.

    Returns:
      bits [...], in [0, log2 Y].

    Raises:
      InputError: no law, fewer than two axes.
    """
    return _conditional_entropy(_law(joint, "the joint law", 2))


def mutual_information(joint: ArrayLike) -> jax.Array:
    """I(X; Y) = sum_xy p_xy log2( p_xy / (p_x p_y) ).

    Args:
      joint: p [..., X, Y].

    Returns:
      bits [...], at least 0.

    Raises:
      InputError: no law, fewer than two axes.
    """
    return _total_correlation(_law(joint, "the joint law", 2), 2)


def conditional_mutual_information(joint: ArrayLike) -> jax.Array:
    """I(X; Y | Z) = sum_xyz p_xyz log2( p_xyz p_z / (p_xz p_yz) ).

    Args:
      joint: p [..., X, Y, Z]; the condition comes last.

    Returns:
      bits [...], at least 0.

    Raises:
      InputError: no law, fewer than three axes.
    """
    return _conditional_mutual_information(_law(joint, "the joint law", 3))


def total_correlation(joint: ArrayLike, variables: int | None = None) -> jax.Array:
    """TC = sum_m H(X_m) - H(X_1, ..., X_M) = D(joint || product of its marginals).

    Args:
      joint: [..., K_1, ..., K_M].
      variables: M, how many of the last axes are variables; None: all axes are.

    Returns:
      bits [...], at least 0; for two variables the mutual information.

    Raises:
      InputError: no law, more variables than axes.

    Source: Watanabe, Information theoretical analysis of multivariate correlation, IBM J. Res. Dev. 4, 1960.
    """
    count = _variables(joint, variables)
    return _total_correlation(_law(joint, "the joint law", count), count)


@partial(jax.jit, static_argnums=1)
def _entropy(law: jax.Array, variables: int) -> jax.Array:
    p = _on_its_face(law)
    return _floored(to_bits(jnp.sum(-p * safe_log(p), axis=_last(variables))))


@jax.jit
def _cross_entropy(law: jax.Array, other: jax.Array) -> jax.Array:
    absent = (law == 0) & (other == 0)
    logs = jnp.log(jnp.where(absent, 1.0, other))
    return to_bits(jnp.sum(-law * logs, axis=-1))  # where only p is 0: 0 by itself, of slope -log q in p and 0 in q


@jax.jit
def _kl(law: jax.Array, other: jax.Array) -> jax.Array:
    p = _on_its_face(law)
    return _mean_log_ratio(p, (p,), (other,), 1)


@jax.jit
def _jensen_shannon(laws: list[jax.Array], weights: jax.Array) -> jax.Array:
    return _total_correlation(jnp.stack([w * law for w, law in zip(weights, laws, strict=True)], axis=-2), 2)


@jax.jit
def _conditional_entropy(joint: jax.Array) -> jax.Array:
    p = _on_its_face(joint)
    return _mean_log_ratio(p, (jnp.sum(p, axis=-1, keepdims=True),), (p,), 2)


@partial(jax.jit, static_argnums=1)
def _total_correlation(joint: jax.Array, variables: int) -> jax.Array:
    p = _on_its_face(joint)
    others = lambda m: tuple(axis for axis in _last(variables) if axis != m)
    marginals = tuple(jnp.sum(p, axis=others(m), keepdims=True) for m in _last(variables))
    return _mean_log_ratio(p, (p,), marginals, variables)


@jax.jit
def _conditional_mutual_information(joint: jax.Array) -> jax.Array:
    p = _on_its_face(joint)
    total = lambda *axes: jnp.sum(p, axis=axes, keepdims=True)
    return _mean_log_ratio(p, (p, total(-3, -2)), (total(-2), total(-3)), 3)


def _mean_log_ratio(p: jax.Array, over: Factors, under: Factors, variables: int) -> jax.Array:
    """sum p log2(product of over / product of under), where p is 0 a plain 0."""
    active = p != 0
    log = lambda q: jnp.log(jnp.where(active, jnp.broadcast_to(q, p.shape), 1.0))  # of each: products underflow
    terms = sum((log(q) for q in over[1:]), log(over[0])) - sum((log(q) for q in under[1:]), log(under[0]))
    return _floored(to_bits(jnp.sum(jnp.where(active, p * terms, 0.0), axis=_last(variables))))


def _floored(bits: jax.Array) -> jax.Array:
    """What cannot be negative, where rounding made it so; the derivatives, of any order, stay those of the formula."""
    return bits + lax.stop_gradient(jnp.where(bits < 0, -bits, 0.0))


def _on_its_face(law: jax.Array) -> jax.Array:
    """The law, whose zeros are constants to differentiation."""
    return jnp.where(law != 0, law, 0.0)


def _last(variables: int) -> tuple[int, ...]:
    return tuple(range(-variables, 0))


def _variables(joint: Any, variables: int | None) -> int:
    axes = np.ndim(joint)
    count = max(axes, 1) if variables is None else checks.whole(variables, "the number of variables")
    checks.require(count <= max(axes, 1), f"the joint law has {axes} axes; it cannot hold {count} variables.")
    return count


def _law(values: Any, where: str, variables: int = 1) -> jax.Array:
    """A law over the last axes, as floats; its values are tested unless they are traced."""
    shape = np.shape(values)
    names = " by ".join("XYZ"[:variables]) if variables <= 3 else f"{variables} variables"
    checks.require(len(shape) >= variables, f"{where} has shape {shape}; its last axes must be {names}.")
    if checks.is_concrete(values):
        with checks.looking():
            array = checks.arrays_of(values).asarray(values).reshape(*shape[:-variables], math.prod(shape[-variables:]))
        checks.law(array, where, rounded=True)
    return floating(values)


def _pair(law: Any, other: Any) -> list[jax.Array]:
    return _broadcast([_law(law, "the first law"), _law(other, "the second law")])


def _broadcast(laws: list[jax.Array]) -> list[jax.Array]:
    shape, shapes = laws[0].shape[:0], [law.shape for law in laws]
    with suppress(ValueError):
        shape = jnp.broadcast_shapes(*shapes)
    same = {s[-1:] for s in shapes} == {shape[-1:]}
    checks.require(same, f"the laws have shapes {shapes}; their symbols must be the same and their batches broadcast.")
    return [jnp.broadcast_to(law.astype(jnp.result_type(*laws)), shape) for law in laws]
