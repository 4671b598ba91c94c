"""Bounds on mutual information from a matrix of scores, beside plain NumPy and known joint laws."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rdjax.checks import InputError
from rdjax.information import variational
from rdjax.information.variational import (
    barber_agakov,
    bound_standard_error,
    club,
    donsker_varadhan,
    infonce,
    jensen_shannon,
    leave_one_out,
    nwj,
    smile,
)

LN2 = math.log(2)
SIZE = 6
smile_two = partial(smile, clip=2.0)
MATRIX_BOUNDS = (infonce, nwj, jensen_shannon, donsker_varadhan, smile_two, leave_one_out, club)
by_name = pytest.mark.parametrize("bound", MATRIX_BOUNDS, ids=lambda f: getattr(f, "__name__", "smile"))


def by_the_book(bound, scores, weights):
    """Every bound, pair by pair, in float64."""
    size = len(scores)
    both = [(i, j) for i in range(size) for j in range(size) if i != j]
    joint = sum(weights[i] * scores[i, i] for i in range(size))
    total = sum(weights[i] * weights[j] for i, j in both)
    product = lambda f: sum(weights[i] * weights[j] * f(scores[i, j]) for i, j in both) / total
    if bound is infonce:
        rows = [sum(weights[j] * math.exp(scores[i, j]) for j in range(size)) for i in range(size)]
        nats = joint - sum(w * math.log(row) for w, row in zip(weights, rows, strict=True))
    elif bound is nwj:
        nats = joint - product(lambda f: math.exp(f - 1))
    elif bound is jensen_shannon:
        nats = 1 + joint - product(math.exp)
    elif bound is donsker_varadhan:
        nats = joint - math.log(product(math.exp))
    elif bound is smile_two:
        nats = joint - math.log(product(lambda f: min(max(math.exp(f), math.exp(-2)), math.exp(2))))
    elif bound is leave_one_out:
        columns = [
            sum(weights[j] * math.exp(scores[j, i]) for j in range(size) if j != i) / (1 - weights[i])
            for i in range(size)
        ]
        nats = joint - sum(w * math.log(column) for w, column in zip(weights, columns, strict=True))
    else:
        nats = joint - product(lambda f: f)
    return nats / LN2


def gaussian_scores(rng, size, correlation):
    """Pairs of correlation rho and ln p(y_j|x_i) / p(y_j), nats."""
    x = rng.standard_normal(size)
    y = correlation * x + math.sqrt(1 - correlation**2) * rng.standard_normal(size)
    return -0.5 * np.log(1 - correlation**2) + gaussian_log_density(x, y, correlation) + 0.5 * y[None, :] ** 2


def gaussian_log_density(x, y, correlation):
    return -0.5 * (y[None, :] - correlation * x[:, None]) ** 2 / (1 - correlation**2)


class TestValues:
    @by_name
    def test_pair_by_pair(self, bound, rng, dtype, tolerance):
        scores = 3 * rng.standard_normal((SIZE, SIZE))
        given = jnp.asarray(scores, dtype)
        even = np.full(SIZE, 1 / SIZE)
        assert bound(given).dtype == dtype
        assert float(bound(given)) == pytest.approx(by_the_book(bound, scores, even), rel=10 * tolerance)
        uneven = rng.dirichlet(np.ones(SIZE))
        found = float(bound(given, weights=jnp.asarray(uneven, dtype)))
        assert found == pytest.approx(by_the_book(bound, scores, uneven), rel=10 * tolerance)

    def test_barber_agakov(self, rng, dtype, tolerance):
        first, second = rng.standard_normal((2, 3, 5))
        expected = [np.mean(a - b) / LN2 for a, b in zip(first, second, strict=True)]
        found = barber_agakov(jnp.asarray(first, dtype), jnp.asarray(second, dtype))
        np.testing.assert_allclose(found, expected, rtol=10 * tolerance, atol=tolerance)
        assert float(barber_agakov(np.array([0.0, -np.inf], dtype), np.zeros(2, dtype))) == -math.inf

    @pytest.mark.float64_only
    @by_name
    def test_jit_and_vmap(self, bound, rng):
        scores = rng.standard_normal((2, SIZE, SIZE))
        many = jax.jit(jax.vmap(bound))(scores)
        np.testing.assert_allclose(many, [float(bound(s)) for s in scores], rtol=1e-12)

    @pytest.mark.float64_only
    @by_name
    def test_the_gradient_is_that_of_the_value(self, bound, rng):
        scores, weights = rng.standard_normal((SIZE, SIZE)), rng.dirichlet(np.ones(SIZE))
        found = jax.jit(jax.grad(bound))(scores, weights=weights)
        expected = np.empty_like(scores)
        for place in np.ndindex(*scores.shape):
            step = np.zeros_like(scores)
            step[place] = 1e-6
            up, down = by_the_book(bound, scores + step, weights), by_the_book(bound, scores - step, weights)
            expected[place] = (up - down) / 2e-6
        np.testing.assert_allclose(found, expected, atol=1e-8)

    @pytest.mark.float64_only
    def test_offsets_that_change_nothing(self, rng):
        scores = rng.standard_normal((SIZE, SIZE))
        row = rng.standard_normal((SIZE, 1))
        assert float(infonce(scores + row)) == pytest.approx(float(infonce(scores)), abs=1e-12)
        assert float(donsker_varadhan(scores + 3)) == pytest.approx(float(donsker_varadhan(scores)), abs=1e-12)
        assert float(jensen_shannon(scores)) == pytest.approx(float(nwj(scores + 1)), abs=1e-12)
        assert float(smile(scores, clip=math.inf)) == pytest.approx(float(donsker_varadhan(scores)), abs=1e-12)


class TestEdges:
    @pytest.mark.parametrize("height", [0.0, 30.0, 1e4])
    def test_the_ceiling_of_infonce_is_reached_and_not_passed(self, height, dtype):
        scores = height * np.eye(SIZE, dtype=dtype)
        assert float(infonce(scores)) <= math.log2(SIZE) + 1e-6
        expected = (height - math.log(math.exp(min(height, 700.0)) + SIZE - 1)) / LN2 if height < 700 else 0
        assert float(infonce(scores)) == pytest.approx(expected + math.log2(SIZE), abs=1e-5)

    def test_no_information_where_all_scores_are_equal(self, dtype):
        scores = np.zeros((SIZE, SIZE), dtype)
        for bound in (infonce, donsker_varadhan, smile_two, jensen_shannon, leave_one_out, club):
            assert float(bound(scores)) == pytest.approx(0, abs=1e-6)
        assert float(nwj(scores + 1)) == pytest.approx(0, abs=1e-6)
        assert float(infonce(scores[:1, :1])) == 0

    def test_ratios_of_zero(self, dtype):
        """Every y_j is impossible given another x: the most that each bound can say, and no NaN."""
        scores = np.where(np.eye(SIZE, dtype=bool), 1.0, -np.inf).astype(dtype)
        assert float(infonce(scores)) == pytest.approx(math.log2(SIZE), rel=1e-6)
        assert float(nwj(scores)) == pytest.approx(1 / LN2, rel=1e-6)
        for bound in (donsker_varadhan, leave_one_out, club):
            assert float(bound(scores)) == math.inf
        assert float(smile_two(scores)) == pytest.approx(3 / LN2, rel=1e-6)
        for bound in (infonce, nwj, smile_two):
            assert np.isfinite(jax.jit(jax.grad(bound))(scores)).all()
        scores[0, 0] = -np.inf
        for bound in (nwj, donsker_varadhan, smile_two):
            assert float(bound(scores)) == -math.inf

    @pytest.mark.parametrize("bound", [leave_one_out, club])
    def test_a_pair_that_cannot_be_drawn_has_no_upper_bound(self, bound, dtype):
        scores = np.where(np.eye(SIZE, dtype=bool), 1.0, -np.inf).astype(dtype)
        scores[2, 2] = -np.inf
        with pytest.raises(InputError, match=r"log_conditional\[2, 2\] is -inf"):
            bound(scores)
        assert float(jax.jit(bound)(scores)) == -math.inf

    @pytest.mark.parametrize("small", [1e-10, 1e-7, 1e-3])
    @pytest.mark.parametrize("bound", [nwj, donsker_varadhan, leave_one_out, club])
    def test_a_law_on_the_pairs_that_is_nearly_on_one(self, bound, small, rng, dtype, tolerance):
        """1 - sum w^2 is 0 in float32, or all rounding; of two pairs each is the other's only other one."""
        scores, weights = rng.standard_normal((2, 2)).astype(dtype), np.array([1 - small, small])
        product = {
            nwj: np.mean(np.exp([scores[0, 1] - 1, scores[1, 0] - 1])),
            donsker_varadhan: np.log(np.mean(np.exp([scores[0, 1], scores[1, 0]]))),
            leave_one_out: weights @ [scores[1, 0], scores[0, 1]],
            club: np.mean([scores[0, 1], scores[1, 0]]),
        }[bound]
        right = (weights @ scores.diagonal() - product) / LN2
        assert float(bound(scores, weights=weights)) == pytest.approx(right, rel=10 * tolerance, abs=10 * tolerance)

    def test_a_law_on_the_pairs_that_rounds_to_one_pair_is_refused(self, dtype):
        with pytest.raises(InputError, match="one pair"):
            club(np.zeros((2, 2), dtype), weights=np.array([1.0, 1e-50 if dtype == np.float32 else 1e-320]))

    @by_name
    def test_a_pair_without_weight_is_left_out_whatever_its_scores(self, bound, rng, dtype, tolerance):
        scores, weights = rng.standard_normal((SIZE, SIZE)), np.full(SIZE, 0.2)
        scores[0, :] = scores[:, 0] = -np.inf
        weights[0] = 0
        found = float(bound(jnp.asarray(scores, dtype), weights=jnp.asarray(weights, dtype)))
        expected = by_the_book(bound, scores[1:, 1:], weights[1:])
        assert found == pytest.approx(expected, rel=10 * tolerance, abs=10 * tolerance)

    def test_large_scores_do_not_overflow(self, dtype):
        scores = jnp.asarray(np.add.outer(np.zeros(SIZE), np.arange(SIZE)) + 5000.0, dtype)
        for bound in (infonce, donsker_varadhan, leave_one_out, club):
            assert np.isfinite(float(bound(scores)))
        assert float(nwj(scores)) == -math.inf  # one has to subtract something

    @pytest.mark.float64_only
    @by_name
    def test_what_is_no_matrix_of_scores_is_refused(self, bound):
        for scores in (np.zeros((2, 3)), np.zeros(4), np.zeros((2, 2, 2)), np.zeros((0, 0))):
            with pytest.raises(InputError, match="pairs on the diagonal"):
                bound(scores)
        for bad in (np.nan, np.inf):
            with pytest.raises(InputError, match="diverged"):
                bound(np.full((3, 3), bad))
        with pytest.raises(InputError, match="3 pairs"):
            bound(np.zeros((3, 3)), weights=np.full(4, 0.25))
        with pytest.raises(InputError, match="not 1"):
            bound(np.zeros((3, 3)), weights=np.ones(3))
        if bound is not infonce:
            with pytest.raises(InputError, match="at least 2"):
                bound(np.zeros((1, 1)))
            with pytest.raises(InputError, match="one pair"):
                bound(np.zeros((2, 2)), weights=np.array([1.0, 0.0]))

    @pytest.mark.float64_only
    def test_other_mistakes(self):
        with pytest.raises(InputError, match="above 0"):
            smile(np.zeros((2, 2)), clip=0.0)
        with pytest.raises(InputError, match="same pairs"):
            barber_agakov(np.zeros(3), np.zeros(2))
        with pytest.raises(InputError, match="NaN"):
            barber_agakov(np.full(3, np.nan), np.zeros(3))
        with pytest.raises(InputError, match="NaN"):
            barber_agakov(np.zeros(3), np.full(3, -np.inf))


