"""Normal scores, and estimates fitted with critics, on Gaussian pairs whose information is known."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax import export
from scipy.special import ndtri

from rdjax.checks import InputError
from rdjax.information.variational import infonce, nwj
from rdjax.nn import (
    BilinearCritic,
    CriticFit,
    NormalScores,
    Objective,
    SeparableCritic,
    fit_critic,
    fitting,
    objective,
    training,
)


def gaussian_pairs(size, correlation=0.8, dimensions=2, seed=0):
    """Pairs whose first coordinates are correlated: I = -log2(1 - rho^2) / 2."""
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((2, size, dimensions))
    y[:, 0] = correlation * x[:, 0] + math.sqrt(1 - correlation**2) * y[:, 0]
    return x, y


class TestNormalScores:
    def test_sorted_values_get_sorted_scores(self, rng, dtype, tolerance):
        sample = rng.standard_cauchy((50, 2)).astype(dtype)
        found = np.asarray(NormalScores.fit(sample)(jnp.asarray(sample)))
        assert found.dtype == dtype
        ranks = np.argsort(np.argsort(sample, axis=0), axis=0)
        np.testing.assert_allclose(found, ndtri((ranks + 0.5) / 50), rtol=100 * tolerance, atol=10 * tolerance)

    @pytest.mark.float64_only
    def test_between_values_it_is_linear_and_outside_constant(self):
        scale = NormalScores.fit(np.array([[1.0], [2.0], [4.0]]))
        low, high = ndtri(1 / 6), ndtri(5 / 6)
        found = np.asarray(scale(np.array([[-9.0], [1.0], [1.5], [3.0], [4.0], [1e300]])))[:, 0]
        np.testing.assert_allclose(found, [low, low, low / 2, high / 2, high, high], atol=1e-15)

    @pytest.mark.float64_only
    def test_equal_values_share_the_mean_of_their_scores(self):
        column = np.array([3.0, 0.0, 0.0, 1.0, 0.0, 3.0])
        levels = ndtri((np.arange(6) + 0.5) / 6)
        found = np.asarray(NormalScores.fit(column[:, None])(column[:, None]))[:, 0]
        zero, three = levels[:3].mean(), levels[4:].mean()
        np.testing.assert_allclose(found, [three, zero, zero, levels[3], zero, three], atol=1e-15)
        np.testing.assert_allclose(NormalScores.fit(np.ones((5, 2)))(np.array([[1.0, 7.0]])), 0, atol=1e-15)
        assert np.all(NormalScores.fit(np.ones((1, 2)))(np.array([[0.0, 7.0]])) == 0)

    def test_a_coordinate_far_from_zero_keeps_its_differences(self, rng, dtype, tolerance):
        near = rng.standard_normal((50, 2))
        far = near + np.array([1.7e9, 0.0])  # where float32 has steps of 128
        scale = NormalScores.fit(far)
        assert scale(far).dtype == dtype
        np.testing.assert_allclose(scale(far), NormalScores.fit(near)(near), rtol=1e-3, atol=1e-4)
        whole = rng.integers(0, 9, (50, 1))
        np.testing.assert_array_equal(NormalScores.fit(whole)(whole), NormalScores.fit(whole)(jnp.asarray(whole)))

    def test_two_clusters_keep_their_differences(self, rng):
        """Missing times are 0 and the others of our days: no center is near both, and float32 has steps of 128."""
        x = rng.permutation(np.concatenate([rng.uniform(size=50), 1.7e9 + rng.uniform(size=50)]))[:, None]
        found = np.asarray(NormalScores.fit(x)(x))
        np.testing.assert_allclose(found, ndtri((np.argsort(np.argsort(x, axis=0), axis=0) + 0.5) / 100), rtol=1e-5)

    @pytest.mark.float64_only
    def test_few_knots_stay_increasing(self, rng):
        sample = rng.standard_normal((1000, 1))
        found = np.asarray(NormalScores.fit(sample, knots=20)(np.sort(sample, axis=0)))[:, 0]
        assert (np.diff(found) > 0).all()
        np.testing.assert_allclose(found, ndtri((np.arange(1000) + 0.5) / 1000), atol=0.5)

    @pytest.mark.float64_only
    def test_mistakes(self):
        with pytest.raises(InputError, match="NaN"):
            NormalScores.fit(np.full((3, 1), np.nan))
        with pytest.raises(InputError, match=r"\[n, 1\]"):
            NormalScores.fit(np.ones((3, 1)))(np.ones((3, 2)))


FIT = {"steps": 300, "batch": 64, "optimizer": optax.adam(1e-2)}  # one program for each bound


class TestFit:
    def test_gaussian_pairs(self, precision):
        """Units, monotone maps of the coordinates and the precision of the data change nothing."""
        x, y = gaussian_pairs(2000)
        given = np.exp(3 * x) if precision == "float64" else x.astype(np.float32)
        found = fit_critic(BilinearCritic(2, 2), given, 1e-6 * y, **FIT)
        assert abs(float(found.bits) - -0.5 * math.log2(0.36)) < 3 * float(found.standard_error) < 0.2
        assert found.bits.dtype == jnp.float32
        assert isinstance(jax.tree.map(lambda leaf: leaf, found), CriticFit)

    @pytest.mark.float64_only
    @pytest.mark.parametrize("bound", ["mine", Objective("chatty", objective("nwj").loss, nwj)])
    def test_other_bounds(self, bound):
        x, y = gaussian_pairs(2000)
        found = fit_critic(BilinearCritic(2, 2), x, y, bound=bound, **{**FIT, "steps": 900})
        assert abs(float(found.bits) - -0.5 * math.log2(0.36)) < 3 * float(found.standard_error) < 0.25

    @pytest.mark.float64_only
    def test_estimate_and_critic_are_of_one_step_and_of_pairs_not_seen(self):
        x, y = gaussian_pairs(2000)
        before = nnx.state(critic := BilinearCritic(2, 2))
        looks = []
        found = fit_critic(critic, x, y, progress=lambda step, bits: looks.append((step, bits)), seed=3, **FIT)
        parts = fitting._parts(2000, 0.35, 3)
        assert sorted(np.concatenate(parts)) == list(range(2000))
        scores = jax.jit(lambda rows: found.scores(jnp.asarray(x)[rows], jnp.asarray(y)[rows]))
        assert float(infonce(scores(parts[2]))) == pytest.approx(float(found.bits), abs=1e-5)
        assert float(infonce(scores(parts[1]))) == pytest.approx(float(found.history.max()), abs=1e-5)
        assert int(found.step) == 100 * (1 + int(np.argmax(found.history)))
        assert [step for step, _ in looks] == [100, 200, 300][: len(looks)]
        np.testing.assert_array_equal([bits for _, bits in looks], found.history)
        assert all(jax.tree.leaves(jax.tree.map(lambda a, b: bool((a == b).all()), before, nnx.state(critic))))

    @pytest.mark.float64_only
    def test_the_same_seed_gives_the_same_result(self):
        x, y = gaussian_pairs(2000)
        first, second, other = (fit_critic(BilinearCritic(2, 2), x, y, seed=seed, **FIT) for seed in (1, 1, 2))
        assert all(jax.tree.leaves(jax.tree.map(lambda a, b: bool(jnp.all(a == b)), first, second)))
        assert float(first.bits) != float(other.bits)

    @pytest.mark.float64_only
    def test_patience_and_what_the_status_says(self, monkeypatch):
        x, y = gaussian_pairs(2000, correlation=0.0)
        found = fit_critic(BilinearCritic(2, 2), x, y, patience=1, **{**FIT, "steps": 2000})
        assert len(found.history) < 20
        assert "stopped rising" in found.message
        assert float(found.bits) < 2 * float(found.standard_error)
        assert "ran out" in fit_critic(BilinearCritic(2, 2), x, y, **{**FIT, "steps": 100}).message
        monkeypatch.setattr(fitting, "READ_AT_ONCE", 8)
        full = fit_critic(BilinearCritic(2, 2), x, x, **{**FIT, "steps": 900})
        assert "cannot pass" in full.message
        assert 2 < float(full.bits) <= 3

    @pytest.mark.float64_only
    def test_divergence_is_said(self):
        x, y = gaussian_pairs(2000)
        schedule = lambda count: jnp.where(count < 150, 1e-2, jnp.inf)
        diverging = optax.sgd(schedule)
        found = fit_critic(BilinearCritic(2, 2), x, y, **{**FIT, "optimizer": diverging})
        assert "diverged" in found.message
        assert int(found.step) == 100
        assert np.isfinite(float(found.bits))
        broken = BilinearCritic(2, 2)
        broken.offset[...] = jnp.asarray(np.float32(np.nan))
        with pytest.raises(InputError, match="first look"):
            fit_critic(broken, x, y, **{**FIT, "optimizer": diverging})

    @pytest.mark.float64_only
    def test_one_compilation(self):
        x, y = gaussian_pairs(2000)
        fit_critic(BilinearCritic(2, 2), x, y, **FIT)
        before = training._stretch._cache_size(), training._block_scores._cache_size()
        fit_critic(BilinearCritic(2, 2), x + 1, y, seed=9, **FIT)
        assert (training._stretch._cache_size(), training._block_scores._cache_size()) == before

    @pytest.mark.float64_only
    def test_the_training_steps_lower_for_cuda_and_tpu(self, monkeypatch):
        """At the shapes that a fit calls."""
        steps = {name: getattr(training, name) for name in ("_stretch", "_block_scores")}
        called = {}

        def record(name, plan, *rest):
            called[name] = (plan, rest)
            return steps[name](plan, *rest)

        for name in steps:
            monkeypatch.setattr(training, name, partial(record, name))
        x, y = gaussian_pairs(2000)
        fit_critic(SeparableCritic(2, 2, rngs=nnx.Rngs(0)), x, y, **FIT)
        for name, (plan, rest) in called.items():
            exported = export.export(jax.jit(partial(steps[name], plan)), platforms=("cuda", "tpu"))(*rest)
            assert exported.platforms == ("cuda", "tpu")
            assert "custom_call @xla_python_cpu_callback" not in exported.mlir_module()

    @pytest.mark.float64_only
    def test_batches_hold_every_pair_once_before_any_twice(self):
        plan = training.Plan(None, objective("infonce"), optax.adam(1.0), 4, 7, 1)
        rows = training._batches(np.random.default_rng(0), 11, plan)
        assert rows.shape == (7, 4)
        for start in (0, 2, 4):
            assert len(np.unique(rows[start : start + 2])) == 8

    @pytest.mark.float64_only
    @pytest.mark.parametrize(
        ("x", "y", "given", "say"),
        [
            (np.ones((50, 2)), np.ones((49, 2)), {}, "50 rows and y 49"),
            (np.ones((20, 2)), np.ones((20, 2)), {}, "at least 40"),
            (np.ones(50), np.ones((50, 2)), {}, "two-dimensional"),
            (np.full((50, 2), np.nan), np.ones((50, 2)), {}, "NaN"),
            (np.ones((50, 2)), np.ones((50, 2)), {"held_out": 1.0}, "between 0 and 1"),
            (np.ones((50, 2)), np.ones((50, 2)), {"held_out": 0.99}, "too few"),
            (np.ones((50, 2)), np.ones((50, 2)), {"steps": 0}, "steps"),
            (np.ones((50, 2)), np.ones((50, 2)), {"batch": 1}, "batch"),
            (np.ones((50, 2)), np.ones((50, 2)), {"bound": "kl"}, "not known"),
            (np.ones((50, 3)), np.ones((50, 2)), {}, r"the critic, of x, is for 2 components and was given .*, 3\)"),
            (np.ones((50, 2)), np.ones((50, 1)), {}, "the critic, of y, is for 2 components"),
        ],
    )
    def test_mistakes(self, x, y, given, say):
        with pytest.raises(InputError, match=say):
            fit_critic(BilinearCritic(2, 2), x, y, **given)


class Changing(nnx.Module):
    """A critic that drops out, or takes statistics of its batches."""

    def __init__(self, layer):
        self.map, self.layer = nnx.Linear(2, 3, rngs=nnx.Rngs(0)), layer

    def __call__(self, x, y):
        return self.layer(self.map(x)) @ self.map(y).T


@pytest.mark.float64_only
def test_what_training_cannot_use_is_refused_before_it_begins():
    x, y = gaussian_pairs(60)
    layers = {"Dropout": nnx.Dropout(0.5, rngs=nnx.Rngs(0)), "BatchNorm": nnx.BatchNorm(3, rngs=nnx.Rngs(0))}
    for name, layer in layers.items():
        critic = Changing(layer)
        with pytest.raises(InputError, match=f"the critic has {name} in training mode.*call its .eval"):
            fit_critic(critic, x, y, steps=1)
        critic.eval()
        assert np.isfinite(fit_critic(critic, x, y, steps=1).bits)
    for bad, words in (
        ({"critic": BilinearCritic}, "give a Flax module that is made"),
        ({"critic": None}, "the critic is None"),
        ({"critic": nnx.Module()}, "no parameter"),
        ({"bound": None}, "the bound is None; name one of infonce"),
        ({"optimizer": "adam"}, "give one of Optax"),
        ({"held_out": "a"}, "it is a share"),
        ({"seed": -1}, "the seed is -1"),
    ):
        critic = bad.pop("critic", BilinearCritic(2, 2))
        with pytest.raises(InputError, match=words):
            fit_critic(critic, x, y, **bad)
