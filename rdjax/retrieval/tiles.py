"""What a pass over a corpus reads: blocks of queries on every device, a share of the documents for each device in turn.

The documents are cut into chunks of `depth` rows a device, and those into tiles of `width` rows. A chunk is one array
[devices x tiles, width, D] sharded over its first axis, so with many processes each reads only what its devices hold.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from rdjax.checks import require
from rdjax.retrieval.scores import working

LARGEST = 2**15 - 64  # rows of a tile, so that two counts of it share an int32
_WIDTH = 1024  # rows of a tile: 1024 x 512 scores stay in a processor's cache between product and comparison


class Chunk(NamedTuple):
    """A share of documents for each device. Arrays are [devices], but for the rows themselves."""

    rows: jax.Array  # [devices x tiles, width, D], the last rows zero where the documents end
    first: jax.Array  # the first tile to look at
    last: jax.Array  # the tile before which to stop: those behind hold no document
    spare: jax.Array  # how many rows of the tiles between hold none
    base: jax.Array  # the number of the first document


class Tiles:
    """The blocks and chunks of one pass, in one precision.

    Tile sizes are multiples of 8 and 64, so that no entry of a product falls to a remainder loop with its own order.

    Args:
      queries: [Q, D].
      documents: [N, D], or a mapping of arrays [N, D_m] to be put side by side.
      query_block: the most queries of a product.
      document_block: the most documents that a device reads at a time.
      mesh: devices that share the documents, along all its axes; None: the default device alone.

    Raises:
      InputError: shapes that do not belong together, 2^31 documents or more.
    """

    def __init__(self, queries: Any, documents: Any, query_block: int, document_block: int, mesh: Mesh | None):
        require(query_block >= 1 and document_block >= 1, "block sizes must be at least 1.")
        arrays = list(documents.values()) if isinstance(documents, Mapping) else [documents]
        self._arrays = [array if hasattr(array, "shape") else np.asarray(array) for array in arrays]
        self.num_documents = len(self._arrays[0])
        asked = np.asarray(working(queries))
        self.num_queries = len(asked)
        self._dimension = sum(array.shape[1] for array in self._arrays)
        require(
            self.num_queries > 0 and self.num_documents > 0 and asked.shape[1] == self._dimension,
            f"queries have shape {asked.shape} and documents ({self.num_documents}, {self._dimension}); "
            f"both must have at least one row, and the same dimensions.",
        )
        require(self.num_documents < 2**31, f"there are {self.num_documents} documents; one pass takes below 2^31.")
        stored = [jax.dtypes.canonicalize_dtype(array.dtype) for array in self._arrays]
        self._stored, self.dtype = jnp.result_type(*stored), jnp.result_type(asked.dtype, *stored)
        self.mesh = Mesh(np.array(list(jnp.zeros(()).devices())), ("documents",)) if mesh is None else mesh
        self.devices = self.mesh.size
        self._cut(query_block, document_block)
        starts = range(0, self.num_queries, self.height)
        self.blocks = [self.replicated(padded(asked[i : i + self.height], self.height)) for i in starts]

    def _cut(self, query_block: int, document_block: int) -> None:
        share = -(-self.num_documents // self.devices)
        self.height = multiple(min(query_block, self.num_queries, LARGEST - 64), 8)
        self.width = multiple(max(min(_WIDTH, document_block, share), self.height), 64)
        self.depth = max(min(document_block, share) // self.width, 1) * self.width

    def replicated(self, array: np.ndarray) -> jax.Array:
        """The same array on every device, in the precision of the pass where it holds scores."""
        kept = array.astype(self.dtype) if np.issubdtype(array.dtype, np.floating) else array.astype(np.int32)
        return jax.make_array_from_callback(kept.shape, NamedSharding(self.mesh, PartitionSpec()), kept.__getitem__)

    def per_device(self, array: np.ndarray) -> jax.Array:
        """An array [devices, ...], a row of it on each."""
        split = NamedSharding(self.mesh, PartitionSpec(self.mesh.axis_names))
        return jax.make_array_from_callback(array.shape, split, array.__getitem__)

    def gathered(self, arrays: Any) -> Any:
        """Arrays [devices, ...], whole, in every process."""
        return jax.tree.map(np.asarray, _everywhere(self.mesh)(arrays))

    def rows(self, which: Any) -> np.ndarray:
        """Documents [rows, D], modalities side by side."""
        parts = [np.asarray(array[which]) for array in self._arrays]
        whole = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        return whole.astype(self._stored, copy=False)

    def chunks(self) -> Iterator[Chunk]:
        """All documents, in order."""
        for start in range(0, self.num_documents, self.depth * self.devices):
            base = start + self.depth * np.arange(self.devices)
            valid = np.clip(self.num_documents - base, 0, self.depth)
            yield self._chunk(valid, base, lambda first, start=start: self.rows(slice(*self._ends(start + first))))

    def repeated(self, tiles: list[np.ndarray]) -> Iterator[Chunk]:
        """On every device, tile after tile of chosen documents [width], numbered from 0 in each; a chunk for each."""
        at_once = self.depth // self.width
        for start in range(0, len(tiles), at_once):
            rows = self.rows(np.concatenate(tiles[start : start + at_once]))
            zero = np.zeros(self.devices)
            chunk = self._chunk(zero, zero, lambda _, rows=rows: rows)
            for number in range(len(rows) // self.width):
                where = {"first": number, "last": number + 1, "base": -number * self.width}
                alike = {name: np.full(self.devices, value, np.int32) for name, value in where.items()}
                yield chunk._replace(**{name: self.per_device(value) for name, value in alike.items()})

    def _ends(self, first: int) -> tuple[int, int]:
        return min(first, self.num_documents), min(first + self.depth, self.num_documents)

    def _chunk(self, valid: np.ndarray, base: np.ndarray, read: Any) -> Chunk:
        shape = (self.devices * (self.depth // self.width), self.width, self._dimension)

        def share(index: Any) -> np.ndarray:
            first = (index[0].start or 0) * self.width
            return padded(read(first), self.depth).reshape(-1, *shape[1:])

        split = NamedSharding(self.mesh, PartitionSpec(self.mesh.axis_names))
        tiles = -(-valid // self.width)
        counts = (np.zeros(self.devices), tiles, tiles * self.width - valid, base)
        rows = jax.make_array_from_callback(shape, split, share)
        return Chunk(rows, *(self.per_device(count.astype(np.int32)) for count in counts))


@lru_cache(maxsize=32)
def _everywhere(mesh: Mesh) -> Callable:
    return jax.jit(lambda arrays: arrays, out_shardings=NamedSharding(mesh, PartitionSpec()))


def multiple(size: int, unit: int) -> int:
    """The least multiple of `unit` from `size` on."""
    return -(-size // unit) * unit


def padded(array: np.ndarray, rows: int, fill: int = 0) -> np.ndarray:
    """Rows added below until there are so many."""
    missing = rows - array.shape[0]
    return np.pad(array, ((0, missing), *((0, 0),) * (array.ndim - 1)), constant_values=fill) if missing else array