@pytest.mark.float64_only
class TestGaussianPairs:
    """Correlation .8: I = -log2(.6) = .737 bits, density ratios known; means over many draws."""

    TRUTH = -math.log2(0.6)

    @pytest.fixture
    def draws(self, rng):
        return np.stack([gaussian_scores(rng, 32, 0.8) for _ in range(2000)])

    def mean_and_error(self, bound, draws):
        values = np.asarray(jax.jit(jax.vmap(bound))(draws))
        return values.mean(), values.std() / math.sqrt(len(values))

    def test_unbiased_ones_read_the_truth_at_the_best_critic(self, draws):
        for bound in (lambda s: nwj(s + 1), jensen_shannon):
            mean, error = self.mean_and_error(bound, draws)
            assert abs(mean - self.TRUTH) < 4 * error < 0.05

    def test_infonce_is_below_and_upper_bounds_are_above(self, draws):
        """CLUB's value for Gaussians is rho^2 / (1 - rho^2) nats; leave-one-out exceeds I by less."""
        below, error = self.mean_and_error(infonce, draws)
        assert self.TRUTH - 0.1 < below < self.TRUTH - 4 * error
        above, error = self.mean_and_error(leave_one_out, draws)
        assert self.TRUTH + 4 * error < above < self.TRUTH + 0.2
        mean, error = self.mean_and_error(club, draws)
        assert abs(mean - 0.64 / 0.36 / LN2) < 4 * error < 0.1

    def test_donsker_varadhan_exceeds_the_truth_even_at_the_best_critic(self, draws):
        four = np.concatenate([draws[:, k : k + 4, k : k + 4] for k in range(0, 32, 4)])
        mean, error = self.mean_and_error(donsker_varadhan, four)
        assert mean > self.TRUTH + 4 * error

    def test_smile_exceeds_the_truth_where_it_clips(self, rng):
        draws = np.stack([gaussian_scores(rng, 32, 0.99) for _ in range(2000)])
        mean, error = self.mean_and_error(partial(smile, clip=1.0), draws)
        assert mean > -0.5 * math.log2(1 - 0.99**2) + 0.3 + 4 * error

    def test_barber_agakov_loses_the_divergence_of_its_channel(self, rng):
        """True channel N(.8 x, .36); a channel of variance .5 loses (.72 - 1 - ln .72) / 2 nats."""
        x = rng.standard_normal(200_000)
        y = 0.8 * x + 0.6 * rng.standard_normal(len(x))
        density = lambda z, variance: -0.5 * (z**2 / variance + math.log(2 * math.pi * variance))
        assert float(barber_agakov(density(y - 0.8 * x, 0.36), density(y, 1.0))) == pytest.approx(self.TRUTH, abs=0.01)
        loss = (0.72 - 1 - math.log(0.72)) / 2 / LN2
        found = float(barber_agakov(density(y - 0.8 * x, 0.5), density(y, 1.0)))
        assert found == pytest.approx(self.TRUTH - loss, abs=0.01)

    @pytest.mark.parametrize("bound", [infonce, jensen_shannon, donsker_varadhan])
    def test_the_standard_error_is_that_of_many_draws(self, bound, draws):
        values = np.asarray(jax.jit(jax.vmap(bound))(draws))
        errors = np.asarray(jax.jit(jax.vmap(partial(bound_standard_error, bound)))(draws))
        assert math.sqrt((errors**2).mean()) == pytest.approx(values.std(), rel=0.15)


