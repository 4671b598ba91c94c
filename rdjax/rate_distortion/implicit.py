"""Derivatives of an optimal output law: the implicit function theorem on the fixed point of Blahut-Arimoto.

The optimal q solves F(q) = q (c(q) - 1) = 0, c_j = sum_x p_x K_xj / (K q)_x. With H = -dc/dq = A'A,
A_xj = sqrt(p_x) K_xj / (K q)_x, a change of source, distortion or slope that changes c by dc at fixed q moves q by

    dq = (diag(1 - c) + diag(q) H)^-1 q dc.

The rule is written in terms of the law that carries it, so it holds to every order. The value R + s D needs none of it
(envelope theorem); the law, D(s), R(s) and every second derivative do: the Hessian of the envelope form alone is
silently wrong. Where the optimal law is not unique (a straight piece of the curve) these derivatives do not exist, and
large numbers come out. In the probability of a symbol that has none they are one-sided: of the value -ln (K q)_x, and
where that is infinite or beyond the precision -ln of the least number there is. Source: theory notes, section 10.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from rdjax.rate_distortion.problem import HIGHEST, Problem, kernel_of, mixture, of_mixture, ratios, reachable
from rdjax.rate_distortion.solution import RateDistortion, certify

IN_FLIGHT = 2**21  # kernel entries that are certified together
AT_ONCE = 2**10  # kernel entries of the problems that a processor solves together


@jax.custom_jvp
def attach(problem: Problem, slope: jax.Array, law: jax.Array) -> jax.Array:
    """The same law [M], now carrying its derivative in source, distortion and slope (nats).

    The error of the derivative is of the order of the square root of the gap at which the law was found. One M x M
    solve when a derivative is asked for, nothing otherwise.
    """
    return law


@attach.defjvp
def _implicit(primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
    problem, slope, _ = primals
    law = attach(*primals)
    frozen = lambda problem, slope: ratios(kernel_of(problem.excess, slope), problem.source, law)
    ratio, change = jax.jvp(frozen, (problem, slope), tangents[:2])
    return law, jnp.linalg.solve(jacobian(problem, slope, law, ratio), law * change)


def jacobian(problem: Problem, slope: jax.Array, law: jax.Array, ratio: jax.Array) -> jax.Array:
    """diag(1 - c) + diag(q) H [M, M], what a change of the law does to -F."""
    kernel = kernel_of(problem.excess, slope)
    tilted = kernel * of_mixture(jnp.reciprocal, mixture(kernel, law), problem.source)[:, None]
    # of a symbol without mass it may be as large as there are numbers; what cuts it is nothing where its law has mass
    tilted = jnp.where(
        problem.source[:, None] > 0, tilted, jnp.minimum(tilted, float(jnp.finfo(law.dtype).tiny) ** -0.25)
    )
    # not A'A, A with the root of the source: that has no derivative where a probability is 0
    gram = jnp.matmul(tilted.T, problem.source[:, None] * tilted, precision=HIGHEST)
    matrix = law[:, None] * gram + jnp.diag(1 - ratio)
    # keeps a column that is neither used nor unused (q = 0, c = 1) finite
    ridge = lax.stop_gradient(jnp.finfo(law.dtype).eps * jnp.trace(jnp.abs(matrix)) / law.shape[0])
    return matrix + ridge * jnp.eye(law.shape[0], dtype=law.dtype)


class Found(NamedTuple):
    """A law [M] and its plain gap in nats; how many steps led there, and whether they were all that were allowed.

    Of several slopes, each with an axis [S] in front.
    """

    law: jax.Array
    gap: jax.Array
    steps: jax.Array
    exhausted: jax.Array


Finder = Callable[[Problem, jax.Array, float], Found]


def points_of(find: Finder, problem: Problem, slopes: jax.Array, tolerance: float) -> RateDistortion:
    """Points at slopes of any shape (nats), tolerance in nats: what every solver ends with.

    `find` takes a problem, slopes [S] and the plain gap to stop at, and gives what it found; it is not differentiated.
    """
    fixed, targets = lax.stop_gradient((problem, slopes.ravel()))
    enough = reachable(tolerance, problem)
    found = a_few_at_a_time(lambda one, at: find(one, at, enough), problem.excess.size)(fixed, targets)
    exhausted = (found.gap > enough) & found.exhausted
    result = certified(problem, slopes.ravel(), found.law, found.steps, exhausted, tolerance)
    return jax.tree.map(lambda x: x.reshape(slopes.shape + x.shape[1:]), result)


@partial(jax.custom_jvp, nondiff_argnums=(5,))
def certified(
    problem: Problem, slopes: jax.Array, laws: jax.Array, steps: jax.Array, exhausted: jax.Array, tolerance: float
) -> RateDistortion:
    """The points that laws [S, M] make at slopes [S] (nats), differentiable, each with its certificate.

    Values are computed a few slopes at a time. Derivatives take all slopes at once: inside a scan, reverse mode drops
    the rule of a custom derivative and second derivatives come out wrong (JAX before 0.12).
    """

    def point(one: tuple[jax.Array, ...]) -> RateDistortion:
        slope, law, taken, ran_out = one
        return certify(problem, slope, law, taken, ran_out, tolerance)

    batch = max(1, min(slopes.shape[0], IN_FLIGHT // problem.excess.size))
    return each(point, (slopes, laws, steps, exhausted), batch)


def a_few_at_a_time(find: Callable[..., Any], entries: int) -> Callable[..., Any]:
    """`find`, a function of arrays that closes over none, of which `jax.vmap` on a CPU takes few members at a time.

    A batch of loops goes on until its slowest member has ended, and its steps take kernels from memory that one member
    alone would have at hand: that pays on accelerators, and where a member has few `entries`. Where a process has
    several CPU devices, members may be shared out over them, and are a batch too. Nothing is differentiated through it,
    and it is nothing for inside a function with derivatives of its own: there the gradient of a batch of jitted
    functions cannot be lowered (JAX 0.10).
    """
    if not one_processor():
        return find
    found = jax.custom_batching.custom_vmap(find)
    few = max(1, AT_ONCE // entries)

    @found.def_vmap
    def batched(count: int, is_batched: tuple, *arguments: Any) -> tuple[Any, Any]:
        flat, tree = jax.tree.flatten(arguments)
        places = [place for place, yes in enumerate(jax.tree.leaves(is_batched)) if yes]

        def member(solve: Callable[..., Any], some: list[jax.Array]) -> Any:
            given = list(flat)
            for place, array in zip(places, some, strict=True):
                given[place] = array
            return solve(*jax.tree.unflatten(tree, given))

        members, together = [flat[place] for place in places], jax.vmap(partial(member, find))
        if not isinstance(count, int) or count <= few:  # of an exported function it may be a symbol
            result = together(members)
        elif few > 1:
            in_turn = partial(lax.map, partial(member, find), batch_size=few)
            result = lax.platform_dependent(members, cpu=in_turn, default=together)
        else:  # `found`: an outer batch is no batch either
            in_turn = partial(lax.map, partial(member, found))
            result = lax.platform_dependent(members, cpu=in_turn, default=together)
        return result, jax.tree.map(lambda _: True, result)

    return found


def one_processor() -> bool:
    """Whether this process has a single CPU device: the rule; more are asked for, to share out work."""
    try:
        return jax.device_count("cpu") == 1
    except RuntimeError:  # a process without any
        return False


def each(function: Callable[[Any], Any], items: Any, batch: int | None = None) -> Any:
    """`lax.map`; a single item is not wrapped in a loop, inside which the CPU runs elementwise work on one thread."""
    if jax.tree.leaves(items)[0].shape[0] == 1:
        return jax.tree.map(lambda x: x[None], function(jax.tree.map(lambda x: x[0], items)))
    return lax.map(function, items, batch_size=batch)


@certified.defjvp
def _smoothly(tolerance: float, primals: tuple, tangents: tuple) -> tuple[RateDistortion, RateDistortion]:
    _, _, laws, steps, exhausted = primals

    def points(problem: Problem, slopes: jax.Array) -> RateDistortion:
        def point(slope: jax.Array, law: jax.Array, taken: jax.Array, ran_out: jax.Array) -> RateDistortion:
            return certify(problem, slope, attach(problem, slope, law), taken, ran_out, tolerance)

        return jax.vmap(point)(slopes, laws, steps, exhausted)

    return jax.jvp(points, primals[:2], tangents[:2])
