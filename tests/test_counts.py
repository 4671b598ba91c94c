"""Entropy and mutual information from counts: closed forms, 30 digits, brute force over laws, and simulation."""

import itertools
import math

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from scipy.special import gammaln

from rdjax.checks import InputError
from rdjax.information import contingency, counts, discrete
from rdjax.information.counts import METHODS, entropy_from_counts, entropy_standard_error
from tests.oracles import entropy_bits

#: One table for all: zeros, a single symbol, a single observation, singletons, uniform, large, skewed.
TABLE = np.array(
    [
        [4, 2, 3, 1, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [7, 0, 0, 0, 0, 0],
        [0, 0, 1, 0, 0, 0],
        [5, 5, 5, 5, 5, 5],
        [10**6, 3, 1, 0, 1, 2],
        [2, 1, 0, 0, 0, 0],
        [300, 200, 100, 50, 7, 1],
    ]
)
KNOWN = 10
UNKNOWN = np.zeros(8, int)


def precise(method, histogram, size):
    """The definition in mpmath, 30 digits; size: K."""
    with mpmath.workdps(30):
        n = [mpmath.mpf(int(c)) for c in histogram if c > 0]
        total, unseen = sum(n), size - len(n)
        plugin = lambda law: -sum(p * mpmath.log(p) for p in law if p > 0)
        if method in ("plugin", "miller_madow"):
            nats = plugin([c / total for c in n])
            nats += (len(n) - 1) / (2 * total) if method == "miller_madow" else 0
        elif method == "grassberger":
            term = lambda c: mpmath.log(total) - mpmath.digamma(c) - (-1) ** int(c) / (c + 1)
            nats = sum(c * term(c) for c in n) / total
        elif method == "chao_shen":
            once = sum(c == 1 for c in n)
            coverage = 1 - (once - 1 if once == total else once) / total
            q = [coverage * c / total for c in n]
            nats = -sum(p * mpmath.log(p) / (1 - (1 - p) ** int(total)) for p in q)
        elif method == "james_stein":
            f, target = [c / total for c in n] + [mpmath.mpf(0)] * unseen, mpmath.mpf(1) / size
            away = (total - 1) * sum((target - p) ** 2 for p in f)
            weight = min(1, (1 - sum(p**2 for p in f)) / away) if away else 1
            nats = plugin([weight * target + (1 - weight) * p for p in f])
        elif method == "jeffreys":
            half = mpmath.mpf(1) / 2
            nats = plugin([(c + half) / (total + half * size) for c in n + [0] * unseen])
        else:
            nats = precise_nsb(n, size)
        return float(nats / mpmath.log(2))


def precise_nsb(n, size):
    """The two integrals of NSB by equal steps in ln beta, which converge exponentially, over all that counts."""
    if size == 1:
        return mpmath.mpf(0)
    total, unseen = sum(n), size - len(n)

    def parts(u):
        b = mpmath.exp(u)
        mass = total + size * b
        log = mpmath.loggamma(size * b) - mpmath.loggamma(mass)
        log += sum(mpmath.loggamma(c + b) - mpmath.loggamma(b) for c in n)
        prior = b * (size * mpmath.polygamma(1, size * b + 1) - mpmath.polygamma(1, b + 1))
        mean = mpmath.digamma(mass + 1) - sum((c + b) * mpmath.digamma(c + b + 1) for c in n) / mass
        return log, prior, mean - unseen * b * mpmath.digamma(b + 1) / mass

    nodes = [parts(mpmath.mpf(u) / 3) for u in range(-60, 97)]
    top = max(log for log, _, _ in nodes)
    weights = [mpmath.exp(log - top) * prior for log, prior, _ in nodes]
    return sum(w * mean for w, (_, _, mean) in zip(weights, nodes, strict=True)) / sum(weights)


#: One program for all: histograms [8, 6], and K [8] (0: unknown).
traced_nsb = jax.jit(jax.vmap(lambda histogram, size: entropy_from_counts(histogram, "nsb", symbols=size)))


def nsb(histograms, sizes):
    return np.asarray(traced_nsb(histograms, sizes))


class TestEntropy:
    @pytest.mark.parametrize("method", [m for m in METHODS if m != "nsb"])
    def test_the_definitions_to_30_digits(self, method, tolerance):
        seen = (TABLE > 0).sum(axis=1)
        found = np.asarray(entropy_from_counts(TABLE, method))
        known = np.asarray(entropy_from_counts(TABLE, method, symbols=KNOWN))
        for i, row in enumerate(TABLE):
            assert found[i] == pytest.approx(precise(method, row, seen[i]), rel=10 * tolerance, abs=10 * tolerance)
            assert known[i] == pytest.approx(precise(method, row, KNOWN), rel=10 * tolerance, abs=10 * tolerance)

    def test_nsb_to_30_digits(self, precision):
        found = nsb(TABLE, np.full(8, KNOWN))
        for i in (0, 7) if precision == "float64" else (0,):
            right = precise("nsb", TABLE[i], KNOWN)
            assert found[i] == pytest.approx(right, rel=1e-12 if precision == "float64" else 1e-5)

    def test_nsb_where_symmetry_gives_the_answer(self, tolerance):
        """One observation moves no prior that is symmetric in the symbols: half of log2 K; of one symbol, nothing."""
        sizes = np.array([1, 2, 3, 10, 1000, 10**6, 10**9, 0])
        found = nsb(np.tile(TABLE[3], (8, 1)), sizes)
        np.testing.assert_allclose(found, np.log2(np.maximum(sizes, 1)) / 2, rtol=20 * tolerance)

    def test_nsb_neither_overflows_nor_underflows(self):
        """Weights far beyond the range of floats: it is then the plug-in, to within (K - 1) / (2 n) or so."""
        rows = np.array([[10**6] * 6, [10**9, 10**8, 3, 1, 0, 0], [5] * 6, [10**7, 1, 1, 1, 1, 1]])
        found = nsb(np.tile(rows, (2, 1)), np.repeat([0, 10**9], 4))
        assert found[0] == pytest.approx(math.log2(6), rel=1e-6)
        assert found[1] == pytest.approx(entropy_bits(rows[1] / rows[1].sum()), abs=1e-6)
        assert 2.3 < found[2] < math.log2(6)
        assert 0 < found[3] < 1e-4
        assert found[4] == pytest.approx(math.log2(6), rel=1e-4)
        assert bool(np.isfinite(found).all())

    def test_the_order_of_symbols_is_nothing(self, rng, tolerance):
        mixed = TABLE[:, rng.permutation(6)]
        np.testing.assert_allclose(nsb(mixed, UNKNOWN), nsb(TABLE, UNKNOWN), rtol=1000 * tolerance)

    @pytest.mark.float64_only
    def test_they_map_and_trace(self):
        methods = ["grassberger", "james_stein"]
        every = jax.jit(jax.vmap(lambda row: jnp.stack([entropy_from_counts(row, method) for method in methods])))
        direct = np.stack([entropy_from_counts(TABLE, method) for method in methods], axis=1)
        np.testing.assert_allclose(every(TABLE), direct, rtol=1e-12, atol=1e-15)
        assert np.isposinf(every(np.zeros((8, 6)))).all()
        assert np.isposinf(nsb(np.zeros((8, 6), int), UNKNOWN)).all()

    @pytest.mark.float64_only
    def test_the_corrections_take_bias_away(self, rng):
        """2000 samples of 30 among 6 symbols: the plug-in is low by about 5 / 60 nats, the corrected ones far less."""
        law = rng.dirichlet(np.full(6, 3.0))
        drawn = rng.multinomial(30, law, size=2000)
        bias = lambda method: np.mean(entropy_from_counts(drawn, method, symbols=6)) - entropy_bits(law)
        assert bias("plugin") == pytest.approx(-5 / 60 / math.log(2), rel=0.2)
        for method, share in (("miller_madow", 0.2), ("chao_shen", 0.5)):
            assert abs(bias(method)) < share * abs(bias("plugin"))


class TestStandardError:
    def test_the_jackknife_by_a_loop(self, tolerance):
        row = TABLE[0]
        n, low = row.sum(), []
        for k in np.repeat(np.arange(6), row):
            low.append(entropy_bits((row - np.eye(6, dtype=int)[k]) / (n - 1)))
        right = math.sqrt((n - 1) / n * np.sum((np.array(low) - np.mean(low)) ** 2))
        found = np.asarray(jax.jit(jax.vmap(lambda c: entropy_standard_error(c, "plugin")))(TABLE))
        assert found[0] == pytest.approx(right, rel=50 * tolerance)
        assert found[3] == np.inf  # a single observation

    def test_large_samples_do_not_drown_in_rounding(self):
        """In float32 one observation of 9,000,000 moves nothing; the influence of each still does."""
        row = np.array([5_000_000, 3_000_000, 1_000_000, 0, 0, 0])
        share = row[:3] / row.sum()
        right = math.sqrt((share * np.log2(share) ** 2).sum() - entropy_bits(share) ** 2) / 3000
        for call in (entropy_standard_error, jax.jit(entropy_standard_error, static_argnums=1)):
            assert call(row, "plugin") == pytest.approx(right, rel=1e-4)

    @pytest.mark.parametrize("method", ["plugin", "miller_madow", "chao_shen"])
    def test_each_method_has_its_own_where_float32_ends(self, method):
        """By leaving out in 30 digits; most symbols are rare, where the plug-in's influence says too little."""
        row = [9000] + 3 * [4] + 10 * [2] + 27 * [1]
        n, low = sum(row), {}
        for place in (0, 1, 4, 14):
            less = [count - (i == place) for i, count in enumerate(row)]
            low[row[place]] = precise(method, less, sum(count > 0 for count in less))
        mean = sum(count * low[count] for count in row) / n
        right = math.sqrt((n - 1) / n * sum(count * (low[count] - mean) ** 2 for count in row))
        assert float(entropy_standard_error(row, method)) == pytest.approx(right, rel=1e-6)

    def test_that_of_information_where_float32_ends(self):
        """The jackknife, a pair at a time, in NumPy."""
        table = np.array([[9000, 1, 0], [1, 2, 1]])
        n, low = table.sum(), np.zeros(table.shape)
        information = lambda p: entropy_bits(p.sum(0)) + entropy_bits(p.sum(1)) - entropy_bits(p.ravel())
        seen = lambda t: (t.any(0).sum() + t.any(1).sum() - (t > 0).sum() - 1) / (2 * t.sum() * math.log(2))
        for place in zip(*np.nonzero(table), strict=True):
            less = table.copy()
            less[place] -= 1
            low[place] = information(less / (n - 1)) + seen(less)
        mean = (table * low).sum() / n
        right = math.sqrt((n - 1) / n * (table * (low - mean) ** 2).sum())
        assert float(contingency.mutual_information_standard_error(table)) == pytest.approx(right, rel=1e-6)

    @pytest.mark.float64_only
    def test_it_is_the_deviation_over_samples(self, rng):
        method = "grassberger"  # whose alternating term the jackknife would double
        drawn = rng.multinomial(60, rng.dirichlet(np.full(6, 3.0)), size=1000)
        spread = np.std(entropy_from_counts(drawn, method, symbols=6))
        claimed = np.sqrt(np.mean(np.square(entropy_standard_error(drawn, method, symbols=6))))
        assert 0.9 < claimed / spread < 1.3

    def test_the_posterior_of_nsb_by_integrating_over_laws(self, tolerance):
        """Two symbols: the mean and deviation of H(p) over p and beta, on a grid, without Wolpert and Wolf."""
        n = np.array([3, 2])
        angle, weight = np.polynomial.legendre.leggauss(400)
        p = np.sin((angle + 1) * np.pi / 4) ** 2
        h = -p * np.log2(p) - (1 - p) * np.log2(1 - p)
        u = np.arange(-40, 40, 0.2)
        b = np.exp(u)[:, None]
        c = np.minimum(b, 3000)  # beyond, p is 1/2 to 1e-4, and all of it weighs 1e-4
        xi = lambda b: np.array([float(mpmath.digamma(2 * x + 1) - mpmath.digamma(x + 1)) for x in b[:, 0]])
        step = (xi(b * np.exp(1e-4)) - xi(b * np.exp(-1e-4)))[:, None]
        # Dirichlet density times likelihood; dp = 2 sin cos d angle
        logs = gammaln(2 * c) - 2 * gammaln(c) + (n[0] + c - 0.5) * np.log(p) + (n[1] + c - 0.5) * np.log(1 - p)
        mass = np.exp(logs) * weight * step
        mean = (mass * h).sum() / mass.sum()
        deviation = math.sqrt((mass * h**2).sum() / mass.sum() - mean**2)
        rows = np.tile([3, 2, 0, 0, 0, 0], (8, 1))
        assert nsb(rows, UNKNOWN)[0] == pytest.approx(mean, rel=1e-6 + tolerance)
        assert np.asarray(entropy_standard_error(rows, "nsb"))[0] == pytest.approx(deviation, rel=1e-6 + tolerance)


class TestInformation:
    def table(self, rng):
        return rng.multinomial(200, rng.dirichlet(np.full(6, 0.7))).reshape(2, 3)

    @pytest.mark.float64_only
    @pytest.mark.parametrize("method", ["plugin", "james_stein"])
    def test_it_is_the_sum_of_its_entropies(self, method, rng):
        table = self.table(rng)
        for symbols in (None, (2, 3)):
            sizes = (table.any(1).sum(), table.any(0).sum(), (table > 0).sum()) if symbols is None else (2, 3, 6)
            parts = zip((table.sum(1), table.sum(0), table.ravel()), sizes, (1, 1, -1), strict=True)
            right = sum(sign * precise(method, part, size) for part, size, sign in parts)
            found = contingency.mutual_information_from_counts(table, method, symbols=symbols)
            assert found == pytest.approx(right, abs=1e-12)

    @pytest.mark.float64_only
    def test_the_plugin_is_the_information_of_the_frequencies(self, rng):
        tables = np.stack([self.table(rng) for _ in range(4)])
        found = contingency.mutual_information_from_counts(tables, "plugin")
        np.testing.assert_allclose(found, discrete.mutual_information(tables / 200), atol=1e-14)

    @pytest.mark.float64_only
    def test_independent_variables(self, rng):
        """The plug-in is too high by (X - 1)(Y - 1) / (2 n) nats; Miller-Madow is not, and is allowed below 0."""
        drawn = rng.multinomial(200, np.full(6, 1 / 6), size=1000).reshape(1000, 2, 3)
        plugin = np.asarray(contingency.mutual_information_from_counts(drawn, "plugin"))
        assert plugin.mean() == pytest.approx(2 / 400 / math.log(2), rel=0.15)
        corrected = np.asarray(contingency.mutual_information_from_counts(drawn))
        assert abs(corrected.mean()) < 0.2 * plugin.mean()
        assert corrected.min() < 0

    @pytest.mark.float64_only
    def test_its_standard_error(self, rng):
        law = np.array([[0.3, 0.1, 0.1], [0.05, 0.15, 0.3]])
        drawn = rng.multinomial(200, law.ravel(), size=1000).reshape(1000, 2, 3)
        spread = np.std(contingency.mutual_information_from_counts(drawn))
        claimed = np.sqrt(np.mean(np.square(contingency.mutual_information_standard_error(drawn))))
        assert 0.9 < claimed / spread < 1.15

    def test_large_tables_in_either_precision(self):
        table = np.array([[4_000_000, 1_000_000, 500_000], [1_000_000, 2_000_000, 500_000]])
        p = table / table.sum()
        pointwise = np.log2(p / (p.sum(1)[:, None] * p.sum(0)[None, :]))
        right = math.sqrt((p * pointwise**2).sum() - (p * pointwise).sum() ** 2) / 3000
        assert contingency.mutual_information_standard_error(table, "plugin") == pytest.approx(right, rel=1e-3)

    @pytest.mark.float64_only
    def test_tables_from_columns(self, rng):
        x, y = rng.integers(0, 2, 50), rng.integers(0, 3, 50)
        right = [[np.sum((x == a) & (y == b)) for b in range(3)] for a in range(2)]
        np.testing.assert_array_equal(contingency.contingency_table(x, y, sizes=(2, 3)), right)
        np.testing.assert_array_equal(contingency.contingency_table(y, sizes=(3,)), np.bincount(y, minlength=3))
        beyond = jax.jit(lambda x, y: contingency.contingency_table(x, y, sizes=(2, 3)))(x - 1, y + 1)
        kept = np.histogram2d(x - 1, y + 1, bins=([0, 1, 2], [0, 1, 2, 3.5]))[0]
        kept[:, 2] = [np.sum((x - 1 == a) & (y + 1 == 2)) for a in range(2)]
        np.testing.assert_array_equal(beyond, kept)


@pytest.mark.float64_only
def test_the_mean_over_all_samples_of_three():
    """Every outcome of 3 draws from (0.3, 0.7): corrected estimates are right on average to less than the plug-in."""
    law = np.array([0.3, 0.7])
    samples = np.array([[s.count(0), s.count(1), 0, 0, 0, 0] for s in itertools.product((0, 1), repeat=3)])
    weight = np.prod(law ** samples[:, :2], axis=1)
    bias = lambda found: float(weight @ np.asarray(found)) - entropy_bits(law)
    low = bias(entropy_from_counts(samples, "plugin"))
    assert low < -0.2
    assert abs(bias(entropy_from_counts(samples, "grassberger"))) < -low
    assert abs(bias(nsb(samples, np.full(8, 2)))) < -low


@pytest.mark.float64_only
@pytest.mark.parametrize(
    ("call", "say"),
    [
        (lambda: entropy_from_counts([1, 2], "laplace"), "the known ones are plugin"),
        (lambda: entropy_from_counts([0, 0]), "0 observations"),
        (lambda: entropy_from_counts([1.5, 2]), "no whole number"),
        (lambda: entropy_from_counts([-1, 2]), "negative"),
        (lambda: entropy_from_counts(3), "need 1 axes"),
        (lambda: entropy_from_counts(np.array(["a"])), "whole numbers"),
        (lambda: entropy_from_counts([4, 2, 3], "nsb", symbols=2), "symbols is 2, below the 3 that were seen; give at"),
        (lambda: entropy_from_counts([[1, 0], [1, 2]], symbols=[1, 1]), "symbols is 1 at 1, below the 2 that were"),
        (lambda: entropy_from_counts([[[1, 2]]], symbols=[[1.0]]), "symbols is 1 in row 0, column 0, below the 2 that"),
        (lambda: entropy_from_counts([[1, 2]], symbols=[[3]]), "must be one number"),
        (lambda: entropy_from_counts([1, 2], symbols=2.5), "whole numbers"),
        (lambda: entropy_from_counts([1, 2], symbols=np.inf), "whole numbers"),
        (lambda: entropy_from_counts([1, 2], symbols=[3, 4]), "must be one number"),
        (lambda: entropy_standard_error([1, 0]), "at least 2"),
        (lambda: contingency.mutual_information_from_counts([1, 2]), "need 2 axes"),
        (lambda: contingency.mutual_information_from_counts([[1, 2]], symbols=(1,)), "how many X has"),
        (lambda: contingency.mutual_information_from_counts([[1, 2]], symbols=(1, 1)), "of Y is 1, below the 2"),
        (lambda: contingency.mutual_information_standard_error([[1, 0]]), "at least 2"),
        (lambda: contingency.contingency_table([0, 1], [0], sizes=(2, 2)), "all must be"),
        (lambda: contingency.contingency_table([0, 1], sizes=(2, 2)), "one for each"),
        (lambda: contingency.contingency_table([0, 1], sizes=2), "sizes is 2; give a tuple"),
        (lambda: jax.jit(lambda x: contingency.contingency_table(x, sizes=(2,)))(jnp.array([0.7])), "holds float"),
        (lambda: contingency.mutual_information_from_counts([[1, 2]], symbols=4), "symbols is 4; give a tuple"),
        (lambda: entropy_from_counts([1, 2], symbols="many"), "whole numbers"),
        (lambda: contingency.contingency_table([0, 2], sizes=(2,)), "entry 1 is 2"),
        (lambda: contingency.contingency_table([0], [0], sizes=(2**16, 2**15)), "2,147,483,648 cells"),
    ],
)
def test_what_cannot_be_counted_is_refused(call, say):
    with pytest.raises(InputError, match=say):
        call()


@pytest.mark.float64_only
def test_a_gradient_is_refused():
    with pytest.raises(TypeError, match="no gradient"):
        jax.grad(lambda c: counts.entropy_from_counts(c))(jnp.asarray([1.0, 2.0]))
