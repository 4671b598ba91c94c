"""Public functions inside a trace that closed over every array: what is tested of values is tested there and then.

Nothing is compiled: the calls of `tests/public_calls.py` are traced, which is when a test of values runs.
"""

import dataclasses
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rdjax import checks, limits, retrieval
from rdjax.checks import InputError
from rdjax.codes import Directional, ProductQuantizer, blockwise
from rdjax.information import (
    bound_standard_error,
    club,
    discrete,
    entropy_from_counts,
    gaussian_entropy,
    gaussian_mutual_information,
    infonce,
    ksg,
)
from rdjax.rate_distortion import intent_from_covariance
from rdjax.retrieval import soft_ranks
from rdjax.retrieval import weights as w
from tests.test_codes import FITS, OP_BY_OP, vectors

#: What works on the host: computed at once, and never given a tracer.
HOST = (
    *("retrieval.count_above", "retrieval.top_document", "retrieval.gains", "retrieval.paired_bootstrap"),
    *("retrieval.metric_credits", "retrieval.metric_breadth"),
    *("limits.relevance_bounds", "limits.embed_freely", "limits.achieved_dimension"),
    *("limits.one_shot_codewords", "limits.one_shot_bound", "limits.fit_decay"),
    *("information.calibrate_entropy", "information.calibrate_estimator", "information.like"),
    *("rate_distortion.hamming", "rate_distortion.cyclic", "rate_distortion.grid"),
)
PACKAGES = ("information", "limits", "rate_distortion", "retrieval")


def as_on_an_accelerator(monkeypatch):
    """Values of JAX arrays are looked at by jax.numpy, as where they are far away."""
    looks = lambda values: jnp if isinstance(values, jax.Array) else np
    for name, module in list(sys.modules.items()):
        if name.startswith("rdjax") and hasattr(module, "arrays_of"):
            monkeypatch.setattr(module, "arrays_of", looks)


def traced(function, *args, **kwargs):
    """The call inside a trace of something else."""
    return jax.make_jaxpr(lambda t: (function(*args, **kwargs), t)[1])(1.0)


@pytest.mark.float64_only
@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("kind", ["numpy", "jax"])
def test_every_function_traces_with_its_arrays_closed_over(package, kind, monkeypatch):
    from tests.public_calls import CALLS

    as_on_an_accelerator(monkeypatch)
    calls = {name: call for name, call in CALLS.items() if name.startswith(package)}
    assert len(calls) > 10
    moved = lambda x: jnp.asarray(x) if kind == "jax" and isinstance(x, np.ndarray) and x.dtype.kind in "fiub" else x
    for function, args, kwargs in calls.values():
        args, kwargs = jax.tree.map(moved, (args, kwargs))
        traced(function, *args, **kwargs)


@pytest.mark.float64_only
@pytest.mark.parametrize("name", HOST)
def test_what_works_on_the_host_is_computed_at_once_and_refuses_tracers(name):
    from tests.public_calls import CALLS

    function, args, kwargs = CALLS[name]
    found = []
    jax.make_jaxpr(lambda t: (found.append(function(*args, **kwargs)), t)[1])(1.0)
    numbers = lambda x: [leaf for leaf in jax.tree.leaves(x) if not callable(leaf)]
    leaves = lambda x: numbers(dataclasses.astuple(x) if dataclasses.is_dataclass(x) else x)
    there, here = leaves(found[0]), leaves(function(*args, **kwargs))
    assert len(there) > 0
    assert jax.tree.all(jax.tree.map(np.array_equal, there, here))
    place = next(i for i, value in enumerate(args) if isinstance(value, np.ndarray))
    call = lambda array: function(*args[:place], array, *args[place + 1 :], **kwargs)
    with pytest.raises(InputError, match=f"{name.partition('.')[2]} is given traced values; it works on the host"):
        jax.make_jaxpr(call)(args[place])


