"""Nearest-neighbor estimates against brute force in float64 NumPy, on ties, and where they must refuse."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from scipy.special import digamma, gammaln

from rdjax.checks import InputError
from rdjax.information import tree
from rdjax.information.neighbors import kozachenko_leonenko, ksg, ksg_conditional
from rdjax.information.ties import dither

N = 60
SMALL = 14_000  # bytes: several blocks at this size, the last one not full


def apart(points, norm="max"):
    gaps = np.asarray(points, np.float64)[:, None] - np.asarray(points, np.float64)[None]
    return np.abs(gaps).max(axis=2) if norm == "max" else np.sqrt((gaps**2).sum(axis=2))


def radii(spaces, k):
    """Distances to others in the joint space, and to the k-th of them."""
    together = np.max(spaces, axis=0) + np.diag(np.full(len(spaces[0]), np.inf))
    return together, np.sort(together, axis=1)[:, k - 1][:, None]


def brute_force(spaces, groups, k, variant):
    """The textbook sums, one row at a time."""
    together, radius = radii(spaces, k)
    total = 0.0
    for i, r in enumerate(radius[:, 0]):
        within = int((together[i] <= r).sum())
        tied = variant == "mixed" and (within > k or r == 0)
        total += digamma(within + (r == 0) if tied else k)
        for sign, group in groups:
            row = np.max([spaces[g][i] for g in group], axis=0)
            total += sign * digamma((row <= r).sum() if tied else (row < r).sum())
    return total / len(together)


def brute_ksg(x, y, k=3, variant=1, norm="max"):
    spaces = [apart(x, norm), apart(y, norm)]
    n = len(x)
    if variant == 2:
        together, radius = radii(spaces, k)
        nats = digamma(k) - 1 / k + digamma(n)
        for one in spaces:
            reach = np.where(together <= radius, one, 0).max(axis=1)
            nats -= digamma((one <= reach[:, None]).sum(axis=1) - 1).mean()
        return nats / np.log(2)
    return (brute_force(spaces, [(-1, [0]), (-1, [1])], k, variant) + digamma(n)) / np.log(2)


@pytest.fixture
def cloud(rng, dtype):
    """x [60, 2] and y [60, 3] that share something, in the precision of the run."""
    z = rng.normal(size=(N, 5))
    z[:, 2] += 2 * z[:, 0]
    return z[:, :2].astype(dtype), z[:, 2:].astype(dtype)


@pytest.fixture
def symbols(rng, dtype):
    """Discrete x; y repeats it in a third of the rows, is rounded in a sixth, and continuous in the rest."""
    x = 10 * np.stack([np.arange(N) % 2, np.arange(N) // 2 % 2], axis=1)
    y = rng.normal(size=(N, 3))
    y[:20], y[20:30] = x[:20, :1], np.round(2 * y[20:30]) / 2
    return x.astype(dtype), y.astype(dtype)


class TestAgainstBruteForce:
    @pytest.mark.parametrize("method", ["blocks", "tree"])
    def test_maximum_norm(self, cloud, method, tolerance):
        for variant in (1, "mixed"):
            found = ksg(*cloud, variant=variant, method=method, memory=SMALL)
            assert float(found) == pytest.approx(brute_ksg(*cloud), rel=0, abs=5 * tolerance)

    @pytest.mark.float64_only
    @pytest.mark.parametrize("method", ["blocks", "tree"])
    def test_the_second_variant(self, cloud, method):
        want = brute_ksg(*cloud, variant=2)
        assert float(ksg(*cloud, variant=2, method=method, memory=SMALL)) == pytest.approx(want, abs=1e-11)
        assert abs(want - brute_ksg(*cloud)) > 0.01

    @pytest.mark.float64_only
    @pytest.mark.parametrize("neighbors", [1, N - 1])
    def test_fewest_and_most_neighbors(self, cloud, neighbors):
        found = ksg(*cloud, neighbors, method="tree")
        assert float(found) == pytest.approx(brute_ksg(*cloud, k=neighbors), abs=1e-11)

    def test_euclidean_products_far_from_the_origin(self, rng, dtype, tolerance):
        """20 columns go through matrix products, 2 do not; uncentered, squares of 1000 leave float32 three digits."""
        z = rng.normal(size=(N, 22))
        x, y = (z[:, :20] + 1000).astype(dtype), (z[:, 20:] + z[:, :2]).astype(dtype)
        found = ksg(x, y, norm="euclidean", memory=SMALL)
        want = brute_ksg(x, y, norm="euclidean")
        assert float(found) == pytest.approx(want, rel=0, abs=5 * tolerance)
        assert abs(want - brute_ksg(x, y)) > 0.01

    @pytest.mark.float64_only
    @pytest.mark.parametrize("method", ["blocks", "tree"])
    def test_conditional(self, cloud, symbols, rng, method):
        z = rng.normal(size=(N, 1))
        groups = [(-1, [0, 2]), (-1, [1, 2]), (1, [2])]
        for (x, y), variant in ((cloud, 1), (symbols, "mixed")):
            z = x[:, 1:] if variant == "mixed" else z
            want = brute_force([apart(x), apart(y), apart(z)], groups, 3, variant) / np.log(2)
            found = ksg_conditional(x, y, z, variant=variant, method=method, memory=SMALL)
            assert float(found) == pytest.approx(want, abs=1e-11)

    @pytest.mark.float64_only
    @pytest.mark.parametrize("method", ["blocks", "tree"])
    @pytest.mark.parametrize(("norm", "columns", "neighbors"), [("max", 3, 3), ("max", 38, 1), ("euclidean", 3, 3)])
    def test_entropy(self, rng, norm, columns, neighbors, method):
        x = rng.normal(size=(N, columns))
        _, radius = radii([apart(x, norm)], neighbors)
        d = columns
        volume = d * np.log(2) if norm == "max" else d / 2 * np.log(np.pi) - gammaln(d / 2 + 1)
        want = (digamma(N) - digamma(neighbors) + volume + d * np.log(radius).mean()) / np.log(2)
        found = kozachenko_leonenko(x, neighbors, norm=norm, method=method, memory=SMALL)
        assert float(found) == pytest.approx(want, rel=1e-11)

    @pytest.mark.float64_only
    def test_two_rows(self):
        """One neighbor: psi(1) + psi(2) - 2 psi(1) = 1 nat, less 1 where it is nearer in x or y than in both."""
        x, y = np.array([[0.0], [1.0]]), np.array([[0.0], [3.0]])
        assert float(ksg(x, y, 1, method="tree")) == pytest.approx(0, abs=1e-12)
        assert float(ksg(x, x, 1, method="tree")) == pytest.approx(1 / np.log(2), abs=1e-12)


class TestTies:
    @pytest.mark.parametrize("method", ["blocks", "tree"])
    def test_mixed_against_brute_force(self, symbols, method, tolerance):
        found = ksg(*symbols, variant="mixed", method=method, memory=SMALL)
        assert float(found) == pytest.approx(brute_ksg(*symbols, variant="mixed"), rel=0, abs=5 * tolerance)

    @pytest.mark.float64_only
    def test_mixed_on_a_table_is_its_sum_over_cells(self, rng):
        """Every cell is well filled, so no ball leaves its cell, and Miller-Madow's correction follows."""
        x = rng.integers(0, 3, (4000, 1))
        y = (x + (rng.uniform(size=x.shape) < 0.4) * rng.integers(0, 3, x.shape)) % 3
        cells = np.zeros((3, 3))
        np.add.at(cells, (x[:, 0], y[:, 0]), 1)
        psi = digamma(cells) - digamma(cells.sum(axis=1))[:, None] - digamma(cells.sum(axis=0))[None]
        found = float(ksg(x, y, variant="mixed", method="tree"))
        assert found == pytest.approx((digamma(4000) + (cells * psi).sum() / 4000) / np.log(2), abs=1e-9)
        entropy = lambda counts: -(counts / 4000 * np.log2(counts / 4000)).sum() + (counts.size - 1) / 8000 / np.log(2)
        assert found == pytest.approx(entropy(cells.sum(1)) + entropy(cells.sum(0)) - entropy(cells), abs=1e-5)

    @pytest.mark.float64_only
    def test_a_constant_feature_and_a_rare_class(self):
        """What scikit-learn's issue 30772 reports as many times the entropy of the class."""
        x, y = np.ones((20_000, 1)), (np.arange(20_000) < 100).astype(float)[:, None]
        share = 100 / 20_000
        entropy = -share * np.log2(share) - (1 - share) * np.log2(1 - share)
        assert float(ksg(x, y, variant="mixed", method="tree")) == pytest.approx(0, abs=1e-12)
        assert float(ksg(y, y, variant="mixed", method="tree")) == pytest.approx(entropy, abs=1e-3)
        with pytest.raises(InputError, match="20,000 of 20,000 rows have their k-th neighbor at distance 0"):
            ksg(x, y, method="tree")

    @pytest.mark.float64_only
    def test_plain_variants_refuse_equal_rows(self, symbols):
        for variant, method in ((1, "blocks"), (1, "tree"), (2, "blocks"), (2, "tree")):
            with pytest.raises(InputError, match=r"20 of 60 rows have .* at distance 0, so .* use variant='mixed'"):
                ksg(*symbols, variant=variant, method=method, memory=SMALL)
        with pytest.raises(InputError, match="at distance 0"):
            ksg_conditional(*symbols, symbols[0][:, :1], method="tree")
        with pytest.raises(InputError, match="no differential entropy"):
            kozachenko_leonenko(symbols[0], method="tree")

    @pytest.mark.float64_only
    def test_rounded_columns_are_refused_and_dithering_mends_them(self, rng):
        """What I(X; Y) = .83 nats becomes when two decimals are kept, and when they are dithered."""
        z = rng.normal(size=(1000, 2))
        x, y = z[:, :1], 0.9 * z[:, :1] + np.sqrt(1 - 0.9**2) * z[:, 1:]
        plain = float(ksg(x, y, method="tree"))
        for decimals in (2, 1):
            coarse = np.round(x, decimals), np.round(y, decimals)
            with pytest.raises(InputError, match="distance 0" if decimals == 1 else "columns were rounded"):
                ksg(*coarse, method="tree")
            mended = [dither(a, jax.random.key(i)) for i, a in enumerate(coarse)]
            assert float(ksg(*mended, method="tree")) == pytest.approx(plain, abs=0.1)

    def test_equal_rows_tie_in_matrix_products_too(self, rng, dtype):
        """Rounding may leave |a - a|^2 at 1e-5; what it could have made of 0 counts as 0."""
        x = np.repeat(rng.normal(size=(15, 20)), 4, axis=0).astype(dtype)
        y = np.repeat(rng.normal(size=(15, 2)), 4, axis=0).astype(dtype)
        with pytest.raises(InputError, match="60 of 60 rows"):
            ksg(x, y, norm="euclidean", memory=SMALL)
        assert float(ksg(x, y, variant="mixed", norm="euclidean", memory=SMALL)) == pytest.approx(
            (digamma(60) - digamma(4)) / np.log(2), abs=1e-5
        )


