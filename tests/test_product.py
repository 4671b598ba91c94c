"""Product and residual quantizers: words found by brute force, bits laid out, stages, turns, look-up of scores."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rdjax.checks import InputError
from rdjax.codes import Int8, SignBitsRescored, turned_at_random
from rdjax.codes.allocation import largest_remainder, proportional_ceil
from rdjax.codes.blocks import from_blocks, lay_out, to_blocks
from rdjax.codes.lloyd import lloyd_max
from rdjax.codes.lookup import Decoded, lookup_scores, tables
from rdjax.codes.modalities import fit_pca_by_modality
from rdjax.codes.product import ProductQuantizer
from rdjax.codes.randomized import DitheredScalar
from rdjax.codes.transform import fit_coordinates, fit_pca
from rdjax.retrieval import counts_from_scores
from rdjax.retrieval.streaming import count_above, top_document

D = 6


def vectors(n, seed=5):
    """Correlated, off center, of falling variance."""
    mix = np.random.default_rng(1).standard_normal((D, D)) * 0.7 ** np.arange(D)
    return np.random.default_rng(seed).standard_normal((n, D)) @ mix.T + 0.3


def error(code, x):
    return float(np.mean(np.sum((np.asarray(code.decode(code.encode(x))) - x) ** 2, axis=1)))


@pytest.fixture(scope="module")
def plain(precision):
    """Three blocks of two coefficients, 4 + 4 + 3 bits."""
    return ProductQuantizer.fit(vectors(512).astype(precision), 11, width=4)


@pytest.fixture(scope="module")
def residual(precision):
    """One block, three stages of 2 bits, a beam that holds all 64 sums."""
    return ProductQuantizer.fit(vectors(512).astype(precision), 6, width=2, blocks=1, beam=64)


@pytest.fixture(scope="module")
def mixed(precision):
    """Two modalities of four and two dimensions; 5 bits in two stages of two blocks, and 3 bits in one."""
    x = vectors(512).astype(precision)
    transform = fit_pca_by_modality(x, (4, 2))
    return ProductQuantizer.fit(x, (8, 3), transform=transform, modalities=(4, 2), width=2, blocks=2, beam=4)


@pytest.fixture(params=["plain", "residual", "mixed"])
def code(request):
    return request.getfixturevalue(request.param)


def sums(code):
    """Every sum of words of every block [B], with the symbols that make it: brute force in float64."""
    books = np.asarray(code.codebooks, np.float64)
    for number, (members, widths) in enumerate(zip(code.blocks, code.table, strict=True)):
        choices = np.array(list(itertools.product(*[range(1 << width) for width in widths])))
        words = sum(books[number, stage][choices[:, stage]] for stage in range(len(widths)))
        yield members, choices, words[:, : len(members)]


def test_layouts_and_names(plain, residual, mixed):
    assert plain.name == "PCA 6 + product 3 x 3 to 4 bits, 11 in all"
    assert (plain.table, sorted(map(len, plain.blocks))) == (((4,), (4,), (3,)), [2, 2, 2])
    assert (residual.name, residual.table) == ("PCA 6 + residual 3 x 2 bits", ((2, 2, 2),))
    assert mixed.name == "PCA by modality 6 + product 4 x residual 2 x 0 to 2 bits, 11 in all"
    assert (mixed.table, mixed.bits) == (((2, 2), (2, 2), (2, 0), (1, 0)), 11)
    assert [sorted(sum(blocks, ())) for blocks in (mixed.blocks[:2], mixed.blocks[2:])] == [[0, 1, 2, 3], [4, 5]]


@pytest.mark.parametrize("name", ["plain", "residual"])
def test_symbols_are_the_best_of_all_sums(name, request):
    code, x = request.getfixturevalue(name), vectors(512, seed=8)
    symbols, coefficients = np.asarray(code.encode(x)), np.asarray(code.transform.apply(jnp.asarray(x, code.dtype)))
    stages = len(code.table[0])
    for number, (members, choices, words) in enumerate(sums(code)):
        distance = ((coefficients[:, None, list(members)] - words[None]) ** 2).sum(axis=2)
        found = symbols[:, number * stages : (number + 1) * stages]
        place = [np.flatnonzero((choices == row).all(axis=1))[0] for row in found]
        np.testing.assert_allclose(distance[np.arange(512), place], distance.min(axis=1), rtol=1e-4, atol=1e-5)


def test_a_beam_of_one_is_greedy_and_wider_ones_err_less(residual):
    x = vectors(512, seed=8)
    narrow = dataclasses.replace(residual, beam=1)
    rest = np.asarray(residual.transform.apply(jnp.asarray(x, residual.dtype)), np.float64)[:, list(residual.blocks[0])]
    symbols = np.asarray(narrow.encode(x))
    for stage, words in enumerate(np.asarray(residual.codebooks[0], np.float64)):
        chosen = ((rest[:, None] - words[None]) ** 2).sum(axis=2).argmin(axis=1)
        assert np.mean(chosen == symbols[:, stage]) > 0.995  # all but rounding at a border
        rest = rest - words[symbols[:, stage]]
    assert error(residual, x) < error(narrow, x)


def test_decoding_adds_the_words_up(code):
    symbols = np.stack([np.random.default_rng(2).integers(0, 1 << width, 512) for width in code.widths], axis=1)
    coefficients, stages = np.zeros((512, D)), len(code.table[0])
    for number, members in enumerate(code.blocks):
        for stage in range(stages):
            words = np.asarray(code.codebooks, np.float64)[number, stage][symbols[:, number * stages + stage]]
            coefficients[:, list(members)] += words[:, : len(members)]
    expected = coefficients @ np.asarray(code.transform.basis).T + np.asarray(code.transform.mean)
    np.testing.assert_allclose(code.decode(symbols), expected, atol=1e-5)


def test_bytes_come_back_and_every_symbol_has_a_word(code):
    x = vectors(512).astype(code.dtype)
    x[0] = np.nan
    with pytest.raises(InputError, match="NaN or infinity in row 0"):
        code.encode(x)
    symbols = jax.jit(code.encode)(x)  # where it cannot be refused
    assert (np.asarray(symbols) < 1 << np.array(code.widths)).all()
    np.testing.assert_array_equal(code.from_bytes(code.to_bytes(symbols)), symbols)


def test_many_vectors_are_encoded_block_by_block(plain, monkeypatch):
    x = vectors(5 * 256 + 17)
    whole = np.concatenate([plain.encode(x[i : i + 512]) for i in range(0, len(x), 512)])
    monkeypatch.setattr("rdjax.codes.blockwise.AT_ONCE", 256)
    np.testing.assert_array_equal(plain.encode(x), whole)
    with pytest.raises(InputError, match="6 dimensions"):
        plain.encode(x[:, 1:])
    x[777, 3] = np.nan
    with pytest.raises(InputError, match="NaN or infinity in row 777"):
        plain.encode(x)


def test_encoder_memory_counts_words_in_use(plain, mixed):
    assert plain.encoder_bytes == 4 * (D + D * D) + 4 * 2 * (16 + 16 + 8)
    assert mixed.encoder_bytes == 4 * (D + D * D) + 4 * (2 * 4 * 2 * 2 + 4 + 2)


@pytest.mark.float64_only
def test_words_are_the_means_of_what_they_code(plain):
    x = vectors(512)
    coefficients, symbols = np.asarray(plain.transform.apply(x)), np.asarray(plain.encode(x))
    for number, members in enumerate(plain.blocks):
        for word in range(1 << plain.widths[number]):
            own = coefficients[symbols[:, number] == word][:, list(members)]
            np.testing.assert_allclose(plain.codebooks[number, 0, word], own.mean(axis=0), atol=0.05)


@pytest.mark.float64_only
def test_blocks_of_one_gaussian_coefficient_meet_lloyd_and_max():
    x = np.random.default_rng(3).standard_normal((4096, 2)) * [3.0, 1.0]
    code = ProductQuantizer.fit(x, (3, 2), transform="coordinates", modalities=(1, 1))
    measured = np.mean((np.asarray(code.decode(code.encode(x))) - x) ** 2, axis=0) / x.var(axis=0)
    np.testing.assert_allclose(measured, [lloyd_max(8)[2], lloyd_max(4)[2]], rtol=0.08)


@pytest.mark.float64_only
def test_stages_together_beat_one_after_the_other_on_the_vectors_of_the_fit():
    x = vectors(512)
    fit = lambda rounds: ProductQuantizer.fit(x, 6, width=2, blocks=1, beam=64, rounds=rounds)
    assert error(fit(6), x) < 0.99 * error(fit(0), x)


def test_turning_pays_and_stays_orthonormal(precision):
    """Sixteen places in each of three planes, all turned at random: principal components do not see the planes.

    What turning finds is a local best: of ten such draws it takes 7 to 98% off the error, of this one 55%.
    """
    rng = np.random.default_rng(1)
    x = rng.standard_normal((3, 16, 2))[np.arange(3)[:, None], rng.integers(0, 16, (3, 512))]
    x = np.concatenate([*x], axis=1) @ np.linalg.qr(rng.standard_normal((D, D)))[0].T
    x = (x + 0.02 * rng.standard_normal((512, D))).astype(precision)
    still = ProductQuantizer.fit(x, 12, width=4, transform=fit_pca(x, D))
    turned = ProductQuantizer.fit(x, 12, width=4, transform=fit_pca(x, D), turns=20)
    assert error(turned, x) < 0.8 * error(still, x)
    axes = np.asarray(turned.transform.basis)
    np.testing.assert_allclose(axes.T @ axes, np.eye(D), atol=1e-5)
    spread = np.var((x - x.mean(axis=0)) @ axes, axis=0)
    np.testing.assert_allclose(turned.transform.variances, spread, rtol=1e-3)
    assert turned.name.startswith("OPQ 6 + product 3 x")
    with pytest.raises(InputError, match="projection"):
        ProductQuantizer.fit(x, 12, width=4, transform="coordinates", turns=2)


def test_turning_at_random_keeps_the_space_and_evens_the_variances(precision):
    x = (np.random.default_rng(2).standard_normal((4000, 12)) * 0.7 ** np.arange(12) + 3).astype(precision)
    plain = fit_pca(x, 8)
    turned, again = turned_at_random(plain), turned_at_random(plain, seed=1)
    axes, before = np.asarray(turned.basis, np.float64), np.asarray(plain.basis, np.float64)
    np.testing.assert_allclose(axes @ axes.T, before @ before.T, atol=1e-5)
    spread = np.var((x - x.mean(axis=0)).astype(np.float64) @ axes, axis=0)
    np.testing.assert_allclose(turned.variances, spread, rtol=1e-3)
    assert spread.max() / spread.min() < 10 < 0.1 * float(plain.variances[0] / plain.variances[-1])
    assert turned.label == "turned PCA 8"
    assert np.abs(axes - np.asarray(again.basis)).max() > 0.1
    with pytest.raises(InputError, match="only a projection can be turned"):
        turned_at_random(fit_coordinates(x, 8))


@pytest.mark.float64_only
def test_scores_by_table_are_the_scores(code):
    x, queries = vectors(512), vectors(5, seed=9)
    symbols = code.encode(x)
    expected = np.asarray(code.decode(symbols), np.float64) @ queries.T
    np.testing.assert_allclose(lookup_scores(code, symbols, queries), expected, atol=1e-5)
    np.testing.assert_allclose(code.scores(symbols, queries), expected, atol=1e-5)
    table, offset = tables(code, queries)
    assert table.shape == (code.num_symbols, code.codebooks.shape[2], 5)
    np.testing.assert_allclose(offset, queries @ np.asarray(code.transform.mean), atol=1e-5)
    assert lookup_scores(code, symbols[:0], queries).shape == (0, 5)
    with pytest.raises(InputError, match="6 dimensions"):
        lookup_scores(code, symbols, queries[:, 1:])


def test_ranks_against_coded_documents_without_decoding_them_all(plain, monkeypatch):
    queries, relevant = vectors(40, seed=9), np.arange(40)
    symbols = np.asarray(plain.encode(vectors(512)))
    coded = Decoded(plain, symbols)
    assert (len(coded), coded.shape, coded.dtype) == (512, (512, D), plain.dtype)
    decoded = plain.decode(symbols)
    most, decode = [], type(plain).decode
    monkeypatch.setattr(ProductQuantizer, "decode", lambda self, s: most.append(len(s)) or decode(self, s))
    above, tied = count_above(queries, coded, relevant, document_block=64)
    best = top_document(queries, coded, document_block=64)
    assert max(most) <= 64
    scores = np.asarray(decoded @ jnp.asarray(queries, plain.dtype).T).T
    whole = counts_from_scores(scores, relevant)
    np.testing.assert_array_equal(above + tied, whole[0] + whole[1])
    assert (tied >= 1).all()
    np.testing.assert_allclose(scores[np.arange(40), best], scores.max(axis=1), rtol=1e-5)
    np.testing.assert_array_equal(
        count_above(queries, Decoded(Int8.fit(decoded), np.zeros((9, D), int)), relevant % 9)[0], 0
    )
    with pytest.raises(InputError, match="not inner products"):
        Decoded(SignBitsRescored.fit(decoded, 3), symbols)


def test_rows_of_a_code_that_draws_numbers_are_decoded_by_their_own():
    items = vectors(2500)  # more than one tile
    code = DitheredScalar.fit(items, 6)
    symbols = code.encode(items)
    whole, coded = np.asarray(code.decode(symbols)), Decoded(code, symbols)
    for rows in (slice(5, 9), slice(None, None, 2), slice(10, 3, -1)):
        np.testing.assert_array_equal(coded[rows], whole[rows])
    for places in ([7, 0, 7], [2300, 7, -1, 2048, 2047, 2300]):
        np.testing.assert_array_equal(coded[np.array(places)], whole[places])
    assert coded[np.zeros(0, int)].shape == (0, D)


@pytest.mark.float64_only
class TestBlocks:
    def test_bits_add_up_and_every_coefficient_has_one_block(self, rng):
        for _ in range(200):
            sizes = rng.integers(1, 9, rng.integers(1, 4))
            bits = rng.integers(0, 40, len(sizes))
            bits[0] += 1
            limit = None if rng.random() < 0.5 else int(rng.integers(1, 5))
            grouping = str(rng.choice(["dealt", "contiguous"]))
            variances = rng.exponential(size=sizes.sum()) * (rng.random(sizes.sum()) < 0.9)
            width = int(rng.integers(1, 13))
            blocks, table = lay_out(
                variances, [*sizes], [*map(int, bits)], width=width, blocks=limit, grouping=grouping
            )
            assert sum(map(sum, table)) == bits.sum()
            assert max(map(max, table)) <= width
            owner = np.repeat(np.arange(len(sizes)), sizes)
            assert sorted(sum(blocks, ())) == [*np.flatnonzero(bits[owner] > 0)]
            for number, budget in enumerate(bits):
                own = [row for members, row in zip(blocks, table, strict=True) if owner[members[0]] == number]
                assert sum(map(sum, own)) == budget
                assert max((sum(row) for row in own), default=0) <= min((sum(row) for row in own), default=0) + 1
            assert all(len({owner[i] for i in members}) == 1 for members in blocks)

    def test_dealing_balances_rates_in_blocks_of_equal_size(self):
        variances = 0.8 ** np.arange(32)
        blocks, _ = lay_out(variances, [32], [64], width=8)
        assert {len(members) for members in blocks} == {4}
        logs = [np.log2(variances[list(members)]).sum() for members in blocks]
        assert np.ptp(logs) < 0.5

    def test_neighbors_share_rates_equally(self):
        """Variances 4^r over a level of one, so rates are r: 4, 2, 2, 1, 1, 1, 1 in three blocks of 4."""
        blocks, _ = lay_out(4.0 ** np.array([4, 2, 2, 1, 1, 1, 1]), [7], [12], width=4, grouping="contiguous")
        assert blocks == ((0,), (1, 2), (3, 4, 5, 6))

    def test_more_bits_than_coefficients_can_take_become_stages(self):
        assert lay_out(np.ones(1), [1], [20], width=8) == (((0,),), ((7, 7, 6),))

    def test_points_and_back(self, rng):
        coefficients, blocks = rng.standard_normal((5, 4)), ((3, 0), (4,))
        points = to_blocks(coefficients, blocks)
        there = jax.jit(lambda rows: (points := to_blocks(rows, blocks), from_blocks(points, blocks, 5)))
        traced, back = there(coefficients)
        np.testing.assert_array_equal(points[0], coefficients[[3, 0]])
        np.testing.assert_array_equal(points[1], [coefficients[4], np.zeros(4)])
        np.testing.assert_array_equal(back, coefficients * np.array([1, 0, 0, 1, 1])[:, None])
        np.testing.assert_array_equal(traced, points)

    @pytest.mark.parametrize(
        ("arguments", "say"),
        [
            ({"bits": [0]}, "0 bits"),
            ({"bits": [-1]}, "at least 0"),
            ({"bits": [2.5]}, "whole number"),
            ({"bits": [4, 4]}, "2 budgets"),
            ({"modalities": [3]}, "add up"),
            ({"width": 13}, "1 to 12"),
            ({"width": 0}, "at least 1"),
            ({"blocks": 0}, "at least 1"),
            ({"grouping": "random"}, "contiguous"),
        ],
    )
    def test_what_does_not_fit_together_is_refused(self, arguments, say):
        given = {"modalities": [4], "bits": [8], **arguments}
        with pytest.raises(InputError, match=say):
            lay_out(np.ones(4), given.pop("modalities"), given.pop("bits"), **given)

    @pytest.mark.parametrize(
        ("arguments", "say"),
        [
            ({"bits": 16.0}, "bits is 16.0; it must be a whole number"),
            ({"bits": None}, "bits is None; it must be a whole number"),
            ({"beam": 0}, "the beam is 0"),
            ({"beam": 5000}, "at most 4,096"),
            ({"points": 0}, "vectors per word is 0"),
            ({"rounds": 1.5}, "rounds is 1.5"),
            ({"turns": -1}, "turns is -1"),
        ],
    )
    def test_options_out_of_range_are_refused(self, arguments, say):
        with pytest.raises(InputError, match=say):
            ProductQuantizer.fit(vectors(40), **{"bits": 4, "width": 2, **arguments})


@pytest.mark.float64_only
class TestModalities:
    def test_each_modality_has_its_own_components(self):
        x = vectors(512)
        whole = fit_pca_by_modality(x, (4, 2), (3, 2))
        first, second = fit_pca(x[:, :4], 3), fit_pca(x[:, 4:], 2)
        np.testing.assert_array_equal(whole.basis[:4, :3], first.basis)
        np.testing.assert_array_equal(whole.basis[4:, 3:], second.basis)
        assert not np.asarray(whole.basis)[:4, 3:].any()
        assert not np.asarray(whole.basis)[4:, :3].any()
        np.testing.assert_array_equal(whole.variances, np.concatenate([first.variances, second.variances]))

    def test_the_papers_rule_overruns_and_the_largest_remainder_does_not(self):
        """Theory notes, section 4: H = (1, 2), R = 64 gives 22 + 43 = 65."""
        laid = lambda bits: lay_out(np.ones(6), (4, 2), [*map(int, bits)])[1]
        assert sum(map(sum, laid(proportional_ceil((1.0, 2.0), 64).bits))) == 65
        kept = laid(largest_remainder((1.0, 2.0), 64))
        assert [sum(map(sum, kept[:3])), sum(map(sum, kept[3:]))] == [21, 43]

    def test_a_modality_without_bits_decodes_to_its_mean(self):
        x = vectors(512)
        code = ProductQuantizer.fit(x, (4, 0), transform=fit_pca_by_modality(x, (4, 2)), modalities=(4, 2), width=4)
        decoded = np.asarray(code.decode(code.encode(x)))
        np.testing.assert_allclose(decoded[:, 4:], np.broadcast_to(x[:, 4:].mean(axis=0), (512, 2)), atol=1e-9)

    @pytest.mark.parametrize(
        ("sizes", "k", "say"), [((4, 3), None, "add up"), ((4, 2), (1,), "1 numbers"), ((4, 2), (5, 1), "5")]
    )
    def test_modalities_that_do_not_fit_are_refused(self, sizes, k, say):
        with pytest.raises(InputError, match=say):
            fit_pca_by_modality(vectors(40), sizes, k)
