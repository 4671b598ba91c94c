"""Estimators where units, offsets, few rows or half precisions leave little room: each against float64 NumPy."""

from functools import partial

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from rdjax import checks
from rdjax.checks import InputError
from rdjax.information import contingency, covariance, discrete, look_alike
from rdjax.information import gaussian_samples as sampled
from rdjax.information.counts import entropy_from_counts
from rdjax.information.modalities import modalities_of_law, unique_relevance
from rdjax.information.neighbors import kozachenko_leonenko, ksg
from rdjax.information.permutation import permutation_test
from rdjax.information.ties import dither
from tests.test_calibration import by_normal_scores
from tests.test_neighbors import SMALL, N, brute_ksg


@pytest.fixture
def cloud(rng, dtype):
    """Of the shapes of test_neighbors."""
    z = rng.normal(size=(N, 5))
    return z[:, :2].astype(dtype), (z[:, 2:] + z[:, :1]).astype(dtype)


@pytest.mark.float64_only
@pytest.mark.parametrize(("kind", "size"), [(np.uint8, 256), (np.int8, 128)])
def test_every_value_of_a_narrow_column_is_counted(kind, size):
    """A size that the column's own type cannot hold became 0 or negative, and every row was left out."""
    np.testing.assert_array_equal(contingency.contingency_table(np.arange(size, dtype=kind), sizes=(size,)), 1)


@pytest.mark.float64_only
class TestLookAlike:
    def test_constant_columns_share_nothing(self, rng):
        x, y = (np.c_[rng.normal(size=3000), np.full(3000, 7.0)] for _ in range(2))
        made = look_alike.like(x, y, 2.0)
        assert by_normal_scores(made[0][:, :1], made[1][:, :1]) == pytest.approx(2, abs=0.12)
        np.testing.assert_array_equal(made[0][:, 1], 7)

    def test_only_columns_that_vary_are_directions(self, rng):
        x, y = (np.c_[rng.normal(size=300), np.full(300, 7.0)] for _ in range(2))
        with pytest.raises(InputError, match="directions is 2; x and y have 1 in common at most"):
            look_alike.like(x, y, 2.0, directions=2)
        with pytest.raises(InputError, match="all columns of x or of y are constant, so 2 bits cannot be shared"):
            look_alike.like(x[:, 1:], y, 2.0)
        np.testing.assert_array_equal(look_alike.like(x[:, 1:], y, 0.0)[0], 7)

    def test_few_rows_do_not_make_a_constant_column_a_direction(self, rng):
        """Of 4 rows and 2 columns a constant counts a third of a direction, and two directions were chosen."""
        x, y = (np.c_[rng.normal(size=4), np.full(4, 7.0)] for _ in range(2))
        assert look_alike.LookAlike(x, y, None)._shared == 1

    def test_columns_of_zeros_do_not_correlate(self, rng):
        """Ranked in the order in which a sort left them, zeros of two columns go together."""
        x, y = (np.where(rng.random((2000, 1)) < 0.95, 0, rng.normal(size=(2000, 1))) for _ in range(2))
        sides = look_alike.LookAlike(x, y, None)._sides
        assert abs((sides[0].white * sides[1].white).mean()) < 4 / np.sqrt(2000)


