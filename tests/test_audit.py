"""The audit end to end on small corpora, in every mode; `test_shown.py` has that of the emoji corpus."""

import dataclasses
import json
import time
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pytest

from rdjax.audit import audit
from rdjax.audit.answer import recommend
from rdjax.audit.families import Trial, trials
from rdjax.audit.floors import relevance_law, sought
from rdjax.audit.frontier import Bench, cost, fitted_on, sampled, training
from rdjax.audit.gaussian_fit import adjusted_square
from rdjax.audit.memory import Sizes
from rdjax.audit.quality import component_entropy, uncompressed_rankings
from rdjax.audit.serving import serving_training
from rdjax.audit.view import View, calibrated, make_views
from rdjax.checks import InputError
from rdjax.data import Corpus, gaussian_mixture
from rdjax.data.ranked import Run
from rdjax.limits import Bound, ranking_rate
from rdjax.retrieval.metrics import parse_metric
from tests import fake_audit

pytestmark = pytest.mark.float64_only
N = 28


def quality(result, name):
    return next(q for q in result.qualities if q.name == name)


def mixture(documents, queries, modalities=2):
    return gaussian_mixture(documents, queries, modalities=modalities, intent_dim=4, dim=6, rho=4.0, seed=0)[1]


def small(queries=60, modalities=2, **changes):
    """28 documents, each of them sought: so the law of the relevant one has one length, and the limits one program."""
    corpus = mixture(40 if queries < 100 else N, queries, modalities)
    sought, relevant = np.unique(corpus.relevant, return_inverse=True)
    documents = {name: array[sought] for name, array in corpus.documents.items()}
    assert len(sought) == N
    return dataclasses.replace(corpus, **{"documents": documents, "relevant": relevant, **changes})


def test_same_seed_same_audit_and_under_200_queries_is_cross_fitted():
    corpus, told = small(), []
    once = audit(corpus, families=("int8", "rank code"), seed=3, progress=lambda *words: told.append(words))
    first, second = once, audit(corpus, families=("int8", "rank code"), seed=3)
    assert first == second
    counted = [(done, total) for what, done, total in told if "class" in what]
    assert counted == sorted(counted)  # shares of the cost of each family, one after the other, whatever was skipped
    assert counted[-1][0] == counted[-1][1] == 5 * cost(trial(1))
    assert first.setting.queries == 60
    assert "cross-fitted" in first.setting.protocol
    assert any("60 queries" in words for words in first.warnings)


def trial(budgets):
    return Trial("documents", "int8", "B", (None,) * budgets)


def test_the_cost_of_a_family_is_its_budgets_and_the_looks_of_a_bisection():
    assert [cost(trial(n)) for n in (1, 2, 3, 4, 5)] == [4, 8, 9, 13, 14]


def sampled_views():
    fit, test = gaussian_mixture(70, 50, intent_dim=4, dim=6, rho=4.0, seed=2)
    return make_views(test, fit, seed=0)[0][0]


@pytest.mark.parametrize("code_class", ["B", "C"])
def test_of_many_vectors_codes_are_fitted_on_a_sample(monkeypatch, code_class):
    """Drawn from the queries and documents that the class may see; held-out queries stay out; both sides stay whole."""
    view = sampled_views()
    whole = training(view, code_class, 5)
    assert sampled(view) == ""
    monkeypatch.setattr("rdjax.audit.training.ROWS", 40)
    monkeypatch.setattr("rdjax.audit.frontier.ROWS", 40)
    part, again, other = (training(view, code_class, seed) for seed in (5, 5, 6))
    assert len(whole.vectors) == 120
    assert part.vectors.shape == (40, 12)
    np.testing.assert_array_equal(part.vectors, again.vectors)
    assert part.vectors.tolist() != other.vectors.tolist()
    known = {row.tobytes() for row in whole.vectors}
    assert len({row.tobytes() for row in part.vectors} & known) == 40
    np.testing.assert_array_equal(part.vectors[-len(part.seen) :], part.seen)
    np.testing.assert_array_equal(part.documents, view.audited_documents)
    pairs = {(q.tobytes(), w.tobytes()) for q, w in zip(whole.queries, whole.wanted, strict=True)}
    assert {(q.tobytes(), w.tobytes()) for q, w in zip(part.queries, part.wanted, strict=True)} <= pairs
    held_out = np.arange(25)
    hidden = {view.fit_queries[i].tobytes() for i in held_out}
    assert not hidden & {row.tobytes() for row in training(view, code_class, 5, held_out).vectors}
    assert fitted_on(view, code_class).endswith("; a sample of 40")
    assert sampled(view) == "; codes are fitted on at most 40 vectors, drawn at random"
    served, words = serving_training(view, code_class, "int8", 5)
    np.testing.assert_array_equal(served.vectors, part.vectors)  # so `rdjax encode` makes the code of the audit again
    assert words == fitted_on(view, code_class)


