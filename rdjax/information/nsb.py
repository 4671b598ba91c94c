"""The entropy of a histogram under the prior of Nemenman, Shafee and Bialek, by a quadrature of fixed size.

A Dirichlet prior of concentration beta on K symbols is almost sure of the entropy before a sample is seen: it expects
xi(beta) = psi(K beta + 1) - psi(beta + 1) nats. NSB mixes over beta so that xi is uniform on [0, ln K], and reports

    E[H | n] = integral of E[H | n, beta] p(n | beta) dxi(beta) / integral of p(n | beta) dxi(beta),

with E[H | n, beta] in closed form (Wolpert and Wolf 1995). The integral is taken over u = ln beta. There the integrand
is analytic in the strip |Im u| < pi and falls exponentially at both ends, so that equal steps converge exponentially
once they resolve its peak. Its support (what is within 1 - ln eps nats of the peak, for numbers of precision eps) is
found by zooming in on a grid, and u = center + width sinh t puts the nodes where the peak is and still reaches the
tails. Everything is in logarithms and in differences of log-gamma that do not cancel: no counts or alphabet overflow.
Against 40 digits the quadrature is off by less than 1e-12 bits in float64 (from one observation among 1e9 symbols to
1e9 observations).

Source: Nemenman, Shafee, Bialek, Entropy and inference, revisited, NIPS 2001; Wolpert and Wolf, Phys. Rev. E 52, 1995.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

NODES = 128
_GRID, _ROUNDS = 24, 8
_BLOCK = 2**18  # numbers, nodes by symbols
_SHIFT = 7  # arguments are raised to at least this before an asymptotic series
#: B_2k / (2k (2k - 1)), of ln Gamma(x) - (x - 1/2) ln x + x - ln(2 pi) / 2 in odd powers of 1 / x
_LOG_GAMMA = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156, -3617 / 122400)
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)
_DIGAMMA = tuple(b / (2 * k) for k, b in enumerate(_BERNOULLI, 1))


def posterior_moments(counts: jax.Array, symbols: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean (nats) and standard deviation (nats) of the entropy given a histogram.

    Args:
      counts: [S], whole numbers as floats, not all 0; a zero is a symbol that was not seen, or padding.
      symbols: K >= 1 as a float, at least the number of counts above 0.

    Returns:
      two scalars; ln 1 = 0 and 0 where K is 1.
    """
    size = jnp.maximum(symbols, 2.0)  # a single symbol has no prior to mix over; it is set apart below
    low, high, center, width = _support(counts, size)
    start, end = jnp.arcsinh((low - center) / width), jnp.arcsinh((high - center) / width)
    nodes = start + (end - start) * jnp.linspace(0.0, 1.0, NODES, dtype=counts.dtype)
    grid = center + width * jnp.sinh(nodes)
    log_weight = _over_nodes(_log_weight, grid, counts, size)
    mean, variance = _over_nodes(_given_beta, grid, counts, size)
    weight = jnp.exp(log_weight - jnp.max(log_weight)) * jnp.cosh(nodes)
    weight = weight / jnp.sum(weight)
    first = jnp.sum(weight * mean)
    spread = jnp.sum(weight * (variance + (mean - first) ** 2))
    several = symbols > 1
    return jnp.where(several, first, 0.0), jnp.where(several, jnp.sqrt(jnp.maximum(spread, 0.0)), 0.0)


def _support(counts: jax.Array, size: jax.Array) -> tuple[jax.Array, ...]:
    """Ends of the integrand's support in ln beta, and the mean and deviation it has there."""
    drop = 1 - math.log(jnp.finfo(counts.dtype).eps)
    steps = jnp.linspace(0.0, 1.0, _GRID, dtype=counts.dtype)

    def zoom(state: tuple) -> tuple:
        low, high, *_, rounds = state
        grid = low + (high - low) * steps
        value = _over_nodes(_log_weight, grid, counts, size)
        inside = value > jnp.max(value) - drop
        first = jnp.maximum(jnp.argmax(inside) - 1, 0)
        last = _GRID - 1 - jnp.maximum(jnp.argmax(inside[::-1]) - 1, 0)
        weight = jnp.exp(value - jnp.max(value))
        weight = weight / jnp.sum(weight)
        center = jnp.sum(weight * grid)
        width = 2 * jnp.sqrt(jnp.sum(weight * (grid - center) ** 2))
        narrowed = last - first < 0.6 * _GRID
        return grid[first], grid[last], center, width, narrowed, rounds + 1

    # the prior falls as beta below 1 / K, and as 1 / beta above the sample's size, where the likelihood is flat
    low, high = -jnp.log(size) - drop, jnp.log(jnp.sum(counts)) + drop
    state = (low, high, low, high, jnp.asarray(True), jnp.zeros((), jnp.int32))
    low, high, center, width, *_ = lax.while_loop(lambda s: s[4] & (s[5] < _ROUNDS), zoom, state)
    return low, high, center, jnp.maximum(width, (high - low) * 1e-3)


