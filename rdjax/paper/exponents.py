"""How the excess distortion of a trained code falls with n: five ways to train, none of them 1 / n by law of nature.

Theorem 5.1 of the paper has E d <= D* + O(1/n) for all of them. What a trained code loses is a floor (its family's, its
training objective's) and an estimate's error, whose exponent depends on how it is trained. Each case here has two
documents and reciprocal rank, so that a wrong first document costs 1/2 and the population distortion of a trained code
is a formula: nothing is left to a test sample, and excesses are differences from the code of infinite n, exactly.

- coins: many cells, in each of which one document is likelier by n^(-1/2): the worst case for each n (Assouad).
- margins: many cells, their posteriors uniform on [0, 1] (margin exponent 1), the likelier document by majority.
- boundaries: X = N(-1, 1) or N(1, 1) with document 1 sought at a rate of .3, and one threshold, trained on the ranking
  loss (ERM), as the Gaussian posterior's, or by squared error (the best two means, as Lloyd's algorithm seeks).

Source: theory notes, section 6.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.stats import norm

from rdjax import checks
from rdjax.limits.decay import DecayFit, fit_decay

SIZES = tuple(2**k for k in range(7, 17))  # 2.7 decades
RATE = 0.3  # how often document 1 is sought
BEST = 0.5 * math.log((1 - RATE) / RATE)  # where the posterior is 1/2
CELLS = 500
IN_FLIGHT = 2**21  # samples of the training sets that are trained together


@dataclass(frozen=True)
class Excess:
    """What trained codes lose, by way of training.

    Args:
      name: of the case.
      samples: n [T].
      values: excess distortion [T, trials], or the signed difference from the code of infinite n.
      exponent: b of its mean absolute value that theory gives.
      floor: c that theory gives.
    """

    name: str
    samples: np.ndarray
    values: np.ndarray
    exponent: float
    floor: float

    def fit(self, statistic: str = "mean absolute") -> DecayFit:
        """`fit_decay` of a statistic of the values; `exponent` is that of the default."""
        return fit_decay(self.samples, self.values, statistic)


def trained_excesses(sizes: Sequence[int] = SIZES, trials: int = 400, seed: int = 0) -> tuple[Excess, ...]:
    """Train all five codes on independent training sets at every n, in float64.

    Args:
      sizes: n [T], increasing; in coins and margins the samples of each cell.
      trials: training sets for each n.
      seed: of all of them.

    Returns:
      six `Excess`: coins, margins, ERM, posterior, and of squared error the difference from its own code of infinite n
      and the excess over the best code.

    Raises:
      InputError: sizes that are not whole, below 2 or not rising; trials or a seed that are no whole number; a seed
        below 0, or of more than 63 bits.
    """
    n = np.array([checks.whole(size, "a size", 2) for size in sizes])
    checks.require(n.size > 0 and bool((np.diff(n) > 0).all()), f"sizes are {n.tolist()}; give one or more, rising.")
    checks.whole(trials, "trials")
    checks.require(checks.whole(seed, "seed", 0) < 2**63, f"seed is {seed}; it must be below 2^63.")
    with jax.enable_x64(True):
        coins, margins = _cells(n, trials, seed)
        keys = jax.random.split(jax.random.key(seed), len(n))
        trained = np.stack([_boundaries(key, int(size), trials) for key, size in zip(keys, n, strict=True)], axis=1)
        best, final = map(float, _distortion(jnp.array([BEST, means_boundary()])))
    ranked, posterior, squared = trained
    return (
        Excess("coins", n, coins, 0.5, 0.0),
        Excess("margins", n, margins, 1.0, 0.0),
        Excess("boundary by ranking loss", n, ranked - best, 2 / 3, 0.0),
        Excess("boundary by posterior", n, posterior - best, 1.0, 0.0),
        Excess("boundary by squared error, from its limit", n, squared - final, 0.5, 0.0),
        Excess("boundary by squared error, from the best", n, squared - best, 1.0, final - best),
    )


def means_boundary() -> float:
    """Halfway between the two means of least squared error for the law itself: the fixed point of Lloyd's algorithm."""
    centers, shares = np.array([-1.0, 1.0]), np.array([1 - RATE, RATE])
    cdf = lambda z: 0.5 * (1 + math.erf(z / math.sqrt(2)))
    density = lambda z: math.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    boundary = 0.0
    for _ in range(200):  # each step shrinks the error by about a third
        below = np.array([cdf(boundary - c) for c in centers])
        moment = centers * below - np.array([density(boundary - c) for c in centers])  # E X 1{X < b} of each
        left = shares @ moment / (shares @ below)
        right = shares @ (centers - moment) / (shares @ (1 - below))
        boundary = float(left + right) / 2
    return boundary


