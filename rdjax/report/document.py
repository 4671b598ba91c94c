"""An audit as files: report.json with everything, its page, the figures. A report appears whole or not at all."""

import dataclasses
import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import rdjax
from rdjax.audit.answer import disk
from rdjax.audit.result import CLASSES, Audit
from rdjax.checks import require
from rdjax.data.writing import nearest_existing, said_of
from rdjax.limits.bound import EVIDENCE, Bound
from rdjax.report.code_names import meanings

SCHEMA = "rdjax.audit/1"
PICTURES = ("frontier.png", "frontier.svg", "modalities.png", "modalities.svg")  # these two if there are modalities
FILES = (*PICTURES, "report.html", "report.json")  # the last one in place makes a report

READING = {
    "bound": "every number is {lower, upper, evidence, assumes}: lower <= value <= upper; equal where it is a value",
    "null": "lower null: not bounded from below; upper null: not bounded from above; bits null: no floor is proved",
    "unreachable": "true beside a lower bound that is plus infinity: no number of bits suffices; lower is then null",
    "bits": "bits per item: entropy of the symbols under the fitted model, packed in a batch of real bytes, "
    "single item alone in whole bytes, touched (read) to rank",
    "chosen_by": "the quality kept on the fit queries, at the lower end of a one-sided interval of 90%: recommended is "
    "the cheapest code where it is the target or more; null where it was not looked at, as the search went elsewhere",
    "chosen_bits": "the packed bits that codes are chosen by: of stored documents, or of fit queries without a header",
    "stored_bytes": "of the file of the code that rdjax encode writes; documents are chosen by it and by their codes",
    "disk_bytes": "of the packed codes of all documents and the file of the code: what documents are chosen by; null "
    "for codes of queries",
    "classes": "; ".join(f"{name}: {words}" for name, words in CLASSES.items()),
    "temperatures": "null, or unreachable: infinite, so that the modality is left out",
    "savings": "saved: queries that reach the full value of the metric only with the modality; cost: only without it",
    "stresses": "one modality of every audited query exchanged for another query's, of another wish where there is one",
    "curve": "[bits, best possible quality] pairs",
}


