"""Tables as bytes: parquet where pyarrow is there, else CSV, whose numbers are written so that they read back."""

import csv
import io
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from rdjax.checks import InputError, require

Columns = Mapping[str, np.ndarray]
FORMATS = (".parquet", ".csv")
AGAIN = "name a table as a sweep wrote it"
ROWS = 2**12  # in a row group of a merged table, and in memory


def best_format() -> str:
    """.parquet if pyarrow, the extra `parquet`, is installed, else .csv."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        return ".csv"
    return ".parquet"


def to_bytes(columns: Columns, suffix: str) -> bytes:
    """A table as the bytes of a file."""
    buffer = io.BytesIO()
    with _writing(buffer, suffix) as write:
        write(columns)
    return buffer.getvalue()


def from_bytes(data: bytes, suffix: str, where: str | os.PathLike[str] = "the table") -> dict[str, np.ndarray]:
    """The columns of such bytes; in CSV whole numbers, numbers and words are told apart by how they look.

    Raises:
      InputError: `where`, and in which line of a CSV, they are no table.
    """
    if suffix == ".parquet":
        return _from_parquet(data, where)
    rows = _lines(data, where)
    return {name: _typed([row[place] for row in rows[1:]]) for place, name in enumerate(rows[0])}


def _from_parquet(data: bytes, where: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    parquet = _pyarrow("a table in parquet")
    import pyarrow

    try:
        table = parquet.read_table(io.BytesIO(data), use_threads=False)
        _check_names(table.column_names, where)
        return {name: np.asarray(table.column(name).to_numpy(zero_copy_only=False)) for name in table.column_names}
    except InputError:
        raise
    except (pyarrow.ArrowException, OSError, ValueError, MemoryError):  # Arrow says it by whatever it runs into
        raise InputError(f"{where} is no parquet, or damaged; {AGAIN}.") from None


def _lines(data: bytes, where: str | os.PathLike[str]) -> list[list[str]]:
    """Of a CSV, the names of the columns first, all of one length."""
    try:
        reader = csv.reader(io.StringIO(data.decode()))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{where} is no text in UTF-8 in line {line}; {AGAIN}.") from None
    rows: list[list[str]] = []
    try:
        for row in reader:
            rows.append(row)
            same = len(row) == len(rows[0])
            count = f"{len(row)} entries in line {reader.line_num} and {len(rows[0])} columns"
            require(same, f"{where} has {count}; {AGAIN}.")
    except csv.Error as error:
        raise InputError(f"{where} is no CSV in line {reader.line_num} ({error}); {AGAIN}.") from None
    _check_names(rows[0] if rows else [], where)
    return rows


def _check_names(names: list[str], where: str | os.PathLike[str]) -> None:
    require(len(names) > 0, f"{where} has no columns; {AGAIN}.")
    for name in names:
        require(names.count(name) == 1, f"{where} has two columns {name!r}; {AGAIN}.")


def read_table(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The columns of a .parquet or .csv table that a sweep wrote.

    Args:
      path: of the file.

    Returns:
      name -> array [cells]; words as objects or strings.

    Raises:
      InputError: no such file, another kind of file, or a damaged one, and where it is.
    """
    place = Path(path)
    require(place.suffix in FORMATS, f"{path} is no table; name a {' or '.join(FORMATS)} file.")
    try:
        data = place.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
    return from_bytes(data, place.suffix, path)


def write_stream(tables: Iterable[Columns], place: Path) -> None:
    """One table of many in turn, in row groups of a fixed size, so that its bytes do not tell how it was cut before."""
    with place.open("wb") as file, _writing(file, place.suffix) as write:
        for columns in _rechunked(tables):
            write(columns)
        file.flush()
        os.fsync(file.fileno())


def _rechunked(tables: Iterable[Columns]) -> Iterator[Columns]:
    held: dict[str, np.ndarray] = {}
    for columns in tables:
        held = {name: np.concatenate([held[name], array]) if held else array for name, array in columns.items()}
        while len(next(iter(held.values()))) >= ROWS:
            yield {name: array[:ROWS] for name, array in held.items()}
            held = {name: array[ROWS:] for name, array in held.items()}
    if held and len(next(iter(held.values()))):
        yield held


@contextmanager
def _writing(file, suffix: str):  # type: ignore[no-untyped-def]
    """A function that appends columns to an open file."""
    if suffix == ".csv":
        text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
        writer, begun = csv.writer(text, lineterminator="\n"), list[bool]()

        def write(columns: Columns) -> None:
            if not begun:
                writer.writerow(columns)
                begun.append(True)
            writer.writerows(zip(*(_words(array) for array in columns.values()), strict=True))

        yield write
        text.detach()
        return
    parquet = _pyarrow("a table in parquet")
    import pyarrow

    writers: list = []

    def append(columns: Columns) -> None:
        table = pyarrow.table({name: _array(array) for name, array in columns.items()})
        if not writers:
            writers.append(parquet.ParquetWriter(file, table.schema))
        writers[0].write_table(table)

    try:
        yield append
        for writer in writers:
            writer.close()
    except OSError:
        for writer in writers:
            writer.is_open = False  # or it tries once more when it is collected, and complains
        raise


def _array(array: np.ndarray):  # type: ignore[no-untyped-def]
    """As pyarrow has it: numbers as they lie in memory; words as strings, whatever NumPy held them as."""
    import pyarrow

    return pyarrow.array(array, pyarrow.string() if array.dtype.kind in "OU" else None)


def _words(array: np.ndarray) -> list:
    """Entries as they are written: a float32 in its own shortest digits, which read back to it."""
    return array.astype(str).tolist() if array.dtype == np.float32 else array.tolist()


def _typed(cells: list[str]) -> np.ndarray:
    for kind in (np.int64, np.float64):
        try:
            return np.array([kind(cell) for cell in cells])
        except (ValueError, OverflowError):
            continue
    return np.array(cells)


def _pyarrow(what: str):  # type: ignore[no-untyped-def]
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        raise InputError(f"{what} needs pyarrow, which is not installed; pip install pyarrow.") from None
    return parquet