def _over_nodes(function: Callable[..., Any], grid: jax.Array, counts: jax.Array, size: jax.Array) -> Any:
    """A function of nodes [G], a few at a time where nodes by symbols are too many for one block."""
    height = max(1, _BLOCK // max(1, counts.shape[0]))
    if height >= NODES:
        return function(grid, counts, size)
    one = lambda node: jax.tree.map(lambda value: value[0], function(node[None], counts, size))
    return lax.map(one, grid, batch_size=height)


def _log_weight(grid: jax.Array, counts: jax.Array, size: jax.Array) -> jax.Array:
    """ln p(n | beta) + ln dxi / du at u = grid [G]."""
    beta = jnp.exp(grid)
    likelihood = jnp.sum(_log_rising(beta[:, None], counts[None, :]), axis=1)
    return likelihood - _log_rising(size * beta, jnp.sum(counts)) + jnp.log(_prior(beta, size))


def _given_beta(grid: jax.Array, counts: jax.Array, size: jax.Array) -> tuple[jax.Array, jax.Array]:
    """E[H | n, beta] and Var[H | n, beta] at u = grid [G], nats; what was not seen is one term, times its number."""
    beta, seen = jnp.exp(grid), counts > 0
    mass, unseen = jnp.sum(counts) + size * beta, size - jnp.sum(seen)
    over_seen = lambda values: jnp.sum(jnp.where(seen[None, :], values, 0.0), axis=1)
    x, psi = beta[:, None] + counts[None, :], _digamma_next(mass)
    mean = over_seen(x * (psi[:, None] - _digamma_next(x))) + unseen * beta * (psi - _digamma_next(beta))
    mean = mean / mass
    level = psi + 1 / (mass + 1) - mean
    scatter = lambda x, level: x * (level - _digamma_next(x)) ** 2 + _trigamma_excess(x)
    total = over_seen(scatter(x, level[:, None])) + unseen * scatter(beta, level)
    return mean, (total - _trigamma_excess(mass) - mass / (mass + 1) ** 2) / (mass * (mass + 1))


def _prior(beta: jax.Array, size: jax.Array) -> jax.Array:
    """dxi / d ln beta = beta (K psi'(K beta + 1) - psi'(beta + 1)); far out its leading terms cancel: left out."""
    both = beta[:, None] * jnp.stack([jnp.ones_like(size), size])[None, :]
    near, far = _trigamma_next(both), _trigamma_rest(jnp.maximum(both, _SHIFT))
    return beta * jnp.where(beta < _SHIFT, size * near[:, 1] - near[:, 0], far[:, 0] - size * far[:, 1])


def _log_rising(a: jax.Array, n: jax.Array) -> jax.Array:
    """ln Gamma(a + n) - ln Gamma(a), a > 0, n >= 0, to rounding of the result however large a is; 0 where n is."""

    def rest(x: jax.Array) -> jax.Array:  # of ln Gamma(x) - (x - 1/2) ln z + z
        z, ratio, factors = _raised(x)
        return _odd_series(z, _LOG_GAMMA) - jnp.log(ratio * math.prod(factors))

    shifted = a + _SHIFT
    bulk = (a + n - 0.5) * jnp.log1p(n * (1 / shifted)) + n * (jnp.log(shifted) - 1)
    return bulk + rest(a + n) - rest(a)


def _digamma_next(x: jax.Array) -> jax.Array:
    """psi(x + 1), x > 0: psi(z) less sum_j 1 / (x + j), j = 1 .. 6."""
    z, _, (f, g, h) = _raised(x)
    steps = (x + z) / (z * z) * ((f * g + f * h + g * h) / (f * g * h))
    return jnp.log(z) - 0.5 / z - _odd_series(z, _DIGAMMA) / z - steps


def _raised(x: jax.Array) -> tuple[jax.Array, jax.Array, tuple[jax.Array, ...]]:
    """z = x + 7, x / z, and (x + j)(x + 7 - j) / z^2 for j = 1, 2, 3: none can overflow, whatever the counts."""
    z = x + _SHIFT
    y = 1 / z
    return z, x * y, tuple(x * y + j * (_SHIFT - j) * (y * y) for j in (1, 2, 3))


def _trigamma_next(x: jax.Array) -> jax.Array:
    """psi'(x + 1), x > 0."""
    z = x + _SHIFT
    return 1 / z - _trigamma_rest(z) + sum(1 / (x + j) ** 2 for j in range(1, _SHIFT + 1))


def _trigamma_rest(x: jax.Array) -> jax.Array:
    """1 / x - psi'(x + 1), x >= 7."""
    return (0.5 - _odd_series(x, _BERNOULLI)) / x**2


def _trigamma_excess(x: jax.Array) -> jax.Array:
    """x (x + 1) psi'(x + 1) - x, which rises from 0 at 0 to 1/2."""
    large = jnp.maximum(x, _SHIFT)
    far = 1 - (1 + 1 / large) * (0.5 - _odd_series(large, _BERNOULLI))
    return jnp.where(x < _SHIFT, x * ((x + 1) * _trigamma_next(x) - 1), far)


def _odd_series(x: jax.Array, coefficients: tuple[float, ...]) -> jax.Array:
    """sum_k c_k / x^(2k - 1), x >= 7."""
    terms = len(coefficients) if x.dtype == jnp.float64 else 3  # as many as the precision can tell
    y = 1 / x
    square, total = y * y, jnp.zeros_like(x)
    for c in reversed(coefficients[:terms]):
        total = total * square + c
    return total * y
