"""Laws in which one side is discrete and the other is not, and what makes new laws of given ones; for `tasks`."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import norm
from scipy import special

from rdjax.information.task_laws import Sample, Task, uniforms
from rdjax.numerics import LN2, xlogy


def uniform_given_symbol(name: str, symbols: int) -> Task:
    """x uniform on 0 .. m - 1, y uniform on [x, x + 2]: log2 m - (m - 1) / m bits (Gao et al. 2017, experiment I)."""

    def draw(key: jax.Array, n: int) -> Sample:
        which, where = jax.random.split(key)
        x = jnp.floor(symbols * uniforms(which, n))
        return x, x + 2 * uniforms(where, n)

    def density(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        covered = sum(((s <= y) & (y <= s + 2)).astype(float) for s in range(symbols))
        return np.log2(symbols / covered)[:, 0]

    return Task(name, 1, 1, math.log2(symbols) - (symbols - 1) / symbols, draw, density)


def noisy_sign(name: str, deviation: float) -> Task:
    """x = -1 or 1, y = x + normal noise: h(Y) - h(noise), the first by quadrature."""

    def draw(key: jax.Array, n: int) -> Sample:
        which, noise = jax.random.split(key)
        x = jnp.where(uniforms(which, n) < 0.5, -1.0, 1.0)
        return x, x + deviation * jax.random.normal(noise, (n, 1), jnp.result_type(float))

    density = lambda x, y: 1 - np.logaddexp(0, -2 * x * y / deviation**2)[:, 0] / LN2
    grid = np.linspace(-1 - 12 * deviation, 1 + 12 * deviation, 20_001)
    bells = sum(np.exp(-((grid - sign) ** 2) / (2 * deviation**2)) for sign in (-1, 1))
    law = bells / (2 * deviation * math.sqrt(2 * math.pi))
    entropy = -np.sum(special.xlogy(law, law)) * (grid[1] - grid[0])
    noise = 0.5 * math.log(2 * math.pi * math.e * deviation**2)
    return Task(name, 1, 1, float(entropy - noise) / LN2, draw, density)


def zero_inflated_poisson(name: str, zero: float) -> Task:
    """x exponential, y = 0 with chance p and else Poisson with mean x: H(Y) - E H(Y | x), the latter by quadrature.

        P(y = k) = (1 - p) 2^-(k + 1) + p 1{k = 0}

    Gao et al. 2017 print (1 - p) times the value at p = 0; that would hold if an inflated 0 could be told from another.
    """
    symbols = np.arange(160.0)[:, None]  # a larger count has a chance below 1e-16

    def draw(key: jax.Array, n: int) -> Sample:
        first, second = jax.random.split(key)
        x = -jnp.log1p(-uniforms(first, n))
        k, factorials = jnp.asarray(symbols.T, x.dtype), jnp.asarray(special.gammaln(symbols.T + 1), x.dtype)
        chances = (1 - zero) * jnp.exp(xlogy(k, x) - x - factorials) + zero * (k == 0)
        up_to = chances @ jnp.triu(jnp.ones((k.size, k.size), x.dtype))
        return x, jnp.sum(uniforms(second, n) >= up_to[:, :-1], axis=1, keepdims=True).astype(x.dtype)

    output = lambda k: (1 - zero) * 0.5 ** (k + 1) + zero * (k == 0)
    given = lambda k, x: (1 - zero) * np.exp(special.xlogy(k, x) - x - special.gammaln(k + 1)) + zero * (k == 0)
    density = lambda x, y: np.log2(given(y, x) / output(y))[:, 0]
    points, weight = np.polynomial.legendre.leggauss(200)
    root = math.sqrt(40) * (points + 1) / 2  # of x: the entropy is like x log x near 0; beyond 40 there is e^-40 left
    x, weight = root**2, weight * math.sqrt(40) * root
    chance = given(symbols, x[None])
    noise = -np.sum(special.xlogy(chance, chance), axis=0) @ (weight * np.exp(-x))
    entropy = -np.sum(special.xlogy(output(symbols), output(symbols)))
    return Task(name, 1, 1, float(entropy - noise) / LN2, draw, density)


def product(name: str, first: Task, second: Task) -> Task:
    """Two independent tasks side by side: their values add."""

    def draw(key: jax.Array, n: int) -> Sample:
        pairs = [task.draw(part, n) for task, part in zip((first, second), jax.random.split(key), strict=True)]
        x, y = zip(*pairs, strict=True)
        return jnp.concatenate(x, axis=1), jnp.concatenate(y, axis=1)

    def density(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        one = first.density(x[:, : first.dim_x], y[:, : first.dim_y])
        return one + second.density(x[:, first.dim_x :], y[:, first.dim_y :])

    bits = first.mutual_information + second.mutual_information
    return Task(name, first.dim_x + second.dim_x, first.dim_y + second.dim_y, bits, draw, density)


class Bijection(NamedTuple):
    """A map that loses nothing: forward in JAX, inverse in NumPy; `columns` are added by it."""

    forward: Callable[[jax.Array], jax.Array]
    inverse: Callable[[np.ndarray], np.ndarray]
    columns: int = 0


identity = Bijection(lambda z: z, lambda z: z)
half_cube = Bijection(lambda z: z * jnp.sqrt(jnp.abs(z)), lambda z: np.sign(z) * np.abs(z) ** (2 / 3))
asinh = Bijection(jnp.arcsinh, np.sinh)
normal_cdf = Bijection(norm.cdf, special.ndtri)


def spiral(turn: float) -> Bijection:
    """The first two columns turned by the angle `turn` |z|^2, |z| the length of the whole row."""

    def turned(z, sign, xp):
        angle = sign * turn * xp.sum(z * z, axis=1)
        c, s = xp.cos(angle), xp.sin(angle)
        return xp.concatenate(
            [xp.stack([c * z[:, 0] - s * z[:, 1], s * z[:, 0] + c * z[:, 1]], axis=1), z[:, 2:]], axis=1
        )

    return Bijection(lambda z: turned(z, 1, jnp), lambda z: turned(z, -1, np))


def _roll(z: jax.Array) -> jax.Array:
    angle = 1.5 * math.pi * (1 + 2 * z)
    return jnp.concatenate([angle * jnp.cos(angle), angle * jnp.sin(angle)], axis=1) / 21


#: One column in [0, 1] rolled up in the plane.
swiss_roll = Bijection(
    _roll, lambda z: (21 * np.linalg.norm(z, axis=1, keepdims=True) / (1.5 * math.pi) - 1) / 2, columns=1
)


def transformed(name: str, task: Task, map_x: Bijection, map_y: Bijection) -> Task:
    """x and y each put through a bijection: the value stays, however hard the data become."""

    def draw(key: jax.Array, n: int) -> Sample:
        x, y = task.draw(key, n)
        return map_x.forward(x), map_y.forward(y)

    density = lambda x, y: task.density(map_x.inverse(x), map_y.inverse(y))
    return Task(name, task.dim_x + map_x.columns, task.dim_y + map_y.columns, task.mutual_information, draw, density)