def test_many_queries_are_split():
    result = audit(small(queries=420), families=("int8",), side="queries")
    assert result.setting.queries == 210
    assert result.setting.fit_queries == 210
    [said] = result.warnings  # and none of how few queries there are
    assert said.startswith("Lengths of documents differ (nine in ten: ")
    assert {p.side for p in result.points} == {"queries"}


def test_cross_fitting_covers_every_query_once():
    views, _, _ = make_views(small(), None, seed=1)
    assert sorted(np.concatenate([view.places for view in views])) == list(range(60))
    for view in views:
        assert view.fit.num_queries + view.test.num_queries == 60


def test_temperatures_stand_beside_a_quality_only_where_they_are_those_of_all_folds():
    views = [calibrated(view, 0) for view in make_views(small(), None, seed=1)[0]]
    named = lambda views: {q.name: q.temperatures for q in uncompressed_rankings(views, parse_metric("mrr"), 0)[0]}
    assert len(views) == 4
    assert named(views)["fused, calibrated tau"] == {}
    assert set(named(views)["fused, tau = 1"].values()) == {1.0}
    one = dataclasses.replace(views[0], places=np.arange(views[0].test.num_queries))
    assert set(named([one])["fused, calibrated tau"]) == set(small().modalities)


def test_a_second_corpus_to_fit_on_never_shows_its_queries_documents_to_class_c():
    fit, test = gaussian_mixture(30, 25, intent_dim=4, dim=6, rho=4.0, seed=2)
    (view,), _, _ = make_views(test, fit, seed=0)
    assert len(view.own_documents) == fit.num_documents
    blind = training(view, "C").vectors
    searched = {row.tobytes() for row in view.audited_documents}
    assert not any(row.tobytes() in searched for row in blind)
    held_out = np.arange(5)
    inner = training(view, "C", held_out=held_out).vectors
    hidden = {view.pooled_documents[i].tobytes() for i in np.asarray(view.fit.relevant)[held_out]}
    hidden |= {view.fit_queries[i].tobytes() for i in held_out}
    assert not any(row.tobytes() in hidden for row in inner)
    assert "30 other documents" in fitted_on(view, "C")


def test_queries_to_fit_on_that_want_searched_documents_are_said_beside_the_floors_of_class_c():
    """Also where the corpus to fit on has documents of its own: its queries tell something of the searched ones."""
    fit, test = gaussian_mixture(30, 25, intent_dim=4, dim=6, rho=4.0, seed=2)
    more = {name: np.concatenate([rows, fit.documents[name][:1]]) for name, rows in test.documents.items()}
    known = Corpus(more, fit.queries, np.arange(fit.num_queries) % test.num_documents, name="the same and one")
    for other, words in ((fit, False), (known, True)):
        (view,), _, _ = make_views(test, other, seed=0)
        assert len(view.own_documents) == (1 if words else 30)
        assert view.fitted_here == words
        found = audit(test, fit=other, families=("int8",), side="queries")
        blind = [floor.bits for floor in found.floors if floor.classes == "C" and floor.bits is not None]
        assert blind
        assert all(("codes fitted on other queries of this corpus" in " ".join(b.assumes)) == words for b in blind)


