"""BEIR's folders: corpus.jsonl and queries.jsonl say in which order the embeddings stand, qrels/SPLIT.tsv judges."""

import json
import os

from rdjax.checks import InputError, require
from rdjax.data.reading import open_file

QRELS = "qrels"
_SPLIT = "test.tsv"
_MOST_LINE = 2**26  # bytes; no document of a corpus is as long


def read_json_ids(path: str) -> list[str]:
    """The `_id` of each line of a .jsonl file; title, text and whatever else is there are not kept.

    Raises:
      InputError: naming the line: no JSON object, without a string or whole number `_id`, or longer than 64 MB.
    """
    ids: list[str] = []
    with open_file(path) as file:
        while line := file.readline(_MOST_LINE + 1):
            where = f"{path} line {len(ids) + 1}"
            require(len(line) <= _MOST_LINE, f"{where} is longer than 64 MB; write one JSON object per line.")
            if not line.strip() and not file.read(_MOST_LINE).strip():
                break  # nothing but space is left
            try:
                name = json.loads(line.decode("utf-8" if ids else "utf-8-sig"))["_id"]
            except (ValueError, KeyError, TypeError, RecursionError):
                raise InputError(f'{where} is no JSON object with an "_id"; write {{"_id": "...", ...}}.') from None
            good = isinstance(name, str | int) and not isinstance(name, bool) and name != ""
            require(good, f'{where} has the "_id" {name!r}; it must be a string.')
            ids.append(str(name))
    return ids


def judgments_file(folder: str) -> str:
    """The file of judgments in a folder `qrels`: test.tsv, or the only .tsv.

    Raises:
      InputError: none, or several without test.tsv.
    """
    try:
        splits = sorted(name for name in os.listdir(folder) if name.endswith(".tsv") and not name.startswith("."))
    except OSError as error:
        raise InputError(f"{folder} cannot be read: {error.strerror}.") from None
    require(bool(splits), f"{folder} holds no .tsv file; put the judgments in {_SPLIT}.")
    if _SPLIT in splits:
        return os.path.join(folder, _SPLIT)
    one = len(splits) == 1
    require(one, f"{folder} holds {', '.join(splits[:5])} and no {_SPLIT}; name one, e.g. {folder}/{splits[0]}.")
    return os.path.join(folder, splits[0])
