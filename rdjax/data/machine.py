"""How much memory there is: the machine's, or what its container or batch system leaves, or what somebody says."""

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from rdjax.checks import require

_GENEROUS = 2**36  # bytes, where the system does not tell


def memory(root: str = "/") -> int:
    """Bytes that this process may have.

    Args:
      root: where the system's files are.
    """
    try:
        physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        physical = _GENEROUS
    return min([physical, *_limits(Path(root))])


def _limits(root: Path) -> Iterator[int]:
    """Of the control groups that hold this process, in either version, as far as they are seen from inside."""
    groups = root / "sys" / "fs" / "cgroup"
    for line in _text(root / "proc" / "self" / "cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if not controllers:
            base, name = groups, "memory.max"
        elif "memory" in controllers.split(","):
            base, name = groups / "memory", "memory.limit_in_bytes"
        else:
            continue
        own = PurePosixPath(group.lstrip("/"))
        for place in (own, *own.parents):  # a container may not see its own group, but then it stands at the base
            limit = _text(base / place / name).strip()
            if limit.isdecimal():  # else "max", or nothing
                yield int(limit)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, ValueError):
        return ""


_UNITS = {"": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "kib": 2.0**10, "mib": 2.0**20, "gib": 2.0**30}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([A-Za-z]*)")


def byte_size(text: str, what: str) -> float:
    """Bytes of a size like 8GB, 500 MB or 1.5GiB."""
    match = _SIZE.fullmatch(text.strip())
    good = match is not None and match[2].lower() in _UNITS and float(match[1]) > 0
    require(good, f"{what} is {text!r}; write a size such as 500MB or 8GB.")
    assert match is not None
    return float(match[1]) * _UNITS[match[2].lower()]