def test_without_judgements_the_search_itself_is_the_standard():
    corpus = small()
    documents = {name: a / np.linalg.norm(a, axis=1, keepdims=True) for name, a in corpus.documents.items()}
    queries = {name: a[corpus.relevant] for name, a in documents.items()}  # so that each document is found by some
    found = dataclasses.replace(corpus, documents=documents, queries=queries, relevant=None)
    result = audit(found, families=("int8", "rank code"))
    assert result.setting.judgements == "fidelity"
    assert result.today.value.lower == 1
    assert all("calibrated" not in q.name for q in result.qualities)
    unproved = [f for f in result.floors if f.bits is None]
    assert any("without judgments" in f.why for f in unproved)
    (code,) = [p for p in result.points if p.code_class == "A"]
    assert code.value.lower == 1  # the number of the top document is the top document


def test_several_relevant_documents():
    corpus = small()
    first = np.asarray(corpus.relevant)
    pairs = np.stack([first, (first + 1) % corpus.num_documents], axis=1)
    several = dataclasses.replace(corpus, relevant=pairs, grades=np.tile([2.0, 1.0], (60, 1)))
    result = audit(several, families=("int8",), side="queries")
    assert result.setting.judgements == "several"
    assert result.floors[0].bits.evidence == "theorem"
    graded = audit(several, families=("int8",), side="queries", metric="ndcg@5")
    assert graded.floors[0].bits.evidence == "theorem"
    assert 0 < graded.floors[0].bits.lower < np.log2(corpus.num_documents)
    bits, quality = np.array(graded.floors[0].curve).T
    assert np.all(np.diff(bits) >= 0)
    assert quality.max() <= 1
    averaged = audit(several, families=("int8",), side="queries", metric="map")
    assert 0 < averaged.floors[0].bits.lower < np.log2(corpus.num_documents)


@pytest.mark.parametrize("metric", ["recall@3", "ndcg@5", "dcg", "precision@2", "rbp@0.6", "map"])
def test_every_metric_has_its_floor(metric):
    result = audit(small(), families=("int8",), side="queries", metric=metric)
    assert result.setting.metric == metric
    stream = result.floors[0]
    weights = parse_metric(metric).weights
    with jax.enable_x64(True):
        law = sought(relevance_law(small(), "queries")[0])
        assert stream.bits.lower == pytest.approx(float(ranking_rate(1 - result.aim.lower, law, weights)), rel=1e-6)


def test_one_modality_and_priors():
    corpus = small(modalities=1)
    families = ("first coordinates", "int8", "sign bits, int8 rescores")
    uniform = audit(corpus, families=families, prior="uniform")
    assert "assumed uniform" in uniform.setting.prior
    assert [q.name for q in uniform.qualities] == [f"{corpus.modalities[0]} alone"]
    assert {p.family for p in uniform.on("documents")} == set(families)
    few = [p.budget for p in uniform.on("documents") if p.family == "first coordinates"]
    assert max(few) <= 16 * 6  # none of its own budgets fits 6 dimensions; those below int8's are asked
    skewed = np.linspace(1, 3, corpus.num_documents)
    own = audit(dataclasses.replace(corpus, prior=skewed / skewed.sum()), families=(), prior="corpus", side="queries")
    given = audit(corpus, families=("int8",), prior=skewed / skewed.sum(), side="queries")
    assert own.floors[0].bits.lower == given.floors[0].bits.lower
    assert "uniform" not in " ".join(own.floors[0].bits.assumes)
    assert given.setting.prior == "the given prior, an assumption"
    same = next(floor for floor in uniform.floors if floor.name == given.floors[0].name)
    assert given.floors[0].bits.lower != same.bits.lower


def test_rescoring_touches_less_than_it_stores():
    result = audit(small(), families=("sign bits, int8 rescores",), side="documents")
    assert result.points
    for point in result.points:
        assert point.bits.touched.lower < point.bits.packed.lower


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"target": 0}, "target"),
        ({"target": 1.2}, "target"),
        ({"side": "both"}, "side"),
        ({"metric": "accuracy"}, "not known"),
        ({"prior": "corpus"}, "holds no prior"),
        ({"prior": "zipf"}, "not known"),
        ({"prior": np.ones(3) / 3}, "shape"),
        ({"prior": np.full(N, 0.5)}, "sums to 14"),
        ({"fit": small(relevant=None)}, "no judgments"),
    ],
)
def test_mistakes_get_one_sentence(changes, words):
    with pytest.raises(InputError, match=words):
        audit(small(), **changes)