class TestDither:
    def test_it_moves_within_a_step_and_keeps_what_was_there(self, rng, dtype):
        x = np.stack([rng.integers(0, 9, 500) * 0.5, np.full(500, 3.0), rng.normal(size=500)], axis=1).astype(dtype)
        y = np.asarray(dither(x, jax.random.key(0)))
        assert y.dtype == dtype
        np.testing.assert_array_equal(np.round(y[:, 0] / 0.5) * 0.5, x[:, 0])
        assert np.ptp(y[:, 0] - x[:, 0]) == pytest.approx(0.5, abs=0.02)
        np.testing.assert_array_equal(y[:, 1], x[:, 1])
        assert np.abs(y[:, 2] - x[:, 2]).max() <= np.diff(np.sort(x[:, 2])).max()

    @pytest.mark.parametrize("kind", [np.float16, ml_dtypes.bfloat16])
    def test_half_precisions_are_as_coarse_as_their_entries(self, rng, kind):
        """Their smallest gap is next to 0; as the step of all entries it leaves the entropy bits too low."""
        x = np.abs(rng.normal(size=(4000, 1))).astype(kind)
        y = np.asarray(dither(x, jax.random.key(0)))
        np.testing.assert_array_equal(y, dither(x.astype(np.float32), jax.random.key(0)))
        bits, far = x.view(np.uint16), x > 0.01
        below, above = (bits - 1).view(kind).astype(np.float64), (bits + 1).view(kind).astype(np.float64)
        wide = x.astype(np.float64)
        share = np.where(y < wide, (y - wide) / (wide - below), (y - wide) / (above - wide))[far]
        assert np.abs(share).max() <= 0.5 + 1e-3  # the nearest number is x again
        assert np.ptp(share) > 0.99
        assert float(kozachenko_leonenko(y)) == pytest.approx(math.log2(2 * np.pi * np.e) / 2 - 1, abs=0.1)
        x[:10] = 0  # whose neighbors are the nearest of all
        least = np.diff(np.unique(x.astype(np.float64))).min()
        assert 0 < np.abs(dither(x, jax.random.key(0))[:10]).max() <= least / 2

    @pytest.mark.float64_only
    def test_a_stated_step_is_taken(self, rng):
        x = np.stack([np.full(500, 3.0), rng.normal(size=500)], axis=1)
        y = np.asarray(dither(x, jax.random.key(0), step=[1.0, 0.0]))
        assert 0.9 < np.ptp(y[:, 0]) <= 1
        np.testing.assert_array_equal(y[:, 1], x[:, 1])

    @pytest.mark.float64_only
    def test_what_it_cannot_use_is_refused(self):
        with pytest.raises(InputError, match="one per column"):
            dither(np.ones((3, 2)), jax.random.key(0), step=[1.0, 2.0, 3.0])
        with pytest.raises(InputError, match="step has an entry nan"):
            dither(np.ones((3, 2)), jax.random.key(0), step=np.nan)
        with pytest.raises(InputError, match=r"x\[:, None\]"):
            dither(np.ones(3), jax.random.key(0))


