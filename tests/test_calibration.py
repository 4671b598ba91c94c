"""What an estimate is worth: calibration on look-alike data, and independence by permutation."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from rdjax.checks import InputError
from rdjax.information.calibration import calibrate_estimator
from rdjax.information.gaussian_samples import gaussian_mutual_information_from_samples
from rdjax.information.look_alike import like
from rdjax.information.neighbors import ksg
from rdjax.information.permutation import permutation_test
from rdjax.information.tasks import task


def by_normal_scores(x, y):
    """Bits from canonical correlations of normal scores: right for Gaussian copulas, less (d e / n) of bias."""
    n = len(x)
    x, y = (stats.norm.ppf(stats.rankdata(np.asarray(part), axis=0) / (n + 1)) for part in (x, y))
    q = [np.linalg.qr(part - part.mean(axis=0))[0] for part in (x, y)]
    correlations = np.linalg.svd(q[0].T @ q[1], compute_uv=False)
    bias = x.shape[1] * y.shape[1] / (2 * n * np.log(2))
    return -0.5 * np.log2(1 - correlations**2).sum() - bias


@pytest.fixture
def skewed(rng):
    """Correlated, skewed, on unequal scales; x [2000, 3] and y [2000, 2] share about half a bit."""
    z = rng.normal(size=(2000, 5))
    z[:, 1] += z[:, 0]
    z[:, 3] += z[:, 0]
    return np.exp(z[:, :3]) * [1, 10, 0.1], z[:, 3:] ** 3


@pytest.mark.float64_only
class TestLookAlike:
    @pytest.mark.parametrize("bits", [0.0, 0.7, 3.0])
    def test_it_holds_the_bits_it_says(self, skewed, bits):
        assert by_normal_scores(*like(*skewed, bits)) == pytest.approx(bits, abs=0.12)
        assert by_normal_scores(*like(*skewed, bits, directions=1)) == pytest.approx(bits, abs=0.12)

    def test_columns_keep_their_values_and_sides_their_correlations(self, skewed):
        for given, made in zip(skewed, like(*skewed, 1.0), strict=True):
            np.testing.assert_array_equal(np.sort(given, axis=0), np.sort(made, axis=0))
            for i in range(given.shape[1]):
                want, found = (stats.spearmanr(part[:, 0], part[:, i]).statistic for part in (given, made))
                assert found == pytest.approx(want, abs=0.06)

    def test_normal_columns_stay_normal_and_hide_nothing(self, rng):
        """Given the very values, no direction would hold more than 5 bits of linear relation."""
        x, y = rng.normal(size=(1000, 3)) @ rng.normal(size=(3, 3)), rng.normal(size=(1000, 2))
        information = gaussian_mutual_information_from_samples
        for bits in (3.0, 16.0):
            made = like(x, y + x[:, :2], bits)
            assert float(information(*made)) == pytest.approx(bits, abs=0.3)
        found = calibrate_estimator(information, *like(x, y + x[:, :2], 3.0))
        assert found.trusted
        np.testing.assert_allclose(found.read, found.known, atol=0.2)

    def test_columns_that_are_not_normal_keep_their_values(self, rng):
        columns = [rng.exponential(size=500), rng.uniform(size=500), rng.standard_t(3, size=500)]
        x = np.stack([*columns, np.where(rng.uniform(size=500) < 0.5, -3, 3) + rng.normal(size=500)], axis=1)
        made, other = like(x, rng.normal(size=(500, 1)), 1.0)
        np.testing.assert_array_equal(np.sort(made, axis=0), np.sort(x, axis=0))
        assert stats.shapiro(other[:, 0]).pvalue > 1e-3

    def test_repeated_values_become_normal_ones(self, rng):
        x = np.stack([rng.integers(0, 3, 3000), rng.exponential(size=3000)], axis=1)
        x[1, 1] = x[0, 1]  # what chance makes of float32
        made, _ = like(x, rng.normal(size=(3000, 2)), 2.0)
        assert len(np.unique(made[:, 0])) == 3000
        assert made[:, 0].mean() == pytest.approx(x[:, 0].mean(), abs=0.05)
        assert made[:, 0].std() == pytest.approx(x[:, 0].std(), abs=0.05)
        np.testing.assert_array_equal(np.sort(made[:, 1]), np.sort(x[:, 1]))

    def test_constant_columns_change_nothing_of_the_others(self, rng):
        """Directions were spent on them where there are more columns than rows: 3 of 4 bits were left."""
        x, y = rng.normal(size=(2, 12, 20))
        wide = lambda array: np.insert(array, [0, 5, 5, 20], 7.0, axis=1)
        places = np.insert(np.ones(20, bool), [0, 5, 5, 20], False)
        for bits, seed in ((2.0, 0), (5.0, 1)):
            alone, among = like(x, y, bits, seed=seed), like(wide(x), wide(y), bits, seed=seed)
            for one, other in zip(alone, among, strict=True):
                np.testing.assert_array_equal(other[:, places], one)
                np.testing.assert_array_equal(other[:, ~places], 7)

    def test_more_columns_than_rows(self, rng):
        made = like(rng.normal(size=(20, 50)), rng.normal(size=(20, 3)), 1.0)
        assert [part.shape for part in made] == [(20, 50), (20, 3)]
        assert all(np.isfinite(part).all() for part in made)


@pytest.mark.float64_only
class TestCalibration:
    def test_a_right_estimator_is_trusted(self, skewed):
        found = calibrate_estimator(by_normal_scores, *skewed)
        assert found.trusted
        assert float(found.estimate) == by_normal_scores(*skewed)
        np.testing.assert_allclose(found.read, found.known, atol=0.06)
        assert float(found.least) <= float(found.estimate) + 0.03
        assert float(found.most) >= float(found.estimate) - 0.03
        assert float(found.most) - float(found.least) < 0.2
        assert "(2,000 rows, 3 + 2 columns)" in found.message
        assert "withheld" not in found.message

    @pytest.mark.parametrize(
        ("estimator", "say"),
        [
            (lambda x, y: 0.6 * by_normal_scores(x, y), "may miss by"),
            (lambda x, y: by_normal_scores(x, y) + 1.0, "may miss by"),
            (lambda x, y: min(by_normal_scores(x, y), 0.4), "does not say how much there is"),
            (lambda x, y: 0.4, "does not say how much there is"),
            (lambda x, y: -by_normal_scores(x, y), "does not say how much there is"),
        ],
        ids=["reads 60%", "reads a bit too much", "saturates", "is a constant", "falls"],
    )
    def test_a_wrong_one_is_withheld_with_the_reason(self, skewed, estimator, say):
        found = calibrate_estimator(estimator, *skewed)
        assert not found.trusted
        assert found.message.startswith("withheld: on data like these")
        assert say in found.message

    def test_reading_sixty_percent_is_a_miss_of_forty_and_shows_what_was_there(self, skewed):
        found = calibrate_estimator(lambda x, y: 0.6 * by_normal_scores(x, y), *skewed, levels=[0, 0.5, 1, 2, 3])
        truth = by_normal_scores(*skewed)
        assert float(found.least) - 0.03 <= truth <= float(found.most) + 0.03
        assert float(found.miss) == pytest.approx(0.4 * truth / max(truth, 0.5), abs=0.12)

    def test_a_noisy_one_is_withheld(self, skewed):
        noise = np.random.default_rng(0)
        found = calibrate_estimator(lambda x, y: by_normal_scores(x, y) + noise.normal(scale=0.5), *skewed)
        assert not found.trusted
        assert float(found.spread) > 0.25

    def test_512_dimensions_and_228_points_are_not_an_estimate(self, rng):
        x = rng.normal(size=(228, 512))
        found = calibrate_estimator(lambda x, y: ksg(x, y, norm="euclidean"), x, x + rng.normal(size=x.shape))
        assert not found.trusted
        assert "(228 rows, 512 + 512 columns)" in found.message

    def test_readings_that_bend_are_read_where_they_do(self, rng):
        """Up to the truth 90%, above it next to nothing: on the line to twice the estimate it would be 4 bits."""
        x, y = rng.normal(size=(2, 2000, 2))
        y[:, 0] = x[:, 0] + 2.0**-3 * y[:, 0]
        truth = by_normal_scores(x, y)
        bent = lambda bits: 0.9 * min(bits, truth) + 0.2 * max(bits - truth, 0)
        found = calibrate_estimator(lambda x, y: bent(by_normal_scores(x, y)), x, y)
        assert float(found.least) - 0.3 < truth < float(found.most) + 0.3
        assert found.trusted
        assert found.known.shape == found.read.shape == (6,)
        assert (np.diff(found.known) > 0).all()
        np.testing.assert_allclose(found.read, [bent(bits) for bits in found.known], atol=0.1)

    def test_look_alikes_show_what_ksg_does_not_read(self):
        """Two pairs of columns out of five share 1.47 bits; with 800 rows KSG reads .8 and is withheld."""
        law = task("multinormal-sparse-5-5-2-2.0")
        x, y = (np.asarray(side) for side in law.draw(jax.random.key(0), 800))
        found = calibrate_estimator(ksg, x, y)
        assert not found.trusted
        assert float(found.estimate) < 0.7 * law.mutual_information
        assert float(found.least) - 0.2 < law.mutual_information < float(found.most) + 0.2

    def test_ksg_in_the_plane_is_trusted_and_arrays_stay_what_they_are(self, rng):
        kinds = set()

        def reading(x, y):
            kinds.add((type(x), x.dtype, type(y), y.dtype))
            return ksg(x, y, method="tree")

        x = rng.normal(size=(800, 1)).astype(np.float32)
        y = jnp.asarray(x + 0.5 * rng.normal(size=x.shape))
        assert calibrate_estimator(reading, x, y).trusted
        assert len(kinds) == 1

    def test_what_it_cannot_use_is_refused(self, skewed):
        x, y = skewed
        for call, say in (
            (lambda: calibrate_estimator(lambda x, y: np.nan, x, y), "must return a finite number"),
            (lambda: calibrate_estimator(lambda x, y: np.ones(2), x, y), "must return a finite number"),
            (lambda: calibrate_estimator(by_normal_scores, x, y, levels=[1, 2]), "rising bits from 0"),
            (lambda: calibrate_estimator(by_normal_scores, x, y, levels=[0, 1, np.inf]), "rising bits from 0"),
            (lambda: calibrate_estimator(by_normal_scores, x, y, repeats=1), "repeats is 1"),
            (lambda: calibrate_estimator(by_normal_scores, x[:3], y[:3]), "at least 4 are needed"),
            (lambda: like(x, y, -1.0), "at least 0"),
            (lambda: like(x, y, 1.0, directions=3), "2 in common at most"),
        ):
            with pytest.raises(InputError, match=say):
                call()


def correlation(x, y):
    """Absolute correlation of the first columns."""
    x, y = x[:, 0] - jnp.mean(x[:, 0]), y[:, 0] - jnp.mean(y[:, 0])
    return jnp.abs(jnp.sum(x * y)) / jnp.sqrt(jnp.sum(x * x) * jnp.sum(y * y))


def agreements(x, y):
    return jnp.mean(x == y, dtype=jnp.result_type(float))


class TestPermutation:
    @pytest.mark.float64_only
    def test_dependence_is_found_and_p_is_never_zero(self, rng):
        x = rng.normal(size=(40, 1))
        found = permutation_test(correlation, x, x, jax.random.key(0), permutations=99)
        assert (int(found.exceedances), int(found.permutations)) == (0, 99)
        assert float(found.p_value) == pytest.approx(1 / 100)
        assert float(found.statistic) == pytest.approx(1)

    @pytest.mark.float64_only
    def test_batches_and_the_host_read_the_same_permutations(self, rng):
        x, y, key = *rng.normal(size=(2, 40, 1)), jax.random.key(3)
        once = permutation_test(correlation, x, y, key, permutations=99)
        batched = permutation_test(correlation, x, y, key, permutations=99, batch=7)
        by_numpy = lambda x, y: abs(np.corrcoef(x[:, 0], y[:, 0])[0, 1])
        host = permutation_test(by_numpy, x, y, key, permutations=99, traced=False)
        assert 0 < int(once.exceedances) < 99
        assert int(batched.exceedances) == int(host.exceedances) == int(once.exceedances)
        assert float(host.statistic) == pytest.approx(float(once.statistic), abs=1e-12)

    @pytest.mark.float64_only
    def test_p_is_close_to_that_of_all_permutations(self):
        """n = 6, all 720 orders; sums of integers, so that ties are exact."""
        x, y = np.arange(6)[:, None], np.array([1, 0, 3, 2, 4, 5])[:, None]
        statistic = lambda x, y: abs((x * y).sum() * 6 - x.sum() * y.sum())
        all_of_them = [statistic(x, y[list(order)]) for order in itertools.permutations(range(6))]
        want = np.mean(np.array(all_of_them) >= statistic(x, y))
        found = permutation_test(statistic, x, y, jax.random.key(1), permutations=3000, traced=False)
        assert float(found.p_value) == pytest.approx(want, abs=4 * np.sqrt(want * (1 - want) / 3000))

    @pytest.mark.float64_only
    def test_under_independence_p_is_not_too_small(self, rng):
        """Few values, so that many permutations tie; under jit and vmap."""
        x, y = rng.integers(0, 3, (2, 300, 20))
        test = lambda x, y, key: permutation_test(agreements, x, y, key, permutations=19).p_value
        found = np.asarray(jax.jit(jax.vmap(test))(x, y, jax.random.split(jax.random.key(2), 300)))
        for level in (0.05, 0.1, 0.5):
            assert np.mean(found <= level + 1e-6) <= level + 3 * np.sqrt(level * (1 - level) / 300)
        assert found.min() < 0.2

    @pytest.mark.float64_only
    def test_a_constant_statistic_tells_nothing(self, rng):
        """A sum that every order rounds differently is still the same sum."""
        x = rng.uniform(size=(40, 1)).astype(np.float32)
        steady = lambda x, y: np.cumsum(y, dtype=np.float32)[-1]
        assert len({steady(x, rng.permutation(x)) for _ in range(20)}) > 1
        found = permutation_test(steady, x, x, jax.random.key(5), permutations=99, traced=False)
        assert float(found.p_value) == 1
        assert found.p_value.dtype == np.float32

    @pytest.mark.float64_only
    def test_trees_go_through_the_host(self, rng):
        x = rng.normal(size=(40, 1))
        reading = lambda x, y: ksg(x, y, method="tree")
        found = permutation_test(reading, x, x**3, jax.random.key(6), permutations=99, traced=False)
        assert float(found.p_value) == pytest.approx(1 / 100)
        assert float(found.statistic) == float(reading(x, x**3))

    @pytest.mark.float64_only
    def test_what_it_cannot_use_is_refused(self):
        x, key = np.ones((40, 1)), jax.random.key(0)
        on_host = lambda statistic: permutation_test(statistic, x, x, key, permutations=99, traced=False)
        for call, say in (
            (lambda: permutation_test(correlation, x, x[:4], key), "both need the same rows"),
            (lambda: permutation_test(correlation, x, x * 1j, key), "y holds complex128 values; give real numbers"),
            (lambda: permutation_test(correlation, x[:1], x[:1], key), "at least 2"),
            (lambda: on_host(lambda x, y: np.nan), "the statistic is nan"),
            (lambda: on_host(lambda x, y: x[:, 0]), "it must be a scalar"),
            (lambda: permutation_test(correlation, x, x, key, permutations=0), "permutations is 0"),
        ):
            with pytest.raises(InputError, match=say):
                call()
