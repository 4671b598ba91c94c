"""Metrics against brute force over every tie order, closed forms, and the peers."""

import itertools
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rdjax.checks import InputError
from rdjax.retrieval import metrics, ties, weights
from rdjax.retrieval.metrics import (
    average_precision,
    dcg,
    mean_reciprocal_rank,
    ndcg,
    parse_metric,
    precision_at_k,
    rank_biased_precision,
    ranks,
    recall_at_k,
)

NAMES = (
    "mrr",
    "map",
    "recall@1",
    "recall@3",
    "precision@2",
    "precision@9",
    "ndcg",
    "ndcg@3",
    "dcg",
    "dcg@2",
    "rbp@0.7",
)


def by_order(name: str, gains: list[float]) -> float:
    """The metric of one list whose documents, from the top, have these gains: textbook sums, in Python."""
    family, _, argument = name.partition("@")
    hits = [gain > 0 for gain in gains]
    places = [place for place, hit in enumerate(hits, start=1) if hit]
    depth = int(argument) if argument and family != "rbp" else len(gains)
    if not places:
        return 0.0
    if family == "mrr":
        return 1 / places[0]
    if family == "map":
        return sum(sum(hits[:place]) / place for place in places) / len(places)
    if family == "recall":
        return sum(hits[:depth]) / len(places)
    if family == "precision":
        return sum(hits[:depth]) / depth
    if family == "rbp":
        p = float(argument)
        return (1 - p) * sum(p ** (place - 1) for place in places)
    gain = sum(g / np.log2(1 + place) for place, g in enumerate(gains[:depth], start=1))
    best = sum(g / np.log2(1 + place) for place, g in enumerate(sorted(gains, reverse=True)[:depth], start=1))
    return gain if family == "dcg" else gain / best


@cache
def by_all_orders(name: str, scores: tuple[float, ...], gains: tuple[float, ...]) -> list[float]:
    """The metric under every order of the documents that the scores allow."""
    groups = [[i for i, s in enumerate(scores) if s == level] for level in sorted(set(scores), reverse=True)]
    orders = itertools.product(*(itertools.permutations(group) for group in groups))
    return [by_order(name, [gains[i] for group in order for i in group]) for order in orders]


