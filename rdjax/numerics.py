"""Numbers at the edges: values and gradients that are defined where the textbook formula reads 0 * log 0.

Every function here is elementwise or reduces the last axis, follows the precision of its input, and is safe under
jit, vmap and grad. The trap is the single `where`: its gradient at the masked point is 0 * inf. All use two.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

LN2 = math.log(2.0)


ALIGNMENT = 64  # bytes: what starts there is taken by the CPU as it is
SMALL = 2**16  # bytes that are copied once more in no time


def on_device(x: ArrayLike, dtype: Any = None) -> jax.Array:
    """`jnp.asarray`, which compiles a program for each shape of a NumPy array; this casts and copies it on the host.

    At once: JAX copies while the caller goes on, and may be writing into it already.
    """
    if isinstance(x, np.ndarray):
        return jax.device_put(_own_copy(x, np.dtype(x.dtype if dtype is None else dtype)))
    return jnp.asarray(x, dtype)


def _own_copy(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    size = x.size * dtype.itemsize
    if size < SMALL or isinstance(x, np.ma.MaskedArray):
        return np.array(x, dtype, subok=True)  # a masked array is none, which JAX says
    room = np.empty(size + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    copy = room[start : start + size].view(dtype).reshape(x.shape)
    copy[...] = x
    return copy


def at_ranks(weights: Callable[[Any], Any], ranks: Any) -> np.ndarray:
    """w at ranks, float64 on the host: also of a function in JAX while a trace is made, and whatever x64 says."""
    with jax.ensure_compile_time_eval(), jax.enable_x64(True):
        return np.asarray(weights(ranks), np.float64)


def floating(x: ArrayLike) -> jax.Array:
    """An array of floats, float32 at least, in the precision of the input as far as the x64 setting allows.

    A NumPy array is copied: JAX remembers one that a traced function closed over in the precision it met it first, and
    would hand it out so even where x64 is off. Its precision is named, or JAX compiles a program for each shape.
    """
    if isinstance(x, jax.Array) and x.dtype in (jnp.float32, jax.dtypes.canonicalize_dtype(jnp.float64)):
        return x
    if not hasattr(x, "dtype") and not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(x)):
        x = np.asarray(x)  # numbers of Python, however large, and lists of them
    if isinstance(x, np.ndarray):
        narrow = jnp.issubdtype(x.dtype, jnp.floating)  # NumPy knows bfloat16 by its size alone
        dtype = np.promote_types(x.dtype, np.float32) if narrow else np.dtype(np.float64)
        dtype = jax.dtypes.canonicalize_dtype(dtype)
        return jnp.asarray(np.array(x, dtype), dtype)
    array = jnp.asarray(x)
    inexact = jnp.issubdtype(array.dtype, jnp.inexact)
    return array.astype(jnp.promote_types(array.dtype, jnp.float32) if inexact else float)


def matmul(x: Any, y: Any) -> Any:
    """x @ y with all digits of its precision on accelerators too, where JAX's own has three; on the host of NumPy's."""
    if isinstance(x, np.ndarray) and isinstance(y, np.ndarray):
        return x @ y
    return jnp.matmul(x, y, precision=jax.lax.Precision.HIGHEST)


def to_bits(nats: ArrayLike) -> jax.Array:
    """Nats to bits: x / ln 2."""
    return jnp.asarray(nats) / LN2


def to_nats(bits: ArrayLike) -> jax.Array:
    """Bits to nats: x ln 2."""
    return jnp.asarray(bits) * LN2


def safe_log(x: ArrayLike) -> jax.Array:
    """ln x where x > 0, and 0 with gradient 0 elsewhere: for products that a zero factor removes anyway."""
    x = jnp.asarray(x)
    positive = x > 0
    return jnp.where(positive, jnp.log(jnp.where(positive, x, 1.0)), 0.0)


def xlogy(x: ArrayLike, y: ArrayLike) -> jax.Array:
    """x ln y with 0 ln y = 0 for every y >= 0, in value and in both gradients; x > 0 with y = 0 is -inf."""
    x, y = jnp.asarray(x), jnp.asarray(y)
    active = x != 0
    return jnp.where(active, jnp.where(active, x, 1.0) * jnp.log(jnp.where(active, y, 1.0)), 0.0)


def entropy_nats(law: ArrayLike) -> jax.Array:
    """-sum p ln p over the last axis, nats; a zero probability adds 0 and has gradient 0 (it stays on its face)."""
    law = jnp.asarray(law)
    return -jnp.sum(xlogy(law, law), axis=-1)


def without_gradient(why: str) -> Callable[[jax.Array], jax.Array]:
    """The identity; differentiating through it raises TypeError with `why`, where the alternative is a silent zero."""

    @jax.custom_jvp
    def same(x: jax.Array) -> jax.Array:
        return x

    @same.defjvp
    def refuse(primals: Any, tangents: Any) -> Any:
        raise TypeError(why)

    return same