@pytest.mark.float64_only
class TestStandardError:
    def test_of_a_mean_it_is_the_usual_one(self, rng):
        """Scores off the diagonal all alike: NWJ is the mean of the diagonal, less a constant."""
        diagonal = rng.standard_normal(SIZE)
        scores = np.where(np.eye(SIZE, dtype=bool), diagonal[:, None], -1.0)
        expected = diagonal.std(ddof=1) / math.sqrt(SIZE) / LN2
        assert float(bound_standard_error(nwj, scores)) == pytest.approx(expected, rel=1e-10)
        assert float(bound_standard_error(nwj, np.full((SIZE, SIZE), 2.0))) == pytest.approx(0, abs=1e-12)

    def test_it_is_infinite_where_the_bound_is(self, rng):
        one = rng.standard_normal((SIZE, SIZE))
        one[0, 1] = -np.inf
        none = np.where(np.eye(SIZE, dtype=bool), 1.0, -np.inf)
        for bound, scores in ((club, one), (club, none), (leave_one_out, none), (donsker_varadhan, none)):
            assert float(bound(scores)) == float(bound_standard_error(bound, scores)) == np.inf
        assert 0 < float(bound_standard_error(leave_one_out, one)) < np.inf

    def test_it_needs_two_pairs(self):
        with pytest.raises(InputError, match="at least 2"):
            bound_standard_error(infonce, np.zeros((1, 1)))


def test_the_list_here_is_the_list_there():
    public = {name for name, f in vars(variational).items() if callable(f) and not name.startswith("_")}
    made_here = {name for name in public if getattr(variational, name).__module__ == variational.__name__}
    assert made_here == {"barber_agakov", "bound_standard_error", "smile"} | {
        bound.__name__ for bound in MATRIX_BOUNDS if bound is not smile_two
    }
