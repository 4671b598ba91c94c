"""The audit where something is missing: another order, no news, no hit, no law that a floor needs."""

import dataclasses
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from rdjax.audit import audit
from rdjax.audit.answer import beside_chance, beside_weights, recommend
from rdjax.audit.asked import telling_metric
from rdjax.audit.floors import STORED
from rdjax.audit.gaussian_fit import component_correlations
from rdjax.audit.noisy import posterior_floor
from rdjax.audit.quality import PRINTED, by_chance, length_warnings, ways_to_rank
from rdjax.audit.run import _sides
from rdjax.audit.serving import serving_view
from rdjax.audit.stress import _too_much, exchanged
from rdjax.audit.view import View, make_views, plainly_judged
from rdjax.audit.wording import percent, share_beside
from rdjax.checks import InputError
from rdjax.codes import Int8, Weighted
from rdjax.data import Corpus
from rdjax.limits import Bound, one_shot_codewords, ranking_rate
from rdjax.limits.blind import UNKNOWING
from rdjax.limits.bound import AVERAGED
from rdjax.report import words
from rdjax.retrieval.metrics import parse_metric
from tests import fake_audit
from tests.test_audit import small

pytestmark = pytest.mark.float64_only
MRR = parse_metric("mrr")


def test_modalities_of_the_fit_in_another_order_are_the_same(rng):
    corpus = small()
    wider = lambda side: {name: np.pad(a, ((0, 0), (0, 2 * i)), "edge") for i, (name, a) in enumerate(side.items())}
    audited = dataclasses.replace(corpus, documents=wider(corpus.documents), queries=wider(corpus.queries))
    turned = lambda side: dict(reversed(side.items()))
    other = dataclasses.replace(audited, documents=turned(audited.documents), queries=turned(audited.queries))
    moved = {name: np.concatenate([array[1:], -array[:1]]) for name, array in other.documents.items()}
    for fit in (other, dataclasses.replace(other, documents=moved)):  # the same documents, and one that is added
        straight = dataclasses.replace(fit, documents=turned(fit.documents), queries=turned(fit.queries))
        (found,), (expected,) = (make_views(audited, each, seed=0)[0] for each in (fit, straight))
        np.testing.assert_array_equal(found.fit_queries, expected.fit_queries)
        np.testing.assert_array_equal(found.pooled_documents, expected.pooled_documents)


@pytest.mark.parametrize("metric", ["mrr", "ndcg@5", "recall@3", "map"])
def test_chance_is_the_mean_over_random_orders(metric, rng):
    listed = np.array([[0, 3, 7], [2, -1, -1], [5, 8, -1]])
    parsed = parse_metric(metric)
    corpus = Corpus({"x": np.eye(9)}, {"x": np.eye(9)[:3]}, listed)
    orders = rng.permuted(np.tile(np.arange(9.0), (20_000, 3, 1)), axis=-1)
    drawn = np.asarray(parsed(orders, np.broadcast_to(listed, (20_000, 3, 3))))
    error = drawn.mean(axis=1).std() / np.sqrt(len(drawn))
    assert abs(by_chance(corpus, parsed) - drawn.mean()) < 5 * error


def test_a_ranking_that_is_not_better_than_a_random_one_is_said_first():
    setting = SimpleNamespace(metric="mrr", documents=9)
    today = lambda low, high: SimpleNamespace(
        value=Bound.value((low + high) / 2, "measured"), interval=Bound(low, high, "estimate")
    )
    assert beside_chance(today(0.3, 0.4), 0.2, setting) == ()
    (level,) = beside_chance(today(0.1, 0.4), 0.2, setting)
    assert "Today's MRR, 0.25 [0.1, 0.4], is not sure to be above that of documents in random order, 0.2:" in level
    (below,) = beside_chance(today(0.1, 0.15), 0.2, setting)
    assert "is below that of documents in random order" in below
    assert beside_chance(today(1.0, 1.0), 1.0, SimpleNamespace(metric="mrr", documents=1)) == ()


def test_what_weights_alone_are_worth_is_said_before_any_code():
    audit = fake_audit.fake_audit()
    level = beside_weights(audit.qualities, audit.today, audit.setting)  # .714 of .712 is within the interval
    assert level == ()
    better = fake_audit.quality("fused, calibrated tau", {"image": 5.5, "text": 0.4}, 0.99, 0.98)
    (said,) = beside_weights((*audit.qualities[:3], better), audit.today, audit.setting)
    assert "calibrated temperatures (image 5.5, text 0.4)" in said
    assert "MRR 0.990 instead of today's 0.712" in said
    assert f"that would be {0.99 / 0.712:.1%}" in said
    (said,) = beside_weights((dataclasses.replace(better, temperatures={}),), audit.today, audit.setting)
    assert "calibrated temperatures (each fold has its own)" in said
    assert beside_weights(audit.qualities[:3], audit.today, audit.setting) == ()


