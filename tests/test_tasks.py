"""Laws with known mutual information: each value by a second route, and the data they draw."""

import jax
import numpy as np
import pytest
from scipy import integrate, stats

from rdjax.checks import InputError
from rdjax.information import task_mixed as mixed
from rdjax.information.neighbors import kozachenko_leonenko, ksg, ksg_conditional
from rdjax.information.task_laws import mixture, table, uniform_noise
from rdjax.information.tasks import all_tasks, task

NAMES = [one.name for one in all_tasks()]
MANY = 20_000


@pytest.mark.float64_only
class TestValues:
    @pytest.mark.parametrize("name", NAMES)
    def test_the_mean_information_density_is_the_value(self, name):
        one = task(name)
        x, y = one.draw(jax.random.key(1), MANY)  # step by step: most tasks then share what is compiled
        assert (x.shape, y.shape) == ((MANY, one.dim_x), (MANY, one.dim_y))
        assert x.dtype == y.dtype == np.float64
        found = one.density(np.asarray(x), np.asarray(y))
        error = found.std() / np.sqrt(MANY)
        assert error < 0.03
        assert abs(found.mean() - one.mutual_information) < 4 * error + 1e-12

    def test_one_sample_has_no_standard_error(self):
        with pytest.raises(InputError, match="the number of samples is 1; it must be a whole number, at least 2"):
            task("uniform-noise-0.1").measured(1)

    def test_measured_is_that_mean(self):
        found = task("uniform-noise-0.1").measured(MANY, seed=1)
        assert abs(found.bits - (np.log(5) + 0.1) / np.log(2)) < 4 * found.standard_error < 0.02

    def test_there_are_many_and_each_has_its_name(self):
        assert len(set(NAMES)) == len(NAMES) >= 12
        with pytest.raises(InputError, match="the tasks are normal-1-1-0"):
            task("normal")

    @pytest.mark.parametrize(
        ("name", "nats"),
        [
            ("normal-1-1-0.75", -0.5 * np.log(1 - 0.75**2)),
            ("multinormal-independent-5-5", 0.0),
            ("multinormal-sparse-5-5-2-2.0", -np.log(1 - 0.8**2)),  # 1.0217, two pairs of correlation 4 / 5
            ("multinormal-sparse-25-25-2-2.0", -np.log(1 - 0.8**2)),
            ("multinormal-dense-5-5-0.5", 0.5 * (2 * np.log(3 * 0.5**4) - np.log(5.5 * 0.5**9))),  # 1 + (d - 1) / 2
            ("uniform-noise-0.1", np.log(5) + 0.1),
            ("uniform-noise-0.75", 1 / 3),
            ("half-cube-multinormal-sparse-5-5-2-2.0", -np.log(1 - 0.8**2)),
            ("symmetric-channel-8-0.2", np.log(8) + 0.8 * np.log(0.8) + 0.2 * np.log(0.2 / 7)),
            ("uniform-given-symbol-5", np.log(5) - 0.8 * np.log(2)),
        ],
    )
    def test_visible_arithmetic(self, name, nats):
        assert task(name).mutual_information == pytest.approx(nats / np.log(2), abs=1e-12)

    def test_benchmark_mi_prints_the_same(self):
        assert round(task("multinormal-sparse-5-5-2-2.0").mutual_information * np.log(2), 4) == 1.0217

    def test_the_cauchy_law_by_quadrature(self):
        """u = atan x, v = atan y make the plane a square: I = E log p(x, y) / p(x) p(y)."""

        def integrand(v, u):
            x, y = np.tan(u), np.tan(v)
            joint = 1 / (2 * np.pi * (1 + x * x + y * y) ** 1.5)
            outer = 1 / (np.pi * (1 + x * x)) / (np.pi * (1 + y * y))
            return joint * np.log2(joint / outer) * (1 + x * x) * (1 + y * y)

        edge = np.pi / 2 - 1e-6
        value, _ = integrate.dblquad(integrand, 0, edge, 0, edge, epsabs=1e-5)
        assert task("student-identity-1-1-1").mutual_information == pytest.approx(4 * value, abs=1e-4)

    def test_a_sign_in_noise_by_gauss_and_hermite(self):
        points, weights = np.polynomial.hermite_e.hermegauss(80)
        for deviation in (0.8, 2.0):
            bits = 1 - weights @ np.logaddexp(0, -2 * (1 + deviation * points) / deviation**2) / np.log(2) / np.sqrt(
                2 * np.pi
            )
            assert mixed.noisy_sign("", deviation).mutual_information == pytest.approx(bits, abs=1e-5)

    def test_a_poisson_count_by_its_series(self):
        """Without inflation 2 ln 2 - gamma - sum_k ln(k) 2^-k nats (Gao et al. 2017), about .3012."""
        k = np.arange(1.0, 80)
        nats = 2 * np.log(2) - np.euler_gamma - np.sum(np.log(k) * 0.5**k)
        assert mixed.zero_inflated_poisson("", 0.0).mutual_information == pytest.approx(nats / np.log(2), abs=1e-7)
        assert task("zero-inflated-poisson-0.15").mutual_information < 0.85 * nats / np.log(2) - 0.03

    def test_a_mixture_of_one_is_normal(self):
        one = mixture("", [1.0], [[1.0, -2.0]], [[[2.0, 0.9], [0.9, 1.0]]])
        assert one.mutual_information == pytest.approx(-0.5 * np.log2(1 - 0.81 / 2), abs=1e-9)

    def test_wide_noise_meets_narrow_noise(self):
        assert uniform_noise("", 0.5).mutual_information == pytest.approx(0.5 / np.log(2))
        assert uniform_noise("", 0.5 + 1e-9).mutual_information == pytest.approx(0.5 / np.log(2))

    def test_a_product_adds(self):
        sum_of_both = task("symmetric-channel-8-0.2").mutual_information + task("normal-1-1-0.75").mutual_information
        assert task("symbol-and-normal-2-2").mutual_information == pytest.approx(sum_of_both)

    def test_a_table_that_is_no_law_is_refused(self):
        with pytest.raises(InputError, match="sums to 2"):
            table("t", np.eye(2))