class TestTransformations:
    @pytest.mark.float64_only
    def test_jit_and_vmap_agree_with_the_plain_call_and_refused_ties_are_infinite(self, cloud, symbols):
        pairs = [np.stack(sides) for sides in zip(cloud, symbols, strict=True)]
        first, second = jax.jit(jax.vmap(ksg))(*pairs)  # one block, where the plain call has nine
        assert float(first) == pytest.approx(float(ksg(*cloud, memory=SMALL)), abs=1e-12)
        assert float(second) == np.inf

    def test_a_gradient_through_counts_is_refused(self, cloud):
        x, y = cloud
        for function in (lambda x: ksg(x, y, memory=SMALL), lambda x: ksg_conditional(x, y, y[:, :1])):
            with pytest.raises(TypeError, match="piecewise constant"):
                jax.grad(function)(jnp.asarray(x))

    @pytest.mark.float64_only
    @pytest.mark.parametrize("norm", ["max", "euclidean"])
    def test_the_gradient_of_the_entropy_is_its_slope(self, cloud, rng, norm):
        x, direction = cloud[1], rng.normal(size=cloud[1].shape)
        value = lambda t: float(kozachenko_leonenko(x + t * direction, norm=norm, memory=SMALL))
        slope = np.sum(
            np.asarray(jax.grad(lambda x: kozachenko_leonenko(x, norm=norm, memory=SMALL))(jnp.asarray(x))) * direction
        )
        assert slope == pytest.approx((value(1e-6) - value(-1e-6)) / 2e-6, rel=1e-6)
        assert abs(slope) > 0.1

    def test_entropy_moves_with_the_scale_and_not_with_the_place(self, cloud, tolerance):
        x = cloud[1]
        plain = float(kozachenko_leonenko(x, memory=SMALL))
        assert float(kozachenko_leonenko(4 * x, memory=SMALL)) == pytest.approx(plain + 3 * 2, rel=5 * tolerance)
        assert float(kozachenko_leonenko(x - 2, memory=SMALL)) == pytest.approx(plain, rel=50 * tolerance)