def test_no_posterior_where_no_modality_tells(rng):
    views = [SimpleNamespace(temperatures=None)]
    setting = SimpleNamespace(judgements="single", queries=600, documents=9)
    floor = posterior_floor(views, setting, MRR, 0.5, 0)
    assert floor.bits is None
    assert "no modality" in floor.why


def test_the_drawn_floor_is_the_better_of_certificate_and_theorem_b(rng, monkeypatch):
    laws = rng.dirichlet(np.full(9, 0.1), size=600).astype(np.float32)
    line = SimpleNamespace(certificate=1.2, slope=6.0, distortion=0.4, upper=1.5)
    monkeypatch.setattr("rdjax.audit.noisy._posteriors", lambda view: laws)
    monkeypatch.setattr("rdjax.audit.noisy._certificates", lambda *asked: [line])
    setting = SimpleNamespace(judgements="single", queries=600, documents=9)
    floor = posterior_floor([SimpleNamespace(temperatures=np.ones(1))], setting, MRR, 0.7, 0)
    bits, quality = np.array(floor.curve).T
    theorem = np.asarray(ranking_rate(1 - quality, laws.mean(axis=0, dtype=np.float64), MRR.weights))
    certified = 1.2 + 6.0 * (0.4 - (1 - quality))
    np.testing.assert_allclose(bits, np.maximum(theorem, certified), atol=1e-6)
    assert np.any(theorem > certified + 0.01)
    assert np.any(certified > theorem + 0.01)
    assert floor.bits.lower == pytest.approx(1.2 + 6.0 * (0.4 - 0.3), abs=1e-9)


def test_a_modality_without_a_hit_does_not_end_the_audit():
    corpus = small()
    name = next(iter(corpus.queries))
    backwards = {**corpus.queries, name: -corpus.queries[name]}
    result = audit(dataclasses.replace(corpus, queries=backwards), families=("int8",), metric="recall@1")
    alone = next(q for q in result.qualities if q.name == f"{name} alone")
    assert alone.value.lower == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"metric": "recall@1"}, "today's recall@1 of .* is 0 on the audited queries, so there is nothing to keep"),
        ({"families": ("rank code",), "side": "documents"}, r"\(rank code\) is for the documents of 2 modalities"),
        ({"families": ("relevance + product",), "side": "queries"}, "no code of relevance \\+ product can be fitted"),
    ],
)
def test_an_audit_without_an_answer_says_why(changes, words):
    corpus = small().take_queries(np.arange(12)) if "families" in changes else small()
    if "families" not in changes:
        scores = sum(corpus.queries[name] @ corpus.documents[name].T for name in corpus.modalities)
        corpus = dataclasses.replace(corpus, relevant=scores.argmin(axis=1))
    with pytest.raises(InputError, match=words):
        audit(corpus, **changes)


@pytest.mark.parametrize("name", ["recall@28", "precision@1000"])
@pytest.mark.parametrize("changes", [{}, {"relevant": None}, {"relevant": np.tile([0, 3], (60, 1))}])
def test_a_metric_that_no_ranking_can_fail_is_refused_before_the_work(name, changes, monkeypatch):
    monkeypatch.setattr("rdjax.audit.run.make_views", lambda *given: pytest.fail("the work has begun"))
    words = f"{name} is the same for every ranking of 28 documents, so no code can fail it; take a depth below 28."
    with pytest.raises(InputError, match=words):
        audit(dataclasses.replace(small(), **changes), metric=name)


@pytest.mark.parametrize("name", ["recall@27", "precision@27", "ndcg@1000", "dcg@28", "mrr", "map", "rbp@0.99"])
def test_a_metric_that_tells_the_last_rank_from_the_first_is_taken(name):
    assert telling_metric(name, 28) == parse_metric(name)


