"""How much memory there is: the machine's, or what its container or batch system leaves to this process."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

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
