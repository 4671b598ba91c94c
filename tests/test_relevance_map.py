"""The map fitted to relevance against generalized eigenvectors, the Gaussian likelihood, and the codes behind it."""

import jax
import numpy as np
import pytest
from scipy.linalg import eigh

from rdjax.checks import InputError
from rdjax.codes import EntropyCodedScalar, ProductQuantizer, ScalarQuantizer, Truncation
from rdjax.codes.query_model import QueryModel
from rdjax.codes.relevance_map import fit_relevance_map
from rdjax.codes.saved import load_code, save_code

BLOCKS = (5, 3)
D = sum(BLOCKS)
LOUD = 2  # a coordinate that varies most and tells nothing


def embedded(n, seed, noise=0.4, mean=0.0, loud=4.0):
    """(queries, documents): a query is its document plus noise, and LOUD is nothing but noise."""
    rng = np.random.default_rng(seed)
    documents = rng.standard_normal((n, D)) * 0.9 ** np.arange(D)
    queries = 0.7 * documents + noise * rng.standard_normal((n, D))
    documents[:, LOUD], queries[:, LOUD] = loud * rng.standard_normal((2, n))
    return queries + mean, documents


@pytest.fixture(scope="module")
def model():
    return QueryModel.fit(*embedded(400, seed=1, mean=0.5), blocks=BLOCKS)


@pytest.fixture(scope="module")
def documents():
    return embedded(200, seed=2)[1]


@pytest.fixture(scope="module", params=["queries", "documents"])
def side(request):
    return request.param


@pytest.fixture
def whole(model, documents, side, precision):
    return fit_relevance_map(model, documents.astype(precision), D, side=side)


compiled = jax.jit(lambda transform, rows, name: getattr(transform, name)(rows), static_argnums=2)
apply = lambda transform, rows: np.asarray(compiled(transform, rows, "apply"))
invert = lambda transform, rows: np.asarray(compiled(transform, rows, "invert"))


def signal(model, documents):
    gains = np.repeat(model.gains, BLOCKS)
    return np.cov(documents.T * gains[:, None], bias=True)


@pytest.mark.float64_only
def test_directions_are_generalized_eigenvectors(model, documents):
    ratios, vectors = eigh(signal(model, documents), model.noise)
    transform = fit_relevance_map(model, documents, 4, side="queries")
    np.testing.assert_allclose(transform.variances, 1 + ratios[::-1][:4], rtol=1e-9)
    vectors = vectors[:, ::-1][:, :4]
    agreement = np.abs(np.asarray(transform.basis).T @ model.noise @ vectors)  # both have unit noise
    np.testing.assert_allclose(agreement, np.eye(4), atol=1e-8)


@pytest.mark.float64_only
def test_they_carry_all_the_information(model, documents):
    """1/2 sum log2(1 + lambda) = 1/2 log2 det(S + N) / det N, the mutual information of a Gaussian channel."""
    ratios = np.asarray(fit_relevance_map(model, documents, D, side="documents").variances)
    total = np.linalg.slogdet(signal(model, documents) + model.noise)[1] - np.linalg.slogdet(model.noise)[1]
    np.testing.assert_allclose(np.log2(1 + ratios).sum(), total / np.log(2), rtol=1e-10)


@pytest.mark.float64_only
def test_squared_distance_is_twice_the_lost_likelihood(model, documents):
    queries = embedded(20, seed=3)[0]
    transform = fit_relevance_map(model, documents, D, side="queries")
    predicted = model.predict(documents)
    distances = ((apply(transform, queries)[:, None] - apply(transform, predicted)[None]) ** 2).sum(axis=2)
    apart = queries[:, None] - predicted[None]
    expected = np.einsum("qnd,de,qne->qn", apart, np.linalg.inv(model.noise), apart)
    np.testing.assert_allclose(distances, expected, rtol=1e-8)


def test_variances_are_those_of_the_coefficients(whole, model, documents, side, precision):
    """Of documents exactly; of queries as the model draws them."""
    coded = documents if side == "documents" else model.simulate(documents, 100)
    coefficients = np.asarray(apply(whole, coded.astype(precision)), np.float64)
    loose = 1e-3 if side == "documents" else 0.05
    np.testing.assert_allclose(coefficients.var(axis=0), whole.variances, rtol=loose, atol=1e-3)
    center = documents if side == "documents" else model.predict(documents)
    np.testing.assert_allclose(apply(whole, center.astype(precision)).mean(axis=0), np.zeros(D), atol=1e-4)


@pytest.mark.float64_only
def test_scores_of_coded_queries_are_those_of_the_likelihood(model, documents):
    queries = embedded(20, seed=3)[0]
    transform = fit_relevance_map(model, documents, D, side="queries")
    center = model.predict(documents).mean(axis=0)
    expected = (queries - center) @ np.linalg.inv(model.noise) @ (np.repeat(model.gains, BLOCKS) * documents).T
    np.testing.assert_allclose(invert(transform, apply(transform, queries)) @ documents.T, expected, atol=1e-9)


