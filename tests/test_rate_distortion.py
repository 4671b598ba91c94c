"""The solvers against NumPy in float64, their certificates against the truth, their derivatives against differences."""

import functools
import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rdjax.checks import InputError, assert_fixed_point
from rdjax.rate_distortion import (
    blahut,
    blahut_arimoto,
    curve,
    curves,
    interior_point,
    newton,
    predictor_corrector,
    rate_at,
    sources,
)
from rdjax.rate_distortion.problem import kernel_of, pose, ratios, reachable, slopes_in_nats
from tests.oracles import blahut_point

SOLVERS = {"blahut_arimoto": blahut_arimoto, "interior_point": interior_point}
TOLERANCES = {"blahut_arimoto": 1e-7, "interior_point": 1e-9}
SIZE = 12


@pytest.fixture(params=SOLVERS, ids=str)
def name_of_solver(request):
    return request.param


@pytest.fixture
def tolerance(name_of_solver, precision):
    """One for each solver and precision, so that each is compiled once a shape."""
    return TOLERANCES[name_of_solver] if precision == "float64" else 1e-4


@pytest.fixture
def solver(name_of_solver, tolerance):
    return functools.partial(SOLVERS[name_of_solver], tolerance=tolerance)


def problems():
    """name: source, distortion; all of one shape, so that each solver is compiled once."""
    rng = np.random.default_rng(7)
    points = np.linspace(-3, 3, SIZE)
    random = rng.random((SIZE, SIZE))
    forbidden = np.where(rng.random((SIZE, SIZE)) < 0.4, np.inf, random)
    np.fill_diagonal(forbidden, 0)
    gappy = rng.dirichlet(np.ones(SIZE)) * (np.arange(SIZE) % 3 > 0)
    bell = np.exp(-(points**2) / 2)
    return {
        "random": (rng.dirichlet(np.ones(SIZE)), random),
        "squared": (bell / bell.sum(), (points[:, None] - points[None]) ** 2),
        "hamming": (rng.dirichlet(np.ones(SIZE) / 3), 1 - np.eye(SIZE)),
        "forbidden": (rng.dirichlet(np.ones(SIZE)), forbidden),
        "zero probabilities": (gappy / gappy.sum(), random),
        "constant": (rng.dirichlet(np.ones(SIZE)), np.full((SIZE, SIZE), 0.3)),
        "two equal columns": (rng.dirichlet(np.ones(SIZE)), np.repeat(random[:, ::2], 2, axis=1)),
        "negative": (rng.dirichlet(np.ones(SIZE)), random - 5),
    }


PROBLEMS = problems()


def true_gap(source, distortion, slope, law):
    """Blahut's gap in bits at a law, NumPy float64."""
    source, law = np.asarray(source, np.float64), np.asarray(law, np.float64)
    law = law / law.sum()
    excess = np.asarray(distortion, np.float64)
    excess = excess - excess.min(axis=1, keepdims=True)
    kernel = np.where(np.isfinite(excess), np.exp2(-slope * np.where(np.isfinite(excess), excess, 0)), 0)
    seen = source > 0
    ratio = (source[seen] / (kernel[seen] @ law)) @ kernel[seen]
    return np.log2(ratio.max()) - (law * ratio) @ np.log2(np.maximum(ratio, 1e-300))


@functools.cache
def truth(name, slope):
    source, distortion = PROBLEMS[name]
    return blahut_point(source, np.where(np.isfinite(distortion), distortion, 1e4), slope * np.log(2))


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_point_is_the_optimum_and_the_gap_is_never_too_small(solver, tolerance, name, precision):
    source, distortion = PROBLEMS[name]
    for slope in (0.7, 4.0, 30.0):
        found = jax.device_get(solver(source, distortion, slope))
        rate, mean, gap = truth(name, slope)
        assert found.status == 0, found.message
        assert found.gap <= tolerance * (1 + 1e-6)
        assert true_gap(source, distortion, slope, found.output) <= found.gap
        room = float(found.gap) + gap + (1e-12 if precision == "float64" else 1e-5) * (1 + slope * abs(mean))
        assert abs(float(found.rate + slope * found.distortion) - (rate + slope * mean)) <= room
        assert abs(float(found.lagrangian) - (rate + slope * mean)) <= room


