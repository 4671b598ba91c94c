"""What each modality saves and what is left when one is wrong, against NumPy on scores that are written out."""

import dataclasses

import jax
import numpy as np
import pytest

from rdjax.audit.fusion import fused_modalities
from rdjax.audit.savings import full_values, named_queries
from rdjax.audit.stress import exchanged, wrong_queries
from rdjax.audit.view import View, calibrated, make_views
from rdjax.data import Corpus
from rdjax.retrieval.metrics import parse_metric

pytestmark = pytest.mark.float64_only  # an audit computes in float64
MRR = parse_metric("mrr")
NOISE = {"image": 0.35, "text": 0.7, "sound": 0.9}


@pytest.fixture(autouse=True)
def wide():
    with jax.enable_x64(True):
        yield


def corpus(seed, queries=240, documents=30, names=("image", "text"), dim=8):
    """Queries are documents of unit norm plus noise of each modality."""
    rng = np.random.default_rng(seed)
    relevant = rng.integers(0, documents, queries)
    y = {name: np.random.default_rng(i).standard_normal((documents, dim)) for i, name in enumerate(names)}
    y = {name: array / np.linalg.norm(array, axis=1, keepdims=True) for name, array in y.items()}
    x = {name: y[name][relevant] + NOISE[name] * rng.standard_normal((queries, dim)) for name in names}
    return Corpus(documents=y, queries=x, relevant=relevant, query_ids=[f"q{i}" for i in range(queries)])


def view_of(**changes):
    test = corpus(1, **changes)
    return calibrated(View(test, corpus(2, **changes), np.arange(test.num_queries), np.arange(0)), 0)


def reciprocal_ranks(test, tau, queries=None):
    """Brute force; no two scores are equal."""
    queries = test.queries if queries is None else queries
    scores = sum(queries[name] @ test.documents[name].T / t for name, t in tau.items())
    own = scores[np.arange(len(scores)), test.relevant]
    return 1 / (scores >= own[:, None]).sum(axis=1)


@pytest.fixture(scope="module")
def pair():
    with jax.enable_x64(True):
        view = view_of()
        return view, fused_modalities([view], MRR, 0)


def taus(view):
    return dict(zip(view.test.modalities, view.temperatures, strict=True))


def test_queries_saved_and_spoiled_are_those_that_a_count_finds(pair):
    view, found = pair
    values = reciprocal_ranks(view.test, taus(view))
    assert found.name == "fused, calibrated tau"
    assert found.value.lower == pytest.approx(values.mean())
    assert found.reached.lower == (values == 1).sum()
    assert found.reached_share.lower == pytest.approx((values == 1).mean())
    for one, other in zip(found.savings, ("text", "image"), strict=True):
        without = reciprocal_ranks(view.test, {other: 1.0})
        assert one.without.lower == pytest.approx(without.mean())
        assert one.lost.lower == pytest.approx((values - without).mean())
        assert one.interval.lower < one.lost.lower < one.interval.upper
        saved, cost = (values == 1) & (without < 1), (without == 1) & (values < 1)
        assert (one.saved.lower, one.cost.lower) == (saved.sum(), cost.sum())
        assert one.saved_share.lower == pytest.approx(saved.mean())
        assert one.cost_share.lower == pytest.approx(cost.mean())
        assert saved.sum() > 3
        assert len(one.saves) == 3
        for example, gain in zip(one.saves, np.sort((values - without)[saved])[::-1], strict=False):
            row = int(example.query[1:])
            assert saved[row]
            assert values[row] - without[row] == pytest.approx(gain)
            assert (example.value.lower, example.without.lower) == pytest.approx((values[row], without[row]))
        assert all(cost[int(example.query[1:])] for example in one.costs)


def test_a_wrong_modality_is_that_of_another_query(pair):
    view, found = pair
    donor = exchanged(view.test.relevant, 0)
    for one in found.stresses:
        queries = {**view.test.queries, one.name: view.test.queries[one.name][donor]}
        values = reciprocal_ranks(view.test, taus(view), queries)
        assert one.wrong.lower == pytest.approx(values.mean())
        assert one.interval.lower < values.mean() < one.interval.upper
    assert found.stresses[0].wrong.lower < found.stresses[1].wrong.lower < found.value.lower  # image carries more


def test_doubt_recovers_much_and_costs_little(pair):
    _, found = pair
    for one in found.stresses:
        assert one.why == ""
        assert one.doubt.evidence == "estimate"
        assert 0.2 < one.doubt.lower < 0.8  # half of the queries it was fitted on are wrong
        assert one.doubting_wrong.lower > one.wrong.lower + 0.05
        assert one.doubting_right.lower > found.value.lower - 0.05


def test_temperatures_carry_their_intervals(pair):
    view, found = pair
    for one, tau, name in zip(found.temperatures, view.temperatures, NOISE, strict=False):
        assert one.value.lower == pytest.approx(tau)
        assert one.interval.lower < tau < one.interval.upper
        assert one.interval.lower < NOISE[name] ** 2 < one.interval.upper  # the optimum of the mixture
        assert "sandwich" in one.interval.assumes[0]


