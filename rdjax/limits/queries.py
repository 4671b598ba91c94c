"""The queries of a source, block after block, on the devices that hold them.

Posteriors that are sharded over their rows stay where they are: a block is as many rows of every device. What is done
to it row by row is done where the rows are, and a sum over queries is a sum on each device, then one over the devices.
Of what has X entries only laws [X] are ever in one place.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.typing import ArrayLike

from rdjax import checks
from rdjax.retrieval.beside import steps_at_once
from rdjax.retrieval.tiles import default_device
from rdjax.shards import along, automatic, by_rows, on_host, row_sharding

LEAST_ROWS = 64  # of a device in a block, however small the memory
AT_ONCE = 8  # blocks beside each other at most, so that each is large enough for its products


@dataclass(frozen=True)
class Queries:
    """Posteriors P(y | x) [X, N], float32 or float64, of the host or sharded over rows; the law of x [X], float64; and
    how many `rows` of each device are in a block."""

    posteriors: Any
    source: np.ndarray
    rows: int

    @property
    def size(self) -> int:
        """X."""
        return len(self.source)

    @property
    def sharding(self) -> NamedSharding | None:
        """How the rows are shared by devices; None where they are not."""
        return row_sharding(self.posteriors)

    @property
    def devices(self) -> int:
        """How many have rows of their own."""
        return 1 if self.sharding is None else self.size // self.sharding.shard_shape(self.posteriors.shape)[0]

    @property
    def mesh(self) -> Mesh:
        """Where they are computed with."""
        return default_device() if self.sharding is None else cast(Mesh, self.sharding.mesh)

    @property
    def blocks_at_once(self) -> int:
        """How many blocks are worked on beside each other, each with its own part of the memory."""
        return min(AT_ONCE, steps_at_once(self.mesh))

    def zeros(self, shape: tuple[int, ...]) -> Any:
        """float64 zeros [devices, *shape], for each device its own."""
        if self.sharding is None:
            return jnp.zeros((1, *shape), jnp.float64)
        return jnp.zeros((self.devices, *shape), jnp.float64, device=along(self.sharding))

    def blocks(self) -> Iterator[tuple[Any, Any]]:
        """Posteriors [B, N] and law [B] in turn, all of one shape: rather than be shorter, the last block repeats rows,
        with no probability."""
        each = self.size // self.devices
        for start in range(0, each, self.rows):
            first = min(start, each - self.rows)
            chosen = first + np.arange(self.rows)
            yield self._taken(chosen, np.where(chosen >= start, self._law(chosen), 0))

    def sample(self, count: int, seed: int) -> "Queries":
        """All of them, or as many as `count`, the same rows of each device, of those that are possible."""
        each, most = self.size // self.devices, max(1, count // self.devices)
        if each <= most:
            return self
        possible = np.flatnonzero(self._law(np.arange(each)).any(axis=0))
        chosen = np.sort(np.random.default_rng(seed).permutation(possible)[:most])
        law = self._law(chosen)
        return Queries(self._taken(chosen, law)[0], law.ravel() / law.sum(), len(chosen))

    def on_devices(self) -> tuple[jax.Array, jax.Array]:
        """Posteriors [X, N] and law [X] in their precision, where they are computed with."""
        law = self.source.astype(self.posteriors.dtype)
        if self.sharding is None:
            return jax.device_put(self.posteriors), jax.device_put(law)
        return self.posteriors, _placed(law, self.sharding)

    def on_host(self) -> np.ndarray:
        """Posteriors of the possible ones, in one place."""
        return on_host(self.posteriors)[self.source > 0]

    def _law(self, chosen: np.ndarray) -> np.ndarray:
        """The law of these rows of each device, [devices, rows]."""
        return self.source.reshape(self.devices, -1)[:, chosen]

    def _taken(self, chosen: np.ndarray, law: np.ndarray) -> tuple[Any, Any]:
        if self.sharding is None:
            return self.posteriors[chosen], law[0]
        return _rows(self.posteriors, chosen, self.sharding), _placed(law.ravel(), self.sharding)


def queries_of(posteriors: ArrayLike, source: ArrayLike | None, memory: int, numbers: int) -> Queries:
    """Queries from posteriors [X, N] and a law [X] (None: equiprobable), checked, in blocks of which `numbers` a row,
    at 8 bytes, fit the memory, as many at once as are worked on.

    Raises:
      InputError: posteriors that are no laws, shapes that do not belong together, shards of anything but rows.
    """
    shape = np.shape(posteriors)
    checks.require(len(shape) == 2 and min(shape) > 0, f"the posteriors have shape {shape}; they must be [X, N].")
    law = np.full(shape[0], 1.0) if source is None else on_host(source).astype(np.float64)
    checks.require(law.shape == shape[:1], f"the source has shape {law.shape} for {shape[0]} queries.")
    if source is not None:
        checks.law(law, "the source")
    held = _checked(posteriors)
    whole = Queries(held, law, 1)
    each = shape[0] // whole.devices
    blocks = -(-each // max(LEAST_ROWS, memory // whole.blocks_at_once // (8 * numbers)))
    return Queries(held, law / law.sum(), -(-each // blocks))


def _checked(posteriors: Any) -> Any:
    """Laws, float32 or float64, on the host or where they are sharded."""
    sharding = row_sharding(posteriors)
    if sharding is None:
        held = np.asarray(posteriors)
        checks.law(held, "a posterior", rounded=True)
        if held.dtype in (np.float32, np.float64):
            return held
        held = held.astype(np.float32)
        return held / held.sum(axis=1, keepdims=True)  # of half precision, which rounds a law
    alone = all(axes is None for axes in sharding.spec[1:])
    checks.require(alone, f"the posteriors are sharded as {sharding.spec}; shard their rows and nothing else.")
    floats = posteriors.dtype in (np.float32, np.float64)
    checks.require(floats, f"sharded posteriors hold {posteriors.dtype} values; make them float32.")
    shared = automatic(posteriors)
    if not bool(_are_laws(shared)):
        checks.law(on_host(shared), "a posterior")
    return shared


def _placed(law: np.ndarray, sharding: NamedSharding) -> jax.Array:
    """A law [B] beside its rows."""
    return jax.make_array_from_callback(law.shape, along(sharding), law.__getitem__)


@partial(jax.jit, static_argnames="sharding")
def _rows(posteriors: jax.Array, chosen: jax.Array, sharding: NamedSharding) -> jax.Array:
    return by_rows(lambda held, chosen: held[chosen], sharding)(posteriors, chosen)


@jax.jit
def _are_laws(posteriors: jax.Array) -> jax.Array:
    """As `checks.law` finds it, without the sentences."""
    error = jnp.abs(jnp.sum(posteriors, axis=1, dtype=jnp.float64) - 1)
    room = 1e-6 * max(1.0, posteriors.shape[1] ** 0.5)
    return jnp.all(posteriors >= 0) & jnp.all(error <= room)
