"""Derivatives at a given distortion: the law and the slope move together.

    q (c(q, s) - 1) = 0    and    D(q, s) - D_min = excess

are differentiated as one system of M + 1 equations. On a straight piece of the curve the law alone is not determined by
the slope, but this system still is: there the slope stays and the law slides.
"""

import jax
import jax.numpy as jnp

from rdjax.rate_distortion.implicit import jacobian
from rdjax.rate_distortion.problem import Problem, kernel_of, ratios
from rdjax.rate_distortion.solution import mean_excess


@jax.custom_jvp
def attach_slope(problem: Problem, excess: jax.Array, slope: jax.Array, law: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The same slope (nats) and law [M], carrying their derivatives in source, distortion and the excess they meet.

    At slope 0, where the rate is 0 whatever the target, they do not move.
    """
    return slope, law


@attach_slope.defjvp
def _implicit(primals: tuple, tangents: tuple) -> tuple[tuple, tuple]:
    problem = primals[0]
    slope, law = attach_slope(*primals)
    ratio = lambda problem, slope: ratios(kernel_of(problem.excess, slope), problem.source, law)
    still = jnp.zeros_like(slope)
    level, pushed = jax.jvp(ratio, (problem, slope), (tangents[0], still))
    _, tilted = jax.jvp(lambda slope: ratio(problem, slope), (slope,), (jnp.ones_like(slope),))
    matrix = jacobian(problem, slope, law, level)
    by_law, by_slope = jax.grad(mean_excess, argnums=(2, 1))(problem, slope, law)
    _, shifted = jax.jvp(lambda problem: mean_excess(problem, slope, law), (problem,), tangents[:1])
    border = jnp.concatenate([matrix, -(law * tilted)[:, None]], axis=1)
    system = jnp.concatenate([border, jnp.append(by_law, by_slope)[None, :]], axis=0)
    moving = slope > 0
    system = jnp.where(moving, system, jnp.eye(law.shape[0] + 1, dtype=law.dtype))
    right = jnp.where(moving, jnp.append(law * pushed, tangents[1] - shifted), 0)
    change = jnp.linalg.solve(system, right)
    return (slope, law), (change[-1], change[:-1])
