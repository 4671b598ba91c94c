"""How far an estimator can be believed on given data: read it on look-alike data whose mutual information is known.

The module `look_alike` says what such data are.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from rdjax import checks
from rdjax.host import on_the_host
from rdjax.information.look_alike import LookAlike
from rdjax.information.rows import check_observations
from rdjax.trees import register_dataclass

Estimator = Callable[[Any, Any], Any]

LARGEST_MISS = 0.2
SMALLEST = 0.5  # bits; below, a relative miss means little, and the same number of bits is allowed as at it
_SHARES = (0.0, 0.5, 1.0, 2.0)  # of the estimate
_MORE, _CLOSE = 2, 0.05  # levels where it is read, unless there is one as close, relative to the estimate


@register_dataclass
@dataclass(frozen=True)
class EstimatorCalibration:
    """An estimate, and what the same estimator reads where the truth is known. In bits, scalars but for [L].

    Args:
      estimate: what it reads on the data themselves.
      known: [L], rising: what look-alike data hold.
      read: [L], what it reads there, mean over repeats.
      spread: standard deviation of one reading.
      least, most: what look-alike data hold that read within one spread of the estimate; `most` is inf where the
        readings do not rise above that.
      miss: how far the estimate is from the worse of the two, relative to it, or to 0.5 bits where that is more; 1
        where `most` is inf.
      shape: n, columns of x, columns of y.
    """

    estimate: np.ndarray
    known: np.ndarray
    read: np.ndarray
    spread: np.ndarray
    least: np.ndarray
    most: np.ndarray
    miss: np.ndarray
    shape: np.ndarray

    @property
    def trusted(self) -> bool:
        """Whether the miss is at most 20%."""
        return bool(self.miss <= LARGEST_MISS)

    @property
    def message(self) -> str:
        """One sentence: what the estimate is worth, or why it is withheld."""
        n, d, e = (int(size) for size in self.shape)
        where, estimate = f"on data like these ({n:,} rows, {d} + {e} columns)", f"{float(self.estimate):.3g}"
        if not np.isfinite(self.most):
            return (
                f"withheld: {where} even {float(self.known[-1]):.3g} bits read only {float(self.read[-1]):.3g}, so a "
                f"reading of {estimate} does not say how much there is."
            )
        held = f"{where} what reads {estimate} holds {float(self.least):.3g} to {float(self.most):.3g} bits"
        return f"{held}." if self.trusted else f"withheld: {held}, so it may miss by {float(self.miss):.1%}."


@on_the_host
def calibrate_estimator(
    estimator: Estimator,
    x: ArrayLike,
    y: ArrayLike,
    *,
    levels: Sequence[float] | None = None,
    directions: int | None = None,
    repeats: int = 3,
    seed: int = 0,
) -> EstimatorCalibration:
    """Read an estimator on x, y and on look-alike data of several known levels of mutual information.

    Args:
      estimator: (x, y) -> bits, a scalar; called 1 + L * repeats times on arrays of the shape and precision of x, y.
      x: [n, d]; y: [n, e].
      levels: what the look-alike data hold, bits, rising from 0; None: 0, 1/2, 1 and 2 times the estimate, or 0.5 if
        that is more, and up to two more around what reads the estimate, since readings bend.
      directions: over how many pairs of directions what is shared is spread; None: as the data show, see `look_alike`.
      repeats: readings per level, at least 2.
      seed: of NumPy's default generator.

    Returns:
      `EstimatorCalibration`; `trusted` when it misses by at most 20%, else its `message` says why it is withheld.

    Raises:
      InputError: shapes, NaN, fewer than 4 rows, an estimator that returns no finite number, levels that do not rise
        from 0.
    """
    check_observations({"x": x, "y": y}, least=4)
    checks.whole(repeats, "repeats", 2)
    data = tuple(array if isinstance(array, jax.Array) else np.asarray(array) for array in (x, y))
    estimate = _read(estimator, data, "the data")
    known = np.asarray(np.array(_SHARES) * max(estimate, SMALLEST) if levels is None else levels, np.float64)
    checks.require(
        bool(np.isfinite(known).all())
        and known.ndim == 1
        and known.size > 1
        and known[0] == 0
        and bool((np.diff(known) > 0).all()),
        f"levels are {known.tolist()}; give rising bits from 0, all finite.",
    )
    alike = LookAlike(data[0], data[1], directions)
    generator = np.random.default_rng(seed)

    def reading(bits: float) -> float:
        return _read(estimator, _like(data, alike.draw(bits, generator)), f"data that hold {bits:.3g} bits")

    reads = np.array([[reading(bits) for bits in known] for _ in range(repeats)])
    for _ in range(_MORE if levels is None else 0):
        level = np.mean(_held(known, reads, estimate)[2:])
        if not np.isfinite(level) or np.abs(known - level).min() <= _CLOSE * max(estimate, SMALLEST):
            break
        place = np.searchsorted(known, level)
        known = np.insert(known, place, level)
        reads = np.insert(reads, place, [reading(level) for _ in range(repeats)], axis=1)
    read, spread, *ends = _held(known, reads, estimate)
    miss = max(abs(estimate - end) / max(end, SMALLEST) if np.isfinite(end) else 1.0 for end in ends)
    shape = np.array([*data[0].shape, data[1].shape[1]])
    return EstimatorCalibration(*map(np.asarray, (estimate, known, read, spread, *ends, miss, shape)))


def _held(known: np.ndarray, reads: np.ndarray, estimate: float) -> tuple[np.ndarray, float, float, float]:
    """Of readings [repeats, L] the mean [L] and the spread, and the least and the most that could read the estimate."""
    read, spread = reads.mean(axis=0), float(np.sqrt(reads.var(axis=0, ddof=1).mean()))
    return read, spread, _least(known, read, estimate - spread), _most(known, read, estimate + spread)


def _like(data: tuple, drawn: tuple) -> tuple:
    """A draw in the kind of arrays, and the precision, that the data came in."""
    kinds = [array.dtype if array.dtype.kind == "f" else np.float64 for array in data]
    made = [array.astype(kind) for array, kind in zip(drawn, kinds, strict=True)]
    return tuple(jnp.asarray(a) if isinstance(b, jax.Array) else a for a, b in zip(made, data, strict=True))


def _read(estimator: Estimator, data: tuple, where: str) -> float:
    value = np.asarray(estimator(*data))
    checks.require(
        value.shape == () and bool(np.isfinite(value)),
        f"the estimator returned {value} on {where}; it must return a finite number of bits.",
    )
    return float(value)


def _least(known: np.ndarray, read: np.ndarray, level: float) -> float:
    """The least that could read so much: where the readings, made to rise, first come up to a level."""
    rising = np.maximum.accumulate(read)
    if rising[-1] < level:
        return float(known[-1])  # at least
    return _crossing(known, rising, level, int(np.argmax(rising >= level)))


def _most(known: np.ndarray, read: np.ndarray, level: float) -> float:
    """The most that could read so little: where the readings, made to rise, leave a level for good, or inf."""
    rising = np.minimum.accumulate(read[::-1])[::-1]
    if rising[-1] <= level:
        return np.inf
    return _crossing(known, rising, level, int(np.argmax(rising > level)))


def _crossing(known: np.ndarray, rising: np.ndarray, level: float, above: int) -> float:
    """Where a rising curve passes a level, given the first point above it; its first point if that is."""
    if above == 0:
        return float(known[0])
    share = (level - rising[above - 1]) / (rising[above] - rising[above - 1])
    return float(known[above - 1] + share * (known[above] - known[above - 1]))
