"""Whether what a saved code says of itself can be true; asked of a stranger's file before anything is computed.

Shapes are tried elsewhere (`saved`); here are the numbers that loops, tables and memory are made of.
"""

import dataclasses
from typing import Any

import numpy as np

from rdjax.codes.binary import SignBitsRescored
from rdjax.codes.code import Code
from rdjax.codes.directional import Directional, has_directions
from rdjax.codes.entropy_coded import EntropyCodedScalar, VariableLengthCode
from rdjax.codes.integer import Int8
from rdjax.codes.lengths import Renormalized
from rdjax.codes.product import MOST_BEAM, ProductQuantizer
from rdjax.codes.randomized import UniformCells
from rdjax.codes.rank import RankingCode
from rdjax.codes.recoded import EntropyCoded
from rdjax.codes.scalar import ScalarQuantizer
from rdjax.codes.trellis import MOST_WIDTH, MOST_WINDOW, TrellisCode

MOST_BITS, MOST_SMOOTHING, MOST_CANDIDATES = 24, 64, 1 << 31


def is_sound(code: Any) -> bool:
    """Of the code, and of every code in it."""
    if not isinstance(code, Code):
        return True
    parts = [getattr(code, field.name) for field in dataclasses.fields(code)]  # type: ignore[arg-type]
    return (
        code.dimension > 0
        and all(check(code) for kind, check in CHECKS if isinstance(code, kind))
        and all(is_sound(part) for part in parts)
    )


def _whole(values: Any, low: int, high: int) -> bool:
    return all(isinstance(v, int) and not isinstance(v, bool) and low <= v <= high for v in values)


def _scalar(code: ScalarQuantizer) -> bool:
    levels = code.levels.shape
    widths = code.allocation
    return _whole(widths, 0, MOST_BITS) and len(widths) == levels[0] and 1 << max(widths, default=0) <= levels[1]


def _product(code: ProductQuantizer) -> bool:
    blocks, stages, words, size = code.codebooks.shape
    return (
        _whole((code.beam,), 1, MOST_BEAM)
        and len(code.blocks) == len(code.table) == blocks
        and all(len(row) == stages and _whole(row, 0, MOST_BITS) and 1 << max(row) <= words for row in code.table)
        and all(len(members) <= size and _whole(members, 0, code.transform.k - 1) for members in code.blocks)
    )


def _trellis(code: TrellisCode) -> bool:
    window, width = code.window, code.width
    bounded = _whole((width,), 1, MOST_WIDTH) and _whole((window,), width, MOST_WINDOW)
    return bounded and code.words.shape[0] == 1 << window


def _budgeted(code: EntropyCodedScalar | UniformCells) -> bool:
    return isinstance(code.budget, int | float) and not isinstance(code.budget, bool)


def _variable(code: VariableLengthCode) -> bool:
    sizes, counts = np.asarray(code.sizes), np.asarray(code.counts)
    return (
        counts.ndim == 2
        and sizes.shape == counts.shape[:1]
        and sizes.size > 0
        and int(sizes.min()) >= 1
        and int(sizes.max()) <= counts.shape[1]
        and int(counts.min()) >= 0
    )


def _entropy_coded_scalar(code: EntropyCodedScalar) -> bool:
    return code.levels.shape[0] == code.sizes.shape[0] and int(np.max(np.asarray(code.sizes))) <= code.levels.shape[1]


def _recoded(code: EntropyCoded) -> bool:
    counts, smoothing = np.asarray(code.counts), np.asarray(code.smoothing)
    return bool(np.all(counts >= 0) and np.all(np.abs(smoothing.astype(float)) <= MOST_SMOOTHING))


def _renormalized(code: Renormalized) -> bool:
    numbers = [np.asarray(number) for number in (code.floor, code.gain)]
    return "documents" in code.code.sides and all(n.shape == () and bool(np.isfinite(n) & (n >= 0)) for n in numbers)


CHECKS: tuple[tuple[type, Any], ...] = (
    (ScalarQuantizer, _scalar),
    (ProductQuantizer, _product),
    (TrellisCode, _trellis),
    (VariableLengthCode, _variable),
    (EntropyCodedScalar, _entropy_coded_scalar),
    (EntropyCodedScalar, _budgeted),
    (UniformCells, _budgeted),
    (EntropyCoded, _recoded),
    (Directional, lambda code: has_directions(code.code)),
    (Renormalized, _renormalized),
    (Int8, lambda code: code.scale.ndim == 1),
    (SignBitsRescored, lambda code: _whole((code.candidates,), 1, MOST_CANDIDATES)),
    (RankingCode, lambda code: code.temperature.shape == ()),
)
