"""Entropy-coded scalar quantization: lengths that follow the frequencies of the fit, one price of a bit throughout."""

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import jax
import numpy as np

from rdjax.checks import InputError, require
from rdjax.codes.arrays import device_array, fit_vectors, shared_size
from rdjax.codes.bitstream import categorical_models, pack_entropy, sample_of_singles, unpack_entropy
from rdjax.codes.cells import (
    Table,
    cell_of,
    level_of,
    packed_rows,
    padded_width,
    relevance_gains,
    sample_coefficients,
    unpacked_rows,
)
from rdjax.codes.code import Code
from rdjax.codes.lloyd import SMOOTHING
from rdjax.codes.mean_rate import dead_zone_cells, optimal_cells
from rdjax.codes.transform import Transform, fit_transform
from rdjax.codes.transformed import Transformed
from rdjax.trees import register_dataclass

_DESIGNS = {"optimal": optimal_cells, "dead zone": dead_zone_cells}


class VariableLengthCode(Code):
    """A code whose symbols are range-coded, each column by the frequencies of the fit: p = (count + 1/2) / (n + K / 2).

    Args:
      counts: how often each symbol occurred in the fit, int32 [L, most symbols], zeros beyond its own alphabet.
      sizes: size K of every alphabet, int32 [L].
    """

    counts: jax.Array
    sizes: jax.Array

    @property
    def num_symbols(self) -> int:
        """L, symbols of an item."""
        return self.sizes.shape[0]

    @property
    def model_bytes(self) -> int:
        """Four bytes for every symbol's frequency and every alphabet's size."""
        return 4 * (self.num_symbols + int(np.asarray(self.sizes).sum()))

    def packed(self, fields: dict[str, Any]) -> dict[str, Any]:
        """The fields as a file keeps them, tables without the padding of their rows."""
        return fields | {"counts": packed_rows(self.counts, np.asarray(self.sizes))}

    @classmethod
    def unpacked(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """The inverse of `packed`: the tables with their padding."""
        return fields | {"counts": unpacked_rows(fields["counts"], np.asarray(fields["sizes"]), 0)}

    @cached_property
    def laws(self) -> list[np.ndarray]:
        """The model: probabilities of every column's symbols, float64."""
        counts = np.asarray(self.counts, np.float64)
        rows = [row[:size] + SMOOTHING for row, size in zip(counts, np.asarray(self.sizes), strict=True)]
        return [row / row.sum() for row in rows]

    @cached_property
    def _models(self) -> list[Any]:
        return categorical_models(self.laws)

    def pack(self, symbols: Any) -> bytes:
        """The symbols through a range coder; see `Code.pack`."""
        return pack_entropy(self._host(symbols), self._models)

    def _alphabet(self) -> np.ndarray:
        return np.asarray(self.sizes)

    def unpack(self, payload: bytes, num_items: int) -> jax.Array:
        """The inverse of `pack`; see `Code.unpack`."""
        return device_array(unpack_entropy(payload, num_items, self._models), np.int32)

    def _lengths(self, symbols: np.ndarray) -> tuple[float, float]:
        lengths = [-np.log2(law)[column] for law, column in zip(self.laws, symbols.T, strict=True)]
        singles = [8 * len(pack_entropy(item[None, :], self._models)) for item in sample_of_singles(symbols)]
        return float(np.sum(lengths) / len(symbols)), float(np.mean(singles))


@partial(
    register_dataclass,
    data_fields=["transform", "levels", "thresholds", "counts", "sizes"],
    meta_fields=["cells", "budget"],
)
@dataclass(frozen=True)
class EntropyCodedScalar(Transformed, VariableLengthCode):
    """Every coefficient to one of its cells, coded at about -log2 of the cell's frequency in the fit.

    Args:
      transform: gives the k centered coefficients.
      levels: what each cell decodes to [k, K]; beyond a coefficient's own cells the last one repeats.
      thresholds: borders between cells [k, K - 1]; infinity beyond.
      counts: how often each cell was met in the fit, int32 [k, K], zeros beyond.
      sizes: cells of every coefficient, int32 [k].
      cells: how they were designed: "optimal", "dead zone" or "uniform".
      budget: bits that were asked for, for the name.
    """

    transform: Transform
    levels: jax.Array
    thresholds: jax.Array
    counts: jax.Array
    sizes: jax.Array
    cells: str
    budget: float

    @classmethod
    def fit(
        cls,
        vectors: Any,
        bits: float,
        *,
        k: int | None = None,
        transform: str | Transform = "pca",
        cells: str = "optimal",
        noise: float | None = None,
        seed: int = 0,
    ) -> "EntropyCodedScalar":
        """Fit the transform, and cells whose mean ideal length over these same vectors is `bits`, from below.

        Args:
          vectors: [n, D]; of more than 65,536, so many drawn at random set the cells and their frequencies.
          bits: mean bits per item over the fit, above 0, met within .2% unless no design comes so near; other vectors
            take what they take (`rate`).
          k: coefficients; None for as many as there are. Trailing ones of a single cell are left out.
          transform: "pca", "coordinates" or "rotation", or one that is already fitted.
          cells: "optimal", entropy-constrained, or "dead zone", a step and a rounding for all, which is less for the
            encoder to hold and faster to fit; see `mean_rate`.
          noise: None to decode with least squared error; s^2 to decode for ranking (`cells.relevance_gains`): 1 where
            inner products are calibrated scores in nats, infinity for scores without bias.
          seed: of the rotation.

        Raises:
          InputError: if the budget is not positive, or so large that a cell would be finer than the fit can tell; if
            there are no such cells, or the noise is not above 0.
        """
        require(
            not isinstance(bits, str) and bits > 0,
            f"the budget is {bits} bits; an entropy-coded quantizer needs more than 0.",
        )
        if cells not in _DESIGNS:
            raise InputError(f'the cells are {cells!r}; they must be "optimal" or "dead zone".')
        array = fit_vectors(vectors)
        fitted = fit_transform(transform, array, k, seed=seed)
        coefficients = sample_coefficients(fitted, array)
        table = _DESIGNS[cells](coefficients, float(bits))
        gains = relevance_gains(np.asarray(np.mean(coefficients**2, axis=0, dtype=np.float64)), table.kept, noise)
        return cls.of_table(fitted, table, cells, float(bits), gains)

    @classmethod
    def of_table(
        cls, transform: Transform, table: Table, cells: str, bits: float, gains: np.ndarray | None = None
    ) -> "EntropyCodedScalar":
        """From a table of cells designed elsewhere for the coefficients of a transform.

        Args:
          transform, cells: as the fields of the class.
          table: levels, thresholds, counts and sizes of the cells, as the fields of the class but on the host.
          bits: the budget, for the name.
          gains: what levels are multiplied with [k]; None: with nothing.
        """
        varied = np.flatnonzero(table.sizes > 1)
        k = int(varied[-1]) + 1 if len(varied) else 1
        dtype = transform.mean.dtype
        width = int(table.sizes[:k].max())
        return cls(
            transform.take(k),
            device_array((table.levels if gains is None else table.levels * gains[:, None])[:k, :width], dtype),
            device_array(table.thresholds[:k, : width - 1], dtype),
            device_array(table.counts[:k, :width], np.int32),
            device_array(table.sizes[:k], np.int32),
            cells,
            bits,
        )

    @property
    def name(self) -> str:
        """E.g. "PCA 32 + entropy-coded scalar, fitted to 64 bits", or "PCA 32 + dead-zone entropy-coded ..."."""
        kind = {"optimal": "", "dead zone": "dead-zone "}.get(self.cells, f"{self.cells} ") + "entropy-coded"
        kind = f"{kind} scalar, fitted to {self.budget:g} bits"
        return self._named(kind)

    @property
    def encoder_bytes(self) -> int:
        """Transform, model, and thresholds: or a step, a rounding and where cells begin; or of uniform cells both."""
        sizes = np.asarray(self.sizes)
        borders = {"optimal": int((sizes - 1).sum()), "uniform": 2 * sizes.size}.get(self.cells, 2 + sizes.size)
        return self.transform.encoder_bytes + self.model_bytes + 4 * borders

    def packed(self, fields: dict[str, Any]) -> dict[str, Any]:
        """The fields as a file keeps them, tables without the padding of their rows."""
        sizes = np.asarray(self.sizes)
        tables = {"levels": packed_rows(self.levels, sizes), "thresholds": packed_rows(self.thresholds, sizes - 1)}
        return super().packed(fields) | tables

    @classmethod
    def unpacked(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """The inverse of `packed`: the tables with their padding."""
        sizes = np.asarray(fields["sizes"])
        levels = unpacked_rows(fields["levels"], sizes)
        return super().unpacked(fields) | {
            "levels": levels,
            "thresholds": unpacked_rows(fields["thresholds"], sizes - 1, np.inf),
        }

    def _shared(self) -> "EntropyCodedScalar":
        transform = self.transform.padded(shared_size(self.transform.k))
        rows = (0, transform.k - self.transform.k)
        columns = (0, padded_width(self.levels.shape[1]) - self.levels.shape[1])
        levels = np.pad(np.pad(np.asarray(self.levels), ((0, 0), columns), mode="edge"), (rows, (0, 0)))
        thresholds = np.pad(np.asarray(self.thresholds), (rows, columns), constant_values=np.inf)
        nothing = jax.device_put(np.zeros((transform.k, 1), np.int32))  # neither encoding nor decoding looks at them
        sizes = jax.device_put(np.zeros(transform.k, np.int32))
        tables = (jax.device_put(levels), jax.device_put(thresholds), nothing, sizes)
        return EntropyCodedScalar(transform, *tables, self.cells, 0.0)

    def _quantize(self, coefficients: jax.Array) -> jax.Array:
        return cell_of(self.thresholds, coefficients)

    def _dequantize(self, symbols: jax.Array) -> jax.Array:
        return level_of(self.levels, symbols)