class TestGaussian:
    def draw(self, rng):
        z = rng.normal(size=(20, 5)) @ rng.normal(size=(5, 5))
        return z[:, :2], z[:, 2:]

    def test_the_unit_of_samples_is_nothing_to_their_information(self, rng, dtype):
        x, y = (part.astype(dtype) for part in self.draw(rng))
        right = sampled.gaussian_mutual_information_from_samples(x, y, "plugin")
        x, y = x * dtype.type(2.0**-76), y * dtype.type(2.0**66)
        found = sampled.gaussian_mutual_information_from_samples(x, y, "plugin")
        assert found == right > 0

    @pytest.mark.parametrize("exponent", [-40, 40])
    def test_the_unit_of_samples_is_nothing_to_shrinkage(self, rng, dtype, exponent):
        z, unit = rng.normal(size=(4, 5)).astype(dtype), dtype.type(2.0**exponent)
        right, share = sampled.shrunk_covariance(z)
        found, same = sampled.shrunk_covariance(z * unit)
        assert same == share < 1
        np.testing.assert_array_equal(np.asarray(found) / unit / unit, right)

    def test_an_offset_is_no_variance(self, rng, dtype):
        """Near a million float32 rounds a mean to a sixteenth, and a variance about it is off by the square of that."""
        x = (1e6 + np.array([[0.0], [0.25], [0.5], [0.25]]) * np.ones((4, 5))).astype(dtype)
        x[:, 0] += dtype.type(0.0625) * np.arange(4, dtype=dtype)
        found, _ = sampled.shrunk_covariance(x)
        assert np.trace(found) == pytest.approx(np.asarray(x, np.float64).var(axis=0).sum(), rel=1e-5)

    def test_float64_far_from_the_origin(self, rng, tolerance):
        """Seconds since 1970: float32 would put them 128 apart."""
        x, y = self.draw(rng)
        right = sampled.gaussian_mutual_information_from_samples(x, y, "plugin")
        found = sampled.gaussian_mutual_information_from_samples(1.7e9 + 100 * x, y, "plugin")
        assert found == pytest.approx(float(right), rel=max(1000 * tolerance, 1e-6))

    @pytest.mark.float64_only
    def test_many_correlations_near_one_are_not_one(self):
        many = np.full(512, 0.9996, np.float32)
        right = -256 * np.log2(1 - many[0].astype(np.float64) ** 2)
        assert float(covariance.information_of(many)) == pytest.approx(right, rel=1e-3)
        assert covariance.information_of(np.ones(512, np.float32)) == np.inf
        pairs = np.kron(np.eye(64), [[1, 0.9995], [0.9995, 1]])
        checks.not_singular(pairs.astype(np.float32), "a block")
        with pytest.raises(InputError, match="singular"):
            checks.not_singular(np.kron(np.eye(64), np.ones((2, 2))).astype(np.float32), "a block")

    def test_a_constant_column_has_no_part_in_shrinkage(self, rng, dtype, tolerance):
        """Nor where there is no noise to shrink by: all outer products of +-1 are the same."""
        x, y = (part[:, :1].astype(dtype) for part in self.draw(rng))
        information = partial(sampled.gaussian_mutual_information_from_samples, method="ledoit_wolf")
        still, signs = np.full((20, 1), 0.1, dtype), np.array([[1.0], [-1.0]] * 10, dtype)
        z = np.hstack([(part - part.mean()) / part.std() for part in (x, y)])
        r = (z[:, 0] * z[:, 1]).mean()
        noise = (((z**2).sum(axis=1) ** 2).mean() - 2 - 2 * r**2) / 20
        right = -0.5 * np.log2(1 - ((1 - min(noise / (2 * r**2), 1)) * r) ** 2)
        assert float(information(np.hstack([x, still]), y)) == pytest.approx(right, rel=1000 * tolerance)
        assert right > 0.01
        assert information(np.hstack([signs, signs]), still) == information(np.hstack([signs, still]), still) == 0

    def test_the_entropy_of_a_singular_covariance(self, rng, dtype):
        """Its last pivot is rounding, of either sign."""
        for _ in range(8):
            a = rng.normal(size=(3, 2)).astype(dtype)
            assert covariance.gaussian_entropy(a @ a.T) == -np.inf
        spread = np.diag(np.array([1e-12, 1.0, 1e12], dtype))  # of any units, but not singular
        right = 1.5 * np.log2(2 * np.pi * np.e)
        assert float(covariance.gaussian_entropy(spread)) == pytest.approx(right, rel=1e-5)


