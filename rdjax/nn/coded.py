"""A trained quantizer as a code of `rdjax.codes`: the same symbols and values, in bytes, to be saved and exported."""

from typing import Any

import numpy as np

from rdjax.checks import require
from rdjax.codes import EntropyCodedScalar, ProductQuantizer
from rdjax.codes.arrays import device_array
from rdjax.codes.cells import Table
from rdjax.codes.transform import fit_coordinates

MOST_CELLS = 2**14  # of a component


def code_of_steps(step: np.ndarray, symbols: np.ndarray, vectors: Any) -> EntropyCodedScalar:
    """Components to multiples of their steps [D], entropy-coded by how often `vectors` met each.

    Cells go one beyond the symbols [n, D] that were met; what is farther out goes to the last one.
    """
    farthest = np.abs(symbols).max(axis=0)
    fine = int(np.argmax(farthest))
    words = f"component {fine} goes to {farthest[fine]:,.6g} steps of {step[fine]:.3g}"
    require(farthest[fine] <= MOST_CELLS / 2 - 2, f"{words}; a code has {MOST_CELLS:,}, so train larger steps.")
    numbers = symbols.astype(np.int64)
    least, sizes = numbers.min(axis=0) - 1, np.ptp(numbers, axis=0) + 3
    cell = np.arange(sizes.max())
    whole = least[:, None] + np.minimum(cell, sizes[:, None] - 1)
    borders = np.where(cell[:-1] < sizes[:, None] - 1, (whole[:, :-1] + 0.5) * step[:, None], np.inf)
    counts = np.stack([np.bincount(column, minlength=len(cell)) for column in (numbers - least).T])
    share = counts / len(numbers)
    bits = -np.sum(share * np.log2(np.where(counts, share, 1)))
    table = Table(whole * step[:, None], borders, counts, sizes)
    # the name has the bits that the vectors took
    return EntropyCodedScalar.of_table(
        fit_coordinates(vectors, len(step), centered=False), table, "uniform", round(bits, 1)
    )


def code_of_words(words: np.ndarray, vectors: Any) -> ProductQuantizer:
    """Blocks of components side by side to the words [B, S, K, d], stage after stage."""
    blocks, stages, count, width = words.shape
    places = tuple(tuple(range(width * block, width * (block + 1))) for block in range(blocks))
    transform = fit_coordinates(vectors, blocks * width, centered=False)
    table = ((count.bit_length() - 1,) * stages,) * blocks
    return ProductQuantizer(transform, device_array(words, transform.mean.dtype), places, table, 1)
