"""Functionals of given laws: against plain loops, at the edges of the simplex, and their derivatives there."""

import itertools
import math
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rdjax.checks import InputError
from rdjax.information import discrete
from tests.oracles import entropy_bits

PAIR = {"cross_entropy": discrete.cross_entropy, "kl": discrete.kl, "jensen_shannon": discrete.jensen_shannon}
JOINT = {
    "joint_entropy": discrete.joint_entropy,
    "conditional_entropy": discrete.conditional_entropy,
    "mutual_information": discrete.mutual_information,
    "conditional_mutual_information": discrete.conditional_mutual_information,
    "total_correlation": discrete.total_correlation,
}
HOLES = np.array([[[0.2, 0.0, 0.1], [0.0, 0.0, 0.0]], [[0.1, 0.3, 0.05], [0.0, 0.05, 0.2]]])  # [X, Y, Z] = [2, 2, 3]


def random_joint(rng, shape=(2, 2, 3)):
    return rng.dirichlet(np.full(math.prod(shape), 0.5)).reshape(shape)


def by_loops(name, p):
    """Each definition, summed in plain Python over p[x, y, z]; two variables are (x, y) with z as a batch."""
    p = np.asarray(p, np.float64)
    log = lambda a: math.log2(a) if a > 0 else 0.0
    if name == "joint_entropy":
        return entropy_bits(p.ravel())
    if name == "total_correlation":
        return sum(entropy_bits(p.sum(axis=a)) for a in ((1, 2), (0, 2), (0, 1))) - entropy_bits(p.ravel())
    if name == "conditional_mutual_information":
        pz, pxz, pyz = p.sum((0, 1)), p.sum(1), p.sum(0)
        return sum(
            p[x, y, z] * log(p[x, y, z] * pz[z] / (pxz[x, z] * pyz[y, z]))
            for x, y, z in itertools.product(*map(range, p.shape))
            if p[x, y, z] > 0
        )
    px, py = p.sum(1), p.sum(0)
    if name == "conditional_entropy":
        return -sum(p[x, y] * log(p[x, y] / px[x]) for x, y in np.ndindex(p.shape) if p[x, y] > 0)
    return sum(p[x, y] * log(p[x, y] / (px[x] * py[y])) for x, y in np.ndindex(p.shape) if p[x, y] > 0)


def arguments(name, joint):
    """What a function of JOINT takes, cut from one law [2, 2, 3]: three variables, or two of 2 and 6 symbols."""
    two = name in ("conditional_entropy", "mutual_information")
    return joint.reshape(2, 6) if two else joint


class TestValues:
    @pytest.mark.parametrize("name", JOINT)
    def test_joint_laws_by_plain_loops(self, name, rng, tolerance):
        for joint in (HOLES, random_joint(rng), random_joint(rng)):
            law = arguments(name, joint)
            assert JOINT[name](law) == pytest.approx(by_loops(name, law), rel=20 * tolerance, abs=20 * tolerance)

    def test_closed_forms(self, tolerance):
        half, quarter = np.array([0.5, 0.5, 0.0, 0.0]), np.full(4, 0.25)
        assert discrete.entropy(quarter) == pytest.approx(2, rel=tolerance)
        assert discrete.cross_entropy(half, quarter) == pytest.approx(2, rel=tolerance)
        assert discrete.kl(half, quarter) == pytest.approx(1, rel=tolerance)
        # 1/2 (1/2 log 4/3 + 1/2 log 4/3) + 1/2 (1/4 log 2/3 + 1/4 log 2/3 + 1/2 log 2)
        skew = 0.5 * math.log2(4 / 3) + 0.25 * math.log2(2 / 3) + 0.25
        assert discrete.jensen_shannon(half, quarter) == pytest.approx(skew, rel=10 * tolerance)
        assert discrete.jensen_shannon(*np.eye(4)) == pytest.approx(2, rel=tolerance)
        weights = np.array([0.5, 0.25, 0.25, 0.0])
        assert discrete.jensen_shannon(*np.eye(4), weights=weights) == pytest.approx(1.5, rel=tolerance)

    def test_laws_that_end(self):
        for value in (
            discrete.entropy(np.ones(1)),
            discrete.entropy(np.eye(4)[0]),
            discrete.kl(np.ones(1), np.ones(1)),
        ):
            assert value == 0
            assert not np.signbit(value)
        assert discrete.kl(np.full(4, 0.25), np.array([0.5, 0.5, 0, 0])) == np.inf
        assert discrete.cross_entropy(np.full(4, 0.25), np.array([0.5, 0.5, 0, 0])) == np.inf

    def test_no_rounding_below_zero(self, rng):
        laws = rng.dirichlet(np.ones(4), 200)
        independent = laws[:, :2, None] * laws[:, None, 2:]
        independent /= independent.sum(axis=(1, 2), keepdims=True)
        assert (np.asarray(discrete.mutual_information(independent)) >= 0).all()
        assert (np.asarray(discrete.kl(laws, laws)) == 0).all()

    @pytest.mark.float64_only
    def test_a_small_information_keeps_its_digits(self):
        """1/4 (1 +- d): I = (d^2 / 2 + d^4 / 12) / ln 2, in terms of 1e-5."""
        d = 1e-5
        joint = 0.25 * np.array([[1 + d, 1 - d], [1 - d, 1 + d]])
        assert discrete.mutual_information(joint) == pytest.approx((d**2 / 2 + d**4 / 12) / math.log(2), rel=1e-5)

    def test_marginals_whose_product_underflows(self, tolerance):
        """A cell of 1e-25 alone in its row and column carries 1e-25 log2 1e25 bits, of any sign but NaN."""
        joint = np.diag([1.0, 1e-25])
        assert discrete.mutual_information(joint) == pytest.approx(1e-25 * math.log2(1e25), rel=10 * tolerance)


