"""Lloyd-Max of a unit Gaussian, and generalized Lloyd on samples at every price of a bit."""

import math
from statistics import NormalDist

import chex
import jax
import numpy as np
import pytest
from scipy import integrate

from rdjax import checks
from rdjax.checks import InputError
from rdjax.codes.cells import lloyd_cells
from rdjax.codes.lloyd import Cells, cost, descend, improve, lloyd_max, lloyd_step, sorted_samples

pytestmark = pytest.mark.float64_only

gaussian = lambda x: math.exp(-x * x / 2) / math.sqrt(2 * math.pi)
normal = NormalDist()
centroids = lambda levels: lloyd_step(levels)[0]


@pytest.mark.parametrize("num_levels", [1, 2, 3, 4, 5, 8, 16, 31, 32, 64, 128, 256])
def test_lloyd_max_is_a_fixed_point_of_lloyds_iteration(num_levels):
    levels, borders, _ = lloyd_max(num_levels)
    checks.assert_fixed_point(centroids, levels, 1e-12)
    assert (np.diff(levels) > 0).all()
    np.testing.assert_array_equal(levels, -levels[::-1])
    np.testing.assert_array_equal(borders, (levels[1:] + levels[:-1]) / 2)


def test_the_step_is_a_centroid_by_quadrature():
    levels = np.array([-1.2, 0.1, 0.9, 3.0])
    ends = [-np.inf, -0.55, 0.5, 1.95, np.inf]
    for centroid, low, high in zip(centroids(levels), ends[:-1], ends[1:], strict=True):
        moment = integrate.quad(lambda x: x * gaussian(x), low, high, epsabs=1e-13)[0]
        assert centroid == pytest.approx(moment / integrate.quad(gaussian, low, high, epsabs=1e-13)[0], abs=1e-10)


def test_a_point_that_is_not_fixed_is_caught():
    with pytest.raises(AssertionError):
        checks.assert_fixed_point(centroids, lloyd_max(8)[0] * 1.001, 1e-12)


@pytest.mark.parametrize(
    ("bits", "table"), [(1, 0.3634), (2, 0.1175), (3, 0.03454), (4, 0.009497), (5, 0.002499)]
)  # Max 1960, table I; its entries are good to three digits
def test_mean_squared_errors_of_the_literature_and_by_quadrature(bits, table):
    levels, borders, mse = lloyd_max(2**bits)
    assert mse == pytest.approx(table, rel=3e-3)
    ends = [-np.inf, *borders, np.inf]
    pieces = [
        integrate.quad(lambda x, y=y: (x - y) ** 2 * gaussian(x), low, high, epsabs=1e-15)[0]
        for y, low, high in zip(levels, ends[:-1], ends[1:], strict=True)
    ]
    assert mse == pytest.approx(math.fsum(pieces), rel=1e-9)


def test_at_high_rate_the_error_is_panter_and_dites():
    for bits in (7, 8):
        assert lloyd_max(2**bits)[2] == pytest.approx(math.sqrt(3) * math.pi / 2 * 4.0**-bits, rel=0.03)
    assert lloyd_max(1)[2] == 1.0
    with pytest.raises(InputError, match="0 levels"):
        lloyd_max(0)


def samples_of(kind, n=300, k=3, seed=4):
    """[n, k], of scales 1, 1/2, 1/4."""
    rng = np.random.default_rng(seed)
    draw = {
        "normal": lambda: rng.standard_normal((n, k)),
        "Laplace": lambda: rng.laplace(size=(n, k)),
        "skewed": lambda: rng.exponential(size=(n, k)),
        "humps": lambda: 0.3 * rng.standard_normal((n, k)) + 3 * rng.choice([-1, 1], (n, k)),
    }[kind]()
    return draw * 0.5 ** np.arange(k)


KINDS = ["normal", "Laplace", "skewed", "humps"]
START = (np.arange(16)[None, :] - 8) * 0.5 * 0.5 ** np.arange(3)[:, None]  # [3, 16]


def descended(x, slope):
    return descend(sorted_samples(x), np.float64(slope), START, np.ones(START.shape, bool), 0.0)


def in_numpy(x, slope, cells, column):
    """One step of Chou, Lookabaugh and Gray in NumPy: every sample to its cheapest cell, then centroids and lengths."""
    levels, lengths = np.asarray(cells.levels)[column], np.asarray(cells.lengths)[column]
    price = (x[:, None] - levels[None, :]) ** 2 + np.array(
        [1e9 if math.isinf(length) else slope * length for length in lengths]
    )[None, :]
    used, count = np.unique(price.argmin(axis=1), return_counts=True)
    chosen = [price.argmin(axis=1) == u for u in used]
    law = (count + 0.5) / (len(x) + 0.5 * len(used))
    return np.array([x[mask].mean() for mask in chosen]), -np.log2(law), count


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("slope", [0.0, 0.01, 0.3])
def test_every_step_is_the_textbooks(kind, slope):
    """Borders by sorting and an upper envelope, against every sample's own search over all cells."""
    x = samples_of(kind)
    samples = sorted_samples(x)
    rng = np.random.default_rng(1)
    lengths = rng.uniform(0, 6, START.shape)
    lengths[rng.uniform(size=START.shape) < 0.2] = np.inf
    cells = Cells(START, lengths, START, np.zeros_like(START))
    for _ in range(4):
        after = improve(samples, np.float64(slope), cells)
        for column in range(3):
            levels, bits, counts = in_numpy(x[:, column], slope, cells, column)
            used = np.asarray(after.counts)[column] > 0
            np.testing.assert_array_equal(np.asarray(after.counts)[column][used], counts)
            np.testing.assert_allclose(np.asarray(after.levels)[column][used], levels, rtol=1e-12, atol=1e-14)
            np.testing.assert_allclose(np.asarray(after.lengths)[column][used], bits, rtol=1e-12)
        cells = after


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("slope", [0.0, 0.05])
def test_where_it_ends_the_centroids_are_a_fixed_point(kind, slope):
    samples = sorted_samples(samples_of(kind))
    cells = descended(samples_of(kind), slope)
    step = lambda point: improve(samples, np.float64(slope), cells._replace(levels=point)).levels
    checks.assert_fixed_point(step, cells.levels, 1e-12)
    checked = chex.chexify(jax.jit(lambda point: checks.assert_fixed_point(step, point, 1e-12)), async_check=False)
    checked(cells.levels)
    with pytest.raises(AssertionError):
        checked(cells.levels + 0.2)


