"""Loops that compute for seconds, compiled as users have them: conftest leaves LLVM's optimizations out."""

from contextlib import contextmanager
from functools import cache

import jax
import pytest

from rdjax.codes import codebooks
from rdjax.limits import rankings_code, relevance_certificate
from rdjax.retrieval import reliability


@cache
def optimized(function, *static, **given):
    """The same jitted function, with its `static` arguments by name; sorts, above all, take half as long."""
    options = {"xla_backend_optimization_level": 2}
    return jax.jit(function.__wrapped__, static_argnames=static, compiler_options=options, **given)


@contextmanager
def long_loops():
    """Those of an audit of a thousand documents run optimized meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codebooks, "_lloyd", optimized(codebooks._lloyd))
        patch.setattr(reliability, "_fit", optimized(reliability._fit))
        patch.setattr(rankings_code, "_round", optimized(rankings_code._round, "sweeps"))
        patch.setattr(relevance_certificate, "_block", optimized(relevance_certificate._block, "groups", "sharding"))
        costs = optimized(relevance_certificate._add_costs, "sharding", donate_argnames=("table",))
        patch.setattr(relevance_certificate, "_add_costs", costs)
        patch.setattr(relevance_certificate, "_assignments", optimized(relevance_certificate._assignments, "sharding"))
        yield patch