@pytest.mark.float64_only
def test_coded_documents_come_nearest_to_these_scores_over_raw_queries(model, documents):
    """min E (<q, v> - <q - m, w>)^2 over v has the normal equations E[q q'] v = cov(q) w, here solved by themselves."""
    transform = fit_relevance_map(model, documents, D, side="documents")
    gains, m = np.repeat(model.gains, BLOCKS), model.predict(documents).mean(axis=0)
    w = np.linalg.solve(model.noise, (gains * (documents - documents.mean(axis=0))).T)
    spread = signal(model, documents) + model.noise
    expected = np.linalg.solve(spread + np.outer(m, m), spread @ w).T
    np.testing.assert_allclose(invert(transform, apply(transform, documents)), expected, atol=1e-8)


@pytest.mark.float64_only
def test_both_sides_rank_alike_where_queries_share_a_feature(documents):
    """The last coordinate of all queries is 2: the documents' side can say there what the mean of queries takes off."""
    pairs, asked = embedded(400, seed=1, mean=0.5), embedded(50, seed=4, mean=0.5)[0]
    pairs[0][:, -1] = asked[:, -1] = 2.0
    model = QueryModel.fit(*pairs, blocks=(5, 2, 1))
    one, other = (fit_relevance_map(model, documents, D, side=side) for side in ("queries", "documents"))
    by_query = invert(one, apply(one, asked)) @ documents.T
    by_document = asked @ invert(other, apply(other, documents)).T
    center = lambda scores: scores - scores.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(center(by_document), center(by_query), atol=0.01 * float(np.std(center(by_query))))
    uncorrected = asked @ np.linalg.inv(model.noise) @ (np.repeat(model.gains, (5, 2, 1)) * documents).T
    assert np.std(center(uncorrected) - center(by_query)) > 0.1 * np.std(center(by_query))


def found(scores):
    """Share of queries whose own document scores best."""
    return np.mean(np.argmax(scores, axis=1) == np.arange(len(scores)))


@pytest.mark.float64_only
def test_it_ranks_better_than_plain_products_and_than_principal_components(model, documents):
    """The first direction of variance is the loud coordinate; of relevance, it is the last."""
    queries = embedded(200, seed=2)[0]
    transform = fit_relevance_map(model, documents, 4, side="queries")
    mapped = found(invert(transform, apply(transform, queries)) @ documents.T)
    principal = Truncation.fit(documents, 4, transform="pca", store="float32")
    kept = found(np.asarray(principal.decode(principal.encode(queries))) @ documents.T)
    assert mapped > 1.5 * found(queries @ documents.T)
    assert mapped > 1.5 * kept
    last = np.asarray(fit_relevance_map(model, documents, D, side="documents").basis)[:, -1]
    assert abs(last[LOUD]) * 4 > np.abs(np.delete(last, LOUD)).max()


@pytest.mark.float64_only
@pytest.mark.parametrize("count", [1, 150])
def test_queries_count_as_further_documents(model, documents, count):
    queries = embedded(count, seed=7, mean=0.5)[0]
    together = np.concatenate([model.predict(documents), queries])
    expected = eigh(np.cov(together.T, bias=True), model.noise)[0][::-1]
    transform = fit_relevance_map(model, documents, D, side="documents", queries=queries)
    np.testing.assert_allclose(transform.variances, expected, rtol=1e-9)
    np.testing.assert_allclose(transform.mean, documents.mean(axis=0), atol=1e-12)


@pytest.mark.float64_only
def test_modalities_by_themselves_stand_side_by_side(model, documents, side):
    together = fit_relevance_map(model, documents, (3, 2), side=side)
    for own, kept in ((slice(0, 5), slice(0, 3)), (slice(5, 8), slice(3, 5))):
        ratios, vectors = eigh(signal(model, documents)[own, own], model.noise[own, own])
        ratios, vectors = ratios[::-1][: kept.stop - kept.start], vectors[:, ::-1][:, : kept.stop - kept.start]
        np.testing.assert_allclose(together.variances[kept], ratios + (side == "queries"), rtol=1e-9)
        basis = np.asarray(together.basis)[:, kept]
        assert np.count_nonzero(basis) == basis[own].size
        scale = 1 if side == "queries" else np.repeat(model.gains, BLOCKS)[own, None]
        agreement = np.abs((basis[own] / scale).T @ model.noise[own, own] @ vectors)
        np.testing.assert_allclose(agreement, np.eye(len(ratios)), atol=1e-8)
    assert together.encoder_bytes == 4 * (D + 3 * 5 + 2 * 3)


