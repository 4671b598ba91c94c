"""Scalar quantizers of fixed length: Lloyd-Max levels, bits shared out by marginal return."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np

from rdjax.checks import InputError, require, whole
from rdjax.codes.allocation import MAX_WIDTH, water_filled
from rdjax.codes.arrays import device_array, fit_vectors, shared_size
from rdjax.codes.cells import (
    cell_of,
    level_of,
    lloyd_cells,
    packed_rows,
    padded_width,
    relevance_gains,
    sample_coefficients,
    unpacked_rows,
)
from rdjax.codes.code import FixedLengthCode
from rdjax.codes.lloyd import lloyd_max
from rdjax.codes.transform import Transform, fit_transform
from rdjax.codes.transformed import Transformed
from rdjax.trees import register_dataclass


@partial(
    register_dataclass,
    data_fields=["transform", "levels", "thresholds"],
    meta_fields=["allocation", "law"],
)
@dataclass(frozen=True)
class ScalarQuantizer(Transformed, FixedLengthCode):
    """Every coefficient to the nearest of 2^b_l Lloyd-Max levels.

    Args:
      transform: gives the k centered coefficients.
      levels: reproductions [k, 2^max b], increasing; beyond 2^b_l the last one repeats.
      thresholds: borders between them [k, 2^max b - 1]; infinity beyond 2^b_l - 1.
      allocation: b_l, bits of every coefficient [k]; 0 sends nothing and decodes to the mean.
      law: what the levels are for: "gaussian", those of a unit Gaussian times the standard deviation, so that the
        encoder holds one number for each coefficient; or "samples", fitted to each coefficient's samples.
    """

    transform: Transform
    levels: jax.Array
    thresholds: jax.Array
    allocation: tuple[int, ...]
    law: str

    @classmethod
    def fit(
        cls,
        vectors: Any,
        bits: int,
        *,
        k: int | None = None,
        transform: str | Transform = "pca",
        spread: str = "variance",
        law: str = "gaussian",
        noise: float | None = None,
        seed: int = 0,
    ) -> "ScalarQuantizer":
        """Fit transform and variances, share out the bits, scale the levels.

        Args:
          vectors: [n, D].
          bits: in all, per item; at most 8 for every coefficient.
          k: coefficients; None for as many as there are. Trailing ones that get no bits are left out.
          transform: "pca", "coordinates" or "rotation", or one that is already fitted.
          spread: "variance" (`water_filled`: reverse water-filling in whole bits) or "equal" (bits / k each).
          law: "gaussian" or "samples"; see above. Of more than 65,536 vectors, so many drawn at random are the samples.
          noise: None to decode with least squared error; s^2 to decode for ranking (`cells.relevance_gains`): 1 where
            inner products are calibrated scores in nats, infinity for scores without bias.
          seed: of the rotation.

        Raises:
          InputError: if the budget is out of range or does not divide by k where it must, k is out of range, or the
            spread or the law is neither, or the noise is not above 0.
        """
        array = fit_vectors(vectors)
        fitted = fit_transform(transform, array, k, seed=seed)
        widths = _share_out(np.asarray(fitted.variances, np.float64), bits, spread)
        fitted = fitted.take(int(np.flatnonzero(widths)[-1]) + 1)
        require(law in ("gaussian", "samples"), f'the law is {law!r}; it must be "gaussian" or "samples".')
        widths = widths[: fitted.k]
        make = _gaussian if law == "gaussian" else _fitted
        levels, thresholds, kept = make(widths, fitted, array)
        gains = relevance_gains(np.asarray(fitted.variances, np.float64), kept, noise)
        dtype = fitted.mean.dtype
        tables = (device_array(levels * gains[:, None], dtype), device_array(thresholds, dtype))
        return cls(fitted, *tables, tuple(int(b) for b in widths), law)

    @property
    def name(self) -> str:
        """E.g. "PCA 32 + 4-bit scalar", or "PCA 32 + scalar, 64 bits" where the widths differ."""
        same = len(set(self.widths)) == 1
        kind = f"{self.widths[0]}-bit scalar" if same else f"scalar, {self.bits} bits"
        return self._named(kind)

    @property
    def widths(self) -> tuple[int, ...]:
        """The allocation."""
        return self.allocation

    @property
    def encoder_bytes(self) -> int:
        """Transform, one width per coefficient, and the thresholds; of Gaussians, one deviation and each table once."""
        numbers = self.transform.k + sum(2**b - 1 for b in set(self.widths))
        if self.law == "samples":
            numbers = sum(2**b - 1 for b in self.widths)
        return self.transform.encoder_bytes + self.transform.k + 4 * numbers

    def packed(self, fields: dict[str, Any]) -> dict[str, Any]:
        """The fields as a file keeps them, tables without the padding of their rows."""
        sizes = 2 ** np.array(self.allocation)
        tables = {"levels": packed_rows(self.levels, sizes), "thresholds": packed_rows(self.thresholds, sizes - 1)}
        return fields | tables

    @classmethod
    def unpacked(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """The inverse of `packed`: the tables with their padding."""
        sizes = 2 ** np.array(fields["allocation"], np.int64)
        levels = unpacked_rows(fields["levels"], sizes)
        return fields | {"levels": levels, "thresholds": unpacked_rows(fields["thresholds"], sizes - 1, np.inf)}

    def _shared(self) -> "ScalarQuantizer":
        transform = self.transform.padded(shared_size(self.transform.k))
        rows = (0, transform.k - self.transform.k)
        columns = (0, padded_width(self.levels.shape[1]) - self.levels.shape[1])
        levels = np.pad(np.asarray(self.levels), (rows, columns))  # one level, zero: what a coefficient of no bits is
        thresholds = np.pad(np.asarray(self.thresholds), (rows, columns), constant_values=np.inf)
        shared = (jax.device_put(levels), jax.device_put(thresholds))
        return ScalarQuantizer(transform, *shared, (0,) * transform.k, self.law)

    def _quantize(self, coefficients: jax.Array) -> jax.Array:
        return cell_of(self.thresholds, coefficients)

    def _dequantize(self, symbols: jax.Array) -> jax.Array:
        return level_of(self.levels, symbols)


def _share_out(variances: np.ndarray, bits: int, spread: str) -> np.ndarray:
    """Bits of every coefficient [k], at least one in all."""
    k = len(variances)
    bits = whole(bits, "the budget in bits", least=0)
    require(bits > 0, f"the budget is {bits} bits; a scalar quantizer needs at least one.")
    if spread == "variance":
        return water_filled(variances, bits)
    if spread != "equal":
        raise InputError(f'bits are to be spread by {spread!r}; it must be "variance" or "equal".')
    require(
        bits % k == 0 and bits // k <= MAX_WIDTH,
        f"{bits} bits cannot be spread equally over {k} dimensions; take a multiple of {k} up to {MAX_WIDTH * k}.",
    )
    return np.full(k, bits // k)


_Tables = tuple[np.ndarray, np.ndarray, np.ndarray]


def _gaussian(widths: np.ndarray, transform: Transform, vectors: np.ndarray) -> _Tables:
    """Levels [k, 2^max] and thresholds [k, 2^max - 1], the last level and infinity beyond; variances of levels [k]."""
    size = 2 ** int(widths.max())
    levels, thresholds = np.zeros((len(widths), size)), np.full((len(widths), size - 1), np.inf)
    kept = np.zeros(len(widths))
    for row, width in enumerate(widths):
        values, borders, error = lloyd_max(2 ** int(width))
        levels[row] = np.concatenate([values, np.full(size - len(values), values[-1])])
        thresholds[row, : len(borders)] = borders
        kept[row] = 1 - error
    variances = np.asarray(transform.variances, np.float64)
    deviation = np.sqrt(variances)[:, None]
    # A dimension that never varied keeps the thresholds of a unit Gaussian: all its levels are the mean anyway.
    return levels * deviation, thresholds * np.where(deviation > 0, deviation, 1.0), kept * variances


def _fitted(widths: np.ndarray, transform: Transform, vectors: np.ndarray) -> _Tables:
    """The same from samples."""
    table = lloyd_cells(sample_coefficients(transform, vectors), 2**widths)
    extra = ((0, 0), (0, 2 ** int(widths.max()) - table.levels.shape[1]))
    levels = np.pad(table.levels, extra, mode="edge")
    return levels, np.pad(table.thresholds, extra, constant_values=np.inf), table.kept