def test_few_queries_on_either_side_are_a_warning():
    many, some = small(queries=420), small(queries=420).take_queries(np.arange(5))
    other = {name: -array for name, array in some.queries.items()}
    some = dataclasses.replace(some, queries=other)
    warned = lambda corpus, fit: " ".join(make_views(corpus, fit, 0)[2])
    assert warned(many, some) == "Only 5 queries are fitted on: a budget chosen on so few may miss its target."
    assert warned(some.take_queries(np.arange(1)), many) == "Only 1 query is audited: intervals say nothing."
    moved = dataclasses.replace(many, queries={name: -array for name, array in many.queries.items()})
    assert warned(many, moved) == warned(many, None) == ""
    folds = "Only 60 queries are audited: intervals are wide. Only 45 queries are fitted on"  # by the folds' codes
    assert warned(small(), None).startswith(folds)


def test_queries_are_chosen_by_bits_that_were_not_audited():
    """Of two codes that keep enough, the one that took fewer bits for the fit queries, whatever the audited take."""
    made = [fake_audit.point(f"code {i}", "int8", "queries", "C", 64.0 + i, 0.99) for i in range(2)]
    other = [dataclasses.replace(one, chosen_bits=Bound.value(70.0 - i, "measured")) for i, one in enumerate(made)]
    [chosen] = recommend(other, [], fake_audit.setting())
    assert chosen.point is other[1]


def test_a_target_is_never_shown_as_another():
    assert [percent(share) for share in (0.95, 0.999, 0.975, 0.07, 1)] == ["95%", "99.9%", "97.5%", "7%", "100%"]
    [choice] = recommend([fake_audit.point("int8", "int8", "queries", "A", 96.0, 0.4)], [], fake_audit.setting())
    assert "come close" not in choice.sentence  # at 40%
    assert "not sure to keep the target" in choice.sentence


def test_the_printed_rule_is_not_shown_where_it_has_no_temperatures():
    corpus = small()
    name = next(iter(corpus.queries))
    (view,) = make_views(corpus, corpus, seed=0)[0]
    same = dataclasses.replace(view.fit, queries={**view.fit.queries, name: np.ones_like(view.fit.queries[name])})
    shown = [name for name, _, _ in ways_to_rank([dataclasses.replace(view, fit=same)])]
    assert PRINTED in [name for name, _, _ in ways_to_rank([view])]
    assert PRINTED not in shown


def test_a_weight_of_zero_neither_codes_nor_tells(rng, dtype):
    vectors = rng.normal(size=(50, 4)).astype(dtype)
    weights = np.array([2.0, 2.0, 0.0, 0.0])
    code = Weighted.fit(Int8.fit(vectors * weights.astype(dtype)), weights)
    told = np.asarray(code.decode(code.encode(vectors)))
    np.testing.assert_array_equal(told[:, 2:], 0)
    np.testing.assert_allclose(told[:, :2], 4 * vectors[:, :2], atol=0.2)


def view_of(pairs):
    """Of single vectors in which query and document are the same."""
    rows = np.random.default_rng(0).normal(size=(pairs, 3))
    corpus = Corpus({"text": rows}, {"text": rows}, relevant=np.arange(pairs))
    return View(corpus, corpus, np.arange(pairs), np.arange(0))


def test_three_pairs_fit_no_gaussian():
    assert component_correlations(view_of(3), 0) is None
    assert np.all(component_correlations(view_of(4), 0) > 0)


def test_no_doubt_where_the_fit_has_several_relevant_documents():
    (view,) = make_views(small(), small(), seed=0)[0]
    view = dataclasses.replace(view, temperatures=np.ones(2))
    several = dataclasses.replace(view.fit, relevant=np.asarray(view.fit.relevant)[:, None])
    assert "one relevant document" in _too_much([dataclasses.replace(view, fit=several)])


def test_a_law_of_six_digits_has_its_least_distortion():
    assert one_shot_codewords(0.0, jnp.array([0.333333] * 3)) == 3


