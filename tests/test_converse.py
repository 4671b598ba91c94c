"""Converses, each on 1,000 random instances: never above a code that exists, and reached in a case that is named."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from rdjax import limits
from rdjax.checks import InputError
from rdjax.information import unique_relevance
from rdjax.limits import ranking_range, ranking_rate
from tests import oracles

MANY = 1000
WORTH = [1 / np.arange(1.0, n + 1) for n in range(7)]
SKEWED = np.array([0.6, 0.2, 0.15, 0.05])


@pytest.fixture
def slack(precision):
    """Bits: in float32, ten roundings of an entropy of 5 bits, and of a distortion at a slope of 100."""
    return 1e-9 if precision == "float64" else 30 * 5 * float(np.finfo(np.float32).eps)


def h(p):
    return oracles.entropy_bits([p, 1 - p])


def shared(joint):
    """Mutual information of the last two axes in bits, times their mass, in NumPy."""
    total, rows, columns = (joint.sum(axis=axis, keepdims=True) for axis in ((-2, -1), -1, -2))
    logs = lambda x: np.log2(np.where(x > 0, x, 1))
    return (joint * (logs(joint) + logs(total) - logs(rows) - logs(columns))).sum(axis=(-2, -1))


def channels(prior, distortion, slope, sweeps=200):
    """Joint laws [B, X, M] of 1,000 codes near the optimum, by Blahut-Arimoto over all M reproductions.

    prior [B, X], distortion [B or 1, X, M], slope in nats [B]. Stopped early or not, each is a code.
    """
    kernel = np.exp(-slope[:, None, None] * distortion)
    law = np.full((len(prior), kernel.shape[2]), 1 / kernel.shape[2])
    for _ in range(sweeps):
        ratio = prior / (kernel @ law[:, :, None])[:, :, 0]
        law = law * (ratio[:, None] @ kernel)[:, 0]
    joint = kernel * law[:, None]
    return joint * (prior / joint.sum(axis=2))[:, :, None]


def laws(rng, size, count=MANY):
    """Random laws from nearly even to nearly one document."""
    draws = rng.gamma(rng.choice([0.3, 1.0, 5.0], (count, 1)), size=(count, size)) + 1e-9
    return draws / draws.sum(axis=1, keepdims=True)


# one document: Fano, Shannon, Recall@1


@jax.jit
@jax.vmap
def bracket(share, prior, worth):
    """At a share of the way from D_min to D_max: D, what Fano and Shannon say, R(D), and the threshold."""
    ends = ranking_range(prior, worth)
    d = ends.best + share * (ends.worst - ends.best)
    fano = limits.fano_bounds(d, prior, worth)
    edge, _ = limits.shannon_threshold(prior, worth)
    return d, fano.lower, limits.shannon_rate(d, prior, worth), ranking_rate(d, prior, worth), fano.upper, edge


def test_fano_and_shannon_enclose_the_exact_rate(rng, slack):
    worth = np.sort(rng.random((MANY, 5)), axis=1)[:, ::-1]
    worth[::2] = WORTH[5]
    d, low, shannon, exact, high, edge = map(np.asarray, bracket(rng.random(MANY), laws(rng, 5), worth))
    assert np.all(low <= shannon + slack)
    assert np.all(shannon <= exact + slack)
    assert np.all(exact <= high + slack)
    np.testing.assert_allclose(shannon[d <= edge], exact[d <= edge], atol=slack)
    above = d > edge + 0.02
    assert np.all(shannon[above] < exact[above])
    assert min(np.mean(d <= edge), np.mean(above)) > 0.1  # both kinds are among them
    assert np.mean(exact - low) < 0.5
    assert np.mean(high - exact) < 0.1


def test_fano_is_reached_at_both_ends_and_shannon_at_the_threshold(tolerance):
    for prior, law in ((SKEWED, SKEWED), (4, np.full(4, 0.25))):
        fano = limits.fano_bounds(np.array([0.0, 1 - law @ WORTH[4]]), prior)
        ends = [oracles.entropy_bits(law), 0]
        np.testing.assert_allclose([fano.lower, fano.upper], [ends, ends], rtol=tolerance, atol=10 * tolerance)
    edge, slope = limits.shannon_threshold(SKEWED)
    assert float(edge) == pytest.approx(0.1445, abs=5e-5)
    assert float(slope) * np.log(2) == pytest.approx(3.626, abs=5e-4)
    rates = limits.shannon_rate(np.array([0.17861, 0.12062, 0.00797]), SKEWED)
    np.testing.assert_allclose(rates, [0.211912, 0.509902, 1.408617], rtol=0, atol=4e-5)


def test_numbers_and_arrays_of_the_uniform_prior_agree(tolerance):
    """Also the two forms of weights, and D_max where the uniform prior's threshold is."""
    d, even = np.array([0.1, 0.3, 0.5]), np.full(5, 0.2)
    for one, other in ((5, WORTH[5]), (even, WORTH[5])):
        pair = limits.fano_bounds(d, one), limits.fano_bounds(d, even, other)
        np.testing.assert_allclose(pair[0].lower, pair[1].lower, atol=10 * tolerance)
        np.testing.assert_allclose(pair[0].upper, pair[1].upper, atol=10 * tolerance)
        np.testing.assert_allclose(limits.shannon_rate(d, one), ranking_rate(d, even, other), atol=30 * tolerance)
        edge, slope = limits.shannon_threshold(one, other)
        assert float(edge) == pytest.approx(1 - WORTH[5].mean(), rel=1e-6)
        assert float(slope) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(
    ("documents", "distortion", "excess"),
    [(3, 0.227, 0.361), (10, 0.42, 0.424), (100, None, 0.2205), (1000, None, 0.067)],
)
def test_the_repaired_typo_is_no_lower_bound(documents, distortion, excess):
    """Theory notes, section 1.3: H - h(D) - D log(N - 1) exceeds R by so much; our upper bound is below it."""
    worst = 1 - np.mean(1 / np.arange(1, documents + 1))
    at = np.linspace(0.01, worst * 0.999, 400) if distortion is None else np.array([distortion])
    repaired = np.log2(documents) - np.vectorize(h)(at) - at * np.log2(documents - 1)
    assert np.max(repaired - ranking_rate(at, documents)) == pytest.approx(excess, abs=6e-4)
    assert np.all(np.asarray(limits.fano_bounds(at, documents).upper) <= repaired + 1e-5)


