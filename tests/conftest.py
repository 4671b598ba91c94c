"""Strict by default: two precisions, eight fake devices, no rank promotion, warnings are errors."""

import functools
import gc
import os
import pathlib

from tests import flags

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # OpenBLAS collapses when its threads compete with XLA's
# To test the code that users run: XLA_FLAGS="--xla_backend_optimization_level=3", and see `flags.OF_USERS`
os.environ["XLA_FLAGS"] = (  # of equal flags the last one counts
    f"{flags.OF_TESTS} {os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
)

import jax
import jax.numpy as jnp
import numpy as np
import pytest

try:
    from jax._src.interpreters import mlir
except ImportError:  # private: a JAX without it is tested all the same
    mlir = None

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)

# Longest first, so that workers of `--dist loadfile`, which takes files in the order of collection, end together.
LONG = ["shown", "audit", "ranking_limits", "rate_distortion", "learned", "soft_ranks", "sweep", "export"]
PLACES = {f"test_{name}.py": place for place, name in enumerate(LONG)}


def pytest_configure(config):
    """Keep compiled programs in pytest's own cache, for the next run of a file; the whole suite is faster without."""
    gc.disable()  # until all is imported: little of it is garbage
    config.option.loadscopereorder = False  # else files with many tests come first, however short
    if hasattr(config, "cache") and "PYTEST_XDIST_WORKER" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(config.cache.mkdir("jax")))


@pytest.fixture(scope="session", autouse=True, params=["float64", "float32"])
def precision(request):
    """The whole suite runs in float64, then again in float32, except what is marked float64_only."""
    with jax.enable_x64(request.param == "float64"):
        yield request.param


@pytest.fixture(scope="module", autouse=True)
def few_programs():
    """Let go of compiled programs before their memory maps reach the kernel's limit (65,530), where XLA crashes."""
    yield
    maps = pathlib.Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > 25_000:
        jax.clear_caches()
        gc.collect()


@pytest.fixture(scope="module", autouse=True)
def one_context():
    """Programs of a file share MLIR's context: JAX makes one for each, in a fifth of the time of a small one.

    But for those that are compiled while another is lowered: they would be made inside it.
    """
    with pytest.MonkeyPatch.context() as patch:
        if hasattr(mlir, "make_ir_context"):
            make, shared = mlir.make_ir_context, functools.cache(mlir.make_ir_context)
            patch.setattr(mlir, "make_ir_context", lambda: make() if lowering() else shared())
        yield


def lowering():
    """Whether a program is being lowered in this thread."""
    try:
        return mlir.ir.Context.current is not None
    except ValueError:
        return False


@pytest.fixture
def dtype(precision):
    return jnp.dtype(precision)


@pytest.fixture
def tolerance(precision):
    """Relative agreement to ask of a value that a handful of operations produce."""
    return 1e-12 if precision == "float64" else 2e-5


@pytest.fixture
def rng():
    return np.random.default_rng(20261123)


def pytest_collection_modifyitems(config, items):
    """Leave out the float32 run of tests that are about float64 or about no numbers at all."""
    marked = [item for item in items if item.get_closest_marker("float64_only")]
    dropped = [item for item in marked if item.callspec.params.get("precision") == "float32"]
    config.hook.pytest_deselected(items=dropped)
    left_out = set(dropped)
    items[:] = sorted((i for i in items if i not in left_out), key=lambda i: PLACES.get(i.path.name, len(LONG)))


def pytest_collection_finish():
    """What was imported stays: collections of garbage, a twentieth of the time, need not look at it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    gc.enable()
