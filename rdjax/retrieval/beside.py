"""Steps beside each other: on one processor device from a thread for each core, elsewhere as JAX dispatches them.

A device that is the machine's own processor runs one program at a time if they come from one thread, whatever is idle;
from a thread for each core it runs as many (`benchmarks/scale.py --only ranks`).
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from rdjax.retrieval.tiles import on_processors

#: For a step on a core of its own: products on one core, by Eigen, which was faster so than XLA's default.
_BY_EIGEN = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_CONVOLUTION"}
_ON_ONE_CORE = {"xla_cpu_multi_thread_eigen": False}


def options(mesh: Mesh) -> dict[str, Any] | None:
    """Compiler options for the steps of a `Beside`; None where the devices are no processors."""
    return _known_options() if on_processors(mesh) else None


@lru_cache(maxsize=1)
def _known_options() -> dict[str, Any]:
    """Those that this version of XLA knows; without them a step is right as well, and slower."""
    for some in (_ON_ONE_CORE | _BY_EIGEN, _ON_ONE_CORE):
        try:
            jax.jit(lambda: 0, compiler_options=some).lower().compile()
        except jax.errors.JaxRuntimeError:
            continue
        return some
    return {}


def steps_at_once(mesh: Mesh) -> int:
    """How many steps a `Beside` of these devices runs at once: one for each core of a lone processor."""
    alone = mesh.size == 1 and on_processors(mesh)
    return os.cpu_count() or 1 if alone else 1


class Beside:
    """A context in which steps are begun, all of a kind, and waited for.

    Args:
      mesh: the devices they run on. Several devices, or one that is an accelerator, are kept busy from one thread.
      most: steps at once; None for as many as there are cores.
    """

    def __init__(self, mesh: Mesh, most: int | None = None):
        steps = steps_at_once(mesh) if most is None else min(most, steps_at_once(mesh))
        self._pool = ThreadPoolExecutor(steps) if steps > 1 else None

    def __enter__(self) -> "Beside":
        return self

    def __exit__(self, *_: Any) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def begin(self, step: Callable[..., Any], given: Sequence[tuple[Any, ...]], states: Sequence[Any]) -> list[Any]:
        """step(*given, *state) for each, begun; states that are begun themselves are waited for there, not here."""
        if self._pool is None:
            return [step(*fixed, *state) for fixed, state in zip(given, states, strict=True)]
        wide = jax.dtypes.canonicalize_dtype(np.float64) == np.float64  # these two settings belong to a thread
        device = getattr(jax.config, "jax_default_device", None)

        def run(fixed: tuple[Any, ...], state: Any) -> Any:
            with jax.enable_x64(wide), jax.default_device(device):
                return jax.block_until_ready(step(*fixed, *_there(state)))

        return [self._pool.submit(run, *pair) for pair in zip(given, states, strict=True)]

    def done(self, states: Sequence[Any]) -> list[Any]:
        """What was begun, or is there already, once it is there."""
        return jax.block_until_ready([_there(state) for state in states])


def _there(state: Any) -> Any:
    return state.result() if isinstance(state, Future) else state