@pytest.mark.float64_only
def test_the_reference_case(solver, tolerance):
    """R + s D = 1.4792297134 bits, computed elsewhere."""
    found = solver(sources.random(64).law, sources.random(64).distortion, 5.0)
    assert float(found.lagrangian) == pytest.approx(1.4792297134, abs=tolerance)


@pytest.mark.parametrize("slope", [0.0, 1e4])
def test_slopes_at_both_ends(solver, slope):
    for name, (source, distortion) in PROBLEMS.items():
        found = solver(source, distortion, slope)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found)), name
        assert true_gap(source, distortion, slope, found.output) <= found.gap, name
        if slope == 0 and name != "forbidden":
            assert float(found.rate) == pytest.approx(0, abs=2e-4)
        if slope > 0:
            least = (source * distortion.min(axis=1)).sum()
            assert float(found.distortion) == pytest.approx(least, abs=1e-3)


def test_slope_zero_keeps_what_is_forbidden_forbidden(solver):
    """Two symbols, neither may stand for the other: one bit even where distortion costs nothing."""
    source, distortion = np.zeros(SIZE), np.full((SIZE, SIZE), np.inf)
    source[:2], distortion[0, 0], distortion[1, 1] = 0.5, 0.3, 0.1
    found = solver(source, distortion, 0.0)
    assert float(found.rate) == pytest.approx(1)
    assert float(found.distortion) == pytest.approx(0.2)


@pytest.mark.float64_only
@pytest.mark.parametrize("shape", [(1, 1), (3, 40)])
def test_rectangles(solver, shape, rng):
    source, distortion = rng.dirichlet(np.ones(shape[0])), rng.random(shape)
    found = solver(source, distortion, 6.0)
    rate, mean, gap = blahut_point(source, distortion, 6 * np.log(2))
    assert float(found.lagrangian) == pytest.approx(rate + 6 * mean, abs=float(found.gap) + gap + 1e-5)


def test_many_slopes_are_each_their_own_point(solver, tolerance):
    source, distortion = PROBLEMS["random"]
    slopes = np.array([[0.7, 4.0, 30.0], [8.0, 0.0, 2.0]])
    together = jax.device_get(solver(source, distortion, slopes))
    assert together.output.shape == (2, 3, SIZE)
    for place in np.ndindex(2, 3):
        alone = solver(source, distortion, slopes[place])
        assert float(together.lagrangian[place]) == pytest.approx(float(alone.lagrangian), abs=2 * tolerance)
        assert together.gap[place] <= tolerance * (1 + 1e-6)


def test_no_slopes_have_no_points():
    found = blahut_arimoto(*PROBLEMS["random"], np.zeros((2, 0)), tolerance=1e-4)
    assert found.rate.shape == (2, 0)
    assert found.output.shape == (2, 0, SIZE)
    assert "within the tolerance" in found.message  # of none


def test_lanes_take_the_next_slope_when_they_are_done(monkeypatch, precision):
    """More slopes than lanes: every slope is solved, and an easy one does not wait for a hard one."""
    monkeypatch.setattr(blahut, "IN_FLIGHT", 3 * SIZE * SIZE)
    problem = pose(*PROBLEMS["squared"])
    slopes = slopes_in_nats(np.array([0.7, 30.0, 4.0, 8.0, 2.0, 1.0, 0.1]), problem)
    enough = 1e-5 if precision == "float64" else 5e-5
    solve = jax.jit(lambda slopes: blahut._in_lanes(problem, slopes, enough, 5000))
    laws, gaps, steps, _ = jax.device_get(solve(slopes))
    assert (gaps <= enough).all()
    assert steps[1] < steps[2]
    for law, slope in zip(laws, np.asarray(slopes / problem.unit), strict=True):
        assert true_gap(*PROBLEMS["squared"], slope / np.log(2), law) <= 3 * enough / np.log(2)


@functools.cache
def batched(solver):
    """At slope 4, of laws [3, SIZE] and one distortion, traced."""
    tolerance = TOLERANCES[solver.__name__]
    return jax.jit(jax.vmap(lambda law, distortion: solver(law, distortion, 4.0, tolerance=tolerance), (0, None)))


