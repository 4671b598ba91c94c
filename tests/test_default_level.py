"""What is numerically delicate, once more as users compile it: at XLA's own level, with its fusions.

conftest compiles without them to save time. Each test below has an oracle in float64 or closed form of its own.
"""

import os
import pathlib
import subprocess
import sys

import pytest

from tests.flags import OF_USERS

pytestmark = pytest.mark.float64_only  # the tests that are run have both precisions
ROOT = pathlib.Path(__file__).parent.parent
FEW = "float32 or float64-3"  # compiling takes five times as long so: users' usual precision, and SciPy's optimum
DELICATE = (
    "test_converse.py::test_fano_is_reached_at_both_ends_and_shannon_at_the_threshold",
    "test_converse.py::test_indirect_rate_where_it_is_known",
    "test_counts.py::TestEntropy::test_nsb_where_symmetry_gives_the_answer",
    "test_covariance.py::TestGivenCovariance::test_two_scalars_however_weak",
    "test_ranking_limits.py::test_recall_has_a_closed_form",
    "test_temperature.py::test_equals_scipy",
    "test_soft_ranks.py::test_extreme_scores_stay_finite",
)


def test_delicate_functions_at_the_default_level():
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "XLA_FLAGS"))}
    paths = [f"tests/{name}" for name in DELICATE]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-k", FEW, *paths]
    done = subprocess.run(
        command, cwd=ROOT, env=clean | {"XLA_FLAGS": OF_USERS}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "skipped" not in done.stdout
