"""Entropy from counts: what a histogram says of the law it was drawn from, in bits.

The frequencies themselves (`plugin`) are biased down, by (K - 1) / (2 n) nats where n is large; the other methods
correct that, each on its own assumption (the table at `entropy_from_counts`). Histograms are the last axis, leading
axes are batch: 10,000 at once is one call. A zero count is padding, unless `symbols` says how many symbols there are:
then what was not seen is known to exist, which `james_stein`, `jeffreys` and `nsb` make use of. Counts are whole
numbers and have no gradient, and asking for one raises; differentiate `discrete.entropy` of a law.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.special import digamma
from jax.typing import ArrayLike

from rdjax import checks
from rdjax.information.nsb import NODES, posterior_moments
from rdjax.numerics import floating, safe_log, to_bits, without_gradient, xlogy

Estimator = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]

_ON_CPU, _ON_ACCELERATORS = 2**16, 2**25  # numbers in a block of histograms by nodes by symbols: a cache; a memory


def entropy_from_counts(
    counts: ArrayLike, method: str = "miller_madow", *, symbols: ArrayLike | None = None
) -> jax.Array:
    """Estimate of H(X) = -sum_x p_x log2 p_x from n observations; n_x of them are x, m symbols were seen, K exist.

        plugin        -sum f ln f, f = n_x / n: the maximum likelihood; too low, by (K - 1) / (2 n) where n is large
        miller_madow  plugin + (m - 1) / (2 n)
        grassberger   sum f (ln n - psi(n_x) - (-1)^n_x / (n_x + 1)), as infomeasure has it
        chao_shen     -sum q ln q / (1 - (1 - q)^n), q = C f: coverage C = 1 - f_1 / n from the f_1 symbols seen once
                      (n - 1 in its place where all were), and weights for those that were not seen
        james_stein   plugin of l / K + (1 - l) f, l = (1 - sum f^2) / ((n - 1) sum (1 / K - f)^2), at most 1
        jeffreys      plugin of (n_x + 1/2) / (n + K / 2), the posterior mean of the law
        nsb           posterior mean of the entropy, under a prior that is flat in it (`rdjax.information.nsb`)

    (in nats here; the result is in bits). Few observations of many symbols: chao_shen or nsb. Many: all agree.

    Args:
      counts: [..., S], whole numbers at least 0, integers or floats; each histogram with one observation at least.
      method: one of the above. Static.
      symbols: K, a whole number or an array [...]; None: unknown, and taken to be m, the number seen, which makes
        james_stein and jeffreys mild and holds nsb below log2 m.

    Returns:
      bits [...]; under jit inf for a histogram without observations.

    Raises:
      InputError: an unknown method, counts that are not such, no observation, fewer symbols than were seen.
      TypeError: when differentiated.

    Source: Miller 1955; Grassberger, Phys. Lett. A 128, 1988; Chao and Shen, Environ. Ecol. Stat. 10, 2003; Hausser
    and Strimmer, J. Mach. Learn. Res. 10, 2009; Nemenman, Shafee and Bialek 2001.
    """
    check_method(method)
    histograms = as_counts(counts, "the counts", 1)
    return _entropy(histograms, known_symbols(symbols, histograms), method)


def entropy_standard_error(
    counts: ArrayLike, method: str = "miller_madow", *, symbols: ArrayLike | None = None
) -> jax.Array:
    """Standard deviation of `entropy_from_counts` over samples, by leaving out one observation at a time.

        v = (n - 1) / n sum_x n_x (h_x - mean)^2,    h_x: the estimate without one observation of x

    of nsb the posterior standard deviation, and of grassberger without the alternating term. Beyond 8,000 observations,
    where float32 would hide the difference, it is taken in float64; under jit there is the plug-in's in its place,
    sqrt( sum n_x (ln n_x - mean)^2 ) / n, which is too low where observations are few for their symbols. Elsewhere it
    is rather above the true deviation than below; it says nothing of bias, the larger error where they are few.

    Args:
      counts, method, symbols: as in `entropy_from_counts`; each histogram with two observations at least. The work is
        that of S estimates.

    Returns:
      bits [...]; under jit inf for a histogram with fewer than two observations.

    Raises:
      InputError: as `entropy_from_counts`, and a single observation.
      TypeError: when differentiated.

    Source: Efron and Stein, Ann. Stat. 1981; Efron and Tibshirani 1993, chapter 11; Wolpert and Wolf 1995.
    """
    check_method(method)
    histograms = as_counts(counts, "the counts", 1, least=2)
    return in_enough_digits(_entropy_error, histograms, known_symbols(symbols, histograms), method, -1)


def estimate(counts: jax.Array, symbols: jax.Array, method: str, *, smooth: bool = False) -> jax.Array:
    """Nats [...] from counts [..., S]; symbols [...], 0 where unknown; what `entropy_from_counts` does, unchecked.

    `smooth` leaves out what flips with every single observation (Grassberger's alternating term): the jackknife would
    read it as a slope.
    """
    total = jnp.sum(counts, axis=-1)
    safe = jnp.where(total[..., None] > 0, counts, 1.0)
    size = _at_least_seen(symbols, safe)
    estimator = _digamma if smooth and method == "grassberger" else METHODS[method]
    nats = estimator(safe, jnp.sum(safe, axis=-1), size)
    return jnp.where(total > 0, jnp.where(nats == 0, 0.0, nats), jnp.inf)  # not -0.0


def in_enough_digits(error: Any, counts: jax.Array, symbols: jax.Array, method: str, axes: Any) -> jax.Array:
    """error(counts, symbols, method), in float64 where values can be seen and `standard_error` needs it."""
    if not checks.is_concrete(counts, symbols) or _shows_one(np.asarray(counts).sum(axis=axes)).all():
        return error(counts, symbols, method)
    with checks.looking(), jax.enable_x64(True):
        return error(counts.astype(np.float64), symbols.astype(np.float64), method).astype(counts.dtype)


def _shows_one(total: Any) -> Any:
    """Whether a statistic of so many observations can be told from that of one fewer."""
    return total * jnp.finfo(total.dtype).eps < 1e-3


def standard_error(
    statistic: Callable[[jax.Array], jax.Array], influence: Callable[[jax.Array], jax.Array], counts: jax.Array
) -> jax.Array:
    """Standard deviation [...] of a statistic of counts [..., S], by the jackknife; inf below two observations.

    Where rounding would hide what one observation does to it, its influence on the plug-in, [..., S], is in its place.
    """
    total = jnp.sum(counts, axis=-1, keepdims=True)
    enough = total > 1
    share = counts / jnp.where(enough, total, 1.0)

    def without(place: jax.Array) -> jax.Array:
        one = (jnp.arange(counts.shape[-1]) == place).astype(counts.dtype)
        return statistic(jnp.maximum(counts - jnp.broadcast_to(one, counts.shape), 0))

    def variance(values: jax.Array) -> jax.Array:
        values = jnp.where((counts > 0) & enough, values, 0.0)
        mean = jnp.sum(share * values, axis=-1, keepdims=True)
        return jnp.sum(share * (values - mean) ** 2, axis=-1)

    left_out = jnp.moveaxis(lax.map(without, jnp.arange(counts.shape[-1])), 0, -1)
    n = total[..., 0]
    found = jnp.where(
        _shows_one(n), (n - 1) * variance(left_out), variance(influence(share)) / jnp.where(n > 1, n, 1.0)
    )
    return jnp.where(n > 1, jnp.sqrt(found), jnp.inf)


@partial(jax.jit, static_argnums=2)
def _entropy(counts: jax.Array, symbols: jax.Array, method: str) -> jax.Array:
    return to_bits(estimate(counts, symbols, method))


@partial(jax.jit, static_argnums=2)
def _entropy_error(counts: jax.Array, symbols: jax.Array, method: str) -> jax.Array:
    if method != "nsb":
        return to_bits(standard_error(lambda counts: estimate(counts, symbols, method, smooth=True), safe_log, counts))
    total = jnp.sum(counts, axis=-1)
    safe = jnp.where(total[..., None] > 1, counts, 1.0)
    return jnp.where(total > 1, to_bits(_posterior(safe, _at_least_seen(symbols, safe), 1)), jnp.inf)


def _at_least_seen(symbols: jax.Array, counts: jax.Array) -> jax.Array:
    seen = jnp.sum(counts > 0, axis=-1).astype(counts.dtype)
    return jnp.maximum(jnp.broadcast_to(symbols, seen.shape), seen)


def _plugin(counts: jax.Array, total: jax.Array, symbols: jax.Array) -> jax.Array:
    share = counts / total[..., None]
    return jnp.sum(-xlogy(share, share), axis=-1)


def _miller_madow(counts: jax.Array, total: jax.Array, symbols: jax.Array) -> jax.Array:
    return _plugin(counts, total, symbols) + (jnp.sum(counts > 0, axis=-1) - 1) / (2 * total)


def _digamma(counts: jax.Array, total: jax.Array, symbols: jax.Array) -> jax.Array:
    seen = counts > 0
    terms = counts * (jnp.log(total)[..., None] - digamma(jnp.where(seen, counts, 1.0)))
    return jnp.sum(jnp.where(seen, terms, 0.0), axis=-1) / total


def _grassberger(counts: jax.Array, total: jax.Array, symbols: jax.Array) -> jax.Array:
    odd = counts - 2 * jnp.floor(counts / 2)
    alternating = jnp.sum((1 - 2 * odd) * counts / (counts + 1), axis=-1)
    return _digamma(counts, total, symbols) - alternating / total


def _chao_shen(counts: jax.Array, total: jax.Array, symbols: jax.Array) -> jax.Array:
    once = jnp.sum(counts == 1, axis=-1)
    coverage = 1 - jnp.where(once == total, once - 1, once) / total
    share = coverage[..., None] * counts / total[..., None]
    noticed = -jnp.expm1(total[..., None] * jnp.log1p(-share))  # 1 - (1 - q)^n, also where q is small or 1
    return jnp.sum(-xlogy(share, share) / jnp.where(counts > 0, noticed, 1.0), axis=-1)


def _james_stein(counts: jax.Array, total: jax.Array, symbols: jax.Array) -> jax.Array:
    share, target = counts / total[..., None], 1 / symbols
    seen = counts > 0
    unseen = symbols - jnp.sum(seen, axis=-1)
    away = jnp.sum(jnp.where(seen, (target[..., None] - share) ** 2, 0.0), axis=-1) + unseen * target**2
    spread, scale = jnp.sum(share * (1 - share), axis=-1), (total - 1) * away
    shrunk = jnp.where(spread < scale, spread / jnp.where(scale > 0, scale, 1.0), 1.0)  # all the way from n = 1
    law = shrunk[..., None] * target[..., None] + (1 - shrunk)[..., None] * share
    return _of_law(law, shrunk * target, seen, unseen)


def _jeffreys(counts: jax.Array, total: jax.Array, symbols: jax.Array) -> jax.Array:
    seen, mass = counts > 0, total + symbols / 2
    return _of_law((counts + 0.5) / mass[..., None], 0.5 / mass, seen, symbols - jnp.sum(seen, axis=-1))


def _of_law(law: jax.Array, rest: jax.Array, seen: jax.Array, unseen: jax.Array) -> jax.Array:
    """Nats of a law on what was seen, with `rest` for each symbol that was not."""
    return jnp.sum(jnp.where(seen, -xlogy(law, law), 0.0), axis=-1) - unseen * xlogy(rest, rest)


def _posterior(counts: jax.Array, symbols: jax.Array, moment: int) -> jax.Array:
    """One of the two moments of `posterior_moments` for each histogram, in blocks."""
    width = counts.shape[-1]
    histograms, sizes = counts.reshape(-1, width), symbols.reshape(-1)
    lanes = sizes.shape[0]
    each = jax.vmap(lambda counts, symbols: posterior_moments(counts, symbols)[moment])

    def in_blocks(entries: int, histograms: jax.Array, sizes: jax.Array) -> jax.Array:
        blocks = -(-lanes // max(1, entries // (NODES * width)))
        if blocks <= 1:
            return each(histograms, sizes)
        height = -(-lanes // blocks)
        fill = lambda x: jnp.pad(x, [(0, blocks * height - lanes)] + [(0, 0)] * (x.ndim - 1), constant_values=1)
        shaped = (fill(histograms).reshape(blocks, height, width), fill(sizes).reshape(blocks, height))
        return lax.map(lambda block: each(*block), shaped).reshape(-1)[:lanes]

    if lanes * NODES * width <= _ON_CPU:
        return each(histograms, sizes).reshape(counts.shape[:-1])
    choose = {"cpu": partial(in_blocks, _ON_CPU), "default": partial(in_blocks, _ON_ACCELERATORS)}
    return lax.platform_dependent(histograms, sizes, **choose).reshape(counts.shape[:-1])


METHODS: dict[str, Estimator] = {
    "plugin": _plugin,
    "miller_madow": _miller_madow,
    "grassberger": _grassberger,
    "chao_shen": _chao_shen,
    "james_stein": _james_stein,
    "jeffreys": _jeffreys,
    "nsb": lambda counts, total, symbols: _posterior(counts, symbols, 0),
}


def check_method(method: str) -> None:
    """Refuse a method that is not known."""
    checks.require(method in METHODS, f"method {method!r} is not known; the known ones are {', '.join(METHODS)}.")


def as_counts(values: Any, where: str, axes: int, least: int = 1) -> jax.Array:
    """Whole numbers as floats, `axes` of them to a histogram with `least` observations; tested unless traced."""
    shape = np.shape(values)
    good = len(shape) >= axes and 0 not in shape[len(shape) - axes :]
    checks.require(good, f"{where} have shape {shape}; they need {axes} axes of symbols, none of them empty.")
    if checks.is_concrete(values):
        with checks.looking():
            xp = checks.arrays_of(values)
            array = xp.asarray(values)
            checks.require(array.dtype.kind in "fiu", f"{where} hold {array.dtype} values; they must be whole numbers.")
            whole = bool((array >= 0).all() and xp.isfinite(array).all() and (array == xp.floor(array)).all())
            checks.require(whole, f"{where} have an entry that is negative, NaN or no whole number; give counts.")
            fewest = array.sum(axis=tuple(range(-axes, 0)), dtype=xp.result_type(float)).min(initial=math.inf)
            checks.require(
                bool(fewest >= least),
                f"{where} have a histogram of {fewest:.0f} observations; it takes at least {least}.",
            )
    return _whole(floating(values))


def known_symbols(symbols: Any, counts: jax.Array, what: str = "symbols") -> jax.Array:
    """How many symbols there are, as floats, refused below the number that was seen; 0 where that is all one knows."""
    if symbols is None:
        return jnp.zeros((), counts.dtype)
    if checks.is_concrete(symbols, counts):
        array, seen = np.asarray(symbols), (np.asarray(counts) > 0).sum(axis=-1)
        axes = zip(array.shape[::-1], seen.shape[::-1], strict=False)
        fits = array.ndim <= seen.ndim and all(size in (1, wide) for size, wide in axes)
        checks.require(fits, f"{what} has shape {array.shape}; it must be one number, or {seen.shape}.")
        full = np.broadcast_to(array, seen.shape)
        whole = array.dtype.kind in "fiu" and bool((np.isfinite(full) & (full == np.floor(full))).all())
        checks.require(whole, f"{what} must be whole numbers.")
        for place in map(tuple, np.argwhere(full < seen)[:1].tolist()):
            wrong = f"{what} is {full[place]:.0f}{checks.at(place)}, below the {seen[place]} that were seen"
            raise checks.InputError(f"{wrong}; give at least that many, or None where the number is unknown.")
    return floating(symbols).astype(counts.dtype)


_whole = without_gradient(
    "counts are whole numbers and have no gradient; differentiate rdjax.information.entropy of a law."
)
