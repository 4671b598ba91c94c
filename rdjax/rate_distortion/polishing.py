"""A law that is nearly optimal at a slope, made to meet a distortion: what a search for it ends with."""

import jax
import jax.numpy as jnp
from jax import lax

from rdjax.rate_distortion.problem import Problem, kernel_of, plain_gap, ratios
from rdjax.rate_distortion.solution import mean_excess

POLISHING = 10


def polish(
    problem: Problem, slope: jax.Array, law: jax.Array, goal: jax.Array, bracket: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    """Blahut-Arimoto steps on the slope that meets the goal at each: a law found at another slope suits this one.

    They may make it worse: two columns that are nearly equal part slowly, and where the curve is flat the slope runs.
    """

    def step(_: int, pair: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        slope, law = pair
        law = law * ratios(kernel_of(problem.excess, slope), problem.source, law)
        law = law / jnp.sum(law)
        return touch(slope, law), law

    def gap(slope: jax.Array, law: jax.Array) -> jax.Array:
        return plain_gap(law, ratios(kernel_of(problem.excess, slope), problem.source, law))

    touch = lambda slope, law: jnp.clip(_touch(problem, slope, law, goal), *bracket)
    plain = touch(slope, law), law
    polished = lax.fori_loop(0, POLISHING, step, plain)
    better = gap(*polished) < gap(*plain)
    return jax.tree.map(lambda new, old: jnp.where(better, new, old), polished, plain)


def _touch(problem: Problem, slope: jax.Array, law: jax.Array, goal: jax.Array) -> jax.Array:
    """The slope at which this law, which is nearly optimal, meets the goal to rounding: Newton steps, law fixed."""

    def step(_: int, slope: jax.Array) -> jax.Array:
        excess, fall = jax.jvp(lambda s: mean_excess(problem, s, law), (slope,), (jnp.ones_like(slope),))
        return slope - jnp.where(fall < 0, (excess - goal) / jnp.where(fall < 0, fall, 1), 0)

    return lax.fori_loop(0, 2, step, slope)