@pytest.mark.float64_only
def test_a_batch_of_sources(solver, rng):
    distortion = PROBLEMS["random"][1]
    laws = rng.dirichlet(np.ones(SIZE), size=3)
    found = jax.device_get(batched(solver.func)(laws, distortion))
    for row, law in enumerate(laws):
        assert found.lagrangian[row] == pytest.approx(float(solver(law, distortion, 4.0).lagrangian), abs=2e-4)


def test_the_smaller_problem_is_certified_on_all_columns(monkeypatch, precision):
    """With few columns kept first: enough of them, too few, and where the first sweeps need no more."""
    monkeypatch.setattr(newton, "WORTH_REDUCING", 8)
    enough = 1e-9 if precision == "float64" else 5e-5
    solve = jax.jit(lambda problem, nats: newton.solve_law(problem, nats, enough, 40))
    for name, slope in (("squared", 1.0), ("squared", 2.0), ("random", 30.0), ("forbidden", 2.0)):
        problem = pose(*PROBLEMS[name])
        law, gap, *_ = jax.device_get(solve(problem, slopes_in_nats(slope, problem)))
        assert gap <= enough
        assert true_gap(*PROBLEMS[name], slope, law) <= 3 * enough


def test_steps_on_some_columns_are_none_of_those_on_all(monkeypatch):
    """30 of each, of 40 that are allowed, and then no gain: it is the precision that ran out, not the steps."""
    monkeypatch.setattr(newton, "WORTH_REDUCING", 8)
    idle = lambda objective, start, enough, max_steps: (start, jnp.full_like(start[0], jnp.inf), jnp.int32(30))
    monkeypatch.setattr(newton, "newton_steps", idle)
    problem = pose(*PROBLEMS["squared"])
    for most, exhausted in ((40, False), (30, True)):
        found = jax.jit(lambda slope, most=most: newton.solve_law(problem, slope, -1.0, most))(1.0)
        assert (found.steps, found.exhausted) == (60, exhausted)


@pytest.mark.parametrize("far", [0.0, 1e4])
def test_the_gap_holds_for_large_distortions(solver, precision, far):
    """Whose product with what the kernel adds to the slope is no rounding; and large ones of all reproductions."""
    scale = (1e12 if precision == "float32" else 1e147) if far == 0 else 1.0
    source, distortion = np.full(SIZE, 1 / SIZE), far + scale * (1 - np.eye(SIZE))
    found = jax.device_get(solver(source, distortion, 2 / np.log(2) / scale))
    wrong = (np.float64(found.distortion) - far) / scale
    rate = np.log2(SIZE) + wrong * np.log2(wrong / (SIZE - 1)) + (1 - wrong) * np.log2(1 - wrong)
    assert abs(found.rate - rate) <= found.gap
    assert found.gap < (1e-6 if precision == "float64" else 0.1)
    assert abs(found.rate + wrong * 2 / np.log(2) + far * found.slope - found.lagrangian) <= found.gap


def test_what_is_returned_is_a_fixed_point(solver):
    """|q c - q| is at most sqrt(2 gap) in sum (Pinsker), also under jit through chexify."""
    source, distortion = PROBLEMS["random"]
    problem = pose(source, distortion)
    found = solver(source, distortion, 8.0)
    slope = slopes_in_nats(8.0, problem)
    step = jax.jit(lambda law: law * ratios(kernel_of(problem.excess, slope), problem.source, law))
    room = float(np.sqrt(2 * float(found.gap) * np.log(2)))
    assert_fixed_point(step, found.output, room)
    checked = chex.chexify(jax.jit(lambda law: assert_fixed_point(step, law, room)), async_check=False)
    checked(found.output)
    with pytest.raises(AssertionError):
        checked(np.roll(found.output, 1))


