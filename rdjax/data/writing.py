"""Writing files that appear whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rdjax.checks import InputError, require


@contextmanager
def staged(paths: Sequence[str | os.PathLike[str]]) -> Iterator[list[Path]]:
    """Temporary files to write, one for each path; they take the paths' places when the block ends well.

    Folders that are missing are made then. If the block raises, or a file of it was not written, nothing has changed.

    Args:
      paths: of the files, all on one disk, at least one.

    Raises:
      InputError: one sentence, if a path is a folder or cannot be written, or two are the same.
    """
    places = [Path(os.path.abspath(path)) for path in paths]
    folder = _folder_beside(paths, places)
    try:
        fresh = [folder / f"{number}{place.suffix}" for number, place in enumerate(places)]
        yield fresh
        for path, source, place in zip(paths, fresh, places, strict=True):
            with said_of(path):
                place.parent.mkdir(parents=True, exist_ok=True)
                os.replace(source, place)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_files(paths: Sequence[str | os.PathLike[str]]) -> None:
    """Find out before any computing whether `staged` could write these files; the same arguments and errors."""
    os.rmdir(_folder_beside(paths, [Path(os.path.abspath(path)) for path in paths]))


def _folder_beside(paths: Sequence[str | os.PathLike[str]], places: list[Path]) -> Path:
    """A new folder on the disk of the places."""
    for path, place in zip(paths, places, strict=True):
        require(not place.is_dir(), f"{path} is a folder; name a file.")
        require(places.count(place) == 1, f"{path} is to be written twice; name two files.")
    with said_of(paths[0]):
        return Path(tempfile.mkdtemp(prefix=".rdjax-", dir=nearest_existing(places[0].parent)))


def nearest_existing(path: Path) -> Path:
    """The path, or its nearest parent that exists."""
    return path if os.path.lexists(path) or path == path.parent else nearest_existing(path.parent)


@contextmanager
def said_of(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns what the system says about a file into a sentence for who named it."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}.") from error