@cache
def both_slopes(name):
    slopes = jax.jit(jax.grad(PAIR[name], argnums=(0, 1)))
    return lambda p, q: jax.device_get(slopes(p, q))


class TestGradients:
    """Along the face that a law lies on; a step h that keeps every zero and the sum is what may be compared."""

    def direction(self, law, rng):
        step = rng.normal(size=law.shape) * (law > 0)
        return step - (law > 0) * step.sum() / (law > 0).sum()

    def difference(self, function, law, step, h=1e-6):
        return (float(function(law + h * step)) - float(function(law - h * step))) / (2 * h)

    @pytest.mark.float64_only
    @pytest.mark.parametrize("name", JOINT)
    def test_joint_laws(self, name, rng):
        law = arguments(name, HOLES)
        gradient = np.asarray(jax.jit(jax.grad(JOINT[name]))(law))
        assert (gradient[law == 0] == 0).all()
        step = self.direction(law, rng)
        assert (gradient * step).sum() == pytest.approx(self.difference(JOINT[name], law, step), rel=1e-7)

    @pytest.mark.float64_only
    @pytest.mark.parametrize("name", PAIR)
    def test_pairs(self, name, rng):
        p, q = np.array([0.5, 0.3, 0.2, 0.0]), np.array([0.1, 0.2, 0.3, 0.4])
        of_p, of_q = both_slopes(name)(p, q)
        move = self.direction(p, rng)
        assert of_p @ move == pytest.approx(self.difference(lambda p: PAIR[name](p, q), p, move), rel=1e-7)
        move = self.direction(q, rng)
        assert of_q @ move == pytest.approx(self.difference(lambda q: PAIR[name](p, q), q, move), rel=1e-7)

    def test_cross_entropy_is_linear_where_its_first_law_is_zero(self, tolerance):
        p, q = np.array([0.75, 0.25, 0.0, 0.0]), np.array([0.5, 0.25, 0.25, 0.0])
        of_p, of_q = both_slopes("cross_entropy")(p, q)
        np.testing.assert_allclose(of_p, [1, 2, 2, 0], rtol=tolerance)
        np.testing.assert_allclose(of_q, np.array([-1.5, -1, 0, 0]) / math.log(2), rtol=tolerance)

    def test_binary_entropy_at_its_ends_and_between(self, tolerance):
        """A probability of 0 or 1 stays so, as it does in the entropy of (p, 1 - p)."""
        assert not np.signbit(np.asarray(discrete.binary_entropy(np.array([0.0, 1.0])))).any()
        slopes = jax.vmap(jax.grad(discrete.binary_entropy))(jnp.array([0.0, 0.25, 0.5, 1.0]))
        np.testing.assert_allclose(slopes, [0, math.log2(3), 0, 0], rtol=tolerance, atol=tolerance)

    @pytest.mark.float64_only
    def test_a_parameter_through_a_zero(self):
        """softmax with a logit of -inf: the slope is 0, not NaN, and the others are those of the law without it."""
        logits = np.array([0.3, -0.2, 0.1, -np.inf])
        gradient = jax.jit(jax.grad(lambda z: discrete.entropy(jax.nn.softmax(z))))(logits)
        p = np.exp([0.3, -0.2, 0.1]) / np.exp([0.3, -0.2, 0.1]).sum()
        np.testing.assert_allclose(gradient, [*(-p * (np.log2(p) + entropy_bits(p))), 0], atol=1e-14)

    def test_an_infinite_divergence_has_an_infinite_slope_and_no_nan(self):
        p, q = np.full(4, 0.25), np.array([0.5, 0.5, 0, 0])
        for name in ("kl", "cross_entropy"):
            of_p, of_q = both_slopes(name)(p, q)
            assert (np.asarray(of_p)[2:] == np.inf).all()
            assert (np.asarray(of_q)[2:] == -np.inf).all()

    @pytest.mark.float64_only
    def test_the_curvature_at_independence_is_not_lost_to_the_floor(self):
        """d2 I = delta / p_xy - 1 / p_x - 1 / p_y, over ln 2: along (1, -1, -1, 1) from 1/4 each, 16."""
        along = np.array([[1.0, -1.0], [-1.0, 1.0]])
        slope = lambda t: discrete.mutual_information(0.25 + t * along)
        assert float(jax.jit(jax.grad(jax.grad(slope)))(0.0)) == pytest.approx(16 / math.log(2), rel=1e-12)


