"""Sums and maxima of vectors in programs of which a CPU runs a small part.

XLA's CPU pays for every reduction of a program at every call, entered or not: about half a microsecond, and twice that
where it cuts one into two. An easy problem is answered before any loop is entered, and a third of its time went there.
A product of two rows is no reduction (of one row it is made one again), and neither is a maximum cut in two if no
dimension has more than 32 entries. On accelerators both are what they were. See `benchmarks/rate_distortion.py`.
"""

import jax
import jax.numpy as jnp
from jax import lax

HIGHEST = lax.Precision.HIGHEST
UNCUT = 32  # entries of a dimension that are reduced in one go


def inner(x: jax.Array, y: jax.Array) -> jax.Array:
    """sum_j x_j y_j of x [M] and y [M] or [M, K]."""
    return jnp.matmul(jnp.stack([x, jnp.zeros_like(x)]), y, precision=HIGHEST)[0]


def total(x: jax.Array) -> jax.Array:
    """sum_j x_j of x [M], or of every column of [M, K]."""
    return inner(jnp.ones(x.shape[0], x.dtype), x)


def largest(x: jax.Array) -> jax.Array:
    """max_j x_j over the last axis [..., M]."""
    short = -x.shape[-1] % UNCUT
    padded = jnp.concatenate([x, jnp.full((*x.shape[:-1], short), -jnp.inf, x.dtype)], axis=-1) if short else x
    return jnp.max(lax.optimization_barrier(padded.reshape(*x.shape[:-1], -1, UNCUT)), axis=(-2, -1))