@pytest.mark.parametrize("sizes", [[1] * 50, [7, 5, 4, 1, 1, 1, 1], [3, 3], [2]])
def test_everyone_takes_from_one_who_wants_another_document(sizes):
    relevant = np.repeat(np.arange(len(sizes)), sizes)
    donor = exchanged(relevant, 3)
    assert sorted(donor) == list(range(len(relevant)))
    assert (donor != np.arange(len(relevant))).all()
    if max(sizes) <= len(relevant) / 2:
        assert (relevant[donor] != relevant).all()
    np.testing.assert_array_equal(donor, exchanged(relevant, 3))


def test_in_folds_of_one_query_the_wrong_modality_is_still_another_querys():
    """Four queries, one in each fold, as if they were one view; and of one query there is nothing to exchange."""
    whole = corpus(3, queries=4)
    views = make_views(whole, None, 0)[0]
    assert [view.test.num_queries for view in views] == [1] * 4
    ones = [np.ones(2)] * 4
    one = View(whole, whole, np.arange(4), np.arange(0))
    found, expected = wrong_queries(views, MRR, ones, 0), wrong_queries([one], MRR, ones[:1], 0)
    assert [s.wrong.lower for s in found] == pytest.approx([s.wrong.lower for s in expected])
    alone = whole.take_queries(np.array([0]))
    assert wrong_queries([View(alone, whole, np.arange(1), np.arange(0))], MRR, ones[:1], 0) == ()


def test_of_three_the_others_are_calibrated_anew_without_one():
    view = view_of(queries=120, names=tuple(NOISE))
    found = fused_modalities([view], MRR, 0)
    assert [one.name for one in found.savings] == list(NOISE)
    two = calibrated(View(two_of(view.test), two_of(view.fit), view.places, view.own_documents), 0)
    assert found.savings[2].without.lower == pytest.approx(reciprocal_ranks(two.test, taus(two)).mean())
    assert all(one.doubt is None and "200 fit queries" in one.why for one in found.stresses)
    assert found.savings[0].without.assumes == ("the others with temperatures calibrated without it",)
    plain = fused_modalities([dataclasses.replace(view, temperatures=None)], MRR, 0)
    assert plain.savings[0].without.assumes == ("the plain sum of the others",)
    assert fused_modalities([two], MRR, 0).savings[0].without.assumes == ("the other alone",)


def two_of(whole):
    kept = lambda features: {name: features[name] for name in ("image", "text")}
    return dataclasses.replace(whole, documents=kept(whole.documents), queries=kept(whole.queries))


def test_one_modality_is_no_fusion():
    assert fused_modalities([view_of(names=("image",), queries=20)], MRR, 0) is None


def test_without_judgements_the_sum_is_the_standard():
    views, _, _ = make_views(dataclasses.replace(corpus(3, queries=40), relevant=None), None, 0)
    found = fused_modalities(views, MRR, 0)
    assert found.name == "fused, tau = 1"
    assert found.value.lower == 1
    assert found.reached.lower == 40
    assert found.temperatures == ()
    assert all(one.cost.lower == 0 and one.saved.lower > 0 for one in found.savings)
    assert all("there are none" in one.why for one in found.stresses)


@pytest.mark.parametrize("metric", ["mrr", "recall@2", "ndcg@3", "dcg", "precision@5", "rbp@0.5", "map"])
def test_the_full_value_is_that_of_the_best_order(metric):
    """Of several documents with grades: the metric of scores that are the grades themselves."""
    grades = np.array([[1.0, 3.0, 2.0], [5.0, 0.0, 0.0]])
    relevant = np.array([[4, 0, 2], [1, -1, -1]])
    small = Corpus({"x": np.eye(6)}, {"x": np.ones((2, 6))}, relevant, grades=np.where(relevant < 0, 1.0, grades))
    view = View(small, small, np.arange(2), np.arange(0))
    scores = np.zeros((2, 6)) - np.arange(6) / 100
    for row in range(2):
        for document, grade in zip(relevant[row], grades[row], strict=True):
            if document >= 0:
                scores[row, document] = grade
    by = parse_metric(metric)
    np.testing.assert_allclose(full_values([view], by), by(scores, relevant, grades=grades))
    single = dataclasses.replace(small, relevant=np.array([3, 1]), grades=None)
    top = np.eye(6)[[3, 1]]
    found = full_values([View(single, single, np.arange(2), np.arange(0))], by)
    np.testing.assert_allclose(found, by(top, np.array([3, 1])))


def test_queries_without_ids_are_named_by_their_rows():
    named = corpus(4, queries=420)
    plain = dataclasses.replace(named, query_ids=None)
    for whole, prefix in ((named, "q"), (plain, "")):
        views, _, _ = make_views(whole, None, 5)
        names = named_queries(views)
        rows = [int(name.removeprefix(prefix)) for name in names]
        assert len(set(rows)) == 210
        np.testing.assert_array_equal(views[0].test.relevant, whole.relevant[rows])


def test_ids_do_not_reach_a_terminal_as_commands():
    ids = np.array(["\x1b[2J", "line\nbreak", "café", "4"])
    views, _, _ = make_views(dataclasses.replace(corpus(3, queries=4), query_ids=ids), None, 0)
    assert named_queries(views) == ["\\x1b[2J", "line\\nbreak", "café", "4"]
