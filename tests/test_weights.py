"""The table of rank weights: values as visible arithmetic, and what makes them static arguments."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rdjax.checks import InputError
from rdjax.retrieval import weights

EVERY = [
    weights.reciprocal_rank,
    weights.dcg,
    weights.dcg_at(3),
    weights.recall_at(3),
    weights.precision_at(3),
    weights.rank_biased(0.8),
]
IDS = [weight.name for weight in EVERY]


@pytest.mark.parametrize(
    ("weight", "expected"),
    [
        (weights.reciprocal_rank, [1, 1 / 2, 1 / 3, 1 / 4]),
        (weights.dcg, [1, 1 / np.log2(3), 1 / 2, 1 / np.log2(5)]),
        (weights.dcg_at(3), [1, 1 / np.log2(3), 1 / 2, 0]),
        (weights.recall_at(3), [1, 1, 1, 0]),
        (weights.precision_at(3), [1 / 3, 1 / 3, 1 / 3, 0]),
        (weights.rank_biased(0.8), [0.2, 0.2 * 0.8, 0.2 * 0.64, 0.2 * 0.512]),
    ],
    ids=IDS,
)
def test_first_four_ranks(weight, expected, dtype, tolerance):
    np.testing.assert_allclose(weight(np.arange(1, 5)), expected, rtol=1e-14)
    np.testing.assert_allclose(weight(jnp.arange(1, 5).astype(dtype)), expected, rtol=tolerance)
    np.testing.assert_allclose([float(weight(rank)) for rank in range(1, 5)], expected, rtol=1e-14)


@pytest.mark.parametrize("weight", EVERY, ids=IDS)
def test_falls_from_at_most_one_and_stays_defined_at_any_rank(weight):
    ranks = np.concatenate([np.arange(1.0, 50.0), 10.0 ** np.arange(2, 13), [np.inf]])
    values = weight(ranks)
    assert values[0] <= 1
    assert (np.diff(values) <= 0).all()
    assert values[-1] == 0
    assert weight(np.ones((2, 3))).shape == (2, 3)


def test_breaks_are_the_last_ranks_before_a_jump():
    for weight in EVERY:
        worthless = np.flatnonzero(np.asarray(weight(np.arange(1.0, 50.0))) == 0)
        assert weight.breaks == tuple(worthless[:1])  # the rank before the first of them, which is number 0 plus 1
    assert [len(weight.breaks) for weight in EVERY[:4]] == [0, 0, 1, 1]


def test_equal_when_made_twice_and_compiled_once():
    assert weights.recall_at(5) == weights.recall_at(5) != weights.recall_at(6)
    assert hash(weights.rank_biased(0.5)) == hash(weights.rank_biased(0.5))
    assert len({*EVERY, *EVERY, weights.dcg_at(3), weights.rank_biased(0.8)}) == len(EVERY)
    traces = []

    def total(weight, ranks):
        traces.append(weight)
        return jnp.sum(weight(ranks))

    compiled = jax.jit(total, static_argnums=0)
    for _ in range(2):
        compiled(weights.recall_at(5), jnp.arange(1.0, 9.0))
    assert len(traces) == 1


@pytest.mark.float64_only
@pytest.mark.parametrize("make", [weights.recall_at, weights.precision_at, weights.dcg_at])
@pytest.mark.parametrize("k", [0, -1, 1.5, float("inf"), float("nan")])
def test_a_depth_is_a_whole_number_above_zero(make, k):
    with pytest.raises(InputError, match="at least 1"):
        make(k)


@pytest.mark.float64_only
@pytest.mark.parametrize("p", [0, 1, -0.5, 2, float("nan")])
def test_a_persistence_is_strictly_between_zero_and_one(p):
    with pytest.raises(InputError, match="between 0 and 1"):
        weights.rank_biased(p)
