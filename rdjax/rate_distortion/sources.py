"""Sources whose rate-distortion function is known: ground truth for tests, benchmarks and notebooks.

Everything here is float64 NumPy on the host, whatever precision JAX computes in, and shares no code with the solvers.
A law is [X], a distortion matrix [X, M]; slopes are s = -dR/dD >= 0 in bits per unit of distortion, rates in bits.

Known exactly at every slope: `hamming` (with `binary`, `uniform`, `zipf`), `erasure`, `cyclic`, `ranking`, `laplacian`,
and what `product` and `disguised` make of them. Between two computed bounds: `gaussian`. Not known: `random`, `grid`.
"""

import itertools
import math

import numpy as np
from numpy.typing import ArrayLike

from rdjax import checks
from rdjax.host import on_the_host
from rdjax.rate_distortion import known_curves
from rdjax.rate_distortion.known_curves import CurvePoint
from rdjax.rate_distortion.known_source import BoundedSource, KnownSource, Source


@on_the_host
def hamming(law: ArrayLike, name: str = "Hamming") -> KnownSource:
    """Any law under Hamming distortion, d = 1 where symbol and reproduction differ; zero probabilities allowed.

        k reproductions in use:  D = 1 - t,  R = sum over them of p_x log2(p_x / t) - (k - 1) a t log2(1 / a)

    with a = 2^-s, P_k the mass of the k likeliest, t = P_k / (1 + (k - 1) a), and k the number of p_x > a t: reverse
    water-filling.

    Args:
      law: [X].
      name: what the source is called.

    Returns:
      the source, [X, X].

    Source: Erokhin 1958, Epsilon-entropy of a discrete random variable.
    """
    checks.law(law)
    weights = np.array(law, np.float64)
    falling = np.sort(weights)[::-1]
    curve = lambda slope: known_curves.hamming(falling, slope)
    return KnownSource(name, weights, 1 - np.eye(weights.size), curve)


def binary(p: float) -> KnownSource:
    """Bernoulli(p) under Hamming distortion: R = h(p) - h(D) (Cover and Thomas, theorem 10.3.1)."""
    return hamming([1 - p, p], f"binary({p:g})/Hamming")


def uniform(symbols: int) -> KnownSource:
    """Uniform on m symbols under Hamming distortion: R = log2 m - h(D) - D log2(m - 1)."""
    return hamming(np.full(symbols, 1 / symbols), f"uniform({symbols})/Hamming")


def zipf(symbols: int, exponent: float = 1.0) -> KnownSource:
    """p_k proportional to k^-exponent under Hamming distortion."""
    mass = np.arange(1.0, symbols + 1) ** -exponent
    return hamming(mass / mass.sum(), f"Zipf({symbols})/Hamming")


def erasure(symbols: int = 2) -> KnownSource:
    """Uniform on m symbols, reproduced as itself (d = 0), as an erasure (d = 1), or as another (d = inf).

        R(D) = (1 - D) log2 m,   0 <= D <= 1

    The whole curve is one segment: at slope log2 m every D is optimal, and `point` gives D = 0.

    Returns:
      the source, [m, m + 1]; the erasure comes last.
    """
    checks.whole(symbols, "the number of symbols", 2)
    bits = math.log2(symbols)
    exact = np.where(np.eye(symbols) > 0, 0.0, np.inf)
    distortion = np.concatenate([exact, np.ones((symbols, 1))], axis=1)
    curve = lambda slope: CurvePoint(bits, 0.0) if slope >= bits else CurvePoint(0.0, 1.0)
    return KnownSource(f"erasure({symbols})", np.full(symbols, 1 / symbols), distortion, curve)


