"""Steps beside each other: on one processor device from a thread for each core, elsewhere as JAX dispatches them.

A device that is the machine's own processor runs one program at a time if they come from one thread, whatever is idle;
from a thread for each core it runs as many (`benchmarks/scale.py --only ranks`).
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from rdjax.retrieval.tiles import on_processors


class Beside:
    """A context in which steps are begun, all of a kind, and waited for.

    Args:
      mesh: the devices they run on. Several devices, or one that is an accelerator, are kept busy from one thread.
    """

    def __init__(self, mesh: Mesh):
        alone = mesh.size == 1 and on_processors(mesh)
        self._pool = ThreadPoolExecutor(os.cpu_count() or 1) if alone else None

    def __enter__(self) -> "Beside":
        return self

    def __exit__(self, *_: Any) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def begin(self, step: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        """step(*a) for each a of the arguments, begun."""
        if self._pool is None:
            return [step(*given) for given in arguments]
        wide = jax.dtypes.canonicalize_dtype(np.float64) == np.float64  # the setting belongs to a thread

        def run(*given: Any) -> Any:
            with jax.enable_x64(wide):
                return jax.block_until_ready(step(*given))

        return [self._pool.submit(run, *given) for given in arguments]

    def done(self, begun: Sequence[Any]) -> list[Any]:
        """What was begun, or is there already, once it is there."""
        return jax.block_until_ready([one.result() if isinstance(one, Future) else one for one in begun])