def to_json(audit: Audit, commands: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The whole audit as what `json.dumps` takes: every record by its fields, with the rules for reading them.

    Args:
      audit: what `rdjax.audit.audit` found.
      commands: purpose of a recommendation -> the command line that makes its code.

    Returns:
      a dict of strings, numbers, lists, dicts, booleans and None; no NaN, no infinity. Equal audits give equal dicts.

    Raises:
      ValueError: a number of the audit is NaN, which is a bug; the message says where.
    """
    next_steps = [{"purpose": purpose, "command": command} for purpose, command in (commands or {}).items()]
    used = meanings(point.code for point in audit.points)
    called = [{"word": word, "meaning": meaning} for word, meaning in used.items()]
    about = {"schema": SCHEMA, **provenance(), "seed": audit.setting.seed, "reading": READING, "called": called}
    return {**about, **_with_disk(audit), "commands": next_steps}


def _with_disk(audit: Audit) -> dict[str, Any]:
    """The audit as JSON has it, with the bytes on disk that the codes of documents are chosen by."""
    told = plain(audit, "audit")
    chosen = [choice.point for choice in audit.recommendations]
    kept = [*told["points"], *(choice["point"] for choice in told["recommendations"])]
    for point, each in zip([*audit.points, *chosen], kept, strict=True):
        if point is not None:
            each["disk_bytes"] = disk(point, audit.setting) if point.side == "documents" else None
    return told


def provenance() -> dict[str, Any]:
    """The versions that made a document, and what the evidence words mean."""
    versions = {"rdjax": rdjax.__version__, **{name: version(name) for name in ("jax", "jaxlib", "numpy")}}
    return {"versions": versions, "evidence": dict(EVIDENCE)}


def plain(value: Any, where: str) -> Any:
    """A record, bound, number, string, or a mapping or sequence of them, as JSON has it; `where` names it in errors."""
    if isinstance(value, Bound):
        return _bound(value, where)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: plain(getattr(value, field.name), f"{where}.{field.name}")
            for field in dataclasses.fields(value)
        }
    if isinstance(value, Mapping):
        return {str(key): plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if value is None or isinstance(value, bool | str):
        return value
    number = np.asarray(value).item()
    return number if isinstance(number, int) else _finite(number, where)


def _bound(bound: Bound, where: str) -> dict[str, Any]:
    lower = _finite(np.asarray(bound.lower).item(), f"{where}.lower")
    upper = _finite(np.asarray(bound.upper).item(), f"{where}.upper")
    unreachable = {"unreachable": True} if float(bound.lower) == math.inf else {}
    return {"lower": lower, "upper": upper, "evidence": bound.evidence, "assumes": list(bound.assumes), **unreachable}


def _finite(number: float, where: str) -> float | None:
    if math.isnan(number):
        raise ValueError(f"{where} is NaN")
    return None if math.isinf(number) else number


def check_writable(directory: str | Path) -> None:
    """Find out before any computing whether a report can be written.

    Args:
      directory: where it will go; need not exist yet.

    Raises:
      InputError: one sentence, if it cannot be created or written.
    """
    path = Path(os.path.abspath(directory))
    require(path.is_dir() or not os.path.lexists(path), f"{directory} is not a folder; name one for the report.")
    for name in FILES:
        taken = Path(path, name).is_dir()
        require(not taken, f"{Path(directory, name)} is a folder; name another folder for the report.")
    for name, mark in (("report.json", f'"schema": "{SCHEMA}"'), ("report.html", "rdjax")):
        place = Path(path, name)
        ours = not place.is_file() or mark in place.read_text(encoding="utf-8", errors="replace")
        require(ours, f"{Path(directory, name)} is there and is no report of an audit; name another folder.")
    with said_of(directory):
        os.rmdir(tempfile.mkdtemp(prefix=".rdjax-", dir=nearest_existing(path)))


def write_report(audit: Audit, directory: str | Path, commands: Mapping[str, str] | None = None) -> None:
    """Write report.json, report.html and the figures, whole or not at all.

    Everything is first written into a temporary folder on the same disk. A new folder then appears by one rename; in a
    folder that exists the files are replaced one by one, and put back if that is interrupted. Other files stay.

    Args:
      audit: what `rdjax.audit.audit` found.
      directory: where it goes; it and its parents are created.
      commands: purpose of a recommendation -> the command line that makes its code.

    Raises:
      InputError: one sentence, if it cannot be written; then nothing has changed.
    """
    from rdjax.report.figure import draw  # matplotlib takes half a second to import
    from rdjax.report.heatmap import draw_modalities
    from rdjax.report.page import to_html

    document = to_json(audit, commands)
    written = json.dumps(document, indent=1, allow_nan=False) + "\n"

    def fill(place: Path) -> None:
        draw(audit, place)
        if audit.modalities:
            draw_modalities(audit, place)
        drawn = {Path(name).stem: Path(place, name) for name in PICTURES if name.endswith(".svg")}
        figures = {name: file.read_text(encoding="utf-8") for name, file in drawn.items() if file.exists()}
        page = to_html(audit, document, figures)
        # a command may quote a file's name that is no text
        Path(place, "report.html").write_text(page, encoding="utf-8", errors="backslashreplace")
        Path(place, "report.json").write_text(written, encoding="utf-8")

    check_writable(directory)
    with said_of(directory):
        _write(Path(os.path.abspath(directory)), fill)


def _write(path: Path, fill: Callable[[Path], None]) -> None:
    base = nearest_existing(path)
    staging = Path(tempfile.mkdtemp(prefix=".rdjax-", dir=base))
    try:
        fresh = staging / "new"
        place = fresh.joinpath(*path.relative_to(base).parts[1:])
        place.mkdir(parents=True)
        fill(place)
        there = nearest_existing(path)  # another audit may have made it while this one drew
        rest = path.relative_to(there).parts
        if rest:
            [place, *place.parents][len(rest) - 1].rename(there / rest[0])
        else:
            _replace(place, path, staging)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _replace(fresh: Path, path: Path, staging: Path) -> None:
    """Move the files of `fresh` over those in `path`; if anything stops this, put the old ones back."""
    old = staging / "old"
    old.mkdir()
    kept = [name for name in FILES if (path / name).exists()]
    try:
        for name in reversed(kept):  # report.json leaves first, so that no half of a report passes for one
            os.replace(path / name, old / name)
        for name in FILES:
            if (fresh / name).exists():
                os.replace(fresh / name, path / name)
    except BaseException:
        _restore(old, path, kept)
        raise


def _restore(old: Path, path: Path, kept: Iterable[str]) -> None:
    for name in FILES:
        if (old / name).exists():
            os.replace(old / name, path / name)
        elif name not in kept:
            (path / name).unlink(missing_ok=True)
