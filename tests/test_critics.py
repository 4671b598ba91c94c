"""Critics and what they are trained on, against formulas by hand."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.special import expit

from rdjax.checks import InputError
from rdjax.information.variational import donsker_varadhan, infonce, nwj
from rdjax.nn import (
    KNOWN_OBJECTIVES,
    BilinearCritic,
    Committee,
    ConcatenatedCritic,
    Network,
    SeparableCritic,
    SumCritic,
    critics,
    jensen_shannon_loss,
    mine_loss,
    objective,
)

LN2 = math.log(2)
CRITICS = {
    "separable": lambda dtype: SeparableCritic(3, 2, hidden=(5, 4), embedding=3, rngs=nnx.Rngs(1), dtype=dtype),
    "concatenated": lambda dtype: ConcatenatedCritic(3, 2, hidden=(5, 4), rngs=nnx.Rngs(1), dtype=dtype),
    "bilinear": lambda dtype: shaken(BilinearCritic(3, 2, dtype=dtype)),
    "committee of sums": lambda dtype: Committee(lambda rngs: pair(rngs, dtype), 3, rngs=nnx.Rngs(1)),
}
by_name = pytest.mark.parametrize("name", CRITICS)


def pair(rngs, dtype):
    return SumCritic(BilinearCritic(3, 2, dtype=dtype), SeparableCritic(3, 2, hidden=(5,), rngs=rngs, dtype=dtype))


def shaken(critic):
    """With other parameters than zeros."""
    rng = np.random.default_rng(5)
    move = lambda leaf: rng.standard_normal(leaf.shape).astype(leaf.dtype)
    graph, state = nnx.split(critic)
    return nnx.merge(graph, jax.tree.map(move, state))


def layers(network):
    return [(np.asarray(one.kernel[...], float), np.asarray(one.bias[...], float)) for one in network.layers]


def gelu(z):
    """In the usual approximation by tanh."""
    return z / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)))


def through(network, vector):
    """One vector through a network, by hand."""
    *first, (kernel, bias) = layers(network)
    for k, b in first:
        vector = gelu(vector @ k + b)
    return vector @ kernel + bias


def one_score(critic, x, y):
    """f(x, y) of one pair, by the formula of the docstring."""
    if isinstance(critic, SumCritic):
        return sum(one_score(term, x, y) for term in critic.terms)
    if isinstance(critic, Committee):
        graph, state = nnx.split(critic.stacked)
        members = [
            nnx.merge(graph, jax.tree.map(lambda leaf, k=k: np.asarray(leaf)[k], state)) for k in range(critic.members)
        ]
        return np.mean([one_score(member, x, y) for member in members])
    if isinstance(critic, SeparableCritic):
        *g, a = through(critic.x_network, x)
        *h, b = through(critic.y_network, y)
        return np.dot(g, h) / math.sqrt(len(g)) + a + b
    if isinstance(critic, ConcatenatedCritic):
        return through(critic.network, np.concatenate([x, y]))[0]
    of = lambda name: np.asarray(getattr(critic, name)[...], float)
    x, y = x / math.sqrt(max(1, len(x) / 2)), y / math.sqrt(max(1, len(y) / 2))
    alone = x @ of("x_square") @ x + x @ of("x_slope") + y @ of("y_square") @ y + y @ of("y_slope")
    return x @ of("cross") @ y + alone + of("offset")


def gaussian_pairs(size, correlation=0.8, dimensions=2, seed=0):
    """Pairs whose first coordinates are correlated: I = -log2(1 - rho^2) / 2."""
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((2, size, dimensions))
    y[:, 0] = correlation * x[:, 0] + math.sqrt(1 - correlation**2) * y[:, 0]
    return x, y


class TestCritics:
    @pytest.mark.float64_only
    @by_name
    def test_pair_by_pair(self, name, rng, dtype, tolerance):
        made = nnx.jit(lambda x, y: ((critic := CRITICS[name](dtype)), critic(x, y)))
        x, y = rng.standard_normal((4, 3)), rng.standard_normal((5, 2))
        critic, scores = made(x.astype(dtype), y.astype(dtype))
        assert scores.dtype == dtype
        expected = [[one_score(critic, a, b) for b in y] for a in x]
        np.testing.assert_allclose(scores, expected, rtol=100 * tolerance, atol=100 * tolerance)

    @pytest.mark.float64_only
    def test_a_step_along_its_gradient_raises_the_bound(self, rng):
        graph, state = nnx.split(nnx.jit(lambda: CRITICS["committee of sums"](np.float64))())
        x, y = rng.standard_normal((8, 3)), rng.standard_normal((8, 2))
        value = jax.jit(jax.value_and_grad(lambda state: infonce(nnx.merge(graph, state)(x, y))))
        before, slopes = value(state)
        after, _ = value(jax.tree.map(lambda p, s: np.asarray(p) + 1e-3 * np.asarray(s), state, slopes))
        gain = 1e-3 * sum(np.sum(np.square(s)) for s in jax.tree.leaves(slopes))
        assert float(after - before) == pytest.approx(gain, rel=0.1)

    @pytest.mark.float64_only
    def test_blocks_of_rows_change_nothing(self, rng, monkeypatch):
        critic = nnx.jit(lambda: CRITICS["concatenated"](np.float64))()
        x, y = rng.standard_normal((7, 3)), rng.standard_normal((5, 2))
        square = lambda x: (scores := critic(x, y), jnp.sum(scores**2))[::-1]
        expected = jax.jit(jax.value_and_grad(square, has_aux=True))(x)
        monkeypatch.setattr(critics, "BLOCK", 3 * 5 * 5)  # three rows, a remainder of one
        found = jax.jit(jax.value_and_grad(lambda x: square(x), has_aux=True))(x)
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-12), found, expected)

    @pytest.mark.float64_only
    def test_the_bilinear_one_holds_the_density_ratio_of_gaussian_pairs(self, rng):
        """ln p(x, y) / p(x) p(y) with correlation .8: xy .8 / .36, -(x^2 + y^2) .64 / .72, -ln(.36) / 2."""
        critic = BilinearCritic(1, 1, dtype=jnp.float64)
        critic.cross[...] = np.full((1, 1), 0.8 / 0.36)
        critic.x_square[...] = critic.y_square[...] = np.full((1, 1), -0.32 / 0.36)
        critic.offset[...] = np.array(-0.5 * math.log(0.36))
        x, y = (part.reshape(-1, 50, 1) for part in gaussian_pairs(40_000, dimensions=1))
        bits = jax.jit(jax.vmap(lambda x, y: nwj(critic(x, y) + 1)))(x, y)
        assert np.mean(bits) == pytest.approx(-0.5 * math.log2(0.36), abs=0.03)

    @pytest.mark.float64_only
    @by_name
    def test_other_sizes_are_refused(self, name):
        critic, x, y = CRITICS[name](np.float32), jnp.ones((4, 3)), jnp.ones((5, 2))
        assert critic(x, y).shape == (4, 5)
        with pytest.raises(InputError, match=r"of x, is for 3 components and was given shape \(4, 2\)"):
            critic(x[:, :2], y)
        with pytest.raises(InputError, match="of y, is for 2 components"):
            critic(x, x)
        with pytest.raises(InputError, match=r"x has shape \(3,\); a critic scores all pairs of rows"):
            critic(x[0], y[0])

    @pytest.mark.float64_only
    def test_sizes_that_are_none(self):
        with pytest.raises(InputError, match="hidden layer"):
            ConcatenatedCritic(2, 2, hidden=(), rngs=nnx.Rngs(0))
        with pytest.raises(InputError, match="its output"):
            Network((3,), rngs=nnx.Rngs(0))
        with pytest.raises(InputError, match="whole number"):
            SeparableCritic(2, 0, rngs=nnx.Rngs(0))
        with pytest.raises(InputError, match="no terms"):
            SumCritic()
        sizes = iter((3, 4))
        with pytest.raises(InputError, match="all alike"):
            Committee(lambda rngs: SeparableCritic(2, 2, hidden=(next(sizes),), rngs=rngs), 2, rngs=nnx.Rngs(0))

    @pytest.mark.float64_only
    def test_networks_begin_with_the_variance_that_they_say(self):
        make = lambda sizes: nnx.jit(lambda: Network(sizes, rngs=nnx.Rngs(3)))()
        first, second = layers(make((50, 400, 60)))
        assert first[0].var() == pytest.approx(2 / 50, rel=0.05)
        assert second[0].var() == pytest.approx(1 / 400, rel=0.05)
        assert not first[1].any()
        committee = nnx.jit(lambda: Committee(lambda rngs: Network((50, 4), rngs=rngs), 2, rngs=nnx.Rngs(3)))()
        members = np.asarray(committee.stacked.layers[0].kernel[...])
        assert not np.allclose(members[0], members[1])


class TestLosses:
    def test_jensen_shannon(self, rng, dtype, tolerance):
        scores = 2 * rng.standard_normal((5, 5))
        joint = np.mean([-math.log(expit(scores[i, i])) for i in range(5)])
        others = np.mean([-math.log(expit(-scores[i, j])) for i in range(5) for j in range(5) if i != j])
        loss = jax.jit(jax.value_and_grad(jensen_shannon_loss))
        assert float(loss(scores.astype(dtype))[0]) == pytest.approx(joint + others, rel=10 * tolerance)
        assert float(loss(np.zeros((5, 5), dtype))[0]) == pytest.approx(math.log(4), rel=10 * tolerance)
        assert np.isfinite(loss(np.full((5, 5), 1e4, dtype))[1]).all()

    def test_mine_divides_by_the_average(self, rng, dtype, tolerance):
        scores, log_average = rng.standard_normal((5, 5)), 0.7
        others = ~np.eye(5, dtype=bool)
        mean = np.exp(scores[others]).mean()
        average = 0.9 * math.exp(log_average) + 0.1 * mean
        loss = jax.jit(jax.value_and_grad(mine_loss, has_aux=True))
        (_, after), slopes = loss(scores.astype(dtype), log_average)
        assert float(after) == pytest.approx(math.log(average), rel=10 * tolerance)
        expected = np.where(others, np.exp(scores) / 20 / average, -0.2)
        np.testing.assert_allclose(slopes, expected, rtol=100 * tolerance)

    @pytest.mark.float64_only
    def test_one_huge_batch_does_not_stay_in_mines_average(self, rng):
        scores = rng.standard_normal((5, 5))
        loss = jax.jit(mine_loss)
        after = lambda before: float(loss(scores, before)[1])
        assert after(300.0) == pytest.approx(after(math.inf) + math.log(10), rel=1e-12)
        assert after(-300.0) == pytest.approx(after(math.inf) - math.log(10), rel=1e-12)

    @pytest.mark.float64_only
    def test_mine_begins_with_its_batch_and_is_then_donsker_varadhan(self, rng):
        scores = rng.standard_normal((5, 5))
        expected, plain = jax.jit(jax.value_and_grad(lambda s: -LN2 * donsker_varadhan(s)))(scores)
        for loss, before in ((mine_loss, math.inf), (partial(mine_loss, decay=0), 3.0)):
            (value, _), slopes = jax.jit(jax.value_and_grad(loss, has_aux=True))(scores, before)
            assert float(value) == pytest.approx(float(expected), rel=1e-12)
            np.testing.assert_allclose(slopes, plain, atol=1e-12)

    @pytest.mark.float64_only
    def test_any_average_is_a_bound_below_donsker_varadhan(self, rng):
        scores, averages = rng.standard_normal((5, 5)), np.array([-3.0, -0.2, 0.5, 4.0])
        best = LN2 * float(jax.jit(donsker_varadhan)(scores))
        assert (-np.asarray(jax.jit(jax.vmap(lambda a: mine_loss(scores, a)[0]))(averages)) < best).all()

    @pytest.mark.float64_only
    @pytest.mark.parametrize("name", KNOWN_OBJECTIVES)
    def test_losses_have_the_slope_of_what_they_are_named_for(self, name, rng):
        """Those that ascend their bound do so in nats; the discriminator's are those of the logistic loss."""
        scores = rng.standard_normal((5, 5))
        made = objective(name)
        assert made == objective(name)
        assert hash(made) == hash(objective(name))
        both = jax.jit(lambda s: (jax.grad(lambda s: made.loss(s, math.inf)[0])(s), -LN2 * jax.grad(made.bound)(s)))
        slopes, expected = both(scores)
        if name in ("jensen_shannon", "smile"):
            expected = np.where(np.eye(5, dtype=bool), -expit(-scores) / 5, expit(scores) / 20)
        np.testing.assert_allclose(slopes, expected, atol=1e-12)

    @pytest.mark.float64_only
    def test_mistakes(self):
        with pytest.raises(InputError, match="infonce, nwj"):
            objective("mutual")
        with pytest.raises(InputError, match="N >= 2"):
            jensen_shannon_loss(np.zeros((1, 1)))
        with pytest.raises(InputError, match="below 1"):
            mine_loss(np.zeros((2, 2)), 0.0, decay=1.0)
