"""Gaussian information: against determinants and eigenvalues in NumPy, at its edges, and on average over samples."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rdjax.checks import InputError
from rdjax.information import covariance as gaussian
from rdjax.information import gaussian_samples as sampled

SIZES = (2, 3)


def random_covariance(rng, d=5):
    root = rng.normal(size=(d, d + 2))
    return root @ root.T


def pair(rho):
    return np.array([[1.0, rho], [rho, 1.0]])


def log_det_information(s, split):
    det = lambda m: np.linalg.slogdet(m)[1]
    return (det(s[:split, :split]) + det(s[split:, split:]) - det(s)) / (2 * math.log(2))


class TestGivenCovariance:
    def test_against_determinants(self, rng, tolerance):
        s = random_covariance(rng)
        right = log_det_information(s, 2)
        assert gaussian.gaussian_mutual_information(s, 2) == pytest.approx(right, rel=100 * tolerance)
        assert gaussian.gaussian_total_correlation(s, SIZES) == pytest.approx(right, rel=100 * tolerance)
        entropy = 0.5 * (5 * math.log2(2 * math.pi * math.e) + np.linalg.slogdet(s)[1] / math.log(2))
        assert gaussian.gaussian_entropy(s) == pytest.approx(entropy, rel=10 * tolerance)

    @pytest.mark.float64_only
    def test_three_blocks(self, rng):
        s = random_covariance(rng)
        det = lambda a, b: np.linalg.slogdet(s[a:b, a:b])[1]
        right = (det(0, 2) + det(2, 4) + det(4, 5) - det(0, 5)) / (2 * math.log(2))
        assert gaussian.gaussian_total_correlation(s, (2, 2, 1)) == pytest.approx(right, rel=1e-12)

    def test_canonical_correlations_are_the_textbook_eigenvalues(self, rng, tolerance):
        s = random_covariance(rng)
        product = np.linalg.solve(s[:2, :2], s[:2, 2:]) @ np.linalg.solve(s[2:, 2:], s[2:, :2])
        right = np.sqrt(np.sort(np.linalg.eigvals(product).real)[::-1])
        np.testing.assert_allclose(gaussian.canonical_correlations(s, 2), right, rtol=100 * tolerance)

    @pytest.mark.float64_only
    @pytest.mark.parametrize("rho", [0.0, 0.3, 0.9])
    def test_slopes_where_correlations_coincide(self, rho):
        """Of two pairs with one correlation -log2(1 - rho^2): first and second derivative by hand."""
        along = np.kron([[0.0, 1], [1, 0]], np.eye(2))
        told = lambda t: gaussian.gaussian_mutual_information(np.eye(4) + t * along, 2)
        rest = (1 - rho**2) * math.log(2)
        assert jax.grad(told)(rho) == pytest.approx(2 * rho / rest, rel=1e-9)
        assert jax.grad(jax.grad(told))(rho) == pytest.approx(2 * (1 + rho**2) / (rest * (1 - rho**2)), rel=1e-9)
        curved = jax.hessian(lambda s: gaussian.gaussian_mutual_information(s, 2))(np.eye(4) + rho * along)
        assert np.isfinite(curved).all()

    @pytest.mark.parametrize("rho", [0.9, 0.1, 1e-9, 1e-15, 0.0])
    def test_two_scalars_however_weak(self, rho, tolerance):
        """-1/2 log2(1 - rho^2), to rounding of itself: a difference of log-determinants has no digits at 1e-9."""
        right = -0.5 * math.log1p(-(rho**2)) / math.log(2)
        s = np.eye(5)
        s[0, 3] = s[3, 0] = rho
        assert gaussian.gaussian_mutual_information(s, 2) == pytest.approx(right, rel=20 * tolerance)

    def test_units_are_nothing_to_information_and_all_to_entropy(self, rng, tolerance):
        s, scale = random_covariance(rng), 10.0 ** np.array([-12, 5, 9, 0, -3])
        moved = s * scale[:, None] * scale[None, :]
        right = float(gaussian.gaussian_mutual_information(s, 2))
        assert gaussian.gaussian_mutual_information(moved, 2) == pytest.approx(right, rel=100 * tolerance)
        gain = float(gaussian.gaussian_entropy(4 * s) - gaussian.gaussian_entropy(s))
        assert gain == pytest.approx(5, rel=100 * tolerance)  # five dimensions, each twice as wide

    @pytest.mark.float64_only
    def test_what_determines_what(self):
        copy = np.eye(5)
        copy[0, 2] = copy[2, 0] = 1
        assert gaussian.gaussian_mutual_information(copy, 2) == np.inf
        assert gaussian.canonical_correlations(copy, 2)[0] == pytest.approx(1, rel=1e-12)
        assert gaussian.gaussian_entropy(np.ones((5, 5))) == -np.inf
        traced = jax.jit(lambda s: gaussian.gaussian_mutual_information(s, 2))(np.ones((5, 5)))
        assert traced == np.inf  # a singular block, which is refused outside jit

    @pytest.mark.float64_only
    def test_a_batch_is_its_members(self, rng):
        batch = np.stack([random_covariance(rng) for _ in range(3)])
        found = gaussian.gaussian_mutual_information(batch, 2)
        np.testing.assert_allclose(found, [log_det_information(s, 2) for s in batch], rtol=1e-12)
        mapped = jax.vmap(lambda s: gaussian.gaussian_mutual_information(s, 2))(batch)
        np.testing.assert_allclose(mapped, found, rtol=1e-12)


@pytest.mark.float64_only
class TestGradients:
    def check(self, function, s, rng):
        step = rng.normal(size=s.shape)
        step = step + step.T
        right = float(function(s + 1e-6 * step) - function(s - 1e-6 * step)) / 2e-6
        assert (np.asarray(jax.grad(function)(s)) * step).sum() == pytest.approx(right, rel=1e-7, abs=1e-8)

    @pytest.mark.parametrize("kind", ["random", "equal correlations", "independent"])
    def test_information(self, kind, rng):
        s = random_covariance(rng)
        if kind != "random":
            s = np.eye(5) + 0.5 * (kind != "independent") * np.eye(5, k=2)
            s = (s + s.T) / 2
        self.check(lambda s: gaussian.gaussian_mutual_information(s, 2), s, rng)

    def test_where_there_is_none_it_is_zero(self):
        """In a batch the value of one matrix is no other's: -inf, inf, and beside them what a regular one has."""
        many = jnp.stack([jnp.ones((2, 2)), jnp.eye(2) + 0.5])
        for function, value in (
            (gaussian.gaussian_entropy, -np.inf),
            (lambda s: gaussian.gaussian_mutual_information(s, 1), np.inf),
        ):
            assert float(function(many)[0]) == value
            slopes = np.asarray(jax.grad(lambda s, function=function: jnp.sum(function(s)))(many))
            np.testing.assert_array_equal(slopes[0], 0)
            np.testing.assert_array_equal(slopes[1], jax.grad(function)(many[1]))
            assert np.abs(slopes[1]).max() > 0.1

    def test_entropy(self, rng):
        s = random_covariance(rng)
        right = np.linalg.inv(s) / (2 * math.log(2))
        gradient = np.asarray(jax.grad(gaussian.gaussian_entropy)(s))
        np.testing.assert_allclose((gradient + gradient.T) / 2, right, rtol=1e-10)