class TestSamples:
    def test_shapes_precision_and_keys(self, dtype):
        one = task("uniform-noise-0.1")
        x, y = one.sample(jax.random.key(0), 50)
        assert (x.shape, y.shape) == ((50, 1), (50, 1))
        assert x.dtype == y.dtype == dtype
        np.testing.assert_array_equal(x, one.sample(jax.random.key(0), 50)[0])
        assert not np.array_equal(x, one.sample(jax.random.key(1), 50)[0])
        with pytest.raises(InputError, match="the number of samples is 0"):
            one.sample(jax.random.key(0), 0)

    @pytest.mark.float64_only
    def test_columns_have_the_law_they_should(self):
        """Kolmogorov and Smirnov, at a level of one in ten thousand."""
        sample = lambda name: [np.asarray(part) for part in task(name).draw(jax.random.key(3), MANY)]
        for column, law in (
            (sample("multinormal-sparse-5-5-2-2.0")[0][:, 0], "norm"),
            (sample("student-sparse-5-5-2-2.0-2")[1][:, 0], stats.t(2).cdf),
            (sample("normal-cdf-1-1-0.75")[0][:, 0], "uniform"),
            (sample("zero-inflated-poisson-0.15")[0][:, 0], "expon"),
            (sample("student-identity-1-1-1")[0][:, 0], "cauchy"),
        ):
            assert stats.kstest(column, law).pvalue > 1e-4
        counts = np.bincount(sample("zero-inflated-poisson-0.15")[1][:, 0].astype(int), minlength=3)[:3] / MANY
        np.testing.assert_allclose(counts, [0.85 / 2 + 0.15, 0.85 / 4, 0.85 / 8], atol=0.012)


@pytest.mark.float64_only
class TestReadByNeighbors:
    @pytest.mark.parametrize(
        ("name", "within"),
        [
            ("normal-1-1-0.75", 0.03),
            ("asinh-student-identity-1-1-1", 0.03),
            ("uniform-given-symbol-5", 0.03),
            ("zero-inflated-poisson-0.15", 0.03),
            ("table-3-4", 0.03),
        ],
    )
    def test_mixed_reads_every_kind_of_law(self, name, within):
        law = task(name)
        x, y = map(np.asarray, law.draw(jax.random.key(0), MANY))
        assert float(ksg(x, y, variant="mixed", method="tree")) == pytest.approx(law.mutual_information, abs=within)

    def test_conditioning_takes_away_what_comes_through_z(self, rng):
        z = rng.normal(size=(3000, 1))
        x, y = (z + 0.7 * rng.normal(size=z.shape) for _ in range(2))
        assert float(ksg(x, y, method="tree")) > 0.3
        assert float(ksg_conditional(x, y, z, method="tree")) == pytest.approx(0, abs=0.05)

    def test_entropy_of_a_normal_law(self, rng):
        x = rng.normal(size=(4000, 2))
        assert float(kozachenko_leonenko(x, method="tree")) == pytest.approx(np.log2(2 * np.pi * np.e), abs=0.06)
