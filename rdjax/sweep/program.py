"""Cells of one static shape as one compiled program, sharded over devices: shard_map over a loop on each.

Every device runs its own loop over its own cells, so no solver waits for another device, and the loop takes its length
as an argument: a device without work does none, and the body is the same program whatever the number of cells in a
batch, of devices or of processes. That, and keys that belong to cells, makes results equal to the last bit.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from rdjax.sweep.config import Sweep
from rdjax.sweep.grid import SEED, Values

CELLS, KEY = "cells", "key"


class Program:
    """The program of one shape.

    Args:
      sweep: what is swept.
      first: number of the first cell of the shape.
      shape: values of its static axes.
      capacity: most cells in a batch, over all devices.
      devices: of this process.
    """

    def __init__(self, sweep: Sweep, first: int, shape: Values, capacity: int, devices: Sequence[jax.Device]) -> None:
        self._sweep, self._shape = sweep, dict(shape)
        self.each = -(-capacity // len(devices))
        mesh = Mesh(np.array(devices), (CELLS,))
        self._split, whole = NamedSharding(mesh, P(CELLS)), NamedSharding(mesh, P())
        self._places = mesh.size
        with self._precision():
            self._shared = jax.device_put(jax.tree.map(self._cast, sweep.kind.shared(shape)), whole)
            sharded = jax.shard_map(
                self._shard,
                mesh=mesh,
                in_specs=(P(), P(CELLS), P(CELLS)),
                out_specs=P(CELLS),
                check_vma=False,  # loops of solvers start from constants, which are not marked as varying
            )
            self.compiled = jax.jit(sharded).lower(*self._arguments(first)).compile()

    def __call__(self, cells: np.ndarray) -> "Batch":
        """Start computing some cells, at most the capacity."""
        taken, told = inputs(self._sweep, cells)
        shares = np.array_split(np.arange(len(cells)), self._places)
        place = np.concatenate([self.each * d + np.arange(len(share)) for d, share in enumerate(shares)])

        def spread(array: np.ndarray) -> np.ndarray:
            array = self._cast(array)
            padded = np.zeros((self._places * self.each, *array.shape[1:]), array.dtype)
            padded[place] = array
            return padded

        counts = np.array([len(share) for share in shares], np.int32)
        with self._precision():
            arguments = jax.device_put((jax.tree.map(spread, taken), counts), self._split)
            return Batch(told, self.compiled(self._shared, *arguments), place)

    def _arguments(self, first: int) -> tuple[Any, ...]:
        """Shapes and types of what a call passes, for compiling ahead of time."""
        size = self._places * self.each

        def like(array: np.ndarray) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct((size, *array.shape[1:]), self._cast(array).dtype, sharding=self._split)

        counts = jax.ShapeDtypeStruct((self._places,), np.int32, sharding=self._split)
        return self._shared, jax.tree.map(like, inputs(self._sweep, np.array([first]))[0]), counts

    def _shard(self, shared: Any, taken: dict[str, jax.Array], count: jax.Array) -> dict[str, jax.Array]:
        def cell(number: jax.Array) -> dict[str, jax.Array]:
            mine = jax.tree.map(lambda x: x[number], taken)
            key = jax.random.fold_in(jax.random.wrap_key_data(mine.pop(KEY), impl="threefry2x32"), mine.pop(SEED))
            return jax.tree.map(jnp.asarray, self._sweep.kind.cell(self._shape, shared, key, mine))

        def store(number: jax.Array, columns: dict[str, jax.Array]) -> dict[str, jax.Array]:
            return jax.tree.map(lambda column, entry: column.at[number].set(entry), columns, cell(number))

        empty = jax.tree.map(lambda x: jnp.zeros(self.each, x.dtype), jax.eval_shape(cell, jnp.int32(0)))
        return lax.fori_loop(0, count[0], store, empty)

    def _cast(self, array: np.ndarray) -> np.ndarray:
        return array.astype(self._sweep.precision) if array.dtype.kind == "f" else array

    def _precision(self) -> Any:
        return jax.enable_x64(self._sweep.precision == "float64")


class Batch:
    """Cells that are being computed: what the table has of them already, and what the devices will hand over."""

    def __init__(self, told: Mapping[str, np.ndarray], found: Mapping[str, jax.Array], place: np.ndarray) -> None:
        self._told, self._found, self._place = told, found, place

    def table(self) -> dict[str, np.ndarray]:
        """All columns of these cells, once they are there: number, values of the axes, what is known, what is found."""
        return {**self._told, **{name: np.asarray(array)[self._place] for name, array in self._found.items()}}


def inputs(sweep: Sweep, cells: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """(what the program takes, what the table has already) of some cells of one shape, each [n, ...].

    Worked out once for all seeds. The program takes the parameters of the kind, and `key` [n, 2] and `seed`, uint32.
    """
    grid = sweep.grid
    firsts, where = np.unique(cells // grid.seeds * grid.seeds, return_inverse=True)
    known = [sweep.kind.known(grid.at(int(cell))) for cell in firsts]
    taken, told = (
        {name: np.stack([np.asarray(one[side][name]) for one in known])[where] for name in known[0][side]}
        for side in (0, 1)
    )
    columns = grid.columns(cells)
    taken[KEY] = np.stack([grid.key(int(cell)) for cell in firsts])[where]
    taken[SEED] = columns.get(SEED, np.zeros(len(cells))).astype(np.uint32)
    return taken, {"cell": cells, **columns, **told}