@pytest.mark.parametrize("slope", [0.0, 0.02, 0.2])
def test_no_step_raises_the_lagrangian(slope):
    x = samples_of("Laplace")
    samples = sorted_samples(x)
    lengths = np.zeros(START.shape)
    cells, values = Cells(START, lengths, START, lengths), []
    for _ in range(12):
        cells = improve(samples, np.float64(slope), cells)
        error, bits = cost(samples, cells)
        values.append(float(error.sum() + slope * bits.sum()))
    assert (np.diff(values) <= 3 * slope / len(x)).all()  # what smoothing the frequencies may add
    assert values[-1] < values[0]


def test_the_cost_is_that_of_coding_the_samples():
    x = samples_of("skewed")
    cells = descended(x, 0.05)
    error, bits = cost(sorted_samples(x), cells)
    for column in range(3):
        used = np.asarray(cells.counts)[column] > 0
        levels, lows = np.asarray(cells.levels)[column][used], np.asarray(cells.lows)[column][used]
        symbols = np.searchsorted(lows[1:], x[:, column])
        lengths = np.asarray(cells.lengths)[column][used]
        assert float(error[column]) == pytest.approx(np.mean((x[:, column] - levels[symbols]) ** 2), rel=1e-9)
        assert float(bits[column]) == pytest.approx(lengths[symbols].mean(), rel=1e-12)


def test_a_dearer_bit_never_buys_more_and_at_last_all_is_one_cell():
    x = samples_of("normal")
    spent = [float(cost(sorted_samples(x), descended(x, slope))[1].sum()) for slope in (0.0, 0.01, 0.1, 0.4, 20.0)]
    assert (np.diff(spent) < 0).all()
    assert spent[-1] == 0


class TestLloydOnSamples:
    @pytest.mark.parametrize(("kind", "factor"), [("normal", 1.1), ("Laplace", 1.1), ("skewed", 1.1), ("humps", 2.0)])
    def test_a_local_minimum_beside_the_best_of_every_partition(self, kind, factor):
        """30 samples in 3 cells, all 406 ways to cut them; of two humps the descent may split the wrong one."""
        x = samples_of(kind, 30)
        table = lloyd_cells(x, np.full(3, 3))
        for column in range(3):
            values = np.sort(x[:, column])
            cuts = ((i, j) for i in range(1, 29) for j in range(i + 1, 30))
            best = min(sum(part.var() * len(part) for part in np.split(values, cut)) for cut in cuts) / 30
            found = np.mean(values**2) - table.kept[column]
            assert best * (1 - 1e-9) <= found <= factor * best

    def test_on_gaussian_quantiles_it_is_the_gaussian_quantizer(self):
        x = np.array([normal.inv_cdf((i + 0.5) / 4096) for i in range(4096)])[:, None]
        table = lloyd_cells(np.repeat(x, 3, axis=1), np.array([2, 4, 16]))
        for row, bits in enumerate((1, 2, 4)):
            levels, _, mse = lloyd_max(2**bits)
            assert np.mean(x**2) - table.kept[row] == pytest.approx(mse, rel=0.02)
            np.testing.assert_allclose(table.levels[row, : 2**bits], levels, atol=0.06)

    def test_where_fewer_values_differ_they_are_the_levels(self):
        x = np.array([[1.0, 5.0, 0.0], [1.0, 5.0, 2.0], [3.0, 5.0, 4.0], [3.0, 5.0, 6.0]])
        table = lloyd_cells(x, np.array([4, 4, 4]))
        np.testing.assert_array_equal(table.sizes, [2, 1, 4])
        np.testing.assert_array_equal(table.levels, [[1, 3, 3, 3], [5, 5, 5, 5], [0, 2, 4, 6]])
        np.testing.assert_array_equal(table.counts, [[2, 2, 0, 0], [4, 0, 0, 0], [1, 1, 1, 1]])
        assert np.isinf(table.thresholds[0, 1:]).all()

    def test_one_sample_is_one_level(self):
        table = lloyd_cells(np.array([[2.5, 0.0, -1.0]]), np.array([8, 1, 2]))
        assert table.levels.tolist() == [[2.5], [0.0], [-1.0]]