def test_success_range_holds_and_is_reached(rng, tolerance):
    """1,000 laws of the rank, five of them sure, under random weights and under reciprocal rank."""
    n = 5
    rank_laws = np.concatenate([laws(rng, n, MANY - n), np.eye(n)])
    for worth in (WORTH[n], np.sort(rng.random(n))[::-1]):
        low, high = limits.success_range(1 - rank_laws @ worth, n, worth)
        assert np.all(rank_laws[:, 0] >= low - tolerance)
        assert np.all(rank_laws[:, 0] <= high + tolerance)
        edges = np.array([[0.6, 0.4, 0, 0, 0], [0.6, 0, 0, 0, 0.4]])  # a wrong document is second, or last
        low, high = limits.success_range(1 - edges @ worth, n, worth)
        np.testing.assert_allclose(np.diag([low, high]), 0.6, rtol=10 * tolerance)
    d = np.linspace(0, 0.8, 9)
    low, high = limits.success_range(d, n)  # as it is printed in the theory notes
    np.testing.assert_allclose(low, np.maximum(1 - 2 * d, 0), atol=tolerance)
    np.testing.assert_allclose(high, (n * (1 - d) - 1) / (n - 1), atol=tolerance)
    assert [float(x) for x in limits.success_range(0.0, n, np.ones(n))] == [0, 1]  # worth says nothing of the rank


# a query that only suggests its document


@jax.jit
@jax.vmap
def indirect(distortion, posteriors, source):
    eta = limits.dobrushin_coefficient(posteriors)
    contracted = limits.indirect_rate(distortion, posteriors, source=source, contraction=eta)
    return contracted, eta, limits.doeblin_coefficient(posteriors), ranking_rate(distortion, source @ posteriors)


def test_indirect_rate_is_below_every_channel(rng, slack, tolerance):
    queries, n = 6, 3
    posteriors, source = laws(rng, n, MANY * queries).reshape(MANY, queries, n), laws(rng, queries)
    per_ranking = 1 - np.einsum("bxy,ym->bxm", posteriors, 1 - oracles.permutation_distortions(n, WORTH[n]))
    code = channels(source, per_ranking, rng.uniform(0.5, 12, MANY))
    rate, distortion = shared(code), (code * per_ranking).sum(axis=(1, 2))
    bound, eta, doeblin, known = map(np.asarray, indirect(distortion, posteriors, source))
    assert np.all(bound <= rate + slack)
    assert np.all(bound >= known - slack)  # never worse than what Theorem B says of Y
    assert np.all(eta <= doeblin + tolerance)
    needed = rate > 0.05
    assert np.mean(bound[needed] / rate[needed]) > 0.3
    assert np.mean((bound - known)[needed]) > 0.01


