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

    Folders that are missing are made then. If the block raises, a file of it was not written, or something stops this
    before the last file is in its place, every file is what it was.

    Args:
      paths: of the files, all on one disk, at least one.

    Raises:
      InputError: one sentence, if a path is a folder or cannot be written, in the block either, or two are the same.
    """
    places = [Path(os.path.abspath(path)) for path in paths]
    folder = _folder_beside(paths, places)
    try:
        fresh = [folder / f"{number}{place.suffix}" for number, place in enumerate(places)]
        with said_of(paths[0]):  # a full disk does not say which file it was
            yield fresh
        for path, source in zip(paths, fresh, strict=True):
            with said_of(path):
                source.stat()  # all are there before the first takes its place
        _take_places(paths, fresh, places)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _take_places(paths: Sequence[str | os.PathLike[str]], fresh: list[Path], places: list[Path]) -> None:
    """Move every file to its place; of several, those that were there are put back if anything stops this."""
    if len(places) == 1:
        with said_of(paths[0]):
            places[0].parent.mkdir(parents=True, exist_ok=True)
            os.replace(fresh[0], places[0])
        return
    kept = [os.path.lexists(place) for place in places]
    olds = [source.with_name(f"old-{source.name}") for source in fresh]
    try:
        for path, source, place, there, old in zip(paths, fresh, places, kept, olds, strict=True):
            with said_of(path):
                place.parent.mkdir(parents=True, exist_ok=True)
                if there:
                    os.replace(place, old)
                os.replace(source, place)
    except BaseException:
        for place, there, old in zip(places, kept, olds, strict=True):
            if os.path.lexists(old):
                os.replace(old, place)
            elif not there:
                place.unlink(missing_ok=True)
        raise


def check_files(paths: Sequence[str | os.PathLike[str]]) -> None:
    """Find out before any computing whether `staged` could write these files; the same arguments and errors."""
    os.rmdir(_folder_beside(paths, [Path(os.path.abspath(path)) for path in paths]))


def _folder_beside(paths: Sequence[str | os.PathLike[str]], places: list[Path]) -> Path:
    """A new folder on the disk of the places."""
    for path, place in zip(paths, places, strict=True):
        require(os.fspath(path) != "", "the name of a file to write is empty; name one.")
        named = os.fspath(path).endswith(("/", os.sep))
        require(not named and not place.is_dir(), f"{path} is a folder; name a file.")
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