@pytest.mark.float64_only
@pytest.mark.parametrize(
    ("function", "given", "message"),
    [
        (checks.numbers, ([0.0, np.nan], "the grades"), "the grades has an entry nan"),
        (checks.law, ([0.5, 0.6],), "sums to 1.1"),
        (limits.ranking_rate, (0.3, [0.5, 0.6]), "sums to 1.1"),
        (discrete.entropy, ([0.5, 0.6],), "sums to 1.1"),
        (entropy_from_counts, ([1, -2],), "negative"),
        (ksg, (np.full((20, 1), np.nan), np.ones((20, 1))), "x has a NaN or infinity in row 0"),
        (infonce, (np.full((3, 3), np.nan),), "a score is NaN"),
        (bound_standard_error, (infonce, np.full((3, 3), -np.inf)), "the diagonal of the scores"),
        (club, (np.full((2, 2), -np.inf), [0.5, 0.5]), r"log_conditional\[0, 0\] is -inf"),
        (gaussian_entropy, (-np.eye(2),), "negative eigenvalue"),
        (gaussian_mutual_information, (np.diag([1.0, 0.0]), 1), "is singular"),
        (intent_from_covariance, (np.diag([1.0, 0.0]), 1), "is singular"),
        (retrieval.ranks, ([0.0, np.nan], 0), "the scores hold a NaN"),
        (retrieval.expected_weight, (w.dcg, [-1], [1]), "the counts above"),
    ],
)
def test_what_is_closed_over_is_refused_there(function, given, message, monkeypatch):
    as_on_an_accelerator(monkeypatch)
    given = [jnp.asarray(x) if isinstance(x, list | np.ndarray) else x for x in given]
    with pytest.raises(InputError, match=message):
        traced(function, *given)


@pytest.mark.float64_only
def test_grades_that_are_closed_over_are_refused_there(monkeypatch):
    as_on_an_accelerator(monkeypatch)
    scores, relevant, grades = jnp.zeros((1, 2)), jnp.array([[0]]), jnp.array([[-1.0]])
    with pytest.raises(InputError, match="a grade is below 0"):
        traced(retrieval.ndcg, scores, relevant, grades=grades)


@pytest.mark.float64_only
@pytest.mark.parametrize("name", OP_BY_OP)
def test_codes_give_in_a_trace_what_they_give_outside(name, tolerance):
    code, rows = FITS[name](vectors(300, seed=2)), vectors(40)
    symbols = code.encode(rows)
    there = jax.jit(lambda: (code.encode(rows), code.decode(symbols)))()
    np.testing.assert_array_equal(there[0], symbols)
    np.testing.assert_allclose(there[1], code.decode(symbols), rtol=tolerance, atol=tolerance)


@pytest.mark.float64_only
@pytest.mark.parametrize("cores", [1, 2])
def test_many_vectors_are_encoded_in_a_trace(cores, monkeypatch):
    """Block by block, of which one core runs them in the thread that traces."""
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    product, rows = ProductQuantizer.fit(vectors(300, seed=2), 12), vectors(80)
    codes = product, Directional.fit(product)
    symbols = [code.encode(rows) for code in codes]
    monkeypatch.setattr(blockwise, "AT_ONCE", 32)
    for code, expected in zip(codes, symbols, strict=True):
        np.testing.assert_array_equal(jax.jit(lambda code=code: code.encode(rows))(), expected)


@pytest.mark.float64_only
def test_an_entry_of_half_precision_is_printed():
    with pytest.raises(InputError, match=r"^the grades has an entry -1 at 1;"):
        checks.numbers(jnp.array([1.0, -1.0], jnp.bfloat16), "the grades", 0)


@pytest.mark.float64_only
def test_an_entry_of_half_precision_is_printed_where_it_is(monkeypatch):
    as_on_an_accelerator(monkeypatch)
    with pytest.raises(InputError, match=r"^the grades has an entry -1 at 1;"):
        checks.numbers(jnp.array([1.0, -1.0], jnp.bfloat16), "the grades", 0)


def in_jax(rank):
    return 1 / jnp.log2(1 + rank)


