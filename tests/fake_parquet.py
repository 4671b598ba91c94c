"""As much of pyarrow as reading a table takes, for machines without it: a table is a mapping, kept beside its file."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

GROUP = 2  # rows handed out at a time at most, so that every table comes in several parts


class Cells:
    """A column, or the flattened places of one; None is an empty cell."""

    def __init__(self, values, dtype=None):
        self.values, self.dtype = list(values), dtype
        self.null_count = sum(value is None for value in self.values)

    def __len__(self):
        return len(self.values)

    def is_null(self):
        return Cells([value is None for value in self.values], bool)

    def value_lengths(self):
        return Cells([None if value is None else len(value) for value in self.values], np.int32)

    def flatten(self):
        return Cells([number for value in self.values if value is not None for number in value], self.dtype)

    def to_pylist(self):
        return self.values

    def to_numpy(self, zero_copy_only):
        assert not self.null_count
        return np.array(self.values, self.dtype)


class Table:
    def __init__(self, path, columns):
        self.columns, self.rows = columns, max(map(len, columns.values()))
        self.schema_arrow = [SimpleNamespace(name=name, type=_kind(values)) for name, values in columns.items()]
        self.metadata = SimpleNamespace(num_rows=self.rows)

    def iter_batches(self, batch_size, columns, use_threads):
        values = self.columns[columns[0]]
        dtype = next((kept.dtype for kept in values if isinstance(kept, np.ndarray)), None)
        for start in range(0, len(values), min(GROUP, batch_size)):
            cells = Cells(values[start : start + min(GROUP, batch_size)], dtype)
            yield SimpleNamespace(column=lambda number, cells=cells: cells)


def _kind(values):
    array = next((kept for kept in values if isinstance(kept, np.ndarray)), None)
    value_type = None if array is None else SimpleNamespace(kind=array.dtype.kind)
    return SimpleNamespace(listed=array is not None, value_type=value_type)


def install(monkeypatch):
    """Puts it in the place of pyarrow; returns what writes a table."""
    kept = {}
    parquet, types, top = ModuleType("pyarrow.parquet"), ModuleType("pyarrow.types"), ModuleType("pyarrow")
    parquet.ParquetFile = lambda path: Table(path, kept[path])
    types.is_list = lambda kind: kind.listed
    types.is_large_list = types.is_fixed_size_list = lambda kind: False
    types.is_integer, types.is_floating = (lambda kind: kind.kind in "iu"), (lambda kind: kind.kind == "f")
    top.parquet, top.types = parquet, types
    for module in (top, parquet, types):
        monkeypatch.setitem(sys.modules, module.__name__, module)

    def write(path, columns):
        kept[str(path)] = columns
        path.write_bytes(bytes(4096))

    return write


def writer(kind, monkeypatch):
    """What writes columns as a .parquet file, each a list of strings, or of arrays as lists of numbers."""
    if kind == "fake":
        return install(monkeypatch)
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    return lambda path, columns: parquet.write_table(
        pyarrow.table({name: list(values) for name, values in columns.items()}), path, row_group_size=2
    )