class TestSamples:
    def draw(self, rng, n=20):
        z = rng.normal(size=(n, 5)) @ rng.normal(size=(5, 5)) + 7
        return z[:, :2], z[:, 2:]

    @pytest.mark.float64_only
    def test_the_plugin_is_that_of_the_sample_covariance(self, rng, tolerance):
        x, y = self.draw(rng)
        right = log_det_information(np.cov(np.hstack([x, y]).T), 2)
        found = sampled.gaussian_mutual_information_from_samples(x, y, "plugin")
        assert found == pytest.approx(right, rel=1000 * tolerance)
        other = sampled.gaussian_mutual_information_from_samples(1e3 * x, y[:, ::-1] - 5, "plugin")
        assert other == pytest.approx(right, rel=1000 * tolerance)
        right = np.asarray(gaussian.canonical_correlations(np.cov(np.hstack([x, y]).T), 2))
        np.testing.assert_allclose(sampled.sample_canonical_correlations(x, y), right, rtol=1000 * tolerance)

    @pytest.mark.parametrize("bits", [0.01, 3, 9, 12, 17])
    def test_much_in_one_direction_and_little_in_another(self, bits, rng):
        """Where a correlation is 1 in float32; sines keep it, and cosines what is small. Both blocks may be wider."""
        x = rng.normal(size=(50, 2))
        noise = np.sqrt(np.expm1(2 * bits * np.log(2)) ** -1) * rng.normal(size=50)
        y = np.stack([x[:, 0] + noise, rng.normal(size=50)], axis=1) @ [[2.0, 1.0], [0.5, 3.0]]
        wider = np.hstack([x, rng.normal(size=(50, 1))])
        for a, b in ((x, y), (wider, y), (y, wider)):
            right = log_det_information(np.cov(np.hstack([a, b]).T), a.shape[1])
            found = sampled.gaussian_mutual_information_from_samples(a, b, "plugin")
            assert float(found) == pytest.approx(right, abs=0.02 if bits > 12 else 1e-3, rel=1e-4)

    def test_what_is_determined_to_rounding_is_infinite(self, rng):
        x = rng.normal(size=(50, 3)).astype(np.float32)
        y = np.hstack([x @ rng.normal(size=(3, 1)).astype(np.float32), rng.normal(size=(50, 1))]).astype(np.float32)
        plugin = lambda a: sampled.gaussian_mutual_information_from_samples(a, y, "plugin")
        assert float(plugin(x)) == float(plugin(y)) == np.inf
        np.testing.assert_array_equal(jax.jit(jax.grad(plugin))(y), 0)

    @pytest.mark.float64_only
    def test_the_bias_in_one_dimension_by_the_law_of_r(self):
        """Independent scalars: r^2 ~ Beta(1/2, (n - 2) / 2), so the bias is the mean of -1/2 ln(1 - r^2)."""
        for n in (4, 10, 1000):
            t, w = np.polynomial.legendre.leggauss(400)
            angle = (t + 1) * np.pi / 4  # r = sin(angle), of density proportional to cos^(n - 3)
            density = w * np.cos(angle) ** (n - 3)
            right = -(density * np.log2(np.cos(angle))).sum() / density.sum()
            assert sampled.gaussian_information_bias(n, 1, 1) == pytest.approx(right, rel=1e-4)
        assert sampled.gaussian_information_bias(10**6, 3, 4) == pytest.approx(12 / (2e6 * math.log(2)), rel=1e-4)

    @pytest.mark.float64_only
    def test_the_bias_whatever_the_information(self, rng):
        root = np.linalg.cholesky(random_covariance(rng))
        truth = log_det_information(root @ root.T, 2)
        z = rng.normal(size=(4000, 20, 5)) @ root.T
        x, y = z[..., :2], z[..., 2:]
        found = jax.jit(jax.vmap(sampled.gaussian_mutual_information_from_samples))(x, y)
        assert abs(found.mean() - truth) < 4 * found.std() / math.sqrt(4000)
        assert sampled.gaussian_information_bias(20, 2, 3) > 20 * found.std() / math.sqrt(4000)  # it would be seen

    def test_ledoit_wolf_by_its_definition(self, rng, tolerance):
        z = rng.normal(size=(4, 5)) * np.array([1, 2, 3, 1, 1]) + 3
        c = z - z.mean(axis=0)
        s = c.T @ c / 4
        level = np.trace(s) / 5
        away = np.sum((s - level * np.eye(5)) ** 2)
        noise = sum(np.sum((np.outer(row, row) - s) ** 2) for row in c) / 16
        weight = min(noise, away) / away
        found, share = sampled.shrunk_covariance(z)
        assert share == pytest.approx(weight, rel=100 * tolerance)
        right = (1 - weight) * s + weight * level * np.eye(5)
        np.testing.assert_allclose(found, right, rtol=100 * tolerance, atol=100 * tolerance)
        assert 0 < weight < 1

    @pytest.mark.float64_only
    def test_fewer_samples_than_dimensions(self, rng, tolerance):
        """The information of the shrunk covariance at unit variances, whatever the units."""
        x, y = rng.normal(size=(4, 2)), rng.normal(size=(4, 3))
        found = sampled.gaussian_mutual_information_from_samples(x, y, "ledoit_wolf")
        z = np.hstack([x, y])
        shrunk, _ = sampled.shrunk_covariance(z / z.std(axis=0))
        assert found == pytest.approx(log_det_information(np.asarray(shrunk), 2), rel=1e-10)
        assert 0.01 < float(found) < 10
        moved = sampled.gaussian_mutual_information_from_samples(1e4 * x + 1, y, "ledoit_wolf")
        assert moved == pytest.approx(float(found), rel=1000 * tolerance)
        with pytest.raises(InputError, match="use method='ledoit_wolf'"):
            sampled.gaussian_mutual_information_from_samples(x, y)

    @pytest.mark.float64_only
    def test_constant_and_copied_columns(self, rng):
        x, y = self.draw(rng)
        constant = np.hstack([x[:, :1], np.full((20, 1), 0.1)])
        shrunk = sampled.gaussian_mutual_information_from_samples(constant, y, "ledoit_wolf")
        assert bool(np.isfinite(shrunk))
        for bad in (constant, x[:, [0, 0]]):
            with pytest.raises(InputError, match="constant or determined by others"):
                sampled.gaussian_mutual_information_from_samples(bad, y)
            traced = jax.jit(lambda x: sampled.gaussian_mutual_information_from_samples(x, y, "plugin"))(bad)
            assert traced == np.inf
        assert sampled.gaussian_mutual_information_from_samples(x, np.hstack([x[:, :1], y[:, :2]])) == np.inf


