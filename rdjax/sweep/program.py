"""Cells of one static shape as one compiled program, sharded over devices: shard_map over loops on each.

Every device runs its own loops, over draws and over the cells that share each, so no solver waits for another device,
and they take their lengths as arguments: a device without work does none, and the body is the same program whatever the
number of cells in a batch, of devices or of processes. That, and keys that belong to cells, makes results equal to the
last bit. There is no vmap over cells: on CPUs it is no faster from 100 documents on (a cell's arrays leave the cache),
and solvers would wait for each other. Nor do CPU devices share their products: handing out parts of small ones costs a
third of the time, so a device is one core, and a machine is as many of them as it has cores (`jax_num_cpu_devices`).
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
from rdjax.sweep.fused_threefry import folded_key
from rdjax.sweep.grid import SEED, Values

CELLS, KEY, FIRST, SIZE = "cells", "key", "first", "size"
OPTIONS: dict[str, str | bool] = {"xla_cpu_multi_thread_eigen": False}
Arrays = dict[str, np.ndarray]


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
        self._sweep, self._first, self._shape, self._capacity = sweep, first, dict(shape), capacity
        self.devices = tuple(devices)
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
            lowered = jax.jit(sharded).lower(*self._arguments(first))
            self.compiled = lowered.compile(OPTIONS if devices[0].platform == "cpu" else None)

    @property
    def bytes(self) -> int:
        """Most that is held on a device, by XLA, where one batch is computed and another waits or is read."""
        memory = self.compiled.memory_analysis()
        size = lambda kind: getattr(memory, f"{kind}_size_in_bytes", 0)
        return size("temp") + 2 * (size("argument") + size("output"))

    def on(self, devices: Sequence[jax.Device]) -> "Program":
        """The same on other devices."""
        return Program(self._sweep, self._first, self._shape, self._capacity, devices)

    def described(self) -> str:
        """The values of the static axes, for people."""
        return ", ".join(f"{name} {value}" for name, value in self._shape.items())

    def __call__(self, cells: np.ndarray) -> "Batch":
        """Start computing some neighboring cells, at most the capacity."""
        taken, told = inputs(self._sweep, cells)
        shares = np.array_split(cells, self._places)
        place = np.concatenate([self.each * d + np.arange(len(share)) for d, share in enumerate(shares)])
        drawn = [draws(self._sweep, share) for share in shares]
        padded = {name: np.concatenate([self._padded(one[name]) for one in drawn]) for name in drawn[0]}
        counts = np.array([len(one[SEED]) for one in drawn], np.int32)
        with self._precision():
            arguments = (jax.tree.map(lambda array: self._spread(array, place), taken), padded, counts)
            return Batch(told, self.compiled(self._shared, *jax.device_put(arguments, self._split)), place)

    def _padded(self, array: np.ndarray) -> np.ndarray:
        return np.concatenate([array, np.zeros((self.each - len(array), *array.shape[1:]), array.dtype)])

    def _spread(self, array: np.ndarray, place: np.ndarray) -> np.ndarray:
        array = self._cast(array)
        spread = np.zeros((self._places * self.each, *array.shape[1:]), array.dtype)
        spread[place] = array
        return spread

    def _arguments(self, first: int) -> tuple[Any, ...]:
        """Shapes and types of what a call passes, for compiling ahead of time."""
        size = self._places * self.each

        def like(array: np.ndarray) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct((size, *array.shape[1:]), self._cast(array).dtype, sharding=self._split)

        one = np.array([first])
        counts = jax.ShapeDtypeStruct((self._places,), np.int32, sharding=self._split)
        taken, drawn = jax.tree.map(like, (inputs(self._sweep, one)[0], draws(self._sweep, one)))
        return self._shared, taken, drawn, counts

    def _shard(
        self, shared: Any, taken: dict[str, jax.Array], drawn: dict[str, jax.Array], count: jax.Array
    ) -> dict[str, jax.Array]:
        kind, shape = self._sweep.kind, self._shape

        def draw(number: jax.Array) -> Any:
            return kind.draw(shape, folded_key(drawn[KEY][number], drawn[SEED][number]))

        def cell(number: jax.Array, ours: Any) -> dict[str, jax.Array]:
            mine = jax.tree.map(lambda x: x[number], taken)
            return jax.tree.map(jnp.asarray, kind.cell(shape, shared, ours, mine))

        def of_draw(number: jax.Array, columns: dict[str, jax.Array]) -> dict[str, jax.Array]:
            ours, first = draw(number), drawn[FIRST][number]

            def store(place: jax.Array, columns: dict[str, jax.Array]) -> dict[str, jax.Array]:
                return jax.tree.map(lambda column, entry: column.at[place].set(entry), columns, cell(place, ours))

            return lax.fori_loop(first, first + drawn[SIZE][number], store, columns)

        found = jax.eval_shape(lambda number: cell(number, draw(number)), jnp.int32(0))
        empty = jax.tree.map(lambda x: jnp.zeros(self.each, x.dtype), found)
        return lax.fori_loop(0, count[0], of_draw, empty)

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
        found = {name: np.asarray(array)[self._place] for name, array in self._found.items()}
        for name in self._told.keys() & found.keys():  # one side has it, the other NaN
            known = self._told[name].astype(found[name].dtype)
            found[name] = np.where(np.isnan(found[name]), known, found[name])
        return {**{name: array for name, array in self._told.items() if name not in found}, **found}


def inputs(sweep: Sweep, cells: np.ndarray) -> tuple[Arrays, Arrays]:
    """(parameters of the kind, what the table has already) of some cells of one shape, each [n, ...].

    Worked out once for all seeds.
    """
    grid = sweep.grid
    firsts, where = np.unique(grid.with_first_seed(cells), return_inverse=True)
    known = [sweep.kind.known(grid.at(int(cell))) for cell in firsts]
    taken, told = (
        {name: np.stack([np.asarray(one[side][name]) for one in known])[where] for name in known[0][side]}
        for side in (0, 1)
    )
    return taken, {"cell": cells, **grid.columns(cells), **told}


def draws(sweep: Sweep, cells: np.ndarray) -> Arrays:
    """What neighboring cells of one shape draw: for each draw its key [k, 2], its seed, its first cell and how many.

    Cells are counted from the first of these.
    """
    grid = sweep.grid
    numbers, first, size = np.unique(cells // grid.sharing, return_index=True, return_counts=True)
    heads = numbers * grid.sharing
    laws, where = np.unique(grid.with_first_seed(heads), return_inverse=True)
    seeds = grid.columns(heads).get(SEED, np.zeros(len(heads)))
    key = np.array([grid.key(int(cell)) for cell in laws], np.uint32).reshape(-1, 2)[where]
    return {KEY: key, SEED: seeds.astype(np.uint32), FIRST: first.astype(np.int32), SIZE: size.astype(np.int32)}