@pytest.mark.float64_only
class TestOnTheHost:
    def test_counts_in_line_as_a_tree_counts(self, rng):
        """Multiples of .1 and their neighbors in floating point, where x + r and x' - x round differently."""
        values = np.concatenate([np.arange(40) * 0.1, np.cumsum(np.full(40, 0.1)), rng.normal(size=40)])
        values = np.concatenate([values, values[:60]])
        for reach in (0.0, 0.1, 0.3, np.nextafter(0.3, 0), np.nextafter(0.3, 1), 100.0):
            want = (np.abs(values[:, None] - values[None]) <= reach).sum(axis=1)
            np.testing.assert_array_equal(tree._count_in_line(values, np.full(len(values), reach)), want)

    def test_it_is_taken_where_it_is_faster(self, rng, monkeypatch):
        """100 * 2.5^2 = 625 rows of 1 + 1 columns, 3,906 of 2 + 2; never traced, never joint Euclidean."""
        taken = []
        monkeypatch.setattr(tree, "balls", lambda *a, f=tree.balls: taken.append(1) or f(*a))
        monkeypatch.setattr(tree, "kth_neighbor", lambda *a, f=tree.kth_neighbor: taken.append(1) or f(*a))

        def used(call, *arrays):
            before = len(taken)
            found, want = call(*arrays), call(*arrays, method="blocks")
            assert float(found) == pytest.approx(float(want), rel=1e-10)
            return len(taken) > before

        x, y = rng.normal(size=(2, 700, 1))
        assert used(ksg, x, y)
        assert used(kozachenko_leonenko, x)
        assert used(partial(kozachenko_leonenko, norm="euclidean"), x)
        assert not used(ksg, x[:600], y[:600])
        assert not used(ksg, np.hstack([x, y]), y)
        assert not used(partial(ksg, norm="euclidean"), x, y)
        assert not used(lambda x, y, **k: jax.jit(partial(ksg, **k))(x, y), x, y)
        assert np.isfinite(jax.grad(kozachenko_leonenko)(jnp.asarray(x))).all()

    def test_it_is_not_for_traced_values(self, cloud):
        for function in (jax.jit, jax.grad, lambda f: jax.vmap(f, in_axes=(0,))):
            with pytest.raises(InputError, match="cannot be traced"):
                function(lambda x: ksg(x, cloud[1], method="tree"))(jnp.asarray(cloud[0])[None])
        with pytest.raises(InputError, match="norm is 'euclidean'"):
            ksg(*cloud, norm="euclidean", method="tree")