def test_what_is_said_of_codes_made_without_the_corpus():
    """Without judgments other floors stand; documents that are not sought alike have Theorem D for their own law."""
    answers = lambda corpus: [r.sentence for r in audit(corpus, families=("int8", "rank code")).recommendations]
    said = " ".join(answers(small(relevant=None)))
    assert "no further floor is proved" in said
    uneven = small()
    relevant = np.where(np.arange(60) < 20, 0, np.asarray(uneven.relevant))
    result = audit(dataclasses.replace(uneven, relevant=relevant), families=("int8",))
    blind = [f for f in result.floors if "Theorem D" in f.name and f.bits is not None]
    plain = next(f.bits for f in blind if f.bits.evidence == "theorem")
    every = next(f.bits for f in result.floors if "Theorem B" in f.name)
    assert plain.lower == pytest.approx(every.lower)
    assert plain.lower < float(ranking_rate(1 - result.aim.lower, result.setting.documents)) - 0.1
    for floor in blind:
        bits_of = AVERAGED if floor.side == "queries" else STORED  # there is no stream of queries in what is stored
        assert {result.setting.prior, *UNKNOWING[:-1], bits_of} <= set(floor.bits.assumes)
        assert len({AVERAGED, STORED} & set(floor.bits.assumes)) == 1
        assert any("other queries of this corpus" in words for words in floor.bits.assumes)  # class C is fitted on them
    assert not any("other queries" in words for words in every.assumes)
    for point in result.points:  # 12 dimensions; what fit queries take is told without the header of a batch
        assert point.chosen_bits.lower == (96 if point.side == "queries" else point.bits.packed.lower)
        assert point.bits.packed.lower > 96
    assert not any("sought equally often" in r.sentence for r in result.recommendations)


def test_what_is_stored_today_is_what_the_files_hold():
    corpus = small()
    bits = lambda each: audit(each, families=("int8",)).setting.stored_bits
    name = next(iter(corpus.documents))
    assert bits(corpus) - bits(dataclasses.replace(corpus, stored_bits={name: 16})) == (
        6 * (8 * corpus.documents[name].dtype.itemsize - 16)
    )


def listed(corpus, grade=1.0):
    """The same judgments as lists of two, of which one is padding, now before and now after the document."""
    relevant = np.full((corpus.num_queries, 2), -1)
    relevant[np.arange(corpus.num_queries), np.arange(corpus.num_queries) % 2] = corpus.relevant
    return dataclasses.replace(corpus, relevant=relevant, grades=np.full(relevant.shape, grade))


def test_lists_of_one_document_are_one_document():
    corpus = small()
    asked = {"families": ("int8",), "side": "queries"}
    assert audit(listed(corpus, grade=3.0), fit=listed(corpus), **asked) == audit(corpus, fit=corpus, **asked)


@pytest.mark.parametrize(
    ("metric", "grade", "plain"), [("dcg", 3, False), ("dcg@5", 1, True), ("ndcg@5", 3, True), ("mrr", 3, True)]
)
def test_a_grade_is_kept_where_it_counts(metric, grade, plain):
    corpus, measure = listed(small(), grade), parse_metric(metric)
    found = plainly_judged(corpus, measure)
    assert (found.relevant.ndim, found.grades is None) == ((1, True) if plain else (2, False))
    other = found if plain else dataclasses.replace(corpus, grades=None)
    scores = sum(corpus.queries[name] @ corpus.documents[name].T for name in corpus.modalities)
    worth = [np.asarray(measure(scores, each.relevant, grades=each.grades)) for each in (corpus, other)]
    assert np.allclose(*worth, rtol=1e-12) == plain


def test_several_documents_stay_several_even_of_one_query():
    corpus = listed(small())
    corpus.relevant[7] = [3, 4]
    assert plainly_judged(corpus, MRR) is corpus


@pytest.mark.parametrize(
    ("share", "target", "shown"),
    [
        (0.9496, 0.95, "94.96%"),
        (0.95, 0.95, "95.0%"),
        (0.9502, 0.95, "95.0%"),
        (0.95041, 0.9504, "95.04%"),
        (0.1234, 0.95, "12.3%"),
        (np.nextafter(0.3, 0), 0.3, "29.99999999999999%"),
        (1.0, 1, "100.0%"),
    ],
)
def test_a_share_is_shown_on_its_side_of_the_target(share, target, shown):
    assert share_beside(share, target) == shown
    [choice] = recommend([kept(share, 0.9, 1.0)], [], fake_audit.setting(target=target))
    assert f"kept {shown} [90.0%, 100.0%] on" in choice.sentence
    assert ("misses the target" in choice.sentence) == (share < target)


def kept(share, low, high, **changes):
    """A code for documents that keeps this share of today's, in this interval."""
    interval = Bound(low, high, "estimate")
    sure = Bound.at_least(1.0, "estimate")
    made = fake_audit.point("int8", "int8", "documents", "B", 96.0, share)
    return dataclasses.replace(
        made, kept=Bound.value(share, "measured"), kept_interval=interval, chosen_by=sure, **changes
    )


def test_an_interval_without_an_upper_end_says_so():
    [choice] = recommend([kept(0.97, 0.0, np.inf)], [], fake_audit.setting())
    assert "97.0% [0.0%, no upper end] on" in choice.sentence
    assert words.share_interval(choice.point.kept_interval) == "[0.0, no upper end]"


