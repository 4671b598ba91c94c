"""What a pass over a corpus reads: blocks of queries on every device, a share of the documents for each device in turn.

The documents are cut into chunks of `depth` rows a device, and those into tiles of `width` rows. A chunk is one array
[devices x tiles, width, D] sharded over its first axis, so with many processes each reads only what its devices hold.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from rdjax.checks import require
from rdjax.retrieval.scores import working
from rdjax.shards import automatic

LARGEST = 2**15 - 64  # rows of a tile, so that two counts of it share an int32
#: Rows of a tile, and queries. On a processor the packing of the product is spread over enough of both, and the scores
#: stay near a core's cache (`benchmarks/scale.py`); on an accelerator it is large against a launch (reckoned).
_ON_PROCESSORS, _ON_ACCELERATORS = (768, 768), (4096, 2048)
#: On a processor Eigen multiplies three vectors of rows at once, of 4, 8 or 16 numbers each; a single vector that is
#: left over is summed in two halves, in another order.
_WHOLE = {True: 3 * 16, False: 64}


class Chunk(NamedTuple):
    """A share of documents for each device."""

    rows: jax.Array  # [devices x tiles, width, D], the last rows zero where the documents end
    window: jax.Array  # int32 [4], everywhere: what `ends` reads


def ends(rows: jax.Array, window: jax.Array, device: Any) -> tuple[Any, ...]:
    """What a device is to look at: (first tile, tile before which to stop, how many rows hold none, first document).

    Args:
      rows: its share of a chunk [tiles, width, D].
      window: the first tile, the number of documents, the first document of device 0, how many further the next's is.
      device: its number.
    """
    first, until, base, stride = window
    base += device * stride
    tiles, width = rows.shape[:2]
    held = jnp.clip(until - base, 0, tiles * width)
    last = -(-held // width)
    return first, last, last * width - held, base


class Tiles:
    """The blocks and chunks of one pass, in one precision.

    Tiles are a multiple of `_WHOLE` wide and blocks of 8 high, so that no entry of a product falls to a remainder loop
    with its own order of sums.

    Args:
      queries: [Q, D].
      documents: [N, D], or a mapping of arrays [N, D_m] to be put side by side.
      query_block: the most queries of a product; None: what suits the devices.
      document_block: the most documents that a device reads at a time.
      mesh: devices that share the documents, along all its axes; None: the default device alone.

    Raises:
      InputError: shapes that do not belong together, 2^31 documents or more.
    """

    def __init__(self, queries: Any, documents: Any, query_block: int | None, document_block: int, mesh: Mesh | None):
        require((query_block is None or query_block >= 1) and document_block >= 1, "block sizes must be at least 1.")
        arrays = list(documents.values()) if isinstance(documents, Mapping) else [documents]
        self._arrays = [automatic(array) if hasattr(array, "shape") else np.asarray(array) for array in arrays]
        shapes = [tuple(np.shape(array)) for array in (queries, *self._arrays)]
        require(
            all(len(shape) == 2 for shape in shapes),
            f"queries and documents have the shapes {', '.join(map(str, shapes))}; each must be [rows, dimensions].",
        )
        counts = [shape[0] for shape in shapes[1:]]
        require(len(set(counts)) == 1, f"the modalities have {counts} documents; each must hold all of them.")
        kinds = [array.dtype for array in self._arrays if jnp.issubdtype(array.dtype, jnp.complexfloating)]
        require(not kinds, f"the documents hold {kinds and kinds[0]} values; give real numbers.")
        self.num_documents = len(self._arrays[0])
        asked = np.asarray(working(queries))
        self.num_queries = len(asked)
        self.dimension = sum(array.shape[1] for array in self._arrays)
        require(
            self.num_queries > 0 and self.num_documents > 0 and asked.shape[1] == self.dimension,
            f"queries have shape {asked.shape} and documents ({self.num_documents}, {self.dimension}); "
            f"both must have at least one row, and the same dimensions.",
        )
        stored = [_kept(array.dtype) for array in self._arrays]
        self._stored, self.dtype = jnp.result_type(*stored), jnp.result_type(asked.dtype, *stored)
        self.mesh = default_device() if mesh is None else mesh
        self.devices = self.mesh.size
        self._cut(query_block, document_block)
        most = 2**31 - self.devices * self.depth
        require(self.num_documents < most, f"there are {self.num_documents} documents; one pass takes below {most}.")
        starts = range(0, self.num_queries, self.height)
        block = lambda start: np.ascontiguousarray(padded(asked[start : start + self.height], self.height).T)
        self.blocks = [self.replicated(block(start)) for start in starts]  # [D, height] each

    def _cut(self, query_block: int | None, document_block: int) -> None:
        """Sizes of blocks and tiles; of blocks whatever the devices are, so that one rounds as many do."""
        share = -(-self.num_documents // self.devices)
        processors = on_processors(self.mesh)
        width, height = _ON_PROCESSORS if processors else _ON_ACCELERATORS
        blocks = -(-self.num_queries // min(height if query_block is None else query_block, LARGEST - 64))
        self.height = multiple(-(-self.num_queries // blocks), 8)
        whole = _WHOLE[processors]
        wide = multiple(min(width, document_block, share), whole)
        self.width = max(wide if wide <= document_block else wide - whole, multiple(self.height, whole))
        self.depth = max(min(document_block, share) // self.width, 1) * self.width

    def replicated(self, array: np.ndarray) -> jax.Array:
        """The same array on every device, in the precision of the pass where it holds scores."""
        kept = array.astype(self.dtype) if np.issubdtype(array.dtype, np.floating) else array.astype(np.int32)
        return jax.make_array_from_callback(kept.shape, NamedSharding(self.mesh, PartitionSpec()), kept.__getitem__)

    def per_device(self, array: np.ndarray) -> jax.Array:
        """An array [devices, ...], a row of it on each."""
        split = NamedSharding(self.mesh, PartitionSpec(self.mesh.axis_names))
        return jax.make_array_from_callback(array.shape, split, array.__getitem__)

    def merged(self, arrays: Any, reduce: Callable[[jax.Array], jax.Array]) -> Any:
        """Arrays [devices, ...], reduced over the devices, on the host of every process."""
        return jax.tree.map(np.asarray, _everywhere(self.mesh, reduce)(arrays))

    def rows(self, which: Any) -> np.ndarray:
        """Documents [rows, D], modalities side by side."""
        parts = [np.asarray(array[which]) for array in self._arrays]
        whole = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        return whole.astype(self._stored, copy=False)

    def chunks(self) -> Iterator[Chunk]:
        """All documents, in order."""
        for start in range(0, self.num_documents, self.depth * self.devices):
            shares = self._shares(partial(self._from, start))
            yield Chunk(shares, self.replicated(np.array([0, self.num_documents, start, self.depth])))

    def repeated(self, tiles: list[np.ndarray]) -> Iterator[Chunk]:
        """On every device, tile after tile of chosen documents [width], numbered from 0 in each; a chunk for each."""
        at_once = self.depth // self.width
        numbers = range(min(at_once, len(tiles)))
        windows = [self.replicated(np.array([n, self.width, -n * self.width, 0])) for n in numbers]
        for start in range(0, len(tiles), at_once):
            rows = self.rows(np.concatenate(tiles[start : start + at_once]))
            shares = self._shares(partial(_alike, rows))
            for window in windows[: len(rows) // self.width]:
                yield Chunk(shares, window)

    def _from(self, start: int, first: int) -> np.ndarray:
        """The documents of a share, fewer at the end."""
        return self.rows(slice(min(start + first, self.num_documents), start + first + self.depth))

    def _shares(self, read: Callable[[int], np.ndarray]) -> jax.Array:
        """Rows of a chunk on their devices; `read` gets the place of a share's first row in the chunk."""
        shape = (self.devices * (self.depth // self.width), self.width, self.dimension)

        def share(index: Any) -> np.ndarray:
            first = (index[0].start or 0) * self.width
            return padded(read(first), self.depth).reshape(-1, *shape[1:])

        split = NamedSharding(self.mesh, PartitionSpec(self.mesh.axis_names))
        return jax.make_array_from_callback(shape, split, share)


@lru_cache(maxsize=32)
def _everywhere(mesh: Mesh, reduce: Callable) -> Callable:
    whole = NamedSharding(mesh, PartitionSpec())
    return jax.jit(lambda arrays: jax.tree.map(reduce, arrays), out_shardings=whole)


def _alike(rows: np.ndarray, _: int) -> np.ndarray:
    return rows


def _kept(dtype: Any) -> Any:
    """The precision of stored documents on a device; of 64-bit integers float32 where x64 is off, as int32 wraps."""
    kept = jax.dtypes.canonicalize_dtype(dtype)
    return np.dtype(np.float32) if dtype.kind in "iu" and kept != dtype else kept


def default_device() -> Mesh:
    """The device that JAX puts arrays on, as a mesh."""
    return Mesh(np.array(list(jnp.zeros(()).devices())), ("documents",))


def on_processors(mesh: Mesh) -> bool:
    """Whether the devices are a machine's own processor."""
    return bool(mesh.devices.flat[0].platform == "cpu")


def multiple(size: int, unit: int) -> int:
    """The least multiple of `unit` from `size` on."""
    return -(-size // unit) * unit


def padded(array: np.ndarray, rows: int, fill: int = 0) -> np.ndarray:
    """Rows added below until there are so many."""
    missing = rows - array.shape[0]
    return np.pad(array, ((0, missing), *((0, 0),) * (array.ndim - 1)), constant_values=fill) if missing else array