@pytest.mark.float64_only
class TestErrors:
    def test_each_says_what_to_do(self, cloud):
        x, y = cloud
        hole = x.copy()
        hole[7, 1] = np.nan
        for call, say in (
            (lambda: ksg(x[:, 0], y), r"x has shape \(60,\); it must be \[n, columns\], so one column is x\[:, None\]"),
            (lambda: ksg(x, y[:, :0]), "y has shape"),
            (lambda: ksg(x[:50], y), "x has 50 rows and y has 60 rows"),
            (lambda: ksg(hole, y), "x has a NaN or infinity in row 7"),
            (lambda: ksg(x, y, 60), "there are 60 rows; at least 61 are needed"),
            (lambda: ksg(x, y, 0), "neighbors is 0"),
            (lambda: ksg(x, y, memory=1000), "take 1,920 bytes and memory is 1,000"),
            (lambda: ksg(x, y, variant=3), "variant is 3; it must be 1 or 2 or 'mixed'"),
            (lambda: ksg(x, y, norm="l1"), "norm is 'l1'"),
            (lambda: ksg(x, y, method="kd"), "method is 'kd'"),
            (lambda: ksg_conditional(x, y, x, variant=2), "variant is 2; it must be 1 or 'mixed'"),
            (lambda: kozachenko_leonenko(x[:1]), "there are 1 rows"),
        ):
            with pytest.raises(InputError, match=say):
                call()