def test_indirect_rate_where_it_is_known():
    """Y = y(X); and the notes' own case, .114 by Theorem B, .154 from both sides, 4.585 in truth."""
    rate = jax.jit(lambda d, posteriors, source: limits.indirect_rate(d, posteriors, source=source))
    worst, sure = 1 - SKEWED @ WORTH[4], np.tile(np.eye(4), (6, 1))
    found = rate(np.array([0.05, 0.15, worst, 0.5]), sure, np.append(SKEWED, np.zeros(20)))
    exact = [oracles.pooled_rate(d, SKEWED) for d in (0.05, 0.15)]
    np.testing.assert_allclose(found, [*exact, 0, 0], atol=1e-5)
    tilted = np.array([0.4, 0.3, 0.2, 0.1])
    posteriors = tilted[np.array(list(itertools.permutations(range(4))))]
    least, entropy = 1 - tilted @ WORTH[4], oracles.entropy_bits(tilted)
    assert 2 - entropy == pytest.approx(0.154, abs=5e-4)
    assert oracles.pooled_rate(least, np.full(4, 0.25)) == pytest.approx(0.114, abs=5e-4)
    found = rate(np.array([least, least - 1e-3, 1 - 25 / 48, 1.0]), posteriors, np.full(24, 1 / 24))
    np.testing.assert_allclose(found, [2 - entropy, np.inf, 0, 0], atol=1e-4)
    found = rate(np.array([least, least - 1e-3, 1 - 25 / 48, 1.0]), posteriors * (1 + 1e-6), np.full(24, 1 / 24))
    np.testing.assert_allclose(found, [2 - entropy, np.inf, 0, 0], atol=1e-4)  # D_min is that of the laws
    assert float(limits.dobrushin_coefficient(posteriors)) == pytest.approx(0.4)
    assert float(limits.doeblin_coefficient(posteriors)) == pytest.approx(0.6)


def test_rounding_over_a_small_contraction_is_no_floor(rng):
    """Of queries that are alike nothing is to be said: one list is the best there is, to an ulp or two."""
    worth = 1 / np.arange(1.0, 7.0)
    for law in rng.dirichlet(np.ones(6), 5):
        listed = 1 - np.sort(law)[::-1] @ worth
        rates = [limits.indirect_rate(listed, np.tile(law, (3, 1)), contraction=eta) for eta in (0.0, 1e-6)]
        np.testing.assert_array_equal(rates, 0)


def test_no_product_of_the_floors_is_of_three_digits(rng, dtype):
    """On accelerators a product is, unless it says otherwise."""
    rows = np.asarray(rng.dirichlet(np.ones(4), 3), dtype)
    for floor in (
        lambda rows: limits.indirect_rate(0.3, rows),
        lambda rows: limits.one_shot_distortion(2, rows[0]),
        lambda rows: limits.fano_bounds(0.3, rows[0]).upper,
    ):
        products = [line for line in str(jax.make_jaxpr(floor)(rows)).split(" = ") if "dot_general" in line]
        assert products
        assert all("HIGHEST" in line for line in products)


@pytest.mark.float64_only
def test_the_string_against_an_optimizer(rng):
    """max H(v) between two majorization orders and above a quality, by SciPy; the band binds in most of these."""
    n, binding = 6, 0
    both = jax.jit(lambda d, rows: (limits.indirect_rate(d, rows), ranking_rate(d, rows.mean(axis=0))))
    for _ in range(6):
        posteriors = laws(rng, n, 3)
        mean, best = np.sort(posteriors.mean(axis=0))[::-1], np.sort(posteriors, axis=1)[:, ::-1].mean(axis=0)
        quality = 0.1 * mean @ WORTH[n] + 0.9 * best @ WORTH[n]
        band = [
            {"type": "ineq", "fun": lambda v, j=j, sign=sign, law=law: sign * (v[:j].sum() - law[:j].sum())}
            for j in range(1, n)
            for sign, law in ((1, mean), (-1, best))
        ]
        total = {"type": "eq", "fun": lambda v: v.sum() - 1}
        good = {"type": "ineq", "fun": lambda v, q=quality: v @ WORTH[n] - q}
        negative = lambda v: (v * np.log2(np.maximum(v, 1e-300))).sum()
        settings = {"bounds": [(1e-12, 1)] * n, "method": "SLSQP", "tol": 1e-13, "options": {"maxiter": 500}}
        found = minimize(negative, 0.05 * mean + 0.95 * best, constraints=[*band, total, good], **settings)
        expected = oracles.entropy_bits(mean) + found.fun
        strung, known = both(1 - quality, posteriors)
        assert float(strung) == pytest.approx(expected, abs=1e-6)
        binding += expected > float(known) + 1e-6
    assert binding > 2


