"""No matrix product is of three digits, as JAX's own is on accelerators: words that are sent and ranks hang on it.

Read off the programs, whose products say their precision on every platform.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rdjax import codes, retrieval
from rdjax.codes import codebooks, lookup, rank_designed, residual, turning
from rdjax.codes.nearest_words import comparable, nearest_at_once, with_ones
from rdjax.codes.relaxed_forms import ProductForm, Relaxed, ScalarForm, TrellisForm
from rdjax.codes.saved import CLASSES
from rdjax.codes.transform import Transform, fit_pca
from rdjax.numerics import matmul

pytestmark = pytest.mark.float64_only
D, N = 6, 20
X = np.random.default_rng(3).standard_normal((N, D)) * 0.7 ** np.arange(D)
ORDERS = jnp.asarray(np.stack([np.arange(N), np.arange(N)[::-1]]), jnp.int32)
TABLE = ((2,), (1,)), ((2, 1),)  # bits of two blocks, and of two stages of one


def product(transform, table):
    """Words of two blocks or of two stages, all zero; four coefficients."""
    blocks = ((0, 1, 3), (2,)) if len(table) == 2 else ((0, 1, 2, 3),)
    words = jnp.zeros((len(table), len(table[0]), 4, len(blocks[0])), transform.mean.dtype)
    return codes.ProductQuantizer(transform, words, blocks, table, 2)


def chart(side):
    shape = jnp.eye(D, 4, dtype=float)
    return codes.RelevanceMap(jnp.zeros(D), shape, shape, jnp.ones(4), side)


def every_code():
    """One of each kind, by the cheapest way to make it."""
    told, tau, pca, zero = jnp.asarray(X), jnp.ones(()), fit_pca(X, 4), jnp.zeros((), jnp.int32)
    integer = codes.ScalarQuantizer.fit(X, 7)
    designed = codes.DesignedRankCode(jnp.asarray(X[:, :4]), tau, ORDERS)
    return [
        codes.Truncation.fit(X, 3, transform="pca"),
        integer,
        codes.EntropyCodedScalar.fit(X, 5.0),
        codes.DitheredScalar.fit(X, 5.0),
        codes.UniformInCell.fit(X, 5.0),
        *(product(pca, table) for table in TABLE),
        codes.TrellisCode(chart("documents"), jnp.ones(4), jnp.zeros((4, 1)), 1, 2),
        codes.SignBits.fit(X, 4, transform="rotation"),
        codes.SignBitsRescored.fit(X, 5),
        codes.Int8.fit(X),
        *(codes.RankCode.fit(X, size) for size in (N, 3 * N)),
        codes.DesignedRankCode(told, tau, ORDERS),
        codes.CellRankCode.fit(X, 4),
        codes.MappedRankCode(designed, chart("queries"), chart("documents")),
        codes.EntropyCoded.fit(integer, integer.encode(X)),
        codes.Weighted.fit(integer, np.arange(1, D + 1)),
        codes.Directional(integer),
        codes.Renormalized(integer, tau, tau),
        codes.LearnedCode(product(chart("queries"), TABLE[0]), tau, jnp.ones(1), jnp.ones(2), zero, zero),
    ]


def products(function, *args):
    """Matrix products in the program of a function, each with all it says."""
    text = str(jax.make_jaxpr(function)(*args))
    return [line for line in text.split(" = ") if "dot_general" in line or "conv_general" in line]


def require_full(function, *args):
    found = products(function, *args)
    assert found
    assert [line for line in found if line.count("HIGHEST") < 2] == []


def test_the_products_of_every_code():
    made = every_code()
    assert {type(code) for code in made} == {k for k in CLASSES.values() if not issubclass(k, Transform)}
    for code in made:
        symbols = jnp.zeros((3, code.num_symbols), jnp.int32)
        programs = (
            products(lambda code, x: code.encode(x), code, X),
            products(lambda code, s: code.decode(s), code, symbols),
            products(lambda code, s, x: code.scores(s, x), code, symbols, X),
        )
        found = [line for program in programs for line in program]
        assert found or isinstance(code, codes.DesignedRankCode)
        assert [line for line in found if line.count("HIGHEST") < 2] == [], code.name


def test_the_products_that_codes_are_fitted_and_trained_with():
    points, mass, sizes = jnp.zeros((1, 4, 256)), jnp.ones(256), jnp.array([[4, 2]])
    words, blocks = jnp.zeros((1, 2, 4, 4)), ((0, 1, 2, 3),)
    refine = lambda *args: residual.refined(*args, beam=2)
    require_full(refine, words, sizes, points, mass)
    require_full(lambda *args: turning._turn(*args, blocks, 2), words, sizes, points[0], mass, jnp.eye(4))
    levels = jnp.full(8, 4)
    require_full(lambda *args: codebooks._lloyd(*args, 8), words[0, 0], 4, points[0], mass, levels)
    require_full(rank_designed._posterior, X, X, 1.0)
    require_full(lookup._tables, product(fit_pca(X, 4), TABLE[1]), X)
    relaxed = Relaxed(jax.random.key(0), jnp.zeros(()))
    maps = {"into": jnp.zeros((6, 4)), "out": jnp.zeros((6, 4))}
    laws = {name: jnp.ones((4, 2)) for name in ("logits", "means", "log_scales")}
    for form, more in (
        (ProductForm(blocks, TABLE[1], 2), {"words": words}),
        (ProductForm(blocks, TABLE[1], 2, soft=True), {"words": words}),
        (TrellisForm(1, 2), {"words": jnp.ones((4, 1)), "log_spread": jnp.zeros(4)}),
        (ScalarForm(4), {"log_step": jnp.zeros(4), **laws}),
    ):
        error = lambda parameters, form=form: jnp.sum(form(parameters, X, relaxed).values ** 2)
        require_full(jax.grad(error), {**maps, **more})


def test_the_products_of_retrieval():
    rng = np.random.default_rng(4)
    scores, wanted, tau = rng.standard_normal((2, 6, 5)), np.array([0, 1, 2, 3, 4, 1]), np.array([0.5, 2.0])
    features = {"image": rng.standard_normal((6, 3)), "text": rng.standard_normal((6, 2))}
    stream = retrieval.online_temperatures(tau)
    require_full(lambda x: retrieval.modality_scores(x, features), features)
    require_full(retrieval.log_posterior, scores, tau)
    require_full(jax.grad(lambda tau: retrieval.listwise_loss(scores, wanted, tau)), tau)
    require_full(jax.grad(lambda tau: retrieval.pairwise_loss(scores, wanted, tau)), tau)
    require_full(lambda s: retrieval.contrastive_loss(s[:, :5], tau), scores)
    require_full(jax.jacobian(lambda s: retrieval.calibrate_temperatures(s, wanted).temperatures), scores)
    require_full(lambda s: retrieval.temperature_intervals(s, wanted, tau), scores)
    require_full(lambda s: retrieval.search_temperatures(s, wanted, steps=3).temperatures, scores)
    require_full(lambda s: retrieval.fit_reliability(s, wanted, steps=3).doubt, scores)
    require_full(lambda s: retrieval.follow_stream(stream, s[None], wanted[None]), scores)


def test_products_on_the_host_are_of_numpy(precision):
    x = X.astype(precision)
    found = matmul(x, x.T)
    assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(found, x @ x.T)
    np.testing.assert_allclose(matmul(jnp.asarray(x), x.T), x @ x.T, rtol=1e-12, atol=1e-12)


def test_accelerators_multiply_no_infinity():
    """What a TPU's parts of infinity would make of words that are not in use: here of a product in two parts."""

    def in_parts(x, y, *, precision):
        high = x.astype(jnp.bfloat16).astype(x.dtype)
        return (high @ y) + (x - high) @ y

    words, points = jnp.asarray(X[:5, :3]), jnp.asarray(X[5:, :3]).T
    compared, columns = comparable(words, jnp.array(4)), with_ones(points)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jnp, "matmul", in_parts)
        found, score = jax.jit(lambda *args: nearest_at_once(*args))(compared, columns)
    far = np.sum((np.asarray(words)[:4, :, None] - np.asarray(points)[None]) ** 2, axis=1)
    np.testing.assert_array_equal(found, np.argmin(far, axis=0))
    np.testing.assert_allclose(2 * score + np.sum(points**2, axis=0), np.min(far, axis=0), atol=1e-12)