class TestBatches:
    @pytest.mark.float64_only
    def test_a_batch_is_its_members(self, rng):
        joints = np.stack([random_joint(rng) for _ in range(3)])
        batch = discrete.total_correlation(joints, 3)
        np.testing.assert_array_equal(batch, [discrete.total_correlation(joint) for joint in joints])
        mapped = jax.jit(jax.vmap(discrete.mutual_information))(joints.reshape(3, 2, 6))
        np.testing.assert_allclose(mapped, discrete.mutual_information(joints.reshape(3, 2, 6)), rtol=1e-12)
        laws = rng.dirichlet(np.ones(4), (3, 2))
        kl = discrete.kl
        np.testing.assert_allclose(kl(laws, laws[0, 0]), [[kl(p, laws[0, 0]) for p in row] for row in laws], atol=1e-15)

    def test_precision_follows_the_input(self, dtype):
        assert discrete.entropy(np.full(4, 0.25, dtype)).dtype == dtype
        assert discrete.kl(np.full(4, 0.25, np.float32), np.full(4, 0.25, np.float32)).dtype == np.float32
        assert discrete.jensen_shannon(np.full(4, 0.25, np.float32), np.full(4, 0.25, np.float32)).dtype == np.float32


@pytest.mark.float64_only
@pytest.mark.parametrize(
    ("call", "say"),
    [
        (lambda: discrete.entropy([0.5, 0.6]), "sums to 1.1"),
        (lambda: discrete.entropy([1.5, -0.5]), "an entry -0.5 at 1"),
        (lambda: discrete.entropy([]), "empty"),
        (lambda: discrete.entropy(1.0), "must be X"),
        (lambda: discrete.mutual_information([0.5, 0.5]), "must be X by Y"),
        (lambda: discrete.mutual_information([[0.5, 0.5], [0.5, 0.5]]), "the joint law sums to 2"),
        (lambda: discrete.kl([0.5, 0.5], [1.0]), r"have shapes \[\(2,\), \(1,\)\]; their symbols must be the same"),
        (lambda: discrete.kl(np.full((2, 3), 1 / 3), np.full((4, 3), 1 / 3)), r"\[\(2, 3\), \(4, 3\)\]; .* broadcast"),
        (lambda: discrete.jensen_shannon([1.0]), "at least two"),
        (lambda: discrete.jensen_shannon([1.0], [1.0], weights=[1.0]), "there are 2 laws"),
        (lambda: discrete.total_correlation([[1.0]], 3), "cannot hold 3 variables"),
    ],
)
def test_what_is_no_law_is_refused(call, say):
    with pytest.raises(InputError, match=say):
        call()
