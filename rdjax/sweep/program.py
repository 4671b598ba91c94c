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
from rdjax.sweep.grid import Values

CELLS = "cells"


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
                in_specs=(P(), P(CELLS), P(CELLS), P(CELLS)),
                out_specs=P(CELLS),
                check_vma=False,  # loops of solvers start from constants, which are not marked as varying
            )
            self.compiled = jax.jit(sharded).lower(*self._arguments(first)).compile()

    def __call__(self, cells: np.ndarray) -> "Batch":
        """Start computing some cells, at most the capacity."""
        parameters, columns = known_columns(self._sweep, cells)
        parts = np.array_split(np.arange(len(cells)), self._places)
        place = np.concatenate([self.each * d + np.arange(len(part)) for d, part in enumerate(parts)])

        def spread(array: np.ndarray) -> np.ndarray:
            padded = np.zeros((self._places * self.each, *array.shape[1:]), array.dtype)
            padded[place] = array
            return padded

        counts = np.array([len(part) for part in parts], np.int32)
        keys = spread(self._sweep.grid.keys(cells))
        with self._precision():
            arguments = jax.device_put(
                (keys, jax.tree.map(lambda x: spread(self._cast(x)), parameters), counts), self._split
            )
            return Batch(cells, columns, self.compiled(self._shared, *arguments), place)

    def _arguments(self, first: int) -> tuple[Any, ...]:
        """Shapes and types of what a call passes, for compiling ahead of time."""
        parameters, _ = known_columns(self._sweep, np.array([first]))
        size = self._places * self.each

        def like(array: np.ndarray) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct((size, *array.shape[1:]), self._cast(array).dtype, sharding=self._split)

        keys = jax.ShapeDtypeStruct((size, 2), np.uint32, sharding=self._split)
        counts = jax.ShapeDtypeStruct((self._places,), np.int32, sharding=self._split)
        return self._shared, keys, jax.tree.map(like, parameters), counts

    def _shard(self, shared: Any, keys: jax.Array, parameters: Any, count: jax.Array) -> dict[str, jax.Array]:
        def cell(number: jax.Array) -> dict[str, jax.Array]:
            key = jax.random.wrap_key_data(keys[number], impl="threefry2x32")
            mine = jax.tree.map(lambda x: x[number], parameters)
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
    """Cells that are being computed."""

    def __init__(
        self, cells: np.ndarray, columns: Mapping[str, np.ndarray], found: Mapping[str, jax.Array], place: np.ndarray
    ) -> None:
        self.cells, self._columns, self._found, self._place = cells, columns, found, place

    def table(self, sweep: Sweep) -> dict[str, np.ndarray]:
        """All columns of these cells, once they are there: number, values of the axes, what is known, what is found."""
        found = {name: np.asarray(array)[self._place] for name, array in self._found.items()}
        return {"cell": self.cells, **value_columns(sweep, self.cells), **self._columns, **found}


def known_columns(sweep: Sweep, cells: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """(parameters, columns) of some cells of one shape, each [n, ...]; worked out once for all seeds."""
    axes = sweep.grid.axes
    seeds = sweep.grid.lengths[-1] if axes[-1].name == "seed" else 1
    combinations, where = np.unique(cells // seeds, return_inverse=True)
    found = [sweep.kind.known(sweep.grid.at(int(number) * seeds)) for number in combinations]
    parameters, columns = (
        {name: np.stack([np.asarray(one[side][name]) for one in found])[where] for name in found[0][side]}
        for side in (0, 1)
    )
    return parameters, columns


def value_columns(sweep: Sweep, cells: np.ndarray) -> dict[str, np.ndarray]:
    """The values of the axes, one column each; where an axis has lists, one a place, NaN where a list is shorter."""
    columns = {}
    for axis, place in zip(sweep.grid.axes, np.unravel_index(cells, sweep.grid.lengths), strict=True):
        values = sweep.grid.values[axis.name]
        longest = max((len(v) for v in values if isinstance(v, tuple)), default=0)
        if not longest:
            columns[axis.name] = np.array(values)[place]
            continue
        rows = [v if isinstance(v, tuple) else (v,) * longest for v in values]
        table = np.array([[*row, *[np.nan] * (longest - len(row))] for row in rows])[place]
        columns |= {f"{axis.name}_{m + 1}": table[:, m] for m in range(longest)}
    return columns