# several modalities, several targets


@jax.jit
@jax.vmap
def cut_sets(distortion, joint):
    return jnp.stack([limits.cut_set_rate(distortion, joint, senders) for senders in ((0,), (1,), (0, 1))])


def test_cut_sets_are_below_every_code_and_reached_by_independent_bits(rng, slack):
    """Random codes of two modalities for four documents, half by separate encoders; the decoder knows the posterior."""
    half, joint = MANY // 2, laws(rng, 16).reshape(MANY, 2, 2, 4)
    each = laws(rng, 2, 4 * half).reshape(2, half, 2, 2)
    joint[:2] = 0  # Y = (X_1, X_2), two fair bits ...
    joint[:2, [0, 0, 1, 1], [0, 1, 0, 1], range(4)] = 0.25
    each[0, :2], each[1, :2] = (np.stack([np.eye(2), [[0.89, 0.11], [0.11, 0.89]]]) for _ in range(2))  # ... sent so
    separate = np.einsum("bxi,bzj->bxzij", *each).reshape(half, 2, 2, 4)
    channel = np.concatenate([separate, laws(rng, 4, half * 4).reshape(half, 2, 2, 4)])
    posterior = np.einsum("bxzy,bxzc->bcy", joint, channel)
    distortion = 1 - (np.sort(posterior, axis=2)[:, :, ::-1] @ WORTH[4]).sum(axis=1)
    law = joint.sum(axis=3)[..., None] * channel
    spent = [shared(law.transpose(0, 2, 1, 3)).sum(axis=1), shared(law).sum(axis=1), shared(law.reshape(MANY, 4, 4))]
    floors = np.asarray(cut_sets(distortion, joint))
    assert np.all(floors <= np.stack(spent, axis=1) + slack)
    assert np.mean(floors > 0.01) > 0.02
    np.testing.assert_allclose(floors[0], [1, 1, 2], atol=slack)  # at D = 0 what only one of them knows
    np.testing.assert_allclose(floors[0, :2], unique_relevance(joint[0]), atol=slack)
    assert spent[2][1] == pytest.approx(1.0002, abs=5e-5)  # the notes' case: separate encoders lose a little
    assert floors[1, 2] == pytest.approx(0.9614, abs=5e-5)
    left = 2 - np.asarray(ranking_rate(distortion, 4))  # the notes' own form, with Theorem A's law, is weaker
    known = np.array([oracles.entropy_bits(row) for row in joint.sum(axis=(1, 2))])
    assert np.all(floors[:, 2] >= known - left - slack)


def pairs_of_rankings():
    """Distortion of each of two targets, three documents each: 9 pairs of documents by 36 pairs of rankings."""
    one = oracles.permutation_distortions(3, WORTH[3])
    first = np.broadcast_to(one[:, None, :, None], (3, 3, 6, 6)).reshape(9, 36)
    return np.stack([first, np.broadcast_to(one[None, :, None, :], (3, 3, 6, 6)).reshape(9, 36)])


def test_several_targets_are_below_every_channel(rng, slack):
    each, joint = pairs_of_rankings(), laws(rng, 9)
    joint[0] = (0.9 * np.eye(3) / 3 + 0.1 / 9).ravel()  # the notes' case of correlation .9, at a slope of 10
    prior = np.array([0.5, 0.3, 0.2])
    joint[1], joint[2] = np.outer(prior, prior).ravel(), np.diag(prior).ravel() + 1e-12
    price, slope = rng.uniform(0.2, 1, (MANY, 2)), rng.uniform(1, 12, MANY)
    price[0], slope[0] = 1, 10
    code = channels(joint, np.einsum("bt,txm->bxm", price, each), slope, 80)
    rate, distortions = shared(code), np.einsum("bxm,txm->bt", code, each)
    bound = np.asarray(jax.jit(jax.vmap(limits.several_targets_rate))(distortions, joint.reshape(-1, 3, 3)))
    assert np.all(bound <= rate + slack)
    assert np.mean((bound / rate)[rate > 0.1]) > 0.8
    assert rate[0] == pytest.approx(1.861, abs=1e-3)
    assert bound[0] == pytest.approx(rate[0], abs=1e-5)  # reached
    alone = [oracles.pooled_rate(d, np.full(3, 1 / 3)) for d in distortions[0]]
    assert sum(alone) == pytest.approx(3.026, abs=1e-3)  # without the total correlation it would not hold
    each = [[oracles.pooled_rate(d, prior) for d in distortions[row]] for row in (1, 2)]
    np.testing.assert_allclose(bound[1:3], [sum(each[0]), max(each[1])], atol=1e-6)  # nothing shared, all shared