@pytest.mark.parametrize(
    "limit",
    [
        lambda d, w: limits.ranking_rate(d, 30, w),
        lambda d, w: limits.ranking_rate(d, np.full(30, 1 / 30), w),
        lambda d, w: d * limits.one_shot_distortion(7, 30, w),
        lambda d, w: d * limits.one_shot_codewords(0.4, np.full(30, 1 / 30), w),
        lambda d, w: d * retrieval.expected_weight(w, np.array([1, 4]), np.array([3, 2])).sum(),
        lambda d, w: limits.success_range(d, 30, w)[0],
    ],
    ids=["nodes", "prior", "one shot", "codewords", "ties", "top document"],
)
def test_weights_in_jax_are_read_while_a_trace_is_made(limit, tolerance):
    fresh = lambda rank: in_jax(rank)  # no cache has seen it
    assert jax.jit(lambda d: limit(d, fresh))(0.3) == pytest.approx(float(limit(0.3, w.dcg)), rel=tolerance)


@pytest.mark.float64_only
def test_weights_in_jax_are_read_in_float64_even_if_first_met_without_it():
    with jax.enable_x64(False):
        limits.ranking_rate(0.3, 50, in_jax)
        retrieval.expected_weight(in_jax, np.array([0]), np.array([50]))
    assert limits.ranking_rate(0.3, 50, in_jax) == pytest.approx(float(limits.ranking_rate(0.3, 50, w.dcg)), rel=1e-13)
    table = retrieval.expected_weight(in_jax, np.array([0]), np.array([50]))
    np.testing.assert_allclose(table, np.mean(1 / np.log2(np.arange(2.0, 52.0))), rtol=1e-14)


@pytest.mark.float64_only
@pytest.mark.parametrize(
    "call",
    [
        lambda x: retrieval.pairwise_loss(x, np.array([[0, 1], [1, 2], [2, 3]]), np.ones(2)),
        lambda x: retrieval.forgetful_mean(x[0], 5.0),
        lambda x: limits.dobrushin_coefficient(jax.nn.softmax(x[0])),
        lambda x: retrieval.follow_stream(
            retrieval.online_temperatures(np.array([0.1, 0.1])), x[None], np.array([[0, 1, 2]])
        ),
    ],
    ids=["pairwise loss", "forgetful mean", "dobrushin", "stream"],
)
def test_a_second_call_on_other_values_compiles_nothing(call, rng, caplog, monkeypatch):
    monkeypatch.setattr(soft_ranks, "BLOCK", 1)  # relevant documents one after the other, in a loop
    first, second = rng.random((2, 2, 3, 7))
    jax.block_until_ready(call(first))
    with jax.log_compiles(), caplog.at_level("WARNING"):
        jax.block_until_ready(call(second))
    assert not [record for record in caplog.records if "ompil" in record.getMessage()]


@pytest.mark.parametrize("accelerator", [False, True])
@pytest.mark.parametrize(
    ("shape", "place", "where"),
    [
        ((), (), ""),
        ((3,), (2,), " at 2"),
        ((3, 4), (1, 3), " in row 1, column 3"),
        ((2, 3, 4), (1, 0, 2), r" at \(1, 0, 2\)"),
    ],
)
def test_where_an_entry_is(shape, place, where, accelerator, monkeypatch):
    """Of numbers and of laws, on the host and on an accelerator."""
    values = np.full(shape, 0.25, np.float32)
    values[place] = np.nan
    if accelerator:
        as_on_an_accelerator(monkeypatch)
        values = jnp.asarray(values)
    with pytest.raises(InputError, match=rf"^the grades has an entry nan{where};"):
        checks.numbers(values, "the grades")
    if shape:
        with pytest.raises(InputError, match=rf"^the prior has an entry nan{where}; probabilities are numbers"):
            checks.law(values)


@pytest.mark.parametrize("accelerator", [False, True])
def test_which_law_does_not_sum_to_one(accelerator, monkeypatch):
    values = np.full((2, 3, 4), 0.25, np.float32)
    values[1, 2, 0] = 0.5
    if accelerator:
        as_on_an_accelerator(monkeypatch)
        values = jnp.asarray(values)
    with pytest.raises(InputError, match=r"^the prior sums to 1\.25 in row \(1, 2\), not 1; normalize it\.$"):
        checks.law(values)
    with pytest.raises(InputError, match=r"^the prior sums to 1\.25 in row 2, not 1;"):
        checks.law(values[1])
    with pytest.raises(InputError, match=r"^the prior sums to 1\.25, not 1;"):
        checks.law(values[1, 2])