def test_what_an_accelerator_runs_for_many_slopes_is_certified_too(precision):
    """Slopes solved as one batch, which a CPU does not choose by itself: the same laws to the gap."""
    enough = reachable(1e-9 if precision == "float64" else 1e-4, pose(*PROBLEMS["random"]))
    solve = jax.jit(lambda problem, slopes: newton._together(problem, slopes, enough, 40))
    for name in ("random", "squared"):
        problem = pose(*PROBLEMS[name])
        slopes = slopes_in_nats(np.array([0.0, 0.5, 4.0, 300.0]), problem)
        laws, gaps, steps, _ = jax.device_get(solve(problem, slopes))
        assert (gaps <= enough).all()
        assert steps.max() <= 40
        for slope, law in zip(np.asarray(slopes / problem.unit), laws, strict=True):
            assert true_gap(*PROBLEMS[name], slope / np.log(2), law) <= 2 * enough / np.log(2)


def test_without_a_tolerance_it_is_one_that_the_precision_can_certify(precision):
    source, distortion = PROBLEMS["squared"]
    slopes = np.array([0.5, 4.0, 30.0])
    for solve, at, usual in ((blahut_arimoto, slopes[2:], 1e-6), (curve, slopes, 1e-9), (rate_at, [0.4, 0.1], 1e-9)):
        found = jax.device_get(solve(source, distortion, at))
        assert (found.status == 0).all(), found.message
        assert (found.gap <= (usual if precision == "float64" else 1e-4)).all()


def test_a_message_says_which_points_it_is_about():
    found = blahut_arimoto(*PROBLEMS["squared"], np.array([[0.0, 0.0, 4.0], [0.0, 2.0, 0.0]]), max_steps=3)
    assert found.message.startswith("2 of 6 points, the first of them at [0, 2]: the steps ran out")


def test_steps_that_run_out_say_so():
    found = blahut_arimoto(*PROBLEMS["squared"], 4.0, tolerance=1e-4, max_steps=3)
    assert 3 <= found.steps <= 5  # a cycle that has begun is ended
    assert "steps ran out" in found.message
    assert true_gap(*PROBLEMS["squared"], 4.0, found.output) <= found.gap


@pytest.mark.float64_only  # what is handed in is float32
def test_a_tolerance_that_float32_cannot_certify_is_not_claimed(solver):
    source, distortion = (np.asarray(x, np.float32) for x in PROBLEMS["random"])
    found = jax.device_get(solver(source, distortion, np.float32(4), tolerance=1e-9))
    assert found.gap > 1e-9
    assert "precision" in found.message
    assert true_gap(source, distortion, 4.0, found.output) <= found.gap


@pytest.mark.float64_only
def test_bad_input_gets_a_sentence(solver):
    source, distortion = PROBLEMS["random"]
    lost = np.array(distortion)
    lost[3] = np.inf
    nan = np.array(distortion)
    nan[2, 5] = np.nan
    for arguments, words in [
        ((source, lost, 1.0), "every distortion in row 3 is infinite"),
        ((source, nan, 1.0), "nan in row 2, column 5"),
        ((source[:-1], distortion, 1.0), "the source has shape"),
        ((source * 2, distortion, 1.0), "the source sums to 2"),
        ((source, distortion, -1.0), "a slope is negative"),
        ((source.astype(np.float32), np.asarray(distortion, np.float32), 1e39), "a slope is negative, infinite"),
        ((source, distortion[0], 1.0), r"must be \[X, M\]"),
    ]:
        with pytest.raises(InputError, match=words):
            solver(*arguments)
    with pytest.raises(InputError, match="tolerance"):
        solver(source, distortion, 1.0, tolerance=0)
    solve = batched(solver.func)
    traced = jax.device_get(solve(np.tile(source, (3, 1)), lost))
    assert (traced.rate == np.inf).all()
    assert (traced.lower == np.inf).all()  # not inf less inf
    assert "no code can serve it" in traced.message
    traced = jax.device_get(solve(np.tile(source, (3, 1)), nan))
    assert np.isnan(traced.rate).all()
    assert "holds NaN" in traced.message


@pytest.mark.float64_only
def test_a_nan_in_a_long_row_is_found():
    """The minimum that XLA takes of a long row on a CPU drops it."""
    rng = np.random.default_rng(0)
    distortion = rng.random((300, 500))
    distortion[17, 3] = np.nan
    with pytest.raises(InputError, match="nan in row 17, column 3"):
        pose(np.full(300, 1 / 300), distortion)