def test_several_targets_are_the_best_set(rng, dtype, slack):
    """Theory notes, (M3), set by set; the sets of one target are Theorem B's rate itself."""
    joint = laws(rng, 2 * 3 * 2 * 4)[0].reshape(2, 3, 2, 4)
    joint[0, 1] = 0
    joint = np.asarray(joint / joint.sum(), dtype)
    distortions = np.array([0.02, 0.05, 0.03, 0.1], dtype)
    marginal = lambda kept: joint.sum(axis=tuple({0, 1, 2, 3} - set(kept)), dtype=np.float64)
    alone = [float(ranking_rate(d, marginal((m,)).astype(dtype))) for m, d in enumerate(distortions)]
    one = lambda m: oracles.entropy_bits(marginal((m,)))
    sets = [kept for size in range(1, 5) for kept in itertools.combinations(range(4), size)]
    floors = [sum(alone[m] - one(m) for m in kept) + oracles.entropy_bits(marginal(kept).ravel()) for kept in sets]
    assert len(sets[int(np.argmax(floors))]) > 1
    assert float(limits.several_targets_rate(distortions, joint)) == pytest.approx(max(floors), abs=slack)
    far = np.array([0.02, 2, 2, 2], dtype) / np.array([1, 2, 2, 2], dtype)
    assert float(limits.several_targets_rate(far, joint)) == pytest.approx(alone[0], abs=slack)


def test_several_targets_take_a_few_programs_whatever_their_number(rng, caplog):
    """63 sets of targets, whose marginals have 63 shapes; then other values, which need no program."""
    first, second = (row.reshape((2,) * 6) for row in laws(rng, 64)[:2])
    with jax.log_compiles(), caplog.at_level("WARNING"):
        jax.block_until_ready(limits.several_targets_rate(np.full(6, 0.1), first))
        made = [record.getMessage() for record in caplog.records if record.getMessage().startswith("Compiling")]
        caplog.clear()
        jax.block_until_ready(limits.several_targets_rate(np.full(6, 0.2), second))
    assert any("_marginals" in message for message in made)
    assert len(made) < 16
    assert not [record for record in caplog.records if "ompil" in record.getMessage()]


@pytest.mark.float64_only
def test_several_targets_have_the_gradient_of_their_law(rng):
    logits, move = rng.normal(size=(2, 2, 3, 2))
    rate = lambda t: limits.several_targets_rate(
        jnp.array([0.02, 0.05, 0.03]), jax.nn.softmax((logits + t * move).ravel()).reshape(2, 3, 2)
    )
    rate, slope = jax.jit(rate), jax.jit(jax.grad(rate))
    assert float(slope(0.0)) == pytest.approx(float(rate(1e-5) - rate(-1e-5)) / 2e-5, rel=1e-6)


def test_at_the_least_distortion_all_floors_have_one_derivative(dtype):
    """Where four equally likely documents are named, Shannon's bound is Theorem B, and so is its (large) slope."""
    at_best = lambda rate: float(jax.grad(lambda d: rate(d, 4))(jnp.zeros((), dtype)))
    assert at_best(limits.shannon_rate) == pytest.approx(at_best(ranking_rate), rel=1e-5)
    assert at_best(ranking_rate) < -100


def test_first_relevant_floor_is_below_every_channel(rng, slack):
    """Theory notes, section 1.7, once more: random sets of relevant documents among four, all 24 rankings."""
    sets = rng.random((MANY, 5, 4)) < 0.45
    np.put_along_axis(sets, rng.integers(0, 4, (MANY, 5, 1)), True, axis=2)
    ranks = np.array(list(itertools.permutations(range(4))))
    first = np.where(sets[:, :, None, :], ranks, 9).min(axis=-1)
    source, distortion = laws(rng, 5), 1 - WORTH[4][first]
    code = channels(source, distortion, rng.uniform(1, 9, MANY))
    wanted = (source[:, None] @ sets)[:, 0].clip(0, 1)
    reached = (code * distortion).sum(axis=(1, 2))
    floor = np.asarray(jax.jit(jax.vmap(limits.first_relevant_rate))(reached, wanted))
    assert np.all(floor <= shared(code) + slack)
    assert np.median(shared(code) - floor) < 0.05