def _cells(samples: np.ndarray, trials: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Excess of majority rules in coins and in margins, each [T, trials]."""
    rng = np.random.default_rng(seed)
    found: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for n in samples:
        grid = (np.arange(CELLS) + rng.random((trials, 1))) / CELLS
        for chances, out in ((np.full((trials, CELLS), 0.5 + 0.5 / math.sqrt(n)), found[0]), (grid, found[1])):
            ahead = 2 * rng.binomial(n, chances) - n
            right = np.where(ahead == 0, 0.5, (ahead > 0) == (chances > 0.5))
            out.append(np.mean(np.abs(chances - 0.5) * (1 - right), axis=1))
    return np.array(found[0]), np.array(found[1])


@partial(jax.jit, static_argnums=(1, 2))
def _boundaries(key: jax.Array, n: int, trials: int) -> jax.Array:
    """Distortion of the code with each of the three boundaries [3, trials]."""
    train = lambda one: _train(one, n)
    return lax.map(train, jax.random.split(key, trials), batch_size=max(1, min(trials, IN_FLIGHT // n))).T


def _train(key: jax.Array, n: int) -> jax.Array:
    wanted, noise = jax.random.split(key)
    y = jax.random.bernoulli(wanted, RATE, (n,)).astype(float)
    x = 2 * y - 1 + jax.random.normal(noise, (n,))
    x, y = _sorted(x, y)
    below = jnp.arange(1, n)  # of the split between x_i and x_(i+1)
    ones, sums = jnp.cumsum(y), jnp.cumsum(x)
    wrong = ones[:-1] + (n - below) - (ones[-1] - ones[:-1])  # document 1 on the left, document 0 on the right
    split = jnp.argmin(wrong)
    ranked = (x[split] + x[split + 1]) / 2
    rate = jnp.clip(ones[-1] / n, 1 / n, 1 - 1 / n)
    means = jnp.array([jnp.sum(x * (1 - y)), jnp.sum(x * y)]) / (n * jnp.array([1 - rate, rate]))
    posterior = jnp.mean(means) + jnp.log((1 - rate) / rate) / (means[1] - means[0])
    gain = sums[:-1] ** 2 / below + (sums[-1] - sums[:-1]) ** 2 / (n - below)
    cut = jnp.argmax(gain)
    squared = (sums[cut] / (cut + 1) + (sums[-1] - sums[cut]) / (n - cut - 1)) / 2
    return _distortion(jnp.stack([ranked, posterior, squared]))


def _sorted(x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
    """x in order, and its labels, which ride in its last bit: integers sort five times faster than floats and pairs."""
    flip = lambda bits: jnp.where(bits < 0, bits ^ jnp.iinfo(jnp.int64).max, bits)  # makes floats order like integers
    order = jnp.sort((flip(lax.bitcast_convert_type(x, jnp.int64)) & ~1) | y.astype(jnp.int64))
    return lax.bitcast_convert_type(flip(order), x.dtype), (order & 1).astype(x.dtype)


def _distortion(boundary: jax.Array) -> jax.Array:
    """Population distortion of thresholds, document 0 first on the left, document 1 on the right: half the errors."""
    return 0.5 * ((1 - RATE) * norm.cdf(-1 - boundary) + RATE * norm.cdf(boundary - 1))