@pytest.mark.float64_only
def test_a_negative_slope_that_is_traced_has_a_status():
    source, distortion = PROBLEMS["random"]
    found = jax.jit(lambda slope: blahut_arimoto(source, distortion, slope, max_steps=5))(np.array([-1.0, 1.0]))
    assert list(found.status == 4) == [True, False]
    assert "slope is negative" in found.message


def with_both_orders(function):
    """t -> value, Jacobian in reverse mode, and its own in forward mode: one program."""
    first = jax.jacrev(lambda t: (function(t),) * 2, has_aux=True)
    second = jax.jacfwd(lambda t: (first(t),) * 2, has_aux=True)

    @jax.jit
    def orders(t):
        (bent, _), (gradient, value) = second(t)
        return value, gradient, bent

    return lambda t: jax.device_get(orders(t))


@pytest.mark.float64_only
def test_derivatives_of_both_orders(solver):
    """Source, distortion and slope moved; reverse, then forward over reverse; against central differences."""
    source, distortion = PROBLEMS["squared"]
    rng = np.random.default_rng(1)
    tilt, shake = rng.standard_normal(SIZE), rng.standard_normal((SIZE, SIZE)) / 10

    @with_both_orders
    def fields(t):
        law = source * jnp.exp(t[0] * tilt)
        found = solver(law / law.sum(), distortion + t[1] * shake, 9 + t[2], tolerance=1e-13, max_steps=100_000)
        return jnp.stack([found.rate, found.distortion, found.lagrangian, found.output[SIZE // 2]])

    h = 1e-4
    here, first, second = fields(np.zeros(3))
    for i, step in enumerate(h * np.eye(3)):
        up, down = fields(step)[0], fields(-step)[0]
        chex.assert_trees_all_close(first[:, i], (up - down) / (2 * h), rtol=1e-5, atol=1e-6)
        chex.assert_trees_all_close(second[:, i, i], (up - 2 * here + down) / h**2, rtol=1e-3, atol=1e-3)


@pytest.mark.float64_only
def test_derivatives_in_a_source_with_a_symbol_of_probability_zero():
    """Hamming at five bits: dL is that of -sum p log2 (K q) at fixed q, and R = h(p) - h(D) along the other two."""
    source, ways = jnp.array([0.5, 0.5, 0.0]), jnp.array([[1.0, -1.0, 0.0], [-0.5, -0.5, 1.0]])

    @with_both_orders
    def fields(t):
        found = interior_point(source + t @ ways, 1 - np.eye(3), 5.0, tolerance=1e-12)
        return jnp.stack([found.rate, found.lagrangian])

    _, first, second = fields(np.zeros(2))
    assert first[1, 1] == pytest.approx(5 + np.log2((1 + 2**-5) / 2), rel=1e-6)
    assert second[0, 0, 0] == pytest.approx(-4 / np.log(2), rel=1e-5)


@pytest.mark.float64_only
def test_second_derivatives_of_a_batch_of_slopes():
    """Where JAX loses custom rules inside a scan: the derivative of D(s) is the second derivative of the value."""
    source, distortion = PROBLEMS["squared"]
    slopes = jnp.array([5.0, 9.0])
    value = lambda s: jnp.sum(interior_point(source, distortion, s, tolerance=1e-12).lagrangian)
    mean = lambda s: jnp.sum(interior_point(source, distortion, s, tolerance=1e-12).distortion)
    bent, moved = jax.jit(lambda s: (jnp.diag(jax.hessian(value)(s)), jax.grad(mean)(s)))(slopes)
    chex.assert_trees_all_close(bent, moved, rtol=1e-5)


@pytest.mark.float64_only
def test_second_derivatives_in_a_loop_go_forward_twice():
    """As `RateDistortion` says. By reverse mode JAX before 0.12 loses custom rules there."""
    source, distortion = PROBLEMS["squared"]
    value = lambda s: interior_point(source, distortion, s, tolerance=1e-12).lagrangian
    looped = lambda s: jnp.sum(jax.lax.map(value, s))
    bends = jax.jit(
        lambda s: [jnp.diag(bend(looped)(s)) for bend in (lambda f: jax.jacfwd(jax.jacfwd(f)), jax.hessian)]
    )
    slopes, h = jnp.array([5.0, 9.0]), 1e-3
    forward, reverse = bends(slopes)
    up, here, down = value(jnp.stack([slopes + h, slopes, slopes - h]))
    chex.assert_trees_all_close(forward, (up - 2 * here + down) / h**2, rtol=1e-3)
    if jax.__version_info__ < (0, 12):
        assert np.max(np.abs(reverse / forward - 1)) > 0.01
    else:
        chex.assert_trees_all_close(reverse, forward, rtol=1e-6)


def test_a_curve_is_convex_and_its_floor_below(precision):
    tolerance = 1e-9 if precision == "float64" else 1e-4
    slopes = np.array([[0.5, 1.0, 2.0], [4.0, 8.0, 16.0]])
    points = curve(*PROBLEMS["squared"], slopes, tolerance=tolerance)
    assert (np.asarray(points.lower) <= points.rate).all()
    points = list(zip(*map(np.ravel, (slopes, points.rate, points.distortion)), strict=True))
    assert (np.diff(points, axis=0)[:, 2] <= 0).all()
    for slope, rate, distortion in points:
        assert all(other >= rate + slope * (distortion - d) - 2 * tolerance for _, other, d in points)


@pytest.mark.parametrize("name", ["random", "squared", "zero probabilities", "forbidden"])
def test_the_rate_at_a_distortion_inverts_the_curve(name, precision):
    source, distortion = PROBLEMS[name]
    tolerance = 1e-9 if precision == "float64" else 1e-4
    points = jax.device_get(curve(source, distortion, np.array([[3.0, 6.0, 12.0]] * 2), tolerance=tolerance))
    found = jax.device_get(rate_at(source, distortion, points.distortion[0], tolerance=tolerance))
    assert (found.status == 0).all(), found.message
    chex.assert_trees_all_close(found.distortion, points.distortion[0], atol=1e-9 if precision == "float64" else 1e-5)
    chex.assert_trees_all_close(found.rate, points.rate[0], atol=4 * tolerance)


def test_the_ends_of_the_curve(precision):
    source, distortion = PROBLEMS["hamming"]
    tolerance = 1e-9 if precision == "float64" else 1e-4
    worst = 1 - source.max()
    found = rate_at(source, distortion, np.array([0.0, worst, 2.0]), tolerance=tolerance)
    entropy = -(source * np.log2(source)).sum()
    chex.assert_trees_all_close(np.asarray(found.rate, np.float64), np.array([entropy, 0, 0]), atol=1e-4)
    chex.assert_trees_all_close(np.asarray(found.distortion, np.float64), np.array([0, worst, worst]), atol=1e-6)
    with pytest.raises(InputError, match="the least any code can have"):
        rate_at(source, distortion, -0.1)
    problem = pose(source, distortion)  # and as under jit, where nothing is refused
    goals = jnp.asarray(np.array([-0.1, 0.0, worst]), problem.source.dtype)
    found = curves._rates(problem, goals, None, tolerance * np.log(2))
    np.testing.assert_array_equal(found.status, [3, 0, 0])
    np.testing.assert_allclose(found.rate, [np.inf, entropy, 0], atol=1e-4)
    assert "below the least" in found.message
    own = np.where(distortion > 0, np.inf, 0)  # no reproduction suits all: then any target has the limit of slope 0
    found = rate_at(source, own, np.array([0.0, 5.0, np.inf]), tolerance=tolerance)
    np.testing.assert_allclose(found.rate, entropy, atol=1e-4)
    np.testing.assert_array_equal(found.distortion, 0)


def test_a_distortion_just_below_the_least_is_told_from_it(precision):
    """The least that the sentence names is taken."""
    least = 0.0165394
    matrix = np.array([[least, 1.0], [1.0, least]])
    with pytest.raises(InputError, match="is below the least any code can have; ask for at least") as caught:
        rate_at([0.5, 0.5], matrix, least - 1e-5 if precision == "float32" else least - 1e-9)
    given, named = (float(number.rstrip(".")) for number in re.findall(r"0\.\d+", str(caught.value)))
    assert given < named == pytest.approx(least, rel=1e-6)
    assert rate_at([0.5, 0.5], matrix, named, tolerance=1e-4).rate == pytest.approx(1, abs=1e-3)


@pytest.mark.float64_only
@pytest.mark.parametrize(
    ("target", "held"), [("x", "<U1"), ("0.1", "<U3"), (None, "object"), ([[1], [1, 2]], "object"), (1j, "complex128")]
)
def test_a_target_that_is_no_number_is_refused(target, held):
    words = f"the target distortion holds {held} values; it must hold numbers."
    with pytest.raises(InputError, match=re.escape(words)):
        rate_at([0.5, 0.5], np.eye(2), target)
    with pytest.raises(InputError, match=re.escape(words)):  # also where the problem is traced
        jax.jit(lambda source: rate_at(source, np.eye(2), target).rate)(np.array([0.5, 0.5]))


@pytest.mark.float64_only  # what is handed in is float32
def test_the_slope_at_the_least_distortion_is_a_number():
    """Minus infinity in truth."""
    source, distortion = np.full(2, 0.5, np.float32), 1 - np.eye(2, dtype=np.float32)
    steepest = jax.grad(lambda target: rate_at(source, distortion, target, tolerance=1e-4).rate)(np.float32(0))
    assert -200 < steepest < -50


@pytest.mark.float64_only
def test_a_straight_piece():
    """Erasure: R = 1 - D, one slope for the whole curve, and the derivatives of the law along it."""
    source, distortion = np.array([0.5, 0.5]), np.array([[0, np.inf, 1], [np.inf, 0, 1]])
    tolerance = 1e-9

    def at(target):
        found = rate_at(source, distortion, target, tolerance=tolerance)
        return jnp.concatenate([jnp.stack([found.rate, found.distortion, found.slope]), found.output])

    both = jax.jit(jax.jacfwd(lambda target: (at(target),) * 2, has_aux=True))
    for target in (0.1, 0.5, 0.9):
        change, value = jax.device_get(both(target))
        assert float(value[0]) == pytest.approx(1 - target, abs=4 * tolerance)
        assert float(value[1]) == pytest.approx(target, abs=1e-5)
        np.testing.assert_allclose(change, [-1.0, 1.0, 0.0, -0.5, -0.5, 1.0], rtol=0, atol=1e-6)


@pytest.mark.float64_only
def test_derivatives_at_a_distortion():
    source, distortion = PROBLEMS["squared"]
    shake = np.random.default_rng(3).standard_normal((SIZE, SIZE)) / 10

    @with_both_orders
    def rate(t):
        return rate_at(source, distortion + t[1] * shake, t[0], tolerance=1e-12).rate

    at, h = np.array([0.3, 0.0]), 1e-4
    here, gradient, hessian = rate(at)
    for i, step in enumerate(h * np.eye(2)):
        up, down = rate(at + step)[0], rate(at - step)[0]
        assert gradient[i] == pytest.approx((up - down) / (2 * h), rel=1e-5)
        assert hessian[i, i] == pytest.approx((up - 2 * here + down) / h**2, rel=1e-3)


@pytest.mark.float64_only
def test_the_source_alone_may_be_traced():
    """With distortion and target concrete, and no jit, as a notebook does it."""
    source, distortion = PROBLEMS["squared"]
    way, h = np.cos(np.arange(SIZE)), 1e-4
    way -= source @ way  # the source stays a law
    rate = lambda t: rate_at(source * (1 + t * way), distortion, 0.3, tolerance=1e-12).rate
    both = jax.value_and_grad(rate)
    (up, _), (down, _), (_, slope) = both(h), both(-h), both(0.0)
    assert float(slope) == pytest.approx((float(up) - float(down)) / (2 * h), rel=1e-5)


def test_half_of_a_symmetric_product_is_enough_for_its_factor(rng, dtype):
    """Above `WORTH_SPLITTING` columns blocks above the diagonal are left out: the lower half must be all there."""
    matrix, diagonal = rng.standard_normal((8, 515)), 1 + rng.random(515)  # 515: blocks of unequal width
    half = np.asarray(jax.jit(predictor_corrector._lower_half)(matrix.astype(dtype), diagonal.astype(dtype)))
    whole = matrix.T @ matrix + np.diag(diagonal)
    close = 1e-12 if dtype == np.float64 else 1e-4
    np.testing.assert_allclose(np.tril(half), np.tril(whole), rtol=close, atol=close)
    assert (half[:100, 400:] == 0).all()  # it did leave some out


@pytest.mark.float64_only
def test_a_transposed_matrix_is_told():
    source, distortion = np.full(3, 1 / 3), np.ones((3, 5))
    with pytest.raises(InputError, match="its rows are source symbols, so transpose it"):
        interior_point(source, distortion.T, 1.0)


# rows far from 0, on both sides of it

FAR = [
    ([1 / 3, 2 / 3], [[2e8, 2e8 + 16], [-1e8 + 16, -1e8]], 0.25),
    ([0.4, 0.6], [[3000, 3001], [-1999, -2000]], 4.0),
    ([0.5, 0.5], [[1e8, 1e8 + 1], [-1e8 + 1, -1e8]], 5.0),
]


@pytest.mark.parametrize("on_the_host", [True, False])
@pytest.mark.parametrize(("source", "distortion", "slope"), FAR)
def test_certificates_count_what_rounds_rows_that_cancel(source, distortion, slope, on_the_host, precision):
    """The mean of the least distortions is near 0, its terms are not: where the distortion is, decides R there."""
    rows, law = np.array(distortion), np.array(source, precision)
    kept = rows if on_the_host else jnp.asarray(rows, precision)
    found = interior_point(law, kept, slope)
    with jax.enable_x64(True):
        rows, law = np.asarray(kept, np.float64), np.asarray(law, np.float64)
        law /= law.sum()
        least = rows.min(axis=1)
        place = max(float(found.distortion) - float(law @ least), 0)
        exact = rate_at(law, rows - least[:, None], place, tolerance=1e-9)
        at_slope = interior_point(law, rows - least[:, None], slope)
        lagrangian = float(at_slope.lagrangian) + slope * float(law @ least)
    assert float(found.rate) - float(found.gap) <= float(exact.rate) + 1e-9
    assert float(found.rate) >= float(exact.rate) - float(found.gap) - 1e-9
    assert float(found.lagrangian) - float(found.gap) <= lagrangian + 1e-9


def test_digits_of_float64_on_the_host_are_not_lost_where_float32_is_all_there_is():
    with jax.enable_x64(False):
        found = interior_point([0.5, 0.5], np.array([[1e8, 1e8 + 1], [-1e8 + 1, -1e8]]), 5.0)
        assert float(found.rate) == pytest.approx(1 - 0.1959, abs=1e-3)  # 1 - h(1 / 33)
        with pytest.raises(InputError, match="beyond float32; scale it down"):
            interior_point([0.5, 0.5], 1e39 * (1 - np.eye(2)), 0.0)


def test_the_least_distortion_is_a_target_where_rows_cancel(precision):
    source, rows = np.array([0.4, 0.6]), np.array([[3000.7, 3001.7], [-1999.3, -2000.3]])
    found = rate_at(source, rows, source @ rows.min(axis=1))
    assert float(found.rate) == pytest.approx(0.97095, abs=max(float(found.gap), 1e-5))
    assert np.isfinite(jax.jit(rate_at)(source.astype(precision), jnp.asarray(rows, precision), 0.1).rate)


def test_no_rate_is_minus_nothing(precision):
    for found in (interior_point(np.ones(1, precision), np.full((1, 1), 0.3), 2.0), rate_at([1.0], [[0.3]], 0.3)):
        assert str(float(found.rate)) == "0.0"


def test_whole_numbers_beyond_32_bits_are_numbers():
    assert float(interior_point([0.5, 0.5], [[0, 10**10], [10**10, 0]], 1e-8).rate) > 0.99


def test_bfloat16_is_taken_inside_jit_and_out(precision):
    rows = jnp.asarray([[0, 1], [1, 0]], jnp.bfloat16)
    source = jnp.asarray([0.5, 0.5], jnp.bfloat16)
    inside, outside = jax.jit(interior_point)(source, rows, 2.0), interior_point(source, rows, 2.0)
    np.testing.assert_allclose(float(inside.rate), float(outside.rate), rtol=1e-6)