class TestNeighbors:
    @pytest.mark.parametrize("exponent", [-70, 66])
    def test_squares_neither_underflow_nor_overflow(self, rng, dtype, tolerance, exponent):
        z = rng.normal(size=(N, 22)).astype(dtype) * dtype.type(2.0**exponent)
        x, y = z[:, :20], z[:, 20:] + z[:, :2]
        found = ksg(x, y, norm="euclidean", memory=SMALL)
        assert float(found) == pytest.approx(brute_ksg(x, y, norm="euclidean"), rel=0, abs=5 * tolerance)

    def test_the_entropy_of_small_vectors(self, cloud, dtype, tolerance):
        plain = float(kozachenko_leonenko(cloud[1], norm="euclidean", memory=SMALL))
        found = kozachenko_leonenko(cloud[1] * dtype.type(2.0**-70), norm="euclidean", memory=SMALL)
        assert float(found) == pytest.approx(plain - 210, rel=5 * tolerance)

    def test_a_neighbor_that_products_cannot_tell_is_refused(self, rng, dtype):
        x = rng.normal(size=(N, 20))
        x[:30] = x[:1] + 0.01 * np.finfo(dtype).eps ** 0.5 * x[:30]
        with pytest.raises(InputError, match=r"30 of 60 rows have .* at distance 0, or too near for float"):
            kozachenko_leonenko(x.astype(dtype), norm="euclidean", memory=SMALL)

    def test_float64_far_from_the_origin(self, cloud, dtype, tolerance):
        x, y = 1.7e9 + 100 * np.asarray(cloud[0], np.float64), cloud[1]
        found = ksg(x, y, memory=SMALL)
        assert float(found) == pytest.approx(brute_ksg(x, y), rel=0, abs=5 * tolerance)
        if dtype == np.float32:
            with pytest.raises(InputError, match=r"an entry of x is 1e.39 in size, which float32 cannot hold"):
                ksg(np.where(np.arange(N)[:, None] > 0, x, -1e39), y, memory=SMALL)

    def test_as_much_memory_as_there_is(self, cloud):
        x, y = cloud
        assert float(ksg(x, y, memory=np.inf)) == pytest.approx(float(ksg(x, y)), abs=1e-6)
        with pytest.raises(InputError, match="memory is '1GB'; it must be a number of bytes"):
            ksg(x, y, memory="1GB")

    @pytest.mark.parametrize("moved", [0.0, 1.7e9])
    def test_dither_keeps_every_second(self, rng, moved):
        """Seconds since 1970, float64 on the host: float32 would make multiples of 128 of them."""
        x = moved + rng.integers(0, 1000, (300, 1)).astype(np.float64)
        seconds = np.rint(np.asarray(dither(x, jax.random.key(0)), np.float64))
        np.testing.assert_array_equal(seconds - seconds[0], x - x[0])

    @pytest.mark.parametrize("year", [1990, 2000])
    def test_dither_leaves_what_float32_holds_where_it_is(self, rng, year):
        x = year + rng.integers(0, 30, (300, 1)).astype(np.float64)
        np.testing.assert_array_equal(np.rint(np.asarray(dither(x, jax.random.key(0)))), x)


