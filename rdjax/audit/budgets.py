"""A family's code at a budget that somebody names: what `rdjax encode` fits, and how to ask it for an audit's code."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from rdjax.audit.families import FAMILIES, require_families
from rdjax.audit.result import Point
from rdjax.audit.training import Training
from rdjax.checks import InputError, require
from rdjax.codes import Code, EntropyCodedScalar
from rdjax.codes.directional import quantizer_of

_BY_NAME = {family.name: family for family in FAMILIES}


def fit_family(family: str, bits: float | None, side: str, training: Training) -> Code:
    """The code that an audit would fit at this budget.

    Args:
      family: the name of one of `families.FAMILIES`.
      bits: per item, what was asked for (`budget_of`); None where the family has one budget.
      side: "queries" or "documents".
      training: what it may be fitted on.

    Raises:
      InputError: a family that is not known or not for this side, or a budget it does not have.
    """
    require_budget(family, bits)
    kind = _BY_NAME[family]
    require(side in kind.sides, f"{family} is a code for {kind.sides[0]}, not for {side}.")
    code = kind.fit(training, side, 0.0 if bits is None else bits)
    if bits is not None and code.bits is not None and code.bits != bits:
        raise InputError(f"{family} takes {code.bits} bits on these vectors, not {bits:g}; ask for {code.bits}.")
    return code


def require_budget(family: str, bits: float | None) -> None:
    """What can be said of a family and its budget before there is anything to fit it on: as `fit_family`."""
    require_families([family])
    require(bits is not None or not _BY_NAME[family].free, f"{family} comes at any budget; say how many --bits.")
    require(bits is None or 0 < bits < 2**20, f"the budget is {bits} bits; it must be above 0 and below a million.")


def learns(family: str | None) -> bool:
    """Whether a family is fitted on which document each query wants; False for a name that is none."""
    return family in _BY_NAME and _BY_NAME[family].learns


def budget_of(code: Code) -> float:
    """What `fit_family` is to be asked for to make this code again, bits per item."""
    inner = quantizer_of(code)
    return inner.budget if isinstance(inner, EntropyCodedScalar) else float(inner.bits or 0)


def command_for(point: Point, path: str | None, *, task: str | None, fit: str | None, seed: int) -> str:
    """The command line that makes a code of an audit again and encodes its side with it.

    Args:
      point: the code.
      path: of the corpus as the user typed it, None for the emoji corpus; its name begins that of the folder and the
        budget ends it, so that codes of two corpora, or of two targets, meet only if these are alike.
      task: of the emoji corpus, or None.
      fit: path of the corpus that was fitted on, or None.
      seed: of the audit.
    """
    words = ["rdjax", "encode", *([] if path is None else [_no_option(path)])]
    words += [] if task is None else ["--task", task]
    words += [] if fit is None else ["--fit", _no_option(fit)]
    words += ["--side", point.side, "--family", point.family]
    words += ["--bits", f"{point.budget:g}"] if _BY_NAME[point.family].free else []
    words += [] if point.code_class == "A" else ["--class", point.code_class]
    words += [] if seed == 0 else ["--seed", str(seed)]
    place = Path("" if path is None else os.path.abspath(path))
    corpus = place.name if path is None or os.path.isdir(path) else place.stem
    searched = "searched" if point.code_class == "A" else ""
    told = f"{point.budget:g}-bits" if _BY_NAME[point.family].free else re.sub(r"\W+", "-", point.family)
    words += ["--out", "-".join(filter(None, [corpus, searched, point.side, told]))]
    return subprocess.list2cmdline(words) if sys.platform == "win32" else shlex.join(words)


def _no_option(path: str) -> str:
    """The path, as nothing reads it as an option."""
    return f"./{path}" if path.startswith("-") else path