@on_the_host
def cyclic(distances: ArrayLike, name: str = "cyclic") -> KnownSource:
    """Uniform on m points of a circle, with d(x, y) = distances[(y - x) mod m] (inf allowed).

        R = log2 m - H(g),   D = <g, distances>,   g_k proportional to 2^(-s distances_k)

    The output law is uniform: an iteration that starts there has nothing left to do.

    Args:
      distances: [m]; at least one finite.
      name: what the source is called.

    Raises:
      InputError: no list of distances, NaN or -inf among them, none finite.
    """
    steps = np.array(distances, np.float64)
    bad = np.isnan(steps) | np.isneginf(steps)
    checks.require(not bad.any(), "a distance on the circle is NaN or -inf; give numbers, or inf for never.")
    checks.require(steps.ndim == 1, f"the distances have shape {steps.shape}; they must be [m], round the circle.")
    checks.require(bool(np.isfinite(steps).any()), "no distance on the circle is finite; every code costs infinitely.")
    apart = np.subtract.outer(np.arange(steps.size), np.arange(steps.size))
    law = np.full(steps.size, 1 / steps.size)
    return KnownSource(name, law, steps[-apart % steps.size], known_curves.symmetric(steps))


@on_the_host
def ranking(documents: int, weights: ArrayLike | None = None) -> KnownSource:
    """Which of N documents is relevant, all equally likely, reproduced by any of the N! rankings; d = 1 - w(rank).

        R = log2 N - H(g),   D = 1 - <g, w>,   g_k proportional to 2^(s w_k)

    Args:
      documents: N, at most 7 (5040 rankings).
      weights: w [N], any finite numbers; None for reciprocal rank, 1 / k.

    Returns:
      the source, [N, N!].

    Raises:
      InputError: more than 7 documents; a weight that is no finite number; not as many weights as documents.

    Source: theory notes, section 1.1 (Theorem A).
    """
    few = 1 <= documents <= 7
    checks.require(few, f"all rankings of {documents} documents are asked for; 7 is the most (5040 rankings).")
    worth = np.array(1 / np.arange(1.0, documents + 1) if weights is None else weights, np.float64)
    checks.numbers(worth, "the weights")
    checks.require(worth.shape == (documents,), f"the weights have shape {worth.shape} for {documents} documents.")
    places = np.array(list(itertools.permutations(range(documents))))  # of each document, by ranking
    law = np.full(documents, 1 / documents)
    return KnownSource(f"ranking({documents})", law, 1 - worth[places].T, known_curves.symmetric(1 - worth))


def laplacian(size: int, span: float = 8.0) -> KnownSource:
    """p proportional to e^-|x| on an even grid of [-span, span], absolute error, reproductions on the same grid: exact.

    The kernel a^|i - j| has a tridiagonal inverse, so the output law is explicit: all but m points at either end are
    in use, m the least that leaves no negative probability, and a symbol beyond counts as the last point in use. The
    continuous Laplacian has R = log2(1 / D), s = 1 / (D ln 2) for D <= 1; the grid differs from it (measured, span 12,
    1024 points, step h = .023) by 1.4e-4 bits at D = .99, 3.4e-4 at .5 and 7.5e-3 at 4 h, and is below.

    Args:
      size: number of points, at least 2.
      span: the grid ends at -span and span.

    Returns:
      the source, [size, size].
    """
    points = _points(size, span)
    mass = np.exp(-np.abs(points))
    law = mass / mass.sum()
    law = (law + law[::-1]) / 2  # symmetric to the last digit
    step = 2 * span / (size - 1)
    curve = lambda slope: known_curves.absolute(law, step, slope)
    distortion = step * np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
    return KnownSource(f"Laplacian({size})/absolute", law, distortion, curve)


