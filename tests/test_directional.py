"""Encoders that look for directions: the best of what they tried, edges, and what ranking gains by it."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rdjax.audit.families import FAMILIES
from rdjax.audit.training import Training
from rdjax.checks import InputError
from rdjax.codes import (
    Directional,
    EntropyCodedScalar,
    Int8,
    LearnedCode,
    ProductQuantizer,
    RankCode,
    Renormalized,
    ScalarQuantizer,
    TrellisCode,
    Truncation,
)
from rdjax.codes.directional import GAINS, ROUNDING, around, quantizer_of
from rdjax.codes.forms import form_of
from tests.test_lengths import World, directions, lengths, reciprocal_ranks

D = 10
CODES = {
    "product": lambda x: ProductQuantizer.fit(x, 8, width=4),
    "residual": lambda x: ProductQuantizer.fit(x, 6, width=3, blocks=1),
    "trellis": lambda x: TrellisCode.fit(x, 10, memory=2, rounds=1),
    "scalar": lambda x: ScalarQuantizer.fit(x, 9),
}


def cosines(rows, decoded):
    """Of each row with its decoded one, float64; -inf where there is nothing to point."""
    rows, decoded = (np.asarray(each, np.float64) for each in (rows, decoded))
    size = lengths(decoded)
    return np.where(size > 0, (rows * decoded).sum(1) / np.where(size > 0, size, 1) / lengths(rows), -np.inf)


def shifted(count, seed=0):
    """Off center, of unequal lengths."""
    rng = np.random.default_rng(seed)
    return (directions(count, seed) + 0.2) * rng.uniform(0.5, 2, (count, 1))


def gain(code, coded, side, queries, documents):
    """What directions add to the mean reciprocal rank, by brute force; documents get their lengths back."""
    worth = []
    for own in (code, Directional.fit(code)):
        final = Renormalized.fit(own, documents) if side == "documents" else own
        decoded = np.asarray(final.decode(final.encode(coded)))
        pair = (decoded, documents) if side == "queries" else (queries, decoded)
        worth.append(reciprocal_ranks(pair[0] @ pair[1].T))
    return worth[1] - worth[0]


@pytest.mark.parametrize("kind", CODES)
def test_it_says_what_points_best_of_what_was_tried(kind, precision):
    """Each gain by itself through the inner code, about its mean, and the best of them by NumPy."""
    rows = shifted(300).astype(precision)
    code = CODES[kind](shifted(300, 1).astype(precision))
    whole, mean = Directional.fit(code), np.asarray(code.transform.mean)
    seen = np.asarray(code.transform.invert(code.transform.apply(rows)))  # of the vectors, all that has coefficients
    tried = [np.asarray(code.encode(rows + rows.dtype.type(gain - 1) * (rows - mean))) for gain in GAINS]
    each = np.stack([cosines(seen, code.decode(symbols)) for symbols in tried])
    found = cosines(seen, whole.decode(whole.encode(rows)))
    np.testing.assert_allclose(found, each.max(axis=0), atol=2 * ROUNDING)
    assert GAINS[0] == 1
    assert (found > each[0] + 1e-3).sum() > 20  # of 300, or there was nothing to choose


@pytest.mark.float64_only
def test_bits_bytes_and_decoder_are_those_inside():
    rows = shifted(300)
    code = CODES["product"](rows)
    whole = Directional.fit(code)
    symbols = whole.encode(rows)
    assert (whole.bits, whole.encoder_bytes, whole.sides) == (code.bits, code.encoder_bytes, code.sides)
    assert whole.pack(symbols) == code.pack(symbols)
    np.testing.assert_array_equal(whole.decode(symbols), code.decode(symbols))
    np.testing.assert_array_equal(whole.scores(symbols, rows), code.scores(symbols, rows))


@pytest.mark.float64_only
def test_what_has_no_direction_is_coded_as_ever():
    code = CODES["residual"](shifted(300))
    nothing = np.tile(code.transform.mean, (3, 1))
    np.testing.assert_array_equal(Directional.fit(code).encode(nothing), code.encode(nothing))


@pytest.mark.float64_only
@pytest.mark.parametrize(
    ("side", "longer", "least"), [("documents", 1, 0), ("documents", 2, 0.02), ("queries", 2, 0.02)]
)
def test_ranking_gains_by_it(side, longer, least):
    """By brute force, one noisy query for every document of one length; words fitted on as long vectors, and longer."""
    gained = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        documents = directions(500, seed).astype(np.float64)
        queries = documents + 0.1 * rng.standard_normal((500, D))
        coded = queries if side == "queries" else documents
        code = ProductQuantizer.fit(longer * coded, 8, transform="coordinates", width=4)
        gained.append(gain(code, coded, side, queries, documents))
    assert np.mean(gained) > least + 2 * np.std(gained) / np.sqrt(len(gained))


@pytest.mark.float64_only
@pytest.mark.parametrize("side", ["documents", "queries"])
def test_a_mean_far_from_zero_is_part_of_the_direction(side):
    """Principal components of vectors about a large mean: what is ranked is the mean and the word together."""
    gained = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        documents = directions(500, seed) + 1.0
        documents /= lengths(documents)[:, None]
        queries = documents + 0.02 * rng.standard_normal((500, D))
        coded = queries if side == "queries" else documents
        code = ProductQuantizer.fit(coded, 8, k=6, transform="pca", width=4)
        gained.append(gain(code, coded, side, queries, documents))
    assert np.mean(gained) > -0.005


@pytest.mark.float64_only
def test_numbers_that_are_kept_as_they_are_stay_so():
    """No gain is chosen by rounding where words stand as near as floats do."""
    rows = shifted(200)
    code = Truncation.fit(rows, 6)
    np.testing.assert_array_equal(Directional.fit(code).encode(rows), code.encode(rows))


@pytest.mark.float64_only
def test_lengths_are_fitted_to_what_this_encoder_says():
    documents = shifted(300)
    inner = Directional.fit(CODES["residual"](documents))
    whole = Renormalized.fit(inner, documents)
    told = lengths(inner.decode(inner.encode(documents)))
    expected = np.hypot(float(whole.floor), float(whole.gain) * told)
    np.testing.assert_allclose(lengths(whole.decode(whole.encode(documents))), expected, rtol=1e-9)


@pytest.mark.float64_only
def test_what_is_learned_is_put_inside():
    world = World()
    begun = Renormalized.fit(Directional.fit(world.code), world.documents)
    told = world.queries, world.documents, world.wanted
    learned = LearnedCode.fit(begun, told, chart=world.chart, held_out=told, steps=40, looks=2)
    assert int(learned.step) > 0
    assert isinstance(learned.code, Renormalized)
    assert isinstance(learned.code.code, Directional)
    assert quantizer_of(learned.code).fingerprint != world.code.fingerprint
    symbols = learned.encode(world.documents)
    np.testing.assert_array_equal(symbols, Directional.fit(quantizer_of(learned.code)).encode(world.documents))
    same = LearnedCode.fit(begun, told, optimizer=optax.sgd(0.0), steps=2, looks=1)
    assert same.code.fingerprint == begun.fingerprint == around(begun, world.code).fingerprint


@pytest.mark.float64_only
@pytest.mark.parametrize("side", ["documents", "queries"])
@pytest.mark.parametrize("kind", ["product", "trellis"])
def test_its_form_says_what_it_says_and_has_the_slopes_of_the_form_inside(side, kind):
    world = World(side)
    coded = world.documents if side == "documents" else world.queries
    inner = world.code if kind == "product" else TrellisCode.fit(coded, 8, transform=world.chart.take(4), memory=2)
    code = Directional.fit(inner)
    coefficients = np.asarray(world.chart.apply(coded))
    form = form_of(code)
    begin = form.begin(inner, coefficients)
    said = jax.jit(form, static_argnums=2)(begin, coefficients, None)
    symbols, points = code.encode(coded), np.asarray(inner.transform.apply(coded))
    np.testing.assert_allclose(cosines(points, said.words), cosines(points, inner._dequantize(symbols)), rtol=1e-12)
    assert np.mean(np.asarray(said.symbols) == np.asarray(symbols)) > 0.95  # of a ring words of one direction tie
    assert (np.asarray(said.symbols) != np.asarray(inner.encode(coded))).any()

    gains = np.array(GAINS)
    tried = np.stack(
        [code.decode(inner.encode(coded + (gain - 1) * (coded - np.asarray(inner.transform.mean)))) for gain in gains]
    )
    wanted = np.asarray(code.decode(said.symbols))
    own = gains[np.argmin(np.abs(tried - wanted).max(axis=2), axis=0)]  # what the words it said were found at
    weights = np.random.default_rng(2).standard_normal(said.values.shape)
    slopes = [
        jax.grad(lambda p, c=items, f=each: jnp.sum(weights * f(p, c, None).values))(begin)
        for each, items in ((form, coefficients), (form_of(inner), own[:, None] * coefficients))
    ]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9), *slopes)


@pytest.mark.float64_only
def test_many_vectors_are_coded_in_blocks(monkeypatch):
    rows = shifted(250)
    whole = Directional.fit(CODES["residual"](rows))
    expected = np.asarray(whole.encode(rows))
    monkeypatch.setattr("rdjax.codes.blockwise.AT_ONCE", 100)
    np.testing.assert_array_equal(whole.encode(rows), expected)
    np.testing.assert_array_equal(Renormalized.fit(whole, rows).encode(rows), expected)
    rows[207, 3] = np.nan
    with pytest.raises(InputError, match="row 207"):
        whole.encode(rows)


@pytest.mark.float64_only
def test_it_traces():
    rows = shifted(64)
    whole = Directional.fit(CODES["trellis"](rows))
    np.testing.assert_array_equal(jax.jit(whole.encode)(rows), whole.encode(rows))


@pytest.mark.float64_only
@pytest.mark.parametrize("family", ["PCA + product", "relevance + product", "relevance + trellis"])
def test_audits_look_for_directions_where_ranking_does_and_the_fit_has_not_seen_what_is_coded(family, monkeypatch):
    """Not of documents that are ranked as long as they are decoded, nor of what words were fitted on."""
    monkeypatch.setattr("rdjax.audit.training.EXAMPLES", 128)
    rows, fit = shifted(64), {each.name: each.fit for each in FAMILIES}
    queries = rows[:20] + 0.1 * shifted(20, 7)
    for blind in (False, True):
        training = Training(np.concatenate([rows, queries]), rows, rows, queries, rows[:20], (D,), blind, len(rows))
        for side, name, stretched in (("queries", family, False), ("documents", f"{family}, stretched", True)):
            code = fit[name](training, side, 16)
            inner = code.code if stretched else code
            assert isinstance(code, Renormalized) == stretched
            assert isinstance(inner, Directional) == blind
        assert not isinstance(fit[family](training, "documents", 16), Directional)


@pytest.mark.float64_only
@pytest.mark.parametrize(
    "make",
    [
        Int8.fit,
        RankCode.fit,
        lambda x: EntropyCodedScalar.fit(x, 8),
        lambda x: Directional.fit(CODES["scalar"](x)),
        lambda x: Renormalized.fit(CODES["scalar"](x), x),
    ],
)
def test_codes_that_have_no_such_search_are_refused(make):
    rows = directions(60).astype(np.float64)
    with pytest.raises(InputError, match="cannot look for directions"):
        Directional.fit(make(rows))
