"""Arrays whose rows are on many devices: told apart, brought to the host, computed with where they are."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jax.typing import ArrayLike


def row_sharding(array: Any) -> NamedSharding | None:
    """How an array is shared over a mesh; None where it is in one place, or whole in every place."""
    sharding = getattr(array, "sharding", None)
    shared = isinstance(sharding, NamedSharding) and sharding.shard_shape(array.shape) != array.shape
    return sharding if shared else None


def along(sharding: NamedSharding) -> NamedSharding:
    """Of an array with a first axis that goes over the same devices, and other axes that are whole."""
    return NamedSharding(sharding.mesh, PartitionSpec(sharding.spec[0]))


def automatic(array: jax.Array) -> jax.Array:
    """The same shards on a mesh of automatic axes, whatever the user's is: the compiler finds what is to be summed."""
    sharding = row_sharding(array)
    if sharding is None or isinstance(array, jax.core.Tracer) or AxisType.Explicit not in sharding.mesh.axis_types:
        return array
    mesh = Mesh(sharding.mesh.devices, sharding.mesh.axis_names)
    return jax.device_put(array, NamedSharding(mesh, PartitionSpec(*sharding.spec)))  # nothing is copied


def by_compiler(function: Callable[..., Any], *arrays: Any, leading: int = 0) -> Any:
    """function(*arrays), the shards of Explicit axes left to the compiler, also under jit; without such axes just that.

    The first `leading` axes of every result are shared as those of the first array, the others whole.
    """
    types = [jax.typeof(array).sharding for array in jax.tree.leaves(arrays) if isinstance(array, jax.Array)]
    explicit = [found.mesh for found in types if AxisType.Explicit in found.mesh.axis_types]
    if not explicit:
        return function(*arrays)
    spec = jax.typeof(arrays[0]).sharding.spec if isinstance(arrays[0], jax.Array) else ()
    with jax.sharding.use_abstract_mesh(explicit[0]):
        return jax.sharding.auto_axes(function, out_sharding=PartitionSpec(*spec[:leading]))(*arrays)


def on_host(array: ArrayLike) -> np.ndarray:
    """The array in host memory, whole, also where other processes hold parts of it (all of them call this then)."""
    if isinstance(array, jax.Array) and not array.is_fully_addressable and isinstance(array.sharding, NamedSharding):
        array = jax.jit(lambda x: x, out_shardings=NamedSharding(array.sharding.mesh, PartitionSpec()))(array)
    return np.asarray(array)


def by_rows(function: Callable[[Any, Any], Any], sharding: NamedSharding | None) -> Callable[[Any, Any], Any]:
    """function(rows, rest) on each device with its rows, and all of the rest: no row is asked of another device.

    The arrays of the result have a first axis over devices too.
    """
    if sharding is None:
        return function
    split = along(sharding).spec
    return jax.shard_map(
        function, mesh=sharding.mesh, in_specs=(split, PartitionSpec()), out_specs=split, check_vma=False
    )