def gaussian(size: int, span: float = 8.0) -> BoundedSource:
    """p proportional to e^(-x^2 / 2) on an even grid of [-span, span], squared error, reproductions on the same grid.

    Sampled Gaussians convolve to sampled Gaussians up to a share e^(-2 pi^2 D / h^2) at step h, so the grid's own R(D)
    is nearly explicit: the width of `bounds` (measured, 256 and 1024 points) is below 1e-13 bits at span 8 for slopes
    of .3 to 1e4, below 3e-9 at span 6 and 1e-4 at span 4, where the ends of the grid are felt; it is up to .04 at 64
    points and slopes below .72, where the middle of the grid falls between points. The continuous Gaussian has
    R = 1/2 log2(1 / D), s = 1 / (2 D ln 2) for D <= 1, and its least R + s D is within 1e-13 bits of the grid's at
    span 8 as long as D >= 2 h^2 and D < 1; below that the grid is a discrete source, which costs at most its entropy.

    Args:
      size: number of points, at least 2.
      span: the grid ends at -span and span.

    Returns:
      the source, [size, size].
    """
    points = _points(size, span)
    plain = grid(points, np.exp(-(points**2) / 2), 2.0)
    output = lambda slope: known_curves.gaussian_output(points, slope)
    return BoundedSource(f"Gaussian({size})/squared", plain.law, plain.distortion, output)


@on_the_host
def grid(points: ArrayLike, density: ArrayLike, power: float) -> Source:
    """Points on a line with p proportional to `density` [X], and d = |x - y|^power; no known curve.

    Raises:
      InputError: a point, density or power that is no finite number, a density or power below 0, none above.
    """
    checks.numbers(points, "the points")
    checks.numbers(density, "the density", 0)
    checks.numbers(power, "the power", 0)
    x, mass = np.array(points, np.float64), np.array(density, np.float64)
    checks.require(x.ndim == 1 and x.shape == mass.shape, f"points and density have shapes {x.shape} and {mass.shape}.")
    checks.require(bool(mass.sum() > 0), "the density is 0 at every point; give one that is positive somewhere.")
    return Source(f"grid({x.size})", mass / mass.sum(), np.abs(np.subtract.outer(x, x)) ** power)


def random(size: int, seed: int = 0) -> Source:
    """Uniform distortions with a zero diagonal, then a law uniform on the simplex, from NumPy's default generator.

    No known curve; at size 64, seed 0 and slope 5 the least R + s D is 1.4792297134 bits.
    """
    generator = np.random.default_rng(seed)
    distortion = generator.random((size, size))
    np.fill_diagonal(distortion, 0)
    return Source(f"random({size})", generator.dirichlet(np.ones(size)), distortion)


def product(first: KnownSource, second: KnownSource) -> KnownSource:
    """Two independent sources coded together, distortions added: rates and distortions add up at equal slopes."""
    law = np.outer(first.law, second.law).ravel()
    both = first.distortion[:, None, :, None] + second.distortion[None, :, None, :]

    def curve(slope: float) -> CurvePoint:
        one, other = first.point(slope), second.point(slope)
        return CurvePoint(one.rate + other.rate, one.distortion + other.distortion)

    name = f"{first.name} x {second.name}"
    return KnownSource(name, law, both.reshape(law.size, -1), curve)


def disguised(source: KnownSource) -> KnownSource:
    """The same curve behind rows and columns that change nothing, one of each kind that trips solvers.

    Symbols: the last one split in two with shares .3 and .7, and one of probability 0. Reproductions: a copy of the
    first (so the output law is not unique), one that is worse everywhere, and one that is infinitely bad.
    """
    law = np.concatenate([source.law[:-1], source.law[-1] * np.array([0.3, 0.7]), [0.0]])
    rows = np.concatenate([source.distortion, source.distortion[-1:], source.distortion[:1]])
    idle = [rows[:, :1], rows[:, :1] + 1, np.full((law.size, 1), np.inf)]
    return KnownSource(f"{source.name}, disguised", law, np.concatenate([rows, *idle], axis=1), source.curve)


def _points(size: int, span: float) -> np.ndarray:
    checks.require(size >= 2 and span > 0, f"a grid of {size} points over {span} is none; take 2 points and a span.")
    return np.linspace(-span, span, size)