def test_fewer_coefficients_and_padding(whole, documents, side):
    vectors = documents[:7].astype(whole.mean.dtype)
    part, coefficients = whole.take(3), apply(whole, vectors)
    assert (whole.label, part.label, part.k, part.side) == (f"relevance {D}", "relevance 3", 3, side)
    assert part.encoder_bytes == 4 * (D + 3 * D)
    np.testing.assert_allclose(apply(part, vectors), coefficients[:, :3], atol=1e-5)
    np.testing.assert_array_equal(part.variances, whole.variances[:3])
    wide = part.padded(8)
    assert wide.k == 8
    np.testing.assert_array_equal(apply(wide, vectors)[:, 3:], 0.0)
    np.testing.assert_allclose(invert(wide, apply(wide, vectors)), invert(part, apply(part, vectors)), atol=1e-5)


def test_codes_take_it_as_a_transform(whole, documents, side, precision):
    vectors = documents.astype(precision)
    for code in (
        ScalarQuantizer.fit(vectors, 48, transform=whole),
        EntropyCodedScalar.fit(vectors, 40, transform=whole),
    ):
        assert code.name.startswith("relevance ")
        symbols = code.encode(vectors)
        decoded = np.asarray(code.decode(symbols))
        exact = np.asarray(invert(whole, apply(whole, vectors)))
        assert ((decoded - exact) ** 2).sum() < 0.05 * ((exact - exact.mean(axis=0)) ** 2).sum()
        np.testing.assert_array_equal(code.from_bytes(code.to_bytes(symbols)), symbols)


@pytest.mark.float64_only
def test_one_document_of_one_dimension_has_no_signal():
    model = QueryModel.fit(np.array([[1.0], [2.0], [4.0]]), np.array([[0.0], [2.0], [3.0]]), blocks=(1,))
    for side in ("queries", "documents"):
        transform = fit_relevance_map(model, np.array([[2.0]]), 1, side=side)
        assert float(transform.variances[0]) == (side == "queries")
        assert np.isfinite(invert(transform, apply(transform, np.ones((2, 1))))).all()


@pytest.mark.float64_only
def test_mistakes_are_refused(model, documents):
    for arguments, message in (
        ({"k": 0}, "ask for 1 to 8"),
        ({"k": 9}, "ask for 1 to 8"),
        ({"k": 4.0}, "ask for 1 to 8"),
        ({"k": (2.0, 2)}, "2.0 dimensions were asked for"),
        ({"k": (2, 4)}, "a modality has 3 dimensions"),
        ({"k": (2,)}, "1 numbers of directions were given for 2 modalities"),
        ({"side": "both"}, "the side is 'both'"),
        ({"documents": documents[:, :3]}, "fitted on 8 dimensions"),
        ({"queries": documents[:, :3]}, "fitted on 8 dimensions"),
    ):
        given = {"documents": documents, "k": 2, "side": "queries"} | arguments
        with pytest.raises(InputError, match=message):
            fit_relevance_map(model, given.pop("documents"), given.pop("k"), **given)


def test_a_map_can_be_turned_towards_its_codebooks(model, documents, side, precision):
    """What is scored stays the same, in coefficients that a product of few words fits no worse."""
    chart = fit_relevance_map(model, documents, 4, side=side)
    rows = model.simulate(documents, 20) if side == "queries" else np.tile(documents, (20, 1))
    rows = np.asarray(rows, precision)
    fit = lambda turns: ProductQuantizer.fit(rows, 4, transform=chart, width=2, turns=turns, points=len(rows))
    still, turned = fit(0), fit(30)
    through = lambda transform: invert(transform, apply(transform, rows))
    np.testing.assert_allclose(through(turned.transform), through(chart), atol=3e-5)
    spread = np.mean((apply(turned.transform, rows)) ** 2, axis=0)
    np.testing.assert_allclose(turned.transform.variances, spread, rtol=1e-3)
    axes, before = np.asarray(turned.transform.basis, np.float64), np.asarray(chart.basis, np.float64)
    np.testing.assert_allclose(axes @ axes.T, before @ before.T, atol=1e-5)
    loss = lambda code: np.mean((apply(chart, rows) - _coefficients(chart, code.decode(code.encode(rows)))) ** 2)
    assert loss(turned) < 1.001 * loss(still)
    assert turned.name == "turned relevance 4 + product 2 x 2 bits"
    assert turned.transform.take(2).turned
    again, _ = load_code(save_code(turned), "here")
    assert again.name == turned.name


def _coefficients(chart, vectors):
    """Of vectors that decode within the span of `back`."""
    return np.linalg.lstsq(np.asarray(chart.back, np.float64), np.asarray(vectors, np.float64).T, rcond=None)[0].T
