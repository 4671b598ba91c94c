"""Encoding many vectors block by block, some blocks beside each other, so that none are copied or held whole."""

from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from jax.typing import ArrayLike

from rdjax.checks import is_concrete
from rdjax.codes.arrays import host_vectors, padded
from rdjax.codes.code import Code
from rdjax.numerics import on_device
from rdjax.retrieval.beside import Beside, options
from rdjax.retrieval.tiles import default_device

AT_ONCE = 1 << 14  # vectors that are encoded at a time where there are more
_RUNNING = 3


def encoded_in_blocks(code: Code, vectors: ArrayLike) -> jax.Array:
    """What `Code.encode` says of the vectors, which are read a block at a time where there are many."""
    here = is_concrete(code, vectors, on_device(0))  # the last is traced where a trace closed over the others
    if not here or np.ndim(vectors) != 2 or np.shape(vectors)[0] <= AT_ONCE:
        return Code.encode(code, vectors)
    rows = vectors if isinstance(vectors, np.ndarray) else np.asarray(vectors)
    symbols = np.empty((len(rows), code.num_symbols), np.int32)
    mesh, running = default_device(), deque[tuple[int, Any]]()
    with Beside(mesh) as beside:  # a block runs on one core, so several run at a time
        for start in range(0, len(rows), AT_ONCE):
            block = host_vectors(rows[start : start + AT_ONCE], code.dtype, code.dimension, code.name, start)
            filled = padded(block, AT_ONCE) if len(block) < AT_ONCE else block
            program = _encoded_on(mesh, type(code))
            running += zip([start], beside.begin(program, [(code.at(start), filled)], [()]), strict=True)
            if len(running) > _RUNNING:
                _write(symbols, beside, running.popleft())
        for entry in running:
            _write(symbols, beside, entry)
    return jax.device_put(symbols)


@lru_cache(maxsize=8)
def _encoded_on(mesh: Mesh, kind: type[Code]) -> Callable[[Any, Any], jax.Array]:
    return jax.jit(kind._encode, compiler_options=options(mesh))


def _write(symbols: np.ndarray, beside: Beside, entry: tuple[int, Any]) -> None:
    start, begun = entry
    symbols[start : start + AT_ONCE] = np.asarray(*beside.done([begun]))[: len(symbols) - start]