def test_one_query_needs_a_corpus_to_fit_on():
    with pytest.raises(InputError, match="one query"):
        audit(small().take_queries(np.array([0])))


def test_empirical_entropy_of_the_printed_rule():
    ramp = np.repeat(np.arange(4.0), 8)[:, None]  # four equal values: 2 bits
    assert component_entropy(np.hstack([ramp, np.ones_like(ramp)])) == pytest.approx(2.0)


def test_adjusted_correlation_takes_chance_off(rng):
    noise = adjusted_square(rng.normal(size=(50, 400)), rng.normal(size=(50, 400)))
    assert noise.mean() < 0.015  # the raw square would average 1 / 49
    x = rng.normal(size=(4000, 1))
    assert adjusted_square(x, 0.6 * x + 0.8 * rng.normal(size=(4000, 1)))[0] == pytest.approx(0.36, abs=0.03)
    assert adjusted_square(x[:3], x[:3])[0] == 0


def test_documents_that_are_never_sought_change_no_floor():
    corpus = mixture(40, 60)
    counts = np.bincount(corpus.relevant, minlength=40) / 60
    with jax.enable_x64(True):
        whole, words = relevance_law(corpus, "queries")
        np.testing.assert_array_equal(whole, counts)
        assert len(sought(whole)) == (counts > 0).sum() == N < corpus.num_documents
        assert float(ranking_rate(0.3, sought(whole))) == pytest.approx(float(ranking_rate(0.3, counts)), abs=1e-12)
        assert relevance_law(corpus, counts)[0] is counts
        assert sought(relevance_law(corpus.take_queries(np.arange(1)), "queries")[0]) == 1
        assert sought(relevance_law(corpus, "uniform")[0]) == 40
    assert "60 audited queries" in words


def test_families_do_not_repeat():
    names = [(t.side, t.family, t.code_class) for side in ("documents", "queries") for t in trials(side, 64, 1)]
    assert len(names) == len(set(names))
    assert json.dumps(names)
    assert not list(trials("queries", 64, 2, chosen=()))


def test_constant_scores_are_no_news():
    """Documents that are all alike tie for everything; the audit says so instead of falling over."""
    corpus = small(modalities=1)
    corpus = dataclasses.replace(corpus, documents={name: np.ones((N, 6)) for name in corpus.modalities})
    result = audit(corpus, families=(), side="queries")
    assert result.today.value.lower == pytest.approx(np.mean(1 / np.arange(1, N + 1)))
    assert result.floors[0].bits.lower < 1


def test_a_run_is_measured_beside_the_embeddings(rng):
    """The uncompressed search written as a run has its very value; reversed it has that of the reversed ranks."""
    corpus = small(queries=420)
    scores = sum(corpus.queries[name] @ corpus.documents[name].T for name in corpus.modalities)
    order = np.argsort(-scores, axis=1)
    placed = np.take_along_axis(scores, order, axis=1)
    runs = {"ours": Run(order, placed), "worst": Run(order, -placed)}
    result = audit(dataclasses.replace(corpus, runs=runs), families=(), side="queries")
    assert quality(result, "run ours").value.lower == pytest.approx(result.today.value.lower, abs=1e-12)
    ranks = 1 + (scores > scores[np.arange(420), corpus.relevant][:, None]).sum(axis=1)
    audited = make_views(corpus, None, 0)[0][0].test
    rows = [np.flatnonzero((corpus.queries["view1"] == row).all(axis=1))[0] for row in audited.queries["view1"]]
    assert quality(result, "run worst").value.lower == pytest.approx(np.mean(1 / (N + 1 - ranks[rows])), abs=1e-12)


