"""What modalities tell of the relevant document, and the price of each: closed forms of discrete evidence."""

import numpy as np
import pytest

from rdjax.audit.measures import paper_measures, shared_information
from rdjax.audit.result import Pair
from rdjax.audit.shares import modality_shares
from rdjax.audit.view import View, calibrated
from rdjax.data import Corpus
from rdjax.limits import Bound, ranking_rate
from rdjax.report.modality_tables import measures_text
from rdjax.retrieval import scores
from rdjax.retrieval.metrics import parse_metric
from tests.fake_audit import fake_audit, setting

pytestmark = pytest.mark.float64_only  # an audit computes in float64

SIDE, QUERIES = 4, 3000
RIGHT = {"row": 0.9, "column": 0.6}  # chances that a query names the row, the column, of its document
MRR = parse_metric("mrr")


def noisy_names(rng, truth, right):
    """The truth with chance `right`, else one of the three others."""
    wrong = (truth + rng.integers(1, SIDE, len(truth))) % SIDE
    return np.where(rng.random(len(truth)) < right, truth, wrong)


def corpus(seed, *, blank=()):
    """16 documents at (row, column); each modality of a query names one of the two, with errors."""
    rng = np.random.default_rng(seed)
    relevant = rng.integers(0, SIDE * SIDE, QUERIES)
    truth = dict(zip(RIGHT, (np.arange(SIDE * SIDE) // SIDE, np.arange(SIDE * SIDE) % SIDE), strict=True))
    documents = {name: np.eye(SIDE)[places] for name, places in truth.items()}
    queries = {name: np.eye(SIDE)[noisy_names(rng, truth[name][relevant], RIGHT[name])] for name in RIGHT}
    for name in blank:  # says the same of every document
        documents[name], queries[name] = np.ones((SIDE * SIDE, 2)), np.ones((QUERIES, 2))
    return Corpus(documents=documents, queries=queries, relevant=relevant)


def shares(aim=0.8, **changes):
    view = View(corpus(1, **changes), corpus(2, **changes), np.arange(QUERIES), np.arange(0))
    return modality_shares([calibrated(view, 0)], setting(), SIDE * SIDE, MRR, aim, 0)


def open_after(right):
    """H(row | what the query says of it), bits."""
    law = np.array([right, *[(1 - right) / (SIDE - 1)] * (SIDE - 1)])
    return float(-(law * np.log2(law)).sum())


@pytest.fixture(scope="module")
def usual():
    return shares()


def test_each_tells_what_its_errors_leave_and_prices_what_the_others_cannot(usual):
    modalities, pairs = usual
    rate = float(ranking_rate(0.2, SIDE * SIDE))
    left = {name: open_after(RIGHT[name]) + 2 for name in RIGHT}  # and two bits of the other coordinate
    for one, other in zip(modalities, reversed(modalities), strict=True):
        assert float(one.told.lower) == pytest.approx(4 - left[one.name], abs=0.12)  # 1,000 queries: .04 one sigma
        assert float(one.unique.lower) == pytest.approx(left[other.name], abs=0.12)
        assert float(one.price.lower) == pytest.approx(max(0, rate - 4 + left[other.name]), abs=0.12)
        assert float(one.interval.lower) < float(one.price.lower) < float(one.interval.upper)
        assert one.price.evidence == "estimate"
    together = 4 - open_after(RIGHT["row"]) - open_after(RIGHT["column"])
    assert float(pairs[0].told.lower) == pytest.approx(together, abs=0.15)


def test_the_posterior_has_the_prior_that_is_priced():
    """Documents of one row alone are sought: the row says nothing of them, and no price is above the rate."""
    some = lambda seed: corpus(seed).take_queries(np.flatnonzero(corpus(seed).relevant < SIDE))
    law = np.bincount(some(1).relevant, minlength=SIDE * SIDE) / some(1).num_queries
    view = View(some(1), some(2), np.arange(some(1).num_queries), np.arange(0))
    modalities, _ = modality_shares([calibrated(view, 0)], setting(), law, MRR, 0.8, 0)
    row, column = modalities
    assert float(row.told.lower) == pytest.approx(0, abs=0.02)
    assert float(column.told.lower) == pytest.approx(2 - open_after(RIGHT["column"]), abs=0.12)
    rate = float(ranking_rate(0.2, law[:SIDE]))
    assert float(column.price.lower) == pytest.approx(rate, abs=0.05)
    assert max(float(one.interval.upper) for one in modalities) <= rate + 1e-12


def test_a_prior_that_excludes_what_is_wanted_leaves_everything_open():
    law = np.array([0.0, *[1 / (SIDE * SIDE - 1)] * (SIDE * SIDE - 1)])
    view = View(corpus(1), corpus(2), np.arange(QUERIES), np.arange(0))
    modalities, _ = modality_shares([calibrated(view, 0)], setting(), law, MRR, 0.8, 0)
    for one in modalities:
        assert float(one.told.lower) == 0
        assert float(one.unique.lower) == np.inf
        assert float(one.price.lower) == float(one.interval.upper) == float(ranking_rate(0.2, law))


def test_documents_are_looked_at_as_often_however_few_queries_are_at_once(usual, monkeypatch):
    looks, found = [], []
    look = scores._check_features
    monkeypatch.setattr(scores, "_check_features", lambda features, side: looks.append(side) or look(features, side))
    for queries in (QUERIES, 170):
        monkeypatch.setattr("rdjax.audit.shares.ENTRIES", SIDE * SIDE * queries)
        found.append(shares()[0])
        found.append(looks.count("documents"))
        looks.clear()
    assert found[1] == found[3] > 0
    assert found[0] == usual[0]
    for one, other in zip(found[0], found[2], strict=True):
        assert float(one.unique.lower) == pytest.approx(float(other.unique.lower), rel=1e-12)


def test_the_price_is_below_what_a_perfect_code_has_to_send_in_all():
    """I(X_m; C | X_-m) <= I(X; C): no price may exceed what all modalities tell, nor the rate at quality 1."""
    modalities, pairs = shares(aim=0.999)
    assert all(float(one.price.lower) <= 4 for one in modalities)
    assert sum(float(one.told.lower) for one in modalities) == pytest.approx(float(pairs[0].told.lower), abs=0.1)


def test_what_is_shared_is_withheld_where_the_estimator_cannot_read_it(usual):
    (pair,) = usual[1]
    assert pair.information is None
    assert "distance 0" in pair.why  # one-hot vectors are no densities


def test_what_is_shared_is_read_from_few_dimensions():
    rng = np.random.default_rng(3)
    z = rng.standard_normal((QUERIES, 1))
    noisy = {name: z + rng.standard_normal((QUERIES, 1)) for name in RIGHT}
    documents = {name: rng.standard_normal((SIDE * SIDE, 1)) for name in RIGHT}
    made = Corpus(documents=documents, queries=noisy, relevant=corpus(1).relevant)
    view = calibrated(View(made, made, np.arange(QUERIES), np.arange(0)), 0)
    (pair,) = modality_shares([view], setting(), SIDE * SIDE, MRR, 0.8, 0)[1]
    truth = -0.5 * np.log2(1 - 0.25)
    assert float(pair.information.lower) - 0.05 < truth < float(pair.information.upper) + 0.05
    assert float(pair.information.upper) - float(pair.information.lower) < 0.2


def test_a_modality_that_says_nothing_tells_nothing_and_has_no_price():
    modalities, pairs = shares(blank=("image",))
    silent = next(one for one in modalities if one.name == "image")
    assert float(silent.told.lower) == 0
    others = next(pair for pair in pairs if {pair.first, pair.second} == set(RIGHT))
    assert float(silent.unique.lower) == pytest.approx(4 - float(others.told.lower), abs=1e-6)


@pytest.mark.parametrize("judgements", ["several", "fidelity"])
def test_without_a_single_relevant_document_there_is_no_table(judgements):
    view = View(corpus(1), corpus(2), np.arange(QUERIES), np.arange(0))
    assert modality_shares([view], setting(judgements=judgements), 16, MRR, 0.8, 0) == ((), ())


def test_nor_with_one_modality():
    two = corpus(1)
    row = lambda features: {"row": features["row"]}
    one = Corpus(documents=row(two.documents), queries=row(two.queries), relevant=two.relevant)
    view = View(one, one, np.arange(QUERIES), np.arange(0))
    assert modality_shares([view], setting(), 16, MRR, 0.8, 0) == ((), ())


def measured(queries):
    """The paper's measures of queries with these vectors."""
    rng = np.random.default_rng(5)
    documents = {name: rng.standard_normal((16, array.shape[1])) for name, array in queries.items()}
    view = View(
        Corpus(documents=documents, queries=queries, relevant=np.zeros(600, int)), corpus(2), np.arange(0), np.arange(0)
    )
    pair = Pair(*queries, Bound.value(0.0, "estimate"), *shared_information([view], tuple(queries), 0))
    return paper_measures([view], (pair,), 0)


def test_the_papers_measures_of_gaussian_modalities():
    z = np.random.default_rng(4).standard_normal((600, 3))
    found = measured({"near": 4 * z[:, :1], "far": 2 * (0.8 * z[:, :1] + 0.6 * z[:, 1:2])})
    entropies = [np.log2(scale * np.sqrt(2 * np.pi * np.e)) for scale in (4, 2)]
    ratio = 2 * -np.log2(0.6) / sum(entropies)
    for bound, truth in zip(found.entropies, entropies, strict=True):
        assert float(bound.lower) == pytest.approx(truth, abs=0.15)
    assert float(found.redundancy.lower) - 0.04 <= ratio <= float(found.redundancy.upper) + 0.04
    assert found.redundancy == found.redundancy_as_printed  # of two modalities
    assert float(found.skew_as_printed.lower) == pytest.approx(1 - float(found.redundancy.upper))
    assert float(found.imbalance.lower) == pytest.approx(1, abs=0.2)
    assert found.why == ()


def test_shares_of_a_negative_entropy_are_withheld():
    z = np.random.default_rng(4).standard_normal((600, 2)) / 100
    found = measured({"near": z[:, :1], "far": z[:, 1:]})
    assert found.redundancy is found.skew_as_printed is None
    assert found.imbalance is not None
    assert "sum to" in found.why[0]


def test_measures_in_words():
    text = measures_text(fake_audit().measures, ["image", "text"])
    assert "  H of image 11.2 bits.\n  withheld: H of text; redundancy (I_cross / sum of H)" in text
    assert "changes with the unit" in text
    assert "one length" in text