def listed(gains: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Judged documents and their grades, padded with -1 and with nonsense where it must not be read."""
    judged = np.flatnonzero(gains)
    relevant = np.full(length, -1)
    grades = np.full(length, 9.0)
    relevant[: len(judged)], grades[: len(judged)] = judged, gains[judged]
    return relevant, grades


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rule", ["expected", "optimistic", "pessimistic"])
def test_every_metric_equals_brute_force_over_all_tie_orders(name, rule, rng, dtype, tolerance):
    summary = {"expected": np.mean, "optimistic": np.max, "pessimistic": np.min}[rule]
    scores = rng.integers(0, 3, (12, 6)).astype(dtype)
    gains = rng.choice([0.0, 1.0, 2.0, 3.0], size=(12, 6), p=[0.4, 0.2, 0.2, 0.2])
    gains[:, 0] = 1.0
    gains[11] = 0.0
    gains[10] = 1.0
    scores[9] = 1.0
    tables = [listed(row, 7) for row in gains]
    relevant, grades = np.stack([r for r, _ in tables]), np.stack([g for _, g in tables])
    expected = [summary(by_all_orders(name, tuple(s), tuple(g))) for s, g in zip(scores, gains, strict=True)]
    values = parse_metric(name)(scores, relevant, grades=grades, ties=rule)
    np.testing.assert_allclose(values, expected, rtol=5 * tolerance, atol=tolerance)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rule", ["expected", "optimistic", "pessimistic"])
def test_one_relevant_document_is_its_weight(name, rule, rng, dtype, tolerance):
    summary = {"expected": np.mean, "optimistic": np.max, "pessimistic": np.min}[rule]
    scores = rng.integers(0, 3, (12, 6)).astype(dtype)
    relevant = rng.integers(0, 6, 12)
    alone = np.eye(6)[relevant]
    expected = [summary(by_all_orders(name, tuple(s), tuple(g))) for s, g in zip(scores, alone, strict=True)]
    one = parse_metric(name)(scores, relevant, ties=rule)
    padded = np.pad(relevant[:, None], ((0, 0), (2, 4)), constant_values=-1)
    listed_alone = parse_metric(name)(scores, padded, ties=rule)
    np.testing.assert_allclose(one, expected, rtol=5 * tolerance, atol=tolerance)
    np.testing.assert_allclose(listed_alone, expected, rtol=5 * tolerance, atol=tolerance)


def test_constant_scorer_over_five_documents(dtype, tolerance):
    scores, relevant = np.ones((3, 5), dtype), np.array([0, 2, 4])
    np.testing.assert_allclose(mean_reciprocal_rank(scores, relevant), 137 / 300, rtol=tolerance)
    np.testing.assert_allclose(recall_at_k(scores, relevant, 1), 0.2, rtol=tolerance)
    np.testing.assert_allclose(mean_reciprocal_rank(scores, relevant, ties="optimistic"), 1.0)
    np.testing.assert_allclose(mean_reciprocal_rank(scores, relevant, ties="pessimistic"), 1 / 5, rtol=tolerance)
    np.testing.assert_allclose(ranks(scores, relevant), 3.0)


def test_ranks_of_one_and_of_several(dtype):
    scores = np.array([0.5, 2.0, 2.0, 1.0, 2.0], dtype)
    relevant = np.array([1, 3, 0, -1])
    np.testing.assert_array_equal(ranks(scores, relevant), [2, 4, 5, np.inf])
    np.testing.assert_array_equal(ranks(scores, relevant, ties="optimistic"), [1, 4, 5, np.inf])
    np.testing.assert_array_equal(ranks(scores, relevant, ties="pessimistic"), [3, 4, 5, np.inf])
    assert float(ranks(scores, 3)) == 4.0
    assert ranks(np.zeros((2, 3, 4), dtype), np.zeros((2, 3), int)).shape == (2, 3)


def test_named_functions_are_means_of_the_metrics(rng, dtype, tolerance):
    scores, relevant = rng.integers(0, 4, (9, 12)).astype(dtype), np.tile([3, 7, -1], (9, 1))
    grades = np.tile([1.0, 3.0, 0.0], (9, 1))
    pairs = [
        (mean_reciprocal_rank(scores, relevant), parse_metric("mrr")(scores, relevant)),
        (recall_at_k(scores, relevant, 4), parse_metric("recall@4")(scores, relevant)),
        (precision_at_k(scores, relevant, 4), parse_metric("precision@4")(scores, relevant)),
        (average_precision(scores, relevant), parse_metric("map")(scores, relevant)),
        (rank_biased_precision(scores, relevant, 0.7), parse_metric("rbp@0.7")(scores, relevant)),
        (ndcg(scores, relevant, grades=grades), parse_metric("ndcg")(scores, relevant, grades=grades)),
        (ndcg(scores, relevant, k=5, grades=grades), parse_metric("ndcg@5")(scores, relevant, grades=grades)),
        (dcg(scores, relevant, k=5, grades=grades), parse_metric("dcg@5")(scores, relevant, grades=grades)),
    ]
    for named, values in pairs:
        assert named.shape == ()
        np.testing.assert_allclose(named, np.mean(values), rtol=tolerance)


def test_first_relevant_in_a_large_tie_group(tolerance):
    # 3 relevant documents among 4000 equals after 10 better ones: E 1 / (10 + least of 3 draws without replacement).
    group, drawn, above = 4000, 3, 10
    place = np.arange(1, group - drawn + 2, dtype=float)
    survive = np.cumprod((group - drawn + 1 - place[:-1]) / (group - place[:-1]))
    chance = np.append(1.0, survive) * drawn / group
    assert abs(chance.sum() - 1) < 1e-12
    counts = np.full((1, 3), above), np.full((1, 3), group)
    value = parse_metric("mrr").per_query(*counts, np.ones((1, 3)))
    np.testing.assert_allclose(value, [np.sum(chance / (above + place))], rtol=20 * tolerance)


@pytest.mark.parametrize(
    "weight", [weights.reciprocal_rank, weights.dcg, weights.recall_at(5000), weights.rank_biased(0.9999)]
)
def test_small_tie_groups_deep_in_a_long_list_keep_their_digits(weight, tolerance):
    above, tied = np.array([0, 999, 499_990, 999_990]), np.array([2, 3, 7, 10])
    expected = [np.mean(weight(np.arange(a + 1.0, a + t + 1))) for a, t in zip(above, tied, strict=True)]
    np.testing.assert_allclose(ties.expected_weight(weight, above, tied), expected, rtol=20 * tolerance, atol=1e-13)


def test_no_table_of_the_length_of_the_list_without_ties(monkeypatch, tolerance):
    def refuse(weights, size, dtype):
        assert size == 0
        return np.zeros(1, dtype), np.zeros(1, dtype)

    monkeypatch.setattr(ties, "_prefix_sums", refuse)
    value = ties.expected_weight(weights.reciprocal_rank, np.array([1_999_999_999, 0]), [1, 1])
    np.testing.assert_allclose(value, [5e-10, 1.0], rtol=tolerance)


@pytest.mark.parametrize(
    ("kind", "above", "tied"), [("u1", 200, 100), ("u1", 255, 1), ("i1", 127, 1), ("i2", 32767, 1)]
)
@pytest.mark.parametrize("name", ["mrr", "ndcg", "rbp@0.99"])
@pytest.mark.parametrize("law", ties.TIES)
def test_counts_may_be_narrow(kind, above, tied, name, law):
    """A rank may not fit in the integers that the counts before it fit in."""
    metric, counts = parse_metric(name), np.array([[above], [tied]])
    for gains in (None, np.array([2.0])):
        want = metric.per_query(*counts, gains, ties=law)
        for narrow in (counts.astype(kind), jnp.asarray(counts.astype(kind))):
            np.testing.assert_array_equal(metric.per_query(*narrow, gains, ties=law), want)
    assert 0 <= np.asarray(want).min() <= 1


def test_unsigned_counts_and_empty_lists_are_ranked():
    for law in ties.TIES:
        for name in ("mrr", "ndcg", "map"):
            metric = parse_metric(name)
            above, tied = np.array([[0, 1]], np.uint64), np.array([[1, 2]], np.uint64)
            want = metric.per_query(above.astype(int), tied.astype(int), np.ones((1, 2)), ties=law)
            np.testing.assert_array_equal(metric.per_query(above, tied, np.ones((1, 2)), ties=law), want)
            none = np.zeros((2, 0), int)
            np.testing.assert_array_equal(metric.per_query(none, none, np.zeros((2, 0)), ties=law), [0, 0])
    assert parse_metric("mrr").per_query([], []).shape == (0,)


def test_ranks_beyond_32_bits_are_refused_where_integers_have_no_more(precision):
    far = np.array([2**31 - 2]), np.array([1])
    if precision == "float64":
        assert float(parse_metric("mrr").per_query(*far)[0]) == pytest.approx(1 / (2**31 - 1))
    else:
        with pytest.raises(InputError, match="counted inside jax"):
            parse_metric("mrr").per_query(*far)


def test_what_is_written_into_arrays_after_the_call_changes_nothing():
    generator = np.random.default_rng(0)
    for _ in range(5):
        above = generator.integers(0, 500, (100_000, 4), np.int32)
        tied, gains, listed = np.ones_like(above), np.ones(above.shape, np.float32), np.arange(900, 0, -1, np.float32)
        want = np.sum(1 / np.log2(2.0 + above), axis=1)
        value, weighed = parse_metric("dcg").per_query(above, tied, gains), ties.expected_weight(listed, above, tied)
        kept = 900 - above.astype(np.float32)
        above[:], tied[:], gains[:], listed[:] = 0, 0, 0, 5
        np.testing.assert_allclose(value, want, rtol=1e-5)
        np.testing.assert_array_equal(weighed, kept)


def test_a_guard_of_transfers_has_nothing_to_say_of_arrays_on_the_device():
    above, tied, gains = jnp.array([[0, 1]]), jnp.array([[1, 2]]), jnp.array([[1.0, 2.0]])
    want = parse_metric("ndcg").per_query(above, tied, gains)
    with jax.transfer_guard_host_to_device("disallow"):
        value, alone = (
            parse_metric("ndcg").per_query(above, tied, gains),
            ties.expected_weight(weights.dcg, above, tied),
        )
    np.testing.assert_array_equal(value, want)
    assert alone.shape == (1, 2)


@pytest.mark.float64_only
def test_masked_gains_are_refused():
    with pytest.raises(InputError, match="gains are masked"):
        parse_metric("ndcg").per_query([[0, 1]], [[1, 1]], np.ma.array([[1.0, 5.0]], mask=[[0, 1]]))


def test_weights_that_are_an_array_may_be_traced(dtype, tolerance):
    """Means over ties are linear in them: ranks 2 to 4 a third each, and rank 1."""
    listed, above, tied = np.array([5.0, 3, 2, 1, 0], dtype), np.array([1, 0]), np.array([3, 1])
    total = lambda listed: ties.expected_weight(listed, above, tied, size=5).sum()
    value, slope = jax.jit(jax.value_and_grad(total))(listed)
    np.testing.assert_allclose(value, 7, rtol=10 * tolerance)
    np.testing.assert_allclose(slope, [1, 1 / 3, 1 / 3, 1 / 3, 0], rtol=10 * tolerance)


def test_weights_may_be_an_array_and_end(tolerance):
    listed_weights = np.array([1.0, 0.5, 0.25])
    value = ties.expected_weight(listed_weights, [0, 1, 2, 5, 0], [1, 2, 4, 1, 0])
    np.testing.assert_allclose(value, [1.0, 0.375, 0.0625, 0.0, 0.0], rtol=tolerance)
    assert float(ties.expected_weight(listed_weights, 3, 1, ties="pessimistic")) == 0.0


@pytest.mark.float64_only
@pytest.mark.parametrize("name", ["mrr", "map"])
def test_jit_and_vmap_agree_with_eager(name, rng, tolerance):
    scores, relevant = rng.integers(0, 3, (4, 5, 8)).astype(float), rng.integers(0, 8, (4, 5, 1))
    several = np.concatenate([relevant, (relevant + 3) % 8, np.full((4, 5, 1), -1)], axis=-1)
    metric = parse_metric(name)
    eager = metric(scores, several)
    assert eager.shape == (4, 5)
    np.testing.assert_allclose(jax.jit(jax.vmap(metric))(scores, several), eager, rtol=tolerance)
    alone = jax.jit(lambda s, r: metric(s, r))(scores, relevant[..., 0])
    np.testing.assert_allclose(alone, metric(scores, relevant[..., 0]), rtol=tolerance)


def test_counts_under_jit_need_the_length():
    metric = parse_metric("dcg")
    with pytest.raises(InputError, match="size=N"):
        jax.jit(metric.per_query)(np.array([0]), np.array([2]))
    value = jax.jit(lambda a, t: metric.per_query(a, t, size=5))(np.array([0]), np.array([2]))
    np.testing.assert_allclose(value, [(1 + 1 / np.log2(3)) / 2], rtol=1e-6)
    worst = jax.jit(lambda a, t: metric.per_query(a, t, np.ones(1), ties="pessimistic"))(np.array([0]), np.array([2]))
    np.testing.assert_allclose(worst, 1 / np.log2(3), rtol=1e-6)


def test_differentiating_a_metric_is_refused(dtype):
    scores = np.array([[1.0, 2.0, 3.0]], dtype)
    with pytest.raises(TypeError, match="piecewise constant"):
        jax.grad(lambda s: mean_reciprocal_rank(s, np.array([1])))(scores)
    gradient = jax.grad(lambda s: jnp.sum(s) + mean_reciprocal_rank(jax.lax.stop_gradient(s), np.array([1])))(scores)
    np.testing.assert_array_equal(gradient, np.ones((1, 3)))


@pytest.mark.float64_only
def test_parse_metric_names_and_weights():
    assert parse_metric("recall@10").weights == weights.recall_at(10)
    assert parse_metric("rbp@0.8") == parse_metric("rbp@.8")
    assert hash(parse_metric("ndcg@5")) == hash(parse_metric("ndcg@5"))
    assert parse_metric("map").weights == parse_metric("mrr").weights == weights.reciprocal_rank
    assert [name for name in NAMES if parse_metric(name).first_relevant] == ["mrr"]
    assert [parse_metric(name).name for name in NAMES] == list(NAMES)


@pytest.mark.float64_only
@pytest.mark.parametrize(
    "name", ["mmr", "recall", "recall@", "recall@x", "recall@1.5", "mrr@", "mrr@10", "", "rbp", "map@1"]
)
def test_an_unknown_metric_lists_the_known_ones(name):
    with pytest.raises(InputError, match="recall@K"):
        parse_metric(name)


@pytest.mark.float64_only
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: parse_metric("recall@0"), "at least 1"),
        (lambda: parse_metric("rbp@1"), "between 0 and 1"),
        (lambda: ranks(np.ones((2, 3)), np.array([0, 3])), "has 3 at"),
        (lambda: ranks(np.ones((2, 3)), np.array([0, -1])), "has -1 at"),
        (lambda: ranks(np.ones((2, 3)), np.array([[0, -2], [0, 1]])), "has -2 at"),
        (lambda: ranks(np.ones((2, 3)), np.array([0.0, 1.0])), "integers"),
        (lambda: ranks(np.ones((2, 3)), np.array([0])), "must be"),
        (lambda: ranks(np.array([1.0, np.nan]), 0), "NaN"),
        (lambda: ranks(np.ones(2), 0, ties="random"), "optimistic"),
        (lambda: mean_reciprocal_rank(np.ones(2), 0, ties="random"), "optimistic"),
        (lambda: ndcg(np.ones(2), 0, grades=np.ones(1)), "one relevant document"),
        (lambda: ndcg(np.ones(2), np.array([0]), grades=np.ones(2)), "same"),
        (lambda: ndcg(np.ones(2), np.array([0]), grades=-np.ones(1)), "below 0"),
        (lambda: parse_metric("map").per_query(np.zeros((2, 2), int), np.ones((2, 2), int), np.ones(2)), "same"),
    ],
)
def test_mistakes_are_one_sentence(call, message):
    with pytest.raises(InputError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


@pytest.mark.float64_only
def test_gains_from_what_a_corpus_holds():
    assert metrics.gains(np.array([1, 2])) is None
    np.testing.assert_array_equal(metrics.gains(np.array([[1, -1]])), [[1, 0]])
    np.testing.assert_array_equal(metrics.gains(np.array([[1, -1]]), np.array([[3.0, 7.0]])), [[3, 0]])


@pytest.mark.float64_only
@pytest.mark.filterwarnings("ignore")  # the peer's own
def test_values_equal_ir_measures(rng):
    """And ranx, in benchmarks/metrics.py: its compiler takes half a minute to start."""
    from benchmarks.metrics import PEER_NAMES, ours, peers, random_task

    scores, relevant, grades = random_task(rng, queries=40, documents=30, judged=4)
    values = ours(metrics.counts_from_scores(scores, relevant), grades, list(PEER_NAMES))
    theirs = peers(scores, relevant, grades, ("ir_measures",))["ir_measures"](list(PEER_NAMES))
    assert sum(value is not None for value in theirs) == 6
    for name, own, other in zip(PEER_NAMES, values, theirs, strict=True):
        if other is not None:
            np.testing.assert_allclose(own, other, rtol=1e-12, err_msg=name)
