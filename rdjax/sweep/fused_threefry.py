"""JAX's Threefry keys, whose numbers a CPU makes in one pass.

On CPUs JAX rolls the twenty rounds of Threefry up into a loop over five passes through memory: microseconds of overhead
to each call. Here the rounds are written out, so they and what is made of the bits are one fused loop; only keys are
kept apart (`optimization_barrier`), or that loop would make them anew for every number. The bits are those of
`jax.random` with its default keys and `jax_threefry_partitionable`, every one of them.

Source: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (2011), Threefry-2x32-20.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.random import define_prng_impl, threefry_prng_impl

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA


def _block(key: jax.Array, high: jax.Array, low: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Two words of each counter (high, low), from a key [2]."""
    schedule = (key[0], key[1], key[0] ^ key[1] ^ np.uint32(PARITY))
    one, two = high + schedule[0], low + schedule[1]
    for group in range(5):
        for turn in ROTATIONS[group % 2]:
            one = one + two
            two = one ^ ((two << np.uint32(turn)) | (two >> np.uint32(32 - turn)))
        one = one + schedule[(group + 1) % 3]
        two = two + schedule[(group + 2) % 3] + np.uint32(group + 1)
    return one, two


def _words(key: jax.Array, shape: tuple[int, ...]) -> tuple[jax.Array, jax.Array]:
    """The two words of the counters 0, 1, 2, ... of an array of some shape."""
    size = math.prod(shape)
    assert size < 2**32, "counters have one word here; draw less at once"
    low = lax.iota(np.uint32, size).reshape(shape)
    return _block(key, jnp.zeros_like(low), low)


def _split(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    return lax.optimization_barrier(jnp.stack(_words(key, shape), axis=-1))


def _random_bits(key: jax.Array, width: int, shape: tuple[int, ...]) -> jax.Array:
    one, two = _words(key, shape)
    if width == 64:
        return (one.astype(np.uint64) << np.uint64(32)) | two.astype(np.uint64)
    return (one ^ two).astype(f"uint{width}")


def _fold_in(key: jax.Array, data: jax.Array | int) -> jax.Array:
    low = jnp.asarray(data).astype(np.uint32)
    return lax.optimization_barrier(jnp.stack(_block(key, jnp.zeros_like(low), low)))


FUSED = define_prng_impl(
    key_shape=(2,),
    seed=threefry_prng_impl.seed,
    split=_split,
    random_bits=_random_bits,
    fold_in=_fold_in,
    name="rdjax_fused_threefry2x32",
    tag="rdjax",
)


def folded_key(words: jax.Array, seed: jax.Array) -> jax.Array:
    """The key of two words [2], uint32, with a seed folded in, for `jax.random`."""
    return jax.random.fold_in(jax.random.wrap_key_data(words, impl=FUSED), seed)