@pytest.mark.float64_only
@pytest.mark.parametrize(
    ("call", "say"),
    [
        (lambda: gaussian.gaussian_entropy(np.ones((2, 3))), "must be square"),
        (lambda: gaussian.gaussian_entropy([[1.0, 0.5], [0.0, 1.0]]), "not symmetric"),
        (lambda: gaussian.gaussian_entropy(pair(2.0)), "negative eigenvalue"),
        (lambda: gaussian.gaussian_entropy(pair(np.nan)), "NaN or infinity"),
        (lambda: gaussian.gaussian_mutual_information(pair(0.5), 2), "takes 2 of 2"),
        (lambda: gaussian.gaussian_mutual_information(pair(0.5), 0), "at least 1"),
        (lambda: gaussian.gaussian_mutual_information(np.ones((3, 3)), 1), "singular; leave out"),
        (lambda: gaussian.gaussian_total_correlation(pair(0.5), (1,)), "do not add up"),
        (lambda: gaussian.gaussian_total_correlation(pair(0.5), 2), "sizes is 2; give a tuple"),
        (lambda: sampled.gaussian_information_bias(5, 2, 3), "needs more than 5"),
        (lambda: sampled.shrunk_covariance(np.ones(3)), "must be"),
        (
            lambda: sampled.gaussian_mutual_information_from_samples(np.eye(2), np.eye(2), "ledoit_wolf"),
            "n at least 3",
        ),
        (lambda: sampled.gaussian_mutual_information_from_samples(np.ones((9, 1)), np.ones((8, 1))), "both need"),
        (lambda: sampled.gaussian_mutual_information_from_samples(np.ones((9, 1)), np.ones((9, 1)), "oas"), "known"),
    ],
)
def test_what_is_no_covariance_is_refused(call, say):
    with pytest.raises(InputError, match=say):
        call()