@pytest.mark.parametrize(("encoder", "gains"), [(11_999, True), (12_000, False), (36_000, False)])
def test_a_code_that_takes_more_than_the_vectors_do_says_so(encoder, gains):
    """1,000 documents of 192 bits take 24,000 bytes; codes of 96 bits take half of that, beside their codebook."""
    made = kept(0.99, 0.98, 1.0, stored_bytes=encoder)
    made = dataclasses.replace(made, bits=dataclasses.replace(made.bits, packed=Bound.value(96.0, "measured")))
    [choice] = recommend([made], [], fake_audit.setting(documents=1000, stored_bits=192))
    assert ("the file of the code included, instead of 24 kB. It kept" in choice.sentence) == gains
    assert ("leaving them as they are takes no more" in choice.sentence) == (not gains)


def test_audited_queries_that_were_fitted_on_are_said():
    corpus = small()
    _, words, warnings = make_views(corpus, corpus, 0)
    assert "fitted on 60 queries" in words
    assert any("60 of the 60 audited queries are among those" in warning for warning in warnings)
    [choice] = recommend([kept(0.99, 0.98, 1.0)], [], fake_audit.setting(repeated_queries=60))
    assert "60 of which it was fitted on" in choice.sentence
    assert "not fitted on" not in choice.sentence
    others = dataclasses.replace(corpus, queries={name: -array for name, array in corpus.queries.items()})
    _, words, warnings = make_views(corpus, others, 0)
    assert "60 other queries" in words
    assert not any("among those" in warning for warning in warnings)


def test_a_prior_of_several_relevant_documents_is_refused():
    several = dataclasses.replace(small(), relevant=np.stack([np.arange(60) % 28, (np.arange(60) + 1) % 28], axis=1))
    with pytest.raises(InputError, match="have one law, the audited queries' own; leave the prior out"):
        audit(several, families=(), side="queries", prior="uniform")


def test_what_is_served_is_divided_and_judged_as_what_is_audited():
    corpus = small()
    other = dataclasses.replace(corpus, documents={n: a[::-1] + 1 for n, a in corpus.documents.items()})
    bare = lambda some: dataclasses.replace(some, relevant=None)
    with pytest.raises(InputError, match="the corpus to fit on has no judgments"):
        serving_view(corpus, bare(other), 0, learns=False)
    (audited,), _, _ = make_views(bare(corpus), other, 0)
    served = serving_view(bare(corpus), other, 0, learns=True)
    np.testing.assert_array_equal(served.fit.relevant, audited.fit.relevant)
    assert served.fit.num_documents == audited.fit.num_documents == 56
    assert (serving_view(bare(corpus), other, 0, learns=False).fit.relevant == -1).all()


@pytest.mark.parametrize("column", [0, 1])
def test_padding_may_come_first_in_what_is_exchanged(column):
    relevant = np.full((6, 2), -1)
    relevant[np.arange(6), (np.arange(6) + column) % 2] = np.repeat([3, 7], 3)
    donor = exchanged(relevant, 0)
    wanted = relevant.max(axis=1)
    assert (wanted[donor] != wanted).all()


def test_a_side_that_no_named_family_codes_is_said():
    for asked, kept, warned in ((None, ("queries",), 1), ("queries", ("queries",), 0)):
        sides, warnings = _sides(0.95, asked, ("rank code",), 0, 1)
        assert (sides, len(warnings)) == (kept, warned)
        assert all("None of the named families codes documents, so only queries are" in words for words in warnings)
    assert _sides(0.95, None, None, 0, 1) == (("documents", "queries"), ())


def test_lengths_that_differ_are_said(rng):
    """Half of the lengths 1, half 2: said with both; of one length, up to what half precision rounds, nothing is."""
    unit = rng.standard_normal((400, 5))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    uneven = np.where(np.arange(400) % 2, 1.0, 2.0)[:, None] * unit
    corpus = Corpus({"image": unit.astype(np.float16), "text": uneven}, {"image": unit[:3], "text": unit[:3]})
    [said] = length_warnings(corpus)
    assert "(nine in ten: text 1 to 2)" in said
    assert "if yours is by cosine" in said
    assert length_warnings(Corpus({"image": 3 * unit}, {"image": unit[:3]})) == ()
    [said] = length_warnings(Corpus({"image": 1e160 * uneven}, {"image": unit[:3]}))  # whose squares overflow
    assert "image 1e+160 to 2e+160" in said