@pytest.mark.parametrize(("documents", "words"), [(100, "Fewer, 32 bits with product"), (10**6, "")])
def test_documents_go_by_bytes_on_disk_and_say_where_fewer_bits_would_do(documents, words):
    """A codebook of 10 MB for 32 bits, none for 256: the million documents pay for it, the hundred do not."""
    points = []
    for bits, encoder in ((32.0, 10_000_000), (256.0, 0)):
        made = fake_audit.point(f"product, {bits:.0f} bits", "product", "documents", "B", bits, 0.99)
        points.append(dataclasses.replace(made, stored_bytes=encoder))
    [chosen] = recommend(points, [], fake_audit.setting(documents=documents))
    assert chosen.point.budget == (256 if words else 32)
    assert words in chosen.sentence
    assert ("than they save" in chosen.sentence) == bool(words)


def test_fewer_bits_are_named_with_what_they_kept_and_where_they_print_another_number():
    made = lambda bits, kept, encoder: dataclasses.replace(
        fake_audit.point(f"product, {bits:g} bits", "product", "documents", "B", bits, kept), stored_bytes=encoder
    )
    sure = lambda point: dataclasses.replace(point, chosen_by=Bound.at_least(0.96, "estimate", "fit"))
    for bits, kept in ((32.0, 0.9), (255.99, 0.99)):  # misses on the audited queries; prints as the other does
        few = sure(made(bits, kept, 10_000_000))
        [chosen] = recommend([few, made(256.0, 0.99, 1000)], [], fake_audit.setting(documents=100))
        assert ("Fewer, " in chosen.sentence) == (kept == 0.9)
        assert ("were chosen to keep 95% of today's MRR and kept 90.0%" in chosen.sentence) == (kept == 0.9)
    [chosen] = recommend([made(32.0, 0.99, 3_000_000), made(256.0, 0.99, 1000)], [], fake_audit.setting(documents=100))
    assert "(class B), keep 95% of today's MRR, but the file of that code is larger by 3 MB, which" in chosen.sentence


def test_where_the_chosen_code_missed_the_next_that_did_not_is_named():
    made = lambda bits, kept: dataclasses.replace(
        fake_audit.point(f"product, {bits:g} bits", "product", "documents", "B", bits, kept),
        chosen_by=Bound.at_least(0.96, "estimate", "fit"),
    )
    [chosen] = recommend([made(32.0, 0.94), made(64.0, 0.93), made(128.0, 0.97), made(256.0, 0.99)], [], SETTING)
    assert "the cheapest that kept it here too, with hindsight, has 129 bits" in chosen.sentence  # packed
    assert "(product, 128 bits, class B; it kept 97.0%)." in chosen.sentence
    [chosen] = recommend([made(32.0, 0.94)], [], SETTING)
    assert "hindsight" not in chosen.sentence
    [chosen] = recommend([made(32.0, 0.96), made(128.0, 0.97)], [], SETTING)
    assert "hindsight" not in chosen.sentence


SETTING = fake_audit.setting(documents=100)


def test_where_every_code_knows_the_corpus_the_answer_says_so():
    known = [fake_audit.point("product", "product", "queries", "B", bits, 0.9) for bits in (32.0, 64.0)]
    [chosen] = recommend(known, [], fake_audit.setting())
    assert chosen.point is None
    assert chosen.sentence.startswith("No code that was tried is made without the corpus")
    assert "--fit" in chosen.sentence
    alone = [fake_audit.point("number of the top document", "rank code", "queries", "A", 9.97, 0.96)]
    assert [one.purpose for one in recommend(alone, [], fake_audit.setting())] == ["send a query after searching"]


def test_a_query_pays_its_share_of_one_header_also_where_folds_code_them():
    result = audit(small(queries=60), families=("scalar",), side="queries")
    for point in result.points:
        assert point.bits.packed.lower - point.bits.entropy.lower <= 8 * (30 + 1) / 60  # bytes of a header, of rounding


def test_training_is_made_once_where_two_families_ask_at_once(monkeypatch):
    made = []

    def slow(*args):
        made.append(args)
        time.sleep(0.05)
        return training(*args)

    monkeypatch.setattr("rdjax.audit.frontier.training", slow)
    view = View(small(), small(), np.arange(60), np.arange(0))
    bench = Bench([view], parse_metric("mrr"), (np.ones(60), [np.ones(60)]), 0.95, 0, Sizes())
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(lambda _: bench.material(0, "B"), range(2))
    assert one is other
    assert len(made) == 1
