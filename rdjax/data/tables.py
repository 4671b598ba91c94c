"""Tables in .parquet files: ids, and a column of lists of numbers for each modality. Needs pyarrow, an extra.

What is kept is bounded before it is allocated. What pyarrow itself takes for the pages of a few thousand rows is not:
of a table that you would not open with pyarrow, make arrays elsewhere.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from rdjax.checks import InputError, require
from rdjax.data.reading import open_file, require_bounded

IDS, RELEVANT = ("id", "_id"), "relevant"
_BATCH, _ENTRIES = 4096, 2**22  # most rows at a time, and most numbers
_CELL = 64  # bytes that a short string takes


class Table:
    """One .parquet file, open; columns are read when they are asked for, some thousand rows at a time.

    Args:
      path: as the user typed it.
      memory: bytes that there are for a column; None: the machine's.

    Raises:
      InputError: pyarrow is not installed, no such file, or another format.
    """

    def __init__(self, path: str, memory: float | None = None) -> None:
        with open_file(path) as file:
            self._size = os.fstat(file.fileno()).st_size
        try:
            import pyarrow.parquet as parquet
        except ImportError:
            raise InputError(f"{path} needs pyarrow, which is not installed; pip install pyarrow.") from None
        self.path, self._memory = path, memory
        with self._refusing():
            self._file = parquet.ParquetFile(path)
            self._rows = int(self._file.metadata.num_rows)
            self._types = {field.name: field.type for field in self._file.schema_arrow}
            if self._rows < 0:
                raise ValueError
            twice = len(self._types) < len(self._file.schema_arrow)
        require(not twice, f"{path} has two columns of one name; rename one.")
        require_bounded(_CELL * self._rows, self._size, path, memory)

    def ids(self) -> list[str] | None:
        """The column `id` or `_id` as strings, or None.

        Raises:
          InputError: an empty cell, or anything but strings and whole numbers.
        """
        named = [name for name in IDS if name in self._types]
        require(len(named) < 2, f"{self.path} has both {' and '.join(IDS)}; keep one.")
        return [self._name(cell, named[0], row) for row, cell in enumerate(self._cells(named[0]))] if named else None

    def relevant(self) -> list[list[str]] | None:
        """The column `relevant`, a document id or a list of them in each row, or None.

        Raises:
          InputError: an empty cell, or anything but strings and whole numbers.
        """
        if RELEVANT not in self._types:
            return None
        rows = (cell if isinstance(cell, list) else [cell] for cell in self._cells(RELEVANT))
        return [[self._name(name, RELEVANT, row) for name in names] for row, names in enumerate(rows)]

    def vectors(self) -> dict[str, np.ndarray]:
        """Each column of lists of numbers as an array [rows, D]; other columns are left alone.

        Raises:
          InputError: naming the row: an empty cell, an empty place in a list, lists of different lengths; damage.
        """
        names = [name for name, kind in self._types.items() if name not in (*IDS, RELEVANT) and _is_vector(kind)]
        return {name: self._vectors(name) for name in names}

    def _vectors(self, name: str) -> np.ndarray:
        where, row = f"{self.path}: {name}", 0
        array = self._room(name, where)
        for column in self._batches(name, max(1, _ENTRIES // max(1, array.shape[1]))):
            with self._refusing():
                lengths, flat = _lists(column, where, row)
            other = np.flatnonzero(lengths != array.shape[1])
            if len(other):
                raise InputError(
                    f"{where} has {lengths[other[0]]} numbers in row {row + other[0]} and {array.shape[1]} in row 0; "
                    f"all vectors must be of one length (if it is no embedding, drop the column)."
                )
            require(row + len(lengths) <= self._rows, f"{self.path} is damaged: it holds more rows than it declares.")
            array[row : row + len(lengths)] = flat.reshape(len(lengths), -1)
            row += len(lengths)
        self._require_rows(row)
        return array

    def _room(self, name: str, where: str) -> np.ndarray:
        """An array for the column, if every row is as long as the first, which alone is read: the file may be a trick.

        What the footer says of columns is not asked for: of a damaged one, pyarrow 26 ends the process there.
        """
        for column in self._batches(name, 1):
            with self._refusing():
                lengths, flat = _lists(column, where, 0)
            shape = (self._rows, int(lengths[0]))
            require_bounded(shape[0] * shape[1] * flat.dtype.itemsize, self._size, where, self._memory)
            return np.empty(shape, flat.dtype)
        return np.empty((0, 0), np.float32)

    def _cells(self, name: str) -> Iterator[Any]:
        count = 0
        for column in self._batches(name):
            with self._refusing():
                cells = column.to_pylist()
            yield from cells
            count += len(cells)
        self._require_rows(count)

    def _require_rows(self, count: int) -> None:
        require(count == self._rows, f"{self.path} is damaged: {self._rows} rows are declared and {count} are there.")

    def _batches(self, name: str, most: int = _BATCH) -> Iterator[Any]:
        with self._refusing():
            rows = min(most, _BATCH)
            for batch in self._file.iter_batches(batch_size=rows, columns=[name], use_threads=False):
                yield batch.column(name)

    def _name(self, cell: Any, column: str, row: int) -> str:
        good = isinstance(cell, str | int) and not isinstance(cell, bool) and cell != ""
        require(good, f"{self.path}: {column} has {cell!r} in row {row}; it must hold strings.")
        return str(cell)

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        """Whatever pyarrow makes of a damaged file becomes one sentence."""
        try:
            yield
        except (InputError, GeneratorExit):
            raise
        except Exception:  # Thrift, decompression and decoding fail in many ways
            raise InputError(f"{self.path} is no .parquet file or is damaged; write it again.") from None


def _is_vector(kind: Any) -> bool:
    """Whether a column holds lists of numbers, by the name of its type, e.g. fixed_size_list<item: float>[4]."""
    import pyarrow.types as types

    if not (types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)):
        return False
    return types.is_integer(kind.value_type) or types.is_floating(kind.value_type)


def _lists(column: Any, where: str, first: int) -> tuple[np.ndarray, np.ndarray]:
    """Length of each list of a batch that starts at row `first`, and all their numbers in one array."""
    if column.null_count:
        row = first + int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
        raise InputError(f"{where} is empty in row {row}; remove that item or embed it.")
    lengths = np.asarray(column.value_lengths().to_numpy(zero_copy_only=False))
    flat = column.flatten()
    if (lengths < 0).any() or lengths.sum() != len(flat):
        raise ValueError
    if flat.null_count:
        place = int(np.argmax(flat.is_null().to_numpy(zero_copy_only=False)))
        row = int(np.searchsorted(np.cumsum(lengths), place, side="right"))
        column_number = place - int(lengths[:row].sum())
        raise InputError(f"{where} is empty in row {first + row}, column {column_number}; embed that item again.")
    return lengths, np.asarray(flat.to_numpy(zero_copy_only=False))