@pytest.mark.float64_only
def test_many_distortions_of_a_long_prior_are_taken_in_batches():
    """As `BATCH` allows, not all side by side: no array of all distortions and all ranks is laid out."""
    n, many = 2**16, np.full(96, 0.3)
    prior = np.full(n, 1 / n)
    rates = {
        "Shannon": lambda d: limits.shannon_rate(d, prior),
        "indirect": lambda d: limits.indirect_rate(d, prior[None]),
        "first relevant": lambda d: limits.first_relevant_rate(d, prior),
    }
    for name, rate in rates.items():
        assert f"[96,{n}]" not in str(jax.make_jaxpr(rate)(many)), name


# derivatives, and what is refused


@pytest.mark.float64_only
def test_gradients_against_differences(rng):
    posteriors, step = laws(rng, 4, 3), 1e-6
    away = rng.standard_normal((3, 4))
    away -= away.mean(axis=1, keepdims=True)  # a direction in which rows stay laws
    least = 1 - float(np.mean(np.sort(posteriors, axis=1)[:, ::-1] @ WORTH[4]))
    worst = 1 - float(np.sort(posteriors.mean(axis=0))[::-1] @ WORTH[4])
    at = (least + worst) / 2
    line = {
        "indirect": lambda t: limits.indirect_rate(at + t, posteriors + t * away),
        "threshold": lambda t: limits.shannon_threshold(posteriors[0] + t * away[0])[1],
    }
    for name, function in line.items():
        both = jax.jit(jax.value_and_grad(function))
        difference = (float(both(step)[0]) - float(both(-step)[0])) / (2 * step)
        assert float(both(0.0)[1]) == pytest.approx(difference, rel=1e-4, abs=1e-6), name
        assert abs(difference) > 1e-3, name


@pytest.mark.float64_only
@pytest.mark.parametrize("prior", [1, np.ones(1)], ids=["uniform", "listed"])
def test_the_threshold_of_one_document(prior):
    assert tuple(map(float, limits.shannon_threshold(prior))) == (0, 0)


def test_shannons_bound_is_exact_nowhere_if_a_document_is_wanted_by_nobody(precision):
    assert tuple(map(float, limits.shannon_threshold(np.array([0.5, 0.5, 0], precision)))) == (-np.inf, np.inf)


@pytest.mark.float64_only
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: limits.fano_bounds(-0.1, 4), "outside"),
        (lambda: limits.fano_bounds(0.1, np.array([0.5, 0.6])), "sums to"),
        (lambda: limits.shannon_rate(0.0, 3, np.array([0.5, 0.4, 0.3])), "below 0.5"),
        (lambda: limits.success_range(0.1, 1), "at least 2"),
        (lambda: limits.success_range(0.1, 3, np.ones(2)), "weights have shape"),
        (lambda: limits.success_range(0.3, 3, np.array([0.2, 0.5, 1.0])), "the weights rise"),
        (lambda: limits.indirect_rate(0.1, np.eye(3), contraction=np.nan), "the contraction has an entry nan"),
        (lambda: limits.indirect_rate(0.1, np.eye(3), contraction=-0.1), "the contraction has an entry -0.1"),
        (lambda: limits.indirect_rate(0.1, np.ones(3)), "must be"),
        (lambda: limits.indirect_rate(0.1, np.eye(3), source=np.array([0.5, 0.5])), "for 3 queries"),
        (lambda: limits.cut_set_rate(0.1, np.full((2, 2), 0.25), (1,)), "modalities 0 to 0"),
        (lambda: limits.cut_set_rate(0.1, np.full((2, 2), 0.25), ()), "some of the modalities"),
        (lambda: limits.several_targets_rate(np.array([0.1]), np.full((2, 2), 0.25)), "for 2 targets"),
        (lambda: limits.several_targets_rate(np.array([0.1, 0.1]), np.full((2, 2), 0.3)), "sums to"),
    ],
)
def test_mistakes_get_one_sentence(call, words):
    with pytest.raises(InputError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
