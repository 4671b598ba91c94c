"""Memory of a machine, of a container on it, and of a batch system's share, from files as Linux has them."""

import os

import pytest

from rdjax.data.machine import memory

pytestmark = pytest.mark.float64_only
PHYSICAL = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
BELOW = PHYSICAL // 3


def system(root, groups, limits):
    """A root with /proc/self/cgroup and files of limits below /sys/fs/cgroup."""
    (root / "proc" / "self").mkdir(parents=True)
    (root / "proc" / "self" / "cgroup").write_text(groups)
    for name, text in limits.items():
        place = root / "sys" / "fs" / "cgroup" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"{text}\n")
    return str(root)


@pytest.mark.parametrize(
    ("groups", "limits", "bytes_"),
    [
        ("0::/\n", {"memory.max": BELOW}, BELOW),  # a container
        ("0::/\n", {"memory.max": "max"}, PHYSICAL),
        ("0::/\n", {"memory.max": 2 * PHYSICAL}, PHYSICAL),
        ("0::/slurm/job/step\n", {"slurm/job/memory.max": BELOW, "slurm/job/step/memory.max": "max"}, BELOW),
        ("0::/a/b\n", {"a/memory.max": BELOW - 1, "a/b/memory.max": BELOW}, BELOW - 1),
        ("0::/a\n", {"b/memory.max": BELOW}, PHYSICAL),  # of others
        ("3:cpu:/\n2:memory:/docker/1\n", {"memory/memory.limit_in_bytes": BELOW}, BELOW),  # of version 1
        ("2:cpu,memory:/x\n", {"memory/x/memory.limit_in_bytes": BELOW, "cpu/x/memory.limit_in_bytes": 7}, BELOW),
        ("2:memory:/\n", {"memory/memory.limit_in_bytes": 9223372036854771712}, PHYSICAL),  # none
        ("nonsense\n\n0:\n", {"memory.max": "?"}, PHYSICAL),
    ],
)
def test_the_least_limit_counts(tmp_path, groups, limits, bytes_):
    assert memory(system(tmp_path, groups, limits)) == bytes_


def test_where_the_system_has_no_such_files(tmp_path):
    assert memory(str(tmp_path)) == PHYSICAL