class TestPermutation:
    def test_what_float32_would_tie_is_refused(self, rng, precision):
        x = 1.7e9 + rng.uniform(0, 1e4, (100, 1))
        slope = lambda x, y: ((x - x[:1]) * (y - y[:1])).mean()
        test = lambda x: permutation_test(slope, x, x, jax.random.key(0), permutations=9)
        if precision == "float32":
            with pytest.raises(InputError, match=r"a column of x has 100 distinct values and \d+ as float32; take"):
                test(x)
        assert float(test(x - x[0]).p_value) == pytest.approx(0.1)

    def test_integers_of_64_bits_are_read_or_refused(self, precision):
        x = np.arange(50)[:, None] * 10**9
        square = lambda x, y: ((x - x.mean()) * (y - y.mean())).mean() / 1e9
        test = lambda x, y: permutation_test(square, x, y, jax.random.key(0), permutations=9)
        if precision == "float32":
            with pytest.raises(InputError, match="an entry of x is 3000000000, which int32 cannot hold; give floats"):
                test(x, np.arange(50.0)[:, None])
            with pytest.raises(InputError, match="an entry of y is 3000000000"):
                test(np.arange(50.0)[:, None], x.tolist())
        for given in (x.astype(float), x if precision == "float64" else x.astype(float), (x // 10**9) * 1e9):
            found = test(given, np.arange(50.0)[:, None])
            assert float(found.statistic) == pytest.approx((50**2 - 1) / 12, rel=1e-5)
            assert float(found.p_value) == pytest.approx(0.1)
        small = permutation_test(
            lambda x, y: (x == y).mean(), x // 10**9, x // 10**9, jax.random.key(0), permutations=9
        )
        assert float(small.statistic) == 1

    @pytest.mark.float64_only
    def test_a_small_statistic_is_not_rounding(self, rng):
        x = (1e-3 * rng.normal(size=(40, 1))).astype(np.float32)
        found = permutation_test(lambda x, y: (x * y).mean(), x, x, jax.random.key(0), permutations=99, traced=False)
        assert float(found.p_value) == pytest.approx(1 / 100)

    @pytest.mark.float64_only
    def test_on_the_host_permutations_are_made_one_by_one(self):
        class Enough(Exception):
            pass

        def third(x, y, calls=[]):  # noqa: B006 (it counts)
            calls.append(y)
            if len(calls) == 3:
                raise Enough

            return 0.0

        with pytest.raises(Enough):
            permutation_test(third, np.ones(40), np.ones(40), jax.random.key(0), permutations=10**10, traced=False)


class TestLaws:
    @pytest.mark.float64_only
    @pytest.mark.parametrize("kind", [np.float16, ml_dtypes.bfloat16])
    def test_half_precisions(self, kind):
        law = np.array([0.3, 0.3, 0.3, 0.1], kind)
        exact = law.astype(np.float64)
        assert exact.sum() != pytest.approx(1, abs=1e-5)
        for given in (law, jnp.asarray(law)):
            assert float(discrete.entropy(given)) == pytest.approx(-(exact * np.log2(exact)).sum(), rel=1e-6)
        with pytest.raises(InputError, match="sums to"):
            discrete.entropy(np.array([0.3, 0.3, 0.3, 0.2], kind))

    @pytest.mark.float64_only
    @pytest.mark.parametrize("kind", [np.float16, ml_dtypes.bfloat16])
    def test_half_precisions_of_modalities(self, kind):
        law = np.array([[0.3, 0.3], [0.3, 0.1]], kind)
        exact = law.astype(np.float64)
        right = (exact * np.log2(exact / np.outer(exact.sum(axis=1), exact.sum(axis=0)))).sum()
        for read in (modalities_of_law, jax.jit(modalities_of_law)):
            assert float(read(law).information[0, 1]) == pytest.approx(right, abs=1e-5)
        assert unique_relevance(law).shape == (1,)

    @pytest.mark.float64_only
    def test_a_batch_of_none(self):
        assert discrete.entropy(np.zeros((0, 4))).shape == (0,)


@pytest.mark.float64_only
def test_what_is_on_an_accelerator_is_looked_at_there(monkeypatch, rng):
    looked = []
    monkeypatch.setattr(checks, "arrays_of", lambda values: looked.append(isinstance(values, jax.Array)) or jnp)
    hole = jnp.ones((20, 2)).at[7, 1].set(jnp.nan)
    for call, say in (
        (lambda: ksg(hole, hole), "x has a NaN or infinity in row 7"),
        (lambda: sampled.shrunk_covariance(hole), "the samples has an entry nan"),
        (lambda: discrete.entropy(jnp.asarray([0.5, 0.6])), "sums to 1.1"),
        (lambda: entropy_from_counts(jnp.asarray([1, -2])), "negative"),
        (lambda: entropy_from_counts(jnp.asarray([0, 0])), "0 observations"),
    ):
        looked.clear()
        with pytest.raises(InputError, match=say):
            call()
        assert looked
        assert all(looked)
