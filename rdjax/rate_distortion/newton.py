"""The same problem by an interior point: about ten Newton steps where it converges (see `predictor_corrector`).

The optimum is that of  min_q -sum_x p_x ln(K q)_x + sum_j q_j,  q >= 0, with slacks z_j = 1 - c_j >= 0, q_j z_j = 0.
Its Gram matrix in the unknown dq / q is

    B'B,    B_xj = sqrt(p_x) W(j|x),    W(j|x) = K_xj q_j / (K q)_x,

with eigenvalues at most 1 whatever the slope. Source: Koenker and Mizera 2014; theory notes, section 10.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from rdjax import checks
from rdjax.rate_distortion.ascent import Ascent, ascend
from rdjax.rate_distortion.blahut import uniform, unless_its_own
from rdjax.rate_distortion.implicit import Found, each, points_of
from rdjax.rate_distortion.predictor_corrector import newton_steps
from rdjax.rate_distortion.problem import (
    HIGHEST,
    Problem,
    kernel_of,
    mixture,
    plain_gap,
    pose,
    ratios,
    slopes_in_nats,
    tolerance_in_nats,
)
from rdjax.rate_distortion.reductions import total
from rdjax.rate_distortion.solution import RateDistortion

USUAL = 1e-9  # bits of tolerance, in float64
MAX_STEPS = 40
SWEEPS = 60  # of Blahut-Arimoto first, or a third of the columns: a tenth of the time that the Newton steps take
WORTH_REDUCING = 192  # columns from which a smaller problem is tried first
WORTH_REDUCING_MORE = 512  # columns from which a still smaller one is
TOGETHER = 2**25  # kernel entries of the slopes that an accelerator solves together; it holds some six such arrays


def interior_point(
    source: ArrayLike,
    distortion: ArrayLike,
    slope: ArrayLike,
    *,
    tolerance: float | None = None,
    max_steps: int | None = None,
) -> RateDistortion:
    """The point of R(D) at a slope, by Newton steps: min over channels of I(X; J) + slope * E d(X, J).

    The source's own law, if symbols are their own best reproductions and that is enough; else some Blahut-Arimoto
    sweeps; then, on large problems, an interior point on the columns they favor, certified on all columns; then, where
    that does not certify, on all columns.

    Args:
      source: law p of the source [X]; zero probabilities are fine. Under jit, where it cannot be refused, what does not
        sum to 1 is normalized.
      distortion: [X, M], any finite numbers or +inf (forbidden); rectangular is fine.
      slope: s = -dR/dD, bits per unit of distortion, at least 0, any shape. At 0, where all laws are as good, the point
        is that of the law it starts from, with R = 0 and a distortion of D_max or more.
      tolerance: bits; it stops when the certified gap is below. None: 1e-9, in float32 1e-4.
      max_steps: Newton steps on all columns, 40 by default. Static, as the tolerance is.

    Returns:
      `RateDistortion`, fields the shape of `slope` (output [..., M]); `steps` counts Newton steps, 0 where the sweeps
      were enough. In float32 gaps below about 2e-5 cannot be certified, and `status` says so.

    Raises:
      InputError: as `blahut_arimoto`.

    Gradients: see `RateDistortion`. A step is one M x M product of X terms (X x X where X is much the smaller) and one
    Cholesky factor (`benchmarks/rate_distortion.py` has the times). Slopes, and under `jax.vmap` sources and matrices,
    are solved one after the other on a CPU, small ones a few at a time, as a batch waits for its slowest; on
    accelerators, and where a process has several CPU devices, as a batch, whose members may be sharded (axes of the
    mesh Auto). This is the solver to choose unless an M x M matrix does not fit.

    Rows on many devices: hand in source and distortion sharded over their first axis (`jax.device_put` with a
    `NamedSharding`; pad X with zero probabilities to a multiple of the devices) and they stay where they are. Each of P
    devices holds about four arrays [X / P, M] and four [M, M], does 1 / P of the products and all of the M^3 / 3 of the
    factor. What is sent is sums over devices: M numbers twice a sweep or step, M^2 more a Newton step (5/8 of it from
    512 columns). A device waits for the others at each of them, which one problem cut by rows cannot avoid; problems
    that fit a device are better shared out whole (`sweep`). `benchmarks/sharded_rows.py` has times and memory.
    Under `jit` the axes of the mesh must be Auto (`jax.make_mesh` makes Explicit ones unless told `axis_types`), or the
    call wrapped in `jax.sharding.auto_axes` within `jax.set_mesh`; outside either kind will do.
    """
    problem = pose(source, distortion)
    steps = checks.whole(MAX_STEPS if max_steps is None else max_steps, "max_steps")
    return points(
        problem, slopes_in_nats(slope, problem), tolerance_in_nats(tolerance, problem.source.dtype, USUAL), steps
    )


@partial(jax.jit, static_argnums=(2, 3))
def points(problem: Problem, slopes: jax.Array, tolerance: float, max_steps: int) -> RateDistortion:
    """Points at slopes of any shape (nats) for a posed problem; tolerance in nats."""

    def find(fixed: Problem, targets: jax.Array, enough: float) -> Found:
        in_turn = partial(each, partial(solve_law, fixed, enough=enough, max_steps=max_steps))
        if targets.size == 1:
            return in_turn(targets)
        # a CPU gains nothing from a batch, whose lanes wait for the slowest; an accelerator needs one to be busy
        together = partial(_together, fixed, enough=enough, max_steps=max_steps)
        return lax.platform_dependent(targets, cpu=in_turn, default=together)

    return points_of(find, problem, slopes, tolerance)


def _together(problem: Problem, slopes: jax.Array, enough: float, max_steps: int) -> Found:
    """As `solve_law` at slopes [S], as many at a time as fit: batched products and factors, on all columns."""

    def solve(slope: jax.Array) -> Found:
        kernel = kernel_of(problem.excess, slope)
        near = ascend(kernel, problem.source, uniform(problem), enough, max(SWEEPS, kernel.shape[1] // 3))
        return _improve(kernel, problem.source, _begun(near), enough, max_steps)

    return lax.map(solve, slopes, batch_size=max(1, min(slopes.shape[0], TOGETHER // problem.excess.size)))


def solve_law(problem: Problem, slope: jax.Array, enough: ArrayLike, max_steps: int) -> Found:
    """What is `Found` at one slope (nats), by Newton steps: exhausted if those on all columns were."""
    kernel = lax.optimization_barrier(kernel_of(problem.excess, slope))  # or its exponentials are taken anew per use
    return unless_its_own(kernel, problem, enough, lambda law: _searched(kernel, problem, law, enough, max_steps))


def _searched(kernel: jax.Array, problem: Problem, law: jax.Array, enough: ArrayLike, max_steps: int) -> Found:
    """Sweeps from a law; then the interior point on the columns that matter; then on all."""
    near = ascend(kernel, problem.source, law, enough, max(SWEEPS, kernel.shape[1] // 3))

    def improve(start: Found) -> Found:
        whole = lambda found: _improve(kernel, problem.source, start._replace(steps=found.steps), enough, max_steps)
        if kernel.shape[1] < WORTH_REDUCING:
            return whole(start)
        found = _reduced(kernel, problem.source, near, enough, max_steps, start)
        return lax.cond(found.gap > enough, whole, lambda found: found, found)

    return lax.cond(near.gap > enough, improve, lambda found: found, _begun(near))


def _begun(near: Ascent) -> Found:
    """A law of sweeps, which count for nothing."""
    none = jnp.zeros((), jnp.int32)
    return Found(near.law, near.gap, none, none > 0)


def _improve(kernel: jax.Array, source: jax.Array, found: Found, enough: ArrayLike, max_steps: int) -> Found:
    """The interior point from a law; the better of the two laws."""
    law, gap, steps, _ = found
    better, its_gap, taken = newton_steps(Mixture(kernel, source), law, enough, max_steps)
    law = jnp.where(its_gap < gap, better, law)
    return Found(law, jnp.minimum(gap, its_gap), steps + taken, taken >= max_steps)


def _reduced(
    kernel: jax.Array, source: jax.Array, near: Ascent, enough: ArrayLike, max_steps: int, start: Found
) -> Found:
    """The interior point on the columns that matter most, as few as hold the support, certified on all."""
    size = near.law.shape[0]
    tiers = (size // 8, size // 2) if size >= WORTH_REDUCING_MORE else (size // 2,)
    order = jnp.argsort(-near.law)
    needed = total(jnp.where(near.law > 1.0 / size, 1.0, 0.0))

    def on(columns: int, start: Found) -> Found:
        kept = order[:columns]
        part = kernel[:, kept]
        top = jnp.max(part, axis=1)  # rows are shifted anew, so that each has a 1 in it here too
        served = top > 1 / jnp.finfo(top.dtype).max
        smaller = Mixture(part / jnp.where(served, top, 1)[:, None], source)
        law, _, taken = newton_steps(smaller, near.law[kept], enough, max_steps)
        law = jnp.zeros_like(near.law).at[kept].set(law)
        gap = plain_gap(law, ratios(kernel, source, law))
        lost = total(jnp.where(served, 0, source))
        usable = (lost == 0) & (gap <= enough)
        law, gap = jnp.where(usable, law, start.law), jnp.where(usable, gap, start.gap)
        return start._replace(law=law, gap=gap, steps=taken)

    choice = sum(jnp.where(needed > columns, 1, 0) for columns in tiers)
    return lax.switch(choice, [*(partial(on, columns) for columns in tiers), lambda start: start], start)


class Mixture(NamedTuple):
    """-sum_x p_x ln(K q)_x + sum_j q_j of a row-shifted kernel [X, M] and a source [X]."""

    kernel: jax.Array
    source: jax.Array

    def look(self, q: jax.Array) -> tuple[jax.Array, jax.Array]:
        """c - 1, and sqrt(p_x) W(j|x)."""
        mix = mixture(self.kernel, q)
        ratio = jnp.matmul(self.source / mix, self.kernel, precision=HIGHEST)
        return ratio - 1, (jnp.sqrt(self.source) / mix)[:, None] * self.kernel * q[None, :]

    def gap(self, law: jax.Array) -> jax.Array:
        """See `plain_gap`."""
        return plain_gap(law, ratios(self.kernel, self.source, law))
